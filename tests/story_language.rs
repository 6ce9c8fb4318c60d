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
//! tick    join    genesis    time +60s
//! ```
//! A symbol stands after the verb (`alice buy BTCUSDT 5`); without one it is the first instrument.
//! `slot=1`, `number=again|skip|stale` and `deadline=-1ms` may end any line.

use app::market::{Numbering, Step};
use app::story::{ACCOUNT_PERMISSIONS, AUTOMATIC, FLAGS, KEY_PERMISSIONS};
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
            self.advance_ns += parse_time(words.next("a time")?)? as u64;
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
            "rules" => SetRules { envelope, rules: next_number(words)? }.into(),
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
                    ..VenueLimits::default()
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
                let instrument = self.next_instrument(words)?;
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
                let instrument = self.next_instrument(words)?;
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
            "replace" => {
                words.take("replace");
                let with = words.0.iter().position(|word| *word == "with");
                let with = with.ok_or("`with` and the new order are missing")?;
                let mut new = Words(words.0.split_off(with));
                new.take("with");
                let command = CancelReplace {
                    terms: OrderTerms::NONE,
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
                    request: self.parse_request(account, &mut new)?,
                };
                new.end()?;
                command.into()
            }
            _ => {
                let dry_run = words.flag("dry");
                NewOrder { envelope, request: self.parse_request(account, words)?, dry_run }.into()
            }
        })
    }

    fn parse_request(&mut self, account: AccountId, words: &mut Words<'_>) -> Parsed<OrderRequest> {
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
        let instrument = self.next_instrument(words)?;
        let quantity_unit = match words.take("quote") {
            true => QuantityUnit::Quote,
            false => QuantityUnit::Base,
        };
        let quantity = Quantity(parse_units(words.next("a quantity")?)?);
        let price = if words.take("@") { parse_units(words.next("a price")?)? } else { 0 };
        let stop = if words.take("stop") { parse_units(words.next("a price")?)? } else { 0 };
        Ok(OrderRequest {
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
        })
    }

    /// The account of a name, or of `account:ID`.
    fn account(&self, word: &str) -> Parsed<AccountId> {
        if let Some(id) = word.strip_prefix("account:") {
            return parse_number(id).map(AccountId);
        }
        self.accounts.get(word).copied().ok_or_else(|| format!("no command or account `{word}`"))
    }

    /// The instrument of a symbol or of `instrument:ID`, if the next word is one; else the first.
    fn next_instrument(&self, words: &mut Words<'_>) -> Parsed<InstrumentId> {
        let word = words.peek();
        let id = match word.strip_prefix("instrument:") {
            Some(id) => Some(InstrumentId(parse_number(id)?)),
            None => self.instruments.get(word).copied(),
        };
        if id.is_some() {
            words.next("a symbol")?;
        }
        Ok(id.unwrap_or(InstrumentId(1)))
    }
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
word!(Side OrderKind TimeInForce StpMode InstrumentStatus KeyKind FeeScope RateLimitKind RateLimitInterval);

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

/// `+60s`, `-1ms`: seconds, minutes, milliseconds, nanoseconds.
fn parse_time(text: &str) -> Parsed<i64> {
    let split = text.rfind(|last: char| last.is_ascii_digit()).map_or(0, |last| last + 1);
    let (number, unit) = text.split_at(split);
    let unit_ns = match unit {
        "ns" => 1,
        "ms" => MILLISECOND_NS,
        "s" => SECOND_NS,
        "m" => MINUTE_NS,
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
        let mut log = RandomLog::new(3, Shape { accounts: 6, ..Shape::default() });
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
        ] {
            assert_eq!(language.parse(line).err().as_deref(), Some(wrong), "{line}");
        }
    }
}
