//! Orders at the edges of what is kept and sent: older than the closed ones that are kept, against
//! thousands of makers, ended against an own order by quote quantity.

use serde_json::{Value, json};

use super::api::{Trader, now_ms, rows, units};
use super::child::{Server, Setting};
use super::socket::{Got, Socket};

/// One symbol without a bound on open orders; its assets are the demo's.
const UNBOUNDED: &str = r#"
[[instrument]]
symbol = "LTCBNB"
base = "LTC"
quote = "BNB"
reference_price = "0.1"
quote_order_qty_market_allowed = true
is_spot_trading_allowed = true
permissions = ["SPOT"]
default_self_trade_prevention_mode = "EXPIRE_MAKER"
allowed_self_trade_prevention_modes = ["NONE", "EXPIRE_MAKER"]
price_filter = { min_price = "0.01", max_price = "100000", tick_size = "0.01" }
lot_size = { min_qty = "0.001", max_qty = "900000", step_size = "0.001" }
"#;
const MAKERS: [&str; 3] = ["demo-maker", "demo-noise", "demo-taker"];
/// Of each maker; the venue allows an account no more.
const ORDERS: usize = 1_000;
const CLOSED_KEPT: usize = 5;

#[test]
fn an_order_is_known_to_the_end_of_the_command_that_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), UNBOUNDED);
    let setting = setting.set("history.closed_orders", &CLOSED_KEPT.to_string());
    let server = setting.start();
    orders_older_than_what_is_kept(&server);
    an_order_by_quote_is_prevented_once(&server);
    thousands_of_makers_are_one_message(&server);
    server.stop();
}

/// Somebody who listens to what an account is told, on the connection that trades.
fn listening(server: &Server, account: &str) -> Socket {
    let mut socket = server.logged_on(&server.key(account, &["TRADE", "USER_DATA", "UNLIMITED"]));
    socket.ok("userDataStream.subscribe", &json!({}));
    socket
}

/// The events of one command: up to the account's position.
#[track_caller]
fn told(socket: &mut Socket) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let event = socket.next()["event"].take();
        if event["e"] == "outboundAccountPosition" {
            return events;
        }
        assert_eq!(event["e"], "executionReport", "{event}");
        events.push(event);
    }
}

/// Kind, status and order of each report.
fn kinds(events: &[Value]) -> Vec<[&Value; 3]> {
    events.iter().map(|it| [&it["x"], &it["X"], &it["i"]]).collect()
}

fn order(symbol: &str, side: &str, more: &Value) -> Value {
    let mut order = json!({ "symbol": symbol, "side": side, "newOrderRespType": "RESULT" });
    order["timestamp"] = json!(now_ms());
    order["recvWindow"] = json!(60_000);
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    order
}

fn limit(symbol: &str, side: &str, quantity: &str, price: &str) -> Value {
    let more =
        json!({ "type": "LIMIT", "timeInForce": "GTC", "quantity": quantity, "price": price });
    order(symbol, side, &more)
}

