//! Balances. Money only moves from somewhere to somewhere, so every asset sums to zero over all
//! accounts, the venue's own (which is negative by what users hold) included.

use crate::table::{Table, mix};
use alloc::vec::Vec;
use core::ops::Range;
use protocol::event::BalanceChanged;
use protocol::{AccountId, Amount, AssetId};

/// What an account has of one asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) free: Amount,
    /// Held by open orders.
    pub(crate) locked: Amount,
}

impl Balance {
    #[inline]
    pub(crate) fn total(self) -> Amount {
        self.free + self.locked
    }
}

/// Where money is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pocket {
    Free,
    Locked,
}

/// Place of a balance in the ledger; for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row(u32);

impl Row {
    /// Nobody's, where there is no ledger.
    pub(crate) const NONE: Row = Row(u32::MAX);
}

/// What an order pays in a trade.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payment {
    /// Locked if the order holds.
    pub(crate) pocket: Pocket,
    pub(crate) amount: Amount,
    /// By so much more is locked for the order besides.
    pub(crate) hold_change: Amount,
}

/// One asset's way in a trade.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leg {
    pub(crate) payer: Row,
    pub(crate) payee: Row,
    pub(crate) venue: Row,
    pub(crate) payment: Payment,
    /// The payee's, out of what it gets.
    pub(crate) commission: Amount,
}

/// One balance and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) account: AccountId,
    pub(crate) asset: AssetId,
    pub(crate) balance: Balance,
}

/// **Invariants:** nothing is below zero but the venue's free balances; each asset sums to zero; an
/// entry, once made, stays.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    by_place: Table,
    seed: u64,
}

impl Ledger {
    pub(crate) fn with_seed(seed: u64) -> Ledger {
        Ledger { seed, ..Ledger::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    fn hash(&self, account: AccountId, asset: AssetId) -> u32 {
        (mix(self.seed, account.0.into(), asset.0.into()) >> 32) as u32
    }

    #[inline]
    pub(crate) fn find(&self, account: AccountId, asset: AssetId) -> Option<Row> {
        let is_it = |at: u32| {
            let entry = &self.entries[at as usize];
            entry.account == account && entry.asset == asset
        };
        self.by_place.find(self.hash(account, asset), is_it).map(Row)
    }

    /// The row of a balance, made if the account never had any.
    #[inline]
    pub(crate) fn row(&mut self, account: AccountId, asset: AssetId) -> Row {
        match self.find(account, asset) {
            Some(row) => row,
            None => self.add(account, asset),
        }
    }

    #[cold]
    fn add(&mut self, account: AccountId, asset: AssetId) -> Row {
        let at = u32::try_from(self.entries.len()).expect("fewer than 2^32 balances");
        self.entries.push(Entry { account, asset, balance: Balance::default() });
        self.by_place.insert(self.hash(account, asset), at);
        Row(at)
    }

    #[inline]
    pub(crate) fn entry(&self, row: Row) -> &Entry {
        &self.entries[row.0 as usize]
    }

    pub(crate) fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        self.find(account, asset).map_or(Balance::default(), |row| self.entry(row).balance)
    }

    /// Moves free money under the hold of an order, or back if `amount` is negative.
    #[inline(always)]
    pub(crate) fn hold(&mut self, row: Row, amount: Amount) {
        let entry = &mut self.entries[row.0 as usize];
        entry.balance.free -= amount;
        entry.balance.locked += amount;
        assert_sound(entry);
    }

    /// Moves free money of one asset from one row to another.
    pub(crate) fn transfer(&mut self, from: Row, to: Row, amount: Amount) {
        let before = self.sum_of(from, to);
        let source = &mut self.entries[from.0 as usize];
        source.balance.free -= amount;
        assert_sound(source);
        self.entries[to.0 as usize].balance.free += amount;
        assert!(amount >= Amount::ZERO, "a transfer of {amount}");
        assert!(before == self.sum_of(from, to), "a transfer of {amount} made money");
    }

    /// One asset of a trade: the payer's money goes to the payee, less the venue's commission, and
    /// what the payer's order holds changes.
    #[inline(always)]
    pub(crate) fn settle(&mut self, leg: &Leg) {
        let Leg { payer, payee, venue, payment, commission } = *leg;
        let Payment { pocket, amount, hold_change } = payment;
        let before = self.sum_of_leg(leg);
        let balance = &mut self.entries[payer.0 as usize].balance;
        balance.free -= hold_change;
        balance.locked += hold_change;
        match pocket {
            Pocket::Free => balance.free -= amount,
            Pocket::Locked => balance.locked -= amount,
        }
        self.entries[payee.0 as usize].balance.free += amount - commission;
        self.entries[venue.0 as usize].balance.free += commission;
        assert_sound(self.entry(payer));
        assert_sound(self.entry(payee));
        let is_owed = amount >= Amount::ZERO && commission >= Amount::ZERO;
        assert!(is_owed, "a payment of {amount}, a commission of {commission}");
        assert!(before == self.sum_of_leg(leg), "a trade of {amount} made money");
    }

    #[inline(always)]
    fn sum_of_leg(&self, leg: &Leg) -> Amount {
        let [payer, payee, venue] = [leg.payer, leg.payee, leg.venue].map(|row| self.entry(row));
        assert!(payer.asset == payee.asset && payer.asset == venue.asset, "assets differ");
        let of_venue = venue.balance.total();
        match leg.payer == leg.payee {
            true => payer.balance.total() + of_venue,
            false => payer.balance.total() + payee.balance.total() + of_venue,
        }
    }

    #[inline]
    fn sum_of(&self, one: Row, other: Row) -> Amount {
        let (one, other) = (self.entry(one), self.entry(other));
        assert!(one.asset == other.asset, "assets {} and {}", one.asset, other.asset);
        match one.account == other.account {
            true => one.balance.total(),
            false => one.balance.total() + other.balance.total(),
        }
    }

    /// The event of a balance's change.
    #[inline]
    pub(crate) fn changed(&self, row: Row) -> BalanceChanged {
        let Entry { account, asset, balance } = *self.entry(row);
        BalanceChanged { account, asset, free: balance.free, locked: balance.locked }
    }

    /// All balances, by account, then asset.
    pub(crate) fn sorted(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        entries.sort_unstable_by_key(|entry| (entry.account, entry.asset));
        entries
    }

    /// Balances whose hash lies in the range, in no order that means anything.
    pub(crate) fn hashed(&self, hashes: Range<u64>) -> impl Iterator<Item = &Entry> + '_ {
        self.by_place.places(hashes).map(|at| &self.entries[at as usize])
    }

    /// Sets a balance when a snapshot is read.
    pub(crate) fn restore(&mut self, account: AccountId, asset: AssetId, balance: Balance) {
        let row = self.row(account, asset);
        self.entries[row.0 as usize].balance = balance;
    }
}

#[inline(always)]
fn assert_sound(entry: &Entry) {
    let Balance { free, locked } = entry.balance;
    let may_owe = entry.account == AccountId::VENUE;
    let sound = (may_owe || free >= Amount::ZERO) && locked >= Amount::ZERO;
    assert!(sound, "account {} has {:?} of asset {}", entry.account, entry.balance, entry.asset);
}
