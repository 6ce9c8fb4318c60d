//! Small recordings made by hand.

use super::super::source::Lines;
use super::*;
use std::collections::VecDeque;
use std::io::Cursor;

const HEADER: &str = "ts_recv,ts_event,sequence,action,side,price_1e9,size,order_id,flags\n";

/// Rows of `action side price size order`; a line is an event, `*` starts a row of a snapshot.
fn recording(story: &str) -> String {
    let mut text = String::from(HEADER);
    for line in story.lines().filter(|line| !line.trim().is_empty()) {
        let rows: Vec<&str> = line.split(';').map(str::trim).collect();
        for (at, row) in rows.iter().enumerate() {
            let (row, snapshot) = row.strip_prefix('*').map_or((*row, 0), |row| (row, 40));
            let is_end = at + 1 == rows.len() && snapshot == 0;
            let flags = if is_end { 130 } else { snapshot };
            let words: Vec<&str> = row.split_whitespace().collect();
            let [action, side, price, size, order] = words[..] else { panic!("{row}") };
            text += &format!("9,8,7,{action},{side},{price}000000000,{size},{order},{flags}\n");
        }
    }
    text
}

fn judge_text(text: &str) -> Result<(bool, String), String> {
    let reader = Box::new(Cursor::new(text.to_owned().into_bytes()));
    let events = Events::new(Lines::new("mbo.csv".into(), reader), VecDeque::new());
    let mut out = Vec::new();
    let passed = events.and_then(|events| replay(events, &mut out));
    let report = String::from_utf8(out).unwrap();
    passed.map(|passed| (passed, report)).map_err(|error| error.to_string())
}

#[track_caller]
fn check(story: &str, passes: bool, lines: &[&str]) {
    let (passed, report) = judge_text(&recording(story)).unwrap();
    assert_eq!(passed, passes, "{report}");
    for line in lines {
        assert!(report.contains(line), "{line:?} is not in\n{report}");
    }
}

/// Three sellers at 101, two of them older than the session; a buyer at 99.
const BOOK: &str = "
    *A A 101 5 1
    *A A 101 3 2
    A B 99 4 3
    A A 101 2 4
";

fn check_after(story: &str, passes: bool, lines: &[&str]) {
    check(&format!("{BOOK}{story}"), passes, lines);
}

#[test]
fn a_trade_fills_the_oldest_at_the_best_price_level_by_level() {
    check_after(
        "A A 102 9 5
         T B 101 10 9; F A 101 5 1; F A 101 3 2; F A 101 2 4; T B 102 1 9; F A 102 1 5; \
         C A 101 5 1; C A 101 3 2; C A 101 2 4; M A 102 8 5
         T A 99 4 8; F B 99 4 3; C B 99 4 3",
        true,
        &[
            "trades: 3 of 3 with exactly",
            "books equal",
            "0 differ",
            "5 have the rest",
            "0 explained",
        ],
    );
}

#[test]
fn a_smaller_size_keeps_the_place_and_anything_else_loses_it() {
    let fills = |first: &str, second: &str| format!("T B 101 1 9; F A 101 1 {first}; {second}");
    check_after(&format!("M A 101 4 1\n{}", fills("1", "M A 101 3 1")), true, &["trades: 1 of 1"]);
    check_after(&format!("M A 101 6 1\n{}", fills("2", "M A 101 2 2")), true, &["trades: 1 of 1"]);
    let there_and_back = "M A 102 5 1\nM A 101 5 1\n";
    let fills = fills("2", "M A 101 2 2");
    check_after(&format!("{there_and_back}{fills}"), true, &["trades: 1 of 1"]);
    check_after(&format!("C A 101 1 1\n{fills}"), false, &["0 explained, 1 not"]);
}

