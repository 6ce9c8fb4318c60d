//! The venue as the file states it: instruments, accounts, keys, balances, fees, limits.

use super::key::{Material, PUBLIC_KEY_ALLOWED, SECRET_LENGTH_MAX, public_key};
use super::reader::{Item, Result, Section};
use super::rules;
use super::source::{ConfigError, Source};
use super::state::{RateLimitId, Rates};
use crate::seal::Secret;
use gateway::exchange_info::shape::{
    CAPABILITIES, FILTERS, Kind, PERMISSIONS, PRECISION_MAX, PRECISIONS, Word, permission_bit,
    snake_case,
};
use gateway::exchange_info::{self, Imported, quoted};
use protocol::command::{
    AccountName, ApiKey, COMMISSION_RATE_MAX, Calendar, RiskLimits, TradingRules, TransferId,
    VenueLimits, account_permission, key_permission,
};
use protocol::instrument::{AssetName, OTHER_FILTERS_LENGTH_MAX, Symbol};
use protocol::{
    Amount, Bytes, FeeScope, InstrumentDefinition, KeyKind, OrderKind, Price, RateLimitInterval,
    RateLimitKind, StpMode, Text,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Reads a file that the configuration names, or says why not.
pub(crate) type ReadFile<'f> = &'f dyn Fn(&Path) -> std::result::Result<Vec<u8>, String>;

const ACCOUNT_PERMISSIONS: &[(&str, u32)] = &[
    ("TRADE", account_permission::TRADE as u32),
    ("DEPOSIT", account_permission::DEPOSIT as u32),
    ("WITHDRAW", account_permission::WITHDRAW as u32),
];

const KEY_PERMISSIONS: &[(&str, u32)] = &[
    ("TRADE", key_permission::TRADE as u32),
    ("USER_DATA", key_permission::USER_DATA as u32),
    ("UNLIMITED", key_permission::UNLIMITED as u32),
];

/// Binance's own limits (rest-api.md, exchangeInfo), proposed to a new log where the file is silent.
const RATE_LIMITS: &[(RateLimitKind, RateLimitInterval, u32, u32)] = &[
    (RateLimitKind::RequestWeight, RateLimitInterval::Minute, 1, 6_000),
    (RateLimitKind::Orders, RateLimitInterval::Second, 10, 100),
    (RateLimitKind::Orders, RateLimitInterval::Day, 1, 200_000),
    (RateLimitKind::RawRequests, RateLimitInterval::Minute, 5, 300_000),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    pub definition: InstrumentDefinition,
    /// A status that was not given is left as it stands; so is one beside a calendar.
    pub status_given: bool,
    /// None: left as they stand.
    pub trading: Option<TradingRules>,
    /// None: left as it stands.
    pub calendar: Option<Calendar>,
    pub source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: AccountName,
    pub trade_group: u32,
    pub permissions: u8,
    pub source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub key: ApiKey,
    pub account: AccountName,
    /// None: the key is removed.
    pub terms: Option<KeyTerms>,
    pub source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTerms {
    pub kind: KeyKind,
    pub permissions: u8,
    pub material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    pub id: TransferId,
    pub account: AccountName,
    pub asset: AssetName,
    pub amount: Amount,
    pub source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fees {
    pub scope: FeeScope,
    /// Symbol or account name; empty for the venue.
    pub name: Text<32>,
    pub rates: Rates,
    pub source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    pub id: RateLimitId,
    /// 0 switches it off.
    pub limit: u32,
    /// `Default` is proposed to a new log only.
    pub source: Source,
}

/// What accounts may do at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    /// Empty: every account.
    pub account: AccountName,
    /// Empty: every instrument.
    pub symbol: Symbol,
    /// All zero takes the entry away.
    pub limits: RiskLimits,
    pub source: Source,
}

/// Bounds of the venue; one that is not given is left alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub open_orders_max: Option<u32>,
    pub algo_orders_max: Option<u32>,
    pub iceberg_orders_max: Option<u32>,
    pub order_lists_max: Option<u32>,
}

impl Limits {
    /// Those that stand, with what is given in their place.
    pub fn over(&self, stands: VenueLimits) -> VenueLimits {
        VenueLimits {
            open_orders_max: self.open_orders_max.unwrap_or(stands.open_orders_max),
            algo_orders_max: self.algo_orders_max.unwrap_or(stands.algo_orders_max),
            iceberg_orders_max: self.iceberg_orders_max.unwrap_or(stands.iceberg_orders_max),
            order_lists_max: self.order_lists_max.unwrap_or(stands.order_lists_max),
        }
    }

    /// Drops what `other` gives too.
    fn leave_to(&mut self, other: &Limits) {
        let leave = |mine: &mut Option<u32>, other: Option<u32>| {
            if other.is_some() {
                *mine = None;
            }
        };
        leave(&mut self.open_orders_max, other.open_orders_max);
        leave(&mut self.algo_orders_max, other.algo_orders_max);
        leave(&mut self.iceberg_orders_max, other.iceberg_orders_max);
        leave(&mut self.order_lists_max, other.order_lists_max);
    }
}

/// What the file says of the venue. What it does not mention is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Venue {
    pub instruments: Vec<Instrument>,
    pub accounts: Vec<Account>,
    pub keys: Vec<Key>,
    pub deposits: Vec<Deposit>,
    pub fees: Vec<Fees>,
    pub rate_limits: Vec<RateLimit>,
    pub risk: Vec<Risk>,
    pub limits: Limits,
}

