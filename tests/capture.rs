//! Recorded order flow of real exchanges through the real engine.
//!
//! The recordings may not be redistributed, so they lie beside the repository: in the folder that
//! `OUTCRY_CAPTURES` names, else in `../shared/captures`. Without them these tests say so and pass.

use std::path::{Path, PathBuf};

fn captures() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    std::env::var_os("OUTCRY_CAPTURES").map_or_else(beside, PathBuf::from)
}

/// The file, if it is there.
pub(crate) fn recording(name: &str) -> Option<PathBuf> {
    let path = captures().join(name);
    let found = path.is_file().then_some(path);
    if found.is_none() {
        println!("skipped: no {name}");
    }
    found
}

#[track_caller]
fn contains(report: &[u8], lines: &[&str]) {
    let report = String::from_utf8_lossy(report);
    for line in lines {
        assert!(report.contains(line), "{line:?} is not in\n{report}");
    }
}

#[track_caller]
fn check_lobster(messages: &Path, book: Option<&Path>, lines: &[&str]) {
    let mut report = Vec::new();
    let passed = app::capture::lobster(messages, book, &mut report).unwrap();
    contains(&report, lines);
    assert!(passed, "{}", String::from_utf8_lossy(&report));
}

#[test]
fn a_day_of_nasdaq_amzn_is_repeated_row_by_row() {
    let Some(zip) = recording("lobster-nasdaq/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip") else {
        return;
    };
    check_lobster(
        &zip,
        None,
        &[
            "155934 compared, 122094 equal, 33840 equal with a level that slid into view, \
             0 mismatched",
            "executions at the best price: 8974 of 8974",
            "7272 of 7307 oldest first; of others: 1667; 35 exceptions",
            "in turn): 8939 of 8939",
            "commands refused: 0",
        ],
    );
}

#[test]
fn the_first_minute_of_nasdaq_aapl_is_repeated_ten_levels_deep() {
    let messages = recording("lobster-nasdaq/AAPL_2012-06-21_first999_message_10.csv.gz");
    let book = recording("lobster-nasdaq/AAPL_2012-06-21_first999_orderbook_10.csv.gz");
    let (Some(messages), Some(book)) = (messages, book) else { return };
    check_lobster(
        &messages,
        Some(&book),
        &[
            "998 compared, 680 equal, 318 equal with a level that slid into view, 0 mismatched",
            "executions at the best price: 98 of 98",
            "90 of 90 oldest first; of others: 8; 0 exceptions",
            "in turn): 98 of 98",
        ],
    );
}

#[test]
fn files_that_are_no_pair_are_refused_with_their_place() {
    let messages = recording("lobster-nasdaq/AAPL_2012-06-21_first999_message_10.csv.gz");
    let Some(messages) = messages else { return };
    let refused = |book: Option<&Path>| {
        let error = app::capture::lobster(&messages, book, &mut Vec::new()).unwrap_err();
        format!("{error:#}")
    };
    assert!(
        refused(Some(&messages)).ends_with(
            "message_10.csv.gz: line 1: 6 columns; a row of the book has 4 for each level"
        )
    );
    assert!(refused(None).ends_with("not a zip archive, so the book file must be named too"));
    assert!(refused(Some(Path::new("absent.csv"))).starts_with("absent.csv: "));
}

#[test]
fn bitstamps_trades_are_made_in_order() {
    let Some(log) = recording("bitstamp-l3/bitstamp_btcusd_20150501_part1.log.gz") else { return };
    let mut report = Vec::new();
    let passed = app::capture::bitstamp(&log, &mut report).unwrap();
    contains(&report, &["trades: 328 printed", "engine fills: 290, 7 of them not printed"]);
    let text = String::from_utf8_lossy(&report);
    let in_order =
        text.split(" reproduced in order").next().and_then(|it| it.split(' ').next_back());
    let in_order: u64 = in_order.and_then(|count| count.parse().ok()).unwrap();
    assert!(in_order >= 281, "{text}");
    let explained = 328 - in_order;
    contains(&report, &[&format!("not reproduced in order: {explained} explained, 0 not")]);
    assert!(passed, "{text}");
}

#[test]
fn cmes_trades_fill_the_exchanges_orders() {
    let Some(file) = recording("cme-mbo/esh4_20231225_part1.csv.gz") else { return };
    let mut report = Vec::new();
    let passed = app::capture::cme_mbo(&[file], &mut report).unwrap();
    contains(
        &report,
        &[
            "18655 added (8725 of a snapshot), 6340 modified, 8178 canceled, 1486 trades",
            "orders: 56 shown again after they were filled whole; 0 first shown",
            "line 9652: 44 at 4800.25000000, 35 fills; 8862 limit orders rest before it; 7 filled \
             orders never rested: 13 to buy, 1 to sell",
            "auctions: 1 printed, 1 held by the engine, 1 with the exchange's price and quantity",
            "indicated by the limit orders alone 31 at 4800.00000000, with the orders that never \
             rested 44 at 4800.25000000; uncrossed 44 at 4800.25000000",
            "orders filled in auctions: 35 of 35 as the exchange's, 0 not",
            "after 22094 of 31710 events up to line 37469; 31735 levels compared, 0 differ",
            "orders that were filled: 2587 have the rest that their next row shows, 0 do not",
            "trades of orders that the exchange let rest: 0",
            "trades: 1418 of 1485 with exactly the exchange's fills",
            "trades with other fills: 67 explained, 0 not; 50 of them have the same total",
            "commands refused: 0",
        ],
    );
    assert!(passed, "{}", String::from_utf8_lossy(&report));
}
