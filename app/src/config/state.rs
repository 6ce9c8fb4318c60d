//! What the venue's state holds, as far as a configuration can speak of it: a fold over events.

use engine::Engine;
use protocol::command::{
    AccountName, ApiKey, Calendar, KEY_MATERIAL_LENGTH_MAX, RiskLimits, TradingRules, TransferId,
    VenueLimits,
};
use protocol::event::{FeesSet, TransferExecuted};
use protocol::instrument::{AssetName, Symbol};
use protocol::{
    AccountId, AssetId, Bytes, Event, FeeScope, InstrumentDefinition, InstrumentId, KeyKind,
    RateLimitInterval, RateLimitKind,
};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountState {
    pub id: AccountId,
    pub trade_group: u32,
    pub permissions: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyState {
    pub account: AccountId,
    pub kind: KeyKind,
    pub permissions: u8,
    /// Sealed secret or DER of a public key.
    pub material: Bytes<KEY_MATERIAL_LENGTH_MAX>,
}

/// Commission rates in counts of 10^-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    pub maker: u32,
    pub taker: u32,
}

/// Which rate limit.
pub type RateLimitId = (RateLimitKind, RateLimitInterval, u32);

/// The state of the venue: what a configuration is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VenueState {
    /// Version of the rules; none before genesis.
    pub rules: Option<u32>,
    pub instruments: BTreeMap<Symbol, InstrumentDefinition>,
    pub accounts: BTreeMap<AccountName, AccountState>,
    pub keys: BTreeMap<ApiKey, KeyState>,
    pub venue_fees: Option<Rates>,
    pub instrument_fees: BTreeMap<Symbol, Rates>,
    pub account_fees: BTreeMap<AccountName, Rates>,
    pub rate_limits: BTreeMap<RateLimitId, u32>,
    pub limits: VenueLimits,
    pub trading: BTreeMap<Symbol, TradingRules>,
    pub calendars: BTreeMap<Symbol, Calendar>,
    /// An empty name is every account, every instrument.
    pub risk: BTreeMap<(AccountName, Symbol), RiskLimits>,
    /// Every transfer that was executed, by its id.
    pub transfers: BTreeMap<TransferId, TransferExecuted>,
    symbols: BTreeMap<InstrumentId, Symbol>,
    names: BTreeMap<AccountId, AccountName>,
    assets: BTreeMap<AssetId, AssetName>,
}

impl VenueState {
    /// The venue as an engine has it.
    pub fn of(engine: &Engine) -> VenueState {
        let (mut state, mut events) = (VenueState::default(), Vec::new());
        engine.describe(&mut events);
        events.iter().for_each(|event| state.apply(event));
        state
    }

    /// Folds one event. Events of orders and trades change nothing here.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::RulesSet(event) => self.rules = Some(event.rules),
            Event::AssetDefined(event) => {
                self.assets.insert(event.asset, event.name);
            }
            Event::InstrumentDefined(event) => {
                self.symbols.insert(event.instrument, event.definition.symbol);
                self.instruments.insert(event.definition.symbol, event.definition);
            }
            Event::InstrumentStatusSet(event) => {
                let symbol = self.symbols.get(&event.instrument);
                let definition = symbol.and_then(|symbol| self.instruments.get_mut(symbol));
                if let Some(definition) = definition {
                    definition.status = event.status;
                }
            }
            Event::AccountDefined(event) => {
                let (id, trade_group) = (event.account, event.trade_group);
                let account = AccountState { id, trade_group, permissions: event.permissions };
                self.names.insert(id, event.name);
                self.accounts.insert(event.name, account);
            }
            Event::KeyAdded(event) => {
                let key = KeyState {
                    account: event.account,
                    kind: event.kind,
                    permissions: event.permissions,
                    material: event.material,
                };
                self.keys.insert(event.key, key);
            }
            Event::KeyRemoved(event) => {
                self.keys.remove(&event.key);
            }
            Event::FeesSet(event) => self.set_fees(event),
            Event::RateLimitSet(event) => {
                let limit = (event.kind, event.interval, event.interval_count);
                match event.limit {
                    0 => self.rate_limits.remove(&limit),
                    limited => self.rate_limits.insert(limit, limited),
                };
            }
            Event::VenueLimitsSet(event) => self.limits = event.limits,
            Event::TradingRulesSet(event) => {
                if let Some(symbol) = self.symbols.get(&event.instrument) {
                    self.trading.insert(*symbol, event.rules);
                }
            }
            Event::CalendarSet(event) => {
                if let Some(symbol) = self.symbols.get(&event.instrument) {
                    self.calendars.insert(*symbol, event.entries);
                }
            }
            Event::RiskLimitsSet(event) => {
                let account = self.names.get(&event.account).copied().unwrap_or_default();
                let symbol = self.symbols.get(&event.instrument).copied().unwrap_or_default();
                match event.limits == RiskLimits::default() {
                    true => self.risk.remove(&(account, symbol)),
                    false => self.risk.insert((account, symbol), event.limits),
                };
            }
            Event::TransferExecuted(event) => {
                self.transfers.insert(event.transfer, *event);
            }
            _ => {}
        }
    }

    fn set_fees(&mut self, event: &FeesSet) {
        let rates = Rates { maker: event.maker, taker: event.taker };
        match event.scope {
            FeeScope::Venue => self.venue_fees = Some(rates),
            FeeScope::Instrument => {
                if let Some(symbol) = self.symbols.get(&event.instrument) {
                    self.instrument_fees.insert(*symbol, rates);
                }
            }
            FeeScope::Account => {
                if let Some(name) = self.names.get(&event.account) {
                    self.account_fees.insert(*name, rates);
                }
            }
        }
    }

    pub fn account_name(&self, account: AccountId) -> Option<AccountName> {
        self.names.get(&account).copied()
    }

    /// Ids of all assets.
    pub fn assets(&self) -> impl Iterator<Item = AssetId> + Clone + '_ {
        self.assets.keys().copied()
    }

    pub fn asset_name(&self, asset: AssetId) -> Option<AssetName> {
        self.assets.get(&asset).copied()
    }
}
