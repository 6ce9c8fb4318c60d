//! REST requests that are malformed, oversized, unsigned, stale or unknown: each gets the venue's
//! code with the right HTTP status, and changes nothing.

use serde_json::{Value, json};

use super::api::{Trader, now_ms};
use super::child::{Server, Setting};
use super::http::{Http, Reply};

const ORDER: &str = "/api/v3/order";
/// A good order, as parameters.
const GOOD: &str = "symbol=LTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=90";

/// How a request shows who sent it.
#[derive(Debug, Clone, Copy)]
enum Signed {
    Rightly,
    /// With a timestamp that many milliseconds from now.
    At(i64),
    /// With a signature of something else.
    Wrongly,
    NotAtAll,
}

struct Table {
    server: Server,
    trader: Trader,
}

impl Table {
    /// Sends parameters as they are, with timestamp and signature behind them.
    fn send(&mut self, verb: &str, path: &str, query: &str, signed: Signed) -> Reply {
        let ahead = if let Signed::At(ahead) = signed { ahead } else { 0 };
        let timestamp = now_ms().saturating_add_signed(ahead);
        let separator = if query.is_empty() { "" } else { "&" };
        let payload = format!("{query}{separator}timestamp={timestamp}");
        let signature = match signed {
            Signed::Rightly | Signed::At(_) => self.trader.sign(&payload),
            Signed::Wrongly => self.trader.sign("something else"),
            Signed::NotAtAll => String::new(),
        };
        let target = match signed {
            Signed::NotAtAll => format!("{path}?{query}"),
            _ => format!("{path}?{payload}&signature={signature}"),
        };
        let key = self.trader.key.clone();
        self.trader.http.request(verb, &target, &[("X-MBX-APIKEY", &key)], "")
    }

    #[track_caller]
    fn check(&mut self, request: (&str, &str, &str), signed: Signed, expected: (u16, i64)) {
        let (verb, path, query) = request;
        let reply = self.send(verb, path, query, signed);
        assert_eq!(reply.refusal(), expected, "{verb} {path}?{query}: {}", reply.text);
    }

    /// A new order with one of the good one's parameters changed.
    #[track_caller]
    fn check_order(&mut self, part: &str, instead: &str, expected: (u16, i64)) {
        assert!(GOOD.contains(part), "{part}");
        let query = GOOD.replace(part, instead);
        self.check(("POST", ORDER, &query), Signed::Rightly, expected);
    }
}

#[test]
fn a_bad_request_gets_the_venues_code_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setting::quiet(folder.path(), "").start();
    let trader = server.trader("demo-a");
    let mut table = Table { server, trader };
    let before = state(&table.server);
    unknown_paths_and_verbs(&mut table);
    names_and_values(&mut table);
    keys_and_signatures(&mut table);
    orders_that_are_refused(&mut table);
    too_large(&mut table);
    not_http(&table.server);
    assert_eq!(table.trader.get("/api/v3/openOrders", &[]), json!([]));
    assert_eq!(table.trader.get("/api/v3/allOrders", &[("symbol", "LTCUSDT")]), json!([]));
    assert_eq!(state(&table.server), before, "something was changed");
    encodings_that_are_good(&mut table);
    table.server.stop();
}

/// Balances of everybody, and the ids that the books have given.
fn state(server: &Server) -> (Value, Value) {
    let accounts = server.admin("GET", "accounts", &Value::Null).ok();
    (accounts, Http::new(&server.http).get("/api/v3/depth?symbol=LTCUSDT").ok())
}

fn unknown_paths_and_verbs(table: &mut Table) {
    for path in [
        "/",
        "/api",
        "/api/v3",
        "/api/v3/nothing",
        "/api/v3/order/",
        "/sapi/v1/nothing",
        "/%2e%2e/x",
    ] {
        table.check(("GET", path, ""), Signed::Rightly, (404, -1000));
    }
    for (verb, path) in [
        ("POST", "/api/v3/time"),
        ("PATCH", ORDER),
        ("PUT", "/api/v3/depth"),
        ("DELETE", "/api/v3/account"),
    ] {
        table.check((verb, path, ""), Signed::Rightly, (405, -1020));
    }
    let mut http = Http::new(&table.server.http);
    let sbe = [("Accept", "application/sbe"), ("X-MBX-SBE", "3:1")];
    assert_eq!(http.request("GET", "/api/v3/time", &sbe, "").status, 406);
    let both = [("Accept", "application/sbe, application/json")];
    http.request("GET", "/api/v3/time", &both, "").ok();
    let unit = [("X-MBX-TIME-UNIT", "FORTNIGHT")];
    assert_eq!(http.request("GET", "/api/v3/time", &unit, "").refusal(), (400, -1194));
    let unit = [("X-MBX-TIME-UNIT", "microsecond")];
    let time = http.request("GET", "/api/v3/time", &unit, "").ok();
    assert!(time["serverTime"].as_u64().unwrap() > 1_000_000_000_000_000, "{time}");
    assert_eq!(http.get("/ws-api/v3").status, 426);
    let preflight = http.request("OPTIONS", ORDER, &[], "");
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-origin")),
        (204, Some("*"))
    );
}

