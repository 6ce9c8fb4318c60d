//! Why the exchange filled other orders than the engine, from a closed list.
//!
//! A cause is what the rows of the event show, and it must be enough: with it taken into account,
//! oldest first gives exactly the exchange's fills. Of a trade that was not made from this level
//! alone that is asked of the part that was.

use protocol::Price;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    SelfMatch,
    Iceberg,
    NextSlice,
    ReportedLast,
    Elsewhere,
    NeverShown,
    FromBefore,
    Behind,
    Unexplained,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::SelfMatch => {
                "an older order was taken out by the event instead of filled (self-match prevention)"
            }
            Cause::Iceberg => "an order was filled beyond what it showed (iceberg)",
            Cause::NextSlice => "the fills of an order that shows slice after slice (iceberg) last",
            Cause::ReportedLast => "the same fills, some orders' reported after the others'",
            Cause::Elsewhere => "the fills are not the trade's quantity (implied or spread trade)",
            Cause::NeverShown => "an order was filled that no row had shown",
            Cause::FromBefore => "with an order whose arrival was not seen",
            Cause::Behind => "printed behind a better price that stayed (implied or spread trade)",
            Cause::Unexplained => "unexplained",
        })
    }
}

/// One order's fill: the exchange's id (the engine's fills of others have none), price, lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    pub(super) id: Option<u64>,
    pub(super) price: Price,
    pub(super) size: u64,
}

/// A trade whose fills differ.
#[derive(Debug)]
pub(super) struct Difference<'a> {
    pub(super) size: u64,
    pub(super) made: &'a [Fill],
    pub(super) real: &'a [Fill],
    /// Orders at the trade's price before it, oldest first, and what they showed.
    pub(super) queue: Vec<(u64, u64)>,
    /// Orders at better prices before it.
    pub(super) better: Vec<u64>,
    /// Filled orders that rested nowhere before it.
    pub(super) strangers: BTreeSet<u64>,
    /// Orders that rested before the recording began: their place in the queue is not known.
    pub(super) unplaced: &'a HashSet<u64>,
    /// Orders that the event cancels and does not fill.
    pub(super) canceled: &'a BTreeSet<u64>,
    /// Orders that were shown again after they were filled whole, before or in this event.
    pub(super) icebergs: &'a HashSet<u64>,
}

