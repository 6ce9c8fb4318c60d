//! Subscribers over HTTP that come back.

use super::*;
use crate::streams::events::{Reader, parse_names};

const STREAMS: [&str; 4] =
    ["btcusdt@trade", "btcusdt@depth@100ms", "btcusdt@depth@1000ms", "!bookTicker"];

/// A subscriber and what it has read.
struct Listener {
    id: ConnectionId,
    reader: Reader,
}

impl Listener {
    fn new(venue: &mut Venue, streams: &[&str], last: Option<&str>) -> Listener {
        Listener::with(venue, streams, last, Options::default().outbox)
    }

    fn with(
        venue: &mut Venue,
        streams: &[&str],
        last: Option<&str>,
        limits: OutboxLimits,
    ) -> Listener {
        let streams: Vec<String> = streams.iter().map(|it| (*it).to_owned()).collect();
        let names = parse_names(&streams, 1_024).unwrap();
        let queue = Arc::new(EventQueue::new(limits));
        let resume = last.map(|text| text.parse().ok());
        let (unit, market) = (TimeUnit::Millisecond, &venue.market);
        let (id, listening) =
            venue.streams.listen(&names, unit, resume, Arc::clone(&queue), market).unwrap();
        Listener { id, reader: Reader::new(queue, listening, None) }
    }

    /// What can be read without waiting: id, event and data of each block.
    fn read(&mut self) -> Vec<(String, String, String)> {
        let mut text = String::new();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            let next = std::pin::pin!(self.reader.next());
            let std::task::Poll::Ready(Some(chunk)) = next.poll(&mut context) else { break };
            let Ok(chunk) = chunk else {
                text.push_str("event: cut off\n\n");
                break;
            };
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        let field = |block: &str, name: &str| {
            let mut lines = block.lines();
            lines.find_map(|line| line.strip_prefix(name)).unwrap_or("").to_owned()
        };
        text.split_terminator("\n\n")
            .map(|block| [field(block, "id: "), field(block, "event: "), field(block, "data: ")])
            .map(|[id, event, data]| (id, event, data))
            .collect()
    }
}

/// Random commands at random times.
fn step(venue: &mut Venue, random: &mut Random) {
    let mut events = Vec::new();
    for _ in 0..random.below(4) {
        let instrument = 1 + random.below(2) as u32;
        events.push(match random.below(2) {
            0 => venue.trade(instrument, venue.trades, 100, 1),
            _ => venue.book(instrument, Side::Buy, 1 + random.below(9), random.below(3)),
        });
    }
    venue.command([0, 1, 60 * MS, 1_100 * MS][random.below(4) as usize], &events);
}

