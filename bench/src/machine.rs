//! What the figures were measured on.

use std::fs;
use std::thread::available_parallelism;

/// `2 cores, normal priority`.
pub fn describe() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let priority = match is_real_time() {
        Some(true) => "real-time priority",
        Some(false) => "normal priority (`chrt -f 50` gives steadier figures)",
        None => "unknown priority",
    };
    format!("{cores} cores, {priority}")
}

/// Does this process run as SCHED_FIFO or SCHED_RR?
fn is_real_time() -> Option<bool> {
    /// Counted behind the name of the program, which ends with the last parenthesis (proc(5)).
    const POLICY: usize = 38;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let policy = fields.split_whitespace().nth(POLICY)?;
    Some(matches!(policy, "1" | "2"))
}
