//! What the venue consists of, and the commands that define it (docs/rules.md §2).

use crate::engine::{Engine, RULES_VERSION, Refusal};
use crate::ledger::Row;
use crate::market::{Market, Rates};
use crate::registry::Registry;
use crate::risk::RiskTable;
use crate::sink::EventSink;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use protocol::command::*;
use protocol::event::*;
use protocol::instrument::{AVERAGE_MINUTES_MAX, AssetName, Symbol, filter};
use protocol::*;

pub(crate) const INSTRUMENTS_MAX: usize = 65_536;
pub(crate) const ASSETS_MAX: usize = 65_536;
pub(crate) const ACCOUNTS_MAX: usize = 1_048_576;
pub(crate) const KEYS_MAX: usize = 1_048_576;

/// What orders ask of an account: half a line of memory. Its name is beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(align(32))]
pub(crate) struct Account {
    pub(crate) trade_group: u32,
    pub(crate) permissions: u8,
    /// Set for this account in particular.
    pub(crate) rates: Option<Rates>,
    /// The account's kill switch is engaged.
    pub(crate) is_killed: bool,
    /// Open orders over all instruments; of them contingent ones, and icebergs.
    pub(crate) open_orders: u32,
    pub(crate) algo_orders: u32,
    pub(crate) iceberg_orders: u32,
}

const _: () = assert!(size_of::<Account>() == 32);

impl Account {
    pub(crate) fn new(trade_group: u32, permissions: u8) -> Account {
        Account {
            trade_group,
            permissions,
            rates: None,
            is_killed: false,
            open_orders: 0,
            algo_orders: 0,
            iceberg_orders: 0,
        }
    }

    /// An order comes (1) or goes (-1).
    #[inline]
    pub(crate) fn count(&mut self, kind: OrderKind, terms: OrderTerms, change: i32) {
        let count = |orders: &mut u32| *orders = orders.wrapping_add_signed(change);
        count(&mut self.open_orders);
        if kind.is_contingent() {
            count(&mut self.algo_orders);
        }
        if !terms.iceberg.is_zero() {
            count(&mut self.iceberg_orders);
        }
    }
}

/// **Invariants:** ids are places: asset and instrument n at index n − 1, account n at index n
/// (0 is the venue's own, without a name). The name maps hold exactly what the lists hold.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) assets: Vec<AssetName>,
    asset_ids: BTreeMap<AssetName, AssetId>,
    pub(crate) markets: Vec<Market>,
    instrument_ids: BTreeMap<Symbol, InstrumentId>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) account_names: Vec<AccountName>,
    account_ids: BTreeMap<AccountName, AccountId>,
    pub(crate) keys: Registry<ApiKey, KeyAdded>,
    pub(crate) rates: Rates,
    pub(crate) rate_limits: Registry<(RateLimitKind, RateLimitInterval, u32), RateLimitSet>,
    pub(crate) limits: VenueLimits,
    pub(crate) risk: RiskTable,
    /// The venue's kill switch is engaged.
    pub(crate) is_killed: bool,
    /// Instruments that collect.
    pub(crate) collecting: BTreeSet<InstrumentId>,
    /// Instruments with a calendar.
    pub(crate) scheduled: BTreeSet<InstrumentId>,
    /// What was executed, so that it is once.
    pub(crate) transfers: Registry<TransferId, TransferExecuted>,
}

impl Default for Venue {
    fn default() -> Venue {
        let own = Account::new(0, 0);
        Venue {
            assets: Vec::new(),
            asset_ids: BTreeMap::new(),
            markets: Vec::new(),
            instrument_ids: BTreeMap::new(),
            accounts: Vec::from([own]),
            account_names: Vec::from([AccountName::EMPTY]),
            account_ids: BTreeMap::new(),
            keys: Registry::default(),
            rates: Rates::default(),
            rate_limits: Registry::default(),
            limits: VenueLimits::default(),
            risk: RiskTable::default(),
            is_killed: false,
            collecting: BTreeSet::new(),
            scheduled: BTreeSet::new(),
            transfers: Registry::default(),
        }
    }
}

