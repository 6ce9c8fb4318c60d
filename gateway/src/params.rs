//! The parameters of a request, whether they came in a query, a body or as JSON, and their typed
//! readers. A value is text until a reader says otherwise.

use std::borrow::Cow;
use std::fmt;

use protocol::{DecimalError, Price, Quantity, number::parse_decimal};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::quotes::STAND_IN;

/// More parameters than any request of the venue has.
pub const PARAMS_MAX: usize = 64;
/// What the venue prints as the legal range of a decimal, an integer and an id.
pub const DECIMAL_RANGE: &str = "^([0-9]{1,20})(\\.[0-9]{1,20})?$";
pub const INTEGER_RANGE: &str = "^[0-9]{1,20}$";
pub const CLIENT_ORDER_ID_RANGE: &str = "^[\\.A-Z\\:/a-z0-9_-]{1,36}$";
pub const SYMBOL_RANGE: &str = "^[\\w\\-._&&[^a-z]]{1,50}$";

#[derive(Debug, Clone)]
struct Param<'a> {
    name: Cow<'a, str>,
    /// Of JSON: text without its quotation marks, everything else as it was written.
    value: Cow<'a, str>,
    /// JSON null: as if it had not been sent, but signed as `null`.
    is_null: bool,
}

/// The parameters of one request, in the order sent.
#[derive(Debug, Clone, Default)]
pub struct Params<'a> {
    entries: Vec<Param<'a>>,
}

impl<'a> Params<'a> {
    /// Of a REST request: query first, then body; for duplicates the query wins, as documented.
    ///
    /// Errors: broken percent-encoding, a name twice in one place, too many.
    pub fn of_rest(query: &'a str, body: &'a str) -> Result<Params<'a>, ApiError> {
        let mut params = Params::default();
        for (index, part) in [query, body].into_iter().enumerate() {
            let from = params.entries.len();
            for pair in part.split('&').filter(|pair| !pair.is_empty()) {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let (name, value) = (decode(name)?, decode(value)?);
                if params.entries[from..].iter().any(|it| it.name == name) {
                    let text = "Duplicate values for a parameter detected.";
                    return Err(ApiError::new(-1101, text));
                }
                if index == 0 || !params.entries[..from].iter().any(|it| it.name == name) {
                    params.push(name, value, false)?;
                }
            }
        }
        Ok(params)
    }

    /// Of a WebSocket API request: the object `params`.
    pub fn of_json(json: &'a RawValue) -> Result<Params<'a>, ApiError> {
        serde_json::from_str(json.get()).map_err(|error| {
            let is_duplicate = error.to_string().starts_with(DUPLICATE);
            ApiError::new(-1101, if is_duplicate { DUPLICATE } else { "Invalid 'params'." })
        })
    }

    fn push(
        &mut self,
        name: Cow<'a, str>,
        value: Cow<'a, str>,
        is_null: bool,
    ) -> Result<(), ApiError> {
        if self.entries.len() == PARAMS_MAX {
            let text = format!("Too many parameters; expected '{PARAMS_MAX}' and received more.");
            return Err(ApiError::new(-1101, text));
        }
        self.entries.push(Param { name, value, is_null });
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names and values as they are signed on the WebSocket API.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|it| (&*it.name, &*it.value))
    }

    /// How many of the parameters sent have a name in one of these lists.
    pub fn count_of(&self, lists: &[&[&str]]) -> usize {
        let is_known = |name: &str| lists.iter().any(|names| names.contains(&name));
        self.entries.iter().filter(|it| is_known(&it.name)).count()
    }

    /// What was sent under this name; empty text and null count as not sent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.entries.iter().find(|it| it.name == name && !it.is_null)?;
        Some(&*found.value).filter(|value| !value.is_empty())
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| ApiError::mandatory(name))
    }

    /// A whole number without sign.
    pub fn integer(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.len() > 20 {
            return Err(ApiError::illegal(name, INTEGER_RANGE));
        }
        text.parse().map(Some).map_err(|_| ApiError::overflow(name))
    }

    /// A whole number that may be negative.
    pub fn signed(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || digits.len() > 20 || !digits.bytes().all(|it| it.is_ascii_digit()) {
            return Err(ApiError::illegal(name, INTEGER_RANGE));
        }
        text.parse().map(Some).map_err(|_| ApiError::overflow(name))
    }

    /// `limit`: the default when absent; above the maximum it is the maximum, as the venue has it.
    pub fn limit(&self, default: usize, max: usize) -> Result<usize, ApiError> {
        match self.integer("limit")? {
            None => Ok(default),
            Some(0) => Err(ApiError::illegal("limit", INTEGER_RANGE)),
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(max).min(max)),
        }
    }

    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::illegal(name, "^(true|false)$")),
        }
    }

    /// Counts of 10^-8, at most 2^63 − 1.
    fn units(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match parse_decimal(text) {
            Ok(units) if units <= i64::MAX as u128 => Ok(Some(units as u64)),
            Ok(_) | Err(DecimalError::TooLarge) => Err(ApiError::overflow(name)),
            Err(DecimalError::TooPrecise) => Err(ApiError::too_precise(name)),
            Err(DecimalError::Malformed) => Err(ApiError::illegal(name, DECIMAL_RANGE)),
        }
    }

    pub fn price(&self, name: &str) -> Result<Option<Price>, ApiError> {
        Ok(self.units(name)?.map(Price))
    }

    pub fn quantity(&self, name: &str) -> Result<Option<Quantity>, ApiError> {
        Ok(self.units(name)?.map(Quantity))
    }

    /// A list: a JSON array of text (REST sends it percent-encoded, the WebSocket API as it is).
    pub fn list(&self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let text = text.replace(STAND_IN, "\"");
        let parsed: Result<Vec<String>, _> = serde_json::from_str(&text);
        parsed.map(Some).map_err(|_| {
            let range =
                "^\\[(\"[\\w\\-._&&[^a-z]]{1,50}\"(,\"[\\w\\-._&&[^a-z]]{1,50}\"){0,}){0,1}\\]$";
            ApiError::illegal(name, range)
        })
    }
}

