//! Events and commands as a story that people read: one line each, with the names of accounts,
//! symbols and assets that earlier events told. Orders are `#id`, lists `Lid`, trades `$id`.
//!
//! `outcry replay` prints it and the golden stories of the tests are compared with it. It shows no
//! key's secret, no ids of executions and book updates, and no client order id that a gateway made
//! (`auto…`).

use protocol::command::*;
use protocol::event::*;
use protocol::instrument::{InstrumentDefinition, LotSize, PriceFilter, filter, flag};
use protocol::*;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// Client order ids that begin so were made by a gateway.
pub const AUTOMATIC: &str = "auto";

/// Names learnt from events.
#[derive(Debug, Clone, Default)]
pub struct Story {
    assets: BTreeMap<AssetId, String>,
    symbols: BTreeMap<InstrumentId, String>,
    accounts: BTreeMap<AccountId, String>,
    /// The answer is complete; what comes now are its consequences.
    answered: bool,
}

impl Story {
    pub fn new() -> Story {
        Story::default()
    }

    /// Writes what happened as a line without its end; nothing for the frame around a command.
    /// Lines of consequences, which come after the answer, begin with `then`.
    pub fn write(&mut self, event: &Event, out: &mut impl Write) -> fmt::Result {
        match event {
            Event::CommandBegan(_) => self.answered = false,
            Event::CommandAnswered(_) => self.answered = true,
            _ if self.answered && !matches!(event, Event::StateHashed(_)) => {
                out.write_str("then ")?;
            }
            _ => {}
        }
        match event {
            Event::CommandBegan(_) | Event::CommandAnswered(_) => Ok(()),
            Event::CommandRefused(it) => match it.part {
                CommandPart::Whole => write!(out, "refused: {}", it.reason),
                part => write!(out, "refused {part}: {}", it.reason),
            },
            Event::StateHashed(it) => write!(out, "state {:016x}", it.state_hash),
            Event::GatewayAdmitted(it) => {
                write!(out, "slot {}.{} joined for the {}. time", it.node, it.slot, it.incarnation)
            }
            Event::OrderAccepted(_)
            | Event::OrderTriggered(_)
            | Event::OrderFilled(_)
            | Event::OrderClosed(_)
            | Event::OrderAmended(_)
            | Event::OrderReplaced(_)
            | Event::OrderTested(_) => self.write_order_event(event, out),
            Event::OrderAcceptedWithTerms(_)
            | Event::OrderListAccepted(_)
            | Event::OrderListDone(_)
            | Event::OrderActivated(_)
            | Event::OrderPegged(_)
            | Event::OrderRefused(_)
            | Event::TrailingStarted(_)
            | Event::IcebergRefilled(_) => self.write_terms_event(event, out),
            Event::IndicativeChanged(_)
            | Event::AuctionUncrossed(_)
            | Event::TradingInterrupted(_) => self.write_auction_event(event, out),
            Event::MatchPrevented(it) => self.write_prevented(it, out),
            Event::Trade(it) => self.write_trade(it, out),
            Event::BookChanged(it) => {
                write!(
                    out,
                    "book{} {} {}",
                    self.at(it.instrument),
                    word(it.side),
                    short(it.price)
                )?;
                match it.orders {
                    0 => write!(out, " empty"),
                    1 => write!(out, " has {} in 1 order", short(it.quantity)),
                    orders => write!(out, " has {} in {orders} orders", short(it.quantity)),
                }
            }
            Event::BalanceChanged(it) => {
                let (account, asset) = (self.account(it.account), self.asset(it.asset));
                write!(out, "balance {account} {} {asset}", short(it.free))?;
                match it.locked.is_zero() {
                    true => Ok(()),
                    false => write!(out, " and {} locked", short(it.locked)),
                }
            }
            _ => self.write_venue_event(event, out),
        }
    }

    /// The line of an event; empty for the frame around a command.
    pub fn line(&mut self, event: &Event) -> String {
        let mut line = String::new();
        // Writing to a text cannot fail.
        let _ = self.write(event, &mut line);
        line
    }

