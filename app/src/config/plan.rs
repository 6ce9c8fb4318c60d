//! What a start would propose: the commands that bring the state to the configuration.
//!
//! What the configuration does not mention is left alone. A difference that no command can make up
//! for stops the plan with the line of the file.

use super::key::Material;
use super::rules::{calendar_text, risk_text, rules_terms};
use super::source::{ConfigError, Source};
use super::state::{KeyState, Rates, VenueState};
use super::venue::{Deposit, Fees, Instrument, Key, KeyTerms, Limits, RateLimit, Risk};
use super::{Account, Config};
use crate::seal::Sealer;
use engine::RULES_VERSION;
use gateway::exchange_info::shape::{
    CAPABILITIES, FILTERS, PRECISIONS, Word, decimal_text, permission_names, snake_case,
};
use protocol::command::*;
use protocol::event::TransferExecuted;
use protocol::instrument::Symbol;
use protocol::{
    Amount, Bytes, Command, Envelope, FeeScope, InstrumentDefinition, KeyKind, OrderKind, StpMode,
    TransferDirection,
};
use std::fmt;

/// One command and what it means to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// With `Envelope::INTERNAL`; the caller sets the origin.
    pub command: Command,
    /// `+ account alice …`; more than one line where several fields change.
    pub text: String,
}

/// The commands in an order in which they succeed. Prints as what a start would propose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The log is empty: [`Plan::genesis`] goes first.
    pub is_new: bool,
    pub steps: Vec<Step>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        !self.is_new && self.steps.is_empty()
    }

    /// The first command of a new log; the caller draws the seed. A gateway joins behind it, and
    /// the other commands carry its origin.
    pub fn genesis(&self, seed: u64) -> Option<Command> {
        let genesis = Genesis { envelope: Envelope::INTERNAL, seed, rules: RULES_VERSION };
        self.is_new.then(|| genesis.into())
    }

    /// The commands behind genesis.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.steps.iter().map(|step| &step.command)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing to propose: the state is as configured");
        }
        if self.is_new {
            writeln!(f, "+ genesis with version {RULES_VERSION} of the rules")?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{}", step.text))
    }
}

