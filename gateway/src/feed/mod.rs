//! What a feed knows of other venues, beside our own books: states, books, imbalances, and one book
//! over all of them. Ours, not the venue's (docs/feed.md).
//!
//! It comes from a log of its own, which somebody writes in this process or another; the [`FeedLink`]
//! is the way to it. The log may come later, and be another one after a while.
//!
//! [`FeedLink`]: crate::link::FeedLink

mod payload;
mod queries;
#[cfg(test)]
pub(crate) mod tests;

use marketdata::{FeedSource, Feeds, Instrument, Market};
use protocol::FeedState;

pub(crate) use payload::{consolidated, own_obi, source_obi};
pub use queries::ENDPOINTS;

/// The name of the venue that we are ourselves, and of its market.
pub const OWN_VENUE: &str = "outcry";
pub const OWN_MARKET: &str = "spot";

/// Levels a side of the consolidated book's stream.
pub const CONSOLIDATED_LEVELS: usize = 20;

/// Why a source is down although nobody has said so.
const NO_WRITER: &str = "nobody keeps the feed";

/// What is known of the log itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FeedLog {
    /// There is none.
    #[default]
    Absent,
    /// Nobody writes it.
    Silent,
    Live,
}

impl FeedLog {
    pub const fn as_str(self) -> &'static str {
        match self {
            FeedLog::Absent => "absent",
            FeedLog::Silent => "silent",
            FeedLog::Live => "live",
        }
    }
}

/// The view of the feed log.
#[derive(Debug, Default)]
pub struct FeedView {
    pub feeds: Feeds,
    pub log: FeedLog,
    /// Why the log cannot be read, if it is there and cannot.
    pub problem: Option<String>,
}

impl FeedView {
    /// What a source's book is worth: nothing is synced that nobody keeps.
    pub fn state(&self, source: &FeedSource) -> FeedState {
        match self.log {
            FeedLog::Live => source.state(),
            FeedLog::Absent | FeedLog::Silent => FeedState::Down,
        }
    }

    /// Why it is in that state; may be empty.
    pub fn reason<'a>(&self, source: &'a FeedSource) -> &'a str {
        match self.log {
            FeedLog::Live => source.status().map_or("", |status| status.reason.as_str()),
            FeedLog::Absent | FeedLog::Silent => NO_WRITER,
        }
    }

    pub fn is_synced(&self, source: &FeedSource) -> bool {
        self.state(source) == FeedState::Synced && source.book().is_some()
    }

    /// The sources of a symbol, whose letters may be of any case.
    pub fn sources_of(&self, symbol: &str) -> impl Iterator<Item = &FeedSource> {
        let lower = symbol.to_lowercase();
        self.feeds.sources().filter(move |source| source.symbol().to_lowercase() == lower)
    }
}

/// Our own instrument of a symbol whose letters may be of any case.
pub(crate) fn own<'m>(market: &'m Market, symbol: &str) -> Option<&'m Instrument> {
    let found = market.by_symbol(&symbol.to_uppercase()).or_else(|| market.by_symbol(symbol))?;
    (found.symbol().to_lowercase() == symbol.to_lowercase()).then_some(found)
}
