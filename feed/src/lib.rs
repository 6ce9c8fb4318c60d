//! Books of other venues, kept exactly: Binance and Bitget.
//!
//! The core is pure: bytes and time in, book changes and requests out ([`adapter`]). No float comes
//! near a price or a quantity.
#![deny(clippy::float_arithmetic)]

pub mod adapter;
pub mod decimal;
