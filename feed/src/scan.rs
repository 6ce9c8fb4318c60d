//! A scanner of JSON text that goes straight from bytes to whole numbers.
//!
//! It reads what a depth message is made of and passes over the rest, which it checks to be JSON
//! all the same. It allocates nothing but levels. `serde_json` is its oracle in tests.

use crate::adapter::{ReadError, ReadLevel};
use crate::decimal::{Decimal, Taken};
use std::borrow::Cow;
use std::ops::Range;

/// How deep values that are passed over may be nested.
const NESTING_MAX: u32 = 64;
/// Levels of one message.
const LEVELS_MAX: usize = 100_000;

type Result<T> = std::result::Result<T, ReadError>;

/// A place in a message.
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    pub fn new(bytes: &'a [u8]) -> Scan<'a> {
        Scan { bytes, at: 0 }
    }

    #[cold]
    pub fn error(&self, what: &'static str) -> ReadError {
        ReadError { what, at: self.at }
    }

    /// The next byte that is no blank, without taking it.
    #[inline(always)]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes this byte if it is the next one.
    #[inline(always)]
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<()> {
        if self.take(byte) { Ok(()) } else { Err(self.error(what)) }
    }

    /// Nothing but blanks may be left.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("something behind the end")),
        }
    }

    /// Calls `field` for each name of an object, with the scanner before its value; it takes the
    /// value whole.
    pub fn object(
        &mut self,
        mut field: impl FnMut(&[u8], &mut Scan<'a>) -> Result<()>,
    ) -> Result<()> {
        self.expect(b'{', "no object")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.text()?;
            self.expect(b':', "no colon")?;
            field(&name, self)?;
            if !self.take(b',') {
                return self.expect(b'}', "an object without end");
            }
        }
    }

    /// Calls `element` for each place of an array; it takes the value whole.
    pub fn array(&mut self, mut element: impl FnMut(&mut Scan<'a>) -> Result<()>) -> Result<()> {
        self.expect(b'[', "no array")?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.take(b',') {
                return self.expect(b']', "an array without end");
            }
        }
    }

    /// A text; borrowed where it has no escapes.
    #[inline]
    pub fn text(&mut self) -> Result<Cow<'a, [u8]>> {
        let (inner, is_plain) = self.quoted()?;
        if is_plain {
            return Ok(Cow::Borrowed(inner));
        }
        self.unescaped(inner)
    }

    #[cold]
    fn unescaped(&self, inner: &[u8]) -> Result<Cow<'a, [u8]>> {
        let quoted = [b"\"", inner, b"\""].concat();
        let text: String = serde_json::from_slice(&quoted).map_err(|_| self.error("no text"))?;
        Ok(Cow::Owned(text.into_bytes()))
    }

    /// What is between quotes, and whether that is plain ASCII without escapes.
    #[inline]
    fn quoted(&mut self) -> Result<(&'a [u8], bool)> {
        self.expect(b'"', "no text")?;
        let begin = self.at;
        let mut is_ascii = true;
        let mut is_plain = true;
        loop {
            self.skip_plain();
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_plain = false;
                    self.at += 1;
                    self.escape()?;
                }
                Some(0..=0x1f) => return Err(self.error("a control character in a text")),
                Some(byte) => {
                    is_ascii &= byte.is_ascii();
                    self.at += 1;
                }
                None => return Err(self.error("a text without end")),
            }
        }
        let inner = self.bytes.get(begin..self.at).unwrap_or(&[]);
        if !is_ascii && std::str::from_utf8(inner).is_err() {
            return Err(self.error("not UTF-8"));
        }
        self.at += 1;
        Ok((inner, is_plain))
    }

    /// Passes over bytes of a text that need no thought, eight at a time.
    #[inline(always)]
    fn skip_plain(&mut self) {
        while let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let length = plain_bytes(u64::from_le_bytes(*eight));
            self.at += length;
            if length < 8 {
                return;
            }
        }
    }

    #[cold]
    fn escape(&mut self) -> Result<()> {
        let length = match self.bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5).unwrap_or(&[]);
                if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.error("no escape"));
                }
                5
            }
            _ => return Err(self.error("no escape")),
        };
        self.at += length;
        Ok(())
    }

    /// A whole number without sign, bare or as text.
    pub fn whole(&mut self) -> Result<u64> {
        let quoted = self.take(b'"');
        let begin = self.at;
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            let more =
                number.checked_mul(10).and_then(|it| it.checked_add(u64::from(digit - b'0')));
            number = more.ok_or_else(|| self.error("too large a number"))?;
            self.at += 1;
        }
        let first = self.bytes.get(begin);
        if self.at == begin || (self.at > begin + 1 && first == Some(&b'0')) {
            return Err(self.error("no whole number"));
        }
        self.number_end(quoted)?;
        Ok(number)
    }

    /// A whole number with or without sign that fits 64 bits, bare or as text.
    pub fn signed(&mut self) -> Result<i64> {
        let quoted = self.take(b'"');
        let negative = self.bytes.get(self.at) == Some(&b'-');
        self.at += usize::from(negative);
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        let digits = self.bytes.get(begin..self.at).unwrap_or(&[]);
        if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
            return Err(self.error("no whole number"));
        }
        let begin = begin - usize::from(negative);
        let text = self.bytes.get(begin..self.at).and_then(|it| std::str::from_utf8(it).ok());
        let number = text.and_then(|it| it.parse().ok());
        let number = number.ok_or_else(|| self.error("too large a number"))?;
        self.number_end(quoted)?;
        Ok(number)
    }

    /// A decimal without sign, as text or bare: from its text either way.
    #[inline(always)]
    pub fn decimal(&mut self) -> Result<Decimal> {
        let quoted = self.take(b'"');
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let Some((decimal, length)) = Decimal::take(rest) else {
            return Err(self.error("no decimal"));
        };
        self.at += length;
        self.number_end(quoted)?;
        Ok(decimal)
    }

    /// The closing quote, or else no byte that would go on with the number.
    #[inline(always)]
    fn number_end(&mut self, quoted: bool) -> Result<()> {
        match self.bytes.get(self.at) {
            Some(b'"') if quoted => {
                self.at += 1;
                Ok(())
            }
            Some(b'.' | b'e' | b'E' | b'+' | b'-' | b'0'..=b'9') if !quoted => {
                Err(self.error("no such number"))
            }
            _ if quoted => Err(self.error("no such number")),
            _ => Ok(()),
        }
    }

    pub fn truth(&mut self) -> Result<bool> {
        let value = self.peek() == Some(b't');
        self.word(if value { b"true" } else { b"false" })?;
        Ok(value)
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        if !rest.starts_with(word) {
            return Err(self.error("no value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// The value that `read` takes; where it cannot, the value is passed over.
    pub fn maybe<T>(&mut self, read: impl FnOnce(&mut Scan<'a>) -> Result<T>) -> Result<Option<T>> {
        self.peek();
        let begin = self.at;
        if let Ok(value) = read(self) {
            return Ok(Some(value));
        }
        self.at = begin;
        self.skip()?;
        Ok(None)
    }

    /// Levels `[["price","quantity", …], …]`; what a level has more is passed over.
    pub fn levels(&mut self, levels: &mut Vec<ReadLevel>) -> Result<Range<usize>> {
        let begin = levels.len();
        self.expect(b'[', "no levels")?;
        if self.take(b']') {
            return Ok(begin..begin);
        }
        loop {
            if levels.len() >= LEVELS_MAX {
                return Err(self.error("too many levels"));
            }
            if !self.bare_level(levels) {
                let level = self.other_level()?;
                levels.push(level);
            }
            if !self.take(b',') {
                self.expect(b']', "levels without end")?;
                return Ok(begin..levels.len());
            }
        }
    }

    /// Takes a level as venues write it, `["price","quantity"]` without blanks and of no more than
    /// 19 bytes each. False: it is another, or none.
    ///
    /// Writes in place: what goes through memory in halves is waited for.
    #[inline(always)]
    fn bare_level(&mut self, levels: &mut Vec<ReadLevel>) -> bool {
        let all = self.bytes;
        let behind = |at: usize, mark: &[u8]| {
            all.get(at..).is_some_and(|rest| rest.starts_with(mark)).then_some(at + mark.len())
        };
        let take = |at: usize| Taken::take(all.get(at..)?).filter(|it| it.length <= 19);
        let Some(begin) = behind(self.at, b"[\"") else { return false };
        let Some(price) = take(begin) else { return false };
        let Some(middle) = behind(begin + price.length, b"\",\"") else { return false };
        let Some(quantity) = take(middle) else { return false };
        let Some(end) = behind(middle + quantity.length, b"\"]") else { return false };
        self.at = end;
        levels.push(ReadLevel {
            price: Decimal { digits: price.digits.into(), places: price.places },
            quantity: Decimal { digits: quantity.digits.into(), places: quantity.places },
        });
        true
    }

    #[cold]
    fn other_level(&mut self) -> Result<ReadLevel> {
        self.expect(b'[', "no level")?;
        let price = self.decimal()?;
        self.expect(b',', "a level without quantity")?;
        let quantity = self.decimal()?;
        while !self.take(b']') {
            self.expect(b',', "a level without end")?;
            self.skip()?;
        }
        Ok(ReadLevel { price, quantity })
    }

    /// Passes over one value.
    pub fn skip(&mut self) -> Result<()> {
        self.skip_nested(NESTING_MAX)
    }

    fn skip_nested(&mut self, nesting: u32) -> Result<()> {
        let deeper = || nesting.checked_sub(1);
        match self.peek() {
            Some(b'"') => self.quoted().map(|_| ()),
            Some(b'{') => match deeper() {
                Some(nesting) => self.object(|_, scan| scan.skip_nested(nesting)),
                None => Err(self.error("nested too deep")),
            },
            Some(b'[') => match deeper() {
                Some(nesting) => self.array(|scan| scan.skip_nested(nesting)),
                None => Err(self.error("nested too deep")),
            },
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.skip_number(),
        }
    }

    fn skip_number(&mut self) -> Result<()> {
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        let begin = self.at;
        let digits = self.skip_digits();
        if digits == 0 || (digits > 1 && self.bytes.get(begin) == Some(&b'0')) {
            return Err(self.error("no value"));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<()> {
        if self.skip_digits() == 0 { Err(self.error("no number")) } else { Ok(()) }
    }

    fn skip_digits(&mut self) -> usize {
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.at - begin
    }
}

/// How many bytes from the lowest are ASCII and neither a quote, a backslash nor a control
/// character.
#[inline(always)]
fn plain_bytes(bytes: u64) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW * 0x80;
    // A borrow only goes behind a byte that is marked itself.
    let zero = |word: u64| word.wrapping_sub(LOW) & !word;
    let control = bytes.wrapping_sub(LOW * 0x20) & !bytes;
    let quote = zero(bytes ^ (LOW * 0x22));
    let backslash = zero(bytes ^ (LOW * 0x5c));
    let marked = (control | quote | backslash | bytes) & HIGH;
    (marked.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(text: &str) -> Result<Vec<(String, String)>> {
        let (mut scan, mut levels) = (Scan::new(text.as_bytes()), Vec::new());
        scan.levels(&mut levels)?;
        scan.end()?;
        Ok(levels.iter().map(|it| (it.price.to_string(), it.quantity.to_string())).collect())
    }

    #[test]
    fn levels_are_pairs_of_decimals_with_or_without_more() {
        let pair = |price: &str, quantity: &str| (price.to_owned(), quantity.to_owned());
        let one = vec![pair("1.50", "0")];
        for text in [
            r#"[["1.50","0"]]"#,
            " [ [ \"1.50\" ,\n\"0\" ] ] ",
            r#"[["1.50","0",[],{"a":[1,2.5e-3,null]},"x"]]"#,
            "[[1.50,0]]",
        ] {
            assert_eq!(levels(text).as_ref(), Ok(&one), "{text}");
        }
        assert_eq!(levels("[]"), Ok(vec![]));
        for text in [
            "",
            "[",
            "[[]]",
            "[[\"1\"]]",
            "[[\"1\",\"2\"]",
            "[[\"1\",\"2\"],]",
            "[[\"1e5\",\"2\"]]",
            "[[1e5,2]]",
            "[[\"1,2]]",
            "[[\"1\"\"2\"]]",
            "[[-1,2]]",
            "[[1.,2]]",
            "[[01,2]]",
            "[[1,2]]x",
            "[[1,2,]]",
            "[[1,2 3]]",
        ] {
            assert!(levels(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_passed_over_must_be_json() {
        for text in [
            "null",
            "true",
            "-0",
            "1.5e+3",
            r#""a\u00e9\n""#,
            "{}",
            "[[],{}]",
            r#"{"a":{"b":[1]}}"#,
            "\"é\"",
        ] {
            let mut scan = Scan::new(text.as_bytes());
            assert_eq!(scan.skip().and_then(|()| scan.end()), Ok(()), "{text}");
        }
        let deep = "[".repeat(1_000);
        for text in [
            "",
            "nul",
            "01",
            "-",
            "1.",
            "1e",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "{\"a\"}",
            "{a:1}",
            "[1,]",
            &deep,
        ] {
            let mut scan = Scan::new(text.as_bytes());
            assert!(scan.skip().and_then(|()| scan.end()).is_err(), "{text}");
        }
        assert!(Scan::new(b"\"\xff\"").skip().is_err());
    }

    #[test]
    fn whole_numbers_are_read_bare_or_as_text() {
        assert_eq!(Scan::new(b"18446744073709551615").whole(), Ok(u64::MAX));
        assert_eq!(Scan::new(b"\"1343064377779269632\"").whole(), Ok(1_343_064_377_779_269_632));
        assert_eq!(Scan::new(b"-139104234").signed(), Ok(-139_104_234));
        for text in ["18446744073709551616", "-1", "1.0", "1e3", "\"1", "\"\"", "01", "null"] {
            assert!(Scan::new(text.as_bytes()).whole().is_err(), "{text}");
        }
    }
}
