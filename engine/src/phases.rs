//! Phases of an instrument: auctions that collect orders and execute them at one price,
//! interruptions, calendars (docs/rules.md §11).

use crate::auction::{Clearing, Interest};
use crate::book::Level;
use crate::calendar::status_due;
use crate::engine::{Engine, Refusal};
use crate::market::Market;
use crate::orders::Orders;
use crate::sink::EventSink;
use crate::slab::{Phase, Slot};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use protocol::command::{ClientOrderId, SetInstrumentStatus};
use protocol::event::*;
use protocol::*;

/// A public level: quantity and orders.
pub(crate) type Shown = (Amount, u32);

/// What an instrument that collects keeps besides its book.
#[derive(Debug)]
pub(crate) struct Collection {
    /// Market orders that wait beside the book.
    pub(crate) buys: BTreeMap<OrderId, Slot>,
    pub(crate) sells: BTreeMap<OrderId, Slot>,
    /// The indication and the public levels as they were last told.
    pub(crate) indication: IndicativeChanged,
    pub(crate) bids: BTreeMap<Price, Shown>,
    pub(crate) asks: BTreeMap<Price, Shown>,
    /// When a volatility auction ends.
    pub(crate) until: Stamp,
    /// Something changed since the last refresh.
    pub(crate) is_stale: bool,
}

impl Collection {
    pub(crate) fn new(instrument: InstrumentId) -> Collection {
        Collection {
            buys: BTreeMap::new(),
            sells: BTreeMap::new(),
            indication: no_indication(instrument),
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            until: Stamp(0),
            is_stale: true,
        }
    }

    pub(crate) fn side_mut(&mut self, side: Side) -> &mut BTreeMap<OrderId, Slot> {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }
}

fn no_indication(instrument: InstrumentId) -> IndicativeChanged {
    IndicativeChanged {
        instrument,
        price: Price::ZERO,
        quantity: Amount::ZERO,
        surplus_side: Side::Buy,
        surplus: Amount::ZERO,
        reference: Price::ZERO,
    }
}

fn levels_by_price(levels: impl Iterator<Item = Level>) -> BTreeMap<Price, Shown> {
    levels.map(|level| (level.price, (level.quantity, level.orders))).collect()
}

impl Market {
    /// While the instrument collects: the levels that were last told, from best to worst.
    pub(crate) fn told_levels(&self, side: Side) -> Option<Vec<Level>> {
        let collection = self.collection.as_ref()?;
        let level = |(price, (quantity, orders)): (&Price, &Shown)| Level {
            price: *price,
            quantity: *quantity,
            orders: *orders,
        };
        Some(match side {
            Side::Buy => collection.bids.iter().rev().map(level).collect(),
            Side::Sell => collection.asks.iter().map(level).collect(),
        })
    }

    pub(crate) fn is_collecting(&self) -> bool {
        self.collection.is_some()
    }

    /// From here on the public depth changes with refreshes only.
    pub(crate) fn collect(&mut self) -> &mut Collection {
        let (id, book) = (self.id, &self.book);
        self.collection.get_or_insert_with(|| {
            let mut collection = Box::new(Collection::new(id));
            collection.bids = levels_by_price(book.levels(Side::Buy));
            collection.asks = levels_by_price(book.levels(Side::Sell));
            collection
        })
    }

    /// Emits the change of a level, or notes that there is one while the instrument collects.
    #[inline]
    pub(crate) fn tell_level(&mut self, side: Side, level: Level, out: &mut impl EventSink) {
        match &mut self.collection {
            None => out.emit(self.book_changed(side, level)),
            Some(collection) => collection.is_stale = true,
        }
    }

    /// All that remains at each level, hidden parts included.
    fn totals(&self, orders: &Orders, side: Side) -> Vec<(Price, Amount)> {
        let shown = |level: Level| (level.price, level.quantity);
        let mut totals: Vec<_> = self.book.levels(side).map(shown).collect();
        for slot in self.icebergs.values() {
            let order = orders.get(*slot);
            if order.side != side {
                continue;
            }
            let hidden = order.remaining.0 - orders.shown(*slot).0;
            let at = match side {
                Side::Buy => totals.binary_search_by(|(price, _)| order.price.cmp(price)),
                Side::Sell => totals.binary_search_by(|(price, _)| price.cmp(&order.price)),
            };
            match at {
                Ok(at) => totals[at].1 += Quantity(hidden).into(),
                Err(_) => panic!("order {} rests at a level that is not there", order.id),
            }
        }
        totals
    }

