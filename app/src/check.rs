//! A reader that checks what every reader may rely on: nothing missing, nothing twice, no counter
//! with a gap, nobody's balance below zero; and that tells whoever listens what was answered.

use std::collections::HashMap;
use std::io::Write;

use anyhow::{Result, ensure};
use protocol::event::*;
use protocol::{Event, InstrumentId, Side};

use crate::events::{EventReader, Seen};
use crate::simulate::{Answer, Answers, venue};

/// What was last seen of an instrument.
#[derive(Debug, Default, Clone, Copy)]
struct Last {
    trade: u64,
    update: u64,
    execution: u64,
}

/// Checks the event log as it grows.
pub struct Checker {
    reader: EventReader,
    state: State,
    answers: Option<Answers>,
    pub events: u64,
    pub trades: u64,
}

#[derive(Default)]
struct State {
    sequence: u64,
    instruments: HashMap<InstrumentId, Last>,
    /// The trade whose two sides are to follow, and how many have.
    trade: Option<(Trade, u8)>,
    /// The order that the command placed.
    order: u64,
}

impl Checker {
    pub fn new(reader: EventReader, answers: Option<Answers>) -> Checker {
        Checker { reader, state: State::default(), answers, events: 0, trades: 0 }
    }

    /// Checks what is new; true when there was something.
    pub fn poll(&mut self) -> Result<bool> {
        let Checker { reader, state, answers, events, trades } = self;
        let seen = reader.poll(|seen| {
            *events += 1;
            *trades += u64::from(matches!(seen.event, Event::Trade(_)));
            state.check(&seen)?;
            match (seen.event, answers.as_mut()) {
                (Event::CommandAnswered(_), Some(answers)) => state.answer(&seen, answers),
                _ => Ok(()),
            }
        })?;
        if let Some(answers) = answers.as_mut().filter(|_| seen) {
            answers.flush()?;
        }
        Ok(seen)
    }
}

impl State {
    fn answer(&self, seen: &Seen<'_>, answers: &mut Answers) -> Result<()> {
        let origin = seen.command.origin;
        if origin.slot == venue::SLOT {
            return Ok(());
        }
        let answer = Answer {
            sequence: seen.command.sequence.0,
            events_hash: seen.hash,
            slot: origin.slot,
            incarnation: origin.incarnation,
            number: origin.number,
            order: self.order,
        };
        Ok(writeln!(answers, "{answer}")?)
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<()> {
        match seen.event {
            Event::CommandBegan(began) => {
                let sequence = began.sequence.0;
                ensure!(sequence > self.sequence, "command {sequence} after {}", self.sequence);
                (self.sequence, self.order) = (sequence, 0);
            }
            Event::OrderAccepted(accepted) => {
                self.order = accepted.order.0;
                self.execution(accepted.request.instrument, accepted.execution.0)?;
            }
            Event::Trade(trade) => self.trade(trade)?,
            Event::OrderFilled(filled) => self.filled(filled)?,
            Event::OrderClosed(closed) => self.execution(closed.instrument, closed.execution.0)?,
            Event::BookChanged(changed) => {
                let last = self.instruments.entry(changed.instrument).or_default();
                follows("update", &mut last.update, changed.update.0)?;
            }
            Event::BalanceChanged(changed) => ensure!(
                changed.free.0 >= 0 && changed.locked.0 >= 0,
                "account {} has {} free and {} locked of asset {}",
                changed.account,
                changed.free,
                changed.locked,
                changed.asset
            ),
            _ => {}
        }
        Ok(())
    }

    /// Execution ids rise; some belong to events that are not looked at here.
    fn execution(&mut self, instrument: InstrumentId, execution: u64) -> Result<()> {
        let last = self.instruments.entry(instrument).or_default();
        ensure!(execution > last.execution, "execution {execution} after {}", last.execution);
        last.execution = execution;
        Ok(())
    }

    fn trade(&mut self, trade: &Trade) -> Result<()> {
        let last = self.instruments.entry(trade.instrument).or_default();
        follows("trade", &mut last.trade, trade.trade.0)?;
        ensure!(self.trade.is_none_or(|(_, sides)| sides == 2), "a trade without both sides");
        self.trade = Some((*trade, 0));
        Ok(())
    }

    /// The taker's side comes first; both agree with the trade.
    fn filled(&mut self, filled: &OrderFilled) -> Result<()> {
        self.execution(filled.instrument, filled.execution.0)?;
        let Some((trade, sides)) = &mut self.trade else { anyhow::bail!("a fill without a trade") };
        let expected = match filled.is_maker {
            true => (trade.maker_order, trade.taker_side.opposite()),
            false => (trade.taker_order, trade.taker_side),
        };
        let agrees = (filled.order, filled.side) == expected
            && filled.trade == trade.trade
            && (filled.price, filled.quantity) == (trade.price, trade.quantity)
            && filled.is_maker == (*sides == 1);
        ensure!(agrees, "fill of order {} contradicts trade {}", filled.order, trade.trade);
        let sold = filled.side == Side::Sell;
        let received = if sold { trade.quote } else { trade.quantity.into() };
        ensure!(filled.commission <= received, "commission {} is too high", filled.commission);
        *sides += 1;
        Ok(())
    }
}

/// Counters start wherever the reader came in, and have no gap from there.
fn follows(what: &str, last: &mut u64, next: u64) -> Result<()> {
    ensure!(*last == 0 || next == *last + 1, "{what} {next} after {last}");
    *last = next;
    Ok(())
}
