//! Enters the messages into the engine and keeps its book the exchange's.

use super::super::ladder::rank;
use super::super::venue::{Complaints, Limit, Venue};
use super::format::{Change, Kind, Row, Step, price, quantity};
use super::judge::{Judge, Outcome};
use super::known::{Known, Queue, Resting};
use anyhow::Result;
use protocol::{AccountId, Amount, Event, Side, Stamp, TimeInForce, notional};

/// Queues are compared with the engine's at every so many rows, and at the end.
const QUEUES_EVERY: u64 = 10_000;

/// What was counted besides rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Messages of types 1 to 7.
    pub(super) messages: [u64; 7],
    pub(super) executions: u64,
    pub(super) at_best: u64,
    /// Executions of orders whose arrival was seen, and those of them that were oldest.
    pub(super) seen: u64,
    pub(super) seen_oldest: u64,
    /// Executions of quantity that rested before it was seen, where that was oldest.
    pub(super) unseen_oldest: u64,
    pub(super) exceptions: Complaints,
    pub(super) aggressors: u64,
    pub(super) fills_expected: u64,
    pub(super) fills_equal: u64,
    pub(super) fills_differ: Complaints,
    /// Trades of orders that the exchange let rest.
    pub(super) unprinted: Complaints,
    pub(super) queues: Complaints,
    pub(super) queues_compared: u64,
    /// Rows of a halt's crossed book.
    pub(super) auction_rows: u64,
}

/// Why the engine's book does not follow for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspension {
    /// Orders may cross each other during a halt, before the auction that ends it. This version of
    /// the engine has no auctions.
    Auction,
    /// The row is no book of continuous trading.
    Impossible,
}

pub(super) struct Replay {
    pub(super) venue: Venue,
    pub(super) maker: AccountId,
    pub(super) taker: AccountId,
    pub(super) known: Known,
    pub(super) judge: Judge,
    pub(super) tally: Tally,
    depth: usize,
    halted: bool,
    suspended: Option<Suspension>,
}

impl Replay {
    pub(super) fn open(symbol: &str, depth: usize) -> Result<Replay> {
        let venue = Venue::open(symbol, symbol, "DOLLAR")?;
        Ok(Replay {
            maker: venue.first(),
            taker: venue.second(),
            venue,
            known: Known::default(),
            judge: Judge::new(depth),
            tally: Tally::default(),
            depth,
            halted: false,
            suspended: None,
        })
    }

    /// Row 1 is where the book begins; of all orders in it only message 1 is known.
    pub(super) fn start(&mut self, first: &Step) {
        self.note(first);
        self.seed(first);
    }

    /// One message, or the executions of one aggressor.
    pub(super) fn advance(&mut self, run: &[Step]) {
        for step in run {
            self.note(step);
        }
        match (self.suspended, run) {
            (Some(suspension), _) => run.iter().for_each(|step| self.wait(step, suspension)),
            (None, [step]) if step.execution().is_none() => self.single(step),
            (None, _) => self.run(run),
        }
    }

    fn note(&mut self, step: &Step) {
        self.venue.at(Stamp(step.message.time.nanoseconds()));
        let kind = match step.message.kind {
            Kind::Add(_) => 0,
            Kind::Reduce(_) => 1,
            Kind::Delete(_) => 2,
            Kind::Execute(_) => 3,
            Kind::ExecuteHidden => 4,
            Kind::Cross => 5,
            Kind::Halt | Kind::Resume => 6,
        };
        self.tally.messages[kind] += 1;
        match step.message.kind {
            Kind::Halt => self.halted = true,
            Kind::Resume => self.halted = false,
            _ => (),
        }
        if step.line.is_multiple_of(QUEUES_EVERY) {
            self.compare_queues();
        }
    }

    fn single(&mut self, step: &Step) {
        match step.message.kind {
            Kind::Add(change) if self.halted && self.would_trade(change) => {
                self.suspended = Some(Suspension::Auction);
                self.tally.auction_rows += 1;
                return;
            }
            Kind::Add(change) => self.add(change, Some(change.name), step),
            Kind::Reduce(change) | Kind::Delete(change) => self.reduce(change),
            Kind::Execute(_) | Kind::ExecuteHidden | Kind::Cross | Kind::Halt | Kind::Resume => {}
        }
        let outcome = self.judge.row(&self.venue.book, step);
        self.settle(step, &outcome);
    }

    fn would_trade(&self, change: Change) -> bool {
        self.known.would_trade(change.side, change.price)
    }

    /// Takes in what the row shows and no message told; starts again after a mismatch.
    pub(super) fn settle(&mut self, step: &Step, outcome: &Outcome) {
        match outcome {
            Outcome::Mismatch => return self.seed(step),
            Outcome::Equal => (),
            Outcome::Revealed(levels) => {
                for &(side, price, size) in levels {
                    self.add(Change { name: 0, side, price, size }, None, step);
                }
            }
        }
        self.drop_below_window(&step.row);
    }