impl Venue {
    /// Drops what `other` defines too: of two configurations of one venue, that one counts.
    pub(crate) fn leave_to(&mut self, other: &Venue) {
        let symbol = |it: &Instrument| it.definition.symbol;
        self.instruments.retain(|it| !other.instruments.iter().any(|o| symbol(o) == symbol(it)));
        self.accounts.retain(|it| !other.accounts.iter().any(|o| o.name == it.name));
        self.keys.retain(|it| !other.keys.iter().any(|o| o.key == it.key));
        self.fees
            .retain(|it| !other.fees.iter().any(|o| (o.scope, &o.name) == (it.scope, &it.name)));
        // The file's limits are the venue's, the defaults among them.
        self.rate_limits.clear();
        let entry = |it: &Risk| (it.account, it.symbol);
        self.risk.retain(|it| !other.risk.iter().any(|o| entry(o) == entry(it)));
        self.limits.leave_to(&other.limits);
    }
}

/// The venue on its way out of the file, with what must be unique.
pub(crate) struct VenueReader<'f> {
    venue: Venue,
    read_file: ReadFile<'f>,
    /// Places in the venue's list.
    symbols: BTreeMap<Symbol, usize>,
    /// Those with a table of their own: it replaces an imported definition, never another table.
    tables: BTreeMap<Symbol, Source>,
    assets: BTreeSet<AssetName>,
}

/// The venue of a file that is silent.
pub(crate) fn default_venue() -> Venue {
    Venue { rate_limits: default_rate_limits(), ..Venue::default() }
}

fn default_rate_limits() -> Vec<RateLimit> {
    let limits = RATE_LIMITS.iter().map(|(kind, interval, count, limit)| RateLimit {
        id: (*kind, *interval, *count),
        limit: *limit,
        source: Source::Default,
    });
    limits.collect()
}

