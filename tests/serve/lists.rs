//! Orders with terms and order lists: what is answered and told of them, what the public sees, and
//! that open ones outlast `kill -9`, whether they are read from the log or from a snapshot.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{Trader, rows, units};
use super::child::{PATIENCE, Server, Setting};
use super::http::{Http, Reply};
use super::socket::{Got, Socket};

const SYMBOL: (&str, &str) = ("symbol", "LTCUSDT");

/// A server, the account that is looked at, and two that trade with it and with each other.
struct Place {
    server: Server,
    owner: Trader,
    buyer: Trader,
    seller: Trader,
    told: Socket,
}

impl Place {
    fn start(setting: &Setting) -> Place {
        let server = setting.start();
        let key = server.key("demo-a", &["TRADE", "USER_DATA", "UNLIMITED"]);
        let mut told = server.logged_on(&key);
        told.ok("userDataStream.subscribe", &json!({}));
        Place {
            owner: server.trader("demo-a"),
            buyer: server.trader("demo-maker"),
            seller: server.trader("demo-b"),
            told,
            server,
        }
    }

    /// What a request of the owner is answered.
    #[track_caller]
    fn call(&mut self, method: &str, path: &str, parameters: &[(&str, &str)]) -> Reply {
        let all: Vec<_> = [SYMBOL].into_iter().chain(parameters.iter().copied()).collect();
        self.owner.call(method, &format!("/api/v3/{path}"), &all)
    }

    /// Of a request that is granted.
    #[track_caller]
    fn post(&mut self, path: &str, parameters: &[(&str, &str)]) -> Value {
        self.call("POST", path, parameters).ok()
    }

    #[track_caller]
    fn delete(&mut self, path: &str, parameters: &[(&str, &str)]) -> Value {
        self.call("DELETE", path, parameters).ok()
    }

    #[track_caller]
    fn order(&mut self, id: &Value) -> Value {
        self.call("GET", "order", &[("orderId", &id.to_string())]).ok()
    }

    #[track_caller]
    fn open(&mut self) -> Value {
        self.owner.get("/api/v3/openOrders", &[SYMBOL])
    }

    #[track_caller]
    fn open_lists(&mut self) -> Value {
        self.owner.get("/api/v3/openOrderList", &[])
    }

    /// A trade at a price: between the others, unless the owner's bid or ask is the better one.
    #[track_caller]
    fn trade(&mut self, price: &str) {
        self.buyer.limit("LTCUSDT", "BUY", "1", price).ok();
        self.seller.limit("LTCUSDT", "SELL", "1", price).ok();
    }

    /// Takes all off the book.
    #[track_caller]
    fn clear(&mut self) {
        self.server.admin("DELETE", "orders", &Value::Null).ok();
        assert_eq!(self.open(), json!([]));
        assert_eq!(self.open_lists(), json!([]));
    }

    /// What the owner is told up to the next position, each as kind, status and order or list.
    #[track_caller]
    fn told(&mut self) -> Vec<[Value; 3]> {
        let mut all = Vec::new();
        loop {
            let event = self.told.next()["event"].take();
            all.push(match event["e"].as_str() {
                Some("executionReport") => ["x", "X", "i"].map(|it| event[it].clone()),
                Some("listStatus") => ["l", "L", "g"].map(|it| event[it].clone()),
                Some("outboundAccountPosition") => return all,
                _ => panic!("{event}"),
            });
        }
    }

    fn forget(&mut self) {
        while let Got::Message(_) = self.told.next_within(Duration::from_millis(50)) {}
    }

    /// Levels of one side, best first.
    #[track_caller]
    fn depth(&self, side: &str) -> Value {
        Http::new(&self.server.http).get("/api/v3/depth?symbol=LTCUSDT").ok()[side].take()
    }
}

#[track_caller]
fn told(due: &[(&str, &str, &Value)]) -> Vec<[Value; 3]> {
    due.iter().map(|(kind, status, id)| [json!(kind), json!(status), (*id).clone()]).collect()
}

fn ids(list: &Value) -> Vec<Value> {
    rows(&list["orders"]).iter().map(|it| it["orderId"].clone()).collect()
}

fn statuses(list: &Value) -> Vec<&Value> {
    rows(&list["orderReports"]).iter().map(|it| &it["status"]).collect()
}

