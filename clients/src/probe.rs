//! Round trips of one connection with one request in flight: place an order, cancel it, again.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::credentials::Credentials;
use crate::handshake::{API_PATH, Endpoint};
use crate::latency::{Latencies, Percentiles, PercentilesHeading};
use crate::load::LoadSymbol;
use crate::scan::{self, answer_head};
use crate::session::{Session, SessionError, shown, symbol_json, unix_ms};
use crate::usage::CpuTime;
use crate::wire::{self, Opcode, begin_frame, end_frame};

/// Ticks below the middle at which the probe's order rests.
const TICKS_AWAY: u64 = 100;

#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// `ws://host:port`.
    pub ws: String,
    pub credentials: Credentials,
    /// The probe buys 100 ticks below its price; an order in the way of nobody is best measured.
    pub symbol: LoadSymbol,
    /// Pairs of an order and its cancel that are measured.
    pub rounds: u64,
    /// Pairs before them that are not.
    pub warm_up: u64,
    /// Reads without sleeping: costs a core, saves a wake-up per answer.
    pub spin: bool,
}

/// Round trips from before the write to after the read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeReport {
    pub place: Percentiles,
    pub cancel: Percentiles,
    pub cpu: CpuTime,
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12}{}", "", PercentilesHeading)?;
        writeln!(f, "{:<12}{}", "place", self.place)?;
        writeln!(f, "{:<12}{}", "cancel", self.cancel)?;
        write!(f, "cpu         {} ms", self.cpu.thread_ns / 1_000_000)
    }
}

/// Runs all rounds, or until `stop`. The first refusal ends the run as an error.
pub fn run(options: &ProbeOptions, stop: &AtomicBool) -> Result<ProbeReport, SessionError> {
    let mut probe = Probe::open(options)?;
    for _ in 0..options.warm_up {
        probe.round()?;
    }
    (probe.place, probe.cancel) = (Latencies::new(), Latencies::new());
    let before = CpuTime::now();
    for _ in 0..options.rounds {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        probe.round()?;
    }
    Ok(ProbeReport {
        place: probe.place.percentiles(),
        cancel: probe.cancel.percentiles(),
        cpu: CpuTime::now().since(before),
    })
}

struct Probe {
    session: Session,
    out: Vec<u8>,
    /// Requests so far.
    number: u64,
    place_parameters: String,
    symbol_json: String,
    place: Latencies,
    cancel: Latencies,
}

impl Probe {
    fn open(options: &ProbeOptions) -> Result<Probe, SessionError> {
        let LoadSymbol { symbol, price, tick, quantity } = &options.symbol;
        let endpoint = Endpoint::parse(&options.ws)?;
        let mut session = Session::open(&endpoint, API_PATH)?;
        session.logon(&options.credentials)?;
        let symbol_json = symbol_json(symbol);
        session.cancel_all(&symbol_json)?;
        if options.spin {
            session.spin()?;
        }
        let away = tick.0.saturating_mul(TICKS_AWAY);
        let price = protocol::Price(price.0.saturating_sub(away).max(tick.0));
        let place_parameters = format!(
            "\"symbol\":{symbol_json},\"side\":\"BUY\",\"type\":\"LIMIT\",\"timeInForce\":\"GTC\",\
             \"price\":\"{price}\",\"quantity\":\"{quantity}\",\"newOrderRespType\":\"RESULT\""
        );
        Ok(Probe {
            session,
            out: Vec::new(),
            number: 0,
            place_parameters,
            symbol_json,
            place: Latencies::new(),
            cancel: Latencies::new(),
        })
    }

    fn round(&mut self) -> Result<(), SessionError> {
        let parameters = self.place_parameters.clone();
        let (answer, place_ns) = self.round_trip("order.place", &parameters)?;
        let order_id = scan::number_after(&answer, b"\"orderId\":").unwrap_or(0);
        let parameters = format!("\"symbol\":{},\"orderId\":{order_id}", self.symbol_json);
        let (_, cancel_ns) = self.round_trip("order.cancel", &parameters)?;
        self.place.record(place_ns);
        self.cancel.record(cancel_ns);
        Ok(())
    }

    /// One request and its answer, and the nanoseconds between.
    fn round_trip(
        &mut self,
        method: &'static str,
        parameters: &str,
    ) -> Result<(Vec<u8>, u64), SessionError> {
        let id = self.number;
        self.number += 1;
        self.out.clear();
        let frame = begin_frame(&mut self.out);
        let timestamp = unix_ms();
        let request = format_args!(
            "{{\"id\":{id},\"method\":\"{method}\",\"params\":{{{parameters},\"timestamp\":{timestamp}}}}}"
        );
        self.out.write_fmt(request)?;
        end_frame(&mut self.out, frame, Opcode::Text, wire::MASK);
        let sent = Instant::now();
        // A request is far smaller than a socket's empty buffer: it is written whole at once.
        self.session.stream.write_all(&self.out)?;
        loop {
            let message = self.session.next_message()?;
            let elapsed_ns = sent.elapsed().as_nanos() as u64;
            match answer_head(&message) {
                Some(head) if head.id == id && head.status == 200 => {
                    return Ok((message, elapsed_ns));
                }
                Some(head) if head.id != id => {}
                None if scan::is_event(&message) => {}
                _ => return Err(SessionError::Refused { method, answer: shown(&message) }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeVenue;
    use protocol::{Price, Quantity};

    #[test]
    fn each_round_places_and_cancels_one_order() {
        for spin in [false, true] {
            let venue = FakeVenue::start();
            let symbol = LoadSymbol {
                symbol: "BTCUSDT".to_owned(),
                price: Price::parse("100").unwrap(),
                tick: Price::parse("0.01").unwrap(),
                quantity: Quantity::parse("1").unwrap(),
            };
            let credentials = Credentials::new("key", "secret");
            let ws = venue.ws.clone();
            let options = ProbeOptions { ws, credentials, symbol, rounds: 20, warm_up: 5, spin };
            let report = run(&options, &AtomicBool::new(false)).unwrap();
            assert_eq!((report.place.count, report.cancel.count), (20, 20));
            assert_eq!(venue.asked("order.place"), 25);
            assert_eq!(venue.open_orders(), 0);
        }
    }
}
