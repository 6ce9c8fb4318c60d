//! The steps of a life: what one event did to the order, in words and as fields.

use protocol::event::*;
use protocol::*;
use serde_json::{Map, Value, json};

use super::facts::{Facts, short};
use super::life::{At, Doing, Life, Scene, Seen, Step};

/// Steps of one order that are kept; what comes after is counted.
const STEPS_MAX: usize = 10_000;

/// Fields of a step.
pub(super) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A number of the exchange in JSON: text, as everywhere.
pub(super) fn text(number: impl ToString) -> Value {
    Value::String(number.to_string())
}

impl Life {
    pub(super) fn push(&mut self, step: Step) {
        match self.steps.len() < STEPS_MAX || !self.is_open() {
            true => self.steps.push(step),
            false => self.steps_left_out += 1,
        }
    }

    fn tell<const N: usize>(
        &mut self,
        at: At,
        what: &'static str,
        words: String,
        told: [(&str, Value); N],
    ) {
        self.push(Step { at, what, text: words, fields: fields(told), ahead: None });
    }

    pub(super) fn see_fill(&mut self, fill: &OrderFilled, scene: &Scene<'_>, seen: &mut Seen) {
        if fill.is_maker {
            self.come_first(scene.at, seen);
        } else if scene.at.sequence == self.entry.at.sequence {
            self.traded_at_once += fill.quantity.into();
        }
        seen.is_touched = true;
        self.fills += 1;
        self.executed = fill.cumulative_quantity;
        self.executed_quote = fill.cumulative_quote;
        if !fill.commission.is_zero() {
            let asset = scene.facts.asset(fill.commission_asset);
            *self.commissions.entry(asset).or_default() += fill.commission;
        }
        if fill.status == OrderStatus::Filled {
            self.doing = Doing::Filled;
        }
        let other = seen.trade.map(|trade| match trade.maker_order == self.order {
            true => trade.taker_order,
            false => trade.maker_order,
        });
        self.tell_fill(fill, other.unwrap_or(OrderId::NONE), scene);
    }

    /// Its turn has come: it is the first of its level, whatever stood before it has gone.
    fn come_first(&mut self, at: At, seen: &mut Seen) {
        match &mut self.place {
            Some(place) if place.ahead.is_empty() => {}
            Some(place) => {
                let step = place.moved(Vec::new(), &mut seen.causes, at);
                self.push(step);
            }
            // In an auction a market order stands beside the book.
            None if self.price.is_zero() => {}
            None if self.doing == Doing::Resting => {}
            None => {
                self.doing = Doing::Resting;
                let words = format!("rests: {}, and is met in the same command", short(self.price));
                self.tell(at, "rests", words, [("price", text(self.price)), ("ahead", text("0"))]);
            }
        }
    }

    fn tell_fill(&mut self, fill: &OrderFilled, other: OrderId, scene: &Scene<'_>) {
        let role = if fill.is_maker { "maker" } else { "taker" };
        let (quantity, price) = (short(fill.quantity), short(fill.price));
        let mut words = format!("{quantity} @ {price} as {role} against #{other}");
        words += &format!(", trade ${}", fill.trade);
        if !fill.commission.is_zero() {
            let paid = scene.facts.money(fill.commission, fill.commission_asset);
            words += &format!(", commission {paid}");
        }
        let all = match self.request.quantity_unit {
            QuantityUnit::Base => format!(" of {}", short(self.quantity)),
            QuantityUnit::Quote => String::new(),
        };
        words += &format!(", by now {}{all}", short(fill.cumulative_quantity));
        words = match fill.status {
            OrderStatus::Filled => format!("filled: {words}"),
            _ => format!("partly filled: {words}"),
        };
        let told = [
            ("trade", json!(fill.trade.0)),
            ("price", text(fill.price)),
            ("quantity", text(fill.quantity)),
            ("isMaker", json!(fill.is_maker)),
            ("counterparty", json!(other.0)),
            ("commission", text(fill.commission)),
            ("commissionAsset", json!(scene.facts.asset(fill.commission_asset))),
            ("cumulativeQuantity", text(fill.cumulative_quantity)),
            ("cumulativeQuote", text(fill.cumulative_quote)),
        ];
        self.tell(scene.at, "fill", words, told);
    }