/// Differences that cannot be proposed, each with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError(pub Vec<ConfigError>);

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, conflict) in self.0.iter().enumerate() {
            let line_feed = if index == 0 { "" } else { "\n" };
            write!(f, "{line_feed}! {conflict}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanError {}

/// Compares the configuration with the state.
pub fn plan(config: &Config, state: &VenueState, sealer: &Sealer) -> Result<Plan, PlanError> {
    let mut planner = Planner { state, sealer, steps: Vec::new(), conflicts: Vec::new() };
    let venue = &config.venue;
    let is_new = state.rules.is_none();
    for instrument in &venue.instruments {
        let symbol = instrument.definition.symbol;
        planner.instrument(instrument);
        instrument.trading.iter().for_each(|rules| planner.trading(symbol, *rules));
        instrument.calendar.iter().for_each(|calendar| planner.calendar(symbol, *calendar));
    }
    venue.accounts.iter().for_each(|it| planner.account(it));
    venue.fees.iter().for_each(|it| planner.fees(it));
    venue.keys.iter().for_each(|it| planner.key(it));
    // Limits that are only our default are for a new log: an old one has its own.
    let limits = venue.rate_limits.iter().filter(|it| is_new || it.source != Source::Default);
    limits.for_each(|it| planner.rate_limit(it));
    planner.venue_limits(&venue.limits);
    venue.risk.iter().for_each(|it| planner.risk(it));
    venue.deposits.iter().for_each(|it| planner.deposit(it, &venue.accounts));
    match planner.conflicts.is_empty() {
        true => Ok(Plan { is_new, steps: planner.steps }),
        false => Err(PlanError(planner.conflicts)),
    }
}

struct Planner<'p> {
    state: &'p VenueState,
    sealer: &'p Sealer,
    steps: Vec<Step>,
    conflicts: Vec<ConfigError>,
}

const ENVELOPE: Envelope = Envelope::INTERNAL;

impl Planner<'_> {
    fn propose(&mut self, command: impl Into<Command>, text: String) {
        self.steps.push(Step { command: command.into(), text });
    }

    fn conflict(&mut self, source: &Source, what: String, allowed: impl Into<String>) {
        self.conflicts.push(ConfigError::new(source, what, allowed));
    }

    fn instrument(&mut self, wanted: &Instrument) {
        let mut definition = wanted.definition;
        let symbol = definition.symbol;
        let Some(stands) = self.state.instruments.get(&symbol) else {
            let filters = FILTERS.iter().filter(|shape| definition.filters.has(shape.bit));
            let filters: String = filters.map(|shape| format!(" {}", shape.name())).collect();
            let InstrumentDefinition { base, quote, status, .. } = definition;
            let text = format!("+ instrument {symbol} {base}/{quote} {status}{filters}");
            return self.propose(DefineInstrument { envelope: ENVELOPE, definition }, text);
        };
        let assets =
            [("base", stands.base, definition.base), ("quote", stands.quote, definition.quote)];
        let mut is_other = false;
        for (what, stands, wanted_asset) in assets.iter().filter(|it| it.1 != it.2) {
            is_other = true;
            let what = format!("cannot change {what} of {symbol} from {stands} to {wanted_asset}");
            self.conflict(&wanted.source, what, stands.as_str());
        }
        if is_other {
            return;
        }
        if !wanted.status_given {
            definition.status = stands.status;
        }
        // A phase is changed by itself: a definition may not.
        let status = definition.status;
        definition.status = stands.status;
        let (old, new) = (terms(stands), terms(&definition));
        let changes: Vec<String> = old
            .iter()
            .zip(&new)
            .filter(|((_, old), (_, new))| old != new)
            .map(|((key, old), (_, new))| format!("~ instrument {symbol} {key}  {old} → {new}"))
            .collect();
        let text = match changes.is_empty() {
            true => format!("~ instrument {symbol} in what its absent filters hold"),
            false => changes.join("\n"),
        };
        if definition != *stands {
            self.propose(DefineInstrument { envelope: ENVELOPE, definition }, text);
        }
        // An interruption of trading ends by itself.
        let is_interrupted = stands.status == protocol::InstrumentStatus::VolatilityAuction;
        if status != stands.status && !is_interrupted {
            let text = format!("~ instrument {symbol} status  {} → {status}", stands.status);
            self.propose(SetInstrumentStatus { envelope: ENVELOPE, symbol, status }, text);
        }
    }

    fn account(&mut self, wanted: &Account) {
        let Account { name, trade_group, permissions, .. } = wanted;
        let shown = account_text(*trade_group, *permissions);
        let text = match self.state.accounts.get(name) {
            Some(stands)
                if (stands.trade_group, stands.permissions) == (*trade_group, *permissions) =>
            {
                return;
            }
            Some(stands) => {
                let old = account_text(stands.trade_group, stands.permissions);
                format!("~ account {name}  {old} → {shown}")
            }
            None => format!("+ account {name} {shown}"),
        };
        let (name, trade_group, permissions) = (*name, *trade_group, *permissions);
        self.propose(DefineAccount { envelope: ENVELOPE, name, trade_group, permissions }, text);
    }

    fn fees(&mut self, wanted: &Fees) {
        let Fees { scope, name, rates, .. } = wanted;
        let (stands, of) = match scope {
            // Nothing was set: they are 0.
            FeeScope::Venue => {
                (Some(self.state.venue_fees.unwrap_or_default()), "the venue".to_string())
            }
            FeeScope::Instrument => {
                (self.state.instrument_fees.get(name).copied(), format!("instrument {name}"))
            }
            FeeScope::Account => {
                (self.state.account_fees.get(name).copied(), format!("account {name}"))
            }
        };
        let text = match stands {
            Some(stands) if stands == *rates => return,
            Some(stands) => {
                format!("~ fees of {of}  {} → {}", rates_text(stands), rates_text(*rates))
            }
            None => format!("+ fees of {of} {}", rates_text(*rates)),
        };
        let (scope, name, Rates { maker, taker }) = (*scope, *name, *rates);
        self.propose(SetFees { envelope: ENVELOPE, scope, name, maker, taker }, text);
    }

    fn key(&mut self, wanted: &Key) {
        let Key { key, account, terms, source } = wanted;
        let stands = self.state.keys.get(key);
        let Some(terms) = terms else {
            if stands.is_some() {
                let text = format!("- key {key} of account {account}");
                self.propose(RemoveKey { envelope: ENVELOPE, key: *key }, text);
            }
            return;
        };
        let shown = key_text(account, terms.kind, terms.permissions);
        let text = match stands {
            None => format!("+ key {key} {shown}"),
            Some(stands) => {
                let holder = self.state.account_name(stands.account).unwrap_or_default();
                let old = key_text(&holder, stands.kind, stands.permissions);
                match self.material_stands(key, stands, terms) {
                    true if old == shown => return,
                    true => format!("~ key {key}  {old} → {shown}"),
                    false => format!("~ key {key}  {old} → {shown}, with other material ***"),
                }
            }
        };
        let material = match &terms.material {
            Material::PublicKey(der) => Bytes::new(der).map_err(|error| error.to_string()),
            Material::Secret(secret) => self
                .sealer
                .seal(secret.as_bytes(), key.as_str().as_bytes())
                .map_err(|error| error.to_string())
                .and_then(|sealed| Bytes::new(&sealed).map_err(|error| error.to_string())),
        };
        match material {
            Ok(material) => {
                let (account, key) = (*account, *key);
                let KeyTerms { kind, permissions, .. } = *terms;
                let envelope = ENVELOPE;
                let command = AddKey { envelope, account, key, kind, permissions, material };
                self.propose(command, text);
            }
            Err(what) => self.conflict(source, format!("cannot store key {key}: {what}"), ""),
        }
    }

    /// Sealing is random: secrets are compared unsealed. One that this directory's key cannot
    /// unseal is of no use, and is sealed anew.
    fn material_stands(&self, key: &ApiKey, stands: &KeyState, terms: &KeyTerms) -> bool {
        match &terms.material {
            _ if stands.kind != terms.kind => false,
            Material::PublicKey(der) => stands.material.as_bytes() == der,
            Material::Secret(secret) => {
                let aad = key.as_str().as_bytes();
                self.sealer.unseal(stands.material.as_bytes(), aad).as_ref() == Ok(secret)
            }
        }
    }

    fn rate_limit(&mut self, wanted: &RateLimit) {
        let RateLimit { id, limit, .. } = wanted;
        let (kind, interval, interval_count) = *id;
        let what = format!("rate limit {kind} per {interval_count} {interval}");
        let text = match (self.state.rate_limits.get(id), *limit) {
            (None, 0) => return,
            (Some(stands), limit) if *stands == limit => return,
            (None, limit) => format!("+ {what} {limit}"),
            (Some(stands), 0) => format!("- {what} {stands}"),
            (Some(stands), limit) => format!("~ {what}  {stands} → {limit}"),
        };
        let limit = *limit;
        let command = SetRateLimit { envelope: ENVELOPE, kind, interval, interval_count, limit };
        self.propose(command, text);
    }

    fn venue_limits(&mut self, wanted: &Limits) {
        let stands = self.state.limits;
        let limits = wanted.over(stands);
        let terms = |it: &VenueLimits| {
            [
                ("open_orders_max", it.open_orders_max),
                ("algo_orders_max", it.algo_orders_max),
                ("iceberg_orders_max", it.iceberg_orders_max),
                ("order_lists_max", it.order_lists_max),
            ]
        };
        let both = terms(&stands).into_iter().zip(terms(&limits));
        let changes: Vec<String> = both
            .filter(|((_, old), (_, new))| old != new)
            .map(|((key, old), (_, new))| format!("~ venue {key}  {old} → {new}"))
            .collect();
        if !changes.is_empty() {
            self.propose(SetVenueLimits { envelope: ENVELOPE, limits }, changes.join("\n"));
        }
    }

    fn trading(&mut self, symbol: Symbol, rules: TradingRules) {
        let stands = self.state.trading.get(&symbol).copied().unwrap_or_default();
        let both = rules_terms(&stands).into_iter().zip(rules_terms(&rules));
        let changes: Vec<String> = both
            .filter(|((_, old), (_, new))| old != new)
            .map(|((key, old), (_, new))| format!("~ trading of {symbol} {key}  {old} → {new}"))
            .collect();
        if !changes.is_empty() {
            let command = SetTradingRules { envelope: ENVELOPE, symbol, rules };
            self.propose(command, changes.join("\n"));
        }
    }

    fn calendar(&mut self, symbol: Symbol, entries: Calendar) {
        const EMPTY: Calendar = [CalendarEntry::NONE; CALENDAR_ENTRIES_MAX];
        let stands = self.state.calendars.get(&symbol).copied().unwrap_or(EMPTY);
        if stands != entries {
            let (old, new) = (calendar_text(&stands), calendar_text(&entries));
            let text = format!("~ calendar of {symbol}  {old} → {new}");
            self.propose(SetCalendar { envelope: ENVELOPE, symbol, entries }, text);
        }
    }

    fn risk(&mut self, wanted: &Risk) {
        let Risk { account, symbol, limits, .. } = *wanted;
        let stands = self.state.risk.get(&(account, symbol)).copied();
        let whose = match account.as_str() {
            "" => "all accounts".to_string(),
            name => format!("account {name}"),
        };
        let what = match symbol.as_str() {
            "" => format!("risk of {whose}"),
            symbol => format!("risk of {whose} on {symbol}"),
        };
        let is_none = limits == RiskLimits::default();
        let text = match stands {
            Some(stands) if stands == limits => return,
            None if is_none => return,
            Some(stands) if is_none => format!("- {what} {}", risk_text(&stands)),
            Some(stands) => format!("~ {what}  {} → {}", risk_text(&stands), risk_text(&limits)),
            None => format!("+ {what} {}", risk_text(&limits)),
        };
        self.propose(SetRiskLimits { envelope: ENVELOPE, account, symbol, limits }, text);
    }

    fn deposit(&mut self, wanted: &Deposit, accounts: &[Account]) {
        let Deposit { id, account, asset, amount, source } = wanted;
        if let Some(executed) = self.state.transfers.get(id) {
            if let Some(what) = self.transfer_differs(wanted, executed) {
                let what = format!("cannot change deposit {id}: {what}");
                self.conflict(source, what, "as it was executed, or a [[deposit]] with a new id");
            }
            return;
        }
        let holder = accounts.iter().find(|it| it.name == *account);
        if holder.is_none_or(|it| it.permissions & account_permission::DEPOSIT == 0) {
            let what = format!("account {account} may not deposit, and {id} is a deposit to it");
            return self.conflict(source, what, "permissions with \"DEPOSIT\"");
        }
        let shown = amount_text(*amount);
        let text = format!("+ deposit {id}: {shown} {asset} to {account}");
        let command = Transfer {
            envelope: ENVELOPE,
            transfer: *id,
            account: *account,
            asset: *asset,
            direction: TransferDirection::Deposit,
            amount: *amount,
        };
        self.propose(command, text);
    }

    fn transfer_differs(&self, wanted: &Deposit, executed: &TransferExecuted) -> Option<String> {
        let account = self.state.account_name(executed.account).unwrap_or_default();
        let asset = self.state.asset_name(executed.asset).unwrap_or_default();
        let is_same = executed.direction == TransferDirection::Deposit
            && (account, asset, executed.amount) == (wanted.account, wanted.asset, wanted.amount);
        let (what, amount) = (executed.direction, amount_text(executed.amount));
        (!is_same).then(|| {
            let wanted_amount = amount_text(wanted.amount);
            format!(
                "executed as {what} of {amount} {asset}, account {account}; the file says \
                 {wanted_amount} {}, account {}",
                wanted.asset, wanted.account
            )
        })
    }
}

