//! Candles of every interval, kept where trades were and read without gaps.

use crate::interval::{Calendar, Interval};
use crate::trades::{TradeRow, push_bounded, sum};
use protocol::{Amount, Price, Stamp, TradeId};
use std::collections::VecDeque;

/// Minutes and hours that a ticker of seven days reads, and some more.
const MINUTES_MIN: usize = 7 * 24 * 60 + 60;
const HOURS_MIN: usize = 7 * 24 + 2;

/// What was traded in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candle {
    pub open_stamp: Stamp,
    /// The period's last nanosecond; it may be still to come.
    pub close_stamp: Stamp,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    /// Of the base asset.
    pub volume: Amount,
    /// Of the quote asset.
    pub quote: Amount,
    pub taker_buy_volume: Amount,
    pub taker_buy_quote: Amount,
    pub trades: u64,
    /// 0: no trade in the period.
    pub first_trade: TradeId,
    pub last_trade: TradeId,
}

part! {
    /// A candle as it is kept: its interval says where it ends.
    pub struct Bar {
        pub open_stamp: Stamp,
        pub open: Price,
        pub high: Price,
        pub low: Price,
        pub close: Price,
        pub volume: Amount,
        pub quote: Amount,
        pub taker_buy_volume: Amount,
        pub taker_buy_quote: Amount,
        pub trades: u64,
        pub first_trade: TradeId,
        pub last_trade: TradeId,
    }
}

impl Bar {
    fn of(row: &TradeRow) -> Bar {
        let (volume, quote) = (row.quantity.into(), row.quote);
        let is_taker_buy = !row.buyer_is_maker;
        Bar {
            open_stamp: row.stamp,
            open: row.price,
            high: row.price,
            low: row.price,
            close: row.price,
            volume,
            quote,
            taker_buy_volume: if is_taker_buy { volume } else { Amount::ZERO },
            taker_buy_quote: if is_taker_buy { quote } else { Amount::ZERO },
            trades: 1,
            first_trade: row.id,
            last_trade: row.id,
        }
    }

    /// A period without trades repeats the close before it.
    fn without_trades(open_stamp: Stamp, close: Price) -> Bar {
        Bar {
            open_stamp,
            open: close,
            high: close,
            low: close,
            close,
            volume: Amount::ZERO,
            quote: Amount::ZERO,
            taker_buy_volume: Amount::ZERO,
            taker_buy_quote: Amount::ZERO,
            trades: 0,
            first_trade: TradeId::NONE,
            last_trade: TradeId::NONE,
        }
    }

    /// Adds what was traded later.
    fn merge(&mut self, later: &Bar) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume = sum(self.volume, later.volume);
        self.quote = sum(self.quote, later.quote);
        self.taker_buy_volume = sum(self.taker_buy_volume, later.taker_buy_volume);
        self.taker_buy_quote = sum(self.taker_buy_quote, later.taker_buy_quote);
        self.trades = self.trades.saturating_add(later.trades);
        self.last_trade = later.last_trade;
    }

    /// All of them as one that begins with the first.
    pub(crate) fn merged(bars: impl Iterator<Item = Bar>) -> Option<Bar> {
        bars.reduce(|mut whole, later| {
            whole.merge(&later);
            whole
        })
    }

    fn candle(&self, open_stamp: Stamp, next_open: Stamp) -> Candle {
        Candle {
            open_stamp,
            close_stamp: Stamp(next_open.0.saturating_sub(1)),
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
            quote: self.quote,
            taker_buy_volume: self.taker_buy_volume,
            taker_buy_quote: self.taker_buy_quote,
            trades: self.trades,
            first_trade: self.first_trade,
            last_trade: self.last_trade,
        }
    }
}

/// What is still known of the newest bar that was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) open_stamp: Stamp,
    pub(crate) close: Price,
}

/// One interval's newest bars, in UTC. **Invariants:** open stamps rise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ring {
    interval: Interval,
    bars: VecDeque<Bar>,
    bars_max: usize,
    /// Where the newest bar ends.
    next_open: Stamp,
    evicted: Option<Evicted>,
}

