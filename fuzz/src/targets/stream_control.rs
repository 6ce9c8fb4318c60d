//! What clients of streams send: messages that are read come back from what was read of them, and
//! so do the names of streams.

use gateway::streams::{Control, Name, Request, parse_control};

use crate::Target;
use crate::feedback::{note, rule};

pub const TARGET: Target =
    Target { name: "stream_control", run: stream_control, corpus, words: WORDS, length_max: 2_048 };

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
    "\"id\":7,",
    "\"id\":\"é\",",
    "\"method\":\"SUBSCRIBE\",",
    "\"method\":\"SET_PROPERTY\",",
    "\"params\":[\"combined\",true],",
    "\"params\":[],",
    "\\u0040",
    "\\ud800",
    "@",
    "!",
    "btcusdt@depth20@100ms",
    "btcusdt@kline_1m@+08:00",
    "!miniTicker@arr",
    "@avgPrice",
    "@ticker_1h",
    "１２３@trade",
    "_",
    "-",
];

const VALID: &[&str] = &[
    r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth@100ms"],"id":1}"#,
    r#"{"method":"UNSUBSCRIBE","params":["btcusdt@kline_1d@+08:00","!ticker_1h@arr"],"id":"a-1"}"#,
    r#"{"method":"LIST_SUBSCRIPTIONS","id":null}"#,
    r#"{"method":"SET_PROPERTY","params":["combined",false],"id":-5}"#,
    r#"{"method":"GET_PROPERTY","params":["combined"],"id":0}"#,
    "btcusdt@bookTicker",
    "ethusdt@depth5",
    "!miniTicker@arr",
];

fn corpus() -> Vec<Vec<u8>> {
    VALID.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub fn stream_control(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    name(text);
    match parse_control(text) {
        Ok(control) => {
            assert!(text.contains(control.id), "an id that was not sent: {text:?}");
            let written = written(&control);
            assert_eq!(parse_control(&written), Ok(control), "{text:?} as {written}");
        }
        Err(refusal) => {
            note((refusal.code, rule(&refusal.message), refusal.id.is_some()));
            assert!(refusal.code <= 3 && !refusal.message.is_empty(), "{refusal:?}");
            assert!(refusal.id.is_none_or(|id| text.contains(id)), "{refusal:?}");
            let body = refusal.body();
            assert!(body.starts_with('{') && body.contains("\"error\":{"), "{body}");
        }
    }
}

/// A message that says the same. Names need no escapes.
fn written(control: &Control<'_>) -> String {
    let names = |names: &[Name]| {
        names.iter().for_each(|it| name(&it.text));
        note(names.len());
        let quoted = names.iter().map(|name| format!("\"{}\"", name.text));
        quoted.collect::<Vec<_>>().join(",")
    };
    let (method, params) = match &control.request {
        Request::Subscribe(it) => ("SUBSCRIBE", names(it)),
        Request::Unsubscribe(it) => ("UNSUBSCRIBE", names(it)),
        Request::List => ("LIST_SUBSCRIPTIONS", String::new()),
        Request::SetCombined(combined) => ("SET_PROPERTY", format!("\"combined\",{combined}")),
        Request::GetCombined => ("GET_PROPERTY", "\"combined\"".to_owned()),
    };
    note(method);
    format!("{{\"method\":\"{method}\",\"params\":[{params}],\"id\":{}}}", control.id)
}

/// A name is kept as it was sent; the stream that it names is printed and read back.
fn name(text: &str) {
    let Ok(name) = Name::parse(text) else { return };
    assert_eq!(&*name.text, text);
    assert!(!text.contains(['"', '\\', '/', ' ']), "{text:?}");
    let Some(stream) = &name.stream else { return };
    note(("stream", std::mem::discriminant(stream)));
    let printed = stream.to_string();
    let again = Name::parse(&printed).expect("what was printed");
    assert_eq!(again.stream.as_ref(), Some(stream), "{text:?} is printed as {printed:?}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_message_is_understood_or_refused() {
        crate::campaign::check(&super::TARGET, 1, 10_000);
    }
}
