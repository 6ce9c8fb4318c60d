//! The language in which stories ask: one line, one command. `app::story` writes it, this reads it.
//!
//! ```text
//! instrument BTCUSDT [BTC/USDT] [price 1..1000/0.01] [lot 0.1../0.1] [max_orders 5] …
//! account alice [group 1] [may trade,deposit]      deposit alice 1000 USDT [as id]
//! fees venue maker 0.001 taker 0.002               status BTCUSDT HALT
//! alice buy 5 @ 101 [ioc] [stp=expire_maker] [id=abc] [dry]
//! alice market buy 3                               alice market sell quote 500
//! alice stop_loss_limit sell 5 @ 94 stop 95        alice limit_maker buy 5 @ 100
//! alice cancel #3 | id=abc [as=id] [only_new]      alice cancel all
//! alice amend #3 to 2 [as=id]                      alice replace #3 [allow_failure] with buy 1 @ 99
//! alice buy 5 @ 100 iceberg=1                      alice stop_loss sell 1 trailing=500
//! alice buy 5 peg=primary+1                        alice move #3 to 2 @ 99
//! alice oco stop_loss sell 1 stop 90 / limit_maker sell 1 @ 110 [list=abc]
//! alice opo buy 1 @ 100 / sell 0 @ 110             alice cancel list L1 | list=abc [as=id]
//! mass cancel alice|all [BTCUSDT] [disconnect]     kill alice|venue on|off
//! risk alice|all BTCUSDT|all [notional 1000] [orders 5] [day 100] [collar 0.1] | none
//! rules BTCUSDT [range 0.5..2] [reference 100] [band 0.05] [over 5] [auction 30s]
//!     [buckets 10x1000ms] | none
//! calendar BTCUSDT mon-fri 09:30:00 OPENING_AUCTION mon,tue 09:35:00 TRADING … | none
//! tick    join    genesis    time +60s    time 09:30:00
//! ```
//! A symbol stands after the verb (`alice buy BTCUSDT 5`); without one it is the first instrument.
//! `slot=1`, `number=again|skip|stale` and `deadline=-1ms` may end any line.

use app::market::{Numbering, Step};
use app::story::{ACCOUNT_PERMISSIONS, AUTOMATIC, FLAGS, KEY_PERMISSIONS, WEEKDAYS, WEEKS};
use protocol::command::*;
use protocol::instrument::{InstrumentDefinition, LotSize, PriceFilter, Symbol, filter};
use protocol::*;
use std::collections::{BTreeMap, VecDeque};

/// What the reader of one story remembers.
#[derive(Default)]
pub(crate) struct Language {
    accounts: BTreeMap<String, AccountId>,
    instruments: BTreeMap<String, InstrumentId>,
    /// Numbers the ids that the story leaves out.
    automatic: u64,
    /// Time told by lines since the last command.
    advance_ns: u64,
    /// Stored time of the last command.
    now: Stamp,
}

type Parsed<T> = Result<T, String>;

struct Words<'a>(VecDeque<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self, what: &str) -> Parsed<&'a str> {
        self.0.pop_front().ok_or_else(|| format!("the line ends before {what}"))
    }

    fn peek(&self) -> &'a str {
        self.0.front().copied().unwrap_or("")
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        if found {
            self.0.pop_front();
        }
        found
    }

    /// Takes `key=value`, wherever it stands.
    fn option(&mut self, key: &str) -> Option<&'a str> {
        let at = self
            .0
            .iter()
            .position(|word| word.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))?;
        self.0.remove(at).map(|word| &word[key.len() + 1..])
    }

    fn flag(&mut self, word: &str) -> bool {
        let at = self.0.iter().position(|it| *it == word);
        at.map(|at| self.0.remove(at)).is_some()
    }

    fn end(&self) -> Parsed<()> {
        match self.0.front() {
            Some(word) => Err(format!("`{word}` is not understood here")),
            None => Ok(()),
        }
    }
}

impl Language {
    pub(crate) fn new() -> Language {
        Language::default()
    }

    pub(crate) fn observe(&mut self, event: &Event) {
        match event {
            Event::CommandBegan(it) => self.now = it.stamp,
            Event::AccountDefined(it) => {
                self.accounts.insert(it.name.as_str().into(), it.account);
            }
            Event::InstrumentDefined(it) => {
                self.instruments.insert(it.definition.symbol.as_str().into(), it.instrument);
            }
            _ => {}
        }
    }

