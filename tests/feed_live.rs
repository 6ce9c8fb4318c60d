//! A feed with our own exchange as its venue, and a proxy between them that does everything wrong
//! that can go wrong: each book that the feed commits is the exchange's at that update id.
//!
//! What is right is known from three sides: a client without a proxy keeps the books by the venue's
//! documented procedure, at each id at which the stream has a message; the snapshots that the
//! exchange answered are its books at their ids; and ids do not repeat within the life of a folder.

#[path = "feed_live/proxy.rs"]
mod proxy;
#[path = "feed_live/tls.rs"]
mod tls;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use feed::session::SessionOptions;
use feed::shell::backoff::BackoffOptions;
use feed::shell::http::HttpOptions;
use feed::shell::net::NetOptions;
use feed::shell::venues::{VenueSettings, venue};
use feed::shell::{Failure, FeedOptions, Listener, Market};
use marketdata::Feeds;
use protocol::feed::FeedStatusChanged;
use protocol::{FeedEvent, Side, Stamp};
use serde_json::Value;
use tokio::sync::watch;

use super::api::{rows, units};
use super::child::{Server, Setting};
use super::http::Http;
use super::socket::{Got, Socket};
use proxy::{Faults, Proxy};

const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "BNBUSDT"];
/// `cargo xtask feed` asks for more.
const SECONDS: &str = "OUTCRY_FEED_SECONDS";
const SECONDS_IN_SUITE: u64 = 4;
/// How long the feed may take to be right again after the last fault.
const PATIENCE: Duration = Duration::from_secs(40);
const MILLISECOND_NS: u64 = 1_000_000;

/// Price and quantity in counts of 10^-8, bids and asks, each from the best on.
type Levels = [Vec<(u64, u128)>; 2];
/// By life of a folder, symbol and update id.
type Books = BTreeMap<(u64, usize, u64), Levels>;

/// What the feed has said so far.
#[derive(Default)]
struct Said {
    commits: Vec<((u64, usize, u64), Levels)>,
    feeds: Feeds,
    notes: Vec<String>,
}

/// Keeps what the feed says.
struct Listening {
    said: Arc<Mutex<Said>>,
    life: Arc<AtomicU64>,
}

impl Listener for Listening {
    fn changes(&mut self, receive_ns: u64, changes: &[FeedEvent]) -> Result<(), Failure> {
        let mut said = self.said.lock().unwrap();
        let life = self.life.load(Ordering::Acquire);
        for change in changes {
            said.feeds.apply(change, Stamp(receive_ns), |_| {});
            let FeedEvent::FeedBookCommitted(committed) = change else { continue };
            let source = said.feeds.source(committed.source).unwrap();
            let definition = source.definition();
            assert_eq!((definition.price_scale, definition.quantity_scale), (8, 8));
            let book = source.book().unwrap();
            let levels = [Side::Buy, Side::Sell].map(|side| book.levels(side).collect());
            let symbol = committed.source as usize;
            said.commits.push(((life, symbol, committed.update), levels));
        }
        Ok(())
    }

    fn note(&mut self, _source: Option<u32>, note: &str) {
        self.said.lock().unwrap().notes.push(note.to_owned());
    }
}

