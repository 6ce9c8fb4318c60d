//! The whole exchange as a client sees it: round trips beside a bare echo server, the highest rate
//! that is held, and streams to many subscribers. Server and client are processes of their own, so
//! that the CPU of each is known.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use app::load::Venue;
use clap::ValueEnum;
use clients::fanout::{self, FanoutOptions};
use clients::load::{LoadOptions, LoadSymbol, Mix, run as run_load};
use clients::probe::{self, ProbeOptions};
use clients::{Credentials, Percentiles};

use crate::{Result, machine};

const TOKEN: &str = "bench";
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
/// The rate that is aimed at, and what counts as held.
const P99_MAX_NS: u64 = 50_000_000;
/// Trades a second while subscribers listen.
const TRADES_PER_SECOND: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// One connection, one order in flight, memory
    Latency,
    /// The highest open-loop rate with p99 under 50 ms, defaults
    Throughput,
    /// Subscribers of streams
    Fanout,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub parts: Vec<Part>,
    /// Rounds of the latency part: echo and exchange in turn.
    pub rounds: usize,
    /// Orders of one round.
    pub orders: u64,
    /// Rates to try, orders a second; the search goes on between the last held and the first not.
    pub rates: Vec<u64>,
    pub seconds: u64,
    pub subscribers: usize,
}

/// Runs the parts.
pub fn run(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<()> {
    tell(&machine::describe());
    for part in &options.parts {
        match part {
            Part::Latency => latency(options, tell)?,
            Part::Throughput => throughput(options, tell)?,
            Part::Fanout => subscribers(options, tell)?,
        }
    }
    Ok(())
}

/// A child process that serves; killed when dropped.
struct Server {
    child: Child,
    _folder: tempfile::TempDir,
    venue: Venue,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts this program's hidden command `serve` (or `echo`) and waits until it is ready.
    fn start(command: &str, durability: &str) -> Result<Server> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("bench.toml");
        fs::write(&config, configuration())?;
        let ready = folder.path().join("ready");
        let child = Command::new(std::env::current_exe()?)
            .args([command, "--durability", durability])
            .arg("--folder")
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Server { child, _folder: folder, venue: Venue::new("", "", TOKEN) };
        let began = Instant::now();
        let address = loop {
            if let Ok(text) = fs::read_to_string(&ready)
                && let Some((_, rest)) = text.split_once("http://")
                && let Some((address, _)) = rest.split_once('"')
            {
                break address.to_owned();
            }
            if server.child.try_wait()?.is_some() || began.elapsed() > READY_TIMEOUT {
                return Err(format!("the server `{command}` does not start").into());
            }
            thread::sleep(LOOK);
        };
        let (http, ws) = (format!("http://{address}"), format!("ws://{address}"));
        server.venue = Venue::new(&http, &ws, TOKEN);
        Ok(server)
    }

    /// CPU time of the server so far.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        // utime and stime, in ticks of 10 ms (proc(5)).
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
        Duration::from_millis(ticks * 10)
    }

    fn memory_mib(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id()));
        let pages = statm.unwrap_or_default();
        let pages: u64 =
            pages.split_whitespace().nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        pages * 4 / 1024
    }

    fn accounts(&self, count: usize) -> Result<(Vec<Credentials>, Vec<LoadSymbol>)> {
        let (symbols, assets) = self.venue.symbols(&[])?;
        let names = (1..=count).map(|index| format!("load-{index}"));
        let mut credentials = Vec::new();
        for name in names {
            credentials.push(self.venue.account(&name, &assets)?);
        }
        Ok((credentials, symbols))
    }
}

fn configuration() -> String {
    let mut text = format!(
        "[server]\nconnects_per_five_minutes = 0\n[admin]\ntoken = \"{TOKEN}\"\n\
         [fees]\nmaker = \"0.001\"\ntaker = \"0.001\"\n"
    );
    for (symbol, base, price) in [
        ("BTCUSDT", "BTC", 60_000),
        ("ETHUSDT", "ETH", 3_000),
        ("BNBUSDT", "BNB", 600),
        ("LTCUSDT", "LTC", 100),
    ] {
        text += &format!(
            "[[instrument]]\nsymbol = \"{symbol}\"\nbase = \"{base}\"\nquote = \"USDT\"\n\
             reference_price = \"{price}\"\n\
             price_filter = {{ min_price = \"0.01\", max_price = \"1000000\", tick_size = \"0.01\" }}\n\
             lot_size = {{ min_qty = \"0.00001\", max_qty = \"9000\", step_size = \"0.00001\" }}\n\
             max_num_orders = {{ max_num_orders = 200 }}\n"
        );
    }
    text
}

