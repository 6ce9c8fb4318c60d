//! `outcry serve`: a node, a gateway before it, and in the demo bots that trade.
//!
//! ```text
//! thread "node"     sequencer, replication, engine (fused), or one thread each
//! thread "gateway"  all sockets, the views, the admin API
//! thread "bots"     the demo's bots, over the wire like anybody
//! thread "feed"     books of other venues, if the configuration names some
//! thread main       waits for signals, ends the others in order
//! ```

mod demo;
mod link;
mod views;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clients::bots::{BotOptions, BotSymbol, Rates};
use feed::log::FeedReader;
use gateway::core::{Core, Views};
use gateway::{Alarm, Gateway, Options};
use protocol::{Command, InstrumentDefinition, Price, Quantity, SCALE};
use replication::SystemClock;
use store::CursorKind;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cli;
use crate::commands::{load, node_options, threads};
use crate::config::{Config, VenueState, plan};
use crate::feed::serving::{Keeper, Keeping};
use crate::node::{Node, Readers, Running, Waker};
use crate::seal::{Sealer, random_bytes};
use crate::simulate::{Orders, venue};
use crate::slot::Slot;
use link::{FeedLog, Process, SlotLink};
use views::Rebuild;

/// The slot of the start, which sets the venue up, and that of the gateway.
const ADMIN_SLOT: u8 = 0;
const GATEWAY_SLOT: u8 = 1;
/// How often the main thread looks at signals and at its threads.
const LOOK: Duration = Duration::from_millis(10);
/// With fewer commands since the last look no snapshot is taken: they are replayed in a moment.
const SNAPSHOT_COMMANDS_MIN: u64 = 10_000;
/// Requests a second of each bot: some 200 changes of the books together.
const BOT_RATES: Rates = Rates { maker: 120, noise: 40, taker: 40 };
/// Notional of the bots' usual order, in the quote asset.
const BOT_NOTIONAL: u64 = 500;

/// Serves until it is told to stop. Errors say what to do next.
pub fn serve(args: &cli::Serve, orders: &Orders) -> Result<()> {
    let mut start = Start::read(args)?;
    let listener = start.bind()?;
    let door = Door::keep(&listener)?;
    let opened = start.open()?;
    let serving = match opened.start(&start, listener, door, orders) {
        // That was asked for; what was proposed is in the log, the rest comes with the next start.
        Err(_) if orders.stop.load(Ordering::Acquire) => return Ok(()),
        started => started?,
    };
    serving.announce(&start)?;
    let outcome = serving.wait(&start, orders);
    serving.stop(&start, outcome)
}

/// What was asked for.
struct Start<'a> {
    args: &'a cli::Serve,
    config: Config,
    demo: Option<Config>,
    admin_token: Option<String>,
}