/// A feed on a thread of its own; it ends when it is dropped.
struct RunningFeed {
    said: Arc<Mutex<Said>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl RunningFeed {
    /// URLs of the streams and of the REST API.
    fn start(
        (ws_url, rest_url): (String, String),
        net: NetOptions,
        life: &Arc<AtomicU64>,
        seed: u64,
    ) -> RunningFeed {
        let settings = VenueSettings {
            ws_url: Some(ws_url),
            rest_url: Some(rest_url),
            snapshot_levels: Some(500),
            ..VenueSettings::default()
        };
        let symbols = SYMBOLS.map(str::to_owned).to_vec();
        let markets = vec![Market { venue: venue("binance", &settings).unwrap(), symbols }];
        let options = FeedOptions {
            markets,
            session: SessionOptions {
                depth_max: 0,
                probe_ns: 300 * MILLISECOND_NS,
                stale_ns: 700 * MILLISECOND_NS,
                dead_ns: 1_500 * MILLISECOND_NS,
                retry_first_ns: 50 * MILLISECOND_NS,
                retry_max_ns: 500 * MILLISECOND_NS,
                ..SessionOptions::default()
            },
            net,
            http: HttpOptions { answer_timeout: Duration::from_secs(2), ..HttpOptions::default() },
            backoff: BackoffOptions { first_ms: 40, wait_max_ms: 400, steady_ms: 1_000 },
            seed,
        };
        let said = Arc::new(Mutex::new(Said::default()));
        let (stop, stopping) = watch::channel(false);
        let (heard, life) = (Arc::clone(&said), Arc::clone(life));
        let thread = thread::spawn(move || {
            let listener = Rc::new(RefCell::new(Listening { said: heard, life }));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(feed::shell::run(options, listener, stopping)).unwrap();
        });
        RunningFeed { said, stop, thread: Some(thread) }
    }

    /// The newest update id of each book, where all are the venue's.
    fn synced(&self) -> Option<Vec<u64>> {
        let said = self.said.lock().unwrap();
        let books = said.feeds.sources().map(|it| it.synced_book().map(|book| book.update));
        let books = books.collect::<Option<Vec<_>>>()?;
        (books.len() == SYMBOLS.len()).then_some(books)
    }

    fn gaps(&self) -> u64 {
        self.statuses().iter().map(|status| status.gaps).sum()
    }

    fn statuses(&self) -> Vec<FeedStatusChanged> {
        let said = self.said.lock().unwrap();
        said.feeds.sources().filter_map(|it| it.status().copied()).collect()
    }
}

impl Drop for RunningFeed {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|it| it.is_ok()), "the feed panicked");
    }
}

/// A client without a proxy.
struct Reference {
    socket: Socket,
    http: Http,
    life: u64,
    books: [Option<(u64, Sides)>; SYMBOLS.len()],
    buffered: [Vec<Value>; SYMBOLS.len()],
}

/// Quantities by price.
#[derive(Default)]
struct Sides([BTreeMap<u64, u128>; 2]);

impl Sides {
    fn put(&mut self, bids: &Value, asks: &Value) {
        for (side, levels) in self.0.iter_mut().zip([bids, asks]) {
            for level in rows(levels) {
                let price = u64::try_from(units(&level[0])).unwrap();
                match u128::try_from(units(&level[1])).unwrap() {
                    0 => drop(side.remove(&price)),
                    quantity => drop(side.insert(price, quantity)),
                }
            }
        }
    }

    fn of_snapshot(snapshot: &Value) -> Sides {
        let mut sides = Sides::default();
        sides.put(&snapshot["bids"], &snapshot["asks"]);
        sides
    }

    fn levels(&self) -> Levels {
        let Sides([bids, asks]) = self;
        let level = |(price, quantity): (&u64, &u128)| (*price, *quantity);
        [bids.iter().rev().map(level).collect(), asks.iter().map(level).collect()]
    }
}

fn number(message: &Value, name: &str) -> u64 {
    message[name].as_u64().unwrap_or_else(|| panic!("no {name}: {message}"))
}

impl Reference {
    /// Connects, and waits until it has all books.
    fn open(server: &Server, life: u64, truth: &mut Books) -> Reference {
        let names = SYMBOLS.map(|symbol| format!("{}@depth@100ms", symbol.to_lowercase()));
        let path = format!("/stream?streams={}", names.join("/"));
        let mut reference = Reference {
            socket: Socket::open(&server.ws, &path),
            http: Http::new(&server.http),
            life,
            books: Default::default(),
            buffered: Default::default(),
        };
        while reference.books.iter().any(Option::is_none) {
            let message = reference.socket.next();
            reference.take(message, truth);
        }
        reference
    }

