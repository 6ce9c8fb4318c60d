//! What messages say, and when they come.

use super::*;

/// The text without its times.
fn shape(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    value.as_object_mut().unwrap().remove("E");
    value.to_string()
}

#[test]
fn a_trade_is_told_at_once_in_the_documents_words() {
    let mut venue = Venue::new();
    let (raw, micro) = (
        venue.socket(&["btcusdt@trade"]),
        venue.client(&["btcusdt@trade"], TimeUnit::Microsecond, true),
    );
    let trade = venue.trade(1, 5, 100, 2);
    venue.command(7, &[trade]);
    assert_eq!(
        raw.texts()[0].as_str(),
        "{\"e\":\"trade\",\"E\":1700000000000,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"100.00000000\",\
         \"q\":\"2.00000000\",\"T\":1700000000000,\"m\":true,\"M\":true}"
    );
    let told = micro.one();
    assert_eq!(told["stream"], "btcusdt@trade");
    assert_eq!(told["data"]["E"], 1_700_000_000_000_000u64);
}

#[test]
fn all_subscribers_share_the_bytes_of_a_message() {
    let mut venue = Venue::new();
    let clients: Vec<Client> = (0..3).map(|_| venue.socket(&["btcusdt@trade"])).collect();
    let trade = venue.trade(1, 5, 100, 2);
    venue.command(1, &[trade]);
    let texts: Vec<Utf8Bytes> = clients.iter().map(|client| client.texts().remove(0)).collect();
    assert!(texts.iter().all(|text| text.as_ptr() == texts[0].as_ptr()));
}

#[test]
fn trades_of_one_run_are_one_aggregate_trade() {
    let mut venue = Venue::new();
    let client = venue.socket(&["btcusdt@aggTrade"]);
    let events = [
        venue.trade(1, 5, 100, 2),
        venue.trade(1, 5, 100, 3),
        venue.trade(1, 6, 101, 1),
        venue.trade(2, 1, 9, 9),
    ];
    venue.command(1, &events);
    let [first, second] = client.messages().try_into().unwrap();
    let shown = |value: &Value| {
        [&value["a"], &value["p"], &value["q"], &value["f"], &value["l"]].map(Value::to_string)
    };
    assert_eq!(shown(&first), ["5", "\"100.00000000\"", "\"5.00000000\"", "1", "2"]);
    assert_eq!(shown(&second), ["6", "\"101.00000000\"", "\"1.00000000\"", "3", "3"]);
    let next = venue.trade(1, 7, 100, 1);
    venue.command(1, &[next]);
    assert_eq!(
        shape(&client.texts()[0]),
        shape(
            "{\"e\":\"aggTrade\",\"s\":\"BTCUSDT\",\"a\":7,\"p\":\"100.00000000\",\
             \"q\":\"1.00000000\",\"f\":5,\"l\":5,\"T\":1700000000000,\"m\":true,\"M\":true}"
        )
    );
}

#[test]
fn the_best_prices_are_told_once_per_command_if_they_changed() {
    let mut venue = Venue::new();
    let (one, all) = (venue.socket(&["btcusdt@bookTicker"]), venue.socket(&["!bookTicker"]));
    let events = [
        venue.book(1, Side::Buy, 99, 1),
        venue.book(1, Side::Buy, 100, 1),
        venue.book(1, Side::Sell, 103, 4),
    ];
    venue.command(1, &events);
    let expected = "{\"u\":3,\"s\":\"BTCUSDT\",\"b\":\"100.00000000\",\"B\":\"1.00000000\",\
                    \"a\":\"103.00000000\",\"A\":\"4.00000000\"}";
    assert_eq!(one.texts()[0].as_str(), expected);
    assert_eq!(all.texts()[0].as_str(), expected);
    let deep = venue.book(1, Side::Buy, 99, 7);
    venue.command(1, &[deep]);
    let back = [venue.book(1, Side::Buy, 100, 5), venue.book(1, Side::Buy, 100, 1)];
    venue.command(1, &back);
    one.nothing();
    all.nothing();
    let gone = venue.book(1, Side::Sell, 103, 0);
    venue.command(1, &[gone]);
    assert_eq!(one.one()["a"], "0.00000000");
    let other = venue.book(2, Side::Buy, 5, 1);
    venue.command(1, &[other]);
    one.nothing();
    assert_eq!(all.messages().len(), 2);
}