    fn write_venue_event(&mut self, event: &Event, out: &mut impl Write) -> fmt::Result {
        match event {
            Event::RulesSet(it) => write!(out, "rules {} stand", it.rules),
            Event::AssetDefined(it) => {
                self.assets.insert(it.asset, it.name.as_str().to_owned());
                write!(out, "asset {}", it.name)
            }
            Event::InstrumentDefined(it) => {
                let symbol = it.definition.symbol.as_str().to_owned();
                self.symbols.insert(it.instrument, symbol);
                write_definition(&it.definition, out)
            }
            Event::InstrumentStatusSet(it) => {
                write!(out, "status {} {}", self.symbol(it.instrument), it.status)
            }
            Event::AccountDefined(it) => {
                self.accounts.insert(it.account, it.name.as_str().to_owned());
                write!(out, "account {}", it.name)?;
                write_account_settings(it.trade_group, it.permissions, out)
            }
            Event::KeyAdded(it) => {
                let KeyAdded { account, key, kind, permissions, .. } = **it;
                write!(out, "key {} {key} {kind}", self.account(account))?;
                write_set(out, " may", permissions.into(), KEY_PERMISSIONS)
            }
            Event::KeyRemoved(it) => {
                write!(out, "key {} {} removed", self.account(it.account), it.key)
            }
            Event::FeesSet(it) => {
                match it.scope {
                    FeeScope::Venue => write!(out, "fees venue"),
                    FeeScope::Instrument => {
                        write!(out, "fees instrument {}", self.symbol(it.instrument))
                    }
                    FeeScope::Account => write!(out, "fees account {}", self.account(it.account)),
                }?;
                write!(out, " maker {} taker {}", rate(it.maker), rate(it.taker))
            }
            Event::RateLimitSet(it) => {
                write!(out, "limit {} {}", it.kind, it.limit)?;
                write!(out, " per {} {}", it.interval_count, it.interval)
            }
            Event::VenueLimitsSet(it) => write_venue_limits(&it.limits, out),
            Event::RiskLimitsSet(it) => {
                let symbol = match it.instrument {
                    InstrumentId::NONE => "all".into(),
                    id => self.symbol(id),
                };
                write!(out, "risk {} {symbol}", self.account_or_all(it.account))?;
                write_risk_limits(&it.limits, out)
            }
            Event::KillSwitchSet(it) => {
                let of = match it.account {
                    AccountId::NONE => "venue".into(),
                    id => self.account(id),
                };
                write!(out, "kill {of} {}", on_or_off(it.engaged))
            }
            Event::TradingRulesSet(it) => {
                write!(out, "rules {}", self.symbol(it.instrument))?;
                write_trading_rules(&it.rules, out)
            }
            Event::CalendarSet(it) => {
                write!(out, "calendar {}", self.symbol(it.instrument))?;
                write_calendar(&it.entries, out)
            }
            Event::TransferExecuted(it) => {
                let (account, asset) = (self.account(it.account), self.asset(it.asset));
                let what = it.direction.as_str().to_ascii_lowercase();
                write!(out, "{what} {account} {} {asset}", short(it.amount))
            }
            _ => Ok(()),
        }
    }

    fn write_order_event(&self, event: &Event, out: &mut impl Write) -> fmt::Result {
        match event {
            Event::OrderAccepted(it) => {
                write!(out, "accepted #{} {} ", it.order, self.account(it.request.account))?;
                self.write_request(&it.request, &OrderTerms::NONE, out)
            }
            Event::OrderTriggered(it) => write!(out, "triggered #{}", it.order),
            Event::OrderTested(it) => write!(out, "would be accepted{}", self.at(it.instrument)),
            Event::OrderAmended(it) => {
                write!(out, "amended #{} from {}", it.order, short(it.quantity_before))?;
                write!(out, " to {}", short(it.quantity))?;
                let is_automatic = it.client_order_id.as_str().starts_with(AUTOMATIC);
                match it.client_order_id == it.client_order_id_before || is_automatic {
                    true => Ok(()),
                    false => write!(out, " id={}", it.client_order_id),
                }
            }
            Event::OrderReplaced(it) => {
                write!(out, "replaced #{} {} @ {}", it.order, short(it.quantity), short(it.price))?;
                write!(out, ", before @ {}", short(it.price_before))
            }
            Event::OrderFilled(it) => {
                let verb = match it.status {
                    OrderStatus::Filled => "filled",
                    _ => "partly filled",
                };
                let role = if it.is_maker { "maker" } else { "taker" };
                write!(out, "{verb} #{} as {role}", it.order)?;
                if it.cumulative_quantity != it.quantity {
                    write!(out, ", by now {}", short(it.cumulative_quantity))?;
                    write!(out, " for {}", short(it.cumulative_quote))?;
                }
                match it.commission.is_zero() {
                    true => Ok(()),
                    false => {
                        let asset = self.asset(it.commission_asset);
                        write!(out, ", commission {} {asset}", short(it.commission))
                    }
                }
            }
            Event::OrderClosed(it) => {
                let status = match it.status {
                    OrderStatus::Canceled => "canceled",
                    OrderStatus::Rejected => "rejected",
                    OrderStatus::ExpiredInMatch => "expired in match",
                    _ => "expired",
                };
                write!(out, "{status} #{} ({})", it.order, it.reason)?;
                if !it.cumulative_quantity.is_zero() {
                    write!(out, ", executed {}", short(it.cumulative_quantity))?;
                    write!(out, " for {}", short(it.cumulative_quote))?;
                }
                if !it.prevented_quantity.is_zero() {
                    write!(out, ", prevented {}", short(it.prevented_quantity))?;
                }
                match it.cancel_client_order_id.is_empty() {
                    true => Ok(()),
                    false => write!(out, ", by {}", it.cancel_client_order_id),
                }
            }
            _ => Ok(()),
        }
    }

