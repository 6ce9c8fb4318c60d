//! The auction of the exchange, held by the engine in a venue of its own: first with the orders
//! that rest before it, then with those that never rested, as market orders.
//!
//! Compared are price and quantity, and what each order was filled with; the turn of the fills is
//! not (the exchange prints buyers and sellers by turns).

use super::super::venue::{Limit, Venue};
use super::format::quantity;
use super::opening::OpeningInputs;
use anyhow::Result;
use protocol::command::TradingRules;
use protocol::{Amount, Event, InstrumentStatus, OrderId, Price, SCALE, Side, TimeInForce};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// Buyers at any price pay at most so many times the highest limit (10^-8): far away.
const UPPER_MULTIPLE: u64 = 2 * SCALE;

/// Price and quantity, in lots.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cross {
    pub(super) price: Price,
    pub(super) lots: u64,
}

impl fmt::Display for Cross {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} at {}", self.lots, self.price)
    }
}

/// What the engine made of it.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Indication of the orders that rested before it.
    pub(super) limits_alone: Cross,
    /// The same with those that never rested.
    pub(super) with_markets: Cross,
    pub(super) uncrossed: Cross,
    /// Lots per order of the exchange.
    pub(super) filled: BTreeMap<u64, u64>,
    /// No command was refused, and money is conserved.
    pub(super) is_sound: bool,
}

/// Why an order was filled otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its side in the auction did not follow from the fills.
    SideUnknown,
    /// It never rested: what price protects it is not recorded.
    NeverRested,
    /// At the auction's price: another order of the side and the price has what it lacks.
    Turn,
    /// None of these.
    None,
}

impl fmt::Display for Reason {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Reason::SideUnknown => "its side is not known",
            Reason::NeverRested => "it never rested, and its own price is not recorded",
            Reason::Turn => "at the auction's price, in another turn",
            Reason::None => "no cause",
        })
    }
}

/// An order whose fills are not the exchange's, in lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deviation {
    pub(super) id: u64,
    pub(super) exchange: u64,
    pub(super) engine: u64,
    pub(super) reason: Reason,
}

impl fmt::Display for Deviation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Deviation { id, exchange, engine, reason } = self;
        write!(to, "order {id}: exchange {exchange}, engine {engine}: {reason}")
    }
}

pub(super) fn hold(inputs: &OpeningInputs) -> Result<Held> {
    let mut venue = Venue::open("CONTRACT", "CONTRACT", "DOLLAR")?;
    let prices = inputs.limits.iter().map(|limit| limit.2);
    let highest = prices.chain([inputs.reported.price]).max().unwrap_or_default();
    venue.set_trading_rules(TradingRules {
        external_reference: highest,
        bid_limit_up: UPPER_MULTIPLE,
        ..TradingRules::default()
    });
    venue.set_status(InstrumentStatus::OpeningAuction, |_| ());
    let mut held = Held::default();
    let mut ids = HashMap::new();
    let account = venue.first();
    for (id, side, price, lots) in inputs.limits.iter().copied() {
        let (quantity, time_in_force) = (quantity(lots), TimeInForce::Gtc);
        let limit = Limit { account, side, price, quantity, time_in_force };
        ids.extend(venue.place(limit, |_, _| ()).map(|order| (order, id)));
    }
    held.limits_alone = indication(&mut venue, Cross::default());
    for (id, side, lots) in inputs.markets.iter().copied() {
        ids.extend(venue.place_market(account, side, quantity(lots)).map(|order| (order, id)));
    }
    held.with_markets = indication(&mut venue, held.limits_alone);
    venue.set_status(InstrumentStatus::Trading, |event| held.note(event, &ids));
    venue.check_invariants();
    held.is_sound = venue.is_sound() && venue.agrees();
    Ok(held)
}

/// What the engine says at a tick; without a word, what it said `before`.
fn indication(venue: &mut Venue, before: Cross) -> Cross {
    let mut told = before;
    venue.tick(|event| {
        if let Event::IndicativeChanged(changed) = event {
            told = Cross { price: changed.price, lots: lots(changed.quantity) };
        }
    });
    told
}

fn lots(quantity: Amount) -> u64 {
    u64::try_from(quantity.0 / i128::from(SCALE)).unwrap_or_default()
}

impl Held {
    fn note(&mut self, event: &Event, ids: &HashMap<OrderId, u64>) {
        match event {
            Event::AuctionUncrossed(cross) => {
                self.uncrossed = Cross { price: cross.price, lots: lots(cross.quantity) };
            }
            Event::OrderFilled(fill) => {
                let id = ids.get(&fill.order).copied().unwrap_or_default();
                *self.filled.entry(id).or_default() += fill.quantity.0 / SCALE;
            }
            _ => (),
        }
    }

