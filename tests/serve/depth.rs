//! A client that keeps a book by the procedure that the venue documents ("How to manage a local
//! order book correctly"): it is equal to the book over REST at the same id, always.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::api::{rows, units};
use super::child::Setting;
use super::http::Http;
use super::socket::Socket;

const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "BNBUSDT"];
/// `cargo xtask depth` asks for more.
const SECONDS: &str = "OUTCRY_DEPTH_SECONDS";
const SECONDS_IN_SUITE: u64 = 12;
/// It goes on until it has followed so many update ids per second asked for, too: of 60 s, 10,000.
const IDS_PER_SECOND: u64 = 167;
const IDS_PER_SECOND_IN_SUITE: u64 = 84;
/// Bots that are slower than this many times the time asked for are dead.
const PATIENCE: u32 = 5;
const COMPARE_EVERY: u64 = 50;

/// Prices and quantities in counts of 10^-8; keys of bids are negative: the best comes first.
type Side = BTreeMap<i128, i128>;

#[derive(Default)]
struct Book {
    /// Messages before the snapshot.
    buffered: Vec<Value>,
    is_live: bool,
    /// The last id of the stream, whether it is in the book or not.
    seen: Option<u64>,
    /// Of the newest change in it.
    update: u64,
    bids: Side,
    asks: Side,
    messages: u64,
    is_due: bool,
    /// A snapshot that the stream has not reached.
    ahead: Option<Box<Book>>,
    comparisons: u64,
    /// Of these, with a snapshot from between two messages.
    overlaid: u64,
}

fn put(side: &mut Side, levels: &Value, sign: i128) {
    for level in rows(levels) {
        let (price, quantity) = (sign * units(&level[0]), units(&level[1]));
        match quantity {
            0 => drop(side.remove(&price)),
            quantity => drop(side.insert(price, quantity)),
        }
    }
}

fn number(message: &Value, name: &str) -> u64 {
    message[name].as_u64().unwrap_or_else(|| panic!("no {name}: {message}"))
}

impl Book {
    fn put(&mut self, bids: &Value, asks: &Value) {
        put(&mut self.bids, bids, -1);
        put(&mut self.asks, asks, 1);
    }

    /// Takes a message of the stream, and compares when it is time; gives how many ids it spans.
    fn take(&mut self, message: Value, snapshot: impl FnOnce() -> Value) -> u64 {
        let (from, to) = (number(&message, "U"), number(&message, "u"));
        let before = self.seen.replace(to);
        assert!(before.is_none_or(|before| from == before + 1), "{before:?} is followed by {from}");
        if self.is_live {
            self.apply(&message);
            self.catch_up(&message);
            if self.is_due && self.ahead.is_none() {
                self.compare(&snapshot());
            }
        } else {
            self.buffered.push(message);
            self.begin(&snapshot());
        }
        to + 1 - from
    }

    /// Steps 2 to 5 of the procedure. A snapshot older than what was buffered is of no use.
    fn begin(&mut self, snapshot: &Value) {
        let last = number(snapshot, "lastUpdateId");
        let first = self.buffered.first().map_or(u64::MAX, |it| number(it, "U"));
        if last < first {
            return;
        }
        let buffered = std::mem::take(&mut self.buffered);
        let mut kept = buffered.iter().filter(|it| number(it, "u") > last).peekable();
        if let Some(first) = kept.peek() {
            let (from, to) = (number(first, "U"), number(first, "u"));
            assert!((from..=to).contains(&(last + 1)), "{last} is not followed by {from} to {to}");
        }
        self.put(&snapshot["bids"], &snapshot["asks"]);
        (self.update, self.is_live) = (last, true);
        kept.for_each(|message| self.apply(message));
    }

    /// Step 6.
    fn apply(&mut self, message: &Value) {
        let (from, to) = (number(message, "U"), number(message, "u"));
        assert!(from <= to, "{message}");
        if to <= self.update {
            return;
        }
        assert!(from <= self.update + 1, "{} is followed by {from}", self.update);
        self.put(&message["b"], &message["a"]);
        (self.update, self.messages) = (to, self.messages + 1);
        self.is_due |= self.messages.is_multiple_of(COMPARE_EVERY);
        let crossed = self.bids.keys().next().zip(self.asks.keys().next());
        assert!(crossed.is_none_or(|(bid, ask)| -bid < *ask), "crossed at {to}");
    }

    /// A snapshot to compare with: now if it is of the same id, else when the stream has come there.
    fn compare(&mut self, snapshot: &Value) {
        let mut other = Book { update: number(snapshot, "lastUpdateId"), ..Book::default() };
        other.put(&snapshot["bids"], &snapshot["asks"]);
        assert!(other.update >= self.update, "the snapshot is older than the stream");
        self.is_due = false;
        match other.update == self.update {
            true => self.assert_equal(&other),
            false => self.ahead = Some(Box::new(other)),
        }
    }

    /// The snapshot was ahead. A message tells what every price that changed in its ids has come to:
    /// put over a snapshot from among these ids, it makes the book at the message's id.
    fn catch_up(&mut self, message: &Value) {
        let Some(mut other) = self.ahead.take_if(|it| it.update <= self.update) else { return };
        if other.update < self.update {
            other.put(&message["b"], &message["a"]);
            self.overlaid += 1;
        }
        self.assert_equal(&other);
    }

    fn assert_equal(&mut self, other: &Book) {
        assert_eq!(self.bids, other.bids, "bids at {}", self.update);
        assert_eq!(self.asks, other.asks, "asks at {}", self.update);
        assert!(!self.bids.is_empty() && !self.asks.is_empty(), "an empty book proves nothing");
        self.comparisons += 1;
    }
}

#[test]
fn a_book_kept_by_the_documented_procedure_equals_the_one_over_rest() {
    let asked = std::env::var(SECONDS).ok().map(|it| it.parse::<u64>().unwrap());
    let seconds = asked.unwrap_or(SECONDS_IN_SUITE);
    let ids_wanted = seconds * asked.map_or(IDS_PER_SECOND_IN_SUITE, |_| IDS_PER_SECOND);
    let folder = tempfile::tempdir().unwrap();
    // Snapshots are weighed; this test asks for many.
    let setting = Setting::demo(folder.path()).set("server.rate_limits", "false");
    let server = setting.start();
    let mut http = Http::new(&server.http);
    let names = SYMBOLS.map(|symbol| format!("{}@depth@100ms", symbol.to_lowercase()));
    let mut socket = Socket::open(&server.ws, &format!("/stream?streams={}", names.join("/")));
    let mut books = SYMBOLS.map(|_| Book::default());
    let (began, time, mut ids) = (Instant::now(), Duration::from_secs(seconds), 0);
    while began.elapsed() < time || ids < ids_wanted {
        assert!(began.elapsed() < time * PATIENCE, "only {ids} update ids");
        let mut message = socket.next();
        let place = names.iter().position(|name| message["stream"] == **name).unwrap();
        let path = format!("/api/v3/depth?symbol={}&limit=5000", SYMBOLS[place]);
        ids += books[place].take(message["data"].take(), || http.get(&path).ok());
    }
    println!("{ids} update ids in {} s", began.elapsed().as_secs());
    for (symbol, Book { messages, comparisons, overlaid, .. }) in SYMBOLS.iter().zip(&books) {
        println!("{symbol}: {messages} messages, {comparisons} comparisons, {overlaid} overlaid");
        let wanted = messages / COMPARE_EVERY;
        assert!(wanted > 0 && comparisons + 1 >= wanted, "{symbol}: {comparisons} of {wanted}");
    }
}
