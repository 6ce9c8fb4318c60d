//! The exchange as a function: a command in, events out, nothing else.
//!
//! [`Engine::apply`] holds accounts, balances, the order lifecycle and a book per instrument. It
//! does no I/O and knows no clock, threads, randomness, floats or hash-map order: the same
//! commands give the same events, bit for bit, on every machine. The rules are docs/rules.md.
//!
//! Where to read: `engine` (the frame around a command), `check` (every refusal of an order),
//! `lifecycle` (what an order goes through), `walk` (matching), `contingency` (what the orders of a
//! list do to each other), `phases` (auctions, interruptions, calendars), `book`, `ledger`.
#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;

mod auction;
mod average;
mod bare;
mod book;
mod calendar;
mod chains;
mod check;
mod contingency;
mod divisor;
mod engine;
mod gateways;
mod invariants;
mod ladder;
mod ledger;
mod lifecycle;
mod lists;
mod market;
mod orders;
mod phases;
mod reference;
mod registry;
mod regulation;
mod risk;
mod rules;
mod sink;
mod slab;
mod snapshot;
mod stops;
mod sweep;
mod table;
mod trailing;
mod venue;
mod walk;

pub use bare::{BareBook, Operation, OperationKind};
pub use book::Level;
pub use engine::{Engine, OpenOrder, OrderBook, RULES_VERSION};
pub use sink::EventSink;
pub use snapshot::LoadError;