impl Difference<'_> {
    /// All causes that it takes; [`Cause::Unexplained`] alone where they are not enough.
    pub(super) fn causes(&self) -> BTreeSet<Cause> {
        let mut causes = BTreeSet::new();
        if self.made.iter().filter_map(|fill| fill.id).any(|id| self.canceled.contains(&id)) {
            causes.insert(Cause::SelfMatch);
        }
        let is_excused =
            |id: &u64| causes.contains(&Cause::SelfMatch) && self.canceled.contains(id);
        let mut queue = self.queue.clone();
        queue.retain(|(id, _)| !is_excused(id));
        let is_behind = self.better.iter().any(|id| !is_excused(id));
        let Some(within) = self.within(queue) else {
            return BTreeSet::from([Cause::Unexplained]);
        };
        causes.extend(within);
        causes.extend(self.outside(is_behind));
        match causes.is_empty() {
            // The queue alone gives the exchange's fills: the engine is wrong.
            true => BTreeSet::from([Cause::Unexplained]),
            false => causes,
        }
    }

    /// What shows that the trade was not made from this level alone.
    fn outside(&self, is_behind: bool) -> BTreeSet<Cause> {
        let filled: u64 = self.real.iter().map(|fill| fill.size).sum();
        [
            (Cause::Elsewhere, filled < self.size),
            (Cause::NeverShown, !self.strangers.is_empty()),
            (Cause::Behind, is_behind),
        ]
        .into_iter()
        .filter_map(|(cause, holds)| holds.then_some(cause))
        .collect()
    }

    /// What it takes for oldest first to give those of the exchange's fills that are of this level;
    /// none if nothing does.
    fn within(&self, mut queue: Vec<(u64, u64)>) -> Option<BTreeSet<Cause>> {
        let mut real = per_order(self.real);
        if sum(&real) > self.size {
            return None;
        }
        real.retain(|(id, _)| !self.strangers.contains(id));
        if let Some(causes) = self.in_turn(queue.clone(), real.clone()) {
            return Some(causes);
        }
        let length = queue.len();
        queue.retain(|(id, _)| !self.unplaced.contains(id));
        real.retain(|(id, _)| !self.unplaced.contains(id));
        let mut causes = (queue.len() < length).then(|| self.in_turn(queue, real))??;
        causes.insert(Cause::FromBefore);
        Some(causes)
    }

    /// What it takes for these fills to be oldest first.
    fn in_turn(
        &self,
        mut queue: Vec<(u64, u64)>,
        real: Vec<(u64, u64)>,
    ) -> Option<BTreeSet<Cause>> {
        let mut causes = BTreeSet::new();
        let mut hidden = BTreeSet::new();
        let filled: BTreeMap<u64, u64> = real.iter().copied().collect();
        for (id, shown) in &mut queue {
            let filled = filled.get(id).copied().unwrap_or(0);
            if filled > *shown {
                *shown = filled;
                hidden.insert(*id);
                causes.insert(Cause::Iceberg);
            }
        }
        let expected = oldest_first(&queue, sum(&real));
        if expected.iter().copied().collect::<BTreeMap<_, _>>() != filled {
            return None;
        }
        if expected == real {
            return Some(causes);
        }
        let is_plain = |(id, _): &&(u64, u64)| !hidden.contains(id) && !self.icebergs.contains(id);
        let plain = |fills: &[(u64, u64)]| fills.iter().filter(is_plain).copied().collect();
        let (expected, real): (Vec<_>, Vec<_>) = (plain(&expected), plain(&real));
        // What an iceberg was filled in several slices is reported once, at the last.
        if expected == real {
            if hidden.is_empty() {
                causes.insert(Cause::NextSlice);
            }
            return Some(causes);
        }
        causes.insert(Cause::ReportedLast);
        is_two_runs(&expected, &real).then_some(causes)
    }
}

fn sum(fills: &[(u64, u64)]) -> u64 {
    fills.iter().map(|fill| fill.1).sum()
}

/// One entry per order, at its last fill.
fn per_order(fills: &[Fill]) -> Vec<(u64, u64)> {
    let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
    for fill in fills {
        *sums.entry(fill.id.unwrap_or(0)).or_default() += fill.size;
    }
    let last_first = fills.iter().rev().filter_map(|fill| {
        let id = fill.id.unwrap_or(0);
        Some((id, sums.remove(&id)?))
    });
    let mut per_order: Vec<_> = last_first.collect();
    per_order.reverse();
    per_order
}

fn oldest_first(queue: &[(u64, u64)], size: u64) -> Vec<(u64, u64)> {
    let mut left = size;
    let mut fills = Vec::new();
    for (id, shown) in queue {
        let filled = left.min(*shown);
        if filled == 0 {
            break;
        }
        fills.push((*id, filled));
        left -= filled;
    }
    fills
}

