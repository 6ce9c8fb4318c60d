//! One stream of one instrument: what it remembers between two messages, and when it sends.

use marketdata::{AggregateTrade, DepthDiff, Instrument, Interval};
use protocol::event::{BookChanged, Trade};
use protocol::{Amount, Price, SECOND_NS, Side, Stamp, TradeId};

use super::audience::{Audience, Publisher};
use super::name::{Levels, Speed, TickerKind, Topic, Zone};
use super::payload::{self, Top};

/// Closed candles that one stream catches up with when stored time jumps; older ones are left out.
const CLOSED_CANDLES_MAX: usize = 1_000;

/// The span from the last look at the clock (not in it) to now (in it).
#[derive(Debug, Clone, Copy)]
pub(super) struct Elapsed {
    pub(super) before: Stamp,
    pub(super) now: Stamp,
}

impl Elapsed {
    /// The first multiple of the step in the span: what changed before it is sent as of it.
    pub(super) fn first(&self, step_ns: u64) -> Option<Stamp> {
        let first = (self.before.0 / step_ns).checked_add(1)?.checked_mul(step_ns)?;
        (first <= self.now.0).then_some(Stamp(first))
    }

    /// The first and the last multiple of the step: what time alone changes is looked at twice.
    pub(super) fn ends(&self, step_ns: u64) -> impl Iterator<Item = Stamp> {
        let first = self.first(step_ns);
        let last = Stamp(self.now.0 - self.now.0 % step_ns);
        first.into_iter().chain(first.is_some_and(|first| last > first).then_some(last))
    }
}

/// What tells two tickers apart, their times aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TickerMark {
    first_trade: TradeId,
    last_trade: TradeId,
    /// Of the ticker that shows it.
    top: Top,
}

impl TickerMark {
    pub(super) fn of(kind: TickerKind, ticker: &marketdata::Ticker, top: &Top) -> TickerMark {
        let top = if kind == TickerKind::Full { *top } else { Top::default() };
        TickerMark { first_trade: ticker.first_trade, last_trade: ticker.last_trade, top }
    }
}

#[derive(Debug)]
enum State {
    Trade,
    /// The run that is being traded.
    AggregateTrade(Option<AggregateTrade>),
    BookTicker {
        is_touched: bool,
        sent: Top,
    },
    Depth(DepthDiff),
    PartialDepth {
        is_due: bool,
    },
    Kline {
        /// There was a trade since the last message.
        is_due: bool,
        /// When the running candle closes, since the first boundary.
        next_close: Option<Stamp>,
    },
    Ticker {
        is_due: bool,
        /// The minute of the last look: windows move by minutes.
        minute: u64,
        sent: Option<TickerMark>,
    },
    AveragePrice {
        is_due: bool,
        minute: u64,
        sent: Option<(Price, Stamp)>,
    },
    /// What was sent last; it changes with time alone, too.
    ReferencePrice(Option<Option<Price>>),
    Auction {
        /// Somebody joined while it is running.
        is_due: bool,
    },
}

/// One stream that somebody listens to.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) topic: Topic,
    pub(super) audience: Audience,
    state: State,
}

impl Feed {
    pub(super) fn new(topic: Topic, instrument: &Instrument) -> Feed {
        let state = match topic {
            Topic::Trade => State::Trade,
            Topic::AggregateTrade => State::AggregateTrade(None),
            Topic::BookTicker => {
                State::BookTicker { is_touched: false, sent: Top::of(&instrument.depth) }
            }
            Topic::Depth(_) => State::Depth(DepthDiff::new()),
            Topic::PartialDepth(..) => State::PartialDepth { is_due: true },
            Topic::Kline(..) => State::Kline { is_due: false, next_close: None },
            Topic::Ticker(_) => State::Ticker { is_due: true, minute: 0, sent: None },
            Topic::AveragePrice => State::AveragePrice { is_due: true, minute: 0, sent: None },
            Topic::ReferencePrice => State::ReferencePrice(None),
            Topic::Auction => State::Auction { is_due: true },
        };
        Feed { topic, audience: Audience::default(), state }
    }

    /// Somebody joined: what shows a state is sent at the next boundary, changed or not.
    pub(super) fn greet(&mut self) {
        match &mut self.state {
            State::PartialDepth { is_due } => *is_due = true,
            State::Ticker { is_due, sent, .. } => (*is_due, *sent) = (true, None),
            State::AveragePrice { is_due, sent, .. } => (*is_due, *sent) = (true, None),
            State::ReferencePrice(sent) => *sent = None,
            State::Auction { is_due } => *is_due = true,
            _ => {}
        }
    }