impl Ring {
    fn new(interval: Interval, bars_max: usize) -> Ring {
        let least = match interval {
            Interval::Minutes1 => MINUTES_MIN,
            Interval::Hours1 => HOURS_MIN,
            _ => 1,
        };
        let bars_max = bars_max.max(least);
        Ring { interval, bars: VecDeque::new(), bars_max, next_open: Stamp(0), evicted: None }
    }

    /// Adds a finer bar that is not earlier than what is in.
    fn add(&mut self, bar: &Bar) {
        match self.bars.back_mut() {
            Some(last) if bar.open_stamp < self.next_open => last.merge(bar),
            _ => {
                let open_stamp = self.interval.open_time(bar.open_stamp, 0);
                self.push(Bar { open_stamp, ..*bar });
            }
        }
    }

    fn push(&mut self, bar: Bar) {
        self.next_open = self.interval.next_open(bar.open_stamp, 0);
        if let Some(oldest) = push_bounded(&mut self.bars, bar, self.bars_max) {
            self.evicted = Some(Evicted { open_stamp: oldest.open_stamp, close: oldest.close });
        }
    }

    pub(crate) fn bars(&self) -> &VecDeque<Bar> {
        &self.bars
    }

    pub(crate) fn evicted(&self) -> Option<Evicted> {
        self.evicted
    }
}

/// One instrument's candles.
///
/// The second that is being traded in is kept apart and enters the rings when the next one begins,
/// so that most trades touch one bar and not sixteen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candles {
    current_second: Option<Bar>,
    /// Stamp of the newest trade.
    latest: Stamp,
    rings: [Ring; Interval::ALL.len()],
}

impl Candles {
    pub(crate) fn new(bars_max: usize) -> Candles {
        let rings = Interval::ALL.map(|interval| Ring::new(interval, bars_max));
        Candles { current_second: None, latest: Stamp(0), rings }
    }

    /// Candles without gaps, oldest first; none lies before the first trade that is known, and
    /// the last one may be unfinished.
    ///
    /// `start` and `end` choose by open stamp, both inclusive. With a start: the first `limit` from
    /// it; without: the last `limit` up to the end, or up to `now`. The offset is the time zone's,
    /// east of UTC; a `now` before the newest trade counts as that trade's stamp.
    pub fn candles(
        &self,
        interval: Interval,
        start: Option<Stamp>,
        end: Option<Stamp>,
        limit: usize,
        now: Stamp,
        offset_minutes: i32,
    ) -> Vec<Candle> {
        let calendar = Calendar::new(interval, offset_minutes);
        let source = calendar.source();
        let Some(first) = self.first_index(source, &calendar) else {
            return Vec::new();
        };
        let (now, limit) = (now.max(self.latest), limit as u64);
        let until = calendar.index(end.map_or(now, |end| end.min(now))) + 1;
        let from = match start {
            Some(start) => calendar.index_from(start),
            None => until.saturating_sub(limit),
        };
        let from = from.max(first);
        self.without_gaps(source, &calendar, from, until.min(from.saturating_add(limit)))
    }

    /// The candle of the period that holds `now`; none before the first trade.
    pub fn current(&self, interval: Interval, now: Stamp, offset_minutes: i32) -> Option<Candle> {
        self.candles(interval, None, None, 1, now, offset_minutes).pop()
    }

    /// Stamp of the newest trade; 0 before the first.
    pub fn latest(&self) -> Stamp {
        self.latest
    }

    fn without_gaps(
        &self,
        source: Interval,
        calendar: &Calendar,
        from: u64,
        until: u64,
    ) -> Vec<Candle> {
        let mut open = calendar.open(from);
        let mut close = self.close_before(source, open);
        let mut bars = self.bars_from(source, open).peekable();
        let mut candles = Vec::new();
        for index in from..until {
            let next_open = calendar.open(index + 1);
            let of_period = core::iter::from_fn(|| bars.next_if(|bar| bar.open_stamp < next_open));
            let bar = Bar::merged(of_period)
                .or_else(|| close.map(|close| Bar::without_trades(open, close)));
            if let Some(bar) = bar {
                close = Some(bar.close);
                candles.push(bar.candle(open, next_open));
            }
            open = next_open;
        }
        candles
    }

