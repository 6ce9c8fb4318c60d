//! What `serve --demo` promises: one command, keys in a file, a market that lives, and accounts
//! that are right to the last digit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use protocol::SCALE;
use serde_json::{Value, json};

use super::api::{Trader, rows, units};
use super::child::{PATIENCE, Server, Setting};
use super::http::Http;
use super::socket::Socket;

const ONE: i128 = SCALE as i128;
const NAMES: [&str; 9] = [
    "BASE_HTTP",
    "BASE_WS",
    "KEY_A",
    "SECRET_A",
    "KEY_B",
    "SECRET_B",
    "SYMBOL",
    "REF_PRICE",
    "ADMIN_TOKEN",
];

#[test]
fn a_demo_says_where_it_is_trades_and_stays_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::demo(folder.path());
    let server = setting.start();
    says_where_it_is(&setting, &server);
    let first = server.env.clone();
    trades_exactly(&server);
    is_alive(&server);
    let secret = &first["SECRET_A"];
    assert!(server.process.said().contains(secret), "the secret was not printed");
    server.stop();
    assert!(!folder.path().join("ready.json").exists(), "ready, and gone");

    let printed = fs::read_to_string(folder.path().join("log")).unwrap().matches(secret).count();
    let again = setting.start();
    for name in NAMES.into_iter().filter(|name| !name.starts_with("BASE")) {
        assert_eq!(again.env[name], first[name], "{name} is another");
    }
    let log = again.process.said();
    assert_eq!(log.matches(secret).count(), printed, "printed a second time");
    assert_eq!(Trader::new(&again, &again.demo_key("A")).balances()["LTC"].1, 0);
    again.stop();

    let other = tempfile::tempdir().unwrap();
    let other = Setting::demo(other.path()).start();
    assert!(
        other.env["KEY_A"] != first["KEY_A"] && other.env["ADMIN_TOKEN"] != first["ADMIN_TOKEN"]
    );
    let mut trader = Trader::new(&other, &other.demo_key("A"));
    assert_eq!(trader.balances()["USDT"], (10_000_000 * ONE, 0), "not fresh");
}