    fn write_terms_event(&self, event: &Event, out: &mut impl Write) -> fmt::Result {
        match event {
            Event::OrderAcceptedWithTerms(it) => {
                write!(out, "accepted #{} {} ", it.order, self.account(it.request.account))?;
                self.write_request(&it.request, &it.terms, out)?;
                write_pegged(it.pegged_price, out)?;
                out.write_str(if it.is_pending { ", pending" } else { "" })
            }
            Event::OrderListAccepted(it) => {
                let kind = it.kind.as_str().to_ascii_lowercase();
                let (account, at) = (self.account(it.account), self.at(it.instrument));
                write!(out, "list L{} {account} {kind}{at} of", it.list)?;
                for order in it.orders.iter().filter(|order| **order != OrderId::NONE) {
                    write!(out, " #{order}")?;
                }
                match it.list_client_order_id.as_str().starts_with(AUTOMATIC) {
                    true => Ok(()),
                    false => write!(out, " list={}", it.list_client_order_id),
                }
            }
            Event::OrderListDone(it) => write!(out, "list L{} done", it.list),
            Event::OrderActivated(it) => {
                write!(out, "activated #{} with {}", it.order, short(it.quantity))?;
                write_pegged(it.pegged_price, out)
            }
            Event::OrderPegged(it) => write!(out, "pegged #{} at {}", it.order, short(it.price)),
            Event::OrderRefused(it) => write!(out, "refused #{}: {}", it.order, it.reason),
            Event::TrailingStarted(it) => {
                write!(out, "trailing #{} from {}", it.order, short(it.price))
            }
            Event::IcebergRefilled(it) => {
                write!(out, "refilled #{} shows {}", it.order, short(it.quantity))
            }
            _ => Ok(()),
        }
    }

    fn write_auction_event(&self, event: &Event, out: &mut impl Write) -> fmt::Result {
        match event {
            Event::IndicativeChanged(it) => {
                write!(out, "auction{} would trade ", self.at(it.instrument))?;
                if it.price.is_zero() {
                    return out.write_str("nothing");
                }
                write!(out, "{} @ {}", short(it.quantity), short(it.price))?;
                if !it.surplus.is_zero() {
                    write!(out, ", surplus {} {}", word(it.surplus_side), short(it.surplus))?;
                }
                match it.reference.is_zero() {
                    true => Ok(()),
                    false => write!(out, ", last {}", short(it.reference)),
                }
            }
            Event::AuctionUncrossed(it) => {
                write!(out, "uncrossed{} ", self.at(it.instrument))?;
                match it.price.is_zero() {
                    true => out.write_str("nothing"),
                    false => write!(out, "{} @ {}", short(it.quantity), short(it.price)),
                }
            }
            Event::TradingInterrupted(it) => {
                write!(out, "interrupted{} at {}", self.at(it.instrument), short(it.price))?;
                write!(out, ", average {}, until ", short(it.reference))?;
                write_second(it.until.0 / SECOND_NS % DAY_S, out)
            }
            _ => Ok(()),
        }
    }

    fn write_trade(&self, trade: &Trade, out: &mut impl Write) -> fmt::Result {
        let Trade { instrument, trade: id, quantity, price, quote, .. } = *trade;
        write!(out, "trade{} ${id} {} @ {}", self.at(instrument), short(quantity), short(price))?;
        write!(out, " for {} maker #{}", short(quote), trade.maker_order)?;
        write!(out, " taker #{} {}", trade.taker_order, word(trade.taker_side))?;
        match trade.aggregate.0 == id.0 {
            true => Ok(()),
            false => write!(out, " aggregate {}", trade.aggregate),
        }
    }

    fn write_prevented(&self, it: &MatchPrevented, out: &mut impl Write) -> fmt::Result {
        let at = self.at(it.instrument);
        write!(out, "prevented{at} match {} {}", it.prevented_match.0, it.mode)?;
        write!(out, " @ {}", short(it.price))?;
        for (role, order, last, total) in [
            ("maker", it.maker_order, it.maker_prevented, it.maker_prevented_total),
            ("taker", it.taker_order, it.taker_prevented, it.taker_prevented_total),
        ] {
            write!(out, " {role} #{order} by {}", short(last))?;
            if total != last {
                write!(out, " ({} in all)", short(total))?;
            }
        }
        match it.trade_group {
            0 => Ok(()),
            group => write!(out, " in group {group}"),
        }
    }

    // Names.

    fn account(&self, id: AccountId) -> String {
        self.accounts.get(&id).cloned().unwrap_or_else(|| format!("account:{id}"))
    }

