//! Rate limits: what is used is shown, too much is refused, and who does not back off is banned
//! until the operator lifts it.

use serde_json::{Value, json};

use super::api::{Trader, rows};
use super::child::Setting;
use super::http::Http;
use super::socket::Socket;

const LIMITS: &str = r#"
[[rate_limit]]
kind = "REQUEST_WEIGHT"
interval = "DAY"
count = 1
limit = 200

[[rate_limit]]
kind = "REQUEST_WEIGHT"
interval = "MINUTE"
count = 1
limit = 100000

[[rate_limit]]
kind = "ORDERS"
interval = "SECOND"
count = 10
enabled = false

[[rate_limit]]
kind = "ORDERS"
interval = "DAY"
count = 1
limit = 3
"#;

#[test]
fn too_much_is_refused_then_banned_and_the_operator_lifts_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setting::quiet(folder.path(), LIMITS).start();
    let mut a = Trader::new(&server, &server.key("demo-a", &["TRADE", "USER_DATA"]));
    let mut other = Trader::new(&server, &server.key("demo-b", &["TRADE", "USER_DATA"]));
    let mut free = server.trader("demo-b");
    limits_are_shown(&server.http);

    let account = |trader: &mut Trader| trader.call("GET", "/api/v3/account", &[]);
    for count in 1..=10 {
        let reply = account(&mut a);
        reply.ok();
        let weight = (count * 20).to_string();
        assert_eq!(reply.header("x-mbx-used-weight-1d"), Some(&*weight));
        assert!(reply.header("x-mbx-used-weight-1m").is_some());
    }
    for _ in 0..10 {
        let refused = account(&mut a);
        assert_eq!(refused.refusal(), (429, -1003), "{}", refused.text);
        let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&seconds), "{seconds}");
    }
    let banned = account(&mut a);
    assert_eq!(banned.refusal(), (418, -1003), "{}", banned.text);
    assert!(banned.json()["msg"].as_str().unwrap().contains("banned until"), "{}", banned.text);
    assert!(banned.header("retry-after").is_some());
    // Nobody else is held: other keys, addresses without a key, and keys without limits.
    account(&mut other).ok();
    Http::new(&server.http).get("/api/v3/ping").ok();
    for _ in 0..30 {
        account(&mut free).ok();
    }
    let bans = server.admin("GET", "bans", &Value::Null).ok();
    assert_eq!(rows(&bans).iter().map(|it| &it["client"]).collect::<Vec<_>>(), [&json!(a.key)]);
    assert_eq!(server.admin("DELETE", "bans/nobody", &Value::Null).status, 404);
    server.admin("DELETE", &format!("bans/{}", a.key), &Value::Null).ok();
    account(&mut a).ok();
    assert_eq!(server.admin("GET", "bans", &Value::Null).ok(), json!([]));

    orders_are_counted(&mut other, &mut free);
    over_the_socket_too(&server);
    server.stop();
}

fn limits_are_shown(base: &str) {
    let info = Http::new(base).get("/api/v3/exchangeInfo").ok();
    let limits = rows(&info["rateLimits"]);
    let is_there = |kind: &str, interval: &str, number: u64, limit: u64| {
        let expected = json!({
            "rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit,
        });
        assert!(limits.contains(&expected), "no {expected}: {limits:?}");
    };
    is_there("REQUEST_WEIGHT", "DAY", 1, 200);
    is_there("ORDERS", "DAY", 1, 3);
    let is_off = |it: &&Value| it["rateLimitType"] == "ORDERS" && it["interval"] == "SECOND";
    assert_eq!(limits.iter().find(is_off), None);
}

fn orders_are_counted(trader: &mut Trader, free: &mut Trader) {
    for count in 1..=3 {
        let placed = trader.limit("LTCUSDT", "BUY", "1", "90");
        placed.ok();
        assert_eq!(placed.header("x-mbx-order-count-1d"), Some(&*count.to_string()));
    }
    let refused = trader.limit("LTCUSDT", "BUY", "1", "90");
    assert_eq!(refused.refusal(), (429, -1015), "{}", refused.text);
    let text = "Too many new orders; current limit is 3 orders per 1 DAY.";
    assert_eq!(refused.json()["msg"], text);
    // A refused order, and a cancel, cost nothing.
    let canceled = trader.call("DELETE", "/api/v3/openOrders", &[("symbol", "LTCUSDT")]).ok();
    assert_eq!(rows(&canceled).len(), 3);
    let counts = trader.get("/api/v3/rateLimit/order", &[]);
    assert_eq!((rows(&counts).len(), &counts[0]["count"]), (1, &json!(3)));
    for _ in 0..5 {
        free.limit("LTCUSDT", "BUY", "1", "90").ok();
    }
}

fn over_the_socket_too(server: &super::child::Server) {
    let mut socket = Socket::open(&server.ws, "/ws-api/v3");
    // Of the address: 200, and what was spent on it before.
    let answers = (0..200).map(|_| socket.call("exchangeInfo", &json!({})));
    let refused = answers.into_iter().find(|answer| answer["status"] != 200).expect("a refusal");
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!(429), &json!(-1003)));
    assert!(refused["error"]["data"]["retryAfter"].is_u64(), "{refused}");
    // Who asks without a key shares the machine's address; that locks nobody with a key out.
    let mut again = Socket::open(&server.ws, "/ws-api/v3");
    let refused = again.call("ping", &json!({}));
    assert_eq!(refused["error"]["code"], json!(-1003), "{refused}");
    let answers = (0..50).map(|_| again.call("ping", &json!({})));
    let statuses: Vec<Value> = answers.map(|mut answer| answer["status"].take()).collect();
    assert_eq!(statuses.last(), Some(&json!(418)), "never banned: {statuses:?}");
    let mut known = server.logged_on(&server.key("demo-b", &["USER_DATA"]));
    known.ok("account.status", &json!({ "timestamp": super::api::now_ms() }));
}

#[test]
fn connections_and_streams_have_their_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "");
    let setting = setting.set("server.connects_per_five_minutes", "8");
    let setting = setting.set("server.connections_max", "3").set("server.streams_max", "4");
    let server = setting.start();
    let mut open: Vec<Socket> = (0..3).map(|_| Socket::open(&server.ws, "/ws")).collect();
    let refused = Socket::try_open(&server.ws, "/ws").err().unwrap();
    assert!(refused.starts_with("503") && refused.contains("-1034"), "{refused}");
    let names: Vec<String> = (1..=5).map(|it| format!("\"ltcusdt@depth{it}\"")).collect();
    let subscribe = |names: &[String]| {
        format!("{{\"method\":\"SUBSCRIBE\",\"params\":[{}],\"id\":1}}", names.join(","))
    };
    open[0].send(subscribe(&names));
    let answer = open[0].next();
    assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(2), &json!(1)), "{answer}");
    open[0].send(subscribe(&names[..4]));
    assert_eq!(open[0].next(), json!({ "result": null, "id": 1 }));
    open.clear();
    // Four attempts were counted; the server notices by and by that the three are gone.
    let mut refusals = Vec::new();
    for _ in 0..6 {
        refusals.extend(Socket::try_open(&server.ws, "/ws-api/v3").err());
    }
    let last = refusals.last().expect("more than eight attempts");
    assert!(last.starts_with("429") && last.contains("-1034"), "{last}");
    server.stop();
}
