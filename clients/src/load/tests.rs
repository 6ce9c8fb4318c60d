//! The load generator against a fake venue.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::{Price, Quantity};

use super::{LoadError, LoadOptions, LoadSymbol, run};
use crate::credentials::Credentials;
use crate::fake::FakeVenue;

fn options(venue: &FakeVenue) -> LoadOptions {
    let symbol = |symbol: &str| LoadSymbol {
        symbol: symbol.to_owned(),
        price: Price::parse("100").unwrap(),
        tick: Price::parse("0.01").unwrap(),
        quantity: Quantity::parse("1").unwrap(),
    };
    let credentials = ["a", "b"].map(|key| Credentials::new(key, "secret")).to_vec();
    let symbols = vec![symbol("BTCUSDT"), symbol("ETHUSDT")];
    LoadOptions {
        connections: 3,
        rate: 2_000,
        duration: Duration::from_millis(400),
        warm_up: Duration::from_millis(100),
        ..LoadOptions::new(&venue.ws, credentials, symbols)
    }
}

fn never() -> AtomicBool {
    AtomicBool::new(false)
}

#[test]
fn every_order_is_sent_once_and_answered() {
    for spread in [false, true] {
        let venue = FakeVenue::start();
        let report = run(LoadOptions { spread, ..options(&venue) }, |_| {}, &never()).unwrap();
        assert_eq!((report.sent, report.answered, report.unanswered), (1_000, 1_000, 0));
        assert_eq!(report.rested + report.canceled + report.traded, 1_000, "{report}");
        assert_eq!(report.latency.count, 800);
        assert!(report.latency.p50_ns >= report.service.p50_ns);
        assert!(report.refused.is_empty(), "{report}");
        assert!(report.user_events >= 1_000);
        let orders = venue.asked("order.place") + venue.asked("order.cancel");
        assert_eq!(orders, 1_000);
        assert_eq!(venue.asked("userDataStream.subscribe"), 3);
        assert_eq!(venue.open_orders(), 0);
    }
}

#[test]
fn a_stop_ends_the_sending_and_the_answers_are_still_read() {
    let venue = FakeVenue::start();
    let options = LoadOptions { duration: Duration::from_secs(600), ..options(&venue) };
    let stop = never();
    let report = run(options, |_| stop.store(true, Ordering::Relaxed), &stop).unwrap();
    assert!(report.sent >= 1_000 && report.unanswered == 0, "{report}");
}

#[test]
fn what_does_not_fit_in_flight_waits_and_is_not_forgotten() {
    let venue = FakeVenue::start();
    let report =
        run(LoadOptions { in_flight_max: 1, ..options(&venue) }, |_| {}, &never()).unwrap();
    assert_eq!(report.sent + report.never_sent, 1_000, "{report}");
    assert_eq!(report.unanswered, 0);
    assert!(report.latency.max_ns > report.service.max_ns, "{report}");
}

#[test]
fn the_recorder_has_a_line_for_every_answer_before_a_connection_is_lost() {
    let venue = FakeVenue::closes_after(50);
    let recorder = scratch("recorded");
    let options = LoadOptions {
        recorder: Some(recorder.clone()),
        tolerate_disconnect: true,
        ..options(&venue)
    };
    let report = run(options, |_| {}, &never()).unwrap();
    assert!(report.disconnected && report.answered > 0, "{report}");
    let text = std::fs::read_to_string(&recorder).unwrap();
    std::fs::remove_file(&recorder).unwrap();
    assert_eq!(text.lines().count() as u64, report.answered);
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [_, id, kind, symbol, order_id, client_order_id, status, executed] = words[..] else {
            panic!("{line}");
        };
        assert!(["BTCUSDT", "ETHUSDT"].contains(&symbol), "{line}");
        assert!(order_id.parse::<u64>().is_ok() && executed == "0.00000000", "{line}");
        let (client_order_id_expected, status_expected) = match kind {
            "rest" => (format!("load-1-{id}"), "NEW"),
            "trade" => (format!("load-1-{id}"), "FILLED"),
            "cancel" => ("of-the-order".to_owned(), "CANCELED"),
            _ => panic!("{line}"),
        };
        assert_eq!((client_order_id, status), (&*client_order_id_expected, status_expected));
    }
}

#[test]
fn a_lost_connection_is_an_error_unless_it_is_tolerated() {
    let venue = FakeVenue::closes_after(50);
    let lost = run(options(&venue), |_| {}, &never());
    assert!(matches!(lost, Err(LoadError::Session { .. })), "{lost:?}");
}

#[test]
fn options_that_cannot_work_are_refused() {
    #[track_caller]
    fn check(change: impl Fn(&mut LoadOptions)) {
        let venue = FakeVenue::start();
        let mut options = options(&venue);
        change(&mut options);
        let refused = run(options, |_| {}, &never());
        assert!(matches!(refused, Err(LoadError::Options(_))), "{refused:?}");
    }
    check(|options| options.credentials.clear());
    check(|options| options.connections = 0);
    check(|options| options.symbols.clear());
    check(|options| options.rate = 0);
    check(|options| options.symbols[0].tick = Price(3));
    check(|options| options.symbols[0].price = Price::parse("0.21").unwrap());
    check(|options| options.in_flight_max = 0);
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("outcry-load-{name}-{}", std::process::id()))
}
