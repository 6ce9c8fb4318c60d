//! `outcry explain`: what it tells of orders in small logs, and of every order of a random market.

mod random;
mod terms;

use std::path::PathBuf;

use app::events::Seen;
use app::explain::{Form, explain, explain_json};
use app::market::{Slots, Step};
use app::node::Node;
use app::simulate::VirtualClock;
use app::slot::Slot;
use engine::RULES_VERSION;
use protocol::command::{GatewayJoined, Genesis};
use protocol::*;
use replication::Durability;
use serde_json::Value;

use crate::story_language::Language;
use crate::support::on_disk;

/// A log that is being written through a node, with its events.
struct Writer {
    folder: tempfile::TempDir,
    node: Node,
    clock: VirtualClock,
    ring: Slot,
    slots: Slots,
    now: Stamp,
    language: Language,
    events: Vec<Event>,
}

impl Writer {
    /// An empty log.
    fn new() -> Writer {
        let folder = tempfile::tempdir().unwrap();
        let first = Step::new(command::Tick { envelope: NOBODY });
        let (beginning, _) = Slots::new().place(&first);
        let clock = VirtualClock::starting_at(beginning.0);
        let options = on_disk(folder.path(), Durability::Async);
        let (mut node, _) = Node::open(&options, Box::new(clock.clone())).unwrap();
        let readers = node.readers();
        let (ring, consumer) = Slot::new(0, 1 << 16, &readers, Default::default()).unwrap();
        node.ingest.attach(consumer);
        Writer {
            folder,
            node,
            clock,
            ring,
            slots: Slots::new(),
            now: beginning,
            language: Language::new(),
            events: Vec::new(),
        }
    }

    /// A log that has begun.
    fn begun() -> Writer {
        let mut writer = Writer::new();
        let envelope = NOBODY;
        writer.step(&Step::new(Genesis { envelope, seed: 1, rules: RULES_VERSION }));
        writer.step(&Step::new(GatewayJoined { envelope, nonce: 1 }));
        writer
    }

    fn step(&mut self, step: &Step) -> usize {
        let (stamp, command) = self.slots.place(step);
        let passed = stamp.0 - self.now.0;
        self.now = stamp;
        self.clock.advance(passed);
        self.ring.push(&command).unwrap();
        while self.node.poll().unwrap() {}
        let first = self.events.len();
        let Writer { ring, events, .. } = self;
        let mut see = |seen: Seen<'_>| {
            events.push(seen.event.clone());
            Ok(())
        };
        while ring.poll(&mut see).unwrap() {}
        self.events[first..].iter().for_each(|event| self.language.observe(event));
        first
    }

    /// Asks in the language of stories; a line each.
    fn ask(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let step = self.language.parse(line).unwrap_or_else(|wrong| panic!("{line}: {wrong}"));
            if let Some(step) = step {
                self.step(&step);
            }
        }
    }

    fn snapshot(&mut self) {
        self.node.apply.snapshot().unwrap();
    }

    fn finish(mut self) -> Log {
        self.node.settle().unwrap();
        drop(self.ring);
        self.node.close().unwrap();
        Log { data: self.folder.path().join("data"), events: self.events, _folder: self.folder }
    }
}

const NOBODY: Envelope = Envelope::INTERNAL;

/// A finished log and its events.
struct Log {
    _folder: tempfile::TempDir,
    data: PathBuf,
    events: Vec<Event>,
}

impl Log {
    /// Of the lines, after a venue with alice, bob and carol, who are rich.
    fn of(lines: &str) -> Log {
        let mut writer = Writer::begun();
        writer.ask(VENUE);
        writer.ask(lines);
        writer.finish()
    }

    fn text(&self, order: &str) -> String {
        self.text_as(order, Form::default())
    }

