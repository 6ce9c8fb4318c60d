//! Requests and the commands they become, or the codes that errors.md has for them.

use protocol::command::*;
use protocol::*;
use serde_json::{Value, json};

use super::*;
use crate::endpoint::{Call, Caller};
use crate::json::TimeUnit;
use crate::pending::Expect;
use crate::testing::*;

fn endpoint(method: &str) -> &'static Endpoint {
    ENDPOINTS.iter().find(|it| it.method == method).unwrap()
}

fn with_call<T>(core: &Core, query: &str, is_socket: bool, run: impl FnOnce(&Call<'_>) -> T) -> T {
    let params = Params::of_rest(query, "").unwrap();
    let caller = Some(Caller { account: ALICE, key: ApiKey::EMPTY, since: NOW });
    let (unit, now, deadline) = (TimeUnit::Millisecond, NOW, Stamp::NEVER);
    assert_eq!(core.accounts.account(ALICE).unwrap().id, ALICE);
    run(&Call { params: &params, unit, now, deadline, caller, is_socket })
}

/// What a request becomes. Names are held against the row first, as every request's are.
fn ask(core: &Core, method: &str, query: &str) -> Result<(Command, Expect), ApiError> {
    let Endpoint { mandatory, optional, run, .. } = endpoint(method);
    with_call(core, query, false, |call| {
        for name in *mandatory {
            call.params.required(name)?;
        }
        let read = call.params.count_of(&[mandatory, optional]);
        assert_eq!(read, call.params.len(), "{method}?{query}");
        let Run::Command(ask) = run else { panic!("{method} is a query") };
        ask(core, call)
    })
}

fn core() -> Core {
    Venue::new().core()
}

#[track_caller]
fn refused(method: &str, query: &str, code: i32, message: &str) {
    let error = ask(&core(), method, query).unwrap_err();
    assert_eq!((error.code, &*error.message), (code, message), "{method}?{query}");
}

fn mandatory(name: &str) -> String {
    format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
}

fn not_required(name: &str) -> String {
    format!("Parameter '{name}' sent when not required.")
}

const STOP: &str = "symbol=LTCBTC&side=SELL&type=STOP_LOSS_LIMIT&quantity=1&timeInForce=GTC";
const LIMIT: &str = "symbol=LTCBTC&side=BUY&type=LIMIT&quantity=5&timeInForce=GTC";

#[test]
fn an_order_without_terms_is_the_smaller_command() {
    for more in ["", "&icebergQty=0"] {
        let (command, _) = ask(&core(), "order.place", &format!("{LIMIT}&price=1{more}")).unwrap();
        assert!(matches!(command, Command::NewOrder(it) if it.request.price == Price(SCALE)));
    }
    let (command, _) = ask(&core(), "order.test", &format!("{LIMIT}&price=1")).unwrap();
    assert!(matches!(command, Command::NewOrder(it) if it.dry_run));
}

#[test]
fn terms_are_sent_as_they_came() {
    #[track_caller]
    fn check(query: &str, price: u64, stop_price: u64, terms: OrderTerms) {
        let (command, expect) = ask(&core(), "order.place", query).unwrap();
        let Command::NewOrderWithTerms(it) = command else { panic!("{command:?}") };
        assert_eq!((it.terms, it.dry_run), (terms, false));
        assert_eq!(
            (it.request.price.0, it.request.stop_price.0),
            (price * SCALE, stop_price * SCALE)
        );
        assert_eq!(expect.orders_placed(), 1);
        let Command::NewOrderWithTerms(test) = ask(&core(), "order.test", query).unwrap().0 else {
            panic!("{query}")
        };
        assert_eq!((test.terms, test.dry_run), (terms, true));
        let replace = "&cancelReplaceMode=ALLOW_FAILURE&cancelOrderId=1";
        let replace = ask(&core(), "order.cancelReplace", &format!("{query}{replace}")).unwrap();
        assert!(matches!(replace.0, Command::CancelReplace(it) if it.terms == terms));
    }
    let none = OrderTerms::NONE;
    let shown = OrderTerms { iceberg: Quantity(2 * SCALE), ..none };
    check(&format!("{LIMIT}&price=3&icebergQty=2"), 3, 0, shown);
    let trailing = OrderTerms { trailing_delta: 500, ..none };
    check(&format!("{STOP}&price=3&trailingDelta=500"), 3, 0, trailing);
    check(&format!("{STOP}&price=3&stopPrice=4&trailingDelta=500"), 3, 4, trailing);
    let pegged = OrderTerms { peg: PegPrice::Primary, ..none };
    check(&format!("{LIMIT}&pegPriceType=PRIMARY_PEG"), 0, 0, pegged);
    check(&format!("{LIMIT}&price=3&pegPriceType=PRIMARY_PEG"), 3, 0, pegged);
    let deeper = OrderTerms { peg: PegPrice::Market, peg_level: 100, ..none };
    let query = "pegPriceType=MARKET_PEG&pegOffsetType=PRICE_LEVEL&pegOffsetValue=100";
    check(&format!("{STOP}&stopPrice=4&{query}"), 0, 4, deeper);
}

#[test]
fn terms_that_do_not_fit_are_refused() {
    let place = |more: &str, code: i32, message: &str| {
        refused("order.place", &format!("{LIMIT}{more}"), code, message);
    };
    place("", -1102, &mandatory("price"));
    place("&price=1&trailingDelta=10", -1106, &not_required("trailingDelta"));
    place("&price=1&stopPrice=1", -1106, &not_required("stopPrice"));
    place("&pegPriceType=BEST", -1210, "Invalid pegPriceType.");
    place("&pegPriceType=NONE", -1210, "Invalid pegPriceType.");
    let together = "Combination of optional fields invalid. Recommendation: 'pegOffsetType' and \
                    'pegOffsetValue' must both be sent.";
    place("&pegPriceType=MARKET_PEG&pegOffsetValue=1", -1128, together);
    place("&pegPriceType=MARKET_PEG&pegOffsetType=PRICE_LEVEL", -1128, together);
    let offset = "&pegOffsetType=TICKS&pegOffsetValue=1";
    place(&format!("&pegPriceType=MARKET_PEG{offset}"), -1211, "Invalid pegOffsetType.");
    let offset = "&pegOffsetType=PRICE_LEVEL&pegOffsetValue=101";
    let invalid = "Data sent for parameter 'pegOffsetValue' is not valid.";
    place(&format!("&pegPriceType=MARKET_PEG{offset}"), -1130, invalid);
    let offset = "&price=1&pegOffsetType=PRICE_LEVEL&pegOffsetValue=1";
    place(offset, -1106, &not_required("pegOffsetType"));
    let either = "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!";
    refused("order.place", &format!("{STOP}&price=1"), -1102, either);
    refused("order.place", &format!("{STOP}&price=1&trailingDelta=0"), -1102, either);
    let overflow = "Parameter 'trailingDelta' overflowed.";
    refused("order.place", &format!("{STOP}&price=1&trailingDelta=4294967296"), -1108, overflow);
    let market = "symbol=LTCBTC&side=BUY&type=MARKET&quantity=1&icebergQty=1";
    refused("order.place", market, -1106, &not_required("icebergQty"));
}

/// Kind, side, quantity, price and stop price.
type InShort = (OrderKind, Side, u64, u64, u64);

fn listed(method: &str, query: &str) -> (NewOrderList, Vec<InShort>) {
    let (command, expect) = ask(&core(), method, query).unwrap();
    let Command::NewOrderList(list) = command else { panic!("{command:?}") };
    let used = list.orders.iter().take(list.kind.orders());
    let orders: Vec<_> = used
        .map(|it| {
            let OrderRequest { kind, side, quantity, price, stop_price, .. } = it.request;
            assert_eq!((it.request.account, it.request.instrument), (ALICE, INSTRUMENT));
            let whole = |units: u64| units / SCALE;
            (kind, side, whole(quantity.0), whole(price.0), whole(stop_price.0))
        })
        .collect();
    assert!(list.orders[orders.len()..].iter().all(|it| *it == ListedOrder::EMPTY));
    assert_eq!(expect.orders_placed() as usize, orders.len());
    assert_eq!(list.list_client_order_id.as_str().len(), 22);
    (*list, orders)
}

#[test]
fn the_stop_loss_of_a_pair_goes_first() {
    use OrderKind::*;
    use Side::*;
    let sell = "symbol=LTCBTC&side=SELL&quantity=5&aboveType=LIMIT_MAKER&abovePrice=3\
                &belowType=STOP_LOSS_LIMIT&belowPrice=1&belowStopPrice=2&belowTimeInForce=GTC\
                &belowIcebergQty=1&aboveClientOrderId=up&belowStrategyId=7\
                &aboveStrategyType=1000000";
    let (list, orders) = listed("orderList.place.oco", sell);
    assert_eq!(list.kind, OrderListKind::Oco);
    assert_eq!(orders, [(StopLossLimit, Sell, 5, 1, 2), (LimitMaker, Sell, 5, 3, 0)]);
    assert_eq!(list.orders[0].terms.iceberg, Quantity(SCALE));
    assert_eq!(list.orders[0].request.strategy_id, 7);
    assert_eq!(list.orders[1].request.strategy_type, 1_000_000);
    assert_eq!(list.orders[1].request.client_order_id.as_str(), "up");
    let buy = "symbol=LTCBTC&side=BUY&quantity=5&aboveType=STOP_LOSS&aboveTrailingDelta=9\
               &belowType=TAKE_PROFIT_LIMIT&belowStopPrice=2&belowTimeInForce=IOC\
               &belowPegPriceType=PRIMARY_PEG";
    let (list, orders) = listed("orderList.place.oco", buy);
    assert_eq!(orders, [(StopLoss, Buy, 5, 0, 0), (TakeProfitLimit, Buy, 5, 0, 2)]);
    assert_eq!(list.orders[0].terms.trailing_delta, 9);
    assert_eq!(list.orders[1].terms.peg, PegPrice::Primary);
    let plain = "symbol=LTCBTC&side=SELL&quantity=5&price=3&stopPrice=2&limitIcebergQty=1";
    let (list, orders) = listed("orderList.place", plain);
    assert_eq!(orders, [(StopLoss, Sell, 5, 0, 2), (LimitMaker, Sell, 5, 3, 0)]);
    assert_eq!(list.orders[1].terms.iceberg, Quantity(SCALE));
    let plain = format!("{plain}&stopLimitPrice=1&stopLimitTimeInForce=FOK&stopClientOrderId=s");
    let (list, orders) = listed("orderList.place", &plain);
    assert_eq!(orders[0], (StopLossLimit, Sell, 5, 1, 2));
    assert_eq!(list.orders[0].request.time_in_force, TimeInForce::Fok);
    assert_eq!(list.orders[0].request.client_order_id.as_str(), "s");
}

const WORKING: &str = "symbol=LTCBTC&workingType=LIMIT&workingSide=BUY&workingPrice=1\
                       &workingQuantity=2&workingTimeInForce=GTC";
const PENDING_PAIR: &str = "&pendingSide=SELL&pendingAboveType=TAKE_PROFIT\
                            &pendingAboveStopPrice=9&pendingBelowType=STOP_LOSS\
                            &pendingBelowTrailingDelta=50";

#[test]
fn the_working_order_goes_first() {
    use OrderKind::*;
    use Side::*;
    let oto = format!("{WORKING}&pendingType=MARKET&pendingSide=BUY&pendingQuantity=5");
    let (list, orders) = listed("orderList.place.oto", &oto);
    assert_eq!(list.kind, OrderListKind::Oto);
    assert_eq!(orders, [(Limit, Buy, 2, 1, 0), (Market, Buy, 5, 0, 0)]);
    let otoco = format!(
        "{WORKING}{PENDING_PAIR}&pendingQuantity=5&listClientOrderId=\
                         0123456789012345678901"
    );
    let (list, orders) = listed("orderList.place.otoco", &otoco);
    assert_eq!(list.kind, OrderListKind::Otoco);
    assert_eq!(list.list_client_order_id.as_str(), "0123456789012345678901");
    let pair = [(StopLoss, Sell, 5, 0, 0), (TakeProfit, Sell, 5, 0, 9)];
    assert_eq!(orders, [(Limit, Buy, 2, 1, 0), pair[0], pair[1]]);
    assert_eq!(list.orders[1].terms.trailing_delta, 50);
    let opo = format!(
        "{WORKING}&pendingType=LIMIT&pendingPrice=7&pendingTimeInForce=GTC&pendingSide=SELL"
    );
    let (list, orders) = listed("orderList.place.opo", &opo);
    assert_eq!(list.kind, OrderListKind::Opo);
    assert_eq!(orders, [(Limit, Buy, 2, 1, 0), (Limit, Sell, 0, 7, 0)]);
    let (list, orders) = listed("orderList.place.opoco", &format!("{WORKING}{PENDING_PAIR}"));
    assert_eq!(list.kind, OrderListKind::Opoco);
    assert_eq!(orders[1..], [(StopLoss, Sell, 0, 0, 0), (TakeProfit, Sell, 0, 0, 9)]);
}

#[test]
fn orders_that_do_not_fit_together_are_refused() {
    let oco = |side: &str, above: &str, below: &str, code: i32, message: &str| {
        let query = format!(
            "symbol=LTCBTC&side={side}&quantity=1&aboveType={above}&belowType={below}&abovePrice=1\
             &belowPrice=1&aboveStopPrice=1&belowStopPrice=1"
        );
        refused("orderList.place.oco", &query, code, message);
    };
    let unsupported = "Order type not supported in OCO.";
    oco("SELL", "LIMIT", "STOP_LOSS", -1158, unsupported);
    oco("SELL", "LIMIT_MAKER", "MARKET", -1158, unsupported);
    oco("SELL", "LIMIT_MAKER", "STOP", -1116, "Invalid orderType.");
    oco("HOLD", "LIMIT_MAKER", "STOP_LOSS", -1117, "Invalid side.");
    let both = "At least one OCO order must be contingent.";
    oco("SELL", "LIMIT_MAKER", "LIMIT_MAKER", -1168, both);
    let limit = "A limit order in a buy OCO must be below.";
    oco("BUY", "LIMIT_MAKER", "STOP_LOSS", -1165, limit);
    let limit = "A limit order in a sell OCO must be above.";
    oco("SELL", "TAKE_PROFIT", "LIMIT_MAKER", -1166, limit);
    let stop = "A stop loss order in a buy OCO must be above.";
    oco("BUY", "STOP_LOSS", "STOP_LOSS", -1196, stop);
    let stop = "A stop loss order in a sell OCO must be below.";
    oco("SELL", "STOP_LOSS_LIMIT", "STOP_LOSS", -1197, stop);
    let profit = "A take profit order in a buy OCO must be below.";
    oco("BUY", "TAKE_PROFIT", "TAKE_PROFIT", -1198, profit);
    let profit = "A take profit order in a sell OCO must be above.";
    oco("SELL", "LIMIT_MAKER", "TAKE_PROFIT_LIMIT", -1199, profit);
    let pair = "symbol=LTCBTC&side=SELL&quantity=5&aboveType=LIMIT_MAKER&abovePrice=3\
                &belowType=STOP_LOSS_LIMIT&belowPrice=1&belowStopPrice=2&belowTimeInForce=IOC\
                &belowIcebergQty=1";
    let shown = "Parameter 'belowIcebergQty' is not supported if `belowTimeInForce` is not GTC.";
    refused("orderList.place.oco", pair, -1160, shown);
    let either =
        "Param 'belowStopPrice' or 'belowTrailingDelta' must be sent, but both were empty/null!";
    let bare = "symbol=LTCBTC&side=SELL&quantity=5&aboveType=LIMIT_MAKER&abovePrice=3\
                &belowType=STOP_LOSS";
    refused("orderList.place.oco", bare, -1102, either);
    let priced = format!("{bare}&belowStopPrice=1&belowPrice=1");
    refused("orderList.place.oco", &priced, -1106, &not_required("belowPrice"));
    let plain = "symbol=LTCBTC&side=SELL&quantity=5&price=3&stopPrice=2";
    let timed = format!("{plain}&stopLimitTimeInForce=GTC");
    refused("orderList.place", &timed, -1106, &not_required("stopLimitTimeInForce"));
    let untimed = format!("{plain}&stopLimitPrice=2");
    refused("orderList.place", &untimed, -1102, &mandatory("stopLimitTimeInForce"));
}

#[test]
fn working_and_pending_orders_are_checked_one_by_one() {
    let pending = "&pendingType=MARKET&pendingSide=SELL";
    let working = WORKING.replace("=LIMIT", "=STOP_LOSS");
    let invalid = "Data sent for parameter 'workingType' is not valid.";
    refused("orderList.place.opo", &format!("{working}{pending}"), -1130, invalid);
    let untimed = WORKING.replace("&workingTimeInForce=GTC", "");
    let text = mandatory("workingTimeInForce");
    refused("orderList.place.opo", &format!("{untimed}{pending}"), -1102, &text);
    let unpriced = WORKING.replace("&workingPrice=1", "");
    let text = mandatory("workingPrice");
    refused("orderList.place.opo", &format!("{unpriced}{pending}"), -1102, &text);
    let text = mandatory("pendingQuantity");
    refused("orderList.place.oto", &format!("{WORKING}{pending}"), -1102, &text);
    let text = mandatory("pendingBelowType");
    let pair = "&pendingSide=SELL&pendingAboveType=LIMIT_MAKER&pendingAbovePrice=1";
    refused("orderList.place.opoco", &format!("{WORKING}{pair}"), -1102, &text);
    let sold = WORKING.replace("=BUY", "=SELL");
    let text = "Working order in an OPO list must be a bid.";
    refused("orderList.place.opo", &format!("{sold}{pending}"), -1222, text);
    let bought = pending.replace("SELL", "BUY");
    let text = "Pending orders in an OPO list must be asks.";
    refused("orderList.place.opo", &format!("{WORKING}{bought}"), -1223, text);
    let counted = format!("{WORKING}{PENDING_PAIR}&pendingQuantity=1");
    let text = "Pending orders should not include the 'pendingQuantity' tag.";
    refused("orderList.place.opoco", &counted, -1225, text);
}

#[test]
fn a_list_is_canceled_by_id_or_name() {
    #[track_caller]
    fn check(query: &str, list: u64, name: &str, cancel: &str) {
        let (command, _) =
            ask(&core(), "orderList.cancel", &format!("symbol=LTCBTC{query}")).unwrap();
        let Command::CancelOrderList(it) = command else { panic!("{command:?}") };
        let names = (it.list_client_order_id.as_str(), it.cancel_client_order_id.as_str());
        assert_eq!((it.list.0, names), (list, (name, cancel)));
    }
    check("&orderListId=3", 3, "", "");
    check("&listClientOrderId=a&newClientOrderId=b", 0, "a", "b");
    check("&orderListId=3&listClientOrderId=a", 3, "a", "");
    check("&orderListId=0", u64::MAX, "", "");
    let either =
        "Param 'orderListId' or 'listClientOrderId' must be sent, but both were empty/null!";
    refused("orderList.cancel", "symbol=LTCBTC", -1102, either);
}

fn query(core: &Core, method: &str, query: &str, is_socket: bool) -> Result<Value, ApiError> {
    let Run::Query(run) = endpoint(method).run else { panic!("{method} is no query") };
    let found = with_call(core, query, is_socket, |call| run(core, call));
    found.map(|text| serde_json::from_str(&text).unwrap())
}

#[test]
fn lists_are_found_by_id_name_and_time() {
    let mut venue = Venue::new();
    venue.command(oco());
    venue.wait_ms(1_000);
    venue.command(opo());
    venue.command([list_done(2)]);
    let core = venue.core();
    let first = json!({
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
        ]
    });
    let one = |text: &str| query(&core, "orderList.status", text, false);
    assert_eq!(one("orderListId=1").unwrap(), first);
    assert_eq!(one("origClientOrderId=list-1&orderListId=9").unwrap(), first);
    assert_eq!(one("orderListId=3").unwrap_err().code, -2013);
    assert_eq!(one("").unwrap_err().code, -1102);
    assert_eq!(query(&core, "openOrderLists.status", "", false).unwrap(), json!([first]));
    let all = |text: &str, is_socket: bool| {
        let found = query(&core, "allOrderLists", text, is_socket)?;
        let ids = found.as_array().unwrap().iter().map(|it| it["orderListId"].as_u64().unwrap());
        Ok::<Vec<u64>, ApiError>(ids.collect())
    };
    assert_eq!(all("", false).unwrap(), [1, 2]);
    assert_eq!(all("limit=1", false).unwrap(), [2]);
    assert_eq!(all("fromId=1&limit=1", false).unwrap(), [1]);
    assert_eq!(all("fromId=2", false).unwrap(), [2]);
    assert_eq!(all("startTime=1710485609000", false).unwrap(), [2]);
    assert_eq!(all("fromId=1&startTime=1710485609000", false).unwrap_err().code, -1128);
    assert_eq!(all("fromId=1&startTime=1710485609000", true).unwrap(), [2]);
    assert_eq!(all("startTime=2&endTime=1", false).unwrap_err().code, -1127);
}

