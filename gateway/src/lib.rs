//! The edge: Binance Spot's REST API, WebSocket API and streams over one port, and the admin API.
//!
//! ```text
//! sockets → rest / ws_api → endpoint → Command → link (ring) … event log → core
//!        ← answers ← pending ←──────────────────────────────────────────┤ views: accounts, market
//!        ← outbox  ← streams (market data), reports (user data) ←───────┘
//! ```
//! It knows commands, events and its own views, never the engine: what a rule decides comes as an
//! event. It is the only crate that knows the venue's JSON.

pub mod accounts;
pub mod admin;
pub mod answers;
pub mod calendar;
pub mod controls;
pub mod core;
pub mod disconnect;
pub mod endpoint;
pub mod error;
pub mod exchange_info;
pub mod feed;
pub mod gateway;
pub mod idempotency;
pub mod json;
pub mod legacy;
pub mod limits;
pub mod link;
pub mod listener;
pub mod market;
pub mod options;
pub mod outbox;
pub mod params;
pub mod pending;
pub mod quotes;
pub mod reports;
pub mod request;
pub mod rest;
pub mod server;
pub mod signature;
pub mod socket;
pub mod socket_api;
pub mod streams;
#[cfg(test)]
mod testing;
pub mod trading;
pub mod users;

pub use gateway::Gateway;
pub use link::{Alarm, Broken, FeedLink, FeedPolled, Full, Host, Link, NodeState, Polled, Untold};
pub use options::Options;