    /// The command of a line; none if the line only tells the time.
    pub(crate) fn parse(&mut self, line: &str) -> Parsed<Option<Step>> {
        let mut words = Words(line.split_whitespace().collect());
        let slot = words.option("slot").map_or(Ok(0), parse_number)?;
        let numbering = match words.option("number") {
            None => Numbering::Next,
            Some("again") => Numbering::Again,
            Some("skip") => Numbering::Skip,
            Some("stale") => Numbering::Stale,
            Some(other) => return Err(format!("number={other}: again, skip or stale")),
        };
        let deadline_ns = words.option("deadline").map(parse_time).transpose()?;
        if words.take("time") {
            let time = words.next("a time")?;
            self.advance_ns += match time.contains(':') {
                true => self.until(parse_second(time)?),
                false => parse_time(time)? as u64,
            };
            words.end()?;
            return Ok(None);
        }
        let command = self.parse_command(&mut words)?;
        words.end()?;
        let advance_ns = std::mem::take(&mut self.advance_ns);
        Ok(Some(Step { advance_ns, slot, numbering, deadline_ns, command }))
    }

    fn parse_command(&mut self, words: &mut Words<'_>) -> Parsed<Command> {
        let envelope = Envelope::INTERNAL;
        let first = words.next("a command")?;
        Ok(match first {
            "genesis" => {
                let rules = key_number(words, "rules", engine::RULES_VERSION)?;
                Genesis { envelope, seed: key_number(words, "seed", 1)?, rules }.into()
            }
            "rules" if words.peek().parse::<u32>().is_ok() => {
                SetRules { envelope, rules: next_number(words)? }.into()
            }
            "rules" => {
                let symbol = next_name(words)?;
                SetTradingRules { envelope, symbol, rules: parse_trading_rules(words)? }.into()
            }
            "calendar" => {
                let symbol = next_name(words)?;
                SetCalendar { envelope, symbol, entries: parse_calendar(words)? }.into()
            }
            "risk" => {
                let (account, symbol) = (name_or_all(words)?, name_or_all(words)?);
                SetRiskLimits { envelope, account, symbol, limits: parse_risk(words)? }.into()
            }
            "kill" => {
                let account = match words.take("venue") {
                    true => Text::EMPTY,
                    false => next_name(words)?,
                };
                let engaged = match words.next("on or off")? {
                    "on" => true,
                    "off" => false,
                    other => return Err(format!("`{other}`: on or off")),
                };
                SetKillSwitch { envelope, account, engaged }.into()
            }
            "mass" => self.parse_mass_cancel(words)?,
            "tick" => Tick { envelope }.into(),
            "join" => GatewayJoined { envelope, nonce: key_number(words, "nonce", 1)? }.into(),
            "instrument" => {
                let definition = parse_definition(words)?;
                DefineInstrument { envelope, definition }.into()
            }
            "status" => {
                let symbol = next_name(words)?;
                SetInstrumentStatus { envelope, symbol, status: next_word(words)? }.into()
            }
            "account" => {
                let name = next_name(words)?;
                let trade_group = key_number(words, "group", 0)?;
                let permissions = match words.take("may") {
                    true => next_set(words, ACCOUNT_PERMISSIONS)? as u8,
                    false => account_permission::ALL,
                };
                DefineAccount { envelope, name, trade_group, permissions }.into()
            }
            "key" => {
                let (account, key) = (next_name(words)?, next_name(words)?);
                let kind = next_word(words)?;
                let permissions = match words.take("may") {
                    true => next_set(words, KEY_PERMISSIONS)? as u8,
                    false => key_permission::ALL,
                };
                let without = words.flag("without") && words.flag("material");
                let material: &[u8] = if without { b"" } else { b"a secret" };
                let material = Bytes::new(material).map_err(|error| error.to_string())?;
                AddKey { envelope, account, key, kind, permissions, material }.into()
            }
            "remove" => RemoveKey { envelope, key: next_name(words)? }.into(),
            "fees" => {
                let scope = next_word(words)?;
                let has_name = words.peek() != "maker";
                let name = if has_name { next_name(words)? } else { Text::EMPTY };
                let (maker, taker) = (key_rate(words, "maker")?, key_rate(words, "taker")?);
                SetFees { envelope, scope, name, maker, taker }.into()
            }
            "limit" => {
                let (kind, limit) = (next_word(words)?, next_number(words)?);
                let interval_count = key_number(words, "per", 1)?;
                let interval = next_word(words)?;
                SetRateLimit { envelope, kind, interval, interval_count, limit }.into()
            }
            "open_orders_max" => SetVenueLimits {
                envelope,
                limits: VenueLimits {
                    open_orders_max: next_number(words)?,
                    algo_orders_max: key_number(words, "algo_orders_max", 0)?,
                    iceberg_orders_max: key_number(words, "iceberg_orders_max", 0)?,
                    order_lists_max: key_number(words, "order_lists_max", 0)?,
                },
            }
            .into(),
            "deposit" | "withdraw" => self.parse_transfer(first == "deposit", words)?,
            account => self.parse_order_command(account, words)?,
        })
    }