    pub(super) fn see_prevented(&mut self, it: &MatchPrevented, scene: &Scene<'_>) {
        let is_maker = it.maker_order == self.order;
        let (other, prevented, total) = match is_maker {
            true => (it.taker_order, it.maker_prevented, it.maker_prevented_total),
            false => (it.maker_order, it.taker_prevented, it.taker_prevented_total),
        };
        self.prevented = total;
        let words = format!(
            "a trade with #{other} @ {} was prevented: same owner or group, mode {}, {} of it prevented",
            short(it.price),
            it.mode,
            short(prevented)
        );
        let told = [
            ("mode", json!(it.mode.as_str())),
            ("price", text(it.price)),
            ("isMaker", json!(is_maker)),
            ("counterparty", json!(other.0)),
            ("prevented", text(prevented)),
            ("preventedTotal", text(total)),
        ];
        self.tell(scene.at, "prevented", words, told);
    }

    /// What happened to the order itself.
    pub(super) fn see_own(&mut self, event: &Event, scene: &Scene<'_>) {
        let at = scene.at;
        match event {
            Event::OrderAccepted(_) => self.tell(at, "accepted", "accepted".into(), []),
            Event::OrderAcceptedWithTerms(it) => self.see_accepted(it, scene),
            Event::OrderTriggered(_) => self.see_triggered(at),
            Event::OrderActivated(it) => {
                self.doing = match self.request.kind.is_contingent() {
                    true => Doing::Waiting,
                    false => Doing::Working,
                };
                self.quantity = it.quantity;
                self.price = if it.pegged_price.is_zero() { self.price } else { it.pegged_price };
                self.start_trailing(scene.facts);
                let words = format!("activated for {}: its list lets it work", short(it.quantity));
                let told = [("quantity", text(it.quantity)), ("price", text(self.price))];
                self.tell(at, "activated", words, told);
            }
            Event::OrderPegged(it) => {
                self.price = it.price;
                let words = format!("pegged: its price is {}", short(it.price));
                self.tell(at, "pegged", words, [("price", text(it.price))]);
            }
            Event::TrailingStarted(it) => {
                self.extreme = Some(it.price);
                let words = format!("follows the price from {} on", short(it.price));
                self.tell(at, "trailing", words, [("price", text(it.price))]);
            }
            Event::OrderRefused(it) => {
                self.refusal = Some(it.reason);
                let words = format!("could not begin its work: {}", it.reason);
                self.tell(at, "refused", words, [("reason", json!(it.reason.as_str()))]);
            }
            Event::OrderAmended(it) => {
                self.quantity = it.quantity;
                self.request.client_order_id = it.client_order_id;
                let (before, now) = (short(it.quantity_before), short(it.quantity));
                let mut words = format!("amended from {before} to {now}, it keeps its place");
                if it.client_order_id != it.client_order_id_before {
                    words += &format!(", client order id {}", it.client_order_id);
                }
                let told = [
                    ("quantityBefore", text(it.quantity_before)),
                    ("quantity", text(it.quantity)),
                    ("clientOrderId", json!(it.client_order_id.as_str())),
                ];
                self.tell(at, "amended", words, told);
            }
            Event::OrderReplaced(it) => {
                (self.price, self.quantity) = (it.price, it.quantity);
                self.last_place = self.place.take();
                let (before, now) = (short(it.price_before), short(it.price));
                let words = format!(
                    "replaced: from {before} to {now}, {} in all; it loses its place",
                    short(it.quantity)
                );
                let told = [
                    ("priceBefore", text(it.price_before)),
                    ("price", text(it.price)),
                    ("quantity", text(it.quantity)),
                ];
                self.tell(at, "replaced", words, told);
            }
            Event::IcebergRefilled(it) => {
                self.last_place = self.place.take();
                let words = format!(
                    "shows its next part, {}, behind all others of its level",
                    short(it.quantity)
                );
                self.tell(at, "refilled", words, [("quantity", text(it.quantity))]);
            }
            Event::OrderClosed(it) => self.see_closed(it, at),
            _ => {}
        }
    }

