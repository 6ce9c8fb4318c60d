//! A recorder on a thread of its own: whoever receives never waits for a disk.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::record::{Line, RecordOptions, Recorder};

/// Lines on their way to the recorder, and their bytes.
const QUEUE_LINES_MAX: usize = 65_536;
const QUEUE_BYTES_MAX: u64 = 256 << 20;
/// So much may be lost when the process is killed.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// A recording that is being made.
pub struct Tape {
    lines: Option<SyncSender<Written>>,
    queued_bytes: Arc<AtomicU64>,
    thread: Option<JoinHandle<io::Result<()>>>,
    /// Not written since the last line that was.
    lost_now: u64,
    lost_ever: u64,
}

/// A line whose form is decided.
struct Written {
    receive_ns: u64,
    line: Owned,
}

enum Owned {
    Text { connection: u32, text: Vec<u8> },
    Open { connection: u32, words: [String; 4] },
    Close { connection: u32, reason: String },
    Answer { connection: u32, status: u16, retry_after_s: Option<u64>, url: String, body: Vec<u8> },
    Lost { count: u64 },
}

impl Tape {
    /// Begins a file; see [`Recorder::create`].
    pub fn create(out: &Path, options: RecordOptions) -> io::Result<Tape> {
        let recorder = Recorder::create(out, options)?;
        let (sender, receiver) = sync_channel(QUEUE_LINES_MAX);
        let queued_bytes = Arc::new(AtomicU64::new(0));
        let queued = Arc::clone(&queued_bytes);
        let run = move || write_all(recorder, &receiver, &queued);
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(run)?;
        let (lines, thread) = (Some(sender), Some(thread));
        Ok(Tape { lines, queued_bytes, thread, lost_now: 0, lost_ever: 0 })
    }

    /// Hands a line over. What the recorder has no room for is counted, and the recording says so.
    ///
    /// Errors: the recorder has failed, and nothing more is written.
    pub fn write(&mut self, receive_ns: u64, line: &Line<'_>) -> io::Result<()> {
        if self.lost_now > 0 && self.send(receive_ns, Owned::Lost { count: self.lost_now })? {
            self.lost_now = 0;
        }
        if self.lost_now > 0 || !self.send(receive_ns, Owned::of(line))? {
            self.lost_now = self.lost_now.saturating_add(1);
            self.lost_ever = self.lost_ever.saturating_add(1);
        }
        Ok(())
    }

    /// Lines that the recorder had no room for.
    pub fn lost_count(&self) -> u64 {
        self.lost_ever
    }

    /// Writes what is queued, and ends the file.
    pub fn finish(mut self) -> io::Result<()> {
        if self.lost_now > 0 {
            let count = self.lost_now;
            let lost = Written { receive_ns: super::clock::now_ns(), line: Owned::Lost { count } };
            // Waits: at the end there is time.
            let _ = self.lines.as_ref().map(|lines| lines.send(lost));
        }
        self.join()
    }

    fn send(&mut self, receive_ns: u64, line: Owned) -> io::Result<bool> {
        let Some(lines) = &self.lines else { return Ok(false) };
        let bytes = line.bytes();
        if self.queued_bytes.load(Ordering::Relaxed).saturating_add(bytes) > QUEUE_BYTES_MAX {
            return Ok(false);
        }
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        match lines.try_send(Written { receive_ns, line }) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => {
                self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                Ok(false)
            }
            Err(TrySendError::Disconnected(_)) => {
                self.join().and(Err(io::Error::other("the recorder is gone")))
            }
        }
    }

    fn join(&mut self) -> io::Result<()> {
        self.lines = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(done)) => done,
            Some(Err(_)) => Err(io::Error::other("the recorder panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

impl Owned {
    fn of(line: &Line<'_>) -> Owned {
        match *line {
            Line::Text { connection, text } => Owned::Text { connection, text: text.to_vec() },
            Line::Open { connection, venue, market, symbols, url } => {
                Owned::Open { connection, words: [venue, market, symbols, url].map(str::to_owned) }
            }
            Line::Close { connection, reason } => {
                Owned::Close { connection, reason: reason.to_owned() }
            }
            Line::Answer { connection, status, retry_after_s, url, body } => {
                let (url, body) = (url.to_owned(), body.to_vec());
                Owned::Answer { connection, status, retry_after_s, url, body }
            }
            Line::Lost { count } => Owned::Lost { count },
        }
    }

    fn line(&self) -> Line<'_> {
        match self {
            Owned::Text { connection, text } => Line::Text { connection: *connection, text },
            Owned::Open { connection, words: [venue, market, symbols, url] } => {
                Line::Open { connection: *connection, venue, market, symbols, url }
            }
            Owned::Close { connection, reason } => Line::Close { connection: *connection, reason },
            Owned::Answer { connection, status, retry_after_s, url, body } => Line::Answer {
                connection: *connection,
                status: *status,
                retry_after_s: *retry_after_s,
                url,
                body,
            },
            Owned::Lost { count } => Line::Lost { count: *count },
        }
    }

    fn bytes(&self) -> u64 {
        let bytes = match self {
            Owned::Text { text, .. } => text.len(),
            Owned::Answer { body, .. } => body.len(),
            Owned::Open { .. } | Owned::Close { .. } | Owned::Lost { .. } => 0,
        };
        bytes as u64
    }
}

fn write_all(
    mut recorder: Recorder,
    lines: &Receiver<Written>,
    queued_bytes: &AtomicU64,
) -> io::Result<()> {
    let mut flushed = Instant::now();
    let mut is_flushed = true;
    loop {
        match lines.recv_timeout(FLUSH_EVERY) {
            Ok(Written { receive_ns, line }) => {
                recorder.write(receive_ns, &line.line())?;
                queued_bytes.fetch_sub(line.bytes(), Ordering::Relaxed);
                is_flushed = false;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return recorder.finish(),
        }
        if !is_flushed && flushed.elapsed() >= FLUSH_EVERY {
            recorder.flush()?;
            (flushed, is_flushed) = (Instant::now(), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn all_that_was_handed_over_is_in_the_file_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a.gz");
        let mut tape = Tape::create(&out, RecordOptions::default()).unwrap();
        let mut expected = String::new();
        for index in 0..5_000 {
            let text = format!("{{\"a\":{index}}}");
            tape.write(index, &Line::Text { connection: 0, text: text.as_bytes() }).unwrap();
            expected += &format!("{index} {text}\n");
        }
        assert_eq!(tape.lost_count(), 0);
        tape.finish().unwrap();
        let mut text = String::new();
        GzDecoder::new(File::open(&out).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }

    #[test]
    fn what_has_no_room_is_counted_and_the_recording_says_where() {
        let (sender, receiver) = sync_channel(2);
        let queued_bytes = Arc::new(AtomicU64::new(0));
        let lines = Some(sender);
        let mut tape = Tape { lines, queued_bytes, thread: None, lost_now: 0, lost_ever: 0 };
        let mut write = |ns| {
            tape.write(ns, &Line::Text { connection: 0, text: b"{}" }).unwrap();
        };
        (1..=5).for_each(&mut write);
        let first: Vec<u64> = (0..2).map(|_| receiver.recv().unwrap().receive_ns).collect();
        assert_eq!(first, [1, 2]);
        write(6);
        let mut then = (0..2).map(|_| receiver.recv().unwrap().line);
        assert!(matches!(then.next(), Some(Owned::Lost { count: 3 })));
        assert!(matches!(then.next(), Some(Owned::Text { .. })));
        assert_eq!(tape.lost_count(), 3);
    }
}
