//! One bot on one connection: asks its mind what to do, sends it, tells the desk what came back.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::desk::{Desk, Intent};
use super::market::BotSymbol;
use super::message::{self, ErrorBody, Incoming};
use super::{Tally, Trader};
use crate::connection::{Connection, Lost};
use crate::credentials::Credentials;
use crate::handshake::Endpoint;
use crate::session::{symbol_json, unix_ms};

/// Between two looks at the market.
const TURN: Duration = Duration::from_millis(50);
const TURN_MS: u64 = 50;
const TURNS_PER_SECOND: u64 = 1_000 / TURN_MS;

/// Requests without an answer above which nothing more is asked.
const UNANSWERED_MAX: usize = 64;

/// A request without an answer for this long gives the connection up.
const ANSWER_TURNS_MAX: u64 = 10 * TURNS_PER_SECOND;

/// Between two looks at the best prices.
const TOUCH_TURNS: u64 = TURNS_PER_SECOND;

/// Refusals in a row after which a bot rests for a second.
const REFUSALS_MAX: u32 = 20;
const REST_TURNS: u64 = TURNS_PER_SECOND;

/// The longest rest after a rate limit was met.
const REST_TURNS_MAX: u64 = 60 * TURNS_PER_SECOND;

/// Different error codes that are told apart; the others count as code 0.
const CODES_MAX: usize = 64;

/// The parts of one request in the allowance, which grows by `rate × TURN_MS` each turn.
const REQUEST_COST: u64 = 1_000;

/// Answers that say the order is not open: cancel rejected, order unknown.
const CODES_GONE: [i64; 2] = [-2011, -2013];

/// What a request was about.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Order { intent: Intent, new_number: Option<u64> },
    Touches,
}

/// What is meant for one connection.
#[derive(Default)]
struct Conversation {
    /// By request id, with the turn in which it was asked.
    unanswered: BTreeMap<u64, (Asked, u64)>,
    turn: u64,
    allowance: u64,
    rest_until: u64,
    refusals_in_a_row: u32,
}

pub(super) struct Bot<T> {
    pub(super) name: &'static str,
    /// Of its client order ids.
    prefix: String,
    trader: T,
    credentials: Credentials,
    pub(super) desk: Desk,
    /// Requests per second.
    rate: u64,
    /// Asks for the best prices once a second.
    pub(super) polls_touches: bool,
    pub(super) tally: Tally,
}

impl<T: Trader> Bot<T> {
    pub(super) fn new(
        name: &'static str,
        trader: T,
        credentials: Credentials,
        symbols: &[BotSymbol],
        rate: u32,
    ) -> Bot<T> {
        Bot {
            name,
            prefix: format!("{name}-"),
            trader,
            credentials,
            desk: Desk::new(symbols.to_vec()),
            rate: u64::from(rate),
            polls_touches: false,
            tally: Tally::default(),
        }
    }

    /// Connects and trades until the connection is lost. May be dropped at any time.
    pub(super) async fn trade(&mut self, endpoint: &Endpoint) -> Lost {
        match self.try_trade(endpoint).await {
            Err(lost) => lost,
            Ok(never) => match never {},
        }
    }

