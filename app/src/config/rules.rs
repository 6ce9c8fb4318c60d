//! How instruments trade and what accounts may do at most, as the file states it: trading rules,
//! calendars, risk limits; and what a plan says of them.

use super::reader::{Item, Result, Section};
use gateway::calendar::{
    DAYS_ALLOWED, TIME_ALLOWED, calendar_of, days_text, entries, parse_days, parse_status,
    parse_time, settable_words, time_text,
};
use gateway::exchange_info::shape::{Kind, decimal_text};
use protocol::command::*;
use protocol::{Amount, InstrumentStatus, Price};

/// Bounds of multiples and of the band (docs/rules.md §2).
const MULTIPLE_MAX: u64 = (1 << 32) * protocol::SCALE;
const VOLATILITY_MINUTES_MAX: u32 = 60;

/// `[instrument.trading]`; a key that is left out is no rule.
pub(crate) fn trading(mut section: Section<'_, '_>) -> Result<TradingRules> {
    let rules = TradingRules {
        bid_limit_up: multiple(&mut section, "bid_limit_up")?,
        bid_limit_down: multiple(&mut section, "bid_limit_down")?,
        ask_limit_up: multiple(&mut section, "ask_limit_up")?,
        ask_limit_down: multiple(&mut section, "ask_limit_down")?,
        external_reference: Price(decimal(&mut section, "reference_price")?),
        bucket_width_ms: count(&mut section, "bucket_width_ms", BUCKET_WIDTH_MS_MAX)?,
        bucket_count: count(&mut section, "bucket_count", REFERENCE_BUCKETS_MAX)?,
        volatility_band: multiple(&mut section, "volatility_band")?,
        volatility_minutes: count(&mut section, "volatility_minutes", VOLATILITY_MINUTES_MAX)?,
        volatility_auction_s: count(
            &mut section,
            "volatility_auction_s",
            VOLATILITY_AUCTION_S_MAX,
        )?,
    };
    if (rules.bucket_width_ms == 0) != (rules.bucket_count == 0) {
        let what = format!("[{}] has one of bucket_width_ms and bucket_count", section.path);
        return Err(section.wrong(what, "both, or neither"));
    }
    if rules.volatility_band != 0 && rules.volatility_auction_s == 0 {
        let what = format!("[{}] has a volatility_band without an auction", section.path);
        return Err(section.wrong(what, "volatility_auction_s = 120"));
    }
    section.finish()?;
    Ok(rules)
}

fn decimal(section: &mut Section<'_, '_>, key: &str) -> Result<u64> {
    let units = section.value(key, 0, "0", |item| item.number(Kind::Decimal))?;
    Ok(u64::try_from(units).unwrap_or(u64::MAX))
}

fn multiple(section: &mut Section<'_, '_>, key: &str) -> Result<u64> {
    let in_range = |item: &Item<'_, '_>| match item.number(Kind::Decimal)? {
        units if units <= u128::from(MULTIPLE_MAX) => Ok(units),
        _ => Err(item.wrong(format!("`{}` is out of range", item.path), "0 to 4294967296")),
    };
    let units = section.value(key, 0, "0", in_range)?;
    Ok(u64::try_from(units).unwrap_or(u64::MAX))
}

fn count(section: &mut Section<'_, '_>, key: &str, max: u32) -> Result<u32> {
    section.value(key, 0, "0", |item| item.integer(0, max))
}

/// `calendar = [{ days, time, status }]`.
pub(crate) fn calendar(list: &Item<'_, '_>) -> Result<Calendar> {
    const ALLOWED: &str =
        "a list of { days = \"mon-fri\", time = \"09:30:00\", status = \"TRADING\" }";
    let items = list.noted(|list| list.list(ALLOWED))?;
    let read = items.iter().map(|item| entry(item.section()?)).collect::<Result<Vec<_>>>()?;
    let what = format!("`{}`: {} entries", list.path, read.len());
    calendar_of(&read)
        .ok_or_else(|| list.wrong(what, format!("at most {CALENDAR_ENTRIES_MAX} entries")))
}

