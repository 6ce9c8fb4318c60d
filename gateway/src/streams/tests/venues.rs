//! Streams over venues: imbalances and the consolidated book.

use protocol::FeedState;
use serde_json::json;

use super::*;
use crate::feed::FeedLog;
use crate::feed::tests::{defined as source_defined, message, status};

/// A venue with a feed of two sources of BTCUSDT and one of a symbol that is not ours.
struct Fed {
    venue: Venue,
    view: FeedView,
}

impl Fed {
    fn new() -> Fed {
        let mut fed = Fed {
            venue: Venue::new(),
            view: FeedView { log: FeedLog::Live, ..FeedView::default() },
        };
        fed.feed([
            source_defined(0, "binance", "spot", "BTCUSDT"),
            source_defined(1, "bitget", "spot", "BTCUSDT"),
            source_defined(2, "bitget", "spot", "XYZUSDT"),
            status(0, FeedState::Synced, ""),
            status(1, FeedState::Connecting, ""),
            status(2, FeedState::Synced, ""),
        ]);
        fed.fed_at(10);
        fed
    }

    fn feed(&mut self, events: impl IntoIterator<Item = protocol::FeedEvent>) {
        for event in events {
            let streams = &mut self.venue.streams;
            self.view.feeds.apply(&event, Stamp(0), |source| streams.source_changed(source));
        }
    }

    /// All that a feed has up to so many milliseconds after the begin.
    fn fed_at(&mut self, ms: u64) {
        let Venue { streams, market, .. } = &mut self.venue;
        streams.advance_feeds(Stamp(BEGIN + ms * MS), market, &self.view);
    }

    fn own_at(&mut self, ms: u64, events: &[Event]) {
        let now = Stamp(BEGIN + ms * MS);
        let Venue { streams, market, sequence, .. } = &mut self.venue;
        *sequence = sequence.next();
        streams.advance(now, *sequence, market, &self.view);
        for event in events {
            market.apply(event, now);
            streams.apply(event, now, *sequence, market);
        }
        streams.settle(now, *sequence, market);
        self.venue.now = now;
    }
}

fn book(instrument: u32, update: u64, side: Side, price: u64, quantity: u64) -> Event {
    Event::BookChanged(BookChanged {
        instrument: InstrumentId(instrument),
        update: UpdateId(update),
        side,
        price: Price(price * SCALE),
        quantity: LevelQuantity::new(Amount(i128::from(quantity * SCALE))),
        orders: 1,
    })
}

fn ratio(message: &Value) -> &Value {
    &message["i"][0]["r"]
}

#[test]
fn an_imbalance_is_told_when_a_book_changed_once_in_a_hundred_milliseconds() {
    let mut fed = Fed::new();
    let client = fed.venue.client(&["btcusdt@obi"], TimeUnit::Millisecond, false);
    fed.feed(message(0, 5, &[(Side::Buy, 10, 3), (Side::Sell, 11, 1)]));
    fed.fed_at(90);
    client.nothing();
    fed.feed(message(0, 6, &[(Side::Buy, 9, 1)]));
    fed.fed_at(105);
    let messages = client.messages();
    // Whoever joins is told of every venue, changed or not.
    let [binance, bitget] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(
        *binance,
        json!({
            "e": "obi", "E": (BEGIN + 100 * MS) / MS, "s": "BTCUSDT", "v": "binance", "m": "spot",
            "st": "synced", "u": 6, "T": binance["T"],
            "i": [
                {"n": 5, "B": "4.00000000", "A": "1.00000000", "r": "0.600000000000"},
                {"n": 10, "B": "4.00000000", "A": "1.00000000", "r": "0.600000000000"},
                {"n": 20, "B": "4.00000000", "A": "1.00000000", "r": "0.600000000000"},
            ],
        })
    );
    assert_eq!((&bitget["st"], &bitget["i"]), (&json!("connecting"), &json!([])));
    fed.fed_at(205);
    client.nothing();
    fed.feed(message(0, 7, &[(Side::Buy, 10, 0), (Side::Buy, 9, 0)]));
    // Another symbol: nobody here listens.
    fed.feed(message(2, 1, &[(Side::Buy, 10, 1)]));
    fed.fed_at(300);
    let messages = client.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(ratio(&messages[0]), "-1.000000000000");
}