    pub(super) fn trade(
        &mut self,
        trade: &Trade,
        stamp: Stamp,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        match &mut self.state {
            State::Trade => publisher.publish(&mut self.audience, |json| {
                json.object(|json| payload::trade(json, instrument.symbol(), trade, stamp));
            }),
            State::AggregateTrade(run) => match run {
                Some(run) if run.id == trade.aggregate => {
                    run.quantity += Amount::from(trade.quantity);
                    run.last_trade = trade.trade;
                }
                _ => {
                    let before = run.replace(begin_run(trade, stamp));
                    self.end_run(before, instrument, publisher);
                }
            },
            State::Kline { is_due, .. }
            | State::Ticker { is_due, .. }
            | State::AveragePrice { is_due, .. } => *is_due = true,
            State::BookTicker { .. }
            | State::Depth(_)
            | State::PartialDepth { .. }
            | State::ReferencePrice(_)
            | State::Auction { .. } => {}
        }
    }

    /// The indication of an auction changed, or the auction ended.
    pub(super) fn auction_changed(
        &mut self,
        stamp: Stamp,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        let (State::Auction { is_due }, Some(auction)) = (&mut self.state, &instrument.auction)
        else {
            return;
        };
        *is_due = false;
        let (symbol, status) = (instrument.symbol(), instrument.definition.status);
        publisher.publish(&mut self.audience, |json| {
            json.object(|json| payload::auction(json, symbol, status, auction, stamp));
        });
    }

    fn end_run(
        &mut self,
        run: Option<AggregateTrade>,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        if let Some(run) = run {
            publisher.publish(&mut self.audience, |json| {
                json.object(|json| payload::aggregate_trade(json, instrument.symbol(), &run));
            });
        }
    }

    pub(super) fn book_changed(&mut self, change: &BookChanged) {
        match &mut self.state {
            State::Depth(diff) => diff.add(change),
            State::PartialDepth { is_due } => *is_due = true,
            State::BookTicker { is_touched, .. } => *is_touched = true,
            State::Ticker { is_due, .. } => {
                *is_due |= self.topic == Topic::Ticker(TickerKind::Full)
            }
            _ => {}
        }
    }

    /// The command's events are complete.
    pub(super) fn settle(&mut self, instrument: &Instrument, publisher: &mut Publisher) {
        match &mut self.state {
            State::AggregateTrade(run) => {
                let run = run.take();
                self.end_run(run, instrument, publisher);
            }
            State::BookTicker { is_touched, sent } if *is_touched => {
                let top = Top::of(&instrument.depth);
                *is_touched = false;
                if top != *sent {
                    *sent = top;
                    let (symbol, update) = (instrument.symbol(), instrument.depth.last_update());
                    publisher.publish(&mut self.audience, |json| {
                        json.object(|json| payload::book_ticker(json, symbol, update, &top));
                    });
                }
            }
            _ => {}
        }
    }

    /// Sends what is due at the boundaries that were passed.
    pub(super) fn pass(
        &mut self,
        elapsed: Elapsed,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        match self.topic {
            Topic::Trade | Topic::AggregateTrade | Topic::BookTicker => {}
            Topic::Depth(speed) => self.pass_depth(speed, elapsed, instrument, publisher),
            Topic::PartialDepth(levels, speed) => {
                self.pass_partial_depth(levels, speed, elapsed, instrument, publisher);
            }
            Topic::Kline(interval, zone) => {
                self.pass_kline(interval, zone, elapsed, instrument, publisher);
            }
            Topic::Ticker(kind) => self.pass_ticker(kind, elapsed, instrument, publisher),
            Topic::AveragePrice => self.pass_average_price(elapsed, instrument, publisher),
            Topic::ReferencePrice => self.pass_reference_price(elapsed, instrument, publisher),
            Topic::Auction => self.pass_auction(elapsed, instrument, publisher),
        }
    }

    fn pass_depth(
        &mut self,
        speed: Speed,
        elapsed: Elapsed,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        let State::Depth(diff) = &mut self.state else { return };
        let Some(boundary) = elapsed.first(speed.interval_ns()) else { return };
        if !diff.is_empty() {
            publisher.publish(&mut self.audience, |json| {
                json.object(|json| payload::depth(json, instrument.symbol(), diff, boundary));
            });
            diff.clear();
        }
    }

    fn pass_partial_depth(
        &mut self,
        levels: Levels,
        speed: Speed,
        elapsed: Elapsed,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        let State::PartialDepth { is_due } = &mut self.state else { return };
        if elapsed.first(speed.interval_ns()).is_some() && std::mem::take(is_due) {
            publisher.publish(&mut self.audience, |json| {
                json.object(|json| payload::partial_depth(json, &instrument.depth, levels.count()));
            });
        }
    }

