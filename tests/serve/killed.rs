//! `kill -9` of a server under load at random moments, also while it starts.
//!
//! The recorder is another process, `outcry load`: it writes down each answer before it counts it.
//! After each start on the same folder all that was acknowledged is found over the API: orders
//! with their ids, fills and ends, balances, keys, trades, update ids.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use clients::Credentials;
use serde_json::{Value, json};
use store::sim::Random;

use super::api::{Trader, balances, rows, units};
use super::child::{PATIENCE, Process, Server, Setting};
use super::http::Http;
use super::socket::{Got, Socket};

/// `cargo xtask crash --serve` asks for more.
const RUNS: &str = "OUTCRY_SERVE_CRASH_RUNS";
const RUNS_IN_SUITE: u64 = 20;
/// Kills of one folder before the next is begun: what is kept of closed orders is bounded.
const RUNS_PER_FOLDER: u64 = 20;
/// Longest life of a server after the first answer of the load.
const LIFE_MS_MAX: u64 = 500;
/// A quarter of the lives end before the load is under way, or before there is a server.
const SHORT_LIFE_MS_MAX: u64 = 250;
/// Slow enough that no closed order is forgotten before a folder is done.
const ORDERS_PER_SECOND: &str = "1500";
const ACCOUNTS: [&str; 2] = ["load-1", "load-2"];
/// One that the bots trade, too, and the quiet one.
const SYMBOLS: [&str; 2] = ["BTCUSDT", QUIET_SYMBOL];
const QUIET_SYMBOL: &str = "LTCUSDT";
const QUIET_ASSET: &str = "LTC";
/// What the load would deposit, so that it finds it done.
const OPENING: &str = "1000000000";
const ASSETS: [&str; 3] = ["BTC", "USDT", QUIET_ASSET];

/// What was acknowledged of an order: the latest of its answers.
#[derive(Debug, Clone)]
struct Recorded {
    account: usize,
    symbol: String,
    client_order_id: String,
    status: String,
    executed: i128,
}

/// What a folder has to hold.
#[derive(Default)]
struct Promised {
    orders: BTreeMap<u64, Recorded>,
    /// Lines of the recorder.
    answers: u64,
    cancels: u64,
    /// By symbol, the newest that anybody has seen.
    updates: BTreeMap<String, u64>,
    trades: BTreeMap<String, u64>,
    /// Of every asset, what all accounts together have; and of the quiet one, what they began with.
    totals: BTreeMap<String, i128>,
    opening: i128,
    keys: Vec<Credentials>,
    env: BTreeMap<String, String>,
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_under_load() {
    let runs = std::env::var(RUNS).map_or(RUNS_IN_SUITE, |runs| runs.parse().unwrap());
    let seed = u64::from(std::process::id());
    let mut random = Random::new(seed);
    let (mut done, mut answers, mut orders, mut cancels) = (0, 0, 0, 0);
    while done < runs {
        let durability = ["async", "memory", "sync"][(done / RUNS_PER_FOLDER % 3) as usize];
        let folder = tempfile::tempdir().unwrap();
        let setting = Setting::demo(folder.path()).set("log.durability", durability);
        let setting = setting.set("server.connects_per_five_minutes", "0");
        let mut promised = Promised::begin(&setting);
        for _ in 0..RUNS_PER_FOLDER.min(runs - done) {
            let file = folder.path().join(format!("answers-{done}"));
            promised.live_and_die(&setting, &file, &mut random, done + 1);
            let server = setting.start();
            promised.check(&server, false);
            promised.die(server);
            done += 1;
            if runs > RUNS_IN_SUITE {
                println!("{done} of {runs} kills, {} answers here", promised.answers);
            }
        }
        promised.end(&setting);
        answers += promised.answers;
        cancels += promised.cancels;
        orders += promised.orders.len() as u64;
    }
    println!("{runs} kills, {answers} answers, {orders} orders, {cancels} cancels, seed {seed}");
    assert!(orders > runs * 20 && cancels > runs, "nothing was tested: {answers} answers");
}

impl Promised {
    /// A new folder: the load's accounts, with keys that have to last.
    fn begin(setting: &Setting) -> Promised {
        let server = setting.start();
        let mut promised = Promised { env: server.env.clone(), ..Promised::default() };
        for name in ACCOUNTS {
            server.admin("POST", "accounts", &json!({ "name": name })).ok();
            for asset in ASSETS {
                let id = format!("{name}/{asset}");
                let deposit =
                    json!({ "id": id, "account": name, "asset": asset, "amount": OPENING });
                server.admin("POST", "deposits", &deposit).ok();
            }
            promised.keys.push(server.key(name, &["TRADE", "USER_DATA", "UNLIMITED"]));
        }
        promised.totals = totals(&server);
        promised.opening = promised.totals[QUIET_ASSET];
        promised.check(&server, false);
        promised.die(server);
        promised
    }

