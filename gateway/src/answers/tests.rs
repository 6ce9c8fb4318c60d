//! Answers about orders with terms and of lists, against the examples of the documents.

use protocol::command::{OrderRequest, OrderTerms};
use protocol::event::*;
use protocol::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::*;

const PLACED: Expect =
    Expect::PlaceList { kind: OrderKind::Limit, response: ResponseKind::Result, orders: 2 };
const NOW_MS: u64 = NOW.0 / MILLISECOND_NS;

fn placed(response: ResponseKind) -> Expect {
    Expect::Place { kind: OrderKind::Limit, response }
}

/// The values of an object under some names.
fn under(value: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| (name.to_string(), value[*name].clone())).collect()
}

/// "New Order list - OCO": the answer of the kind RESULT, with our ids.
#[test]
fn a_list_is_answered_with_its_orders() {
    let mut venue = Venue::new();
    venue.command(oco());
    let expected = json!({
        "orderListId": 1,
        "contingencyType": "OCO",
        "listStatusType": "EXEC_STARTED",
        "listOrderStatus": "EXECUTING",
        "listClientOrderId": "list-1",
        "transactionTime": 1_710_485_608_839_u64,
        "symbol": "LTCBTC",
        "orders": [
            {"symbol": "LTCBTC", "orderId": 10, "clientOrderId": "stop"},
            {"symbol": "LTCBTC", "orderId": 11, "clientOrderId": "limit"}
        ],
        "orderReports": [
            {
                "symbol": "LTCBTC",
                "orderId": 10,
                "orderListId": 1,
                "clientOrderId": "stop",
                "transactTime": 1_710_485_608_839_u64,
                "price": "1.00000000",
                "origQty": "5.00000000",
                "executedQty": "0.00000000",
                "origQuoteOrderQty": "0.00000000",
                "cummulativeQuoteQty": "0.00000000",
                "status": "NEW",
                "timeInForce": "GTC",
                "type": "STOP_LOSS_LIMIT",
                "side": "SELL",
                "stopPrice": "1.00000000",
                "workingTime": -1,
                "icebergQty": "1.00000000",
                "selfTradePreventionMode": "NONE"
            },
            {
                "symbol": "LTCBTC",
                "orderId": 11,
                "orderListId": 1,
                "clientOrderId": "limit",
                "transactTime": 1_710_485_608_839_u64,
                "price": "3.00000000",
                "origQty": "5.00000000",
                "executedQty": "0.00000000",
                "origQuoteOrderQty": "0.00000000",
                "cummulativeQuoteQty": "0.00000000",
                "status": "NEW",
                "timeInForce": "GTC",
                "type": "LIMIT_MAKER",
                "side": "SELL",
                "workingTime": 1_710_485_608_839_u64,
                "selfTradePreventionMode": "NONE"
            }
        ]
    });
    assert_eq!(venue.answer(&PLACED).unwrap(), expected);
    let ack = Expect::PlaceList { kind: OrderKind::Limit, response: ResponseKind::Ack, orders: 2 };
    let ack = venue.answer(&ack).unwrap();
    let names = ["symbol", "orderId", "orderListId", "clientOrderId", "transactTime"];
    assert_eq!(ack["orderReports"][1], under(&expected["orderReports"][1], &names));
}

