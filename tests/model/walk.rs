//! The walk of an incoming order through the book. (§5)

use super::prices::{is_far, is_outside};
use super::*;
use protocol::instrument::filter;

/// What a walk would do, if it were walked.
pub(super) struct Rehearsed {
    /// Σ quantity of its fills.
    pub(super) base: i128,
    /// Σ notional of its fills.
    pub(super) quote: i128,
    pub(super) is_filled: bool,
    /// By quote quantity: the book has an order to trade with, but not one step of it is affordable.
    pub(super) nothing_affordable: bool,
}

/// An incoming order on its way.
pub(super) struct Walk {
    pub(super) taker: OrderId,
    /// By quote quantity: what is left of it.
    pub(super) rest: i128,
    /// Price of the previous trade of this run.
    previous_price: Option<Price>,
}

/// What became of the taker at one maker.
#[derive(PartialEq)]
pub(super) enum Step {
    GoesOn,
    Filled,
    /// Closed, or interrupted and in the book.
    Stopped,
}

/// Two orders and what they exchange.
pub(super) struct Print {
    pub(super) taker: OrderId,
    pub(super) maker: OrderId,
    pub(super) price: Price,
    pub(super) quantity: Quantity,
    /// As one more print of the same aggregate.
    pub(super) is_continued: bool,
}

/// More than any balance that there can be.
const PLENTY: i128 = Amount::MAX.0;

impl Model {
    /// Runs an order that begins to work, to its end or into the book. (§4.4)
    pub(super) fn run(&mut self, id: OrderId) {
        let OrderRequest { kind, time_in_force, .. } = self.order(id).request;
        self.order_mut(id).place = Place::Running;
        if time_in_force == TimeInForce::Fok && !self.rehearse(self.order(id)).is_filled {
            return self.expire(id, OrderStatus::Expired, CloseReason::FillOrKill);
        }
        if self.walk(id) != Step::GoesOn {
            return;
        }
        match time_in_force {
            _ if !kind.is_limit() => {
                self.expire(id, OrderStatus::Expired, CloseReason::NoLiquidity);
            }
            TimeInForce::Gtc => self.rest(id),
            TimeInForce::Ioc | TimeInForce::Fok => {
                self.expire(id, OrderStatus::Expired, CloseReason::ImmediateOrCancel);
            }
        }
    }

    /// The best opposite order, if the incoming one crosses it.
    fn next_maker(&self, taker: &Order) -> Option<Order> {
        let OrderRequest { instrument, side, .. } = taker.request;
        let best = self.book(instrument, side.opposite()).first().copied()?;
        taker.crosses(best.price()).then(|| best.clone())
    }

    fn walk(&mut self, id: OrderId) -> Step {
        let taker = self.order(id).clone();
        let OrderRequest { instrument, side, quantity, .. } = taker.request;
        let mut walk = Walk { taker: id, rest: i128::from(quantity.0), previous_price: None };
        // "When an order enters its taker phase, the reference price is recalculated."
        let reference = self.reference_price(instrument);
        let rules = self.instrument(instrument).trading_rules;
        let (up, down) = match side {
            Side::Buy => (rules.bid_limit_up, rules.bid_limit_down),
            Side::Sell => (rules.ask_limit_up, rules.ask_limit_down),
        };
        let middle = self.middle(instrument);
        while let Some(maker) = self.next_maker(&taker) {
            let price = maker.price();
            let wanted = self.wanted(&walk, price);
            if wanted == 0 {
                // By quote quantity, behind a maker that prevention took away. *Ours*: it was told
                // that it is not filled, so it expires like one that found nothing.
                return Step::GoesOn;
            }
            if reference.is_some_and(|reference| is_outside(price, reference, up, down)) {
                self.expire(id, OrderStatus::Expired, CloseReason::PriceRange);
                return Step::Stopped;
            }
            if let Some(middle) = middle.filter(|it| is_far(price, *it, rules.volatility_band)) {
                self.interrupt(id, price, middle);
                return Step::Stopped;
            }
            let step = match self.is_self_trade(&taker, &maker) {
                true => self.prevent(&mut walk, maker.id, wanted),
                false => self.trade(&mut walk, maker.id, wanted),
            };
            if step != Step::GoesOn {
                return step;
            }
        }
        Step::GoesOn
    }

