//! What a run of the load generator found, as values and as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::latency::{Latencies, Percentiles, PercentilesHeading};
use crate::usage::CpuTime;

/// Texts of refusals that are kept.
const TEXTS_MAX: usize = 5;

/// Different error codes that are told apart; the others count as [`OTHER_CODE`].
const CODES_MAX: usize = 64;
const OTHER_CODE: i64 = 0;

/// A look at a run that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Since the first order was due.
    pub elapsed: Duration,
    pub sent: u64,
    pub answered: u64,
    pub refused: u64,
    pub in_flight: u64,
}

/// **Invariants:** `sent = answered + unanswered`; latencies are those of orders sent after
/// the warm-up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Orders and cancels sent, warm-up included.
    pub sent: u64,
    pub answered: u64,
    /// Sent and never answered.
    pub unanswered: u64,
    /// Due before the end of the run and never sent, because too much was in flight.
    pub never_sent: u64,
    /// Sent more than 1 ms after they were due.
    pub late: u64,
    /// Answers with status 200, by kind of request.
    pub rested: u64,
    pub canceled: u64,
    pub traded: u64,
    /// Of `traded`: those that were filled at all.
    pub filled: u64,
    /// Other answers by error code; code 0 stands for all codes past the first 64.
    pub refused: BTreeMap<i64, u64>,
    /// The first few refusals as they came.
    pub refusal_texts: Vec<String>,
    /// Messages of user data streams.
    pub user_events: u64,
    /// A connection was lost (and that was tolerated).
    pub disconnected: bool,
    /// Time from the end of the warm-up to the last order.
    pub measured: Duration,
    /// Answers per second within `measured`.
    pub throughput: u64,
    /// From the time an order was due to its answer.
    pub latency: Percentiles,
    /// From the time an order was written to its answer.
    pub service: Percentiles,
    /// Within `measured`.
    pub cpu: CpuTime,
    /// Orders sent within `measured`.
    pub measured_sent: u64,
}

impl LoadReport {
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }

    /// CPU time of the generator's thread per order sent, in nanoseconds.
    pub fn cpu_per_order_ns(&self) -> u64 {
        self.cpu.thread_ns.checked_div(self.measured_sent).unwrap_or(0)
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12}{}", "", PercentilesHeading)?;
        writeln!(f, "{:<12}{}", "latency", self.latency)?;
        writeln!(f, "{:<12}{}", "service", self.service)?;
        writeln!(f, "throughput  {}/s over {} ms", self.throughput, self.measured.as_millis())?;
        writeln!(
            f,
            "orders      sent {}, answered {}, unanswered {}, late {}, never sent {}",
            self.sent, self.answered, self.unanswered, self.late, self.never_sent
        )?;
        writeln!(
            f,
            "accepted    rested {}, canceled {}, traded {} (filled {}), user events {}",
            self.rested, self.canceled, self.traded, self.filled, self.user_events
        )?;
        writeln!(
            f,
            "cpu         user {} ms, system {} ms, {} ns per order",
            self.cpu.user_us / 1_000,
            self.cpu.system_us / 1_000,
            self.cpu_per_order_ns()
        )?;
        write!(f, "refused     {}", self.refused_total())?;
        for (code, count) in &self.refused {
            write!(f, "\n  {code:>8}  {count}")?;
        }
        for text in &self.refusal_texts {
            write!(f, "\n  {text}")?;
        }
        if self.disconnected { write!(f, "\nconnection lost") } else { Ok(()) }
    }
}

/// Counts while a run goes on.
pub(super) struct Counts {
    pub(super) report: LoadReport,
    pub(super) latency: Latencies,
    pub(super) service: Latencies,
    /// Answers within the measured time.
    pub(super) measured_answers: u64,
}

impl Counts {
    pub(super) fn new() -> Counts {
        Counts {
            report: LoadReport::default(),
            latency: Latencies::new(),
            service: Latencies::new(),
            measured_answers: 0,
        }
    }

    pub(super) fn refused(&mut self, code: i64, text: impl FnOnce() -> String) {
        let refused = &mut self.report.refused;
        let is_new = !refused.contains_key(&code);
        let code = if is_new && refused.len() >= CODES_MAX { OTHER_CODE } else { code };
        *refused.entry(code).or_default() += 1;
        if self.report.refusal_texts.len() < TEXTS_MAX && is_new {
            self.report.refusal_texts.push(text());
        }
    }

    pub(super) fn finish(mut self) -> LoadReport {
        self.report.latency = self.latency.percentiles();
        self.report.service = self.service.percentiles();
        let measured_ns = self.report.measured.as_nanos().max(1);
        self.report.throughput =
            (u128::from(self.measured_answers) * 1_000_000_000 / measured_ns) as u64;
        self.report
    }
}