    fn see_accepted(&mut self, it: &OrderAcceptedWithTerms, scene: &Scene<'_>) {
        if it.is_pending {
            self.doing = Doing::Pending;
        }
        let mut words = "accepted".to_owned();
        if !it.pegged_price.is_zero() {
            self.price = it.pegged_price;
            words += &format!(", pegged: its price is {}", short(it.pegged_price));
        }
        if it.list != OrderListId::NONE {
            words += &format!(", of list {}", it.list);
        }
        if it.is_pending {
            words += ", waits until its working order is filled";
        } else {
            self.start_trailing(scene.facts);
        }
        if let Some(extreme) = self.extreme {
            words += &format!(", follows the price from {} on", short(extreme));
        }
        let told = [
            ("price", text(self.price)),
            ("list", json!(it.list.0)),
            ("isPending", json!(it.is_pending)),
        ];
        self.tell(scene.at, "accepted", words, told);
    }

    /// Without a stop price it is started by the last trade there was.
    fn start_trailing(&mut self, facts: &Facts) {
        if self.terms.trailing_delta != 0 && self.request.stop_price.is_zero() {
            let instrument = facts.instrument(self.request.instrument);
            self.extreme = instrument.and_then(|instrument| instrument.last_price());
        }
    }

    fn see_triggered(&mut self, at: At) {
        self.doing = Doing::Working;
        let mut words = "triggered".to_owned();
        let (mut trade, mut price) = (Value::Null, Value::Null);
        if let Some((by, reached)) = self.due_by {
            words += &format!(" by trade ${by} at {}", short(reached));
            (trade, price) = (json!(by.0), text(reached));
        }
        if let Some(extreme) = self.extreme.filter(|_| self.terms.trailing_delta != 0) {
            words += &format!(", its extreme was {}", short(extreme));
        }
        let extreme = self.extreme.map_or(Value::Null, text);
        let told = [("trade", trade), ("price", price), ("extreme", extreme)];
        self.tell(at, "triggered", words, told);
    }

    fn see_closed(&mut self, it: &OrderClosed, at: At) {
        self.doing = Doing::Closed(it.status, it.reason);
        self.executed = it.cumulative_quantity;
        self.executed_quote = it.cumulative_quote;
        self.prevented = it.prevented_quantity;
        let status = it.status.as_str().to_ascii_lowercase().replace('_', " ");
        let mut words = format!("{status}: {}", it.reason);
        if !it.cancel_client_order_id.is_empty() {
            words += &format!(", by the cancel {}", it.cancel_client_order_id);
        }
        words += &format!("; executed {}", short(it.cumulative_quantity));
        let told = [
            ("status", json!(it.status.as_str())),
            ("reason", json!(it.reason.as_str())),
            ("cumulativeQuantity", text(it.cumulative_quantity)),
            ("cumulativeQuote", text(it.cumulative_quote)),
            ("preventedQuantity", text(it.prevented_quantity)),
            ("cancelClientOrderId", json!(it.cancel_client_order_id.as_str())),
        ];
        self.tell(at, "closed", words, told);
    }

    /// What the other orders of its list do.
    pub(super) fn see_list(&mut self, event: &Event, scene: &Scene<'_>) {
        let Some(list) = &self.list else { return };
        let is_other = |order: &OrderId| list.others.contains(order);
        let (other, words) = match event {
            Event::OrderListDone(it) if it.list == list.id => {
                (OrderId::NONE, "its list is done: no order of it is open".to_owned())
            }
            Event::OrderFilled(it) if is_other(&it.order) && it.status == OrderStatus::Filled => {
                (it.order, format!("#{} of its list was filled", it.order))
            }
            Event::OrderTriggered(it) if is_other(&it.order) => {
                (it.order, format!("#{} of its list was triggered", it.order))
            }
            Event::OrderActivated(it) if is_other(&it.order) => {
                (it.order, format!("#{} of its list was activated", it.order))
            }
            Event::OrderClosed(it) if is_other(&it.order) => {
                (it.order, format!("#{} of its list was closed: {}", it.order, it.reason))
            }
            _ => return,
        };
        self.tell(scene.at, "list", words, [("order", json!(other.0))]);
    }

