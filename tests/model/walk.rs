//! The walk of an incoming order through the book (§5), self-trade prevention (§6), triggers (§8).

use super::orders::crosses;
use super::*;
use protocol::instrument::filter;

/// What a market order would do to its owner's balances.
#[derive(Default)]
pub(super) struct Preview {
    /// Σ quantity of its fills.
    pub(super) base: i128,
    /// Σ notional of its fills.
    pub(super) quote: i128,
    /// By quote quantity: the book has an order to trade with, but not one step of it is affordable.
    pub(super) nothing_affordable: bool,
}

/// An incoming order on its way.
struct Walk {
    taker: OrderId,
    /// By quote quantity: what is left of it.
    rest: i128,
    /// Price of the previous trade of this run.
    previous_price: Option<Price>,
}

/// What became of the taker at one maker.
enum Step {
    GoesOn,
    Filled,
    Closed,
}

impl Model {
    /// Runs an order that has just been accepted or triggered, to its end or into the book. (§4.4)
    pub(super) fn run(&mut self, id: OrderId) {
        let request = self.order(id).request;
        self.order_mut(id).place = Place::Running;
        if request.time_in_force == TimeInForce::Fok && !self.fills_whole(id) {
            return self.expire(id, OrderStatus::Expired, CloseReason::FillOrKill);
        }
        if !matches!(self.walk(id), Step::GoesOn) {
            return;
        }
        match request.time_in_force {
            _ if !request.kind.is_limit() => {
                self.expire(id, OrderStatus::Expired, CloseReason::NoLiquidity);
            }
            TimeInForce::Gtc => {
                self.arrivals += 1;
                self.order_mut(id).place = Place::Resting(self.arrivals);
                self.emit_level(request.instrument, request.side, request.price);
            }
            TimeInForce::Ioc | TimeInForce::Fok => {
                self.expire(id, OrderStatus::Expired, CloseReason::ImmediateOrCancel);
            }
        }
    }

    fn expire(&mut self, id: OrderId, status: OrderStatus, reason: CloseReason) {
        self.close(id, status, reason, ClientOrderId::EMPTY);
    }

    /// The best opposite order, if the incoming one crosses it.
    fn next_maker(&self, request: &OrderRequest) -> Option<Order> {
        let best = self.book(request.instrument, request.side.opposite()).first().copied()?;
        crosses(request, best.request.price).then(|| best.clone())
    }

    fn walk(&mut self, taker: OrderId) -> Step {
        let request = self.order(taker).request;
        let rest = i128::from(request.quantity.0);
        let mut walk = Walk { taker, rest, previous_price: None };
        while let Some(maker) = self.next_maker(&request) {
            let wanted = self.wanted(&walk, maker.request.price);
            if wanted == 0 {
                // By quote quantity, behind a maker that prevention took away. *Ours*: it was told
                // that it is not filled, so it expires like one that found nothing.
                return Step::GoesOn;
            }
            let step = match self.is_self_trade(&request, &maker) {
                true => self.prevent(&mut walk, &maker, wanted),
                false => self.trade(&mut walk, &maker, wanted),
            };
            if !matches!(step, Step::GoesOn) {
                return step;
            }
        }
        Step::GoesOn
    }

    /// Base quantity that the incoming order wants of a maker at this price.
    fn wanted(&self, walk: &Walk, price: Price) -> u64 {
        let order = self.order(walk.taker);
        match order.request.quantity_unit {
            QuantityUnit::Base => order.remaining(),
            QuantityUnit::Quote => {
                let counted = order.executed + order.prevented;
                self.wanted_by_quote(&order.request, walk.rest, counted, price)
            }
        }
    }

