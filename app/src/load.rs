//! `outcry load`: accounts and keys for the load generator of `clients`, made over the admin API, and
//! the run itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clients::http;
use clients::load::{LoadOptions, LoadSymbol, Progress, run};
use clients::{Credentials, http::Answer};
use protocol::{Price, Quantity, SCALE};
use serde_json::{Value, json};

use crate::cli;
use crate::progress;
use crate::simulate::Orders;

/// Symbols that are traded when none is named.
const SYMBOLS_MAX: usize = 4;
/// What a cancel is answered whose order is gone.
const RACE: i64 = -2011;
/// Notional of an order, in the quote asset: above any usual minimum.
const ORDER_NOTIONAL: u64 = 20;
/// What each account gets of every asset, once.
const OPENING: &str = "1000000000";

/// Where the venue is, and who may set it up.
pub struct Venue {
    pub http: String,
    pub ws: String,
    token: String,
    /// The symbol that nobody else trades.
    quiet: Option<String>,
}

impl Venue {
    pub fn new(http: &str, ws: &str, token: &str) -> Venue {
        let (http, ws, token) = (http.to_owned(), ws.to_owned(), token.to_owned());
        Venue { http, ws, token, quiet: None }
    }

    /// Reads a `demo.env`.
    pub fn of(env: &Path) -> Result<Venue> {
        let text = fs::read_to_string(env).with_context(|| {
            format!(
                "cannot read {}: start `outcry serve --demo` first, or name it with --env",
                env.display()
            )
        })?;
        let values: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |name: &str| {
            let found = values.get(name).map(|it| (*it).to_owned());
            found.with_context(|| format!("{} has no {name}", env.display()))
        };
        let (http, ws) = (value("BASE_HTTP")?, value("BASE_WS")?);
        Ok(Venue { http, ws, token: value("ADMIN_TOKEN")?, quiet: value("SYMBOL").ok() })
    }

    fn admin(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", bearer.as_str())];
        let path = format!("/admin/v1/{path}");
        http::request(&self.http, method, &path, &headers, &body.to_string())
            .with_context(|| format!("cannot reach {}", self.http))
    }

    /// Sends an admin request; a conflict means that it was done before.
    fn ensure(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.admin(method, path, body)?;
        ensure!(status == 200 || status == 409, "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).with_context(|| format!("{method} {path}: {answer}"))
    }

    fn get(&self, path: &str) -> Result<Value> {
        let (status, answer) = http::request(&self.http, "GET", path, &[], "")
            .with_context(|| format!("cannot reach {}", self.http))?;
        ensure!(status == 200, "GET {path}: {status} {answer}");
        serde_json::from_str(&answer).with_context(|| format!("GET {path}: {answer}"))
    }

    /// An account with funds and a new key that no rate limit holds.
    pub fn account(&self, name: &str, assets: &[String]) -> Result<Credentials> {
        self.ensure("POST", "accounts", &json!({ "name": name }))?;
        for asset in assets {
            let id = format!("{name}/{asset}");
            let deposit = json!({ "id": id, "account": name, "asset": asset, "amount": OPENING });
            self.ensure("POST", "deposits", &deposit)?;
        }
        let terms = json!({ "permissions": ["TRADE", "USER_DATA", "UNLIMITED"] });
        let (status, answer) = self.admin("POST", &format!("accounts/{name}/keys"), &terms)?;
        ensure!(status == 200, "a key for {name}: {status} {answer}");
        let answer: Value = serde_json::from_str(&answer)?;
        let text = |field: &str| answer.get(field).and_then(Value::as_str);
        match (text("key"), text("secret")) {
            (Some(key), Some(secret)) => Ok(Credentials::new(key, secret)),
            _ => bail!("a key for {name}: {answer}"),
        }
    }

    pub fn remove_key(&self, key: &str) -> Result<()> {
        self.admin("DELETE", &format!("keys/{key}"), &Value::Null).map(drop)
    }

    /// What the generator must know of the symbols, and their assets.
    pub fn symbols(&self, wanted: &[String]) -> Result<(Vec<LoadSymbol>, Vec<String>)> {
        let info = self.get("/api/v3/exchangeInfo")?;
        let all = info.get("symbols").and_then(Value::as_array).context("no symbols")?;
        let is_wanted = |it: &&Value| {
            let name = it.get("symbol").and_then(Value::as_str).unwrap_or("");
            wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)
        };
        let mut symbols = Vec::new();
        let mut assets = Vec::new();
        for symbol in all.iter().filter(is_wanted).take(wanted.len().max(SYMBOLS_MAX)) {
            symbols.push(self.symbol(symbol)?);
            for field in ["baseAsset", "quoteAsset"] {
                let asset = symbol.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
                if !assets.contains(&asset) {
                    assets.push(asset);
                }
            }
        }
        ensure!(!symbols.is_empty(), "the venue has none of these symbols");
        Ok((symbols, assets))
    }