#[test]
fn our_own_imbalance_follows_stored_time() {
    let mut fed = Fed::new();
    let client = fed.venue.client(&["ethusdt@obi"], TimeUnit::Millisecond, false);
    fed.own_at(10, &[book(2, 1, Side::Buy, 10, 1)]);
    fed.own_at(50, &[book(2, 2, Side::Sell, 11, 1)]);
    fed.fed_at(500);
    client.nothing();
    fed.own_at(100, &[book(2, 3, Side::Sell, 12, 2)]);
    let messages = client.messages();
    assert_eq!(messages.len(), 1);
    // As of the boundary: without what came with the command that passed it.
    assert_eq!(
        (&messages[0]["v"], ratio(&messages[0])),
        (&json!("outcry"), &json!("0.000000000000"))
    );
    fed.own_at(250, &[]);
    assert_eq!(ratio(&client.messages()[0]), "-0.500000000000");
    fed.own_at(350, &[]);
    client.nothing();
}

#[test]
fn the_consolidated_book_is_sent_once_a_boundary_whoever_changed() {
    let mut fed = Fed::new();
    let client = fed.venue.client(&["btcusdt@consolidated"], TimeUnit::Millisecond, false);
    fed.own_at(20, &[book(1, 1, Side::Buy, 10, 3)]);
    fed.feed(message(0, 5, &[(Side::Buy, 10, 1), (Side::Sell, 12, 1)]));
    fed.fed_at(100);
    let messages = client.messages();
    assert_eq!(
        messages,
        [json!({
            "e": "consolidated", "E": (BEGIN + 100 * MS) / MS, "s": "BTCUSDT",
            "v": [
                {"v": "outcry", "m": "spot", "st": "synced", "u": 1, "in": true},
                {"v": "binance", "m": "spot", "st": "synced", "u": 5, "in": true},
                {"v": "bitget", "m": "spot", "st": "connecting", "u": null, "in": false},
            ],
            "x": false,
            "b": [["10.00000000", "4.00000000", [[0, "3.00000000"], [1, "1.00000000"]]]],
            "a": [["12.00000000", "1.00000000", [[1, "1.00000000"]]]],
        })]
    );
    // Our own time passes the same boundary later: it was sent.
    fed.own_at(120, &[book(1, 2, Side::Sell, 9, 1)]);
    client.nothing();
    fed.own_at(200, &[]);
    let messages = client.messages();
    assert_eq!((messages.len(), &messages[0]["x"]), (1, &json!(true)));
    // A feed that falls silent changes what its sources are worth.
    fed.view.log = FeedLog::Silent;
    for source in fed.view.feeds.sources() {
        fed.venue.streams.source_changed(source);
    }
    fed.fed_at(300);
    let messages = client.messages();
    assert_eq!(messages[0]["v"][1]["st"], "down");
    assert_eq!(messages[0]["b"], json!([["10.00000000", "3.00000000", [[0, "3.00000000"]]]]));
}

#[test]
fn a_symbol_need_not_be_ours_nor_be_there_yet() {
    let mut fed = Fed::new();
    let client =
        fed.venue.client(&["xyzusdt@consolidated", "later@obi"], TimeUnit::Millisecond, true);
    fed.fed_at(100);
    assert_eq!(client.messages().len(), 1);
    fed.feed([source_defined(3, "binance", "spot", "LATER"), status(3, FeedState::Synced, "")]);
    fed.feed(message(3, 5, &[(Side::Buy, 10, 1)]));
    fed.fed_at(200);
    let messages = client.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["stream"], "later@obi");
    assert_eq!(messages[0]["data"]["u"], 5);
}

#[test]
fn nobody_listens_and_nothing_is_kept() {
    let mut fed = Fed::new();
    let client = fed.venue.socket(&["btcusdt@obi", "btcusdt@consolidated"]);
    assert_eq!(fed.venue.streams.venue_feeds.len(), 2);
    fed.venue.streams.disconnect(client.id);
    assert_eq!(fed.venue.streams.venue_feeds.len(), 0);
}
