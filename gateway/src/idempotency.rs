//! Client order ids that may not be used again yet: `server.idempotency_window_s`.
//!
//! The engine refuses the id of an open order; here those are refused that closed a short while
//! ago, and those of requests without an answer so far, so that a request that is sent again by
//! mistake is not executed twice. Closed orders are known as long as the private history keeps them.

use protocol::command::{ClientOrderId, ListedOrder, OrderRequest};
use protocol::{AccountId, Command, InstrumentId, SECOND_NS, Stamp};
use rustc_hash::FxHashMap;

use crate::accounts::Accounts;
use crate::error::ApiError;

type Name = (AccountId, InstrumentId, ClientOrderId);

/// The ids of orders that are on their way. Empty without a window.
#[derive(Debug, Default)]
pub struct Names {
    window_ns: u64,
    /// By the two numbers of the request.
    in_flight: FxHashMap<(u32, u32), Vec<Name>>,
}

impl Names {
    pub fn new(window_s: u32) -> Names {
        let window_ns = u64::from(window_s) * SECOND_NS;
        Names { window_ns, in_flight: FxHashMap::default() }
    }

    pub const fn are_watched(&self) -> bool {
        self.window_ns > 0
    }

    /// May the command be sent?
    ///
    /// Errors: an order of this id is on its way, or closed within the window.
    pub fn check(
        &self,
        command: &Command,
        accounts: &Accounts,
        now: Stamp,
    ) -> Result<(), ApiError> {
        let is_used = |name: &Name| {
            let is_on_its_way = self.in_flight.values().flatten().any(|sent| sent == name);
            let (account, instrument, id) = name;
            let before = accounts.find_named(*account, *instrument, id);
            let is_recent = before.is_some_and(|order| {
                !order.is_open() && now.0 < order.updated.0.saturating_add(self.window_ns)
            });
            is_on_its_way || is_recent
        };
        match names(command).iter().any(is_used) {
            true => Err(ApiError::new(-2010, "Duplicate order sent.")),
            false => Ok(()),
        }
    }

    pub fn sent(&mut self, request: (u32, u32), names: Vec<Name>) {
        if self.are_watched() && !names.is_empty() {
            self.in_flight.insert(request, names);
        }
    }

    pub fn answered(&mut self, request: (u32, u32)) {
        self.in_flight.remove(&request);
    }
}

/// The ids of the orders that a command places.
pub fn names(command: &Command) -> Vec<Name> {
    let name = |it: &OrderRequest| (it.account, it.instrument, it.client_order_id);
    match command {
        Command::NewOrder(it) if !it.dry_run => vec![name(&it.request)],
        Command::NewOrderWithTerms(it) if !it.dry_run => vec![name(&it.request)],
        Command::CancelReplace(it) => vec![name(&it.request)],
        Command::NewOrderList(it) => {
            let listed = it.orders.iter().filter(|it| **it != ListedOrder::EMPTY);
            listed.map(|it| name(&it.request)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use protocol::command::NewOrder;
    use protocol::event::{OrderAccepted, OrderClosed};
    use protocol::*;

    use super::*;
    use crate::testing::{ALICE, INSTRUMENT, NOW, Venue, text};

    fn order(id: &str) -> Command {
        let request = OrderRequest {
            account: ALICE,
            instrument: INSTRUMENT,
            client_order_id: text(id),
            ..OrderRequest::EMPTY
        };
        NewOrder { envelope: Envelope::INTERNAL, request, dry_run: false }.into()
    }

    #[test]
    fn an_id_is_free_again_after_the_window() {
        let mut venue = Venue::new();
        let request = match order("one") {
            Command::NewOrder(it) => it.request,
            other => panic!("{other:?}"),
        };
        let (order_id, execution) = (OrderId(1), ExecutionId(1));
        let accepted: Event = OrderAccepted { order: order_id, execution, request }.into();
        venue.command([accepted]);
        let names = Names::new(10);
        let later = |seconds: u64| Stamp(NOW.0 + seconds * SECOND_NS);
        let check =
            |venue: &Venue, id: &str, now| names.check(&order(id), &venue.views.accounts, now);
        assert!(check(&venue, "one", NOW).is_ok(), "of an open order: the engine says so");
        let closed = OrderClosed {
            order: order_id,
            account: ALICE,
            instrument: INSTRUMENT,
            execution: ExecutionId(2),
            status: OrderStatus::Canceled,
            reason: CloseReason::Requested,
            cumulative_quantity: Quantity::ZERO,
            cumulative_quote: Amount::ZERO,
            prevented_quantity: Quantity::ZERO,
            cancel_client_order_id: ClientOrderId::EMPTY,
        };
        venue.command([closed.into()]);
        assert_eq!(check(&venue, "one", later(9)).unwrap_err().code, -2010);
        assert!(check(&venue, "two", later(9)).is_ok());
        assert!(check(&venue, "one", later(10)).is_ok());
    }

    #[test]
    fn an_id_on_its_way_is_used() {
        let venue = Venue::new();
        let mut watched = Names::new(10);
        let check = |watched: &Names| watched.check(&order("one"), &venue.views.accounts, NOW);
        watched.sent((0, 1), names(&order("one")));
        assert!(check(&watched).is_err());
        watched.answered((0, 2));
        assert!(check(&watched).is_err());
        watched.answered((0, 1));
        assert!(check(&watched).is_ok());
        let mut off = Names::new(0);
        off.sent((0, 1), names(&order("one")));
        assert!(off.in_flight.is_empty());
    }
}
