//! Requests whose command is on its way, and where their answers go.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use protocol::command::ClientOrderId;
use protocol::event::OrderClosed;
use protocol::{AccountId, Event, InstrumentId, OrderKind, OrderListId, Stamp};
use tokio::sync::oneshot;

use crate::error::ApiError;
use crate::json::{Json, TimeUnit};
use crate::limits::{RateLimitStatus, Used};
use crate::outbox::Outbox;
use crate::reports::ResponseKind;

/// What a request expects of its command.
#[derive(Debug, Clone)]
pub enum Expect {
    Place {
        kind: OrderKind,
        response: ResponseKind,
    },
    PlaceList {
        /// Of the order that the instrument does not allow, if there is one.
        kind: OrderKind,
        response: ResponseKind,
        orders: u32,
    },
    Test {
        kind: OrderKind,
        instrument: InstrumentId,
        account: AccountId,
        with_rates: bool,
    },
    /// Of an order or of a list; an order of a list takes its list along.
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
    /// Of the admin API: how many were canceled.
    MassCancel,
    /// Commands of the admin API: done or refused.
    Admin,
}

impl Expect {
    /// Orders that the command places, for the unfilled order count.
    pub const fn orders_placed(&self) -> u32 {
        match self {
            Expect::Place { .. } | Expect::CancelReplace { .. } => 1,
            Expect::PlaceList { orders, .. } => *orders,
            _ => 0,
        }
    }

    /// Weight that is given back when it is done: successful order requests weigh nothing (changelog
    /// 2026-03-27), an amend if it expired the order (2026-04-02).
    pub fn refund(&self, events: &[Event]) -> u32 {
        match self {
            Expect::Place { .. }
            | Expect::PlaceList { .. }
            | Expect::CancelReplace { .. }
            | Expect::Cancel
            | Expect::CancelAll => 1,
            Expect::Amend if events.iter().any(|it| matches!(it, Event::OrderClosed(_))) => {
                AMEND_WEIGHT
            }
            _ => 0,
        }
    }
}

/// What an amend costs.
pub const AMEND_WEIGHT: u32 = 4;

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

/// The id of a cancel: the one that was sent, else one made of the cancel's own ids, so that every
/// gateway says the same before and after a restart. The orders of a list share one.
pub fn cancel_id(closed: &OrderClosed, list: OrderListId) -> ClientOrderId {
    match (closed.cancel_client_order_id.is_empty(), list) {
        (false, _) => closed.cancel_client_order_id,
        (true, OrderListId::NONE) => id_from(closed.order.0 ^ ORDER_MARK, closed.execution.0),
        (true, list) => id_from(list.0 ^ LIST_MARK, list.0),
    }
}

/// Keep apart what ids are made of.
const ORDER_MARK: u64 = 0x9e37_79b9_7f4a_7c15;
const LIST_MARK: u64 = 0xd1b5_4a32_d192_ed03;

/// Characters of the ids that the venue makes, and how many of them.
const ID_LENGTH: usize = 22;
const ID_CHARACTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

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
