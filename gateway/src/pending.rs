//! Requests whose command is on its way, and what their answer is made of.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use protocol::command::ClientOrderId;
use protocol::event::{OrderClosed, OrderFilled};
use protocol::{
    AccountId, CommandPart, Event, ExecutionId, InstrumentId, OrderId, OrderKind, RejectReason,
    Stamp,
};
use tokio::sync::oneshot;

use crate::accounts::{Accounts, Order};
use crate::error::{ApiError, Refused, refusal};
use crate::json::{Json, TimeUnit};
use crate::limits::{RateLimitStatus, Used};
use crate::outbox::Outbox;
use crate::reports::{self, ResponseKind};

/// What a request expects of its command.
#[derive(Debug, Clone)]
pub enum Expect {
    Place {
        kind: OrderKind,
        response: ResponseKind,
    },
    Test {
        kind: OrderKind,
        instrument: InstrumentId,
        account: AccountId,
        with_rates: bool,
    },
    Cancel,
    CancelAll,
    CancelReplace {
        kind: OrderKind,
        response: ResponseKind,
        cancels_anyway: bool,
    },
    /// The cancel of a cancel-replace whose new order is over the account's limit.
    CancelInstead {
        refused: Box<ApiError>,
        stops: bool,
    },
    Amend,
    /// Commands of the admin API: done or refused.
    Admin,
}

impl Expect {
    /// Does the command count as an order, for the unfilled order count?
    pub const fn places_order(&self) -> bool {
        matches!(self, Expect::Place { .. } | Expect::CancelReplace { .. })
    }

    /// Successful order requests weigh nothing (changelog 2026-04-02).
    pub const fn is_free_when_done(&self) -> bool {
        matches!(
            self,
            Expect::Place { .. }
                | Expect::CancelReplace { .. }
                | Expect::Cancel
                | Expect::CancelAll
        )
    }
}

/// The answer to a request, whichever way it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// JSON of the result, or the refusal.
    pub result: Result<String, ApiError>,
    pub used: Used,
}

/// The id of a request as it is echoed: JSON, a short text or a number.
pub type RequestId = protocol::Text<160>;

/// Where an answer goes.
#[derive(Debug)]
pub enum Reply {
    Rest(oneshot::Sender<Answer>),
    Socket { outbox: Arc<Outbox>, id: RequestId, with_limits: bool },
}

impl Reply {
    /// Does whoever asked want to know what was used?
    pub const fn shows_limits(&self) -> bool {
        !matches!(self, Reply::Socket { with_limits: false, .. })
    }

    pub fn send(self, answer: Answer) {
        match self {
            // Whoever asked may have gone.
            Reply::Rest(sender) => drop(sender.send(answer)),
            Reply::Socket { outbox, id, with_limits } => {
                outbox.push(socket_answer(id.as_str(), &answer, with_limits));
            }
        }
    }
}

/// Room for what an answer has around its result, and for each limit it shows.
const ANSWER_ROOM: usize = 64;
const LIMIT_ROOM: usize = 104;

/// An answer in the form of the WebSocket API.
pub fn socket_answer(id: &str, answer: &Answer, with_limits: bool) -> Utf8Bytes {
    let result_length = answer.result.as_ref().map_or(0, String::len);
    let limits_length = if with_limits { LIMIT_ROOM * answer.used.iter().count() } else { 0 };
    let room = ANSWER_ROOM + id.len() + result_length + limits_length;
    let mut json = Json::over(String::with_capacity(room), TimeUnit::Millisecond);
    json.object(|json| {
        json.raw_field("id", id);
        match &answer.result {
            Ok(result) => {
                json.number_field("status", 200u16);
                json.raw_field("result", result);
            }
            Err(error) => {
                json.number_field("status", error.status);
                json.object_field("error", |json| error.fields(json));
            }
        }
        if with_limits {
            json.array_field("rateLimits", |json| limits(json, answer.used.iter()));
        }
    });
    json.finish().into()
}

/// The items of `rateLimits`.
pub fn limits<'a>(json: &mut Json, limits: impl Iterator<Item = &'a RateLimitStatus>) {
    for limit in limits {
        json.object(|json| {
            json.text_field("rateLimitType", limit.kind.as_str());
            json.text_field("interval", limit.interval.as_str());
            json.number_field("intervalNum", limit.interval_count);
            json.number_field("limit", limit.limit);
            json.number_field("count", limit.count);
        });
    }
}

/// A request whose command is on its way.
#[derive(Debug)]
pub struct Waiting {
    pub reply: Reply,
    pub expect: Expect,
    pub unit: TimeUnit,
    pub account: AccountId,
    /// Who pays for it, and is paid back when it is free.
    pub client: Option<crate::limits::ClientId>,
    pub since: Stamp,
}

/// The requests that wait, by the number their command carries.
///
/// **Invariants:** a number is given to another request only after its answer, and then with
/// another generation, so an answer that comes late finds nobody.
#[derive(Debug, Default)]
pub struct Pending {
    slots: Vec<(u32, Option<Waiting>)>,
    free: Vec<u32>,
    count: usize,
}