#[test]
fn a_fill_out_of_turn_is_not_explained_and_spoils_nothing_that_follows() {
    check_after(
        "T B 101 2 9; F A 101 2 4; C A 101 2 4
         T B 101 5 9; F A 101 5 1; C A 101 5 1
         T B 101 1 9; F A 101 1 2; M A 101 2 2",
        false,
        &[
            "trades: 2 of 3",
            "0 explained, 1 not",
            "line 6: 2 at 101.00000000: exchange 4 2 at 101.00000000, engine 1 2 at 101.00000000",
            "1 unexplained",
            "0 differ",
        ],
    );
}

#[test]
fn an_order_taken_out_instead_of_filled_is_self_match_prevention() {
    let line = "1 an older order was taken out by the event instead of filled";
    check_after(
        "A A 102 1 5
         T B 101 5 9; F A 101 3 2; F A 101 2 4; T B 102 1 8; F A 102 1 5; C A 101 3 2; \
         C A 101 2 4; C A 101 5 1; C A 102 1 5",
        true,
        &["trades: 1 of 2", "1 explained, 0 not", line],
    );
}

#[test]
fn an_order_that_crosses_only_its_owners_orders_rests() {
    check_after(
        "A B 101 1 5; C A 101 5 1; C A 101 3 2; C A 101 2 4
         T A 101 1 9; F B 101 1 5; C B 101 1 5",
        true,
        &["1 entered where their event took out the orders in their way", "trades: 1 of 1"],
    );
}

#[test]
fn icebergs_are_filled_beyond_what_they_show_and_come_again_behind_the_others() {
    check_after(
        "T B 101 10 9; F A 101 3 2; F A 101 2 4; F A 101 5 1; C A 101 3 2; C A 101 2 4; M A 101 4 1
         T B 101 9 9; F A 101 9 1; M A 101 2 1
         A A 101 1 6
         T B 101 3 9; F A 101 1 6; F A 101 2 1; C A 101 1 6; M A 101 5 1
         T B 101 5 9; F A 101 5 1; M A 101 5 1
         A A 101 1 7
         T B 101 6 9; F A 101 5 1; F A 101 1 7; C A 101 5 1; C A 101 1 7",
        true,
        &[
            "trades: 2 of 5",
            "1 an order was filled beyond",
            "2 the fills of an order that shows",
            "3 explained, 0 not",
            "4 shown again after they were filled whole",
            "0 differ",
        ],
    );
}

#[test]
fn fills_that_are_not_of_this_book_alone_are_named() {
    check_after(
        "T B 101 6 9; F A 101 5 1; C A 101 5 1
         T B 102 1 9; F A 102 1 77
         T B 101 3 9; F A 101 3 2; C A 101 3 2",
        true,
        &[
            "trades: 1 of 3",
            "2 explained, 0 not",
            "1 the fills are not the trade's quantity",
            "1 an order was filled that no row had shown; printed behind a better",
        ],
    );
}

#[test]
fn the_place_of_an_order_from_before_the_recording_is_not_known() {
    let before = "A A 101 3 1\nM A 101 4 70\n";
    let first = "T B 101 5 9; F A 101 4 70; F A 101 1 1; C A 101 4 70; M A 101 2 1";
    let lines = ["trades: 0 of 1", "1 explained, 0 not", "whose arrival was not seen"];
    check(&format!("{before}{first}"), true, &lines);
    let moved = format!("{before}M A 102 4 70\nM A 101 4 70\n{first}");
    check(&moved, false, &["trades: 0 of 1", "0 explained, 1 not"]);
    let never_shown = "A A 101 3 1\nT B 101 2 9; F A 101 2 70; M A 101 1 70";
    check(never_shown, true, &["1 explained, 0 not", "no row had shown"]);
}

#[test]
fn an_aggressor_that_rested_before_trades_as_any_other() {
    check_after(
        "T B 101 1 3; F B 101 1 3; F A 101 1 1; M A 101 4 1; M B 100 3 3
         T A 100 3 9; F B 100 3 3; C B 100 3 3",
        true,
        &["trades: 2 of 2", "0 differ"],
    );
}