impl<'a> Start<'a> {
    fn read(args: &'a cli::Serve) -> Result<Start<'a>> {
        let mut settings = args.settings.clone();
        if let Some(listen) = &args.listen {
            settings.set.push(format!("server.listen={listen}"));
        }
        let config = load(&settings, None)?;
        let mut demo = args.demo.then(demo::configuration).transpose()?;
        if let Some(demo) = &mut demo {
            demo.venue.leave_to(&config.venue);
        }
        if let Some(path) = &args.ready_file {
            // A process that was killed left its own.
            let _ = fs::remove_file(path);
        }
        let admin_token = config.local.admin_token.clone();
        Ok(Start { args, config, demo, admin_token })
    }

    fn data(&self) -> &Path {
        &self.config.local.data_directory
    }

    /// Takes the port before anything else: a port that is taken must not cost a recovery.
    fn bind(&self) -> Result<std::net::TcpListener> {
        let address = self.config.local.listen;
        if self.demo.is_some() && !address.ip().is_loopback() {
            bail!(
                "--demo listens on loopback only, not on {address}: its keys lie open in demo.env; \
                 use --config with accounts of your own to serve others"
            );
        }
        let listener = std::net::TcpListener::bind(address).with_context(|| {
            format!("cannot listen on {address}; choose another with --listen, or port 0")
        })?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Recovers the node, and finds out what its venue is missing.
    fn open(&mut self) -> Result<Opened> {
        let options = node_options(&self.config.local)?;
        let (node, recovered) = Node::open(&options, Box::new(SystemClock::default()))?;
        for warning in &recovered.warnings {
            eprintln!("outcry: {warning}");
        }
        if recovered.sequence > 0 {
            eprintln!("outcry: {recovered}");
        }
        let planned = match self.plan(&VenueState::of(node.apply.engine())) {
            Ok(planned) => planned,
            Err(error) => {
                // Nothing was asked of the node: it goes as it came.
                node.close()?;
                return Err(error);
            }
        };
        let feed = match Keeper::open(self.data(), &self.config.local.feed) {
            Ok(feed) => feed,
            Err(error) => {
                node.close()?;
                return Err(error);
            }
        };
        self.attach(node, planned, recovered.sequence, feed)
    }

    /// What the venue is missing, keys of the demo included.
    fn plan(&mut self, state: &VenueState) -> Result<Planned> {
        if self.demo.is_some() && self.admin_token.is_none() {
            self.admin_token = Some(demo::admin_token(self.data())?);
        }
        let sealer = Arc::new(Sealer::open_or_create(self.data())?);
        let venue = self.missing(state, &sealer)?;
        let keys = self.missing_keys(state, &sealer)?;
        Ok(Planned { venue, keys, sealer })
    }

    fn attach(
        &self,
        mut node: Node,
        planned: Planned,
        from: u64,
        feed: Option<Keeper>,
    ) -> Result<Opened> {
        let readers = node.readers();
        let ring_bytes = usize::try_from(self.config.local.ring_bytes)?;
        let mut attach = |slot| {
            let (slot, consumer) = Slot::new(slot, ring_bytes, &readers, Waker::default())?;
            node.ingest.attach(consumer);
            anyhow::Ok(slot)
        };
        let (admin, gateway) = (attach(ADMIN_SLOT)?, attach(GATEWAY_SLOT)?);
        Ok(Opened { node, readers, admin, gateway, planned, from, feed })
    }

    /// The commands that bring the venue to the configuration.
    fn missing(&self, state: &VenueState, sealer: &Sealer) -> Result<Vec<Command>> {
        let mut commands = Vec::new();
        let configured = plan(&self.config, state, sealer)?;
        let demo = self.demo.as_ref().map(|demo| plan(demo, state, sealer)).transpose()?;
        commands.extend(configured.genesis(u64::from_le_bytes(random_bytes()?)));
        commands.extend(demo.iter().flat_map(|plan| plan.commands().cloned()));
        commands.extend(configured.commands().cloned());
        Ok(commands)
    }

    fn missing_keys(&self, state: &VenueState, sealer: &Sealer) -> Result<Vec<Command>> {
        match self.demo {
            Some(_) => demo::missing_keys(state, sealer),
            None => Ok(Vec::new()),
        }
    }
}

/// A node that has recovered and does not run yet.
struct Opened {
    node: Node,
    readers: Readers,
    admin: Slot,
    gateway: Slot,
    planned: Planned,
    from: u64,
    feed: Option<Keeper>,
}

/// Commands that the start proposes.
struct Planned {
    venue: Vec<Command>,
    keys: Vec<Command>,
    sealer: Arc<Sealer>,
}

impl Opened {
    /// Runs the node, sets the venue up, rebuilds the views and opens the door.
    fn start(
        self,
        start: &Start<'_>,
        listener: std::net::TcpListener,
        door: Door,
        orders: &Orders,
    ) -> Result<Serving> {
        let Opened { node, readers, mut admin, mut gateway, planned, from, feed } = self;
        let Planned { venue, keys, sealer } = planned;
        let is_new_demo = !keys.is_empty();
        let alarm = Arc::new(Alarm::default());
        let mut threads = threads(&start.config.local);
        let ringing = Arc::clone(&alarm);
        threads.on_published = Some(Arc::new(move || ringing.ring()));
        let running = Running::start(node, &threads)?;
        admin.set_waker(running.waker());
        gateway.set_waker(running.waker());
        let turn = || {
            thread::sleep(Duration::from_millis(1));
            ensure!(running.is_running(), "the node failed");
            ensure!(!orders.stop.load(Ordering::Acquire), "stopped while it was starting");
            Ok(())
        };
        let set_up = || {
            let commands: Vec<Command> = venue.into_iter().chain(keys).collect();
            venue::set_up(admin, from, &commands, turn)?;
            gateway.join(from.wrapping_add(1), turn)?;
            let process = Process {
                sealer: Arc::clone(&sealer),
                node: running.handle(),
                durability: format!("{:?}", start.config.local.durability).to_lowercase(),
                data: start.data().to_path_buf(),
            };
            let options = gateway_options(start);
            let mut views = Views::new(&options, Arc::new(process));
            let mut state = VenueState::default();
            let replay_bytes_max = start.config.local.replay_bytes_max;
            let rebuild = Rebuild { data: start.data(), readers: &readers, replay_bytes_max };
            let mut reader = rebuild.begin(&mut views, &mut state)?;
            views::catch_up(&mut reader, &mut views, &mut state)?;
            gateway.read_with(reader);
            anyhow::Ok((gateway, views, options, state))
        };
        let (slot, views, options, state) = match set_up() {
            Ok(ready) => ready,
            Err(error) => {
                // A stage that failed is the cause of whatever was met here.
                running.stop()?.close()?;
                return Err(error);
            }
        };
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let host = Arc::clone(&views.host);
        let link = Box::new(SlotLink(slot));
        let mut core = Core::new(link, views, options).map_err(|it| anyhow!(it))?;
        core.follow_feed(Box::new(FeedLog(FeedReader::new(start.data()))));
        let gateway = Gateway::new(core, host, alarm, stopping);
        door.open()?;
        let thread = spawn("gateway", move || run_gateway(gateway, listener))?;
        let keys = match start.demo {
            Some(_) => Some(demo::keys(&state, &sealer)?),
            None => None,
        };
        let bots = keys.as_ref().map(|keys| start_bots(start, address, keys)).transpose()?;
        let feed = feed.map(Keeper::start).transpose()?;
        Ok(Serving { running, gateway: thread, stop, bots, feed, keys, address, is_new_demo })
    }
}

fn gateway_options(start: &Start<'_>) -> Options {
    Options { admin_token: start.admin_token.clone(), ..start.config.local.gateway.clone() }
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(run).context("cannot start a thread")
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a runtime")
}

/// Serves until it is told to stop; gives the gateway back, whose views are still good.
fn run_gateway(gateway: Gateway, listener: std::net::TcpListener) -> Result<Arc<Gateway>> {
    let gateway = Arc::new(gateway);
    runtime()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        gateway::server::serve(Arc::clone(&gateway), listener).await?;
        anyhow::Ok(())
    })?;
    Ok(gateway)
}

