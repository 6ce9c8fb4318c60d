//! Writes the venue's JSON: prices and amounts as text with eight digits, ids and times as numbers.
//!
//! Commas are put by looking at the byte before, so a writer is a plain buffer and nothing nests.

use std::fmt::Write as _;

use protocol::{Amount, Price, Quantity, SCALE, Stamp};

/// In which unit times are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    #[default]
    Millisecond,
    Microsecond,
}

impl TimeUnit {
    /// A stored time in this unit.
    pub const fn of(self, stamp: Stamp) -> u64 {
        match self {
            TimeUnit::Millisecond => stamp.0 / 1_000_000,
            TimeUnit::Microsecond => stamp.0 / 1_000,
        }
    }
}

/// Whole counts of 10^-8 that are shown as decimal text.
pub trait Decimal: Copy {
    fn parts(self) -> (bool, u128);
}

impl Decimal for Price {
    fn parts(self) -> (bool, u128) {
        (false, u128::from(self.0))
    }
}

impl Decimal for Quantity {
    fn parts(self) -> (bool, u128) {
        (false, u128::from(self.0))
    }
}

impl Decimal for Amount {
    fn parts(self) -> (bool, u128) {
        (self.0 < 0, self.0.unsigned_abs())
    }
}

/// Digits after the point of every number that counts 10^-8.
const DIGITS: usize = 8;
/// Room for the digits of any u128, the point and the sign.
const DECIMAL_ROOM: usize = 48;

/// A JSON text being written.
#[derive(Debug, Clone, Default)]
pub struct Json {
    out: Vec<u8>,
    unit: TimeUnit,
}

impl Json {
    pub fn new(unit: TimeUnit) -> Json {
        Json { out: Vec::with_capacity(256), unit }
    }

    /// One object as a text of its own.
    pub fn of(unit: TimeUnit, fields: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::new(unit);
        json.object(fields);
        json.finish()
    }

    /// One array as a text of its own.
    pub fn list(unit: TimeUnit, items: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::new(unit);
        json.array(items);
        json.finish()
    }

    pub fn finish(self) -> String {
        // Every byte came from a `str` or is ASCII.
        String::from_utf8(self.out).unwrap_or_default()
    }

    pub fn unit(&self) -> TimeUnit {
        self.unit
    }

    /// The bytes so far; the buffer is empty after and keeps its room.
    pub fn take(&mut self) -> String {
        let text = std::str::from_utf8(&self.out).unwrap_or_default().to_owned();
        self.out.clear();
        text
    }

    fn comma(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }

