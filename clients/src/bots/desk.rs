//! What one bot knows: its open orders, its balances and the best prices, from the answers and
//! events of the venue. Everything in here is bounded by what the bot itself sends.

use std::collections::BTreeMap;

use protocol::{Amount, OrderKind, OrderStatus, Price, Quantity, Side, TimeInForce, notional};

use super::market::BotSymbol;

/// What a bot wants to do; instruments are named by their place in the list, orders by the number
/// in their client order id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Place(NewOrder),
    Cancel {
        number: u64,
    },
    /// Cancels `number` and places the new order in one request.
    Replace {
        number: u64,
        new: NewOrder,
    },
    /// Reduces the whole quantity of the order, filled part included.
    Amend {
        number: u64,
        quantity: Quantity,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewOrder {
    pub(super) instrument: usize,
    pub(super) side: Side,
    pub(super) kind: OrderKind,
    /// Of [`OrderKind::Limit`].
    pub(super) time_in_force: TimeInForce,
    /// Of a MARKET order: what it is expected to trade at.
    pub(super) price: Price,
    pub(super) quantity: Quantity,
}

impl NewOrder {
    pub(super) fn can_rest(&self) -> bool {
        match self.kind {
            OrderKind::LimitMaker => true,
            OrderKind::Limit => self.time_in_force == TimeInForce::Gtc,
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not answered yet.
    Sent,
    Open,
    /// A cancel, replace or amend is not answered yet.
    Changing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnOrder {
    pub(super) order: NewOrder,
    pub(super) filled: Quantity,
    pub(super) phase: Phase,
    pub(super) is_amended: bool,
}

/// The best prices, when both sides have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) bid: Price,
    pub(super) ask: Price,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Balance {
    pub(super) free: Amount,
    pub(super) locked: Amount,
}

/// Drift of an inventory at which a side is given up.
pub(super) const DRIFT_MAX: i64 = 1_000;

/// Of the inventory at home, the part whose gain or loss is the largest drift.
const DRIFT_PART: i128 = 4;

/// An account is left alone with less than this many times what an order needs.
const FUNDS_FACTOR: i128 = 2;

pub(super) struct Desk {
    pub(super) symbols: Vec<BotSymbol>,
    /// By number.
    pub(super) orders: BTreeMap<u64, OwnOrder>,
    balances: BTreeMap<String, Balance>,
    /// Base assets as they were when they were first seen.
    home: BTreeMap<String, Amount>,
    /// By instrument.
    pub(super) touches: Vec<Option<Touch>>,
    next_number: u64,
}

impl Desk {
    pub(super) fn new(symbols: Vec<BotSymbol>) -> Desk {
        Desk {
            touches: vec![None; symbols.len()],
            symbols,
            orders: BTreeMap::new(),
            balances: BTreeMap::new(),
            home: BTreeMap::new(),
            next_number: 0,
        }
    }

    /// A new connection, after all orders were canceled. Numbers go on: an event about an old
    /// order means none of the new ones.
    pub(super) fn restart(&mut self) {
        self.orders.clear();
        self.touches.fill(None);
    }

    /// Own orders of one instrument and side, unanswered ones included.
    pub(super) fn own(
        &self,
        instrument: usize,
        side: Side,
    ) -> impl Iterator<Item = (u64, &OwnOrder)> {
        let is_meant =
            move |own: &OwnOrder| own.order.instrument == instrument && own.order.side == side;
        self.orders.iter().filter(move |(_, own)| is_meant(own)).map(|(&number, own)| (number, own))
    }

    /// Would an order at this price meet an own one, even one that is being canceled?
    pub(super) fn crosses_own(&self, instrument: usize, side: Side, price: Price) -> bool {
        self.own(instrument, side.opposite()).any(|(_, own)| match side {
            Side::Buy => price >= own.order.price,
            Side::Sell => price <= own.order.price,
        })
    }

    /// Enough free balance for an order, with some to spare.
    pub(super) fn can_afford(&self, new: &NewOrder) -> bool {
        let Some(symbol) = self.symbols.get(new.instrument) else { return false };
        let (asset, need) = match new.side {
            Side::Buy => (&symbol.quote, notional(new.price, new.quantity)),
            Side::Sell => (&symbol.base, Amount::from(new.quantity)),
        };
        let free = self.balances.get(asset).copied().unwrap_or_default().free;
        free.0 >= need.0.saturating_mul(FUNDS_FACTOR)
    }

    /// How far the inventory of the base asset is from home, from `-DRIFT_MAX` (sold too much) to
    /// `DRIFT_MAX`.
    pub(super) fn drift(&self, instrument: usize) -> i64 {
        let base = self.symbols.get(instrument).map(|symbol| &symbol.base);
        let amounts = base.and_then(|base| Some((self.home.get(base)?, self.balances.get(base)?)));
        let Some((home, now)) = amounts else { return 0 };
        let limit = (home.0 / DRIFT_PART).max(1);
        let drift = (now.free + now.locked - *home).0.saturating_mul(i128::from(DRIFT_MAX)) / limit;
        drift.clamp(i128::from(-DRIFT_MAX), i128::from(DRIFT_MAX)) as i64
    }

    /// A side to trade, leaning against the drift: from 9:1 to 1:9.
    pub(super) fn lean(&self, instrument: usize, random: &mut crate::random::Random) -> Side {
        let buys = 500 - self.drift(instrument) * 2 / 5;
        match random.chance(buys.max(0) as u64, 1_000) {
            true => Side::Buy,
            false => Side::Sell,
        }
    }

    /// Notes what is about to be sent; gives the number of the new order, if there is one.
    pub(super) fn sent(&mut self, intent: &Intent) -> Option<u64> {
        if let Intent::Cancel { number }
        | Intent::Replace { number, .. }
        | Intent::Amend { number, .. } = intent
            && let Some(own) = self.orders.get_mut(number)
        {
            own.phase = Phase::Changing;
            own.is_amended |= matches!(intent, Intent::Amend { .. });
        }
        let (Intent::Place(new) | Intent::Replace { new, .. }) = intent else { return None };
        let number = self.next_number;
        self.next_number += 1;
        let order =
            OwnOrder { order: *new, filled: Quantity::ZERO, phase: Phase::Sent, is_amended: false };
        self.orders.insert(number, order);
        Some(number)
    }

    /// News of an order, from an answer or an event, in any order: an order that is closed stays
    /// closed, what was filled stays filled.
    pub(super) fn order_is(&mut self, number: u64, status: OrderStatus, filled: Quantity) {
        match status {
            OrderStatus::New | OrderStatus::PartiallyFilled => {
                let Some(own) = self.orders.get_mut(&number) else { return };
                own.filled = own.filled.max(filled);
                if own.phase == Phase::Sent {
                    own.phase = Phase::Open;
                }
            }
            _ => self.order_gone(number),
        }
    }

    /// The order was refused, or is no longer known to the venue.
    pub(super) fn order_gone(&mut self, number: u64) {
        self.orders.remove(&number);
    }

    /// A change was refused and the order stands as before, or an amend was accepted.
    pub(super) fn order_stands(&mut self, number: u64, quantity: Option<Quantity>) {
        if let Some(own) = self.orders.get_mut(&number) {
            own.phase = Phase::Open;
            own.order.quantity = quantity.unwrap_or(own.order.quantity);
        }
    }

    pub(super) fn set_balance(&mut self, asset: &str, balance: Balance) {
        let total = balance.free + balance.locked;
        // An account may get its first funds late.
        if self.home.get(asset).is_none_or(|home| home.is_zero()) {
            self.home.insert(asset.to_owned(), total);
        }
        match self.balances.get_mut(asset) {
            Some(known) => *known = balance,
            None => drop(self.balances.insert(asset.to_owned(), balance)),
        }
    }

    pub(super) fn instrument(&self, symbol: &str) -> Option<usize> {
        self.symbols.iter().position(|known| known.symbol == symbol)
    }

    /// The best bid and ask; a side without orders has price zero.
    pub(super) fn set_touch(&mut self, symbol: &str, bid: Price, ask: Price) {
        let Some(instrument) = self.instrument(symbol) else { return };
        if let Some(touch) = self.touches.get_mut(instrument) {
            *touch = (!bid.is_zero() && !ask.is_zero()).then_some(Touch { bid, ask });
        }
    }
}
