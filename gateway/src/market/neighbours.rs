//! Answers of the venue's other APIs that clients ask for when they start: nothing of those exists
//! here, and the answers say so. Signatures are not looked at.

use axum::http::Method;
use marketdata::Market;
use protocol::{AccountId, InstrumentId, Stamp};

use crate::accounts::Rates;
use crate::core::Core;
use crate::exchange_info::shape::decimal_text;
use crate::json::{Json, TimeUnit};

/// The answer to a request of a neighbour; none when there is no such neighbour.
pub fn answer(method: &Method, path: &str, core: &Core) -> Option<String> {
    if method != Method::GET {
        return None;
    }
    match path {
        "/sapi/v1/asset/tradeFee" => {
            // Before the signature nobody is known: the rates of whoever has none of his own.
            let rates = |instrument| core.accounts.rates(AccountId::VENUE, instrument);
            Some(trade_fees(&core.market, rates))
        }
        path => constant(path, core.link.now()),
    }
}

fn constant(path: &str, now: Stamp) -> Option<String> {
    let empty = match path {
        "/sapi/v1/capital/config/getall"
        | "/sapi/v1/margin/allAssets"
        | "/sapi/v1/margin/allPairs"
        | "/sapi/v1/margin/isolated/allPairs" => "[]",
        "/sapi/v1/system/status" => "{\"status\":0,\"msg\":\"normal\"}",
        "/fapi/v1/ping" | "/dapi/v1/ping" | "/eapi/v1/ping" => "{}",
        "/fapi/v1/exchangeInfo" | "/dapi/v1/exchangeInfo" => {
            return Some(no_contracts(now, "symbols"));
        }
        "/eapi/v1/exchangeInfo" => return Some(no_contracts(now, "optionSymbols")),
        _ => return None,
    };
    Some(empty.to_owned())
}

/// A venue of derivatives that lists none.
fn no_contracts(now: Stamp, symbols: &str) -> String {
    Json::of(TimeUnit::Millisecond, |json| {
        json.text_field("timezone", "UTC");
        json.time_field("serverTime", now);
        for list in ["rateLimits", "exchangeFilters", "assets", symbols] {
            json.array_field(list, |_| {});
        }
    })
}

/// The rates of every symbol, as short text.
fn trade_fees(market: &Market, rates: impl Fn(InstrumentId) -> Rates) -> String {
    let rate = |rate: u32| decimal_text(u128::from(rate));
    Json::list(TimeUnit::Millisecond, |json| {
        for instrument in market.instruments() {
            let Rates { maker, taker } = rates(instrument.id);
            json.object(|json| {
                json.text_field("symbol", instrument.symbol());
                json.text_field("makerCommission", &rate(maker));
                json.text_field("takerCommission", &rate(taker));
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::tests::market;

    #[test]
    fn neighbours_list_nothing() {
        let text = |path: &str| constant(path, Stamp(1_499_827_319_559_123_456));
        for path in ["capital/config/getall", "margin/allPairs", "margin/isolated/allPairs"] {
            assert_eq!(text(&format!("/sapi/v1/{path}")).unwrap(), "[]");
        }
        let expected = "{\"timezone\":\"UTC\",\"serverTime\":1499827319559,\"rateLimits\":[],\
                        \"exchangeFilters\":[],\"assets\":[],\"symbols\":[]}";
        assert_eq!(text("/fapi/v1/exchangeInfo").unwrap(), expected);
        assert_eq!(text("/dapi/v1/exchangeInfo").unwrap(), expected);
        let normal = "{\"status\":0,\"msg\":\"normal\"}";
        assert_eq!(text("/sapi/v1/system/status").unwrap(), normal);
        assert_eq!(text("/sapi/v1/asset/wallet/balance"), None);
        assert_eq!(text("/api/v3/ping"), None);
    }

    #[test]
    fn fees_are_those_of_each_symbol() {
        let rates = |instrument| match instrument {
            InstrumentId(1) => Rates { maker: 100_000, taker: 75_000 },
            _ => Rates { maker: 0, taker: 100_000_000 },
        };
        let expected = "[{\"symbol\":\"BTCUSDT\",\"makerCommission\":\"0.001\",\
                        \"takerCommission\":\"0.00075\"},{\"symbol\":\"ETHUSDT\",\
                        \"makerCommission\":\"0\",\"takerCommission\":\"1\"}]";
        assert_eq!(trade_fees(&market(), rates), expected);
    }
}
