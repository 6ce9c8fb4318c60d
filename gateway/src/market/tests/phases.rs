//! Execution rules, reference prices, auctions, and the words for their statuses.

use protocol::Amount;
use protocol::command::TradingRules;
use protocol::event::{AuctionUncrossed, IndicativeChanged, TradingRulesSet};

use super::*;

const ONE: InstrumentId = InstrumentId(1);

fn set(market: &mut Market, rules: TradingRules) {
    market.apply(&TradingRulesSet { instrument: ONE, rules }.into(), NOW);
}

fn enter(market: &mut Market, status: InstrumentStatus) {
    market.apply(&InstrumentStatusSet { instrument: ONE, status }.into(), NOW);
}

#[test]
fn only_symbols_with_a_price_range_have_execution_rules() {
    let mut market = market();
    let none = "{\"symbolRules\":[]}";
    let queries = ["", "symbol=BTCUSDT", "symbols=[\"BTCUSDT\"]", "symbolStatus=TRADING"];
    for query in queries {
        check(&market, rules::execution_rules, query, none);
    }
    let range = TradingRules {
        bid_limit_up: 100_010_000,
        ask_limit_down: 12_345,
        ..TradingRules::default()
    };
    set(&mut market, range);
    let some = "{\"symbolRules\":[{\"symbol\":\"BTCUSDT\",\"rules\":[{\"ruleType\":\"PRICE_RANGE\",\
        \"bidLimitMultUp\":\"1.0001\",\"askLimitMultDown\":\"0.00012345\"}]}]}";
    for query in queries {
        check(&market, rules::execution_rules, query, some);
    }
    check(&market, rules::execution_rules, "symbol=ETHUSDT", none);
}

#[test]
fn a_reference_price_is_that_of_an_operator_or_of_the_trades() {
    let mut market = market();
    let shown = |price: &str| {
        format!("{{\"symbol\":\"BTCUSDT\",\"referencePrice\":{price},\"timestamp\":{NOW_MS}}}")
    };
    let no = "This symbol doesn't have a reference price.";
    refused(&market, rules::reference_price, "symbol=BTCUSDT", -2043, no);
    refused(&market, rules::calculation, "symbol=BTCUSDT", -2043, no);
    let buckets =
        TradingRules { bucket_width_ms: 60_000, bucket_count: 10, ..TradingRules::default() };
    set(&mut market, buckets);
    check(&market, rules::reference_price, "symbol=BTCUSDT", &shown("null"));
    let mean = "{\"symbol\":\"BTCUSDT\",\"calculationType\":\"ARITHMETIC_MEAN\",\"bucketCount\":10,\
        \"bucketWidthMs\":60000}";
    check(&market, rules::calculation, "symbol=BTCUSDT&symbolStatus=TRADING", mean);
    trade(&mut market, 1, 1, Side::Buy, 100, 29);
    trade(&mut market, 2, 2, Side::Buy, 103, 29);
    check(&market, rules::reference_price, "symbol=BTCUSDT", &shown("\"101.50000000\""));
    set(&mut market, TradingRules { external_reference: Price(7 * SCALE), ..buckets });
    check(&market, rules::reference_price, "symbol=BTCUSDT", &shown("\"7.00000000\""));
    let external = "{\"symbol\":\"BTCUSDT\",\"calculationType\":\"EXTERNAL\",\
        \"externalCalculationId\":0}";
    check(&market, rules::calculation, "symbol=BTCUSDT", external);
}

#[test]
fn an_auction_is_shown_while_it_runs_and_after() {
    let mut market = market();
    let none = "{\"symbol\":\"BTCUSDT\",\"status\":\"TRADING\",\"auction\":null}";
    check(&market, rules::auction, "symbol=BTCUSDT", none);
    enter(&mut market, InstrumentStatus::OpeningAuction);
    let changed = IndicativeChanged {
        instrument: ONE,
        price: Price(100 * SCALE),
        quantity: Amount(5),
        surplus_side: Side::Sell,
        surplus: Amount(6),
        reference: Price(7),
    };
    market.apply(&changed.into(), NOW);
    let shown = |status: &str, is_running: bool, quantity: u32| {
        format!(
            "{{\"symbol\":\"BTCUSDT\",\"status\":\"{status}\",\"auction\":{{\
             \"isRunning\":{is_running},\"price\":\"100.00000000\",\
             \"quantity\":\"0.0000000{quantity}\",\"surplusSide\":\"SELL\",\
             \"surplus\":\"0.00000006\",\"reference\":\"0.00000007\",\"time\":{NOW_MS}}}}}"
        )
    };
    check(&market, rules::auction, "symbol=BTCUSDT", &shown("OPENING_AUCTION", true, 5));
    enter(&mut market, InstrumentStatus::Trading);
    let (price, quantity) = (Price(100 * SCALE), Amount(9));
    market.apply(&AuctionUncrossed { instrument: ONE, price, quantity }.into(), NOW);
    check(&market, rules::auction, "symbol=BTCUSDT", &shown("TRADING", false, 9));
}

#[test]
fn a_phase_is_asked_for_by_the_word_that_is_shown() {
    let mut market = market();
    let btc = "[{\"symbol\":\"BTCUSDT\",\"price\":\"0.00000000\"}]";
    for status in [InstrumentStatus::OpeningAuction, InstrumentStatus::VolatilityAuction] {
        enter(&mut market, status);
        check(&market, tickers::price, "symbolStatus=AUCTION_MATCH", btc);
        let own = format!("symbolStatus={status}");
        refused(&market, tickers::price, &own, -1122, "Invalid symbolStatus.");
    }
    enter(&mut market, InstrumentStatus::Closed);
    check(&market, tickers::price, "symbolStatus=END_OF_DAY", btc);
    check(&market, tickers::price, "symbolStatus=AUCTION_MATCH", "[]");
}