    fn symbol(&self, symbol: &Value) -> Result<LoadSymbol> {
        let name = symbol.get("symbol").and_then(Value::as_str).context("a symbol")?.to_owned();
        let filter = |kind: &str, field: &str| {
            let filters = symbol.get("filters").and_then(Value::as_array);
            let found = filters?.iter().find(|it| it["filterType"] == kind)?;
            Quantity::parse(found.get(field)?.as_str()?).ok()
        };
        let tick = filter("PRICE_FILTER", "tickSize").filter(|it| !it.is_zero());
        let step = filter("LOT_SIZE", "stepSize").filter(|it| !it.is_zero());
        let (tick, step) = (tick.map_or(1, |it| it.0), step.map_or(1, |it| it.0));
        let average = self.get(&format!("/api/v3/avgPrice?symbol={name}"))?;
        let price = average.get("price").and_then(Value::as_str).unwrap_or("");
        let price = Price::parse(price).map_or(0, |price| price.0 / tick * tick);
        ensure!(price > 0, "{name} has neither a trade nor a reference price");
        let units = u128::from(ORDER_NOTIONAL) * u128::from(SCALE) * u128::from(SCALE);
        let steps = (units / u128::from(price)).div_ceil(u128::from(step));
        let quantity = u64::try_from(steps).unwrap_or(1).saturating_mul(step);
        let (price, tick, quantity) = (Price(price), Price(tick), Quantity(quantity));
        Ok(LoadSymbol { symbol: name, price, tick, quantity })
    }
}

/// Runs the load; false when something was refused.
pub fn load(args: &cli::Load, orders: &Orders, out: &mut dyn Write) -> Result<bool> {
    let venue = Venue::of(&args.env)?;
    let (mut symbols, assets) = venue.symbols(&args.symbol)?;
    if args.symbol.is_empty() && symbols.len() > 1 {
        // The demo's quiet symbol stays quiet unless it is named.
        symbols.retain(|it| Some(&it.symbol) != venue.quiet.as_ref());
    }
    let name = |index: u16| format!("load-{index}");
    let accounts = (1..=args.connections).map(|index| venue.account(&name(index), &assets));
    let credentials: Vec<Credentials> = accounts.collect::<Result<_>>()?;
    let keys: Vec<String> = credentials.iter().map(|it| it.key.clone()).collect();
    // Client order ids begin with the seed: those of another run are not to be met again.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let options = LoadOptions {
        connections: usize::from(args.connections),
        duration: Duration::from_secs(args.seconds),
        warm_up: Duration::from_secs(args.warm_up),
        seed: args.seed ^ since.as_secs(),
        recorder: args.recorder.clone(),
        tolerate_disconnect: args.tolerate_disconnect,
        cancel_at_end: !args.leave_open,
        rate: args.rate,
        ..LoadOptions::new(venue.ws.clone(), credentials, symbols)
    };
    let mut shown = progress::Progress::always("load");
    let due = args.rate.saturating_mul(args.seconds.saturating_add(args.warm_up));
    let progress = |it: &Progress| shown.show(it.answered, due, it.answered);
    let report = run(options, progress, &orders.stop);
    for key in &keys {
        // The server may be gone: that was the point of some runs.
        let _ = venue.remove_key(key);
    }
    let report = report?;
    writeln!(out, "{report}")?;
    // A cancel that meets a fill on its way is no fault of anybody.
    let races = report.refused.get(&RACE).copied().unwrap_or(0);
    Ok(report.refused_total() == races && report.never_sent == 0)
}