    /// One more look at what is public, and the end.
    fn die(&mut self, server: Server) {
        self.see_public(&server);
        let Server { mut process, .. } = server;
        process.kill();
    }

    fn see_public(&mut self, server: &Server) {
        let mut http = Http::new(&server.http);
        for symbol in SYMBOLS {
            let depth = http.get(&format!("/api/v3/depth?symbol={symbol}&limit=5")).ok();
            let update = depth["lastUpdateId"].as_u64().unwrap();
            let seen = self.updates.insert(symbol.to_owned(), update).unwrap_or(0);
            assert!(update >= seen, "{symbol}: update {update} after {seen}");
        }
    }

    /// Starts a server and a load, and kills the server at a random moment.
    fn live_and_die(&mut self, setting: &Setting, file: &Path, random: &mut Random, run: u64) {
        if random.below(4) == 0 {
            let mut process = setting.spawn();
            wait(&mut process, Duration::from_millis(random.below(SHORT_LIFE_MS_MAX)));
            process.kill();
        }
        let Server { mut process, ws, .. } = setting.start();
        let names = SYMBOLS.map(|it| format!("{}@depth@100ms", it.to_lowercase())).join("/");
        let mut socket = Socket::open(&ws, &format!("/stream?streams={names}"));
        let mut load = start_load(setting, file, run);
        let begun = || fs::metadata(file).is_ok_and(|it| it.len() > 0);
        let is_short = random.below(4) == 0;
        let deadline = Instant::now() + PATIENCE;
        while !is_short && !begun() {
            self.follow(&mut socket, Duration::from_millis(5));
            assert!(load.ended().is_none(), "the load ended: {}", load.said());
            assert!(Instant::now() < deadline, "no answer: {}", load.said());
        }
        let life = if is_short { SHORT_LIFE_MS_MAX } else { LIFE_MS_MAX };
        self.follow(&mut socket, Duration::from_millis(random.below(life)));
        process.kill();
        // It reads what is still on its way to it, and ends by itself.
        load.wait(PATIENCE);
        self.record(&fs::read_to_string(file).unwrap_or_default());
    }

    /// Reads diffs for a while: their ids follow one another, over restarts too.
    fn follow(&mut self, socket: &mut Socket, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let Got::Message(message) = socket.next_within(left) else { return };
            let update = &message["data"];
            let (from, to) = (update["U"].as_u64().unwrap(), update["u"].as_u64().unwrap());
            let symbol = update["s"].as_str().unwrap().to_owned();
            let before = self.updates.insert(symbol, to).unwrap_or(0);
            assert!(before < from && from <= to, "{before} is followed by {message}");
        }
    }