#[test]
fn a_candle_is_told_every_two_seconds_and_when_it_closes() {
    let mut venue = Venue::new();
    // 22:13:20: the minute has 40 s to go.
    let client = venue.socket(&["btcusdt@kline_1m"]);
    let trade = venue.trade(1, 1, 100, 2);
    venue.at(500, &[trade]);
    venue.at(1_900, &[]);
    client.nothing();
    venue.at(2_050, &[]);
    let told = client.one();
    assert_eq!(told["E"], 1_700_000_002_000u64);
    assert_eq!(
        told["k"].to_string(),
        serde_json::from_str::<Value>(
            "{\"t\":1699999980000,\"T\":1700000039999,\"s\":\"BTCUSDT\",\"i\":\"1m\",\"f\":1,\
             \"L\":1,\"o\":\"100.00000000\",\"c\":\"100.00000000\",\"h\":\"100.00000000\",\
             \"l\":\"100.00000000\",\"v\":\"2.00000000\",\"n\":1,\"x\":false,\
             \"q\":\"200.00000000\",\"V\":\"0.00000000\",\"Q\":\"0.00000000\",\"B\":\"0\"}"
        )
        .unwrap()
        .to_string()
    );
    venue.at(4_000, &[]);
    client.nothing();
    let trade = venue.trade(1, 2, 101, 1);
    venue.at(39_900, &[trade]);
    // The trade of the boundary's command belongs to the next candle.
    let trade = venue.trade(1, 3, 102, 1);
    venue.at(40_000, &[trade]);
    let told = client.one();
    assert_eq!((&told["E"], &told["k"]["x"]), (&1_700_000_040_000u64.into(), &true.into()));
    assert_eq!(told["k"]["c"], "101.00000000");
    venue.at(42_000, &[]);
    let told = client.one();
    assert_eq!((&told["k"]["o"], &told["k"]["x"]), (&"102.00000000".into(), &false.into()));
}

#[test]
fn candles_without_trades_close_too_and_a_jump_of_time_misses_none() {
    let mut venue = Venue::new();
    let client = venue.socket(&["btcusdt@kline_1m"]);
    venue.at(50_000, &[]);
    client.nothing();
    let trade = venue.trade(1, 1, 100, 2);
    venue.at(50_100, &[trade]);
    venue.at(4 * 60_000, &[]);
    let told = client.messages();
    let shown: Vec<_> = told
        .iter()
        .map(|it| (it["E"].as_u64().unwrap() - BEGIN / MS, it["k"]["x"] == true, &it["k"]["f"]))
        .collect();
    let none = Value::from(-1);
    let one = Value::from(1);
    assert_eq!(
        shown,
        [
            (52_000, false, &one),
            (100_000, true, &one),
            (160_000, true, &none),
            (220_000, true, &none)
        ]
    );
    assert_eq!(told[3]["k"]["o"], "100.00000000");
    venue.at(5 * 60_000, &[]);
    assert_eq!(client.one()["k"]["t"], BEGIN / MS + 220_000);
}

#[test]
fn a_candle_of_another_zone_begins_there() {
    let mut venue = Venue::new();
    let client = venue.socket(&["btcusdt@kline_1d@+08:00", "btcusdt@kline_1s"]);
    let trade = venue.trade(1, 1, 100, 2);
    venue.at(100, &[trade]);
    venue.at(2_000, &[]);
    let told = client.messages();
    let opens: Vec<_> = told.iter().map(|it| it["k"]["t"].as_u64().unwrap()).collect();
    // 2023-11-14T16:00Z is midnight at +08:00; the second closes as each does.
    assert_eq!(opens, [1_700_000_000_000, 1_700_000_001_000, 1_699_977_600_000]);
}

