//! Matching: an order walks the opposite side of the book (docs/rules.md §5 and 6).

use crate::book::crosses;
use crate::engine::Engine;
use crate::ledger::Pocket;
use crate::market::Market;
use crate::orders::{Order, Slot};
use crate::sink::EventSink;
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
                Appetite::Quote { side, rest: new.quantity.into(), step: market.step(), room }
            }
        }
    }

    fn of_order(order: &Order, market: &Market) -> Appetite {
        match order.request.quantity_unit {
            QuantityUnit::Base => Appetite::Base { remaining: order.remaining() },
            QuantityUnit::Quote => Appetite::of_request(&order.request, market),
        }
    }

    /// The quantity wanted at a price.
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

/// Who is about to trade with whom.
#[derive(Debug, Clone, Copy)]
struct Meeting {
    taker: Slot,
    maker: Slot,
    instrument: InstrumentId,
    price: Price,
}

/// Is the limit of an order of this kind reached at `price`? Market kinds take any.
fn reaches(request: &OrderRequest, price: Price) -> bool {
    !request.kind.is_limit() || crosses(request.side, request.price, price)
}

impl Engine {
    fn prevents(&self, taker: &OrderRequest, maker: AccountId) -> bool {
        let group = |account: AccountId| self.venue.accounts[account.0 as usize].trade_group;
        taker.stp_mode != StpMode::None
            && (taker.account == maker
                || (group(maker) != 0 && group(taker.account) == group(maker)))
    }

    /// The walk of a market order without effects (§5, affordability).
    pub(crate) fn plan(&self, taker: &OrderRequest, mut appetite: Appetite) -> Plan {
        let market = self.venue.market(taker.instrument).expect("the instrument was checked");
        let mut plan = Plan::default();
        let mut touched = false;
        for slot in market.book.orders(&self.orders, taker.side.opposite()) {
            let maker = self.orders.get(slot);
            let (price, is_self) =
                (maker.request.price, self.prevents(taker, maker.request.account));
            let mut available = maker.remaining();
            // A maker may be met again: what its trade cost was cut, so a little more is affordable.
            while !available.is_zero() {
                if appetite.is_over(None) {
                    return plan;
                }
                let wanted = appetite.at(price);
                if wanted.is_zero() {
                    plan.not_one_step = !touched;
                    return plan;
                }
                let quantity = wanted.min(available);
                let quote = notional(price, quantity);
                match taker.stp_mode {
                    _ if !is_self => {
                        plan.pays += quote;
                        plan.sells += quantity.into();
                    }
                    StpMode::ExpireMaker => break,
                    StpMode::Decrement => {}
                    _ => return plan,
                }
                touched = true;
                available.0 -= quantity.0;
                appetite.take(quantity, quote);
            }
        }
        plan
    }

    /// Can a fill-or-kill order be filled whole?
    pub(crate) fn is_fillable(&self, taker: &Order) -> bool {
        let request = &taker.request;
        let market = self.venue.market(request.instrument).expect("the order's instrument exists");
        let mut missing = taker.remaining();
        for slot in market.book.orders(&self.orders, request.side.opposite()) {
            let maker = self.orders.get(slot);
            if missing.is_zero() || !reaches(request, maker.request.price) {
                break;
            }
            if !self.prevents(request, maker.request.account) {
                missing.0 = missing.0.saturating_sub(maker.remaining().0);
            } else if request.stp_mode != StpMode::ExpireMaker {
                break;
            }
        }
        missing.is_zero()
    }

