//! Matching: an order walks the opposite side of the book (docs/rules.md §5 and 6).

use crate::book::{Level, crosses};
use crate::contingency::ListFill;
use crate::engine::Engine;
use crate::ledger::{Leg, Payment, Pocket};
use crate::market::Market;
use crate::orders::Orders;
use crate::reference::Obstacle;
use crate::sink::EventSink;
use crate::slab::{Order, Phase, Slot};
use crate::table::NONE;
use alloc::collections::VecDeque;
use protocol::command::{ClientOrderId, OrderRequest};
use protocol::event::*;
use protocol::*;

/// How much more an order wants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Appetite {
    Base {
        remaining: Quantity,
    },
    /// By quote quantity: what is left of the amount, the grid of quantities, and how much more one
    /// order can count.
    Quote {
        side: Side,
        rest: Amount,
        step: u64,
        room: u64,
    },
}

impl Appetite {
    pub(crate) fn of_request(new: &OrderRequest, market: &Market) -> Appetite {
        match new.quantity_unit {
            QuantityUnit::Base => Appetite::Base { remaining: new.quantity },
            QuantityUnit::Quote => {
                let (side, room) = (new.side, Quantity::MAX.0);
                Appetite::Quote {
                    side,
                    rest: new.quantity.into(),
                    step: market.rules.lots.unit(),
                    room,
                }
            }
        }
    }

    /// The quantity wanted at a price.
    #[inline]
    fn at(&self, price: Price) -> Quantity {
        match *self {
            Appetite::Base { remaining } => remaining,
            Appetite::Quote { side, rest, step, room } => {
                let (rest, scale) = (rest.0.unsigned_abs(), u128::from(SCALE));
                let most = match side {
                    Side::Buy => rest * scale / u128::from(price.0),
                    Side::Sell => ((rest + 1) * scale - 1) / u128::from(price.0),
                };
                let most = u64::try_from(most).unwrap_or(u64::MAX).min(room);
                let steps = Quantity(most - most % step);
                // What costs nothing is not wanted: the last unit of `rest` would buy it for ever.
                if notional(price, steps).is_zero() { Quantity::ZERO } else { steps }
            }
        }
    }

    #[inline]
    fn take(&mut self, quantity: Quantity, quote: Amount) {
        match self {
            Appetite::Base { remaining } => remaining.0 -= quantity.0,
            Appetite::Quote { rest, room, .. } => {
                *rest -= quote;
                *room -= quantity.0;
            }
        }
    }

    /// Wants no more, given the price of the next maker.
    #[inline]
    fn is_over(&self, next: Option<Price>) -> bool {
        match self {
            Appetite::Base { remaining } => remaining.is_zero(),
            Appetite::Quote { rest, .. } => {
                rest.is_zero() || next.is_some_and(|price| self.at(price).is_zero())
            }
        }
    }
}

/// What a walk would do, without doing it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plan {
    pub(crate) pays: Amount,
    pub(crate) sells: Amount,
    /// By quote quantity: nothing was affordable at the first maker met.
    pub(crate) not_one_step: bool,
}

/// A [`Plan`] in the making.
#[derive(Debug)]
struct Planning {
    plan: Plan,
    appetite: Appetite,
    is_touched: bool,
}

impl Planning {
    /// What is wanted at a price; none: it is over.
    fn wanted(&mut self, price: Price) -> Option<Quantity> {
        if self.appetite.is_over(None) {
            return None;
        }
        let wanted = self.appetite.at(price);
        if wanted.is_zero() {
            self.plan.not_one_step = !self.is_touched;
            return None;
        }
        Some(wanted)
    }

    /// It ends before this price, unless it was over already.
    fn stopped_at(mut self, price: Price) -> Plan {
        let _ = self.wanted(price);
        self.plan
    }

    fn take(&mut self, quantity: Quantity, quote: Amount, is_paid: bool) {
        if is_paid {
            self.plan.pays += quote;
            self.plan.sells += quantity.into();
        }
        self.is_touched = true;
        self.appetite.take(quantity, quote);
    }
}

/// A maker as a plan sees it.
#[derive(Debug, Clone, Copy)]
struct Standing {
    slot: Slot,
    remaining: Quantity,
    shown: Quantity,
    /// What it shows anew when that is used up; 0: it never hides anything.
    part: Quantity,
}

