//! What only an extended market sends: orders with terms, order lists, replaces, mass cancels.

use super::*;

impl Market {
    pub(super) fn extended_command(&mut self, instrument: usize) -> Command {
        match self.random.below(400) {
            0..150 => self.order_with_terms(instrument),
            150..270 => self.order_list(instrument),
            270..300 => self.cancel_list(),
            300..350 => self.replace(),
            350..352 => self.mass_cancel(),
            // More that trades.
            352..380 => self.new_order(instrument, OrderKind::Market),
            _ => self.new_order(instrument, OrderKind::Limit),
        }
    }

    pub(super) fn observe_extended(&mut self, event: &Event) {
        match event {
            Event::OrderAcceptedWithTerms(it)
                if self.accounts.contains(&it.request.account.0)
                    && it.request.instrument.0 <= self.shape.instruments =>
            {
                self.remember(it.order, &it.request);
            }
            Event::OrderActivated(it) => self.set_quantity(it.order, it.quantity),
            Event::OrderReplaced(it) => self.set_quantity(it.order, it.quantity),
            Event::OrderListAccepted(it)
                if self.accounts.contains(&it.account.0)
                    && it.instrument.0 <= self.shape.instruments
                    && self.lists.len() < OPEN_MAX =>
            {
                self.lists.push(OpenList {
                    list: it.list,
                    account: it.account,
                    instrument: it.instrument,
                    client_order_id: it.list_client_order_id,
                });
            }
            Event::OrderListDone(it) => self.lists.retain(|open| open.list != it.list),
            _ => {}
        }
    }

    fn set_quantity(&mut self, order: OrderId, quantity: Quantity) {
        let place = self.places.get(&order);
        if let Some(open) = place.and_then(|&place| self.open.get_mut(place as usize)) {
            open.quantity = quantity;
        }
    }

    // Terms.

    /// Gives the order terms that fit its kind, and takes away what does not go with them.
    pub(super) fn add_terms(&mut self, request: &mut OrderRequest) -> OrderTerms {
        let mut terms = OrderTerms::NONE;
        let kind = request.kind;
        let is_pegged =
            kind.is_limit() && self.random.one_in(if kind.is_contingent() { 2 } else { 3 });
        if kind.is_contingent() && !self.random.one_in(3) {
            // A few ticks of most instruments, a hair of others.
            terms.trailing_delta = self.random.pick(&[1, 5, 20, 100, 300, 1_000]);
            if self.random.one_in(2) {
                request.stop_price = Price::ZERO;
            }
        }
        if is_pegged {
            let is_maker = kind == OrderKind::LimitMaker;
            let is_primary = is_maker || self.random.one_in(2);
            terms.peg = if is_primary { PegPrice::Primary } else { PegPrice::Market };
            terms.peg_level = self.random.pick(&[0, 0, 0, 1, 2, 7]);
            if is_primary && kind == OrderKind::Limit {
                request.time_in_force = TimeInForce::Gtc;
            }
            if !self.random.one_in(4) {
                request.price = Price::ZERO;
            }
        }
        let can_hide = kind.is_limit() && request.time_in_force == TimeInForce::Gtc;
        if can_hide && (!is_pegged || self.random.one_in(3)) {
            terms.iceberg = self.part_of(request.instrument, request.quantity);
        }
        terms
    }

    /// Between a tenth and the whole, in whole steps.
    fn part_of(&mut self, instrument: InstrumentId, quantity: Quantity) -> Quantity {
        let step = template_of(instrument.0 - 1).step;
        let steps = quantity.0 / step;
        let part = steps / 10 + self.random.below(steps.max(1) / 3 + 1) + 1;
        Quantity(part.min(steps.max(1)) * step)
    }

    fn order_with_terms(&mut self, instrument: usize) -> Command {
        let kind = self.random.pick(&[
            OrderKind::Limit,
            OrderKind::Limit,
            OrderKind::Limit,
            OrderKind::LimitMaker,
            OrderKind::StopLoss,
            OrderKind::StopLossLimit,
            OrderKind::StopLossLimit,
            OrderKind::TakeProfit,
            OrderKind::TakeProfitLimit,
            OrderKind::TakeProfitLimit,
        ]);
        let mut request = self.request(instrument, kind);
        let terms = self.add_terms(&mut request);
        let dry_run = self.random.one_in(40);
        NewOrderWithTerms { envelope: Envelope::INTERNAL, request, terms, dry_run }.into()
    }

    fn replace(&mut self) -> Command {
        let Open { order, account, instrument, quantity, .. } = self.some_open();
        let at = instrument.0 as usize - 1;
        let quantity = match self.random.one_in(2) {
            true => quantity,
            false => self.quantity(at),
        };
        let ticks = self.random.below(41) as i64 - 20;
        let price = self.price(at, ticks);
        let envelope = Envelope::INTERNAL;
        ReplaceOrder { envelope, account, instrument, order, price, quantity }.into()
    }

