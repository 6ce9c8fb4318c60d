//! Tests of the whole: everything that needs more than one crate, in one binary.
// Clippy takes only functions marked as tests for tests; here everything is one.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod arrows;
mod capture;
mod crash;
mod determinism;
mod explain;
mod faults;
mod feed_captures;
mod format;
mod golden;
mod model;
mod model_equals_engine;
mod ops;
mod power;
mod random_market;
mod serve;
mod story_language;
mod support;