const DUPLICATE: &str = "Duplicate values for a parameter detected.";

impl<'de: 'a, 'a> Deserialize<'de> for Params<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Params<'a>, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Params<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params<'de>, A::Error> {
                let mut params = Params { entries: Vec::with_capacity(16) };
                while let Some(Name(name)) = map.next_key()? {
                    let raw: &'de RawValue = map.next_value()?;
                    if params.entries.iter().any(|it| it.name == name) {
                        return Err(serde::de::Error::custom(DUPLICATE));
                    }
                    let value = unquote(raw.get()).map_err(serde::de::Error::custom)?;
                    let is_null = raw.get() == "null";
                    let pushed = params.push(name, value, is_null);
                    pushed.map_err(|error| serde::de::Error::custom(error.message))?;
                }
                Ok(params)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Text that is borrowed unless it holds an escape.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'a>, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A JSON value as text: a string without its quotation marks, everything else as written.
fn unquote(json: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match json.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        Some(_) => serde_json::from_str::<String>(json).map(Cow::Owned),
        None => Ok(Cow::Borrowed(json)),
    }
}

/// Percent-decoding of a name or value; `+` is a blank.
pub fn decode(text: &str) -> Result<Cow<'_, str>, ApiError> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let malformed = || ApiError::new(-1100, "Illegal characters found in a parameter.");
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (pair, after) = rest.split_at_checked(2).ok_or_else(malformed)?;
                let digit = |at: usize| {
                    pair.get(at).and_then(|&it| char::from(it).to_digit(16)).ok_or_else(malformed)
                };
                bytes.push((digit(0)? * 16 + digit(1)?) as u8);
                rest = after;
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_and_body_are_one_request_and_the_query_wins() {
        let params = Params::of_rest("symbol=A%26B&x=", "symbol=C&price=5.0&x=2").unwrap();
        assert_eq!(params.get("symbol"), Some("A&B"));
        assert_eq!(params.price("price").unwrap(), Some(Price(500_000_000)));
        assert!(params.get("x").is_none());
        assert_eq!(params.len(), 3);
    }

    #[test]
    fn a_name_twice_is_refused() {
        assert_eq!(Params::of_rest("a=1&a=2", "").unwrap_err().code, -1101);
        let json = RawValue::from_string("{\"a\":1,\"a\":2}".into()).unwrap();
        assert_eq!(Params::of_json(&json).unwrap_err().code, -1101);
    }

    #[test]
    fn json_values_are_text_as_they_were_written() {
        let text =
            r#"{"orderId":"6","price":50000.10,"flag":false,"n":null,"l":["A","B"],"e":"a\"b"}"#;
        let json = RawValue::from_string(text.into()).unwrap();
        let params = Params::of_json(&json).unwrap();
        assert_eq!(Params::of_rest("l=[`A`]", "").unwrap().list("l").unwrap().unwrap(), ["A"]);
        assert_eq!(params.integer("orderId").unwrap(), Some(6));
        assert_eq!(params.price("price").unwrap(), Some(Price(5_000_010_000_000)));
        assert_eq!(params.boolean("flag").unwrap(), Some(false));
        assert!(!params.has("n"));
        assert_eq!(params.list("l").unwrap(), Some(vec!["A".into(), "B".into()]));
        assert_eq!(params.get("e"), Some("a\"b"));
        let pairs: Vec<_> = params.pairs().collect();
        assert_eq!(pairs[1], ("price", "50000.10"));
        assert_eq!(pairs[3], ("n", "null"));
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        let code = |query: &str| {
            let params = Params::of_rest(query, "").unwrap();
            params.quantity("q").map_err(|error| error.code)
        };
        assert_eq!(code("q=0.010000000000"), Ok(Some(Quantity(1_000_000))));
        assert_eq!(code("q=1e-05"), Err(-1100));
        assert_eq!(code("q=abc"), Err(-1100));
        assert_eq!(code("q=-1"), Err(-1100));
        assert_eq!(code("q=0.000000001"), Err(-1111));
        assert_eq!(code("q=92233720368547758.08"), Err(-1108));
    }

    #[test]
    fn broken_percent_encoding_is_refused() {
        for query in ["a=%", "a=%4", "a=%GG", "a=%FF"] {
            assert_eq!(Params::of_rest(query, "").unwrap_err().code, -1100, "{query}");
        }
    }
}
