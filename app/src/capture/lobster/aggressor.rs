//! The executions of one moment, entered as the one aggressor that must have caused them.

use super::super::ladder::rank;
use super::super::venue::Limit;
use super::format::{Change, Step, price, quantity};
use super::judge::Outcome;
use super::known::Fit;
use super::replay::Replay;
use protocol::{Event, OrderId, Price, Quantity, Side, TimeInForce};
use std::collections::BTreeMap;

/// One row's execution as the engine must repeat it.
struct Expected<'a> {
    step: &'a Step,
    maker: OrderId,
    change: Change,
}

impl Expected<'_> {
    fn fill(&self) -> (OrderId, Price, Quantity) {
        (self.maker, price(self.change.price), quantity(self.change.size))
    }
}

impl Replay {
    /// Rows that follow priority make one aggressor; the others are counted, and the exchange's
    /// fill is applied by cancel or amend.
    pub(super) fn run(&mut self, run: &[Step]) {
        self.prepare(run);
        let (mut aggressor, mut outcomes) = (Vec::new(), Vec::new());
        for step in run {
            let Some(change) = step.execution() else { continue };
            let fit = self.fit(step, change);
            let follows = matches!(fit, Fit::Oldest | Fit::OldestUnseen);
            match follows.then(|| self.known.fill_oldest(change.side, change.price, change.size)) {
                Some(Some(maker)) => aggressor.push(Expected { step, maker, change }),
                _ => {
                    outcomes.extend(self.enter(std::mem::take(&mut aggressor)));
                    self.reduce(change);
                    outcomes.push(self.judge.row(&self.venue.book, step));
                }
            }
        }
        outcomes.extend(self.enter(aggressor));
        let Some(last) = run.last() else { return };
        if outcomes.contains(&Outcome::Mismatch) {
            return self.seed(last);
        }
        for outcome in outcomes {
            self.settle(last, &outcome);
        }
    }

    /// Counts how the execution fits price-time priority.
    fn fit(&mut self, step: &Step, change: Change) -> Fit {
        let Change { name, side, price: level, size } = change;
        let fit = self.known.fit(side, level, name, size);
        let tally = &mut self.tally;
        tally.executions += 1;
        tally.at_best += u64::from(fit != Fit::NotBest);
        tally.seen += u64::from(self.known.is_seen(side, level, name));
        let why = match fit {
            Fit::Oldest => {
                tally.seen_oldest += 1;
                return fit;
            }
            Fit::OldestUnseen => {
                tally.unseen_oldest += 1;
                return fit;
            }
            Fit::NotBest => "not at the best price",
            Fit::BehindUnseen => "behind quantity that rested there before",
            Fit::BehindSeen => "behind an older order",
            Fit::UnseenShort => "more than rested there unseen",
            Fit::TooLarge => "more than the order had",
        };
        let (price, line) = (price(level), step.line);
        tally.exceptions.add(|| format!("line {line}: order {name}, {size} at {price}: {why}"));
        fit
    }

    /// Makes unseen quantity fit to be executed row by row: what an aggressor takes in several
    /// pieces is cut into these, and levels that slide into view while it walks are entered before
    /// it.
    fn prepare(&mut self, run: &[Step]) {
        let mut pieces: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for Change { name, side, price, size } in run.iter().filter_map(Step::execution) {
            if !self.known.is_seen(side, price, name) {
                pieces.entry(price).or_default().push(size);
            }
        }
        let Some((step, Change { side, .. })) =
            run.first().zip(run.first().and_then(Step::execution))
        else {
            return;
        };
        for (price, sizes) in &pieces {
            if sizes.len() > 1 || self.known.unseen_head(side, *price).count() > 1 {
                self.cut_level(side, *price, sizes, step);
            }
        }
        for step in run.iter().filter(|step| step.row.is_possible()) {
            for &(price, size) in step.row.side(side) {
                if self.lies_behind_all(side, price) {
                    self.judge.hide(side, price);
                    let sizes = pieces.get(&price).map_or(&[][..], Vec::as_slice);
                    self.add_pieces(side, price, size, sizes, step);
                }
            }
        }
    }

