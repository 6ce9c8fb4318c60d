//! What an operator sets besides accounts and keys: trading rules, phases and their auctions, risk
//! limits, kill switches; and what a client sets for itself: cancel on disconnect.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::api::{Trader, now_ms, rows};
use super::child::{PATIENCE, Server, Setting};
use super::http::Http;
use super::socket::Socket;

const NOTHING: &Value = &Value::Null;

#[test]
fn an_operator_rules_how_and_how_much_is_traded() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "");
    let server = setting.start();
    what_cannot_be_read_changes_nothing(&server);
    an_auction_collects_and_is_uncrossed(&server);
    a_price_too_far_begins_an_auction(&server);
    a_reference_price_bounds_trades(&server);
    a_calendar_is_kept(&server);
    limits_hold_and_go(&server);
    a_kill_switch_cancels_and_refuses(&server);
    an_order_is_replaced(&server);
    server.stop();
    // What was set lasts.
    let server = setting.start();
    let get = |path: &str| server.admin("GET", path, NOTHING).ok();
    assert_eq!(get("instruments/LTCUSDT/rules")["bidLimitMultUp"], "1.2");
    assert_eq!(rows(&get("instruments/LTCUSDT/calendar")["entries"]).len(), 2);
    assert_eq!(get("risk")[0]["openOrdersMax"], 2);
    assert_eq!(get("kill-switch"), json!({ "engaged": false, "accounts": ["demo-b"] }));
    server.stop();
}

fn what_cannot_be_read_changes_nothing(server: &Server) {
    #[track_caller]
    fn check(server: &Server, method: &str, path: &str, body: Value, status: u16) {
        let reply = server.admin(method, path, &body);
        assert_eq!(reply.status, status, "{method} {path} {body}: {}", reply.text);
    }
    let rules = "instruments/LTCUSDT/rules";
    check(server, "PUT", rules, json!({ "bidLimitUp": "1" }), 400);
    check(server, "PUT", rules, json!({ "bidLimitMultUp": 1 }), 400);
    check(server, "PUT", rules, json!({ "bidLimitMultUp": "-1" }), 400);
    check(server, "PUT", rules, json!({ "bucketCount": 5 }), 400);
    check(server, "PUT", rules, json!([]), 400);
    check(server, "PUT", rules, json!({}), 409);
    check(server, "GET", "instruments/NOTHING/rules", Value::Null, 404);
    let calendar = "instruments/LTCUSDT/calendar";
    let entry = json!({ "days": "mon", "time": "25:00", "status": "TRADING" });
    check(server, "PUT", calendar, json!({ "entries": [entry] }), 400);
    check(server, "PUT", "risk", json!({ "account": "nobody", "openOrdersMax": 1 }), 404);
    check(server, "PUT", "risk", json!({ "openOrdersMax": -1 }), 400);
    check(server, "DELETE", "risk", Value::Null, 409);
    check(server, "DELETE", "risk?acount=demo-a", Value::Null, 400);
    check(server, "DELETE", "orders?acount=demo-a", Value::Null, 400);
    check(server, "PUT", "kill-switch", json!({ "engaged": "yes" }), 400);
    check(server, "PUT", "kill-switch", json!({ "engaged": false }), 409);
    check(server, "PUT", "orders/0", json!({ "price": "1", "quantity": "1" }), 404);
    check(server, "GET", "orders/none/life", Value::Null, 404);
    check(server, "GET", "orders/999999/life", Value::Null, 404);
    check(server, "PUT", "orders/999999", json!({ "price": "1", "quantity": "1" }), 404);
    let status = json!({ "status": "VOLATILITY_AUCTION" });
    check(server, "PUT", "instruments/LTCUSDT/status", status, 400);
}

fn set_status(server: &Server, status: &str) {
    let body = json!({ "status": status });
    server.admin("PUT", "instruments/LTCUSDT/status", &body).ok();
}

