//! What a client of streams may send: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY and
//! GET_PROPERTY (web-socket-streams.md, "Live Subscribing/Unsubscribing to streams").

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::name::Name;
use crate::json::{Json, TimeUnit};

/// Characters of an id that is text.
const ID_LENGTH_MAX: usize = 36;

/// A message that was understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Control<'a> {
    /// As JSON, exactly as it was sent.
    pub id: &'a str,
    pub request: Request,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Subscribe(Vec<Name>),
    Unsubscribe(Vec<Name>),
    List,
    SetCombined(bool),
    GetCombined,
}

/// A message that was refused, with the venue's code and text.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    pub code: u8,
    pub message: Cow<'static, str>,
    /// As JSON; none if it could not be read.
    pub id: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Method {
    Subscribe,
    Unsubscribe,
    ListSubscriptions,
    SetProperty,
    GetProperty,
}

#[derive(Deserialize)]
struct Fields<'a> {
    method: Method,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// Tells null from nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads one message.
///
/// Errors: the first thing that is wrong: the JSON, the method, the id, the parameters.
pub fn parse_control(text: &str) -> Result<Control<'_>, Refusal<'_>> {
    let fields = parse_fields(text)?;
    let wrong_id = "request ID must be an unsigned integer";
    let id = fields.id.map(RawValue::get).filter(|id| is_id(id));
    let id = id.ok_or_else(|| Refusal::request(wrong_id, None))?;
    let request = parse_request(fields.method, fields.params);
    let request = request.map_err(|refusal| Refusal { id: Some(id), ..refusal })?;
    Ok(Control { id, request })
}

fn parse_fields(text: &str) -> Result<Fields<'_>, Refusal<'_>> {
    // The reader would also take an array for the fields in order.
    if !text.trim_ascii_start().starts_with('{')
        && let Ok(_) = serde_json::from_str::<&RawValue>(text)
    {
        return Err(Refusal::request("expected an object", None));
    }
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => Refusal::request(error.to_string(), id_of(text)),
        _ => Refusal { code: 3, message: format!("Invalid JSON: {error}").into(), id: None },
    })
}

/// The id of a message whose other fields are wrong.
fn id_of(text: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let fields: Id<'_> = serde_json::from_str(text).ok()?;
    Some(fields.id.get()).filter(|id| is_id(id))
}

/// A signed 64-bit integer, short text or null.
fn is_id(json: &str) -> bool {
    if json.starts_with('"') {
        let text = serde_json::from_str::<String>(json);
        return text.is_ok_and(|text| text.chars().count() <= ID_LENGTH_MAX);
    }
    json == "null" || serde_json::from_str::<i64>(json).is_ok()
}

fn parse_request(method: Method, params: Option<&RawValue>) -> Result<Request, Refusal<'static>> {
    match method {
        Method::Subscribe => names(params).map(Request::Subscribe),
        Method::Unsubscribe => names(params).map(Request::Unsubscribe),
        Method::ListSubscriptions => match values(params)?.as_slice() {
            [] => Ok(Request::List),
            _ => Err(too_many()),
        },
        Method::SetProperty => match values(params)?.as_slice() {
            [] => Err(property_name()),
            [name] => Err(if is_combined(name)? { no_boolean() } else { unknown() }),
            [name, value] if is_combined(name)? => match value.get() {
                "true" => Ok(Request::SetCombined(true)),
                "false" => Ok(Request::SetCombined(false)),
                _ => Err(no_boolean()),
            },
            [_, _] => Err(unknown()),
            _ => Err(too_many()),
        },
        Method::GetProperty => match values(params)?.as_slice() {
            [] => Err(property_name()),
            [name] if is_combined(name)? => Ok(Request::GetCombined),
            [_] => Err(unknown()),
            _ => Err(too_many()),
        },
    }
}

fn names(params: Option<&RawValue>) -> Result<Vec<Name>, Refusal<'static>> {
    let params = params.ok_or_else(|| Refusal::request("missing field `params`", None))?;
    let texts: Vec<String> = serde_json::from_str(params.get())
        .map_err(|error| Refusal::request(error.to_string(), None))?;
    let names: Result<Vec<Name>, _> = texts.iter().map(|text| Name::parse(text)).collect();
    names.map_err(|_| Refusal::request("invalid stream", None))
}