fn entry(mut section: Section<'_, '_>) -> Result<CalendarEntry> {
    let statuses = settable_words();
    let weekdays = text(&mut section, "days", "\"mon-fri\"", DAYS_ALLOWED, parse_days)?;
    let second = text(&mut section, "time", "\"09:30:00\"", TIME_ALLOWED, parse_time)?;
    let status = text(&mut section, "status", "\"TRADING\"", &statuses, parse_status)?;
    section.finish()?;
    Ok(CalendarEntry { weekdays, second, status })
}

fn text<T>(
    section: &mut Section<'_, '_>,
    key: &str,
    example: &str,
    allowed: &str,
    parse: fn(&str) -> Option<T>,
) -> Result<T> {
    let item = section.need(key, example)?;
    let text = item.text(allowed)?;
    parse(text).ok_or_else(|| item.wrong(format!("`{}`: {text:?} is not that", item.path), allowed))
}

/// A status that the file may ask for.
pub(crate) fn status(item: &Item<'_, '_>) -> Result<InstrumentStatus> {
    let allowed = settable_words();
    let text = item.text(&allowed)?;
    let unknown = || item.wrong(format!("`{}`: {text:?} is unknown", item.path), allowed.clone());
    parse_status(text).ok_or_else(unknown)
}

/// The limits of a `[[risk]]`; one that is left out is no limit.
pub(crate) fn risk_limits(section: &mut Section<'_, '_>) -> Result<RiskLimits> {
    let amount = |section: &mut Section<'_, '_>, key: &str| {
        let units = section.value(key, 0, "0", |item| item.number(Kind::Amount))?;
        Ok(i128::try_from(units).map_or(Amount::MAX, Amount))
    };
    Ok(RiskLimits {
        order_notional_max: amount(section, "order_notional_max")?,
        open_orders_max: count(section, "open_orders_max", u32::MAX)?,
        day_quantity_max: amount(section, "day_quantity_max")?,
        collar: decimal(section, "collar")?,
    })
}

/// Every rule with its key, always in the same places.
pub(crate) fn rules_terms(rules: &TradingRules) -> Vec<(&'static str, String)> {
    let decimal = |units: u64| decimal_text(u128::from(units));
    vec![
        ("bid_limit_up", decimal(rules.bid_limit_up)),
        ("bid_limit_down", decimal(rules.bid_limit_down)),
        ("ask_limit_up", decimal(rules.ask_limit_up)),
        ("ask_limit_down", decimal(rules.ask_limit_down)),
        ("reference_price", decimal(rules.external_reference.0)),
        ("bucket_width_ms", rules.bucket_width_ms.to_string()),
        ("bucket_count", rules.bucket_count.to_string()),
        ("volatility_band", decimal(rules.volatility_band)),
        ("volatility_minutes", rules.volatility_minutes.to_string()),
        ("volatility_auction_s", rules.volatility_auction_s.to_string()),
    ]
}

pub(crate) fn calendar_text(calendar: &Calendar) -> String {
    let entries = entries(calendar).map(|entry| {
        format!("{} {} {}", days_text(entry.weekdays), time_text(entry.second), entry.status)
    });
    match entries.collect::<Vec<_>>().join(", ") {
        text if text.is_empty() => "none".to_string(),
        text => text,
    }
}

/// The limits that are some.
pub(crate) fn risk_text(limits: &RiskLimits) -> String {
    let amount = |amount: Amount| decimal_text(amount.0.unsigned_abs());
    let terms = [
        ("order_notional_max", amount(limits.order_notional_max)),
        ("open_orders_max", limits.open_orders_max.to_string()),
        ("day_quantity_max", amount(limits.day_quantity_max)),
        ("collar", decimal_text(u128::from(limits.collar))),
    ];
    let some = terms.into_iter().filter(|(_, value)| value != "0");
    match some.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(" ") {
        text if text.is_empty() => "none".to_string(),
        text => text,
    }
}