/// "New Order List - OPO": the second report of the example has no `origQty`.
#[test]
fn what_is_paid_has_no_quantity_until_it_works() {
    let mut venue = Venue::new();
    let [list, working, pending] = opo();
    venue.command_then(
        [list, working, pending, filled(20, Side::Buy, 1, 2)],
        [OrderActivated {
            order: OrderId(21),
            account: ALICE,
            instrument: INSTRUMENT,
            execution: ExecutionId(60),
            quantity: Quantity(2 * SCALE),
            pegged_price: Price::ZERO,
        }
        .into()],
    );
    // As the answer is made before the consequences, it is asked of a venue without them.
    let activated = venue.views.accounts.order(OrderId(21)).unwrap();
    assert_eq!((activated.status, activated.quantity.0), (OrderStatus::New, 2 * SCALE));
    assert_eq!(activated.working, Some(NOW));
    let mut venue = Venue::new();
    let [list, working, pending] = opo();
    venue.command([list, working, pending, filled(20, Side::Buy, 1, 2)]);
    let answer = venue.answer(&PLACED).unwrap();
    assert_eq!(answer["contingencyType"], "OTO");
    assert_eq!(answer["listStatusType"], "EXEC_STARTED");
    let reports = &answer["orderReports"];
    assert_eq!(
        (&reports[0]["status"], &reports[0]["origQty"]),
        (&json!("FILLED"), &json!("2.00000000"))
    );
    let expected = json!({
        "symbol": "LTCBTC",
        "orderId": 21,
        "orderListId": 2,
        "clientOrderId": "pending",
        "transactTime": NOW_MS,
        "price": "0.00000000",
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "PENDING_NEW",
        "timeInForce": "GTC",
        "type": "MARKET",
        "side": "SELL",
        "workingTime": -1,
        "selfTradePreventionMode": "NONE"
    });
    assert_eq!(reports[1], expected);
}

fn canceled(order: u64) -> Event {
    let id = text("cancel");
    let closed = closed(order, OrderStatus::Canceled, CloseReason::Requested);
    OrderClosed { cancel_client_order_id: id, ..closed }.into()
}

/// "Cancel Order list": the same for a cancel of the list and of one of its orders.
#[test]
fn a_cancel_takes_the_whole_list_along() {
    for order in [[10, 11], [11, 10]] {
        let mut venue = Venue::new();
        venue.command(oco());
        venue.wait_ms(1);
        venue.command([canceled(order[0]), canceled(order[1]), list_done(1)]);
        let answer = venue.answer(&Expect::Cancel).unwrap();
        let expected = json!({
            "orderListId": 1,
            "contingencyType": "OCO",
            "listStatusType": "ALL_DONE",
            "listOrderStatus": "ALL_DONE",
            "listClientOrderId": "list-1",
            "transactionTime": NOW_MS + 1,
            "symbol": "LTCBTC",
            "orders": [
                {"symbol": "LTCBTC", "orderId": 10, "clientOrderId": "stop"},
                {"symbol": "LTCBTC", "orderId": 11, "clientOrderId": "limit"}
            ],
            "orderReports": [
                {
                    "symbol": "LTCBTC",
                    "origClientOrderId": "stop",
                    "orderId": 10,
                    "orderListId": 1,
                    "clientOrderId": "cancel",
                    "transactTime": NOW_MS + 1,
                    "price": "1.00000000",
                    "origQty": "5.00000000",
                    "executedQty": "0.00000000",
                    "origQuoteOrderQty": "0.00000000",
                    "cummulativeQuoteQty": "0.00000000",
                    "status": "CANCELED",
                    "timeInForce": "GTC",
                    "type": "STOP_LOSS_LIMIT",
                    "side": "SELL",
                    "stopPrice": "1.00000000",
                    "icebergQty": "1.00000000",
                    "selfTradePreventionMode": "NONE"
                },
                {
                    "symbol": "LTCBTC",
                    "origClientOrderId": "limit",
                    "orderId": 11,
                    "orderListId": 1,
                    "clientOrderId": "cancel",
                    "transactTime": NOW_MS + 1,
                    "price": "3.00000000",
                    "origQty": "5.00000000",
                    "executedQty": "0.00000000",
                    "origQuoteOrderQty": "0.00000000",
                    "cummulativeQuoteQty": "0.00000000",
                    "status": "CANCELED",
                    "timeInForce": "GTC",
                    "type": "LIMIT_MAKER",
                    "side": "SELL",
                    "selfTradePreventionMode": "NONE"
                }
            ]
        });
        assert_eq!(answer, expected);
    }
}

