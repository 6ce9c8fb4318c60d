//! What this process costs: CPU time and memory as the kernel counts them. Zero where the kernel
//! does not say.

use std::fs;

/// Clock ticks per second of `/proc/self/stat`: fixed at 100 on Linux.
const TICKS_PER_SECOND: u64 = 100;
const TICK_US: u64 = 1_000_000 / TICKS_PER_SECOND;

/// CPU time so far, or between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Of the whole process in user space, in microseconds, in steps of 10 ms.
    pub user_us: u64,
    /// Of the whole process in the kernel, in microseconds, in steps of 10 ms.
    pub system_us: u64,
    /// Of the calling thread, user and kernel, in nanoseconds.
    pub thread_ns: u64,
}

impl CpuTime {
    pub fn now() -> CpuTime {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let (user, system) = parse_stat(&stat).unwrap_or_default();
        let thread = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        CpuTime {
            user_us: user.saturating_mul(TICK_US),
            system_us: system.saturating_mul(TICK_US),
            thread_ns: first_number(&thread).unwrap_or(0),
        }
    }

    /// What was used since `earlier`, on the same thread.
    #[must_use]
    pub fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            user_us: self.user_us.saturating_sub(earlier.user_us),
            system_us: self.system_us.saturating_sub(earlier.system_us),
            thread_ns: self.thread_ns.saturating_sub(earlier.thread_ns),
        }
    }
}

/// Resident memory of this process in bytes.
pub fn memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    resident.and_then(first_number).unwrap_or(0).saturating_mul(1_024)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// User and system ticks: the 14th and 15th field; the second is a name that may hold blanks.
fn parse_stat(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_hold_blanks_and_brackets() {
        let stat = "1 (a ) b) S 2 3 4 5 6 7 8 9 10 11 120 34 0 0";
        assert_eq!(parse_stat(stat), Some((120, 34)));
        assert_eq!(parse_stat("1 (a"), None);
    }

    #[test]
    fn memory_is_counted() {
        assert!(memory_bytes() > 0);
    }
}
