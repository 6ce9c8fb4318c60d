//! What tests ask of a server: signed requests of an account, and the admin API.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use clients::Credentials;
use protocol::number::parse_decimal;
use serde_json::{Value, json};

use super::child::Server;
use super::http::{Http, Reply};
use super::socket::Socket;

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Counts of 10^-8.
#[track_caller]
pub(super) fn units(text: &Value) -> i128 {
    let text = text.as_str().unwrap_or_else(|| panic!("not a decimal as text: {text}"));
    let (bare, sign) = text.strip_prefix('-').map_or((text, 1), |bare| (bare, -1));
    sign * i128::try_from(parse_decimal(bare).unwrap()).unwrap()
}

/// Bytes that stand for themselves in a query.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let bytes = text.bytes();
    bytes
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// Signs a payload; gives the signature as text.
type Sign = Box<dyn Fn(&str) -> String>;

/// An account's key, and a connection to use it on.
pub(super) struct Trader {
    pub(super) http: Http,
    pub(super) key: String,
    sign: Sign,
}

impl Trader {
    pub(super) fn new(server: &Server, credentials: &Credentials) -> Trader {
        let signer = credentials.clone();
        Trader::signing(server, &credentials.key, Box::new(move |text| signer.sign_text(text)))
    }

    pub(super) fn signing(server: &Server, key: &str, sign: Sign) -> Trader {
        Trader { http: Http::new(&server.http), key: key.to_owned(), sign }
    }

    /// Parameters as a signed query.
    pub(super) fn signed(&self, parameters: &[(&str, &str)], timestamp: u64) -> String {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}&", encoded(value)));
        let query = format!("{}timestamp={timestamp}&recvWindow=60000", pairs.collect::<String>());
        let signature = self.sign(&query);
        format!("{query}&signature={signature}")
    }

    /// The signature of a payload, ready for a query.
    pub(super) fn sign(&self, payload: &str) -> String {
        encoded(&(self.sign)(payload))
    }

    #[track_caller]
    pub(super) fn call(&mut self, method: &str, path: &str, parameters: &[(&str, &str)]) -> Reply {
        let target = format!("{path}?{}", self.signed(parameters, now_ms()));
        let key = self.key.clone();
        self.http.request(method, &target, &[("X-MBX-APIKEY", &key)], "")
    }

    #[track_caller]
    pub(super) fn get(&mut self, path: &str, parameters: &[(&str, &str)]) -> Value {
        self.call("GET", path, parameters).ok()
    }

    /// A LIMIT GTC order on the symbol; the whole answer.
    #[track_caller]
    pub(super) fn limit(&mut self, symbol: &str, side: &str, quantity: &str, price: &str) -> Reply {
        let order = [
            ("symbol", symbol),
            ("side", side),
            ("type", "LIMIT"),
            ("timeInForce", "GTC"),
            ("quantity", quantity),
            ("price", price),
        ];
        self.call("POST", "/api/v3/order", &order)
    }

    /// Free and locked of every asset, by `account`.
    #[track_caller]
    pub(super) fn balances(&mut self) -> BTreeMap<String, (i128, i128)> {
        balances(&self.get("/api/v3/account", &[])["balances"])
    }
}

/// Free and locked of every asset in a list of them.
#[track_caller]
pub(super) fn balances(list: &Value) -> BTreeMap<String, (i128, i128)> {
    let list = list.as_array().unwrap_or_else(|| panic!("no balances: {list}"));
    let name = |it: &Value| it["asset"].as_str().unwrap().to_owned();
    list.iter().map(|it| (name(it), (units(&it["free"]), units(&it["locked"])))).collect()
}

/// Symbols of the list of trades, orders or levels, as an array that is there.
#[track_caller]
pub(super) fn rows(list: &Value) -> &[Value] {
    list.as_array().unwrap_or_else(|| panic!("not a list: {list}"))
}

impl Server {
    #[track_caller]
    pub(super) fn admin(&self, method: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let target = format!("/admin/v1/{path}");
        Http::new(&self.http).request(method, &target, &[("Authorization", &bearer)], &body)
    }

    /// A new HMAC key of an account that exists.
    #[track_caller]
    pub(super) fn key(&self, account: &str, permissions: &[&str]) -> Credentials {
        let terms = json!({ "permissions": permissions });
        let made = self.admin("POST", &format!("accounts/{account}/keys"), &terms).ok();
        let text = |name: &str| made[name].as_str().unwrap();
        Credentials::new(text("key"), text("secret"))
    }

    /// Somebody with a key of the demo's accounts that no limit holds.
    #[track_caller]
    pub(super) fn trader(&self, account: &str) -> Trader {
        Trader::new(self, &self.key(account, &["TRADE", "USER_DATA", "UNLIMITED"]))
    }

    /// A WebSocket API connection that is logged on.
    #[track_caller]
    pub(super) fn logged_on(&self, credentials: &Credentials) -> Socket {
        let mut socket = Socket::open(&self.ws, "/ws-api/v3");
        let parameters = credentials.logon_parameters(now_ms());
        let status = socket.ok("session.logon", &serde_json::from_str(&parameters).unwrap());
        assert_eq!(status["apiKey"], credentials.key.as_str());
        socket
    }

    /// The key of the demo's account A or B.
    #[track_caller]
    pub(super) fn demo_key(&self, which: &str) -> Credentials {
        let value = |name: String| self.env.get(&name).cloned().unwrap();
        Credentials::new(value(format!("KEY_{which}")), value(format!("SECRET_{which}")))
    }
}
