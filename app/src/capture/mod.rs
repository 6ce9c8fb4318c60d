//! Replays recorded order flow of real exchanges through the real engine and judges the outcome.
//!
//! Orders go in as commands; what is compared with the recording comes out of the engine's events
//! alone. docs/captures.md says what is checked and which exceptions are known. Nothing here knows
//! a rule of the engine, and nothing is written but the report.

mod bitstamp;
mod cme;
mod decimal;
mod json;
mod ladder;
mod lobster;
mod report;
mod source;
mod venue;

pub use bitstamp::bitstamp;
pub use cme::cme_mbo;
pub use lobster::lobster;
