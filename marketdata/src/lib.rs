//! Views of events that anybody may see: depth, trades, candles, tickers; of other venues, their
//! books ([`Feeds`]) and what is made of books: imbalance and the consolidated book.
//!
//! [`Market`] follows the event log: [`Market::apply`] takes one event with the stamp of its
//! command. Views count nothing that an event states: ids and quantities are copied. There is no
//! I/O, no clock and no text format here; whoever reads gives the time and chooses the words.
//! Prices and amounts count 10^-8, stamps are nanoseconds. Every ring is bounded by [`History`].
#![deny(clippy::float_arithmetic)]

#[macro_use]
extern crate protocol;

mod auction;
mod candles;
mod consolidated;
mod depth;
mod feed;
mod interval;
mod market;
mod obi;
mod reference;
mod snapshot;
mod ticker;
mod trades;

#[cfg(test)]
mod tests;

pub use auction::Auction;
pub use candles::{Candle, Candles};
pub use consolidated::{
    CONSOLIDATED_SCALE, Consolidated, ConsolidatedLevel, LADDERS_MAX, Ladder, Levels,
};
pub use depth::{Depth, DepthDiff, Level};
pub use feed::{FEED_LEVELS_MAX, FEED_SOURCES_MAX, FeedBook, FeedSource, Feeds};
pub use interval::Interval;
pub use market::{Instrument, Market};
pub use obi::{Imbalance, OBI_LEVELS, RATIO_DECIMALS, Ratio};
pub use reference::{Bucket, Reference};
pub use snapshot::LoadError;
pub use ticker::{AveragePrice, Ticker, WINDOW_MAX_NS};
pub use trades::{AggregateTrade, TradeRow, Trades};

/// How much of the past is kept, per instrument. 0 counts as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    pub trades: usize,
    pub aggregate_trades: usize,
    /// Per interval, periods with trades alone. Minutes and hours are never fewer than a ticker of
    /// seven days needs.
    pub candles: usize,
}

impl Default for History {
    fn default() -> History {
        History { trades: 10_000, aggregate_trades: 10_000, candles: 1_500 }
    }
}