    pub(super) fn see_phase(&mut self, event: &Event, scene: &Scene<'_>, seen: &mut Seen) {
        let (at, own) = (scene.at, self.request.instrument);
        match event {
            Event::InstrumentStatusSet(it) if it.instrument == own => {
                let words = format!("{} is {} now", self.symbol, it.status);
                self.tell(at, "status", words, [("status", json!(it.status.as_str()))]);
            }
            Event::TradingInterrupted(it) if it.instrument == own => {
                let words = format!(
                    "trading was interrupted: {} is outside of the band around {}",
                    short(it.price),
                    short(it.reference)
                );
                let told = [("price", text(it.price)), ("reference", text(it.reference))];
                self.tell(at, "interrupted", words, told);
            }
            Event::IndicativeChanged(it) if it.instrument == own => self.indication = Some(*it),
            Event::AuctionUncrossed(it) if it.instrument == own => {
                seen.uncross = Some((*it, self.fills));
                seen.is_touched = true;
            }
            _ => {}
        }
    }

    /// An auction ended: did it execute, and if not, why?
    pub(super) fn see_uncross(&mut self, scene: &Scene<'_>, seen: &Seen) {
        let Some((uncross, fills_before)) = seen.uncross else { return };
        let (side, price) = (self.request.side, self.price);
        let is_worse = !price.is_zero()
            && match side {
                Side::Buy => price < uncross.price,
                Side::Sell => price > uncross.price,
            };
        let came_of_it = match self.fills - fills_before {
            0 if uncross.price.is_zero() => "nothing crossed".to_owned(),
            0 if is_worse => format!("its limit {} is worse", short(price)),
            0 => "at that price its side had more than the other, and others went first".to_owned(),
            fills => format!("it took part with {fills} trades"),
        };
        let mut words = match uncross.price.is_zero() {
            true => "the auction ended without a price: ".to_owned(),
            false => {
                let (price, quantity) = (short(uncross.price), short(uncross.quantity));
                format!("the auction ended at {price} for {quantity}: ")
            }
        };
        words += &came_of_it;
        let told = fields([("price", text(uncross.price)), ("quantity", text(uncross.quantity))]);
        let step = Step { at: scene.at, what: "uncross", text: words, fields: told, ahead: None };
        self.steps.push(step);
        self.indication = None;
    }

    /// A command that named the order and was refused.
    pub(super) fn see_refusal(&mut self, scene: &Scene<'_>) {
        let refused = scene.events.iter().find_map(|event| match event {
            Event::CommandRefused(it) => Some(*it),
            _ => None,
        });
        let Some(CommandRefused { part, reason }) = refused else { return };
        let Some((account, named, client_order_id)) = named(scene.command) else { return };
        let is_named = match named {
            OrderId::NONE => client_order_id == self.request.client_order_id,
            named => named == self.order,
        };
        if part == CommandPart::New || account != self.request.account || !is_named {
            return;
        }
        let kind = Command::kind_name(scene.command.kind()).unwrap_or("command");
        let words = format!("{kind} was refused: {reason}");
        let told = [("command", json!(kind)), ("reason", json!(reason.as_str()))];
        self.tell(scene.at, "commandRefused", words, told);
    }

    /// The cancel of a cancel-replace that failed and let the new order come.
    pub(super) fn cancel_failed(&mut self, refused: Option<CommandRefused>, at: At) {
        let Some(refused) = refused.filter(|it| it.part == CommandPart::Cancel) else { return };
        self.checks.passed.retain(|check| *check != super::checks::CANCEL_NAME);
        let words = format!("the cancel before it was refused: {}", refused.reason);
        self.tell(at, "cancelRefused", words, [("reason", json!(refused.reason.as_str()))]);
    }
}

/// The open order that a command names: its account, its id or its client order id.
fn named(command: &Command) -> Option<(AccountId, OrderId, command::ClientOrderId)> {
    match command {
        Command::CancelOrder(it) => Some((it.account, it.order, Text::EMPTY)),
        Command::CancelNamedOrder(it) => Some((it.account, it.order, it.client_order_id)),
        Command::AmendOrder(it) => Some((it.account, it.order, it.client_order_id)),
        Command::ReplaceOrder(it) => Some((it.account, it.order, Text::EMPTY)),
        Command::CancelReplace(it) => {
            let order = (it.cancel_order, it.cancel_original_client_order_id);
            Some((it.request.account, order.0, order.1))
        }
        _ => None,
    }
}
