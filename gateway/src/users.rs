//! User data streams: who listens to which account, and what they are told.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use marketdata::Market;
use protocol::command::key_permission;
use protocol::event::{OrderClosed, OrderFilled};
use protocol::{
    AccountId, Amount, ApiKey, AssetId, Event, ExecutionId, InstrumentId, OrderId, OrderStatus,
    Stamp, TransferDirection,
};
use rustc_hash::FxHashMap;

use crate::accounts::{Accounts, Key, Order, OrderList};
use crate::error::ApiError;
use crate::json::{Json, TimeUnit};
use crate::outbox::{Close, Outbox};
use crate::pending::cancel_id;
use crate::reports::{self, Execution, ListStatus};
use crate::streams::combined;

/// Open subscriptions of one connection, and those it may open in its life.
pub const SUBSCRIPTIONS_MAX: usize = 1_000;
pub const SUBSCRIPTION_ID_MAX: u32 = 65_535;

/// Room for what is written around an event.
const WRAP_ROOM: usize = 40;

/// How events are wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrap {
    /// `{"subscriptionId":0,"event":{…}}`
    Subscription(u32),
    /// As a stream whose name is a listen key (legacy): the event alone, or in the wrapper of
    /// combined streams.
    Stream { name: Arc<str>, is_combined: bool },
}

/// Who listens.
#[derive(Debug, Clone)]
pub struct Listener {
    pub outbox: Arc<Outbox>,
    /// Number of the connection.
    pub connection: u64,
    pub wrap: Wrap,
    pub unit: TimeUnit,
    /// The key it was opened with; it ends with the key.
    pub key: ApiKey,
    /// Opened by `userDataStream.subscribe`: `session.logout` ends it.
    pub is_of_logon: bool,
}

impl Listener {
    fn send(&self, event: &str) {
        let text = match &self.wrap {
            Wrap::Stream { is_combined: false, .. } => event.to_owned(),
            Wrap::Stream { name, is_combined: true } => {
                return self.outbox.push(combined(name, event));
            }
            Wrap::Subscription(id) => {
                let mut text = String::with_capacity(event.len() + WRAP_ROOM);
                text.push_str("{\"subscriptionId\":");
                text.push_str(itoa::Buffer::new().format(*id));
                text.push_str(",\"event\":");
                text.push_str(event);
                text.push('}');
                text
            }
        };
        self.outbox.push(Utf8Bytes::from(text));
    }

    fn end(&self, stamp: Stamp) {
        let notice = |json: &mut Json| reports::notice(json, "eventStreamTerminated", stamp);
        self.send(&Json::of(self.unit, notice));
        if let Wrap::Stream { .. } = self.wrap {
            self.outbox.close(Close::KeyGone);
        }
    }
}

/// All listeners, and what is still to be told about the command that is being folded.
#[derive(Debug, Default)]
pub struct Users {
    listeners: FxHashMap<AccountId, Vec<Listener>>,
    /// Keeps its room from event to event.
    scratch: RefCell<String>,
    /// A prevented match that is still to be told.
    deferred: Option<(OrderId, ExecutionId)>,
    /// A trigger that is told when the order's peg has found its price.
    triggered: Option<(OrderId, ExecutionId)>,
    /// Balances that the current command changed, of accounts somebody listens to.
    touched: Vec<(AccountId, AssetId)>,
    /// Open listen keys (legacy), with the account and key they were made for.
    pub listen_keys: HashMap<String, (AccountId, ApiKey, Stamp)>,
}

