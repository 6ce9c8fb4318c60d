//! Query and body of a REST request: read as parameters, signed as they were sent.
//!
//! The input is the query, a line break, the body.

use gateway::params::{PARAMS_MAX, Params};
use gateway::signature::payload_of_rest;

use crate::Target;
use crate::feedback::note;

pub const TARGET: Target =
    Target { name: "rest_request", run: rest_request, corpus, words: WORDS, length_max: 2_048 };

const WORDS: &[&str] = &[
    "\n",
    "&",
    "=",
    "&&",
    "%",
    "%25",
    "%3D",
    "%26",
    "%00",
    "%FF",
    "%C3%A9",
    "+",
    "é",
    "signature=",
    "&signature=abc%2Bd",
    "symbol=LTCUSDT",
    "limit=",
    "price=",
    "timestamp=1499827319559",
    "recvWindow=5000.5",
    "symbols=[\"BTCUSDT\",\"ETHUSDT\"]",
    "true",
    "-1",
    "18446744073709551616",
];

/// Names that are asked for in every way.
const NAMES: &[&str] = &["symbol", "limit", "price", "timestamp", "recvWindow", "symbols", "x", ""];

fn corpus() -> Vec<Vec<u8>> {
    let order = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1";
    let signed = format!("{order}&recvWindow=5000&timestamp=1499827319559&signature=c8db%2B56");
    let split = format!("symbol=LTCBTC&limit=5\n{order}&signature=00&x=%E2%82%AC");
    let list = "symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D&x=true&limit=-7".to_owned();
    [signed, split, list, "\nx=+&price=1.5".to_owned()].map(String::into_bytes).to_vec()
}

pub fn rest_request(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (query, body) = text.split_once('\n').unwrap_or((text, ""));
    check_payload(query, body);
    let params = match Params::of_rest(query, body) {
        Ok(params) => params,
        Err(error) => {
            note((error.code, error.status));
            assert!(matches!(error.code, -1100 | -1101) && error.status == 400, "{error:?}");
            return;
        }
    };
    assert!(params.len() <= PARAMS_MAX);
    let expected = naive(query, body).expect("a percent sign without digits was taken");
    let read: Vec<(String, String)> =
        params.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(read, expected, "{query:?} {body:?}");
    NAMES.iter().for_each(|name| check_value(&params, name));
    note((params.len(), params.count_of(&[NAMES])));
}

/// One value, read in every way that there is.
fn check_value(params: &Params<'_>, name: &str) {
    let text = params.get(name);
    assert_eq!(params.has(name), text.is_some_and(|text| !text.is_empty()));
    assert_eq!(params.required(name).ok(), text);
    let integer = params.integer(name).map_err(|error| error.code);
    note((name, "integer", integer.map(|it| it.is_some())));
    if let Ok(Some(integer)) = integer {
        let digits = text.map(|text| text.trim_start_matches('0')).unwrap_or_default();
        assert_eq!(integer.to_string().trim_start_matches('0'), digits);
    }
    let signed = params.signed(name).map_err(|error| error.code);
    if let (Ok(Some(integer)), Ok(Some(signed))) = (integer, signed) {
        assert_eq!(i128::from(integer), i128::from(signed));
    }
    let price = params.price(name).map_err(|error| error.code);
    note((name, "price", price.is_ok(), price.err()));
    assert_eq!(price.map(|it| it.map(|it| it.0)), quantity(params, name));
    if let (Ok(Some(price)), Some(text)) = (price, text) {
        assert_eq!(protocol::Price::parse(text), Ok(price));
    }
    note((name, params.boolean(name).map_err(|error| error.code)));
    note((name, params.list(name).map(|it| it.map(|it| it.len())).map_err(|error| error.code)));
    if let Ok(limit) = params.limit(100, 1_000) {
        assert!((1..=1_000).contains(&limit), "{limit}");
    }
}

fn quantity(params: &Params<'_>, name: &str) -> Result<Option<u64>, i32> {
    params.quantity(name).map(|it| it.map(|it| it.0)).map_err(|error| error.code)
}

/// What is signed: everything but the signatures, as it was sent.
fn check_payload(query: &str, body: &str) {
    let without = |text: &str| {
        let parts = text.split('&').filter(|part| !part.starts_with("signature="));
        parts.collect::<Vec<_>>().join("&")
    };
    let is_signed = |text: &str| text.split('&').any(|part| part.starts_with("signature="));
    match payload_of_rest(query, body) {
        Some((payload, _)) => {
            assert!(is_signed(query) || is_signed(body), "a signature from nowhere");
            assert_eq!(payload, format!("{}{}", without(query), without(body)));
        }
        None => assert!(!is_signed(query) && !is_signed(body), "a signature was passed over"),
    }
}

/// Names and values in order, decoded byte by byte; the body's names only where the query has not
/// the same.
fn naive(query: &str, body: &str) -> Option<Vec<(String, String)>> {
    let pairs = |text: &str| -> Option<Vec<(String, String)>> {
        let parts = text.split('&').filter(|part| !part.is_empty());
        parts
            .map(|part| {
                let at = part.find('=').unwrap_or(part.len());
                let value = part.get(at + 1..).unwrap_or("");
                Some((decoded(&part[..at])?, decoded(value)?))
            })
            .collect()
    };
    let mut all = pairs(query)?;
    let from_query = all.clone();
    let is_new = |it: &(String, String)| from_query.iter().all(|(name, _)| *name != it.0);
    all.extend(pairs(body)?.into_iter().filter(is_new));
    Some(all)
}

fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut at) = (Vec::new(), 0);
    while let Some(byte) = text.as_bytes().get(at) {
        at += 1;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = text.as_bytes().get(at..at + 2)?;
                at += 2;
                let digits = str::from_utf8(digits).ok().filter(|it| !it.starts_with('+'))?;
                u8::from_str_radix(digits, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn parameters_are_what_was_sent_or_refused() {
        crate::campaign::check(&super::TARGET, 1, 10_000);
    }
}
