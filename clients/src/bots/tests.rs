//! The bots against a small venue that answers late and in its own time.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::{Amount, OrderKind, OrderStatus, Quantity, Side, notional};

use super::desk::{Balance, Desk, Intent, NewOrder};
use super::maker::Maker;
use super::market::tests::symbols;
use super::noise::Noise;
use super::taker::Taker;
use super::{BotOptions, LEVELS, Rates, Trader, run};
use crate::credentials::Credentials;
use crate::fake::FakeVenue;
use crate::random::Random;

/// A venue for one bot: it answers each request some steps later, fills and refuses at random.
struct Venue {
    random: Random,
    desk: Desk,
    /// Requests on their way.
    asked: VecDeque<(Intent, Option<u64>)>,
    /// Everything that was decided.
    log: Vec<Intent>,
}

fn venue(seed: u64) -> Venue {
    let mut desk = Desk::new(symbols());
    let plenty = Balance { free: Amount::parse("1000000000").unwrap(), locked: Amount::ZERO };
    for symbol in symbols() {
        desk.set_balance(&symbol.base, plenty);
        desk.set_balance(&symbol.quote, plenty);
    }
    Venue { random: Random::new(seed), desk, asked: VecDeque::new(), log: Vec::new() }
}

impl Venue {
    fn run(&mut self, trader: &mut impl Trader, turns: u64) {
        for _ in 0..turns {
            trader.turn();
            for _ in 0..5 {
                if let Some(intent) = trader.decide(&self.desk) {
                    self.ask(intent);
                }
            }
            while self.asked.len() as u64 > self.random.below(12) {
                self.answer();
            }
            self.fill();
            self.drift();
        }
    }

    fn ask(&mut self, intent: Intent) {
        if let Intent::Place(new) | Intent::Replace { new, .. } = &intent {
            self.check(new);
        }
        if let Intent::Amend { number, quantity } = &intent {
            let own = &self.desk.orders[number];
            assert!(*quantity < own.order.quantity && *quantity > own.filled);
            assert!(quantity.0.is_multiple_of(symbols()[own.order.instrument].step.0));
        }
        let number = self.desk.sent(&intent);
        self.asked.push_back((intent, number));
        self.log.push(intent);
    }

    /// The filters, and no order that could meet an own one.
    fn check(&self, new: &NewOrder) {
        let symbol = &self.desk.symbols[new.instrument];
        assert!(new.price.0.is_multiple_of(symbol.tick.0) && !new.price.is_zero(), "{new:?}");
        assert!(new.quantity.0.is_multiple_of(symbol.step.0), "{new:?}");
        assert!(notional(new.price, new.quantity) >= symbol.min_notional, "{new:?}");
        for (_, own) in self.desk.own(new.instrument, new.side.opposite()) {
            let is_met = match new.side {
                Side::Buy => new.price >= own.order.price,
                Side::Sell => new.price <= own.order.price,
            };
            assert!(!(is_met && own.order.can_rest()), "{new:?} meets {own:?}");
        }
    }

    fn answer(&mut self) {
        let Some((intent, new_number)) = self.asked.pop_front() else { return };
        let is_refused = self.random.chance(1, 10);
        if let Intent::Cancel { number } | Intent::Replace { number, .. } = intent {
            self.desk.order_gone(number);
        }
        if let Intent::Amend { number, quantity } = intent {
            self.desk.order_stands(number, (!is_refused).then_some(quantity));
        }
        let (Intent::Place(new) | Intent::Replace { new, .. }) = intent else { return };
        let Some(number) = new_number else { return };
        match (is_refused, new.can_rest()) {
            (true, _) => self.desk.order_gone(number),
            (false, true) => self.desk.order_is(number, OrderStatus::New, Quantity::ZERO),
            (false, false) => self.desk.order_is(number, OrderStatus::Filled, new.quantity),
        }
    }