    fn mass_cancel(&mut self) -> Command {
        let account = match self.random.one_in(16) {
            true => AccountId::NONE,
            false => self.account(),
        };
        let instrument = match self.random.one_in(4) {
            true => InstrumentId::NONE,
            false => InstrumentId(self.random.below(self.mids.len() as u64) as u32 + 1),
        };
        let cause = self.random.pick(MassCancelCause::ALL);
        MassCancel { envelope: Envelope::INTERNAL, account, instrument, cause }.into()
    }

    // Lists.

    fn order_list(&mut self, instrument: usize) -> Command {
        let kind = self.random.pick(OrderListKind::ALL);
        let account = self.account();
        let mut orders = [ListedOrder::EMPTY; LISTED_ORDERS_MAX];
        let mut used = 0;
        let mut side = self.random.pick(Side::ALL);
        if kind.has_working_order() {
            orders[0] = self.working(instrument, if kind.pays() { Side::Buy } else { side });
            side = if kind.pays() || self.random.one_in(2) { Side::Sell } else { Side::Buy };
            used = 1;
        }
        match kind.has_pair() {
            true => {
                let [first, second] = self.pair(instrument, side);
                (orders[used], orders[used + 1]) = (first, second);
                used += 2;
            }
            false => {
                orders[used] = self.pending(instrument, side);
                used += 1;
            }
        }
        let list_client_order_id = self.client_order_id();
        let pays = kind.pays();
        for (at, order) in orders[..used].iter_mut().enumerate() {
            order.request.account = account;
            order.request.client_order_id = text(&format!("{list_client_order_id}.{at}"));
            if pays && at > 0 {
                order.request.quantity = Quantity::ZERO;
            }
        }
        NewOrderList {
            envelope: Envelope::INTERNAL,
            account,
            instrument: InstrumentId(instrument as u32 + 1),
            kind,
            list_client_order_id,
            orders,
        }
        .into()
    }

    fn terms_at_times(&mut self, request: &mut OrderRequest) -> OrderTerms {
        match self.random.one_in(3) {
            true => self.add_terms(request),
            false => OrderTerms::NONE,
        }
    }

    /// Half of them trade at once.
    fn working(&mut self, instrument: usize, side: Side) -> ListedOrder {
        let kind = if self.random.one_in(6) { OrderKind::LimitMaker } else { OrderKind::Limit };
        let mut request = self.request(instrument, kind);
        request.side = side;
        let better = if side == Side::Buy { 1 } else { -1 };
        let distance = self.random.below(8) as i64;
        let crosses = kind == OrderKind::Limit && self.random.one_in(2);
        let ticks = if crosses { 2 + distance } else { -1 - distance };
        request.price = self.price(instrument, better * ticks);
        let terms = match self.random.one_in(6) {
            true => self.add_terms(&mut request),
            false => OrderTerms::NONE,
        };
        ListedOrder { request, terms }
    }

    /// Any kind but by quote quantity.
    fn pending(&mut self, instrument: usize, side: Side) -> ListedOrder {
        let kind = self.random.pick(OrderKind::ALL);
        let mut request = self.request(instrument, kind);
        if request.quantity_unit == QuantityUnit::Quote {
            request.quantity_unit = QuantityUnit::Base;
            request.quantity = self.quantity(instrument);
        }
        if request.side != side {
            // What was above the middle belongs below it.
            let middle = self.price(instrument, 0).0;
            let turned = |price: Price| Price((2 * middle).saturating_sub(price.0));
            request.side = side;
            if !request.price.is_zero() {
                request.price = turned(request.price);
            }
            if !request.stop_price.is_zero() {
                request.stop_price = turned(request.stop_price);
            }
        }
        let terms = self.terms_at_times(&mut request);
        ListedOrder { request, terms }
    }

    /// A stop-loss on the one side of the middle and something else on the other.
    fn pair(&mut self, instrument: usize, side: Side) -> [ListedOrder; 2] {
        let first = self.random.pick(&[OrderKind::StopLoss, OrderKind::StopLossLimit]);
        let second = self.random.pick(&[
            OrderKind::LimitMaker,
            OrderKind::LimitMaker,
            OrderKind::TakeProfit,
            OrderKind::TakeProfitLimit,
        ]);
        // Where things get worse for this side.
        let worse = if side == Side::Buy { 1 } else { -1 };
        let quantity = self.quantity(instrument);
        [(first, worse), (second, -worse)].map(|(kind, direction)| {
            let mut request = self.request(instrument, kind);
            (request.side, request.quantity) = (side, quantity);
            let ticks = direction * (2 + self.random.below(12) as i64);
            if kind.is_contingent() {
                request.stop_price = self.price(instrument, ticks);
            }
            if kind.is_limit() {
                let slack = if kind.is_contingent() { self.random.below(9) as i64 - 4 } else { 0 };
                request.price = self.price(instrument, ticks + slack);
            }
            let terms = self.terms_at_times(&mut request);
            ListedOrder { request, terms }
        })
    }