    fn parse_transfer(&mut self, deposits: bool, words: &mut Words<'_>) -> Parsed<Command> {
        let account = next_name(words)?;
        let amount = parse_signed(words.next("an amount")?)?;
        let asset = next_name(words)?;
        let transfer = match words.take("as") {
            true => next_name(words)?,
            false => self.automatic_id()?,
        };
        let direction = match deposits {
            true => TransferDirection::Deposit,
            false => TransferDirection::Withdrawal,
        };
        let amount = Amount(amount);
        let envelope = Envelope::INTERNAL;
        Ok(Transfer { envelope, transfer, account, asset, direction, amount }.into())
    }

    fn automatic_id<const N: usize>(&mut self) -> Parsed<Text<N>> {
        self.automatic += 1;
        name(&format!("{AUTOMATIC}{}", self.automatic))
    }

    fn parse_order_command(&mut self, account: &str, words: &mut Words<'_>) -> Parsed<Command> {
        let envelope = Envelope::INTERNAL;
        let account = self.account(account)?;
        Ok(match words.peek() {
            "cancel" => {
                words.take("cancel");
                let restrictions = take_restrictions(words);
                let id = words.option("id").map(name).transpose()?;
                let cancel_id = words.option("as").map(name).transpose()?;
                let instrument = self.next_instrument(words, InstrumentId(1))?;
                if words.take("list") {
                    return Ok(CancelOrderList {
                        envelope,
                        account,
                        instrument,
                        list_client_order_id: option_name(words, "list")?.unwrap_or(Text::EMPTY),
                        list: next_list(words)?,
                        cancel_client_order_id: cancel_id.unwrap_or(Text::EMPTY),
                    }
                    .into());
                }
                if words.take("all") {
                    return Ok(CancelAllOrders { envelope, account, instrument }.into());
                }
                let order = next_order(words)?;
                if id.is_none() && cancel_id.is_none() {
                    return Ok(
                        CancelOrder { envelope, account, instrument, order, restrictions }.into()
                    );
                }
                CancelNamedOrder {
                    envelope,
                    account,
                    instrument,
                    order,
                    client_order_id: id.unwrap_or(Text::EMPTY),
                    cancel_client_order_id: cancel_id.unwrap_or(Text::EMPTY),
                    restrictions,
                }
                .into()
            }
            "amend" => {
                words.take("amend");
                let client_order_id = option_name(words, "id")?.unwrap_or(Text::EMPTY);
                let new_client_order_id = match option_name(words, "as")? {
                    Some(id) => id,
                    None => self.automatic_id()?,
                };
                let instrument = self.next_instrument(words, InstrumentId(1))?;
                let order = next_order(words)?;
                let quantity = Quantity(key_units(words, "to")?);
                AmendOrder {
                    envelope,
                    account,
                    instrument,
                    order,
                    client_order_id,
                    new_client_order_id,
                    quantity,
                }
                .into()
            }
            "move" => {
                words.take("move");
                let instrument = self.next_instrument(words, InstrumentId(1))?;
                let order = next_order(words)?;
                let quantity = Quantity(key_units(words, "to")?);
                let price = Price(key_units(words, "@")?);
                ReplaceOrder { envelope, account, instrument, order, price, quantity }.into()
            }
            "oco" | "oto" | "otoco" | "opo" | "opoco" => self.parse_list(account, words)?,
            "replace" => {
                words.take("replace");
                let with = words.0.iter().position(|word| *word == "with");
                let with = with.ok_or("`with` and the new order are missing")?;
                let mut new = Words(words.0.split_off(with));
                new.take("with");
                let (request, terms) = self.parse_request(account, InstrumentId(1), &mut new)?;
                let command = CancelReplace {
                    terms,
                    envelope,
                    mode: match words.flag("allow_failure") {
                        true => CancelReplaceMode::AllowFailure,
                        false => CancelReplaceMode::StopOnFailure,
                    },
                    restrictions: take_restrictions(words),
                    cancel_original_client_order_id: option_name(words, "id")?
                        .unwrap_or(Text::EMPTY),
                    cancel_client_order_id: option_name(words, "as")?.unwrap_or(Text::EMPTY),
                    cancel_order: next_order(words)?,
                    request,
                };
                new.end()?;
                command.into()
            }
            _ => {
                let (dry_run, without) = (words.flag("dry"), words.flag("without_terms"));
                let (request, terms) = self.parse_request(account, InstrumentId(1), words)?;
                match terms == OrderTerms::NONE && !without {
                    true => NewOrder { envelope, request, dry_run }.into(),
                    false => NewOrderWithTerms { envelope, request, terms, dry_run }.into(),
                }
            }
        })
    }