#[test]
fn lists_and_terms_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = Place::start(&Setting::quiet(folder.path(), ""));
    an_oco_triggers(&mut place);
    an_oto_fills(&mut place);
    an_opo_fills(&mut place);
    an_otoco_fills(&mut place);
    lists_are_canceled(&mut place);
    an_iceberg_shows_a_part(&mut place);
    a_trailing_stop_follows(&mut place);
    a_peg_finds_its_price(&mut place);
    place.server.stop();
}

/// SELL 1, at 110 or more, or at any price once 95 is traded.
const OCO: &[(&str, &str)] = &[
    ("side", "SELL"),
    ("quantity", "1"),
    ("aboveType", "LIMIT_MAKER"),
    ("abovePrice", "110"),
    ("belowType", "STOP_LOSS"),
    ("belowStopPrice", "95"),
];

/// BUY 1 at 94, then SELL 1 at 120.
const OTO: &[(&str, &str)] = &[
    ("workingType", "LIMIT"),
    ("workingSide", "BUY"),
    ("workingTimeInForce", "GTC"),
    ("workingPrice", "94"),
    ("workingQuantity", "1"),
    ("pendingType", "LIMIT_MAKER"),
    ("pendingSide", "SELL"),
    ("pendingPrice", "120"),
];

fn oto() -> Vec<(&'static str, &'static str)> {
    OTO.iter().copied().chain([("pendingQuantity", "1")]).collect()
}

fn an_oco_triggers(place: &mut Place) {
    let list = place.post("orderList/oco", OCO);
    assert_eq!(
        (&list["contingencyType"], &list["listOrderStatus"]),
        (&json!("OCO"), &json!("EXECUTING"))
    );
    assert_eq!(statuses(&list), ["NEW", "NEW"], "{list}");
    let (id, orders) = (&list["orderListId"], ids(&list));
    let began =
        [("NEW", "NEW", &orders[0]), ("NEW", "NEW", &orders[1]), ("EXEC_STARTED", "EXECUTING", id)];
    assert_eq!(place.told(), told(&began));
    // One of them pays for both.
    assert_eq!(place.owner.balances()["LTC"].1, units(&json!("1")));
    assert_eq!(place.depth("asks"), json!([["110.00000000", "1.00000000"]]));
    assert_eq!(rows(&place.open_lists()).len(), 1);

    place.buyer.limit("LTCUSDT", "BUY", "1", "94.9").ok();
    place.trade("95");
    let ended = [
        ("NEW", "NEW", &orders[0]),
        ("EXPIRED", "EXPIRED", &orders[1]),
        ("TRADE", "FILLED", &orders[0]),
        ("ALL_DONE", "ALL_DONE", id),
    ];
    assert_eq!(place.told(), told(&ended));
    let stop = place.order(&orders[0]);
    assert_eq!((&stop["status"], &stop["orderListId"]), (&json!("FILLED"), id), "{stop}");
    let limit = place.order(&orders[1]);
    assert_eq!(
        (&limit["status"], &limit["expiryReason"]),
        (&json!("EXPIRED"), &json!("OCO_TRIGGER"))
    );
    let asked = [("orderListId", &*id.to_string())];
    let done = place.owner.get("/api/v3/orderList", &asked);
    assert_eq!(done["listOrderStatus"], "ALL_DONE", "{done}");
    assert_eq!(place.owner.get("/api/v3/allOrderList", &[]), json!([done]));
    let fills = place.owner.get("/api/v3/myTrades", &[SYMBOL]);
    assert_eq!((&fills[0]["orderListId"], &fills[0]["price"]), (id, &json!("94.90000000")));
    place.clear();
}

