//! Commands of the venue: definitions, keys, fees, limits, money in and out. (§2)

use super::*;
use protocol::instrument::{AVERAGE_MINUTES_MAX, Symbol, filter};

const INSTRUMENTS_MAX: usize = 65_536;
const ASSETS_MAX: usize = 65_536;
const ACCOUNTS_MAX: usize = 1_048_576;
const KEYS_MAX: usize = 1_048_576;
const PRECISION_MAX: u8 = 8;

impl Model {
    pub(super) fn genesis(&mut self, command: &Genesis) -> Refusable {
        if self.rules != 0 {
            return Err(RejectReason::AlreadyDefined);
        }
        if command.rules != RULES {
            return Err(RejectReason::UnknownRules);
        }
        self.rules = command.rules;
        self.emit(RulesSet { rules: self.rules });
        Ok(())
    }

    pub(super) fn set_rules(&mut self, command: &SetRules) -> Refusable {
        match command.rules {
            RULES => Err(RejectReason::NoChange),
            _ => Err(RejectReason::UnknownRules),
        }
    }

    pub(super) fn gateway_joined(&mut self, command: &GatewayJoined) -> Refusable {
        let Origin { node, slot, .. } = command.envelope.origin;
        let attached = self.slots.entry((node, slot)).or_default();
        attached.incarnation += 1;
        attached.last_number = 0;
        let incarnation = attached.incarnation;
        self.emit(GatewayAdmitted { node, slot, incarnation, nonce: command.nonce });
        Ok(())
    }

    // Definitions.

    pub(super) fn define_instrument(&mut self, definition: &InstrumentDefinition) -> Refusable {
        let at = self.find_instrument(&definition.symbol);
        if !is_valid(definition) || self.leads_past_a_phase(at, definition.status) {
            return Err(RejectReason::InvalidDefinition);
        }
        if let Some(at) = at {
            let known = &self.instruments[at].definition;
            if known.base != definition.base || known.quote != definition.quote {
                return Err(RejectReason::AssetMismatch);
            }
            if known == definition {
                return Err(RejectReason::NoChange);
            }
        }
        let pair = [definition.base, definition.quote];
        let new_assets = pair.iter().filter(|name| !self.assets.contains(name)).count();
        if (at.is_none() && self.instruments.len() == INSTRUMENTS_MAX)
            || self.assets.len() + new_assets > ASSETS_MAX
        {
            return Err(RejectReason::TooManyDefinitions);
        }
        let [base, quote] = pair.map(|name| self.find_or_define_asset(name));
        let definition = *definition;
        let instrument = match at {
            Some(at) => {
                self.instruments[at].definition = definition;
                self.instruments[at].id
            }
            None => {
                let id = InstrumentId(self.instruments.len() as u32 + 1);
                self.instruments.push(Instrument::new(id, definition, base, quote));
                id
            }
        };
        self.emit(InstrumentDefined { instrument, base, quote, definition });
        Ok(())
    }

    /// Auctions begin and end by `SetInstrumentStatus` alone.
    fn leads_past_a_phase(&self, at: Option<usize>, status: InstrumentStatus) -> bool {
        let before = at.map(|at| &self.instruments[at]);
        status == InstrumentStatus::VolatilityAuction
            || before.is_some_and(|Instrument { definition, collecting, .. }| {
                definition.status != status
                    && (definition.status.is_auction() || status.is_auction() || *collecting)
            })
    }

    pub(super) fn find_instrument(&self, symbol: &Symbol) -> Option<usize> {
        self.instruments.iter().position(|it| it.definition.symbol == *symbol)
    }

    fn find_asset(&self, name: &AssetName) -> Option<AssetId> {
        let at = self.assets.iter().position(|it| it == name)?;
        Some(AssetId(at as u32 + 1))
    }

    fn find_or_define_asset(&mut self, name: AssetName) -> AssetId {
        if let Some(asset) = self.find_asset(&name) {
            return asset;
        }
        self.assets.push(name);
        let asset = AssetId(self.assets.len() as u32);
        self.emit(AssetDefined { asset, name });
        asset
    }

