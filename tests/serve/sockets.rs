//! WebSocket connections that send what they should not, or do not read: each gets its answer or
//! its end, and nobody else notices.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::api::now_ms;
use super::child::{PATIENCE, Server, Setting};
use super::socket::{Got, Socket};

#[test]
fn the_websocket_api_answers_whatever_comes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setting::quiet(folder.path(), "").start();
    let mut socket = Socket::open(&server.ws, "/ws-api/v3");
    ids_come_back_as_they_went(&mut socket);
    let mut check = |text: &str, id: Value, code: i64| {
        socket.send(text);
        let answer = socket.next();
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&id, &json!(code)),
            "{text}: {answer}"
        );
        assert!(answer["status"].as_u64().is_some_and(|it| it >= 400), "{answer}");
    };
    let nested = format!("{{\"id\":1,\"method\":\"ping\",\"params\":{}}}", "[".repeat(30_000));
    for garbage in
        ["", " ", "hello", "{", "[", "[]", "7", "null", "\"ping\"", "{\"id\":1,}", &nested]
    {
        check(garbage, Value::Null, -1135);
    }
    for id in
        ["1.5", "true", "[1]", "{}", "99999999999999999999", &format!("\"{}\"", "x".repeat(37))]
    {
        check(&format!("{{\"id\":{id},\"method\":\"ping\"}}"), Value::Null, -1100);
    }
    check(r#"{"id":2}"#, json!(2), -1102);
    check(r#"{"id":3,"method":"nothing.at.all"}"#, json!(3), -1020);
    check(r#"{"id":"a","method":"sor.order.place"}"#, json!("a"), -1020);
    check(r#"{"id":4,"method":"ping","params":[1]}"#, json!(4), -1101);
    check(r#"{"id":5,"method":"ping","params":{"x":1}}"#, json!(5), -1101);
    check(r#"{"id":6,"method":"depth","params":{}}"#, json!(6), -1102);
    check(r#"{"id":7,"method":"depth","params":{"symbol":"NOTHING"}}"#, json!(7), -1121);
    check(r#"{"id":8,"method":"depth","params":{"symbol":"A","symbol":"B"}}"#, json!(8), -1101);
    check(r#"{"id":9,"method":"depth","params":{"symbol":{"a":1}}}"#, json!(9), -1100);
    check(r#"{"id":10,"method":"account.status","params":{"timestamp":1}}"#, json!(10), -1102);
    check(r#"{"id":11,"method":"userDataStream.subscribe"}"#, json!(11), -1002);
    check(r#"{"id":12,"method":"session.logon","params":{"apiKey":"x"}}"#, json!(12), -1102);
    let unknown =
        r#"{"apiKey":"x","signature":"x","timestamp":"#.to_owned() + &now_ms().to_string();
    let logon = format!("{{\"id\":13,\"method\":\"session.logon\",\"params\":{unknown}}}}}");
    check(&logon, json!(13), -2015);
    socket.try_send(Message::binary(vec![0, 159, 146, 150])).unwrap();
    assert_eq!(socket.next()["error"]["code"], -1135);
    socket.ok("ping", &json!({}));
    trades_over_it(&server);
    too_long_is_the_end(&server);
    server.stop();
}

fn ids_come_back_as_they_went(socket: &mut Socket) {
    for id in [
        json!(1),
        json!(-7),
        json!(i64::MAX),
        json!("x"),
        json!("é-\"quoted\""),
        json!(""),
        Value::Null,
    ] {
        for _ in 0..2 {
            socket.send(json!({ "id": id, "method": "v3/time" }).to_string());
            let answer = socket.next();
            assert_eq!((&answer["id"], &answer["status"]), (&id, &json!(200)), "{answer}");
            assert!(answer["rateLimits"].is_array(), "{answer}");
        }
    }
    socket.send(r#"{"method":"ping","params":{"returnRateLimits":false}}"#);
    assert_eq!(socket.next(), json!({ "id": null, "status": 200, "result": {} }));
}

/// Numbers as numbers and as text, signed one by one and by logging on.
fn trades_over_it(server: &Server) {
    let key = server.key("demo-a", &["TRADE", "USER_DATA"]);
    let mut socket = server.logged_on(&key);
    let order = json!({
        "symbol": "LTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": 1, "price": "90.00", "timestamp": now_ms(), "recvWindow": 60_000,
    });
    let placed = socket.ok("order.place", &order);
    assert_eq!(placed["status"], "NEW");
    let id = placed["orderId"].to_string();
    let mut other = Socket::open(&server.ws, "/ws-api/v3");
    let timestamp = now_ms().to_string();
    let named = [
        ("symbol", "LTCUSDT"),
        ("orderId", &*id),
        ("apiKey", &*key.key),
        ("timestamp", &*timestamp),
    ];
    let signature = key.sign(&named);
    let mut parameters: serde_json::Map<String, Value> =
        named.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    parameters.insert("signature".into(), json!(signature));
    let parameters = Value::Object(parameters);
    assert_eq!(other.ok("order.status", &parameters)["orderId"], placed["orderId"]);
    assert_eq!(other.ok("order.cancel", &parameters)["status"], "CANCELED");
    let gone = other.call("order.cancel", &parameters);
    assert_eq!((&gone["status"], &gone["error"]["code"]), (&json!(400), &json!(-2011)));
    let stale = json!({ "symbol": "LTCUSDT", "orderId": id, "timestamp": now_ms() - 10_000 });
    assert_eq!(socket.call("order.status", &stale)["error"]["code"], -1021);
}

/// Messages above the bound end the connection that sent them.
fn too_long_is_the_end(server: &Server) {
    let mut bystander = Socket::open(&server.ws, "/ws-api/v3");
    for path in ["/ws-api/v3", "/ws/ltcusdt@trade", "/stream"] {
        let mut socket = Socket::open(&server.ws, path);
        let text = format!("{{\"id\":1,\"method\":\"ping\",\"x\":\"{}\"}}", "x".repeat(100_000));
        // It may be gone before all is sent.
        let _ = socket.try_send(Message::text(text));
        let ended = socket.next_within(PATIENCE);
        assert!(matches!(ended, Got::Closed(..)), "{path}: {ended:?}");
        bystander.ok("ping", &json!({}));
    }
}

#[test]
fn streams_answer_whatever_comes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setting::quiet(folder.path(), "").start();
    let mut table = Pace { server, socket: None, sent: 0 };
    for garbage in ["", "hello", "{", "[", "{\"id\":1,}"] {
        table.check(garbage, 3, Value::Null);
    }
    for wrong in ["7", "[]", "{}", r#"{"method":"SUBSCRIBE"}"#] {
        table.check(wrong, 2, Value::Null);
    }
    table.check(r#"{"method":"SUBSCRIBE","id":1}"#, 2, json!(1));
    table.check(r#"{"method":"SUBSCRIBE","params":"x","id":"a"}"#, 2, json!("a"));
    table.check(r#"{"method":"SUBSCRIBE","params":["a b"],"id":-2}"#, 2, json!(-2));
    table.check(r#"{"method":"DANCE","params":[],"id":null}"#, 2, Value::Null);
    table.check(r#"{"method":"SET_PROPERTY","params":["fast",true],"id":5}"#, 0, json!(5));
    table.check(r#"{"method":"SET_PROPERTY","params":["combined",1],"id":6}"#, 1, json!(6));
    names_are_listed(&table.server);
    a_quiet_venue_still_sends_what_is_due(&table.server);
    too_many_messages_are_the_end(&table.server);
    table.server.stop();
}

/// Sends no faster than it may, on one connection after another.
struct Pace {
    server: Server,
    socket: Option<Socket>,
    sent: usize,
}

impl Pace {
    #[track_caller]
    fn check(&mut self, text: &str, code: u64, id: Value) {
        if self.sent.is_multiple_of(4) {
            self.socket = Some(Socket::open(&self.server.ws, "/stream?streams=ltcusdt@trade"));
        }
        self.sent += 1;
        let socket = self.socket.as_mut().unwrap();
        socket.send(text);
        let answer = socket.next();
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(code), &id),
            "{text}: {answer}"
        );
        assert_eq!(answer["code"], answer["error"]["code"]);
        assert!(answer["stream"].is_null(), "wrapped: {answer}");
    }
}

fn names_are_listed(server: &Server) {
    let mut socket = Socket::open(&server.ws, "/ws/ltcusdt@trade/0/btcusdt@depth5@100ms");
    socket.send(r#"{"method":"SUBSCRIBE","params":["ethusdt@kline_1m"],"id":"b"}"#);
    assert_eq!(socket.find(|it| it["id"] == "b"), json!({ "result": null, "id": "b" }));
    socket.send(r#"{"method":"UNSUBSCRIBE","params":["ltcusdt@trade","no@trade"],"id":1}"#);
    assert_eq!(socket.find(|it| it["id"] == 1)["result"], Value::Null);
    socket.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#);
    let listed = socket.find(|it| it["id"] == 1 && it["result"].is_array());
    let names = listed["result"].as_array().unwrap();
    assert!(names.contains(&json!("btcusdt@depth5@100ms")), "{listed}");
    assert!(names.contains(&json!("ethusdt@kline_1m")), "{listed}");
    assert!(!names.contains(&json!("ltcusdt@trade")), "{listed}");
    socket.try_send(Message::binary(vec![1, 2, 3])).unwrap();
    assert_eq!(socket.find(|it| it["error"].is_object())["error"]["code"], 3);
}

/// Messages that are due at a moment come at that moment, also when nothing happens after it.
fn a_quiet_venue_still_sends_what_is_due(server: &Server) {
    let mut trader = server.trader("demo-a");
    let mut socket = Socket::open(&server.ws, "/ws/ltcusdt@depth@100ms");
    trader.limit("LTCUSDT", "BUY", "1", "90").ok();
    let Got::Message(update) = socket.next_within(Duration::from_secs(3)) else {
        panic!("no update")
    };
    assert_eq!(
        (&update["e"], &update["b"]),
        (&json!("depthUpdate"), &json!([["90.00000000", "1.00000000"]]))
    );
    trader.call("DELETE", "/api/v3/openOrders", &[("symbol", "LTCUSDT")]).ok();
    assert_eq!(socket.next()["b"], json!([["90.00000000", "0.00000000"]]));
}

fn too_many_messages_are_the_end(server: &Server) {
    let mut patient = Socket::open(&server.ws, "/ws/ltcusdt@trade");
    let mut hasty = Socket::open(&server.ws, "/ws/ltcusdt@trade");
    for id in 0..12 {
        let text = format!("{{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":{id}}}");
        if hasty.try_send(Message::text(text)).is_err() {
            break;
        }
    }
    let (answers, code, reason) = hasty.until_closed();
    assert_eq!((code, &*reason), (1008, "Too many requests"));
    assert_eq!(answers.len(), 5, "five a second are allowed");
    patient.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#);
    assert_eq!(patient.next()["result"], json!(["ltcusdt@trade"]));
}

/// Open connections, as the operator sees them.
fn connections(server: &Server) -> u64 {
    server.admin("GET", "state", &Value::Null).ok()["connections"].as_u64().unwrap()
}

#[test]
fn who_does_not_read_is_cut_off_and_nobody_else_notices() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "");
    let server = setting.set("server.outbox_bytes_max", "65536").start();
    full_queue(&server);
    server.stop();
}

#[test]
fn who_is_silent_and_deaf_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "");
    let setting = setting.set("server.stream_messages_per_second", "0");
    let setting =
        setting.set("server.ping_interval_ms", "500").set("server.pong_timeout_ms", "2000");
    let server = setting.start();
    deaf(&server, "/ws/ltcusdt@trade", |id| {
        format!("{{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":{id}}}")
    });
    deaf(&server, "/ws-api/v3", |id| format!("{{\"id\":{id},\"method\":\"exchangeInfo\"}}"));
    server.stop();
}

/// User data that is not read fills the queue of whoever should read it.
fn full_queue(server: &Server) {
    const ORDERS_MAX: usize = 40_000;
    let key = server.key("demo-a", &["TRADE", "USER_DATA", "UNLIMITED"]);
    let mut listener = server.logged_on(&key);
    listener.ok("userDataStream.subscribe", &json!({}));
    let mut trader = server.logged_on(&key);
    let open = connections(server);
    let mut slowest = Duration::ZERO;
    for count in 0.. {
        assert!(count < ORDERS_MAX, "still connected");
        if count % 100 == 0 && connections(server) < open {
            break;
        }
        let order = json!({
            "symbol": "LTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC",
            "quantity": "1", "price": "90", "timestamp": now_ms(), "recvWindow": 60_000,
        });
        let asked = Instant::now();
        trader.ok("order.place", &order);
        slowest = slowest.max(asked.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "an order took {slowest:?}");
    let (_, code, _) = listener.until_closed();
    assert!(matches!(code, 0 | 1008), "{code}");
}

/// A client that asks and never reads: its answers fill what lies between.
fn deaf(server: &Server, path: &str, request: impl Fn(u64) -> String) {
    let mut bystander = Socket::open(&server.ws, "/ws-api/v3");
    let before = connections(server);
    let mut socket = match path {
        // Else the weight of its requests would soon make the answers short.
        "/ws-api/v3" => server.logged_on(&server.key("demo-a", &["USER_DATA", "UNLIMITED"])),
        _ => Socket::open(&server.ws, path),
    };
    if path.starts_with("/ws/") {
        let names = (0..1_000).map(|it| format!("\"ltcusdt@nothing{it}\"")).collect::<Vec<_>>();
        let params = names.join(",");
        socket.send(format!("{{\"method\":\"SUBSCRIBE\",\"params\":[{params}],\"id\":1}}"));
    }
    socket.set_write_timeout(Duration::from_millis(200));
    for id in 0..50_000 {
        // It takes no more: what it has to say is not read, so it does not listen either.
        if socket.try_send(Message::text(request(id))).is_err() {
            break;
        }
    }
    let deadline = Instant::now() + PATIENCE / 4;
    while connections(server) > before {
        bystander.ok("ping", &json!({}));
        assert!(Instant::now() < deadline, "{path}: still connected");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
