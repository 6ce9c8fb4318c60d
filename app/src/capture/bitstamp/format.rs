//! The log of a Bitstamp market: `<received, ms> <event> <json>` per line.

use super::super::source::Lines;
use super::super::{decimal, json};
use anyhow::Result;
use json::Value;
use protocol::{Price, Quantity, Side};

/// Levels of one side of a snapshot.
const SNAPSHOT_LEVELS_MAX: usize = 10_000;
/// Amounts are printed with so many digits; trades as floats that miss them slightly.
const AMOUNT_PLACES: u32 = 8;

/// An order as a line shows it, in counts of 10^-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) side: Side,
    pub(super) price: Price,
    pub(super) amount: Quantity,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Created(Order),
    Changed(Order),
    /// Amount 0: filled. Else: what was left when it was canceled.
    Deleted(Order),
    Trade(Trade),
    Snapshot(Snapshot),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trade {
    pub(super) id: u64,
    /// As printed: how it is rounded, the prices of the orders say.
    pub(super) price: String,
    pub(super) amount: Quantity,
}

/// Best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) bids: Vec<(Price, Quantity)>,
    pub(super) asks: Vec<(Price, Quantity)>,
}

impl Snapshot {
    pub(super) fn side(&self, side: Side) -> &[(Price, Quantity)] {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) line: u64,
    pub(super) received_ms: u64,
    pub(super) entry: Entry,
    /// Digits after the point of the order's price.
    pub(super) price_places: u32,
}

pub(super) fn next(lines: &mut Lines) -> Result<Option<Record>> {
    let parsed = match lines.next()? {
        None => return Ok(None),
        Some(text) => parse(text),
    };
    let (received_ms, entry, price_places) = parsed.map_err(|what| lines.error(what))?;
    Ok(Some(Record { line: lines.number(), received_ms, entry, price_places }))
}

fn parse(text: &str) -> Result<(u64, Entry, u32), String> {
    let mut parts = text.splitn(3, ' ');
    let (Some(received), Some(event), Some(json)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err("`<received, ms> <event> <json>` is expected".into());
    };
    let received_ms = received
        .parse()
        .ok()
        .filter(|ms| *ms <= u64::MAX / protocol::MILLISECOND_NS)
        .ok_or_else(|| format!("time `{received}`; milliseconds since 1970 are expected"))?;
    let known = ["order_created", "order_changed", "order_deleted", "trade", "order_book"];
    if !known.contains(&event) {
        return Err(format!("event `{event}`; {} are known", known.join(", ")));
    }
    let value = json::parse(json)?;
    let entry = match event {
        "trade" => Entry::Trade(trade(&value)?),
        "order_book" => Entry::Snapshot(snapshot(&value)?),
        "order_created" => Entry::Created(order(&value)?),
        "order_changed" => Entry::Changed(order(&value)?),
        _ => Entry::Deleted(order(&value)?),
    };
    let price_places = match event.starts_with("order_") {
        true => value.get("price").and_then(Value::digits).map_or(0, decimal::places),
        false => 0,
    };
    Ok((received_ms, entry, price_places))
}

fn order(value: &Value<'_>) -> Result<Order, String> {
    let side = match digits(value, "order_type")? {
        "0" => Side::Buy,
        "1" => Side::Sell,
        other => return Err(format!("order_type `{other}`; 0 and 1 are known")),
    };
    let price = Price(exact(field(value, "price")?, "price")?);
    let amount = Quantity(exact(field(value, "amount")?, "amount")?);
    Ok(Order { id: id(value)?, side, price, amount })
}

fn trade(value: &Value<'_>) -> Result<Trade, String> {
    let price = digits(value, "price")?;
    decimal::round(price, AMOUNT_PLACES).ok_or_else(|| not_a_number("price", price))?;
    let amount = digits(value, "amount")?;
    let rounded = decimal::round(amount, AMOUNT_PLACES);
    let amount = Quantity(rounded.ok_or_else(|| not_a_number("amount", amount))?);
    Ok(Trade { id: id(value)?, price: price.into(), amount })
}

fn snapshot(value: &Value<'_>) -> Result<Snapshot, String> {
    Ok(Snapshot { bids: levels(value, "bids")?, asks: levels(value, "asks")? })
}

