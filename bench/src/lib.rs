//! Workloads and percentiles: how fast the engine alone and the whole path are.
//!
//! What is asserted is that the work was done right: trades, volumes and hashes. A figure is never
//! asserted; what it says depends on the machine and on who else uses it.

pub mod book;
pub mod engine_bench;
pub mod feed_bench;
pub mod figures;
pub mod gateway_bench;
pub mod machine;
pub mod pipeline_bench;
pub mod tape;
pub mod workload;

/// Errors of a tool: a text for its user.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
