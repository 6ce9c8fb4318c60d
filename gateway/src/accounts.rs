//! Private views: accounts, balances, keys, orders and fills, as the events tell them.
//!
//! **Invariants:** an open order is never evicted; closed orders and fills are kept up to a named
//! bound per account and instrument, the newest ones; order lists likewise, per account.

mod lists;
mod order;
#[cfg(test)]
mod tests;

pub use lists::{Leg, Lists, OrderList};
pub use order::Order;

use std::collections::{BTreeMap, HashMap, VecDeque};

use protocol::command::{
    AccountName, ClientOrderId, KEY_MATERIAL_LENGTH_MAX, VenueLimits, account_permission,
};
use protocol::event::{
    BalanceChanged, KeyAdded, MatchPrevented, OrderAmended, OrderClosed, OrderFilled, OrderListDone,
};
use protocol::{
    AccountId, Amount, ApiKey, AssetId, Bytes, Event, FeeScope, InstrumentId, KeyKind, OrderId,
    OrderListId, Price, Quantity, Side, Stamp, TradeId,
};
use rustc_hash::{FxHashMap, FxSeededState};

use crate::link::Host;
use crate::signature::Verifier;

/// One side's view of a trade, for its owner.
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    pub trade: TradeId,
    pub order: OrderId,
    /// Of the order; `NONE`: of no list.
    pub list: OrderListId,
    pub price: Price,
    pub quantity: Quantity,
    pub quote: Amount,
    pub commission: Amount,
    pub commission_asset: AssetId,
    pub side: Side,
    pub is_maker: bool,
    pub stamp: Stamp,
}

#[derive(Debug, Clone, Copy)]
pub struct Prevented {
    pub event: MatchPrevented,
    pub stamp: Stamp,
}

#[derive(Debug, Clone, Copy)]
pub struct Amendment {
    pub event: OrderAmended,
    pub stamp: Stamp,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    pub free: Amount,
    pub locked: Amount,
}

/// What an account did on one instrument.
#[derive(Debug)]
pub struct Activity {
    /// Of all kept orders, by id.
    orders: VecDeque<OrderId>,
    open: BTreeMap<OrderId, ()>,
    /// In the order in which they were closed.
    closed: VecDeque<OrderId>,
    // Seeded: clients choose these ids.
    by_client_order_id: HashMap<ClientOrderId, OrderId, FxSeededState>,
    pub fills: VecDeque<Fill>,
    pub prevented: VecDeque<Prevented>,
    pub amendments: VecDeque<Amendment>,
}

impl Activity {
    fn new(seed: usize) -> Activity {
        Activity {
            orders: VecDeque::new(),
            open: BTreeMap::new(),
            closed: VecDeque::new(),
            by_client_order_id: HashMap::with_hasher(FxSeededState::with_seed(seed)),
            fills: VecDeque::new(),
            prevented: VecDeque::new(),
            amendments: VecDeque::new(),
        }
    }

    pub fn open(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.open.keys().copied()
    }

    /// Of all kept orders, ascending.
    pub fn orders(&self) -> impl DoubleEndedIterator<Item = OrderId> + '_ {
        self.orders.iter().copied()
    }

    pub fn open_count(&self) -> usize {
        self.open.len()
    }
}

#[derive(Debug)]
pub struct Account {
    pub id: AccountId,
    pub name: AccountName,
    pub trade_group: u32,
    /// Set of bits of [`account_permission`].
    pub permissions: u8,
    pub balances: BTreeMap<AssetId, Balance>,
    pub updated: Stamp,
    pub lists: Lists,
    activity: FxHashMap<InstrumentId, Activity>,
}

impl Account {
    pub fn may(&self, permission: u8) -> bool {
        self.permissions & permission & account_permission::ALL != 0
    }

    pub fn on(&self, instrument: InstrumentId) -> Option<&Activity> {
        self.activity.get(&instrument)
    }

    /// Of every instrument, ascending.
    pub fn open(&self) -> Vec<OrderId> {
        let mut open: Vec<OrderId> = self.activity.values().flat_map(Activity::open).collect();
        open.sort_unstable();
        open
    }
}

/// An API key, ready to check signatures.
#[derive(Debug)]
pub struct Key {
    pub account: AccountId,
    pub kind: KeyKind,
    /// Set of bits of `key_permission`.
    pub permissions: u8,
    /// As the log has it: a sealed secret, or a public key.
    pub material: Bytes<KEY_MATERIAL_LENGTH_MAX>,
    /// None when its secret cannot be opened here: the key then signs nothing.
    pub verifier: Option<Verifier>,
    /// Since when it is this account's with this secret.
    pub added: Stamp,
}

