//! The loop: operations are prepared in chunks, applied on the clock, and settled off it.

use engine::{BareBook, OperationKind};
use protocol::{Command, Price, RejectReason};

use super::exchange::{Exchange, LOT, TICK, Translator};
use super::file::Error;
use super::log::MemoryLog;
use super::stopwatch::Stopwatch;
use super::{Operation, Outcome};

/// Operations that are prepared before the clock runs.
pub const CHUNK: usize = 1_024;

/// Operations in a row.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// At most [`CHUNK`].
    pub operations: &'a [Operation],
    /// The number of the first, from 0, prefill included.
    pub first: u64,
    /// Not prefill.
    pub is_timed: bool,
}

/// Takes chunks until it fails.
pub type See<'a> = &'a mut dyn FnMut(Chunk<'_>) -> Result<(), Error>;

/// Where operations come from.
pub trait Operations {
    /// Gives all of them in order, the prefill's first.
    fn each_chunk(&mut self, see: See<'_>) -> Result<(), Error>;
}

/// An operation of a chunk that was refused: its place in the chunk, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub usize, pub String);

/// What operations are replayed on.
pub trait Subject {
    /// An operation as the subject takes it.
    type Prepared;

    /// Off the clock.
    fn prepare(&mut self, operation: &Operation) -> Result<Self::Prepared, String>;

    /// On the clock.
    fn apply(&mut self, prepared: &Self::Prepared);

    /// Off the clock, after a chunk: adds its trades.
    fn settle(&mut self, outcome: &mut Outcome) -> Result<(), Refused>;
}

/// Replays operations from the beginning; an error names the operation that cannot be.
pub fn replay<S: Subject>(
    subject: &mut S,
    operations: &mut dyn Operations,
    watch: &mut Stopwatch,
) -> Result<Outcome, Error> {
    let (mut outcome, mut prepared) = (Outcome::default(), Vec::with_capacity(CHUNK));
    operations.each_chunk(&mut |chunk| {
        prepared.clear();
        for (operation, number) in chunk.operations.iter().zip(chunk.first..) {
            let ready = subject.prepare(operation);
            prepared.push(ready.map_err(|what| Error::of_operation(number, what))?);
        }
        if chunk.is_timed {
            watch.start();
            for operation in &prepared {
                subject.apply(operation);
                watch.lap();
            }
            watch.stop();
        } else {
            prepared.iter().for_each(|operation| subject.apply(operation));
        }
        let settled = subject.settle(&mut outcome);
        settled.map_err(|Refused(at, what)| Error::of_operation(chunk.first + at as u64, what))
    })?;
    Ok(outcome)
}

/// The whole engine: accounts, holds, fees; every event encoded and hashed.
pub struct FullEngine {
    pub exchange: Exchange,
    translator: Translator,
    /// Commands before the chunk.
    settled: u64,
}

impl Default for FullEngine {
    fn default() -> FullEngine {
        let mut translator = Translator::default();
        let exchange = Exchange::of_operations(&mut translator);
        let settled = exchange.log.commands;
        FullEngine { exchange, translator, settled }
    }
}

impl Subject for FullEngine {
    type Prepared = Command;

    fn prepare(&mut self, operation: &Operation) -> Result<Command, String> {
        self.translator.command(operation)
    }

    #[inline]
    fn apply(&mut self, command: &Command) {
        self.exchange.apply(command);
    }

    fn settle(&mut self, outcome: &mut Outcome) -> Result<(), Refused> {
        let log = &mut self.exchange.log;
        self.translator.add(&mut log.trades, outcome);
        let before = std::mem::replace(&mut self.settled, log.commands);
        match log.refused.take() {
            Some((command, reason)) => {
                Err(Refused((command - before) as usize, reason.to_string()))
            }
            None => Ok(()),
        }
    }
}

/// The engine's book without the engine around it; every event encoded.
pub struct BookAlone {
    book: BareBook,
    pub log: MemoryLog,
    translator: Translator,
    /// Operations before the chunk.
    settled: u64,
    /// The first of the chunk's operations that was about no open order.
    idle: Option<u64>,
}

impl Default for BookAlone {
    fn default() -> BookAlone {
        BookAlone {
            book: BareBook::with_tick(Price(TICK)),
            log: MemoryLog::without_hash(),
            translator: Translator::default(),
            settled: 0,
            idle: None,
        }
    }
}

impl Subject for BookAlone {
    type Prepared = engine::Operation;

    fn prepare(&mut self, operation: &Operation) -> Result<engine::Operation, String> {
        self.translator.book_operation(operation)
    }

    #[inline]
    fn apply(&mut self, operation: &engine::Operation) {
        let events = self.log.events;
        self.book.apply(operation, &mut self.log);
        // A cancel or a replace changes a level; about no open order, it does nothing.
        if self.log.events == events && is_about_an_order(operation) {
            self.idle.get_or_insert(self.log.commands);
        }
        self.log.end_command();
    }

    fn settle(&mut self, outcome: &mut Outcome) -> Result<(), Refused> {
        for (maker, quantity) in self.log.trades.drain(..) {
            outcome.add(maker, quantity / LOT);
        }
        let before = std::mem::replace(&mut self.settled, self.log.commands);
        match self.idle.take() {
            Some(at) => {
                Err(Refused((at - before) as usize, RejectReason::UnknownOrder.to_string()))
            }
            None => Ok(()),
        }
    }
}

fn is_about_an_order(operation: &engine::Operation) -> bool {
    matches!(operation.kind, OperationKind::Cancel | OperationKind::Replace)
}
