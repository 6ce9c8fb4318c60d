//! Many subscribers of market data streams on one thread. Each checks that it gets every message
//! (trade ids count up by one, each depth update begins where the last one ended) and measures
//! how long messages took.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet};

use crate::handshake::{Endpoint, Upgrade};
use crate::latency::{Latencies, Percentiles, PercentilesHeading};
use crate::scan::{number_after, text_after};
use crate::session::{SessionError, unix_us};
use crate::usage::{CpuTime, memory_bytes};
use crate::wire::{FrameReader, Opcode, push_pong};

/// First room for received bytes of one subscriber.
const RECEIVE_CAPACITY: usize = 8 << 10;

/// Subscribers that connect at the same time: below the usual backlog of a listening socket.
const CONNECTING_MAX: usize = 64;

/// How long one subscriber may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Texts of failures that are kept.
const TEXTS_MAX: usize = 5;

#[derive(Debug, Clone)]
pub struct FanoutOptions {
    /// `ws://host:port`.
    pub ws: String,
    /// Streams of every subscriber, such as `btcusdt@trade` and `btcusdt@depth@100ms`.
    pub streams: Vec<String>,
    pub subscribers: usize,
    /// From the time all are connected.
    pub duration: Duration,
}

/// What all subscribers saw together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FanoutReport {
    pub connected: u64,
    /// Could not connect.
    pub failed: u64,
    /// Lost their connection before the end.
    pub disconnects: u64,
    pub messages: u64,
    pub bytes: u64,
    /// Of `messages`: trades, and depth updates with `U` and `u`.
    pub trades: u64,
    pub depth_updates: u64,
    /// Messages whose number did not follow the one before in their stream.
    pub gaps: u64,
    /// By stream.
    pub gaps_by_stream: BTreeMap<String, u64>,
    /// The server's time in a trade (`T`) to its arrival; needs the server's clock to be this
    /// machine's.
    pub trade_delay: Percentiles,
    /// The same for all other messages with an event time (`E`).
    pub event_delay: Percentiles,
    pub measured: Duration,
    pub cpu: CpuTime,
    /// Resident memory of this process at the end, in bytes.
    pub memory_bytes: u64,
    /// The first few reasons of failures and disconnects.
    pub texts: Vec<String>,
}

impl fmt::Display for FanoutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12}{}", "", PercentilesHeading)?;
        writeln!(f, "{:<12}{}", "trades", self.trade_delay)?;
        writeln!(f, "{:<12}{}", "others", self.event_delay)?;
        writeln!(
            f,
            "subscribers connected {}, failed {}, disconnects {}",
            self.connected, self.failed, self.disconnects
        )?;
        writeln!(
            f,
            "messages    {} ({} MiB) in {} ms: trades {}, depth updates {}, gaps {}",
            self.messages,
            self.bytes >> 20,
            self.measured.as_millis(),
            self.trades,
            self.depth_updates,
            self.gaps
        )?;
        write!(
            f,
            "cpu         user {} ms, system {} ms, memory {} MiB",
            self.cpu.user_us / 1_000,
            self.cpu.system_us / 1_000,
            self.memory_bytes >> 20
        )?;
        for (stream, gaps) in &self.gaps_by_stream {
            write!(f, "\n  {stream}: {gaps} gaps")?;
        }
        self.texts.iter().try_for_each(|text| write!(f, "\n  {text}"))
    }
}

/// Subscribes, listens for `duration` or until `stop` is true, and reports. Starts a runtime of
/// its own on the calling thread.
pub fn run(
    options: &FanoutOptions,
    stop: watch::Receiver<bool>,
) -> Result<FanoutReport, SessionError> {
    let endpoint = Endpoint::parse(&options.ws)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, listen(options, endpoint, stop))
}

/// What the subscribers share; one thread.
struct Shared {
    report: FanoutReport,
    trade_delay: Latencies,
    event_delay: Latencies,
    /// All subscribers are connected: messages count. Gaps and disconnects count before, too.
    is_measuring: bool,
}

async fn listen(
    options: &FanoutOptions,
    endpoint: Endpoint,
    mut stop: watch::Receiver<bool>,
) -> Result<FanoutReport, SessionError> {
    let path = format!("/stream?streams={}&timeUnit=MICROSECOND", options.streams.join("/"));
    let shared = Rc::new(RefCell::new(Shared::new()));
    let tasks = connect_all(options, &endpoint, &path, &shared).await;
    let (start, cpu) = (Instant::now(), CpuTime::now());
    shared.borrow_mut().is_measuring = true;
    tokio::select! {
        () = tokio::time::sleep(options.duration) => {}
        () = crate::connection::stopped(&mut stop) => {}
    }
    tasks.iter().for_each(|task| task.abort());
    let mut shared = shared.borrow_mut();
    shared.report.measured = start.elapsed();
    shared.report.cpu = CpuTime::now().since(cpu);
    shared.report.memory_bytes = memory_bytes();
    shared.report.trade_delay = shared.trade_delay.percentiles();
    shared.report.event_delay = shared.event_delay.percentiles();
    Ok(shared.report.clone())
}

