//! Decimal texts as JSON writes them, rounded half to even without ever being a float.

/// Powers of ten beyond these ends are refused: no price or amount lies there.
const EXPONENT_MAX: i64 = 40;
const TEXT_LENGTH_MAX: usize = 64;

/// Rounds to `places` digits after the point (at most 8), half to even; counts 10^-8.
///
/// `None`: not a number that is 0 or more, or out of range.
pub(super) fn round(text: &str, places: u32) -> Option<u64> {
    let (digits, exponent) = digits_and_exponent(text)?;
    let places = places.min(8);
    // value = digits × 10^exponent; wanted are whole counts of 10^-places.
    let shift = exponent + i64::from(places);
    let counts = if shift >= 0 {
        digits.checked_mul(10u128.checked_pow(u32::try_from(shift).ok()?)?)?
    } else {
        divide_half_even(digits, u32::try_from(-shift).ok()?)
    };
    let units = counts.checked_mul(10u128.pow(8 - places))?;
    u64::try_from(units).ok().filter(|units| *units <= i64::MAX as u64)
}

/// How many digits stand after the point.
pub(super) fn places(text: &str) -> u32 {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len().min(8) as u32)
}

fn digits_and_exponent(text: &str) -> Option<(u128, i64)> {
    if text.len() > TEXT_LENGTH_MAX {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || (fraction.is_empty() && mantissa.contains('.')) {
        return None;
    }
    let mut digits = 0u128;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = byte.is_ascii_digit().then(|| u128::from(byte - b'0'))?;
        digits = digits.checked_mul(10)?.checked_add(digit)?;
    }
    let exponent = exponent.checked_sub(fraction.len() as i64)?;
    (-EXPONENT_MAX..=EXPONENT_MAX).contains(&exponent).then_some((digits, exponent))
}

fn divide_half_even(digits: u128, power: u32) -> u128 {
    // Everything that fits 128 bits is below half of 10^39.
    let Some(divisor) = 10u128.checked_pow(power) else { return 0 };
    let (quotient, rest) = (digits / divisor, digits % divisor);
    let half = divisor / 2;
    let up = rest > half || (rest == half && divisor > 1 && quotient % 2 == 1);
    quotient + u128::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, places: u32, expected: Option<u64>) {
        assert_eq!(round(text, places), expected, "{text:?} to {places} places");
    }

    #[test]
    fn printed_floats_are_rounded_half_to_even_from_their_text() {
        check("235.91999999999999", 2, Some(23_592_000_000));
        check("236.00999999999999", 2, Some(23_601_000_000));
        check("1.7885566900000001", 8, Some(178_855_669));
        check("0.069000000000000006", 8, Some(6_900_000));
        check("2.0", 8, Some(200_000_000));
        check("5.0000000000000002e-05", 8, Some(5_000));
        check("1e-08", 8, Some(1));
        check("1E+2", 2, Some(10_000_000_000));
        check("0.125", 2, Some(12_000_000));
        check("0.135", 2, Some(14_000_000));
        check("0.12500000000000001", 2, Some(13_000_000));
        check("0.000000005", 8, Some(0));
        check("0.000000015", 8, Some(2));
        check("3", 0, Some(300_000_000));
        check("92233720368.54775807", 8, Some(i64::MAX as u64));
    }

    #[test]
    fn what_is_not_a_number_or_too_large_is_refused() {
        for text in ["", "-1", "+1", ".", "1.", ".5", "1e", "e5", "1.2.3", "NaN", "1e400", "1 "] {
            check(text, 8, None);
        }
        check("92233720368.54775808", 8, None);
        check(&"9".repeat(65), 8, None);
    }
}
