//! User data: what an account is told, in which order, and that its positions are the balances.

use serde_json::{Value, json};

use super::api::{Trader, balances, now_ms, units};
use super::child::{Server, Setting};
use super::socket::Socket;

/// The events of an account, unwrapped.
struct Told {
    socket: Socket,
    subscription: u64,
}

impl Told {
    fn of(server: &Server, account: &str) -> Told {
        let mut socket = server.logged_on(&server.key(account, &["TRADE", "USER_DATA"]));
        let subscribed = socket.ok("userDataStream.subscribe", &json!({}));
        Told { socket, subscription: subscribed["subscriptionId"].as_u64().unwrap() }
    }

    #[track_caller]
    fn next(&mut self) -> Value {
        let mut message = self.socket.next();
        assert_eq!(message["subscriptionId"], self.subscription, "{message}");
        message["event"].take()
    }

    /// The next is an execution report of this kind.
    #[track_caller]
    fn report(&mut self, kind: &str, status: &str, order: &Value) -> Value {
        let event = self.next();
        let told = (&event["e"], &event["x"], &event["X"], &event["i"]);
        let due = (&json!("executionReport"), &json!(kind), &json!(status), order);
        assert_eq!(told, due, "{event}");
        event
    }

    /// The next is a position, and it is what REST says.
    #[track_caller]
    fn position(&mut self, trader: &mut Trader) {
        let event = self.next();
        assert_eq!(event["e"], "outboundAccountPosition", "{event}");
        let named = |it: &Value| json!({ "asset": it["a"], "free": it["f"], "locked": it["l"] });
        let listed: Vec<Value> = event["B"].as_array().unwrap().iter().map(named).collect();
        let (told, held) = (balances(&json!(listed)), trader.balances());
        assert_eq!(told.keys().collect::<Vec<_>>(), ["LTC", "USDT"], "{event}");
        for (asset, balance) in told {
            assert_eq!(balance, held[&asset], "{asset}: {event}");
        }
    }
}

#[test]
fn an_account_is_told_what_happens_in_the_order_in_which_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setting::quiet(folder.path(), "").start();
    let (mut a, mut b) = (server.trader("demo-a"), server.trader("demo-b"));
    let (mut told_a, mut told_b) = (Told::of(&server, "demo-a"), Told::of(&server, "demo-b"));

    one_taker_and_two_makers((&mut a, &mut told_a), (&mut b, &mut told_b));
    ends_of_other_kinds(&mut b, &mut told_b);
    refusals_are_not_told(&mut b, &mut told_b);
    subscriptions_end(&server);
    server.stop();
}

/// One order of B takes one order of A and a part of another.
fn one_taker_and_two_makers(
    (a, told_a): (&mut Trader, &mut Told),
    (b, told_b): (&mut Trader, &mut Told),
) {
    let low = a.limit("LTCUSDT", "SELL", "1", "100").ok()["orderId"].take();
    let opened = told_a.report("NEW", "NEW", &low);
    assert_eq!(
        (&opened["w"], &opened["t"], &opened["N"]),
        (&json!(true), &json!(-1), &Value::Null)
    );
    told_a.position(a);
    let high = a.limit("LTCUSDT", "SELL", "1", "101").ok()["orderId"].take();
    told_a.report("NEW", "NEW", &high);
    told_a.position(a);

    let taker = b.limit("LTCUSDT", "BUY", "1.5", "101").ok()["orderId"].take();
    told_b.report("NEW", "NEW", &taker);
    let first = told_b.report("TRADE", "PARTIALLY_FILLED", &taker);
    let second = told_b.report("TRADE", "FILLED", &taker);
    told_b.position(b);
    let of_a =
        [told_a.report("TRADE", "FILLED", &low), told_a.report("TRADE", "PARTIALLY_FILLED", &high)];
    told_a.position(a);
    both_sides_are_told_the_same([&first, &second], &of_a);
    let order = [("symbol", "LTCUSDT"), ("orderId", &*high.to_string())];
    a.call("DELETE", "/api/v3/order", &order).ok();
    let canceled = told_a.report("CANCELED", "CANCELED", &high);
    assert_eq!(units(&canceled["z"]), units(&of_a[1]["z"]));
    told_a.position(a);
}

