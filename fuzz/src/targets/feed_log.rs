//! Records of a feed's log: whatever they say, books stay sorted and bounded, sums are exact or
//! refused, and a checkpoint puts another reader where this one stands.

use marketdata::{Consolidated, FEED_LEVELS_MAX, FEED_SOURCES_MAX, Feeds, Ladder, OBI_LEVELS};
use protocol::feed::*;
use protocol::{FeedEvent, FeedState, Records, Side, Stamp, Text};

use crate::Target;
use crate::feedback::note;

pub const TARGET: Target =
    Target { name: "feed_log", run: feed_log, corpus, words: &[], length_max: 8_192 };

const LEVELS: usize = 10;

/// Two sources of other scales with a few levels, a gap, and a checkpoint of them.
fn corpus() -> Vec<Vec<u8>> {
    let events = told();
    let mut feeds = Feeds::new();
    let (mut all, mut checkpoint) = (Vec::new(), Vec::new());
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    for event in &events {
        feeds.apply(event, Stamp(1), |_| {});
        event.encode(&mut all);
        let mut input = Vec::new();
        event.encode(&mut input);
        inputs.push(input);
    }
    feeds.checkpoint(|event| event.encode(&mut checkpoint));
    inputs.extend([all.clone(), checkpoint.clone(), [all, checkpoint].concat()]);
    inputs
}

fn told() -> Vec<FeedEvent> {
    let name = |text: &str| Text::new(text).unwrap_or_default();
    let mut events: Vec<FeedEvent> = vec![FeedCheckpointBegan { sources: 0 }.into()];
    for (source, scale) in [(0, 8), (1, 12)] {
        events.push(
            FeedSourceDefined {
                source,
                venue: Text::new(["binance", "bitget"][source as usize]).unwrap_or_default(),
                market: Text::new("spot").unwrap_or_default(),
                symbol: Text::new("BTCUSDT").unwrap_or_default(),
                price_scale: scale,
                quantity_scale: 20 - scale,
                depth_max: 100,
            }
            .into(),
        );
        for (side, price) in [(Side::Buy, 10), (Side::Buy, 9), (Side::Sell, 11)] {
            let quantity = u128::from(price);
            events.push(FeedLevelChanged { source, side, price, quantity }.into());
        }
        events.push(FeedBookCommitted { source, update: 7, event_ns: 5, receive_ns: 6 }.into());
        let state = FeedState::Synced;
        let status = FeedStatusChanged {
            source,
            state,
            reason: name("none"),
            messages: 3,
            gaps: 0,
            resyncs: 0,
            dropped: 0,
            lag_ns: 1,
        };
        events.push(status.into());
    }
    events.push(FeedBookReset { source: 1 }.into());
    events
}

pub fn feed_log(data: &[u8]) {
    let mut feeds = Feeds::new();
    for (view, stamp) in Records::new(data).zip(1..) {
        let Ok(event) = view.and_then(|view| FeedEvent::decode(&view)) else { break };
        note(("record", event.kind()));
        feeds.apply(&event, Stamp(stamp * 600_000_000), |_| {});
    }
    ask(&feeds);
    let mut again = Feeds::new();
    let mut told = Vec::new();
    feeds.checkpoint(|event| {
        again.apply(&event, Stamp(0), |_| {});
        told.push(event);
    });
    let mut told_again = Vec::new();
    again.checkpoint(|event| told_again.push(event));
    assert_eq!(told, told_again, "a checkpoint tells something else than it was made of");
}

/// Every question that a gateway has.
fn ask(feeds: &Feeds) {
    let mut ladders = Vec::new();
    for source in feeds.sources() {
        let definition = source.definition();
        assert!(definition.source < FEED_SOURCES_MAX);
        assert!(definition.price_scale <= FEED_SCALE_MAX);
        note((source.state(), source.book().is_some()));
        source.messages_per_second_thousandths();
        ladders.extend(Ladder::of_source(source));
        let Some(book) = source.book() else { continue };
        for side in [Side::Buy, Side::Sell] {
            let levels: Vec<_> = book.levels(side).collect();
            assert!(levels.len() <= FEED_LEVELS_MAX && levels.iter().all(|level| level.1 > 0));
            assert!(levels.is_sorted_by(|a, b| match side {
                Side::Buy => a.0 > b.0,
                Side::Sell => a.0 < b.0,
            }));
        }
        for levels in OBI_LEVELS {
            let ratio = book.imbalance(levels).and_then(|it| it.ratio());
            assert!(ratio.is_none_or(|it| it.0.abs() <= 1_000_000_000_000));
        }
    }
    let consolidated = Consolidated::of(ladders, LEVELS);
    for levels in [&consolidated.bids, &consolidated.asks] {
        assert!(levels.len() <= LEVELS);
        for level in levels {
            let sum: u128 = level.books.iter().map(|book| book.1).sum();
            assert!(level.quantity == sum && level.books.is_sorted_by(|a, b| a.0 < b.0));
        }
    }
    assert!(consolidated.bids.is_sorted_by(|a, b| a.price > b.price));
    assert!(consolidated.asks.is_sorted_by(|a, b| a.price < b.price));
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_records_break_the_view_of_a_feed() {
        crate::campaign::check(&super::TARGET, 1, 20_000);
    }
}
