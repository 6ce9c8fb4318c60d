//! The language of the exchange: exact numbers, ids, commands, events, and their bytes.
//!
//! Everything that two parts of the system say to each other is a type of this crate. It does no
//! I/O, reads no clock and knows no JSON. A command asks; an event says what happened. Both are
//! records: one fixed-size archive per kind, framed by [`record`].
#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;

#[macro_use]
pub mod record;
pub mod command;
pub mod event;
pub mod feed;
pub mod hash;
pub mod ids;
pub mod instrument;
pub mod number;
pub mod plain;
pub mod reject;
pub mod text;
pub mod words;

pub use command::{ApiKey, COMMAND_SCHEMA, Command, CommandRecord, Envelope, Origin};
pub use event::{EVENT_SCHEMA, Event, EventRecord};
pub use feed::{FEED_SCHEMA, FeedEvent, FeedRecord, FeedState};
pub use hash::RollingHash;
pub use ids::*;
pub use instrument::{Filters, InstrumentDefinition};
pub use number::{Amount, DecimalError, LevelQuantity, Price, Quantity, SCALE, notional};
pub use record::{Record, RecordError, RecordView, Records};
pub use reject::RejectReason;
pub use text::{Bytes, Text};
pub use words::*;

/// What one command is to the engine: its place in the log, its time, and what it asks.
#[derive(Debug, Clone, Copy)]
pub struct Sequenced<'a> {
    /// Place in the command log, from 1, without gaps.
    pub sequence: Sequence,
    /// Stored time: when the command's frame was stamped. Never runs backwards.
    pub stamp: Stamp,
    pub command: &'a Command,
}
