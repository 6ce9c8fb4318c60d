use super::*;
use protocol::feed::*;
use protocol::{Side, Text};

const SMALL: FeedLogOptions = FeedLogOptions { segment_bytes: 8192, log_bytes: 5 * 8192 };

fn defined(source: u32, price_scale: u8) -> FeedEvent {
    FeedSourceDefined {
        source,
        venue: Text::new(["binance", "bitget"][source as usize % 2]).unwrap(),
        market: Text::new("spot").unwrap(),
        symbol: Text::new(["BTCUSDT", "ETHUSDT"][source as usize / 2 % 2]).unwrap(),
        price_scale,
        quantity_scale: 8,
        depth_max: 100,
    }
    .into()
}

fn status(source: u32, state: FeedState, messages: u64) -> FeedEvent {
    let (reason, gaps, resyncs, dropped, lag_ns) = (Text::EMPTY, 0, 0, 0, -5);
    FeedStatusChanged { source, state, reason, messages, gaps, resyncs, dropped, lag_ns }.into()
}

fn level(source: u32, side: Side, price: u64, quantity: u128) -> FeedEvent {
    FeedLevelChanged { source, side, price, quantity }.into()
}

fn committed(source: u32, update: u64, receive_ns: u64) -> FeedEvent {
    FeedBookCommitted { source, update, event_ns: receive_ns, receive_ns }.into()
}

fn append(log: &mut FeedLog, events: &[FeedEvent]) {
    events.iter().for_each(|event| log.append(event));
}

/// A reader and what it was told.
struct Told {
    reader: FeedReader,
    feeds: Feeds,
    now_ns: u64,
}

impl Told {
    fn new(data: &Path) -> Told {
        Told { reader: FeedReader::new(data), feeds: Feeds::new(), now_ns: 0 }
    }

    /// Long after the last poll: a look is due.
    fn poll(&mut self, now_ns: u64, records_max: usize) -> Polled {
        self.now_ns = now_ns;
        let Told { reader, feeds, .. } = self;
        reader.poll(now_ns, records_max, |event, stamp| feeds.apply(event, stamp, |_| {}))
    }

    /// Everything, also when the log was retired under it.
    #[track_caller]
    fn poll_all(&mut self, now_ns: u64) {
        for _ in 0..100 {
            let (mut seen, now_ns) = (0, now_ns.max(self.now_ns + LOOK_NS));
            self.now_ns = now_ns;
            let Told { reader, feeds, .. } = self;
            let polled = reader.poll(now_ns, 50, |event, stamp| {
                seen += 1;
                feeds.apply(event, stamp, |_| {});
            });
            assert_eq!(reader.problem(), None);
            if polled.is_there && seen == 0 && reader.attached.is_some() {
                return;
            }
        }
        panic!("never drained");
    }
}

/// Books and states, without rates: those depend on when one began to read.
fn shown(feeds: &Feeds) -> Vec<FeedEvent> {
    let mut shown = Vec::new();
    feeds.checkpoint(|event| shown.push(event));
    shown
}

#[test]
fn what_was_published_is_read_by_those_who_were_there_and_by_those_who_come_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut early = Told::new(folder.path());
    assert_eq!(early.poll(1, 9), Polled::default());
    let mut log = FeedLog::open(folder.path(), &FeedLogOptions::default(), SECOND_NS).unwrap();
    append(&mut log, &[defined(0, 8), status(0, FeedState::Synced, 1)]);
    append(&mut log, &[level(0, Side::Buy, 10, 5), level(0, Side::Sell, 11, 7)]);
    log.publish(SECOND_NS).unwrap();
    early.poll_all(SECOND_NS);
    // The message is cut: nobody sees any of it.
    assert_eq!(early.feeds.sources().count(), 0);
    append(&mut log, &[committed(0, 42, SECOND_NS + 3)]);
    log.publish(SECOND_NS + 5).unwrap();
    early.poll_all(SECOND_NS + 5);
    let mut late = Told::new(folder.path());
    late.poll_all(SECOND_NS + 5);
    for told in [&early, &late] {
        assert_eq!(shown(&told.feeds), shown(log.told()));
        let book = told.feeds.source(0).unwrap().synced_book().unwrap();
        assert_eq!((book.update, book.best(Side::Buy)), (42, Some((10, 5))));
    }
}

#[test]
fn a_second_writer_is_told_who_writes() {
    let folder = tempfile::tempdir().unwrap();
    let log = FeedLog::open(folder.path(), &SMALL, 1).unwrap();
    let error = FeedLog::open(folder.path(), &SMALL, 1).err().unwrap();
    assert!(matches!(error, Error::Locked { pid, .. } if pid == std::process::id()), "{error}");
    drop(log);
    FeedLog::open(folder.path(), &SMALL, 1).unwrap();
}