/// Answers that the exchange is starting, as long as it is. Dropped, it answers no more.
struct Door {
    thread: JoinHandle<Result<()>>,
    opens: watch::Sender<bool>,
}

impl Door {
    fn keep(listener: &std::net::TcpListener) -> Result<Door> {
        let listener = listener.try_clone().context("cannot share the port")?;
        let (opens, until) = watch::channel(false);
        let thread = spawn("door", move || {
            runtime()?.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                gateway::server::starting(listener, until).await;
                Ok(())
            })
        })?;
        Ok(Door { thread, opens })
    }

    /// Steps aside for the gateway.
    fn open(self) -> Result<()> {
        self.opens.send_replace(true);
        joined(self.thread)
    }
}

/// The demo's bots on their own thread.
struct Bots {
    thread: JoinHandle<Result<()>>,
    stop: watch::Sender<bool>,
}

fn start_bots(start: &Start<'_>, address: SocketAddr, keys: &demo::Keys) -> Result<Bots> {
    let demo = start.demo.as_ref().context("no demo")?;
    let definitions = demo.venue.instruments.iter().map(|it| &it.definition);
    let traded = definitions.filter(|it| it.symbol.as_str() != demo::QUIET_SYMBOL);
    let options = BotOptions {
        ws: format!("ws://{address}"),
        symbols: traded.map(bot_symbol).collect(),
        maker: keys.maker.clone(),
        noise: keys.noise.clone(),
        taker: keys.taker.clone(),
        seed: start.args.seed,
        rates: BOT_RATES,
        levels: clients::bots::LEVELS,
    };
    let (stop, stopping) = watch::channel(false);
    let thread = spawn("bots", move || {
        let report = |line: &str| eprintln!("outcry: bots: {line}");
        runtime()?.block_on(clients::bots::run(options, stopping, report));
        Ok(())
    })?;
    Ok(Bots { thread, stop })
}