    /// The recording tells nothing more of orders behind the last level of a full row: they go.
    fn drop_below_window(&mut self, row: &Row) {
        for side in [Side::Buy, Side::Sell] {
            let Some(&(last, _)) = row.side(side).last() else { continue };
            if row.side(side).len() < self.depth {
                continue;
            }
            let behind = |price: &u64| rank(side, *price) > rank(side, last);
            let levels = self.known.levels(side).rev().map(|(price, _)| price);
            let behind: Vec<u64> = levels.take_while(behind).collect();
            for price in behind {
                self.cancel_level(side, price);
            }
        }
    }

    pub(super) fn cancel_level(&mut self, side: Side, price: u64) -> Queue {
        let queue = self.known.remove_level(side, price);
        for resting in &queue {
            self.venue.cancel(self.maker, resting.order);
        }
        queue
    }

    /// Empties the book and fills it from a row.
    pub(super) fn seed(&mut self, step: &Step) {
        if self.venue.has_open_orders() {
            self.venue.cancel_all(self.maker);
        }
        self.known.clear();
        self.judge.reset(&step.row);
        self.suspended = (!step.row.is_possible()).then_some(Suspension::Impossible);
        if self.suspended.is_some() {
            return;
        }
        let added = match step.message.kind {
            Kind::Add(change) => Some(change),
            _ => None,
        };
        for side in [Side::Buy, Side::Sell] {
            for &(price, size) in step.row.side(side) {
                let seen = added.filter(|it| it.side == side && it.price == price);
                let seen_size = seen.map_or(0, |it| it.size.min(size));
                if size > seen_size {
                    self.add(Change { name: 0, side, price, size: size - seen_size }, None, step);
                }
                if let Some(seen) = seen {
                    self.add(Change { size: seen_size, ..seen }, Some(seen.name), step);
                }
            }
        }
    }

    fn wait(&mut self, step: &Step, suspension: Suspension) {
        match suspension {
            Suspension::Auction => self.tally.auction_rows += 1,
            Suspension::Impossible => self.judge.refuse(&self.venue.book, step),
        }
        if step.row.is_possible() {
            self.seed(step);
        }
    }

    /// Enters a resting order; without a name its arrival was not seen.
    pub(super) fn add(&mut self, change: Change, name: Option<i64>, step: &Step) {
        let limit = Limit {
            account: self.maker,
            side: change.side,
            price: price(change.price),
            quantity: quantity(change.size),
            time_in_force: TimeInForce::Gtc,
        };
        let unprinted = &mut self.tally.unprinted;
        let order = self.venue.place(limit, |_, event| {
            if let Event::Trade(trade) = event {
                let (price, quantity) = (trade.price, trade.quantity);
                unprinted.add(|| format!("line {}: {quantity} at {price}", step.line));
            }
        });
        if let Some(order) = order {
            let resting = Resting { name, order, remaining: change.size, executed: 0 };
            self.known.add(change.side, change.price, resting);
        }
    }

    /// Takes the size off the order, or off unseen quantity where the order is not known.
    pub(super) fn reduce(&mut self, change: Change) {
        let mut size = change.size;
        while size > 0 {
            let reduced = self.known.reduce(change.side, change.price, change.name, size);
            // Nothing is left at that price: the row will tell.
            let Some((now, taken)) = reduced else { return };
            match now.remaining {
                0 => self.venue.cancel(self.maker, now.order),
                rest => self.venue.amend(self.maker, now.order, quantity(now.executed + rest)),
            }
            size -= taken;
        }
    }

    /// Compares every queue with the engine's: the same orders, with the same rest, in order.
    pub(super) fn compare_queues(&mut self) {
        for side in [Side::Buy, Side::Sell] {
            for (level, queue) in self.known.levels(side) {
                let expected = queue.iter().map(|it| (it.order, quantity(it.remaining)));
                self.tally.queues_compared += 1;
                if !expected.eq(self.venue.queue(side, price(level))) {
                    self.tally.queues.add(|| format!("{side} {}", price(level)));
                }
            }
        }
    }

    /// What the open orders must hold, of base and quote.
    pub(super) fn held(&self) -> (Amount, Amount) {
        let orders = |side| {
            let levels = self.known.levels(side);
            levels.flat_map(|(at, queue)| queue.iter().map(move |it| (at, it.remaining)))
        };
        let base = orders(Side::Sell).map(|(_, size)| quantity(size).into());
        let quote = orders(Side::Buy).map(|(at, size)| notional(price(at), quantity(size)));
        let sum = |sum: Amount, next: Amount| sum + next;
        (base.fold(Amount::ZERO, sum), quote.fold(Amount::ZERO, sum))
    }
}
