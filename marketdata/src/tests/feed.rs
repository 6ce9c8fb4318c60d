//! Feeds, imbalances and the consolidated book against a naive recomputation: a list of every level
//! that was ever told, sorted anew for each question.

use super::*;
use crate::{CONSOLIDATED_SCALE, Consolidated, FeedBook, Feeds, Imbalance, Ladder, OBI_LEVELS};
use protocol::feed::*;
use protocol::{FeedEvent, FeedState, MILLISECOND_NS};

fn definition(source: u32, price_scale: u8, quantity_scale: u8) -> FeedSourceDefined {
    FeedSourceDefined {
        source,
        venue: Text::new(["binance", "bitget", "third"][source as usize % 3]).unwrap(),
        market: Text::new("spot").unwrap(),
        symbol: Text::new("BTCUSDT").unwrap(),
        price_scale,
        quantity_scale,
        depth_max: 0,
    }
}

fn state(source: u32, state: FeedState, messages: u64) -> FeedEvent {
    let (reason, gaps, resyncs, dropped, lag_ns) = (Text::EMPTY, 0, 0, 0, 0);
    FeedStatusChanged { source, state, reason, messages, gaps, resyncs, dropped, lag_ns }.into()
}

fn level(source: u32, side: Side, price: u64, quantity: u128) -> FeedEvent {
    FeedLevelChanged { source, side, price, quantity }.into()
}

fn committed(source: u32, update: u64) -> FeedEvent {
    FeedBookCommitted { source, update, event_ns: 0, receive_ns: 0 }.into()
}

/// What a source told, level by level, and nothing else.
#[derive(Clone)]
struct Naive {
    definition: FeedSourceDefined,
    levels: Vec<(Side, u64, u128)>,
    state: FeedState,
}

impl Naive {
    fn side(&self, side: Side) -> Vec<(u64, u128)> {
        let mut rows: Vec<(u64, u128)> = Vec::new();
        for (of, price, quantity) in &self.levels {
            if *of == side {
                rows.retain(|row| row.0 != *price);
                rows.push((*price, *quantity));
            }
        }
        rows.retain(|row| row.1 > 0);
        rows.sort_unstable();
        if side == Side::Buy {
            rows.reverse();
        }
        rows
    }

    /// Numerator and denominator.
    fn imbalance(&self, levels: usize) -> (u128, u128) {
        let sum = |side| self.side(side).iter().take(levels).map(|row| row.1).sum();
        (sum(Side::Buy), sum(Side::Sell))
    }
}

/// Rounds half to even with 12 decimals, from the exact fraction by repeated comparison.
fn rounded((bids, asks): (u128, u128)) -> Option<i64> {
    let (total, difference) = (bids + asks, bids.abs_diff(asks));
    if total == 0 {
        return None;
    }
    let (mut low, mut high) = (0u128, 10u128.pow(12) + 1);
    // The largest count whose value is not above the fraction.
    while high - low > 1 {
        let middle = low.midpoint(high);
        if middle * total <= difference * 10u128.pow(12) {
            low = middle;
        } else {
            high = middle;
        }
    }
    let twice_rest = 2 * (difference * 10u128.pow(12) - low * total);
    let up = twice_rest > total || (twice_rest == total && low % 2 == 1);
    let count = (low + u128::from(up)) as i64;
    Some(if bids < asks { -count } else { count })
}

/// Price at scale 12, then quantity of each book by its place: from all levels of all books.
fn naive_ladder(books: &[Naive], side: Side, levels: usize) -> Vec<(u128, Vec<(usize, u128)>)> {
    let mut rows: Vec<(u128, usize, u128)> = Vec::new();
    for (place, book) in books.iter().enumerate() {
        let scaled = |value: u128, scale: u8| value * 10u128.pow(u32::from(12 - scale));
        for (price, quantity) in book.side(side) {
            let price = scaled(u128::from(price), book.definition.price_scale);
            rows.push((price, place, scaled(quantity, book.definition.quantity_scale)));
        }
    }
    let mut prices: Vec<u128> = rows.iter().map(|row| row.0).collect();
    prices.sort_unstable();
    prices.dedup();
    if side == Side::Buy {
        prices.reverse();
    }
    prices.truncate(levels);
    let at = |price| rows.iter().filter(move |row| row.0 == price).map(|row| (row.1, row.2));
    prices.into_iter().map(|price| (price, at(price).collect())).collect()
}