impl Standing {
    fn of(orders: &Orders, slot: Slot) -> Standing {
        let part = orders.extra(slot).map_or(Quantity::ZERO, |extra| extra.terms.iceberg);
        let (remaining, shown) = (orders.get(slot).remaining, orders.shown(slot));
        Standing { slot, remaining, shown, part }
    }
}

/// How a planned meeting ended.
#[derive(Debug)]
enum Met {
    /// Nothing more happens.
    Over,
    /// The maker shows its next part, behind all others.
    Again(Standing),
    Done,
}

/// An order that runs, and what of its terms a walk needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taker {
    pub(crate) slot: Slot,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) stp_mode: StpMode,
}

impl Taker {
    pub(crate) fn of(orders: &Orders, slot: Slot) -> Taker {
        let terms = orders.terms(slot);
        Taker { slot, time_in_force: terms.time_in_force, stp_mode: terms.stp_mode }
    }
}

/// Who is about to trade with whom.
#[derive(Debug, Clone, Copy)]
struct Meeting {
    taker: Taker,
    maker: Slot,
    instrument: InstrumentId,
    price: Price,
}

/// One order of a trade: what was held for it before, and what its owner pays the venue.
#[derive(Debug, Clone, Copy)]
struct Party {
    slot: Slot,
    held: Amount,
    commission: Amount,
}

/// Is the limit of an order reached at `price`? Market kinds take any.
#[inline]
fn reaches(order: &Order, price: Price) -> bool {
    !order.kind.is_limit() || crosses(order.side, order.price, price)
}

impl Engine {
    #[inline]
    fn prevents(&self, mode: StpMode, taker: AccountId, maker: AccountId) -> bool {
        let group = |account: AccountId| self.venue.accounts[account.0 as usize].trade_group;
        mode != StpMode::None
            && (taker == maker || (group(maker) != 0 && group(taker) == group(maker)))
    }

    /// The mode that applies between two orders of one self: TRANSFER needs both orders to say so,
    /// and two accounts.
    fn effective_mode(&self, mode: StpMode, taker: AccountId, maker: Slot) -> StpMode {
        let transfers = || {
            let is_other = self.orders.get(maker).account != taker;
            is_other && self.orders.terms(maker).stp_mode == StpMode::Transfer
        };
        match mode {
            StpMode::Transfer if !transfers() => StpMode::Decrement,
            mode => mode,
        }
    }

    /// The walk of a market order without effects (§5, affordability).
    pub(crate) fn plan(&self, taker: &OrderRequest, appetite: Appetite) -> Plan {
        let market = self.venue.market(taker.instrument).expect("the instrument was checked");
        let bounds = market.bounds(taker.side, self.now);
        let mut planning = Planning { plan: Plan::default(), appetite, is_touched: false };
        let side = taker.side.opposite();
        for level in market.book.levels(side) {
            let price = level.price;
            if bounds.is_some_and(|bounds| bounds.obstacle(price).is_some()) {
                return planning.stopped_at(price);
            }
            // Icebergs come again behind all others, with their next part.
            let mut again = VecDeque::new();
            for slot in market.book.queue(&self.orders.slab, side, price) {
                let maker = Standing::of(&self.orders, slot);
                match self.plan_meeting(&mut planning, taker, price, maker) {
                    Met::Over => return planning.plan,
                    Met::Again(maker) => again.push_back(maker),
                    Met::Done => {}
                }
            }
            while let Some(maker) = again.pop_front() {
                match self.plan_meeting(&mut planning, taker, price, maker) {
                    Met::Over => return planning.plan,
                    Met::Again(maker) => again.push_back(maker),
                    Met::Done => {}
                }
            }
        }
        planning.plan
    }

