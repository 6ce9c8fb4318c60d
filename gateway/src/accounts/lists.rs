//! Order lists of an account.

use std::collections::{BTreeMap, HashMap, VecDeque};

use protocol::command::{ClientOrderId, LISTED_ORDERS_MAX};
use protocol::event::OrderListAccepted;
use protocol::{AccountId, InstrumentId, OrderId, OrderListId, OrderListKind, Stamp};
use rustc_hash::FxSeededState;

/// One order of a list. The list outlives what is kept of its orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// `NONE`: an unused place.
    pub order: OrderId,
    pub client_order_id: ClientOrderId,
}

#[derive(Debug, Clone)]
pub struct OrderList {
    pub id: OrderListId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    pub kind: OrderListKind,
    pub client_order_id: ClientOrderId,
    legs: [Leg; LISTED_ORDERS_MAX],
    /// None of its orders is open any more.
    pub is_done: bool,
    /// Of its latest change.
    pub updated: Stamp,
}

impl OrderList {
    /// As it is when it is accepted; its orders name themselves ([`Lists::named`]).
    pub fn of(event: &OrderListAccepted, stamp: Stamp) -> OrderList {
        OrderList {
            id: event.list,
            account: event.account,
            instrument: event.instrument,
            kind: event.kind,
            client_order_id: event.list_client_order_id,
            legs: event.orders.map(|order| Leg { order, client_order_id: ClientOrderId::EMPTY }),
            is_done: false,
            updated: stamp,
        }
    }

    /// In the order in which they were placed.
    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        self.legs.iter().filter(|leg| leg.order != OrderId::NONE)
    }

    /// Is this the order that was accepted last?
    pub fn ends_with(&self, order: OrderId) -> bool {
        self.legs().last().is_some_and(|leg| leg.order == order)
    }
}

/// **Invariants:** an open list is never evicted; the newest closed ones are kept up to a bound.
#[derive(Debug)]
pub struct Lists {
    lists: BTreeMap<OrderListId, OrderList>,
    /// In the order in which they were done.
    closed: VecDeque<OrderListId>,
    // Seeded: clients choose these ids.
    by_client_order_id: HashMap<ClientOrderId, OrderListId, FxSeededState>,
}

impl Lists {
    pub(super) fn new(seed: usize) -> Lists {
        Lists {
            lists: BTreeMap::new(),
            closed: VecDeque::new(),
            by_client_order_id: HashMap::with_hasher(FxSeededState::with_seed(seed)),
        }
    }

    pub fn get(&self, id: OrderListId) -> Option<&OrderList> {
        self.lists.get(&id)
    }

    /// The latest list of this list client order id.
    pub fn find_named(&self, name: &ClientOrderId) -> Option<&OrderList> {
        self.get(*self.by_client_order_id.get(name)?)
    }

    /// All that are kept, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &OrderList> {
        self.lists.values()
    }

    pub(super) fn add(&mut self, list: OrderList) {
        self.by_client_order_id.insert(list.client_order_id, list.id);
        self.lists.insert(list.id, list);
    }

    /// An order of a list has this client order id, from its acceptance or an amend on.
    pub(super) fn named(
        &mut self,
        id: OrderListId,
        order: OrderId,
        name: ClientOrderId,
        stamp: Stamp,
    ) {
        let Some(list) = self.lists.get_mut(&id) else { return };
        let Some(leg) = list.legs.iter_mut().find(|leg| leg.order == order) else { return };
        if leg.client_order_id != name {
            leg.client_order_id = name;
            list.updated = stamp;
        }
    }

    /// True when more closed lists are kept now than may be.
    pub(super) fn done(&mut self, id: OrderListId, stamp: Stamp, closed_max: usize) -> bool {
        let Some(list) = self.lists.get_mut(&id).filter(|list| !list.is_done) else {
            return false;
        };
        list.is_done = true;
        list.updated = stamp;
        self.closed.push_back(id);
        self.closed.len() > closed_max
    }

    /// Drops the closed lists above the bound, the first closed first.
    pub(super) fn settle(&mut self, closed_max: usize) {
        while self.closed.len() > closed_max
            && let Some(oldest) = self.closed.pop_front()
        {
            let Some(gone) = self.lists.remove(&oldest) else { continue };
            if self.by_client_order_id.get(&gone.client_order_id) == Some(&oldest) {
                self.by_client_order_id.remove(&gone.client_order_id);
            }
        }
    }
}
