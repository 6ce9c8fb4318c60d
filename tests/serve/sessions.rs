//! How connections and sessions end: with their key, by the client's close, at a message that cannot
//! be read, and when nothing moves on them.

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::api::now_ms;
use super::child::{PATIENCE, Server, Setting};
use super::events::Events;
use super::http::{Http, connect};
use super::socket::{Got, Socket};

#[test]
fn a_session_ends_with_its_key_and_a_socket_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setting::quiet(folder.path(), "").start();
    a_key_of_the_same_text_is_another_key(&server);
    a_key_that_may_not_listen_hears_nothing_more(&server);
    pipelined_requests_all_have_answers(&server);
    a_close_is_answered(&server);
    too_long_is_told(&server);
    server.stop();
}

#[track_caller]
fn is_terminated(socket: &mut Socket) {
    let notice = socket.next();
    assert_eq!(notice["event"]["e"], "eventStreamTerminated", "{notice}");
}

fn a_key_of_the_same_text_is_another_key(server: &Server) {
    let key = server.key("demo-a", &["TRADE", "USER_DATA"]);
    let mut asking = server.logged_on(&key);
    asking.ok("userDataStream.subscribe", &json!({}));
    let mut trading = server.logged_on(&key);
    server.admin("DELETE", &format!("keys/{}", key.key), &Value::Null).ok();
    is_terminated(&mut asking);
    let again = json!({
        "key": key.key, "secret": "another", "permissions": ["TRADE", "USER_DATA"],
    });
    server.admin("POST", "accounts/demo-b/keys", &again).ok();

    let refused = |socket: &mut Socket, method: &str, more: &Value| {
        let mut parameters = more.clone();
        parameters["timestamp"] = json!(now_ms());
        let answer = socket.call(method, &parameters);
        let told = (&answer["status"], &answer["error"]["code"]);
        assert_eq!(told, (&json!(401), &json!(-2015)), "{method}: {answer}");
    };
    refused(&mut asking, "account.status", &json!({}));
    let order = json!({
        "symbol": "LTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": "1", "price": "90",
    });
    refused(&mut trading, "order.place", &order);
    let mut other = server.logged_on(&clients::Credentials::new(&*key.key, "another"));
    let open = other.ok("openOrders.status", &json!({ "timestamp": now_ms() }));
    assert_eq!(open, json!([]));
}

fn a_key_that_may_not_listen_hears_nothing_more(server: &Server) {
    let key = server.key("demo-a", &["TRADE", "USER_DATA"]);
    let mut socket = server.logged_on(&key);
    socket.ok("userDataStream.subscribe", &json!({}));
    let path = format!("keys/{}", key.key);
    server.admin("PUT", &path, &json!({ "permissions": ["TRADE"] })).ok();
    is_terminated(&mut socket);
}

fn pipelined_requests_all_have_answers(server: &Server) {
    let mut socket = Socket::open(&server.ws, "/ws-api/v3");
    for id in 0..20 {
        socket.send(format!("{{\"id\":{id},\"method\":\"exchangeInfo\"}}"));
    }
    for id in 0..20 {
        let answer = socket.next();
        assert_eq!((&answer["id"], &answer["status"]), (&json!(id), &json!(200)));
    }
}

fn a_close_is_answered(server: &Server) {
    for path in ["/ws-api/v3", "/ws/ltcusdt@trade"] {
        let mut socket = Socket::open(&server.ws, path);
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        socket.try_send(Message::Close(Some(frame))).unwrap();
        let answered = socket.next_within(PATIENCE);
        assert!(matches!(answered, Got::Closed(1000, _)), "{path}: {answered:?}");
        // And no reset after it.
        let over = Got::Closed(0, Error::ConnectionClosed.to_string());
        assert_eq!(socket.next_within(PATIENCE), over, "{path}");
    }
}

fn too_long_is_told(server: &Server) {
    let mut socket = Socket::open(&server.ws, "/ws-api/v3");
    socket.send("x".repeat(100_000));
    let ended = socket.next_within(PATIENCE);
    assert!(matches!(ended, Got::Closed(1003, _)), "{ended:?}");
}

/// Long enough for a busy machine to answer a ping or trade in between.
const IDLE: Duration = Duration::from_millis(1_000);

#[test]
fn a_connection_on_which_nothing_moves_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "");
    let setting = setting.set("server.idle_timeout_ms", &IDLE.as_millis().to_string());
    // A pong counts as a message.
    let setting = setting.set("server.ping_interval_ms", "100");
    let setting = setting.set("server.stream_messages_per_second", "0");
    let server = setting.start();
    let mut trader = server.trader("demo-a");
    let base = server.http.clone();
    let mut events = Events::open(&base, "ltcusdt@depth@100ms", None);
    let mut socket = Socket::open(&server.ws, "/ws/btcusdt@trade");
    let began = Instant::now();
    let idle = ["", "GET /api/v3/ping HTTP/1.1\r\nHo"].map(|sent| {
        let base = base.clone();
        thread::spawn(move || ended_after(&base, sent))
    });
    let mut price = 90;
    while began.elapsed() < 3 * IDLE {
        trader.http = Http::new(&base);
        trader.limit("LTCUSDT", "BUY", "1", &price.to_string()).ok();
        trader.call("DELETE", "/api/v3/openOrders", &[("symbol", "LTCUSDT")]).ok();
        price = 181 - price;
        assert_eq!(socket.next_within(IDLE / 10), Got::Silence);
    }
    for it in idle {
        let after = it.join().unwrap();
        assert!(after >= IDLE, "after {after:?}");
    }
    // All that was sent to the reader is there, and what comes now.
    trader.http = Http::new(&base);
    trader.limit("LTCUSDT", "BUY", "1", "77").ok();
    while !events.next().data.contains("77.00000000") {}
    socket.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#);
    assert_eq!(socket.next()["result"], json!(["btcusdt@trade"]));
    server.stop();
}

/// How long the server bears with a client that says this and nothing more.
fn ended_after(base: &str, sent: &str) -> Duration {
    let began = Instant::now();
    let mut stream = connect(base.trim_start_matches("http://")).unwrap();
    stream.get_mut().write_all(sent.as_bytes()).unwrap();
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("`{sent}`: {error}"),
    }
    began.elapsed()
}
