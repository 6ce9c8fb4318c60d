//! At the end of an event: the engine's book is compared with what the rows show, and is entered
//! anew where it must be.

use super::format::{Place, quantity};
use super::queues::Resting;
use super::replay::Replay;
use protocol::{Amount, OrderId, Price, Quantity, Side, notional};
use std::collections::BTreeSet;

impl Replay {
    /// The engine has no book until the exchange's is one of continuous trading again.
    pub(super) fn suspend(&mut self) {
        if !self.is_entered {
            return;
        }
        self.is_entered = false;
        self.tally.suspensions += 1;
        self.ids.clear();
        if self.venue.has_open_orders() {
            self.venue.cancel_all(self.maker);
        }
    }

    /// The event has ended: the engine's book must be the exchange's.
    pub(super) fn settle(&mut self, place: Place) {
        if !self.is_entered {
            if self.queues.is_crossed() {
                self.tally.suspended_events += 1;
                self.touched.clear();
                return;
            }
            self.enter_all();
            self.touch_all();
        }
        self.tally.events_compared += 1;
        self.compare(place);
    }

    fn enter_all(&mut self) {
        self.is_entered = true;
        for (side, price, resting) in self.queues.by_arrival() {
            self.enter_anew(side, price, resting);
        }
    }

    fn touch_all(&mut self) {
        for side in [Side::Buy, Side::Sell] {
            self.touched.extend(self.shown.prices(side).map(|price| (side, price)));
            self.touched.extend(self.queues.levels(side).map(|(price, _)| (side, price)));
            self.touched.extend(self.venue.book.levels(side).map(|(price, _)| (side, price)));
        }
    }

    /// Compares the whole book once more.
    pub(super) fn finish(&mut self, place: Place) {
        if self.is_entered {
            self.touch_all();
            self.compare(place);
        }
        self.venue.check_invariants();
    }

    fn compare(&mut self, place: Place) {
        for (side, price) in std::mem::take(&mut self.touched) {
            if !self.is_entered {
                break;
            }
            self.tally.levels_compared += 1;
            let told = self.venue.queue(side, Price(price));
            let orders = self.queues.queue(side, price);
            let in_turn = orders.map(|it| (it.order, quantity(it.remaining)));
            let is_equal = in_turn.eq(told.iter().copied()) && self.is_shown(side, price, &told);
            if !is_equal {
                self.tally.levels_differ.add(|| format!("{place}: {side} {}", Price(price)));
                self.adopt(side, price);
            }
        }
        self.touched.clear();
    }

    /// Are these the orders that the rows show, and is their sum what the events tell?
    fn is_shown(&self, side: Side, price: u64, told: &[(OrderId, Quantity)]) -> bool {
        let of_exchange = |(order, quantity): &(OrderId, Quantity)| {
            self.ids.get(order).map(|id| (*id, *quantity))
        };
        let mut ours: Vec<_> = told.iter().map(of_exchange).collect();
        ours.sort_unstable();
        let shown = self.shown.level(side, price).into_iter().flatten();
        let sum = told.iter().fold(Amount::ZERO, |sum, it| sum + it.1.into());
        let level = self.venue.book.get(side, price).copied().unwrap_or(Amount::ZERO);
        ours.into_iter().eq(shown.map(|(id, size)| Some((*id, quantity(*size))))) && level == sum
    }

    /// Takes the level from the rows, so that one difference is one line.
    fn adopt(&mut self, side: Side, price: u64) {
        let queued: Vec<u64> = self.queues.queue(side, price).map(|it| it.id).collect();
        for id in &queued {
            self.queues.remove(*id);
        }
        let shown = self.shown.level(side, price).cloned().unwrap_or_default();
        let known: BTreeSet<u64> = queued.iter().copied().collect();
        let others = shown.keys().copied().filter(|id| !known.contains(id));
        for id in queued.iter().copied().chain(others) {
            if let Some(&size) = shown.get(&id) {
                self.remove(id);
                let resting =
                    Resting { id, order: OrderId::NONE, remaining: size, executed: 0, arrival: 0 };
                self.queues.push(side, price, resting);
            }
        }
        match self.queues.is_crossed() {
            true => self.suspend(),
            false => self.enter_level(side, price),
        }
    }

    /// Enters the level anew, as the queues have it.
    pub(super) fn enter_level(&mut self, side: Side, price: u64) {
        if !self.is_entered {
            return;
        }
        self.tally.levels_anew += 1;
        for (order, _) in self.venue.queue(side, Price(price)) {
            self.ids.remove(&order);
            self.venue.cancel(self.maker, order);
        }
        let queue: Vec<Resting> = self.queues.queue(side, price).copied().collect();
        for resting in queue {
            self.enter_anew(side, price, resting);
        }
    }

    /// What the open orders must hold, of base and quote.
    pub(super) fn held(&self) -> (Amount, Amount) {
        let (mut base, mut quote) = (Amount::ZERO, Amount::ZERO);
        for (side, price, resting) in self.queues.by_arrival() {
            match side {
                _ if !self.is_entered => (),
                Side::Sell => base += quantity(resting.remaining).into(),
                Side::Buy => quote += notional(Price(price), quantity(resting.remaining)),
            }
        }
        (base, quote)
    }

    /// Gives an order of the queues to the engine, which does not have it.
    fn enter_anew(&mut self, side: Side, price: u64, resting: Resting) {
        let order = self.place(side, Price(price), resting.remaining);
        self.ids.insert(order, resting.id);
        if let Some(resting) = self.queues.get_mut(resting.id) {
            (resting.order, resting.executed) = (order, 0);
        }
    }
}