    fn interest(&self, orders: &Orders) -> Interest {
        let mut interest = Interest {
            bids: self.totals(orders, Side::Buy),
            asks: self.totals(orders, Side::Sell),
            last: self.last_price(),
            ..Interest::default()
        };
        if let Some(collection) = &self.collection {
            let order = |slot: &Slot| orders.get(*slot);
            interest.market_bids = (collection.buys.values())
                .map(|slot| (order(slot).price, order(slot).remaining.into()))
                .collect();
            interest.market_asks =
                collection.sells.values().map(|slot| Amount::from(order(slot).remaining)).sum();
        }
        interest
    }

    /// What one side's levels would show after `executed` was taken from the front of the side.
    /// `ahead` are the market orders that take part, best limit first; each goes before the levels
    /// that are no better.
    fn left_over(
        &self,
        orders: &Orders,
        side: Side,
        totals: &[(Price, Amount)],
        ahead: &[(Price, Amount)],
        mut executed: Amount,
    ) -> BTreeMap<Price, Shown> {
        let mut left = BTreeMap::new();
        let mut ahead = ahead.iter().peekable();
        for (level, (price, total)) in self.book.levels(side).zip(totals) {
            while let Some((_, quantity)) = ahead.next_if(|(limit, _)| limit >= price) {
                executed -= executed.min(*quantity);
            }
            let taken = executed.min(*total);
            executed -= taken;
            let shown = level.quantity.min(*total - taken);
            if taken.is_zero() {
                left.insert(*price, (shown, level.orders));
            } else if taken < *total {
                let gone = self.wholly_executed(orders, side, *price, taken);
                left.insert(*price, (shown, level.orders - gone));
            }
        }
        left
    }

    /// How many of a level's orders an execution of `taken` would fill.
    fn wholly_executed(&self, orders: &Orders, side: Side, price: Price, taken: Amount) -> u32 {
        let mut rest = taken;
        let mut count = 0;
        for slot in self.book.queue(&orders.slab, side, price) {
            rest -= orders.get(slot).remaining.into();
            if rest < Amount::ZERO {
                break;
            }
            count += 1;
        }
        count
    }

    /// Emits the levels that differ from what was last told.
    fn tell_levels(
        &mut self,
        side: Side,
        told: &BTreeMap<Price, Shown>,
        now: &BTreeMap<Price, Shown>,
        out: &mut impl EventSink,
    ) {
        let mut prices: Vec<Price> = told.keys().chain(now.keys()).copied().collect();
        prices.sort_unstable();
        prices.dedup();
        if side == Side::Buy {
            prices.reverse();
        }
        for price in prices {
            if told.get(&price) != now.get(&price) {
                let (quantity, orders) = now.get(&price).copied().unwrap_or_default();
                out.emit(self.book_changed(side, Level { price, quantity, orders }));
            }
        }
    }
}

impl Engine {
    pub(crate) fn set_instrument_status(
        &mut self,
        set: &SetInstrumentStatus,
        out: &mut impl EventSink,
    ) -> Refusal {
        let named = self.venue.instrument_named(&set.symbol);
        let instrument = named.ok_or(RejectReason::UnknownInstrument)?;
        if set.status == InstrumentStatus::VolatilityAuction {
            return Err(RejectReason::InvalidDefinition);
        }
        if self.venue.known(instrument).rules.status == set.status {
            return Err(RejectReason::NoChange);
        }
        self.change_phase(instrument, set.status, out);
        Ok(())
    }

    fn change_phase(
        &mut self,
        instrument: InstrumentId,
        status: InstrumentStatus,
        out: &mut impl EventSink,
    ) {
        let market = self.venue.known(instrument);
        market.set_status(status);
        out.emit(InstrumentStatusSet { instrument, status });
        let ends = matches!(status, InstrumentStatus::Trading | InstrumentStatus::Closed);
        if status.is_auction() {
            market.collect();
            self.venue.collecting.insert(instrument);
        } else if ends && market.is_collecting() {
            self.uncross(instrument, out);
        }
    }