    /// A maker may be met again: what its trade cost was cut, so a little more is affordable.
    fn plan_meeting(
        &self,
        planning: &mut Planning,
        taker: &OrderRequest,
        price: Price,
        mut maker: Standing,
    ) -> Met {
        let account = self.orders.get(maker.slot).account;
        let is_self = self.prevents(taker.stp_mode, taker.account, account);
        while !maker.remaining.is_zero() {
            let Some(wanted) = planning.wanted(price) else { return Met::Over };
            let mode = match is_self {
                true => self.effective_mode(taker.stp_mode, taker.account, maker.slot),
                false => StpMode::None,
            };
            let quantity = match mode {
                StpMode::None => wanted.min(maker.shown),
                StpMode::Decrement | StpMode::Transfer => wanted.min(maker.remaining),
                StpMode::ExpireMaker => return Met::Done,
                StpMode::ExpireTaker | StpMode::ExpireBoth => return Met::Over,
            };
            planning.take(quantity, notional(price, quantity), mode != StpMode::Decrement);
            maker.remaining.0 -= quantity.0;
            if mode == StpMode::None {
                maker.shown.0 -= quantity.0;
            }
            maker.shown = maker.shown.min(maker.remaining);
            if maker.shown.is_zero() && !maker.remaining.is_zero() {
                maker.shown = maker.part.min(maker.remaining);
                return Met::Again(maker);
            }
        }
        Met::Done
    }

    /// Can a fill-or-kill order be filled whole? Icebergs count part by part, each in its turn.
    pub(crate) fn is_fillable(&self, taker: Taker) -> bool {
        let order = self.orders.get(taker.slot);
        let market = self.venue.market(order.instrument).expect("the order's instrument exists");
        let bounds = market.bounds(order.side, self.now);
        let stops = |price| bounds.is_some_and(|bounds| bounds.obstacle(price).is_some());
        let side = order.side.opposite();
        let mut missing = order.remaining;
        for level in market.book.levels(side) {
            if missing.is_zero() || !reaches(order, level.price) || stops(level.price) {
                break;
            }
            let mut hidden = 0u64;
            for slot in market.book.queue(&self.orders.slab, side, level.price) {
                if !self.prevents(taker.stp_mode, order.account, self.orders.get(slot).account) {
                    let maker = Standing::of(&self.orders, slot);
                    missing.0 = missing.0.saturating_sub(maker.shown.0);
                    hidden = hidden.saturating_add(maker.remaining.0 - maker.shown.0);
                } else if taker.stp_mode != StpMode::ExpireMaker {
                    // It ends the count; hidden parts come behind it.
                    return missing.is_zero();
                }
            }
            missing.0 = missing.0.saturating_sub(hidden);
        }
        missing.is_zero()
    }

    /// Trades until the order wants no more or nothing crosses. Returns whether it is still open.
    #[inline]
    pub(crate) fn walk(
        &mut self,
        taker: Taker,
        mut appetite: Appetite,
        out: &mut impl EventSink,
    ) -> bool {
        let Order { instrument, account, side, .. } = *self.orders.get(taker.slot);
        let bounds = self.venue.known(instrument).bounds(side, self.now);
        let mut previous_price = None;
        while let Some(maker) = self.venue.known(instrument).book.front(side.opposite()) {
            let Order { price, account: owner, extra, .. } = *self.orders.get(maker);
            let is_reached = reaches(self.orders.get(taker.slot), price);
            if !is_reached || appetite.at(price).is_zero() {
                break;
            }
            if let Some(obstacle) = bounds.and_then(|bounds| bounds.obstacle(price)) {
                self.stop_at(taker, price, obstacle, out);
                return false;
            }
            let meeting = Meeting { taker, maker, instrument, price };
            let open = if self.prevents(taker.stp_mode, account, owner) {
                self.prevent(meeting, &mut appetite, out)
            } else {
                let same_price = previous_price.replace(price) == Some(price);
                if extra != NONE {
                    self.send_other_away(maker, out);
                }
                self.trade(meeting, &mut appetite, same_price, out)
            };
            if !open {
                return false;
            }
        }
        true
    }

    /// A price outside of the range ends the order; one outside of the band ends trading.
    #[cold]
    fn stop_at(
        &mut self,
        taker: Taker,
        price: Price,
        obstacle: Obstacle,
        out: &mut impl EventSink,
    ) {
        let Order { instrument, kind, .. } = *self.orders.get(taker.slot);
        match obstacle {
            Obstacle::PriceRange => self.expire(taker.slot, CloseReason::PriceRange, out),
            Obstacle::Volatility { middle } => {
                self.interrupt(instrument, price, middle, out);
                match kind.is_limit() && taker.time_in_force == TimeInForce::Gtc {
                    true => self.join_auction(taker.slot),
                    false => self.expire(taker.slot, CloseReason::Interrupted, out),
                }
            }
        }
    }

    #[inline]
    fn next_price(&mut self, instrument: InstrumentId, side: Side) -> Option<Price> {
        self.venue.known(instrument).book.best(side)
    }