pub(crate) fn read(top: &mut Section<'_, '_>, read_file: ReadFile<'_>) -> Result<Venue> {
    let mut reader = VenueReader {
        venue: default_venue(),
        read_file,
        symbols: BTreeMap::new(),
        tables: BTreeMap::new(),
        assets: BTreeSet::new(),
    };
    reader.venue(top.section("venue")?)?;
    for section in top.sections("instrument")? {
        reader.instrument(section)?;
    }
    let definitions = reader.venue.instruments.iter().map(|it| &it.definition);
    reader.assets = definitions.flat_map(|it| [it.base, it.quote]).collect();
    for section in top.sections("account")? {
        reader.account(section)?;
    }
    for section in top.sections("deposit")? {
        reader.deposit(section)?;
    }
    reader.fees(top.section("fees")?)?;
    for section in top.sections("rate_limit")? {
        reader.rate_limit(section)?;
    }
    for section in top.sections("risk")? {
        reader.risk(section)?;
    }
    Ok(reader.venue)
}

fn listed(names: impl Iterator<Item = impl ToString>) -> String {
    const LISTED_MAX: usize = 20;
    let mut listed: Vec<String> = names.map(|name| name.to_string()).collect();
    let more = listed.len().saturating_sub(LISTED_MAX);
    listed.truncate(LISTED_MAX);
    match (listed.len(), more) {
        (0, _) => "none, for the file defines none".to_string(),
        (_, 0) => listed.join(", "),
        (_, more) => format!("{} and {more} more", listed.join(", ")),
    }
}

