//! Snapshots of market data: what is loaded is saved the same, answers every question, and takes
//! the next events.

use std::sync::OnceLock;

use app::market::{RandomLog, Shape, Slots};
use engine::Engine;
use marketdata::{History, Interval, Market, Trades};
use protocol::{Event, InstrumentId, Sequence, Sequenced, Side, Stamp};

use crate::Target;
use crate::draw::Draw;
use crate::edit::damage_in_place;
use crate::feedback::{note, rule};

pub const TARGET: Target =
    Target { name: "market", run: market, corpus, words: &[], length_max: 16 };

const STEPS: u64 = 3_000;
const HISTORY: History = History { trades: 12, aggregate_trades: 9, candles: 5 };

/// A market that has seen everything, as a snapshot; and what happens after it.
struct Before {
    snapshot: Vec<u8>,
    after: Vec<(Event, Stamp)>,
}

fn before() -> &'static Before {
    static BEFORE: OnceLock<Before> = OnceLock::new();
    BEFORE.get_or_init(|| {
        let shape = Shape { instruments: 2, accounts: 8, open_orders: 60, ..Shape::default() };
        let mut log = RandomLog::new(9, shape);
        let (mut slots, mut engine) = (Slots::new(), Engine::new());
        let (mut market, mut after) = (Market::new(HISTORY), Vec::new());
        for sequence in 1..=STEPS {
            let (stamp, command) = slots.place(&log.next());
            let mut happened: Vec<Event> = Vec::new();
            let sequence = Sequence(sequence);
            engine.apply(&Sequenced { sequence, stamp, command: &command }, &mut happened);
            for event in happened {
                log.observe(&event);
                match sequence.0 * 10 < STEPS * 9 {
                    true => market.apply(&event, stamp),
                    false => after.push((event, stamp)),
                }
            }
        }
        Before { snapshot: market.save(), after }
    })
}

/// Few bytes say which damage is done to the snapshot.
fn corpus() -> Vec<Vec<u8>> {
    vec![vec![], vec![1, 9, 9, 1, 1], vec![200, 3, 40, 3, 7, 9], vec![77, 1, 30, 4, 2, 2, 9, 9, 2]]
}

pub fn market(data: &[u8]) {
    let mut draw = Draw::new(data);
    let mut bytes = before().snapshot.clone();
    while !draw.is_over() {
        damage_in_place(&mut bytes, &mut draw);
    }
    load(&bytes);
    // And the input as it is: mostly no snapshot at all.
    load(data);
}

fn load(bytes: &[u8]) {
    let mut market = match Market::load(bytes, HISTORY) {
        Ok(market) => market,
        Err(error) => {
            note(rule(&error.to_string()));
            return;
        }
    };
    note(("loaded", market.instruments().len(), bytes.len() == before().snapshot.len()));
    let saved = market.save();
    let again = Market::load(&saved, HISTORY).expect("what was saved");
    assert!(again == market, "a market became another in its snapshot");
    assert_eq!(again.save(), saved);
    let now = before().after.last().map_or(Stamp(0), |(_, stamp)| *stamp);
    ask(&market, now);
    for (event, stamp) in &before().after {
        market.apply(event, *stamp);
    }
    ask(&market, now);
}

/// Every question that a gateway has.
fn ask(market: &Market, now: Stamp) {
    for (_, instrument) in (1..=3).filter_map(|id| Some((id, market.instrument(InstrumentId(id))?)))
    {
        for side in [Side::Buy, Side::Sell] {
            let levels = instrument.depth.levels(side).count();
            assert_eq!(levels, instrument.depth.levels_count(side));
            assert_eq!(instrument.depth.best(side).is_some(), levels > 0);
        }
        for interval in Interval::ALL {
            let candles = instrument.candles.candles(interval, None, None, 10, now, 0);
            assert!(candles.len() <= 10);
            assert!(candles.is_sorted_by(|a, b| a.close_stamp < b.open_stamp), "{interval:?}");
            instrument.candles.current(interval, now, 60 * 8);
        }
        check_trades(&instrument.trades);
        instrument.rolling(marketdata::WINDOW_MAX_NS, now);
        instrument.trading_day(now, 0);
        instrument.average_price(now);
        let symbol = instrument.symbol();
        note(market.by_symbol(symbol).is_some());
    }
}

/// Newest last, within the bounds, each id once.
fn check_trades(trades: &Trades) {
    let rows: Vec<_> = trades.recent(usize::MAX).map(|row| (row.id, row.stamp)).collect();
    let aggregates = trades.recent_aggregates(usize::MAX).map(|row| (row.id, row.stamp));
    let aggregates: Vec<_> = aggregates.collect();
    assert!(rows.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{rows:?}");
    assert!(aggregates.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{aggregates:?}");
    let (most, most_aggregates) = (HISTORY.trades, HISTORY.aggregate_trades);
    assert!(rows.len() <= most && aggregates.len() <= most_aggregates);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_snapshot_is_loaded_whole_or_refused() {
        crate::campaign::check(&TARGET, 1, 1_000);
    }

    #[test]
    fn the_snapshot_to_begin_with_is_loaded() {
        let market = Market::load(&before().snapshot, HISTORY).unwrap();
        assert!(market.instruments().len() > 0 && !before().after.is_empty());
    }
}