fn an_oto_fills(place: &mut Place) {
    let list = place.post("orderList/oto", &oto());
    assert_eq!(list["contingencyType"], "OTO");
    assert_eq!(statuses(&list), ["NEW", "PENDING_NEW"], "{list}");
    let (id, orders) = (&list["orderListId"], ids(&list));
    let began = [
        ("NEW", "NEW", &orders[0]),
        ("NEW", "PENDING_NEW", &orders[1]),
        ("EXEC_STARTED", "EXECUTING", id),
    ];
    assert_eq!(place.told(), told(&began));
    assert_eq!(place.depth("asks"), json!([]), "a pending order is in no book");
    assert_eq!(place.open()[1]["workingTime"], -1);

    place.seller.limit("LTCUSDT", "SELL", "1", "94").ok();
    assert_eq!(place.told(), told(&[("TRADE", "FILLED", &orders[0])]));
    assert_eq!(place.told(), told(&[("NEW", "NEW", &orders[1])]));
    assert_eq!(place.depth("asks"), json!([["120.00000000", "1.00000000"]]));
    // The list is open as long as its last order.
    let open = place.open_lists();
    assert_eq!((&open[0]["orderListId"], &open[0]["listOrderStatus"]), (id, &json!("EXECUTING")));
    let name = list["listClientOrderId"].as_str().unwrap();
    let again: Vec<_> = oto().into_iter().chain([("listClientOrderId", name)]).collect();
    assert_eq!(place.call("POST", "orderList/oto", &again).refusal(), (400, -2010));
    let canceled = place.delete("order", &[("orderId", &orders[1].to_string())]);
    assert_eq!(canceled["listOrderStatus"], "ALL_DONE", "{canceled}");
    assert_eq!(statuses(&canceled), ["CANCELED"]);
    let ended = [("CANCELED", "CANCELED", &orders[1]), ("ALL_DONE", "ALL_DONE", id)];
    assert_eq!(place.told(), told(&ended));
    assert_eq!(place.open_lists(), json!([]));
    let again = place.post("orderList/oto", &again);
    place.delete("orderList", &[("listClientOrderId", name)]);
    assert_ne!(&again["orderListId"], id, "the name is free again");
    place.forget();
    place.clear();
}

fn an_opo_fills(place: &mut Place) {
    let list = place.post("orderList/opo", OTO);
    assert_eq!(statuses(&list), ["NEW", "PENDING_NEW"], "{list}");
    assert_eq!(list["orderReports"][1].get("origQty"), None, "nobody knows it yet: {list}");
    let orders = ids(&list);
    place.told();
    place.seller.limit("LTCUSDT", "SELL", "0.4", "94").ok();
    assert_eq!(place.told(), told(&[("TRADE", "PARTIALLY_FILLED", &orders[0])]));
    assert_eq!(place.owner.balances()["LTC"].1, units(&json!("0.4")), "what was bought pays");
    place.seller.limit("LTCUSDT", "SELL", "0.6", "94").ok();
    assert_eq!(place.told(), told(&[("TRADE", "FILLED", &orders[0])]));
    assert_eq!(place.told(), told(&[("NEW", "NEW", &orders[1])]));
    let paid = place.order(&orders[1]);
    assert_eq!(
        (&paid["status"], &paid["origQty"]),
        (&json!("NEW"), &json!("1.00000000")),
        "{paid}"
    );
    place.clear();
    assert_eq!(place.owner.balances()["LTC"].1, 0);
    place.forget();
}

fn an_otoco_fills(place: &mut Place) {
    let pair = [
        ("pendingQuantity", "1"),
        ("pendingAboveType", "LIMIT_MAKER"),
        ("pendingAbovePrice", "120"),
        ("pendingBelowType", "STOP_LOSS_LIMIT"),
        ("pendingBelowStopPrice", "80"),
        ("pendingBelowPrice", "79"),
        ("pendingBelowTimeInForce", "GTC"),
    ];
    let is_shared = |it: &&(&str, &str)| it.0.starts_with("working") || it.0 == "pendingSide";
    let all: Vec<_> = OTO.iter().filter(is_shared).copied().chain(pair).collect();
    let list = place.post("orderList/otoco", &all);
    assert_eq!(statuses(&list), ["NEW", "PENDING_NEW", "PENDING_NEW"], "{list}");
    let (id, orders) = (&list["orderListId"], ids(&list));
    place.told();
    place.seller.limit("LTCUSDT", "SELL", "1", "94").ok();
    assert_eq!(place.told(), told(&[("TRADE", "FILLED", &orders[0])]));
    assert_eq!(place.told(), told(&[("NEW", "NEW", &orders[1]), ("NEW", "NEW", &orders[2])]));
    assert_eq!(place.open_lists()[0]["listOrderStatus"], "EXECUTING");
    // Amending one of the pair amends both.
    let amend =
        [("orderId", &*orders[1].to_string()), ("newQty", "0.6"), ("newClientOrderId", "less")];
    let amended = place.call("PUT", "order/amend/keepPriority", &amend).ok();
    assert_eq!(amended["amendedOrder"]["qty"], "0.60000000", "{amended}");
    assert_eq!(amended["listStatus"]["orders"][1]["clientOrderId"], "less", "{amended}");
    assert_eq!(place.order(&orders[2])["origQty"], "0.60000000");
    place.forget();
    place.buyer.limit("LTCUSDT", "BUY", "1", "120").ok();
    let (sent, stays) = match place.order(&orders[1])["type"] == "LIMIT_MAKER" {
        true => (&orders[2], &orders[1]),
        false => (&orders[1], &orders[2]),
    };
    let ended =
        [("EXPIRED", "EXPIRED", sent), ("TRADE", "FILLED", stays), ("ALL_DONE", "ALL_DONE", id)];
    assert_eq!(place.told(), told(&ended));
    place.clear();
}

