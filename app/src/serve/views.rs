//! How a gateway's views are rebuilt at a start: from the event log's first event; or, where that is
//! gone or far away, from a snapshot of the engine and what comes after it. Public history that is
//! older comes from what the last clean stop kept in `DIR/views`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use engine::{Engine, OpenOrder};
use gateway::accounts::{Order, OrderList};
use gateway::core::Views;
use marketdata::{Bucket, Market};
use protocol::event::{BalanceChanged, BookChanged, CommandBegan, OrderAcceptedWithTerms};
use protocol::{
    Event, ExecutionId, LevelQuantity, OrderStatus, Origin, Quantity, Sequence, Side, Stamp,
};
use store::segment::LogKind;
use store::{CursorKind, SnapshotFacts, Snapshots};

use crate::config::VenueState;
use crate::events::{EventReader, Seen};
use crate::node::Readers;
use crate::offline::{Folder, load};

/// Tells what is kept of the market from a state of the engine; the bytes have a format of their own.
const MARKET_SCHEMA: u64 = 0x4d61_726b_6574;
const VIEWS_FOLDER: &str = "views";

/// Where a start begins to read.
pub(super) struct Rebuild<'a> {
    pub(super) data: &'a Path,
    pub(super) readers: &'a Readers,
    /// A longer log is read from a snapshot.
    pub(super) replay_bytes_max: u64,
}

impl Rebuild<'_> {
    /// A reader at the first event that is to be read, and the views as they stood before it.
    pub(super) fn begin(&self, views: &mut Views, state: &mut VenueState) -> Result<EventReader> {
        let folder = Folder::open(self.data)?;
        let segments = store::inspect(folder.storage.as_ref(), &folder.place.log)?.segments;
        let headers = segments.into_iter().filter_map(|segment| segment.header.ok());
        let events = headers.filter(|it| it.kind == LogKind::Events);
        let begins_at = events.map(|it| it.first_position).min().unwrap_or(0);
        let ends_at = self.readers.cursors.position(CursorKind::Published);
        let wanted = begins_at.max(ends_at.saturating_sub(self.replay_bytes_max));
        if wanted == 0 {
            return EventReader::from_start(self.readers);
        }
        let Some((facts, engine)) = snapshot(&folder, wanted, begins_at)? else {
            anyhow::ensure!(
                begins_at == 0,
                "the event log begins at position {begins_at} and no snapshot reaches it: \
                 `outcry verify` says what is there"
            );
            return EventReader::from_start(self.readers);
        };
        restore(&engine, views, state);
        if let Some((sequence, market)) = self.kept_market(&folder, facts.events_position, views) {
            (views.market, views.market_holds) = (market, sequence);
        }
        EventReader::from_position(self.readers, facts.events_position)
    }

    /// What the last clean stop kept, if it is of this very log and not older than `from`.
    fn kept_market(&self, folder: &Folder, from: u64, views: &Views) -> Option<(Sequence, Market)> {
        let kept = market_snapshots(folder).ok()?;
        let is_of_it = |facts: &SnapshotFacts| {
            let hash = |reader: EventReader| reader.hash();
            facts.schema == MARKET_SCHEMA
                && facts.events_position >= from
                && EventReader::from_position(self.readers, facts.events_position).map(hash).ok()
                    == Some(facts.events_hash)
        };
        let (facts, bytes) = kept.newest_good(u64::MAX, is_of_it).ok()?.good?;
        let market = Market::load(&bytes, views.history).ok()?;
        Some((Sequence(facts.sequence), market))
    }
}

fn market_snapshots(folder: &Folder) -> Result<Snapshots> {
    let path: PathBuf = folder.place.snapshots.with_file_name(VIEWS_FOLDER);
    Ok(Snapshots::open(Arc::clone(&folder.storage), &path, folder.node.identity)?)
}

/// Keeps the market as it is after the command of `facts`, for the next start.
pub(super) fn keep_market(data: &Path, facts: &SnapshotFacts, market: &Market) -> Result<()> {
    let kept = market_snapshots(&Folder::open(data)?)?;
    kept.write(&SnapshotFacts { schema: MARKET_SCHEMA, ..*facts }, &market.save())?;
    kept.keep(1)?;
    Ok(())
}

