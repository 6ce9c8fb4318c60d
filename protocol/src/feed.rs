//! What a feed of another venue tells: sources, their state, their books. A log of its own, written
//! by whoever keeps the feed and read like the event log.
//!
//! A source is one symbol of one market of one venue. Its prices and quantities are counts of
//! 10^-`price_scale` and 10^-`quantity_scale`, as [`FeedSourceDefined`] says. What a message of the
//! venue changed ends with [`FeedBookCommitted`]; nobody shows a book in between. Whoever meets a
//! source that no [`FeedSourceDefined`] has named, because he began to read behind it, passes over
//! it until [`FeedCheckpointBegan`] tells everything anew.

use crate::text::Text;
use crate::words::{Side, words};
use core::fmt;
use rkyv::{Archive, Deserialize, Serialize};

/// Decimal places that a price or a quantity of a feed may have.
pub const FEED_SCALE_MAX: u8 = 12;

/// Name of a venue: `binance`, `bitget`.
pub type FeedVenue = Text<16>;
/// Market of a venue: `spot`, `usdm`, `mix`.
pub type FeedMarket = Text<8>;
/// The venue's own text for what is traded.
pub type FeedSymbol = Text<32>;
/// Why a feed is in the state that it is in.
pub type FeedReason = Text<64>;

words! {
    /// How far the book of a source can be trusted.
    pub enum FeedState {
        /// No connection yet, or none any more.
        Connecting = "connecting",
        /// Messages are kept until a snapshot has come.
        Buffering = "buffering",
        /// The book is the venue's.
        Synced = "synced",
        /// A gap was found: the book is the last one before it.
        Resyncing = "resyncing",
        /// Nothing has come for too long.
        Stale = "stale",
        /// Given up until told otherwise.
        Down = "down",
    }
}

record! { 0x0400, length 4,
    /// What is known of every source follows: its definition, its status, its whole book. The first
    /// record of each segment, so that a reader may begin at any of them.
    pub struct FeedCheckpointBegan {
        /// How many sources there are.
        pub sources: u32,
    }
}

record! { 0x0401, length 69,
    /// A source exists, or its scales are others now; then a [`FeedBookReset`] and the whole book in
    /// the new scales follow. Its id stays.
    pub struct FeedSourceDefined {
        pub source: u32,
        pub venue: FeedVenue,
        pub market: FeedMarket,
        pub symbol: FeedSymbol,
        /// Prices count 10^-this; at most [`FEED_SCALE_MAX`].
        pub price_scale: u8,
        /// Quantities count 10^-this; at most [`FEED_SCALE_MAX`].
        pub quantity_scale: u8,
        /// Levels a side that are kept; 0: all.
        pub depth_max: u32,
    }
}

record! { 0x0402, length 110,
    /// The state of a source, and what it has counted so far.
    pub struct FeedStatusChanged {
        pub source: u32,
        pub state: FeedState,
        /// Empty while all is well.
        pub reason: FeedReason,
        /// Messages that came for it, of all kinds.
        pub messages: u64,
        /// Places where ids or checksums showed that something is missing.
        pub gaps: u64,
        /// Books begun anew after a gap, a cut or a restart of the venue.
        pub resyncs: u64,
        /// Messages that were refused or came too late.
        pub dropped: u64,
        /// Receive time less event time of the last message; below 0 when clocks differ.
        pub lag_ns: i64,
    }
}

record! { 0x0403, length 4,
    /// The book is empty from here on; the whole book follows, up to a [`FeedBookCommitted`].
    pub struct FeedBookReset {
        pub source: u32,
    }
}

record! { 0x0404, length 29,
    /// One level of a book, after the change.
    pub struct FeedLevelChanged {
        pub source: u32,
        pub side: Side,
        /// Count at the source's `price_scale`.
        pub price: u64,
        /// Count at the source's `quantity_scale`; 0: the level is gone.
        pub quantity: u128,
    }
}

record! { 0x0405, length 28,
    /// One message of the venue is applied: the book may be shown.
    pub struct FeedBookCommitted {
        pub source: u32,
        /// The venue's own id of the update.
        pub update: u64,
        /// The venue's clock, nanoseconds since 1970; 0 when it does not say.
        pub event_ns: u64,
        /// Our clock when the message came, nanoseconds since 1970.
        pub receive_ns: u64,
    }
}

record_sum! {
    /// One record of the feed log.
    pub enum FeedEvent: FeedRecord, schemas FEED_SCHEMA {
        FeedCheckpointBegan,
        FeedSourceDefined,
        FeedStatusChanged,
        FeedBookReset,
        FeedLevelChanged,
        FeedBookCommitted,
    }
}

const _: () = assert!(crate::record::encoded_length::<FeedLevelChanged>() <= 48);