/// "Cancel All Open Orders on a Symbol".
#[test]
fn orders_and_lists_are_canceled_side_by_side() {
    let mut venue = Venue::new();
    let plain = request(Side::Buy, OrderKind::Limit, 1, "plain");
    venue.command([accepted(5, plain).into()]);
    venue.command(oco());
    // Its list is over: it is canceled as an order like any other.
    venue.command(opo());
    venue.command([filled(20, Side::Buy, 1, 2), list_done(2)]);
    venue.command([canceled(5), canceled(10), canceled(11), list_done(1), canceled(21)]);
    let answer = venue.answer(&Expect::CancelAll).unwrap();
    let names = ["orderId", "orderListId", "status"];
    let shown: Vec<Value> = answer.as_array().unwrap().iter().map(|it| under(it, &names)).collect();
    let expected = [
        json!({"orderId": 5, "orderListId": -1, "status": "CANCELED"}),
        json!({"orderId": null, "orderListId": 1, "status": null}),
        json!({"orderId": 21, "orderListId": 2, "status": "CANCELED"}),
    ];
    assert_eq!(shown, expected);
    assert_eq!(answer[1]["orderReports"].as_array().unwrap().len(), 2);
}

#[test]
fn the_orders_of_a_list_share_the_id_of_its_cancel() {
    let mut venue = Venue::new();
    venue.command(oco());
    let close = |order| closed(order, OrderStatus::Canceled, CloseReason::Requested).into();
    venue.command([close(10), close(11), list_done(1)]);
    let reports = venue.answer(&Expect::Cancel).unwrap()["orderReports"].take();
    assert_eq!(reports[0]["clientOrderId"], reports[1]["clientOrderId"]);
    assert_eq!(reports[0]["clientOrderId"].as_str().unwrap().len(), 22);
}

/// "Response for an order that is part of an Order list".
#[test]
fn an_amend_of_an_order_of_a_list_shows_the_list() {
    let mut venue = Venue::new();
    let list = OrderListId(1);
    let request = |kind, name| request(Side::Buy, kind, 5, name);
    venue.command([
        list_accepted(1, OrderListKind::Oto, 8).into(),
        OrderAcceptedWithTerms { list, ..accepted(8, request(OrderKind::Limit, "working")) }.into(),
        OrderAcceptedWithTerms {
            list,
            is_pending: true,
            ..accepted(9, request(OrderKind::Market, "before"))
        }
        .into(),
    ]);
    venue.wait_ms(3);
    venue.command([OrderAmended {
        order: OrderId(9),
        account: ALICE,
        instrument: INSTRUMENT,
        execution: ExecutionId(22),
        quantity: Quantity(4 * SCALE),
        quantity_before: Quantity(5 * SCALE),
        client_order_id: text("after"),
        client_order_id_before: text("before"),
    }
    .into()]);
    let expected = json!({
        "transactTime": NOW_MS + 3,
        "executionId": 22,
        "amendedOrder": {
            "symbol": "LTCBTC",
            "orderId": 9,
            "orderListId": 1,
            "origClientOrderId": "before",
            "clientOrderId": "after",
            "price": "0.00000000",
            "qty": "4.00000000",
            "executedQty": "0.00000000",
            "preventedQty": "0.00000000",
            "quoteOrderQty": "0.00000000",
            "cumulativeQuoteQty": "0.00000000",
            "status": "PENDING_NEW",
            "timeInForce": "GTC",
            "type": "MARKET",
            "side": "BUY",
            "selfTradePreventionMode": "NONE"
        },
        "listStatus": {
            "orderListId": 1,
            "contingencyType": "OTO",
            "listOrderStatus": "EXECUTING",
            "listClientOrderId": "list-1",
            "symbol": "LTCBTC",
            "orders": [
                {"symbol": "LTCBTC", "orderId": 8, "clientOrderId": "working"},
                {"symbol": "LTCBTC", "orderId": 9, "clientOrderId": "after"}
            ]
        }
    });
    assert_eq!(venue.answer(&Expect::Amend).unwrap(), expected);
}