    fn lies_behind_all(&self, side: Side, price: u64) -> bool {
        let worst = self.known.levels(side).next_back();
        let is_behind = worst.is_none_or(|(worst, _)| rank(side, price) > rank(side, worst));
        is_behind && !self.known.would_trade(side, price)
    }

    /// Enters the level anew, in the same order, its unseen head in pieces of these sizes.
    fn cut_level(&mut self, side: Side, price: u64, sizes: &[u64], step: &Step) {
        let unseen: u64 = self.known.unseen_head(side, price).map(|it| it.remaining).sum();
        if unseen == 0 {
            return;
        }
        let queue = self.cancel_level(side, price);
        self.add_pieces(side, price, unseen, sizes, step);
        for resting in queue.iter().skip_while(|resting| resting.name.is_none()) {
            let change = Change { name: 0, side, price, size: resting.remaining };
            self.add(change, resting.name, step);
        }
    }

    fn add_pieces(&mut self, side: Side, price: u64, size: u64, sizes: &[u64], step: &Step) {
        for size in cut(size, sizes) {
            self.add(Change { name: 0, side, price, size }, None, step);
        }
    }

    /// Enters the aggressor and compares fill by fill, row by row.
    fn enter(&mut self, expected: Vec<Expected<'_>>) -> Vec<Outcome> {
        let Some(Change { side, price: last, .. }) = expected.last().map(|it| it.change) else {
            return Vec::new();
        };
        let limit = Limit {
            account: self.taker,
            side: side.opposite(),
            price: price(last),
            quantity: quantity(expected.iter().map(|it| it.change.size).sum()),
            time_in_force: TimeInForce::Ioc,
        };
        let (mut fills, mut outcomes) = (Vec::new(), Vec::new());
        let judge = &mut self.judge;
        self.venue.place(limit, |book, event| match event {
            Event::Trade(trade) => fills.push((trade.maker_order, trade.price, trade.quantity)),
            // The maker's level after its fill: what the execution's row shows.
            Event::BookChanged(_) => {
                let row = fills.len().checked_sub(1).and_then(|at| expected.get(at));
                outcomes.extend(row.map(|row| judge.row(book, row.step)));
            }
            _ => (),
        });
        for row in expected.iter().skip(outcomes.len()) {
            outcomes.push(self.judge.row(&self.venue.book, row.step));
        }
        outcomes.extend(self.compare_fills(&expected, &fills));
        outcomes
    }

    /// Fills that differ leave the engine with other orders than the exchange: start again.
    fn compare_fills(
        &mut self,
        expected: &[Expected<'_>],
        fills: &[(OrderId, Price, Quantity)],
    ) -> Option<Outcome> {
        let tally = &mut self.tally;
        tally.aggressors += 1;
        tally.fills_expected += expected.len() as u64;
        let equal = expected.iter().zip(fills).filter(|(row, fill)| row.fill() == **fill).count();
        tally.fills_equal += equal as u64;
        if equal == expected.len() && equal == fills.len() {
            return None;
        }
        let lines = expected.first().zip(expected.last());
        let (from, to) = lines.map_or((0, 0), |(from, to)| (from.step.line, to.step.line));
        tally.fills_differ.add(|| {
            let expected: Vec<_> = expected.iter().map(Expected::fill).collect();
            format!("lines {from} to {to}: expected {expected:?}, engine {fills:?}")
        });
        Some(Outcome::Mismatch)
    }
}

/// Cuts a size into these pieces and what is left; the last piece keeps the rest with it.
fn cut(size: u64, pieces: &[u64]) -> Vec<u64> {
    let mut rest = size;
    let mut cut = Vec::new();
    for &piece in pieces.split_last().map_or(&[][..], |(_, pieces)| pieces) {
        if piece >= rest {
            break;
        }
        cut.push(piece);
        rest -= piece;
    }
    cut.push(rest);
    cut
}
