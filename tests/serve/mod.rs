//! `outcry serve` from outside: a process of its own, spoken to over sockets alone.
//!
//! Each test starts its server on a free port in a folder of its own, so that tests and whole
//! suites may run side by side; whatever becomes of a test, its processes end with it ([`child`]).

mod admin;
mod api;
mod child;
mod controls;
mod demo;
mod depth;
mod events;
#[path = "../feed_live.rs"]
mod feed_live;
mod feeds;
mod http;
mod killed;
mod limits;
mod listen_keys;
mod lists;
mod orders;
mod requests;
mod sessions;
mod shutdown;
mod socket;
mod sockets;
mod users;
