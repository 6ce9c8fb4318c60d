//! The views against a naive recount of everything that happened.

use crate::*;
use protocol::command::TradingRules;
use protocol::event::*;
use protocol::instrument::{AssetName, Symbol};
use protocol::*;
use std::collections::BTreeMap;

mod feed;

/// 2023-01-01T00:00Z.
const START: u64 = 1_672_531_200 * SECOND_NS;
const DAY_NS: u64 = 24 * 60 * MINUTE_NS;
const OFFSETS: [i32; 7] = [0, 480, 345, -60, -720, 840, 30];
const ONE: InstrumentId = InstrumentId(1);

/// Xorshift; the seed is not 0.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[derive(Clone, Copy)]
struct Step {
    stamp: Stamp,
    trade: Trade,
}

fn defined(id: u32, symbol: &str) -> Event {
    let (base, quote) = (AssetName::new("BTC").unwrap(), AssetName::new("USDT").unwrap());
    let definition = InstrumentDefinition::open(Symbol::new(symbol).unwrap(), base, quote);
    let instrument = InstrumentId(id);
    let record = InstrumentDefined { instrument, base: AssetId(1), quote: AssetId(2), definition };
    record.into()
}

fn market(history: History) -> Market {
    let mut market = Market::new(history);
    for (id, name) in [(1, "BTC"), (2, "USDT")] {
        let name = AssetName::new(name).unwrap();
        market.apply(&AssetDefined { asset: AssetId(id), name }.into(), Stamp(START));
    }
    market.apply(&defined(1, "BTCUSDT"), Stamp(START));
    market
}

/// Trades with gaps from none to `gap_ns_max`, most of them short.
fn random_trades(random: &mut Random, count: u64, gap_ns_max: u64) -> Vec<Step> {
    let (mut now, mut aggregate) = (START + random.below(40 * DAY_NS), 0);
    let mut steps: Vec<Step> = Vec::new();
    for trade in 1..=count {
        let gap = match random.below(8) {
            0..4 => 0,
            4..6 => random.below(2 * SECOND_NS),
            6 => random.below(10 * MINUTE_NS),
            _ => random.below(gap_ns_max),
        };
        now += gap;
        let (price, quantity) =
            (Price(1 + random.below(50) * SCALE), Quantity(1 + random.below(SCALE)));
        aggregate += u64::from(gap > 0 || aggregate == 0);
        let same = steps.last().filter(|_| gap == 0).map(|last| last.trade);
        let trade = Trade {
            instrument: ONE,
            trade: TradeId(trade),
            aggregate: AggregateTradeId(aggregate),
            price: same.map_or(price, |same| same.price),
            quantity,
            quote: notional(price, quantity),
            maker_order: OrderId(random.below(1_000)),
            taker_order: OrderId(random.below(1_000)),
            taker_side: same.map_or(Side::ALL[random.below(2) as usize], |same| same.taker_side),
        };
        steps.push(Step { stamp: Stamp(now), trade });
    }
    steps
}

fn apply_all(market: &mut Market, steps: &[Step]) {
    for step in steps {
        market.apply(&step.trade.into(), step.stamp);
    }
}

fn views(market: &Market) -> &Instrument {
    market.instrument(ONE).unwrap()
}

/// Recounts one candle from all trades; none if there was no trade up to its end.
fn recount(steps: &[Step], open_stamp: Stamp, next_open: Stamp) -> Option<Candle> {
    let before = steps.iter().rev().find(|step| step.stamp < open_stamp);
    let inside = steps.iter().filter(|step| open_stamp <= step.stamp && step.stamp < next_open);
    let trades: Vec<Trade> = inside.map(|step| step.trade).collect();
    let prices = || trades.iter().map(|trade| trade.price);
    let previous = before.map(|step| step.trade.price);
    let buys = || trades.iter().filter(|trade| trade.taker_side == Side::Buy);
    let volume = |trade: &Trade| i128::from(trade.quantity.0);
    Some(Candle {
        open_stamp,
        close_stamp: Stamp(next_open.0 - 1),
        open: prices().next().or(previous)?,
        high: prices().max().or(previous)?,
        low: prices().min().or(previous)?,
        close: prices().next_back().or(previous)?,
        volume: Amount(trades.iter().map(volume).sum()),
        quote: Amount(trades.iter().map(|trade| trade.quote.0).sum()),
        taker_buy_volume: Amount(buys().map(volume).sum()),
        taker_buy_quote: Amount(buys().map(|trade| trade.quote.0).sum()),
        trades: trades.len() as u64,
        first_trade: trades.first().map_or(TradeId::NONE, |trade| trade.trade),
        last_trade: trades.last().map_or(TradeId::NONE, |trade| trade.trade),
    })
}

