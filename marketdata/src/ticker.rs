//! Statistics over the trades of a window, and the average price.

use crate::candles::{Bar, Candles};
use crate::interval::Interval;
use crate::trades::TradeRow;
use protocol::instrument::filter;
use protocol::{
    Amount, Filters, InstrumentDefinition, MINUTE_NS, Price, Quantity, SCALE, Stamp, TradeId,
};

/// The longest window of a rolling ticker: 7 days.
pub const WINDOW_MAX_NS: u64 = 7 * 24 * 60 * MINUTE_NS;

/// Minutes of the average where no filter states them; the venue's own number.
const AVERAGE_MINUTES: u32 = 5;

/// What was traded in a window.
///
/// Without a trade in it (*ours*) the four prices are the last price before, quantities, changes
/// and ids are 0. Before the first trade ever all is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticker {
    /// Where the window begins, on a minute.
    pub open_stamp: Stamp,
    pub close_stamp: Stamp,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub last: Price,
    pub last_quantity: Quantity,
    /// Of the base asset.
    pub volume: Amount,
    /// Of the quote asset.
    pub quote: Amount,
    pub trades: u64,
    /// 0: no trade in the window.
    pub first_trade: TradeId,
    pub last_trade: TradeId,
    /// Quote by volume, rounded to the nearest as in the venue's examples.
    pub weighted_average: Price,
    /// Price of the last trade before the window; 0 if none is known.
    pub previous_close: Price,
    /// Last less open.
    pub change: Amount,
    /// Change by open, in 10^-3 of a percent, rounded to the nearest, halves away from 0.
    pub change_percent_thousandths: i128,
}

/// The average price of the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AveragePrice {
    pub minutes: u32,
    /// 0: no trade yet, and no reference price.
    pub price: Price,
    /// Stamp of the last trade; 0 before the first.
    pub close_stamp: Stamp,
}

/// Statistics since the minute that lies `window_ns` (at most [`WINDOW_MAX_NS`]) before `now`.
pub(crate) fn rolling(
    candles: &Candles,
    last: Option<&TradeRow>,
    window_ns: u64,
    now: Stamp,
) -> Ticker {
    let now = now.max(candles.latest());
    let open = Stamp(now.0.saturating_sub(window_ns.min(WINDOW_MAX_NS)));
    ticker(candles, last, Interval::Minutes1.open_time(open, 0), now)
}

/// Statistics of the day that holds `now`.
pub(crate) fn trading_day(
    candles: &Candles,
    last: Option<&TradeRow>,
    now: Stamp,
    offset_minutes: i32,
) -> Ticker {
    let now = now.max(candles.latest());
    let open = Interval::Days1.open_time(now, offset_minutes);
    ticker(candles, last, open, Interval::Days1.close_time(now, offset_minutes))
}

/// Statistics of all trades since `open_stamp`, which is on a minute.
fn ticker(
    candles: &Candles,
    last: Option<&TradeRow>,
    open_stamp: Stamp,
    close_stamp: Stamp,
) -> Ticker {
    let previous_close =
        candles.close_before(Interval::Minutes1, open_stamp).unwrap_or(Price::ZERO);
    let quiet = Ticker {
        open_stamp,
        close_stamp,
        open: previous_close,
        high: previous_close,
        low: previous_close,
        last: previous_close,
        last_quantity: Quantity::ZERO,
        volume: Amount::ZERO,
        quote: Amount::ZERO,
        trades: 0,
        first_trade: TradeId::NONE,
        last_trade: TradeId::NONE,
        weighted_average: Price::ZERO,
        previous_close,
        change: Amount::ZERO,
        change_percent_thousandths: 0,
    };
    let Some(bar) = since(candles, open_stamp) else {
        return quiet;
    };
    let change = i128::from(bar.close.0) - i128::from(bar.open.0);
    Ticker {
        open: bar.open,
        high: bar.high,
        low: bar.low,
        last: bar.close,
        last_quantity: last.map_or(Quantity::ZERO, |last| last.quantity),
        volume: bar.volume,
        quote: bar.quote,
        trades: bar.trades,
        first_trade: bar.first_trade,
        last_trade: bar.last_trade,
        weighted_average: ratio(bar.quote, bar.volume, bar.volume.0 / 2).unwrap_or(Price::ZERO),
        change: Amount(change),
        change_percent_thousandths: percent_thousandths(change, bar.open),
        ..quiet
    }
}

