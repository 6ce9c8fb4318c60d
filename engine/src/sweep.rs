//! The hash that `StateHashed` carries (docs/decisions/state-hash.md): a sweep over the state, a
//! slice at a time, so that no command pays for more than a few entities of it.
//!
//! What is swept when depends on the state alone, never on where it lies in memory: orders, owners
//! and balances by a hash of their ids, the rest by place. So an engine that was loaded goes on with
//! the same slices as the one that was saved. An entity is hashed as the records that a snapshot
//! has of it. Which slice has what is part of the rules: another way is another version of them.

use crate::engine::Engine;
use crate::slab::{Phase, Slot};
use crate::snapshot::*;
use crate::table::mix;
use alloc::vec::Vec;
use core::ops::Range;
use protocol::AccountId;
use protocol::hash::hash_bytes;

/// Commands from one slice to the next.
pub(crate) const COMMANDS_PER_SLICE: u64 = 32;

/// A sweep has at least as many slices.
const SLICES_MIN: u64 = 64;

/// One a slice on average, so that no command waits long; an instrument counts as several.
const ENTITIES_PER_MARKET: u64 = 16;

/// Where a sweep ends.
const END: u64 = 1 << 32;

/// Orders of the trigger queue whose places are hashed.
const TRIGGERED_MAX: usize = 64;

/// How far the sweep is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sweep {
    /// Where the next slice begins: below 2^32.
    pub(crate) cursor: u64,
    /// Over all slices since the genesis, this sweep's and those before.
    pub(crate) hash: u64,
}

impl Sweep {
    pub(crate) fn new(cursor: u64, hash: u64) -> Sweep {
        Sweep { cursor: cursor % END, hash }
    }
}

/// Sums the hashes of entities, so that the order in which they come does not matter.
#[derive(Default)]
struct Sum {
    bytes: Vec<u8>,
    sum: u64,
}

impl Sum {
    /// The entity that `save` writes; `place` tells apart what its records do not.
    fn add(&mut self, place: u64, save: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.clear();
        save(&mut self.bytes);
        self.sum = self.sum.wrapping_add(hash_bytes(&self.bytes, place));
    }

    /// The same, of what may be nothing.
    fn add_any(&mut self, save: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.clear();
        save(&mut self.bytes);
        if !self.bytes.is_empty() {
            self.sum = self.sum.wrapping_add(hash_bytes(&self.bytes, 0));
        }
    }
}

impl Engine {
    /// Sweeps the next slice.
    #[cold]
    #[inline(never)]
    pub(crate) fn sweep(&mut self) {
        let venue = &self.venue;
        let places = venue.accounts.len() + venue.assets.len() + self.gateways.all().len();
        let entities = (self.orders.len() + self.ledger.len() + places) as u64
            + venue.markets.len() as u64 * ENTITIES_PER_MARKET;
        let slices = entities.max(SLICES_MIN);
        let end = (self.sweep.cursor + END / slices).min(END);
        let sum = self.sum_of(self.sweep.cursor..end);
        self.sweep = Sweep::new(end, mix(self.sweep.hash, sum, end));
    }

    fn sum_of(&self, slice: Range<u64>) -> u64 {
        let mut sum = Sum::default();
        for slot in self.orders.slab.reversed(slice.clone()) {
            sum.add(self.id_before(slot), |out| {
                self.save_order(slot, out);
                self.save_extra(slot, out);
                // An open list has an open order that names it.
                if let Some(list) = self.list_of(slot) {
                    save_list(list, out);
                }
            });
        }
        for owned in self.orders.owners_hashed(slice.clone()) {
            sum.add_any(|out| self.save_day(owned, out));
        }
        for entry in self.ledger.hashed(slice.clone()) {
            sum.add(0, |out| save_balance(entry, out));
        }
        let venue = &self.venue;
        for at in part(venue.markets.len(), &slice) {
            sum.add(0, |out| save_market(&venue.markets[at], out));
        }
        for at in part(venue.accounts.len(), &slice) {
            let account = &venue.accounts[at];
            let open = u64::from(account.open_orders) << 1 | u64::from(account.is_killed);
            sum.add(open, |out| save_account(venue, AccountId(at as u32), out));
        }
        for at in part(venue.assets.len(), &slice) {
            sum.add(0, |out| save_asset(at as u32, &venue.assets[at], out));
        }
        for at in part(self.gateways.all().len(), &slice) {
            sum.add(0, |out| save_gateway(&self.gateways.all()[at], out));
        }
        sum.sum
    }