fn lists_are_canceled(place: &mut Place) {
    // Between the prices of the pairs to come.
    place.trade("100");
    // One order of a pair takes the other along, and so do the list's id and its name.
    for by in 0..3 {
        let list = place.post("orderList/oco", OCO);
        let (id, orders) = (&list["orderListId"], ids(&list));
        place.told();
        let canceled = match by {
            0 => place.delete("order", &[("orderId", &orders[1].to_string())]),
            1 => place.delete("orderList", &[("orderListId", &id.to_string())]),
            _ => {
                let name = list["listClientOrderId"].as_str().unwrap();
                place.delete("orderList", &[("listClientOrderId", name)])
            }
        };
        assert_eq!(canceled["listOrderStatus"], "ALL_DONE", "{by}: {canceled}");
        assert_eq!(statuses(&canceled), ["CANCELED", "CANCELED"], "{by}: {canceled}");
        let mut events = place.told();
        assert_eq!(events.pop(), told(&[("ALL_DONE", "ALL_DONE", id)]).pop(), "{by}");
        let both = events.iter().all(|it| it[0] == "CANCELED") && events.len() == 2;
        assert!(both, "{by}: {events:?}");
        let again = place.call("DELETE", "orderList", &[("orderListId", &id.to_string())]);
        assert_eq!(again.refusal(), (400, -2011), "{by}");
    }
    // All of them, each list as one.
    let single = place.owner.limit("LTCUSDT", "BUY", "1", "80").ok()["orderId"].take();
    let pair = place.post("orderList/oco", OCO);
    let working = place.post("orderList/oto", &oto());
    let refused = place.post_refused("orderList/oco", OCO, "belowStopPrice", "111");
    assert_eq!(refused.0, 400);
    let canceled = place.delete("openOrders", &[]);
    let named = |it: &Value| match it.get("orderReports") {
        Some(_) => it["orderListId"].clone(),
        None => it["orderId"].clone(),
    };
    let all: Vec<Value> = rows(&canceled).iter().map(named).collect();
    assert_eq!(all, [single, pair["orderListId"].clone(), working["orderListId"].clone()]);
    place.clear();
    place.forget();
}

impl Place {
    /// A request with one of its parameters replaced, which is refused.
    #[track_caller]
    fn post_refused(
        &mut self,
        path: &str,
        parameters: &[(&str, &str)],
        name: &str,
        value: &str,
    ) -> (u16, i64) {
        let mut all = parameters.to_vec();
        all.iter_mut().filter(|it| it.0 == name).for_each(|it| it.1 = value);
        self.call("POST", path, &all).refusal()
    }
}