    fn text_as(&self, order: &str, form: Form) -> String {
        let mut out = Vec::new();
        explain(&self.data, order, form, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn error(&self, order: &str) -> String {
        format!("{:#}", explain_json(&self.data, order).unwrap_err())
    }

    fn json(&self, order: &str) -> Value {
        serde_json::from_str(&explain_json(&self.data, order).unwrap()).unwrap()
    }

    /// The only order told.
    fn life(&self, order: &str) -> Value {
        let document = self.json(order);
        let lives = document["orders"].as_array().unwrap();
        assert_eq!(lives.len(), 1, "{document:#}");
        lives[0].clone()
    }
}

const VENUE: &str = "
    instrument BTCUSDT price 1..1000/0.01 lot 0.1../0.1 min_notional 5
    account alice
    account bob
    account carol
    deposit alice 100 BTC
    deposit alice 10000 USDT
    deposit bob 100 BTC
    deposit bob 10000 USDT
    deposit carol 100 BTC
    deposit carol 10000 USDT";

/// All of these stand in the text, in this order.
#[track_caller]
fn check(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some(at) = rest.find(part) else {
            panic!("`{part}` is missing or misplaced in\n{text}")
        };
        rest = &rest[at + part.len()..];
    }
}

fn decimal(value: &Value) -> i128 {
    Amount::parse(value.as_str().unwrap()).unwrap().0
}

fn steps<'a>(life: &'a Value, what: &str) -> Vec<&'a Value> {
    let all = life["steps"].as_array().unwrap().iter();
    all.filter(|step| step["what"] == what).collect()
}

#[test]
fn a_queue_shrinks_before_a_resting_order_and_then_it_fills() {
    let log = Log::of(
        "alice buy 2 @ 100
         bob buy 3 @ 100
         alice buy 1 @ 100.5
         carol buy 4 @ 100 id=mine
         bob buy 9 @ 100
         alice amend #1 to 1.5
         bob cancel #2
         alice market sell 1
         bob sell 2 @ 100
         bob sell 3.5 @ 100",
    );
    let text = log.text("4");
    check(
        &text,
        &[
            "order #4, BTCUSDT: carol buy 4 @ 100 id=mine",
            "asked     command",
            "NewOrder of slot 1.0",
            "passed    gateway, number, deadline, instrument",
            "funds",
            "holds     400 USDT",
            "accepted",
            "rests: buy 100, 3 of 3, 5 in 2 orders ahead of it in its level, 1 in 1 better level",
            "#1 amended by 0.5: 4.5 in 2 orders ahead of it",
            "#2 canceled: 1.5 in 1 order ahead of it",
            "#1 traded 1.5: nothing is ahead of it",
            "partly filled: 0.5 @ 100 as maker against #7, trade $3, by now 0.5 of 4",
            "filled: 3.5 @ 100 as maker against #8, trade $4, by now 4 of 4",
            "filled; executed 4 for 400 in 2 fills",
            "looked at commands 1 to",
        ],
    );
    assert!(!text.contains("why it was not filled"), "{text}");
    assert_eq!(log.text("mine").lines().next(), text.lines().next());
    let life = log.life("4");
    assert_eq!(life["status"], "FILLED");
    assert_eq!(steps(&life, "rests")[0]["place"], 3);
    let ahead: Vec<_> = steps(&life, "queue").iter().map(|it| decimal(&it["ahead"])).collect();
    assert_eq!(ahead, [450_000_000, 150_000_000, 0]);
}

