//! Decimal text as whole numbers: digits and places, exactly as written, and counts at a scale.

use protocol::feed::FEED_SCALE_MAX;
use std::fmt;

/// The most digits that one number may have.
pub const DIGITS_MAX: usize = 38;

/// Powers of ten that fit; the index is the exponent.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// 10^`exponent`; at most 10^19.
pub fn power(exponent: u8) -> Option<u64> {
    POWERS.get(usize::from(exponent)).copied()
}

/// `digits` × 10^-`places`, with the trailing zeros that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decimal {
    pub digits: u128,
    pub places: u8,
}

/// Why a number is no count at a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It needs this many places: more than the scale has, and no more than a scale may have.
    Wider(u8),
    /// It needs more places than a scale may have.
    TooLong(u8),
    /// Its count does not fit.
    TooLarge,
}

impl fmt::Display for Misfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Wider(places) => write!(out, "{places} decimal places are needed"),
            Misfit::TooLong(places) => {
                write!(out, "{places} decimal places, and a book has at most {FEED_SCALE_MAX}")
            }
            Misfit::TooLarge => write!(out, "the number is too large for its scale"),
        }
    }
}

impl std::error::Error for Misfit {}

/// A number found in a text, in pieces that fit registers. Its digits are right where `length` is at
/// most 19.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) digits: u64,
    pub(crate) places: u8,
    pub(crate) length: usize,
}

impl Taken {
    #[inline(always)]
    pub(crate) fn take(text: &[u8]) -> Option<Taken> {
        let (mut digits, whole) = take_digits(0, text);
        let (mut length, mut places) = (whole, 0);
        if whole > 0 && text.get(whole) == Some(&b'.') {
            (digits, places) = take_digits(digits, text.get(whole + 1..).unwrap_or(&[]));
            length = whole + 1 + places;
        }
        let leading_zero = whole > 1 && text.first() == Some(&b'0');
        if whole == 0 || leading_zero || (length > whole && places == 0) {
            return None;
        }
        // Places that do not fit are of a number that is too long anyway.
        Some(Taken { digits, places: places.min(255) as u8, length })
    }
}

/// Digits at the beginning of `text`, behind those in `sum`; and how many. The sum is right as long
/// as there are no more than 19 together.
#[inline(always)]
fn take_digits(mut sum: u64, text: &[u8]) -> (u64, usize) {
    let mut at = 0;
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let (value, length) = take_eight(u64::from_le_bytes(*eight));
        sum = sum.wrapping_mul(POWERS[length & 15]).wrapping_add(value);
        at += length;
        if length < 8 {
            return (sum, at);
        }
    }
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|it| *it < 10) {
        sum = sum.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (sum, at)
}

/// Digits at the beginning of eight bytes, all at once, and how many. The first byte is the lowest.
#[inline(always)]
fn take_eight(bytes: u64) -> (u64, usize) {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let values = bytes ^ (LOW * 0x30);
    // The high bit of every byte that is more than 9; a carry only goes behind such a byte.
    let others = (values.wrapping_add(LOW * 0x76) | values) & (LOW * 0x80);
    let length = (others.trailing_zeros() / 8) as usize;
    if length == 0 {
        return (0, 0);
    }
    // Zeros take the places of what is missing before the digits.
    let values = values << (64 - 8 * length);
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let fours = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let rest = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    (fours.wrapping_add(rest) >> 32, length)
}

impl Decimal {
    /// Reads `12`, `0.50`. Nothing else is a number here: no sign, no exponent, no leading zero
    /// before a digit, no bare point, at most [`DIGITS_MAX`] digits.
    pub fn parse(text: &[u8]) -> Option<Decimal> {
        let (decimal, length) = Decimal::take(text)?;
        (length == text.len()).then_some(decimal)
    }