fn an_auction_collects_and_is_uncrossed(server: &Server) {
    let (mut buyer, mut seller) = (server.trader("demo-a"), server.trader("demo-b"));
    let mut socket = Socket::open(&server.ws, "/stream?streams=ltcusdt@auction");
    set_status(server, "OPENING_AUCTION");
    let mut http = Http::new(&server.http);
    let info = http.get("/api/v3/exchangeInfo?symbol=LTCUSDT").ok();
    assert_eq!(info["symbols"][0]["status"], "AUCTION_MATCH");
    buyer.limit("LTCUSDT", "BUY", "3", "101").ok();
    seller.limit("LTCUSDT", "SELL", "2", "99").ok();
    let told = socket.find(|it| it["data"]["q"] == "2.00000000");
    let told = &told["data"];
    assert_eq!((&told["S"], &told["Q"]), (&json!("BUY"), &json!("1.00000000")), "{told}");
    assert_eq!((&told["st"], &told["x"]), (&json!("OPENING_AUCTION"), &json!(false)));
    let shown = http.get("/api/v3/auction?symbol=LTCUSDT").ok();
    assert_eq!(
        (&shown["auction"]["isRunning"], &shown["auction"]["price"]),
        (&json!(true), &told["p"])
    );
    set_status(server, "TRADING");
    let last = socket.find(|it| it["data"]["x"] == true);
    assert_eq!(
        (&last["data"]["q"], &last["data"]["st"]),
        (&json!("2.00000000"), &json!("TRADING"))
    );
    let trades = http.get("/api/v3/trades?symbol=LTCUSDT").ok();
    assert_eq!(trades[0]["price"], last["data"]["p"]);
    buyer.call("DELETE", "/api/v3/openOrders", &[("symbol", "LTCUSDT")]).ok();
}