    /// `counted`: what the order has executed or had prevented so far.
    fn wanted_by_quote(
        &self,
        request: &OrderRequest,
        rest: i128,
        counted: u64,
        price: Price,
    ) -> u64 {
        let (scale, price) = (i128::from(SCALE), i128::from(price.0));
        let most = match request.side {
            Side::Buy => rest * scale / price,
            // The largest x with floor(price × x / 10^8) ≤ rest.
            Side::Sell => ((rest + 1) * scale - 1) / price,
        };
        let most = most.min(i128::from(Quantity::MAX.0 - counted));
        let filters = &self.instrument(request.instrument).definition.filters;
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
    fn wants_no_more(&self, walk: &Walk) -> bool {
        let request = self.order(walk.taker).request;
        match request.quantity_unit {
            QuantityUnit::Base => self.order(walk.taker).remaining() == 0,
            QuantityUnit::Quote => {
                let next = self.next_maker(&request);
                walk.rest == 0 || next.is_some_and(|it| self.wanted(walk, it.request.price) == 0)
            }
        }
    }

    // Trades. (§5)

    fn trade(&mut self, walk: &mut Walk, maker: &Order, wanted: u64) -> Step {
        let taker = self.order(walk.taker).clone();
        let (id, price) = (taker.request.instrument, maker.request.price);
        let quantity = Quantity(wanted.min(maker.remaining()));
        let quote = notional(price, quantity);
        let minute = Stamp(self.now).minute();

        let instrument = self.instrument_mut(id);
        let (base_asset, quote_asset) = (instrument.base, instrument.quote);
        instrument.trades += 1;
        if walk.previous_price != Some(price) {
            instrument.aggregates += 1;
        }
        let trade = TradeId(instrument.trades);
        let aggregate = AggregateTradeId(instrument.aggregates);
        instrument.last_trade = Some(price);
        let sums = instrument.minutes.entry(minute).or_default();
        *sums = (sums.0 + quote.0, sums.1 + i128::from(quantity.0));
        walk.previous_price = Some(price);
        walk.rest -= quote.0;
        self.trades.push_back((id, price));

        self.emit(Trade {
            instrument: id,
            trade,
            aggregate,
            price,
            quantity,
            quote,
            maker_order: maker.id,
            taker_order: walk.taker,
            taker_side: taker.request.side,
        });

        for order in [maker.id, walk.taker] {
            let order = self.order_mut(order);
            order.executed += quantity.0;
            order.executed_quote += quote.0;
        }
        // Whether the taker wants more depends on who is next, so a filled maker is out first.
        let maker_after = self.order(maker.id).clone();
        let maker_filled = maker_after.remaining() == 0;
        self.order_mut(maker.id).place = match maker_filled {
            true => Place::Running,
            false => maker_after.place,
        };
        let taker_filled = self.wants_no_more(walk);
        let taker_after = self.order(walk.taker).clone();

        let maker_commission = self.commission(&maker_after, quantity, quote, true);
        let taker_commission = self.commission(&taker_after, quantity, quote, false);
        let fill = Fill { trade, price, quantity };
        self.emit_fill(&taker_after, fill, false, taker_filled, taker_commission);
        self.emit_fill(&maker_after, fill, true, maker_filled, maker_commission);

        self.settle(&maker_after, quantity, quote, maker_commission);
        self.settle(&taker_after, quantity, quote, taker_commission);
        self.emit_balance(maker.request.account, base_asset);
        self.emit_balance(maker.request.account, quote_asset);
        if taker.request.account != maker.request.account {
            self.emit_balance(taker.request.account, base_asset);
            self.emit_balance(taker.request.account, quote_asset);
        }
        if maker_filled {
            self.orders.remove(&maker.id);
        }
        self.emit_level(id, maker.request.side, price);
        if taker_filled {
            self.orders.remove(&walk.taker);
            return Step::Filled;
        }
        Step::GoesOn
    }

    /// `floor(received × rate)` of the received asset.
    fn commission(&self, order: &Order, base: Quantity, quote: Amount, is_maker: bool) -> i128 {
        let rates = self.rates(order.request.instrument, order.request.account);
        let rate = if is_maker { rates.maker } else { rates.taker };
        let received = match order.request.side {
            Side::Buy => i128::from(base.0),
            Side::Sell => quote.0,
        };
        received * i128::from(rate) / i128::from(SCALE)
    }

    fn emit_fill(
        &mut self,
        order: &Order,
        Fill { trade, price, quantity }: Fill,
        is_maker: bool,
        filled: bool,
        commission: i128,
    ) {
        let OrderRequest { account, instrument, side, .. } = order.request;
        let Instrument { base, quote, .. } = *self.instrument(instrument);
        let status = if filled { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
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
            price,
            quantity,
            cumulative_quantity: Quantity(order.executed),
            cumulative_quote: Amount(order.executed_quote),
            commission: Amount(commission),
            commission_asset: if side == Side::Buy { base } else { quote },
        });
    }

