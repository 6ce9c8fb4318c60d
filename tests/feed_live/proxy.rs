//! Stands between a feed and its venue and does what networks and venues do on bad days: cuts,
//! delays, duplicates, drops, reorders and corrupts messages, keeps connections open that are dead,
//! and answers for snapshots with refusals, halves, garbage and yesterday's news.
//!
//! What it corrupts stays recognizable as such. Nothing in Binance's stream would show that a digit of
//! a price has become another one: that nobody does this is what TLS is for.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use store::sim::Random;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, accept_hdr, client};

use crate::serve::socket::is_timeout;

/// How long a relay waits for one side before it looks at the other.
const TURN: Duration = Duration::from_millis(2);
const HEAD_LENGTH_MAX: usize = 16 << 10;

/// How often what happens to a message of a book, of 1,000.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) cut: u64,
    pub(super) delay: u64,
    pub(super) duplicate: u64,
    pub(super) drop: u64,
    pub(super) swap: u64,
    pub(super) corrupt: u64,
    /// The connection stays open and nothing comes any more.
    pub(super) hang: u64,
    /// Of 1,000 snapshots, those that go wrong in some way.
    pub(super) snapshot: u64,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) messages: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) delayed: AtomicU64,
    pub(super) duplicated: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) swapped: AtomicU64,
    pub(super) corrupted: AtomicU64,
    pub(super) hung: AtomicU64,
    pub(super) snapshots: AtomicU64,
    pub(super) snapshots_spoilt: AtomicU64,
}

fn count(of: &AtomicU64) {
    of.fetch_add(1, Ordering::Relaxed);
}

/// A good snapshot that came by: its path and what it says.
pub(super) type Snapshot = (String, Value);

struct Shared {
    /// `host:port`; none while there is no venue.
    upstream: Mutex<Option<String>>,
    faults: Mutex<Faults>,
    seed: AtomicU64,
    counts: Counts,
    ends: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    snapshots: Mutex<Vec<Snapshot>>,
}

