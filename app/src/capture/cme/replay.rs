//! Enters the rows into the engine and keeps its book the exchange's.

use super::super::ladder::crosses;
use super::super::venue::{Complaints, Limit, Venue};
use super::auction::{self, Cross, Held};
use super::causes::Cause;
use super::format::{Action, Event, Order, Place, Print, Row, quantity};
use super::opening::{OpeningInputs, opening};
use super::queues::{Queues, Resting};
use super::shown::Shown;
use anyhow::{Result, bail};
use protocol::{AccountId, Event as Told, OrderId, Price, Side, Stamp, TimeInForce};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Orders that rest at one time.
const ORDERS_MAX: usize = 2_000_000;
/// An order of the engine that has traded more, in lots, is not replaced but entered anew.
const EXECUTED_MAX: u64 = 1_000_000_000;
/// Auctions that the engine holds; each enters the whole book.
const AUCTIONS_HELD_MAX: u64 = 16;

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Rows of actions A, M, C, T, F, R.
    pub(super) rows: [u64; 6],
    pub(super) snapshot_rows: u64,
    /// Orders that were shown again after they were filled whole.
    pub(super) slices: u64,
    /// Orders that a modification shows first, and adds of orders that rest already.
    pub(super) first_modified: u64,
    pub(super) added_again: u64,
    pub(super) unknown_cancels: u64,
    /// Orders that would have traded, but for those that their event takes out unfilled.
    pub(super) quiet_self_matches: u64,
    /// Times at which the exchange let the book stand crossed, and events until it did not.
    pub(super) suspensions: u64,
    pub(super) suspended_events: u64,
    pub(super) suspended_trades: u64,
    pub(super) auctions: Auctions,
    /// Trades that name no aggressor in continuous trading.
    pub(super) without_aggressor: u64,
    pub(super) judged: u64,
    pub(super) exact: u64,
    /// Of those that are not exact.
    pub(super) same_total: u64,
    pub(super) causes: BTreeMap<Vec<Cause>, u64>,
    pub(super) unexplained: Complaints,
    /// Trades of orders that the exchange let rest.
    pub(super) unprinted: Complaints,
    pub(super) events: u64,
    pub(super) events_compared: u64,
    pub(super) levels_compared: u64,
    pub(super) levels_differ: Complaints,
    pub(super) levels_anew: u64,
    /// Orders whose rows show, after a fill, what the engine left of them.
    pub(super) rests_equal: u64,
    pub(super) rests_differ: Complaints,
}

/// Auctions that the exchange printed, and what the engine made of them.
#[derive(Debug, Default)]
pub(super) struct Auctions {
    pub(super) printed: Complaints,
    pub(super) held: u64,
    /// With the exchange's price and quantity.
    pub(super) equal: u64,
    /// An order's side is not known.
    pub(super) not_judged: u64,
    /// Orders that the exchange or the engine filled, and those with the same quantity by both.
    pub(super) orders: usize,
    pub(super) orders_equal: usize,
    pub(super) lines: Complaints,
    pub(super) differ: Complaints,
}

pub(super) struct Replay {
    pub(super) venue: Venue,
    pub(super) maker: AccountId,
    pub(super) taker: AccountId,
    pub(super) queues: Queues,
    /// The exchange's id of each of the engine's orders.
    pub(super) ids: HashMap<OrderId, u64>,
    /// Levels that this event changed.
    pub(super) touched: BTreeSet<(Side, u64)>,
    /// Orders that this event cancels and does not fill.
    pub(super) canceled: BTreeSet<u64>,
    pub(super) icebergs: HashSet<u64>,
    /// Orders that a modification showed first, until one puts them behind all others.
    pub(super) unplaced: HashSet<u64>,
    /// Orders that this event fills while they rest, and how many lots.
    filled: BTreeMap<u64, u64>,
    /// Does the engine hold the book? Not before the first event has ended, and not while the
    /// exchange lets the book stand crossed.
    pub(super) is_entered: bool,
    pub(super) tally: Tally,
    pub(super) shown: Shown,
}