    fn account_or_all(&self, id: AccountId) -> String {
        if id == AccountId::NONE { "all".into() } else { self.account(id) }
    }

    fn asset(&self, id: AssetId) -> String {
        self.assets.get(&id).cloned().unwrap_or_else(|| format!("asset:{id}"))
    }

    fn symbol(&self, id: InstrumentId) -> String {
        self.symbols.get(&id).cloned().unwrap_or_else(|| format!("instrument:{id}"))
    }

    /// ` SYMBOL`, or nothing while there is only one.
    fn at(&self, id: InstrumentId) -> String {
        match self.symbols.len() == 1 && self.symbols.contains_key(&id) {
            true => String::new(),
            false => format!(" {}", self.symbol(id)),
        }
    }

    // Commands, in the language in which the golden stories ask.

    /// Writes what is asked as a line without its end.
    pub fn write_command(&self, command: &Command, out: &mut impl Write) -> fmt::Result {
        match command {
            Command::Genesis(it) => write!(out, "genesis rules {} seed {}", it.rules, it.seed),
            Command::SetRules(it) => write!(out, "rules {}", it.rules),
            Command::Tick(_) => write!(out, "tick"),
            Command::GatewayJoined(it) => write!(out, "join nonce {}", it.nonce),
            Command::DefineInstrument(it) => write_definition(&it.definition, out),
            Command::SetInstrumentStatus(it) => {
                write!(out, "status {} {}", named(&it.symbol), it.status)
            }
            Command::DefineAccount(it) => {
                write!(out, "account {}", named(&it.name))?;
                write_account_settings(it.trade_group, it.permissions, out)
            }
            Command::AddKey(it) => {
                write!(out, "key {} {} {}", named(&it.account), named(&it.key), it.kind)?;
                write_set(out, " may", it.permissions.into(), KEY_PERMISSIONS)?;
                out.write_str(if it.material.is_empty() { " without material" } else { "" })
            }
            Command::RemoveKey(it) => write!(out, "remove {}", named(&it.key)),
            Command::SetFees(it) => {
                let scope = it.scope.as_str().to_ascii_lowercase();
                let name = match it.scope {
                    FeeScope::Venue if it.name.is_empty() => String::new(),
                    _ => format!(" {}", named(&it.name)),
                };
                write!(out, "fees {scope}{name} maker {} taker {}", rate(it.maker), rate(it.taker))
            }
            Command::SetRateLimit(it) => {
                write!(out, "limit {} {}", it.kind, it.limit)?;
                write!(out, " per {} {}", it.interval_count, it.interval)
            }
            Command::SetVenueLimits(it) => write_venue_limits(&it.limits, out),
            Command::SetRiskLimits(it) => {
                write!(out, "risk {} {}", or_all(&it.account), or_all(&it.symbol))?;
                write_risk_limits(&it.limits, out)
            }
            Command::SetKillSwitch(it) => {
                let of = if it.account.is_empty() { "venue" } else { it.account.as_str() };
                write!(out, "kill {of} {}", on_or_off(it.engaged))
            }
            Command::SetTradingRules(it) => {
                write!(out, "rules {}", named(&it.symbol))?;
                write_trading_rules(&it.rules, out)
            }
            Command::SetCalendar(it) => {
                write!(out, "calendar {}", named(&it.symbol))?;
                write_calendar(&it.entries, out)
            }
            Command::Transfer(it) => {
                let verb = match it.direction {
                    TransferDirection::Deposit => "deposit",
                    TransferDirection::Withdrawal => "withdraw",
                };
                let amount = short(it.amount);
                write!(out, "{verb} {} {amount} {}", named(&it.account), named(&it.asset))?;
                write!(out, " as {}", named(&it.transfer))
            }
            _ => self.write_order_command(command, out),
        }
    }

    /// The line of a command.
    pub fn command_line(&self, command: &Command) -> String {
        let mut line = String::new();
        let _ = self.write_command(command, &mut line);
        line
    }

