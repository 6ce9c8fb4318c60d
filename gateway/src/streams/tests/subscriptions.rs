//! Who gets what: controls, wrappers, names, ends.

use super::*;

const LIST: &str = r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#;

#[test]
fn controls_change_what_a_connection_gets() {
    let mut venue = Venue::new();
    let client = venue.socket(&["ethusdt@trade"]);
    let answer = venue.control(
        &client,
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@nothing","btcusdt@trade"],"id":"x"}"#,
    );
    assert_eq!(answer, r#"{"result":null,"id":"x"}"#);
    assert_eq!(
        venue.control(&client, LIST),
        r#"{"result":["ethusdt@trade","btcusdt@trade","btcusdt@nothing"],"id":3}"#
    );
    let trade = venue.trade(1, 1, 100, 1);
    venue.command(1, &[trade]);
    assert_eq!(client.one()["t"], 1);
    let leave = r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade","never@trade"],"id":null}"#;
    assert_eq!(venue.control(&client, leave), r#"{"result":null,"id":null}"#);
    assert_eq!(
        venue.control(&client, LIST),
        r#"{"result":["ethusdt@trade","btcusdt@nothing"],"id":3}"#
    );
    let trade = venue.trade(1, 2, 100, 1);
    venue.command(1, &[trade]);
    client.nothing();
}

#[test]
fn the_wrapper_can_be_switched_and_no_change_is_lost() {
    let mut venue = Venue::new();
    let client = venue.socket(&["btcusdt@depth@1000ms"]);
    let change = venue.book(1, Side::Buy, 5, 1);
    venue.at(10, &[change]);
    let get = r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#;
    assert_eq!(venue.control(&client, get), r#"{"result":false,"id":2}"#);
    let set = r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#;
    assert_eq!(venue.control(&client, set), r#"{"result":null,"id":5}"#);
    assert_eq!(venue.control(&client, get), r#"{"result":true,"id":2}"#);
    let change = venue.book(1, Side::Buy, 6, 1);
    venue.at(20, &[change]);
    venue.at(1_000, &[]);
    let told = client.one();
    // The name as the client wrote it.
    assert_eq!(told["stream"], "btcusdt@depth@1000ms");
    assert_eq!((&told["data"]["U"], &told["data"]["u"]), (&1.into(), &2.into()));
}

#[test]
fn streams_of_a_connection_are_bounded() {
    let options = Options { streams_max: 2, ..Options::default() };
    let mut venue = Venue::with(&options);
    let client = venue.socket(&["a@trade"]);
    let ask = |names: &str| format!(r#"{{"method":"SUBSCRIBE","params":[{names}],"id":1}}"#);
    let refused = venue.control(&client, &ask(r#""b@trade","c@trade""#));
    assert!(refused.starts_with(r#"{"code":2,"msg":"Invalid request: too many streams"#));
    assert!(refused.ends_with(r#""id":1}"#), "{refused}");
    assert_eq!(venue.streams.list(client.id).len(), 1);
    let taken = venue.control(&client, &ask(r#""b@trade","b@trade","a@trade""#));
    assert_eq!(taken, r#"{"result":null,"id":1}"#);
}

#[test]
fn an_instrument_may_be_subscribed_to_before_it_is_defined() {
    let mut venue = Venue::new();
    let client = venue.socket(&["xrpusdt@trade", "XRPUSDT@trade"]);
    let gone = venue.socket(&["xrpusdt@trade"]);
    venue.streams.disconnect(gone.id);
    let trade = venue.trade(3, 1, 100, 1);
    venue.command(1, &[defined(3, "XRPUSDT"), trade]);
    assert_eq!(client.one()["s"], "XRPUSDT");
    gone.nothing();
    assert!(venue.streams.awaited.values().flatten().all(|it| it.0 == client.id));
}

#[test]
fn nothing_is_left_of_connections_that_ended() {
    let mut venue = Venue::new();
    let names = ["btcusdt@depth", "btcusdt@kline_1m", "!ticker@arr", "none@trade", "0"];
    let clients: Vec<Client> = (0..3).map(|_| venue.socket(&names)).collect();
    assert!(!venue.streams.is_idle());
    for client in &clients {
        venue.streams.disconnect(client.id);
        venue.streams.disconnect(client.id);
    }
    assert!(venue.streams.is_idle());
    assert!(venue.streams.connections.is_empty() && venue.streams.awaited.is_empty());
}

#[test]
fn a_client_that_does_not_read_is_closed_and_the_others_go_on() {
    let mut venue = Venue::new();
    let limits = OutboxLimits { messages_max: 3, bytes_max: 1 << 20 };
    let slow = Arc::new(Outbox::new(limits));
    let id = venue.streams.connect(Arc::clone(&slow), TimeUnit::Millisecond, false);
    venue.streams.subscribe(id, &[named("btcusdt@trade")], &venue.market).unwrap();
    let good = venue.socket(&["btcusdt@trade"]);
    for aggregate in 1..=4 {
        let trade = venue.trade(1, aggregate, 100, 1);
        venue.command(1, &[trade]);
    }
    assert_eq!(slow.drain(&mut Vec::new()), Some(Close::TooSlow));
    assert_eq!(good.messages().len(), 4);
}

#[test]
fn the_end_is_told_to_everybody() {
    let mut venue = Venue::new();
    let raw = venue.socket(&[]);
    let wrapped = venue.client(&[], TimeUnit::Microsecond, true);
    venue.streams.shut_down(Stamp(BEGIN));
    let mut messages = Vec::new();
    assert_eq!(raw.outbox.drain(&mut messages), Some(Close::ShuttingDown));
    assert_eq!(messages[0].as_str(), "{\"e\":\"serverShutdown\",\"E\":1700000000000}");
    assert_eq!(
        wrapped.texts()[0].as_str(),
        "{\"stream\":\"!serverShutdown\",\"data\":{\"e\":\"serverShutdown\",\
         \"E\":1700000000000000}}"
    );
    let late = venue.socket(&["btcusdt@trade"]);
    assert_eq!(late.one()["e"], "serverShutdown");
    assert!(late.outbox.is_closed());
}