    /// Base quantity that the incoming order wants of a maker at this price.
    fn wanted(&self, walk: &Walk, price: Price) -> u64 {
        let order = self.order(walk.taker);
        if order.request.quantity_unit == QuantityUnit::Base {
            return order.remaining();
        }
        let (scale, price) = (i128::from(SCALE), i128::from(price.0));
        let most = match order.request.side {
            Side::Buy => walk.rest * scale / price,
            // The largest x with floor(price × x / 10^8) ≤ rest.
            Side::Sell => ((walk.rest + 1) * scale - 1) / price,
        };
        let counted = order.executed + order.prevented;
        let most = most.min(i128::from(Quantity::MAX.0 - counted));
        let filters = &self.instrument(order.request.instrument).definition.filters;
        let step = i128::from(filters.lot_size.step.0);
        let whole_steps = match filters.has(filter::LOT_SIZE) && step != 0 {
            true => most / step * step,
            false => most,
        };
        // *Ours*: what would cost nothing is not wanted. Below a price of 1 a last unit of `rest`
        // would otherwise take the whole book, a few units at a time, for nothing.
        let costs = whole_steps * price / scale;
        if costs == 0 { 0 } else { whole_steps as u64 }
    }

    /// §5.2: by base quantity nothing remains; by quote quantity nothing is left or the next maker
    /// is too dear.
    pub(super) fn wants_no_more(&self, walk: &Walk) -> bool {
        let order = self.order(walk.taker);
        match order.request.quantity_unit {
            QuantityUnit::Base => order.remaining() == 0,
            QuantityUnit::Quote => {
                let next = self.next_maker(order);
                walk.rest == 0 || next.is_some_and(|it| self.wanted(walk, it.price()) == 0)
            }
        }
    }

    /// FOK's count (§5) and what a MARKET order would pay or sell (§3.15): a copy of everything is
    /// walked, with all the money there could be.
    pub(super) fn rehearse(&self, order: &Order) -> Rehearsed {
        let mut copy = self.clone();
        copy.events.clear();
        let Instrument { base, quote, .. } = *self.instrument(order.request.instrument);
        copy.balance_mut(order.request.account, base).free += PLENTY;
        copy.balance_mut(order.request.account, quote).free += PLENTY;
        copy.orders.insert(order.id, order.clone());
        let step = copy.walk(order.id);
        let nothing_affordable = step == Step::GoesOn && {
            // The book was not walked empty, and the order did nothing.
            let order = copy.order(order.id);
            let by_quote = order.request.quantity_unit == QuantityUnit::Quote;
            by_quote && order.executed + order.prevented == 0 && copy.next_maker(order).is_some()
        };
        let is_prevented = |event: &Event| matches!(event, Event::MatchPrevented(it) if !it.taker_prevented.is_zero());
        // What was prevented is not filled, whatever became of the rest.
        let is_filled = step == Step::Filled && !copy.events.iter().any(is_prevented);
        let mut rehearsed = Rehearsed { base: 0, quote: 0, is_filled, nothing_affordable };
        for event in &copy.events {
            let (taker, quantity, price) = match event {
                Event::Trade(it) => (it.taker_order, it.quantity, it.price),
                Event::MatchPrevented(it) if it.mode == StpMode::Transfer => {
                    (it.taker_order, it.taker_prevented, it.price)
                }
                _ => continue,
            };
            assert_eq!(taker, order.id, "only one walks");
            rehearsed.base += i128::from(quantity.0);
            rehearsed.quote += notional(price, quantity).0;
        }
        rehearsed
    }

    // Trades.

    fn trade(&mut self, walk: &mut Walk, maker: OrderId, wanted: u64) -> Step {
        self.send_other_away(maker);
        let before = self.order(maker).clone();
        let price = before.price();
        let quantity = Quantity(wanted.min(before.shown()));
        let is_continued = walk.previous_price == Some(price);
        let print = Print { taker: walk.taker, maker, price, quantity, is_continued };
        let trade = self.begin_trade(&print);
        self.note_trade(before.request.instrument, price);
        walk.previous_price = Some(price);
        walk.rest -= notional(price, quantity).0;
        // Whether the taker wants more depends on who is next: a filled maker is out already.
        let is_filled = self.wants_no_more(walk);
        let both = self.end_trade(&print, trade, is_filled, false);
        self.refill(maker);
        self.emit_level(before.request.instrument, before.request.side, price);
        both.iter().for_each(|order| self.end_list_of_filled(order));
        if is_filled { Step::Filled } else { Step::GoesOn }
    }