fn an_iceberg_shows_a_part(place: &mut Place) {
    let iceberg = [
        ("side", "SELL"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "10"),
        ("price", "110"),
        ("icebergQty", "2"),
    ];
    let order = place.post("order", &iceberg);
    assert_eq!(order["icebergQty"], "2.00000000", "{order}");
    assert_eq!(place.depth("asks"), json!([["110.00000000", "2.00000000"]]));
    place.seller.limit("LTCUSDT", "SELL", "1", "110").ok();
    let taken = place.buyer.limit("LTCUSDT", "BUY", "4", "110").ok();
    // Its next part stands behind the other's order.
    let quantities: Vec<&Value> = rows(&taken["fills"]).iter().map(|it| &it["qty"]).collect();
    assert_eq!(quantities, ["2.00000000", "1.00000000", "1.00000000"], "{taken}");
    assert_eq!(place.depth("asks"), json!([["110.00000000", "1.00000000"]]));
    assert_eq!(place.order(&order["orderId"])["executedQty"], "3.00000000");
    let short = place.post_refused("order", &iceberg, "icebergQty", "11");
    assert_eq!(short, (400, -2010));
    place.clear();
    place.forget();
}

fn a_trailing_stop_follows(place: &mut Place) {
    place.trade("100");
    let trailing = [
        ("side", "SELL"),
        ("type", "STOP_LOSS"),
        ("quantity", "1"),
        ("trailingDelta", "100"),
        ("newOrderRespType", "RESULT"),
    ];
    let order = place.post("order", &trailing);
    let id = &order["orderId"];
    assert_eq!((&order["trailingDelta"], &order["workingTime"]), (&json!(100), &json!(-1)));
    assert!(order["trailingTime"].as_i64().is_some_and(|it| it > 0), "{order}");
    assert_eq!(place.told(), told(&[("NEW", "NEW", id)]));
    place.trade("102");
    place.trade("101");
    assert_eq!(place.order(id)["status"], "NEW", "1 % of 102 is not lost yet");
    place.buyer.limit("LTCUSDT", "BUY", "1", "100.9").ok();
    place.trade("100.98");
    assert_eq!(place.told(), told(&[("NEW", "NEW", id), ("TRADE", "FILLED", id)]));
    assert_eq!(place.order(id)["cummulativeQuoteQty"], "100.90000000");
    place.clear();
}

fn a_peg_finds_its_price(place: &mut Place) {
    let pegged = [
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "1"),
        ("pegPriceType", "PRIMARY_PEG"),
    ];
    let alone = place.call("POST", "order", &pegged);
    assert_eq!(alone.refusal(), (400, -2010), "{}", alone.text);
    place.buyer.limit("LTCUSDT", "BUY", "1", "97").ok();
    let order = place.post("order", &pegged);
    assert_eq!(
        (&order["peggedPrice"], &order["pegPriceType"]),
        (&json!("97.00000000"), &json!("PRIMARY_PEG"))
    );
    assert_eq!(place.depth("bids"), json!([["97.00000000", "2.00000000"]]));
    let replacing = [
        ("cancelReplaceMode", "STOP_ON_FAILURE"),
        ("cancelOrderId", &*order["orderId"].to_string()),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "5"),
        ("price", "96"),
        ("icebergQty", "1"),
    ];
    let replaced = place.post("order/cancelReplace", &replacing);
    let canceled = &replaced["cancelResponse"];
    assert_eq!(
        (&canceled["status"], &canceled["peggedPrice"]),
        (&json!("CANCELED"), &json!("97.00000000"))
    );
    assert_eq!(replaced["newOrderResponse"]["icebergQty"], "1.00000000", "{replaced}");
    let bids = json!([["97.00000000", "1.00000000"], ["96.00000000", "1.00000000"]]);
    assert_eq!(place.depth("bids"), bids);
    place.clear();
}

/// What is open, without the times that a snapshot does not have.
fn without_times(mut open: Value) -> Value {
    for item in open.as_array_mut().unwrap() {
        let item = item.as_object_mut().unwrap();
        for name in ["time", "updateTime", "workingTime", "trailingTime", "transactionTime"] {
            // -1 says more than a time.
            if item.get(name).is_some_and(|it| *it != -1) {
                item.remove(name);
            }
        }
    }
    open
}

