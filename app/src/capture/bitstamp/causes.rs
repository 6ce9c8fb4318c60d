//! Why a printed trade is not among the engine's fills in order.

use super::outcomes::{Outcome, Outcomes};
use super::replay::{Fill, Printed, Replay};
use protocol::{Price, Quantity};
use std::collections::HashSet;
use std::fmt;

/// Equal fill and trade that the order of lines tears apart lie this close.
const APART_MS_MAX: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    LineOrder,
    FromBefore,
    BeforeCreate,
    Repriced,
    MoneyBound,
    Consequence,
    Unexplained,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::LineOrder => "made, but printed in another order",
            Cause::FromBefore => "with an order that rested before the log begins",
            Cause::BeforeCreate => "with an order whose create comes after its outcome",
            Cause::Repriced => "with an order whose price the exchange had changed",
            Cause::MoneyBound => {
                "with an order that traded less than its amount and was closed in the same moment"
            }
            Cause::Consequence => "with an order that one of the other causes had left different",
            Cause::Unexplained => "unexplained",
        })
    }
}

/// A trade as both sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) price: Price,
    pub(super) quantity: Quantity,
}

/// One cause per printed trade; none for those of `matched` (ascending).
///
/// `unmatched` are the engine's fills that no printed trade answers.
pub(super) fn causes(
    replay: &mut Replay,
    prints: &[Print],
    matched: &[usize],
    unmatched: &[Fill],
) -> Vec<Option<Cause>> {
    let mut search = Search { outcomes: &mut replay.outcomes, different: HashSet::new() };
    let mut fills = unmatched.iter().peekable();
    let mut spare: Vec<&Fill> = unmatched.iter().collect();
    let mut causes = Vec::new();
    for (at, (printed, print)) in replay.printed.iter().zip(prints).enumerate() {
        while let Some(fill) = fills.next_if(|fill| fill.line < printed.line) {
            search.note_fill(fill);
        }
        let (line, received_ms) = (printed.line, printed.received_ms);
        let pair = search.outcomes.pair(line, received_ms, print.price, print.quantity);
        if matched.binary_search(&at).is_ok() {
            causes.push(None);
            continue;
        }
        let is_same = |fill: &&Fill| {
            (fill.price, fill.quantity) == (print.price, print.quantity)
                && fill.received_ms.abs_diff(received_ms) <= APART_MS_MAX
        };
        let same = spare.iter().position(is_same).filter(|_| is_swapped(&replay.printed, at));
        causes.push(Some(match same {
            Some(same) => {
                spare.remove(same);
                Cause::LineOrder
            }
            None => search.cause(pair.as_ref()),
        }));
    }
    causes
}

/// Is the trade printed before one of a lower id, or after one of a higher, in the same moment?
fn is_swapped(printed: &[Printed], at: usize) -> bool {
    let Some(this) = printed.get(at) else { return false };
    let is_near = |other: &&Printed| other.received_ms.abs_diff(this.received_ms) <= APART_MS_MAX;
    let mut before = printed.iter().take(at).rev().take_while(is_near);
    let mut after = printed.iter().skip(at + 1).take_while(is_near);
    before.any(|other| other.trade.id > this.trade.id)
        || after.any(|other| other.trade.id < this.trade.id)
}

struct Search<'a> {
    outcomes: &'a mut Outcomes,
    /// Orders that a named cause has left in the engine otherwise than at the exchange.
    different: HashSet<u64>,
}

impl Search<'_> {
    /// A fill that the exchange did not make leaves both orders different. Only where one of them
    /// had a cause: a fill that the engine had no right to make excuses nothing.
    fn note_fill(&mut self, fill: &Fill) {
        let ids = || fill.maker.into_iter().chain([fill.taker]);
        let has_cause = fill.maker.is_none()
            || ids().any(|id| self.different.contains(&id) || self.outcomes.is_repriced(id));
        if has_cause {
            self.different.extend(ids());
        }
    }

    fn cause(&mut self, pair: Option<&[Outcome; 2]>) -> Cause {
        let Some(pair) = pair else { return Cause::Unexplained };
        let any = |is: &dyn Fn(&Outcome) -> bool| pair.iter().any(is);
        let cause = if any(&|it| self.outcomes.is_from_before(it)) {
            Cause::FromBefore
        } else if any(&|it| self.outcomes.is_before_create(it)) {
            Cause::BeforeCreate
        } else if any(&|it| it.is_repriced) {
            Cause::Repriced
        } else if any(&Outcome::hides_its_trade) {
            Cause::MoneyBound
        } else if any(&|it| self.different.contains(&it.id)) {
            Cause::Consequence
        } else {
            return Cause::Unexplained;
        };
        self.different.extend(pair.iter().map(|it| it.id));
        cause
    }
}