    pub(super) fn define_account(&mut self, command: &DefineAccount) -> Refusable {
        let DefineAccount { name, trade_group, permissions, .. } = *command;
        if name.is_empty() || permissions & !account_permission::ALL != 0 {
            return Err(RejectReason::InvalidDefinition);
        }
        let account = match self.find_account(&name) {
            Some(id) => {
                let known = self.account(id);
                if (known.trade_group, known.permissions) == (trade_group, permissions) {
                    return Err(RejectReason::NoChange);
                }
                self.accounts[id.0 as usize - 1] = Account { name, trade_group, permissions };
                id
            }
            None if self.accounts.len() == ACCOUNTS_MAX => {
                return Err(RejectReason::TooManyDefinitions);
            }
            None => {
                self.accounts.push(Account { name, trade_group, permissions });
                AccountId(self.accounts.len() as u32)
            }
        };
        self.emit(AccountDefined { account, name, trade_group, permissions });
        Ok(())
    }

    pub(super) fn find_account(&self, name: &AccountName) -> Option<AccountId> {
        let at = self.accounts.iter().position(|it| it.name == *name)?;
        Some(AccountId(at as u32 + 1))
    }

    pub(super) fn add_key(&mut self, command: &AddKey) -> Refusable {
        let AddKey { key, kind, permissions, material, .. } = *command;
        let unknown_bits = permissions & !key_permission::ALL != 0;
        if key.is_empty() || material.is_empty() || unknown_bits {
            return Err(RejectReason::InvalidDefinition);
        }
        let account = self.find_account(&command.account).ok_or(RejectReason::UnknownAccount)?;
        let added = KeyAdded { account, key, kind, permissions, material };
        if self.keys.get(&key) == Some(&added) {
            return Err(RejectReason::NoChange);
        }
        if self.keys.len() == KEYS_MAX && !self.keys.contains_key(&key) {
            return Err(RejectReason::TooManyDefinitions);
        }
        self.keys.insert(key, added);
        self.emit(added);
        Ok(())
    }

    pub(super) fn remove_key(&mut self, command: &RemoveKey) -> Refusable {
        let removed = self.keys.remove(&command.key).ok_or(RejectReason::UnknownKey)?;
        self.emit(KeyRemoved { account: removed.account, key: removed.key });
        Ok(())
    }

    // Fees and limits.

    pub(super) fn set_fees(&mut self, command: &SetFees) -> Refusable {
        let SetFees { scope, name, maker, taker, .. } = *command;
        let named_venue = scope == FeeScope::Venue && !name.is_empty();
        if maker > COMMISSION_RATE_MAX || taker > COMMISSION_RATE_MAX || named_venue {
            return Err(RejectReason::InvalidDefinition);
        }
        let (mut instrument, mut account) = (InstrumentId::NONE, AccountId::NONE);
        match scope {
            FeeScope::Venue => {}
            FeeScope::Instrument => {
                let at = self.find_instrument(&name).ok_or(RejectReason::UnknownInstrument)?;
                instrument = self.instruments[at].id;
            }
            FeeScope::Account => {
                account = self.find_account(&name).ok_or(RejectReason::UnknownAccount)?;
            }
        }
        let place = (scope, instrument.0.max(account.0));
        let rates = Rates { maker, taker };
        // The venue's start at 0; the others start unset, which is not 0.
        let stands = match scope {
            FeeScope::Venue => Some(self.fees.get(&place).copied().unwrap_or_default()),
            FeeScope::Instrument | FeeScope::Account => self.fees.get(&place).copied(),
        };
        if stands == Some(rates) {
            return Err(RejectReason::NoChange);
        }
        self.fees.insert(place, rates);
        self.emit(FeesSet { scope, instrument, account, maker, taker });
        Ok(())
    }

    pub(super) fn rates(&self, instrument: InstrumentId, account: AccountId) -> Rates {
        let of_account = self.fees.get(&(FeeScope::Account, account.0));
        let of_instrument = self.fees.get(&(FeeScope::Instrument, instrument.0));
        let of_venue = self.fees.get(&(FeeScope::Venue, 0));
        of_account.or(of_instrument).or(of_venue).copied().unwrap_or_default()
    }