    fn parse_list(&mut self, account: AccountId, words: &mut Words<'_>) -> Parsed<Command> {
        let kind = next_word(words)?;
        let list_client_order_id = match option_name(words, "list")? {
            Some(id) => id,
            None => self.automatic_id()?,
        };
        let instrument = self.next_instrument(words, InstrumentId(1))?;
        let mut orders = [ListedOrder::EMPTY; LISTED_ORDERS_MAX];
        let mut places = orders.iter_mut();
        while !words.0.is_empty() {
            let end = words.0.iter().position(|word| *word == "/").unwrap_or(words.0.len());
            let rest = words.0.split_off(end);
            let by = match words.take("by") {
                true => self.account(words.next("an account")?)?,
                false => account,
            };
            let (request, terms) = self.parse_request(by, instrument, words)?;
            words.end()?;
            *places.next().ok_or("too many orders")? = ListedOrder { request, terms };
            *words = Words(rest);
            words.take("/");
        }
        let envelope = Envelope::INTERNAL;
        Ok(NewOrderList { envelope, account, instrument, kind, list_client_order_id, orders }
            .into())
    }

    fn parse_mass_cancel(&mut self, words: &mut Words<'_>) -> Parsed<Command> {
        if !words.take("cancel") {
            return Err("`mass` goes with `cancel`".into());
        }
        let account = match words.take("all") {
            true => AccountId::NONE,
            false => self.account(words.next("an account")?)?,
        };
        let cause = match words.flag("disconnect") {
            true => MassCancelCause::Disconnect,
            false => MassCancelCause::Administrator,
        };
        let instrument = self.next_instrument(words, InstrumentId::NONE)?;
        Ok(MassCancel { envelope: Envelope::INTERNAL, account, instrument, cause }.into())
    }

    /// An order; on the instrument `other` if it names none.
    fn parse_request(
        &mut self,
        account: AccountId,
        other: InstrumentId,
        words: &mut Words<'_>,
    ) -> Parsed<(OrderRequest, OrderTerms)> {
        let terms = parse_terms(words)?;
        let client_order_id = match option_name(words, "id")? {
            Some(id) => id,
            None => self.automatic_id()?,
        };
        let stp_mode = match words.option("stp") {
            Some(mode) => parse_word(mode)?,
            None => StpMode::None,
        };
        let (strategy_id, strategy_type) = match words.option("strategy") {
            Some(both) => {
                let (id, kind) = both.split_once('/').ok_or("strategy=ID/TYPE")?;
                (parse_number(id)?, parse_number(kind)?)
            }
            None => (0, 0),
        };
        let in_force = TimeInForce::ALL.iter().copied();
        let mut in_force = in_force.filter(|it| words.flag(&it.as_str().to_ascii_lowercase()));
        let time_in_force = in_force.next().unwrap_or(TimeInForce::Gtc);
        let kind = match parse_word(words.peek()) {
            Ok(kind) => {
                words.next("a kind")?;
                kind
            }
            Err(_) => OrderKind::Limit,
        };
        let side = next_word(words)?;
        let instrument = self.next_instrument(words, other)?;
        let quantity_unit = match words.take("quote") {
            true => QuantityUnit::Quote,
            false => QuantityUnit::Base,
        };
        let quantity = Quantity(parse_units(words.next("a quantity")?)?);
        let price = if words.take("@") { parse_units(words.next("a price")?)? } else { 0 };
        let stop = if words.take("stop") { parse_units(words.next("a price")?)? } else { 0 };
        let request = OrderRequest {
            account,
            instrument,
            side,
            kind,
            time_in_force,
            stp_mode,
            quantity_unit,
            price: Price(price),
            quantity,
            stop_price: Price(stop),
            client_order_id,
            strategy_id,
            strategy_type,
        };
        Ok((request, terms))
    }

    /// From now until this second of a day comes next.
    fn until(&self, second: u32) -> u64 {
        let now = (self.now.0 + self.advance_ns) % DAY_NS;
        (u64::from(second) * SECOND_NS + DAY_NS - now - 1) % DAY_NS + 1
    }

    /// The account of a name, or of `account:ID`.
    fn account(&self, word: &str) -> Parsed<AccountId> {
        if let Some(id) = word.strip_prefix("account:") {
            return parse_number(id).map(AccountId);
        }
        self.accounts.get(word).copied().ok_or_else(|| format!("no command or account `{word}`"))
    }