impl Venue {
    #[inline]
    pub(crate) fn market(&self, id: InstrumentId) -> Option<&Market> {
        self.markets.get((id.0 as usize).checked_sub(1)?)
    }

    /// The market of an instrument that is known to exist.
    #[inline]
    pub(crate) fn known(&mut self, id: InstrumentId) -> &mut Market {
        &mut self.markets[id.0 as usize - 1]
    }

    /// A user's account.
    #[inline]
    pub(crate) fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(id.0 as usize).filter(|_| id != AccountId::VENUE)
    }

    pub(crate) fn instrument_named(&self, symbol: &Symbol) -> Option<InstrumentId> {
        self.instrument_ids.get(symbol).copied()
    }

    pub(crate) fn account_named(&self, name: &AccountName) -> Option<AccountId> {
        self.account_ids.get(name).copied()
    }

    pub(crate) fn asset_named(&self, name: &AssetName) -> Option<AssetId> {
        self.asset_ids.get(name).copied()
    }

    pub(crate) fn add_asset(&mut self, name: AssetName) -> AssetId {
        self.assets.push(name);
        let id = AssetId(self.assets.len() as u32);
        self.asset_ids.insert(name, id);
        id
    }

    /// Base and quote come with the venue's own balances of them.
    pub(crate) fn add_market(
        &mut self,
        base: (AssetId, Row),
        quote: (AssetId, Row),
        of: InstrumentDefinition,
    ) {
        let id = InstrumentId(self.markets.len() as u32 + 1);
        self.instrument_ids.insert(of.symbol, id);
        self.markets.push(Market::new(id, base, quote, of));
    }

    pub(crate) fn add_account(&mut self, name: AccountName, account: Account) -> AccountId {
        let id = AccountId(self.accounts.len() as u32);
        self.account_ids.insert(name, id);
        self.accounts.push(account);
        self.account_names.push(name);
        id
    }

    /// Instruments to which the passing of time may do something, by id.
    pub(crate) fn timed(&self) -> Vec<InstrumentId> {
        self.collecting.union(&self.scheduled).copied().collect()
    }

    /// The most particular rates: account, then instrument, then venue.
    #[inline]
    pub(crate) fn rates_of(&self, account: AccountId, market: &Market) -> Rates {
        let own = self.accounts.get(account.0 as usize).and_then(|account| account.rates);
        own.or(market.rates).unwrap_or(self.rates)
    }
}

fn is_valid_definition(definition: &InstrumentDefinition) -> bool {
    let filters = &definition.filters;
    let prices =
        [filters.price.min, filters.price.max, filters.price.tick, definition.reference_price];
    let quantities = [
        filters.lot_size.min,
        filters.lot_size.max,
        filters.lot_size.step,
        filters.market_lot_size.min,
        filters.market_lot_size.max,
        filters.market_lot_size.step,
    ];
    let amounts = [
        filters.min_notional.min,
        filters.notional.min,
        filters.notional.max,
        filters.max_position,
    ];
    let minutes = [
        filters.percent_price.average_minutes,
        filters.percent_price_by_side.average_minutes,
        filters.min_notional.average_minutes,
        filters.notional.average_minutes,
    ];
    let precisions = [
        definition.base_precision,
        definition.quote_precision,
        definition.base_commission_precision,
        definition.quote_commission_precision,
    ];
    let known = filter::ALL.iter().fold(0, |set, (bit, _)| set | bit);
    let names =
        [definition.symbol.is_empty(), definition.base.is_empty(), definition.quote.is_empty()];
    names == [false; 3]
        && definition.base != definition.quote
        && prices.iter().all(|price| price.is_valid())
        && quantities.iter().all(|quantity| quantity.is_valid())
        && amounts.iter().all(|amount| (Amount::ZERO..=Amount::MAX).contains(amount))
        && minutes.iter().all(|minutes| *minutes <= AVERAGE_MINUTES_MAX)
        && precisions.iter().all(|digits| *digits <= number::DECIMALS as u8)
        && filters.present & !known == 0
        && definition.allowed_stp_modes & definition.default_stp_mode.bit() != 0
        && definition.status != InstrumentStatus::VolatilityAuction
}