fn row(name: &str, it: &Percentiles) -> String {
    let us = |ns: u64| format!("{}.{}", ns / 1_000, ns % 1_000 / 100);
    format!(
        "{name:<24}{:>10}{:>10}{:>10}{:>10}{:>10}",
        us(it.p50_ns),
        us(it.p90_ns),
        us(it.p99_ns),
        us(it.p999_ns),
        us(it.max_ns)
    )
}

/// Rounds in turn, so that both see the same machine.
fn latency(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let echo = Server::start("echo", "memory")?;
    let server = Server::start("serve", "memory")?;
    let (credentials, symbols) = server.accounts(1)?;
    let symbol = symbols.first().ok_or("no symbol")?.clone();
    let probe = |ws: &str, credentials: &Credentials| {
        let options = ProbeOptions {
            ws: ws.to_owned(),
            credentials: credentials.clone(),
            symbol: symbol.clone(),
            rounds: options.orders / 2,
            warm_up: 1_000,
            spin: false,
        };
        probe::run(&options, &AtomicBool::new(false))
    };
    let credentials = credentials.first().ok_or("no credentials")?;
    tell("");
    tell("round trips, one connection, one order in flight, memory, us");
    tell(&format!("{:<24}{:>10}{:>10}{:>10}{:>10}{:>10}", "", "p50", "p90", "p99", "p99.9", "max"));
    let mut ratios = Vec::new();
    for round in 1..=options.rounds {
        let bare = probe(&echo.venue.ws, credentials)?;
        let full = probe(&server.venue.ws, credentials)?;
        tell(&row(&format!("{round} echo"), &bare.place));
        tell(&row(&format!("{round} order.place"), &full.place));
        tell(&row(&format!("{round} order.cancel"), &full.cancel));
        ratios.push((full.place, bare.place));
    }
    let median = |mut values: Vec<i64>| {
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    let above = ratios.iter().map(|(full, bare)| full.p50_ns as i64 - bare.p50_ns as i64);
    let times = ratios.iter().map(|(full, bare)| (full.p99_ns * 100 / bare.p99_ns.max(1)) as i64);
    let (above, times) = (median(above.collect()), median(times.collect()));
    tell(&format!(
        "median: p50 is {}.{} us above the echo's, p99 is {}.{:02} times the echo's",
        above / 1_000,
        above.abs() % 1_000 / 100,
        times / 100,
        times % 100
    ));
    Ok(())
}

fn throughput(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<()> {
    tell("");
    tell(&format!(
        "open loop for {} s, defaults (async), 8 connections, 4 symbols, 50/30/20, user streams, RESULT",
        options.seconds
    ));
    tell(&format!(
        "{:>9}{:>11}{:>10}{:>10}{:>10}{:>8}{:>12}{:>12}  {}",
        "rate/s",
        "answered/s",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "errors",
        "server us",
        "client us",
        ""
    ));
    let (mut held, mut failed) = (0, None);
    let mut queue: Vec<u64> = options.rates.clone();
    queue.sort_unstable();
    queue.reverse();
    let mut refinements = 3;
    while let Some(rate) = queue.pop() {
        if failed.is_some_and(|failed| rate >= failed) {
            continue;
        }
        match one_rate(options, rate, tell)? {
            true => held = held.max(rate),
            false => {
                failed = Some(rate);
                queue.clear();
            }
        }
        if let (true, Some(failed)) = (queue.is_empty() && refinements > 0, failed) {
            refinements -= 1;
            let next = (held + failed) / 2 / 1_000 * 1_000;
            if next > held && next < failed {
                queue.push(next);
            }
        }
    }
    tell(&format!("held: {held} orders/s"));
    Ok(())
}

/// One run at a rate; true when it was held.
fn one_rate(options: &Options, rate: u64, tell: &mut dyn FnMut(&str)) -> Result<bool> {
    let server = Server::start("serve", "async")?;
    let (credentials, symbols) = server.accounts(8)?;
    let load = LoadOptions {
        rate,
        duration: Duration::from_secs(options.seconds),
        ..LoadOptions::new(server.venue.ws.clone(), credentials, symbols)
    };
    let before = server.cpu();
    let report = match run_load(load, |_| {}, &AtomicBool::new(false)) {
        Ok(report) => report,
        Err(error) => {
            tell(&format!("{rate:>9}  not held: {error}"));
            return Ok(false);
        }
    };
    let cpu = server.cpu().saturating_sub(before);
    let errors = report.refused_total();
    let is_held = errors == 0
        // What came due in the last millisecond may be left.
        && report.never_sent <= rate / 1_000
        && report.unanswered == 0
        && report.latency.p99_ns < P99_MAX_NS;
    let server_ns = cpu.as_nanos() as u64 / report.sent.max(1);
    let us = |ns: u64| format!("{}.{:02}", ns / 1_000, ns % 1_000 / 10);
    tell(&format!(
        "{rate:>9}{:>11}{:>10}{:>10}{:>10}{errors:>8}{:>12}{:>12}  {}",
        report.throughput,
        report.latency.p50_ns / 1_000,
        report.latency.p99_ns / 1_000,
        report.latency.p999_ns / 1_000,
        us(server_ns),
        us(report.cpu_per_order_ns()),
        if is_held { "held" } else { "not held" }
    ));
    for text in report.refusal_texts.iter().take(2) {
        tell(&format!("          {text}"));
    }
    Ok(is_held)
}

fn subscribers(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let server = Server::start("serve", "async")?;
    let (credentials, symbols) = server.accounts(2)?;
    let symbol = symbols.first().ok_or("no symbol")?.clone();
    let name = symbol.symbol.to_lowercase();
    let (ws, seconds) = (server.venue.ws.clone(), options.seconds);
    let trading = thread::spawn(move || {
        // Half of the orders rest and are taken by the other half.
        let load = LoadOptions {
            rate: TRADES_PER_SECOND * 9 / 2,
            connections: 2,
            duration: Duration::from_secs(seconds + 10),
            warm_up: Duration::ZERO,
            mix: Mix { resting: 50, cancels: 10, trading: 40 },
            poll: Duration::from_millis(1),
            ..LoadOptions::new(ws, credentials, vec![symbol])
        };
        run_load(load, |_| {}, &AtomicBool::new(false)).map(|report| report.filled)
    });
    let wanted = FanoutOptions {
        ws: server.venue.ws.clone(),
        streams: vec![format!("{name}@depth@100ms"), format!("{name}@trade")],
        subscribers: options.subscribers,
        duration: Duration::from_secs(seconds),
    };
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let before = server.cpu();
    let report = fanout::run(&wanted, stopped)?;
    let cpu = server.cpu().saturating_sub(before);
    tell("");
    tell(&format!("{} subscribers of @depth@100ms and @trade, {seconds} s", options.subscribers));
    tell(&report.to_string());
    tell(&format!("server      cpu {} ms, memory {} MiB", cpu.as_millis(), server.memory_mib()));
    drop(server);
    let _ = trading.join();
    Ok(())
}

/// The hidden command `serve`: a venue without bots, as the parts need it.
pub fn serve(folder: &Path, durability: &str) -> Result<()> {
    use app::cli::{Serve, Settings};
    let settings = Settings {
        config: Some(folder.join("bench.toml")),
        data: Some(folder.join("data")),
        set: vec![format!("log.durability={durability}")],
    };
    let serve = Serve {
        settings,
        demo: false,
        listen: Some("127.0.0.1:0".to_owned()),
        seed: 1,
        ready_file: Some(folder.join("ready")),
    };
    Ok(app::serve::serve(&serve, &app::simulate::Orders::default())?)
}

/// The hidden command `echo`: axum and nothing else; answers of the size of ours.
pub fn echo(folder: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let ready: PathBuf = folder.join("ready");
        fs::write(ready, format!("{{\"http\":\"http://{address}\"}}"))?;
        use axum::serve::ListenerExt;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, axum::Router::new().route("/ws-api/v3", axum::routing::any(upgrade)))
            .await?;
        Ok(())
    })
}

