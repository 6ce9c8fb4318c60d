//! `outcry feed watch`: exact books of live venues, as a table for people or as lines for machines.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use feed::log::{FeedLog, FeedLogOptions};
use feed::shell::clock::now_ns;
use feed::shell::{Failure, Listener};
use marketdata::Feeds;
use protocol::{FeedEvent, MILLISECOND_NS, Stamp};

use super::{Venues, table};
use crate::simulate::Orders;

/// Notes that the table keeps below itself.
const NOTES_MAX: usize = 6;
/// Between two states: on a terminal, and elsewhere.
const TERMINAL_EVERY_MS: u64 = 500;
const LINES_EVERY_MS: u64 = 1_000;
/// Clears the screen from the upper left corner on.
const HOME: &str = "\x1b[H\x1b[J";
/// Another screen for as long as the table lasts, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    pub venues: Venues,
    /// JSON, a line for each book and each note
    #[arg(long)]
    pub json: bool,
    /// Between two states that are printed; 500 on a terminal, else 1000
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub interval_ms: Option<u64>,
    /// Write the books to DIR/feed as well, where gateways on DIR read them
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Watches until it is told to stop.
pub fn watch(args: &Watch, orders: &Orders) -> Result<()> {
    // Before a log is begun.
    args.venues.options()?;
    let log = match &args.data {
        Some(data) => Some(
            FeedLog::open(data, &FeedLogOptions::default(), now_ns())
                .with_context(|| format!("cannot write the feed's log in {}", data.display()))?,
        ),
        None => None,
    };
    if let Some(why) = log.as_ref().and_then(FeedLog::discarded) {
        eprintln!("outcry: the feed's log was damaged and is begun anew: {why}");
    }
    let form = match (args.json, stdout().is_terminal()) {
        (true, _) => Form::Json,
        (false, true) => Form::Live,
        (false, false) => Form::Table,
    };
    let every_ms = match form {
        Form::Live => TERMINAL_EVERY_MS,
        Form::Json | Form::Table => LINES_EVERY_MS,
    };
    let every_ns = args.interval_ms.unwrap_or(every_ms) * MILLISECOND_NS;
    let notes = VecDeque::new();
    let watching = Watching { form, every_ns, shown_ns: now_ns(), feeds: Feeds::new(), notes, log };
    let screen = Screen::enter(form)?;
    let ended = super::run(&args.venues, watching, orders);
    drop(screen);
    let watching = ended?;
    // The last state stays on the terminal.
    watching.print(&table::table(&watching.feeds, &watching.notes, now_ns()), "")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A table that is drawn over itself.
    Live,
    /// A table after the other.
    Table,
    Json,
}

/// The terminal's other screen; whatever happens, it is left again.
struct Screen(Form);

impl Screen {
    fn enter(form: Form) -> Result<Screen> {
        if form == Form::Live {
            write!(stdout(), "{ENTER}")?;
            stdout().flush()?;
        }
        Ok(Screen(form))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.0 == Form::Live {
            let _ = write!(stdout(), "{LEAVE}");
            let _ = stdout().flush();
        }
    }
}

struct Watching {
    form: Form,
    every_ns: u64,
    shown_ns: u64,
    feeds: Feeds,
    notes: VecDeque<String>,
    log: Option<FeedLog>,
}

impl Watching {
    /// `before` is written first, unless this is for machines.
    fn print(&self, text: &str, before: &str) -> Result<()> {
        if self.form == Form::Json {
            return Ok(());
        }
        let mut out = stdout().lock();
        write!(out, "{before}{text}")?;
        Ok(out.flush()?)
    }

    fn show(&mut self, now: u64) -> Result<()> {
        match self.form {
            Form::Live => self.print(&table::table(&self.feeds, &self.notes, now), HOME),
            Form::Table => {
                let text = table::table(&self.feeds, &self.notes, now);
                self.notes.clear();
                self.print(&text, "\n")
            }
            Form::Json => {
                let mut out = stdout().lock();
                for source in self.feeds.sources() {
                    writeln!(out, "{}", table::status(source, now))?;
                }
                Ok(out.flush()?)
            }
        }
    }
}

impl Listener for Watching {
    fn changes(&mut self, receive_ns: u64, changes: &[FeedEvent]) -> Result<(), Failure> {
        for change in changes {
            self.feeds.apply(change, Stamp(receive_ns), |_| {});
        }
        if let Some(log) = &mut self.log {
            changes.iter().for_each(|change| log.append(change));
            publish(log, receive_ns)?;
        }
        Ok(())
    }

    fn note(&mut self, source: Option<u32>, note: &str) {
        let source = source.and_then(|it| self.feeds.source(it));
        if self.form == Form::Json {
            // Whoever reads has gone: the next state will find out.
            let _ = writeln!(stdout(), "{}", table::note(source, note, now_ns()));
            return;
        }
        if self.notes.len() == NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back(table::note_line(source, note, now_ns()));
    }

    fn tick(&mut self, now: u64) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            publish(log, now)?;
        }
        if now.abs_diff(self.shown_ns) >= self.every_ns {
            self.shown_ns = now;
            self.show(now)?;
        }
        Ok(())
    }
}

/// A full disk is waited for: readers see the feed grow stale meanwhile.
fn publish(log: &mut FeedLog, now: u64) -> Result<(), Failure> {
    match log.publish(now) {
        Err(error) if error.is_retryable() => Ok(()),
        other => Ok(other?),
    }
}