impl Engine {
    pub(crate) fn genesis(&mut self, command: &Genesis, out: &mut impl EventSink) -> Refusal {
        if self.genesis.is_some() {
            return Err(RejectReason::AlreadyDefined);
        }
        if command.rules != RULES_VERSION {
            return Err(RejectReason::UnknownRules);
        }
        self.open(command.seed, command.rules);
        out.emit(RulesSet { rules: command.rules });
        Ok(())
    }

    pub(crate) fn set_rules(&mut self, command: &SetRules, out: &mut impl EventSink) -> Refusal {
        if command.rules != RULES_VERSION {
            return Err(RejectReason::UnknownRules);
        }
        if command.rules == self.rules {
            return Err(RejectReason::NoChange);
        }
        self.rules = command.rules;
        out.emit(RulesSet { rules: command.rules });
        Ok(())
    }

    pub(crate) fn define_instrument(
        &mut self,
        definition: &InstrumentDefinition,
        out: &mut impl EventSink,
    ) -> Refusal {
        if !is_valid_definition(definition) {
            return Err(RejectReason::InvalidDefinition);
        }
        let existing = self.venue.instrument_named(&definition.symbol);
        if let Some(id) = existing {
            let market = self.venue.known(id);
            let stands = market.definition();
            // Phases change by a command of their own.
            let has_phase = market.is_collecting() || definition.status.is_auction();
            if has_phase && stands.status != definition.status {
                return Err(RejectReason::InvalidDefinition);
            }
            if (stands.base, stands.quote) != (definition.base, definition.quote) {
                return Err(RejectReason::AssetMismatch);
            }
            if stands == definition {
                return Err(RejectReason::NoChange);
            }
            market.define(definition);
        } else {
            let unknown = |name| usize::from(self.venue.asset_named(name).is_none());
            let new_assets = unknown(&definition.base) + unknown(&definition.quote);
            if self.venue.markets.len() >= INSTRUMENTS_MAX
                || self.venue.assets.len() + new_assets > ASSETS_MAX
            {
                return Err(RejectReason::TooManyDefinitions);
            }
            let base = self.define_asset(definition.base, out);
            let quote = self.define_asset(definition.quote, out);
            self.add_market(base, quote, *definition);
            if definition.status.is_auction() {
                let market = self.venue.markets.last_mut().expect("it was added");
                market.collect();
                let id = market.id;
                self.venue.collecting.insert(id);
            }
        }
        let id = self.venue.instrument_named(&definition.symbol).unwrap_or_default();
        let market = self.venue.known(id);
        let (base, quote) = (market.base, market.quote);
        out.emit(InstrumentDefined { instrument: id, base, quote, definition: *definition });
        Ok(())
    }

    /// The venue's balances of the assets exist from then on.
    pub(crate) fn add_market(&mut self, base: AssetId, quote: AssetId, of: InstrumentDefinition) {
        let [base, quote] =
            [base, quote].map(|asset| (asset, self.ledger.row(AccountId::VENUE, asset)));
        self.venue.add_market(base, quote, of);
    }

    fn define_asset(&mut self, name: AssetName, out: &mut impl EventSink) -> AssetId {
        self.venue.asset_named(&name).unwrap_or_else(|| {
            let asset = self.venue.add_asset(name);
            out.emit(AssetDefined { asset, name });
            asset
        })
    }

    pub(crate) fn define_account(
        &mut self,
        command: &DefineAccount,
        out: &mut impl EventSink,
    ) -> Refusal {
        let DefineAccount { name, trade_group, permissions, .. } = *command;
        if name.is_empty() || permissions & !account_permission::ALL != 0 {
            return Err(RejectReason::InvalidDefinition);
        }
        let account = match self.venue.account_named(&name) {
            Some(id) => {
                let account = &mut self.venue.accounts[id.0 as usize];
                if (account.trade_group, account.permissions) == (trade_group, permissions) {
                    return Err(RejectReason::NoChange);
                }
                account.trade_group = trade_group;
                account.permissions = permissions;
                id
            }
            None if self.venue.accounts.len() > ACCOUNTS_MAX => {
                return Err(RejectReason::TooManyDefinitions);
            }
            None => self.venue.add_account(name, Account::new(trade_group, permissions)),
        };
        out.emit(AccountDefined { account, name, trade_group, permissions });
        Ok(())
    }

