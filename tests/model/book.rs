//! The book, and what the public is told of it. (§4, §10)

use super::*;

impl Model {
    pub(super) fn on_instrument(&self, instrument: InstrumentId) -> impl Iterator<Item = &Order> {
        self.orders.values().filter(move |order| order.request.instrument == instrument)
    }

    /// Resting orders of one side, best price first, oldest first within a price.
    pub(super) fn book(&self, instrument: InstrumentId, side: Side) -> Vec<&Order> {
        let mut resting: Vec<(u64, u64, &Order)> = self
            .on_instrument(instrument)
            .filter(|it| it.request.side == side)
            .filter_map(|order| match (order.place, side) {
                (Place::Resting(arrival), Side::Sell) => Some((order.price().0, arrival, order)),
                (Place::Resting(arrival), Side::Buy) => {
                    Some((u64::MAX - order.price().0, arrival, order))
                }
                _ => None,
            })
            .collect();
        resting.sort_by_key(|(price, arrival, _)| (*price, *arrival));
        resting.into_iter().map(|(_, _, order)| order).collect()
    }

    /// What the book shows of all its levels, as it stands. (§4)
    pub(super) fn levels(&self, instrument: InstrumentId) -> Levels {
        let mut levels = Levels::new();
        for side in [Side::Buy, Side::Sell] {
            for order in self.book(instrument, side) {
                let level = levels.entry((side, order.price())).or_default();
                *level = (level.0 + i128::from(order.shown()), level.1 + 1);
            }
        }
        levels
    }

    /// Tells of a level that changed; nobody is told while the instrument collects. (§11)
    pub(super) fn emit_level(&mut self, instrument: InstrumentId, side: Side, price: Price) {
        if !self.instrument(instrument).collecting {
            let level = self.levels(instrument).get(&(side, price)).copied();
            self.tell_level(instrument, side, price, level.unwrap_or_default());
        }
    }

    pub(super) fn tell_level(
        &mut self,
        instrument: InstrumentId,
        side: Side,
        price: Price,
        (quantity, orders): (i128, u32),
    ) {
        let it = self.instrument_mut(instrument);
        it.updates += 1;
        let update = UpdateId(it.updates);
        match orders {
            0 => it.told_levels.remove(&(side, price)),
            _ => it.told_levels.insert((side, price), (quantity, orders)),
        };
        let quantity = LevelQuantity::new(Amount(quantity));
        self.emit(BookChanged { instrument, update, side, price, quantity, orders });
    }
}