#[test]
fn a_refused_order_says_at_which_check_and_what_decided() {
    let log = Log::of(
        "account dave may deposit
         account poor
         deposit poor 7 USDT
         bob buy 1 @ 99
         bob sell 1 @ 101
         bob buy 1 @ 101
         bob sell 1 @ 101 id=stands
         dave buy 1 @ 100 id=permission
         alice buy 1 @ 100.005 id=tick
         alice buy 1.05 @ 100 id=lot
         alice buy 0.1 @ 2 id=notional
         poor buy 1 @ 100 id=funds
         alice limit_maker buy 1 @ 101 id=maker
         alice stop_loss sell 1 stop 102 id=stop
         bob buy 1 @ 50 id=stands
         alice buy 1 @ 100 deadline=-1ms id=late
         alice buy 1 @ 100 dry id=test
         alice market buy 1 @ 100 id=shape
         status BTCUSDT HALT
         alice buy 1 @ 100 id=halt",
    );
    for (id, parts) in [
        ("permission", ["permission to trade", "account may not trade", ""]),
        ("tick", ["PRICE_FILTER", "price 100.005", "tick 0.01"]),
        ("lot", ["LOT_SIZE", "quantity 1.05", "step 0.1"]),
        ("notional", ["MIN_NOTIONAL", "notional 0.2", "min 5"]),
        ("funds", ["funds: insufficient balance", "free 7 USDT", "needed 100"]),
        ("maker", ["would match immediately: ", "price 101", "best ask 101"]),
        ("stop", ["would trigger immediately: ", "stop price 102", "last price 101"]),
        ("late", ["deadline: the deadline of the command has passed", "deadline", "stored time"]),
        ("shape", ["combination of fields: ", "not supported", ""]),
        ("halt", ["status of the instrument: market is closed", "status HALT", ""]),
    ] {
        let text = log.text(id);
        check(
            &text,
            &["refused, BTCUSDT: ", id, "asked", "failed    ", parts[0], parts[1], parts[2]],
        );
        let failed = &log.life(id)["checks"]["failed"];
        assert!(failed["reason"].is_string() && failed["check"].is_string(), "{id}: {failed}");
    }
    check(
        &log.text("funds"),
        &["passed    gateway", "LOT_SIZE", "MIN_NOTIONAL", "failed    funds"],
    );
    check(&log.text("test"), &["tested only, BTCUSDT", "passed    gateway", "funds"]);
    // The same name twice: the order that stands, then the command that it stood against.
    let lives = log.json("stands")["orders"].clone();
    assert_eq!((lives[0]["orderId"].clone(), lives[1]["orderId"].clone()), (4.into(), 0.into()));
    assert_eq!(lives[1]["checks"]["failed"]["values"]["open order"], "#4");
    assert_eq!(lives[1]["status"], "REFUSED");
}

#[test]
fn what_may_not_rest_says_what_it_could_not_have() {
    let log = Log::of(
        "bob sell 2 @ 100
         bob sell 5 @ 102
         alice buy 3 @ 101 ioc
         alice buy 9 @ 102 fok
         alice market sell 1
         alice buy 3 @ 90 ioc",
    );
    check(
        &log.text("3"),
        &[
            "at once   traded 2",
            "partly filled: 2 @ 100 as taker against #1",
            "expired: immediate-or-cancel; executed 2",
            "why it was not filled whole",
            "it took what it could at once and may not rest (IOC): the best ask was 102, above its limit of 101",
        ],
    );
    check(&log.text("4"), &["only 5 of 9 were to be had at 102 or lower (FOK)"]);
    check(&log.text("5"), &["expired: no liquidity", "there was no bid left for it to take"]);
    check(
        &log.text("6"),
        &["it could take nothing at once", "the best ask was 102, above its limit of 90"],
    );
}

#[test]
fn prevented_self_trades_are_told_on_both_sides() {
    let log = Log::of(
        "alice sell 2 @ 100
         bob sell 1 @ 100
         alice buy 2 @ 100 stp=expire_maker
         alice sell 1 @ 100 stp=expire_taker",
    );
    check(
        &log.text("1"),
        &[
            "a trade with #3 @ 100 was prevented",
            "EXPIRE_MAKER, 2 of it",
            "expired in match: self-trade",
        ],
    );
    let taker = log.text("3");
    check(&taker, &["with #1 @ 100 was prevented", "partly filled: 1 @ 100 as taker against #2"]);
    check(
        &taker,
        &["rests: buy 100, 1 of 1", "with #4 @ 100 was prevented", "open: rests, 1 of 1"],
    );
    check(&log.text("4"), &["expired in match: self-trade", "it met an order of the same owner"]);
}

#[test]
fn a_stop_says_which_trade_triggered_it_or_that_none_did() {
    let log = Log::of(
        "bob sell 1 @ 100
         bob buy 1 @ 100
         alice stop_loss_limit sell 1 @ 94 stop 95
         alice take_profit sell 1 stop 120
         bob buy 1 @ 96
         carol sell 1 @ 96
         bob buy 1 @ 95
         carol sell 1 @ 95",
    );
    check(
        &log.text("3"),
        &["accepted", "triggered by trade $3 at 95", "rests: sell 94, 1 of 1", "open: rests"],
    );
    let waiting = ["open: waits for its trigger", "no trade reached its stop price 120"];
    check(&log.text("4"), &waiting);
    check(&log.text("4"), &["the highest trade since it came was 96"]);
}