    /// The instrument of a symbol or of `instrument:ID`, if the next word is one.
    fn next_instrument(&self, words: &mut Words<'_>, other: InstrumentId) -> Parsed<InstrumentId> {
        let word = words.peek();
        let id = match word.strip_prefix("instrument:") {
            Some(id) => Some(InstrumentId(parse_number(id)?)),
            None => self.instruments.get(word).copied(),
        };
        if id.is_some() {
            words.next("a symbol")?;
        }
        Ok(id.unwrap_or(other))
    }
}

fn parse_terms(words: &mut Words<'_>) -> Parsed<OrderTerms> {
    let mut terms = OrderTerms::NONE;
    if let Some(iceberg) = words.option("iceberg") {
        terms.iceberg = Quantity(parse_units(iceberg)?);
    }
    if let Some(delta) = words.option("trailing") {
        terms.trailing_delta = parse_number(delta)?;
    }
    if let Some(peg) = words.option("peg") {
        let (peg, level) = peg.split_once('+').unwrap_or((peg, "0"));
        terms.peg = match peg {
            "none" => PegPrice::None,
            "primary" => PegPrice::Primary,
            "market" => PegPrice::Market,
            _ => return Err(format!("peg={peg}: primary or market")),
        };
        terms.peg_level = parse_number(level)?;
    }
    Ok(terms)
}

// Rules and limits.

const DAY_NS: u64 = 86_400 * SECOND_NS;

fn parse_risk(words: &mut Words<'_>) -> Parsed<RiskLimits> {
    let mut limits = RiskLimits::default();
    words.take("none");
    while let Ok(key) = words.next("a limit") {
        let value = words.next("a value")?;
        match key {
            "notional" => limits.order_notional_max = Amount(parse_signed(value)?),
            "orders" => limits.open_orders_max = parse_number(value)?,
            "day" => limits.day_quantity_max = Amount(parse_signed(value)?),
            "collar" => limits.collar = parse_units(value)?,
            _ => return Err(format!("`{key}` is no limit of risk")),
        }
    }
    Ok(limits)
}

fn parse_trading_rules(words: &mut Words<'_>) -> Parsed<TradingRules> {
    let mut rules = TradingRules::default();
    words.take("none");
    while let Ok(key) = words.next("a rule") {
        let value = words.next("a value")?;
        match key {
            "range" => {
                let (bid, ask) = value.split_once(',').unwrap_or((value, value));
                (rules.bid_limit_down, rules.bid_limit_up, _) = parse_grid(bid)?;
                (rules.ask_limit_down, rules.ask_limit_up, _) = parse_grid(ask)?;
            }
            "reference" => rules.external_reference = Price(parse_units(value)?),
            "band" => rules.volatility_band = parse_units(value)?,
            "over" => rules.volatility_minutes = parse_number(value)?,
            "auction" => {
                let seconds = value.strip_suffix('s').ok_or("auction: a time such as 30s")?;
                rules.volatility_auction_s = parse_number(seconds)?;
            }
            "buckets" => {
                let both = value.strip_suffix("ms").and_then(|it| it.split_once('x'));
                let (count, width) = both.ok_or("buckets: COUNTxWIDTHms")?;
                rules.bucket_count = parse_number(count)?;
                rules.bucket_width_ms = parse_number(width)?;
            }
            _ => return Err(format!("`{key}` is no rule of trading")),
        }
    }
    Ok(rules)
}

fn parse_calendar(words: &mut Words<'_>) -> Parsed<Calendar> {
    let mut entries = [CalendarEntry::NONE; CALENDAR_ENTRIES_MAX];
    words.take("none");
    let mut places = entries.iter_mut();
    while let Ok(days) = words.next("days") {
        let weekdays = match WEEKS.iter().find(|(_, word)| *word == days) {
            Some((days, _)) => *days,
            None => parse_set(days, WEEKDAYS)? as u8,
        };
        let second = parse_second(words.next("a time")?)?;
        let status = next_word(words)?;
        let place = places.next().ok_or("too many entries")?;
        *place = CalendarEntry { weekdays, second, status };
    }
    Ok(entries)
}

/// `HH:MM:SS`
fn parse_second(text: &str) -> Parsed<u32> {
    let parts: Vec<u32> = text.split(':').map(parse_number).collect::<Parsed<_>>()?;
    match parts[..] {
        [hours, minutes, seconds] => Ok(hours * 3_600 + minutes * 60 + seconds),
        _ => Err(format!("`{text}` is not a time of day such as 09:30:00")),
    }
}

fn name_or_all<const N: usize>(words: &mut Words<'_>) -> Parsed<Text<N>> {
    if words.take("all") { Ok(Text::EMPTY) } else { next_name(words) }
}

// Definitions.

