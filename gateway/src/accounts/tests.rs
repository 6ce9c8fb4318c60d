//! What is kept of order lists.

use protocol::{CloseReason, OrderId, OrderListId, OrderListKind, OrderStatus};

use crate::testing::*;

#[test]
fn an_open_list_stays_and_the_newest_closed_ones_do() {
    let mut venue = Venue::keeping(2);
    venue.command(oco());
    for list in 2..=5 {
        venue.command([list_accepted(list, OrderListKind::Oto, list * 10).into()]);
        venue.command([list_done(list)]);
    }
    venue.views.settle();
    let lists = &venue.views.accounts.account(ALICE).unwrap().lists;
    let kept: Vec<u64> = lists.iter().map(|it| it.id.0).collect();
    assert_eq!(kept, [1, 4, 5]);
    assert!(lists.find_named(&text("list-3")).is_none());
    assert!(lists.find_named(&text("list-5")).unwrap().is_done);
    assert!(!lists.find_named(&text("list-1")).unwrap().is_done);
}

#[test]
fn a_list_names_orders_that_are_not_kept_any_more() {
    let mut venue = Venue::keeping(0);
    let [list, working, pending] = opo();
    venue.command([list, working, pending]);
    venue.command([closed(20, OrderStatus::Canceled, CloseReason::Requested).into()]);
    venue.views.settle();
    assert!(venue.views.accounts.order(OrderId(20)).is_none());
    let list = venue.views.accounts.list(ALICE, OrderListId(2)).unwrap();
    let names: Vec<&str> = list.legs().map(|leg| leg.client_order_id.as_str()).collect();
    assert_eq!(names, ["working", "pending"]);
}

#[test]
fn a_pending_order_is_open() {
    let mut venue = Venue::new();
    venue.command(opo());
    let account = venue.views.accounts.account(ALICE).unwrap();
    assert_eq!(account.open(), [OrderId(20), OrderId(21)]);
    let pending = venue.views.accounts.order(OrderId(21)).unwrap();
    assert!(pending.is_open() && !pending.is_working());
}
