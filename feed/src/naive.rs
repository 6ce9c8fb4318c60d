//! The same by others' means: messages with `serde_json`, books as `BTreeMap`. Tests, fuzzing and
//! the benchmark hold the scanner and the book against it; nothing else uses it.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Values within values that are looked into.
const NESTING_MAX: u32 = 64;

/// Bids and asks as texts.
pub type Levels = Vec<[String; 2]>;

/// Every pair of bids and asks that an object of the message has, under any of their names; none:
/// the message is no JSON.
pub fn depths(message: &[u8]) -> Option<Vec<(Levels, Levels)>> {
    let whole: &RawValue = serde_json::from_slice(message).ok()?;
    let mut found = Vec::new();
    collect(whole, NESTING_MAX, &mut found);
    Some(found)
}

fn collect(value: &RawValue, nesting: u32, found: &mut Vec<(Levels, Levels)>) {
    let Some(nesting) = nesting.checked_sub(1) else { return };
    if let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()) {
        let sides = |names: [&str; 2]| -> Vec<Levels> {
            names.into_iter().filter_map(|name| levels(fields.get(name)?)).collect()
        };
        for bids in sides(["b", "bids"]) {
            found.extend(sides(["a", "asks"]).into_iter().map(|asks| (bids.clone(), asks)));
        }
        fields.values().for_each(|value| collect(value, nesting, found));
    } else if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(value.get()) {
        elements.iter().for_each(|value| collect(value, nesting, found));
    }
}

/// Numbers are told by their text.
fn levels(value: &RawValue) -> Option<Levels> {
    let rows: Vec<Vec<&RawValue>> = serde_json::from_str(value.get()).ok()?;
    let text = |value: &RawValue| value.get().trim_matches('"').to_owned();
    rows.iter().map(|row| Some([text(row.first()?), text(row.get(1)?)])).collect()
}

/// A message of a combined stream of Binance, as one declares it for `serde`.
#[derive(Debug, Deserialize)]
pub struct Combined<'a> {
    pub stream: &'a str,
    #[serde(borrow)]
    pub data: &'a RawValue,
}

#[derive(Debug, Deserialize)]
pub struct Update<'a> {
    #[serde(rename = "E")]
    pub event_ms: u64,
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "U")]
    pub first: u64,
    #[serde(rename = "u")]
    pub last: u64,
    #[serde(borrow, rename = "b")]
    pub bids: Vec<[&'a str; 2]>,
    #[serde(borrow, rename = "a")]
    pub asks: Vec<[&'a str; 2]>,
}

#[derive(Debug, Deserialize)]
pub struct BookTicker<'a> {
    pub u: u64,
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "b")]
    pub bid: &'a str,
    #[serde(rename = "B")]
    pub bid_quantity: &'a str,
    #[serde(rename = "a")]
    pub ask: &'a str,
    #[serde(rename = "A")]
    pub ask_quantity: &'a str,
}

#[derive(Debug, Deserialize)]
pub struct Traded<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "p")]
    pub price: &'a str,
    #[serde(rename = "q")]
    pub quantity: &'a str,
}

#[derive(Debug, Deserialize)]
pub struct Snapshot<'a> {
    #[serde(rename = "lastUpdateId")]
    pub last: u64,
    #[serde(borrow)]
    pub bids: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    pub asks: Vec<[&'a str; 2]>,
}

/// Levels by price, both at ten to the minus eight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NaiveBook {
    pub bids: BTreeMap<u64, u128>,
    pub asks: BTreeMap<u64, u128>,
}

impl NaiveBook {
    /// None: a number that does not fit.
    pub fn apply(&mut self, bids: &[[&str; 2]], asks: &[[&str; 2]]) -> Option<()> {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for [price, quantity] in levels {
                let price = u64::try_from(count(price)?).ok()?;
                match count(quantity)? {
                    0 => drop(side.remove(&price)),
                    quantity => drop(side.insert(price, quantity)),
                }
            }
        }
        Some(())
    }

    /// Sums over the best levels.
    pub fn sums(&self, levels: usize) -> (u128, u128) {
        let bids = self.bids.values().rev().take(levels).sum();
        (bids, self.asks.values().take(levels).sum())
    }
}

/// A decimal as a count of 10^-8, as one writes it with the standard library.
fn count(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let missing = 8_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let whole = whole.parse::<u128>().ok()?.checked_mul(100_000_000)?;
    whole.checked_add(fraction * 10_u128.pow(missing))
}

/// Reads a message into a declared type.
pub fn read<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(message)
}
