//! What always holds between commands. Checked at snapshots, in tests after every command, and by
//! `verify`.

use crate::engine::Engine;
use crate::orders::{Owner, Phase};
use alloc::collections::BTreeMap;
use protocol::{AccountId, Amount, AssetId, Side};

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
    }

    /// Each asset sums to zero over all accounts; nobody but the venue owes.
    fn check_conservation(&self) {
        let mut sums: BTreeMap<AssetId, Amount> = BTreeMap::new();
        for (account, asset, balance) in self.ledger.iter() {
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
        let mut owned: BTreeMap<Owner, (u32, Amount)> = BTreeMap::new();
        for order in self.orders.iter() {
            let market = self.venue.market(order.request.instrument).expect("it exists");
            assert_eq!(order.held, order.due_hold(), "hold of order {}", order.id);
            assert!(!order.remaining().is_zero(), "order {} is open for nothing", order.id);
            let asset = market.paying_asset(order.request.side);
            *holds.entry((order.request.account, asset)).or_default() += order.held;
            let (count, buying) = owned.entry(order.owner()).or_default();
            *count += 1;
            if order.request.side == Side::Buy {
                *buying += order.remaining().into();
            }
        }
        for (account, asset, balance) in self.ledger.iter() {
            let held = holds.remove(&(account, asset)).unwrap_or_default();
            assert_eq!(balance.locked, held, "locked of account {account}, asset {asset}");
        }
        assert!(holds.values().all(|held| held.is_zero()), "holds without a balance: {holds:?}");
        for (owner, (count, buying)) in owned {
            let listed = self.orders.owned(owner);
            assert_eq!((listed.count, listed.buying), (count, buying), "{owner:?}");
            assert_eq!(self.orders.of_owner(owner).len(), count as usize, "{owner:?}");
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
                    let queue = market.book.queue(&self.orders, side, level.price);
                    let (orders, quantity) =
                        queue.fold((0, Amount::ZERO), |(orders, quantity), slot| {
                            (orders + 1, quantity + self.orders.get(slot).remaining().into())
                        });
                    assert_eq!((orders, quantity), (level.orders, level.quantity), "{level:?}");
                    standing += orders as usize;
                }
            }
            let (bid, ask) = (market.book.best(Side::Buy), market.book.best(Side::Sell));
            let crossed = bid.zip(ask).is_some_and(|(bid, ask)| bid >= ask);
            assert!(!crossed, "instrument {} crosses: {bid:?} {ask:?}", market.id);
            standing += market.stops.by_order().len();
        }
        let due = self.orders.iter().filter(|order| order.phase == Phase::Due).count();
        assert_eq!(standing + due, self.orders.len(), "orders that stand nowhere");
    }
}