impl Replay {
    pub(super) fn open() -> Result<Replay> {
        let venue = Venue::open("CONTRACT", "CONTRACT", "DOLLAR")?;
        Ok(Replay {
            maker: venue.first(),
            taker: venue.second(),
            venue,
            queues: Queues::default(),
            ids: HashMap::new(),
            touched: BTreeSet::new(),
            canceled: BTreeSet::new(),
            icebergs: HashSet::new(),
            unplaced: HashSet::new(),
            filled: BTreeMap::new(),
            is_entered: false,
            tally: Tally::default(),
            shown: Shown::default(),
        })
    }

    pub(super) fn advance(&mut self, event: &Event) -> Result<()> {
        self.look_ahead(&event.rows);
        let mut is_printed = false;
        let mut rows = event.rows.as_slice();
        while let Some((row, rest)) = rows.split_first() {
            self.venue.at(Stamp(row.received_ns));
            let mut after = rest;
            match row.action {
                Action::Add(order) => self.add(order),
                Action::Modify(order) => self.modify(order, row.place),
                Action::Cancel(order) => self.cancel(order, row.place),
                Action::Fill(fill) => self.reduce(fill.id, fill.size),
                Action::Clear => self.clear(),
                Action::Trade(print) => {
                    if !self.is_entered && print.side.is_none() && !is_printed {
                        is_printed = true;
                        self.auction(row.place, &opening(&self.queues, rows))?;
                    }
                    let fills;
                    (fills, after) = leading_fills(rest);
                    self.trade(row.place, print, &fills);
                }
            }
            rows = after;
        }
        if let Some(last) = event.rows.last().filter(|_| event.is_whole) {
            self.settle(last.place);
        }
        if self.shown.len() > ORDERS_MAX {
            bail!("more than {ORDERS_MAX} orders rest at one time");
        }
        Ok(())
    }

    /// An auction of the exchange, before its fills are applied: the queues are those of before.
    /// The engine holds it in another venue; this one gets the book when the event has ended.
    fn auction(&mut self, place: Place, inputs: &OpeningInputs) -> Result<()> {
        self.note_print(place, inputs);
        let auctions = &mut self.tally.auctions;
        if auctions.held == AUCTIONS_HELD_MAX {
            return Ok(());
        }
        auctions.held += 1;
        let held = auction::hold(inputs)?;
        let printed = Cross { price: inputs.reported.price, lots: inputs.reported.quantity };
        match inputs.unknown.is_empty() {
            true => auctions.equal += u64::from(held.uncrossed == printed && held.is_sound),
            false => auctions.not_judged += u64::from(held.is_sound),
        }
        let (orders, differ) = held.compare(inputs);
        auctions.orders += orders;
        auctions.orders_equal += orders - differ.len();
        auctions.lines.add(|| {
            let Held { limits_alone, with_markets, uncrossed, .. } = &held;
            format!(
                "{place}: indicated by the limit orders alone {limits_alone}, with the orders that \
                 never rested {with_markets}; uncrossed {uncrossed}"
            )
        });
        for it in differ {
            auctions.differ.add(|| format!("{place}: {it}"));
        }
        Ok(())
    }

    fn note_print(&mut self, place: Place, inputs: &OpeningInputs) {
        self.tally.auctions.printed.add(|| {
            let sum = |side| -> u64 {
                let of_side = inputs.markets.iter().filter(|market| market.1 == side);
                of_side.map(|market| market.2).sum()
            };
            let unknown = match inputs.unknown.iter().map(|(_, size)| size).sum() {
                0u64 => String::new(),
                lots => format!(", {lots} of unknown side"),
            };
            let reported = &inputs.reported;
            format!(
                "{place}: {} at {}, {} fills; {} limit orders rest before it; {} filled orders \
                 never rested: {} to buy, {} to sell{unknown}",
                reported.quantity,
                reported.price,
                reported.fills.len(),
                inputs.limits.len(),
                inputs.markets.len() + inputs.unknown.len(),
                sum(Side::Buy),
                sum(Side::Sell),
            )
        });
    }