    /// Listens for so long.
    fn listen(&mut self, time: Duration, truth: &mut Books) {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match self.socket.next_within(left.min(Duration::from_millis(50))) {
                Got::Message(message) => self.take(message, truth),
                Got::Silence => {}
                Got::Closed(code, reason) => panic!("the reference was cut off: {code} {reason}"),
            }
        }
    }

    /// What is there to be read after the end of the server; the newest ids.
    fn drain(mut self, truth: &mut Books) -> [u64; SYMBOLS.len()] {
        while let Got::Message(message) = self.socket.next_within(Duration::from_millis(200)) {
            self.take(message, truth);
        }
        self.books.map(|book| book.map_or(0, |(update, _)| update))
    }

    fn take(&mut self, mut message: Value, truth: &mut Books) {
        let stream = message["stream"].as_str().unwrap().to_uppercase();
        let at = SYMBOLS.iter().position(|it| stream.starts_with(*it)).unwrap();
        self.buffered[at].push(message["data"].take());
        if self.books[at].is_none() {
            let path = format!("/api/v3/depth?symbol={}&limit=5000", SYMBOLS[at]);
            let snapshot = self.http.get(&path).ok();
            let last = number(&snapshot, "lastUpdateId");
            if last + 1 < number(&self.buffered[at][0], "U") {
                return;
            }
            let sides = Sides::of_snapshot(&snapshot);
            truth.insert((self.life, at, last), sides.levels());
            self.books[at] = Some((last, sides));
        }
        let Some((update, sides)) = &mut self.books[at] else { return };
        for message in self.buffered[at].drain(..) {
            let (from, to) = (number(&message, "U"), number(&message, "u"));
            if to <= *update {
                continue;
            }
            assert!(from <= *update + 1, "{update} is followed by {from}");
            sides.put(&message["b"], &message["a"]);
            *update = to;
            truth.insert((self.life, at, to), sides.levels());
        }
    }
}

/// All that takes part.
struct Stage {
    proxy: Proxy,
    feed: RunningFeed,
    life: Arc<AtomicU64>,
    truth: Books,
    /// Ids behind which a killed exchange may have told the feed something that nobody else heard.
    ends: BTreeMap<(u64, usize), Vec<u64>>,
}

impl Stage {
    /// The venue is there, or is another one from now on.
    fn enter(&mut self, server: &Server, life: u64) -> Reference {
        self.life.store(life, Ordering::Release);
        let reference = Reference::open(server, life, &mut self.truth);
        self.proxy.lead_to(Some(&server.http));
        reference
    }

    /// `kill -9`.
    fn kill(&mut self, mut server: Server, reference: Reference) {
        server.process.kill();
        self.proxy.lead_to(None);
        let life = reference.life;
        for (at, update) in reference.drain(&mut self.truth).into_iter().enumerate() {
            self.ends.entry((life, at)).or_default().push(update);
        }
    }

    /// Listens until the feed has all books again, as new as the exchange's are now.
    fn until_synced(&mut self, reference: &mut Reference) {
        let began = Instant::now();
        let wanted = reference.books.each_ref().map(|it| it.as_ref().map_or(0, |it| it.0));
        let is_there = |synced: Vec<u64>| synced.iter().zip(wanted).all(|(it, least)| *it >= least);
        while !self.feed.synced().is_some_and(is_there) {
            reference.listen(Duration::from_millis(50), &mut self.truth);
            let is_late = began.elapsed() > PATIENCE;
            assert!(!is_late, "not synced: {:?}", self.feed.statuses());
        }
    }

    /// Every book that the feed has committed since the last call is the exchange's.
    fn check(&mut self) -> [usize; SYMBOLS.len()] {
        let life = self.life.load(Ordering::Acquire);
        for (path, snapshot) in self.proxy.snapshots() {
            let at = SYMBOLS.iter().position(|it| path.contains(*it)).unwrap();
            let levels = Sides::of_snapshot(&snapshot).levels();
            let update = number(&snapshot, "lastUpdateId");
            let known = self.truth.entry((life, at, update)).or_insert_with(|| levels.clone());
            assert_eq!(*known, levels, "two books of {} at {update}", SYMBOLS[at]);
        }
        let commits = std::mem::take(&mut self.feed.said.lock().unwrap().commits);
        let (mut equal, mut unheard) = ([0; SYMBOLS.len()], 0);
        for (key @ (life, at, update), levels) in commits {
            match self.truth.get(&key) {
                Some(known) => {
                    assert_eq!(levels, *known, "{} at {update}", SYMBOLS[at]);
                    equal[at] += 1;
                }
                None => {
                    let ends = self.ends.get(&(life, at)).into_iter().flatten();
                    let is_end = ends.into_iter().any(|&end| update > end);
                    assert!(is_end, "{} at {update}: nobody knows this book", SYMBOLS[at]);
                    unheard += 1;
                }
            }
        }
        // A message of each symbol at each end.
        let ends: usize = self.ends.values().map(Vec::len).sum();
        assert!(unheard <= ends, "{unheard} books that nobody knows");
        equal
    }
}