    fn write_order_command(&self, command: &Command, out: &mut impl Write) -> fmt::Result {
        match command {
            Command::NewOrder(it) => {
                write!(out, "{} ", self.account(it.request.account))?;
                self.write_request(&it.request, &OrderTerms::NONE, out)?;
                out.write_str(if it.dry_run { " dry" } else { "" })
            }
            Command::NewOrderWithTerms(it) => {
                write!(out, "{} ", self.account(it.request.account))?;
                self.write_request(&it.request, &it.terms, out)?;
                // Says which command it is where the terms do not.
                out.write_str(if it.terms == OrderTerms::NONE { " without_terms" } else { "" })?;
                out.write_str(if it.dry_run { " dry" } else { "" })
            }
            Command::NewOrderList(it) => self.write_list(it, out),
            Command::CancelOrderList(it) => {
                let at = self.at(it.instrument);
                write!(out, "{} cancel{at} list", self.account(it.account))?;
                if it.list != OrderListId::NONE {
                    write!(out, " L{}", it.list)?;
                }
                if !it.list_client_order_id.is_empty() {
                    write!(out, " list={}", it.list_client_order_id)?;
                }
                match it.cancel_client_order_id.is_empty() {
                    true => Ok(()),
                    false => write!(out, " as={}", it.cancel_client_order_id),
                }
            }
            Command::MassCancel(it) => {
                write!(out, "mass cancel {}", self.account_or_all(it.account))?;
                if it.instrument != InstrumentId::NONE {
                    write!(out, " {}", self.symbol(it.instrument))?;
                }
                match it.cause {
                    MassCancelCause::Administrator => Ok(()),
                    MassCancelCause::Disconnect => out.write_str(" disconnect"),
                }
            }
            Command::CancelOrder(it) => {
                write!(
                    out,
                    "{} cancel{} #{}",
                    self.account(it.account),
                    self.at(it.instrument),
                    it.order
                )?;
                write_restrictions(it.restrictions, out)
            }
            Command::CancelNamedOrder(it) => {
                write!(out, "{} cancel{}", self.account(it.account), self.at(it.instrument))?;
                write_named(it.order, &it.client_order_id, out)?;
                write!(out, " as={}", named(&it.cancel_client_order_id))?;
                write_restrictions(it.restrictions, out)
            }
            Command::CancelAllOrders(it) => {
                write!(out, "{} cancel{} all", self.account(it.account), self.at(it.instrument))
            }
            Command::CancelReplace(it) => {
                write!(out, "{} replace", self.account(it.request.account))?;
                write_named(it.cancel_order, &it.cancel_original_client_order_id, out)?;
                if !it.cancel_client_order_id.is_empty() {
                    write!(out, " as={}", it.cancel_client_order_id)?;
                }
                write_restrictions(it.restrictions, out)?;
                if it.mode == CancelReplaceMode::AllowFailure {
                    out.write_str(" allow_failure")?;
                }
                out.write_str(" with ")?;
                self.write_request(&it.request, &it.terms, out)
            }
            Command::AmendOrder(it) => {
                write!(out, "{} amend{}", self.account(it.account), self.at(it.instrument))?;
                write_named(it.order, &it.client_order_id, out)?;
                write!(out, " to {} as={}", short(it.quantity), named(&it.new_client_order_id))
            }
            Command::ReplaceOrder(it) => {
                write!(
                    out,
                    "{} move{} #{}",
                    self.account(it.account),
                    self.at(it.instrument),
                    it.order
                )?;
                write!(out, " to {} @ {}", short(it.quantity), short(it.price))
            }
            _ => Ok(()),
        }
    }

    /// `alice oco sell … / sell … list=id`: orders in the order of the command.
    fn write_list(&self, command: &NewOrderList, out: &mut impl Write) -> fmt::Result {
        let NewOrderList { account, instrument, kind, orders, .. } = command;
        let kind = kind.as_str().to_ascii_lowercase();
        write!(out, "{} {kind}{}", self.account(*account), self.at(*instrument))?;
        let used = orders.iter().rposition(|it| *it != ListedOrder::EMPTY).map_or(0, |at| at + 1);
        for (at, ListedOrder { request, terms }) in orders[..used].iter().enumerate() {
            out.write_str(if at == 0 { " " } else { " / " })?;
            if request.account != *account {
                write!(out, "by {} ", self.account(request.account))?;
            }
            let symbol = match request.instrument == *instrument {
                true => String::new(),
                false => format!(" {}", self.symbol(request.instrument)),
            };
            write_request_at(request, terms, &symbol, out)?;
        }
        match command.list_client_order_id.as_str().starts_with(AUTOMATIC) {
            true => Ok(()),
            false => write!(out, " list={}", named(&command.list_client_order_id)),
        }
    }

    fn write_request(
        &self,
        request: &OrderRequest,
        terms: &OrderTerms,
        out: &mut impl Write,
    ) -> fmt::Result {
        write_request_at(request, terms, &self.at(request.instrument), out)
    }
}

