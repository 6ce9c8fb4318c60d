//! Small logs made by hand.

use super::*;
use std::io::Cursor;

fn judge(log: &str) -> Result<(bool, String), String> {
    let mut out = Vec::new();
    let lines = Lines::new("log".into(), Box::new(Cursor::new(log.to_owned().into_bytes())));
    let passed = replay(lines, &mut out);
    let text = String::from_utf8(out).unwrap();
    passed.map(|passed| (passed, text)).map_err(|error| error.to_string())
}

#[track_caller]
fn check(log: &str, expected: bool, lines: &[&str]) {
    let (passed, report) = judge(log).unwrap();
    assert_eq!(passed, expected, "{report}");
    for line in lines {
        assert!(report.contains(line), "{line:?} is not in\n{report}");
    }
}

fn order(ms: u64, event: &str, id: u64, side: u8, price: &str, amount: &str) -> String {
    format!(
        "{ms} order_{event} {{\"price\": \"{price}\", \"amount\": \"{amount}\", \"datetime\": \
         \"1\", \"id\": {id}, \"order_type\": {side}}}\n"
    )
}

fn trade(ms: u64, id: u64, price: &str, amount: &str) -> String {
    format!("{ms} trade {{\"price\": {price}, \"amount\": {amount}, \"id\": {id}}}\n")
}

/// An ask of 1 rests at 100.1 and a bid takes 0.4 of it; what is left is canceled.
fn taken(ms: u64, printed: &str) -> String {
    let (ask, bid) = (ms, ms + 1);
    [
        order(ms, "created", ask, 1, "100.10", "1.00000000"),
        order(ms + 10, "created", bid, 0, "101.00", "0.40000000"),
        order(ms + 20, "changed", ask, 1, "100.10", "0.60000000"),
        order(ms + 21, "deleted", bid, 0, "101.00", "0.00000000"),
        trade(ms + 22, ms, "100.09999999999999", printed),
        order(ms + 30, "deleted", ask, 1, "100.10", "0.60000000"),
    ]
    .concat()
}

const PRINTED: &str = "0.40000000000000002";

fn taken_often() -> String {
    (1..=4).map(|time| taken(time * 10_000, PRINTED)).collect()
}

#[test]
fn a_good_log_passes() {
    let lines = ["trades: 1 printed, 1 reproduced in order", "0 explained, 0 not", "passed"];
    check(&taken(1, PRINTED), true, &lines);
}

#[test]
fn a_trade_that_differs_is_found() {
    let log = taken_often() + &taken(90_000, "0.39999999");
    let line = "line 29: trade 90000, 0.39999999 at 100.10000000";
    check(&log, false, &["5 printed, 4 reproduced in order", "0 explained, 1 not", line]);
    check(
        &taken_often()
            .replace("trade", "order_book")
            .replace("\"id\"", "\"bids\": [], \"asks\": [], \"id\""),
        false,
        &["trades: 0 printed"],
    );
}

#[test]
fn an_order_from_before_the_log_explains_its_trade() {
    let log = taken_often()
        + &order(90_000, "created", 1, 0, "99.00", "2.00000000")
        + &order(90_010, "changed", 1, 0, "99.00", "1.50000000")
        + &order(90_011, "deleted", 77, 1, "99.00", "0.00000000")
        + &trade(90_020, 5, "99.0", "0.5");
    check(&log, true, &["1 explained, 0 not", "1 with an order that rested before the log begins"]);
}

#[test]
fn an_order_that_trades_before_its_create_explains_its_trade() {
    let log = taken_often()
        + &order(90_000, "created", 1, 0, "99.00", "2.00000000")
        + &order(90_010, "changed", 1, 0, "99.00", "1.50000000")
        + &order(90_011, "deleted", 2, 1, "98.00", "0.00000000")
        + &trade(90_020, 5, "99.0", "0.5")
        + &order(92_000, "deleted", 1, 0, "99.00", "1.50000000")
        + &order(92_010, "created", 2, 1, "98.00", "0.50000000");
    check(
        &log,
        true,
        &["1 explained, 0 not", "1 with an order whose create comes after its outcome"],
    );
}

#[test]
fn an_order_that_spends_a_sum_of_money_explains_its_trade() {
    let log = taken_often()
        + &order(90_000, "created", 1, 1, "99.00", "2.00000000")
        + &order(90_001, "created", 2, 0, "99.00", "0.50001000")
        + &order(90_010, "deleted", 2, 0, "99.00", "0.50001000")
        + &order(90_011, "changed", 1, 1, "99.00", "1.50000000")
        + &trade(90_020, 5, "99.0", "0.5");
    check(&log, true, &["1 explained, 0 not", "1 with an order that traded less than its amount"]);
}

#[test]
fn an_order_that_the_exchange_reprices_explains_its_trade() {
    let log = taken_often()
        + &order(90_000, "created", 1, 0, "99.00", "2.00000000")
        + &order(90_001, "created", 2, 1, "100.00", "0.50000000")
        + &order(90_005, "changed", 2, 1, "99.00", "0.50000000")
        + &order(90_010, "changed", 1, 0, "99.00", "1.50000000")
        + &order(90_011, "deleted", 2, 1, "99.00", "0.00000000")
        + &trade(90_020, 5, "99.0", "0.5");
    check(
        &log,
        true,
        &["1 explained, 0 not", "1 with an order whose price the exchange had changed"],
    );
}

#[test]
fn the_first_snapshot_shows_what_rested_before_and_is_older() {
    let log = order(1, "created", 1, 1, "100.00", "1.00000000")
        + "2 order_book {\"bids\": [[\"99.00\", \"1\"]], \"asks\": [[\"100.00\", \"3\"]]}\n"
        + &order(3, "created", 2, 0, "100.00", "2.50000000")
        + &order(4, "deleted", 2, 0, "100.00", "0.00000000")
        + &trade(5, 1, "100.0", "2.0")
        + &trade(6, 2, "100.0", "0.5")
        + "7 order_book {\"bids\": [[\"99.00\", \"1\"]], \"asks\": [[\"100.00\", \"0.5\"]]}\n";
    let lines = ["2 printed, 2 reproduced", "equal in 1 of 1, 2 of 2 levels"];
    check(&log, true, &lines);
}

#[test]
fn a_bad_line_is_an_error_with_file_and_line() {
    let bad = |log: &str| judge(log).unwrap_err();
    assert_eq!(bad(""), "log: empty");
    let log = taken(1, PRINTED) + "12 trade {\"price\": 1,\n";
    assert_eq!(bad(&log), "log: line 7: JSON: `\"` expected at byte 12");
    assert_eq!(bad("\nx\n"), "log: line 1: blank line before the end of the file");
}