#[derive(Debug, Clone, Copy)]
struct Query {
    interval: Interval,
    start: Option<Stamp>,
    end: Option<Stamp>,
    limit: usize,
    now: Stamp,
    offset: i32,
}

impl Query {
    fn random(random: &mut Random, steps: &[Step], interval: Interval, offset: i32) -> Query {
        let mut near = || {
            let step = steps[random.below(steps.len() as u64) as usize];
            let spread = 3 * interval.length_ns().unwrap_or(31 * DAY_NS);
            Stamp(step.stamp.0 + random.below(2 * spread) - spread)
        };
        let (start, end, now) = (near(), near(), near());
        let now = now.max(steps[steps.len() - 1].stamp);
        Query {
            interval,
            start: Some(start).filter(|_| random.below(2) == 0),
            end: Some(end).filter(|_| random.below(2) == 0),
            limit: random.below(12) as usize,
            now,
            offset,
        }
    }

    fn ask(&self, candles: &Candles) -> Vec<Candle> {
        let Query { interval, start, end, limit, now, offset } = *self;
        candles.candles(interval, start, end, limit, now, offset)
    }

    fn recount(&self, steps: &[Step]) -> Vec<Candle> {
        let last = self.end.unwrap_or(self.now).min(self.now);
        let one = |open: Stamp| recount(steps, open, self.interval.next_open(open, self.offset));
        let mut found = Vec::new();
        if let Some(start) = self.start {
            let mut open = self.interval.open_time(start.max(steps[0].stamp), self.offset);
            while open <= last && found.len() < self.limit {
                found.extend(one(open).filter(|_| open >= start));
                open = self.interval.next_open(open, self.offset);
            }
            return found;
        }
        let mut open = self.interval.open_time(last, self.offset);
        while found.len() < self.limit {
            let Some(candle) = one(open) else { break };
            found.push(candle);
            open = self.interval.open_time(Stamp(open.0 - 1), self.offset);
        }
        found.reverse();
        found
    }
}

#[test]
fn candles_of_any_interval_and_zone_equal_a_recount_of_all_trades() {
    for seed in 1..=12 {
        let mut random = Random(seed);
        let gap = [MINUTE_NS, 30 * MINUTE_NS, 3 * DAY_NS][seed as usize % 3];
        let steps = random_trades(&mut random, 300, gap);
        let mut market = market(History::default());
        apply_all(&mut market, &steps);
        for (interval, offset) in Interval::ALL.iter().flat_map(|i| OFFSETS.map(|o| (*i, o))) {
            for _ in 0..3 {
                let query = Query::random(&mut random, &steps, interval, offset);
                let found = query.ask(&views(&market).candles);
                assert_eq!(found, query.recount(&steps), "seed {seed} {query:?}");
            }
        }
    }
}

#[test]
fn a_larger_candle_is_the_sum_of_its_minutes() {
    for seed in 1..=4 {
        let steps = random_trades(&mut Random(seed), 400, 50 * MINUTE_NS);
        let mut market = market(History::default());
        apply_all(&mut market, &steps);
        let (candles, now) = (&views(&market).candles, steps[399].stamp);
        for interval in &Interval::ALL[2..13] {
            for large in candles.candles(*interval, None, None, 50, now, 0) {
                let (start, end) = (Some(large.open_stamp), Some(large.close_stamp));
                let small = candles.candles(Interval::Minutes1, start, end, 1_440, now, 0);
                let volume: i128 = small.iter().map(|candle| candle.volume.0).sum();
                assert_eq!(large.volume, Amount(volume), "seed {seed} {interval}");
                assert_eq!(large.trades, small.iter().map(|candle| candle.trades).sum::<u64>());
                assert_eq!(Some(large.close), small.last().map(|candle| candle.close));
                let traded = || small.iter().filter(|candle| candle.trades > 0);
                let high = traded().map(|candle| candle.high).max();
                assert_eq!(Some(large.high), high.or(Some(large.open)), "seed {seed}");
            }
        }
    }
}