fn setting(folder: &Path) -> Setting {
    std::fs::create_dir_all(folder).unwrap();
    // Snapshots are weighed; this test asks for many.
    let setting = Setting::demo(folder).set("server.rate_limits", "false");
    setting.set("server.connects_per_five_minutes", "0")
}

const EVERYTHING: Faults = Faults {
    cut: 15,
    delay: 40,
    duplicate: 70,
    drop: 70,
    swap: 70,
    corrupt: 70,
    hang: 2,
    snapshot: 500,
};
/// Faults go on until the feed has found so many gaps, however slow the machine is.
const GAPS_MIN: u64 = 6;

#[test]
fn whatever_happens_on_the_way_no_wrong_book_is_committed() {
    let seconds = std::env::var(SECONDS).map_or(SECONDS_IN_SUITE, |it| it.parse().unwrap());
    let time = Duration::from_secs(seconds);
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (setting(&folder.path().join("a")), setting(&folder.path().join("b")));
    let proxy = Proxy::start(seed);
    let life = Arc::new(AtomicU64::new(0));
    let urls = (proxy.ws(), proxy.http());
    let feed = RunningFeed::start(urls, NetOptions::default(), &life, seed);
    let mut stage = Stage { proxy, feed, life, truth: Books::new(), ends: BTreeMap::new() };

    let server = first.start();
    let mut reference = stage.enter(&server, 1);
    stage.until_synced(&mut reference);
    reference.listen(time / 4, &mut stage.truth);
    let undisturbed = stage.check();

    stage.proxy.set(EVERYTHING);
    let began = Instant::now();
    while began.elapsed() < time || stage.feed.gaps() < GAPS_MIN {
        assert!(began.elapsed() < time + PATIENCE, "only {} gaps", stage.feed.gaps());
        reference.listen(Duration::from_millis(100), &mut stage.truth);
    }
    stage.proxy.set(Faults::default());
    stage.until_synced(&mut reference);
    stage.check();

    // The same folder: ids go on. Faults go on, too.
    stage.proxy.set(EVERYTHING);
    stage.kill(server, reference);
    stage.check();
    let server = first.start();
    let mut reference = stage.enter(&server, 1);
    reference.listen(time / 4, &mut stage.truth);
    stage.proxy.set(Faults::default());
    stage.until_synced(&mut reference);
    let gone_on = stage.check();

    // A connection that is open and dead.
    stage.proxy.set(Faults { hang: 1_000, ..Faults::default() });
    reference.listen(Duration::from_millis(200), &mut stage.truth);
    stage.proxy.set(Faults::default());
    stage.until_synced(&mut reference);

    // Another folder: ids begin anew, lower than those that the feed has seen.
    stage.kill(server, reference);
    stage.check();
    let server = second.start();
    let mut reference = stage.enter(&server, 2);
    stage.until_synced(&mut reference);
    reference.listen(time / 4, &mut stage.truth);
    let anew = stage.check();
    server.stop();

    for (at, symbol) in SYMBOLS.iter().enumerate() {
        let equal = [undisturbed[at], gone_on[at], anew[at]];
        assert!(equal.iter().all(|&it| it > 0), "{symbol}: compared {equal:?}");
    }
    let counts = stage.proxy.counts();
    println!("{counts:?}");
    let statuses = stage.feed.statuses();
    for status in &statuses {
        let symbol = SYMBOLS[status.source as usize];
        println!("{symbol}: {} gaps, {} resyncs", status.gaps, status.resyncs);
    }
    let spoilt = counts.snapshots_spoilt.load(Ordering::Relaxed);
    let hung = counts.hung.load(Ordering::Relaxed);
    assert!(spoilt > 0 && hung > 0, "{spoilt} bad snapshots, {hung} dead connections");
}
