//! Balances. Money only moves from somewhere to somewhere, so every asset sums to zero over all
//! accounts, the venue's own (which is negative by what users hold) included.

use alloc::vec::Vec;
use protocol::{AccountId, Amount, AssetId};

/// What an account has of one asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) free: Amount,
    /// Held by open orders.
    pub(crate) locked: Amount,
}

impl Balance {
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

/// **Invariants:** nothing is below zero but the venue's free balances; each asset sums to zero.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By account id; each by asset id.
    accounts: Vec<Vec<(AssetId, Balance)>>,
}

impl Ledger {
    pub(crate) fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        let Some(balances) = self.accounts.get(account.0 as usize) else {
            return Balance::default();
        };
        match balances.binary_search_by_key(&asset, |(asset, _)| *asset) {
            Ok(at) => balances[at].1,
            Err(_) => Balance::default(),
        }
    }

    fn balance_mut(&mut self, account: AccountId, asset: AssetId) -> &mut Balance {
        let account = account.0 as usize;
        if account >= self.accounts.len() {
            self.accounts.resize_with(account + 1, Vec::new);
        }
        let balances = &mut self.accounts[account];
        let at = match balances.binary_search_by_key(&asset, |(asset, _)| *asset) {
            Ok(at) => at,
            Err(at) => {
                balances.insert(at, (asset, Balance::default()));
                at
            }
        };
        &mut balances[at].1
    }

    /// Moves from free to locked, or back when `amount` is negative.
    pub(crate) fn hold(&mut self, account: AccountId, asset: AssetId, amount: Amount) {
        let balance = self.balance_mut(account, asset);
        let before = balance.total();
        balance.free -= amount;
        balance.locked += amount;
        assert_sound(account, asset, *balance);
        assert_eq!(before, balance.total(), "a hold made money of asset {asset}");
    }

    /// Moves money of one asset from a pocket of one account to the free balance of another.
    pub(crate) fn transfer(
        &mut self,
        asset: AssetId,
        (from, pocket): (AccountId, Pocket),
        to: AccountId,
        amount: Amount,
    ) {
        assert!(amount >= Amount::ZERO, "a transfer of {amount}");
        let before = self.sum_of(from, to, asset);
        let source = self.balance_mut(from, asset);
        match pocket {
            Pocket::Free => source.free -= amount,
            Pocket::Locked => source.locked -= amount,
        }
        assert_sound(from, asset, *source);
        self.balance_mut(to, asset).free += amount;
        assert_eq!(before, self.sum_of(from, to, asset), "a transfer made money of asset {asset}");
    }

    fn sum_of(&self, one: AccountId, other: AccountId, asset: AssetId) -> Amount {
        match one == other {
            true => self.balance(one, asset).total(),
            false => self.balance(one, asset).total() + self.balance(other, asset).total(),
        }
    }

    /// All balances, by account, then asset.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (AccountId, AssetId, Balance)> + '_ {
        self.accounts.iter().zip(0u32..).flat_map(|(balances, account)| {
            balances.iter().map(move |(asset, balance)| (AccountId(account), *asset, *balance))
        })
    }

    /// Sets a balance when a snapshot is read.
    pub(crate) fn restore(&mut self, account: AccountId, asset: AssetId, balance: Balance) {
        *self.balance_mut(account, asset) = balance;
    }
}

fn assert_sound(account: AccountId, asset: AssetId, balance: Balance) {
    let may_owe = account == AccountId::VENUE;
    let sound = (may_owe || balance.free >= Amount::ZERO) && balance.locked >= Amount::ZERO;
    assert!(sound, "account {account} has {balance:?} of asset {asset}");
}