impl VenueReader<'_> {
    fn venue(&mut self, mut section: Section<'_, '_>) -> Result<()> {
        let limits = &mut self.venue.limits;
        for (key, limit) in [
            ("open_orders_max", &mut limits.open_orders_max),
            ("algo_orders_max", &mut limits.algo_orders_max),
            ("iceberg_orders_max", &mut limits.iceberg_orders_max),
            ("order_lists_max", &mut limits.order_lists_max),
        ] {
            if let Some(item) = section.take(key) {
                *limit = Some(item.noted(|item| item.integer(0, u32::MAX))?);
            }
        }
        let wanted = section.take("symbols");
        match (section.take("instruments_from"), wanted) {
            (Some(file), wanted) => self.instruments_from(&file, wanted)?,
            (None, Some(wanted)) => {
                let what = format!("`{}` without `instruments_from`", wanted.path);
                return Err(wanted.wrong(what, "instruments_from = \"exchangeInfo.json.gz\""));
            }
            (None, None) => {}
        }
        section.finish()
    }

    fn instruments_from(
        &mut self,
        file: &Item<'_, '_>,
        wanted: Option<Item<'_, '_>>,
    ) -> Result<()> {
        const ALLOWED: &str = "the path of an exchangeInfo answer, .json or .json.gz";
        let path = file.noted(|item| item.text(ALLOWED))?;
        let bytes = (self.read_file)(Path::new(path))
            .map_err(|what| file.wrong(format!("`{}`: {what}", file.path), ALLOWED))?;
        let imported = exchange_info::import_bytes(path, &bytes)
            .map_err(|error| file.wrong(format!("`{}`: {error}", file.path), ALLOWED))?;
        let Some(wanted) = wanted else {
            if let Some(refused) = imported.refused.first() {
                let count = imported.refused.len();
                let what = format!("`{}`: {count} symbols refused: {refused}", file.path);
                return Err(file.wrong(what, "a whole file, or `symbols` without them"));
            }
            for definition in &imported.instruments {
                self.imported(*definition, file);
            }
            return Ok(());
        };
        for item in wanted.noted(|item| item.list("a list of symbols"))? {
            let symbol = item.name::<32>()?;
            self.imported(*find(&imported, symbol, &item)?, file);
        }
        Ok(())
    }

    fn imported(&mut self, definition: InstrumentDefinition, file: &Item<'_, '_>) {
        let source = file.source();
        let (trading, calendar) = (None, None);
        self.put(Instrument { definition, status_given: true, trading, calendar, source });
    }

    /// The later definition of a symbol replaces an imported one.
    fn put(&mut self, instrument: Instrument) {
        let symbol = instrument.definition.symbol;
        match self.symbols.get(&symbol).and_then(|at| self.venue.instruments.get_mut(*at)) {
            Some(place) => *place = instrument,
            None => {
                self.symbols.insert(symbol, self.venue.instruments.len());
                self.venue.instruments.push(instrument);
            }
        }
    }

    fn instrument(&mut self, mut section: Section<'_, '_>) -> Result<()> {
        let at = section.need("symbol", "\"BTCUSDT\"")?;
        let symbol = at.name()?;
        section.path = format!("instrument.{symbol}");
        let source = section.source();
        if let Some(first) = self.tables.insert(symbol, source.clone()) {
            let what = format!("instrument {symbol} stands twice, first at {}", first.short());
            return Err(at.wrong(what, "each symbol once"));
        }
        let base = section.need("base", "\"BTC\"")?.noted(|item| item.name())?;
        let quote_at = section.need("quote", "\"USDT\"")?;
        let quote = quote_at.noted(|item| item.name())?;
        if base == quote {
            let what = format!("{quote} is the base and the quote of {symbol}");
            return Err(quote_at.wrong(what, "two different assets"));
        }
        let mut definition = InstrumentDefinition::open(symbol, base, quote);
        let status = section.take("status");
        if let Some(item) = &status {
            definition.status = item.noted(rules::status)?;
        }
        terms(&mut section, &mut definition)?;
        self_trade_prevention(&mut section, &mut definition)?;
        filters(&mut section, &mut definition)?;
        let trading = section.take("trading").map(|item| rules::trading(item.section()?));
        let trading = trading.transpose()?;
        let calendar = section.take("calendar").map(|item| rules::calendar(&item)).transpose()?;
        section.finish()?;
        // The calendar goes on changing it.
        let status_given = status.is_some() && calendar.is_none();
        self.put(Instrument { definition, status_given, trading, calendar, source });
        Ok(())
    }

    fn account(&mut self, mut section: Section<'_, '_>) -> Result<()> {
        let at = section.need("name", "\"alice\"")?;
        let name: AccountName = at.name()?;
        section.path = format!("account.{name}");
        let source = section.source();
        if name.as_str().contains('/') {
            return Err(at.wrong(format!("the name {name} has a slash"), "a name without slashes"));
        }
        if let Some(first) = self.venue.accounts.iter().find(|account| account.name == name) {
            let what = format!("account {name} stands twice, first at {}", first.source.short());
            return Err(at.wrong(what, "each account once"));
        }
        let trade_group = section.value("trade_group", 0, "0", |item| item.integer(0, u32::MAX))?;
        let all = u32::from(account_permission::ALL);
        let shown = "[\"TRADE\", \"DEPOSIT\", \"WITHDRAW\"]";
        let permissions =
            section.value("permissions", all, shown, |item| item.bits(ACCOUNT_PERMISSIONS))?;
        let permissions = permissions as u8;
        self.venue.accounts.push(Account { name, trade_group, permissions, source });
        for (asset, item) in section.section("balances")?.entries() {
            let id = TransferId::new(&format!("open/{name}/{asset}"));
            let id = id.map_err(|error| item.wrong(error.to_string(), "a shorter name"))?;
            let asset = self.asset(asset, &item)?;
            self.put_deposit(id, name, asset, &item)?;
        }
        for key in section.sections("key")? {
            self.key(name, key)?;
        }
        section.finish()
    }

    fn asset(&self, name: &str, at: &Item<'_, '_>) -> Result<AssetName> {
        let asset = AssetName::new(name).ok().filter(|asset| self.assets.contains(asset));
        let unknown = || {
            let what = format!("`{}`: no instrument has the asset {name:?}", at.path);
            at.wrong(what, listed(self.assets.iter()))
        };
        asset.ok_or_else(unknown)
    }

    fn put_deposit(
        &mut self,
        id: TransferId,
        account: AccountName,
        asset: AssetName,
        amount_at: &Item<'_, '_>,
    ) -> Result<()> {
        let source = amount_at.source();
        if let Some(first) = self.venue.deposits.iter().find(|deposit| deposit.id == id) {
            let what = format!("deposit {id} stands twice, first at {}", first.source.short());
            return Err(ConfigError::new(source, what, "each id once"));
        }
        let units = amount_at.noted(|item| item.number(Kind::Amount))?;
        let amount = i128::try_from(units).map(Amount).unwrap_or(Amount::MAX);
        if amount.is_zero() {
            let what = format!("`{}`: a deposit of 0", amount_at.path);
            return Err(ConfigError::new(source, what, "more than 0, or no such line"));
        }
        self.venue.deposits.push(Deposit { id, account, asset, amount, source });
        Ok(())
    }

    fn deposit(&mut self, mut section: Section<'_, '_>) -> Result<()> {
        let id: TransferId = section.need("id", "\"bonus/alice/1\"")?.name()?;
        section.path = format!("deposit.{id}");
        let at = section.need("account", "\"alice\"")?;
        let account = at.noted(|item| item.name())?;
        self.account_exists(account, &at)?;
        let at = section.need("asset", "\"USDT\"")?;
        let asset = at.noted(|item| item.text("a text"))?;
        let asset = self.asset(asset, &at)?;
        let amount = section.need("amount", "\"1000\"")?;
        self.put_deposit(id, account, asset, &amount)?;
        section.finish()
    }

    fn account_exists(&self, name: AccountName, at: &Item<'_, '_>) -> Result<()> {
        match self.venue.accounts.iter().any(|account| account.name == name) {
            true => Ok(()),
            false => {
                let allowed = listed(self.venue.accounts.iter().map(|account| account.name));
                Err(at.wrong(format!("`{}`: no account {name}", at.path), allowed))
            }
        }
    }

    fn key(&mut self, account: AccountName, mut section: Section<'_, '_>) -> Result<()> {
        let at = section.need("key", "\"the text of the API key\"")?;
        let key: ApiKey = at.name()?;
        section.path = format!("key.{key}");
        let source = section.source();
        section.note("account", quoted(account.as_str()));
        if let Some(first) = self.venue.keys.iter().find(|it| it.key == key) {
            let what = format!("key {key} stands twice, first at {}", first.source.short());
            return Err(at.wrong(what, "each key once"));
        }
        let remove = section.take("remove");
        let removed = remove.map_or(Ok(false), |item| item.noted(|item| item.flag()))?;
        let terms = match removed {
            true => None,
            false => Some(self.key_terms(&mut section)?),
        };
        section.finish()?;
        self.venue.keys.push(Key { key, account, terms, source });
        Ok(())
    }

    fn key_terms(&self, section: &mut Section<'_, '_>) -> Result<KeyTerms> {
        let kind = section.need("kind", "\"hmac\"")?.noted(key_kind)?;
        let default = u32::from(key_permission::TRADE | key_permission::USER_DATA);
        let shown = "[\"TRADE\", \"USER_DATA\"]";
        let permissions =
            section.value("permissions", default, shown, |item| item.bits(KEY_PERMISSIONS))?;
        let material = match kind {
            KeyKind::Hmac => Material::Secret(self.secret(section)?),
            KeyKind::Ed25519 | KeyKind::Rsa => {
                let item = section.need("public_key", "\"\"\"-----BEGIN PUBLIC KEY-----…\"\"\"")?;
                let text = item.noted(|item| item.text(PUBLIC_KEY_ALLOWED))?;
                let der = public_key(kind, text).map_err(|what| {
                    item.wrong(format!("`{}`: {what}", item.path), PUBLIC_KEY_ALLOWED)
                })?;
                Material::PublicKey(der)
            }
        };
        Ok(KeyTerms { kind, permissions: permissions as u8, material })
    }

    fn secret(&self, section: &mut Section<'_, '_>) -> Result<Secret> {
        let allowed = format!("1 to {SECRET_LENGTH_MAX} bytes");
        let (item, bytes) = match (section.take("secret"), section.take("secret_file")) {
            (Some(item), None) => (item.clone(), item.text(&allowed)?.as_bytes().to_vec()),
            (None, Some(item)) => {
                let path = item.noted(|item| item.text("the path of a file with the secret"))?;
                let mut bytes = (self.read_file)(Path::new(path))
                    .map_err(|what| item.wrong(format!("`{}`: {what}", item.path), ""))?;
                bytes.truncate(bytes.trim_ascii_end().len());
                (item, bytes)
            }
            (Some(_), Some(item)) => {
                return Err(item.wrong("both `secret` and `secret_file`", "one of them"));
            }
            (None, None) => {
                let what = "an HMAC key without its secret";
                return Err(section.wrong(what, "secret = \"…\" or secret_file = \"…\""));
            }
        };
        item.note_secret();
        match bytes.len() {
            1..=SECRET_LENGTH_MAX => Ok(Secret::new(bytes)),
            length => {
                Err(item.wrong(format!("`{}`: a secret of {length} bytes", item.path), allowed))
            }
        }
    }

    fn fees(&mut self, mut section: Section<'_, '_>) -> Result<()> {
        if section.is_absent() {
            return Ok(());
        }
        let (maker, taker) = (section.take("maker"), section.take("taker"));
        if maker.is_some() || taker.is_some() {
            let source = section.source();
            let rates = rates(&section, maker, taker)?;
            self.venue.fees.push(Fees { scope: FeeScope::Venue, name: Text::EMPTY, rates, source });
        }
        for (symbol, item) in section.section("instrument")?.entries() {
            let name = Symbol::new(symbol).ok().filter(|name| self.symbols.contains_key(name));
            let Some(name) = name else {
                let allowed = listed(self.symbols.keys());
                return Err(item.wrong(format!("`{}`: no instrument {symbol}", item.path), allowed));
            };
            self.fee_table(FeeScope::Instrument, name, item.section()?)?;
        }
        for (account, item) in section.section("account")?.entries() {
            let name = AccountName::new(account);
            let name = name.map_err(|error| item.wrong(error.to_string(), "1 to 32 bytes"))?;
            self.account_exists(name, &item)?;
            self.fee_table(FeeScope::Account, name, item.section()?)?;
        }
        section.finish()
    }

    fn risk(&mut self, mut section: Section<'_, '_>) -> Result<()> {
        let account: AccountName = match section.take("account") {
            Some(at) => {
                let name = at.name()?;
                self.account_exists(name, &at)?;
                name
            }
            None => AccountName::EMPTY,
        };
        let symbol: Symbol = match section.take("symbol") {
            Some(at) => {
                let symbol = at.name()?;
                if !self.symbols.contains_key(&symbol) {
                    let what = format!("`{}`: no instrument {symbol}", at.path);
                    return Err(at.wrong(what, listed(self.symbols.keys())));
                }
                symbol
            }
            None => Symbol::EMPTY,
        };
        section.path = match (account.as_str(), symbol.as_str()) {
            ("", "") => "risk".to_string(),
            ("", symbol) => format!("risk.all.{symbol}"),
            (account, "") => format!("risk.{account}"),
            (account, symbol) => format!("risk.{account}.{symbol}"),
        };
        let source = section.source();
        if let Some(first) =
            self.venue.risk.iter().find(|it| (it.account, it.symbol) == (account, symbol))
        {
            let what =
                format!("[{}] stands twice, first at {}", section.path, first.source.short());
            return Err(section.wrong(what, "each account and symbol once"));
        }
        let limits = rules::risk_limits(&mut section)?;
        section.finish()?;
        self.venue.risk.push(Risk { account, symbol, limits, source });
        Ok(())
    }

    fn fee_table(
        &mut self,
        scope: FeeScope,
        name: Text<32>,
        mut section: Section<'_, '_>,
    ) -> Result<()> {
        let (maker, taker) = (section.take("maker"), section.take("taker"));
        let source = section.source();
        let rates = rates(&section, maker, taker)?;
        self.venue.fees.push(Fees { scope, name, rates, source });
        section.finish()
    }

    fn rate_limit(&mut self, mut section: Section<'_, '_>) -> Result<()> {
        let kind: RateLimitKind =
            section.need("kind", &RateLimitKind::listed())?.word::<RateLimitKind>()?;
        let interval: RateLimitInterval =
            section.need("interval", &RateLimitInterval::listed())?.word::<RateLimitInterval>()?;
        let count = match section.take("count") {
            Some(item) => item.integer(1, u32::MAX)?,
            None => 1,
        };
        section.path = format!("rate_limit.{kind}.{count}_{interval}");
        let source = section.source();
        let enabled = match section.take("enabled") {
            Some(item) => item.noted(|item| item.flag())?,
            None => true,
        };
        let limit = match (section.take("limit"), enabled) {
            (Some(item), enabled) => {
                let limit = item.noted(|item| item.integer(0, u32::MAX))?;
                if enabled { limit } else { 0 }
            }
            (None, false) => 0,
            (None, true) => {
                let what = format!("`limit` is missing in [{}]", section.path);
                return Err(section.wrong(what, "limit = 100, or enabled = false"));
            }
        };
        let id = (kind, interval, count);
        match self.venue.rate_limits.iter_mut().find(|it| it.id == id) {
            Some(first) if first.source != Source::Default => {
                let what = format!("{kind} per {count} {interval} stands twice");
                let what = format!("{what}, first at {}", first.source.short());
                return Err(section.wrong(what, "each once"));
            }
            Some(default) => *default = RateLimit { id, limit, source },
            None => self.venue.rate_limits.push(RateLimit { id, limit, source }),
        }
        section.finish()
    }
}

