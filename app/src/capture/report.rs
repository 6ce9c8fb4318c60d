//! What a replay prints: a line per check, and how far it is.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Lines between two signs of life.
const PROGRESS_EVERY: u64 = 8_192;

/// A line per check; the verdict is that none failed.
pub(super) struct Report<'a> {
    out: &'a mut dyn Write,
    passed: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Report<'a> {
        Report { out, passed: true }
    }

    pub(super) fn check(&mut self, ok: bool, text: impl Display) -> io::Result<()> {
        self.passed &= ok;
        writeln!(self.out, "{:<7} {text}", if ok { "ok" } else { "FAILED" })
    }

    /// Something to know that decides nothing.
    pub(super) fn note(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "        {text}")
    }

    /// The notes of a bounded list, and how many more there are.
    pub(super) fn notes(&mut self, listed: &[String], total: u64) -> io::Result<()> {
        for text in listed {
            self.note(format_args!("  {text}"))?;
        }
        match total.saturating_sub(listed.len() as u64) {
            0 => Ok(()),
            more => self.note(format_args!("  … and {more} more")),
        }
    }

    /// Prints the verdict and returns it.
    pub(super) fn verdict(self) -> io::Result<bool> {
        writeln!(self.out, "{}", if self.passed { "passed" } else { "FAILED" })?;
        Ok(self.passed)
    }
}

/// A counter on standard error while somebody watches it.
pub(super) struct Progress {
    what: &'static str,
    shown: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Progress {
        Progress { what, shown: io::stderr().is_terminal() }
    }

    pub(super) fn at(&self, line: u64) {
        if self.shown && line.is_multiple_of(PROGRESS_EVERY) {
            eprint!("\r{} {line} …", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