fn levels(value: &Value<'_>, name: &str) -> Result<Vec<(Price, Quantity)>, String> {
    let levels = field(value, name)?.list().ok_or_else(|| format!("`{name}` is not a list"))?;
    if levels.len() > SNAPSHOT_LEVELS_MAX {
        return Err(format!("`{name}` has more than {SNAPSHOT_LEVELS_MAX} levels"));
    }
    let level = |level: &Value<'_>| match level.list() {
        Some([price, amount, ..]) => {
            Ok((Price(exact(price, "price")?), Quantity(exact(amount, "amount")?)))
        }
        _ => Err(format!("a level of `{name}` is not a price and an amount")),
    };
    levels.iter().map(level).collect()
}

fn field<'a, 'b>(value: &'a Value<'b>, name: &str) -> Result<&'a Value<'b>, String> {
    value.get(name).ok_or_else(|| format!("`{name}` is missing"))
}

fn digits<'a>(value: &'a Value<'_>, name: &str) -> Result<&'a str, String> {
    field(value, name)?.digits().ok_or_else(|| format!("`{name}` is not a number"))
}

fn id(value: &Value<'_>) -> Result<u64, String> {
    let text = digits(value, "id")?;
    text.parse().map_err(|_| format!("id `{text}`; a whole number is expected"))
}

/// Numbers of orders are exact as text; as JSON numbers they went through a float.
fn exact(value: &Value<'_>, what: &str) -> Result<u64, String> {
    let number = match value {
        Value::Text(text) => {
            Quantity::parse(text).map(|number| number.0).map_err(|why| why.to_string())
        }
        Value::Number(text) => {
            decimal::round(text, AMOUNT_PLACES).ok_or_else(|| "not a number in range".into())
        }
        _ => Err("a number is expected".into()),
    };
    number.map_err(|why| format!("{what} `{}`: {why}", value.digits().unwrap_or("")))
}

fn not_a_number(what: &str, text: &str) -> String {
    format!("{what} `{text}`: not a number in range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_parsed() {
        let order = r#"{"price": "236.47", "amount": "2.00000000", "id": 7, "order_type": 0}"#;
        let (received, entry, places) = parse(&format!("12 order_created {order}")).unwrap();
        let expected = Order {
            id: 7,
            side: Side::Buy,
            price: Price(23_647_000_000),
            amount: Quantity(200_000_000),
        };
        assert_eq!((received, entry, places), (12, Entry::Created(expected), 2));
        let (_, entry, _) = parse(
            r#"1 trade {"price": 235.91999999999999, "amount": 1.7885566900000001, "id": 8}"#,
        )
        .unwrap();
        let amount = Quantity(178_855_669);
        assert_eq!(
            entry,
            Entry::Trade(Trade { id: 8, price: "235.91999999999999".into(), amount })
        );
        let (_, entry, _) = parse(r#"1 order_book {"bids": [["1.5", "2"]], "asks": []}"#).unwrap();
        let bids = vec![(Price(150_000_000), Quantity(200_000_000))];
        assert_eq!(entry, Entry::Snapshot(Snapshot { bids, asks: vec![] }));
    }

    #[test]
    fn a_bad_line_says_what_is_wrong() {
        for (text, what) in [
            ("1 trade", "`<received, ms> <event> <json>` is expected"),
            ("x trade {}", "time `x`; milliseconds since 1970 are expected"),
            ("1 trade {}", "`price` is missing"),
            ("1 trade {\"price\": -1}", "price `-1`: not a number in range"),
            ("1 trade {", "JSON: `\"` expected at byte 1"),
            ("1 order_created {\"order_type\": 2}", "order_type `2`; 0 and 1 are known"),
            (
                "1 order_created {\"order_type\": 1, \"price\": \"1,5\"}",
                "price `1,5`: not a decimal number: digits, at most one point, no sign",
            ),
            ("1 order_book {\"bids\": 1}", "`bids` is not a list"),
            ("1 order_book {\"bids\": [[1]]}", "a level of `bids` is not a price and an amount"),
        ] {
            assert_eq!(parse(text).unwrap_err(), what, "{text}");
        }
        assert!(parse("1 order_eaten {}").unwrap_err().starts_with("event `order_eaten`; order_"));
    }
}
