//! Recordings of other venues: replayed and judged, or refused with file and line.

use app::capture::{bitstamp, lobster};

use crate::Target;
use crate::feedback::{note, rule};
use crate::scratch::Scratch;

pub const TARGET: Target =
    Target { name: "capture", run: capture, corpus, words: WORDS, length_max: 4_096 };

/// Between the two files of a pair.
const SEPARATOR: &[u8] = b"\n---\n";

const WORDS: &[&str] = &[
    "\n",
    ",",
    "-",
    "\n---\n",
    "9999999999",
    "-9999999999",
    "{",
    "}",
    "\"",
    "null",
    "e5",
    ".",
    "1.5,1,101,10,1000000,1\n",
    "3,4,101,2,1010000,-1\n",
    "1010000,5,1000000,10\n",
    "7,7,0,0,-1,-1\n",
    "5,3,101,6,1000000,1\n",
    "9 order_created ",
    "9 trade ",
    "9 snapshot ",
    "{\"price\": \"1\", \"amount\": \"1\", \"datetime\": \"1\", \"id\": 7, \"order_type\": 0}\n",
    "{\"price\": 100.09999999999999, \"amount\": 0.4, \"id\": 3}\n",
    "order_deleted",
    "PK\u{3}\u{4}",
];

const LOBSTER: &str = "\
1.5,1,101,10,1000000,1
2,1,102,6,1010000,-1
3,4,900,2,1010000,-1
3.0,4,901,3,1010000,-1
4,2,101,4,1000000,1
5,3,101,6,1000000,1
6,5,0,50,1005000,1
7,6,-1,500,1005000,-1
8,7,0,0,-1,-1
9,7,0,0,1,-1
---
1010000,5,1000000,10,1020000,7,990000,4
1010000,11,1000000,10,1020000,7,990000,4
1010000,9,1000000,10,1020000,7,990000,4
1010000,6,1000000,10,1020000,7,990000,4
1010000,6,1000000,6,1020000,7,990000,4
1010000,6,990000,4,1020000,7,980000,1
1010000,6,990000,4,1020000,7,980000,1
1010000,6,990000,4,1020000,7,980000,1
1010000,6,990000,4,1020000,7,980000,1
1010000,6,990000,4,1020000,7,980000,1
";

const BITSTAMP: &str = r#"1 order_created {"price": "100.10", "amount": "1.00000000", "datetime": "1", "id": 1, "order_type": 1}
11 order_created {"price": "101.00", "amount": "0.40000000", "datetime": "1", "id": 2, "order_type": 0}
21 order_changed {"price": "100.10", "amount": "0.60000000", "datetime": "1", "id": 1, "order_type": 1}
22 order_deleted {"price": "101.00", "amount": "0.00000000", "datetime": "1", "id": 2, "order_type": 0}
23 trade {"price": 100.09999999999999, "amount": 0.40000000000000002, "id": 1}
31 order_deleted {"price": "100.10", "amount": "0.60000000", "datetime": "1", "id": 1, "order_type": 1}
"#;

fn corpus() -> Vec<Vec<u8>> {
    let of = |first: u8, text: &str| [&[first], text.as_bytes()].concat();
    vec![of(0, LOBSTER), of(1, BITSTAMP), of(0, "PK\u{3}\u{4}"), of(1, "")]
}

/// The first byte chooses whose recording it is.
pub fn capture(data: &[u8]) {
    let Some((kind, content)) = data.split_first() else { return };
    let mut report = Vec::new();
    let judged = match kind % 2 {
        0 => {
            let end = content.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
            let (messages, book) = match end {
                Some(end) => (&content[..end + 1], Some(&content[end + SEPARATOR.len()..])),
                None => (content, None),
            };
            let messages = Scratch::holding(messages);
            let book = book.map(Scratch::holding);
            lobster(&messages.path, book.as_ref().map(AsRef::as_ref), &mut report)
        }
        _ => bitstamp(&Scratch::holding(content).path, &mut report),
    };
    match judged {
        Ok(passed) => {
            note((kind % 2, passed));
            let report = String::from_utf8(report).expect("a report is text");
            report.lines().for_each(|line| note(rule(line)));
        }
        Err(error) => note(rule(&format!("{error:#}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recording_is_judged_or_refused() {
        crate::campaign::check(&TARGET, 1, 2_000);
    }

    #[test]
    fn the_recordings_to_begin_with_are_judged() {
        let (messages, book) = LOBSTER.split_once("---\n").unwrap();
        let files = [messages, book, BITSTAMP].map(|text| Scratch::holding(text.as_bytes()));
        lobster(&files[0].path, Some(&files[1].path), &mut Vec::new()).unwrap();
        bitstamp(&files[2].path, &mut Vec::new()).unwrap();
    }
}