    /// Moves one side's money: out of its hold if it held, else out of what is free.
    fn settle(&mut self, order: &Order, base: Quantity, quote: Amount, commission: i128) {
        let OrderRequest { account, instrument, side, .. } = order.request;
        let instrument = self.instrument(instrument);
        let (gives, takes) = match side {
            Side::Buy => ((instrument.quote, quote.0), (instrument.base, i128::from(base.0))),
            Side::Sell => ((instrument.base, i128::from(base.0)), (instrument.quote, quote.0)),
        };
        self.balance_mut(account, gives.0).free -= gives.1;
        self.balance_mut(account, takes.0).free += takes.1 - commission;
        self.balance_mut(AccountId::VENUE, takes.0).free += commission;
        // What the order held above its new hold is freed, and so pays for what was given.
        self.hold_anew(order.id);
    }

    // Self-trade prevention. (stp_faq.md)

    fn is_self_trade(&self, taker: &OrderRequest, maker: &Order) -> bool {
        let group = self.account(taker.account).trade_group;
        let other_group = self.account(maker.request.account).trade_group;
        let same_self =
            taker.account == maker.request.account || (group != 0 && group == other_group);
        taker.stp_mode != StpMode::None && same_self
    }

    fn prevent(&mut self, walk: &mut Walk, maker: &Order, wanted: u64) -> Step {
        let taker = self.order(walk.taker).clone();
        let (id, mode, price) =
            (taker.request.instrument, taker.request.stp_mode, maker.request.price);
        let smaller = wanted.min(maker.remaining());
        let (maker_prevented, taker_prevented) = match mode {
            StpMode::ExpireTaker => (0, wanted),
            StpMode::ExpireMaker => (maker.remaining(), 0),
            StpMode::ExpireBoth => (maker.remaining(), wanted),
            StpMode::Decrement => (smaller, smaller),
            StpMode::None | StpMode::Transfer => unreachable!("not a mode that prevents"),
        };
        self.order_mut(maker.id).prevented += maker_prevented;
        self.order_mut(walk.taker).prevented += taker_prevented;
        let prevented_match = PreventedMatchId(self.instrument(id).prevented_matches);
        self.instrument_mut(id).prevented_matches += 1;
        let taker_execution = self.next_execution(id);
        let maker_execution = self.next_execution(id);
        self.emit(MatchPrevented {
            instrument: id,
            prevented_match,
            mode,
            price,
            maker_order: maker.id,
            taker_order: walk.taker,
            maker_account: maker.request.account,
            taker_account: taker.request.account,
            trade_group: self.account(taker.request.account).trade_group,
            maker_execution,
            taker_execution,
            maker_prevented: Quantity(maker_prevented),
            taker_prevented: Quantity(taker_prevented),
            maker_prevented_total: Quantity(maker.prevented + maker_prevented),
            taker_prevented_total: Quantity(taker.prevented + taker_prevented),
        });
        let in_match = (OrderStatus::ExpiredInMatch, CloseReason::SelfTrade);
        match mode {
            StpMode::ExpireMaker | StpMode::ExpireBoth => {
                self.expire(maker.id, in_match.0, in_match.1);
            }
            StpMode::Decrement if maker_prevented == maker.remaining() => {
                self.expire(maker.id, in_match.0, in_match.1);
            }
            StpMode::Decrement => {
                self.hold_anew_and_tell(maker.id);
                self.emit_level(id, maker.request.side, price);
            }
            _ => {}
        }
        let taker_closes = match mode {
            StpMode::ExpireTaker | StpMode::ExpireBoth => true,
            StpMode::Decrement => {
                walk.rest -= notional(price, Quantity(smaller)).0;
                self.wants_no_more(walk)
            }
            _ => false,
        };
        if taker_closes {
            self.expire(walk.taker, in_match.0, in_match.1);
            return Step::Closed;
        }
        if mode == StpMode::Decrement {
            self.hold_anew_and_tell(walk.taker);
        }
        Step::GoesOn
    }