    fn pass_kline(
        &mut self,
        interval: Interval,
        zone: Zone,
        elapsed: Elapsed,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        let State::Kline { is_due, next_close } = &mut self.state else { return };
        let (offset, symbol) = (zone.offset_minutes(), instrument.symbol());
        // No boundary lies between subscribing and the look before the first.
        let next_close =
            next_close.get_or_insert_with(|| interval.next_open(elapsed.before, offset));
        let mut send = |candle: &marketdata::Candle, time, is_closed| {
            publisher.publish(&mut self.audience, |json| {
                json.object(|json| {
                    payload::kline(json, symbol, interval.as_str(), candle, time, is_closed);
                });
            });
        };
        let step = if interval == Interval::Seconds1 { SECOND_NS } else { 2 * SECOND_NS };
        // A message at the end of the candle is the closed one.
        if let Some(boundary) = elapsed.first(step).filter(|it| it < next_close)
            && std::mem::take(is_due)
            && let Some(candle) =
                instrument.candles.current(interval, just_before(boundary), offset)
        {
            send(&candle, boundary, false);
        }
        if *next_close > elapsed.now {
            return;
        }
        let first_open = interval.open_time(just_before(*next_close), offset);
        let is_one = interval.next_open(*next_close, offset) > elapsed.now;
        let limit = if is_one { 1 } else { CLOSED_CANDLES_MAX };
        let last = just_before(interval.open_time(elapsed.now, offset));
        let candles = instrument.candles.candles(interval, None, Some(last), limit, last, offset);
        for candle in candles.iter().filter(|candle| candle.open_stamp >= first_open) {
            send(candle, Stamp(candle.close_stamp.0.saturating_add(1)), true);
        }
        *next_close = interval.next_open(elapsed.now, offset);
        *is_due = false;
    }

    fn pass_ticker(
        &mut self,
        kind: TickerKind,
        elapsed: Elapsed,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        let State::Ticker { is_due, minute, sent } = &mut self.state else { return };
        for boundary in elapsed.ends(SECOND_NS) {
            if !std::mem::take(is_due) && *minute == boundary.minute() {
                continue;
            }
            *minute = boundary.minute();
            let ticker = instrument.rolling(kind.window().length_ns(), boundary);
            let top = Top::of(&instrument.depth);
            let mark = Some(TickerMark::of(kind, &ticker, &top));
            if *sent != mark {
                *sent = mark;
                let symbol = instrument.symbol();
                publisher.publish(&mut self.audience, |json| {
                    json.object(|json| {
                        payload::ticker(json, symbol, kind, &ticker, &top, boundary)
                    });
                });
            }
        }
    }

    fn pass_average_price(
        &mut self,
        elapsed: Elapsed,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        let State::AveragePrice { is_due, minute, sent } = &mut self.state else { return };
        for boundary in elapsed.ends(SECOND_NS) {
            if !std::mem::take(is_due) && *minute == boundary.minute() {
                continue;
            }
            *minute = boundary.minute();
            let average = instrument.average_price(boundary);
            let mark = Some((average.price, average.close_stamp));
            if *sent != mark {
                *sent = mark;
                let symbol = instrument.symbol();
                publisher.publish(&mut self.audience, |json| {
                    json.object(|json| payload::average_price(json, symbol, &average, boundary));
                });
            }
        }
    }
}

impl Feed {
    fn pass_reference_price(
        &mut self,
        elapsed: Elapsed,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        let State::ReferencePrice(sent) = &mut self.state else { return };
        for boundary in elapsed.ends(SECOND_NS) {
            let price = instrument.reference.price(boundary);
            // Where nothing ever gave a price there is nothing to tell.
            let is_told = sent.map_or(!instrument.reference.is_defined(), |sent| sent == price);
            if is_told {
                continue;
            }
            *sent = Some(price);
            let symbol = instrument.symbol();
            publisher.publish(&mut self.audience, |json| {
                json.object(|json| payload::reference_price(json, symbol, price, boundary));
            });
        }
    }

    fn pass_auction(
        &mut self,
        elapsed: Elapsed,
        instrument: &Instrument,
        publisher: &mut Publisher,
    ) {
        let State::Auction { is_due } = &mut self.state else { return };
        let Some(boundary) = elapsed.first(SECOND_NS) else { return };
        let is_running = instrument.auction.is_some_and(|auction| auction.is_collecting);
        if std::mem::take(is_due) && is_running {
            self.auction_changed(boundary, instrument, publisher);
        }
    }
}

fn begin_run(trade: &Trade, stamp: Stamp) -> AggregateTrade {
    AggregateTrade {
        id: trade.aggregate,
        price: trade.price,
        quantity: trade.quantity.into(),
        first_trade: trade.trade,
        last_trade: trade.trade,
        stamp,
        buyer_is_maker: trade.taker_side == Side::Sell,
    }
}

fn just_before(stamp: Stamp) -> Stamp {
    Stamp(stamp.0.saturating_sub(1))
}