    /// One trade at the maker's price. Returns whether the taker is still open.
    fn trade(
        &mut self,
        meeting: Meeting,
        appetite: &mut Appetite,
        same_price: bool,
        out: &mut impl EventSink,
    ) -> bool {
        let Meeting { taker: Taker { slot: taker, .. }, maker, instrument, price } = meeting;
        let quantity = appetite.at(price).min(self.orders.shown(maker));
        let quote = notional(price, quantity);
        let trade = self.emit_trade(meeting, quantity, quote, same_price, out);
        let maker_held = self.orders.held(maker);
        let taker_held = self.orders.held(taker);
        let market = self.venue.known(instrument);
        let maker_side = trade.taker_side.opposite();
        let mut level = market.book.reduce(self.orders.get(maker), quantity);
        self.orders.execute(maker, quantity, quote);
        self.orders.execute(taker, quantity, quote);
        let maker_filled = self.orders.get(maker).remaining.is_zero();
        let mut refilled = None;
        if maker_filled {
            level = market.book.remove(&mut self.orders.slab, maker, Quantity::ZERO);
            market.forget_iceberg(&self.orders, maker);
        } else if self.orders.get(maker).extra != NONE {
            refilled = market.refill(&mut self.orders, maker, quantity);
            level = refilled.map_or(level, |(_, level)| level);
        }
        appetite.take(quantity, quote);
        let taker_filled = appetite.is_over(self.next_price(instrument, maker_side));
        let taker_commission = self.emit_filled(taker, false, taker_filled, &trade, out);
        let maker_commission = self.emit_filled(maker, true, maker_filled, &trade, out);
        let parties = [
            Party { slot: maker, held: maker_held, commission: maker_commission },
            Party { slot: taker, held: taker_held, commission: taker_commission },
        ];
        self.settle(parties, trade.taker_side, instrument, (quantity, quote));
        self.emit_trade_balances(maker, taker, out);
        self.tell_lists(parties, [maker_filled, taker_filled], quantity, out);
        if let Some((shown, _)) = refilled {
            let Order { id: order, account, .. } = *self.orders.get(maker);
            out.emit(IcebergRefilled { order, account, instrument, quantity: shown });
        }
        let market = self.venue.known(instrument);
        out.emit(market.book_changed(maker_side, level));
        market.last_trade = Some(price);
        market.average.add(self.now, quantity, quote);
        if market.trading_rules.bucket_width_ms != 0 {
            market.buckets.add(&market.trading_rules, self.now, price);
        }
        self.traded.push((instrument, price));
        if maker_filled {
            self.finish(maker, out);
        }
        if taker_filled {
            self.finish(taker, out);
        }
        !taker_filled
    }

    #[inline(always)]
    fn emit_trade(
        &mut self,
        meeting: Meeting,
        quantity: Quantity,
        quote: Amount,
        same_price: bool,
        out: &mut impl EventSink,
    ) -> Trade {
        let Meeting { taker, maker, instrument, price } = meeting;
        let (taker, maker) = (self.orders.get(taker.slot), self.orders.get(maker));
        let counters = &mut self.venue.known(instrument).counters;
        counters.trade = counters.trade.next();
        if !same_price {
            counters.aggregate = counters.aggregate.next();
        }
        let trade = Trade {
            instrument,
            trade: counters.trade,
            aggregate: counters.aggregate,
            price,
            quantity,
            quote,
            maker_order: maker.id,
            taker_order: taker.id,
            taker_side: taker.side,
        };
        out.emit(trade);
        trade
    }

    /// One side's view of the trade. Returns its commission.
    #[inline(always)]
    fn emit_filled(
        &mut self,
        slot: Slot,
        is_maker: bool,
        filled: bool,
        trade: &Trade,
        out: &mut impl EventSink,
    ) -> Amount {
        let Order { id: order, account, instrument, side, .. } = *self.orders.get(slot);
        let market = self.venue.market(instrument).expect("the order's instrument exists");
        let rates = self.venue.rates_of(account, market);
        let rate = if is_maker { rates.maker } else { rates.taker };
        let (received, commission_asset) = match side {
            Side::Buy => (trade.quantity.into(), market.base),
            Side::Sell => (trade.quote, market.quote),
        };
        let commission = share(received, rate);
        let terms = self.orders.terms(slot);
        let event = OrderFilled {
            order,
            account,
            instrument,
            execution: self.venue.known(instrument).next_execution(),
            trade: trade.trade,
            side,
            is_maker,
            status: if filled { OrderStatus::Filled } else { OrderStatus::PartiallyFilled },
            price: trade.price,
            quantity: trade.quantity,
            cumulative_quantity: terms.executed,
            cumulative_quote: terms.executed_quote,
            commission,
            commission_asset,
        };
        out.emit(event);
        commission
    }