#[test]
fn open_lists_outlast_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "");
    let mut place = Place::start(&setting);
    take_a_reference_price(&place);
    place.server.admin("PUT", "risk", &json!({ "account": "demo-b", "openOrdersMax": 20 })).ok();
    place.trade("100");
    fill_the_book(&mut place);
    let stood = Stood::of(&mut place);
    assert_eq!((rows(&stood.orders).len(), rows(&stood.lists).len()), (10, 3));
    place.server.process.kill();

    // From the log.
    let mut place = Place::start(&setting);
    assert!(Stood::of(&mut place) == stood, "{:#?}\nwas\n{stood:#?}", Stood::of(&mut place));
    let all = place.owner.get("/api/v3/allOrders", &[SYMBOL]);
    assert_eq!(rows(&all).len(), 11, "one of them is closed: {all}");

    // From the snapshot.
    let mut place = from_snapshot(place, &setting);
    let (stands, stood) = (Stood::of(&mut place).without_times(), stood.without_times());
    assert!(stands == stood, "{stands:#?}\nwas\n{stood:#?}");
    assert_eq!(
        place.owner.get("/api/v3/allOrders", &[SYMBOL]),
        place.open(),
        "the rest is not known"
    );
    what_was_open_goes_on(&mut place, &stood);
    place.server.stop();
}

/// Killed, and started again from a snapshot alone.
fn from_snapshot(mut place: Place, setting: &Setting) -> Place {
    let before = snapshots(setting);
    place.server.admin("POST", "snapshot", &Value::Null).ok();
    let deadline = Instant::now() + PATIENCE;
    while snapshots(setting) == before {
        assert!(Instant::now() < deadline, "no snapshot");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    place.server.process.kill();
    Place::start(&setting.clone().set("history.replay_bytes_max", "0"))
}

/// Names of the snapshots that are there as a whole.
fn snapshots(setting: &Setting) -> BTreeSet<String> {
    let files = fs::read_dir(setting.data().join("snapshots")).unwrap();
    let names = files.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("snapshot-")).collect()
}

/// All of the owner that is open, and what the public sees.
#[derive(Debug, PartialEq)]
struct Stood {
    orders: Value,
    lists: Value,
    bids: Value,
    asks: Value,
    reference: Value,
    risk: Value,
}

impl Stood {
    fn of(place: &mut Place) -> Stood {
        let mut http = Http::new(&place.server.http);
        let reference = http.get("/api/v3/referencePrice?symbol=LTCUSDT").ok();
        Stood {
            orders: place.open(),
            lists: place.open_lists(),
            bids: place.depth("bids"),
            asks: place.depth("asks"),
            reference: reference["referencePrice"].clone(),
            risk: place.server.admin("GET", "risk", &Value::Null).ok(),
        }
    }

    fn without_times(self) -> Stood {
        Stood { orders: without_times(self.orders), lists: without_times(self.lists), ..self }
    }
}

