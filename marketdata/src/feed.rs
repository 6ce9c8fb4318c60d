//! Books of other venues, as the feed log tells them.

use crate::obi::Imbalance;
use protocol::feed::{FEED_SCALE_MAX, FeedLevelChanged, FeedSourceDefined, FeedStatusChanged};
use protocol::{FeedEvent, FeedState, MILLISECOND_NS, SECOND_NS, Side, Stamp};
use std::collections::{BTreeMap, VecDeque};

/// Sources that are followed; ids are below it.
pub const FEED_SOURCES_MAX: u32 = 1_024;

/// Levels of one side that are kept of a source: beyond it, those furthest from the best price go.
pub const FEED_LEVELS_MAX: usize = 65_536;

/// Rates are over about so long.
const RATE_WINDOW_NS: u64 = 10 * SECOND_NS;
/// Counts are looked at this far apart, so that few of them span the window.
const RATE_STEP_NS: u64 = 500 * MILLISECOND_NS;

/// Everything that a feed log tells, up to where it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feeds {
    sources: BTreeMap<u32, FeedSource>,
    /// Sources that the running checkpoint has not told yet.
    awaited: u32,
}

/// One symbol of one market of a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSource {
    definition: FeedSourceDefined,
    status: Option<FeedStatusChanged>,
    rate: Rate,
    book: FeedBook,
    progress: Progress,
    /// Of a time before the running checkpoint: goes if that does not name it.
    is_old: bool,
}

/// What of a book is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing since it was reset.
    Nothing,
    /// In the middle of a message.
    Between,
    /// All of the last message.
    Whole,
}

/// Prices and quantities in the counts of its source. **Invariants:** no level is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedBook {
    bids: BTreeMap<u64, u128>,
    asks: BTreeMap<u64, u128>,
    /// The venue's id of the last update.
    pub update: u64,
    /// The venue's clock; 0 when it does not say.
    pub event_ns: u64,
    /// The feed's clock.
    pub receive_ns: u64,
}

impl FeedBook {
    /// Price and quantity, from the best price outwards.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (u64, u128)> + '_ {
        let (bids, asks) = match side {
            Side::Buy => (Some(self.bids.iter().rev()), None),
            Side::Sell => (None, Some(self.asks.iter())),
        };
        let levels = bids.into_iter().flatten().chain(asks.into_iter().flatten());
        levels.map(|(price, quantity)| (*price, *quantity))
    }

    pub fn best(&self, side: Side) -> Option<(u64, u128)> {
        self.levels(side).next()
    }

    pub fn levels_count(&self, side: Side) -> usize {
        match side {
            Side::Buy => self.bids.len(),
            Side::Sell => self.asks.len(),
        }
    }

    /// Over the best `levels` of each side; see [`Imbalance::of`].
    pub fn imbalance(&self, levels: usize) -> Option<Imbalance> {
        let quantities = |side| self.levels(side).map(|level| level.1);
        Imbalance::of(quantities(Side::Buy), quantities(Side::Sell), levels)
    }

    fn change(&mut self, change: &FeedLevelChanged) {
        let levels = match change.side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if change.quantity == 0 {
            levels.remove(&change.price);
            return;
        }
        levels.insert(change.price, change.quantity);
        if levels.len() > FEED_LEVELS_MAX {
            match change.side {
                Side::Buy => levels.pop_first(),
                Side::Sell => levels.pop_last(),
            };
        }
    }
}

/// Messages counted at moments of the last seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rate {
    counts: VecDeque<(Stamp, u64)>,
}

impl Rate {
    fn add(&mut self, now: Stamp, messages: u64) {
        let is_close = |last: &(Stamp, u64)| now.0 < last.0.0.saturating_add(RATE_STEP_NS);
        let began_anew = self.counts.back().is_some_and(|last| messages < last.1);
        if began_anew {
            self.counts.clear();
        }
        // The last but one keeps the step; the last one is always the newest.
        let newest_is_close = self.counts.len().checked_sub(2).and_then(|at| self.counts.get(at));
        if newest_is_close.is_some_and(is_close) {
            self.counts.pop_back();
        }
        self.counts.push_back((now, messages));
        let begin = now.0.saturating_sub(RATE_WINDOW_NS);
        while self.counts.get(1).is_some_and(|second| second.0.0 <= begin) {
            self.counts.pop_front();
        }
    }

    /// Thousandths of a message in a second.
    fn per_second_thousandths(&self) -> u64 {
        let (Some(first), Some(last)) = (self.counts.front(), self.counts.back()) else { return 0 };
        let elapsed = u128::from(last.0.0.saturating_sub(first.0.0));
        let messages = u128::from(last.1.saturating_sub(first.1));
        let thousandths = (messages * 1_000 * u128::from(SECOND_NS)).checked_div(elapsed);
        u64::try_from(thousandths.unwrap_or(0)).unwrap_or(u64::MAX)
    }
}

impl FeedSource {
    fn new(definition: &FeedSourceDefined) -> FeedSource {
        FeedSource {
            definition: *definition,
            status: None,
            rate: Rate::default(),
            book: FeedBook::default(),
            progress: Progress::Nothing,
            is_old: false,
        }
    }

    pub fn definition(&self) -> &FeedSourceDefined {
        &self.definition
    }

    pub fn symbol(&self) -> &str {
        self.definition.symbol.as_str()
    }

    /// Counts and state; none before the first.
    pub fn status(&self) -> Option<&FeedStatusChanged> {
        self.status.as_ref()
    }

