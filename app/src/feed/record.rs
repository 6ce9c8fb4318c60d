//! `outcry feed record`: raw messages with their receive times.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use feed::shell::record::{Line, RecordOptions};
use feed::shell::tape::Tape;
use feed::shell::{Failure, Listener};
use protocol::FeedEvent;

use super::Venues;
use crate::simulate::Orders;

/// Between two lines that say how far it is.
const SAY_EVERY_NS: u64 = 10 * 1_000_000_000;
const MIB: u64 = 1 << 20;

#[derive(Debug, Args)]
pub struct Record {
    #[command(flatten)]
    pub venues: Venues,
    /// File to write (gzip); later files get a number: a.gz, a.2.gz, a.3.gz
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// A new file is begun after so many MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub file_mib: u64,
    /// All files together; the oldest are deleted
    #[arg(long, value_name = "MIB", default_value_t = 8_192, value_parser = clap::value_parser!(u64).range(2..=1 << 30))]
    pub total_mib: u64,
}

/// Records until it is told to stop. Ok(false): some messages were not written.
pub fn record(args: &Record, orders: &Orders, out: &mut impl Write) -> Result<bool> {
    let (file_bytes_max, total_bytes_max) = (args.file_mib * MIB, args.total_mib * MIB);
    ensure!(total_bytes_max >= 2 * file_bytes_max, "--total-mib is to have room for two files");
    // Before a file is begun.
    args.venues.options()?;
    let options = RecordOptions { file_bytes_max, total_bytes_max };
    let tape = Tape::create(&args.out, options)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    let listener = Recording { tape, counts: Counts::default(), said_ns: 0 };
    let Recording { tape, counts, .. } = super::run(&args.venues, listener, orders)?;
    let lost = tape.lost_count();
    tape.finish().with_context(|| format!("cannot write {}", args.out.display()))?;
    let Counts { messages, bytes, answers, opened } = counts;
    writeln!(
        out,
        "{messages} messages ({bytes} bytes) on {opened} connections, {answers} answers, {lost} not written"
    )?;
    Ok(lost == 0)
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    messages: u64,
    bytes: u64,
    answers: u64,
    opened: u64,
}

struct Recording {
    tape: Tape,
    counts: Counts,
    said_ns: u64,
}

impl Listener for Recording {
    fn changes(&mut self, _receive_ns: u64, changes: &[FeedEvent]) -> Result<(), Failure> {
        for change in changes {
            if let FeedEvent::FeedStatusChanged(status) = change
                && !status.reason.as_str().is_empty()
            {
                let (source, state) = (status.source, status.state.as_str());
                eprintln!("outcry: source {source} {state}: {}", status.reason.as_str());
            }
        }
        Ok(())
    }

    fn note(&mut self, source: Option<u32>, note: &str) {
        match source {
            Some(source) => eprintln!("outcry: source {source}: {note}"),
            None => eprintln!("outcry: {note}"),
        }
    }

    fn line(&mut self, receive_ns: u64, line: &Line<'_>) -> Result<(), Failure> {
        let counts = &mut self.counts;
        match *line {
            Line::Text { text, .. } => {
                counts.messages += 1;
                counts.bytes += text.len() as u64;
            }
            Line::Answer { .. } => counts.answers += 1,
            Line::Open { url, symbols, .. } => {
                counts.opened += 1;
                let host = url.split('?').next().unwrap_or(url);
                eprintln!("outcry: connected to {host} for {symbols}");
            }
            Line::Close { reason, .. } => eprintln!("outcry: connection lost: {reason}"),
            Line::Lost { .. } => {}
        }
        Ok(self.tape.write(receive_ns, line)?)
    }

    fn tick(&mut self, now_ns: u64) -> Result<(), Failure> {
        if self.said_ns == 0 {
            self.said_ns = now_ns;
        }
        if now_ns.saturating_sub(self.said_ns) >= SAY_EVERY_NS {
            self.said_ns = now_ns;
            let Counts { messages, bytes, .. } = self.counts;
            eprintln!("outcry: {messages} messages, {} MiB", bytes / MIB);
        }
        Ok(())
    }
}