    pub(crate) fn add_key(&mut self, command: &AddKey, out: &mut impl EventSink) -> Refusal {
        if command.key.is_empty()
            || command.material.is_empty()
            || command.permissions & !key_permission::ALL != 0
        {
            return Err(RejectReason::InvalidDefinition);
        }
        let named = self.venue.account_named(&command.account);
        let added = KeyAdded {
            account: named.ok_or(RejectReason::UnknownAccount)?,
            key: command.key,
            kind: command.kind,
            permissions: command.permissions,
            material: command.material,
        };
        match self.venue.keys.get(&command.key) {
            Some(stands) if *stands == added => return Err(RejectReason::NoChange),
            None if self.venue.keys.len() >= KEYS_MAX => {
                return Err(RejectReason::TooManyDefinitions);
            }
            _ => {}
        }
        self.venue.keys.insert(command.key, added);
        out.emit(added);
        Ok(())
    }

    pub(crate) fn remove_key(&mut self, command: &RemoveKey, out: &mut impl EventSink) -> Refusal {
        let removed = self.venue.keys.remove(&command.key).ok_or(RejectReason::UnknownKey)?;
        out.emit(KeyRemoved { account: removed.account, key: removed.key });
        Ok(())
    }

    pub(crate) fn set_fees(&mut self, command: &SetFees, out: &mut impl EventSink) -> Refusal {
        let SetFees { scope, name, maker, taker, .. } = *command;
        let too_high = maker.max(taker) > COMMISSION_RATE_MAX;
        if too_high || (scope == FeeScope::Venue && !name.is_empty()) {
            return Err(RejectReason::InvalidDefinition);
        }
        let mut set = FeesSet {
            scope,
            instrument: InstrumentId::NONE,
            account: AccountId::VENUE,
            maker,
            taker,
        };
        let rates = Rates { maker, taker };
        let changed = match scope {
            FeeScope::Venue => core::mem::replace(&mut self.venue.rates, rates) != rates,
            FeeScope::Instrument => {
                let named = self.venue.instrument_named(&name);
                set.instrument = named.ok_or(RejectReason::UnknownInstrument)?;
                self.venue.known(set.instrument).rates.replace(rates) != Some(rates)
            }
            FeeScope::Account => {
                let named = self.venue.account_named(&name);
                set.account = named.ok_or(RejectReason::UnknownAccount)?;
                let account = &mut self.venue.accounts[set.account.0 as usize];
                account.rates.replace(rates) != Some(rates)
            }
        };
        if !changed {
            return Err(RejectReason::NoChange);
        }
        out.emit(set);
        Ok(())
    }

    pub(crate) fn set_rate_limit(
        &mut self,
        command: &SetRateLimit,
        out: &mut impl EventSink,
    ) -> Refusal {
        let SetRateLimit { kind, interval, interval_count, limit, .. } = *command;
        if interval_count == 0 {
            return Err(RejectReason::InvalidDefinition);
        }
        let place = (kind, interval, interval_count);
        let stands = self.venue.rate_limits.get(&place).map_or(0, |set| set.limit);
        if stands == limit {
            return Err(RejectReason::NoChange);
        }
        let set = RateLimitSet { kind, interval, interval_count, limit };
        match limit {
            0 => drop(self.venue.rate_limits.remove(&place)),
            _ => self.venue.rate_limits.insert(place, set),
        }
        out.emit(set);
        Ok(())
    }

    pub(crate) fn set_venue_limits(
        &mut self,
        command: &SetVenueLimits,
        out: &mut impl EventSink,
    ) -> Refusal {
        let limits = command.limits;
        if limits == self.venue.limits {
            return Err(RejectReason::NoChange);
        }
        self.venue.limits = limits;
        out.emit(VenueLimitsSet { limits });
        Ok(())
    }

