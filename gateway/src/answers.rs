//! What requests whose command was executed are answered with.

#[cfg(test)]
mod tests;

use protocol::event::{OrderClosed, OrderFilled};
use protocol::{AccountId, CommandPart, Event, InstrumentId, OrderId, OrderKind, RejectReason};

use crate::accounts::{Accounts, Order, OrderList};
use crate::error::{ApiError, Refused, refusal};
use crate::json::{Json, TimeUnit};
use crate::pending::{Expect, cancel_id};
use crate::reports::{self, ResponseKind};

/// What an answer is made of: the events of its command, and the views as they stand after it.
pub struct Facts<'a> {
    pub events: &'a [Event],
    pub accounts: &'a Accounts,
    pub market: &'a marketdata::Market,
    pub unit: TimeUnit,
}

impl Facts<'_> {
    /// The answer that the request expects.
    pub fn answer(&self, expect: &Expect) -> Result<String, ApiError> {
        match *expect {
            Expect::Place { kind, response } => {
                self.check(CommandPart::Whole, Refused::Place(kind))?;
                self.placed(response)
            }
            Expect::PlaceList { kind, response, .. } => {
                self.check(CommandPart::Whole, Refused::Place(kind))?;
                self.placed_list(response)
            }
            Expect::Test { kind, instrument, account, with_rates } => {
                self.check(CommandPart::Whole, Refused::Place(kind))?;
                Ok(match with_rates {
                    true => self.test_rates(account, instrument),
                    false => "{}".to_owned(),
                })
            }
            Expect::Cancel => {
                self.check(CommandPart::Whole, Refused::Cancel)?;
                self.canceled().next().ok_or_else(ApiError::timeout)
            }
            Expect::CancelAll => {
                self.check(CommandPart::Whole, Refused::Cancel)?;
                let canceled: Vec<String> = self.canceled().collect();
                Ok(Json::list(self.unit, |json| canceled.iter().for_each(|it| json.raw(it))))
            }
            Expect::CancelReplace { kind, response, .. } => self.replaced(kind, response),
            Expect::CancelInstead { ref refused, stops } => {
                Err(self.canceled_instead(refused, stops))
            }
            Expect::Amend => {
                self.check(CommandPart::Whole, Refused::Amend)?;
                self.amended()
            }
            Expect::MassCancel => {
                self.check(CommandPart::Whole, Refused::Admin)?;
                let closed = self.events.iter().filter(|it| matches!(it, Event::OrderClosed(_)));
                let count = closed.count() as u64;
                Ok(Json::of(self.unit, |json| json.number_field("canceled", count)))
            }
            Expect::Admin => {
                self.check(CommandPart::Whole, Refused::Admin)?;
                Ok("{}".to_owned())
            }
        }
    }

    fn refused(&self, part: CommandPart) -> Option<RejectReason> {
        self.events.iter().find_map(|event| match event {
            Event::CommandRefused(refused) if refused.part == part => Some(refused.reason),
            _ => None,
        })
    }

    fn check(&self, part: CommandPart, what: Refused) -> Result<(), ApiError> {
        self.refused(part).map_or(Ok(()), |reason| Err(refusal(reason, what)))
    }

    fn symbol(&self, instrument: InstrumentId) -> &str {
        self.market.instrument(instrument).map_or("", |it| it.definition.symbol.as_str())
    }

    /// The orders that the command placed.
    fn accepted(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.events.iter().filter_map(|event| match event {
            Event::OrderAccepted(accepted) => Some(accepted.order),
            Event::OrderAcceptedWithTerms(accepted) => Some(accepted.order),
            _ => None,
        })
    }

    /// The answer about the order that the command placed.
    fn placed(&self, response: ResponseKind) -> Result<String, ApiError> {
        let placed = self.accepted().next().and_then(|id| self.accounts.order(id));
        let order = placed.ok_or_else(ApiError::timeout)?;
        Ok(Json::of(self.unit, |json| self.new_order(json, order, response)))
    }

    fn new_order(&self, json: &mut Json, order: &Order, response: ResponseKind) {
        let fills: Vec<OrderFilled> = match response {
            ResponseKind::Full => self.fills(order.id).copied().collect(),
            _ => Vec::new(),
        };
        let symbol = self.symbol(order.instrument);
        reports::new_order(json, symbol, order, response, &fills, self.market);
        if response == ResponseKind::Full {
            self.prevented(json, order);
        }
    }

    /// The answer about the list that the command placed, with its orders as they stand now.
    fn placed_list(&self, response: ResponseKind) -> Result<String, ApiError> {
        let list = self.events.iter().find_map(|event| match event {
            Event::OrderListAccepted(it) => self.accounts.list(it.account, it.list),
            _ => None,
        });
        let list = list.ok_or_else(ApiError::timeout)?;
        Ok(Json::of(self.unit, |json| {
            reports::order_list(json, self.symbol(list.instrument), list);
            json.array_field("orderReports", |json| {
                for order in self.accepted().filter_map(|id| self.accounts.order(id)) {
                    json.object(|json| self.new_order(json, order, response));
                }
            });
        }))
    }

    fn fills(&self, order: OrderId) -> impl Iterator<Item = &OrderFilled> {
        self.events.iter().filter_map(move |event| match event {
            Event::OrderFilled(fill) if fill.order == order => Some(fill),
            _ => None,
        })
    }

    /// `preventedMatches` of this command (stp_faq.md); absent when there are none.
    fn prevented(&self, json: &mut Json, order: &Order) {
        let prevented = || {
            self.events.iter().filter_map(|event| match event {
                Event::MatchPrevented(it) if it.taker_order == order.id => Some(it),
                _ => None,
            })
        };
        if prevented().next().is_none() {
            return;
        }
        json.array_field("preventedMatches", |json| {
            for it in prevented() {
                json.object(|json| {
                    json.number_field("preventedMatchId", it.prevented_match.0);
                    json.number_field("makerOrderId", it.maker_order.0);
                    json.decimal_field("price", it.price);
                    if !it.taker_prevented.is_zero() {
                        json.decimal_field("takerPreventedQuantity", it.taker_prevented);
                    }
                    if !it.maker_prevented.is_zero() {
                        json.decimal_field("makerPreventedQuantity", it.maker_prevented);
                    }
                });
            }
        });
    }

    /// Answers about what a cancel closed: an order each, or a list with all its orders.
    fn canceled(&self) -> impl Iterator<Item = String> + '_ {
        let mut told = Vec::new();
        self.closed().filter_map(move |(closed, order)| match self.ended_list(order) {
            None => Some(Json::of(self.unit, |json| self.canceled_order(json, closed, order))),
            Some(list) if told.contains(&list.id) => None,
            Some(list) => {
                told.push(list.id);
                Some(self.canceled_list(list))
            }
        })
    }

    fn closed(&self) -> impl Iterator<Item = (&OrderClosed, &Order)> {
        self.events.iter().filter_map(|event| match event {
            Event::OrderClosed(closed) => Some((closed, self.accounts.order(closed.order)?)),
            _ => None,
        })
    }

    /// The order's list, if it ended with this command: one of a pair may go before it.
    fn ended_list(&self, order: &Order) -> Option<&OrderList> {
        let list = self.accounts.list_of(order)?;
        let ends =
            |event: &Event| matches!(event, Event::OrderListDone(done) if done.list == list.id);
        self.events.iter().any(ends).then_some(list)
    }

    fn canceled_order(&self, json: &mut Json, closed: &OrderClosed, order: &Order) {
        let (symbol, name) = (self.symbol(order.instrument), cancel_id(closed, order.list));
        reports::canceled(json, symbol, order, &name);
    }

    fn canceled_list(&self, list: &OrderList) -> String {
        let mut closed: Vec<_> = self.closed().filter(|(_, it)| it.list == list.id).collect();
        closed.sort_by_key(|(_, order)| order.id);
        Json::of(self.unit, |json| {
            reports::order_list(json, self.symbol(list.instrument), list);
            json.array_field("orderReports", |json| {
                for (closed, order) in closed {
                    json.object(|json| self.canceled_order(json, closed, order));
                }
            });
        })
    }

    /// Cancel-replace: two answers in one (rest-api.md; both codes are in errors.md).
    fn replaced(&self, kind: OrderKind, response: ResponseKind) -> Result<String, ApiError> {
        self.check(CommandPart::Whole, Refused::Place(kind))?;
        let cancel_refused =
            self.refused(CommandPart::Cancel).map(|it| refusal(it, Refused::Cancel));
        let new_refused =
            self.refused(CommandPart::New).map(|it| refusal(it, Refused::Place(kind)));
        let was_placed = self.accepted().next().is_some();
        let cancel = match &cancel_refused {
            Some(error) => error.body(),
            None => self.first_canceled().ok_or_else(ApiError::timeout)?,
        };
        let placed = match (&new_refused, was_placed) {
            (Some(error), _) => error.body(),
            (None, true) => self.placed(response)?,
            (None, false) => "null".to_owned(),
        };
        let new_result = match (&new_refused, was_placed) {
            (Some(_), _) => "FAILURE",
            (None, true) => "SUCCESS",
            (None, false) => "NOT_ATTEMPTED",
        };
        let body = Json::of(self.unit, |json| {
            let cancel_result = if cancel_refused.is_some() { "FAILURE" } else { "SUCCESS" };
            json.text_field("cancelResult", cancel_result);
            json.text_field("newOrderResult", new_result);
            json.raw_field("cancelResponse", &cancel);
            json.raw_field("newOrderResponse", &placed);
        });
        match (cancel_refused.is_none(), was_placed) {
            (true, true) => Ok(body),
            (false, false) => {
                Err(ApiError::new(-2022, "Order cancel-replace failed.").with_data(body))
            }
            _ => {
                let text = "Order cancel-replace partially failed.";
                Err(ApiError::new(-2021, text).with_status(409).with_data(body))
            }
        }
    }

    /// `orderRateLimitExceededMode=CANCEL_ONLY` over the limit: the new order has failed in any case.
    /// The status is that of the table in rest-api.md: 429 with STOP_ON_FAILURE.
    fn canceled_instead(&self, refused: &ApiError, stops: bool) -> ApiError {
        let failed = self.refused(CommandPart::Whole).map(|it| refusal(it, Refused::Cancel));
        let is_attempted = failed.is_none() || !stops;
        let body = Json::of(self.unit, |json| {
            json.text_field("cancelResult", if failed.is_some() { "FAILURE" } else { "SUCCESS" });
            json.text_field(
                "newOrderResult",
                if is_attempted { "FAILURE" } else { "NOT_ATTEMPTED" },
            );
            match &failed {
                Some(error) => json.raw_field("cancelResponse", &error.body()),
                None => {
                    let canceled = self.first_canceled().unwrap_or_else(|| "null".to_owned());
                    json.raw_field("cancelResponse", &canceled);
                }
            }
            match is_attempted {
                true => json.raw_field("newOrderResponse", &refused.body()),
                false => json.null_field("newOrderResponse"),
            }
        });
        let (code, text, status) = match failed {
            Some(_) => (-2022, "Order cancel-replace failed.", 400),
            None => (-2021, "Order cancel-replace partially failed.", 409),
        };
        let status = if stops { 429 } else { status };
        ApiError::new(code, text).with_status(status).with_data(body)
    }

    /// The cancel comes before anything that the new order does.
    fn first_canceled(&self) -> Option<String> {
        self.canceled().next()
    }

    fn amended(&self) -> Result<String, ApiError> {
        let amended = self.events.iter().find_map(|event| match event {
            Event::OrderAmended(amended) => Some(amended),
            _ => None,
        });
        let amended = amended.ok_or_else(ApiError::timeout)?;
        let order = self.accounts.order(amended.order).ok_or_else(ApiError::timeout)?;
        let (symbol, before) = (self.symbol(order.instrument), amended.client_order_id_before);
        Ok(Json::of(self.unit, |json| {
            reports::amended(json, symbol, order, amended.execution, &before);
            if let Some(list) = self.accounts.list_of(order) {
                json.object_field("listStatus", |json| reports::amended_list(json, symbol, list));
            }
        }))
    }

    fn test_rates(&self, account: AccountId, instrument: InstrumentId) -> String {
        let rates = self.accounts.rates(account, instrument);
        Json::of(self.unit, |json| {
            let pair = |json: &mut Json, maker: u32, taker: u32| {
                json.fixed_field("maker", i128::from(maker), 8);
                json.fixed_field("taker", i128::from(taker), 8);
            };
            json.object_field("standardCommissionForOrder", |json| {
                pair(json, rates.maker, rates.taker);
            });
            json.object_field("specialCommissionForOrder", |json| pair(json, 0, 0));
            json.object_field("taxCommissionForOrder", |json| pair(json, 0, 0));
            no_discount(json);
        })
    }
}

/// Commissions are never paid in another asset here.
pub fn no_discount(json: &mut Json) {
    json.object_field("discount", |json| {
        json.flag_field("enabledForAccount", false);
        json.flag_field("enabledForSymbol", false);
        json.text_field("discountAsset", "BNB");
        json.text_field("discount", "0.00000000");
    });
}