fn values(params: Option<&RawValue>) -> Result<Vec<&RawValue>, Refusal<'static>> {
    let Some(params) = params else { return Ok(Vec::new()) };
    serde_json::from_str(params.get()).map_err(|error| Refusal::request(error.to_string(), None))
}

/// Is it the one property there is?
fn is_combined(name: &RawValue) -> Result<bool, Refusal<'static>> {
    let name: String = serde_json::from_str(name.get()).map_err(|_| property_name())?;
    Ok(name == "combined")
}

fn property_name() -> Refusal<'static> {
    Refusal::request("property name must be a string", None)
}

fn too_many() -> Refusal<'static> {
    Refusal::request("too many parameters", None)
}

fn unknown() -> Refusal<'static> {
    Refusal { code: 0, message: "Unknown property".into(), id: None }
}

fn no_boolean() -> Refusal<'static> {
    Refusal { code: 1, message: "Invalid value type: expected Boolean".into(), id: None }
}

impl<'a> Refusal<'a> {
    /// Code 2.
    pub(super) fn request(what: impl Into<Cow<'static, str>>, id: Option<&'a str>) -> Refusal<'a> {
        Refusal { code: 2, message: format!("Invalid request: {}", what.into()).into(), id }
    }

    /// A message that is not text.
    pub(super) fn binary() -> Refusal<'static> {
        let message = "Invalid JSON: expected value at line 1 column 1".into();
        Refusal { code: 3, message, id: None }
    }

    /// The answer. Code and text stand twice: where the document has them, and in `error`, where
    /// the venue's servers put them and clients look.
    pub fn body(&self) -> String {
        let fields = |json: &mut Json| {
            json.number_field("code", self.code);
            json.text_field("msg", &self.message);
        };
        Json::of(TimeUnit::Millisecond, |json| {
            fields(json);
            json.object_field("error", fields);
            if let Some(id) = self.id {
                json.raw_field("id", id);
            }
        })
    }
}