    /// The lists of a trade's orders learn of it, the taker's first.
    #[inline]
    fn tell_lists(
        &mut self,
        parties: [Party; 2],
        filled: [bool; 2],
        quantity: Quantity,
        out: &mut impl EventSink,
    ) {
        let [maker, taker] = parties.map(|party| *self.orders.get(party.slot));
        if maker.extra == NONE && taker.extra == NONE {
            return;
        }
        let is_own = maker.account == taker.account;
        for (Party { slot, commission, .. }, is_filled) in parties.into_iter().zip(filled).rev() {
            self.filled_of_list(slot, ListFill { quantity, commission, is_filled, is_own }, out);
        }
    }

    /// One trade of an uncross (§11): the younger order is the taker, both pay the maker's rate.
    pub(crate) fn trade_in_auction(
        &mut self,
        buyer: Slot,
        seller: Slot,
        price: Price,
        quantity: Quantity,
        out: &mut impl EventSink,
    ) {
        let is_younger = self.orders.get(buyer).id > self.orders.get(seller).id;
        let (taker, maker) = if is_younger { (buyer, seller) } else { (seller, buyer) };
        let instrument = self.orders.get(taker).instrument;
        let taker_of = Taker::of(&self.orders, taker);
        let meeting = Meeting { taker: taker_of, maker, instrument, price };
        let quote = notional(price, quantity);
        let trade = self.emit_trade(meeting, quantity, quote, true, out);
        let held = [maker, taker].map(|slot| self.orders.held(slot));
        let [maker_filled, taker_filled] = [maker, taker].map(|slot| {
            self.take_collected(slot, quantity, quote);
            self.orders.get(slot).remaining.is_zero()
        });
        let taker_commission = self.emit_filled(taker, true, taker_filled, &trade, out);
        let maker_commission = self.emit_filled(maker, true, maker_filled, &trade, out);
        let parties = [
            Party { slot: maker, held: held[0], commission: maker_commission },
            Party { slot: taker, held: held[1], commission: taker_commission },
        ];
        self.settle(parties, trade.taker_side, instrument, (quantity, quote));
        self.emit_trade_balances(maker, taker, out);
        self.venue.known(instrument).average.add(self.now, quantity, quote);
        self.tell_lists(parties, [maker_filled, taker_filled], quantity, out);
        for (slot, filled) in [(maker, maker_filled), (taker, taker_filled)] {
            if filled {
                self.finish(slot, out);
            }
        }
    }

    /// Takes an execution off a collected order; a filled one leaves its place.
    fn take_collected(&mut self, slot: Slot, quantity: Quantity, quote: Amount) {
        let Order { id, instrument, side, phase, .. } = *self.orders.get(slot);
        let shown = self.orders.shown(slot);
        self.orders.execute(slot, quantity, quote);
        let remaining = self.orders.get(slot).remaining;
        let market = self.venue.known(instrument);
        if phase == Phase::Collected {
            if remaining.is_zero()
                && let Some(collection) = &mut market.collection
            {
                collection.side_mut(side).remove(&id);
            }
            return;
        }
        let left = match self.orders.extra_mut(slot).filter(|extra| extra.is_iceberg()) {
            Some(extra) => {
                extra.shown = extra.terms.iceberg.min(remaining);
                extra.shown
            }
            None => remaining,
        };
        market.book.change_shown(self.orders.get(slot), shown, left);
        if remaining.is_zero() {
            market.book.remove(&mut self.orders.slab, slot, Quantity::ZERO);
            market.forget_iceberg(&self.orders, slot);
        }
    }