fn find<'i>(
    imported: &'i Imported,
    symbol: Symbol,
    at: &Item<'_, '_>,
) -> Result<&'i InstrumentDefinition> {
    if let Some(refused) = imported.refused.iter().find(|it| it.symbol == symbol.as_str()) {
        return Err(at.wrong(refused.to_string(), "a symbol that can be imported"));
    }
    let found = imported.instruments.iter().find(|it| it.symbol == symbol);
    let unknown = || {
        let what = format!("{} has no symbol {symbol}", imported.file);
        at.wrong(what, listed(imported.instruments.iter().map(|it| it.symbol)))
    };
    found.ok_or_else(unknown)
}

/// Precision, order types, capabilities, permissions, reference price.
fn terms(section: &mut Section<'_, '_>, definition: &mut InstrumentDefinition) -> Result<()> {
    let max = u32::from(PRECISION_MAX);
    for precision in PRECISIONS {
        let default = u32::from((precision.get)(definition));
        let digits =
            section.value(&snake_case(precision.json), default, &default.to_string(), |item| {
                item.integer(0, max)
            })?;
        (precision.set)(definition, digits as u8);
    }
    let all = definition.order_kinds;
    let shown = shown_list(&OrderKind::names(all));
    definition.order_kinds =
        section.value("order_types", all, &shown, |item| item.words::<OrderKind>())?;
    for capability in CAPABILITIES {
        let default = definition.flags & capability.bit != 0;
        let key = snake_case(capability.json);
        match section.value(&key, default, &default.to_string(), |item| item.flag())? {
            true => definition.flags |= capability.bit,
            false => definition.flags &= !capability.bit,
        }
    }
    let names: Vec<(&str, u32)> =
        PERMISSIONS.iter().filter_map(|name| Some((*name, permission_bit(name)?))).collect();
    let default = definition.permissions;
    definition.permissions =
        section.value("permissions", default, "[\"SPOT\"]", |item| item.bits(&names))?;
    let price = section.value("reference_price", 0, "0", |item| item.number(Kind::Decimal))?;
    definition.reference_price = Price(u64::try_from(price).unwrap_or(Price::MAX.0));
    Ok(())
}

