//! How an instrument trades: execution rules, reference price, volatility band, calendar.

use protocol::command::{Calendar, CalendarEntry, SetCalendar, SetTradingRules, TradingRules};
use protocol::{Envelope, Price};
use serde::Deserialize;

use super::{Admin, Answered, decimal, find_instrument, object, refusal};
use crate::calendar::{
    DAYS_ALLOWED, TIME_ALLOWED, calendar_of, days_text, entries, parse_days, parse_status,
    parse_time, settable_words, time_text,
};
use crate::error::ApiError;
use crate::exchange_info::shape::decimal_text;
use crate::json::Json;

/// What is left out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewRules {
    bid_limit_mult_up: Option<String>,
    bid_limit_mult_down: Option<String>,
    ask_limit_mult_up: Option<String>,
    ask_limit_mult_down: Option<String>,
    reference_price: Option<String>,
    bucket_width_ms: Option<u32>,
    bucket_count: Option<u32>,
    volatility_band: Option<String>,
    volatility_minutes: Option<u32>,
    volatility_auction_seconds: Option<u32>,
}

impl NewRules {
    fn over(self, stands: &TradingRules) -> Result<TradingRules, ApiError> {
        let units = |name: &str, asked: Option<String>, stands: u64| match asked {
            Some(text) => decimal(name, &text),
            None => Ok(stands),
        };
        let external = stands.external_reference.0;
        Ok(TradingRules {
            bid_limit_up: units("bidLimitMultUp", self.bid_limit_mult_up, stands.bid_limit_up)?,
            bid_limit_down: units(
                "bidLimitMultDown",
                self.bid_limit_mult_down,
                stands.bid_limit_down,
            )?,
            ask_limit_up: units("askLimitMultUp", self.ask_limit_mult_up, stands.ask_limit_up)?,
            ask_limit_down: units(
                "askLimitMultDown",
                self.ask_limit_mult_down,
                stands.ask_limit_down,
            )?,
            external_reference: Price(units("referencePrice", self.reference_price, external)?),
            bucket_width_ms: self.bucket_width_ms.unwrap_or(stands.bucket_width_ms),
            bucket_count: self.bucket_count.unwrap_or(stands.bucket_count),
            volatility_band: units("volatilityBand", self.volatility_band, stands.volatility_band)?,
            volatility_minutes: self.volatility_minutes.unwrap_or(stands.volatility_minutes),
            volatility_auction_s: self
                .volatility_auction_seconds
                .unwrap_or(stands.volatility_auction_s),
        })
    }
}