    fn look_ahead(&mut self, rows: &[Row]) {
        self.filled.clear();
        self.canceled.clear();
        self.tally.events += 1;
        let (mut aggressor, mut aggressors) = (None, Vec::new());
        for row in rows {
            let at = match row.action {
                Action::Add(_) => 0,
                Action::Modify(_) => 1,
                Action::Cancel(order) => {
                    self.canceled.insert(order.id);
                    2
                }
                Action::Trade(print) => {
                    aggressor = print.side;
                    3
                }
                Action::Fill(fill) => {
                    match fill.side.is_some() && fill.side == aggressor {
                        true => aggressors.push(fill.id),
                        false => *self.filled.entry(fill.id).or_default() += fill.size,
                    }
                    4
                }
                Action::Clear => 5,
            };
            self.tally.rows[at] += 1;
            self.tally.snapshot_rows += u64::from(row.is_snapshot);
        }
        for id in self.filled.keys().chain(&aggressors) {
            self.canceled.remove(id);
        }
        for row in rows {
            if let Action::Modify(order) = row.action
                && let Some(filled) = self.filled.get(&order.id)
                && self.queues.place(order.id) == Some((order.side, order.price.0))
                && let Some(before) = self.queues.get(order.id)
                && order.size + filled > before.remaining
            {
                self.icebergs.insert(order.id);
            }
        }
    }

    fn add(&mut self, order: Order) {
        self.tally.added_again += u64::from(self.shown.get(order.id).is_some());
        self.set(order);
    }

    fn modify(&mut self, order: Order, place: Place) {
        let rests = self.queues.place(order.id);
        if rests.is_none_or(|rests| rests == (order.side, order.price.0)) {
            self.compare_rest(order.id, order.size, place);
        }
        if self.shown.get(order.id).is_none() {
            self.tally.first_modified += 1;
            self.unplaced.insert(order.id);
        } else if self.queues.place(order.id).is_none() {
            self.tally.slices += 1;
            self.icebergs.insert(order.id);
        }
        self.set(order);
    }

    fn set(&mut self, order: Order) {
        let Order { id, side, price, size } = order;
        let shown = self.shown.get(id);
        self.touched.extend(shown.map(|before| (before.side, before.price.0)));
        self.touched.insert((side, price.0));
        self.shown.set(order);
        let keeps_place = self.queues.place(id) == Some((side, price.0));
        match self.queues.get(id).copied() {
            Some(before) if keeps_place && size <= before.remaining => self.shrink(id, size),
            Some(before) => self.move_order(order, before),
            None => self.enter(order),
        }
    }

    fn cancel(&mut self, order: Order, place: Place) {
        self.compare_rest(order.id, 0, place);
        let Some(shown) = self.shown.get(order.id) else {
            self.tally.unknown_cancels += 1;
            return;
        };
        self.touched.insert((shown.side, shown.price.0));
        match self.shown.cancel(order.id, order.size) {
            None | Some(0) => self.remove(order.id),
            Some(rest) => self.shrink(order.id, rest),
        }
    }

    /// An order that this event filled: its row must show what the fills left. What an iceberg, or an
    /// order from before the recording, has left, no row shows.
    fn compare_rest(&mut self, id: u64, rest: u64, place: Place) {
        let is_known = self.shown.get(id).is_some() && !self.icebergs.contains(&id);
        if !self.is_entered || !is_known || !self.filled.contains_key(&id) {
            return;
        }
        let left = self.queues.get(id).map_or(0, |resting| resting.remaining);
        match left == rest {
            true => self.tally.rests_equal += 1,
            false => self.tally.rests_differ.add(|| format!("{place}: {left} left, {rest} shown")),
        }
    }

    fn clear(&mut self) {
        self.suspend();
        self.queues.clear();
        self.shown.clear();
        self.touched.clear();
    }

    /// A new order, behind all others.
    fn enter(&mut self, order: Order) {
        let Order { id, side, price, size } = order;
        self.make_room(side, price);
        let placed = match self.is_entered {
            true => self.place(side, price, size),
            false => OrderId::NONE,
        };
        self.put(order, Resting { id, order: placed, remaining: size, executed: 0, arrival: 0 });
    }

