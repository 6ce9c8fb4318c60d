//! A venue for tests: enough of the WebSocket API and of the streams to talk to, on a local
//! socket, one thread per connection.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept_hdr};

use crate::session::unix_us;

/// Trades sent to each subscriber of a stream; the last but one is left out when
/// [`FakeVenue::loses_a_trade`].
pub(crate) const TRADES: u64 = 20;

#[derive(Default)]
struct State {
    next_order: AtomicU64,
    open: Mutex<BTreeSet<u64>>,
    /// Methods asked so far.
    asked: Mutex<Vec<String>>,
    /// Closes a connection after this many orders; 0 never does.
    orders_max: u64,
    loses_a_trade: bool,
}

pub(crate) struct FakeVenue {
    pub(crate) ws: String,
    state: Arc<State>,
}

impl FakeVenue {
    pub(crate) fn start() -> FakeVenue {
        FakeVenue::with(State::default())
    }

    pub(crate) fn closes_after(orders_max: u64) -> FakeVenue {
        FakeVenue::with(State { orders_max, ..State::default() })
    }

    pub(crate) fn loses_a_trade() -> FakeVenue {
        FakeVenue::with(State { loses_a_trade: true, ..State::default() })
    }

    fn with(state: State) -> FakeVenue {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ws = format!("ws://{}", listener.local_addr().unwrap());
        let state = Arc::new(state);
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, stream) = (shared.clone(), stream.unwrap());
                std::thread::spawn(move || serve(&state, stream));
            }
        });
        FakeVenue { ws, state }
    }

    pub(crate) fn asked(&self, method: &str) -> usize {
        self.state.asked.lock().unwrap().iter().filter(|asked| *asked == method).count()
    }

    pub(crate) fn open_orders(&self) -> usize {
        self.state.open.lock().unwrap().len()
    }
}

fn serve(state: &State, stream: TcpStream) {
    let mut path = String::new();
    stream.set_nodelay(true).unwrap();
    #[expect(clippy::result_large_err, reason = "the type of the library's callback")]
    let see = |request: &Request, response: Response| {
        path = request.uri().to_string();
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr(stream, see) else { return };
    match path.strip_prefix("/stream?streams=") {
        Some(streams) => publish(state, &mut socket, streams.split(['/', '&']).next().unwrap()),
        None => answer_all(state, &mut socket),
    }
}

fn publish(state: &State, socket: &mut WebSocket<TcpStream>, stream: &str) {
    // Everyone is connected before the first trade that counts.
    for id in 1..=TRADES {
        if state.loses_a_trade && id == TRADES - 1 {
            continue;
        }
        let data = json!({ "e": "trade", "E": unix_us(), "t": id, "T": unix_us() });
        let message = json!({ "stream": stream, "data": data }).to_string();
        if socket.send(Message::text(message)).is_err() {
            return;
        }
    }
    while socket.read().is_ok() {}
}

fn answer_all(state: &State, socket: &mut WebSocket<TcpStream>) {
    let _ = socket.send(Message::Ping("are you there".into()));
    let mut orders = 0;
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let request: Value = serde_json::from_str(&text).unwrap();
        let method = request["method"].as_str().unwrap().to_owned();
        orders += u64::from(method.starts_with("order."));
        if state.orders_max > 0 && orders > state.orders_max {
            return;
        }
        let mut reply = answer(state, &method, &request["params"]);
        state.asked.lock().unwrap().push(method);
        reply["id"] = request["id"].clone();
        let event = json!({ "subscriptionId": 0, "event": { "e": "unknown" } });
        let _ = socket.send(Message::text(event.to_string()));
        if socket.send(Message::text(reply.to_string())).is_err() {
            return;
        }
    }
}

fn answer(state: &State, method: &str, parameters: &Value) -> Value {
    let mut open = state.open.lock().unwrap();
    let order = |order_id: u64, status: &str| {
        let own = &parameters["newClientOrderId"];
        json!({ "symbol": parameters["symbol"], "orderId": order_id, "clientOrderId": own,
            "origClientOrderId": "of-the-order", "executedQty": "0.00000000", "status": status })
    };
    let result = match method {
        "order.place" => {
            let order_id = 1 + state.next_order.fetch_add(1, Ordering::Relaxed);
            let rests = parameters["timeInForce"] == "GTC" || parameters["type"] == "LIMIT_MAKER";
            if rests {
                open.insert(order_id);
            }
            order(order_id, if rests { "NEW" } else { "FILLED" })
        }
        "order.cancel" => {
            let order_id = parameters["orderId"].as_u64().unwrap_or_default();
            if parameters["orderId"].is_u64() && !open.remove(&order_id) {
                let error = json!({ "code": -2011, "msg": "Unknown order sent." });
                return json!({ "status": 400, "error": error });
            }
            order(order_id, "CANCELED")
        }
        "order.cancelReplace" => json!({ "newOrderResponse": order(0, "NEW") }),
        "openOrders.cancelAll" if open.is_empty() => {
            let error = json!({ "code": -2011, "msg": "Unknown order sent." });
            return json!({ "status": 400, "error": error });
        }
        "openOrders.cancelAll" => {
            open.clear();
            json!([])
        }
        "account.status" => {
            let balance = |asset| json!({ "asset": asset, "free": "1000000", "locked": "0" });
            json!({ "balances": [balance("BTC"), balance("USDT")] })
        }
        "ticker.book" => {
            let symbol = &parameters["symbols"][0];
            json!([{ "symbol": symbol, "bidPrice": "61234.00", "askPrice": "61235.00" }])
        }
        _ => json!({}),
    };
    json!({ "status": 200, "result": result })
}