impl Key {
    pub const fn may(&self, permission: u8) -> bool {
        self.permissions & permission != 0
    }
}

/// Commission rates in counts of 10^-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    pub maker: u32,
    pub taker: u32,
}

#[derive(Debug, Default)]
struct Fees {
    venue: Rates,
    instruments: FxHashMap<InstrumentId, Rates>,
    accounts: FxHashMap<AccountId, Rates>,
}

/// Bounds of the private history.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    pub closed_orders_max: usize,
    pub fills_max: usize,
}

/// All accounts.
#[derive(Debug)]
pub struct Accounts {
    kept: Kept,
    seed: usize,
    accounts: BTreeMap<AccountId, Account>,
    names: HashMap<AccountName, AccountId>,
    pub keys: HashMap<ApiKey, Key, FxSeededState>,
    // Boxed: the map then moves little when it grows.
    orders: FxHashMap<OrderId, Box<Order>>,
    fees: Fees,
    pub limits: VenueLimits,
    /// Where more closed orders are kept than may be, until the command is over.
    overfull: Vec<(AccountId, InstrumentId)>,
    /// Whose closed order lists are more than may be.
    overfull_lists: Vec<AccountId>,
}

impl Accounts {
    /// Empty; `seed` keys the maps whose keys clients choose.
    pub fn new(kept: Kept, seed: usize) -> Accounts {
        Accounts {
            kept,
            seed,
            accounts: BTreeMap::new(),
            names: HashMap::new(),
            keys: HashMap::with_hasher(FxSeededState::with_seed(seed)),
            orders: FxHashMap::default(),
            fees: Fees::default(),
            limits: VenueLimits::default(),
            overfull: Vec::new(),
            overfull_lists: Vec::new(),
        }
    }

    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    pub fn by_name(&self, name: &str) -> Option<&Account> {
        let name = AccountName::new(name).ok()?;
        self.accounts.get(self.names.get(&name)?)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(&id).map(AsRef::as_ref)
    }

    /// An account's order on an instrument, if it is kept.
    pub fn find(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        id: OrderId,
    ) -> Option<&Order> {
        let order = self.order(id)?;
        (order.account == account && order.instrument == instrument).then_some(order)
    }

    /// The latest order of this client order id.
    pub fn find_named(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        name: &ClientOrderId,
    ) -> Option<&Order> {
        let activity = self.accounts.get(&account)?.on(instrument)?;
        self.order(*activity.by_client_order_id.get(name)?)
    }

    /// The list that an order is of, if it is kept.
    pub fn list_of(&self, order: &Order) -> Option<&OrderList> {
        self.list(order.account, order.list)
    }

    pub fn list(&self, account: AccountId, id: OrderListId) -> Option<&OrderList> {
        self.accounts.get(&account)?.lists.get(id)
    }

    /// The rates of an account on an instrument (docs/rules.md, §2).
    pub fn rates(&self, account: AccountId, instrument: InstrumentId) -> Rates {
        let own = self.fees.accounts.get(&account);
        own.or_else(|| self.fees.instruments.get(&instrument)).copied().unwrap_or(self.fees.venue)
    }

    /// The rates of an account where no instrument has its own.
    pub fn rates_anywhere(&self, account: AccountId) -> Rates {
        self.fees.accounts.get(&account).copied().unwrap_or(self.fees.venue)
    }