fn amount_text(amount: Amount) -> String {
    decimal_text(amount.0.unsigned_abs())
}

fn rates_text(rates: Rates) -> String {
    let text = |rate: u32| decimal_text(u128::from(rate));
    format!("maker {} taker {}", text(rates.maker), text(rates.taker))
}

fn bit_names(set: u8, names: &[(u8, &str)]) -> String {
    let members: Vec<&str> =
        names.iter().filter(|(bit, _)| set & bit != 0).map(|(_, name)| *name).collect();
    format!("[{}]", members.join(" "))
}

fn account_text(trade_group: u32, permissions: u8) -> String {
    const NAMES: &[(u8, &str)] = &[
        (account_permission::TRADE, "TRADE"),
        (account_permission::DEPOSIT, "DEPOSIT"),
        (account_permission::WITHDRAW, "WITHDRAW"),
    ];
    let group = match trade_group {
        0 => String::new(),
        group => format!("trade group {group} "),
    };
    format!("{group}{}", bit_names(permissions, NAMES))
}

fn key_text(account: &AccountName, kind: KeyKind, permissions: u8) -> String {
    const NAMES: &[(u8, &str)] = &[
        (key_permission::TRADE, "TRADE"),
        (key_permission::USER_DATA, "USER_DATA"),
        (key_permission::UNLIMITED, "UNLIMITED"),
    ];
    format!("of account {account} {kind} {}", bit_names(permissions, NAMES))
}