#[test]
fn tickers_are_told_once_after_subscribing_and_then_when_they_change() {
    let mut venue = Venue::new();
    let names = ["btcusdt@miniTicker", "btcusdt@ticker", "btcusdt@ticker_1h"];
    let trade = venue.trade(1, 1, 100, 2);
    venue.at(0, &[trade]);
    let clients = names.map(|name| venue.socket(&[name]));
    venue.at(1_000, &[]);
    let [mini, full, rolling] = clients.each_ref().map(Client::one);
    assert_eq!((&mini["e"], &mini["c"]), (&"24hrMiniTicker".into(), &"100.00000000".into()));
    assert_eq!((&full["P"], &full["Q"]), (&"0.000".into(), &"2.00000000".into()));
    assert_eq!((&rolling["e"], &rolling["F"]), (&"1hTicker".into(), &1.into()));
    venue.at(3_000, &[]);
    clients.iter().for_each(Client::nothing);
    // The book is part of the full ticker alone.
    let bid = venue.book(1, Side::Buy, 90, 1);
    venue.at(3_100, &[bid]);
    venue.at(4_000, &[]);
    assert_eq!(clients[1].one()["b"], "90.00000000");
    clients[0].nothing();
    let trade = venue.trade(1, 2, 150, 1);
    venue.at(4_100, &[trade]);
    venue.at(5_000, &[]);
    let [mini, full, _] = clients.each_ref().map(Client::one);
    assert_eq!((&mini["E"], &mini["h"]), (&1_700_000_005_000u64.into(), &"150.00000000".into()));
    assert_eq!((&full["p"], &full["P"]), (&"50.00000000".into(), &"50.000".into()));
    // An hour later the trades leave the window.
    venue.at(3_700_000, &[]);
    assert_eq!(clients[2].one()["F"], -1);
    clients[0].nothing();
}

#[test]
fn a_ticker_shows_every_field_of_the_document() {
    let mut venue = Venue::new();
    let client = venue.socket(&["btcusdt@ticker", "btcusdt@ticker_4h", "btcusdt@avgPrice"]);
    venue.at(1_000, &[]);
    let [full, rolling, average] = client.messages().try_into().unwrap();
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.concat()
    };
    assert_eq!(keys(&full), "ABCEFLOPQabcehlnopqsvwx");
    assert_eq!(keys(&rolling), "CEFLOPcehlnopqsvw");
    assert_eq!(
        average.to_string(),
        "{\"E\":1700000001000,\"T\":0,\"e\":\"avgPrice\",\"i\":\"5m\",\"s\":\"BTCUSDT\",\
         \"w\":\"0.00000000\"}"
    );
}

#[test]
fn arrays_hold_what_changed() {
    let mut venue = Venue::new();
    let client = venue.socket(&["!miniTicker@arr"]);
    venue.at(1_000, &[]);
    client.nothing();
    let events = [venue.trade(2, 1, 100, 2), venue.trade(2, 1, 100, 2)];
    venue.at(1_100, &events);
    venue.at(2_000, &[]);
    let told = client.one();
    assert_eq!(told.as_array().unwrap().len(), 1);
    assert_eq!((&told[0]["s"], &told[0]["v"]), (&"ETHUSDT".into(), &"4.00000000".into()));
    venue.at(3_000, &[]);
    // A new minute: every window is looked at.
    venue.at(70_000, &[]);
    client.nothing();
    // All trades leave the window of a day.
    venue.at(2 * 24 * 60 * 60_000, &[]);
    assert_eq!(client.one()[0]["v"], "0.00000000");
}

#[test]
fn the_average_price_is_told_when_it_changes() {
    let mut venue = Venue::new();
    let client = venue.socket(&["btcusdt@avgPrice"]);
    let trade = venue.trade(1, 1, 100, 2);
    venue.at(250, &[trade]);
    venue.at(1_000, &[]);
    let told = client.one();
    assert_eq!((&told["w"], &told["T"]), (&"100.00000000".into(), &1_700_000_000_250u64.into()));
    venue.at(2_000, &[]);
    client.nothing();
}

#[test]
fn time_before_a_rebuilt_market_is_passed_over() {
    let mut venue = Venue::new();
    let trade = venue.trade(1, 1, 100, 2);
    venue.at(100, &[trade]);
    venue.streams = Streams::new(&Options::default());
    let client = venue.socket(&["btcusdt@kline_1m", "btcusdt@miniTicker", "btcusdt@depth5"]);
    venue.at(1_500, &[]);
    client.nothing();
    venue.at(2_000, &[]);
    let times: Vec<_> = client.messages().iter().filter_map(|it| it["E"].as_u64()).collect();
    assert_eq!(times, [BEGIN / MS + 2_000]);
    venue.at(40_000, &[]);
    assert_eq!(client.one()["E"], BEGIN / MS + 40_000);
}