async fn upgrade(asked: axum::extract::ws::WebSocketUpgrade) -> axum::response::Response {
    asked.on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            let axum::extract::ws::Message::Text(text) = message else { continue };
            if socket.send(axum::extract::ws::Message::Text(canned(&text).into())).await.is_err() {
                return;
            }
        }
    })
}

/// What an order is answered, with the id of the request.
fn canned(request: &str) -> String {
    let rest = request.split_once("\"id\":").map_or("", |(_, rest)| rest);
    let id = rest.split_once(',').map_or("0", |(id, _)| id);
    format!(
        "{{\"id\":{id},\"status\":200,\"result\":{{\"symbol\":\"BTCUSDT\",\"orderId\":12345,\
         \"orderListId\":-1,\"clientOrderId\":\"a097fe6304b20a7e4fc436\",\
         \"transactTime\":1655716096505,\"price\":\"59999.00000000\",\
         \"origQty\":\"0.00034000\",\"executedQty\":\"0.00000000\",\
         \"origQuoteOrderQty\":\"0.00000000\",\"cummulativeQuoteQty\":\"0.00000000\",\
         \"status\":\"NEW\",\"timeInForce\":\"GTC\",\"type\":\"LIMIT\",\"side\":\"BUY\",\
         \"workingTime\":1655716096505,\"selfTradePreventionMode\":\"NONE\"}},\
         \"rateLimits\":[{{\"rateLimitType\":\"ORDERS\",\"interval\":\"SECOND\",\
         \"intervalNum\":10,\"limit\":100,\"count\":1}},{{\"rateLimitType\":\"ORDERS\",\
         \"interval\":\"DAY\",\"intervalNum\":1,\"limit\":200000,\"count\":1}}]}}"
    )
}