    /// A trade would be too far from the average: no trade happens before an auction.
    pub(crate) fn interrupt(
        &mut self,
        instrument: InstrumentId,
        price: Price,
        reference: Price,
        out: &mut impl EventSink,
    ) {
        let now = self.now;
        let market = self.venue.known(instrument);
        let length = u64::from(market.trading_rules.volatility_auction_s);
        let until = Stamp(now.0.saturating_add(length * SECOND_NS));
        out.emit(TradingInterrupted { instrument, price, reference, until });
        market.collect().until = until;
        self.venue.collecting.insert(instrument);
        self.change_phase(instrument, InstrumentStatus::VolatilityAuction, out);
    }

    /// What stored time brings about: calendars, ends of interruptions, indications.
    pub(crate) fn pass_time(&mut self, out: &mut impl EventSink) {
        let before = core::mem::replace(&mut self.last_tick, self.now);
        for instrument in self.venue.timed() {
            let (now, market) = (self.now, self.venue.known(instrument));
            let status = market.rules.status;
            let due = match (&market.calendar, before) {
                (Some(calendar), before) if before != Stamp(0) => status_due(calendar, before, now),
                _ => None,
            };
            if let Some(due) = due.filter(|due| *due != status) {
                self.change_phase(instrument, due, out);
            }
            let market = self.venue.known(instrument);
            let is_over = market.rules.status == InstrumentStatus::VolatilityAuction
                && market.collection.as_ref().is_some_and(|collection| now >= collection.until);
            if is_over {
                self.change_phase(instrument, InstrumentStatus::Trading, out);
            }
            self.refresh(instrument, out);
        }
    }

    /// Tells what the auction would do now, where that is news.
    fn refresh(&mut self, instrument: InstrumentId, out: &mut impl EventSink) {
        let orders = &self.orders;
        let market = self.venue.known(instrument);
        let Some(mut collection) = market.collection.take_if(|collection| collection.is_stale)
        else {
            return;
        };
        // The interest counts the orders beside the book: it needs the collection in its place.
        market.collection = Some(collection);
        let mut interest = market.interest(orders);
        let clearing = interest.clearing();
        let indication = indication_of(market, clearing);
        let executed = clearing.map_or(Amount::ZERO, |clearing| clearing.quantity());
        // A market order to sell takes any price: it goes before every level.
        let market_asks = [(Price(u64::MAX), interest.market_asks)];
        let price = clearing.map_or(Price::ZERO, |clearing| clearing.price);
        let mut market_bids = interest.market_bids;
        market_bids.retain(|(upper, _)| *upper >= price);
        market_bids.sort_unstable_by_key(|(upper, _)| Reverse(*upper));
        let bids = market.left_over(orders, Side::Buy, &interest.bids, &market_bids, executed);
        let asks = market.left_over(orders, Side::Sell, &interest.asks, &market_asks, executed);
        collection = market.collection.take().expect("it was put back above");
        if collection.indication != indication {
            collection.indication = indication;
            out.emit(indication);
        }
        market.tell_levels(Side::Buy, &collection.bids, &bids, out);
        market.tell_levels(Side::Sell, &collection.asks, &asks, out);
        (collection.bids, collection.asks, collection.is_stale) = (bids, asks, false);
        market.collection = Some(collection);
    }

    /// Executes what was collected at one price; continuous trading, or the end of the day, follows.
    fn uncross(&mut self, instrument: InstrumentId, out: &mut impl EventSink) {
        let market = self.venue.known(instrument);
        let clearing = market.interest(&self.orders).clearing();
        let price = clearing.map_or(Price::ZERO, |at| at.price);
        let quantity = clearing.map_or(Amount::ZERO, |at| at.quantity());
        out.emit(AuctionUncrossed { instrument, price, quantity });
        if let Some(clearing) = clearing {
            self.execute_at(instrument, clearing, out);
        }
        let market = self.venue.known(instrument);
        let collection = market.collection.as_ref().expect("an instrument that collects");
        let unfilled: Vec<Slot> =
            collection.buys.values().chain(collection.sells.values()).copied().collect();
        for slot in unfilled {
            let (status, reason) = (OrderStatus::Expired, CloseReason::NoLiquidity);
            let held = self.orders.held(slot);
            self.close(slot, held, status, reason, ClientOrderId::EMPTY, out);
        }
        let market = self.venue.known(instrument);
        let collection = market.collection.take().expect("an instrument that collects");
        for (side, told) in [(Side::Buy, &collection.bids), (Side::Sell, &collection.asks)] {
            let now = levels_by_price(market.book.levels(side));
            market.tell_levels(side, told, &now, out);
        }
        self.venue.collecting.remove(&instrument);
    }