fn parse_definition(words: &mut Words<'_>) -> Parsed<InstrumentDefinition> {
    let symbol: Symbol = next_name(words)?;
    let (base, quote) = match words.peek().split_once('/') {
        Some(pair) => {
            words.next("a pair")?;
            pair
        }
        None => ["USDT", "BTC", "BNB"]
            .iter()
            .find_map(|quote| Some((symbol.as_str().strip_suffix(quote)?, *quote)))
            .ok_or("the assets are not plain: write BASE/QUOTE after the symbol")?,
    };
    let mut definition = InstrumentDefinition::open(symbol, name(base)?, name(quote)?);
    while let Ok(key) = words.next("a setting") {
        let value = words.next("a value")?;
        parse_setting(&mut definition, key, value, words).map_err(|it| format!("{key}: {it}"))?;
    }
    Ok(definition)
}

fn parse_setting(
    definition: &mut InstrumentDefinition,
    key: &str,
    value: &str,
    words: &mut Words<'_>,
) -> Parsed<()> {
    let filters = &mut definition.filters;
    match key {
        "status" => definition.status = parse_word(value)?,
        "kinds" => {
            let all: Vec<_> =
                OrderKind::ALL.iter().map(|it| (it.bit().into(), it.as_str())).collect();
            definition.order_kinds = parse_set(value, &all)? as u16;
        }
        "flags" => definition.flags = parse_set(value, FLAGS)?,
        "stp" => {
            let all: Vec<_> =
                StpMode::ALL.iter().map(|it| (it.bit().into(), it.as_str())).collect();
            definition.allowed_stp_modes = parse_set(value, &all)? as u16;
        }
        "default_stp" => definition.default_stp_mode = parse_word(value)?,
        "reference" => definition.reference_price = Price(parse_units(value)?),
        "precision" => definition.base_precision = parse_number(value)?,
        "price" => {
            let (min, max, tick) = parse_grid(value)?;
            filters.price = PriceFilter { min: Price(min), max: Price(max), tick: Price(tick) };
            filters.present |= filter::PRICE;
        }
        "tick" => {
            filters.price.tick = Price(parse_units(value)?);
            filters.present |= filter::PRICE;
        }
        "lot" => {
            filters.lot_size = parse_lot(value)?;
            filters.present |= filter::LOT_SIZE;
        }
        "step" => {
            filters.lot_size.step = Quantity(parse_units(value)?);
            filters.present |= filter::LOT_SIZE;
        }
        "market_lot" => {
            filters.market_lot_size = parse_lot(value)?;
            filters.present |= filter::MARKET_LOT_SIZE;
        }
        "percent_price" => {
            let band = &mut filters.percent_price;
            (band.multiplier_down, band.multiplier_up, _) = parse_grid(value)?;
            band.average_minutes = key_number(words, "over", 0)?;
            filters.present |= filter::PERCENT_PRICE;
        }
        "trailing_delta" => {
            let (above, below) =
                value.split_once(',').ok_or("MIN..MAX,MIN..MAX above and below")?;
            let delta = &mut filters.trailing_delta;
            (delta.min_above, delta.max_above) = parse_range(above)?;
            (delta.min_below, delta.max_below) = parse_range(below)?;
            filters.present |= filter::TRAILING_DELTA;
        }
        "percent" => {
            let (bid, ask) = value.split_once(',').ok_or("DOWN..UP,DOWN..UP of bids and asks")?;
            let band = &mut filters.percent_price_by_side;
            (band.bid_multiplier_down, band.bid_multiplier_up, _) = parse_grid(bid)?;
            (band.ask_multiplier_down, band.ask_multiplier_up, _) = parse_grid(ask)?;
            band.average_minutes = key_number(words, "over", 0)?;
            filters.present |= filter::PERCENT_PRICE_BY_SIDE;
        }
        "min_notional" => {
            let (min, to_market) = parse_bound(value)?;
            (filters.min_notional.min, filters.min_notional.apply_to_market) = (min, to_market);
            filters.min_notional.average_minutes = key_number(words, "over", 0)?;
            filters.present |= filter::MIN_NOTIONAL;
        }
        "notional" => {
            let (min, max) = value.split_once("..").ok_or("MIN..MAX")?;
            let rule = &mut filters.notional;
            (rule.min, rule.apply_min_to_market) = parse_bound(min)?;
            (rule.max, rule.apply_max_to_market) = parse_bound(max)?;
            rule.average_minutes = key_number(words, "over", 0)?;
            filters.present |= filter::NOTIONAL;
        }
        "max_position" => {
            filters.max_position = Amount(parse_signed(value)?);
            filters.present |= filter::MAX_POSITION;
        }
        "max_orders" => {
            filters.max_num_orders = parse_number(value)?;
            filters.present |= filter::MAX_NUM_ORDERS;
        }
        "max_amends" => {
            filters.max_num_order_amends = parse_number(value)?;
            filters.present |= filter::MAX_NUM_ORDER_AMENDS;
        }
        "iceberg_parts" => {
            filters.iceberg_parts = parse_number(value)?;
            filters.present |= filter::ICEBERG_PARTS;
        }
        "max_algo_orders" => {
            filters.max_num_algo_orders = parse_number(value)?;
            filters.present |= filter::MAX_NUM_ALGO_ORDERS;
        }
        "max_iceberg_orders" => {
            filters.max_num_iceberg_orders = parse_number(value)?;
            filters.present |= filter::MAX_NUM_ICEBERG_ORDERS;
        }
        "max_lists" => {
            filters.max_num_order_lists = parse_number(value)?;
            filters.present |= filter::MAX_NUM_ORDER_LISTS;
        }
        "filters" => filters.present |= parse_number::<u32>(value)?,
        _ => return Err("no such setting of an instrument".into()),
    }
    Ok(())
}