#[test]
fn the_current_candle_repeats_the_close_until_there_is_a_trade() {
    let mut market = market(History::default());
    let now = Stamp(START + 90 * SECOND_NS);
    assert_eq!(views(&market).candles.current(Interval::Minutes1, now, 0), None);
    let steps = random_trades(&mut Random(9), 1, 1);
    apply_all(&mut market, &steps);
    let later = Stamp(steps[0].stamp.0 + 5 * MINUTE_NS);
    let candle = views(&market).candles.current(Interval::Minutes1, later, 0).unwrap();
    assert_eq!((candle.close, candle.trades), (steps[0].trade.price, 0));
    assert!(candle.open_stamp <= later && later <= candle.close_stamp);
    let candles = &views(&market).candles;
    assert_eq!(candles.candles(Interval::Minutes1, None, None, 500, later, 0).len(), 6);
}

#[test]
fn histories_keep_their_bounds_and_their_newest() {
    let history = History { trades: 7, aggregate_trades: 3, candles: 5 };
    for seed in 1..=6 {
        let mut random = Random(seed);
        let steps = random_trades(&mut random, 300, 2 * DAY_NS);
        let (mut small, mut large) = (market(history), market(History::default()));
        apply_all(&mut small, &steps);
        apply_all(&mut large, &steps);
        let trades = &views(&small).trades;
        assert_eq!((trades.len(), trades.recent_aggregates(usize::MAX).count()), (7, 3));
        assert!(trades.recent(7).eq(views(&large).trades.recent(7)));
        for (interval, offset) in Interval::ALL.iter().flat_map(|i| OFFSETS.map(|o| (*i, o))) {
            let query = Query::random(&mut random, &steps, interval, offset);
            let query = Query { start: None, end: None, limit: 300, ..query };
            let found = query.ask(&views(&small).candles);
            let whole = query.ask(&views(&large).candles);
            assert!(whole.ends_with(&found), "seed {seed} {query:?}");
            let kept = query.interval != Interval::Minutes1 && query.interval != Interval::Hours1;
            let traded = found.iter().filter(|candle| candle.trades > 0).count();
            assert!(!kept || offset != 0 || traded <= 6, "seed {seed} {query:?}");
        }
    }
}

/// Statistics of the trades since `open`, one by one.
fn check_ticker(ticker: &Ticker, steps: &[Step], open: Stamp, context: &str) {
    let before = steps.iter().rev().find(|step| step.stamp < open);
    let previous = before.map_or(Price::ZERO, |step| step.trade.price);
    assert_eq!((ticker.open_stamp, ticker.previous_close), (open, previous), "{context}");
    let Some(candle) = recount(steps, open, Stamp::NEVER) else {
        assert_eq!((ticker.trades, ticker.last), (0, Price::ZERO), "{context}");
        return;
    };
    let prices = [ticker.open, ticker.high, ticker.low, ticker.last];
    assert_eq!(prices, [candle.open, candle.high, candle.low, candle.close], "{context}");
    let sums = (ticker.volume, ticker.quote, ticker.trades);
    assert_eq!(sums, (candle.volume, candle.quote, candle.trades), "{context}");
    let ids = (ticker.first_trade, ticker.last_trade);
    assert_eq!(ids, (candle.first_trade, candle.last_trade), "{context}");
    assert_eq!(ticker.change.0, i128::from(candle.close.0) - i128::from(candle.open.0));
    let last = steps.last().filter(|_| candle.trades > 0);
    let last_quantity = last.map_or(Quantity::ZERO, |step| step.trade.quantity);
    assert_eq!(ticker.last_quantity, last_quantity, "{context}");
}