#[tokio::test]
async fn whoever_comes_back_misses_nothing_and_sees_nothing_twice() {
    for seed in 1..12 {
        let mut random = Random(seed);
        let mut venue = Venue::new();
        let mut whole = Listener::new(&mut venue, &STREAMS, None);
        let mut live = Vec::new();
        for _ in 0..120 {
            step(&mut venue, &mut random);
            live.extend(whole.read());
        }
        assert!(live.len() > 50 && live.iter().all(|it| it.1.is_empty()));
        for cut in 0..live.len() {
            let mut back = Listener::new(&mut venue, &STREAMS, Some(&live[cut].0));
            let read = back.read();
            // The first block says where it stands.
            assert_eq!(read[0], (live[cut].0.clone(), String::new(), String::new()));
            assert_eq!(read[1..], live[cut + 1..], "seed {seed}, cut {cut}");
            venue.streams.disconnect(back.id);
        }
        // What comes after the backlog has the same ids for both.
        let mut back = Listener::new(&mut venue, &STREAMS, Some(&live[live.len() / 2].0));
        back.read();
        for _ in 0..20 {
            step(&mut venue, &mut random);
            assert_eq!(back.read(), whole.read(), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn ids_count_the_messages_of_one_sequence() {
    let mut venue = Venue::new();
    let mut listener = Listener::new(&mut venue, &["btcusdt@trade"], None);
    assert_eq!(listener.read(), [("1.0".to_owned(), String::new(), String::new())]);
    let events = [venue.trade(1, 1, 100, 1), venue.trade(1, 1, 100, 1)];
    venue.command(1, &events);
    let read = listener.read();
    let ids: Vec<&str> = read.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(ids, ["2.1", "2.2"]);
    assert!(read[0].2.starts_with("{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\""));
}

#[tokio::test]
async fn what_is_not_kept_begins_anew() {
    let options = Options { resume_messages: 3, ..Options::default() };
    let mut venue = Venue::with(&options);
    let streams = ["btcusdt@trade"];
    let mut listener = Listener::new(&mut venue, &streams, None);
    for aggregate in 1..=5 {
        let trade = venue.trade(1, aggregate, 100, 1);
        venue.command(1, &[trade]);
    }
    listener.read();
    let reset = ("6.1".to_owned(), "reset".to_owned(), "{}".to_owned());
    let mut check = |last: &str, expected: &[&str], is_reset: bool| {
        let mut back = Listener::new(&mut venue, &streams, Some(last));
        let read = back.read();
        assert_eq!(read[0] == reset, is_reset, "{last}: {read:?}");
        let ids: Vec<&str> = read[1..].iter().map(|it| it.0.as_str()).collect();
        assert_eq!(ids, expected, "{last}");
        venue.streams.disconnect(back.id);
    };
    // Sequences 2 to 6 had one message each; 4 to 6 are kept.
    check("4.1", &["5.1", "6.1"], false);
    check("4.0", &["4.1", "5.1", "6.1"], false);
    check("6.1", &[], false);
    for last in
        ["3.1", "2.1", "1.0", "6.2", "7.0", "4.2", "", "x", "4", "-1.1", "99999999999999999999.1"]
    {
        check(last, &[], true);
    }
    // One stream more than before: what it would have shown is not known.
    let mut back = Listener::new(&mut venue, &["btcusdt@trade", "ethusdt@trade"], Some("5.1"));
    assert_eq!(back.read()[0].1, "reset");
}

#[tokio::test]
async fn history_is_kept_for_a_while_and_then_forgotten() {
    let options = Options { resume_kept: std::time::Duration::from_secs(10), ..Options::default() };
    let mut venue = Venue::with(&options);
    let streams = ["btcusdt@trade"];
    let listener = Listener::new(&mut venue, &streams, None);
    venue.streams.disconnect(listener.id);
    let trade = venue.trade(1, 1, 100, 1);
    venue.at(9_000, &[trade]);
    let mut back = Listener::new(&mut venue, &streams, Some("1.0"));
    assert_eq!(back.read()[1].0, "2.1");
    venue.streams.disconnect(back.id);
    assert!(!venue.streams.is_idle());
    venue.at(20_000, &[]);
    assert!(venue.streams.is_idle());
    let mut back = Listener::new(&mut venue, &streams, Some("2.1"));
    assert_eq!(back.read()[0].1, "reset");
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_cut_off() {
    let mut venue = Venue::new();
    let limits = OutboxLimits { messages_max: 2, bytes_max: 1 << 20 };
    let mut slow = Listener::with(&mut venue, &["btcusdt@trade"], None, limits);
    for aggregate in 1..=3 {
        let trade = venue.trade(1, aggregate, 100, 1);
        venue.command(1, &[trade]);
    }
    assert_eq!(slow.read().last().unwrap().1, "cut off");
}

#[tokio::test]
async fn the_end_comes_last() {
    let mut venue = Venue::new();
    let mut listener = Listener::new(&mut venue, &["btcusdt@trade"], None);
    let trade = venue.trade(1, 1, 100, 1);
    venue.command(1, &[trade]);
    venue.streams.shut_down(Stamp(BEGIN));
    let read = listener.read();
    let events: Vec<&str> = read.iter().map(|it| it.1.as_str()).collect();
    assert_eq!(events, ["", "", "serverShutdown"]);
    assert!(read[2].2.starts_with("{\"stream\":\"!serverShutdown\""));
    assert!(listener.reader.next().await.is_none());
    let names = parse_names(&["btcusdt@trade".to_owned()], 9).unwrap();
    let queue = Arc::new(EventQueue::new(Options::default().outbox));
    let unit = TimeUnit::Millisecond;
    let refused = venue.streams.listen(&names, unit, None, queue, &venue.market).unwrap_err();
    assert_eq!(refused.status, 503);
}

#[test]
fn only_streams_that_exist_can_be_asked_for() {
    let code = |streams: &[&str], max: usize| {
        let streams: Vec<String> = streams.iter().map(|it| (*it).to_owned()).collect();
        parse_names(&streams, max).map(|names| names.len()).map_err(|error| error.code)
    };
    assert_eq!(code(&["btcusdt@trade", "btcusdt@trade", "!bookTicker"], 3), Ok(2));
    assert_eq!(code(&["btcusdt@trade", "ethusdt@trade"], 1), Err(-1101));
    assert_eq!(code(&[], 1), Err(-1102));
    for name in ["0", "a b", "btcusdt@nothing", ""] {
        assert_eq!(code(&[name], 1), Err(-1100), "{name}");
    }
    let mut venue = Venue::new();
    let names = [named("nousdt@trade")];
    let queue = Arc::new(EventQueue::new(Options::default().outbox));
    let (unit, market) = (TimeUnit::Millisecond, &venue.market);
    let refused = venue.streams.listen(&names, unit, None, queue, market).unwrap_err();
    assert_eq!((refused.code, refused.status), (-1121, 400));
    assert!(venue.streams.is_idle());
}

#[tokio::test]
async fn what_came_before_a_rebuilt_market_cannot_be_resumed() {
    let mut venue = Venue::new();
    let streams = ["btcusdt@trade"];
    for aggregate in 1..=5 {
        let trade = venue.trade(1, aggregate, 100, 1);
        venue.command(1, &[trade]);
    }
    venue.streams = Streams::new(&Options::default());
    let mut early = Listener::new(&mut venue, &streams, Some("5.1"));
    assert_eq!(early.read()[0].1, "reset");
    let trade = venue.trade(1, 6, 100, 1);
    venue.command(1, &[trade]);
    assert_eq!(early.read()[0].0, "7.1");
    let mut resume = |last| Listener::new(&mut venue, &streams, Some(last)).read();
    assert_eq!(resume("5.1")[0].1, "reset");
    assert_eq!(resume("6.0")[1].0, "7.1");
}