    fn name(&mut self, name: &str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    // Values: elements of an array, or the whole text.

    pub fn object(&mut self, fields: impl FnOnce(&mut Json)) {
        self.comma();
        self.out.push(b'{');
        fields(self);
        self.out.push(b'}');
    }

    pub fn array(&mut self, items: impl FnOnce(&mut Json)) {
        self.comma();
        self.out.push(b'[');
        items(self);
        self.out.push(b']');
    }

    pub fn text(&mut self, text: &str) {
        self.comma();
        self.out.push(b'"');
        escape(text, &mut self.out);
        self.out.push(b'"');
    }

    /// JSON that is written already.
    pub fn raw(&mut self, json: &str) {
        self.comma();
        self.out.extend_from_slice(json.as_bytes());
    }

    pub fn decimal(&mut self, value: impl Decimal) {
        self.comma();
        self.out.push(b'"');
        decimal(value.parts(), DIGITS, &mut self.out);
        self.out.push(b'"');
    }

    pub fn number(&mut self, value: impl Into<i128>) {
        self.comma();
        whole(value.into(), &mut self.out);
    }

    pub fn time(&mut self, stamp: Stamp) {
        self.number(self.unit.of(stamp));
    }

    // Fields of an object.

    pub fn object_field(&mut self, name: &str, fields: impl FnOnce(&mut Json)) {
        self.name(name);
        self.object(fields);
    }

    pub fn array_field(&mut self, name: &str, items: impl FnOnce(&mut Json)) {
        self.name(name);
        self.array(items);
    }

    pub fn text_field(&mut self, name: &str, text: &str) {
        self.name(name);
        self.text(text);
    }

    pub fn raw_field(&mut self, name: &str, json: &str) {
        self.name(name);
        self.raw(json);
    }

    pub fn decimal_field(&mut self, name: &str, value: impl Decimal) {
        self.name(name);
        self.decimal(value);
    }

    pub fn number_field(&mut self, name: &str, value: impl Into<i128>) {
        self.name(name);
        self.number(value);
    }

    pub fn flag_field(&mut self, name: &str, value: bool) {
        self.name(name);
        self.raw(if value { "true" } else { "false" });
    }

    pub fn null_field(&mut self, name: &str) {
        self.name(name);
        self.raw("null");
    }

    pub fn time_field(&mut self, name: &str, stamp: Stamp) {
        self.name(name);
        self.time(stamp);
    }

    /// A fixed-point number as text: `value` counts 10^-`digits`.
    pub fn fixed_field(&mut self, name: &str, value: i128, digits: usize) {
        self.name(name);
        self.out.push(b'"');
        decimal((value < 0, value.unsigned_abs()), digits, &mut self.out);
        self.out.push(b'"');
    }
}

fn whole(value: i128, out: &mut Vec<u8>) {
    if let Ok(value) = u64::try_from(value) {
        return digits(value, out);
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, "{value}");
    out.extend_from_slice(text.as_bytes());
}

fn digits(mut value: u64, out: &mut Vec<u8>) {
    let (mut room, mut at) = ([0u8; 20], 20);
    loop {
        at -= 1;
        room[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&room[at..]);
}

fn decimal((negative, units): (bool, u128), places: usize, out: &mut Vec<u8>) {
    if negative {
        out.push(b'-');
    }
    if let (DIGITS, Ok(units)) = (places, u64::try_from(units)) {
        digits(units / SCALE, out);
        let (mut fraction, mut room) = (units % SCALE, *b".00000000");
        for place in room[1..].iter_mut().rev() {
            *place = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        return out.extend_from_slice(&room);
    }
    let (mut rest, mut room, mut at) = (units, [b'0'; DECIMAL_ROOM], DECIMAL_ROOM);
    for place in 0.. {
        if place == places && places > 0 {
            at -= 1;
            room[at] = b'.';
        }
        at -= 1;
        room[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 && place >= places {
            break;
        }
    }
    out.extend_from_slice(&room[at..]);
}

/// Text inside quotation marks, as RFC 8259 wants it.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    if !text.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.extend(
                    [byte >> 4, byte & 15].map(|nibble| b"0123456789abcdef"[usize::from(nibble)]),
                );
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_money_are_text_and_ids_are_numbers() {
        let text = Json::of(TimeUnit::Millisecond, |json| {
            json.decimal_field("price", Price(5_000_000_000_001));
            json.decimal_field("free", Amount(-150_000_000));
            json.decimal_field("sum", Amount(i128::from(u64::MAX) * 10));
            json.fixed_field("percent", -94_999, 3);
            json.fixed_field("small", 5, 3);
            json.fixed_field("count", 12, 0);
            json.number_field("id", 7u64);
            json.number_field("none", -1i64);
            json.time_field("time", Stamp(1_700_000_000_123_456_789));
            json.array_field("list", |json| {
                json.text("a\"b\\c\n\u{1}é");
                json.array(|_| {});
                json.object(|_| {});
            });
            json.flag_field("yes", true);
            json.null_field("nothing");
        });
        assert_eq!(
            text,
            "{\"price\":\"50000.00000001\",\"free\":\"-1.50000000\",\
             \"sum\":\"1844674407370.95516150\",\"percent\":\"-94.999\",\"small\":\"0.005\",\
             \"count\":\"12\",\"id\":7,\"none\":-1,\"time\":1700000000123,\
             \"list\":[\"a\\\"b\\\\c\\n\\u0001é\",[],{}],\"yes\":true,\"nothing\":null}"
        );
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["list"][0], "a\"b\\c\n\u{1}é");
    }

    #[test]
    fn microseconds_are_shown_when_asked_for() {
        let stamp = Stamp(1_700_000_000_123_456_789);
        assert_eq!(TimeUnit::Microsecond.of(stamp), 1_700_000_000_123_456);
    }
}