    pub fn state(&self) -> FeedState {
        self.status.map_or(FeedState::Connecting, |status| status.state)
    }

    /// Of the last seconds.
    pub fn messages_per_second_thousandths(&self) -> u64 {
        self.rate.per_second_thousandths()
    }

    /// The book after the last whole message, whatever the state is; none before the first, and
    /// none in the middle of a message.
    pub fn book(&self) -> Option<&FeedBook> {
        (self.progress == Progress::Whole).then_some(&self.book)
    }

    /// The same, if it is the venue's now.
    pub fn synced_book(&self) -> Option<&FeedBook> {
        self.book().filter(|_| self.state() == FeedState::Synced)
    }

    fn redefine(&mut self, definition: &FeedSourceDefined) {
        let same_scales = self.definition.price_scale == definition.price_scale
            && self.definition.quantity_scale == definition.quantity_scale;
        if !same_scales {
            self.reset();
        }
        (self.definition, self.is_old) = (*definition, false);
    }

    fn reset(&mut self) {
        (self.book, self.progress) = (FeedBook::default(), Progress::Nothing);
    }

    fn is_same(&self, definition: &FeedSourceDefined) -> bool {
        let ours = &self.definition;
        (ours.venue, ours.market, ours.symbol)
            == (definition.venue, definition.market, definition.symbol)
    }
}

impl Feeds {
    pub fn new() -> Feeds {
        Feeds::default()
    }

    /// Takes one record, in the order of the log; `stamp` is its frame's. `touched` is called for
    /// each source that shows something else from now on, or goes.
    ///
    /// What names an unknown source is passed over, and so is a source beyond the bounds.
    pub fn apply(&mut self, event: &FeedEvent, stamp: Stamp, mut touched: impl FnMut(&FeedSource)) {
        match event {
            FeedEvent::FeedCheckpointBegan(began) => {
                self.sources.values_mut().for_each(|source| source.is_old = true);
                self.awaited = began.sources;
                self.end_checkpoint(touched);
            }
            FeedEvent::FeedSourceDefined(defined) => {
                let Some(source) = self.define(defined) else { return };
                touched(source);
                if self.awaited > 0 {
                    self.awaited -= 1;
                    self.end_checkpoint(touched);
                }
            }
            FeedEvent::FeedStatusChanged(status) => {
                let Some(source) = self.sources.get_mut(&status.source) else { return };
                source.status = Some(*status);
                source.rate.add(stamp, status.messages);
                touched(source);
            }
            FeedEvent::FeedBookReset(reset) => {
                if let Some(source) = self.sources.get_mut(&reset.source) {
                    source.reset();
                    touched(source);
                }
            }
            FeedEvent::FeedLevelChanged(change) => {
                if let Some(source) = self.sources.get_mut(&change.source) {
                    source.book.change(change);
                    source.progress = Progress::Between;
                }
            }
            FeedEvent::FeedBookCommitted(committed) => {
                let Some(source) = self.sources.get_mut(&committed.source) else { return };
                source.progress = Progress::Whole;
                source.book.update = committed.update;
                source.book.event_ns = committed.event_ns;
                source.book.receive_ns = committed.receive_ns;
                touched(source);
            }
        }
    }

    fn define(&mut self, defined: &FeedSourceDefined) -> Option<&FeedSource> {
        let scales = [defined.price_scale, defined.quantity_scale];
        if defined.source >= FEED_SOURCES_MAX || scales.iter().any(|it| *it > FEED_SCALE_MAX) {
            return None;
        }
        let source = self.sources.entry(defined.source).or_insert_with(|| FeedSource::new(defined));
        if source.is_same(defined) {
            source.redefine(defined);
        } else {
            *source = FeedSource::new(defined);
        }
        Some(source)
    }

    /// Once everything is told that there is, what was not told is gone.
    fn end_checkpoint(&mut self, mut touched: impl FnMut(&FeedSource)) {
        if self.awaited > 0 {
            return;
        }
        self.sources.retain(|_, source| {
            if source.is_old {
                touched(source);
            }
            !source.is_old
        });
    }

    /// By rising id.
    pub fn sources(&self) -> impl Iterator<Item = &FeedSource> {
        self.sources.values()
    }

    pub fn source(&self, id: u32) -> Option<&FeedSource> {
        self.sources.get(&id)
    }

    /// Whether some source is in the middle of a message.
    pub fn is_between(&self) -> bool {
        self.sources.values().any(|source| source.progress == Progress::Between)
    }

    /// Tells everything that is known as the records of a checkpoint. `stamp` plays no part in it:
    /// whoever applies them stands where this does, but for rates.
    pub fn checkpoint(&self, mut tell: impl FnMut(FeedEvent)) {
        use protocol::feed::{FeedBookCommitted, FeedBookReset, FeedCheckpointBegan};
        let sources = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        tell(FeedCheckpointBegan { sources }.into());
        for (id, kept) in &self.sources {
            let source = *id;
            tell(kept.definition.into());
            if let Some(status) = kept.status {
                tell(status.into());
            }
            tell(FeedBookReset { source }.into());
            for side in [Side::Buy, Side::Sell] {
                for (price, quantity) in kept.book.levels(side) {
                    tell(FeedLevelChanged { source, side, price, quantity }.into());
                }
            }
            if kept.progress == Progress::Whole {
                let FeedBook { update, event_ns, receive_ns, .. } = kept.book;
                tell(FeedBookCommitted { source, update, event_ns, receive_ns }.into());
            }
        }
    }
}