/// An order on the instrument that `symbol` says: empty, or with a space before it.
fn write_request_at(
    request: &OrderRequest,
    terms: &OrderTerms,
    symbol: &str,
    out: &mut impl Write,
) -> fmt::Result {
    let OrderRequest { kind, side, quantity, price, stop_price, .. } = *request;
    if kind != OrderKind::Limit {
        write!(out, "{} ", kind.as_str().to_ascii_lowercase())?;
    }
    write!(out, "{}{symbol} ", word(side))?;
    if request.quantity_unit == QuantityUnit::Quote {
        out.write_str("quote ")?;
    }
    write!(out, "{}", short(quantity))?;
    if kind.is_limit() && terms.peg == PegPrice::None || !price.is_zero() {
        write!(out, " @ {}", short(price))?;
    }
    if kind.is_contingent() && terms.trailing_delta == 0 || !stop_price.is_zero() {
        write!(out, " stop {}", short(stop_price))?;
    }
    if request.time_in_force != TimeInForce::Gtc {
        write!(out, " {}", request.time_in_force.as_str().to_ascii_lowercase())?;
    }
    if request.stp_mode != StpMode::None {
        write!(out, " stp={}", request.stp_mode.as_str().to_ascii_lowercase())?;
    }
    if (request.strategy_id, request.strategy_type) != (0, 0) {
        write!(out, " strategy={}/{}", request.strategy_id, request.strategy_type)?;
    }
    write_terms(terms, out)?;
    match request.client_order_id.as_str().starts_with(AUTOMATIC) {
        true => Ok(()),
        false => write!(out, " id={}", named(&request.client_order_id)),
    }
}

fn write_terms(terms: &OrderTerms, out: &mut impl Write) -> fmt::Result {
    if !terms.iceberg.is_zero() {
        write!(out, " iceberg={}", short(terms.iceberg))?;
    }
    if terms.trailing_delta != 0 {
        write!(out, " trailing={}", terms.trailing_delta)?;
    }
    if (terms.peg, terms.peg_level) == (PegPrice::None, 0) {
        return Ok(());
    }
    let peg = match terms.peg {
        PegPrice::None => "none",
        PegPrice::Primary => "primary",
        PegPrice::Market => "market",
    };
    write!(out, " peg={peg}")?;
    if terms.peg_level == 0 { Ok(()) } else { write!(out, "+{}", terms.peg_level) }
}

fn write_pegged(price: Price, out: &mut impl Write) -> fmt::Result {
    if price.is_zero() { Ok(()) } else { write!(out, ", pegged at {}", short(price)) }
}

fn write_venue_limits(limits: &VenueLimits, out: &mut impl Write) -> fmt::Result {
    write!(out, "open_orders_max {}", limits.open_orders_max)?;
    for (name, max) in [
        ("algo_orders_max", limits.algo_orders_max),
        ("iceberg_orders_max", limits.iceberg_orders_max),
        ("order_lists_max", limits.order_lists_max),
    ] {
        if max != 0 {
            write!(out, " {name} {max}")?;
        }
    }
    Ok(())
}

fn write_risk_limits(limits: &RiskLimits, out: &mut impl Write) -> fmt::Result {
    if *limits == RiskLimits::default() {
        return out.write_str(" none");
    }
    if !limits.order_notional_max.is_zero() {
        write!(out, " notional {}", short(limits.order_notional_max))?;
    }
    if limits.open_orders_max != 0 {
        write!(out, " orders {}", limits.open_orders_max)?;
    }
    if !limits.day_quantity_max.is_zero() {
        write!(out, " day {}", short(limits.day_quantity_max))?;
    }
    if limits.collar == 0 { Ok(()) } else { write!(out, " collar {}", units(limits.collar)) }
}

/// `range DOWN..UP`, for bids and asks apart where they differ.
fn write_trading_rules(rules: &TradingRules, out: &mut impl Write) -> fmt::Result {
    if *rules == TradingRules::default() {
        return out.write_str(" none");
    }
    let bid = (rules.bid_limit_down, rules.bid_limit_up);
    let ask = (rules.ask_limit_down, rules.ask_limit_up);
    if (bid, ask) != ((0, 0), (0, 0)) {
        write!(out, " range {}..{}", units(bid.0), units(bid.1))?;
        if bid != ask {
            write!(out, ",{}..{}", units(ask.0), units(ask.1))?;
        }
    }
    if !rules.external_reference.is_zero() {
        write!(out, " reference {}", short(rules.external_reference))?;
    }
    if rules.volatility_band != 0 {
        write!(out, " band {}", units(rules.volatility_band))?;
    }
    if rules.volatility_minutes != 0 {
        write!(out, " over {}", rules.volatility_minutes)?;
    }
    if rules.volatility_auction_s != 0 {
        write!(out, " auction {}s", rules.volatility_auction_s)?;
    }
    match (rules.bucket_count, rules.bucket_width_ms) {
        (0, 0) => Ok(()),
        (count, width) => write!(out, " buckets {count}x{width}ms"),
    }
}

/// Days of a calendar, Monday first.
pub const WEEKDAYS: &[(u32, &str)] = &[
    (1 << 0, "mon"),
    (1 << 1, "tue"),
    (1 << 2, "wed"),
    (1 << 3, "thu"),
    (1 << 4, "fri"),
    (1 << 5, "sat"),
    (1 << 6, "sun"),
];

/// Sets of days that have a word of their own.
pub const WEEKS: &[(u8, &str)] = &[(0b001_1111, "mon-fri"), (0b111_1111, "daily")];

