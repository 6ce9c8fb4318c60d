//! The shell around the state machines: sockets, clocks, chance and files. All that is here only
//! drives a [`Session`](crate::session::Session); no rule of a venue stands in it.
//!
//! | module | what it is |
//! |---|---|
//! | [`record`] | writes what came; the format of our recordings |
//! | [`backoff`] | how long to wait before the next connection |
//! | [`budget`] | the venue's rate limit, shared by all symbols |
//! | [`net`] | TCP, proxy, TLS |
//! | [`http`] | snapshots over REST |

pub mod backoff;
pub mod budget;
pub mod error;
pub mod http;
pub mod net;
pub mod random;
pub mod record;
mod socket;

pub use error::Error;

/// How we introduce ourselves.
const AGENT: &str = concat!("outcry/", env!("CARGO_PKG_VERSION"));
