//! What an auction is made of: the orders before it, and what the exchange printed of it.
//!
//! A trade without an aggressor while the book does not trade is an auction. Some of the filled
//! orders never were in the book that is recorded (market orders, stops that the opening set off);
//! the sides of these follow from the printed fills. Nothing is computed here that the auction
//! itself is to find.

use super::format::{Action, Print, Row};
use super::queues::Queues;
use protocol::{Price, Side};
use std::collections::BTreeMap;

/// Quantities are in lots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OpeningInputs {
    /// All orders that rest before the auction, oldest first.
    pub(super) limits: Vec<(u64, Side, Price, u64)>,
    /// Filled orders that never rested, in the order of their fills.
    pub(super) markets: Vec<(u64, Side, u64)>,
    /// The same where the fills do not tell the side.
    pub(super) unknown: Vec<(u64, u64)>,
    pub(super) reported: Reported,
}

/// What the exchange printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) price: Price,
    pub(super) quantity: u64,
    /// Order and quantity. Buyers and sellers take turns while there are both; each side is in its
    /// order of priority.
    pub(super) fills: Vec<(u64, u64)>,
}

/// The auction that the first trade of `rows` prints; `queues` is the book before it.
pub(super) fn opening(queues: &Queues, rows: &[Row]) -> OpeningInputs {
    let reported = reported(rows);
    let limits = queues.by_arrival().into_iter();
    let limits =
        limits.map(|(side, price, it)| (it.id, side, Price(price), it.remaining)).collect();
    let mut inputs = OpeningInputs { limits, reported, ..OpeningInputs::default() };
    let fills = &inputs.reported.fills;
    let known = |id: u64| queues.place(id).map(|place| place.0);
    let unseen = || fills.iter().filter(|(id, _)| known(*id).is_none()).copied();
    match sides(fills, inputs.reported.quantity, known) {
        Some(sides) => {
            let markets = unseen().zip(sides).map(|((id, size), side)| (id, side, size));
            inputs.markets = markets.collect();
        }
        None => inputs.unknown = unseen().collect(),
    }
    inputs
}

/// The first trade without aggressor and all others of the event at its price.
fn reported(rows: &[Row]) -> Reported {
    let mut reported = Reported::default();
    let mut is_of_it = false;
    for row in rows {
        match row.action {
            Action::Trade(Print { side: None, price, size, .. }) => {
                if reported.quantity == 0 {
                    reported.price = price;
                }
                is_of_it = price == reported.price;
                reported.quantity += if is_of_it { size } else { 0 };
            }
            Action::Trade(_) => is_of_it = false,
            Action::Fill(fill) if is_of_it => reported.fills.push((fill.id, fill.size)),
            _ => (),
        }
    }
    reported
}

/// The sides of the fills that `known` does not know, in turn: each side must come to the quantity.
fn sides(
    fills: &[(u64, u64)],
    quantity: u64,
    known: impl Fn(u64) -> Option<Side>,
) -> Option<Vec<Side>> {
    let filled = |side: Option<Side>| -> u64 {
        fills.iter().filter(|(id, _)| known(*id) == side).map(|(_, size)| size).sum()
    };
    let to_buy = quantity.checked_sub(filled(Some(Side::Buy)))?;
    let to_sell = quantity.checked_sub(filled(Some(Side::Sell)))?;
    if to_buy + to_sell != filled(None) {
        return None;
    }
    let mut left = BTreeMap::from([(Side::Buy, to_buy), (Side::Sell, to_sell)]);
    let mut sides = Vec::new();
    let mut before = Side::Sell;
    for (id, size) in fills {
        let known = known(*id);
        // The sides take turns while there are both.
        let in_turn = [before.opposite(), before];
        let fits = |side: &Side| left.get(side).is_some_and(|left| size <= left);
        before = known.or_else(|| in_turn.into_iter().find(fits))?;
        if known.is_none() {
            sides.push(before);
            *left.entry(before).or_default() -= size;
        }
    }
    Some(sides)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orders below 10 buy, below 20 sell, others never rested.
    #[track_caller]
    fn check(fills: &[(u64, u64)], quantity: u64, expected: Option<&[Side]>) {
        let known = |id| match id {
            0..10 => Some(Side::Buy),
            10..20 => Some(Side::Sell),
            _ => None,
        };
        assert_eq!(sides(fills, quantity, known).as_deref(), expected, "{fills:?}");
    }

    #[test]
    fn orders_that_never_rested_take_the_side_that_is_missing() {
        use Side::{Buy, Sell};
        check(&[(1, 3), (11, 3)], 3, Some(&[]));
        check(&[(20, 2), (11, 3), (1, 1)], 3, Some(&[Buy]));
        check(&[(1, 3), (20, 1), (21, 2)], 3, Some(&[Sell, Sell]));
        check(&[(1, 1), (11, 2), (20, 2), (21, 1)], 3, Some(&[Buy, Sell]));
        check(&[(20, 3), (21, 3)], 3, Some(&[Buy, Sell]));
        check(&[(1, 1), (11, 2), (20, 5), (12, 2), (21, 2)], 6, Some(&[Buy, Sell]));
    }

    #[test]
    fn sides_that_do_not_come_to_the_quantity_are_unknown() {
        check(&[(1, 3), (20, 2)], 3, None);
        check(&[(1, 4), (11, 3)], 3, None);
        check(&[(20, 1), (21, 2), (22, 3), (11, 1), (2, 1)], 4, None);
    }
}
