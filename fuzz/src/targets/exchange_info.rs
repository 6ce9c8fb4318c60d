//! Answers of `exchangeInfo`: what is imported comes back the same in both of its written forms.

use app::config;
use gateway::exchange_info::{import_bytes, to_json, to_toml};
use protocol::InstrumentDefinition;

use crate::Target;
use crate::feedback::{note, rule};

pub const TARGET: Target =
    Target { name: "exchange_info", run: exchange_info, corpus, words: WORDS, length_max: 8_192 };

const NAME: &str = "fuzz.json";

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "false",
    "\\u0000",
    "\\ud800",
    "\\\"",
    "1e400",
    "-0",
    "0.00000001",
    "{\"symbols\":[",
    "\"filters\":[",
    "\"filterType\":\"X\"",
    "\"permissionSets\":[[\"SPOT\"]]",
    "\"SPOT\",",
    "\"EXPIRE_BOTH\",",
    "é",
    "\u{feff}",
    "'''",
    "{\"filterType\":\"NOTIONAL\",\"minNotional\":\"1\"},",
    "\"nextField\":{},",
    "\u{1f}\u{8b}",
];

const SYMBOL: &str = r#"{"symbols":[{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH",
"baseAssetPrecision":8,"quoteAsset":"BTC","quotePrecision":8,"quoteAssetPrecision":8,
"baseCommissionPrecision":8,"quoteCommissionPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER",
"MARKET","STOP_LOSS_LIMIT"],"icebergAllowed":true,"ocoAllowed":true,
"quoteOrderQtyMarketAllowed":true,"cancelReplaceAllowed":true,"amendAllowed":false,
"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"permissions":["SPOT","MARGIN"],
"defaultSelfTradePreventionMode":"NONE","allowedSelfTradePreventionModes":["NONE","EXPIRE_BOTH"],
"filters":[{"filterType":"PRICE_FILTER","minPrice":"0.00001","maxPrice":"922327.0",
"tickSize":"0.00001"},{"filterType":"LOT_SIZE","minQty":"0.1","maxQty":"9","stepSize":"0.1"},
{"filterType":"MARKET_LOT_SIZE","minQty":"0","maxQty":"2718.85129166","stepSize":"0"},
{"filterType":"PERCENT_PRICE","multiplierUp":"1.3","multiplierDown":"0.7","avgPriceMins":5},
{"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"1.2","bidMultiplierDown":"0.2",
"askMultiplierUp":"5","askMultiplierDown":"0.8","avgPriceMins":1},
{"filterType":"MIN_NOTIONAL","minNotional":"0.001","applyToMarket":true,"avgPriceMins":5},
{"filterType":"ICEBERG_PARTS","limit":10},{"filterType":"MAX_NUM_ORDERS","maxNumOrders":200},
{"filterType":"NEW_KIND","limit":"x"}]}]}"#;

fn corpus() -> Vec<Vec<u8>> {
    let symbol = SYMBOL.as_bytes();
    let bare = r#"{"symbols":[{"symbol":"A","baseAsset":"B","quoteAsset":"C","filters":[]}]}"#;
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], symbol].concat();
    vec![symbol.to_vec(), bare.as_bytes().to_vec(), br#"{"symbols":[]}"#.to_vec(), gzip]
}

pub fn exchange_info(data: &[u8]) {
    let imported = match import_bytes(NAME, data) {
        Ok(imported) => imported,
        Err(error) => {
            note(rule(&error.what));
            assert!(error.to_string().starts_with(NAME), "no place: {error}");
            return;
        }
    };
    for refused in &imported.refused {
        note(rule(&refused.what));
        assert!(refused.to_string().starts_with(NAME), "no place: {refused}");
    }
    note((imported.instruments.len(), &imported.not_enforced, imported.not_kept.len()));
    assert!(imported.to_string().contains("imported"));
    let instruments = &imported.instruments;
    if instruments.is_empty() {
        return;
    }
    let json = format!("{{\"symbols\":{}}}", to_json(instruments));
    let again = import_bytes("again.json", json.as_bytes()).expect("what was written");
    assert!(again.is_whole() && again.instruments.len() == instruments.len(), "refused: {json}");
    for (one, other) in instruments.iter().zip(&again.instruments) {
        // JSON's fields have no order: what is kept as it came is compared as JSON.
        let other = InstrumentDefinition { other_filters: one.other_filters, ..*other };
        assert!(*one == other, "came back as {json}");
    }
    assert_eq!(filter_types(&again.instruments), filter_types(instruments));
    let toml = to_toml(instruments);
    let config =
        config::parse(&toml, "again.toml").unwrap_or_else(|error| panic!("{error}: {toml}"));
    let read: Vec<_> = config.venue.instruments.iter().map(|it| it.definition).collect();
    assert!(read == *instruments, "came back as {toml}");
}

/// The names of all filters, in order.
fn filter_types(instruments: &[InstrumentDefinition]) -> Vec<String> {
    let shown = to_json(instruments);
    let symbols = shown.as_array().into_iter().flatten();
    let filters = symbols.flat_map(|symbol| symbol["filters"].as_array()).flatten();
    filters.map(|filter| filter["filterType"].to_string()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_answer_is_imported_and_comes_back_or_is_refused() {
        crate::campaign::check(&super::TARGET, 1, 2_000);
    }
}