    /// Buyers against sellers, market orders first, until the quantity is done.
    fn execute_at(
        &mut self,
        instrument: InstrumentId,
        clearing: Clearing,
        out: &mut impl EventSink,
    ) {
        let mut left = clearing.quantity();
        let mut buyers = self.in_turn(instrument, Side::Buy, clearing.price, left).into_iter();
        let mut sellers = self.in_turn(instrument, Side::Sell, clearing.price, left).into_iter();
        let counters = &mut self.venue.known(instrument).counters;
        counters.aggregate = counters.aggregate.next();
        let (mut buyer, mut seller) = (buyers.next(), sellers.next());
        while let (Some(buying), Some(selling), false) = (buyer, seller, left.is_zero()) {
            for slot in [buying, selling] {
                self.send_other_away(slot, out);
            }
            let remaining = |slot| self.orders.get(slot).remaining;
            let both = remaining(buying).min(remaining(selling));
            let quantity = match u64::try_from(left.0) {
                Ok(left) => both.min(Quantity(left)),
                Err(_) => both,
            };
            left -= quantity.into();
            let (buyer_is_filled, seller_is_filled) =
                (remaining(buying) == quantity, remaining(selling) == quantity);
            self.trade_in_auction(buying, selling, clearing.price, quantity, out);
            if buyer_is_filled {
                buyer = buyers.next();
            }
            if seller_is_filled {
                seller = sellers.next();
            }
        }
        let now = self.now;
        let market = self.venue.known(instrument);
        market.last_trade = Some(clearing.price);
        market.buckets.add(&market.trading_rules, now, clearing.price);
        self.traded.push((instrument, clearing.price));
    }

    /// The orders of one side that execute, in their order, as many as `quantity` takes.
    fn in_turn(
        &self,
        instrument: InstrumentId,
        side: Side,
        price: Price,
        quantity: Amount,
    ) -> Vec<Slot> {
        let market = self.venue.market(instrument).expect("the instrument exists");
        let collection = market.collection.as_ref().expect("an instrument that collects");
        let limit = |slot: &Slot| match side {
            Side::Buy => self.orders.get(*slot).price,
            // A seller at the market takes any price.
            Side::Sell => Price(u64::MAX),
        };
        let mut beside: Vec<Slot> = match side {
            Side::Buy => collection.buys.values().copied().collect(),
            Side::Sell => collection.sells.values().copied().collect(),
        };
        beside.retain(|slot| limit(slot) >= price);
        // Stable: those of one limit stay by id.
        beside.sort_by_key(|slot| Reverse(limit(slot)));
        let mut beside = beside.into_iter().peekable();
        let mut takers = Vec::new();
        let mut rest = quantity;
        let mut take = |slot: Slot| {
            rest -= self.orders.get(slot).remaining.into();
            takers.push(slot);
            rest > Amount::ZERO
        };
        for resting in market.book.orders(&self.orders.slab, side) {
            let price = self.orders.get(resting).price;
            while let Some(slot) = beside.next_if(|slot| limit(slot) >= price) {
                if !take(slot) {
                    return takers;
                }
            }
            if !take(resting) {
                return takers;
            }
        }
        beside.all(take);
        takers
    }

    /// A limit order joins its level, a market order waits beside the book.
    pub(crate) fn join_auction(&mut self, slot: Slot) {
        let order = self.orders.get(slot);
        let (id, side, kind, instrument) = (order.id, order.side, order.kind, order.instrument);
        let market = self.venue.known(instrument);
        let collection = market.collection.as_mut().expect("an instrument that collects");
        collection.is_stale = true;
        if kind.is_limit() {
            self.rest(slot);
        } else {
            collection.side_mut(side).insert(id, slot);
            self.orders.slab.get_mut(slot).phase = Phase::Collected;
        }
    }
}

fn indication_of(market: &Market, clearing: Option<Clearing>) -> IndicativeChanged {
    let Some(clearing) = clearing else {
        // Told once before; the reference does not matter where nothing trades.
        return no_indication(market.id);
    };
    let (surplus_side, surplus) = clearing.surplus();
    IndicativeChanged {
        instrument: market.id,
        price: clearing.price,
        quantity: clearing.quantity(),
        surplus_side,
        surplus,
        reference: market.last_price().unwrap_or_default(),
    }
}
