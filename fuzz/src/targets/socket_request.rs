//! Requests of the WebSocket API: an object is taken or refused with a code, and blanks around it
//! change nothing.

use gateway::error::ApiError;
use gateway::socket_api::parse;

use crate::Target;
use crate::feedback::note;

pub const TARGET: Target =
    Target { name: "socket_request", run: socket_request, corpus, words: WORDS, length_max: 4_096 };

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "\"id\":",
    "\"id\":-9223372036854775808,",
    "\"id\":\"123456789012345678901234567890123456\",",
    "\"method\":\"v3/ping\"",
    "\"params\":{}",
    "\"signature\":\"x\"",
    "\"a\":[\"b\",{}],",
    "\\u0000",
    "\\ud800",
    "\\\"",
    "1e400",
    "-0",
    "é",
    "\u{feff}",
    " ",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

const VALID: &[&str] = &[
    r#"{"id":1,"method":"ping"}"#,
    r#"{"id":"56374a46-3061-486b-a311-99ee972eb648","method":"order.place","params":{"symbol":"BTCUSDT","side":"SELL","type":"LIMIT","timeInForce":"GTC","price":"23416.10000000","quantity":"0.00847000","apiKey":"vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A","signature":"15af09","timestamp":1660801715431}}"#,
    r#"{"method":"depth","params":{"symbol":"BNBBTC","limit":5,"x":null,"y":1.50,"z":false}}"#,
    r#"{"id":null,"method":"ticker.24hr","params":{"symbols":["BNBBTC","BTCUSDT"],"e":"a\"b\u0041"}}"#,
];

/// The fields without their names: no request.
const LIST: &str = r#"[1,"ping",{}]"#;

fn corpus() -> Vec<Vec<u8>> {
    VALID.iter().chain([&LIST]).map(|text| text.as_bytes().to_vec()).collect()
}

pub fn socket_request(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let parsed = parse(text);
    let code = |parsed: &Result<(), ApiError>| parsed.as_ref().err().map(|error| error.code);
    // Longer ones that are taken are worth more changes.
    note((code(&parsed), if parsed.is_ok() { text.len() / 8 } else { 0 }));
    let again = parse(&format!(" \t{text}\r\n"));
    assert_eq!(code(&again), code(&parsed), "{text:?}");
    match parsed {
        Ok(()) => {
            let text = text.trim_matches([' ', '\t', '\r', '\n']);
            assert!(text.starts_with('{') && text.ends_with('}'), "{text:?} is no object");
        }
        Err(error) => {
            assert!(matches!(error.code, -1135 | -1100 | -1101), "{error:?}");
            assert!(error.status == 400 && !error.message.is_empty(), "{error:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_taken_or_refused() {
        crate::campaign::check(&TARGET, 1, 10_000);
    }

    #[test]
    fn the_messages_to_begin_with_are_taken() {
        VALID.iter().for_each(|text| assert_eq!(parse(text), Ok(()), "{text}"));
    }
}