    /// Some resting order is filled, whole or in part.
    fn fill(&mut self) {
        let drawn = self.random.below(self.desk.orders.len() as u64 * 2) as usize;
        let Some((&number, own)) = self.desk.orders.iter().nth(drawn) else { return };
        let step = self.desk.symbols[own.order.instrument].step;
        let filled = Quantity(own.filled.0 + step.0);
        let status = match filled < own.order.quantity && self.random.chance(1, 2) {
            true => OrderStatus::PartiallyFilled,
            false => OrderStatus::Filled,
        };
        self.desk.order_is(number, status, filled);
    }

    /// Balances and the best prices move.
    fn drift(&mut self) {
        let drawn = self.random.below(symbols().len() as u64) as usize;
        let symbol = symbols().swap_remove(drawn);
        let units = self.random.between(800_000_000, 1_200_000_000);
        let free = Amount(i128::from(units) * 100_000_000);
        self.desk.set_balance(&symbol.base, Balance { free, locked: Amount::ZERO });
        let bid = symbol.down_to_tick(symbol.reference_price);
        let spread = symbol.tick.0 * self.random.between(1, 30);
        self.desk.set_touch(&symbol.symbol, bid, protocol::Price(bid.0 + spread));
    }
}

fn trade(seed: u64, trader: &mut impl Trader) -> Vec<Intent> {
    let mut venue = venue(seed);
    venue.run(trader, 1_500);
    venue.log
}

#[test]
fn no_bot_crosses_itself_or_leaves_tick_step_and_min_notional() {
    for seed in 0..20 {
        println!("seed {seed}");
        let maker = trade(seed, &mut Maker::new(&symbols(), LEVELS, seed));
        let noise = trade(seed, &mut Noise::new(seed));
        let taker = trade(seed, &mut Taker::new(seed));
        let lengths = [maker.len(), noise.len(), taker.len()];
        assert!(lengths.iter().all(|&length| length > 500), "{lengths:?}");
    }
}

#[test]
fn one_seed_gives_one_sequence_of_decisions() {
    let decisions = |seed| trade(9, &mut Maker::new(&symbols(), LEVELS, seed));
    assert_eq!(decisions(4), decisions(4));
    assert_ne!(decisions(4), decisions(5));
    assert_eq!(trade(9, &mut Noise::new(4)), trade(9, &mut Noise::new(4)));
    assert_eq!(trade(9, &mut Taker::new(4)), trade(9, &mut Taker::new(4)));
}

#[test]
fn the_maker_uses_every_kind_of_request_and_keeps_its_ladder() {
    let mut venue = venue(3);
    venue.run(&mut Maker::new(&symbols(), LEVELS, 3), 1_500);
    let count = |is: fn(&Intent) -> bool| venue.log.iter().filter(|intent| is(intent)).count();
    assert!(count(|intent| matches!(intent, Intent::Place(_))) > 100);
    assert!(count(|intent| matches!(intent, Intent::Cancel { .. })) > 20);
    assert!(count(|intent| matches!(intent, Intent::Replace { .. })) > 20);
    assert!(count(|intent| matches!(intent, Intent::Amend { .. })) > 5);
    for side in [Side::Buy, Side::Sell] {
        let orders = venue.desk.own(0, side).count() as u64;
        assert!((LEVELS / 2..=LEVELS * 2).contains(&orders), "{side} {orders}");
    }
}

#[test]
fn an_inventory_far_from_home_is_leaned_against() {
    let mut venue = venue(1);
    let base = symbols().swap_remove(0).base;
    let twice = Balance { free: Amount::parse("2000000000").unwrap(), locked: Amount::ZERO };
    venue.desk.set_balance(&base, twice);
    assert_eq!(venue.desk.drift(0), 1_000);
    let mut random = Random::new(1);
    let buys = (0..1_000).filter(|_| venue.desk.lean(0, &mut random) == Side::Buy).count();
    assert!(buys < 200, "{buys}");
    let mut maker = Maker::new(&symbols(), LEVELS, 1);
    for _ in 0..200 {
        if let Some(intent) = maker.decide(&venue.desk) {
            venue.ask(intent);
        }
    }
    assert_eq!(venue.desk.own(0, Side::Buy).count(), 0);
    assert!(venue.desk.own(0, Side::Sell).count() > 0);
}

