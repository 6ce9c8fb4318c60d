//! Programs that use the venue from outside: the bots of the demo, the load generator, the probe
//! of round trips and the stream subscribers.
//!
//! They know the public WebSocket API and streams and nothing else of the venue; of this
//! workspace only the exact numbers and words of `protocol`. Nothing here prints: what is worth
//! telling is returned, or goes through a callback.

pub mod bots;
mod connection;
mod credentials;
#[cfg(test)]
mod fake;
pub mod fanout;
mod handshake;
pub mod http;
mod latency;
pub mod load;
pub mod probe;
mod random;
mod scan;
mod session;
mod usage;
mod wire;

pub use credentials::Credentials;
pub use handshake::{Endpoint, HandshakeError};
pub use latency::{Latencies, Percentiles};
pub use session::SessionError;
pub use usage::{CpuTime, memory_bytes};
pub use wire::WireError;
