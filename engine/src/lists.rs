//! Open order lists: which orders hang together, and how far they are (docs/rules.md §12).

use alloc::collections::BTreeMap;
use protocol::command::{ClientOrderId, LISTED_ORDERS_MAX};
use protocol::event::OrderListAccepted;
use protocol::{AccountId, InstrumentId, OrderId, OrderListId, OrderListKind};

/// How far a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[repr(u8)]
pub enum Stage {
    /// The working order is open, the others wait for it.
    Working,
    /// The working order is filled, the others stand in the trigger queue.
    Filled,
    /// Two orders work of which one cancels the other.
    Pair,
    /// One order is left and depends on no other.
    Last,
}

impl protocol::record::Schema for Stage {
    const SCHEMA: u64 = protocol::record::name_hash("Stage: Working Filled Pair Last");
}

/// A list of which an order is open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OrderList {
    pub(crate) id: OrderListId,
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    pub(crate) kind: OrderListKind,
    pub(crate) client_order_id: ClientOrderId,
    /// In the order of the command; `NONE` where there is none.
    pub(crate) orders: [OrderId; LISTED_ORDERS_MAX],
    pub(crate) stage: Stage,
    /// Of a pair: the order that holds for both.
    pub(crate) holder: OrderId,
}

impl OrderList {
    /// The orders that wait for the working one.
    pub(crate) fn pending(&self) -> &[OrderId] {
        match self.kind.has_working_order() {
            true => &self.orders[1..self.kind.orders()],
            false => &[],
        }
    }

    /// What stands for the list in the trigger queue.
    pub(crate) fn queued(&self) -> Option<OrderId> {
        (self.stage == Stage::Filled).then_some(self.orders[1])
    }

    pub(crate) fn working(&self) -> Option<OrderId> {
        self.kind.has_working_order().then_some(self.orders[0])
    }

    /// The two of which one cancels the other.
    pub(crate) fn pair(&self) -> [OrderId; 2] {
        let first = usize::from(self.kind.has_working_order());
        [self.orders[first], self.orders[first + 1]]
    }

    /// The event that told of it.
    pub(crate) fn accepted(&self) -> OrderListAccepted {
        OrderListAccepted {
            list: self.id,
            account: self.account,
            instrument: self.instrument,
            kind: self.kind,
            list_client_order_id: self.client_order_id,
            orders: self.orders,
        }
    }

    /// The other order of the pair.
    pub(crate) fn other(&self, order: OrderId) -> OrderId {
        let [first, second] = self.pair();
        if order == first { second } else { first }
    }
}

type Name = (AccountId, InstrumentId, ClientOrderId);

/// **Invariants:** a list is in both maps; all its orders that are still open are in `Orders` and
/// name it.
#[derive(Debug, Default)]
pub(crate) struct OrderLists {
    by_id: BTreeMap<OrderListId, OrderList>,
    by_name: BTreeMap<Name, OrderListId>,
}

impl OrderLists {
    pub(crate) fn insert(&mut self, list: OrderList) {
        let name = (list.account, list.instrument, list.client_order_id);
        self.by_name.insert(name, list.id);
        let previous = self.by_id.insert(list.id, list);
        assert!(previous.is_none(), "list {} exists twice", list.id);
    }

    pub(crate) fn get(&self, id: OrderListId) -> Option<&OrderList> {
        self.by_id.get(&id)
    }

    /// The one place that changes a list.
    pub(crate) fn change(&mut self, id: OrderListId, change: impl FnOnce(&mut OrderList)) {
        if let Some(list) = self.by_id.get_mut(&id) {
            change(list);
        }
    }

    pub(crate) fn remove(&mut self, id: OrderListId) -> Option<OrderList> {
        let list = self.by_id.remove(&id)?;
        self.by_name.remove(&(list.account, list.instrument, list.client_order_id));
        Some(list)
    }

    pub(crate) fn named(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        client_order_id: &ClientOrderId,
    ) -> Option<OrderListId> {
        self.by_name.get(&(account, instrument, *client_order_id)).copied()
    }

    /// Open lists of the account: all, and those on the instrument.
    pub(crate) fn counts(&self, account: AccountId, instrument: InstrumentId) -> (u32, u32) {
        let nameless = ClientOrderId::EMPTY;
        let first = (account, InstrumentId::NONE, nameless);
        let of_account =
            self.by_name.range(first..).take_while(|((owner, _, _), _)| *owner == account);
        of_account.fold((0, 0), |(all, here), ((_, on, _), _)| {
            (all + 1, here + u32::from(*on == instrument))
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// All, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &OrderList> {
        self.by_id.values()
    }
}