    /// Moves the money of a trade (§5.3): what is paid, what of it is commission, and what the orders
    /// hold for the rest of them.
    #[inline(always)]
    fn settle(
        &mut self,
        [maker, taker]: [Party; 2],
        taker_side: Side,
        instrument: InstrumentId,
        (quantity, quote): (Quantity, Amount),
    ) {
        let (buyer, seller) = match taker_side {
            Side::Buy => (taker, maker),
            Side::Sell => (maker, taker),
        };
        let market = self.venue.known(instrument);
        let (venue_base, venue_quote) = (market.venue_base, market.venue_quote);
        let owned = |party: Party| self.orders.owned(self.orders.get(party.slot).owner);
        let (of_buyer, of_seller) = (owned(buyer), owned(seller));
        let (from_buyer, from_seller) =
            (self.payment(buyer, quote), self.payment(seller, quantity.into()));
        let quote_leg = Leg {
            payer: of_buyer.quote,
            payee: of_seller.quote,
            venue: venue_quote,
            payment: from_buyer,
            commission: seller.commission,
        };
        let base_leg = Leg {
            payer: of_seller.base,
            payee: of_buyer.base,
            venue: venue_base,
            payment: from_seller,
            commission: buyer.commission,
        };
        self.ledger.settle(&quote_leg);
        self.ledger.settle(&base_leg);
        for (Party { slot, held, .. }, payment) in [(buyer, from_buyer), (seller, from_seller)] {
            if self.orders.get(slot).extra != NONE && payment.pocket == Pocket::Locked {
                self.hold_anew(slot, held - payment.amount);
            }
        }
    }

    /// An order pays from its hold, if its kind holds, and holds what the rule says for what remains.
    /// An order with an extra is held anew apart.
    #[inline(always)]
    fn payment(&self, Party { slot, held, .. }: Party, amount: Amount) -> Payment {
        let order = self.orders.get(slot);
        let holds = order.holds() || (order.extra != NONE && self.orders.holds(slot));
        let pocket = if holds { Pocket::Locked } else { Pocket::Free };
        let hold_change = match holds && order.extra == NONE {
            true => order.hold() - (held - amount),
            false => Amount::ZERO,
        };
        Payment { pocket, amount, hold_change }
    }

    #[inline(always)]
    fn emit_trade_balances(&self, maker: Slot, taker: Slot, out: &mut impl EventSink) {
        let owner = |slot| self.orders.get(slot).owner;
        let (maker, taker) = (self.orders.owned(owner(maker)), self.orders.owned(owner(taker)));
        self.emit_balance(maker.base, out);
        self.emit_balance(maker.quote, out);
        if taker.owner != maker.owner {
            self.emit_balance(taker.base, out);
            self.emit_balance(taker.quote, out);
        }
    }

    /// Self-trade prevention (§6). Returns whether the taker is still open.
    #[cold]
    fn prevent(
        &mut self,
        meeting: Meeting,
        appetite: &mut Appetite,
        out: &mut impl EventSink,
    ) -> bool {
        let Meeting { taker: Taker { slot: taker, stp_mode, .. }, maker, instrument, price } =
            meeting;
        let mode = self.effective_mode(stp_mode, self.orders.get(taker).account, maker);
        let wanted = appetite.at(price);
        let remaining = self.orders.get(maker).remaining;
        let (maker_prevented, taker_prevented) = match mode {
            StpMode::ExpireTaker => (Quantity::ZERO, wanted),
            StpMode::ExpireMaker => (remaining, Quantity::ZERO),
            StpMode::ExpireBoth => (remaining, wanted),
            StpMode::Decrement | StpMode::Transfer => {
                (wanted.min(remaining), wanted.min(remaining))
            }
            StpMode::None => panic!("mode {mode} prevents nothing"),
        };
        if mode == StpMode::Transfer {
            self.send_other_away(maker, out);
        }
        self.emit_prevented(meeting, mode, maker_prevented, taker_prevented, out);
        let mut held = self.orders.held(taker);
        if mode == StpMode::Transfer {
            self.transfer_prevented(meeting, maker_prevented, out);
            held = self.orders.held(taker);
        } else {
            if !maker_prevented.is_zero() {
                self.prevent_maker(maker, maker_prevented, out);
            }
            self.orders.prevent(taker, taker_prevented);
        }
        appetite.take(taker_prevented.min(wanted), notional(price, taker_prevented));
        let maker_side = self.orders.get(taker).side.opposite();
        let is_over = match mode {
            StpMode::ExpireMaker => false,
            StpMode::Decrement | StpMode::Transfer => {
                appetite.is_over(self.next_price(instrument, maker_side))
            }
            _ => true,
        };
        if is_over {
            self.close_prevented(taker, held, out);
        } else if self.hold_anew(taker, held) {
            self.emit_paying_balance(taker, out);
        }
        !is_over
    }