#[test]
fn a_writer_that_is_gone_or_silent_is_missed_and_the_next_begins_without_sources() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = FeedLog::open(folder.path(), &SMALL, SECOND_NS).unwrap();
    append(&mut log, &[defined(0, 8), status(0, FeedState::Synced, 1), committed(0, 1, 2)]);
    log.publish(SECOND_NS).unwrap();
    let mut told = Told::new(folder.path());
    assert!(told.poll(SECOND_NS, 99).is_live);
    assert!(!told.poll(SECOND_NS + HEARTBEAT_MAX_NS + 1, 99).is_live);
    log.publish(9 * SECOND_NS).unwrap();
    assert!(told.poll(9 * SECOND_NS, 99).is_live);
    // The clock is set back.
    log.publish(2 * SECOND_NS).unwrap();
    assert!(told.poll(2 * SECOND_NS, 99).is_live);
    log.publish(9 * SECOND_NS).unwrap();
    drop(log);
    let polled = told.poll(9 * SECOND_NS, 99);
    assert!(polled.is_there && !polled.is_live);
    assert_eq!(told.feeds.sources().count(), 1);
    let _log = FeedLog::open(folder.path(), &SMALL, 10 * SECOND_NS).unwrap();
    assert!(told.poll(10 * SECOND_NS, 99).is_live);
    assert_eq!(told.feeds.sources().count(), 0);
}

#[test]
fn a_damaged_log_is_begun_anew_and_readers_go_over_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = FeedLog::open(folder.path(), &SMALL, SECOND_NS).unwrap();
    append(&mut log, &[defined(0, 8), committed(0, 1, 2)]);
    log.publish(SECOND_NS).unwrap();
    drop(log);
    let mut told = Told::new(folder.path());
    told.poll_all(SECOND_NS);
    let path = folder.path().join("feed/feed-00000000000000000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[30] ^= 1;
    // Another file: the reader keeps the old one mapped.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let mut log = FeedLog::open(folder.path(), &SMALL, 2 * SECOND_NS).unwrap();
    assert!(log.discarded().is_some_and(|why| why.contains("corrupt at offset 0")));
    append(&mut log, &[defined(3, 8), committed(3, 7, 2)]);
    log.publish(2 * SECOND_NS).unwrap();
    told.poll_all(2 * SECOND_NS);
    assert_eq!(shown(&told.feeds), shown(log.told()));
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }

    fn message(&mut self, update: u64) -> Vec<FeedEvent> {
        let source = self.below(4) as u32;
        if self.below(40) == 0 {
            let scale = 8 + self.below(3) as u8;
            return vec![defined(source, scale), FeedBookReset { source }.into()];
        }
        if self.below(20) == 0 {
            let state = FeedState::ALL[self.below(6) as usize];
            return vec![status(source, state, update)];
        }
        let mut events = Vec::new();
        for _ in 0..self.below(30) {
            let side = [Side::Buy, Side::Sell][self.below(2) as usize];
            events.push(level(source, side, self.below(20), u128::from(self.below(3))));
        }
        events.push(committed(source, update, update * MILLISECOND_NS));
        events
    }
}

/// Random messages, published at random, read by a reader that is quick, one that is slow and loses
/// segments, and one that begins now and then; the writer is replaced now and then.
#[test]
fn all_readers_see_whole_messages_and_the_same_books_over_roll_overs_and_restarts() {
    for seed in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random(seed);
        let now = |step: u64| (step + 1) * SECOND_NS;
        let mut log = Some(FeedLog::open(folder.path(), &SMALL, now(0)).unwrap());
        let (mut quick, mut slow) = (Told::new(folder.path()), Told::new(folder.path()));
        for step in 1..700 {
            if random.below(300) == 0 {
                drop(log.take());
            }
            let options = &SMALL;
            let log = log
                .get_or_insert_with(|| FeedLog::open(folder.path(), options, now(step)).unwrap());
            append(log, &random.message(step));
            if random.below(4) > 0 {
                continue;
            }
            log.publish(now(step)).unwrap();
            quick.poll_all(now(step));
            assert_eq!(shown(&quick.feeds), shown(log.told()), "seed {seed} step {step}");
            if random.below(10) == 0 {
                slow.poll(now(step), 3);
                assert!(!slow.feeds.is_between(), "seed {seed} step {step}");
            }
            if random.below(60) == 0 {
                slow.poll_all(now(step));
                let mut late = Told::new(folder.path());
                late.poll_all(now(step));
                assert_eq!(shown(&slow.feeds), shown(log.told()), "seed {seed} step {step}");
                assert_eq!(shown(&late.feeds), shown(log.told()), "seed {seed} step {step}");
            }
            let segments =
                segment::list(&Disk, &folder.path().join("feed"), LogKind::Feed).unwrap();
            assert!(segments.len() <= 7, "seed {seed} step {step}: {segments:?}");
        }
    }
}

/// More than a segment holds: checkpoints span several, and do not follow each other.
#[test]
fn a_checkpoint_longer_than_a_segment_is_told_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = FeedLog::open(folder.path(), &SMALL, SECOND_NS).unwrap();
    append(&mut log, &[defined(0, 8), status(0, FeedState::Synced, 1)]);
    for price in 0..500 {
        append(&mut log, &[level(0, Side::Buy, price, 1)]);
    }
    append(&mut log, &[committed(0, 1, 2)]);
    log.publish(SECOND_NS).unwrap();
    for update in 2..400 {
        append(&mut log, &[level(0, Side::Buy, update, 2), committed(0, update, 2)]);
        log.publish(SECOND_NS).unwrap();
    }
    let mut late = Told::new(folder.path());
    late.poll_all(SECOND_NS);
    assert_eq!(shown(&late.feeds), shown(log.told()));
    assert_eq!(late.feeds.source(0).unwrap().book().unwrap().levels_count(Side::Buy), 500);
    // Some 24 KiB of checkpoint, and as much again before the next one.
    let position = log.writer.tail().position;
    assert!(position < 400_000, "{position}");
}