    fn cancel_list(&mut self) -> Command {
        let nothing = OpenList {
            list: OrderListId(1),
            account: self.account(),
            instrument: InstrumentId(1),
            client_order_id: text("no-list-is-open"),
        };
        let at = self.random.below(self.lists.len().max(1) as u64) as usize;
        let open = self.lists.get(at).copied().unwrap_or(nothing);
        let by_id = !self.random.one_in(3);
        let by_name = !by_id || self.random.one_in(3);
        CancelOrderList {
            envelope: Envelope::INTERNAL,
            account: open.account,
            instrument: open.instrument,
            list: if by_id { open.list } else { OrderListId::NONE },
            list_client_order_id: if by_name { open.client_order_id } else { ClientOrderId::EMPTY },
            cancel_client_order_id: match self.random.one_in(2) {
                true => self.client_order_id(),
                false => ClientOrderId::EMPTY,
            },
        }
        .into()
    }

    // Bad commands.

    pub(super) fn spoil_extended(
        &mut self,
        command: &mut Command,
        number: u64,
        id: u32,
        order: OrderId,
    ) {
        let choice = self.random.below(8);
        match command {
            Command::NewOrderWithTerms(it) => match choice {
                0..4 => self.spoil_terms(&mut it.terms, number),
                _ => self.spoil_request(&mut it.request, number, id),
            },
            Command::ReplaceOrder(it) => match choice {
                0 => it.instrument = InstrumentId(id),
                1 => it.account = AccountId(id),
                2 | 3 => it.order = order,
                4 | 5 => it.price = Price(number),
                _ => it.quantity = Quantity(number),
            },
            Command::MassCancel(it) => match choice {
                0..4 => it.account = AccountId(id),
                _ => it.instrument = InstrumentId(id),
            },
            Command::CancelOrderList(it) => match choice {
                0 => it.instrument = InstrumentId(id),
                1 => it.account = AccountId(id),
                2 | 3 => it.list = OrderListId(number),
                4 | 5 => it.list_client_order_id = text("another"),
                _ => it.list_client_order_id = ClientOrderId::EMPTY,
            },
            Command::NewOrderList(it) => self.spoil_list(it, number, id),
            _ => {}
        }
    }

    fn spoil_terms(&mut self, terms: &mut OrderTerms, number: u64) {
        match self.random.below(8) {
            0 => terms.iceberg = Quantity(number),
            1 => terms.iceberg = Quantity(terms.iceberg.0 + 1),
            2 => terms.iceberg = Quantity(terms.iceberg.0.saturating_mul(50)),
            3 => terms.trailing_delta = number as u32,
            4 => terms.trailing_delta = self.random.pick(&[1, 9_999, 10_000, 20_000, u32::MAX]),
            5 => terms.peg = self.random.pick(PegPrice::ALL),
            6 => terms.peg_level = self.random.pick(&[3, 50, 100, 101, 255]),
            _ => (terms.peg, terms.peg_level) = (PegPrice::Market, 0),
        }
    }

    fn spoil_list(&mut self, list: &mut NewOrderList, number: u64, id: u32) {
        let at = self.random.below(LISTED_ORDERS_MAX as u64) as usize;
        let other = self.random.below(LISTED_ORDERS_MAX as u64) as usize;
        let name = list.orders[other].request.client_order_id;
        let price = list.orders[other].request.price;
        let listed = &mut list.orders[at];
        match self.random.below(18) {
            0 => list.instrument = InstrumentId(id),
            1 => list.account = AccountId(id),
            2 => list.list_client_order_id = ClientOrderId::EMPTY,
            3..6 => {
                let known = self.lists.last().copied();
                if let Some(known) = known {
                    (list.account, list.instrument) = (known.account, known.instrument);
                    list.list_client_order_id = known.client_order_id;
                    for order in &mut list.orders[..list.kind.orders()] {
                        order.request.account = known.account;
                        order.request.instrument = known.instrument;
                    }
                }
            }
            6 => list.kind = self.random.pick(OrderListKind::ALL),
            7 => listed.request.side = listed.request.side.opposite(),
            8 => listed.request.quantity = Quantity(listed.request.quantity.0 + 1),
            9 => listed.request.client_order_id = name,
            10 => listed.request.kind = self.random.pick(OrderKind::ALL),
            11 => listed.request.price = price,
            12 => listed.request.stop_price = price,
            13 => *listed = ListedOrder::EMPTY,
            14 => self.spoil_terms(&mut listed.terms, number),
            _ => self.spoil_request(&mut listed.request, number, id),
        }
    }
}