#[test]
fn tickers_equal_a_recount_of_their_window() {
    for seed in 1..=20 {
        let mut random = Random(seed);
        let steps = random_trades(&mut random, 200, 12 * 60 * MINUTE_NS);
        let mut market = market(History { trades: 1, aggregate_trades: 1, candles: 1 });
        for count in 1..=steps.len() {
            apply_all(&mut market, &steps[count - 1..count]);
            let (steps, last) = (&steps[..count], steps[count - 1].stamp.0);
            let now = Stamp(last + random.below(DAY_NS) * random.below(2));
            for minutes in [1, 59, 60, 600, 1_440, 10_080] {
                let open = Stamp((now.0 - minutes * MINUTE_NS) / MINUTE_NS * MINUTE_NS);
                let ticker = views(&market).rolling(minutes * MINUTE_NS, now);
                assert_eq!(ticker.close_stamp, now);
                check_ticker(&ticker, steps, open, &format!("seed {seed}, {minutes} minutes"));
            }
            for offset in OFFSETS {
                let ticker = views(&market).trading_day(now, offset);
                let open = Interval::Days1.open_time(now, offset);
                assert_eq!(ticker.close_stamp.0, open.0 + DAY_NS - 1);
                check_ticker(&ticker, steps, open, &format!("seed {seed}, day at {offset}"));
            }
        }
    }
}

/// `openTime` and `closeTime` of the example in the venue's documents.
#[test]
fn a_rolling_window_begins_on_the_minute_before() {
    let market = market(History::default());
    let now = Stamp(1_641_287_867_099 * MILLISECOND_NS);
    let ticker = views(&market).rolling(DAY_NS, now);
    assert_eq!(ticker.open_stamp, Stamp(1_641_201_420_000 * MILLISECOND_NS));
    assert_eq!((ticker.close_stamp, ticker.last, ticker.trades), (now, Price::ZERO, 0));
}

#[test]
fn the_average_price_is_that_of_the_last_minutes() {
    let mut market = market(History::default());
    let reference = |price| {
        let Event::InstrumentDefined(mut record) = defined(1, "BTCUSDT") else { unreachable!() };
        record.definition.reference_price = Price(price);
        record.definition.filters.present = instrument::filter::NOTIONAL;
        record.definition.filters.notional.average_minutes = 2;
        Event::from(*record)
    };
    market.apply(&reference(42), Stamp(START));
    let average = views(&market).average_price(Stamp(START));
    assert_eq!(average, AveragePrice { minutes: 2, price: Price(42), close_stamp: Stamp(0) });
    let steps = random_trades(&mut Random(5), 300, 3 * MINUTE_NS);
    for (at, step) in steps.iter().enumerate() {
        market.apply(&step.trade.into(), step.stamp);
        for later in 0..4 {
            let now = Stamp(step.stamp.0 + later * MINUTE_NS);
            let counted =
                || steps[..=at].iter().filter(|step| step.stamp.minute() + 1 >= now.minute());
            let quote: i128 = counted().map(|step| step.trade.quote.0).sum();
            let volume: i128 = counted().map(|step| i128::from(step.trade.quantity.0)).sum();
            let expected = match volume {
                0 => step.trade.price,
                _ => Price((quote * i128::from(SCALE) / volume) as u64),
            };
            let average = views(&market).average_price(now);
            assert_eq!((average.price, average.close_stamp), (expected, step.stamp), "trade {at}");
        }
    }
}

#[test]
fn trades_are_found_by_id_and_by_time() {
    let steps = random_trades(&mut Random(3), 200, MINUTE_NS);
    let mut market = market(History { trades: 50, ..History::default() });
    apply_all(&mut market, &steps);
    let trades = &views(&market).trades;
    let ids = |from: u64, limit| {
        trades.from_id(TradeId(from), limit).map(|row| row.id.0).collect::<Vec<_>>()
    };
    assert_eq!(ids(170, 3), [170, 171, 172]);
    assert_eq!(ids(1, 2), [151, 152]);
    assert_eq!(ids(199, 9), [199, 200]);
    assert!(ids(201, 9).is_empty());
    assert_eq!(trades.recent(2).map(|row| row.id.0).collect::<Vec<_>>(), [199, 200]);
    assert_eq!(
        (trades.first().unwrap().id, trades.last().unwrap().id),
        (TradeId(151), TradeId(200))
    );
}