impl Pending {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Keeps a request; gives the two numbers that its command carries (session, request).
    pub fn insert(&mut self, waiting: Waiting) -> (u32, u32) {
        let index = self.free.pop().unwrap_or(self.slots.len() as u32);
        if index as usize == self.slots.len() {
            self.slots.push((0, None));
        }
        self.count += 1;
        let Some(slot) = self.slots.get_mut(index as usize) else { return (0, index) };
        slot.1 = Some(waiting);
        (slot.0, index)
    }

    /// Takes the request of these numbers out.
    pub fn take(&mut self, generation: u32, index: u32) -> Option<Waiting> {
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.0 == generation)?;
        let waiting = slot.1.take()?;
        slot.0 = slot.0.wrapping_add(1);
        self.free.push(index);
        self.count -= 1;
        Some(waiting)
    }

    /// Takes out everything that came before `stamp`.
    pub fn take_older(&mut self, stamp: Stamp) -> Vec<Waiting> {
        let old = |(index, (generation, waiting)): (usize, &(u32, Option<Waiting>))| {
            let is_old = waiting.as_ref().is_some_and(|waiting| waiting.since < stamp);
            is_old.then_some((*generation, index as u32))
        };
        let old: Vec<_> = self.slots.iter().enumerate().filter_map(old).collect();
        old.into_iter().filter_map(|(generation, index)| self.take(generation, index)).collect()
    }
}

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

    /// The answer about the order that the command placed.
    fn placed(&self, response: ResponseKind) -> Result<String, ApiError> {
        let placed = self.events.iter().find_map(|event| match event {
            Event::OrderAccepted(accepted) => Some(accepted.order),
            _ => None,
        });
        let order = placed.and_then(|id| self.accounts.order(id)).ok_or_else(ApiError::timeout)?;
        let fills: Vec<OrderFilled> = match response {
            ResponseKind::Full => self.fills(order.id).copied().collect(),
            _ => Vec::new(),
        };
        let symbol = self.symbol(order.instrument);
        Ok(Json::of(self.unit, |json| {
            reports::new_order(json, symbol, order, response, &fills, self.market);
            if response == ResponseKind::Full {
                self.prevented(json, order);
            }
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

    /// Answers about the orders that a cancel closed.
    fn canceled(&self) -> impl Iterator<Item = String> + '_ {
        self.events.iter().filter_map(|event| match event {
            Event::OrderClosed(closed) => self.cancel_of(closed),
            _ => None,
        })
    }

    fn cancel_of(&self, closed: &OrderClosed) -> Option<String> {
        let order = self.accounts.order(closed.order)?;
        let (symbol, name) = (self.symbol(closed.instrument), cancel_id(closed));
        Some(Json::of(self.unit, |json| reports::canceled(json, symbol, order, &name)))
    }

    /// Cancel-replace: two answers in one (rest-api.md; both codes are in errors.md).
    fn replaced(&self, kind: OrderKind, response: ResponseKind) -> Result<String, ApiError> {
        self.check(CommandPart::Whole, Refused::Place(kind))?;
        let cancel_refused =
            self.refused(CommandPart::Cancel).map(|it| refusal(it, Refused::Cancel));
        let new_refused =
            self.refused(CommandPart::New).map(|it| refusal(it, Refused::Place(kind)));
        let was_placed = self.events.iter().any(|it| matches!(it, Event::OrderAccepted(_)));
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

/// The id of a cancel: the one that was sent, else one made of the cancel's own ids, so that every
/// gateway says the same before and after a restart.
pub fn cancel_id(closed: &OrderClosed) -> ClientOrderId {
    match closed.cancel_client_order_id.is_empty() {
        true => made_id(closed.order.0, closed.execution),
        false => closed.cancel_client_order_id,
    }
}

/// Characters of the ids that the venue makes, and how many of them.
const ID_LENGTH: usize = 22;
const ID_CHARACTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn made_id(order: u64, execution: ExecutionId) -> ClientOrderId {
    id_from(order ^ 0x9e37_79b9_7f4a_7c15, execution.0)
}

/// An id of 22 letters and digits, drawn from two numbers.
pub fn id_from(first: u64, second: u64) -> ClientOrderId {
    let mut text = [0u8; ID_LENGTH];
    for (half, seed) in [first, second].into_iter().enumerate() {
        let mut bits = mix(seed.wrapping_add(mix(first ^ second.rotate_left(32) ^ half as u64)));
        for place in text.iter_mut().skip(half * ID_LENGTH / 2).take(ID_LENGTH / 2) {
            *place = ID_CHARACTERS[(bits % 62) as usize];
            bits /= 62;
        }
    }
    let text = std::str::from_utf8(&text).unwrap_or_default();
    ClientOrderId::new(text).unwrap_or(ClientOrderId::EMPTY)
}

/// The finaliser of SplitMix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