fn bot_symbol(definition: &InstrumentDefinition) -> BotSymbol {
    let (price, step) = (definition.reference_price, definition.filters.lot_size.step);
    // Whole steps of the usual notional.
    let units = u128::from(BOT_NOTIONAL) * u128::from(SCALE) * u128::from(SCALE);
    let quantity = units / u128::from(price.0.max(1));
    let steps = quantity / u128::from(step.0.max(1));
    let quantity = u64::try_from(steps).unwrap_or(1).max(1).saturating_mul(step.0.max(1));
    BotSymbol {
        symbol: definition.symbol.as_str().to_owned(),
        base: definition.base.as_str().to_owned(),
        quote: definition.quote.as_str().to_owned(),
        reference_price: price,
        tick: definition.filters.price.tick,
        step,
        order_quantity: Quantity(quantity),
        min_notional: definition.filters.notional.min,
    }
}

/// Everything runs.
struct Serving {
    running: Running,
    gateway: JoinHandle<Result<Arc<Gateway>>>,
    stop: watch::Sender<bool>,
    bots: Option<Bots>,
    feed: Option<Keeping>,
    keys: Option<demo::Keys>,
    address: SocketAddr,
    is_new_demo: bool,
}

impl Serving {
    /// The banner, `demo.env` and the ready file.
    fn announce(&self, start: &Start<'_>) -> Result<()> {
        let address = self.address;
        let local = &start.config.local;
        eprintln!("outcry {} serves on http://{address}", env!("CARGO_PKG_VERSION"));
        eprintln!("  REST           http://{address}/api/v3");
        eprintln!("  WebSocket API  ws://{address}/ws-api/v3");
        eprintln!("  streams        ws://{address}/ws  ws://{address}/stream");
        eprintln!("  over HTTP      http://{address}/stream/sse?streams=btcusdt@trade");
        let admin = if start.admin_token.is_some() { "/admin/v1" } else { " off (admin.token)" };
        eprintln!("  admin API      http://{address}{admin}");
        let durability = format!("{:?}", local.durability).to_lowercase();
        eprintln!("  durability     {durability}, data in {}", start.data().display());
        if !address.ip().is_loopback() {
            eprintln!(
                "  remote         other machines can reach it: trading and user data need keys"
            );
        }
        if let Some(keys) = &self.keys {
            self.announce_demo(start, keys)?;
        }
        if let Some(path) = &start.args.ready_file {
            write_ready_file(path, address)?;
        }
        Ok(())
    }