fn self_trade_prevention(
    section: &mut Section<'_, '_>,
    definition: &mut InstrumentDefinition,
) -> Result<()> {
    let allowed = definition.allowed_stp_modes;
    let shown = shown_list(&StpMode::names(allowed));
    let key = "allowed_self_trade_prevention_modes";
    let allowed = section.value(key, allowed, &shown, |item| item.words::<StpMode>())?;
    let key = "default_self_trade_prevention_mode";
    let default = definition.default_stp_mode;
    let shown = quoted(default.as_str());
    let default = section.value(key, default, &shown, |item| item.word::<StpMode>())?;
    if allowed & default.bit() == 0 {
        let what = format!("`{}`: the default mode {default} is not allowed", section.path);
        return Err(section.wrong(what, StpMode::names(allowed).join(", ")));
    }
    (definition.allowed_stp_modes, definition.default_stp_mode) = (allowed, default);
    Ok(())
}

fn filters(section: &mut Section<'_, '_>, definition: &mut InstrumentDefinition) -> Result<()> {
    for shape in FILTERS {
        let key = shape.key();
        let Some(item) = section.take(&key) else { continue };
        let mut table = item.section()?;
        for field in shape.fields {
            let value = table
                .need(&snake_case(field.json), field.kind.allowed())?
                .noted(|item| item.number(field.kind))?;
            (field.set)(&mut definition.filters, value);
        }
        table.finish()?;
        definition.filters.present |= shape.bit;
    }
    let Some(item) = section.take("other_filters") else { return Ok(()) };
    const ALLOWED: &str = "JSON objects with a filterType, comma-separated";
    let text = item.noted(|item| item.text(ALLOWED))?;
    if !is_objects(text) {
        return Err(item.wrong(format!("`{}` is not that", item.path), ALLOWED));
    }
    definition.other_filters = Bytes::new(text.as_bytes()).map_err(|_| {
        let what = format!("`{}`: {} bytes", item.path, text.len());
        item.wrong(what, format!("at most {OTHER_FILTERS_LENGTH_MAX} bytes"))
    })?;
    Ok(())
}