fn orders_older_than_what_is_kept(server: &Server) {
    const SYMBOL: &[(&str, &str)] = &[("symbol", "LTCUSDT")];
    let (mut a, mut b) = (server.trader("demo-a"), server.trader("demo-b"));
    let place =
        |a: &mut Trader, price| a.limit("LTCUSDT", "BUY", "1", price).ok()["orderId"].take();
    let cancel = |a: &mut Trader, id: &Value| {
        let one = [("symbol", "LTCUSDT"), ("orderId", &*id.to_string())];
        assert_eq!(a.call("DELETE", "/api/v3/order", &one).ok()["status"], "CANCELED");
    };
    let (first, best) = (place(&mut a, "50"), place(&mut a, "52"));
    let open: Vec<Value> = (0..12).map(|_| place(&mut a, "50")).collect();
    for _ in 0..2 * CLOSED_KEPT {
        let closed = place(&mut a, "51");
        cancel(&mut a, &closed);
    }
    let mut socket = listening(server, "demo-a");
    cancel(&mut a, &first);
    assert_eq!(kinds(&told(&mut socket)), [[&json!("CANCELED"), &json!("CANCELED"), &first]]);
    b.limit("LTCUSDT", "SELL", "1", "52").ok();
    assert_eq!(kinds(&told(&mut socket)), [[&json!("TRADE"), &json!("FILLED"), &best]]);
    // What is open is never dropped.
    let is_open = |it: &&Value| it["status"] == "NEW";
    let all = a.get("/api/v3/allOrders", SYMBOL);
    let listed: Vec<&Value> = rows(&all).iter().filter(is_open).map(|it| &it["orderId"]).collect();
    assert_eq!(listed, open.iter().collect::<Vec<_>>());
    assert_eq!(rows(&all).len(), open.len() + CLOSED_KEPT, "{all}");

    let canceled = a.call("DELETE", "/api/v3/openOrders", SYMBOL).ok();
    let ids = |list: &[Value]| list.iter().map(|it| it["orderId"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(rows(&canceled)), open);
    let reports = told(&mut socket);
    let canceled: Vec<_> =
        open.iter().map(|id| [json!("CANCELED"), json!("CANCELED"), id.clone()]).collect();
    assert_eq!(kinds(&reports), canceled.iter().map(|it| it.each_ref()).collect::<Vec<_>>());
    let all = a.get("/api/v3/allOrders", SYMBOL);
    assert_eq!(ids(rows(&all)), open[open.len() - CLOSED_KEPT..], "the last closed: {all}");
}

/// Whether the prevented match closes the taker is known only at its end.
fn an_order_by_quote_is_prevented_once(server: &Server) {
    let mut socket = listening(server, "demo-a");
    for mode in ["EXPIRE_TAKER", "EXPIRE_BOTH", "DECREMENT"] {
        socket.ok("order.place", &limit("LTCUSDT", "SELL", "1", "95"));
        assert_eq!(told(&mut socket).len(), 1);
        let more = json!({
            "type": "MARKET", "quoteOrderQty": "30", "selfTradePreventionMode": mode,
        });
        let taker = socket.ok("order.place", &order("LTCUSDT", "BUY", &more));
        assert_eq!(taker["status"], "EXPIRED_IN_MATCH", "{mode}: {taker}");
        let reports = told(&mut socket);
        let of_taker: Vec<Value> =
            reports.iter().filter(|it| it["i"] == taker["orderId"]).cloned().collect();
        let id = &taker["orderId"];
        let due = [
            [&json!("NEW"), &json!("NEW"), id],
            [&json!("TRADE_PREVENTION"), &json!("EXPIRED_IN_MATCH"), id],
        ];
        assert_eq!(kinds(&of_taker), due, "{mode}: {reports:?}");
        let mut executions: Vec<_> = reports.iter().map(|it| it["I"].as_u64().unwrap()).collect();
        executions.sort_unstable();
        executions.dedup();
        assert_eq!(executions.len(), reports.len(), "{mode}: {reports:?}");
        let open = server.admin("DELETE", "orders?account=demo-a", &Value::Null).ok();
        assert_eq!(open["canceled"], u64::from(mode != "EXPIRE_BOTH"), "{mode}");
        if mode != "EXPIRE_BOTH" {
            assert_eq!(told(&mut socket).len(), 1);
        }
    }
}

/// However many events a command has, its aggregate and its position are sent once, at its end.
fn thousands_of_makers_are_one_message(server: &Server) {
    let mut makers: Vec<Socket> = MAKERS.iter().map(|it| listening(server, it)).collect();
    for maker in &mut makers {
        for _ in 0..ORDERS {
            maker.ok("order.place", &limit("LTCBNB", "BUY", "1", "0.1"));
            assert_eq!(told(maker).len(), 1);
        }
    }
    let mut stream = Socket::open(&server.ws, "/ws/ltcbnb@aggTrade");
    let mut taker = listening(server, "demo-a");
    let all = ORDERS * MAKERS.len();
    let market = |quantity: usize| {
        order("LTCBNB", "SELL", &json!({ "type": "MARKET", "quantity": quantity }))
    };
    assert_eq!(taker.ok("order.place", &market(all))["status"], "FILLED");
    let reports = told(&mut taker);
    assert_eq!(reports.len(), 1 + all, "one that it is new, and the fills");
    assert!(reports[1..].iter().all(|it| it["x"] == "TRADE"));
    for maker in &mut makers {
        let reports = told(maker);
        assert_eq!(reports.len(), ORDERS);
        assert!(reports.iter().all(|it| it["x"] == "TRADE" && it["X"] == "FILLED"));
    }
    let first = stream.next();
    assert_eq!(units(&first["q"]), units(&json!(all.to_string())), "{first}");
    let trades = |it: &Value| it["l"].as_u64().unwrap() - it["f"].as_u64().unwrap() + 1;
    assert_eq!(trades(&first), all as u64, "{first}");

    // What comes next is of the next command.
    makers[0].ok("order.place", &limit("LTCBNB", "BUY", "1", "0.1"));
    assert_eq!(told(&mut makers[0]).len(), 1);
    taker.ok("order.place", &market(1));
    assert_eq!(told(&mut taker).len(), 2);
    let second = stream.next();
    assert_eq!((second["a"].as_u64(), trades(&second)), (first["a"].as_u64().map(|it| it + 1), 1));
    let silent = stream.next_within(std::time::Duration::from_millis(50));
    assert_eq!(silent, Got::Silence);
}