    /// Trades until the order wants no more or nothing crosses. Returns whether it is still open.
    pub(crate) fn walk(&mut self, taker: Slot, out: &mut impl EventSink) -> bool {
        let order = self.orders.get(taker);
        let request = order.request;
        let instrument = request.instrument;
        let market = self.venue.known(instrument);
        let mut appetite = Appetite::of_order(order, market);
        let mut previous_price = None;
        while let Some(maker) = self.venue.known(instrument).book.front(request.side.opposite()) {
            let resting = &self.orders.get(maker).request;
            let (price, owner) = (resting.price, resting.account);
            if !reaches(&request, price) || appetite.at(price).is_zero() {
                break;
            }
            let meeting = Meeting { taker, maker, instrument, price };
            let open = if self.prevents(&request, owner) {
                self.prevent(meeting, &mut appetite, out)
            } else {
                let same_price = previous_price.replace(price) == Some(price);
                self.trade(meeting, &mut appetite, same_price, out)
            };
            if !open {
                return false;
            }
        }
        true
    }

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
        let Meeting { taker, maker, instrument, price } = meeting;
        let quantity = appetite.at(price).min(self.orders.get(maker).remaining());
        let quote = notional(price, quantity);
        let trade = self.emit_trade(meeting, quantity, quote, same_price, out);
        for slot in [maker, taker] {
            self.orders.change(slot, |order| {
                order.executed.0 += quantity.0;
                order.executed_quote += quote;
            });
        }
        let maker_side = self.orders.get(maker).request.side;
        let market = self.venue.known(instrument);
        let mut level = market.book.reduce(self.orders.get(maker), quantity);
        let maker_filled = self.orders.get(maker).remaining().is_zero();
        if maker_filled {
            level = market.book.remove(&mut self.orders, maker);
        }
        appetite.take(quantity, quote);
        let taker_filled = appetite.is_over(self.next_price(instrument, maker_side));
        let taker_commission = self.emit_filled(taker, false, taker_filled, &trade, out);
        let maker_commission = self.emit_filled(maker, true, maker_filled, &trade, out);
        self.settle(maker, taker, &trade, maker_commission, taker_commission);
        self.emit_trade_balances(maker, taker, out);
        let market = self.venue.known(instrument);
        out.emit(market.book_changed(maker_side, level));
        market.last_trade = Some(price);
        market.average.add(self.now, quantity, quote);
        self.traded.push((instrument, price));
        if maker_filled {
            self.forget(maker);
        }
        if taker_filled {
            self.forget(taker);
        }
        !taker_filled
    }

    fn emit_trade(
        &mut self,
        meeting: Meeting,
        quantity: Quantity,
        quote: Amount,
        same_price: bool,
        out: &mut impl EventSink,
    ) -> Trade {
        let Meeting { taker, maker, instrument, price } = meeting;
        let (taker, maker) = (self.orders.get(taker), self.orders.get(maker));
        let counters = &mut self.venue.markets[instrument.0 as usize - 1].counters;
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
            taker_side: taker.request.side,
        };
        out.emit(trade);
        trade
    }

    /// One side's view of the trade. Returns its commission.
    fn emit_filled(
        &mut self,
        slot: Slot,
        is_maker: bool,
        filled: bool,
        trade: &Trade,
        out: &mut impl EventSink,
    ) -> Amount {
        let order = self.orders.get(slot);
        let OrderRequest { account, instrument, side, .. } = order.request;
        let market = self.venue.market(instrument).expect("the order's instrument exists");
        let rates = self.venue.rates_of(account, market);
        let rate = if is_maker { rates.maker } else { rates.taker };
        let (received, commission_asset) = match side {
            Side::Buy => (trade.quantity.into(), market.base),
            Side::Sell => (trade.quote, market.quote),
        };
        let commission = share(received, rate);
        let status = if filled { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
        let event = OrderFilled {
            order: order.id,
            account,
            instrument,
            execution: self.venue.known(instrument).next_execution(),
            trade: trade.trade,
            side,
            is_maker,
            status,
            price: trade.price,
            quantity: trade.quantity,
            cumulative_quantity: order.executed,
            cumulative_quote: order.executed_quote,
            commission,
            commission_asset,
        };
        out.emit(event);
        commission
    }

    /// Moves the money of a trade (§5.3).
    fn settle(
        &mut self,
        maker: Slot,
        taker: Slot,
        trade: &Trade,
        maker_commission: Amount,
        taker_commission: Amount,
    ) {
        let parties = [(maker, maker_commission), (taker, taker_commission)];
        let (buyer, seller) = match trade.taker_side {
            Side::Buy => (parties[1], parties[0]),
            Side::Sell => (parties[0], parties[1]),
        };
        let market = self.venue.known(trade.instrument);
        let (base, quote) = (market.base, market.quote);
        let account_of = |orders: &crate::orders::Orders, slot| orders.get(slot).request.account;
        let to_buyer = account_of(&self.orders, buyer.0);
        let to_seller = account_of(&self.orders, seller.0);
        self.pay(buyer.0, quote, to_seller, trade.quote);
        self.pay(seller.0, base, to_buyer, trade.quantity.into());
        let venue = AccountId::VENUE;
        self.ledger.transfer(base, (to_buyer, Pocket::Free), venue, buyer.1);
        self.ledger.transfer(quote, (to_seller, Pocket::Free), venue, seller.1);
    }

    /// An order pays from its hold, if its kind holds, and is held anew for what remains.
    fn pay(&mut self, slot: Slot, asset: AssetId, to: AccountId, amount: Amount) {
        let order = self.orders.get_mut(slot);
        let account = order.request.account;
        if !order.holds() {
            self.ledger.transfer(asset, (account, Pocket::Free), to, amount);
            return;
        }
        order.held -= amount;
        self.ledger.transfer(asset, (account, Pocket::Locked), to, amount);
        self.hold_anew(slot);
    }

    fn emit_trade_balances(&self, maker: Slot, taker: Slot, out: &mut impl EventSink) {
        let (maker, taker) = (&self.orders.get(maker).request, &self.orders.get(taker).request);
        let market = self.venue.market(maker.instrument).expect("the order's instrument exists");
        self.emit_balance(maker.account, market.base, out);
        self.emit_balance(maker.account, market.quote, out);
        if taker.account != maker.account {
            self.emit_balance(taker.account, market.base, out);
            self.emit_balance(taker.account, market.quote, out);
        }
    }

    /// Self-trade prevention (§6). Returns whether the taker is still open.
    fn prevent(
        &mut self,
        meeting: Meeting,
        appetite: &mut Appetite,
        out: &mut impl EventSink,
    ) -> bool {
        let Meeting { taker, maker, instrument, price } = meeting;
        let mode = self.orders.get(taker).request.stp_mode;
        let wanted = appetite.at(price);
        let remaining = self.orders.get(maker).remaining();
        let (maker_prevented, taker_prevented) = match mode {
            StpMode::ExpireTaker => (Quantity::ZERO, wanted),
            StpMode::ExpireMaker => (remaining, Quantity::ZERO),
            StpMode::ExpireBoth => (remaining, wanted),
            StpMode::Decrement => (wanted.min(remaining), wanted.min(remaining)),
            StpMode::None | StpMode::Transfer => panic!("mode {mode} prevents nothing"),
        };
        self.emit_prevented(meeting, maker_prevented, taker_prevented, out);
        if !maker_prevented.is_zero() {
            self.prevent_maker(maker, maker_prevented, out);
        }
        self.orders.change(taker, |order| order.prevented.0 += taker_prevented.0);
        appetite.take(taker_prevented.min(wanted), notional(price, taker_prevented));
        let maker_side = self.orders.get(taker).request.side.opposite();
        let is_over = match mode {
            StpMode::ExpireMaker => false,
            StpMode::Decrement => appetite.is_over(self.next_price(instrument, maker_side)),
            _ => true,
        };
        if is_over {
            self.close_prevented(taker, out);
        } else if self.hold_anew(taker) {
            self.emit_paying_balance(taker, out);
        }
        !is_over
    }

    fn prevent_maker(&mut self, maker: Slot, prevented: Quantity, out: &mut impl EventSink) {
        let request = self.orders.get(maker).request;
        let market = self.venue.known(request.instrument);
        let level = market.book.reduce(self.orders.get(maker), prevented);
        self.orders.change(maker, |order| order.prevented.0 += prevented.0);
        if self.orders.get(maker).remaining().is_zero() {
            self.close_prevented(maker, out);
            return;
        }
        if self.hold_anew(maker) {
            self.emit_paying_balance(maker, out);
        }
        out.emit(self.venue.known(request.instrument).book_changed(request.side, level));
    }

    fn close_prevented(&mut self, slot: Slot, out: &mut impl EventSink) {
        let (status, reason) = (OrderStatus::ExpiredInMatch, CloseReason::SelfTrade);
        self.close(slot, status, reason, ClientOrderId::EMPTY, out);
    }

    fn emit_prevented(
        &mut self,
        meeting: Meeting,
        maker_prevented: Quantity,
        taker_prevented: Quantity,
        out: &mut impl EventSink,
    ) {
        let Meeting { taker, maker, instrument, price } = meeting;
        let (taker, maker) = (self.orders.get(taker), self.orders.get(maker));
        let trade_group = self.venue.accounts[maker.request.account.0 as usize].trade_group;
        let market = self.venue.known(instrument);
        let prevented_match = market.counters.next_prevented;
        market.counters.next_prevented.0 += 1;
        out.emit(MatchPrevented {
            instrument,
            prevented_match,
            mode: taker.request.stp_mode,
            price,
            maker_order: maker.id,
            taker_order: taker.id,
            maker_account: maker.request.account,
            taker_account: taker.request.account,
            trade_group,
            taker_execution: market.next_execution(),
            maker_execution: market.next_execution(),
            maker_prevented,
            taker_prevented,
            maker_prevented_total: Quantity(maker.prevented.0 + maker_prevented.0),
            taker_prevented_total: Quantity(taker.prevented.0 + taker_prevented.0),
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