    /// The public fact, and what each of the two has executed. (§5.1)
    pub(super) fn begin_trade(&mut self, print: &Print) -> TradeId {
        let Print { taker, maker, price, quantity, is_continued } = *print;
        let quote = notional(price, quantity);
        let OrderRequest { instrument: id, side: taker_side, .. } = self.order(taker).request;
        let minute = Stamp(self.now).minute();
        let instrument = self.instrument_mut(id);
        instrument.trades += 1;
        instrument.aggregates += u64::from(!is_continued);
        instrument.last_trade = Some(price);
        let sums = instrument.minutes.entry(minute).or_default();
        *sums = (sums.0 + quote.0, sums.1 + i128::from(quantity.0));
        let trade = TradeId(instrument.trades);
        let aggregate = AggregateTradeId(instrument.aggregates);
        self.emit(Trade {
            instrument: id,
            trade,
            aggregate,
            price,
            quantity,
            quote,
            maker_order: maker,
            taker_order: taker,
            taker_side,
        });
        for id in [maker, taker] {
            let order = self.order_mut(id);
            order.executed += quantity.0;
            order.executed_quote += quote.0;
            let order = order.clone();
            self.note_fill(&order, quantity.0);
        }
        let maker = self.order_mut(maker);
        maker.visible = maker.visible.saturating_sub(quantity.0);
        if maker.remaining() == 0 {
            maker.place = Place::Running;
        }
        trade
    }

    /// Fills, money, and what leaves; gives the maker and the taker. (§5.2 to 5)
    pub(super) fn end_trade(
        &mut self,
        print: &Print,
        trade: TradeId,
        taker_is_filled: bool,
        is_auction: bool,
    ) -> [Order; 2] {
        let (taker, maker) = (self.order(print.taker).clone(), self.order(print.maker).clone());
        let maker_is_filled = maker.remaining() == 0;
        let taker_commission = self.commission(&taker, print, is_auction);
        let maker_commission = self.commission(&maker, print, true);
        self.emit_fill(&taker, print, trade, is_auction, taker_is_filled, taker_commission);
        self.emit_fill(&maker, print, trade, true, maker_is_filled, maker_commission);

        self.settle(&maker, print.price, print.quantity, maker_commission);
        self.settle(&taker, print.price, print.quantity, taker_commission);
        self.emit_balances_of_both(&taker, &maker);
        for (order, commission) in [(&taker, taker_commission), (&maker, maker_commission)] {
            let is_own = taker.request.account == maker.request.account;
            self.pay(order, print.quantity.0, commission, is_own);
        }
        for (order, is_filled) in [(&taker, taker_is_filled), (&maker, maker_is_filled)] {
            if is_filled {
                self.orders.remove(&order.id);
                self.note_filled(order);
            }
        }
        [maker, taker]
    }

    /// An iceberg whose shown part is used up shows its next one, behind all others. (§5.6)
    fn refill(&mut self, id: OrderId) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        if !order.is_iceberg() || order.visible > 0 {
            return;
        }
        self.arrivals += 1;
        order.place = Place::Resting(self.arrivals);
        order.visible = order.terms.iceberg.0.min(order.remaining());
        let OrderRequest { account, instrument, .. } = order.request;
        let quantity = Quantity(order.visible);
        self.emit(IcebergRefilled { order: id, account, instrument, quantity });
    }

    /// `floor(received × rate)` of the received asset.
    fn commission(&self, order: &Order, print: &Print, is_maker: bool) -> i128 {
        let rates = self.rates(order.request.instrument, order.request.account);
        let rate = if is_maker { rates.maker } else { rates.taker };
        let received = match order.request.side {
            Side::Buy => i128::from(print.quantity.0),
            Side::Sell => notional(print.price, print.quantity).0,
        };
        received * i128::from(rate) / i128::from(SCALE)
    }

    fn emit_fill(
        &mut self,
        order: &Order,
        print: &Print,
        trade: TradeId,
        is_maker: bool,
        is_filled: bool,
        commission: i128,
    ) {
        let OrderRequest { account, instrument, side, .. } = order.request;
        let Instrument { base, quote, .. } = *self.instrument(instrument);
        let status = if is_filled { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
        let execution = self.next_execution(instrument);
        self.emit(OrderFilled {
            order: order.id,
            account,
            instrument,
            execution,
            trade,
            side,
            is_maker,
            status,
            price: print.price,
            quantity: print.quantity,
            cumulative_quantity: Quantity(order.executed),
            cumulative_quote: Amount(order.executed_quote),
            commission: Amount(commission),
            commission_asset: if side == Side::Buy { base } else { quote },
        });
    }
}