/// Connects in groups; who fails is counted, who is connected listens at once.
async fn connect_all(
    options: &FanoutOptions,
    endpoint: &Endpoint,
    path: &str,
    shared: &Rc<RefCell<Shared>>,
) -> Vec<JoinHandle<()>> {
    let mut listening = Vec::with_capacity(options.subscribers);
    let mut rest = options.subscribers;
    while rest > 0 {
        let group_size = rest.min(CONNECTING_MAX);
        rest -= group_size;
        let group = (0..group_size).map(|_| {
            let (endpoint, path) = (endpoint.clone(), path.to_owned());
            tokio::task::spawn_local(async move {
                let connect = Subscriber::connect(&endpoint, &path);
                tokio::time::timeout(CONNECT_TIMEOUT, connect).await
            })
        });
        for task in group.collect::<Vec<_>>() {
            let connected = task.await;
            let report = &mut shared.borrow_mut().report;
            match connected {
                Ok(Ok(Ok(subscriber))) => {
                    report.connected += 1;
                    let listen = subscriber.listen(shared.clone());
                    listening.push(tokio::task::spawn_local(listen));
                }
                Ok(Ok(Err(error))) => report.failed(&error.to_string()),
                Ok(Err(_)) | Err(_) => report.failed("no connection in time"),
            }
        }
    }
    listening
}

impl FanoutReport {
    fn failed(&mut self, text: &str) {
        self.failed += 1;
        self.note(text);
    }

    fn note(&mut self, text: &str) {
        if self.texts.len() < TEXTS_MAX {
            self.texts.push(text.to_owned());
        }
    }
}

struct Subscriber {
    stream: TcpStream,
    reader: FrameReader,
    /// By stream, in the order in which they were first seen.
    places: Vec<StreamPlace>,
}

/// Where a subscriber stands in one stream.
struct StreamPlace {
    name: Vec<u8>,
    /// The last trade id or the last update id.
    last: Option<u64>,
}