#[test]
fn aggregates_are_the_runs_of_their_trades() {
    for seed in 1..=10 {
        let mut random = Random(seed);
        let steps = random_trades(&mut random, 200, MINUTE_NS);
        let mut market = market(History::default());
        apply_all(&mut market, &steps);
        let trades = &views(&market).trades;
        let all: Vec<AggregateTrade> = trades.recent_aggregates(usize::MAX).copied().collect();
        for row in &all {
            let run: Vec<&Step> =
                steps.iter().filter(|step| step.trade.aggregate == row.id).collect();
            let quantity: i128 = run.iter().map(|step| i128::from(step.trade.quantity.0)).sum();
            assert_eq!((row.first_trade, row.quantity), (run[0].trade.trade, Amount(quantity)));
            assert_eq!(row.last_trade, run[run.len() - 1].trade.trade, "seed {seed}");
        }
        let (one, other) = (steps[random.below(200) as usize], steps[random.below(200) as usize]);
        let (start, end) = (one.stamp.min(other.stamp), one.stamp.max(other.stamp));
        let inside = |row: &&AggregateTrade| start <= row.stamp && row.stamp <= end;
        let found = trades.aggregates_between(Some(start), Some(end), 4);
        assert!(found.eq(all.iter().filter(inside).take(4)), "seed {seed}");
        let until: Vec<_> = all.iter().filter(|row| row.stamp <= end).collect();
        let found = trades.aggregates_between(None, Some(end), 4);
        assert!(found.eq(until[until.len().saturating_sub(4)..].iter().copied()), "seed {seed}");
        assert_eq!(trades.aggregates_between(Some(end), Some(Stamp(0)), 4).count(), 0);
        assert_eq!(trades.aggregates_from_id(all[3].id, 2).next(), Some(&all[3]));
    }
}

type Book = BTreeMap<Price, (Amount, u32)>;

fn random_change(random: &mut Random, update: u64) -> BookChanged {
    let quantity = random.below(3) * (1 + random.below(1_000));
    BookChanged {
        instrument: ONE,
        update: UpdateId(update),
        side: Side::ALL[random.below(2) as usize],
        price: Price(1 + random.below(300)),
        quantity: LevelQuantity::new(Amount(i128::from(quantity))),
        orders: quantity as u32,
    }
}

fn rows(depth: &Depth, side: Side) -> Vec<(Price, Amount)> {
    depth.levels(side).map(|level| (level.price, level.quantity)).collect()
}

#[test]
fn depth_equals_a_map_of_the_last_changes() {
    for seed in 1..=10 {
        let mut random = Random(seed);
        let mut market = market(History::default());
        let mut books = [Book::new(), Book::new()];
        for update in 1..=2_000 {
            let change = random_change(&mut random, update);
            market.apply(&change.into(), Stamp(START));
            books[change.side as usize]
                .insert(change.price, (change.quantity.into(), change.orders));
        }
        let [bids, asks] = books.map(|mut book| {
            book.retain(|_, (quantity, _)| !quantity.is_zero());
            book.into_iter().map(|(price, (quantity, _))| (price, quantity)).collect::<Vec<_>>()
        });
        let depth = &views(&market).depth;
        assert!(rows(depth, Side::Buy).iter().eq(bids.iter().rev()), "seed {seed}");
        assert_eq!(rows(depth, Side::Sell), asks, "seed {seed}");
        assert_eq!(depth.last_update(), UpdateId(2_000));
        for side in [Side::Buy, Side::Sell] {
            assert_eq!(depth.best(side), depth.levels(side).next());
            for level in depth.levels(side) {
                assert_eq!(depth.level(side, level.price), Some(level));
            }
        }
    }
}

#[test]
fn a_snapshot_and_the_changes_since_make_the_next_snapshot() {
    for seed in 1..=20 {
        let mut random = Random(seed);
        let (mut market, mut diff) = (market(History::default()), DepthDiff::new());
        let mut copy = [BTreeMap::new(), BTreeMap::new()];
        let mut update = 0;
        for _ in 0..30 {
            let count = random.below(3_000);
            for _ in 0..count {
                update += 1;
                let change = random_change(&mut random, update);
                market.apply(&change.into(), Stamp(START));
                diff.add(&change);
            }
            assert_eq!(diff.is_empty(), count == 0);
            if count > 0 {
                let ids = (diff.first_update().0, diff.last_update().0);
                assert_eq!(ids, (update + 1 - count, update), "seed {seed}");
            }
            assert!(diff.bids().is_sorted_by(|one, next| one.0 > next.0), "seed {seed}");
            assert!(diff.asks().is_sorted_by(|one, next| one.0 < next.0), "seed {seed}");
            copy[0].extend(diff.bids());
            copy[1].extend(diff.asks());
            diff.clear();
            copy.iter_mut().for_each(|side| side.retain(|_, quantity| !quantity.is_zero()));
            let depth = &views(&market).depth;
            let bids: Vec<_> = copy[0].iter().rev().map(|(p, q)| (*p, *q)).collect();
            let asks: Vec<_> = copy[1].iter().map(|(p, q)| (*p, *q)).collect();
            assert_eq!(rows(depth, Side::Buy), bids, "seed {seed}");
            assert_eq!(rows(depth, Side::Sell), asks, "seed {seed}");
        }
    }
}