    /// Takes over what the recorder wrote.
    fn record(&mut self, lines: &str) {
        for line in lines.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [connection, _, kind, symbol, order, client_order_id, status, executed] = words[..]
            else {
                panic!("not a line of the recorder: {line}")
            };
            self.answers += 1;
            if order == "-" {
                // Refused: a cancel that came too late, for one.
                assert_eq!(kind, "cancel", "{line}");
                continue;
            }
            self.cancels += u64::from(kind == "cancel");
            let recorded = Recorded {
                account: connection.parse().unwrap(),
                symbol: symbol.to_owned(),
                client_order_id: client_order_id.to_owned(),
                status: status.to_owned(),
                executed: units(&json!(executed)),
            };
            let before = self.orders.insert(order.parse().unwrap(), recorded);
            if let Some(before) = before {
                assert!(kind == "cancel" && before.client_order_id == client_order_id, "{line}");
                assert!(before.executed <= units(&json!(executed)), "{line} after {before:?}");
            }
        }
    }

    /// Everything that must be there is there. `all`: of all lives, else of the newest orders.
    fn check(&mut self, server: &Server, all: bool) {
        for name in ["KEY_A", "SECRET_A", "KEY_B", "SECRET_B", "ADMIN_TOKEN"] {
            assert_eq!(server.env[name], self.env[name], "{name}");
        }
        Trader::new(server, &server.demo_key("A")).balances();
        for (account, key) in self.keys.iter().enumerate() {
            let mut trader = Trader::new(server, key);
            for symbol in SYMBOLS {
                self.check_orders(&mut trader, account, symbol, all);
            }
        }
        self.check_totals(server);
        self.see_public(server);
        SYMBOLS.iter().for_each(|symbol| self.check_trades(server, symbol));
    }

    /// No asset becomes more. What is less is the venue's commission, which no account shows: of the
    /// asset that only the load trades, its trades tell how much that is.
    fn check_totals(&mut self, server: &Server) {
        let totals = totals(server);
        let mut commission = 0;
        for key in &self.keys {
            let mut trader = Trader::new(server, key);
            commission += commission_of(&mut trader, QUIET_SYMBOL, QUIET_ASSET);
        }
        assert_eq!(totals[QUIET_ASSET] + commission, self.opening, "{QUIET_ASSET} came or went");
        for (asset, total) in totals {
            let before = self.totals.insert(asset.clone(), total).unwrap_or(0);
            assert!(total <= before, "{asset} came from nowhere: {total} after {before}");
        }
    }

    fn check_orders(&self, trader: &mut Trader, account: usize, symbol: &str, all: bool) {
        const NEWEST: usize = 1_500;
        let is_meant = |it: &Recorded| it.account == account && it.symbol == symbol;
        let expected = self.orders.iter().filter(|(_, it)| is_meant(it));
        let skipped = if all { 0 } else { expected.clone().count().saturating_sub(NEWEST) };
        let expected: BTreeMap<u64, &Recorded> =
            expected.skip(skipped).map(|(id, it)| (*id, it)).collect();
        let from = expected.keys().next().copied().unwrap_or(0);
        let (mut found, mut names) = (BTreeMap::new(), BTreeSet::new());
        for order in orders(trader, symbol, from) {
            let name = order["clientOrderId"].as_str().unwrap().to_owned();
            let id = order["orderId"].as_u64().unwrap();
            assert!(names.insert(name), "placed twice: {order}");
            assert!(found.insert(id, order).is_none(), "{id} is there twice");
        }
        let open = trader.get("/api/v3/openOrders", &[("symbol", symbol)]);
        let open = rows(&open).iter().map(|it| it["orderId"].as_u64().unwrap());
        let open: BTreeSet<u64> = open.collect();
        for (id, recorded) in expected {
            let order = found.get(&id).unwrap_or_else(|| panic!("{id} is gone: {recorded:?}"));
            recorded.check(order);
            if is_open(order) != open.contains(&id) {
                // A bot may have taken it between the two questions; nothing opens it again.
                assert!(is_open(order), "closed, and open later: {order}");
                let of = [("symbol", symbol), ("orderId", &*id.to_string())];
                let order = trader.get("/api/v3/order", &of);
                assert!(!is_open(&order), "not among the open ones: {order}");
            }
        }
    }

    /// Trade ids go on from where they were, without a gap.
    fn check_trades(&mut self, server: &Server, symbol: &str) {
        const LIMIT: usize = 1_000;
        let mut http = Http::new(&server.http);
        let seen = self.trades.entry(symbol.to_owned()).or_default();
        loop {
            let from = *seen + 1;
            let path = format!("/api/v3/historicalTrades?symbol={symbol}&fromId={from}&limit=1000");
            let trades = http.get(&path).ok();
            for (trade, id) in rows(&trades).iter().zip(from..) {
                assert!(trade["id"] == id, "{symbol}: {trade} where {id} was due");
                *seen = id;
            }
            if rows(&trades).len() < LIMIT {
                return;
            }
        }
    }

    /// Everything once more, and every byte of the logs.
    fn end(&mut self, setting: &Setting) {
        let server = setting.start();
        self.check(&server, true);
        server.stop();
        let mut report = Vec::new();
        let is_whole = app::verify::verify(&setting.data(), &mut report).unwrap();
        assert!(is_whole, "{}", String::from_utf8_lossy(&report));
    }
}

