//! What always holds between commands. Checked at snapshots, in tests after every command, and by
//! `verify`.

use crate::engine::Engine;
use crate::ledger::Entry;
use crate::slab::{Order, Phase};
use alloc::collections::{BTreeMap, BTreeSet};
use protocol::{AccountId, Amount, AssetId, OrderListId, Side};

impl Engine {
    /// Checks the full sums and links.
    ///
    /// # Panics
    /// When one does not hold: a bug of ours, or a snapshot that lies.
    pub fn check_invariants(&self) {
        assert!(self.traded.is_empty(), "trades were not looked at");
        self.check_conservation();
        self.check_holds();
        self.check_books();
        self.check_lists();
    }

    /// An open list has an open order that names it; an order names no list that is gone.
    fn check_lists(&self) {
        let extras = self.orders.slots().filter_map(|slot| self.orders.extra(slot));
        let named: BTreeSet<OrderListId> =
            extras.map(|extra| extra.list).filter(|list| *list != OrderListId::NONE).collect();
        let open: BTreeSet<OrderListId> = self.lists.iter().map(|list| list.id).collect();
        assert_eq!(named, open, "lists that orders name, and those that are open");
    }

    /// Each asset sums to zero over all accounts; nobody but the venue owes.
    fn check_conservation(&self) {
        let mut sums: BTreeMap<AssetId, Amount> = BTreeMap::new();
        for Entry { account, asset, balance } in self.ledger.sorted() {
            *sums.entry(asset).or_default() += balance.total();
            let owes = balance.free < Amount::ZERO || balance.locked < Amount::ZERO;
            assert!(!owes || account == AccountId::VENUE, "account {account} owes {balance:?}");
        }
        for (asset, sum) in sums {
            assert!(sum.is_zero(), "asset {asset} sums to {sum}");
        }
    }

    /// `locked = Σ holds`, and every hold is what the rule says.
    fn check_holds(&self) {
        let mut holds: BTreeMap<(AccountId, AssetId), Amount> = BTreeMap::new();
        let mut owned: BTreeMap<u32, (u32, [Amount; 2])> = BTreeMap::new();
        for slot in self.orders.slots() {
            let order = self.orders.get(slot);
            let Order { id, account, instrument, side, remaining, owner, .. } = *order;
            let market = self.venue.market(instrument).expect("it exists");
            let may_be_empty = order.phase == Phase::Pending;
            assert!(may_be_empty || !remaining.is_zero(), "order {id} is open for nothing");
            if self.orders.extra(slot).is_some() {
                assert_eq!(self.orders.held(slot), self.due_hold(slot), "hold of order {id}");
            }
            let named = self.orders.find_named(owner, &self.orders.terms(slot).client_order_id);
            assert_eq!((self.orders.find(id), named), (Some(slot), Some(slot)), "order {id}");
            let of = self.orders.owned(owner);
            assert_eq!((of.owner.account, of.owner.instrument), (account, instrument), "{id}");
            *holds.entry((account, market.paying_asset(side))).or_default() +=
                self.orders.held(slot);
            let (count, open) = owned.entry(owner).or_default();
            *count += 1;
            open[side as usize] += remaining.into();
        }
        for Entry { account, asset, balance } in self.ledger.sorted() {
            let held = holds.remove(&(account, asset)).unwrap_or_default();
            assert_eq!(balance.locked, held, "locked of account {account}, asset {asset}");
        }
        assert!(holds.values().all(|held| held.is_zero()), "holds without a balance: {holds:?}");
        for (owner, (count, open)) in owned {
            let listed = self.orders.owned(owner);
            let of = listed.owner;
            assert_eq!((listed.count, listed.open), (count, open), "{of:?}");
            assert_eq!(self.orders.of_owner(owner).len(), count as usize, "{of:?}");
        }
        let open: u32 = self.venue.accounts.iter().map(|account| account.open_orders).sum();
        assert_eq!(open as usize, self.orders.len(), "open orders of all accounts");
    }

    /// Levels show what rests; books do not cross; every order stands where its phase says.
    fn check_books(&self) {
        let mut standing = 0;
        for market in &self.venue.markets {
            for side in [Side::Buy, Side::Sell] {
                for level in market.book.levels(side) {
                    let queue = market.book.queue(&self.orders.slab, side, level.price);
                    let (orders, quantity) =
                        queue.fold((0, Amount::ZERO), |(orders, quantity), slot| {
                            (orders + 1, quantity + self.orders.shown(slot).into())
                        });
                    assert_eq!((orders, quantity), (level.orders, level.quantity), "{level:?}");
                    standing += orders as usize;
                }
            }
            let (bid, ask) = (market.book.best(Side::Buy), market.book.best(Side::Sell));
            let crossed =
                bid.zip(ask).is_some_and(|(bid, ask)| bid >= ask) && !market.is_collecting();
            assert!(!crossed, "instrument {} crosses: {bid:?} {ask:?}", market.id);
            standing += market.stops.by_order().len() + market.trailing.by_order().len();
            if let Some(collection) = &market.collection {
                standing += collection.buys.len() + collection.sells.len();
            }
        }
        let is_due = |slot: &crate::slab::Slot| {
            matches!(self.orders.get(*slot).phase, Phase::Due | Phase::Pending)
        };
        let due = self.orders.slots().filter(is_due).count();
        assert_eq!(standing + due, self.orders.len(), "orders that stand nowhere");
    }
}
