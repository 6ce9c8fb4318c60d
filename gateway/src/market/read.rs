//! What market requests read of their parameters, and how many symbols they name.

use std::collections::BTreeSet;

use marketdata::{Instrument, Market};
use protocol::{InstrumentId, Stamp};

use crate::endpoint::Call;
use crate::error::ApiError;
use crate::exchange_info::{STATUS_WORDS, status_word};
use crate::json::Json;
use crate::params::{Params, SYMBOL_RANGE};

/// What the venue prints as the legal range of a list of symbols; it answers an empty list with it.
const SYMBOLS_RANGE: &str =
    "^\\[(\"[\\w\\-._&&[^a-z]]{1,50}\"(,\"[\\w\\-._&&[^a-z]]{1,50}\"){0,}){0,1}\\]$";
/// Characters of a symbol.
const SYMBOL_LENGTH_MAX: usize = 50;

/// From here on a time counts microseconds: as milliseconds it would lie in the year 5138.
const MICROSECONDS_FROM: u64 = 100_000_000_000_000;

/// The instrument of a request for one.
pub(super) fn instrument<'a>(
    market: &'a Market,
    params: &Params<'_>,
) -> Result<&'a Instrument, ApiError> {
    named(market, "symbol", params.required("symbol")?)
}

fn named<'a>(market: &'a Market, name: &str, symbol: &str) -> Result<&'a Instrument, ApiError> {
    market.by_symbol(symbol).ok_or_else(|| match is_symbol(symbol) {
        true => ApiError::symbol(),
        false if name == "symbol" => ApiError::illegal(name, SYMBOL_RANGE),
        false => ApiError::illegal(name, SYMBOLS_RANGE),
    })
}

/// Could it be one? Letters of ASCII are upper-case.
fn is_symbol(text: &str) -> bool {
    let is_legal = |it: char| match it {
        '-' | '.' | '_' => true,
        other => other.is_alphanumeric() && !other.is_ascii_lowercase(),
    };
    text.chars().count() <= SYMBOL_LENGTH_MAX && text.chars().all(is_legal)
}

/// The instruments of a request for one, some or all.
#[derive(Debug)]
pub(super) enum Asked<'a> {
    /// By `symbol`: the answer is an object.
    One(&'a Instrument),
    /// By `symbols`, in that order, or all: the answer is an array.
    Many(Vec<&'a Instrument>),
}

impl<'a> Asked<'a> {
    /// By `symbol`, `symbols` or neither; `symbolStatus` leaves out those of another status and
    /// refuses a single one.
    pub(super) fn of(market: &'a Market, params: &Params<'_>) -> Result<Asked<'a>, ApiError> {
        let status = status(params)?;
        let asked = match named_by(market, params)? {
            Some(asked) => asked,
            None => Asked::Many(market.instruments().collect()),
        };
        asked.with_status(status)
    }

    /// As [`Asked::of`]; neither is refused, and so are more than `max`.
    pub(super) fn some(
        market: &'a Market,
        params: &Params<'_>,
        max: usize,
    ) -> Result<Asked<'a>, ApiError> {
        let status = status(params)?;
        let asked = named_by(market, params)?;
        let asked = asked.ok_or_else(|| ApiError::either("symbol", "symbols"))?;
        match &asked {
            Asked::Many(list) if list.len() > max => Err(too_many(max, list.len())),
            _ => asked.with_status(status),
        }
    }

    fn with_status(self, status: Option<&'static str>) -> Result<Asked<'a>, ApiError> {
        match self {
            Asked::One(instrument) => matches(instrument, status).map(|()| self),
            Asked::Many(mut list) => {
                list.retain(|instrument| matches(instrument, status).is_ok());
                Ok(Asked::Many(list))
            }
        }
    }

    /// The instruments, whichever way they were asked for.
    pub(super) fn list(&self) -> &[&'a Instrument] {
        match self {
            Asked::One(instrument) => core::slice::from_ref(instrument),
            Asked::Many(list) => list,
        }
    }

    /// An object of the one, or an array of objects.
    pub(super) fn answer(&self, call: &Call<'_>, row: impl Fn(&mut Json, &Instrument)) -> String {
        match self {
            Asked::One(instrument) => Json::of(call.unit, |json| row(json, instrument)),
            Asked::Many(list) => Json::list(call.unit, |json| {
                for instrument in list {
                    json.object(|json| row(json, instrument));
                }
            }),
        }
    }
}

/// By `symbol` or `symbols`; none when neither is sent.
pub(super) fn named_by<'a>(
    market: &'a Market,
    params: &Params<'_>,
) -> Result<Option<Asked<'a>>, ApiError> {
    match (params.get("symbol"), params.list("symbols")?) {
        (Some(_), Some(_)) => Err(ApiError::bad_combination()),
        (Some(symbol), None) => Ok(Some(Asked::One(named(market, "symbol", symbol)?))),
        (None, Some(symbols)) => Ok(Some(Asked::Many(all_named(market, &symbols)?))),
        (None, None) => Ok(None),
    }
}