fn says_where_it_is(setting: &Setting, server: &Server) {
    let ready = server.ready.as_object().unwrap();
    assert_eq!(ready.keys().collect::<Vec<_>>(), ["http", "pid", "ws"]);
    assert_eq!(ready["pid"], server.process.id());
    let host = server.http.strip_prefix("http://127.0.0.1:").unwrap();
    assert_eq!(server.ws, format!("ws://127.0.0.1:{host}"));
    let path = setting.data().join("demo.env");
    let text = fs::read_to_string(&path).unwrap();
    let names: Vec<&str> = text.lines().map(|line| line.split_once('=').unwrap().0).collect();
    assert_eq!(names, NAMES);
    assert!(text.lines().all(|line| !line.ends_with('=')), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((&*server.env["SYMBOL"], &*server.env["REF_PRICE"]), ("LTCUSDT", "100"));
    assert_eq!((&server.env["BASE_HTTP"], &server.env["BASE_WS"]), (&server.http, &server.ws));
    let said = server.process.said();
    for promised in [server.http.as_str(), "durability", path.to_str().unwrap(), "ccxt"] {
        assert!(said.contains(promised), "`{promised}` is not in the banner: {said}");
    }
    let mut http = Http::new(&server.http);
    http.get("/healthz").ok();
    assert_eq!(http.get("/readyz").ok(), json!({ "state": "ready" }));
    let info = http.get("/api/v3/exchangeInfo").ok();
    let symbols = rows(&info["symbols"]).iter().map(|it| it["symbol"].as_str().unwrap());
    assert_eq!(symbols.collect::<Vec<_>>(), ["BTCUSDT", "ETHUSDT", "BNBUSDT", "LTCUSDT"]);
}

/// One trade on the quiet symbol; every number that comes of it is known.
fn trades_exactly(server: &Server) {
    let mut a = Trader::new(server, &server.demo_key("A"));
    let mut b = Trader::new(server, &server.demo_key("B"));
    let resting = a.limit("LTCUSDT", "SELL", "1", "100").ok();
    assert_eq!((resting["status"].as_str(), units(&resting["executedQty"])), (Some("NEW"), 0));
    assert_eq!(rows(&resting["fills"]), [] as [Value; 0]);
    let taken = b.limit("LTCUSDT", "BUY", "0.4", "100.5").ok();
    assert_eq!(taken["status"], "FILLED");
    assert_eq!(units(&taken["cummulativeQuoteQty"]), 40 * ONE);
    let [fill] = rows(&taken["fills"]) else { panic!("not one fill: {taken}") };
    let number = |name: &str| units(&fill[name]);
    assert_eq!((number("price"), number("qty")), (100 * ONE, 4 * ONE / 10));
    assert_eq!((number("commission"), &fill["commissionAsset"]), (ONE * 4 / 10_000, &json!("LTC")));
    let order = [("symbol", "LTCUSDT"), ("orderId", &*resting["orderId"].to_string())];
    let seen = a.get("/api/v3/order", &order);
    assert_eq!(
        (&seen["status"], units(&seen["executedQty"])),
        (&json!("PARTIALLY_FILLED"), ONE * 4 / 10)
    );
    balances_are_exact(&mut a, &mut b);
    let of_symbol = [("symbol", "LTCUSDT")];
    let trades = (a.get("/api/v3/myTrades", &of_symbol), b.get("/api/v3/myTrades", &of_symbol));
    let ([sold], [bought]) = (rows(&trades.0), rows(&trades.1)) else { panic!("{trades:?}") };
    assert_eq!(
        (&sold["id"], &sold["isMaker"], &sold["isBuyer"]),
        (&fill["tradeId"], &json!(true), &json!(false))
    );
    assert_eq!(
        (&bought["id"], &bought["isMaker"], &bought["isBuyer"]),
        (&fill["tradeId"], &json!(false), &json!(true))
    );
    assert_eq!(
        (units(&sold["commission"]), &sold["commissionAsset"]),
        (ONE * 4 / 100, &json!("USDT"))
    );
    let canceled = a.call("DELETE", "/api/v3/order", &order).ok();
    assert_eq!(
        (&canceled["status"], units(&canceled["executedQty"])),
        (&json!("CANCELED"), ONE * 4 / 10)
    );
    assert_eq!(a.balances()["LTC"], (20_000 * ONE - ONE * 4 / 10, 0));
    assert_eq!(a.get("/api/v3/openOrders", &of_symbol), json!([]));
}

fn balances_are_exact(a: &mut Trader, b: &mut Trader) {
    let (seller, buyer) = (a.balances(), b.balances());
    assert_eq!(seller["LTC"], (19_999 * ONE, ONE * 6 / 10));
    assert_eq!(seller["USDT"], (10_000_000 * ONE + 40 * ONE - ONE * 4 / 100, 0));
    assert_eq!(buyer["LTC"], (20_000 * ONE + ONE * 4 / 10 - ONE * 4 / 10_000, 0));
    assert_eq!(buyer["USDT"], (10_000_000 * ONE - 40 * ONE, 0));
}

/// Bots trade on all symbols but the quiet one.
fn is_alive(server: &Server) {
    let names = ["btcusdt@trade", "ethusdt@trade", "bnbusdt@trade"];
    let mut socket = Socket::open(&server.ws, &format!("/stream?streams={}", names.join("/")));
    let mut silent = names.to_vec();
    let deadline = Instant::now() + PATIENCE;
    while !silent.is_empty() {
        let message = socket.next();
        silent.retain(|name| message["stream"] != *name);
        assert!(Instant::now() < deadline, "no trade on {silent:?}");
    }
    let mut quiet = Socket::open(&server.ws, "/ws/ltcusdt@trade/ltcusdt@depth@100ms");
    let heard = quiet.next_within(Duration::from_millis(500));
    assert_eq!(heard, super::socket::Got::Silence);
}