impl Recorded {
    /// What is found now is what was said, or what may have come of it since.
    #[track_caller]
    fn check(&self, order: &Value) {
        let executed = units(&order["executedQty"]);
        let status = order["status"].as_str().unwrap();
        let is_over = !matches!(&*self.status, "NEW" | "PARTIALLY_FILLED");
        assert_eq!(order["clientOrderId"], *self.client_order_id, "{self:?}");
        assert!(executed >= self.executed, "{self:?} became {order}");
        if is_over {
            assert_eq!((status, executed), (&*self.status, self.executed), "{self:?}: {order}");
        }
        let is_new_again = status == "NEW" && self.status != "NEW";
        assert!(!is_new_again, "{self:?} became {order}");
    }
}

fn is_open(order: &Value) -> bool {
    matches!(order["status"].as_str(), Some("NEW" | "PARTIALLY_FILLED"))
}

/// All orders of an account on a symbol with at least this id.
fn orders(trader: &mut Trader, symbol: &str, from: u64) -> Vec<Value> {
    const LIMIT: usize = 1_000;
    let (mut all, mut from) = (Vec::new(), from);
    loop {
        let (limit, id) = (LIMIT.to_string(), from.to_string());
        let of = [("symbol", symbol), ("orderId", &*id), ("limit", &*limit)];
        let mut page = trader.get("/api/v3/allOrders", &of);
        let page = std::mem::take(page.as_array_mut().unwrap());
        let count = page.len();
        from = page.last().map_or(0, |it| it["orderId"].as_u64().unwrap() + 1);
        all.extend(page);
        if count < LIMIT {
            return all;
        }
    }
}

/// What an account has paid on a symbol in one asset.
fn commission_of(trader: &mut Trader, symbol: &str, asset: &str) -> i128 {
    let (mut paid, mut from) = (0, 0);
    loop {
        let (id, limit) = (from.to_string(), "1000");
        let page = [("symbol", symbol), ("fromId", &*id), ("limit", limit)];
        let trades = trader.get("/api/v3/myTrades", &page);
        let trades = rows(&trades);
        let of_asset = trades.iter().filter(|it| it["commissionAsset"] == asset);
        paid += of_asset.map(|it| units(&it["commission"])).sum::<i128>();
        match trades.last() {
            Some(last) => from = last["id"].as_u64().unwrap() + 1,
            None => return paid,
        }
    }
}

/// What all accounts together have of each asset.
fn totals(server: &Server) -> BTreeMap<String, i128> {
    let accounts = server.admin("GET", "accounts", &Value::Null).ok();
    let mut totals = BTreeMap::new();
    for account in rows(&accounts) {
        for (asset, (free, locked)) in balances(&account["balances"]) {
            *totals.entry(asset).or_default() += free + locked;
        }
    }
    totals
}

fn start_load(setting: &Setting, file: &Path, run: u64) -> Process {
    let env = setting.data().join("demo.env");
    // Far apart: client order ids of no two runs are the same.
    let seed = (run << 40).to_string();
    let mut arguments = vec!["load", "--env", env.to_str().unwrap(), "--seed", &seed];
    arguments.extend(["--rate", ORDERS_PER_SECOND, "--seconds", "60", "--connections", "2"]);
    arguments.extend(["--recorder", file.to_str().unwrap()]);
    arguments.extend(["--tolerate-disconnect", "--leave-open"]);
    SYMBOLS.iter().for_each(|symbol| arguments.extend(["--symbol", symbol]));
    Process::start(&arguments, &file.with_extension("load"))
}

/// Lets a process live for a while.
fn wait(process: &mut Process, time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
        let ended = process.ended();
        assert!(ended.is_none(), "ended by itself with {ended:?}: {}", process.said());
    }
}
