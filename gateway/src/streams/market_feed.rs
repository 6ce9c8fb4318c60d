//! One stream of all instruments: an array of what changed, or every change by itself.

use std::collections::BTreeSet;

use marketdata::{Instrument, Market, Ticker};
use protocol::{InstrumentId, SECOND_NS, Stamp};

use super::audience::{Audience, Publisher};
use super::feed::{Elapsed, TickerMark};
use super::name::{MarketTopic, TickerKind};
use super::payload::{self, Top};

/// One stream that somebody listens to.
///
/// What an instrument showed last is known by its mark, at the place of its id; instruments without
/// one were empty.
#[derive(Debug)]
pub(super) struct MarketFeed {
    pub(super) topic: MarketTopic,
    pub(super) audience: Audience,
    marks: Vec<Mark>,
    /// Instruments with a trade, or a change of the book, since the last look.
    touched: BTreeSet<InstrumentId>,
    /// The minute of the last look: windows move by minutes.
    minute: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    ticker: TickerMark,
    top: Top,
}

impl MarketFeed {
    /// Begins with the market as it is: arrays hold what changes from here on.
    pub(super) fn new(topic: MarketTopic, market: &Market, now: Stamp) -> MarketFeed {
        let mark = |instrument: &Instrument| {
            let top = Top::of(&instrument.depth);
            let ticker = match topic {
                MarketTopic::BookTickers => TickerMark::default(),
                MarketTopic::Tickers(kind) => {
                    let ticker = instrument.rolling(kind.window().length_ns(), now);
                    TickerMark::of(kind, &ticker, &top)
                }
            };
            Mark { ticker, top }
        };
        MarketFeed {
            topic,
            audience: Audience::default(),
            marks: market.instruments().map(mark).collect(),
            touched: BTreeSet::new(),
            minute: now.minute(),
        }
    }

    pub(super) fn trade(&mut self, instrument: InstrumentId) {
        if self.topic != MarketTopic::BookTickers {
            self.touched.insert(instrument);
        }
    }

    pub(super) fn book_changed(&mut self, instrument: InstrumentId) {
        let shows_book =
            matches!(self.topic, MarketTopic::BookTickers | MarketTopic::Tickers(TickerKind::Full));
        if shows_book {
            self.touched.insert(instrument);
        }
    }

    fn mark(&mut self, id: InstrumentId) -> Option<&mut Mark> {
        let place = id.0.checked_sub(1)? as usize;
        if place >= self.marks.len() {
            self.marks.resize(place + 1, Mark::default());
        }
        self.marks.get_mut(place)
    }

    /// The command's events are complete.
    pub(super) fn settle(&mut self, market: &Market, publisher: &mut Publisher) {
        if self.topic != MarketTopic::BookTickers {
            return;
        }
        for id in std::mem::take(&mut self.touched) {
            let Some(instrument) = market.instrument(id) else { continue };
            let top = Top::of(&instrument.depth);
            let Some(mark) = self.mark(id).filter(|mark| mark.top != top) else { continue };
            mark.top = top;
            let (symbol, update) = (instrument.symbol(), instrument.depth.last_update());
            publisher.publish(&mut self.audience, |json| {
                json.object(|json| payload::book_ticker(json, symbol, update, &top));
            });
        }
    }

    /// Sends what is due at the boundaries that were passed.
    pub(super) fn pass(&mut self, elapsed: Elapsed, market: &Market, publisher: &mut Publisher) {
        let MarketTopic::Tickers(kind) = self.topic else { return };
        for boundary in elapsed.ends(SECOND_NS) {
            let touched = std::mem::take(&mut self.touched);
            let changed: Vec<_> = if self.minute == boundary.minute() {
                let instruments = touched.into_iter().filter_map(|id| market.instrument(id));
                instruments.filter_map(|it| self.changed(kind, it, boundary)).collect()
            } else {
                market.instruments().filter_map(|it| self.changed(kind, it, boundary)).collect()
            };
            self.minute = boundary.minute();
            if changed.is_empty() {
                continue;
            }
            publisher.publish(&mut self.audience, |json| {
                json.array(|json| {
                    for (instrument, ticker, top) in &changed {
                        let symbol = instrument.symbol();
                        json.object(|json| {
                            payload::ticker(json, symbol, kind, ticker, top, boundary);
                        });
                    }
                });
            });
        }
    }

    /// The ticker, if it is not what was sent last.
    fn changed<'m>(
        &mut self,
        kind: TickerKind,
        instrument: &'m Instrument,
        now: Stamp,
    ) -> Option<(&'m Instrument, Ticker, Top)> {
        let ticker = instrument.rolling(kind.window().length_ns(), now);
        let top = Top::of(&instrument.depth);
        let mark = self.mark(instrument.id)?;
        let current = TickerMark::of(kind, &ticker, &top);
        if mark.ticker == current {
            return None;
        }
        mark.ticker = current;
        Some((instrument, ticker, top))
    }
}