/// All that may change of an instrument, as text, always in the same places.
fn terms(it: &InstrumentDefinition) -> Vec<(String, String)> {
    let mut terms = Vec::new();
    let mut put = |key: &str, value: String| terms.push((key.to_string(), value));
    for precision in PRECISIONS {
        put(&snake_case(precision.json), (precision.get)(it).to_string());
    }
    put("order_types", OrderKind::names(it.order_kinds).join(" "));
    for capability in CAPABILITIES {
        put(&snake_case(capability.json), (it.flags & capability.bit != 0).to_string());
    }
    put("permissions", permission_names(it.permissions).join(" "));
    put("default_self_trade_prevention_mode", it.default_stp_mode.to_string());
    let modes = StpMode::names(it.allowed_stp_modes).join(" ");
    put("allowed_self_trade_prevention_modes", modes);
    put("reference_price", decimal_text(u128::from(it.reference_price.0)));
    for shape in FILTERS {
        for field in shape.fields {
            let value = match it.filters.has(shape.bit) {
                true => field.kind.text((field.get)(&it.filters)),
                false => "none".to_string(),
            };
            put(&format!("{}.{}", shape.key(), snake_case(field.json)), value);
        }
    }
    put("other_filters", String::from_utf8_lossy(it.other_filters.as_bytes()).into_owned());
    terms
}
