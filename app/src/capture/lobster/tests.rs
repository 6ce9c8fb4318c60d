//! Small recordings made by hand.

use super::*;
use std::io::Cursor;

fn steps(messages: &str, book: &str) -> Result<Steps> {
    let lines = |name: &str, text: &str| {
        source::Lines::new(name.into(), Box::new(Cursor::new(text.to_owned().into_bytes())))
    };
    Steps::new(lines("message.csv", messages), lines("orderbook.csv", book))
}

/// The verdict and the report; an error is its text.
fn judge(messages: &str, book: &str) -> Result<(bool, String), String> {
    let mut out = Vec::new();
    let passed = steps(messages, book).and_then(|steps| replay(steps, &mut out));
    let text = String::from_utf8(out).unwrap();
    passed.map(|passed| (passed, text)).map_err(|error| error.to_string())
}

#[track_caller]
fn passes(messages: &str, book: &str, lines: &[&str]) {
    let (passed, report) = judge(messages, book).unwrap();
    assert!(passed, "{report}");
    contains(&report, lines);
}

#[track_caller]
fn fails(messages: &str, book: &str, lines: &[&str]) {
    let (passed, report) = judge(messages, book).unwrap();
    assert!(!passed, "{report}");
    contains(&report, lines);
}

#[track_caller]
fn contains(report: &str, lines: &[&str]) {
    for line in lines {
        assert!(report.contains(line), "{line:?} is not in\n{report}");
    }
}

/// An aggressor takes unseen quantity in two pieces, a seen order, and a part of the level behind
/// it, while a level slides into view; then a partial and a total cancel reveal another.
const MESSAGES: &str = "\
1.5,1,101,10,1000000,1
2,1,102,6,1010000,-1
3,4,900,2,1010000,-1
3.0,4,901,3,1010000,-1
3.00,4,102,6,1010000,-1
3,4,903,3,1020000,-1
4,2,101,4,1000000,1
5,3,101,6,1000000,1
6,5,0,50,1005000,1
7,6,-1,500,1005000,-1
8,7,0,0,-1,-1
9,7,0,0,1,-1
";
const BOOK: &str = "\
1010000,5,1000000,10,1020000,7,990000,4
1010000,11,1000000,10,1020000,7,990000,4
1010000,9,1000000,10,1020000,7,990000,4
1010000,6,1000000,10,1020000,7,990000,4
1020000,7,1000000,10,1030000,9,990000,4
1020000,4,1000000,10,1030000,9,990000,4
1020000,4,1000000,6,1030000,9,990000,4
1020000,4,990000,4,1030000,9,980000,1
1020000,4,990000,4,1030000,9,980000,1
1020000,4,990000,4,1030000,9,980000,1
1020000,4,990000,4,1030000,9,980000,1
1020000,4,990000,4,1030000,9,980000,1
";
const GOOD: [&str; 3] = [
    "book rows: 11 compared, 9 equal, 2 equal with a level that slid into view, 0 mismatched",
    "executions at the best price: 4 of 4",
    "in turn): 4 of 4, by 1 aggressors",
];

#[test]
fn a_good_recording_passes() {
    passes(MESSAGES, BOOK, &GOOD);
    passes(MESSAGES, BOOK, &["1 of 1 oldest first; of others: 3; 0 exceptions", "passed"]);
}

#[test]
fn line_ends_and_blanks_do_not_matter() {
    let messages = MESSAGES.replace('\n', " \r\n");
    passes(&messages, &format!("{}\n\n", BOOK.replace(',', " , ")), &GOOD);
    passes(&MESSAGES.replace('\n', ",null\n"), BOOK, &GOOD);
}

#[test]
fn one_share_more_is_found_on_every_line() {
    for line in 1..BOOK.lines().count() {
        for from in [",4\n", ",1\n"] {
            let mut rows: Vec<String> = BOOK.lines().map(|row| format!("{row}\n")).collect();
            let Some(row) = rows[line].strip_suffix(from) else { continue };
            rows[line] = format!("{row},3\n");
            fails(MESSAGES, &rows.concat(), &["FAILED  book rows", ": BUY level 2: engine 9"]);
        }
    }
}

#[test]
fn a_missing_message_is_found() {
    let messages = MESSAGES.replace("4,2,101,4,1000000,1\n", "4,5,0,4,1000000,1\n");
    let what = "line 7: BUY level 1: engine 100.00000000 × 10.00000000, row 100.00000000 × 6.0";
    fails(&messages, BOOK, &[", 1 mismatched", what]);
}

#[test]
fn an_execution_behind_the_best_price_is_found() {
    let messages = "1,5,0,1,1,1\n2,4,7,3,1020000,-1\n";
    let book = "1010000,5,1000000,10,1020000,7,990000,4\n1010000,5,1000000,10,1020000,4,990000,4\n";
    fails(messages, book, &["0 mismatched", "FAILED  executions at the best price: 0 of 1"]);
}