#[test]
fn books_imbalances_and_the_consolidated_book_equal_a_naive_recomputation() {
    for seed in 0..20 {
        let mut random = Random(seed + 1);
        let mut feeds = Feeds::new();
        let mut naive: Vec<Naive> = Vec::new();
        // Scales differ, and prices meet: 5 at scale 1 is 50 at scale 2.
        for source in 0..3u32 {
            let scales = (1 + source as u8, [8, 12, 3][source as usize]);
            let definition = definition(source, scales.0, scales.1);
            feeds.apply(&definition.into(), Stamp(0), |_| {});
            naive.push(Naive { definition, levels: Vec::new(), state: FeedState::Connecting });
        }
        for step in 0..400 {
            let source = random.below(3) as u32;
            let book = &mut naive[source as usize];
            if random.below(15) == 0 {
                book.state = FeedState::ALL[random.below(6) as usize];
                feeds.apply(&state(source, book.state, step), Stamp(0), |_| {});
            }
            if random.below(60) == 0 {
                book.levels.clear();
                feeds.apply(&FeedBookReset { source }.into(), Stamp(0), |_| {});
            }
            for _ in 0..random.below(12) {
                let side = [Side::Buy, Side::Sell][random.below(2) as usize];
                let factor = 10u64.pow(source);
                let price =
                    (20 + random.below(30)) * factor + random.below(2) * random.below(factor);
                let quantity = u128::from(random.below(4) * random.below(1_000_000_007));
                book.levels.push((side, price, quantity));
                feeds.apply(&level(source, side, price, quantity), Stamp(0), |_| {});
                assert!(feeds.is_between() && feeds.source(source).unwrap().book().is_none());
            }
            feeds.apply(&committed(source, step), Stamp(0), |_| {});
            check(&feeds, &naive, 1 + random.below(25) as usize, seed);
        }
    }
}

fn check(feeds: &Feeds, naive: &[Naive], levels: usize, seed: u64) {
    for (source, book) in feeds.sources().zip(naive) {
        let Some(shown) = source.book() else { continue };
        for side in [Side::Buy, Side::Sell] {
            assert_eq!(shown.levels(side).collect::<Vec<_>>(), book.side(side), "seed {seed}");
        }
        for levels in OBI_LEVELS {
            let (bids, asks) = book.imbalance(levels);
            let imbalance = shown.imbalance(levels).unwrap();
            assert_eq!(imbalance, Imbalance { bids, asks }, "seed {seed}");
            let ratio = imbalance.ratio().map(|ratio| ratio.0);
            assert_eq!(ratio, rounded((bids, asks)), "seed {seed}: {bids} {asks}");
        }
    }
    let synced: Vec<&crate::FeedSource> =
        feeds.sources().filter(|it| it.synced_book().is_some()).collect();
    let books: Vec<Naive> = synced
        .iter()
        .map(|it| naive[it.definition().source as usize].clone())
        .inspect(|book| assert_eq!(book.state, FeedState::Synced))
        .collect();
    let ladders = synced.iter().filter_map(|source| Ladder::of_source(source)).collect();
    let consolidated = Consolidated::of(ladders, levels);
    for (side, rows) in [(Side::Buy, &consolidated.bids), (Side::Sell, &consolidated.asks)] {
        let found: Vec<_> = rows.iter().map(|row| (row.price, row.books.clone())).collect();
        assert_eq!(found, naive_ladder(&books, side, levels), "seed {seed}");
        for row in rows {
            assert_eq!(row.quantity, row.books.iter().map(|it| it.1).sum::<u128>());
        }
    }
    let best = |side| naive_ladder(&books, side, 1).first().map(|row| row.0);
    let is_crossed = best(Side::Buy).zip(best(Side::Sell)).is_some_and(|(bid, ask)| bid >= ask);
    assert_eq!(consolidated.is_crossed(), is_crossed);
}

#[test]
fn our_own_book_stands_in_the_consolidated_one_like_others() {
    let mut feeds = Feeds::new();
    for event in [
        definition(0, 2, 3).into(),
        state(0, FeedState::Synced, 1),
        level(0, Side::Buy, 10_000, 1_500),
        committed(0, 1),
    ] {
        feeds.apply(&event, Stamp(0), |_| {});
    }
    let mut market = market(History::default());
    let change = BookChanged {
        instrument: ONE,
        update: UpdateId(1),
        side: Side::Buy,
        price: Price(100 * SCALE),
        quantity: LevelQuantity::new(Amount(2 * i128::from(SCALE))),
        orders: 1,
    };
    market.apply(&change.into(), Stamp(0));
    let depth = &market.instrument(ONE).unwrap().depth;
    let source = Ladder::of_source(feeds.source(0).unwrap()).unwrap();
    let consolidated = Consolidated::of(vec![Ladder::of_depth(depth), source], 5);
    let one = 10u128.pow(u32::from(CONSOLIDATED_SCALE));
    let [level] = consolidated.bids.as_slice() else { panic!("{consolidated:?}") };
    assert_eq!((level.price, level.quantity), (100 * one, 35 * one / 10));
    assert_eq!(level.books, [(0, 2 * one), (1, 15 * one / 10)]);
}

