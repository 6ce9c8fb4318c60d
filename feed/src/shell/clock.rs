//! The one place of this crate where a clock is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest sleep in one piece: the clock of the wall may be set meanwhile.
const SLEEP_MAX_NS: u64 = 1_000_000_000;

/// Nanoseconds since 1970, UTC.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Sleeps towards `until_ns`; may return earlier, so whoever waits looks again.
pub(crate) async fn sleep_until_ns(until_ns: u64) {
    let left_ns = until_ns.saturating_sub(now_ns()).min(SLEEP_MAX_NS);
    tokio::time::sleep(Duration::from_nanos(left_ns)).await;
}
