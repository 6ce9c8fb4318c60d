//! Decimal text: exact, or refused for the right reason.

use protocol::number::{DECIMALS, parse_decimal};
use protocol::{Amount, DecimalError, Price, Quantity};

use crate::Target;
use crate::feedback::note;

pub const TARGET: Target = Target {
    name: "decimal",
    run: decimal,
    corpus: || VALID.iter().map(|text| text.as_bytes().to_vec()).collect(),
    words: &[".", "0", "9", "00000000", "99999999", "-", "+", "e", "٣", " ", "_"],
    length_max: 64,
};

const VALID: &[&str] = &[
    "0",
    "1",
    "30000.95999999",
    "0.00000001",
    "00012.5",
    "0.010000000000",
    "92233720368.54775807",
    "99999999999999999999.99999999",
];

pub fn decimal(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let naive = naive(text);
    note(naive.clone().map(|units| units.len()));
    assert_eq!(parse_decimal(text), naive.clone().map(|units| value(&units)), "{text:?}");
    let order_max = i64::MAX.to_string();
    check(text, &naive, &order_max, |text| Price::parse(text).map(|it| it.0.into()));
    check(text, &naive, &order_max, |text| Quantity::parse(text).map(|it| it.0.into()));
    let amount_max = format!("1{}", "0".repeat(36));
    check(text, &naive, &amount_max, |text| Amount::parse(text).map(|it| it.0.unsigned_abs()));
    if let Ok(price) = Price::parse(text) {
        check_print(&price.to_string(), u128::from(price.0));
    }
    if let Ok(amount) = Amount::parse(text) {
        check_print(&amount.to_string(), amount.0.unsigned_abs());
        assert_eq!((-amount).to_string().trim_start_matches('-'), amount.to_string());
    }
}

/// A type that takes values up to `max`, digits of units.
fn check(
    text: &str,
    naive: &Result<String, DecimalError>,
    max: &str,
    parse: impl Fn(&str) -> Result<u128, DecimalError>,
) {
    let expected = match naive {
        Ok(units) if is_above(units, max) => Err(DecimalError::TooLarge),
        Ok(units) => Ok(value(units)),
        Err(error) => Err(*error),
    };
    assert_eq!(parse(text), expected, "{text:?}");
}

/// What is printed has eight places and is read as the same value.
fn check_print(printed: &str, units: u128) {
    let (whole, fraction) = printed.split_once('.').expect("a point");
    assert_eq!(fraction.len(), DECIMALS, "{printed}");
    assert!(whole == "0" || !whole.starts_with('0'), "{printed}");
    assert_eq!(naive(printed).map(|units| value(&units)), Ok(units), "{printed}");
}

/// The digits of the value in units of 10^-8 without leading zeros, by moving characters alone.
fn naive(text: &str) -> Result<String, DecimalError> {
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &&str| {
        (1..=20).contains(&part.len()) && part.chars().all(|digit| "0123456789".contains(digit))
    };
    if parts.len() > 2 || !parts.iter().all(is_number) {
        return Err(DecimalError::Malformed);
    }
    let fraction = parts.get(1).unwrap_or(&"").trim_end_matches('0');
    if fraction.len() > DECIMALS {
        return Err(DecimalError::TooPrecise);
    }
    let digits = format!("{}{fraction:0<8}", parts[0]);
    Ok(digits.trim_start_matches('0').to_owned())
}

fn is_above(digits: &str, max: &str) -> bool {
    (digits.len(), digits) > (max.len(), max)
}

fn value(digits: &str) -> u128 {
    digits.bytes().fold(0, |value, digit| value * 10 + u128::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_text_is_read_exactly_or_refused() {
        crate::campaign::check(&super::TARGET, 1, 20_000);
    }
}