fn all_named<'a>(market: &'a Market, symbols: &[String]) -> Result<Vec<&'a Instrument>, ApiError> {
    if symbols.is_empty() {
        return Err(ApiError::illegal("symbols", SYMBOLS_RANGE));
    }
    let mut seen: BTreeSet<InstrumentId> = BTreeSet::new();
    let mut list = Vec::with_capacity(symbols.len().min(market.instruments().len()));
    for symbol in symbols {
        let instrument = named(market, "symbols", symbol)?;
        if !seen.insert(instrument.id) {
            let text = "Symbol is present multiple times in the list.";
            return Err(ApiError::new(-1151, text));
        }
        list.push(instrument);
    }
    Ok(list)
}

fn too_many(max: usize, sent: usize) -> ApiError {
    let text = format!("Too many parameters; expected '{max}' and received '{sent}'.");
    ApiError::new(-1101, text)
}

/// Has it the status that was asked for?
pub(super) fn matches(instrument: &Instrument, status: Option<&str>) -> Result<(), ApiError> {
    let text = "The symbol's status does not match the requested symbolStatus.";
    match status {
        Some(status) if status != status_word(instrument.definition.status) => {
            Err(ApiError::new(-1220, text))
        }
        _ => Ok(()),
    }
}

/// `symbolStatus`.
pub(super) fn status(params: &Params<'_>) -> Result<Option<&'static str>, ApiError> {
    let Some(text) = params.get("symbolStatus") else { return Ok(None) };
    let status = STATUS_WORDS.iter().copied().find(|word| *word == text);
    status.map(Some).ok_or_else(|| ApiError::new(-1122, "Invalid symbolStatus."))
}

/// How many symbols a request names, for its weight; none: it asks for all.
pub(super) fn symbols_count(params: &Params<'_>) -> Option<u32> {
    if params.has("symbol") {
        return Some(1);
    }
    match params.list("symbols") {
        Ok(symbols) => symbols.map(|list| u32::try_from(list.len()).unwrap_or(u32::MAX)),
        // It will be refused.
        Err(_) => Some(1),
    }
}

/// The first moment of a time in milliseconds or microseconds.
pub(super) fn from(params: &Params<'_>, name: &str) -> Result<Option<Stamp>, ApiError> {
    Ok(span(params, name)?.map(|(first, _)| first))
}

/// The last moment of a time in milliseconds or microseconds: what shows that time is included.
pub(super) fn until(params: &Params<'_>, name: &str) -> Result<Option<Stamp>, ApiError> {
    Ok(span(params, name)?.map(|(_, last)| last))
}

fn span(params: &Params<'_>, name: &str) -> Result<Option<(Stamp, Stamp)>, ApiError> {
    let Some(time) = params.integer(name)? else { return Ok(None) };
    let unit_ns = if time >= MICROSECONDS_FROM { 1_000 } else { 1_000_000 };
    let first = time.saturating_mul(unit_ns);
    Ok(Some((Stamp(first), Stamp(first.saturating_add(unit_ns - 1)))))
}

/// `timeZone` as minutes east of UTC: `8`, `-1:00`, `05:45`, from -12:00 to +14:00; 0 when absent.
pub(super) fn time_zone(params: &Params<'_>) -> Result<i32, ApiError> {
    let Some(text) = params.get("timeZone") else { return Ok(0) };
    offset_minutes(text).ok_or_else(|| ApiError::invalid("timeZone"))
}

fn offset_minutes(text: &str) -> Option<i32> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "00"));
    let has_form = minutes.len() == 2 && matches!(hours.len(), 1..=2);
    let is_number = hours.bytes().chain(minutes.bytes()).all(|byte| byte.is_ascii_digit());
    if !has_form || !is_number {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset = sign * (hours * 60 + minutes);
    (minutes < 60 && (-12 * 60..=14 * 60).contains(&offset)).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_hours_with_or_without_minutes() {
        let valid = [
            ("0", 0),
            ("8", 480),
            ("-1:00", -60),
            ("05:45", 345),
            ("+14:00", 840),
            ("-12:00", -720),
            ("00:00", 0),
            ("-0:30", -30),
        ];
        for (text, offset) in valid {
            assert_eq!(offset_minutes(text), Some(offset), "{text}");
        }
        for text in
            ["14:01", "-12:01", "15", "5:4", "5:60", "005", "", "-", ":00", "UTC", "--1", "1:+1"]
        {
            assert_eq!(offset_minutes(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_milliseconds_or_microseconds_and_its_end_is_included() {
        #[track_caller]
        fn check(text: &str, first: u64, last: u64) {
            let query = format!("t={text}");
            let params = Params::of_rest(&query, "").unwrap();
            assert_eq!(from(&params, "t").unwrap(), Some(Stamp(first)));
            assert_eq!(until(&params, "t").unwrap(), Some(Stamp(last)));
        }
        check("1499827319559", 1_499_827_319_559_000_000, 1_499_827_319_559_999_999);
        check("1499827319559123", 1_499_827_319_559_123_000, 1_499_827_319_559_123_999);
        check("0", 0, 999_999);
        check("18446744073709551615", u64::MAX, u64::MAX);
        let params = Params::of_rest("t=-1", "").unwrap();
        assert_eq!(from(&params, "t").unwrap_err().code, -1100);
        assert_eq!(from(&Params::default(), "t").unwrap(), None);
    }
}