#[test]
fn definitions_are_found_by_id_and_text_and_kept_current() {
    let mut market = market(History::default());
    market.apply(&defined(3, "LEFTOUT"), Stamp(START));
    assert!(market.by_symbol("LEFTOUT").is_none());
    market.apply(&defined(2, "ETHUSDT"), Stamp(START));
    let status = InstrumentStatus::Halt;
    market.apply(&InstrumentStatusSet { instrument: ONE, status }.into(), Stamp(START));
    assert_eq!(views(&market).definition.status, status);
    assert_eq!(market.by_symbol("ETHUSDT").unwrap().id, InstrumentId(2));
    assert!(market.by_symbol("ethusdt").is_none());
    assert_eq!(
        market.instruments().map(Instrument::symbol).collect::<Vec<_>>(),
        ["BTCUSDT", "ETHUSDT"]
    );
    assert_eq!(market.assets().count(), 2);
    for id in [0, 3, u32::MAX] {
        assert!(market.instrument(InstrumentId(id)).is_none());
        assert!(market.asset(AssetId(id)).is_none());
        let before = market.clone();
        let change = random_change(&mut Random(1), 1);
        let change = BookChanged { instrument: InstrumentId(id), ..change };
        market.apply(&change.into(), Stamp(START));
        assert_eq!(market, before);
    }
    market.apply(&defined(1, "BTCUSDT"), Stamp(START));
    assert_eq!(views(&market).definition.status, InstrumentStatus::Trading);
}

#[test]
fn a_stamp_that_runs_back_counts_as_the_one_before() {
    let steps = random_trades(&mut Random(8), 2, DAY_NS);
    let mut market = market(History::default());
    market.apply(&steps[0].trade.into(), Stamp(START));
    market.apply(&steps[1].trade.into(), Stamp(5));
    assert_eq!(views(&market).last_trade().unwrap().stamp, Stamp(START));
    let candle = views(&market).candles.current(Interval::Seconds1, Stamp(0), 0).unwrap();
    assert_eq!((candle.trades, candle.open_stamp), (2, Stamp(START)));
}

fn busy_market(random: &mut Random, history: History) -> (Market, Vec<Step>) {
    let mut market = market(history);
    market.apply(&defined(2, "ETHUSDT"), Stamp(START));
    let steps = random_trades(random, 240, DAY_NS);
    for update in 1..=300 {
        market.apply(&random_change(random, update).into(), Stamp(START));
    }
    let rules = TradingRules {
        bucket_width_ms: 3_600_000,
        bucket_count: 40,
        volatility_band: 7,
        ..TradingRules::default()
    };
    market.apply(&TradingRulesSet { instrument: ONE, rules }.into(), Stamp(START));
    let status = InstrumentStatus::OpeningAuction;
    market.apply(&InstrumentStatusSet { instrument: ONE, status }.into(), Stamp(START));
    let (price, quantity) = (Price(SCALE), Amount(7));
    market.apply(&AuctionUncrossed { instrument: ONE, price, quantity }.into(), Stamp(START));
    (market, steps)
}

#[test]
fn saved_views_go_on_as_if_nothing_had_been() {
    let small = History { trades: 30, aggregate_trades: 9, candles: 4 };
    for (seed, history) in (1..=10).flat_map(|seed| [(seed, small), (seed, History::default())]) {
        let mut random = Random(seed);
        let (mut market, steps) = busy_market(&mut random, history);
        let cut = random.below(240) as usize;
        apply_all(&mut market, &steps[..cut]);
        let mut loaded = Market::load(&market.save(), history).unwrap();
        assert_eq!(loaded, market, "seed {seed}");
        apply_all(&mut market, &steps[cut..]);
        apply_all(&mut loaded, &steps[cut..]);
        assert_eq!(loaded, market, "seed {seed}");
        assert_eq!(loaded.save(), market.save(), "seed {seed}");
    }
}

