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
/// Most texts fit without growing.
const ROOM: usize = 1_024;

/// A JSON text being written.
#[derive(Debug, Clone, Default)]
pub struct Json {
    out: String,
    unit: TimeUnit,
}

impl Json {
    pub fn new(unit: TimeUnit) -> Json {
        Json { out: String::with_capacity(ROOM), unit }
    }

    /// Writes into a buffer that was used before.
    pub fn over(mut buffer: String, unit: TimeUnit) -> Json {
        buffer.clear();
        Json { out: buffer, unit }
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
        self.out
    }

    pub fn unit(&self) -> TimeUnit {
        self.unit
    }

    /// The text so far; the buffer is empty after and keeps its room.
    pub fn take(&mut self) -> String {
        let text = self.out.clone();
        self.out.clear();
        text
    }

    #[inline(always)]
    fn comma(&mut self) {
        if !matches!(self.out.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(',');
        }
    }

    // Inlined: names are literals, whose lengths the compiler then knows.
    #[inline(always)]
    fn name(&mut self, name: &str) {
        self.comma();
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    // Values: elements of an array, or the whole text.

    pub fn object(&mut self, fields: impl FnOnce(&mut Json)) {
        self.comma();
        self.out.push('{');
        fields(self);
        self.out.push('}');
    }

    pub fn array(&mut self, items: impl FnOnce(&mut Json)) {
        self.comma();
        self.out.push('[');
        items(self);
        self.out.push(']');
    }

    pub fn text(&mut self, text: &str) {
        self.comma();
        self.quoted(text);
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        escape(text, &mut self.out);
        self.out.push('"');
    }

    /// JSON that is written already.
    pub fn raw(&mut self, json: &str) {
        self.comma();
        self.out.push_str(json);
    }

    pub fn decimal(&mut self, value: impl Decimal) {
        self.comma();
        self.quoted_decimal(value.parts(), DIGITS);
    }

    fn quoted_decimal(&mut self, parts: (bool, u128), digits: usize) {
        self.out.push('"');
        decimal(parts, digits, &mut self.out);
        self.out.push('"');
    }

    /// Counts of 10^-`places` as text.
    pub fn scaled(&mut self, units: u128, places: u8) {
        self.comma();
        self.quoted_decimal((false, units), usize::from(places));
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

    #[inline(always)]
    pub fn text_field(&mut self, name: &str, text: &str) {
        self.name(name);
        self.quoted(text);
    }

    pub fn raw_field(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.push_str(json);
    }

    #[inline(always)]
    pub fn decimal_field(&mut self, name: &str, value: impl Decimal) {
        self.name(name);
        self.quoted_decimal(value.parts(), DIGITS);
    }

    #[inline(always)]
    pub fn number_field(&mut self, name: &str, value: impl Into<i128>) {
        self.name(name);
        whole(value.into(), &mut self.out);
    }

    #[inline(always)]
    pub fn flag_field(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.push_str(if value { "true" } else { "false" });
    }

    #[inline(always)]
    pub fn null_field(&mut self, name: &str) {
        self.name(name);
        self.out.push_str("null");
    }

    #[inline(always)]
    pub fn time_field(&mut self, name: &str, stamp: Stamp) {
        self.number_field(name, self.unit.of(stamp));
    }

    /// Counts of 10^-`places` as text.
    pub fn scaled_field(&mut self, name: &str, units: u128, places: u8) {
        self.name(name);
        self.quoted_decimal((false, units), usize::from(places));
    }

    /// A fixed-point number as text: `value` counts 10^-`digits`.
    pub fn fixed_field(&mut self, name: &str, value: i128, digits: usize) {
        self.name(name);
        self.quoted_decimal((value < 0, value.unsigned_abs()), digits);
    }
}

fn whole(value: i128, out: &mut String) {
    match u64::try_from(value) {
        Ok(value) => out.push_str(itoa::Buffer::new().format(value)),
        Err(_) => out.push_str(itoa::Buffer::new().format(value)),
    }
}

fn decimal((negative, units): (bool, u128), places: usize, out: &mut String) {
    if negative {
        out.push('-');
    }
    if let (DIGITS, Ok(units)) = (places, u64::try_from(units)) {
        out.push_str(itoa::Buffer::new().format(units / SCALE));
        out.push('.');
        // A one in front keeps the zeros; it is left out.
        let mut room = itoa::Buffer::new();
        return out.push_str(room.format(units % SCALE + SCALE).get(1..).unwrap_or_default());
    }
    let mut room = itoa::Buffer::new();
    let digits = room.format(units);
    let zeros = (places + 1).saturating_sub(digits.len());
    let padded = "0".repeat(zeros) + digits;
    let (whole, fraction) = padded.split_at(padded.len() - places);
    out.push_str(whole);
    if places > 0 {
        out.push('.');
        out.push_str(fraction);
    }
}

/// Text inside quotation marks, as RFC 8259 wants it.
pub fn escape(text: &str, out: &mut String) {
    let is_special = |byte: u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    if !text.bytes().any(is_special) {
        return out.push_str(text);
    }
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\0'..='\x1f' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
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