/// `[MIN]..[MAX][/STEP]`
fn parse_grid(text: &str) -> Parsed<(u64, u64, u64)> {
    let (bounds, step) = text.split_once('/').unwrap_or((text, ""));
    let (min, max) = bounds.split_once("..").ok_or("MIN..MAX")?;
    let number = |text: &str| if text.is_empty() { Ok(0) } else { parse_units(text) };
    Ok((number(min)?, number(max)?, number(step)?))
}

/// `MIN..MAX`, whole numbers.
fn parse_range(text: &str) -> Parsed<(u32, u32)> {
    let (min, max) = text.split_once("..").ok_or("MIN..MAX")?;
    Ok((parse_number(min)?, parse_number(max)?))
}

fn parse_lot(text: &str) -> Parsed<LotSize> {
    let (min, max, step) = parse_grid(text)?;
    Ok(LotSize { min: Quantity(min), max: Quantity(max), step: Quantity(step) })
}

/// `NUMBER[+market]`
fn parse_bound(text: &str) -> Parsed<(Amount, bool)> {
    let number = text.strip_suffix("+market");
    let bare = number.unwrap_or(text);
    let amount = if bare.is_empty() { 0 } else { parse_signed(bare)? };
    Ok((Amount(amount), number.is_some()))
}

// Words and numbers.

/// Text that fits; `-` is the empty one.
fn name<const N: usize>(text: &str) -> Parsed<Text<N>> {
    let text = if text == "-" { "" } else { text };
    Text::new(text).map_err(|error| format!("{text}: {error}"))
}

fn next_name<const N: usize>(words: &mut Words<'_>) -> Parsed<Text<N>> {
    name(words.next("a name")?)
}

fn option_name<const N: usize>(words: &mut Words<'_>, key: &str) -> Parsed<Option<Text<N>>> {
    words.option(key).map(name).transpose()
}

/// A set of words of the protocol.
trait Word: Copy + 'static {
    fn parse_text(text: &str) -> Option<Self>;
}

macro_rules! word {
    ($($name:ident)*) => { $(impl Word for $name {
        fn parse_text(text: &str) -> Option<$name> { $name::parse(text) }
    })* };
}
word!(OrderListKind Side OrderKind TimeInForce StpMode InstrumentStatus KeyKind FeeScope RateLimitKind RateLimitInterval);

fn parse_word<W: Word>(text: &str) -> Parsed<W> {
    W::parse_text(&text.to_ascii_uppercase())
        .ok_or_else(|| format!("`{text}` is not expected here"))
}

fn next_word<W: Word>(words: &mut Words<'_>) -> Parsed<W> {
    parse_word(words.next("a word")?)
}

fn take_restrictions(words: &mut Words<'_>) -> CancelRestrictions {
    match (words.flag("only_new"), words.flag("only_partially_filled")) {
        (true, _) => CancelRestrictions::OnlyNew,
        (_, true) => CancelRestrictions::OnlyPartiallyFilled,
        _ => CancelRestrictions::None,
    }
}

/// `#ID`, or none.
fn next_order(words: &mut Words<'_>) -> Parsed<OrderId> {
    match words.peek().strip_prefix('#') {
        Some(id) => {
            words.next("an order")?;
            parse_number(id).map(OrderId)
        }
        None => Ok(OrderId::NONE),
    }
}

/// `LID`, or none.
fn next_list(words: &mut Words<'_>) -> Parsed<OrderListId> {
    match words.peek().strip_prefix('L') {
        Some(id) => {
            words.next("a list")?;
            parse_number(id).map(OrderListId)
        }
        None => Ok(OrderListId::NONE),
    }
}

fn parse_number<N: std::str::FromStr>(text: &str) -> Parsed<N> {
    text.parse().map_err(|_| format!("`{text}` is not a number that fits here"))
}

