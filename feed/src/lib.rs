//! Books of other venues, kept exactly: Binance and Bitget.
//!
//! The core is pure: bytes and time in, book changes and requests out ([`adapter`]). No float comes
//! near a price or a quantity.
#![deny(clippy::float_arithmetic)]

pub mod adapter;
pub mod binance;
pub mod bitget;
pub mod book;
pub mod decimal;
mod ladder;
pub mod log;
pub mod naive;
pub mod player;
pub mod recordings;
pub mod scan;
pub mod session;
pub mod shell;

#[cfg(test)]
mod tests;