    fn prevent_maker(&mut self, maker: Slot, prevented: Quantity, out: &mut impl EventSink) {
        let held = self.orders.held(maker);
        let level = self.prevent_resting(maker, prevented);
        self.tell_prevented_maker(maker, held, level, out);
    }

    /// Some of a resting order is prevented; what it shows is cut to what remains.
    fn prevent_resting(&mut self, maker: Slot, prevented: Quantity) -> Level {
        let shown = self.orders.shown(maker);
        self.orders.prevent(maker, prevented);
        let left = shown.min(self.orders.get(maker).remaining);
        if let Some(extra) = self.orders.extra_mut(maker) {
            extra.shown = left;
        }
        let order = self.orders.get(maker);
        let book = &mut self.venue.known(order.instrument).book;
        book.reduce(order, Quantity(shown.0 - left.0))
    }

    fn tell_prevented_maker(
        &mut self,
        maker: Slot,
        held: Amount,
        level: Level,
        out: &mut impl EventSink,
    ) {
        let Order { instrument, side, remaining, .. } = *self.orders.get(maker);
        if remaining.is_zero() {
            self.close_prevented(maker, held, out);
            return;
        }
        if self.hold_anew(maker, held) {
            self.emit_paying_balance(maker, out);
        }
        out.emit(self.venue.known(instrument).book_changed(side, level));
    }

    /// TRANSFER: what is prevented changes hands all the same, without commission.
    fn transfer_prevented(
        &mut self,
        meeting: Meeting,
        quantity: Quantity,
        out: &mut impl EventSink,
    ) {
        let Meeting { taker: Taker { slot: taker, .. }, maker, price, .. } = meeting;
        let parties = [maker, taker].map(|slot| {
            let held = self.orders.held(slot);
            Party { slot, held, commission: Amount::ZERO }
        });
        let level = self.prevent_resting(maker, quantity);
        self.orders.prevent(taker, quantity);
        let Order { side, instrument, .. } = *self.orders.get(taker);
        self.settle(parties, side, instrument, (quantity, notional(price, quantity)));
        self.emit_trade_balances(maker, taker, out);
        let held = self.orders.held(maker);
        self.tell_prevented_maker(maker, held, level, out);
    }

    fn close_prevented(&mut self, slot: Slot, held: Amount, out: &mut impl EventSink) {
        let (status, reason) = (OrderStatus::ExpiredInMatch, CloseReason::SelfTrade);
        self.close(slot, held, status, reason, ClientOrderId::EMPTY, out);
    }

    fn emit_prevented(
        &mut self,
        meeting: Meeting,
        mode: StpMode,
        maker_prevented: Quantity,
        taker_prevented: Quantity,
        out: &mut impl EventSink,
    ) {
        let Meeting { taker: Taker { slot: taker, .. }, maker, instrument, price } = meeting;
        let total = |slot, more: Quantity| Quantity(self.orders.terms(slot).prevented.0 + more.0);
        let maker_prevented_total = total(maker, maker_prevented);
        let taker_prevented_total = total(taker, taker_prevented);
        let (taker, maker) = (self.orders.get(taker), self.orders.get(maker));
        let trade_group = self.venue.accounts[maker.account.0 as usize].trade_group;
        let market = self.venue.known(instrument);
        let prevented_match = market.counters.next_prevented;
        market.counters.next_prevented.0 += 1;
        out.emit(MatchPrevented {
            instrument,
            prevented_match,
            mode,
            price,
            maker_order: maker.id,
            taker_order: taker.id,
            maker_account: maker.account,
            taker_account: taker.account,
            trade_group,
            taker_execution: market.next_execution(),
            maker_execution: market.next_execution(),
            maker_prevented,
            taker_prevented,
            maker_prevented_total,
            taker_prevented_total,
        });
    }
}

/// `floor(amount × rate)`, the rate in counts of 10^-8.
fn share(amount: Amount, rate: u32) -> Amount {
    let product = amount.0.unsigned_abs() * u128::from(rate);
    match u64::try_from(product) {
        Ok(product) => Amount(i128::from(product / SCALE)),
        Err(_) => Amount((product / u128::from(SCALE)) as i128),
    }
}