    /// To another price, another size, or the other side.
    fn move_order(&mut self, order: Order, before: Resting) {
        let Order { id, side, price, size } = order;
        self.unplaced.remove(&id);
        if self.queues.place(id).is_none_or(|place| place.0 != side) {
            self.remove(id);
            return self.enter(order);
        }
        if before.executed > EXECUTED_MAX {
            self.remove(id);
            return self.enter(order);
        }
        self.queues.remove(id);
        self.make_room(side, price);
        if self.is_entered {
            let unprinted = &mut self.tally.unprinted;
            let note = |_: &_, told: &Told| note_trade(unprinted, told);
            self.venue.replace(self.maker, before.order, price, quantity(size), note);
        }
        self.put(order, Resting { remaining: size, ..before });
    }

    fn put(&mut self, order: Order, resting: Resting) {
        self.queues.push(order.side, order.price.0, resting);
        if self.is_entered {
            self.ids.insert(resting.order, resting.id);
        }
    }

    /// An order that would trade and does not: the event takes out the orders in its way (they are
    /// its owner's), or there is no continuous trading.
    fn make_room(&mut self, side: Side, price: Price) {
        if !self.is_entered || !self.queues.would_trade(side, price.0) {
            return;
        }
        if self.remove_canceled(side.opposite(), price) > 0 {
            self.tally.quiet_self_matches += 1;
        }
        if self.queues.would_trade(side, price.0) {
            self.suspend();
        }
    }

    /// Takes out what the event cancels unfilled, from the best price to this one.
    fn remove_canceled(&mut self, side: Side, price: Price) -> usize {
        let canceled = self.canceled_up_to(side, price);
        for id in &canceled {
            self.remove(*id);
        }
        canceled.len()
    }

    pub(super) fn canceled_up_to(&self, side: Side, price: Price) -> Vec<u64> {
        let is_reached =
            |place: (Side, u64)| place.0 == side && crosses(side.opposite(), price.0, place.1);
        let canceled = self.canceled.iter().copied();
        canceled.filter(|id| self.queues.place(*id).is_some_and(is_reached)).collect()
    }

    /// The order goes, from the queues and from the engine.
    pub(super) fn remove(&mut self, id: u64) {
        self.touched.extend(self.queues.place(id));
        let Some(resting) = self.queues.remove(id) else { return };
        if self.is_entered {
            self.ids.remove(&resting.order);
            self.venue.cancel(self.maker, resting.order);
        }
    }

    /// The order is left with no more than this; it keeps its place.
    fn shrink(&mut self, id: u64, rest: u64) {
        let Some(resting) = self.queues.get_mut(id) else { return };
        if rest >= resting.remaining {
            return;
        }
        resting.remaining = rest;
        let (order, whole) = (resting.order, resting.executed + rest);
        if self.is_entered {
            self.venue.amend(self.maker, order, quantity(whole));
        }
    }

    /// A fill that the engine is not asked to make.
    pub(super) fn reduce(&mut self, id: u64, filled: u64) {
        self.touched.extend(self.queues.place(id));
        match self.queues.get(id).map(|resting| resting.remaining.saturating_sub(filled)) {
            None => (),
            Some(0) => self.remove(id),
            Some(rest) => self.shrink(id, rest),
        }
    }

    /// Enters a resting order into the engine.
    pub(super) fn place(&mut self, side: Side, price: Price, size: u64) -> OrderId {
        let limit = Limit {
            account: self.maker,
            side,
            price,
            quantity: quantity(size),
            time_in_force: TimeInForce::Gtc,
        };
        let unprinted = &mut self.tally.unprinted;
        let placed = self.venue.place(limit, |_, told| note_trade(unprinted, told));
        placed.unwrap_or(OrderId::NONE)
    }
}

/// The fills that follow a trade, and the rows behind them.
fn leading_fills(rows: &[Row]) -> (Vec<Print>, &[Row]) {
    let fill = |row: &Row| match row.action {
        Action::Fill(fill) => Some(fill),
        _ => None,
    };
    let fills: Vec<Print> = rows.iter().map_while(fill).collect();
    let after = rows.get(fills.len()..).unwrap_or(&[]);
    (fills, after)
}

fn note_trade(unprinted: &mut Complaints, told: &Told) {
    if let Told::Trade(trade) = told {
        unprinted.add(|| format!("{} at {}", trade.quantity, trade.price));
    }
}