impl Users {
    /// Ids of a connection's subscriptions, ascending.
    pub fn of_connection(&self, connection: u64) -> Vec<u32> {
        let mut ids: Vec<u32> = self
            .listeners
            .values()
            .flatten()
            .filter(|it| it.connection == connection)
            .filter_map(|it| match it.wrap {
                Wrap::Subscription(id) => Some(id),
                Wrap::Stream { .. } => None,
            })
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Begins to listen.
    ///
    /// Errors: the connection listens to this account already, or to too many.
    pub fn subscribe(&mut self, account: AccountId, listener: Listener) -> Result<(), ApiError> {
        let connection = listener.connection;
        let of_account = self.listeners.entry(account).or_default();
        if of_account.iter().any(|it| it.connection == connection) {
            let text = "User Data Stream subscription already active.";
            return Err(ApiError::new(-2035, text));
        }
        of_account.push(listener);
        if self.of_connection(connection).len() > SUBSCRIPTIONS_MAX {
            self.retain(|it| it.connection != connection, None);
            let text = "Maximum subscription ID reached for this connection.";
            return Err(ApiError::new(-2042, text));
        }
        Ok(())
    }

    /// Ends one subscription of a connection, or all; each is told.
    pub fn unsubscribe(
        &mut self,
        connection: u64,
        id: Option<u32>,
        stamp: Stamp,
    ) -> Result<(), ApiError> {
        let is_meant = |it: &Listener| {
            it.connection == connection && id.is_none_or(|id| it.wrap == Wrap::Subscription(id))
        };
        if id.is_some() && !self.listeners.values().flatten().any(is_meant) {
            let text = "User Data Stream subscription not active.";
            return Err(ApiError::new(-2036, text));
        }
        self.retain(|it| !is_meant(it), Some(stamp));
        Ok(())
    }

    /// The session's key is forgotten: what it had subscribed to ends.
    pub fn logged_out(&mut self, connection: u64, stamp: Stamp) {
        self.retain(|it| it.connection != connection || !it.is_of_logon, Some(stamp));
    }

    /// A connection of streams listens no longer with this listen key (legacy).
    pub fn leave_stream(&mut self, connection: u64, listen_key: &str) {
        let is_meant = |it: &Listener| match &it.wrap {
            Wrap::Stream { name, .. } => it.connection == connection && **name == *listen_key,
            Wrap::Subscription(_) => false,
        };
        self.retain(|it| !is_meant(it), None);
    }

    /// A listen key is closed or has run out: whoever listens with it is told and left.
    pub fn listen_key_ended(&mut self, listen_key: &str, stamp: Stamp) {
        let is_of_it =
            |it: &Listener| matches!(&it.wrap, Wrap::Stream { name, .. } if **name == *listen_key);
        self.retain(|it| !is_of_it(it), Some(stamp));
    }

    /// A connection of streams wants its messages wrapped, or no longer.
    pub fn set_combined(&mut self, connection: u64, is_now_combined: bool) {
        let listeners = self.listeners.values_mut().flatten();
        for listener in listeners.filter(|it| it.connection == connection) {
            if let Wrap::Stream { is_combined, .. } = &mut listener.wrap {
                *is_combined = is_now_combined;
            }
        }
    }

    /// The connection is gone.
    pub fn disconnected(&mut self, connection: u64) {
        self.retain(|it| it.connection != connection, None);
    }

    /// A key was deleted: what it opened ends.
    pub fn key_removed(&mut self, key: &ApiKey, stamp: Stamp) {
        self.retain(|it| it.key != *key, Some(stamp));
        self.listen_keys.retain(|_, (_, of, _)| of != key);
    }

    /// Keeps some listeners; the others are told when `told` says at which time.
    fn retain(&mut self, keep: impl Fn(&Listener) -> bool, told: Option<Stamp>) {
        self.listeners.retain(|_, listeners| {
            listeners.retain(|listener| {
                let is_kept = keep(listener);
                if let (false, Some(stamp)) = (is_kept, told) {
                    listener.end(stamp);
                }
                is_kept
            });
            !listeners.is_empty()
        });
    }

    /// Sends an event to everybody who listens to the account, encoded once per unit.
    fn send(&self, account: AccountId, write: impl Fn(&mut Json)) {
        let Some(listeners) = self.listeners.get(&account) else { return };
        for unit in [TimeUnit::Millisecond, TimeUnit::Microsecond] {
            let mut of_unit = listeners.iter().filter(|it| it.unit == unit).peekable();
            if of_unit.peek().is_none() {
                continue;
            }
            let mut json = Json::over(std::mem::take(&mut *self.scratch.borrow_mut()), unit);
            json.object(&write);
            let event = json.finish();
            of_unit.for_each(|listener| listener.send(&event));
            *self.scratch.borrow_mut() = event;
        }
    }

    /// Tells what an event means to the owners concerned. The views hold it already.
    pub fn apply(&mut self, event: &Event, stamp: Stamp, accounts: &Accounts, market: &Market) {
        if self.listeners.is_empty() && self.listen_keys.is_empty() {
            return;
        }
        self.tell_deferred(event, stamp, accounts, market);
        let report =
            |order, execution, kind| Report { order, execution, kind, stamp, accounts, market };
        match event {
            Event::OrderAccepted(it) => {
                self.touch(it.request.account, it.request.instrument, market);
                report(it.order, it.execution, "NEW").send(self);
            }
            Event::OrderAcceptedWithTerms(it) => {
                let account = it.request.account;
                self.touch(account, it.request.instrument, market);
                report(it.order, it.execution, "NEW").send(self);
                if let Some(list) = accounts.list(account, it.list)
                    && list.ends_with(it.order)
                {
                    self.tell_list(list, ListStatus::Started, stamp, market);
                }
            }
            Event::OrderActivated(it) => {
                self.touch(it.account, it.instrument, market);
                report(it.order, it.execution, "NEW").send(self);
            }
            Event::OrderTriggered(it) => {
                match accounts.order(it.order).is_some_and(Order::is_pegged) {
                    true => self.triggered = Some((it.order, it.execution)),
                    false => report(it.order, it.execution, "NEW").send(self),
                }
            }
            Event::OrderPegged(it) => {
                let of_it = self.triggered.take().filter(|(order, _)| *order == it.order);
                if let Some((order, execution)) = of_it {
                    report(order, execution, "NEW").send(self);
                }
            }
            Event::OrderFilled(it) => {
                self.touch(it.account, it.instrument, market);
                report(it.order, it.execution, "TRADE").fill(self, it);
            }
            Event::OrderAmended(it) => {
                self.touch(it.account, it.instrument, market);
                report(it.order, it.execution, "REPLACED")
                    .replaced(self, it.client_order_id_before.as_str());
                let list = accounts.order(it.order).and_then(|order| accounts.list_of(order));
                if it.client_order_id != it.client_order_id_before
                    && let Some(list) = list.filter(|list| !list.is_done)
                {
                    self.tell_list(list, ListStatus::Updated, stamp, market);
                }
            }
            Event::OrderReplaced(it) => {
                self.touch(it.account, it.instrument, market);
                if let Some(order) = accounts.order(it.order) {
                    report(it.order, it.execution, "REPLACED")
                        .replaced(self, order.client_order_id.as_str());
                }
            }
            Event::OrderListDone(it) => {
                if let Some(list) = accounts.list(it.account, it.list) {
                    self.tell_list(list, ListStatus::Done, stamp, market);
                }
            }
            Event::OrderClosed(it) => {
                self.touch(it.account, it.instrument, market);
                report(it.order, it.execution, "").closed(self, it);
            }
            Event::MatchPrevented(it) => {
                let sides = [
                    (it.taker_order, it.taker_execution, it.taker_prevented),
                    (it.maker_order, it.maker_execution, it.maker_prevented),
                ];
                for (order, execution, prevented) in sides {
                    let Some(of) = accounts.order(order).filter(|_| !prevented.is_zero()) else {
                        continue;
                    };
                    // What closes the order is told by its closing, in one report.
                    match of.quote_quantity.is_zero() {
                        true if of.is_used_up() => {}
                        true => report(order, execution, "TRADE_PREVENTION").prevented(self),
                        // Whether this closes it is not known yet.
                        false => self.deferred = Some((order, execution)),
                    }
                }
            }
            Event::BalanceChanged(it) if self.listeners.contains_key(&it.account) => {
                self.touched.push((it.account, it.asset));
            }
            Event::TransferExecuted(it) => {
                let name = market.asset(it.asset).map_or("", |name| name.as_str());
                let delta = match it.direction {
                    TransferDirection::Deposit => it.amount,
                    TransferDirection::Withdrawal => Amount(-it.amount.0),
                };
                self.send(it.account, |json| reports::balance_update(json, name, delta, stamp));
            }
            Event::KeyRemoved(it) => self.key_removed(&it.key, stamp),
            // Another key under the same text, or one that may no longer listen.
            Event::KeyAdded(it) => {
                let key = accounts.keys.get(&it.key);
                let listens = |key: &Key| key.may(key_permission::USER_DATA) && key.added != stamp;
                if !key.is_some_and(listens) {
                    self.key_removed(&it.key, stamp);
                }
            }
            _ => {}
        }
    }

    /// A prevented match of an order by quote quantity is told when the order goes on; if it closes
    /// instead, its closing tells it.
    fn tell_deferred(&mut self, event: &Event, stamp: Stamp, accounts: &Accounts, market: &Market) {
        let Some((order, execution)) = self.deferred else { return };
        match event {
            Event::OrderClosed(it) if it.order == order => self.deferred = None,
            Event::MatchPrevented(_) | Event::Trade(_) | Event::CommandAnswered(_) => {
                self.deferred = None;
                let kind = "TRADE_PREVENTION";
                Report { order, execution, kind, stamp, accounts, market }.prevented(self);
            }
            _ => {}
        }
    }

    fn tell_list(&self, list: &OrderList, status: ListStatus, stamp: Stamp, market: &Market) {
        let instrument = market.instrument(list.instrument);
        let symbol = instrument.map_or("", |it| it.definition.symbol.as_str());
        self.send(list.account, |json| reports::list_status(json, symbol, list, status, stamp));
    }

    /// Both assets of an instrument count as possibly changed.
    fn touch(&mut self, account: AccountId, instrument: InstrumentId, market: &Market) {
        if !self.listeners.contains_key(&account) {
            return;
        }
        if let Some(instrument) = market.instrument(instrument) {
            self.touched.push((account, instrument.base));
            self.touched.push((account, instrument.quote));
        }
    }

    /// The command's balances are final: one message per account.
    pub fn settle(&mut self, stamp: Stamp, accounts: &Accounts, market: &Market) {
        if self.touched.is_empty() {
            return;
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for of_account in touched.chunk_by(|a, b| a.0 == b.0) {
            let Some(account) = of_account.first().and_then(|it| accounts.account(it.0)) else {
                continue;
            };
            let assets: Vec<AssetId> = of_account.iter().map(|it| it.1).collect();
            self.send(account.id, |json| {
                reports::account_position(json, account, &assets, stamp, market);
            });
        }
        touched.clear();
        self.touched = touched;
    }
}

/// One executionReport on its way.
struct Report<'a> {
    order: OrderId,
    execution: ExecutionId,
    kind: &'static str,
    stamp: Stamp,
    accounts: &'a Accounts,
    market: &'a Market,
}

impl<'a> Report<'a> {
    fn order(&self) -> Option<&'a Order> {
        self.accounts.order(self.order)
    }