fn names_and_values(table: &mut Table) {
    let mut check = |path: &str, query: &str, expected| {
        table.check(("GET", path, query), Signed::NotAtAll, expected);
    };
    check("/api/v3/depth", "", (400, -1102));
    check("/api/v3/depth", "symbol=", (400, -1102));
    check("/api/v3/depth", "symbol=NOTHING", (400, -1121));
    check("/api/v3/depth", "symbol=ltcusdt", (400, -1100));
    check("/api/v3/depth", "symbol=LTC%20USDT", (400, -1100));
    check("/api/v3/depth", "symbol=LTCUSDT&limit=abc", (400, -1100));
    check("/api/v3/depth", "symbol=LTCUSDT&limit=-1", (400, -1100));
    check("/api/v3/depth", "symbol=LTCUSDT&limit=99999999999999999999", (400, -1108));
    check("/api/v3/depth", "symbol=LTCUSDT&x=1", (400, -1104));
    check("/api/v3/depth", "symbol=LTCUSDT&symbol=BTCUSDT", (400, -1101));
    check("/api/v3/depth", "symbol=%", (400, -1100));
    check("/api/v3/depth", "symbol=%FF%FE", (400, -1100));
    check("/api/v3/ping", "x=1", (400, -1101));
    check("/api/v3/klines", "symbol=LTCUSDT&interval=7m", (400, -1120));
    check("/api/v3/ticker/24hr", "symbol=LTCUSDT&symbols=%5B%22BTCUSDT%22%5D", (400, -1128));
    check("/api/v3/ticker/24hr", "symbols=LTCUSDT", (400, -1100));
    let many: Vec<String> = (0..70).map(|it| format!("p{it}=1")).collect();
    check("/api/v3/depth", &many.join("&"), (400, -1101));
}

fn keys_and_signatures(table: &mut Table) {
    let account = ("GET", "/api/v3/account", "");
    table.check(account, Signed::Wrongly, (400, -1022));
    table.check(account, Signed::NotAtAll, (400, -1102));
    table.check(account, Signed::At(-6_000), (400, -1021));
    table.check(account, Signed::At(5_000), (400, -1021));
    table.check(("GET", "/api/v3/account", "recvWindow=60001"), Signed::Rightly, (400, -1102));
    table.check(("GET", "/api/v3/account", "recvWindow=abc"), Signed::Rightly, (400, -1100));
    table.check(("POST", ORDER, GOOD), Signed::Wrongly, (400, -1022));
    table.check(("POST", ORDER, GOOD), Signed::At(-60_000), (400, -1021));
    table.check(("DELETE", ORDER, "symbol=LTCUSDT&orderId=1"), Signed::At(-60_000), (400, -1021));
    let good = std::mem::replace(&mut table.trader.key, "x".repeat(64));
    table.check(account, Signed::Rightly, (401, -2015));
    for wrong in ["", "two words", &"x".repeat(65)] {
        wrong.clone_into(&mut table.trader.key);
        table.check(account, Signed::Rightly, (401, -2014));
    }
    table.trader.key = good;
    let target = format!("/api/v3/account?{}", table.trader.signed(&[], now_ms()));
    let no_header = table.trader.http.get(&target);
    assert_eq!(no_header.refusal(), (401, -2014));
    for (permission, path, verb, query) in
        [("USER_DATA", ORDER, "POST", GOOD), ("TRADE", "/api/v3/account", "GET", "")]
    {
        let key = table.server.key("demo-b", &[permission]);
        let half = Trader::new(&table.server, &key);
        let whole = std::mem::replace(&mut table.trader, half);
        table.check((verb, path, query), Signed::Rightly, (401, -2015));
        table.trader = whole;
    }
}

