//! What an attacker or a broken disk might hand us, thrown at every reader of foreign bytes.
//!
//! Each target is a plain function of bytes that panics when something is wrong; an outside fuzzer
//! may call it as well. [`campaign`] makes inputs from a seed by mutation, and keeps those that
//! show something new ([`feedback`]). Nothing here knows an answer that the crates themselves gave
//! it: what is checked is written down anew, or compares two ways that must agree.

pub mod campaign;
pub mod draw;
pub mod edit;
pub mod feedback;
pub mod mutate;
pub mod samples;
pub mod scratch;
pub mod targets;

/// One function of bytes and what is known about its inputs.
pub struct Target {
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
    /// Valid inputs to begin with.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Pieces worth putting into an input.
    pub words: &'static [&'static str],
    pub length_max: usize,
}

/// All targets, in the order in which they are listed.
pub const TARGETS: &[Target] = &[
    targets::decimal::TARGET,
    targets::record::TARGET,
    targets::frame::TARGET,
    targets::ring::TARGET,
    targets::config::TARGET,
    targets::exchange_info::TARGET,
    targets::apply::TARGET,
    targets::capture::TARGET,
    targets::capture_cme::TARGET,
    targets::rest_request::TARGET,
    targets::socket_request::TARGET,
    targets::stream_control::TARGET,
    targets::public_key::TARGET,
    targets::feed_log::TARGET,
    targets::market::TARGET,
    targets::feed::MESSAGE,
    targets::feed::SESSION,
    targets::feed::RECORDING,
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