    fn of(&self, order: &'a Order) -> Execution<'a> {
        Execution {
            order,
            execution: self.execution,
            kind: self.kind,
            client_order_id: order.client_order_id.as_str(),
            original_client_order_id: "",
            fill: None,
            prevention: None,
            stamp: self.stamp,
        }
    }

    fn write(&self, users: &Users, execution: &Execution<'_>) {
        let order = execution.order;
        let Some(instrument) = self.market.instrument(order.instrument) else { return };
        users.send(order.account, |json| {
            reports::execution(json, execution, instrument, self.market);
        });
    }

    fn send(&self, users: &Users) {
        let Some(order) = self.order() else { return };
        self.write(users, &self.of(order));
    }

    fn fill(&self, users: &Users, fill: &OrderFilled) {
        let Some(order) = self.order() else { return };
        self.write(users, &Execution { fill: Some(fill), ..self.of(order) });
    }

    fn replaced(&self, users: &Users, original_client_order_id: &str) {
        let Some(order) = self.order() else { return };
        self.write(users, &Execution { original_client_order_id, ..self.of(order) });
    }

    fn prevented(&self, users: &Users) {
        let Some(order) = self.order() else { return };
        self.write(users, &Execution { prevention: order.prevention.as_deref(), ..self.of(order) });
    }

    fn closed(&self, users: &Users, closed: &OrderClosed) {
        let Some(order) = self.order() else { return };
        let plain = self.of(order);
        match closed.status {
            OrderStatus::Canceled => {
                let id = cancel_id(closed, order.list);
                let own = order.client_order_id;
                self.write(
                    users,
                    &Execution {
                        kind: "CANCELED",
                        client_order_id: id.as_str(),
                        original_client_order_id: own.as_str(),
                        ..plain
                    },
                );
            }
            OrderStatus::ExpiredInMatch => {
                let prevention = order.prevention.as_deref();
                let execution = prevention.map_or(self.execution, |it| {
                    let is_maker = it.maker_order == order.id;
                    if is_maker { it.maker_execution } else { it.taker_execution }
                });
                let kind = "TRADE_PREVENTION";
                self.write(users, &Execution { kind, prevention, execution, ..plain });
            }
            OrderStatus::Rejected => self.write(users, &Execution { kind: "REJECTED", ..plain }),
            _ => self.write(users, &Execution { kind: "EXPIRED", ..plain }),
        }
    }
}