#[test]
fn without_funds_nothing_is_placed() {
    let mut desk = Desk::new(symbols());
    let touch = protocol::Price::parse("61234.56").unwrap();
    desk.set_touch("BTCUSDT", touch, protocol::Price(touch.0 + 1_000_000));
    for _ in 0..100 {
        assert_eq!(Maker::new(&symbols(), LEVELS, 1).decide(&desk), None);
        assert_eq!(Noise::new(1).decide(&desk), None);
        assert_eq!(Taker::new(1).decide(&desk), None);
    }
}

#[test]
fn a_taker_sends_market_and_immediate_limit_orders() {
    let log = trade(2, &mut Taker::new(2));
    let kinds = log.iter().filter_map(|intent| match intent {
        Intent::Place(new) => Some(new.kind),
        _ => None,
    });
    let (market, limit): (Vec<_>, Vec<_>) = kinds.partition(|&kind| kind == OrderKind::Market);
    assert!(market.len() > 100 && limit.len() > 100);
}

fn options(ws: &str) -> BotOptions {
    let credentials = |key| Credentials::new(key, "secret");
    BotOptions {
        ws: ws.to_owned(),
        symbols: vec![symbols().swap_remove(0)],
        maker: credentials("maker"),
        noise: credentials("noise"),
        taker: credentials("taker"),
        seed: 1,
        rates: Rates::default(),
        levels: LEVELS,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Lets the bots work until something is so; the time-out of the tests' runner ends it else.
async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn the_bots_log_on_clean_up_trade_and_stop() {
    let venue = FakeVenue::start();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let started = Instant::now();
    let stopping = async {
        // The noise trader and the taker begin with the best prices.
        until(|| venue.asked("order.place") > 100 && venue.asked("order.cancel") > 0).await;
        stop.send(true).unwrap();
        Instant::now()
    };
    let bots = run(options(&venue.ws), stopped, |line| panic!("{line}"));
    let (report, stop_time) = runtime().block_on(async { tokio::join!(bots, stopping) });
    assert!(stop_time.elapsed() < Duration::from_secs(1));
    for tally in [&report.maker, &report.noise, &report.taker] {
        assert_eq!(tally.connections, 1);
        assert!(tally.requests > 0 && tally.refused.is_empty(), "{report:?}");
        assert!(tally.accepted > tally.requests / 2, "{report:?}");
    }
    let requests_max = 60 * started.elapsed().as_millis() as u64 / 1_000 + 6;
    assert!(report.maker.requests <= requests_max, "{report:?}");
    assert_eq!(venue.asked("session.logon"), 3);
    assert_eq!(venue.asked("openOrders.cancelAll"), 3);
    assert_eq!(venue.asked("userDataStream.subscribe"), 3);
}

#[test]
fn a_connection_that_is_lost_is_made_again() {
    let venue = FakeVenue::closes_after(5);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let lines = Cell::new(0);
    let stopping = async {
        until(|| venue.asked("session.logon") > 6).await;
        // A sender that is gone stops them too.
        drop(stop);
    };
    let bots = run(options(&venue.ws), stopped, |_| lines.set(lines.get() + 1));
    let (report, ()) = runtime().block_on(async { tokio::join!(bots, stopping) });
    let connections =
        report.maker.connections + report.noise.connections + report.taker.connections;
    assert!(connections >= 5, "{report:?}");
    assert!(lines.get() >= connections - 3);
}

#[test]
fn a_server_that_is_away_is_told_once_per_bot() {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (lines, started) = (Cell::new(0), Instant::now());
    let stopping = async {
        // Time for a second attempt.
        until(|| started.elapsed() > Duration::from_millis(500)).await;
        stop.send(true).unwrap();
    };
    let bots = run(options("ws://127.0.0.1:1"), stopped, |_| lines.set(lines.get() + 1));
    runtime().block_on(async { tokio::join!(bots, stopping) });
    assert_eq!(lines.get(), 3);
}