/// pegged_orders.md, the sample of an answer.
#[test]
fn a_peg_shows_the_price_that_it_gave() {
    let mut venue = Venue::new();
    let order = accepted(18, request(Side::Buy, OrderKind::Limit, 1, "pegged"));
    let peg = OrderTerms { peg: PegPrice::Primary, ..OrderTerms::NONE };
    let at = Price(4_000_000);
    venue.command([OrderAcceptedWithTerms { terms: peg, pegged_price: at, ..order }.into()]);
    let expected = json!({
        "symbol": "LTCBTC",
        "orderId": 18,
        "orderListId": -1,
        "clientOrderId": "pegged",
        "transactTime": NOW_MS,
        "price": "0.00000000",
        "pegPriceType": "PRIMARY_PEG",
        "peggedPrice": "0.04000000",
        "origQty": "1.00000000",
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "workingTime": NOW_MS,
        "fills": [],
        "selfTradePreventionMode": "NONE"
    });
    assert_eq!(venue.answer(&placed(ResponseKind::Full)).unwrap(), expected);
    let terms = OrderTerms { peg_level: 5, peg: PegPrice::Market, ..peg };
    venue.command([OrderAcceptedWithTerms { terms, ..order }.into()]);
    let answer = venue.answer(&placed(ResponseKind::Result)).unwrap();
    let names = ["pegPriceType", "pegOffsetType", "pegOffsetValue", "peggedPrice"];
    let expected = json!({
        "pegPriceType": "MARKET_PEG",
        "pegOffsetType": "PRICE_LEVEL",
        "pegOffsetValue": 5,
        "peggedPrice": null
    });
    assert_eq!(under(&answer, &names), expected);
    assert!(answer.get("peggedPrice").is_none());
}

/// With a stop price from the trade on that reaches it, without one at once.
#[test]
fn a_trailing_stop_shows_since_when_it_follows_the_price() {
    let mut venue = Venue::new();
    let terms = OrderTerms { trailing_delta: 10, ..OrderTerms::NONE };
    let stop = request(Side::Sell, OrderKind::StopLoss, 1, "stop");
    let waiting = OrderRequest { stop_price: Price(SCALE), ..stop };
    venue.command([OrderAcceptedWithTerms { terms, ..accepted(1, waiting) }.into()]);
    let shown = |venue: &Venue| {
        let answer = venue.answer(&placed(ResponseKind::Result)).unwrap();
        under(&answer, &["trailingDelta", "trailingTime", "workingTime", "stopPrice"])
    };
    let mut expected = json!({
        "trailingDelta": 10, "trailingTime": -1, "workingTime": -1, "stopPrice": "1.00000000"
    });
    assert_eq!(shown(&venue), expected);
    let (order, account, instrument) = (OrderId(1), ALICE, INSTRUMENT);
    let started = TrailingStarted { order, account, instrument, price: Price(SCALE) };
    venue.command_then([], [started.into()]);
    assert_eq!(venue.views.accounts.order(order).unwrap().trailing, Some(NOW));
    venue.command([OrderAcceptedWithTerms { terms, ..accepted(2, stop) }.into()]);
    expected["trailingTime"] = NOW_MS.into();
    expected["stopPrice"] = "0.00000000".into();
    assert_eq!(shown(&venue), expected);
}