    /// The orders that either filled, and those of them whose fills differ.
    pub(super) fn compare(&self, inputs: &OpeningInputs) -> (usize, Vec<Deviation>) {
        let mut printed: BTreeMap<u64, u64> = BTreeMap::new();
        for (id, lots) in &inputs.reported.fills {
            *printed.entry(*id).or_default() += lots;
        }
        let lots = |of: &BTreeMap<u64, u64>, id| of.get(&id).copied().unwrap_or_default();
        let ids: BTreeSet<u64> = printed.keys().chain(self.filled.keys()).copied().collect();
        let all = ids.iter().map(|id| Deviation {
            id: *id,
            exchange: lots(&printed, *id),
            engine: lots(&self.filled, *id),
            reason: Reason::None,
        });
        let mut differ: Vec<Deviation> = all.filter(|it| it.exchange != it.engine).collect();
        explain(&mut differ, inputs);
        (ids.len(), differ)
    }
}

fn explain(differ: &mut [Deviation], inputs: &OpeningInputs) {
    let limits: HashMap<u64, (Side, Price)> =
        inputs.limits.iter().map(|(id, side, price, _)| (*id, (*side, *price))).collect();
    let mut missing: BTreeMap<Side, i128> = BTreeMap::new();
    let at_the_price = |it: &Deviation| {
        let limit = limits.get(&it.id).filter(|limit| limit.1 == inputs.reported.price);
        limit.map(|limit| limit.0)
    };
    for it in differ.iter() {
        if let Some(side) = at_the_price(it) {
            *missing.entry(side).or_default() += i128::from(it.exchange) - i128::from(it.engine);
        }
    }
    for it in differ {
        let is_turn = at_the_price(it).is_some_and(|side| missing.get(&side) == Some(&0));
        it.reason = match limits.contains_key(&it.id) {
            true if is_turn => Reason::Turn,
            true => Reason::None,
            false if inputs.unknown.iter().any(|(id, _)| *id == it.id) => Reason::SideUnknown,
            false => Reason::NeverRested,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::opening::Reported;
    use super::*;
    use Side::{Buy, Sell};

    fn price(units: u64) -> Price {
        Price(units * SCALE)
    }

    fn inputs(
        limits: &[(u64, Side, u64, u64)],
        markets: &[(u64, Side, u64)],
        fills: &[(u64, u64)],
    ) -> OpeningInputs {
        let limits = limits.iter().map(|(id, side, at, lots)| (*id, *side, price(*at), *lots));
        let reported = Reported { price: price(101), quantity: 0, fills: fills.to_vec() };
        OpeningInputs {
            limits: limits.collect(),
            markets: markets.to_vec(),
            unknown: Vec::new(),
            reported,
        }
    }

    /// 5 lots cross at 100 and at 101, with the smaller surplus at 100.
    const LIMITS: &[(u64, Side, u64, u64)] = &[
        (1, Buy, 101, 5),
        (2, Buy, 100, 1),
        (3, Sell, 100, 5),
        (4, Sell, 101, 6),
        (5, Sell, 101, 2),
    ];

    #[test]
    fn market_orders_move_the_price_of_an_opening() {
        let fills = [(1, 5), (70, 4), (3, 5), (4, 4)];
        let inputs = inputs(LIMITS, &[(70, Buy, 4)], &fills);
        let held = hold(&inputs).unwrap();
        assert_eq!(held.limits_alone, Cross { price: price(100), lots: 5 });
        assert_eq!(held.with_markets, Cross { price: price(101), lots: 9 });
        assert_eq!(held.uncrossed, held.with_markets);
        assert_eq!(held.compare(&inputs), (4, vec![]));
        assert!(held.is_sound);
    }

    #[track_caller]
    fn check(fills: &[(u64, u64)], expected: &[(u64, u64, u64, Reason)]) {
        let inputs = inputs(LIMITS, &[(70, Buy, 4)], fills);
        let differ = hold(&inputs).unwrap().compare(&inputs).1;
        let differ: Vec<_> =
            differ.iter().map(|it| (it.id, it.exchange, it.engine, it.reason)).collect();
        assert_eq!(differ, expected);
    }

    #[test]
    fn an_order_that_is_filled_otherwise_is_named_with_its_cause() {
        let turn = Reason::Turn;
        check(&[(1, 5), (70, 4), (3, 5), (4, 2), (5, 2)], &[(4, 2, 4, turn), (5, 2, 0, turn)]);
        check(&[(1, 5), (70, 3), (3, 5), (4, 4)], &[(70, 3, 4, Reason::NeverRested)]);
        check(&[(1, 5), (70, 4), (3, 4), (4, 4)], &[(3, 4, 5, Reason::None)]);
    }

    #[test]
    fn an_opening_in_which_nothing_meets_has_no_price() {
        let held = hold(&inputs(&LIMITS[1..2], &[], &[])).unwrap();
        assert_eq!((held.limits_alone, held.uncrossed), (Cross::default(), Cross::default()));
    }
}