impl Subscriber {
    async fn connect(endpoint: &Endpoint, path: &str) -> Result<Subscriber, SessionError> {
        let stream = TcpStream::connect(endpoint.address()).await?;
        stream.set_nodelay(true)?;
        let reader = FrameReader::new(RECEIVE_CAPACITY);
        let mut subscriber = Subscriber { stream, reader, places: Vec::new() };
        let upgrade = Upgrade::new(endpoint, path);
        subscriber.write(upgrade.request.as_bytes()).await?;
        loop {
            match subscriber.reader.take_head()? {
                Some(head) => {
                    upgrade.check(&head)?;
                    return Ok(subscriber);
                }
                None => subscriber.read().await.map(drop)?,
            }
        }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for bytes and takes them.
    async fn read(&mut self) -> Result<(), SessionError> {
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(self.reader.room()) {
                Ok(0) => return Err(SessionError::Closed),
                Ok(count) => {
                    self.reader.received(count);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads messages until the connection is lost.
    async fn listen(mut self, shared: Rc<RefCell<Shared>>) {
        let error = loop {
            let pongs = self.take_messages(&mut shared.borrow_mut());
            let answered = match pongs {
                Ok(pongs) => self.write(&pongs).await.map_err(SessionError::from),
                Err(error) => Err(error),
            };
            if let Err(error) = answered {
                break error;
            }
            if let Err(error) = self.read().await {
                break error;
            }
        };
        let report = &mut shared.borrow_mut().report;
        report.disconnects += 1;
        report.note(&error.to_string());
    }

    /// Counts what was read; gives back the PONGs to send.
    fn take_messages(&mut self, shared: &mut Shared) -> Result<Vec<u8>, SessionError> {
        let mut pongs = Vec::new();
        let now_us = unix_us();
        while let Some(frame) = self.reader.next_frame()? {
            match frame.opcode {
                Opcode::Text => shared.count(frame.payload, &mut self.places, now_us),
                Opcode::Ping => push_pong(&mut pongs, frame.payload),
                Opcode::Close => return Err(SessionError::Closed),
                Opcode::Binary | Opcode::Pong => {}
            }
        }
        Ok(pongs)
    }
}

/// The numbers of a message that follow on each other.
enum Numbers {
    Trade { id: u64 },
    Depth { first: u64, last: u64 },
    None,
}

impl Numbers {
    fn read(message: &[u8]) -> Numbers {
        let number = |key| number_after(message, key);
        match text_after(message, b"\"e\":") {
            Some(b"trade") => number(b"\"t\":").map_or(Numbers::None, |id| Numbers::Trade { id }),
            Some(b"depthUpdate") => match (number(b"\"U\":"), number(b"\"u\":")) {
                (Some(first), Some(last)) => Numbers::Depth { first, last },
                _ => Numbers::None,
            },
            _ => Numbers::None,
        }
    }

    /// First and last number of the message.
    const fn range(&self) -> Option<(u64, u64)> {
        match *self {
            Numbers::Trade { id } => Some((id, id)),
            Numbers::Depth { first, last } => Some((first, last)),
            Numbers::None => None,
        }
    }
}

impl Shared {
    fn new() -> Shared {
        Shared {
            report: FanoutReport::default(),
            trade_delay: Latencies::new(),
            event_delay: Latencies::new(),
            is_measuring: false,
        }
    }

    fn count(&mut self, message: &[u8], places: &mut Vec<StreamPlace>, now_us: u64) {
        let numbers = Numbers::read(message);
        if self.is_measuring {
            self.measure(message, &numbers, now_us);
        }
        let Some(stream) = text_after(message, b"\"stream\":") else { return };
        let Some((first, last)) = numbers.range() else { return };
        let place = match places.iter_mut().position(|place| place.name == stream) {
            Some(position) => places.get_mut(position),
            None => {
                places.push(StreamPlace { name: stream.to_vec(), last: None });
                places.last_mut()
            }
        };
        let Some(place) = place else { return };
        if place.last.is_some_and(|last| last.checked_add(1) != Some(first)) {
            self.report.gaps += 1;
            let name = String::from_utf8_lossy(stream).into_owned();
            *self.report.gaps_by_stream.entry(name).or_default() += 1;
        }
        place.last = Some(last);
    }

    fn measure(&mut self, message: &[u8], numbers: &Numbers, now_us: u64) {
        self.report.messages += 1;
        self.report.bytes += message.len() as u64;
        let (key, delays): (&[u8], _) = match numbers {
            Numbers::Trade { .. } => {
                self.report.trades += 1;
                (b"\"T\":", &mut self.trade_delay)
            }
            Numbers::Depth { .. } => {
                self.report.depth_updates += 1;
                (b"\"E\":", &mut self.event_delay)
            }
            Numbers::None => (b"\"E\":", &mut self.event_delay),
        };
        if let Some(event_us) = number_after(message, key) {
            delays.record(now_us.saturating_sub(event_us).saturating_mul(1_000));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeVenue;

    fn shared() -> Shared {
        Shared { is_measuring: true, ..Shared::new() }
    }

    fn trade(stream: &str, id: u64) -> String {
        format!(
            "{{\"stream\":\"{stream}\",\"data\":{{\"e\":\"trade\",\"E\":1000010,\"s\":\"A\",\
             \"t\":{id},\"p\":\"1.0\",\"q\":\"2.0\",\"T\":1000000,\"m\":true,\"M\":true}}}}"
        )
    }

    fn depth(first: u64, last: u64) -> String {
        format!(
            "{{\"stream\":\"a@depth\",\"data\":{{\"e\":\"depthUpdate\",\"E\":1000000,\"s\":\"A\",\
             \"U\":{first},\"u\":{last},\"b\":[[\"1.0\",\"2.0\"]],\"a\":[]}}}}"
        )
    }

    #[test]
    fn a_message_that_is_missing_is_a_gap_in_its_stream() {
        let (mut shared, mut places) = (shared(), Vec::new());
        let messages = [
            trade("a@trade", 5),
            trade("b@trade", 9),
            trade("a@trade", 6),
            trade("a@trade", 8),
            trade("b@trade", 10),
            depth(3, 7),
            depth(8, 8),
            depth(10, 12),
        ];
        for message in &messages {
            shared.count(message.as_bytes(), &mut places, 1_000_025);
        }
        let report = &shared.report;
        assert_eq!((report.messages, report.trades, report.depth_updates), (8, 5, 3));
        assert_eq!(report.gaps, 2);
        let gaps = [("a@depth".to_owned(), 1), ("a@trade".to_owned(), 1)];
        assert_eq!(report.gaps_by_stream, BTreeMap::from(gaps));
        assert_eq!(shared.trade_delay.percentiles().max_ns / 100, 250);
    }

    #[test]
    fn a_message_of_another_kind_is_only_counted() {
        let (mut shared, mut places) = (shared(), Vec::new());
        for message in ["{\"result\":null,\"id\":1}", "{\"stream\":\"x\",\"data\":{}}", ""] {
            shared.count(message.as_bytes(), &mut places, 1);
        }
        assert_eq!((shared.report.messages, shared.report.gaps), (3, 0));
    }

    fn listen_to(venue: &FakeVenue) -> FanoutReport {
        let options = FanoutOptions {
            ws: venue.ws.clone(),
            streams: vec!["btcusdt@trade".to_owned()],
            subscribers: 70,
            duration: Duration::from_millis(300),
        };
        let (_stop, stopped) = watch::channel(false);
        run(&options, stopped).unwrap()
    }

    #[test]
    fn every_subscriber_is_connected_and_checked() {
        let report = listen_to(&FakeVenue::start());
        assert_eq!((report.connected, report.failed, report.disconnects), (70, 0, 0), "{report}");
        assert_eq!(report.gaps, 0, "{report}");
        let report = listen_to(&FakeVenue::loses_a_trade());
        assert_eq!(report.gaps, 70, "{report}");
    }
}
