//! Exact numbers: integers that count 10^-8, and the decimal text they come from.
//!
//! A decimal text is parsed exactly or refused; nothing here rounds except [`notional`], which
//! cuts to 10^-8 as the venue does.

use core::fmt;
use rkyv::{Archive, Deserialize, Serialize};

/// Units in one whole: all numbers count 10^-8.
pub const SCALE: u64 = 100_000_000;

/// Digits after the decimal point.
pub const DECIMALS: usize = 8;

/// The longest decimal text that is looked at: 20 digits, a point, 20 digits (Binance's
/// `^([0-9]{1,20})(\.[0-9]{1,20})?$`).
const DIGITS_MAX: usize = 20;

/// Why a text is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalError {
    /// Empty text, or no digit before or after the point.
    Malformed,
    /// More than 8 digits after the point that are not zero.
    TooPrecise,
    /// Above the largest value of the type.
    TooLarge,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecimalError::Malformed => "not a decimal number: digits, at most one point, no sign",
            DecimalError::TooPrecise => "more than 8 digits after the point",
            DecimalError::TooLarge => "too large",
        })
    }
}

impl core::error::Error for DecimalError {}

/// Parses `digits[.digits]` to counts of 10^-8.
///
/// Zeros past the eighth place are allowed, anything else there is [`DecimalError::TooPrecise`].
/// No sign, no exponent, no blanks.
pub fn parse_decimal(text: &str) -> Result<u128, DecimalError> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let mut units = parse_digits(whole)?;
    let fraction = match fraction {
        Some(fraction) => {
            parse_digits(fraction)?;
            fraction.as_bytes()
        }
        None => &[],
    };
    for place in 0..DECIMALS {
        let digit = fraction.get(place).map_or(0, |digit| digit - b'0');
        units = units * 10 + u128::from(digit);
    }
    match fraction.iter().skip(DECIMALS).all(|&digit| digit == b'0') {
        true => Ok(units),
        false => Err(DecimalError::TooPrecise),
    }
}

/// At most 20 digits, so that the value times 10^8 stays below 2^94.
fn parse_digits(text: &str) -> Result<u128, DecimalError> {
    if text.is_empty() || text.len() > DIGITS_MAX {
        return Err(DecimalError::Malformed);
    }
    let mut value = 0;
    for byte in text.bytes() {
        if !byte.is_ascii_digit() {
            return Err(DecimalError::Malformed);
        }
        value = value * 10 + u128::from(byte - b'0');
    }
    Ok(value)
}

fn write_decimal(f: &mut fmt::Formatter<'_>, negative: bool, units: u128) -> fmt::Result {
    let scale = u128::from(SCALE);
    let sign = if negative { "-" } else { "" };
    write!(f, "{sign}{}.{:08}", units / scale, units % scale)
}

macro_rules! order_number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize,
            Deserialize,
        )]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl $name {
            pub const ZERO: $name = $name(0);
            /// 2^63 − 1 units; more is refused at the edge and by the engine.
            pub const MAX: $name = $name(i64::MAX as u64);

            /// Parses exact decimal text; see [`parse_decimal`].
            pub fn parse(text: &str) -> Result<$name, DecimalError> {
                let units = parse_decimal(text)?;
                match u64::try_from(units) {
                    Ok(units) if units <= $name::MAX.0 => Ok($name(units)),
                    _ => Err(DecimalError::TooLarge),
                }
            }

            pub const fn is_valid(self) -> bool {
                self.0 <= $name::MAX.0
            }

            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_decimal(f, false, u128::from(self.0))
            }
        }

        schema!($name: u64);
    };
}

order_number! {
    /// Price of one unit of the base asset in the quote asset, in counts of 10^-8.
    Price
}
order_number! {
    /// Quantity of the base asset of one order or trade, in counts of 10^-8.
    Quantity
}

/// Notional, balance, any sum: signed 128-bit counts of 10^-8.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Archive,
    Serialize,
    Deserialize,
)]
#[repr(transparent)]
pub struct Amount(pub i128);

schema!(Amount: i128);

impl Amount {
    pub const ZERO: Amount = Amount(0);

    /// The largest amount that may exist of one asset (10^36 units): sums over all accounts stay
    /// far from the ends of 128 bits.
    pub const MAX: Amount = Amount(10i128.pow(36));

