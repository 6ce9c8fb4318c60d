//! How a gateway's views are rebuilt at a start: from the event log's first event; or, where
//! retention has removed the beginning, from the oldest snapshot that the log still follows.

use std::path::Path;

use anyhow::{Context, Result};
use engine::Engine;
use gateway::accounts::Order;
use gateway::core::Views;
use protocol::event::{BalanceChanged, BookChanged, CommandBegan};
use protocol::{Event, OrderStatus, Origin, Quantity, Side};
use store::segment::LogKind;

use crate::config::VenueState;
use crate::events::{EventReader, Seen};
use crate::node::Readers;
use crate::offline::{Folder, load};

/// A reader at the first event that is to be read, and the views as they stood before it.
pub(super) fn begin(
    data: &Path,
    readers: &Readers,
    views: &mut Views,
    state: &mut VenueState,
) -> Result<EventReader> {
    let folder = Folder::open(data)?;
    let segments = store::inspect(folder.storage.as_ref(), &folder.place.log)?.segments;
    let headers = segments.into_iter().filter_map(|segment| segment.header.ok());
    let first = headers.filter(|it| it.kind == LogKind::Events).map(|it| it.first_position).min();
    let begins_at = first.unwrap_or(0);
    if begins_at == 0 {
        return EventReader::from_start(readers);
    }
    for sequence in folder.snapshots.list()? {
        let Ok((facts, bytes)) = folder.snapshots.read(sequence) else { continue };
        if facts.events_position >= begins_at {
            let engine = load(&facts, &bytes)?;
            restore(&engine, views, state);
            return EventReader::from_position(readers, facts.events_position);
        }
    }
    anyhow::bail!(
        "the event log begins at position {begins_at} and no snapshot reaches it: \
         `outcry verify` says what is there"
    )
}

/// The views as an engine's state gives them: the venue, balances, open orders and books. What was
/// traded before is gone.
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
    for open in engine.open_orders() {
        let mut order = Order::of(open.order, &open.request, stamp);
        let whole = open.remaining.0 + open.executed.0 + open.prevented.0;
        order.quantity = Quantity(whole);
        (order.executed, order.executed_quote) = (open.executed, open.executed_quote);
        order.prevented = open.prevented;
        order.working = (!open.is_waiting).then_some(stamp);
        if !open.executed.is_zero() {
            order.status = OrderStatus::PartiallyFilled;
        }
        views.accounts.restore(order);
    }
    (views.sequence, views.stamp) = (engine.last_sequence(), stamp);
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
                let (price, quantity, orders) = (level.price, level.quantity, level.orders);
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