    /// The first period all of whose trades since the first one ever are known.
    fn first_index(&self, source: Interval, calendar: &Calendar) -> Option<u64> {
        match self.ring(source).evicted {
            Some(evicted) => Some(calendar.index_from(source.next_open(evicted.open_stamp, 0))),
            None => Some(calendar.index(self.bars_from(source, Stamp(0)).next()?.open_stamp)),
        }
    }

    /// The kept bars that begin at `from` or later, the unfinished one included.
    pub(crate) fn bars_from(&self, interval: Interval, from: Stamp) -> impl Iterator<Item = Bar> {
        let bars = &self.ring(interval).bars;
        let (finished, newest) = self.newest(interval);
        let start = bars.partition_point(|bar| bar.open_stamp < from).min(finished);
        let newest = newest.filter(|bar| bar.open_stamp >= from);
        bars.range(start..finished).copied().chain(newest)
    }

    /// Price of the last trade before `stamp`, where a bar begins; none if it is not known.
    pub(crate) fn close_before(&self, interval: Interval, stamp: Stamp) -> Option<Price> {
        let ring = self.ring(interval);
        if let Some(newest) = self.newest(interval).1.filter(|bar| bar.open_stamp < stamp) {
            return Some(newest.close);
        }
        let before = ring.bars.partition_point(|bar| bar.open_stamp < stamp);
        let bar = before.checked_sub(1).and_then(|at| ring.bars.get(at));
        bar.map(|bar| bar.close).or_else(|| {
            ring.evicted.filter(|evicted| evicted.open_stamp < stamp).map(|evicted| evicted.close)
        })
    }

    /// The bar that may still grow, and how many of the ring's come before it.
    fn newest(&self, interval: Interval) -> (usize, Option<Bar>) {
        let ring = self.ring(interval);
        let Some(second) = self.current_second else {
            return (ring.bars.len(), None);
        };
        match ring.bars.back() {
            Some(last) if second.open_stamp < ring.next_open => {
                let mut bar = *last;
                bar.merge(&second);
                (ring.bars.len() - 1, Some(bar))
            }
            _ => {
                let open_stamp = interval.open_time(second.open_stamp, 0);
                (ring.bars.len(), Some(Bar { open_stamp, ..second }))
            }
        }
    }

    fn ring(&self, interval: Interval) -> &Ring {
        &self.rings[interval as usize]
    }

    pub(crate) fn apply(&mut self, row: &TradeRow) {
        let bar = Bar::of(row);
        self.latest = self.latest.max(row.stamp);
        let second_ns = protocol::SECOND_NS;
        match &mut self.current_second {
            Some(second) if row.stamp.0.saturating_sub(second.open_stamp.0) < second_ns => {
                second.merge(&bar);
            }
            _ => {
                self.finish_second();
                let open_stamp = Stamp(row.stamp.0 - row.stamp.0 % second_ns);
                self.current_second = Some(Bar { open_stamp, ..bar });
            }
        }
    }

    fn finish_second(&mut self) {
        if let Some(second) = self.current_second.take() {
            for ring in &mut self.rings {
                ring.add(&second);
            }
        }
    }

    pub(crate) fn rings(&self) -> &[Ring] {
        &self.rings
    }

    pub(crate) fn current_second(&self) -> Option<Bar> {
        self.current_second
    }

    /// Sets what a snapshot states beside the rings.
    pub(crate) fn restore(&mut self, latest: Stamp, current_second: Option<Bar>) {
        self.latest = latest;
        self.current_second = current_second;
    }

    /// Appends a snapshot's bar; false if it begins no period or not a later one.
    pub(crate) fn restore_bar(&mut self, interval: u8, bar: Bar) -> bool {
        let Some(ring) = self.rings.get_mut(usize::from(interval)) else {
            return false;
        };
        let is_aligned = ring.interval.open_time(bar.open_stamp, 0) == bar.open_stamp;
        let fits = is_aligned && (ring.bars.is_empty() || bar.open_stamp >= ring.next_open);
        if fits {
            ring.push(bar);
        }
        fits
    }

    /// Sets a snapshot's evicted bar; false if there is no such interval.
    pub(crate) fn restore_evicted(&mut self, interval: u8, evicted: Evicted) -> bool {
        match self.rings.get_mut(usize::from(interval)) {
            Some(ring) => {
                ring.evicted = Some(evicted);
                true
            }
            None => false,
        }
    }
}
