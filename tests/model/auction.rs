//! Auctions: their price, what is told of them, and their uncross. (§11)

use super::walk::Print;
use super::*;
use std::cmp::Reverse;

impl Model {
    /// Those that would trade at this price, in the order in which they would.
    fn takers_at(&self, instrument: InstrumentId, side: Side, price: Price) -> Vec<&Order> {
        let collected = self
            .on_instrument(instrument)
            .filter(|it| it.place == Place::Collected && it.request.side == side)
            .filter(|it| side == Side::Sell || it.upper >= price);
        let book = self.book(instrument, side).into_iter().filter(|it| it.reaches(price));
        let mut takers: Vec<&Order> = collected.chain(book).collect();
        if side == Side::Buy {
            // A MARKET BUY goes before the bids that are not above its upper price.
            takers.sort_by_key(|order| Reverse(order.upper.max(order.price())));
        }
        takers
    }

    /// D or S.
    fn wanted_at(&self, instrument: InstrumentId, side: Side, price: Price) -> i128 {
        let takers = self.takers_at(instrument, side, price);
        takers.iter().map(|order| i128::from(order.remaining())).sum()
    }

    /// What would happen if the auction ended now: every price is tried.
    fn indication(&self, instrument: InstrumentId) -> Indication {
        let last = self.last_price(instrument);
        let of_book = self.levels(instrument).into_keys().map(|(_, price)| price);
        let prices: BTreeSet<Price> = of_book.chain(last).collect();
        let demand = |price| self.wanted_at(instrument, Side::Buy, price);
        let supply = |price| self.wanted_at(instrument, Side::Sell, price);
        let mut best: Vec<(Price, i128, i128)> =
            prices.into_iter().map(|price| (price, demand(price), supply(price))).collect();
        let largest = best.iter().map(|(_, d, s)| *d.min(s)).max().unwrap_or(0);
        if largest == 0 {
            return Indication::NONE;
        }
        best.retain(|(_, d, s)| *d.min(s) == largest);
        let smallest = best.iter().map(|(_, d, s)| d.abs_diff(*s)).min();
        best.retain(|(_, d, s)| Some(d.abs_diff(*s)) == smallest);
        // From the lowest price to the highest.
        let (lowest, highest) = (best[0], best[best.len() - 1]);
        let (price, demand, supply) = if best.iter().all(|(_, d, s)| d > s) {
            highest
        } else if best.iter().all(|(_, d, s)| d < s) {
            lowest
        } else {
            // Of two equally near the first is the lower.
            let distance = |price: Price| last.map_or(0, |last| price.0.abs_diff(last.0));
            best.into_iter().min_by_key(|(price, ..)| distance(*price)).unwrap_or(lowest)
        };
        Indication {
            price,
            quantity: demand.min(supply),
            surplus_side: if demand > supply { Side::Buy } else { Side::Sell },
            surplus: (demand - supply).abs(),
            reference: last.unwrap_or(Price::ZERO),
        }
    }

    /// The public depth: what the book shows, or would show after an uncross now.
    fn public_levels(&self, instrument: InstrumentId) -> Levels {
        let mut public = self.levels(instrument);
        if !self.instrument(instrument).collecting {
            return public;
        }
        let indication = self.indication(instrument);
        for side in [Side::Buy, Side::Sell] {
            let mut left = indication.quantity;
            let mut executed: BTreeMap<OrderId, i128> = BTreeMap::new();
            for order in self.takers_at(instrument, side, indication.price) {
                let quantity = left.min(i128::from(order.remaining()));
                left -= quantity;
                executed.insert(order.id, quantity);
            }
            for ((_, price), level) in public.iter_mut().filter(|((it, _), _)| *it == side) {
                let (mut remaining, mut orders) = (0, 0);
                for order in self.book(instrument, side).iter().filter(|it| it.price() == *price) {
                    let executed = executed.get(&order.id).copied().unwrap_or(0);
                    let rest = i128::from(order.remaining()) - executed;
                    remaining += rest;
                    orders += u32::from(rest > 0);
                }
                *level = (level.0.min(remaining), orders);
            }
        }
        public.retain(|_, (_, orders)| *orders > 0);
        public
    }

    /// Tells what an auction would do, if that is new, and of all levels that changed.
    pub(super) fn refresh_with_indication(&mut self, id: InstrumentId) {
        let indication = self.indication(id);
        if indication != self.instrument(id).told_indication {
            self.instrument_mut(id).told_indication = indication;
            let Indication { price, quantity, surplus_side, surplus, reference } = indication;
            self.emit(IndicativeChanged {
                instrument: id,
                price,
                quantity: Amount(quantity),
                surplus_side,
                surplus: Amount(surplus),
                reference,
            });
        }
        self.refresh(id);
    }

    fn refresh(&mut self, id: InstrumentId) {
        let public = self.public_levels(id);
        let told = self.instrument(id).told_levels.clone();
        let mut places: Vec<(Side, Price)> = public.keys().chain(told.keys()).copied().collect();
        places.sort_by_key(|(side, price)| match side {
            Side::Buy => (0, Reverse(*price), *price),
            // All alike but for the price.
            Side::Sell => (1, Reverse(Price::ZERO), *price),
        });
        places.dedup();
        for place in places {
            if public.get(&place) != told.get(&place) {
                let level = public.get(&place).copied().unwrap_or_default();
                self.tell_level(id, place.0, place.1, level);
            }
        }
    }

    /// The auction's end: all that can trade does, at one price.
    pub(super) fn uncross(&mut self, id: InstrumentId) {
        let Indication { price, quantity, .. } = self.indication(id);
        let told = Amount(quantity);
        self.emit(AuctionUncrossed { instrument: id, price, quantity: told });
        let mut left = quantity;
        let mut icebergs: Vec<OrderId> = Vec::new();
        while left > 0 {
            let buyer = self.takers_at(id, Side::Buy, price)[0].id;
            let seller = self.takers_at(id, Side::Sell, price)[0].id;
            self.send_other_away(buyer);
            self.send_other_away(seller);
            let remaining = self.order(buyer).remaining().min(self.order(seller).remaining());
            let (taker, maker) = (buyer.max(seller), buyer.min(seller));
            let quantity = Quantity(remaining.min(left as u64));
            let is_continued = left != told.0;
            let print = Print { taker, maker, price, quantity, is_continued };
            let trade = self.begin_trade(&print);
            let is_filled = self.order(taker).remaining() == 0;
            let both = self.end_trade(&print, trade, is_filled, true);
            both.iter().for_each(|order| self.end_list_of_filled(order));
            left -= i128::from(quantity.0);
            icebergs.extend([buyer, seller]);
        }
        if quantity > 0 {
            self.note_trade(id, price);
        }
        for id in icebergs {
            if let Some(order) = self.orders.get_mut(&id) {
                order.visible = order.terms.iceberg.0.min(order.remaining());
            }
        }
        for side in [Side::Buy, Side::Sell] {
            let open: Vec<OrderId> = self
                .on_instrument(id)
                .filter(|it| it.place == Place::Collected && it.request.side == side)
                .map(|it| it.id)
                .collect();
            for id in open {
                self.expire(id, OrderStatus::Expired, CloseReason::NoLiquidity);
            }
        }
        self.instrument_mut(id).collecting = false;
        self.refresh(id);
    }
}

impl Order {
    /// Would it trade at this price?
    fn reaches(&self, price: Price) -> bool {
        match self.request.side {
            Side::Buy => self.price() >= price,
            Side::Sell => self.price() <= price,
        }
    }
}