fn write_rules(json: &mut Json, rules: &TradingRules) {
    let mut decimal =
        |name: &str, units: u64| json.text_field(name, &decimal_text(u128::from(units)));
    decimal("bidLimitMultUp", rules.bid_limit_up);
    decimal("bidLimitMultDown", rules.bid_limit_down);
    decimal("askLimitMultUp", rules.ask_limit_up);
    decimal("askLimitMultDown", rules.ask_limit_down);
    decimal("referencePrice", rules.external_reference.0);
    json.number_field("bucketWidthMs", rules.bucket_width_ms);
    json.number_field("bucketCount", rules.bucket_count);
    json.text_field("volatilityBand", &decimal_text(u128::from(rules.volatility_band)));
    json.number_field("volatilityMinutes", rules.volatility_minutes);
    json.number_field("volatilityAuctionSeconds", rules.volatility_auction_s);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCalendar {
    entries: Vec<NewEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEntry {
    days: String,
    time: String,
    status: String,
}

impl NewCalendar {
    fn calendar(&self) -> Result<Calendar, ApiError> {
        let entries = self.entries.iter().enumerate().map(|(at, it)| {
            let not = |field: &str, text: &str, allowed: &str| {
                refusal(400, format!("entries[{at}].{field}: {text:?}; allowed: {allowed}"))
            };
            let weekdays = parse_days(&it.days).ok_or_else(|| not("days", &it.days, DAYS_ALLOWED));
            let second = parse_time(&it.time).ok_or_else(|| not("time", &it.time, TIME_ALLOWED));
            let status = parse_status(&it.status)
                .ok_or_else(|| not("status", &it.status, &settable_words()));
            Ok(CalendarEntry { weekdays: weekdays?, second: second?, status: status? })
        });
        let entries = entries.collect::<Result<Vec<_>, ApiError>>()?;
        let max = protocol::command::CALENDAR_ENTRIES_MAX;
        calendar_of(&entries).ok_or_else(|| refusal(400, format!("entries: at most {max}")))
    }
}

impl Admin<'_> {
    pub(super) fn rules(&self, symbol: &str) -> Answered {
        let core = self.core()?;
        let instrument = find_instrument(&core, symbol)?;
        Ok(object(|json| write_rules(json, instrument.reference.rules())))
    }

    pub(super) async fn set_rules(&self, symbol: &str) -> Answered {
        let asked: NewRules = self.read()?;
        let command = {
            let core = self.core()?;
            let instrument = find_instrument(&core, symbol)?;
            let rules = asked.over(instrument.reference.rules())?;
            let symbol = instrument.definition.symbol;
            SetTradingRules { envelope: Envelope::INTERNAL, symbol, rules }
        };
        self.done(command).await?;
        self.rules(symbol)
    }

    pub(super) fn calendar(&self, symbol: &str) -> Answered {
        let core = self.core()?;
        let calendar = core.controls.calendar(find_instrument(&core, symbol)?.id);
        Ok(object(|json| {
            json.array_field("entries", |json| {
                for entry in entries(&calendar) {
                    json.object(|json| {
                        json.text_field("days", &days_text(entry.weekdays));
                        json.text_field("time", &time_text(entry.second));
                        json.text_field("status", entry.status.as_str());
                    });
                }
            });
        }))
    }

    pub(super) async fn set_calendar(&self, symbol: &str) -> Answered {
        let asked: NewCalendar = self.read()?;
        let entries = asked.calendar()?;
        let command = {
            let core = self.core()?;
            let symbol = find_instrument(&core, symbol)?.definition.symbol;
            SetCalendar { envelope: Envelope::INTERNAL, symbol, entries }
        };
        self.done(command).await?;
        self.calendar(symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_are_left_out_stay() {
        let stands = TradingRules {
            bid_limit_up: 200_000_000,
            external_reference: Price(7),
            bucket_count: 10,
            ..TradingRules::default()
        };
        let over = |text: &str| serde_json::from_str::<NewRules>(text).unwrap().over(&stands);
        assert_eq!(over("{}"), Ok(stands));
        let asked = "{\"referencePrice\":\"0\",\"askLimitMultDown\":\"0.5\",\"bucketCount\":20}";
        let expected = TradingRules {
            external_reference: Price::ZERO,
            ask_limit_down: 50_000_000,
            bucket_count: 20,
            ..stands
        };
        assert_eq!(over(asked), Ok(expected));
        let error = over("{\"volatilityBand\":\"a lot\"}").unwrap_err();
        assert!(error.message.starts_with("volatilityBand: "), "{}", error.message);
        assert!(serde_json::from_str::<NewRules>("{\"band\":\"1\"}").is_err());
        let shown = object(|json| write_rules(json, &expected));
        assert_eq!(over(&shown), Ok(expected), "what is shown can be sent back");
    }

    #[test]
    fn a_calendar_is_read_or_refused_with_its_place() {
        let calendar = |text: &str| serde_json::from_str::<NewCalendar>(text).unwrap().calendar();
        let one = "{\"days\":\"mon-fri\",\"time\":\"09:30\",\"status\":\"OPENING_AUCTION\"}";
        let read = calendar(&format!("{{\"entries\":[{one}]}}")).unwrap();
        assert_eq!((read[0].weekdays, read[0].second, read[1]), (31, 34_200, CalendarEntry::NONE));
        let wrong = one.replace("OPENING", "VOLATILITY");
        let error = calendar(&format!("{{\"entries\":[{one},{wrong}]}}")).unwrap_err();
        assert_eq!(
            error.message,
            "entries[1].status: \"VOLATILITY_AUCTION\"; allowed: TRADING, HALT, CANCEL_ONLY, \
             BREAK, CLOSED, OPENING_AUCTION, CLOSING_AUCTION"
        );
        let many = [one; 17].join(",");
        assert_eq!(calendar(&format!("{{\"entries\":[{many}]}}")).unwrap_err().status, 400);
        assert!(calendar("{\"entries\":[]}").is_ok());
    }
}