#[test]
fn a_book_that_stands_crossed_waits_for_its_auction() {
    check_after(
        "A B 103 4 5
         A A 98 2 6
         T N 101 9 0; F N 101 4 5; F N 101 2 6; F N 101 5 70; F N 101 5 1; F N 101 2 71; \
         C B 103 4 5; C A 98 2 6; C A 101 5 1
         T B 101 3 9; F A 101 3 2; C A 101 3 2",
        true,
        &[
            "1 times, 2 events with a crossed book, 1 trades",
            "line 8: 9 at 101.00000000, 5 fills; 6 limit orders rest before it; 2 filled orders \
             never rested: 5 to buy, 2 to sell",
            "ok      auctions: 1 printed, 1 held by the engine, 1 with the exchange's price",
            "with the orders that never rested 9 at 101.00000000; uncrossed 9 at 101.00000000",
            "orders filled in auctions: 5 of 5 as the exchange's, 0 not",
            "trades: 1 of 1",
        ],
    );
}

#[test]
fn an_auction_at_another_price_than_the_engines_fails() {
    // 4 lots cross at 100 and at 103, without surplus at 100 alone; the print says 101.
    check(
        "*A B 103 4 1\n*A A 100 4 2\n*A A 103 1 3\nT N 101 4 0; F N 101 4 1; F N 101 4 2; \
         C B 103 4 1; C A 100 4 2\nT B 103 1 9; F A 103 1 3; C A 103 1 3",
        false,
        &[
            "FAILED  auctions: 1 printed, 1 held by the engine, 0 with the exchange's price",
            "2 of 2 as the exchange's",
        ],
    );
}

#[test]
fn an_auction_whose_sides_are_not_known_is_not_judged() {
    check_after(
        "A B 103 4 5
         T N 101 4 0; F N 101 4 5; F N 101 2 1; F N 101 1 70; C B 103 4 5; C A 101 2 1
         T B 101 3 9; F A 101 3 1; C A 101 3 1",
        true,
        &[
            "0 with the exchange's price and quantity, 1 not judged",
            "order 70: exchange 1, engine 0: its side is not known",
        ],
    );
}

#[test]
fn a_clear_empties_the_book() {
    check_after("R N 1 1 0\nA A 101 1 8\nT B 101 1 9; F A 101 1 8; C A 101 1 8", true, &["1 of 1"]);
}

#[test]
fn rows_that_do_not_follow_from_the_fills_are_found() {
    // The fill of order 1 has no row.
    check_after("T B 101 5 9; F A 101 5 1\nA B 98 1 5", false, &["line 7: SELL 101.00000000"]);
    // One lot too few is left.
    let rest = "T B 101 1 9; F A 101 1 1; M A 101 3 1";
    check_after(rest, false, &["line 8: 4 left, 3 shown", "FAILED  orders that were filled"]);
    // Nothing is ever compared.
    check("*A A 101 5 1\n*A B 99 5 2", false, &["FAILED  books equal", "after 0 of 2 events"]);
}

#[test]
fn causes_that_are_needed_for_most_trades_are_none() {
    let story = |differ: u64| {
        let book: String =
            (0..differ * 2 + 2).map(|id| format!("A A 101 1 {}\n", id + 100)).collect();
        let trade = |at: u64| {
            let (old, young) = (at * 2 + 100, at * 2 + 101);
            format!("T B 101 1 9; F A 101 1 {young}; C A 101 1 {young}; C A 101 1 {old}\n")
        };
        format!("{book}{}", (0..differ).map(trade).collect::<String>())
    };
    check(&story(50), true, &["trades: 0 of 50", "at most 50 may differ"]);
    check(&story(51), false, &["trades: 0 of 51", "51 explained, 0 not"]);
}

#[test]
fn a_recording_that_ends_within_an_event_is_judged_without_it() {
    let text = recording(BOOK) + "9,8,7,T,B,101000000000,1,9,0\n";
    let (passed, report) = judge_text(&text).unwrap();
    assert!(passed && report.contains("the last 1 rows are no whole event"), "{report}");
    assert_eq!(judge_text(HEADER).unwrap_err(), "no row in the files, or no whole event");
}