    pub(super) fn set_rate_limit(&mut self, command: &SetRateLimit) -> Refusable {
        let SetRateLimit { kind, interval, interval_count, limit, .. } = *command;
        if interval_count == 0 {
            return Err(RejectReason::InvalidDefinition);
        }
        let place = (kind, interval, interval_count);
        // None stands for 0.
        if self.rate_limits.get(&place).copied().unwrap_or(0) == limit {
            return Err(RejectReason::NoChange);
        }
        self.rate_limits.insert(place, limit);
        self.emit(RateLimitSet { kind, interval, interval_count, limit });
        Ok(())
    }

    pub(super) fn set_venue_limits(&mut self, command: &SetVenueLimits) -> Refusable {
        if self.limits == command.limits {
            return Err(RejectReason::NoChange);
        }
        self.limits = command.limits;
        self.emit(VenueLimitsSet { limits: self.limits });
        Ok(())
    }

    // Money in and out.

    pub(super) fn transfer(&mut self, command: &Transfer) -> Refusable {
        let Transfer { transfer, direction, amount, .. } = *command;
        if transfer.is_empty() {
            return Err(RejectReason::InvalidDefinition);
        }
        if self.transfers.contains(&transfer) {
            return Err(RejectReason::DuplicateTransfer);
        }
        let account = self.find_account(&command.account).ok_or(RejectReason::UnknownAccount)?;
        let asset = self.find_asset(&command.asset).ok_or(RejectReason::UnknownAsset)?;
        if amount <= Amount::ZERO || amount > Amount::MAX {
            return Err(RejectReason::InvalidAmount);
        }
        let (permission, signed) = match direction {
            TransferDirection::Deposit => (account_permission::DEPOSIT, amount.0),
            TransferDirection::Withdrawal => (account_permission::WITHDRAW, -amount.0),
        };
        if self.account(account).permissions & permission == 0 {
            return Err(RejectReason::TransferNotPermitted);
        }
        if self.balance(AccountId::VENUE, asset).free - signed < -Amount::MAX.0 {
            return Err(RejectReason::InvalidAmount);
        }
        if self.balance(account, asset).free + signed < 0 {
            return Err(RejectReason::InsufficientBalance);
        }
        self.transfers.insert(transfer);
        self.balance_mut(AccountId::VENUE, asset).free -= signed;
        self.balance_mut(account, asset).free += signed;
        self.emit(TransferExecuted { transfer, account, asset, direction, amount });
        self.emit_balance(account, asset);
        Ok(())
    }
}

impl Instrument {
    fn new(
        id: InstrumentId,
        definition: InstrumentDefinition,
        base: AssetId,
        quote: AssetId,
    ) -> Instrument {
        Instrument {
            id,
            definition,
            base,
            quote,
            trading_rules: TradingRules::default(),
            calendar: [CalendarEntry::NONE; CALENDAR_ENTRIES_MAX],
            last_trade: None,
            minutes: BTreeMap::new(),
            reference_trades: Vec::new(),
            collecting: definition.status.is_auction(),
            until: Stamp(0),
            told_indication: Indication::NONE,
            told_levels: Levels::new(),
            trades: 0,
            aggregates: 0,
            executions: 0,
            updates: 0,
            prevented_matches: 0,
        }
    }
}

fn is_valid(definition: &InstrumentDefinition) -> bool {
    let InstrumentDefinition { symbol, base, quote, filters, .. } = definition;
    let names = !symbol.is_empty() && !base.is_empty() && !quote.is_empty() && base != quote;
    let prices =
        [definition.reference_price, filters.price.min, filters.price.max, filters.price.tick];
    let (lot, market_lot) = (filters.lot_size, filters.market_lot_size);
    let quantities = [lot.min, lot.max, lot.step, market_lot.min, market_lot.max, market_lot.step];
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
    let known_filters = filter::ALL.iter().fold(0, |set, (bit, _)| set | bit);
    names
        && prices.iter().all(|price| price.is_valid())
        && quantities.iter().all(|quantity| quantity.is_valid())
        && amounts.iter().all(|amount| (Amount::ZERO..=Amount::MAX).contains(amount))
        && minutes.iter().all(|minutes| *minutes <= AVERAGE_MINUTES_MAX)
        && filters.present & !known_filters == 0
        && definition.allowed_stp_modes & definition.default_stp_mode.bit() != 0
        && precisions.iter().all(|precision| *precision <= PRECISION_MAX)
}