    /// Folds one event.
    pub fn apply(&mut self, event: &Event, stamp: Stamp, host: &dyn Host) {
        match event {
            Event::BalanceChanged(event) => self.balance_changed(event, stamp),
            Event::OrderAccepted(event) => {
                self.restore(Order::of(event.order, &event.request, stamp));
            }
            Event::OrderAcceptedWithTerms(event) => {
                self.restore(Order::with_terms(event, stamp));
            }
            Event::OrderFilled(event) => self.order_filled(event, stamp),
            Event::OrderClosed(event) => self.order_closed(event, stamp),
            Event::OrderTriggered(event) => self.change(event.order, |order| {
                order.working = Some(stamp);
                order.updated = stamp;
            }),
            Event::OrderActivated(event) => {
                self.change(event.order, |order| order.activate(event, stamp));
            }
            Event::OrderPegged(event) => {
                self.change(event.order, |order| order.pegged_price = event.price);
            }
            Event::OrderRefused(event) => {
                self.change(event.order, |order| order.refusal = Some(event.reason));
            }
            Event::TrailingStarted(event) => {
                self.change(event.order, |order| order.trailing = Some(stamp));
            }
            Event::OrderReplaced(event) => {
                self.change(event.order, |order| order.replace(event, stamp));
            }
            Event::OrderAmended(event) => self.order_amended(event, stamp),
            Event::MatchPrevented(event) => self.match_prevented(event, stamp),
            Event::OrderListAccepted(event) => self.restore_list(OrderList::of(event, stamp)),
            Event::OrderListDone(event) => self.order_list_done(event, stamp),
            Event::AccountDefined(event) => {
                self.names.insert(event.name, event.account);
                let seed = self.seed;
                let account = self.accounts.entry(event.account).or_insert_with(|| Account {
                    id: event.account,
                    name: event.name,
                    trade_group: 0,
                    permissions: 0,
                    balances: BTreeMap::new(),
                    updated: stamp,
                    lists: Lists::new(seed),
                    activity: FxHashMap::default(),
                });
                account.trade_group = event.trade_group;
                account.permissions = event.permissions;
            }
            Event::KeyAdded(event) => self.key_added(event, stamp, host),
            Event::KeyRemoved(event) => {
                self.keys.remove(&event.key);
            }
            Event::FeesSet(event) => {
                let rates = Rates { maker: event.maker, taker: event.taker };
                match event.scope {
                    FeeScope::Venue => self.fees.venue = rates,
                    FeeScope::Instrument => {
                        self.fees.instruments.insert(event.instrument, rates);
                    }
                    FeeScope::Account => {
                        self.fees.accounts.insert(event.account, rates);
                    }
                }
            }
            Event::VenueLimitsSet(event) => self.limits = event.limits,
            _ => {}
        }
    }

    /// Puts an open order back that was accepted before the events begin that are still there.
    pub fn restore(&mut self, order: Order) {
        let (id, name) = (order.id, order.client_order_id);
        if order.is_of_list()
            && let Some(account) = self.accounts.get_mut(&order.account)
        {
            account.lists.named(order.list, id, name, order.updated);
        }
        let Some(activity) = self.activity(order.account, order.instrument) else { return };
        activity.orders.push_back(id);
        activity.open.insert(id, ());
        activity.by_client_order_id.insert(name, id);
        self.orders.insert(id, Box::new(order));
    }

    /// Puts an open order list back. Its orders follow.
    pub fn restore_list(&mut self, list: OrderList) {
        if let Some(account) = self.accounts.get_mut(&list.account) {
            account.lists.add(list);
        }
    }

    fn key_added(&mut self, event: &KeyAdded, stamp: Stamp, host: &dyn Host) {
        let material = event.material.as_bytes();
        let verifier = match event.kind {
            KeyKind::Hmac => host
                .unseal(&event.key, material)
                .ok()
                .and_then(|secret| Verifier::new(event.kind, &secret).ok()),
            KeyKind::Ed25519 | KeyKind::Rsa => Verifier::new(event.kind, material).ok(),
        };
        // The same key with other permissions is still the one that sessions logged on with.
        let is_same = |it: &&Key| (it.account, it.material) == (event.account, event.material);
        let added = self.keys.get(&event.key).filter(is_same).map_or(stamp, |it| it.added);
        let key = Key {
            account: event.account,
            kind: event.kind,
            permissions: event.permissions,
            material: event.material,
            verifier,
            added,
        };
        self.keys.insert(event.key, key);
    }

    fn balance_changed(&mut self, event: &BalanceChanged, stamp: Stamp) {
        let Some(account) = self.accounts.get_mut(&event.account) else { return };
        account.updated = stamp;
        let balance = Balance { free: event.free, locked: event.locked };
        account.balances.insert(event.asset, balance);
    }

    fn activity(&mut self, account: AccountId, instrument: InstrumentId) -> Option<&mut Activity> {
        let activity = &mut self.accounts.get_mut(&account)?.activity;
        Some(activity.entry(instrument).or_insert_with(|| Activity::new(self.seed)))
    }

    fn change(&mut self, order: OrderId, change: impl FnOnce(&mut Order)) {
        if let Some(order) = self.orders.get_mut(&order) {
            change(order);
        }
    }

    fn order_list_done(&mut self, event: &OrderListDone, stamp: Stamp) {
        let Some(account) = self.accounts.get_mut(&event.account) else { return };
        if account.lists.done(event.list, stamp, self.kept.closed_orders_max) {
            self.overfull_lists.push(event.account);
        }
    }