/// Order 2 is filled before order 1, so often.
fn out_of_turn(times: usize) -> (String, String) {
    let mut messages = String::from("1,1,1,9000,1010000,-1\n2,1,2,9000,1010000,-1\n");
    let mut book = String::from("1010000,9000,1000000,1\n1010000,18000,1000000,1\n");
    for time in 1..=times {
        messages += &format!("{},4,2,1,1010000,-1\n", time + 2);
        book += &format!("1010000,{},1000000,1\n", 18_000 - time);
    }
    messages += "9999,4,1,9000,1010000,-1\n";
    book += &format!("1010000,{},1000000,1\n", 9_000 - times);
    (messages, book)
}

#[test]
fn few_executions_out_of_turn_are_the_exchanges_exceptions() {
    let (messages, book) = out_of_turn(50);
    let line = "line 3: order 2, 1 at 101.00000000: behind an older order";
    let lines = ["1 of 51 oldest first; of others: 0; 50 exceptions", line, "… and 40 more"];
    passes(&messages, &book, &lines);
    let (messages, book) = out_of_turn(60);
    fails(&messages, &book, &["0 mismatched", "60 exceptions of the exchange, at most 51 allowed"]);
}

#[test]
fn one_level_is_enough_for_an_aggressor_that_takes_three() {
    let messages = "1,5,0,1,1,1\n2,4,7,5,1010000,-1\n2,4,8,6,1020000,-1\n2,4,9,3,1030000,-1\n";
    let book =
        "1010000,5,1000000,9\n1020000,6,1000000,9\n1030000,7,1000000,9\n1030000,4,1000000,9\n";
    let rows = "3 compared, 1 equal, 2 equal with a level that slid into view, 0 mismatched";
    passes(messages, book, &[rows, "3 of 3, by 1 aggressors"]);
}

#[test]
fn an_id_may_come_back_and_an_order_may_be_larger_than_known() {
    let messages = "1,1,1,5,1010000,-1\n2,3,1,5,1010000,-1\n3,1,1,4,1010000,-1\n\
                    4,1,1,3,1010000,-1\n5,2,1,5,1010000,-1\n6,4,1,2,1010000,-1\n";
    let book = "1010000,5,1000000,9\n9999999999,0,1000000,9\n1010000,4,1000000,9\n\
                1010000,7,1000000,9\n1010000,2,1000000,9\n9999999999,0,1000000,9\n";
    // Row 2: nothing lies behind the window, so row 1 was not the whole book.
    passes(messages, book, &["5 compared, 5 equal, 0 equal with", "0 mismatched"]);
}

#[test]
fn a_level_out_of_nowhere_is_found() {
    let messages = "1,5,0,1,1,1\n2,5,0,1,1,1\n";
    let book = "1010000,5,1000000,9,9999999999,0,-9999999999,0\n\
                1010000,5,1000000,9,1020000,1,-9999999999,0\n";
    fails(messages, book, &["line 2: SELL level 2: engine nothing, row 102.00000000 × 1.0"]);
}

#[test]
fn a_crossed_book_is_waited_for_in_a_halt_only() {
    let crossing = "2,1,1,3,1020000,1\n3,5,0,1,1,1\n4,1,2,1,1000000,1\n";
    let book =
        "1010000,5,1000000,9\n1010000,5,1020000,3\n1010000,2,1000000,9\n1010000,2,1000000,10\n";
    let halted = format!("1,7,0,0,-1,-1\n{crossing}");
    passes(&halted, book, &["1 compared, 1 equal", "2 rows of a halt's crossed book"]);
    let trading = format!("1,5,0,1,1,1\n{crossing}");
    fails(&trading, book, &["trades of orders that the exchange let rest: 1", "2 mismatched"]);
}

#[test]
fn what_is_no_pair_is_an_error_with_file_and_line() {
    let bad = |messages: &str, book: &str| judge(messages, book).unwrap_err();
    let row = "1010000,5,1000000,9\n";
    let message = "1,5,0,1,1,1\n";
    let two = |line: &str| format!("{line}{line}");
    for (messages, book, error) in [
        ("", "", "message.csv: empty"),
        (message, "", "message.csv: line 1: orderbook.csv ends after 0 lines: not a pair"),
        (&two(message), row, "message.csv: line 2: orderbook.csv ends after 1 lines: not a pair"),
        (message, &two(row), "orderbook.csv: line 2: message.csv ends after 1 lines: not a pair"),
        (row, message, "message.csv: line 1: 4 columns; a message has 6 or 7"),
        (
            "1,5,0,1,1,1\n1,9,0,1,1,1\n",
            &two(row),
            "message.csv: line 2: type `9`; 1 to 7 are known",
        ),
        (
            message,
            "1,2,3\n",
            "orderbook.csv: line 1: 3 columns; a row of the book has 4 for each level",
        ),
        (
            &two(message),
            "1,2,3,4\n1,2,3,4,5,6,7,8\n",
            "orderbook.csv: line 2: 2 levels where the rows before have 1",
        ),
        (message, "1,2,3,-4\n", "orderbook.csv: line 1: size -4; 0 to 10000000000 are allowed"),
    ] {
        assert_eq!(bad(messages, book), error);
    }
}
