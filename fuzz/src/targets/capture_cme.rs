//! CME market-by-order recordings: replayed and judged, or refused with file and line.

use app::capture::cme_mbo;

use crate::Target;
use crate::feedback::{note, rule};
use crate::scratch::Scratch;

pub const TARGET: Target =
    Target { name: "capture_cme", run: capture, corpus, words: WORDS, length_max: 4_096 };

/// Between two files of one recording.
const SEPARATOR: &[u8] = b"\n---\n";

const WORDS: &[&str] = &[
    "\n",
    ",",
    "\n---\n",
    "ts_recv,ts_event,sequence,action,side,price_1e9,size,order_id,flags\n",
    "9,8,7,A,B,101000000000,4,3,130\n",
    "9,8,7,M,A,101000000000,2,1,130\n",
    "9,8,7,C,A,101000000000,2,1,130\n",
    "9,8,7,T,B,101000000000,3,9,0\n",
    "9,8,7,F,A,101000000000,3,1,0\n",
    "9,8,7,T,N,101000000000,3,0,0\n",
    "9,8,7,F,N,101000000000,3,1,0\n",
    "9,8,7,R,N,9223372036854775807,0,0,130\n",
    ",B,",
    ",A,",
    ",N,",
    ",0\n",
    ",40\n",
    ",130\n",
    "1000000000000000000",
    "10000000",
    "9223372036854775807",
];

const CONTINUOUS: &str = "\
ts_recv,ts_event,sequence,action,side,price_1e9,size,order_id,flags
9,8,7,A,A,101000000000,5,1,40
9,8,7,A,A,101000000000,3,2,40
9,8,7,A,B,99000000000,4,3,130
9,8,7,A,A,102000000000,2,4,130
9,8,7,T,B,101000000000,8,9,0
9,8,7,F,A,101000000000,5,1,0
9,8,7,F,A,101000000000,3,2,0
9,8,7,T,B,102000000000,1,9,0
9,8,7,F,A,102000000000,1,4,0
9,8,7,M,A,101000000000,6,1,0
9,8,7,C,A,101000000000,3,2,0
9,8,7,M,A,102000000000,1,4,130
9,8,7,M,B,100000000000,4,3,130
9,8,7,A,B,101000000000,4,5,0
9,8,7,C,A,101000000000,6,1,130
9,8,7,R,N,9223372036854775807,0,0,130
";

const AUCTION: &str = "\
ts_recv,ts_event,sequence,action,side,price_1e9,size,order_id,flags
9,8,7,A,A,101000000000,5,1,40
9,8,7,A,B,103000000000,3,2,130
9,8,7,T,N,101000000000,4,0,0
9,8,7,F,N,101000000000,3,2,0
9,8,7,F,N,101000000000,4,1,0
9,8,7,F,N,101000000000,1,9,0
9,8,7,C,B,103000000000,3,2,0
9,8,7,M,A,101000000000,1,1,130
";

fn corpus() -> Vec<Vec<u8>> {
    let pair = [CONTINUOUS.as_bytes(), b"---\n", AUCTION.as_bytes()].concat();
    vec![CONTINUOUS.into(), AUCTION.into(), pair, b"\x1f\x8b".to_vec(), Vec::new()]
}

/// One file, or several.
pub fn capture(data: &[u8]) {
    let mut files = Vec::new();
    let mut rest = data;
    while let Some(end) = rest.windows(SEPARATOR.len()).position(|it| it == SEPARATOR) {
        files.push(Scratch::holding(&rest[..end + 1]));
        rest = &rest[end + SEPARATOR.len()..];
    }
    files.push(Scratch::holding(rest));
    let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    let mut report = Vec::new();
    match cme_mbo(&paths, &mut report) {
        Ok(passed) => {
            note(passed);
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
        let files = [CONTINUOUS, AUCTION].map(|text| Scratch::holding(text.as_bytes()));
        let paths = files.each_ref().map(|file| file.path.clone());
        assert!(cme_mbo(&paths[..1], &mut Vec::new()).unwrap());
        assert!(cme_mbo(&paths[1..], &mut Vec::new()).unwrap());
    }
}