/// Is `real` the fills of `expected` in two runs, each in the order of `expected`?
fn is_two_runs(expected: &[(u64, u64)], real: &[(u64, u64)]) -> bool {
    let places: BTreeMap<_, _> =
        expected.iter().enumerate().map(|(at, fill)| (fill.0, at)).collect();
    let places: Vec<_> = real.iter().map(|fill| places.get(&fill.0)).collect();
    places.windows(2).filter(|pair| matches!(pair, [one, next] if one > next)).count() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use Cause::*;

    fn fills(of: &[(u64, u64)]) -> Vec<Fill> {
        let fill = |&(id, size): &(u64, u64)| Fill { id: Some(id), price: Price(1), size };
        of.iter().map(fill).collect()
    }

    /// Orders 1 to 4 rest with 2 lots each; 9 is at a better price; the event cancels 1 and 9.
    #[track_caller]
    fn check(
        size: u64,
        made: &[(u64, u64)],
        real: &[(u64, u64)],
        better: &[u64],
        causes: &[Cause],
    ) {
        let (made, real) = (fills(made), fills(real));
        let difference = Difference {
            size,
            made: &made,
            real: &real,
            queue: (1..=4).map(|id| (id, 2)).collect(),
            better: better.to_vec(),
            strangers: real.iter().filter_map(|fill| fill.id.filter(|id| *id == 7)).collect(),
            unplaced: &HashSet::from([4]),
            canceled: &BTreeSet::from([1, 9]),
            icebergs: &HashSet::from([3]),
        };
        assert_eq!(difference.causes().into_iter().collect::<Vec<_>>(), causes, "{real:?}");
    }

    #[test]
    fn every_cause_is_told_from_the_others() {
        check(2, &[(1, 2)], &[(2, 2)], &[], &[SelfMatch]);
        check(2, &[(9, 2)], &[(2, 2)], &[9], &[SelfMatch]);
        check(5, &[(1, 2), (2, 2), (3, 1)], &[(2, 5)], &[], &[SelfMatch, Iceberg]);
        let made = [(1, 2), (2, 2), (3, 2), (4, 2)];
        check(9, &made, &[(2, 2), (3, 2), (4, 5)], &[], &[SelfMatch, Iceberg]);
        check(6, &made, &[(2, 2), (4, 2), (3, 2)], &[], &[SelfMatch, NextSlice]);
        check(4, &made, &[(4, 2), (2, 2)], &[], &[SelfMatch, FromBefore]);
        check(4, &made, &[(3, 2), (2, 2)], &[], &[SelfMatch, NextSlice]);
        check(6, &made, &[(4, 2), (2, 2), (3, 2)], &[], &[SelfMatch, ReportedLast]);
        check(4, &made, &[(2, 2)], &[], &[SelfMatch, Elsewhere]);
        check(4, &[(2, 2)], &[], &[], &[Elsewhere]);
        check(2, &[(2, 2)], &[(7, 2)], &[], &[NeverShown]);
        check(2, &[(8, 2)], &[(1, 2)], &[8], &[Behind]);
    }

    #[test]
    fn a_cause_that_is_not_enough_explains_nothing() {
        // A younger order before an older one.
        check(2, &[(1, 2)], &[(3, 2)], &[], &[Unexplained]);
        // An order that rests at another price.
        check(2, &[(2, 2)], &[(6, 2)], &[], &[Unexplained]);
        // Part of a trade from elsewhere, but not the oldest; more than the trade.
        check(4, &[(1, 2), (2, 2)], &[(3, 2)], &[], &[Unexplained]);
        check(2, &[(2, 2)], &[(2, 3)], &[], &[Unexplained]);
        // Nothing but the order in which they came.
        check(2, &[(2, 2)], &[(1, 2)], &[], &[Unexplained]);
        check(6, &[(1, 2), (2, 2), (3, 2)], &[(2, 1), (3, 1), (4, 4)], &[], &[Unexplained]);
    }

    #[test]
    fn two_runs_are_two() {
        let orders = |ids: &[u64]| ids.iter().map(|id| (*id, 1)).collect::<Vec<_>>();
        let is_two = |real| is_two_runs(&orders(&[1, 2, 3, 4, 5]), &orders(real));
        assert!(is_two(&[1, 3, 5, 2, 4]) && is_two(&[5, 1, 2, 3, 4]) && is_two(&[1, 2, 3, 4, 5]));
        assert!(!is_two(&[3, 2, 1, 4, 5]) && !is_two(&[2, 1, 4, 3, 5]));
    }
}
