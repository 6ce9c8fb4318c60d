//! Streams over plain HTTP, read as `curl -N` would: ids rise, a reader that comes back misses
//! nothing and gets nothing twice, and what is not kept is said to be lost.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use store::sim::Random;

use super::child::Setting;
use super::http::{Http, connect, not_http, read_head};

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Empty for a message.
    pub(super) event: String,
    pub(super) id: String,
    pub(super) data: String,
}

impl Event {
    /// `<sequence>.<n>` as numbers.
    #[track_caller]
    fn place(&self) -> (u64, u64) {
        let (sequence, count) = self.id.split_once('.').expect("an id");
        (sequence.parse().unwrap(), count.parse().unwrap())
    }
}

/// A reader of one response that never ends.
pub(super) struct Events {
    stream: BufReader<TcpStream>,
    /// Text that is not a whole event yet.
    text: String,
}

impl Events {
    #[track_caller]
    pub(super) fn open(base: &str, names: &str, last: Option<&str>) -> Events {
        let host = base.trim_start_matches("http://");
        let mut stream = connect(host).unwrap();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request =
            format!("GET /stream/sse?streams={names} HTTP/1.1\r\nHost: {host}\r\n{last}\r\n");
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let head = read_head(&mut stream).unwrap();
        assert_eq!(head.status, 200, "{names}");
        let content = head.header("content-type").unwrap_or("");
        assert!(content.starts_with("text/event-stream"), "{content}");
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        Events { stream, text: String::new() }
    }

    #[track_caller]
    pub(super) fn next(&mut self) -> Event {
        self.try_next().unwrap().expect("the stream ended")
    }

    /// None at the end of the body.
    fn try_next(&mut self) -> io::Result<Option<Event>> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let parsed = parse(event);
                self.text = rest.to_owned();
                match parsed {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            if !self.read_chunk()? {
                return Ok(None);
            }
        }
    }

    fn read_chunk(&mut self) -> io::Result<bool> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim_end(), 16).map_err(|_| not_http(&line))?;
        (&mut self.stream).take(length).read_to_string(&mut self.text)?;
        self.stream.read_line(&mut line)?;
        Ok(length > 0)
    }

    /// All that comes until the server ends it.
    pub(super) fn until_end(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.try_next().unwrap() {
            events.push(event);
        }
        events
    }
}

/// None: a comment.
fn parse(text: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => event.id = id.to_owned(),
            Some(("data", data)) => event.data += data,
            Some(("event", name)) => event.event = name.to_owned(),
            _ if line.starts_with(':') => return None,
            _ => panic!("not a line of an event: {line}"),
        }
    }
    Some(event)
}

const NAMES: &str = "btcusdt@trade/ethusdt@depth@100ms/bnbusdt@bookTicker/btcusdt@kline_1m";
/// Messages that the readers are compared over.
const MESSAGES: usize = 600;

#[test]
fn a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setting::demo(folder.path()).start();
    let seed = u64::from(std::process::id());
    let (base, other) = (server.http.clone(), server.http.clone());
    let mut whole = Events::open(&base, NAMES, None);
    let begin = whole.next();
    assert!(begin.data.is_empty() && !begin.id.is_empty(), "{begin:?}");
    let broken = std::thread::spawn(move || read_in_pieces(&other, seed));
    let mut expected = BTreeMap::new();
    let mut before = begin.place();
    let mut read_until = |expected: &mut BTreeMap<_, _>,
                          is_enough: &dyn Fn(usize, (u64, u64)) -> bool| {
        while !is_enough(expected.len(), before) {
            let event = whole.next();
            assert!(event.event.is_empty(), "{event:?}");
            assert!(event.place() > before, "{} after {before:?}", event.id);
            before = event.place();
            expected.insert(event.place(), event.data);
        }
    };
    read_until(&mut expected, &|count, _| count >= MESSAGES);
    let found = broken.join().unwrap();
    let (first, last) = (*found.keys().next().unwrap(), *found.keys().last().unwrap());
    read_until(&mut expected, &|_, place| place >= last);
    let expected: BTreeMap<_, _> = expected.range(first..=last).collect();
    assert_eq!(found.iter().collect::<BTreeMap<_, _>>(), expected, "seed {seed}");
    for stream in NAMES.split('/') {
        let has = |data: &String| data.contains(&format!("\"stream\":\"{stream}\""));
        assert!(found.values().any(has), "nothing of {stream} was compared");
    }
    what_is_not_kept_is_said_to_be_lost(&base);
    what_cannot_be_read_is_refused(&base);
}

/// Reads and hangs up at random moments.
fn read_in_pieces(base: &str, seed: u64) -> BTreeMap<(u64, u64), String> {
    let mut random = Random::new(seed);
    let mut found = BTreeMap::new();
    let mut reader = Events::open(base, NAMES, None);
    let mut last = reader.next().id;
    let mut pieces = 0;
    while found.len() < MESSAGES || pieces < 10 {
        for _ in 0..random.below(60) {
            let event = reader.next();
            assert!(event.event.is_empty(), "seed {seed}: {event:?}");
            last.clone_from(&event.id);
            let again = found.insert(event.place(), event.data);
            assert_eq!(again, None, "seed {seed}: {last} came twice");
        }
        drop(reader);
        reader = Events::open(base, NAMES, Some(&last));
        let begin = reader.next();
        assert_eq!((&*begin.event, &begin.id), ("", &last), "seed {seed}: not where it stood");
        pieces += 1;
    }
    found
}

fn what_is_not_kept_is_said_to_be_lost(base: &str) {
    for lost in
        ["1.1", "0.0", "99999999999.1", "no id", "1.2.3", "-1.0", "", "18446744073709551616.0"]
    {
        let mut reader = Events::open(base, NAMES, Some(lost));
        let first = reader.next();
        assert_eq!((&*first.event, &*first.data), ("reset", "{}"), "`{lost}`: {first:?}");
        let next = reader.next();
        assert!(next.event.is_empty() && next.place() > first.place(), "`{lost}`: {next:?}");
        serde_json::from_str::<Value>(&next.data).unwrap();
    }
}

fn what_cannot_be_read_is_refused(base: &str) {
    let check = |query: &str, code: i64| {
        let reply = Http::new(base).get(&format!("/stream/sse{query}"));
        assert_eq!(reply.refusal(), (400, code), "{query}");
    };
    check("", -1102);
    check("?streams=", -1102);
    check("?streams=btcusdt@nothing", -1100);
    check("?streams=btcusdt", -1100);
    check("?streams=nosuch@trade", -1121);
    check("?streams=btcusdt@trade&timeUnit=DAY", -1194);
    let many: Vec<String> = (0..2_000).map(|it| format!("btcusdt@kline_{it}")).collect();
    check(&format!("?streams={}", many.join("/")), -1101);
}