fn orders_that_are_refused(table: &mut Table) {
    for name in ["symbol=LTCUSDT&", "side=BUY&", "type=LIMIT&"] {
        table.check_order(name, "", (400, -1102));
    }
    for (name, code) in [("timeInForce=GTC&", -1102), ("quantity=1&", -1102), ("&price=90", -1102)]
    {
        table.check_order(name, "", (400, code));
    }
    table.check_order("LTCUSDT", "LTCUSDC", (400, -1121));
    table.check_order("BUY", "HOLD", (400, -1117));
    table.check_order("LIMIT", "MAYBE", (400, -1116));
    table.check_order("GTC", "ABC", (400, -1115));
    table.check_order("price=90", "price=1e2", (400, -1100));
    table.check_order("price=90", "price=-90", (400, -1100));
    table.check_order("price=90", "price=90.000000001", (400, -1111));
    table.check_order("price=90", "price=99999999999999", (400, -1108));
    table.check_order("price=90", "price=90.005", (400, -1013));
    table.check_order("price=90", "price=1", (400, -1013));
    table.check_order("quantity=1", "quantity=0", (400, -1013));
    table.check_order("quantity=1", "quantity=0.0005", (400, -1013));
    table.check_order("quantity=1", "quantity=0.01", (400, -1013));
    table.check_order("quantity=1", "quantity=800000", (400, -1013));
    let poor = GOOD.replace("BUY", "SELL").replace("quantity=1", "quantity=30000");
    table.check(("POST", ORDER, &poor), Signed::Rightly, (400, -2010));
    table.check_order("price=90", "price=90&icebergQty=1.5", (400, -2010));
    table.check_order("price=90", "price=90&newClientOrderId=%C3%A9", (400, -1100));
    let long = format!("price=90&newClientOrderId={}", "x".repeat(37));
    table.check_order("price=90", &long, (400, -1100));
    table.check_order("price=90", "price=90&unknown=1", (400, -1104));
    table.check_order("price=90", "price=90&price=90", (400, -1101));
    let one = "symbol=LTCUSDT&orderId=123456";
    table.check(("GET", ORDER, one), Signed::Rightly, (400, -2013));
    table.check(("DELETE", ORDER, one), Signed::Rightly, (400, -2011));
    table.check(("DELETE", ORDER, "symbol=LTCUSDT"), Signed::Rightly, (400, -1102));
    table.check(("DELETE", "/api/v3/openOrders", "symbol=LTCUSDT"), Signed::Rightly, (400, -2011));
}

fn too_large(table: &mut Table) {
    let large = "x".repeat(100_000);
    let key = table.trader.key.clone();
    let header = [("X-MBX-APIKEY", &*key)];
    let reply = table.trader.http.request("POST", ORDER, &header, &large);
    assert_eq!((reply.status, reply.refusal().0), (413, 413));
    // Whichever part of the server it is that has enough.
    let reply =
        table.trader.http.request("GET", &format!("{ORDER}?x={}", &large[..70_000]), &[], "");
    assert!(matches!(reply.status, 400 | 414 | 431), "{}", reply.status);
    // The next request is as good as ever.
    table.trader.get("/api/v3/account", &[]);
}

/// Bytes that are no HTTP at all get an answer or the end, and hurt nobody else.
fn not_http(server: &Server) {
    use std::io::{Read, Write};
    let host = server.http.trim_start_matches("http://");
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\xFF\xFE: 1\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut stream = super::http::connect(host).unwrap();
        // The server may have hung up before all of it was written.
        let _ = stream.get_mut().write_all(bytes);
        let _ = stream.get_mut().shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    Http::new(&server.http).get("/api/v3/ping").ok();
}

/// Parameters in the query, in the body, and in both.
fn encodings_that_are_good(table: &mut Table) {
    let key = table.trader.key.clone();
    let headers = [("X-MBX-APIKEY", &*key), ("Content-Type", "application/x-www-form-urlencoded")];
    let query = GOOD.split_at(GOOD.find("&quantity").unwrap());
    let (first, second) = (query.0, query.1.trim_start_matches('&'));
    for (before, behind) in [(GOOD, ""), ("", GOOD), (first, second)] {
        let tail = format!("timestamp={}&recvWindow=5000.5", now_ms());
        let behind = [behind, &tail].into_iter().filter(|it| !it.is_empty());
        let behind = behind.collect::<Vec<_>>().join("&");
        let signature = table.trader.sign(&format!("{before}{behind}"));
        let body = format!("{behind}&signature={signature}");
        let target = format!("{ORDER}?{before}");
        let placed = table.trader.http.request("POST", &target, &headers, &body).ok();
        assert_eq!(placed["status"], "NEW");
    }
    let canceled = table.trader.call("DELETE", "/api/v3/openOrders", &[("symbol", "LTCUSDT")]).ok();
    assert_eq!(canceled.as_array().map(Vec::len), Some(3));
}
