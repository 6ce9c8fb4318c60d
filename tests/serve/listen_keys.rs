//! Listen keys, which the venue has retired: refused as retired, and served behind the switch in
//! the way in which old bots use them.

use serde_json::json;

use super::api::Trader;
use super::child::{Server, Setting};
use super::http::{Http, Reply};
use super::socket::Socket;

const PATH: &str = "/api/v3/userDataStream";

fn ask(server: &Server, verb: &str, key: &str, query: &str) -> Reply {
    let target = format!("{PATH}{query}");
    Http::new(&server.http).request(verb, &target, &[("X-MBX-APIKEY", key)], "")
}

#[test]
fn listen_keys_are_retired_unless_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "");
    let server = setting.start();
    let key = server.key("demo-a", &["TRADE", "USER_DATA"]);
    assert_eq!(ask(&server, "POST", &key.key, "").refusal(), (410, -1020));
    let mut api = Socket::open(&server.ws, "/ws-api/v3");
    let refused = api.call("userDataStream.start", &json!({ "apiKey": key.key }));
    assert_eq!(refused["error"]["code"], -1020, "{refused}");
    server.stop();

    let server = setting.set("server.listen_keys", "true").start();
    let mut trader = Trader::new(&server, &key);
    let listen_key = |reply: Reply| reply.ok()["listenKey"].as_str().unwrap().to_owned();
    let first = listen_key(ask(&server, "POST", &key.key, ""));
    assert_eq!(first, listen_key(ask(&server, "POST", &key.key, "")), "asked again");
    assert!(first.len() == 60 && first.bytes().all(|it| it.is_ascii_alphanumeric()), "{first}");
    let query = format!("?listenKey={first}");
    assert_eq!(ask(&server, "PUT", &key.key, &query).ok(), json!({}));
    assert_eq!(ask(&server, "PUT", &key.key, "?listenKey=x").refusal(), (400, -1125));
    assert_eq!(ask(&server, "PUT", &key.key, "").refusal(), (400, -1102));
    assert_eq!(ask(&server, "POST", "nobody", "").refusal(), (401, -2015));
    let stranger = server.key("demo-b", &["USER_DATA"]);
    assert_eq!(ask(&server, "DELETE", &stranger.key, &query).refusal(), (400, -1125));

    let mut socket = Socket::open(&server.ws, &format!("/ws/{first}"));
    let placed = trader.limit("LTCUSDT", "BUY", "1", "90").ok();
    let report = socket.next();
    assert_eq!((&report["e"], &report["x"]), (&json!("executionReport"), &json!("NEW")));
    assert_eq!(report["i"], placed["orderId"]);
    assert_eq!(socket.next()["e"], "outboundAccountPosition");
    // Old clients also subscribe to it, alone or among other streams.
    let mut streams = Socket::open(&server.ws, "/ws");
    streams.send(json!({ "method": "SUBSCRIBE", "params": [first], "id": 1 }).to_string());
    assert_eq!(streams.next(), json!({ "result": null, "id": 1 }));
    let path = format!("/stream?streams=ltcusdt@trade/{first}");
    let mut combined = Socket::open(&server.ws, &path);
    combined.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#);
    assert_eq!(combined.next(), json!({ "result": ["ltcusdt@trade", first], "id": 2 }));
    trader.limit("LTCUSDT", "BUY", "1", "91").ok();
    assert_eq!(streams.next()["e"], "executionReport");
    let wrapped = combined.next();
    assert_eq!((&wrapped["stream"], &wrapped["data"]["x"]), (&json!(first), &json!("NEW")));
    assert_eq!(ask(&server, "DELETE", &key.key, &query).ok(), json!({}));
    assert_eq!(ask(&server, "PUT", &key.key, &query).refusal(), (400, -1125));
    // Whoever listens with it is told, and the connection ends.
    for socket in [&mut socket, &mut streams, &mut combined] {
        let (messages, code, _) = socket.until_closed();
        let last = messages.last().map(|it| if it["data"].is_null() { it } else { &it["data"] });
        assert_eq!(last.map(|it| &it["e"]), Some(&json!("eventStreamTerminated")), "{messages:?}");
        assert_eq!(code, 1008);
    }
    server.stop();
}