fn next_number<N: std::str::FromStr>(words: &mut Words<'_>) -> Parsed<N> {
    parse_number(words.next("a number")?)
}

fn key_number<N: std::str::FromStr>(words: &mut Words<'_>, key: &str, other: N) -> Parsed<N> {
    if words.take(key) { next_number(words) } else { Ok(other) }
}

fn key_units(words: &mut Words<'_>, key: &str) -> Parsed<u64> {
    match words.take(key) {
        true => parse_units(words.next("a number")?),
        false => Err(format!("`{key}` is missing")),
    }
}

fn key_rate(words: &mut Words<'_>, key: &str) -> Parsed<u32> {
    u32::try_from(key_units(words, key)?).map_err(|_| format!("{key}: too large"))
}

/// Words and numbers of bits, with commas; or `nothing`.
fn parse_set(text: &str, words: &[(u32, &str)]) -> Parsed<u32> {
    if text == "nothing" {
        return Ok(0);
    }
    let bits = text.split(',').map(|part| {
        let known = words.iter().find(|(_, word)| *word == part);
        known.map_or_else(|| parse_number(part), |(bit, _)| Ok(*bit))
    });
    bits.sum()
}

fn next_set(words: &mut Words<'_>, known: &[(u32, &str)]) -> Parsed<u32> {
    parse_set(words.next("a set")?, known)
}

/// Counts of 10^-8, also such as no command may hold.
fn parse_units(text: &str) -> Parsed<u64> {
    let units = parse_signed(text)?;
    u64::try_from(units).map_err(|_| format!("`{text}` does not fit"))
}

fn parse_signed(text: &str) -> Parsed<i128> {
    let wrong = || format!("`{text}` is not a decimal number");
    let bare = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    if fraction.len() > 8 || !bare.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(wrong());
    }
    let units: i128 = format!("{whole}{fraction:0<8}").parse().map_err(|_| wrong())?;
    Ok(if bare.len() < text.len() { -units } else { units })
}

/// `+60s`, `-1ms`: hours, minutes, seconds, milliseconds, nanoseconds.
fn parse_time(text: &str) -> Parsed<i64> {
    let split = text.rfind(|last: char| last.is_ascii_digit()).map_or(0, |last| last + 1);
    let (number, unit) = text.split_at(split);
    let unit_ns = match unit {
        "ns" => 1,
        "ms" => MILLISECOND_NS,
        "s" => SECOND_NS,
        "m" => MINUTE_NS,
        "h" => 60 * MINUTE_NS,
        _ => return Err(format!("`{text}` is not a time such as +60s")),
    };
    Ok(parse_number::<i64>(number)? * unit_ns as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::market::{RandomLog, Shape, Slots};
    use app::story::Story;

    #[test]
    fn what_a_story_asks_is_read_back_as_it_was_written() {
        let shape = Shape { accounts: 6, ..Shape::default() };
        read_back(RandomLog::new(3, shape));
        read_back(RandomLog::extended(4, shape));
    }

    fn read_back(mut log: RandomLog) {
        let (mut slots, mut model) = (Slots::new(), crate::model::Model::new());
        let (mut story, mut language) = (Story::new(), Language::new());
        for sequence in 1..4_000 {
            let step = log.next();
            let (stamp, command) = slots.place(&step);
            let line = story.command_line(&step.command);
            let read = language.parse(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let mut read = read.unwrap().command;
            assert_eq!(line, story.command_line(&read));
            // A definition leaves fields out that no rule looks at; an order nothing.
            if read.is_order() {
                *read.envelope_mut() = *step.command.envelope();
                assert_eq!(read, step.command, "{line}");
            }
            for event in model.apply(Sequence(sequence), stamp, &command) {
                story.line(&event);
                language.observe(&event);
                log.observe(&event);
            }
        }
    }

    #[test]
    fn a_line_that_is_not_understood_says_what_is_wrong() {
        let mut language = Language::new();
        for (line, wrong) in [
            ("alice buy 5", "no command or account `alice`"),
            ("account:1 buy 5 @", "the line ends before a price"),
            ("account:1 buy 5 @ 1 quickly", "`quickly` is not understood here"),
            ("account:1 buy five", "`five` is not a decimal number"),
            ("time 5", "`5` is not a time such as +60s"),
            ("kill venue", "the line ends before on or off"),
            ("account:1 buy 1 peg=best", "peg=best: primary or market"),
            ("calendar BTCUSDT daily 9 TRADING", "`9` is not a time of day such as 09:30:00"),
        ] {
            assert_eq!(language.parse(line).err().as_deref(), Some(wrong), "{line}");
        }
    }
}