    /// The number at the beginning of `text`, and its length; stops before what is no part of it.
    #[inline]
    pub(crate) fn take(text: &[u8]) -> Option<(Decimal, usize)> {
        let Taken { digits, places, length } = Taken::take(text)?;
        // 19 digits always fit.
        if length <= 19 {
            return Some((Decimal { digits: u128::from(digits), places }, length));
        }
        Decimal::long(text.get(..length)?, places).map(|decimal| (decimal, length))
    }

    /// What `take` has found to be digits and at most one point.
    #[cold]
    fn long(text: &[u8], places: u8) -> Option<Decimal> {
        if text.len() > DIGITS_MAX {
            return None;
        }
        let digits = text.iter().filter(|&&byte| byte != b'.');
        let digits = digits.fold(0_u128, |sum, byte| sum * 10 + u128::from(byte - b'0'));
        Some(Decimal { digits, places })
    }

    /// The count of 10^-`scale`. Zeros at the end need no places.
    #[inline(always)]
    pub fn at_scale(self, scale: u8) -> Result<u128, Misfit> {
        if let Some(missing) = scale.checked_sub(self.places)
            && let Some(power) = power(missing)
        {
            return match u64::try_from(self.digits) {
                Ok(digits) => Ok(u128::from(digits) * u128::from(power)),
                Err(_) => self.digits.checked_mul(u128::from(power)).ok_or(Misfit::TooLarge),
            };
        }
        self.shortened(scale)
    }

    #[cold]
    fn shortened(self, scale: u8) -> Result<u128, Misfit> {
        let Decimal { mut digits, mut places } = self;
        while places > scale && digits % 10 == 0 {
            digits /= 10;
            places -= 1;
        }
        match places {
            _ if places <= scale => Decimal { digits, places }.at_scale(scale),
            _ if places <= FEED_SCALE_MAX => Err(Misfit::Wider(places)),
            _ => Err(Misfit::TooLong(places)),
        }
    }

    /// As [`Decimal::at_scale`], for prices.
    #[inline(always)]
    pub fn price_at_scale(self, scale: u8) -> Result<u64, Misfit> {
        u64::try_from(self.at_scale(scale)?).map_err(|_| Misfit::TooLarge)
    }

    pub fn is_zero(self) -> bool {
        self.digits == 0
    }
}

/// As it was written: a digit before the point, all places.
impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_count(out, self.digits, self.places)
    }
}

/// A count of 10^-`places` as text with all its places.
pub fn write_count(out: &mut impl fmt::Write, digits: u128, places: u8) -> fmt::Result {
    if places == 0 {
        return write!(out, "{digits}");
    }
    let width = usize::from(places) + 1;
    let text = format!("{digits:0width$}");
    let (whole, part) = text.split_at(text.len() - usize::from(places));
    write!(out, "{whole}.{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_written_or_refused() {
        for text in ["0", "7", "0.50", "61837.63000000", "0.00003505", "12345678901234567890.125"] {
            assert_eq!(Decimal::parse(text.as_bytes()).unwrap().to_string(), text);
        }
        let long = "9".repeat(DIGITS_MAX + 1);
        for text in
            ["", ".", ".5", "5.", "00", "01.5", "-1", "+1", "1e5", "1.2.3", " 1", "1 ", "x", &long]
        {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_count_takes_no_place_for_zeros_at_the_end() {
        #[track_caller]
        fn check(text: &str, scale: u8, expected: Result<u128, Misfit>) {
            assert_eq!(
                Decimal::parse(text.as_bytes()).unwrap().at_scale(scale),
                expected,
                "{text}"
            );
        }
        check("2674.24", 8, Ok(267_424_000_000));
        check("0.000011311", 8, Err(Misfit::Wider(9)));
        check("0.000011311", 9, Ok(11_311));
        check("0.500000000000000", 8, Ok(50_000_000));
        check("0.0000000000001", 12, Err(Misfit::TooLong(13)));
        check("99999999999999999999999999999999999999", 12, Err(Misfit::TooLarge));
        let price = Decimal::parse(b"200000000000").unwrap();
        assert_eq!(price.price_at_scale(8), Err(Misfit::TooLarge));
    }
}