#[test]
fn a_book_whose_numbers_do_not_fit_is_left_out_whole() {
    let ladder = |scale, quantity| Ladder {
        price_scale: 2,
        quantity_scale: scale,
        bids: Box::new(std::iter::once((5, quantity))),
        asks: Box::new(std::iter::once((6, 1))),
    };
    let ladders = vec![ladder(0, u128::MAX / 1_000), ladder(12, 7), ladder(13, 1)];
    let consolidated = Consolidated::of(ladders, 5);
    assert_eq!(consolidated.left_out, [0, 2]);
    assert_eq!((consolidated.bids.len(), consolidated.asks.len()), (1, 1));
    assert_eq!(consolidated.bids[0].books, [(1, 7)]);
}

#[test]
fn what_nobody_has_defined_is_passed_over() {
    let mut feeds = Feeds::new();
    let source = crate::FEED_SOURCES_MAX;
    for event in [
        definition(source, 8, 8).into(),
        definition(1, 13, 8).into(),
        level(1, Side::Buy, 1, 1),
        committed(1, 1),
        state(1, FeedState::Synced, 1),
    ] {
        feeds.apply(&event, Stamp(0), |_| panic!("nothing is shown"));
    }
    assert_eq!(feeds, Feeds::new());
}

#[test]
fn a_checkpoint_drops_what_it_does_not_name_and_tells_of_it() {
    let mut feeds = Feeds::new();
    for source in 0..2 {
        feeds.apply(&definition(source, 8, 8).into(), Stamp(0), |_| {});
        feeds.apply(&level(source, Side::Buy, 5, 5), Stamp(0), |_| {});
        feeds.apply(&committed(source, 9), Stamp(0), |_| {});
    }
    let mut touched = Vec::new();
    let mut apply = |feeds: &mut Feeds, event: FeedEvent| {
        feeds.apply(&event, Stamp(0), |source| touched.push(source.definition().source));
    };
    apply(&mut feeds, FeedCheckpointBegan { sources: 1 }.into());
    // The one that stays is shown all the while.
    assert!(feeds.source(1).unwrap().book().is_some());
    apply(&mut feeds, definition(1, 8, 8).into());
    assert_eq!(touched, [1, 0]);
    assert!(feeds.source(0).is_none());
    // Other scales: the numbers mean something else.
    feeds.apply(&definition(1, 9, 8).into(), Stamp(0), |_| {});
    assert!(feeds.source(1).unwrap().book().is_none());
}

#[test]
fn a_checkpoint_puts_a_reader_where_its_teller_stands() {
    let mut feeds = Feeds::new();
    for event in [
        definition(4, 3, 2).into(),
        state(4, FeedState::Stale, 3),
        level(4, Side::Sell, 7, 1),
        committed(4, 2),
        definition(5, 1, 1).into(),
        level(5, Side::Buy, 7, 1),
    ] {
        feeds.apply(&event, Stamp(0), |_| {});
    }
    let mut again = Feeds::new();
    feeds.checkpoint(|event| again.apply(&event, Stamp(0), |_| {}));
    assert_eq!(again, feeds);
    assert_eq!(again.source(4).unwrap().book().map(|it: &FeedBook| it.update), Some(2));
    assert!(again.source(5).unwrap().book().is_none());
}

#[test]
fn a_rate_is_over_the_last_seconds() {
    let mut feeds = Feeds::new();
    feeds.apply(&definition(0, 8, 8).into(), Stamp(0), |_| {});
    let rate = |feeds: &Feeds| feeds.source(0).unwrap().messages_per_second_thousandths();
    // 20 a second for 60 seconds, then 5 a second.
    let mut messages = 0;
    for tick in 0..3_000u64 {
        messages += if tick < 1_200 { 1 } else { u64::from(tick % 4 == 0) };
        let now = Stamp(tick * 50 * MILLISECOND_NS);
        feeds.apply(&state(0, FeedState::Synced, messages), now, |_| {});
        if tick == 1_199 {
            assert_eq!(rate(&feeds), 20_000);
        }
    }
    assert!((4_900..=5_100).contains(&rate(&feeds)), "{}", rate(&feeds));
    // The writer counts anew.
    feeds.apply(&state(0, FeedState::Synced, 0), Stamp(200_000_000_000), |_| {});
    assert_eq!(rate(&feeds), 0);
}