/// The oldest snapshot at or after `wanted`, else the newest one that the log reaches.
fn snapshot(
    folder: &Folder,
    wanted: u64,
    begins_at: u64,
) -> Result<Option<(SnapshotFacts, Engine)>> {
    let mut newest = None;
    for sequence in folder.snapshots.list()? {
        // A damaged one is passed over: `outcry verify` tells of it.
        let Ok((facts, bytes)) = folder.snapshots.read(sequence) else { continue };
        if facts.events_position < begins_at {
            continue;
        }
        let is_late_enough = facts.events_position >= wanted;
        newest = Some((facts, bytes));
        if is_late_enough {
            break;
        }
    }
    newest.map(|(facts, bytes)| Ok((facts, load(&facts, &bytes)?))).transpose()
}

/// The views as an engine's state gives them: the venue, balances, open orders and books. What was
/// traded before is not in it.
fn restore(engine: &Engine, views: &mut Views, state: &mut VenueState) {
    let mut events = Vec::new();
    engine.describe(&mut events);
    *state = VenueState::of(engine);
    balances(engine, state, &mut events);
    books(engine, state, &mut events);
    let stamp = engine.now();
    let command = CommandBegan {
        sequence: engine.last_sequence(),
        stamp,
        origin: Origin::default(),
        session: 0,
        request: 0,
        kind: 0,
    };
    for event in &events {
        views.apply(event, &command);
    }
    for list in engine.open_order_lists() {
        views.accounts.restore_list(OrderList::of(&list, stamp));
    }
    for open in engine.open_orders() {
        views.accounts.restore(order(&open, stamp));
    }
    references(engine, state, &mut views.market);
    (views.sequence, views.stamp) = (engine.last_sequence(), stamp);
}

/// An open order as its events would have told it. When it was placed is not in the engine.
fn order(open: &OpenOrder, stamp: Stamp) -> Order {
    let accepted = OrderAcceptedWithTerms {
        order: open.order,
        execution: ExecutionId::default(),
        request: open.request,
        terms: open.terms,
        pegged_price: open.pegged_price,
        list: open.list,
        is_pending: open.is_pending,
    };
    let mut order = Order::with_terms(&accepted, stamp);
    order.quantity = Quantity(open.remaining.0 + open.executed.0 + open.prevented.0);
    (order.executed, order.executed_quote) = (open.executed, open.executed_quote);
    order.prevented = open.prevented;
    // One that works was triggered: it has trailed the price.
    if open.is_trailing || (order.is_trailing() && !open.is_waiting) {
        order.trailing = Some(stamp);
    }
    order.working = (!open.is_waiting).then_some(stamp);
    if !open.executed.is_zero() {
        order.status = OrderStatus::PartiallyFilled;
    }
    order
}

fn references(engine: &Engine, state: &VenueState, market: &mut Market) {
    for instrument in state.instruments.keys().filter_map(|it| engine.instrument_named(it)) {
        let buckets = engine.reference_buckets(instrument);
        let buckets = buckets.map(|(open, count, sum)| Bucket { open, count, sum: sum as i128 });
        assert!(market.restore_reference(instrument, buckets), "the engine's buckets rise");
    }
}

fn balances(engine: &Engine, state: &VenueState, events: &mut Vec<Event>) {
    let assets = state.assets();
    for account in state.accounts.values().map(|it| it.id) {
        for asset in assets.clone() {
            let (free, locked) = engine.balance(account, asset);
            if !free.is_zero() || !locked.is_zero() {
                events.push(BalanceChanged { account, asset, free, locked }.into());
            }
        }
    }
}

fn books(engine: &Engine, state: &VenueState, events: &mut Vec<Event>) {
    let instruments = state.instruments.keys().filter_map(|it| engine.instrument_named(it));
    for instrument in instruments {
        let Some(book) = engine.order_book(instrument) else { continue };
        let update = book.last_update();
        for side in [Side::Buy, Side::Sell] {
            for level in book.levels(side) {
                let (price, orders) = (level.price, level.orders);
                let quantity = LevelQuantity::new(level.quantity);
                let change = BookChanged { instrument, update, side, price, quantity, orders };
                events.push(change.into());
            }
        }
    }
}

/// Reads everything that is published into the views.
pub(super) fn catch_up(
    reader: &mut EventReader,
    views: &mut Views,
    state: &mut VenueState,
) -> Result<()> {
    let mut see = |seen: Seen<'_>| {
        views.apply(seen.event, seen.command);
        state.apply(seen.event);
        Ok(())
    };
    while reader.poll(&mut see).context("rebuilding the views")? {}
    views.settle();
    Ok(())
}