const DAY_S: u64 = 86_400;

fn write_calendar(entries: &Calendar, out: &mut impl Write) -> fmt::Result {
    let used = entries.iter().rposition(|it| *it != CalendarEntry::NONE).map_or(0, |at| at + 1);
    if used == 0 {
        return out.write_str(" none");
    }
    for CalendarEntry { weekdays, second, status } in &entries[..used] {
        match WEEKS.iter().find(|(days, _)| days == weekdays) {
            Some((_, word)) => write!(out, " {word}")?,
            None => write_set(out, "", (*weekdays).into(), WEEKDAYS)?,
        }
        out.write_char(' ')?;
        write_second((*second).into(), out)?;
        write!(out, " {status}")?;
    }
    Ok(())
}

/// `HH:MM:SS` of the second of a day.
fn write_second(second: u64, out: &mut impl Write) -> fmt::Result {
    write!(out, "{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

fn on_or_off(engaged: bool) -> &'static str {
    if engaged { "on" } else { "off" }
}

/// Sets of bits, by the words that stories use.
pub const ACCOUNT_PERMISSIONS: &[(u32, &str)] = &[
    (account_permission::TRADE as u32, "trade"),
    (account_permission::DEPOSIT as u32, "deposit"),
    (account_permission::WITHDRAW as u32, "withdraw"),
];
pub const KEY_PERMISSIONS: &[(u32, &str)] = &[
    (key_permission::TRADE as u32, "trade"),
    (key_permission::USER_DATA as u32, "user_data"),
    (key_permission::UNLIMITED as u32, "unlimited"),
];
pub const FLAGS: &[(u32, &str)] = &[
    (flag::QUOTE_ORDER_QUANTITY, "quote_quantity"),
    (flag::CANCEL_REPLACE, "cancel_replace"),
    (flag::AMEND, "amend"),
    (flag::SPOT, "spot"),
    (flag::ICEBERG, "iceberg"),
    (flag::TRAILING_STOP, "trailing"),
    (flag::PEGGED, "pegged"),
    (flag::OCO, "oco"),
    (flag::OTO, "oto"),
    (flag::OPO, "opo"),
];

/// ` name word,word`; bits without a word as a number, no bit as `nothing`.
fn write_set(out: &mut impl Write, name: &str, set: u32, words: &[(u32, &str)]) -> fmt::Result {
    write!(out, "{name} ")?;
    let mut rest = set;
    let mut comma = "";
    for (bit, word) in words.iter().filter(|(bit, _)| set & bit != 0) {
        write!(out, "{comma}{word}")?;
        (rest, comma) = (rest & !bit, ",");
    }
    match (rest, set) {
        (_, 0) => write!(out, "nothing"),
        (0, _) => Ok(()),
        _ => write!(out, "{comma}{rest}"),
    }
}

fn write_account_settings(group: u32, permissions: u8, out: &mut impl Write) -> fmt::Result {
    if group != 0 {
        write!(out, " group {group}")?;
    }
    match permissions {
        account_permission::ALL => Ok(()),
        _ => write_set(out, " may", permissions.into(), ACCOUNT_PERMISSIONS),
    }
}

fn write_named(order: OrderId, id: &ClientOrderId, out: &mut impl Write) -> fmt::Result {
    if order != OrderId::NONE {
        write!(out, " #{order}")?;
    }
    match id.is_empty() {
        true => Ok(()),
        false => write!(out, " id={id}"),
    }
}

fn write_restrictions(restrictions: CancelRestrictions, out: &mut impl Write) -> fmt::Result {
    match restrictions {
        CancelRestrictions::None => Ok(()),
        _ => write!(out, " {}", restrictions.as_str().to_ascii_lowercase()),
    }
}

/// What differs from an open definition; fields that no rule looks at are left out.
fn write_definition(definition: &InstrumentDefinition, out: &mut impl Write) -> fmt::Result {
    let InstrumentDefinition { symbol, base, quote, filters, .. } = *definition;
    let open = InstrumentDefinition::open(symbol, base, quote);
    write!(out, "instrument {} {}/{}", named(&symbol), named(&base), named(&quote))?;
    if definition.status != open.status {
        write!(out, " status {}", definition.status)?;
    }
    if definition.order_kinds != open.order_kinds {
        let words: Vec<_> =
            OrderKind::ALL.iter().map(|it| (it.bit().into(), it.as_str())).collect();
        write_set(out, " kinds", definition.order_kinds.into(), &words)?;
    }
    if definition.flags != open.flags {
        write_set(out, " flags", definition.flags, FLAGS)?;
    }
    if definition.allowed_stp_modes != open.allowed_stp_modes {
        let words: Vec<_> = StpMode::ALL.iter().map(|it| (it.bit().into(), it.as_str())).collect();
        write_set(out, " stp", definition.allowed_stp_modes.into(), &words)?;
    }
    if definition.default_stp_mode != open.default_stp_mode {
        write!(out, " default_stp {}", definition.default_stp_mode)?;
    }
    if !definition.reference_price.is_zero() {
        write!(out, " reference {}", short(definition.reference_price))?;
    }
    if definition.base_precision != open.base_precision {
        write!(out, " precision {}", definition.base_precision)?;
    }
    write_filters(&filters, out)
}

fn write_filters(filters: &Filters, out: &mut impl Write) -> fmt::Result {
    if filters.has(filter::PRICE) {
        let PriceFilter { min, max, tick } = filters.price;
        write_grid(out, " price", min.0, max.0, tick.0)?;
    }
    for (bit, name, LotSize { min, max, step }) in [
        (filter::LOT_SIZE, " lot", filters.lot_size),
        (filter::MARKET_LOT_SIZE, " market_lot", filters.market_lot_size),
    ] {
        if filters.has(bit) {
            write_grid(out, name, min.0, max.0, step.0)?;
        }
    }
    if filters.has(filter::PERCENT_PRICE) {
        let band = filters.percent_price;
        write_grid(out, " percent_price", band.multiplier_down, band.multiplier_up, 0)?;
        write!(out, " over {}", band.average_minutes)?;
    }
    if filters.has(filter::TRAILING_DELTA) {
        let delta = filters.trailing_delta;
        write!(out, " trailing_delta {}..{}", delta.min_above, delta.max_above)?;
        write!(out, ",{}..{}", delta.min_below, delta.max_below)?;
    }
    if filters.has(filter::PERCENT_PRICE_BY_SIDE) {
        let band = filters.percent_price_by_side;
        write!(
            out,
            " percent {}..{}",
            units(band.bid_multiplier_down),
            units(band.bid_multiplier_up)
        )?;
        write!(out, ",{}..{}", units(band.ask_multiplier_down), units(band.ask_multiplier_up))?;
        write!(out, " over {}", band.average_minutes)?;
    }
    if filters.has(filter::MIN_NOTIONAL) {
        let rule = filters.min_notional;
        write!(out, " min_notional {}{}", short(rule.min), market_mark(rule.apply_to_market))?;
        write!(out, " over {}", rule.average_minutes)?;
    }
    if filters.has(filter::NOTIONAL) {
        let rule = filters.notional;
        let (min, max) = (short(rule.min), short(rule.max));
        write!(out, " notional {min}{}", market_mark(rule.apply_min_to_market))?;
        write!(out, "..{max}{}", market_mark(rule.apply_max_to_market))?;
        write!(out, " over {}", rule.average_minutes)?;
    }
    if filters.has(filter::MAX_POSITION) {
        write!(out, " max_position {}", short(filters.max_position))?;
    }
    for (bit, name, max) in [
        (filter::MAX_NUM_ORDERS, "max_orders", filters.max_num_orders),
        (filter::MAX_NUM_ORDER_AMENDS, "max_amends", filters.max_num_order_amends),
        (filter::ICEBERG_PARTS, "iceberg_parts", filters.iceberg_parts),
        (filter::MAX_NUM_ALGO_ORDERS, "max_algo_orders", filters.max_num_algo_orders),
        (filter::MAX_NUM_ICEBERG_ORDERS, "max_iceberg_orders", filters.max_num_iceberg_orders),
        (filter::MAX_NUM_ORDER_LISTS, "max_lists", filters.max_num_order_lists),
    ] {
        if filters.has(bit) {
            write!(out, " {name} {max}")?;
        }
    }
    // Bits that no filter has.
    match filters.present & !filter::KNOWN {
        0 => Ok(()),
        others => write!(out, " filters {others}"),
    }
}

/// ` name min..max/step`, without what is 0.
fn write_grid(out: &mut impl Write, name: &str, min: u64, max: u64, step: u64) -> fmt::Result {
    let bound = |bound: u64| if bound == 0 { String::new() } else { units(bound) };
    write!(out, "{name} {}..{}", bound(min), bound(max))?;
    if step == 0 { Ok(()) } else { write!(out, "/{}", units(step)) }
}

/// A rule that holds for market orders too.
fn market_mark(applies: bool) -> &'static str {
    if applies { "+market" } else { "" }
}

/// A name as a word: what is empty shows as `-`.
fn named<const N: usize>(text: &Text<N>) -> &str {
    if text.is_empty() { "-" } else { text.as_str() }
}

fn or_all<const N: usize>(text: &Text<N>) -> &str {
    if text.is_empty() { "all" } else { text.as_str() }
}

fn word(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// A number without the zeros at its end.
fn short(number: impl fmt::Display) -> String {
    let text = number.to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn units(units: u64) -> String {
    short(Price(units))
}

fn rate(rate: u32) -> String {
    units(rate.into())
}