/// The answer to a message that was carried out; the result is JSON.
pub(super) fn answer(id: &str, result: &str) -> String {
    Json::of(TimeUnit::Millisecond, |json| {
        json.raw_field("result", result);
        json.raw_field("id", id);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect("well formed")
    }

    #[test]
    fn requests_are_understood_and_ids_kept_as_they_are() {
        let check = |text: &str, id: &str, request: Request| {
            assert_eq!(parse_control(text), Ok(Control { id, request }), "{text}");
        };
        check(
            r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth"],"id":1}"#,
            "1",
            Request::Subscribe(vec![name("btcusdt@aggTrade"), name("btcusdt@depth")]),
        );
        check(
            r#" {"id": "a-1\u0041", "params": ["btcusdt@\u0064epth"], "method": "UNSUBSCRIBE", "x": {}} "#,
            r#""a-1\u0041""#,
            Request::Unsubscribe(vec![name("btcusdt@depth")]),
        );
        let smallest = "-9223372036854775808";
        let list = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{smallest}}}"#);
        check(&list, smallest, Request::List);
        check(r#"{"method":"LIST_SUBSCRIPTIONS","params":[],"id":null}"#, "null", Request::List);
        check(r#"{"method":"LIST_SUBSCRIPTIONS","params":null,"id":3}"#, "3", Request::List);
        check(
            r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#,
            "5",
            Request::SetCombined(true),
        );
        check(
            r#"{"method":"SET_PROPERTY","params":["combined",false],"id":5}"#,
            "5",
            Request::SetCombined(false),
        );
        check(
            r#"{"method":"GET_PROPERTY","params":["combined"],"id":"123456789012345678901234567890123456"}"#,
            "\"123456789012345678901234567890123456\"",
            Request::GetCombined,
        );
        check(r#"{"method":"SUBSCRIBE","params":[],"id":0}"#, "0", Request::Subscribe(vec![]));
    }

    #[test]
    fn refusals_have_the_documented_codes_and_texts() {
        let check = |text: &str, code: u8, message: &str, id: Option<&str>| {
            let expected = Refusal { code, message: message.to_owned().into(), id };
            assert_eq!(parse_control(text), Err(expected), "{text}");
        };
        let value = "Invalid JSON: expected value at line 1 column 1";
        check("hello", 3, value, None);
        check("", 3, "Invalid JSON: EOF while parsing a value at line 1 column 0", None);
        check(
            r#"{"method":"SUBSCRIBE","id":1"#,
            3,
            "Invalid JSON: EOF while parsing an object at line 1 column 28",
            None,
        );
        check("[\"SUBSCRIBE\",[],1]", 2, "Invalid request: expected an object", None);
        check("7", 2, "Invalid request: expected an object", None);
        check(
            r#"{"method":"SUBSCRIBEE","params":[],"id":7}"#,
            2,
            "Invalid request: unknown variant `SUBSCRIBEE`, expected one of `SUBSCRIBE`, \
             `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 22",
            Some("7"),
        );
        check(
            r#"{"params":["btcusdt@trade"],"id":7}"#,
            2,
            "Invalid request: missing field `method` at line 1 column 35",
            Some("7"),
        );
        for id in
            ["", r#","id":1.5"#, r#","id":true"#, r#","id":[1]"#, r#","id":9223372036854775808"#]
        {
            let text = format!(r#"{{"method":"LIST_SUBSCRIPTIONS"{id}}}"#);
            check(&text, 2, "Invalid request: request ID must be an unsigned integer", None);
        }
        let long = "1".repeat(ID_LENGTH_MAX + 1);
        check(
            &format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":"{long}"}}"#),
            2,
            "Invalid request: request ID must be an unsigned integer",
            None,
        );
        let with = |method: &str, params: &str| {
            format!(r#"{{"method":"{method}","params":{params},"id":9}}"#)
        };
        let nine = Some("9");
        let name = "Invalid request: property name must be a string";
        let many = "Invalid request: too many parameters";
        let boolean = "Invalid value type: expected Boolean";
        check(
            &with("SUBSCRIBE", r#"["not a stream"]"#),
            2,
            "Invalid request: invalid stream",
            nine,
        );
        check(&with("SUBSCRIBE", "null"), 2, "Invalid request: missing field `params`", nine);
        check(&with("LIST_SUBSCRIPTIONS", "[1]"), 2, many, nine);
        check(&with("SET_PROPERTY", "[]"), 2, name, nine);
        check(&with("SET_PROPERTY", "[1,true]"), 2, name, nine);
        check(&with("SET_PROPERTY", r#"["combined"]"#), 1, boolean, nine);
        check(&with("SET_PROPERTY", r#"["combined","true"]"#), 1, boolean, nine);
        check(&with("SET_PROPERTY", r#"["combined",true,1]"#), 2, many, nine);
        check(&with("SET_PROPERTY", r#"["fast",true]"#), 0, "Unknown property", nine);
        check(&with("GET_PROPERTY", r#"["fast"]"#), 0, "Unknown property", nine);
        check(&with("GET_PROPERTY", "[null]"), 2, name, nine);
        check(&with("GET_PROPERTY", "[]"), 2, name, nine);
        check(&with("GET_PROPERTY", r#"["combined","combined"]"#), 2, many, nine);
        for garbage in ["{", "{\"method\":", "\u{0}", "{\"method\":\"\\ud800\",\"id\":1}"] {
            assert!(parse_control(garbage).is_err(), "{garbage:?}");
        }
        let deep = "[".repeat(60_000);
        assert!(parse_control(&deep).is_err());
        assert!(parse_control(&format!(r#"{{"method":"SUBSCRIBE","params":{deep}"#)).is_err());
    }

    #[test]
    fn answers_repeat_the_id() {
        assert_eq!(answer("\"a\\\"b\"", "null"), r#"{"result":null,"id":"a\"b"}"#);
        let refusal = Refusal { code: 0, message: "Unknown property".into(), id: Some("-4") };
        assert_eq!(
            refusal.body(),
            r#"{"code":0,"msg":"Unknown property","error":{"code":0,"msg":"Unknown property"},"id":-4}"#
        );
        assert!(!Refusal::binary().body().contains("\"id\""));
    }
}
