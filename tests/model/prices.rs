//! Prices that rules use. (§9)

use super::*;

impl Model {
    pub(super) fn last_price(&self, instrument: InstrumentId) -> Option<Price> {
        let instrument = self.instrument(instrument);
        let reference = instrument.definition.reference_price;
        instrument.last_trade.or((!reference.is_zero()).then_some(reference))
    }

    pub(super) fn average_price(&self, instrument: InstrumentId, minutes: u32) -> Option<Price> {
        let (now, minutes) = (Stamp(self.now).minute(), u64::from(minutes));
        let (mut quote, mut quantity) = (0, 0);
        for (minute, sums) in &self.instrument(instrument).minutes {
            // Whether `minute` is one of now − minutes + 1 … now.
            if *minute <= now && now < minute + minutes {
                quote += sums.0;
                quantity += sums.1;
            }
        }
        if quantity == 0 {
            return self.last_price(instrument);
        }
        // floor(quote × 10^8 / quantity), without leaving 128 bits.
        let scale = i128::from(SCALE);
        let average = quote / quantity * scale + quote % quantity * scale / quantity;
        Some(Price(average as u64))
    }

    /// price_range_execution_rules.md: the external one, else the mean of the buckets, of which the
    /// oldest counts with the part of it that is still in the window.
    pub(super) fn reference_price(&self, instrument: InstrumentId) -> Option<Price> {
        let Instrument { trading_rules: rules, reference_trades, .. } = self.instrument(instrument);
        if !rules.external_reference.is_zero() {
            return Some(rules.external_reference);
        }
        let width = i128::from(rules.bucket_width_ms);
        if width == 0 {
            return None;
        }
        let now_ms = i128::from(self.now / MILLISECOND_NS);
        let cutoff = now_ms - i128::from(rules.bucket_count) * width;
        let mut buckets: BTreeMap<i128, (i128, i128)> = BTreeMap::new();
        for (ms, price) in reference_trades.iter().rev() {
            let open = i128::from(*ms) / width * width;
            if open + width <= cutoff {
                break;
            }
            let bucket = buckets.entry(open).or_default();
            *bucket = (bucket.0 + 10_000, bucket.1 + i128::from(price.0) * 10_000);
        }
        let (mut count, mut sum) = (0, 0);
        for (open, bucket) in buckets {
            let inside = width.min(open + width - cutoff);
            count += bucket.0 * inside / width;
            sum += bucket.1 * inside / width;
        }
        let largest = i128::from(Price::MAX.0);
        (count != 0).then(|| Price((sum / count).min(largest) as u64))
    }

    /// filters.md: the reference price goes before the average.
    pub(super) fn filter_price(&self, instrument: InstrumentId, minutes: u32) -> Option<Price> {
        self.reference_price(instrument).or_else(|| self.average_price(instrument, minutes))
    }

    /// The price of the level so many places behind the best one of the side that the peg follows.
    pub(super) fn peg_price(&self, order: &Order) -> Option<Price> {
        let OrderRequest { instrument, side, .. } = order.request;
        let followed = match order.terms.peg {
            PegPrice::None => return None,
            PegPrice::Primary => side,
            PegPrice::Market => side.opposite(),
        };
        let mut prices: Vec<Price> =
            self.book(instrument, followed).iter().map(|it| it.price()).collect();
        prices.dedup();
        prices.get(usize::from(order.terms.peg_level)).copied()
    }

    /// A trade, or the one print of an auction, counts for last price and reference price and is
    /// looked at for triggers later.
    pub(super) fn note_trade(&mut self, instrument: InstrumentId, price: Price) {
        let ms = self.now / MILLISECOND_NS;
        self.instrument_mut(instrument).reference_trades.push((ms, price));
        self.trades.push_back((instrument, price));
    }
}

/// `floor(price × multiplier)`, cut to MAX; the multiplier counts 10^-8.
pub(super) fn multiplied(price: Price, multiplier: u64) -> Price {
    let product = u128::from(price.0) * u128::from(multiplier) / u128::from(SCALE);
    Price(product.min(u128::from(Price::MAX.0)) as u64)
}

/// Is `price × 10^8` above `base × up` or below `base × down`? A multiplier of 0 is no bound.
pub(super) fn is_outside(price: Price, base: Price, up: u64, down: u64) -> bool {
    let scaled = u128::from(price.0) * u128::from(SCALE);
    let bound = |multiplier: u64| u128::from(base.0) * u128::from(multiplier);
    (up != 0 && scaled > bound(up)) || (down != 0 && scaled < bound(down))
}

/// Is the price further from the middle than `share` of it, in counts of 10^-8?
pub(super) fn is_far(price: Price, middle: Price, share: u64) -> bool {
    let distance = u128::from(price.0.abs_diff(middle.0)) * u128::from(SCALE);
    distance > u128::from(middle.0) * u128::from(share)
}
