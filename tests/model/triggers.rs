//! What trades set off: the trigger queue, trailing orders, triggered orders. (§8, §4)

use super::*;

impl Model {
    pub(super) fn run_triggers(&mut self) {
        self.look_at_trades();
        let mut passed_over = VecDeque::new();
        while self.events.len() <= EVENTS_MAX {
            let Some(due) = self.queue.pop_front() else { break };
            let instrument = match due {
                Due::Order(id) => self.orders.get(&id).map(|order| order.request.instrument),
                Due::List(id) => self.lists.get(&id).map(|list| list.instrument),
            };
            // What was closed meanwhile is skipped.
            let Some(instrument) = instrument else { continue };
            let status = self.instrument(instrument).definition.status;
            if status != InstrumentStatus::Trading {
                passed_over.push_back(due);
                continue;
            }
            match due {
                Due::Order(id) => self.run_triggered(id),
                Due::List(id) => self.activate(id),
            }
            self.look_at_trades();
        }
        passed_over.append(&mut self.queue);
        self.queue = passed_over;
    }

    fn look_at_trades(&mut self) {
        while let Some((instrument, price)) = self.trades.pop_front() {
            self.look_at_trade(instrument, price);
        }
    }

    /// Starts trailing orders; what is due joins the queue by order id; extremes move.
    fn look_at_trade(&mut self, instrument: InstrumentId, price: Price) {
        let waiting: Vec<Order> = self
            .on_instrument(instrument)
            .filter(|order| order.place == Place::Waiting)
            .filter(|order| !self.queue.contains(&Due::Order(order.id)))
            .cloned()
            .collect();
        for Order { id, request, .. } in waiting.iter().filter(|order| order.starts_at(price)) {
            let OrderRequest { account, instrument, .. } = *request;
            self.order_mut(*id).extreme = Some(price);
            self.emit(TrailingStarted { order: *id, account, instrument, price });
        }
        for order in waiting.iter().filter(|order| order.is_due_at(price)) {
            self.queue.push_back(Due::Order(order.id));
        }
        for order in &waiting {
            if let Some(extreme) = order.extreme {
                self.order_mut(order.id).extreme = Some(match order.request.side {
                    Side::Sell => extreme.max(price),
                    Side::Buy => extreme.min(price),
                });
            }
        }
    }

    fn run_triggered(&mut self, id: OrderId) {
        let OrderRequest { account, instrument, kind, side, .. } = self.order(id).request;
        let execution = self.next_execution(instrument);
        self.emit(OrderTriggered { order: id, account, instrument, execution });
        self.send_other_away(id);
        self.order_mut(id).place = Place::Running;
        if !kind.is_limit() && side == Side::Buy {
            // It held nothing while it waited.
            let order = self.order(id);
            if self.rehearse(order).quote > self.free(order) {
                return self.expire(id, OrderStatus::Rejected, CloseReason::InsufficientBalance);
            }
        }
        if self.order(id).terms.peg == PegPrice::None || self.peg_triggered(id) {
            self.run(id);
        }
    }

    /// A triggered order finds its price. Can it go on?
    fn peg_triggered(&mut self, id: OrderId) -> bool {
        let mut order = self.order(id).clone();
        let OrderRequest { account, instrument, .. } = order.request;
        let found = self.peg_price(&order);
        if let Some(price) = found {
            order.pegged_price = price;
            self.order_mut(id).pegged_price = price;
            self.emit(OrderPegged { order: id, account, instrument, price });
        }
        let checked = match found {
            Some(_) => self.check_by_pegged_price(&order),
            None => Err(RejectReason::NoPegPrice),
        };
        if let Err(reason) = checked {
            self.emit(OrderRefused { order: id, account, instrument, reason });
            self.expire(id, OrderStatus::Rejected, CloseReason::Refused);
            return false;
        }
        if self.free(&order) + order.held < order.need() {
            self.expire(id, OrderStatus::Rejected, CloseReason::InsufficientBalance);
            return false;
        }
        self.hold_anew_and_tell(id);
        true
    }
}

impl Order {
    /// Does a trade at this price make the order follow it?
    fn starts_at(&self, price: Price) -> bool {
        let has_stop = !self.request.stop_price.is_zero();
        self.is_trailing() && self.extreme.is_none() && (!has_stop || self.is_reached_at(price))
    }

    /// Does a trade at this price trigger the order?
    fn is_due_at(&self, price: Price) -> bool {
        if !self.is_trailing() {
            return self.is_reached_at(price);
        }
        let Some(extreme) = self.extreme else { return false };
        let (price, extreme) = (i128::from(price.0), i128::from(extreme.0));
        let delta = i128::from(self.terms.trailing_delta);
        match self.request.side {
            Side::Sell => delta < 10_000 && price * 10_000 <= extreme * (10_000 - delta),
            Side::Buy => price * 10_000 >= extreme * (10_000 + delta),
        }
    }
}