    /// Parses exact decimal text without a sign; see [`parse_decimal`].
    pub fn parse(text: &str) -> Result<Amount, DecimalError> {
        match parse_decimal(text)? {
            units if units <= Amount::MAX.0 as u128 => Ok(Amount(units as i128)),
            _ => Err(DecimalError::TooLarge),
        }
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Quantity> for Amount {
    fn from(quantity: Quantity) -> Amount {
        Amount(i128::from(quantity.0))
    }
}

impl core::ops::Add for Amount {
    type Output = Amount;
    fn add(self, other: Amount) -> Amount {
        Amount(self.0 + other.0)
    }
}

impl core::ops::Sub for Amount {
    type Output = Amount;
    fn sub(self, other: Amount) -> Amount {
        Amount(self.0 - other.0)
    }
}

impl core::ops::Neg for Amount {
    type Output = Amount;
    fn neg(self) -> Amount {
        Amount(-self.0)
    }
}

impl core::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(amounts: I) -> Amount {
        amounts.fold(Amount::ZERO, |sum, amount| sum + amount)
    }
}

impl core::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.0 += other.0;
    }
}

impl core::ops::SubAssign for Amount {
    fn sub_assign(&mut self, other: Amount) {
        self.0 -= other.0;
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0 < 0, self.0.unsigned_abs())
    }
}

part! {
    /// Sum of the quantities at a price level, in 96 bits: fewer than 2^32 orders of less than 2^63.
    pub struct LevelQuantity {
        pub low: u64,
        pub high: u32,
    }
}

impl LevelQuantity {
    /// What a level has.
    ///
    /// # Panics
    /// In a debug build, when it is below 0 or does not fit.
    #[inline]
    pub const fn new(quantity: Amount) -> LevelQuantity {
        debug_assert!(quantity.0 >= 0 && quantity.0 >> 96 == 0, "no level has so much");
        LevelQuantity { low: quantity.0 as u64, high: (quantity.0 >> 64) as u32 }
    }

    pub const fn is_zero(self) -> bool {
        self.low == 0 && self.high == 0
    }
}

impl From<LevelQuantity> for Amount {
    fn from(LevelQuantity { low, high }: LevelQuantity) -> Amount {
        Amount((u128::from(high) << 64 | u128::from(low)) as i128)
    }
}

impl fmt::Display for LevelQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Amount::from(*self).fmt(f)
    }
}

/// Price × quantity in the quote asset, computed in 128 bits and cut down to 10^-8.
///
/// Buyer and seller use the same cut amount, so a trade conserves the quote asset.
pub fn notional(price: Price, quantity: Quantity) -> Amount {
    let product = u128::from(price.0) * u128::from(quantity.0);
    // A 64-bit division is several times cheaper, and nearly every real product fits.
    match u64::try_from(product) {
        Ok(product) => Amount(i128::from(product / SCALE)),
        Err(_) => Amount((product / u128::from(SCALE)) as i128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, DecimalError>) {
        assert_eq!(Price::parse(text).map(|price| price.0), expected, "{text:?}");
    }

    #[test]
    fn decimal_text_is_parsed_exactly_or_refused() {
        use DecimalError::*;
        check("0", Ok(0));
        check("1", Ok(SCALE));
        check("30000.95999999", Ok(3_000_095_999_999));
        check("0.00000001", Ok(1));
        check("50000.0", Ok(50_000 * SCALE));
        check("0.010000000000", Ok(1_000_000));
        check("00012.5", Ok(1_250_000_000));
        check("92233720368.54775807", Ok(i64::MAX as u64));
        check("92233720368.54775808", Err(TooLarge));
        check("99999999999999999999", Err(TooLarge));
        check("0.000000001", Err(TooPrecise));
        for text in ["", ".", "1.", ".5", "1e-05", "-1", "+1", " 1", "1 ", "1.2.3", "1,5", "٣"] {
            check(text, Err(Malformed));
        }
        check("000000000000000000001", Err(Malformed));
        check("1.000000000000000000000", Err(Malformed));
    }

    #[test]
    fn what_is_printed_is_parsed_back() {
        for units in [0, 1, 99_999_999, SCALE, 123_456_789_012, i64::MAX as u64] {
            assert_eq!(Price::parse(&Price(units).to_string()), Ok(Price(units)));
        }
        assert_eq!(Amount(-150_000_000).to_string(), "-1.50000000");
    }

    #[test]
    fn notional_is_cut_not_rounded() {
        assert_eq!(notional(Price(3), Quantity(SCALE / 2)), Amount(1));
        assert_eq!(notional(Price(SCALE), Quantity(SCALE)), Amount(i128::from(SCALE)));
        let huge = notional(Price::MAX, Quantity::MAX);
        assert_eq!(huge.0, (i64::MAX as i128) * (i64::MAX as i128) / i128::from(SCALE));
    }
}