#[test]
fn an_order_that_was_never_reached_says_so() {
    let log = Log::of(
        "alice buy 2 @ 90
         bob buy 3 @ 99
         carol sell 1 @ 99
         carol sell 4 @ 103
         status BTCUSDT HALT
         alice cancel id=nothing
         alice amend #1 to 5
         status BTCUSDT TRADING",
    );
    check(
        &log.text("1"),
        &[
            "rests: buy 90, 1 of 1, nothing is ahead of it",
            "BTCUSDT is HALT now",
            "AmendOrder was refused: an amend may only reduce the quantity",
            "BTCUSDT is TRADING now",
            "open: rests, 1 of 1; nothing executed, 2 open",
            "why it was not filled\n",
            "the best ask is 103, above its limit of 90",
            "2 in 1 better level",
            "the market never traded at 90 or lower while it was open: the lowest trade was 99",
        ],
    );
}

#[test]
fn many_changes_of_the_queue_are_told_together() {
    let mut lines = String::new();
    for order in 1..=40 {
        lines += &format!("alice buy 0.{} @ 100\n", order % 9 + 1);
    }
    lines += "bob buy 1 @ 100 id=7\n";
    for order in 1..=40 {
        lines += &format!("alice cancel #{order}\n");
    }
    let log = Log::of(&lines);
    let text = log.text("id:7");
    check(
        &text,
        &["41 of 41, ", "#10 canceled", "… 20 more changes, ahead ", " → ", "#31 canceled"],
    );
    assert!(!text.contains("#11 canceled"), "{text}");
    check(&log.text_as("41", Form { all: true, json: false }), &["#10 canceled", "#11 canceled"]);
    assert_eq!(steps(&log.life("41"), "queue").len(), 40);
}

#[test]
fn a_name_that_an_amendment_gave_finds_the_whole_life() {
    let log = Log::of("alice buy 2 @ 100 id=first\n alice amend #1 to 1 as=second");
    assert_eq!(log.life("second")["orderId"], 1);
    assert_eq!(log.life("second")["steps"], log.life("first")["steps"]);
    check(
        &log.text("second"),
        &["accepted", "amended from 2 to 1, it keeps its place, client order id second"],
    );
}

#[test]
fn what_is_not_there_is_an_error_that_says_so() {
    let log = Log::of("alice buy 2 @ 100");
    for (order, wrong) in [
        ("2", "there is no order #2 up to command "),
        ("0", "0 is no order id: they count from 1"),
        ("99999999999999999999", "is no order id"),
        ("nobody", "no order ever had the client order id nobody up to command "),
        ("", "an order id or a client order id is expected"),
        ("a name that is much longer than any client order id", "longer than 36 bytes"),
    ] {
        assert!(log.error(order).contains(wrong), "{order}: {}", log.error(order));
    }
}

#[test]
fn a_snapshot_before_the_order_tells_the_same() {
    let told = |snapshots: bool| {
        let mut writer = Writer::begun();
        writer.ask(VENUE);
        writer.ask("alice buy 2 @ 100");
        if snapshots {
            writer.snapshot();
        }
        writer.ask("bob buy 2 @ 100\n carol sell 3 @ 100\n bob cancel #2\n bob buy 2 @ 101");
        let log = writer.finish();
        (log.json("1"), log.json("2"), log.json("4"))
    };
    let (plain, snapped) = (told(false), told(true));
    assert_eq!(plain.0, snapped.0);
    assert_eq!(plain.1["orders"], snapped.1["orders"]);
    assert_eq!(plain.2["orders"], snapped.2["orders"]);
    assert_eq!(plain.1["from"], 1);
    assert!(snapped.2["from"].as_u64().unwrap() > 1, "no snapshot was used");
}