#[test]
fn a_shorter_history_keeps_the_newest_of_what_was_saved() {
    let small = History { trades: 30, aggregate_trades: 9, candles: 4 };
    let (mut large, steps) = busy_market(&mut Random(7), History::default());
    let (mut short, _) = busy_market(&mut Random(7), small);
    apply_all(&mut large, &steps);
    apply_all(&mut short, &steps);
    assert_eq!(Market::load(&large.save(), small), Ok(short));
}

/// Reads everything once; what it says does not matter, that it comes back does.
fn read_all(market: &Market, random: &mut Random) {
    for instrument in market.instruments() {
        let now = Stamp(random.next());
        for (interval, offset) in Interval::ALL.iter().flat_map(|i| OFFSETS.map(|o| (*i, o))) {
            let start = Some(Stamp(random.next())).filter(|stamp| stamp.0 % 2 == 0);
            let _ = instrument.candles.candles(interval, start, None, 9, now, offset);
            let _ = instrument.candles.current(interval, now, offset);
        }
        let _ = (instrument.rolling(DAY_NS, now), instrument.trading_day(now, 345));
        let _ = (instrument.reference_price(now), instrument.auction);
        let _ = (instrument.average_price(now), instrument.trades.from_id(TradeId(7), 9).count());
        let _ = instrument.trades.aggregates_between(Some(now), Some(Stamp(START)), 9).count();
    }
}

#[test]
fn damaged_bytes_are_refused_or_read_but_stop_nothing() {
    let mut random = Random(77);
    let history = History { trades: 4, aggregate_trades: 4, candles: 2 };
    let (mut market, steps) = busy_market(&mut random, history);
    apply_all(&mut market, &steps);
    let bytes = market.save();
    for length in (0..bytes.len()).step_by(7).chain(bytes.len() - 64..bytes.len()) {
        assert!(Market::load(&bytes[..length], history).is_err(), "length {length}");
    }
    for case in 0..3_000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(damaged.len() as u64) as usize;
            damaged[at] = random.next() as u8;
        }
        if let Ok(mut loaded) = Market::load(&damaged, history) {
            if case % 10 == 0 {
                read_all(&loaded, &mut random);
            }
            apply_all(&mut loaded, &steps[230..]);
        }
    }
    let mut other = bytes;
    other[0] = 9;
    let expected = Err(LoadError::UnknownFormat { format: Some(9) });
    assert_eq!(Market::load(&other, history), expected);
    assert_eq!(Market::load(&[1], history), Err(LoadError::UnknownFormat { format: None }));
}

#[test]
fn an_auction_collects_until_it_is_uncrossed() {
    let mut market = market(History::default());
    let mut tell = |event: Event, ns: u64| {
        market.apply(&event, Stamp(START + ns));
        market.instrument(ONE).unwrap().auction
    };
    let status = |status| InstrumentStatusSet { instrument: ONE, status }.into();
    assert_eq!(tell(status(InstrumentStatus::Halt), 0), None);
    let begun = tell(status(InstrumentStatus::OpeningAuction), 1).unwrap();
    assert!(begun.is_collecting && begun.price.is_zero());
    let (price, quantity, surplus, reference) = (Price(5), Amount(6), Amount(7), Price(8));
    let (instrument, surplus_side) = (ONE, Side::Sell);
    let told = IndicativeChanged { instrument, price, quantity, surplus_side, surplus, reference };
    let told = tell(told.into(), 2);
    // A halt between does not end it, and it is not begun anew.
    assert_eq!(tell(status(InstrumentStatus::Halt), 3), told);
    assert_eq!(tell(status(InstrumentStatus::ClosingAuction), 4), told);
    let quantity = Amount(9);
    let ended = tell(AuctionUncrossed { instrument, price, quantity }.into(), 5).unwrap();
    assert!(!ended.is_collecting);
    assert_eq!((ended.price, ended.quantity, ended.surplus), (price, quantity, surplus));
    assert_eq!(ended.stamp, Stamp(START + 5));
}
