//! SIGTERM: everybody is told, what was asked is answered, and the next start has nothing to
//! replay.

use std::time::Duration;

use serde_json::json;

use super::api::Trader;
use super::child::{Process, Server, Setting};
use super::events::Events;
use super::socket::Socket;

/// `serverShutdown` is told this fast, and the process gone.
const END: Duration = Duration::from_secs(5);

#[test]
fn whoever_is_connected_is_told_and_the_next_start_replays_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::demo(folder.path());
    let server = setting.start();
    let key = server.demo_key("A");
    let mut trader = Trader::new(&server, &key);
    let order = trader.limit("LTCUSDT", "BUY", "1", "90").ok();
    let mut told = Told::connect(&server);
    let mut process = server.process;
    process.terminate();
    told.check();
    assert!(process.wait(END).success(), "{}", process.said());
    replays_nothing(&setting, &order["orderId"].to_string());
}

/// Connections of every kind.
struct Told {
    raw: Socket,
    combined: Socket,
    api: Socket,
    events: Events,
}

impl Told {
    fn connect(server: &Server) -> Told {
        let key = server.demo_key("A");
        let mut api = server.logged_on(&key);
        api.ok("userDataStream.subscribe", &json!({}));
        let mut events = Events::open(&server.http, "ethusdt@trade", None);
        events.next();
        Told {
            raw: Socket::open(&server.ws, "/ws/btcusdt@trade"),
            combined: Socket::open(&server.ws, "/stream?streams=ethusdt@depth"),
            api,
            events,
        }
    }

    fn check(&mut self) {
        let is_notice = |it: &serde_json::Value| it["e"] == "serverShutdown" && it["E"].is_u64();
        let sockets = [(&mut self.raw, ""), (&mut self.combined, "data"), (&mut self.api, "event")];
        for (socket, wrap) in sockets {
            let (messages, code, reason) = socket.until_closed();
            let last = messages.last().unwrap_or_else(|| panic!("`{wrap}`: closed with {reason}"));
            let notice = if wrap.is_empty() { last } else { &last[wrap] };
            assert!(is_notice(notice), "`{wrap}`: {last}");
            assert_eq!(code, 1001, "`{wrap}`: {reason}");
        }
        let last = self.events.until_end().pop().expect("an event");
        assert_eq!(last.event, "serverShutdown");
        assert!(last.data.contains("serverShutdown"), "{}", last.data);
    }
}

fn replays_nothing(setting: &Setting, order: &str) {
    let server = setting.start();
    let said = server.process.said();
    let recovered = said.lines().rfind(|line| line.contains("recovered to sequence"));
    let recovered = recovered.unwrap_or_else(|| panic!("nothing recovered: {said}"));
    assert!(recovered.contains(" 0 commands replayed"), "{recovered}");
    let mut trader = Trader::new(&server, &server.demo_key("A"));
    let seen = trader.get("/api/v3/order", &[("symbol", "LTCUSDT"), ("orderId", order)]);
    assert_eq!(seen["status"], "NEW");
    server.stop();
}

#[test]
fn it_ends_in_time_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::demo(folder.path());
    let server = setting.start();
    let mut load = start_load(&setting, folder.path());
    let mut trades = Socket::open(&server.ws, "/ws/ltcusdt@trade");
    // The load trades: it is under way.
    for _ in 0..20 {
        trades.next();
    }
    let mut process = server.process;
    process.terminate();
    assert!(process.wait(END).success(), "{}", process.said());
    assert!(load.wait(END).success(), "{}", load.said());
    let server = setting.start();
    assert!(server.process.said().contains(" 0 commands replayed"), "{}", server.process.said());
    server.stop();
}

fn start_load(setting: &Setting, folder: &std::path::Path) -> Process {
    let env = setting.data().join("demo.env");
    let arguments = [
        "load",
        "--env",
        env.to_str().unwrap(),
        "--symbol",
        "LTCUSDT",
        "--connections",
        "2",
        "--rate",
        "2000",
        "--seconds",
        "60",
        "--tolerate-disconnect",
        "--leave-open",
    ];
    Process::start(&arguments, &folder.join("load"))
}