/// A trailing stop that fired and rests, a pair, two lists with pending orders, an iceberg, a trailing
/// stop and a peg.
fn fill_the_book(place: &mut Place) {
    place.owner.limit("LTCUSDT", "BUY", "1", "80").ok();
    place.delete("openOrders", &[]);
    let fired = [
        ("side", "SELL"),
        ("type", "STOP_LOSS_LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "1"),
        ("price", "106"),
        ("stopPrice", "99.9"),
        ("trailingDelta", "10"),
    ];
    let fired = place.post("order", &fired);
    place.trade("99.9");
    place.trade("99.8");
    assert_eq!(place.order(&fired["orderId"])["isWorking"], true);
    place.post("orderList/oco", OCO);
    place.post("orderList/oto", &oto());
    place.post(
        "orderList/opo",
        &OTO.iter()
            .map(|(name, value)| match *name {
                "workingPrice" => (*name, "93"),
                _ => (*name, *value),
            })
            .collect::<Vec<_>>(),
    );
    let limit = [("type", "LIMIT"), ("timeInForce", "GTC"), ("quantity", "5"), ("price", "105")];
    let iceberg: Vec<_> =
        [("side", "SELL"), ("icebergQty", "1")].into_iter().chain(limit).collect();
    place.post("order", &iceberg);
    place.buyer.limit("LTCUSDT", "BUY", "1.5", "105").ok();
    let trailing =
        [("side", "SELL"), ("type", "STOP_LOSS"), ("quantity", "1"), ("trailingDelta", "500")];
    place.post("order", &trailing);
    let peg = [
        ("side", "SELL"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "1"),
        ("pegPriceType", "PRIMARY_PEG"),
    ];
    place.post("order", &peg);
}

fn what_was_open_goes_on(place: &mut Place, stood: &Stood) {
    let [pair, oto, opo] = [0, 1, 2].map(|at| stood.lists[at].clone());
    place.seller.limit("LTCUSDT", "SELL", "2", "93").ok();
    let reports = [place.told(), place.told()].concat();
    for list in [&oto, &opo] {
        let due = told(&[("NEW", "NEW", &ids(list)[1])]);
        assert!(reports.contains(&due[0]), "{due:?} is not in {reports:?}");
    }
    let open = place.open_lists();
    let both: Vec<&Value> = rows(&open).iter().map(|it| &it["orderListId"]).collect();
    assert_eq!(both, [&oto["orderListId"], &opo["orderListId"]]);
    let stop = &ids(&pair)[0];
    let done =
        place.owner.get("/api/v3/orderList", &[("orderListId", &pair["orderListId"].to_string())]);
    assert_eq!(done["listOrderStatus"], "ALL_DONE", "a trade below its stop price: {reports:?}");
    let stop = place.order(stop);
    assert_eq!(stop["status"], "EXPIRED", "nobody was left who bought: {stop}");
    place.clear();
}

#[test]
fn an_auction_outlasts_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "");
    let mut place = Place::start(&setting);
    take_a_reference_price(&place);
    place.trade("100");
    let list = place.post("orderList/oto", &oto());
    set_status(&place, "OPENING_AUCTION");
    let market = [("side", "SELL"), ("type", "MARKET"), ("quantity", "1")];
    let market = place.post("order", &market)["orderId"].take();
    place.buyer.limit("LTCUSDT", "BUY", "3", "101").ok();
    let refused = place.call("POST", "orderList/oco", OCO);
    assert_eq!(refused.refusal(), (400, -2010), "no auction takes a list: {}", refused.text);
    until_indicated(&mut place, "1.00000000");
    let (stood, shown) = (Stood::of(&mut place).without_times(), auction(&place));

    let mut place = from_snapshot(place, &setting);
    let stands = Stood::of(&mut place).without_times();
    assert!(stands == stood, "{stands:#?}\nwas\n{stood:#?}");
    assert_eq!(auction(&place), shown);
    // It goes on: what is amended and taken counts, and the list's working order executes.
    let amend = [("orderId", &*ids(&list)[0].to_string()), ("newQty", "0.5")];
    place.call("PUT", "order/amend/keepPriority", &amend).ok();
    place.seller.limit("LTCUSDT", "SELL", "3", "90").ok();
    until_indicated(&mut place, "3.50000000");
    place.forget();
    set_status(&place, "TRADING");
    let [working, pending] = &ids(&list)[..] else { panic!("{list}") };
    let traded = [("TRADE", "FILLED", &market), ("TRADE", "FILLED", working)];
    let events = place.told();
    assert!(told(&traded).iter().all(|due| events.contains(due)), "{events:?}");
    assert_eq!(place.told(), told(&[("NEW", "NEW", pending)]));
    let fills = place.owner.get("/api/v3/myTrades", &[SYMBOL]);
    // All want to trade 3.5 at 90 to 94, and more is offered: the lowest.
    let uncross: Vec<_> = rows(&fills).iter().map(|it| (&it["price"], &it["isMaker"])).collect();
    assert_eq!(uncross, [(&json!("90.00000000"), &json!(true)); 2], "{fills}");
    place.server.stop();
}

/// From the trades of an hour.
fn take_a_reference_price(place: &Place) {
    let rules = json!({ "bucketWidthMs": 60_000, "bucketCount": 60 });
    place.server.admin("PUT", "instruments/LTCUSDT/rules", &rules).ok();
}

fn set_status(place: &Place, status: &str) {
    let body = json!({ "status": status });
    place.server.admin("PUT", "instruments/LTCUSDT/status", &body).ok();
}

/// What the auction would do, without its time.
fn auction(place: &Place) -> Value {
    let mut shown = Http::new(&place.server.http).get("/api/v3/auction?symbol=LTCUSDT").ok();
    shown["auction"].as_object_mut().unwrap().remove("time");
    shown
}

#[track_caller]
fn until_indicated(place: &mut Place, quantity: &str) {
    let deadline = Instant::now() + PATIENCE;
    while auction(place)["auction"]["quantity"] != quantity {
        assert!(Instant::now() < deadline, "{}", auction(place));
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