fn both_sides_are_told_the_same([first, second]: [&Value; 2], of_a: &[Value; 2]) {
    for (mine, other) in [first, second].into_iter().zip(of_a) {
        for same in ["t", "l", "L"] {
            assert_eq!(mine[same], other[same], "`{same}`: {mine} {other}");
        }
        assert_eq!((&mine["m"], &other["m"]), (&json!(false), &json!(true)));
        assert_eq!((&mine["N"], &other["N"]), (&json!("LTC"), &json!("USDT")));
    }
    assert_eq!(second["t"].as_u64(), first["t"].as_u64().map(|id| id + 1));
    assert!(first["I"].as_u64() < second["I"].as_u64(), "execution ids do not rise");
    assert_eq!(units(&second["z"]), units(&first["l"]) + units(&second["l"]));
}

fn ends_of_other_kinds(b: &mut Trader, told_b: &mut Told) {
    let order = |more: &[(&'static str, &'static str)]| {
        let base = [("symbol", "LTCUSDT"), ("side", "BUY")];
        base.into_iter().chain(more.iter().copied()).collect::<Vec<_>>()
    };
    let limit = [("type", "LIMIT"), ("timeInForce", "IOC"), ("quantity", "1"), ("price", "90")];
    let ended = b.call("POST", "/api/v3/order", &order(&limit)).ok()["orderId"].take();
    told_b.report("NEW", "NEW", &ended);
    let expired = told_b.report("EXPIRED", "EXPIRED", &ended);
    assert_eq!(expired["eR"], "UNFILLED_IOC_QUANTITY_EXPIRED");
    told_b.position(b);
    // Against itself: the maker is taken off, whatever the taker does.
    let own = b.limit("LTCUSDT", "BUY", "1", "95").ok()["orderId"].take();
    told_b.report("NEW", "NEW", &own);
    told_b.position(b);
    let against = b.limit("LTCUSDT", "SELL", "1", "95").ok()["orderId"].take();
    told_b.report("NEW", "NEW", &against);
    let prevented = told_b.report("TRADE_PREVENTION", "EXPIRED_IN_MATCH", &own);
    assert_eq!(prevented["U"], against);
    told_b.position(b);
    b.call("DELETE", "/api/v3/openOrders", &[("symbol", "LTCUSDT")]).ok();
    told_b.report("CANCELED", "CANCELED", &against);
    told_b.position(b);
}

/// A refused order and a dry run are nobody's news: the next event is the next order's.
fn refusals_are_not_told(b: &mut Trader, told_b: &mut Told) {
    assert_eq!(b.limit("LTCUSDT", "SELL", "50000", "100").refusal(), (400, -2010));
    let test = [("symbol", "LTCUSDT"), ("side", "BUY"), ("type", "MARKET"), ("quantity", "1")];
    assert_eq!(b.call("POST", "/api/v3/order/test", &test).ok(), json!({}));
    let order = b.limit("LTCUSDT", "BUY", "1", "80").ok()["orderId"].take();
    told_b.report("NEW", "NEW", &order);
    told_b.position(b);
}

fn subscriptions_end(server: &Server) {
    let key = server.key("demo-a", &["TRADE", "USER_DATA"]);
    let mut socket = server.logged_on(&key);
    let subscribed = socket.ok("userDataStream.subscribe", &json!({}));
    let again = socket.call("userDataStream.subscribe", &json!({}));
    assert_eq!(again["error"]["code"], -2035, "{again}");
    let status = socket.ok("session.status", &json!({}));
    assert_eq!(status["userDataStream"], true);
    let listed = socket.ok("session.subscriptions", &json!({}));
    assert_eq!(listed, json!([subscribed]));
    // As text, as one client sends it.
    let id = json!({ "subscriptionId": subscribed["subscriptionId"].to_string() });
    socket.ok("userDataStream.unsubscribe", &id);
    assert_eq!(socket.next()["event"]["e"], "eventStreamTerminated");
    let over = socket.call("userDataStream.unsubscribe", &id);
    assert_eq!(over["error"]["code"], -2036, "{over}");
    // Without logging on: by a signature of its own.
    let mut other = Socket::open(&server.ws, "/ws-api/v3");
    let signed: Value = serde_json::from_str(&key.logon_parameters(now_ms())).unwrap();
    other.ok("userDataStream.subscribe.signature", &signed);
    assert_eq!(other.ok("session.status", &json!({}))["apiKey"], Value::Null);
    socket.ok("session.logout", &json!({}));
    let refused = socket.call("account.status", &json!({ "timestamp": now_ms() }));
    assert!(refused["status"] != 200, "{refused}");
}