/// The last price is 101.
fn a_price_too_far_begins_an_auction(server: &Server) {
    let (mut buyer, mut seller) = (server.trader("demo-a"), server.trader("demo-b"));
    let band = |band: &str| {
        let rules = json!({ "volatilityBand": band, "volatilityAuctionSeconds": 1 });
        server.admin("PUT", "instruments/LTCUSDT/rules", &rules).ok();
    };
    band("0.02");
    seller.limit("LTCUSDT", "SELL", "1", "105").ok();
    let market = [("symbol", "LTCUSDT"), ("side", "BUY"), ("type", "MARKET"), ("quantity", "1")];
    let expired = buyer.call("POST", "/api/v3/order", &market).ok();
    assert_eq!(
        (&expired["status"], &expired["expiryReason"]),
        (&json!("EXPIRED"), &json!("EXCHANGE_CANCELED")),
        "{expired}"
    );
    let taken = buyer.limit("LTCUSDT", "BUY", "1", "106").ok();
    assert_eq!((&taken["status"], &taken["fills"]), (&json!("NEW"), &json!([])), "{taken}");
    let asked = [("symbol", "LTCUSDT"), ("orderId", &*taken["orderId"].to_string())];
    let deadline = Instant::now() + PATIENCE;
    while buyer.get("/api/v3/order", &asked)["status"] != "FILLED" {
        assert!(Instant::now() < deadline, "the auction does not end");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let info = Http::new(&server.http).get("/api/v3/exchangeInfo?symbol=LTCUSDT").ok();
    assert_eq!(info["symbols"][0]["status"], "TRADING");
    band("0");
}

fn a_reference_price_bounds_trades(server: &Server) {
    let mut http = Http::new(&server.http);
    let none = http.get("/api/v3/referencePrice?symbol=LTCUSDT");
    assert_eq!(none.refusal(), (400, -2043));
    let rules = json!({ "referencePrice": "100", "bidLimitMultUp": "1.2" });
    let set = server.admin("PUT", "instruments/LTCUSDT/rules", &rules).ok();
    assert_eq!((&set["referencePrice"], &set["volatilityBand"]), (&json!("100"), &json!("0")));
    let shown = http.get("/api/v3/referencePrice?symbol=LTCUSDT").ok();
    assert_eq!(shown["referencePrice"], "100.00000000");
    let shown = http.get("/api/v3/executionRules?symbol=LTCUSDT").ok();
    let rule = json!({ "ruleType": "PRICE_RANGE", "bidLimitMultUp": "1.2000" });
    let expected = json!({ "symbolRules": [{ "symbol": "LTCUSDT", "rules": [rule] }] });
    assert_eq!(shown, expected);
    let (mut buyer, mut seller) = (server.trader("demo-a"), server.trader("demo-b"));
    seller.limit("LTCUSDT", "SELL", "1", "121").ok();
    let expired = buyer.limit("LTCUSDT", "BUY", "1", "121").ok();
    assert_eq!(expired["status"], "EXPIRED", "{expired}");
    seller.call("DELETE", "/api/v3/openOrders", &[("symbol", "LTCUSDT")]).ok();
}

fn a_calendar_is_kept(server: &Server) {
    // Far from any time at which this runs: nothing changes by itself here.
    let entries = json!([
        { "days": "mon-fri", "time": "09:00:00", "status": "TRADING" },
        { "days": "sat,sun", "time": "12:00:00", "status": "TRADING" },
    ]);
    let body = json!({ "entries": entries });
    assert_eq!(server.admin("PUT", "instruments/LTCUSDT/calendar", &body).ok(), body);
    assert_eq!(server.admin("GET", "instruments/LTCUSDT/calendar", NOTHING).ok(), body);
}

fn limits_hold_and_go(server: &Server) {
    let limits = json!({ "account": "demo-a", "symbol": "LTCUSDT", "openOrdersMax": 2 });
    server.admin("PUT", "risk", &limits).ok();
    let mut trader = server.trader("demo-a");
    trader.limit("LTCUSDT", "BUY", "1", "90").ok();
    trader.limit("LTCUSDT", "BUY", "1", "91").ok();
    let refused = trader.limit("LTCUSDT", "BUY", "1", "92");
    assert_eq!(refused.refusal(), (400, -2010), "{}", refused.text);
    server.admin("DELETE", "risk?account=demo-a&symbol=LTCUSDT", NOTHING).ok();
    assert_eq!(server.admin("GET", "risk", NOTHING).ok(), json!([]));
    trader.limit("LTCUSDT", "BUY", "1", "92").ok();
    server.admin("PUT", "risk", &limits).ok();
    assert_eq!(server.admin("DELETE", "orders", NOTHING).ok()["canceled"], 3);
}

fn a_kill_switch_cancels_and_refuses(server: &Server) {
    let (mut a, mut b) = (server.trader("demo-a"), server.trader("demo-b"));
    a.limit("LTCUSDT", "BUY", "1", "90").ok();
    b.limit("LTCUSDT", "BUY", "1", "90").ok();
    let engaged = json!({ "engaged": true });
    server.admin("PUT", "accounts/demo-b/kill-switch", &engaged).ok();
    assert_eq!(open(&mut b), 0);
    assert_eq!(open(&mut a), 1);
    assert_eq!(b.limit("LTCUSDT", "BUY", "1", "90").refusal(), (400, -2010));
    server.admin("PUT", "kill-switch", &engaged).ok();
    assert_eq!(open(&mut a), 0);
    assert_eq!(a.limit("LTCUSDT", "BUY", "1", "90").refusal(), (400, -2010));
    server.admin("PUT", "kill-switch", &json!({ "engaged": false })).ok();
    a.limit("LTCUSDT", "BUY", "1", "90").ok();
    a.call("DELETE", "/api/v3/openOrders", &[("symbol", "LTCUSDT")]).ok();
}

fn an_order_is_replaced(server: &Server) {
    let mut trader = server.trader("demo-a");
    let order = trader.limit("LTCUSDT", "BUY", "1", "90").ok()["orderId"].to_string();
    let terms = json!({ "price": "89", "quantity": "2" });
    let replaced = server.admin("PUT", &format!("orders/{order}"), &terms).ok();
    assert_eq!(
        (&replaced["symbol"], &replaced["price"]),
        (&json!("LTCUSDT"), &json!("89.00000000"))
    );
    let depth = Http::new(&server.http).get("/api/v3/depth?symbol=LTCUSDT").ok();
    assert_eq!(depth["bids"], json!([["89.00000000", "2.00000000"]]));
    let life = server.admin("GET", &format!("orders/{order}/life"), NOTHING).ok();
    let told = &life["orders"][0];
    assert_eq!(
        (told["orderId"].to_string(), &told["symbol"]),
        (order, &json!("LTCUSDT")),
        "{life}"
    );
    server.admin("DELETE", "orders?account=demo-a&symbol=LTCUSDT", NOTHING).ok();
    assert_eq!(open(&mut trader), 0);
}

fn open(trader: &mut Trader) -> usize {
    rows(&trader.get("/api/v3/openOrders", &[])).len()
}

#[track_caller]
fn until_open(trader: &mut Trader, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while open(trader) != count {
        assert!(Instant::now() < deadline, "{} are open, not {count}", open(trader));
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_connection_that_ends_takes_its_orders_along() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setting::quiet(folder.path(), "").start();
    let key = server.key("demo-a", &["TRADE", "USER_DATA"]);
    // It looks often.
    let mut trader = server.trader("demo-a");
    let logged_on = |asked: Option<bool>, path: &str| {
        let mut socket = Socket::open(&server.ws, path);
        let mut parameters: Vec<(&str, String)> =
            vec![("apiKey", key.key.clone()), ("timestamp", now_ms().to_string())];
        if let Some(asked) = asked {
            parameters.push(("cancelOnDisconnect", asked.to_string()));
        }
        parameters.sort();
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={value}"));
        let payload = pairs.collect::<Vec<_>>().join("&");
        let mut all: serde_json::Map<String, Value> =
            parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        all.insert("signature".to_owned(), key.sign_text(&payload).into());
        (socket.ok("session.logon", &all.into()), socket)
    };
    let place = |socket: &mut Socket| {
        let order = json!({
            "symbol": "LTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
            "quantity": "1", "price": "90", "timestamp": now_ms(),
        });
        socket.ok("order.place", &order);
    };
    // Nothing was asked for.
    let (status, mut socket) = logged_on(None, "/ws-api/v3");
    assert_eq!(status.get("cancelOnDisconnect"), None);
    place(&mut socket);
    drop(socket);
    // By the logon: cut without a word.
    let (status, mut socket) = logged_on(Some(true), "/ws-api/v3");
    assert_eq!(status["cancelOnDisconnect"], true);
    place(&mut socket);
    assert_eq!(open(&mut trader), 2, "the other connection's stays until then");
    drop(socket);
    until_open(&mut trader, 0);
    // By the URL: a close frame.
    let (_, mut socket) = logged_on(None, "/ws-api/v3?cancelOnDisconnect=true");
    place(&mut socket);
    socket.try_send(Message::Close(None)).unwrap();
    until_open(&mut trader, 0);
    // Taken back.
    let (_, mut socket) = logged_on(Some(false), "/ws-api/v3?cancelOnDisconnect=true");
    let refused = Socket::try_open(&server.ws, "/ws-api/v3?cancelOnDisconnect=yes");
    assert!(refused.is_err_and(|it| it.starts_with("400")));
    drop(socket.call("ping", &json!({})));
    let all = trader.call("GET", "/api/v3/allOrders", &[("symbol", "LTCUSDT")]).ok();
    assert!(rows(&all).iter().all(|order| order["status"] == "CANCELED"), "{all}");
    server.stop();
}
