//! The publisher against hand-made events.

use std::collections::BTreeMap;

use protocol::event::{BookChanged, Trade};
use protocol::{
    AggregateTradeId, Amount, AssetId, InstrumentDefinition, LevelQuantity, OrderId, Price,
    Quantity, SCALE, Side, Text, TradeId, UpdateId,
};
use serde_json::Value;

use super::*;
use crate::outbox::OutboxLimits;

mod auctions;
mod depth;
mod payloads;
mod resume;
mod subscriptions;
mod venues;

/// 2023-11-14T22:13:20Z.
const BEGIN: u64 = 1_700_000_000_000_000_000;
const MS: u64 = MILLISECOND_NS;

/// A market and its streams, driven by commands.
struct Venue {
    market: Market,
    streams: Streams,
    sequence: Sequence,
    now: Stamp,
    trades: u64,
    updates: u64,
}

impl Venue {
    /// With the instruments BTCUSDT and ETHUSDT, at [`BEGIN`].
    fn new() -> Venue {
        Venue::with(&Options::default())
    }

    fn with(options: &Options) -> Venue {
        let mut venue = Venue {
            market: Market::new(options.history),
            streams: Streams::new(options),
            sequence: Sequence(0),
            now: Stamp(BEGIN),
            trades: 0,
            updates: 0,
        };
        venue.command(0, &[defined(1, "BTCUSDT"), defined(2, "ETHUSDT")]);
        venue
    }

    /// A command so many nanoseconds after the last one.
    fn command(&mut self, later: u64, events: &[Event]) {
        self.sequence = self.sequence.next();
        self.now = Stamp(self.now.0 + later);
        self.streams.advance(self.now, self.sequence, &self.market, &FeedView::default());
        for event in events {
            self.market.apply(event, self.now);
            self.streams.apply(event, self.now, self.sequence, &self.market);
        }
        self.streams.settle(self.now, self.sequence, &self.market);
    }

    /// A command at so many milliseconds after [`BEGIN`].
    fn at(&mut self, ms: u64, events: &[Event]) {
        self.command(BEGIN + ms * MS - self.now.0, events);
    }

    fn socket(&mut self, names: &[&str]) -> Client {
        self.client(names, TimeUnit::Millisecond, false)
    }

    fn client(&mut self, names: &[&str], unit: TimeUnit, is_combined: bool) -> Client {
        let outbox = Arc::new(Outbox::new(Options::default().outbox));
        let id = self.streams.connect(Arc::clone(&outbox), unit, is_combined);
        let client = Client { outbox, id };
        self.subscribe(&client, names);
        client
    }

    fn subscribe(&mut self, client: &Client, names: &[&str]) {
        let names: Vec<Name> = names.iter().map(|name| named(name)).collect();
        self.streams.subscribe(client.id, &names, &self.market).unwrap();
    }

    fn control(&mut self, client: &Client, text: &str) -> String {
        let control = parse_control(text).unwrap();
        self.streams.control(client.id, &control, &self.market)
    }

    fn book(&mut self, instrument: u32, side: Side, price: u64, quantity: u64) -> Event {
        self.updates += 1;
        Event::BookChanged(BookChanged {
            instrument: InstrumentId(instrument),
            update: UpdateId(self.updates),
            side,
            price: Price(price * SCALE),
            quantity: LevelQuantity::new(Amount(i128::from(quantity * SCALE))),
            orders: 1,
        })
    }

    fn trade(&mut self, instrument: u32, aggregate: u64, price: u64, quantity: u64) -> Event {
        self.trades += 1;
        Event::Trade(Trade {
            instrument: InstrumentId(instrument),
            trade: TradeId(self.trades),
            aggregate: AggregateTradeId(aggregate),
            price: Price(price * SCALE),
            quantity: Quantity(quantity * SCALE),
            quote: Amount(i128::from(price * quantity * SCALE)),
            maker_order: OrderId(1),
            taker_order: OrderId(2),
            taker_side: Side::Sell,
        })
    }
}

struct Client {
    outbox: Arc<Outbox>,
    id: ConnectionId,
}

impl Client {
    fn texts(&self) -> Vec<Utf8Bytes> {
        let mut messages = Vec::new();
        self.outbox.drain(&mut messages);
        messages
    }

    fn messages(&self) -> Vec<Value> {
        self.texts().iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    /// The only message that came.
    #[track_caller]
    fn one(&self) -> Value {
        let mut messages = self.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    #[track_caller]
    fn nothing(&self) {
        assert_eq!(self.messages(), Vec::<Value>::new());
    }
}

fn named(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn defined(id: u32, symbol: &str) -> Event {
    let text = |text: &str| Text::new(text).unwrap();
    let (base, quote) = symbol.split_at(3);
    let definition =
        InstrumentDefinition::open(Text::new(symbol).unwrap(), text(base), text(quote));
    Event::InstrumentDefined(Box::new(InstrumentDefined {
        instrument: InstrumentId(id),
        base: AssetId(2 * id),
        quote: AssetId(1),
        definition,
    }))
}

/// Numbers that look random and begin with a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}