    fn announce_demo(&self, start: &Start<'_>, keys: &demo::Keys) -> Result<()> {
        let address = self.address.to_string();
        let token = start.admin_token.as_deref().unwrap_or("");
        let reference = start.reference_price();
        let path = demo::write_env(start.data(), &address, keys, &reference, token)?;
        eprintln!("  demo           keys and addresses in {} (`. FILE`)", path.display());
        if self.is_new_demo {
            for (name, pair) in [("A", &keys.a), ("B", &keys.b)] {
                eprintln!("    account {name}    key {}  secret {}", pair.key, pair.secret);
            }
        }
        eprintln!(
            "  ccxt           ex.urls['api'] = json.loads(re.sub(r'(http|ws)s?://[^/\"]+', \
             r'\\1://{address}', json.dumps(ex.urls['api'])))"
        );
        Ok(())
    }

    /// Until somebody asks to stop, or a part fails.
    fn wait(&self, start: &Start<'_>, orders: &Orders) -> Result<()> {
        let (interval, cursors) = (start.config.local.snapshot_interval, self.running.cursors());
        let sequence = || cursors.place(CursorKind::Applied).sequence;
        let mut last = (Instant::now(), sequence());
        loop {
            if !interval.is_zero() && last.0.elapsed() >= interval {
                // Ticks alone are no reason for a snapshot.
                let now = sequence();
                if now.saturating_sub(last.1) >= SNAPSHOT_COMMANDS_MIN {
                    self.running.request_snapshot();
                    last.1 = now;
                }
                last.0 = Instant::now();
            }
            if orders.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            ensure!(self.running.is_running(), "the node failed");
            ensure!(!self.gateway.is_finished(), "the gateway failed");
            if orders.snapshot.swap(false, Ordering::AcqRel) {
                self.running.request_snapshot();
            }
            thread::sleep(LOOK);
        }
    }

    /// Ends everything in order: no new requests, what is under way is answered, a snapshot.
    fn stop(self, start: &Start<'_>, outcome: Result<()>) -> Result<()> {
        if let Some(path) = &start.args.ready_file {
            // Whoever waits for it must not find the one of a process that has gone.
            let _ = fs::remove_file(path);
        }
        let bots = self.bots.map_or(Ok(()), |bots| {
            bots.stop.send_replace(true);
            joined(bots.thread)
        });
        let feed = self.feed.map_or(Ok(()), Keeping::stop);
        self.stop.send_replace(true);
        let gateway = joined(self.gateway);
        let mut node = self.running.stop()?;
        let gateway = outcome.and(gateway)?;
        let facts = node.settle()?;
        gateway.core().catch_up()?;
        // Without it the next start knows less of the past, and nothing else.
        if let Err(error) = views::keep_market(start.data(), &facts, &gateway.core().market) {
            eprintln!("outcry: {error:#}");
        }
        // It reads the log: nobody does when the node goes.
        drop(gateway);
        node.close()?;
        bots?;
        feed?;
        eprintln!("outcry: stopped");
        Ok(())
    }
}

fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked: this is a bug; the data is intact"))?
}

impl Start<'_> {
    /// Of the symbol that tests use.
    fn reference_price(&self) -> String {
        let definitions = self.demo.iter().flat_map(|demo| &demo.venue.instruments);
        let mut definitions = definitions.map(|it| &it.definition);
        let quiet = definitions.find(|it| it.symbol.as_str() == demo::QUIET_SYMBOL);
        let price = quiet.map_or(Price::ZERO, |it| it.reference_price).to_string();
        price.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

fn write_ready_file(path: &Path, address: SocketAddr) -> Result<()> {
    let pid = std::process::id();
    let text =
        format!("{{\"pid\":{pid},\"http\":\"http://{address}\",\"ws\":\"ws://{address}\"}}\n");
    let scratch: PathBuf = path.with_extension(format!("{pid}.new"));
    fs::write(&scratch, text)
        .and_then(|()| fs::rename(&scratch, path))
        .with_context(|| format!("cannot write the ready file {}", path.display()))
}