    pub(crate) fn transfer(&mut self, command: &Transfer, out: &mut impl EventSink) -> Refusal {
        let (account, asset) = self.check_transfer(command)?;
        let (from, to) = match command.direction {
            TransferDirection::Deposit => (AccountId::VENUE, account),
            TransferDirection::Withdrawal => (account, AccountId::VENUE),
        };
        let [from, to] = [from, to].map(|account| self.ledger.row(account, asset));
        self.ledger.transfer(from, to, command.amount);
        let executed = TransferExecuted {
            transfer: command.transfer,
            account,
            asset,
            direction: command.direction,
            amount: command.amount,
        };
        self.venue.transfers.insert(command.transfer, executed);
        out.emit(executed);
        let row = self.ledger.row(account, asset);
        self.emit_balance(row, out);
        Ok(())
    }

    fn check_transfer(&self, command: &Transfer) -> Result<(AccountId, AssetId), RejectReason> {
        if command.transfer.is_empty() {
            return Err(RejectReason::InvalidDefinition);
        }
        if self.venue.transfers.get(&command.transfer).is_some() {
            return Err(RejectReason::DuplicateTransfer);
        }
        let named = self.venue.account_named(&command.account);
        let account = named.ok_or(RejectReason::UnknownAccount)?;
        let asset = self.venue.asset_named(&command.asset).ok_or(RejectReason::UnknownAsset)?;
        if command.amount <= Amount::ZERO || command.amount > Amount::MAX {
            return Err(RejectReason::InvalidAmount);
        }
        let permissions = self.venue.accounts[account.0 as usize].permissions;
        let (needed, insufficient) = match command.direction {
            TransferDirection::Deposit => {
                let owed = self.ledger.balance(AccountId::VENUE, asset).free;
                let insufficient = owed - command.amount < -Amount::MAX;
                (account_permission::DEPOSIT, insufficient.then_some(RejectReason::InvalidAmount))
            }
            TransferDirection::Withdrawal => {
                let free = self.ledger.balance(account, asset).free;
                let insufficient = free < command.amount;
                let reason = RejectReason::InsufficientBalance;
                (account_permission::WITHDRAW, insufficient.then_some(reason))
            }
        };
        if permissions & needed == 0 {
            return Err(RejectReason::TransferNotPermitted);
        }
        insufficient.map_or(Ok((account, asset)), Err)
    }

    /// Tells everything that defines the venue as it stands, as the events that would define it.
    pub fn describe(&self, out: &mut impl EventSink) {
        let venue = &self.venue;
        if self.genesis.is_some() {
            out.emit(RulesSet { rules: self.rules });
        }
        for (name, asset) in venue.assets.iter().zip(1u32..) {
            out.emit(AssetDefined { asset: AssetId(asset), name: *name });
        }
        for market in &venue.markets {
            let (instrument, base, quote) = (market.id, market.base, market.quote);
            let definition = *market.definition();
            out.emit(InstrumentDefined { instrument, base, quote, definition });
        }
        let named = venue.accounts.iter().zip(&venue.account_names).zip(0u32..);
        for ((account, name), id) in named.skip(1) {
            let Account { trade_group, permissions, .. } = *account;
            let (account, name) = (AccountId(id), *name);
            out.emit(AccountDefined { account, name, trade_group, permissions });
        }
        venue.keys.values().for_each(|key| out.emit(*key));
        self.describe_fees(out);
        venue.rate_limits.values().for_each(|limit| out.emit(*limit));
        out.emit(VenueLimitsSet { limits: venue.limits });
        self.describe_regulation(out);
        venue.transfers.values().for_each(|transfer| out.emit(*transfer));
    }

    fn describe_fees(&self, out: &mut impl EventSink) {
        let (instrument, account) = (InstrumentId::NONE, AccountId::VENUE);
        let venue = &self.venue;
        let Rates { maker, taker } = venue.rates;
        out.emit(FeesSet { scope: FeeScope::Venue, instrument, account, maker, taker });
        for market in &venue.markets {
            if let Some(Rates { maker, taker }) = market.rates {
                let scope = FeeScope::Instrument;
                out.emit(FeesSet { scope, instrument: market.id, account, maker, taker });
            }
        }
        for (id, of) in venue.accounts.iter().zip(0u32..).map(|(of, id)| (AccountId(id), of)) {
            if let Some(Rates { maker, taker }) = of.rates {
                let scope = FeeScope::Account;
                out.emit(FeesSet { scope, instrument, account: id, maker, taker });
            }
        }
    }
}
