//! What listeners are told, and in which order.

use protocol::command::{OrderRequest, OrderTerms};
use protocol::event::*;
use protocol::{
    CloseReason, OrderKind, OrderListId, OrderListKind, PegPrice, Price, Quantity, RejectReason,
    SCALE, Side,
};
use serde_json::{Value, json};

use super::*;
use crate::outbox::OutboxLimits;
use crate::testing::*;

#[test]
fn a_listen_key_is_a_stream_of_its_connection() {
    let (mut users, account) = (Users::default(), AccountId(1));
    let limits = OutboxLimits { messages_max: 9, bytes_max: 9_999 };
    let outbox = Arc::new(Outbox::new(limits));
    let listener = Listener {
        outbox: Arc::clone(&outbox),
        connection: 4,
        wrap: Wrap::Stream { name: "listenKey".into(), is_combined: false },
        unit: TimeUnit::Millisecond,
        key: ApiKey::EMPTY,
        is_of_logon: false,
    };
    users.subscribe(account, listener.clone()).unwrap();
    assert_eq!(users.subscribe(account, listener).unwrap_err().code, -2035);
    let told = |users: &Users| {
        users.send(account, |json| json.text_field("e", "balanceUpdate"));
        let mut messages = Vec::new();
        outbox.drain(&mut messages);
        messages.iter().map(|it| it.to_string()).collect::<String>()
    };
    assert_eq!(told(&users), r#"{"e":"balanceUpdate"}"#);
    users.set_combined(4, true);
    assert_eq!(told(&users), r#"{"stream":"listenKey","data":{"e":"balanceUpdate"}}"#);
    assert!(users.of_connection(4).is_empty());
    users.leave_stream(4, "another");
    users.leave_stream(5, "listenKey");
    assert_ne!(told(&users), "");
    users.leave_stream(4, "listenKey");
    assert_eq!(told(&users), "");
}

/// Events in a few words: kind, what it is about, status.
fn in_short(events: &[Value]) -> Vec<String> {
    let word = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let short = |event: &Value| match word(event, "e").as_str() {
        "executionReport" => {
            format!("{} {} {}", event["i"], word(event, "x"), word(event, "X"))
        }
        "listStatus" => format!("list {} {}", event["g"], word(event, "l")),
        _ => "position".to_owned(),
    };
    events.iter().map(short).collect()
}

#[test]
fn a_list_is_told_after_its_orders_and_before_the_position() {
    let mut venue = Venue::new();
    venue.command(oco());
    let told = venue.told();
    assert_eq!(in_short(&told), ["10 NEW NEW", "11 NEW NEW", "list 1 EXEC_STARTED", "position"]);
    let (time, json) = (NOW.0 / 1_000_000, json!([told[0]["g"], told[0]["F"], told[0]["w"]]));
    assert_eq!(json, json!([1, "1.00000000", false]));
    let expected = json!({
        "e": "listStatus",
        "E": time,
        "s": "LTCBTC",
        "g": 1,
        "c": "OCO",
        "l": "EXEC_STARTED",
        "L": "EXECUTING",
        "r": "NONE",
        "C": "list-1",
        "T": time,
        "O": [
            {"s": "LTCBTC", "i": 10, "c": "stop"},
            {"s": "LTCBTC", "i": 11, "c": "limit"}
        ]
    });
    assert_eq!(told[2], expected);
    let order = OrderTriggered {
        order: OrderId(10),
        account: ALICE,
        instrument: INSTRUMENT,
        execution: ExecutionId(7),
    };
    let away = closed(11, OrderStatus::Expired, CloseReason::ListTriggered);
    venue.command_then([], [order.into(), away.into(), list_done(1)]);
    let told = venue.told();
    assert_eq!(
        in_short(&told),
        ["10 NEW NEW", "11 EXPIRED EXPIRED", "list 1 ALL_DONE", "position"]
    );
    assert_eq!((&told[0]["w"], &told[1]["eR"]), (&json!(true), &json!("OCO_TRIGGER")));
    assert_eq!((&told[2]["L"], &told[1]["r"]), (&json!("ALL_DONE"), &json!("NONE")));
}

#[test]
fn a_pending_order_is_new_twice() {
    let mut venue = Venue::new();
    venue.command(opo());
    let told = venue.told();
    let expected = ["20 NEW NEW", "21 NEW PENDING_NEW", "list 2 EXEC_STARTED", "position"];
    assert_eq!(in_short(&told), expected);
    assert_eq!((&told[1]["w"], told[1].get("W")), (&json!(false), None));
    assert_eq!(told[2]["c"], "OTO");
    let (order, account, instrument) = (OrderId(21), ALICE, INSTRUMENT);
    let (execution, quantity, pegged_price) = (ExecutionId(9), Quantity(2 * SCALE), Price::ZERO);
    let activated =
        OrderActivated { order, account, instrument, execution, quantity, pegged_price };
    venue.command_then(
        [filled(20, Side::Buy, 1, 2)],
        [activated.into(), list_done(2), filled(21, Side::Sell, 1, 2)],
    );
    let told = venue.told();
    let expected = [
        "20 TRADE FILLED",
        "position",
        "21 NEW NEW",
        "list 2 ALL_DONE",
        "21 TRADE FILLED",
        "position",
    ];
    assert_eq!(in_short(&told), expected);
    assert_eq!((&told[2]["q"], &told[2]["W"]), (&json!("2.00000000"), &told[2]["T"]));
}

#[test]
fn a_pending_order_that_cannot_begin_is_rejected_with_its_reason() {
    #[track_caller]
    fn check(reason: RejectReason, word: &str) {
        let mut venue = Venue::new();
        venue.command(opo());
        venue.told();
        let (order, account, instrument) = (OrderId(21), ALICE, INSTRUMENT);
        let refused = OrderRefused { order, account, instrument, reason };
        let gone = closed(21, OrderStatus::Rejected, CloseReason::Refused);
        venue.command_then([], [refused.into(), gone.into(), list_done(2)]);
        let told = venue.told();
        let expected = ["21 REJECTED REJECTED", "list 2 ALL_DONE", "position"];
        assert_eq!(in_short(&told), expected);
        assert_eq!((&told[0]["r"], &told[0]["eR"]), (&json!(word), &json!("REJECTED")));
    }
    check(RejectReason::WouldMatchImmediately, "WOULD_MATCH_IMMEDIATELY");
    check(RejectReason::WouldTriggerImmediately, "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY");
    check(RejectReason::ListPrices, "OCO_BAD_PRICES");
    check(RejectReason::InsufficientBalance, "INSUFFICIENT_BALANCES");
    check(RejectReason::LotSize, "NONE");
}

#[test]
fn a_list_is_told_of_another_client_order_id_of_its_orders() {
    let mut venue = Venue::new();
    venue.command(oco());
    venue.told();
    let mut amended = OrderAmended {
        order: OrderId(11),
        account: ALICE,
        instrument: INSTRUMENT,
        execution: ExecutionId(9),
        quantity: Quantity(4 * SCALE),
        quantity_before: Quantity(5 * SCALE),
        client_order_id: text("other"),
        client_order_id_before: text("limit"),
    };
    let second = OrderAmended {
        order: OrderId(10),
        client_order_id: text("stop"),
        client_order_id_before: text("stop"),
        ..amended
    };
    venue.command([amended.into(), second.into()]);
    let told = venue.told();
    let expected = ["11 REPLACED NEW", "list 1 UPDATED", "10 REPLACED NEW", "position"];
    assert_eq!(in_short(&told), expected);
    assert_eq!((&told[0]["c"], &told[0]["C"]), (&json!("other"), &json!("limit")));
    let names = json!([told[1]["O"][0]["c"], told[1]["O"][1]["c"], told[1]["L"]]);
    assert_eq!(names, json!(["stop", "other", "EXECUTING"]));
    amended.client_order_id_before = text("other");
    venue.command([amended.into()]);
    assert_eq!(in_short(&venue.told()), ["11 REPLACED NEW", "position"]);
}

#[test]
fn a_pegged_stop_is_told_with_the_price_that_it_found() {
    let request = OrderRequest {
        stop_price: Price(SCALE),
        ..request(Side::Sell, OrderKind::StopLossLimit, 1, "stop")
    };
    let terms = OrderTerms { peg: PegPrice::Market, peg_level: 2, ..OrderTerms::NONE };
    let (order, account, instrument) = (OrderId(1), ALICE, INSTRUMENT);
    let execution = ExecutionId(2);
    let triggered = OrderTriggered { order, account, instrument, execution };
    let mut venue = Venue::new();
    venue.command([OrderAcceptedWithTerms { terms, ..accepted(1, request) }.into()]);
    let told = venue.told();
    let pegged = |event: &Value| json!([event["gP"], event["gOT"], event["gOV"], event["gp"]]);
    assert_eq!(pegged(&told[0]), json!(["MARKET_PEG", "PRICE_LEVEL", 2, null]));
    let found = OrderPegged { order, account, instrument, price: Price(3 * SCALE) };
    venue.command_then([], [triggered.into(), found.into()]);
    let told = venue.told();
    assert_eq!(in_short(&told), ["1 NEW NEW"]);
    assert_eq!(told[0]["I"], 2);
    assert_eq!(pegged(&told[0]), json!(["MARKET_PEG", "PRICE_LEVEL", 2, "3.00000000"]));

    let mut venue = Venue::new();
    venue.command([OrderAcceptedWithTerms { terms, ..accepted(1, request) }.into()]);
    venue.told();
    let reason = RejectReason::NoPegPrice;
    let refused = OrderRefused { order, account, instrument, reason };
    let gone = closed(1, OrderStatus::Rejected, CloseReason::Refused);
    venue.command_then([], [triggered.into(), refused.into(), gone.into()]);
    assert_eq!(in_short(&venue.told()), ["1 REJECTED REJECTED", "position"]);
}

#[test]
fn a_trailing_stop_carries_its_delta_and_time() {
    let terms = OrderTerms { trailing_delta: 4, ..OrderTerms::NONE };
    let stop = request(Side::Sell, OrderKind::StopLoss, 1, "stop");
    let waiting = OrderRequest { stop_price: Price(SCALE), ..stop };
    let mut venue = Venue::new();
    venue.command([OrderAcceptedWithTerms { terms, ..accepted(1, stop) }.into()]);
    venue.command([OrderAcceptedWithTerms { terms, ..accepted(2, waiting) }.into()]);
    let told = venue.told();
    let shown = |event: &Value| json!([event["d"], event["D"]]);
    assert_eq!(shown(&told[0]), json!([4, NOW.0 / 1_000_000]));
    assert_eq!(shown(&told[2]), json!([4, -1]));
}

#[test]
fn a_replaced_order_is_told_with_its_new_price() {
    let mut venue = Venue::new();
    let order = request(Side::Buy, OrderKind::Limit, 5, "order");
    venue.command([accepted(1, OrderRequest { price: Price(SCALE), ..order }).into()]);
    venue.told();
    venue.command([OrderReplaced {
        order: OrderId(1),
        account: ALICE,
        instrument: INSTRUMENT,
        execution: ExecutionId(4),
        price: Price(2 * SCALE),
        quantity: Quantity(3 * SCALE),
        price_before: Price(SCALE),
    }
    .into()]);
    let told = venue.told();
    assert_eq!(in_short(&told), ["1 REPLACED NEW", "position"]);
    let shown = json!([told[0]["p"], told[0]["q"], told[0]["c"], told[0]["C"]]);
    assert_eq!(shown, json!(["2.00000000", "3.00000000", "order", "order"]));
}

#[test]
fn a_list_that_is_not_known_is_told_to_nobody() {
    let mut venue = Venue::new();
    let list = OrderListId(9);
    let order = request(Side::Buy, OrderKind::Limit, 5, "order");
    venue.command([OrderAcceptedWithTerms { list, ..accepted(1, order) }.into(), list_done(9)]);
    assert_eq!(in_short(&venue.told()), ["1 NEW NEW", "position"]);
    venue.command([list_accepted(3, OrderListKind::Oco, 3).into()]);
    assert!(venue.told().is_empty());
}