    /// The id of the order that this one stands behind; 0 if there is none.
    fn id_before(&self, slot: Slot) -> u64 {
        let order = self.orders.get(slot);
        match order.older.some() {
            Some(older) if order.phase == Phase::Resting => self.orders.get(older).id.0,
            _ => 0,
        }
    }

    /// What `StateHashed` says: all that was swept, and what is small enough to be looked at whole.
    pub(crate) fn swept_hash(&self) -> u64 {
        let mut header = Vec::new();
        self.save_header(&mut header);
        let venue = &self.venue;
        let registries = [venue.keys.hash(), venue.transfers.hash(), venue.rate_limits.hash()];
        let live = self.triggered.iter().filter(|order| self.orders.find(**order).is_some());
        let triggered = live.take(TRIGGERED_MAX).map(|order| order.0);
        let whole = hash_bytes(&header, self.sweep.hash);
        let lists = self.lists.len() as u64;
        let risk = [u64::from(venue.is_killed), venue.risk.entries.len() as u64];
        registries
            .into_iter()
            .chain(triggered)
            .chain([lists])
            .chain(risk)
            .fold(whole, |hash, word| mix(hash, word, 0))
    }
}

/// The places of a list that belong to a slice.
fn part(length: usize, slice: &Range<u64>) -> Range<usize> {
    let place = |hash: u64| (hash * length as u64 / END) as usize;
    place(slice.start)..place(slice.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::Stage;
    use alloc::format;
    use protocol::command::*;
    use protocol::*;

    fn apply(engine: &mut Engine, command: Command) -> Vec<Event> {
        let mut events = Vec::new();
        let sequence = engine.last_sequence().next();
        let input = Sequenced { sequence, stamp: Stamp(sequence.0), command: &command };
        engine.apply(&input, &mut events);
        events
    }

    fn envelope(number: u64) -> Envelope {
        Envelope {
            origin: Origin { node: 1, slot: 1, incarnation: 1, number },
            ..Envelope::INTERNAL
        }
    }

    fn text<const N: usize>(text: &str) -> Text<N> {
        Text::new(text).unwrap()
    }

    fn opened() -> Engine {
        let mut engine = Engine::new();
        let definition = InstrumentDefinition::open(text("XY"), text("X"), text("Y"));
        let mut commands: Vec<Command> = Vec::from([
            Genesis { envelope: Envelope::INTERNAL, seed: 5, rules: crate::RULES_VERSION }.into(),
            GatewayJoined { envelope: envelope(0), nonce: 1 }.into(),
            DefineInstrument { envelope: envelope(1), definition }.into(),
        ]);
        for account in 0..20 {
            let (name, permissions) = (text(&format!("{account}")), account_permission::ALL);
            let number = 2 + 3 * account;
            let envelope = envelope;
            commands.push(
                DefineAccount { envelope: envelope(number), name, trade_group: 0, permissions }
                    .into(),
            );
            for (at, asset) in [(1, "X"), (2, "Y")] {
                commands.push(
                    Transfer {
                        envelope: envelope(number + at),
                        transfer: text(&format!("{asset}{account}")),
                        account: name,
                        asset: text(asset),
                        direction: TransferDirection::Deposit,
                        amount: Amount(1 << 60),
                    }
                    .into(),
                );
            }
        }
        for command in commands {
            let events = apply(&mut engine, command);
            assert!(!events.iter().any(|event| matches!(event, Event::CommandRefused(_))));
        }
        engine
    }

    fn order(number: u64) -> Command {
        let pick = mix(1, number, 0);
        let request = OrderRequest {
            account: AccountId(1 + (pick % 20) as u32),
            instrument: InstrumentId(1),
            side: if pick & 32 == 0 { Side::Buy } else { Side::Sell },
            kind: OrderKind::Limit,
            time_in_force: TimeInForce::Gtc,
            stp_mode: StpMode::None,
            quantity_unit: QuantityUnit::Base,
            price: Price(SCALE + (pick >> 8) % 100),
            quantity: Quantity(1 + (pick >> 16) % 1_000),
            stop_price: Price::ZERO,
            client_order_id: text(&format!("{number}")),
            strategy_id: 0,
            strategy_type: 0,
        };
        NewOrder { envelope: envelope(number), request, dry_run: false }.into()
    }

    /// What comes at each number: orders, and now and then everything is canceled, so that tables are
    /// larger than those of an engine that was loaded.
    fn command(number: u64) -> Command {
        if !number.is_multiple_of(2_500) {
            return order(number);
        }
        MassCancel {
            envelope: envelope(number),
            account: AccountId::NONE,
            instrument: InstrumentId::NONE,
            cause: MassCancelCause::Administrator,
        }
        .into()
    }

    /// Two orders of which one cancels the other.
    fn pair(number: u64) -> Command {
        let Command::NewOrder(new) = order(number) else { unreachable!() };
        let request = |kind, price, name: &str| OrderRequest {
            side: Side::Sell,
            kind,
            price: Price(price),
            client_order_id: text(name),
            ..new.request
        };
        let below = OrderRequest {
            stop_price: Price(SCALE / 2),
            ..request(OrderKind::StopLoss, 0, "below")
        };
        let orders = [request(OrderKind::LimitMaker, 2 * SCALE, "above"), below];
        let listed = |request| ListedOrder { request, terms: OrderTerms::NONE };
        let [above, below] = orders.map(listed);
        NewOrderList {
            envelope: envelope(number),
            account: new.request.account,
            instrument: new.request.instrument,
            kind: OrderListKind::Oco,
            list_client_order_id: text("pair"),
            orders: [below, above, ListedOrder::EMPTY],
        }
        .into()
    }

    /// Wherever the sweep is when a snapshot is taken.
    #[test]
    fn a_loaded_engine_goes_on_with_the_sweep() {
        let mut engine = opened();
        let first = engine.last_sequence().0 - 1;
        let mut loaded: Vec<Engine> = Vec::new();
        let mut hashes = 0;
        for number in first..first + 9_000 {
            let events = apply(&mut engine, command(number));
            hashes += events.iter().filter(|event| matches!(event, Event::StateHashed(_))).count();
            for other in &mut loaded {
                assert_eq!(apply(other, command(number)), events, "command {number}");
                assert_eq!(other.sweep, engine.sweep, "command {number}");
            }
            if number % 1_777 == 0 {
                let mut bytes = Vec::new();
                engine.save(&mut bytes);
                loaded.push(Engine::load(&bytes).unwrap());
            }
        }
        assert_eq!((hashes, loaded.len()), (2, 5));
    }

    #[test]
    fn a_difference_anywhere_shows_in_the_sweep() {
        let spoil: [fn(&mut Engine); 8] = [
            |engine| {
                let slot = engine.orders.slots().next().unwrap();
                engine.orders.terms_mut(slot).strategy_id += 1;
            },
            |engine| {
                let slot = engine.orders.slots().last().unwrap();
                engine.orders.slab.get_mut(slot).remaining.0 += 1;
            },
            |engine| engine.venue.accounts[7].trade_group += 1,
            |engine| engine.venue.known(InstrumentId(1)).counters.next_prevented.0 += 1,
            |engine| engine.gateways.get_or_add(1, 1).last_number += 0x100,
            |engine| engine.lists.change(OrderListId(1), |list| list.stage = Stage::Last),
            |engine| engine.lists.change(OrderListId(1), |list| list.holder.0 ^= 1),
            |engine| engine.lists.change(OrderListId(1), |list| list.orders.swap(0, 1)),
        ];
        let mut engine = opened();
        let first = engine.last_sequence().0 - 1;
        (first..first + 500).for_each(|number| drop(apply(&mut engine, order(number))));
        apply(&mut engine, pair(first + 500));
        assert_eq!(engine.lists.len(), 1);
        let mut bytes = Vec::new();
        engine.save(&mut bytes);
        let swept = |spoil: &dyn Fn(&mut Engine)| {
            let mut engine = Engine::load(&bytes).unwrap();
            spoil(&mut engine);
            let slices = 1_000;
            (0..slices).for_each(|_| engine.sweep());
            engine.swept_hash()
        };
        let sound = swept(&|_| {});
        for (at, spoil) in spoil.iter().enumerate() {
            assert_ne!(swept(spoil), sound, "{at}");
        }
    }
}