#[test]
fn my_filters_are_those_that_look_at_an_account() {
    let mut venue = Venue::new();
    venue.define(|definition| {
        definition.filters.present = protocol::instrument::filter::MAX_NUM_ORDER_LISTS
            | protocol::instrument::filter::LOT_SIZE;
        definition.filters.max_num_order_lists = 20;
    });
    let limits = VenueLimits { open_orders_max: 1_000, order_lists_max: 7, ..Default::default() };
    venue.command([protocol::event::VenueLimitsSet { limits }.into()]);
    let filters = query(&venue.core(), "myFilters", "symbol=LTCBTC", false).unwrap();
    let expected = json!({
        "exchangeFilters": [
            {"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 1000},
            {"filterType": "EXCHANGE_MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 7}
        ],
        "symbolFilters": [{"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20}],
        "assetFilters": []
    });
    assert_eq!(filters, expected);
}

/// "Query order": fields that are always there, and those of terms.
#[test]
fn a_query_shows_an_iceberg_of_a_list() {
    let mut venue = Venue::new();
    venue.command(oco());
    let order = query(&venue.core(), "order.status", "symbol=LTCBTC&orderId=10", false).unwrap();
    let names = ["orderListId", "icebergQty", "stopPrice", "isWorking", "workingTime"];
    let shown: Value = names.iter().map(|it| (it.to_string(), order[it].clone())).collect();
    let expected = json!({
        "orderListId": 1,
        "icebergQty": "1.00000000",
        "stopPrice": "1.00000000",
        "isWorking": false,
        "workingTime": -1
    });
    assert_eq!(shown, expected);
}
