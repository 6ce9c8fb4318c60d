//! Reference prices and auctions.

use protocol::InstrumentStatus;
use protocol::command::TradingRules;
use protocol::event::{AuctionUncrossed, IndicativeChanged, InstrumentStatusSet, TradingRulesSet};

use super::*;

const ONE: InstrumentId = InstrumentId(1);

fn rules(rules: TradingRules) -> Event {
    TradingRulesSet { instrument: ONE, rules }.into()
}

fn status(status: InstrumentStatus) -> Event {
    InstrumentStatusSet { instrument: ONE, status }.into()
}

fn indication(price: u64, quantity: i128, surplus_side: Side, surplus: i128) -> Event {
    let scale = i128::from(SCALE);
    let event = IndicativeChanged {
        instrument: ONE,
        price: Price(price * SCALE),
        quantity: Amount(quantity * scale),
        surplus_side,
        surplus: Amount(surplus * scale),
        reference: Price(99 * SCALE),
    };
    event.into()
}

fn uncross(price: u64, quantity: u64) -> Event {
    let quantity = Quantity(quantity * SCALE).into();
    AuctionUncrossed { instrument: ONE, price: Price(price * SCALE), quantity }.into()
}

#[test]
fn a_reference_price_is_told_every_second_that_changed_it() {
    let mut venue = Venue::new();
    let client = venue.socket(&["btcusdt@referencePrice", "ethusdt@referencePrice"]);
    venue.at(1_000, &[]);
    client.nothing();
    let buckets =
        TradingRules { bucket_width_ms: 1_000, bucket_count: 2, ..TradingRules::default() };
    venue.at(1_100, &[rules(buckets)]);
    venue.at(2_000, &[]);
    let begun = format!("{}", BEGIN / MS + 2_000);
    let expected =
        format!("{{\"e\":\"referencePrice\",\"s\":\"BTCUSDT\",\"r\":null,\"t\":{begun}}}");
    assert_eq!(client.texts(), [expected.as_str()]);
    let trades = [venue.trade(1, 1, 100, 2), venue.trade(1, 2, 300, 1)];
    venue.at(2_100, &trades);
    venue.at(3_000, &[]);
    assert_eq!(client.one()["r"], "200.00000000");
    venue.at(4_000, &[]);
    client.nothing();
    // Time alone takes the trades away.
    venue.at(9_500, &[]);
    let told = client.messages();
    assert_eq!(told.last().unwrap()["r"], Value::Null);
    venue.at(10_100, &[rules(TradingRules { external_reference: Price(SCALE), ..buckets })]);
    venue.at(11_000, &[]);
    assert_eq!(client.one()["r"], "1.00000000");
    let late = venue.socket(&["btcusdt@referencePrice"]);
    venue.at(12_000, &[]);
    assert_eq!(late.one()["r"], "1.00000000");
}

#[test]
fn an_auction_is_told_as_it_changes_and_when_it_ends() {
    let mut venue = Venue::new();
    let client = venue.socket(&["btcusdt@auction"]);
    venue.at(100, &[status(InstrumentStatus::OpeningAuction)]);
    client.nothing();
    venue.at(200, &[indication(100, 5, Side::Sell, 2)]);
    let expected = format!(
        "{{\"e\":\"auction\",\"E\":{},\"s\":\"BTCUSDT\",\"p\":\"100.00000000\",\
         \"q\":\"5.00000000\",\"S\":\"SELL\",\"Q\":\"2.00000000\",\"r\":\"99.00000000\",\
         \"st\":\"OPENING_AUCTION\",\"x\":false}}",
        BEGIN / MS + 200
    );
    assert_eq!(client.texts(), [expected.as_str()]);
    venue.at(1_000, &[]);
    client.nothing();
    let late = venue.client(&["btcusdt@auction"], TimeUnit::Millisecond, true);
    venue.at(2_000, &[]);
    let told = late.one();
    assert_eq!(
        (&told["stream"], &told["data"]["p"]),
        (&"btcusdt@auction".into(), &"100.00000000".into())
    );
    let _ = client.texts();
    let trade = venue.trade(1, 1, 101, 6);
    venue.at(2_500, &[status(InstrumentStatus::Trading), uncross(101, 6), trade]);
    let told = client.one();
    let fields = ["p", "q", "st", "x"].map(|name| told[name].clone());
    let expected = serde_json::json!(["101.00000000", "6.00000000", "TRADING", true]);
    assert_eq!(Value::from(fields.to_vec()), expected);
    let _ = late.texts();
    // Whoever comes after the end waits for the next one.
    let later = venue.socket(&["btcusdt@auction"]);
    venue.at(5_000, &[]);
    later.nothing();
    venue.at(5_100, &[status(InstrumentStatus::ClosingAuction), indication(0, 0, Side::Sell, 0)]);
    assert_eq!(later.one()["p"], "0.00000000");
}