/// A running proxy; it ends when it is dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(super) fn start(seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: Mutex::default(),
            faults: Mutex::default(),
            seed: AtomicU64::new(seed),
            counts: Counts::default(),
            ends: AtomicBool::new(false),
            open: Mutex::default(),
            snapshots: Mutex::default(),
        });
        let ours = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept_all(&listener, &ours));
        Proxy { address, shared, accepting: Some(accepting) }
    }

    pub(super) fn ws(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(super) fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on new connections go there; those that are open are cut.
    pub(super) fn lead_to(&self, http: Option<&str>) {
        let upstream = http.map(|it| it.trim_start_matches("http://").to_owned());
        *self.shared.upstream.lock().unwrap() = upstream;
        self.cut();
    }

    pub(super) fn set(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
    }

    pub(super) fn cut(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// The snapshots since the last call, as the venue sent them.
    pub(super) fn snapshots(&self) -> Vec<Snapshot> {
        std::mem::take(&mut self.shared.snapshots.lock().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        self.cut();
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut relays = Vec::new();
    for stream in listener.incoming() {
        if shared.ends.load(Ordering::Acquire) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let seed = shared.seed.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(shared);
        relays.push(thread::spawn(move || relay(stream, &shared, Random::new(seed))));
        relays.retain(|relay| !relay.is_finished());
    }
    for stream in shared.open.lock().unwrap().drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
    relays.into_iter().for_each(|relay| drop(relay.join()));
}

/// One connection, to its end. Whatever fails ends it: that is what the other side has to bear.
fn relay(mut stream: TcpStream, shared: &Shared, random: Random) {
    shared.open.lock().unwrap().push(stream.try_clone().unwrap());
    let upstream = shared.upstream.lock().unwrap().clone();
    let (Some(upstream), Some(head)) = (upstream, peek_head(&stream)) else { return };
    if head.to_ascii_lowercase().contains("upgrade: websocket") {
        let _ = relay_messages(stream, &upstream, shared, random);
    } else {
        let _ = relay_answer(&mut stream, &upstream, shared, random);
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// The head of the request, which stays where it is.
fn peek_head(stream: &TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut bytes = vec![0; HEAD_LENGTH_MAX];
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let length = stream.peek(&mut bytes).ok().filter(|&it| it > 0)?;
        let head = String::from_utf8_lossy(bytes.get(..length)?).into_owned();
        if head.contains("\r\n\r\n") {
            return Some(head);
        }
    }
    None
}

type Way = WebSocket<TcpStream>;

fn relay_messages(
    stream: TcpStream,
    upstream: &str,
    shared: &Shared,
    mut random: Random,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut path = String::new();
    #[allow(clippy::result_large_err, reason = "the library's own type")]
    let see = |request: &Request, response: Response| {
        path = request.uri().to_string();
        Ok(response)
    };
    stream.set_nodelay(true)?;
    let mut here = accept_hdr(stream, see).map_err(|error| error.to_string())?;
    let there = TcpStream::connect(upstream)?;
    there.set_nodelay(true)?;
    shared.open.lock().unwrap().push(there.try_clone()?);
    let (mut there, _) = client::client(format!("ws://{upstream}{path}"), there)
        .map_err(|error| error.to_string())?;
    here.get_ref().set_read_timeout(Some(Duration::from_millis(1)))?;
    there.get_ref().set_read_timeout(Some(TURN))?;
    let mut held = None;
    while !shared.ends.load(Ordering::Acquire) {
        if let Some(message) = read(&mut there)? {
            let faults = *shared.faults.lock().unwrap();
            forward(&mut here, message, &mut held, faults, shared, &mut random)?;
        }
        // Answers the feed's pings; it says nothing else.
        read(&mut here)?;
    }
    Ok(())
}

/// None: nothing has come yet, or nothing that is passed on.
fn read(way: &mut Way) -> Result<Option<String>, tungstenite::Error> {
    match way.read() {
        Ok(Message::Text(text)) => Ok(Some(text.to_string())),
        Ok(_) => Ok(None),
        Err(tungstenite::Error::Io(error)) if is_timeout(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn forward(
    here: &mut Way,
    message: String,
    held: &mut Option<String>,
    faults: Faults,
    shared: &Shared,
    random: &mut Random,
) -> Result<(), tungstenite::Error> {
    let counts = &shared.counts;
    count(&counts.messages);
    // A message is hit by one fault at most, and those that are of no book by none.
    let mut draw = if message.contains("@depth") { random.below(1_000) } else { u64::MAX };
    let mut hit = |parts: u64| {
        let is_hit = draw < parts;
        draw = if is_hit { u64::MAX } else { draw.saturating_sub(parts) };
        is_hit
    };
    if hit(faults.drop) {
        count(&counts.dropped);
        return Ok(());
    }
    if hit(faults.cut) {
        count(&counts.cut);
        return Err(tungstenite::Error::ConnectionClosed);
    }
    if hit(faults.hang) {
        count(&counts.hung);
        hang(shared, here);
        return Err(tungstenite::Error::ConnectionClosed);
    }
    if hit(faults.delay) {
        count(&counts.delayed);
        wait(Duration::from_millis(20 + random.below(200)));
    }
    if hit(faults.swap) && held.is_none() {
        count(&counts.swapped);
        *held = Some(message);
        return Ok(());
    }
    if hit(faults.corrupt) {
        count(&counts.corrupted);
        return here.send(Message::text(corrupted(&message, random)));
    }
    if hit(faults.duplicate) {
        count(&counts.duplicated);
        here.send(Message::text(message.clone()))?;
    }
    here.send(Message::text(message))?;
    match held.take() {
        Some(held) => here.send(Message::text(held)),
        None => Ok(()),
    }
}

/// Says nothing and hears nothing until the other side has had enough.
fn hang(shared: &Shared, here: &mut Way) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut bytes = [0; 64];
    let is_over = || shared.ends.load(Ordering::Acquire) || Instant::now() > deadline;
    while !is_over() {
        match here.get_mut().read(&mut bytes) {
            Ok(0) => return,
            Err(error) if !is_timeout(&error) => return,
            _ => wait(TURN),
        }
    }
}

fn wait(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// Cut short, or with a byte that is no digit any more, or in another's place.
fn corrupted(message: &str, random: &mut Random) -> String {
    let at = random.below(message.len() as u64) as usize;
    let mut bytes = message.as_bytes().to_vec();
    match random.below(3) {
        0 => bytes.truncate(at),
        1 => bytes[at] = b'x',
        _ => bytes[at] = b'"',
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn relay_answer(
    stream: &mut TcpStream,
    upstream: &str,
    shared: &Shared,
    mut random: Random,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    let (status, body) =
        clients::http::request(&format!("http://{upstream}"), "GET", &path, &[], "")?;
    let snapshot = serde_json::from_str::<Value>(&body).ok().filter(|_| status == 200);
    let older = shared.snapshots.lock().unwrap().iter().rev().find(|it| it.0 == path).cloned();
    if let Some(snapshot) = snapshot {
        shared.snapshots.lock().unwrap().push((path, snapshot));
    }
    count(&shared.counts.snapshots);
    let faults = *shared.faults.lock().unwrap();
    if random.below(1_000) >= faults.snapshot {
        return answer(stream, status, "", &body, body.len());
    }
    // One kind after the other, so that few of them are enough.
    match shared.counts.snapshots_spoilt.fetch_add(1, Ordering::Relaxed) % 7 {
        0 => answer(stream, 429, "Retry-After: 1\r\n", "{\"code\":-1003,\"msg\":\"\"}", 24),
        1 => answer(stream, 503, "", "", 0),
        // The rest never comes.
        2 => answer(stream, status, "", &body[..body.len() / 2], body.len()),
        3 => answer(stream, status, "", &body[..body.len() / 2], body.len() / 2),
        4 => answer(stream, status, "", &body.replace(':', ";"), body.len()),
        5 => {
            let body = older.map_or(body, |(_, older)| older.to_string());
            answer(stream, status, "", &body, body.len())
        }
        _ => Ok(()),
    }
}

fn answer(
    stream: &mut TcpStream,
    status: u16,
    headers: &str,
    body: &str,
    length: usize,
) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}