#[test]
fn an_order_says_why_it_expired() {
    let reasons = [
        (CloseReason::Requested, json!(null)),
        (CloseReason::ImmediateOrCancel, json!("UNFILLED_IOC_QUANTITY_EXPIRED")),
        (CloseReason::FillOrKill, json!("UNFILLED_FOK_ORDER_EXPIRED")),
        (CloseReason::NoLiquidity, json!("INSUFFICIENT_LIQUIDITY")),
        (CloseReason::SelfTrade, json!(null)),
        (CloseReason::InsufficientBalance, json!("REJECTED")),
        (CloseReason::Amended, json!(null)),
        (CloseReason::ListTriggered, json!("OCO_TRIGGER")),
        (CloseReason::ListExpired, json!("OTO_PHASE_ONE_EXPIRED")),
        (CloseReason::Refused, json!("REJECTED")),
        (CloseReason::PriceRange, json!("EXECUTION_RULE_PRICE_RANGE_EXCEEDED")),
        (CloseReason::Interrupted, json!("EXCHANGE_CANCELED")),
        (CloseReason::Exchange, json!("EXCHANGE_CANCELED")),
        (CloseReason::Disconnected, json!(null)),
    ];
    assert_eq!(reasons.len(), CloseReason::ALL.len());
    for (reason, expected) in reasons {
        let mut venue = Venue::new();
        let order = accepted(1, request(Side::Buy, OrderKind::Limit, 1, "order"));
        venue.command([order.into(), closed(1, OrderStatus::Expired, reason).into()]);
        let answer = venue.answer(&placed(ResponseKind::Result)).unwrap();
        assert_eq!(answer["expiryReason"], expected, "{reason}");
        assert_eq!(answer.get("expiryReason").is_some(), !expected.is_null());
    }
}

/// "Test new order", with `computeCommissionRates`.
#[test]
fn a_test_of_an_order_shows_the_rates_of_its_account() {
    let mut venue = Venue::new();
    let (instrument, account) = (INSTRUMENT, ALICE);
    let (scope, maker, taker) = (FeeScope::Account, 112, 114);
    venue
        .command([FeesSet { scope, instrument: InstrumentId::NONE, account, maker, taker }.into()]);
    venue.command([OrderTested { instrument }.into()]);
    let kind = OrderKind::Limit;
    let test = |with_rates| Expect::Test { kind, instrument, account, with_rates };
    assert_eq!(venue.answer(&test(false)).unwrap(), json!({}));
    let none = json!({"maker": "0.00000000", "taker": "0.00000000"});
    let expected = json!({
        "standardCommissionForOrder": {"maker": "0.00000112", "taker": "0.00000114"},
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": {
            "enabledForAccount": false,
            "enabledForSymbol": false,
            "discountAsset": "BNB",
            "discount": "0.00000000"
        }
    });
    assert_eq!(venue.answer(&test(true)).unwrap(), expected);
}

#[test]
fn a_refused_list_says_why() {
    #[track_caller]
    fn check(reason: RejectReason, expect: &Expect, code: i32, message: &str) {
        let mut venue = Venue::new();
        venue.command([CommandRefused { part: CommandPart::Whole, reason }.into()]);
        let error = venue.answer(expect).unwrap_err();
        assert_eq!((error.code, &*error.message), (code, message));
    }
    check(
        RejectReason::ListPrices,
        &PLACED,
        -2010,
        "The relationship of the prices for the orders is not correct.",
    );
    check(RejectReason::UnknownOrderList, &Expect::Cancel, -2011, "Unknown order sent.");
    let text = "Filter failure: MAX_NUM_ORDER_LISTS";
    check(RejectReason::MaxNumOrderLists, &PLACED, -1013, text);
    let text = "OPO orders are not supported for this symbol.";
    check(RejectReason::OpoNotAllowed, &PLACED, -2010, text);
    let text = "Order amend (pending OPO order) is not supported.";
    check(RejectReason::PendingAmend, &Expect::Amend, -2038, text);
    let text = "Filter failure: MAX_NUM_ORDER_AMENDS";
    check(RejectReason::TooManyAmends, &Expect::Amend, -2038, text);
}

#[test]
fn what_is_done_weighs_nothing_but_an_amend_that_leaves_the_order_open() {
    let place = Expect::Place { kind: OrderKind::Limit, response: ResponseKind::Ack };
    for free in [place, PLACED, Expect::Cancel, Expect::CancelAll] {
        assert_eq!(free.refund(&[]), 1);
    }
    assert_eq!(Expect::Amend.refund(&[]), 0);
    let closed = closed(1, OrderStatus::Expired, CloseReason::Amended);
    assert_eq!(Expect::Amend.refund(&[closed.into()]), 4);
    assert_eq!(Expect::Admin.refund(&[closed.into()]), 0);
}