/// Is the text a list of JSON objects, each with a type?
fn is_objects(text: &str) -> bool {
    let list = serde_json::from_str::<Vec<serde_json::Value>>(&format!("[{text}]"));
    list.is_ok_and(|list| {
        list.iter().all(|it| it.get("filterType").is_some_and(|it| it.is_string()))
    })
}

fn shown_list(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("[{}]", names.join(", "))
}

fn key_kind(item: &Item<'_, '_>) -> Result<KeyKind> {
    const ALLOWED: &str = "hmac, ed25519, rsa";
    let text = item.text(ALLOWED)?;
    let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
    let kind = KeyKind::parse(&text.to_uppercase()).filter(|_| lower);
    kind.ok_or_else(|| item.wrong(format!("`{}`: {text:?} is unknown", item.path), ALLOWED))
}

fn rates(
    section: &Section<'_, '_>,
    maker: Option<Item<'_, '_>>,
    taker: Option<Item<'_, '_>>,
) -> Result<Rates> {
    let (Some(maker), Some(taker)) = (maker, taker) else {
        let what = format!("[{}] needs both rates", section.path);
        return Err(section.wrong(what, "maker = \"0.001\" and taker = \"0.001\""));
    };
    Ok(Rates { maker: rate(&maker)?, taker: rate(&taker)? })
}

fn rate(item: &Item<'_, '_>) -> Result<u32> {
    let units = item.noted(|item| item.number(Kind::Decimal))?;
    match u32::try_from(units) {
        Ok(rate) if rate <= COMMISSION_RATE_MAX => Ok(rate),
        _ => {
            let what = format!("`{}`: more than a hundred percent", item.path);
            Err(item.wrong(what, "a decimal from 0 to 1; 0.001 is a tenth of a percent"))
        }
    }
}