    // Looking ahead.

    /// FOK: whether the walk would fill the order. (§5)
    fn fills_whole(&self, id: OrderId) -> bool {
        let order = self.order(id);
        let mut count = 0;
        for maker in self.book(order.request.instrument, order.request.side.opposite()) {
            if !crosses(&order.request, maker.request.price) {
                break;
            }
            match (self.is_self_trade(&order.request, maker), order.request.stp_mode) {
                (false, _) => count += u128::from(maker.remaining()),
                (true, StpMode::ExpireMaker) => {}
                (true, _) => break,
            }
        }
        count >= u128::from(order.remaining())
    }

    /// The walk of a market order without its effects. (§5, "MARKET affordability")
    pub(super) fn preview(&self, request: &OrderRequest) -> Preview {
        let mut preview = Preview::default();
        let by_quote = request.quantity_unit == QuantityUnit::Quote;
        // What is left: of the base quantity, or of the amount.
        let mut left = i128::from(request.quantity.0);
        let (mut counted, mut touched) = (0, false);
        for maker in self.book(request.instrument, request.side.opposite()) {
            let price = maker.request.price;
            let mut available = maker.remaining();
            // One maker may be met again, when what its first fill left of the amount buys a step.
            while available > 0 {
                let wanted = match by_quote {
                    true => self.wanted_by_quote(request, left, counted, price),
                    false => left as u64,
                };
                if wanted == 0 {
                    preview.nothing_affordable = by_quote && !touched;
                    return preview;
                }
                let x = wanted.min(available);
                let quote = notional(price, Quantity(x)).0;
                if !self.is_self_trade(request, maker) {
                    preview.base += i128::from(x);
                    preview.quote += quote;
                } else if request.stp_mode == StpMode::ExpireMaker {
                    break;
                } else if request.stp_mode != StpMode::Decrement {
                    return preview;
                }
                touched = true;
                available -= x;
                counted += x;
                left -= if by_quote { quote } else { i128::from(x) };
            }
        }
        preview
    }

    // Triggers. (§8)

    pub(super) fn run_triggers(&mut self) {
        self.queue_what_is_due();
        let mut passed_over = VecDeque::new();
        while self.events.len() <= EVENTS_MAX {
            let Some(id) = self.queue.pop_front() else { break };
            let Some(order) = self.orders.get(&id) else { continue };
            let status = self.instrument(order.request.instrument).definition.status;
            if status != InstrumentStatus::Trading {
                passed_over.push_back(id);
                continue;
            }
            self.run_triggered(id);
            self.queue_what_is_due();
        }
        passed_over.append(&mut self.queue);
        self.queue = passed_over;
    }

    /// Looks at the trades, in order: what is due joins the queue by order id.
    fn queue_what_is_due(&mut self) {
        while let Some((instrument, price)) = self.trades.pop_front() {
            let due: Vec<OrderId> = self
                .orders
                .values()
                .filter(|it| it.place == Place::Waiting && it.request.instrument == instrument)
                .filter(|it| !self.queue.contains(&it.id))
                .filter(|it| match it.request.kind.fires_on_rise(it.request.side) {
                    true => it.request.stop_price <= price,
                    false => it.request.stop_price >= price,
                })
                .map(|it| it.id)
                .collect();
            self.queue.extend(due);
        }
    }

    fn run_triggered(&mut self, id: OrderId) {
        let request = self.order(id).request;
        let OrderRequest { account, instrument, .. } = request;
        let execution = self.next_execution(instrument);
        self.emit(OrderTriggered { order: id, account, instrument, execution });
        if !request.kind.is_limit() && request.side == Side::Buy {
            // It held nothing while it waited.
            let quote = self.instrument(instrument).quote;
            if self.preview(&request).quote > self.balance(account, quote).free {
                return self.expire(id, OrderStatus::Rejected, CloseReason::InsufficientBalance);
            }
        }
        self.run(id);
    }
}

#[derive(Clone, Copy)]
struct Fill {
    trade: TradeId,
    price: Price,
    quantity: Quantity,
}