/// All trades since a minute: by minutes to the next full hour, then by hours.
fn since(candles: &Candles, open: Stamp) -> Option<Bar> {
    let hour = match Interval::Hours1.open_time(open, 0) {
        hour if hour == open => hour,
        _ => Interval::Hours1.next_open(open, 0),
    };
    let minutes = candles.bars_from(Interval::Minutes1, open);
    let minutes = minutes.take_while(|bar| bar.open_stamp < hour);
    Bar::merged(minutes.chain(candles.bars_from(Interval::Hours1, hour)))
}

/// The average as docs/rules.md §9 has it.
pub(crate) fn average_price(
    definition: &InstrumentDefinition,
    candles: &Candles,
    last: Option<&TradeRow>,
    now: Stamp,
) -> AveragePrice {
    let minutes = average_minutes(&definition.filters);
    let now = now.max(candles.latest());
    let first_minute = (now.minute() + 1).saturating_sub(u64::from(minutes));
    let from = Stamp(first_minute.saturating_mul(MINUTE_NS));
    let traded = match minutes {
        0 => None,
        _ => Bar::merged(candles.bars_from(Interval::Minutes1, from)),
    };
    let last_price = last.map_or(definition.reference_price, |last| last.price);
    AveragePrice {
        minutes,
        price: traded.and_then(|bar| ratio(bar.quote, bar.volume, 0)).unwrap_or(last_price),
        close_stamp: last.map_or(Stamp(0), |last| last.stamp),
    }
}

/// Minutes of the first filter that states them.
fn average_minutes(filters: &Filters) -> u32 {
    let stated = [
        (filter::NOTIONAL, filters.notional.average_minutes),
        (filter::MIN_NOTIONAL, filters.min_notional.average_minutes),
        (filter::PERCENT_PRICE_BY_SIDE, filters.percent_price_by_side.average_minutes),
        (filter::PERCENT_PRICE, filters.percent_price.average_minutes),
    ];
    let present = stated.into_iter().find(|(filter, _)| filters.has(*filter));
    present.map_or(AVERAGE_MINUTES, |(_, minutes)| minutes)
}

/// `floor((quote × 10^8 + round_up) / volume)`; none without volume.
fn ratio(quote: Amount, volume: Amount, round_up: i128) -> Option<Price> {
    if volume <= Amount::ZERO {
        return None;
    }
    let scale = i128::from(SCALE);
    let whole = (quote.0 / volume.0).checked_mul(scale)?;
    let rest = (quote.0 % volume.0).checked_mul(scale)?.checked_add(round_up)? / volume.0;
    u64::try_from(whole.checked_add(rest)?).ok().map(Price)
}

fn percent_thousandths(change: i128, open: Price) -> i128 {
    let open = i128::from(open.0);
    if open == 0 {
        return 0;
    }
    (change * 100_000 * 2 + change.signum() * open) / (2 * open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    /// The examples of the venue's documents whose numbers agree with each other.
    #[test]
    fn the_weighted_average_is_rounded_as_the_venue_does() {
        for (quote, volume, average) in [
            ("485217905.04210480", "18495.35066000", "26234.58803036"),
            ("59488753.54750000", "280709.58900000", "211.92276958"),
            ("1502240.91155513", "72.65112300", "20677.46305250"),
            ("1.73858301", "166.67000000", "0.01043129"),
        ] {
            let volume = amount(volume);
            assert_eq!(ratio(amount(quote), volume, volume.0 / 2), Price::parse(average).ok());
        }
        assert_eq!(ratio(amount("1"), Amount::ZERO, 0), None);
        assert_eq!(ratio(Amount(i128::MAX), Amount(1), 0), None);
    }

    #[test]
    fn the_change_in_percent_is_rounded_as_the_venue_does() {
        for (open, last, thousandths) in [
            ("99", "4.00000200", -95_960),
            ("210", "212.6", 1_238),
            ("9", "1", -88_889),
            ("20825.27", "20671.14", -740),
            ("0.0103617", "0.010447", 823),
            ("1", "0.999995", -1),
            ("0", "1", 0),
        ] {
            let (open, last) = (Price::parse(open).unwrap(), Price::parse(last).unwrap());
            let change = i128::from(last.0) - i128::from(open.0);
            assert_eq!(percent_thousandths(change, open), thousandths, "{open} {last}");
        }
    }

    #[test]
    fn the_first_filter_that_is_present_states_the_minutes() {
        let mut filters = Filters::NONE;
        assert_eq!(average_minutes(&filters), 5);
        filters.percent_price.average_minutes = 7;
        filters.present = filter::PERCENT_PRICE;
        assert_eq!(average_minutes(&filters), 7);
        filters.present |= filter::NOTIONAL;
        assert_eq!(average_minutes(&filters), 0);
    }
}
