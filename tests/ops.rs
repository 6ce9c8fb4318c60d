//! `outcry bench engine --ops`: what it says of good files, and of bad ones.

use std::path::PathBuf;

use app::cli::{Bench, Cli, Command};
use app::ops;
use clap::Parser;

/// An operation's bytes: kind, side, id, price, quantity.
type Record = (u8, u8, u64, i64, u64);

const LIMIT: u8 = 0;
const IMMEDIATE_OR_CANCEL: u8 = 1;
const CANCEL: u8 = 2;
const REPLACE: u8 = 3;
const BUY: u8 = 0;
const SELL: u8 = 1;

fn file(prefill: u64, records: &[Record]) -> Vec<u8> {
    let mut bytes = b"OPSF0001".to_vec();
    for number in [prefill, records.len() as u64 - prefill, 0] {
        bytes.extend(number.to_le_bytes());
    }
    for (kind, side, id, price, quantity) in records {
        bytes.extend([*kind, *side, 0, 0, 0, 0, 0, 0]);
        bytes.extend(id.to_le_bytes());
        bytes.extend(price.to_le_bytes());
        bytes.extend(quantity.to_le_bytes());
    }
    bytes
}

/// What is printed, or what is told of the file.
fn replay(bytes: &[u8], book_only: bool) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("file.ops");
    std::fs::write(&path, bytes).unwrap();
    let mut line = vec!["outcry", "bench", "engine", "--ops", path.to_str().unwrap()];
    line.extend(book_only.then_some("--book-only"));
    let Command::Bench(Bench::Engine(args)) = Cli::parse_from(line).command else {
        panic!("another command");
    };
    let mut out = Vec::new();
    match ops::bench_engine(&args, &mut out) {
        Ok(()) => Ok(String::from_utf8(out).unwrap()),
        Err(error) => {
            let told = error.downcast_ref::<ops::Error>().map(ToString::to_string);
            Err(told.unwrap_or_else(|| panic!("not about the file: {error:#}")))
        }
    }
}

#[track_caller]
fn refused(bytes: &[u8], expected: &str) {
    for book_only in [false, true] {
        assert_eq!(replay(bytes, book_only).unwrap_err(), expected, "book only: {book_only}");
    }
}

#[test]
fn trades_volume_and_hash_are_those_of_the_operations() {
    let records = [
        (LIMIT, BUY, 1, 100, 5),
        (LIMIT, BUY, 2, 101, 4),
        (REPLACE, BUY, 1, 101, 6),
        (IMMEDIATE_OR_CANCEL, SELL, 3, 101, 7),
        (CANCEL, BUY, 1, 101, 3),
        (LIMIT, SELL, 4, 90, 1),
    ];
    let mut outcome = ops::Outcome::default();
    outcome.add(2, 4);
    outcome.add(1, 3);
    for book_only in [false, true] {
        let text = replay(&file(2, &records), book_only).unwrap();
        assert!(text.contains(&format!("\n{outcome}\n")), "{text}");
        assert!(text.contains("4 operations behind 2 of prefill"), "{text}");
    }
    assert_eq!(outcome.to_string(), "trades 2 volume 7 hash f66349ec231d7f0d");
    replay(&file(0, &[]), false).unwrap();
}

#[test]
fn what_is_no_operation_file_is_refused_with_its_offset() {
    let good = file(1, &[(LIMIT, BUY, 1, 100, 5), (CANCEL, BUY, 1, 100, 5)]);
    refused(b"", "byte 0: the file ends in its header of 32 bytes");
    refused(b"OPSF", "byte 4: the file ends in its header of 32 bytes");
    refused(b"OPSF0002", "byte 0: not an operation file: it does not begin with OPSF0001");
    refused(&good[..20], "byte 20: the file ends in its header of 32 bytes");
    refused(&good[..90], "byte 90: the file ends; 1 of prefill and 1 operations are 96 bytes");
    refused(&[&good[..], b"x"].concat(), "byte 96: bytes behind the last operation: 1");
    let mut endless = good;
    endless[15] = 0x80;
    endless[23] = 0x80;
    let expected =
        "byte 8: 9223372036854775809 and 9223372036854775809 operations: no file is that long";
    refused(&endless, expected);
}

#[test]
fn what_is_no_operation_is_refused_with_its_offset() {
    for (record, what) in [
        ((4, BUY, 2, 100, 5), "unknown kind 4"),
        ((LIMIT, 2, 2, 100, 5), "unknown side 2"),
        ((LIMIT, BUY, 0, 100, 5), "0 is no order's id"),
        ((LIMIT, BUY, 2, -1, 5), "price -1 is not between 0 and 9223372036854 ticks"),
        (
            (CANCEL, BUY, 1, i64::MAX, 5),
            "price 9223372036854775807 is not between 0 and 9223372036854 ticks",
        ),
        ((LIMIT, BUY, 2, 0, 5), "price 0"),
        ((REPLACE, BUY, 1, 99, 0), "quantity 0"),
        (
            (IMMEDIATE_OR_CANCEL, BUY, 2, 1, u64::MAX),
            "quantity 18446744073709551615 is above 92233720368547 lots",
        ),
    ] {
        let bytes = file(0, &[(LIMIT, BUY, 1, 100, 5), record]);
        refused(&bytes, &format!("byte 64: operation 1: {what}"));
    }
    let mut bytes = file(0, &[(LIMIT, BUY, 1, 100, 5)]);
    bytes[39] = 1;
    refused(&bytes, "byte 32: operation 0: bytes 2 to 7 are not zero");
}

#[test]
fn an_operation_about_no_open_order_is_refused() {
    let gone = "byte 96: operation 2: unknown order";
    for (records, expected) in [
        ([(LIMIT, BUY, 1, 9, 5), (CANCEL, BUY, 1, 9, 5), (CANCEL, BUY, 1, 9, 5)], gone),
        ([(LIMIT, BUY, 1, 9, 5), (LIMIT, SELL, 2, 9, 5), (REPLACE, BUY, 1, 8, 5)], gone),
        (
            [(LIMIT, BUY, 1, 9, 5), (IMMEDIATE_OR_CANCEL, BUY, 2, 9, 5), (CANCEL, BUY, 2, 9, 5)],
            gone,
        ),
        (
            [(LIMIT, BUY, 1, 9, 5), (CANCEL, BUY, 1, 9, 5), (LIMIT, BUY, 1, 9, 5)],
            "byte 96: operation 2: id 1 was used before",
        ),
        (
            [(LIMIT, BUY, 1, 9, 5), (LIMIT, BUY, 2, 9, 5), (REPLACE, SELL, 1, 9, 5)],
            "byte 96: operation 2: the order 1 is of the other side",
        ),
        (
            [(LIMIT, BUY, 1, 9, 5), (LIMIT, BUY, 2, 9, 5), (CANCEL, BUY, u64::MAX, 9, 5)],
            "byte 96: operation 2: no order had the id 18446744073709551615",
        ),
    ] {
        refused(&file(0, &records), expected);
    }
}