    async fn try_trade(&mut self, endpoint: &Endpoint) -> Result<std::convert::Infallible, Lost> {
        let mut connection = Connection::open(endpoint).await?;
        self.set_up(&mut connection).await?;
        self.tally.connections += 1;
        let mut conversation = Conversation::default();
        let mut turns = tokio::time::interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                message = connection.next_message() => self.hear(&mut conversation, &message?)?,
                _ = turns.tick() => self.turn(&mut conversation, &mut connection).await?,
            }
        }
    }

    /// Logs on and begins clean: without open orders, with known balances.
    async fn set_up(&mut self, connection: &mut Connection) -> Result<(), Lost> {
        connection.logon(&self.credentials).await?;
        for symbol in &self.desk.symbols {
            let symbol = symbol_json(&symbol.symbol);
            let parameters = format!("{{\"symbol\":{symbol},\"timestamp\":{}}}", unix_ms());
            match connection.call("openOrders.cancelAll", &parameters).await {
                Err(Lost::Refused { answer, .. }) if answer.contains("-2011") => {}
                answered => drop(answered?),
            }
        }
        self.desk.restart();
        connection.call("userDataStream.subscribe", "{}").await?;
        let parameters = format!("{{\"timestamp\":{}}}", unix_ms());
        let account = connection.call("account.status", &parameters).await?;
        message::hear_account(&mut self.desk, &account);
        Ok(())
    }

    async fn turn(
        &mut self,
        conversation: &mut Conversation,
        connection: &mut Connection,
    ) -> Result<(), Lost> {
        conversation.turn += 1;
        conversation.check_patience()?;
        self.trader.turn();
        // After a stall nothing is made up for.
        let per_turn = self.rate * TURN_MS;
        conversation.allowance =
            (conversation.allowance + per_turn).min(per_turn.max(REQUEST_COST) * 2);
        if conversation.turn < conversation.rest_until {
            return Ok(());
        }
        if self.polls_touches && conversation.turn % TOUCH_TURNS == 1 {
            self.ask_touches(conversation, connection).await?;
        }
        while conversation.may_ask() {
            conversation.allowance -= REQUEST_COST;
            let Some(intent) = self.trader.decide(&self.desk) else { continue };
            self.ask(intent, conversation, connection).await?;
        }
        connection.flush().await
    }

    async fn ask(
        &mut self,
        intent: Intent,
        conversation: &mut Conversation,
        connection: &mut Connection,
    ) -> Result<(), Lost> {
        let new_number = self.desk.sent(&intent);
        let request = message::request(&self.desk, &self.prefix, &intent, new_number, unix_ms());
        let Some((method, parameters)) = request else { return Ok(()) };
        let id = connection.request(method, &parameters).await?;
        self.tally.requests += 1;
        let asked = Asked::Order { intent, new_number };
        conversation.unanswered.insert(id, (asked, conversation.turn));
        Ok(())
    }

    async fn ask_touches(
        &mut self,
        conversation: &mut Conversation,
        connection: &mut Connection,
    ) -> Result<(), Lost> {
        let symbols: Vec<_> =
            self.desk.symbols.iter().map(|symbol| symbol_json(&symbol.symbol)).collect();
        let parameters = format!("{{\"symbols\":[{}]}}", symbols.join(","));
        let id = connection.request("ticker.book", &parameters).await?;
        conversation.unanswered.insert(id, (Asked::Touches, conversation.turn));
        Ok(())
    }

    fn hear(&mut self, conversation: &mut Conversation, message: &str) -> Result<(), Lost> {
        let Ok(incoming) = serde_json::from_str::<Incoming<'_>>(message) else { return Ok(()) };
        if let Some(event) = incoming.event {
            message::hear_event(&mut self.desk, &self.prefix, event);
            return Ok(());
        }
        let asked = incoming.id.and_then(|id| conversation.unanswered.remove(&id));
        let status = incoming.status.unwrap_or_default();
        if status >= 500 {
            return Err(Lost::UnknownOutcome { status });
        }
        if status != 200 {
            self.count_refusal(conversation, status, incoming.error.as_ref());
        }
        match asked {
            Some((Asked::Order { intent, new_number }, _)) => {
                if status == 200 {
                    self.tally.accepted += 1;
                    conversation.refusals_in_a_row = 0;
                    self.accepted(&intent, new_number, &incoming);
                } else {
                    self.refused(&intent, new_number, incoming.error.as_ref());
                }
            }
            Some((Asked::Touches, _)) => {
                if let Some(result) = incoming.result {
                    message::hear_touches(&mut self.desk, result);
                }
            }
            None => {}
        }
        Ok(())
    }

    fn accepted(&mut self, intent: &Intent, new_number: Option<u64>, incoming: &Incoming<'_>) {
        let news = match intent {
            Intent::Place(_) => incoming.result.and_then(message::placed),
            Intent::Replace { .. } => incoming.result.and_then(message::replaced),
            _ => None,
        };
        match *intent {
            Intent::Cancel { number } | Intent::Replace { number, .. } => {
                self.desk.order_gone(number);
            }
            Intent::Amend { number, quantity } => self.desk.order_stands(number, Some(quantity)),
            Intent::Place(_) => {}
        }
        let (Some(number), Intent::Place(new) | Intent::Replace { new, .. }) = (new_number, intent)
        else {
            return;
        };
        match news {
            Some((status, filled)) => self.desk.order_is(number, status, filled),
            // Of an order that may rest, its events will tell.
            None if new.can_rest() => {}
            None => self.desk.order_gone(number),
        }
    }

    fn refused(&mut self, intent: &Intent, new_number: Option<u64>, error: Option<&ErrorBody>) {
        if let Some(number) = new_number {
            self.desk.order_gone(number);
        }
        let (Intent::Cancel { number }
        | Intent::Replace { number, .. }
        | Intent::Amend { number, .. }) = *intent
        else {
            return;
        };
        match error.is_some_and(says_gone) {
            true => self.desk.order_gone(number),
            false => self.desk.order_stands(number, None),
        }
    }

    fn count_refusal(
        &mut self,
        conversation: &mut Conversation,
        status: u16,
        error: Option<&ErrorBody>,
    ) {
        let refused = &mut self.tally.refused;
        let code = error.map_or(0, |error| error.code);
        let is_known = refused.contains_key(&code) || refused.len() < CODES_MAX;
        *refused.entry(if is_known { code } else { 0 }).or_default() += 1;
        conversation.refused(status, error);
    }
}

/// Does a refusal say that the order to change is not open, or that it was canceled though its
/// replacement was not accepted?
fn says_gone(error: &ErrorBody) -> bool {
    let Some(data) = &error.data else { return CODES_GONE.contains(&error.code) };
    let cancel_code = data.cancel_response.as_ref().and_then(|response| response.code);
    data.cancel_result.as_deref() == Some("SUCCESS")
        || cancel_code.is_some_and(|code| CODES_GONE.contains(&code))
}

impl Conversation {
    fn may_ask(&self) -> bool {
        self.allowance >= REQUEST_COST && self.unanswered.len() < UNANSWERED_MAX
    }

    fn check_patience(&self) -> Result<(), Lost> {
        let oldest = self.unanswered.first_key_value();
        let is_late = |(_, asked): &(Asked, u64)| asked + ANSWER_TURNS_MAX < self.turn;
        match oldest.is_some_and(|(_, asked)| is_late(asked)) {
            true => Err(Lost::Silent),
            false => Ok(()),
        }
    }

    /// A rate limit is waited out; too many other refusals make a pause.
    fn refused(&mut self, status: u16, error: Option<&ErrorBody>) {
        self.refusals_in_a_row += 1;
        let mut rest = 0;
        if self.refusals_in_a_row >= REFUSALS_MAX {
            self.refusals_in_a_row = 0;
            rest = REST_TURNS;
        }
        if status == 429 || status == 418 {
            let data = error.and_then(|error| error.data.as_ref());
            let wait_ms = data.and_then(|data| data.retry_after?.checked_sub(data.server_time?));
            let turns = wait_ms.map_or(REST_TURNS, |wait_ms| wait_ms / TURN_MS + 1);
            rest = turns.min(REST_TURNS_MAX);
        }
        self.rest_until = self.rest_until.max(self.turn + rest);
    }
}