    fn order_filled(&mut self, event: &OrderFilled, stamp: Stamp) {
        let Some(order) = self.orders.get_mut(&event.order) else { return };
        let quote = event.cumulative_quote - order.executed_quote;
        order.executed = event.cumulative_quantity;
        order.executed_quote = event.cumulative_quote;
        order.status = event.status;
        order.updated = stamp;
        let (is_open, list) = (order.is_open(), order.list);
        let fills_max = self.kept.fills_max;
        let Some(activity) = self.activity(event.account, event.instrument) else { return };
        if activity.fills.len() >= fills_max {
            activity.fills.pop_front();
        }
        activity.fills.push_back(Fill {
            trade: event.trade,
            order: event.order,
            list,
            price: event.price,
            quantity: event.quantity,
            quote,
            commission: event.commission,
            commission_asset: event.commission_asset,
            side: event.side,
            is_maker: event.is_maker,
            stamp,
        });
        if !is_open {
            self.closed(event.account, event.instrument, event.order);
        }
    }

    fn order_closed(&mut self, event: &OrderClosed, stamp: Stamp) {
        let Some(order) = self.orders.get_mut(&event.order) else { return };
        order.close(event, stamp);
        self.closed(event.account, event.instrument, event.order);
    }

    /// Takes an order off the open ones. It stays known to the end of its command at least: the
    /// command's answer and reports are about it.
    fn closed(&mut self, account: AccountId, instrument: InstrumentId, order: OrderId) {
        let Some(of) = self.accounts.get_mut(&account) else { return };
        let Some(activity) = of.activity.get_mut(&instrument) else { return };
        activity.open.remove(&order);
        activity.closed.push_back(order);
        if activity.closed.len() > self.kept.closed_orders_max {
            self.overfull.push((account, instrument));
        }
    }

    /// A command is over: drops the closed orders and lists above the bound, the first closed first.
    pub fn settle(&mut self) {
        let kept = self.kept.closed_orders_max;
        for account in self.overfull_lists.drain(..) {
            if let Some(account) = self.accounts.get_mut(&account) {
                account.lists.settle(kept);
            }
        }
        for (account, instrument) in self.overfull.drain(..) {
            let activity =
                self.accounts.get_mut(&account).and_then(|it| it.activity.get_mut(&instrument));
            let Some(activity) = activity else { continue };
            while activity.closed.len() > kept
                && let Some(oldest) = activity.closed.pop_front()
            {
                // Mostly it is the first: then nothing is moved.
                if let Ok(place) = activity.orders.binary_search(&oldest) {
                    activity.orders.remove(place);
                }
                forget(&mut self.orders, &mut activity.by_client_order_id, oldest);
            }
        }
    }

    fn order_amended(&mut self, event: &OrderAmended, stamp: Stamp) {
        let Some(order) = self.orders.get_mut(&event.order) else { return };
        order.quantity = event.quantity;
        order.client_order_id = event.client_order_id;
        order.updated = stamp;
        let list = order.list;
        if let Some(account) = self.accounts.get_mut(&event.account) {
            account.lists.named(list, event.order, event.client_order_id, stamp);
        }
        let kept = self.kept.fills_max;
        let Some(activity) = self.activity(event.account, event.instrument) else { return };
        let before = event.client_order_id_before;
        if activity.by_client_order_id.get(&before) == Some(&event.order) {
            activity.by_client_order_id.remove(&before);
        }
        activity.by_client_order_id.insert(event.client_order_id, event.order);
        push_bounded(&mut activity.amendments, Amendment { event: *event, stamp }, kept);
    }

    fn match_prevented(&mut self, event: &MatchPrevented, stamp: Stamp) {
        let kept = self.kept.fills_max;
        let sides = [
            (event.maker_order, event.maker_prevented_total),
            (event.taker_order, event.taker_prevented_total),
        ];
        for (order, prevented) in sides {
            if let Some(order) = self.orders.get_mut(&order) {
                order.prevented = prevented;
                order.prevention = Some(Box::new(*event));
                order.updated = stamp;
            }
        }
        let both = [event.maker_account, event.taker_account];
        let owners = if both[0] == both[1] { &both[..1] } else { &both[..] };
        for owner in owners {
            if let Some(activity) = self.activity(*owner, event.instrument) {
                push_bounded(&mut activity.prevented, Prevented { event: *event, stamp }, kept);
            }
        }
    }
}

fn forget(
    orders: &mut FxHashMap<OrderId, Box<Order>>,
    names: &mut HashMap<ClientOrderId, OrderId, FxSeededState>,
    id: OrderId,
) {
    if let Some(gone) = orders.remove(&id)
        && names.get(&gone.client_order_id) == Some(&id)
    {
        names.remove(&gone.client_order_id);
    }
}

fn push_bounded<T>(list: &mut VecDeque<T>, item: T, max: usize) {
    if list.len() >= max {
        list.pop_front();
    }
    list.push_back(item);
}
