//! What REST and the WebSocket API have in common: finding the endpoint, the order of the checks,
//! and running it. Nothing here knows how the bytes came.
//!
//! Order of the checks: weight, form of the key, parameters that must be there, parameters that
//! nobody reads, then timestamp, key, signature and permission, then what the endpoint refuses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::OnceLock;

use axum::http::Method;
use protocol::command::{ApiKey, key_permission};
use protocol::ids::{MILLISECOND_NS, SECOND_NS};
use protocol::{AccountId, Stamp, number::parse_decimal};

use crate::accounts::Key;
use crate::core::Core;
use crate::endpoint::{COMMON, Call, Caller, Endpoint, Run, SIGNED, Security};
use crate::error::ApiError;
use crate::json::TimeUnit;
use crate::limits::{ClientId, Statuses, Used};
use crate::params::Params;
use crate::pending::{Answer, Reply, Waiting};
use crate::{feed, market, trading};

/// `recvWindow` in counts of 10^-8 ms, as it is parsed: default and maximum.
const WINDOW_DEFAULT_MS: u128 = 5_000;
const WINDOW_MAX_MS: u128 = 60_000;
const UNITS_PER_NANOSECOND_OF_MS: u128 = 100;
const UNITS_PER_MS: u128 = 100_000_000;
/// How far ahead of the exchange a client's clock may be.
const AHEAD_MAX_NS: u64 = SECOND_NS;
/// Longest text that is looked at as a key.
const KEY_LENGTH_MAX: usize = 64;

/// Every endpoint there is.
fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    trading::ENDPOINTS.iter().chain(market::ENDPOINTS).chain(feed::ENDPOINTS)
}

/// The endpoint of a REST request. `Err`: the path exists, with other verbs.
pub fn of_rest(method: &Method, path: &str) -> Option<Result<&'static Endpoint, ()>> {
    type Verbs = Vec<(Method, &'static Endpoint)>;
    static TABLE: OnceLock<HashMap<&'static str, Verbs>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table: HashMap<&'static str, Verbs> = HashMap::new();
        for endpoint in endpoints().filter(|it| !it.rest.1.is_empty()) {
            let verbs = table.entry(endpoint.rest.1).or_default();
            verbs.push((endpoint.rest.0.clone(), endpoint));
        }
        table
    });
    let verbs = table.get(path)?;
    let found = verbs.iter().find(|(verb, _)| verb == method);
    Some(found.map(|(_, endpoint)| *endpoint).ok_or(()))
}

/// The endpoint of a method of the WebSocket API; a prefix `v3/` is allowed.
pub fn of_method(method: &str) -> Option<&'static Endpoint> {
    static TABLE: OnceLock<HashMap<&'static str, &'static Endpoint>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let named = endpoints().filter(|it| !it.method.is_empty());
        named.map(|endpoint| (endpoint.method, endpoint)).collect()
    });
    table.get(method.strip_prefix("v3/").unwrap_or(method)).copied()
}

/// How a request shows who sent it.
pub struct Credentials<'a> {
    /// The key's text, if any came.
    pub key: Option<&'a str>,
    /// What was signed; asked for only when it is needed.
    pub payload: &'a dyn Fn() -> String,
    pub signature: Option<&'a str>,
    /// The key that the session is logged on with.
    pub session: Option<Caller>,
}

/// One request, ready to be run.
pub struct Request<'a> {
    pub endpoint: &'static Endpoint,
    pub params: &'a Params<'a>,
    pub credentials: Credentials<'a>,
    pub unit: TimeUnit,
    pub peer: IpAddr,
    pub is_socket: bool,
}

/// What became of a request.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is returned")]
pub enum Ran {
    /// The answer is there.
    Now(Answer),
    /// A command is on its way; the answer comes through the reply.
    Later,
}

impl Request<'_> {
    /// Runs the request. `reply` is asked for when the answer has to wait.
    pub fn run(&self, core: &mut Core, reply: impl FnOnce() -> Reply) -> Ran {
        let now = core.now();
        let (client, is_unlimited) = self.client(core);
        let weight = (self.endpoint.weight)(self.params);
        let charged = match is_unlimited {
            true => Ok(Statuses::EMPTY),
            false => core.charge(&client, weight, now),
        };
        let mut used = match charged {
            Ok(weights) => Used { weights, ..Used::NOTHING },
            Err(error) => return Ran::Now(Answer { result: Err(error), used: Used::NOTHING }),
        };
        let client = (!is_unlimited).then_some(client);
        match self.checked(core, now, client, &mut used, reply) {
            Ok(ran) => ran,
            Err(error) => Ran::Now(Answer { result: Err(error), used }),
        }
    }

    /// Whose limits count, and whether they count at all. A key that nobody had to sign for proves
    /// nothing.
    fn client(&self, core: &Core) -> (ClientId, bool) {
        let named = match self.endpoint.security {
            Security::None => None,
            _ => self.credentials.key.and_then(|text| ApiKey::new(text).ok()),
        };
        let session = self.credentials.session.map(|caller| caller.key);
        client_of(core, self.peer, named.or(session))
    }

    fn checked(
        &self,
        core: &mut Core,
        now: Stamp,
        client: Option<ClientId>,
        used: &mut Used,
        reply: impl FnOnce() -> Reply,
    ) -> Result<Ran, ApiError> {
        if self.endpoint.security != Security::None {
            self.check_key()?;
        }
        self.check_names()?;
        let (caller, deadline) = match self.endpoint.security {
            Security::None => (None, Stamp::NEVER),
            security => {
                let (caller, deadline) = self.authenticate(core, security, now)?;
                (Some(caller), deadline)
            }
        };
        let Request { params, unit, is_socket, .. } = *self;
        let call = Call { params, unit, now, deadline, caller, is_socket };
        match self.endpoint.run {
            Run::Query(query) => {
                // What was published when the question came is in the answer.
                core.catch_up().map_err(|_| ApiError::shutting_down())?;
                Ok(Ran::Now(Answer { result: query(core, &call), used: *used }))
            }
            Run::Command(ask) => {
                let account = call.account()?;
                let (mut command, mut expect) = ask(core, &call)?;
                // Without a client nobody is charged: the key is unlimited.
                let orders = expect.orders_placed();
                if orders > 0
                    && client.is_some()
                    && let Err(refused) = core.may_place(account, orders, now)
                {
                    used.orders = core.order_counts(account, now);
                    (command, expect) = trading::over_the_limit(&command, &expect, refused)?;
                }
                let since = now;
                let waiting = Waiting { reply: reply(), expect, unit, account, client, since };
                core.send(command, waiting, *used);
                Ok(Ran::Later)
            }
        }
    }

    /// What must be there is there, and nothing is there that nobody reads.
    fn check_names(&self) -> Result<(), ApiError> {
        let Endpoint { mandatory, optional, security, .. } = self.endpoint;
        for name in *mandatory {
            self.params.required(name)?;
        }
        let read = self.params.count_of(&[mandatory, optional, SIGNED, COMMON]);
        let sent = self.params.len();
        if read == sent {
            return Ok(());
        }
        if mandatory.is_empty() && optional.is_empty() && *security == Security::None {
            let text = format!("Too many parameters; expected '0' and received '{sent}'.");
            return Err(ApiError::new(-1101, text));
        }
        let text = format!(
            "Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."
        );
        Err(ApiError::new(-1104, text))
    }

    /// A key came that may be one, or the session has one.
    fn check_key(&self) -> Result<(), ApiError> {
        let Credentials { key, signature, session, .. } = &self.credentials;
        match key {
            None if session.is_some() && signature.is_none() => Ok(()),
            // Over sockets the key is a parameter like any other.
            None if self.is_socket => Err(ApiError::mandatory("apiKey")),
            None => Err(key_format()),
            Some(text) => {
                let is_plain = text.bytes().all(|it| it.is_ascii_graphic());
                let fits = !text.is_empty() && text.len() <= KEY_LENGTH_MAX;
                if fits && is_plain { Ok(()) } else { Err(key_format()) }
            }
        }
    }

    fn authenticate(
        &self,
        core: &Core,
        security: Security,
        now: Stamp,
    ) -> Result<(Caller, Stamp), ApiError> {
        let credentials = &self.credentials;
        if let (None, None, Some(session)) =
            (credentials.key, credentials.signature, credentials.session)
        {
            let deadline = deadline(self.params, now)?;
            let key = still(core, session)?;
            permitted(key, security)?;
            return Ok((session, deadline));
        }
        self.check_key()?;
        let signature = credentials.signature.filter(|it| !it.is_empty());
        let signature = signature.ok_or_else(|| ApiError::mandatory("signature"))?;
        let deadline = deadline(self.params, now)?;
        let key = ApiKey::new(credentials.key.unwrap_or("")).map_err(|_| key_format())?;
        let known = core.accounts.keys.get(&key).ok_or_else(ApiError::key)?;
        let payload = (credentials.payload)();
        let is_signed = known.verifier.as_ref().is_some_and(|it| it.verify(&payload, signature));
        if !is_signed {
            return Err(ApiError::new(-1022, "Signature for this request is not valid."));
        }
        permitted(known, security)?;
        Ok((Caller { account: known.account, key, since: known.added }, deadline))
    }
}

fn key_format() -> ApiError {
    ApiError::new(-2014, "API-key format invalid.")
}

fn permitted(key: &Key, security: Security) -> Result<(), ApiError> {
    let needed = match security {
        Security::Trade => key_permission::TRADE,
        Security::UserData => key_permission::USER_DATA,
        Security::None => return Ok(()),
    };
    if key.may(needed) { Ok(()) } else { Err(ApiError::key()) }
}

/// The last moment of a signed request: its timestamp plus its window (rest-api.md, "Timing
/// security").
fn deadline(params: &Params<'_>, now: Stamp) -> Result<Stamp, ApiError> {
    let sent = params.integer("timestamp")?.ok_or_else(|| ApiError::mandatory("timestamp"))?;
    let sent = match sent < 100_000_000_000_000 {
        true => Stamp(sent.saturating_mul(MILLISECOND_NS)),
        false => Stamp(sent.saturating_mul(1_000)),
    };
    let window = window_ns(params)?;
    if sent.0 >= now.0.saturating_add(AHEAD_MAX_NS) {
        let text = "Timestamp for this request was 1000ms ahead of the server's time.";
        return Err(ApiError::new(-1021, text));
    }
    // A timestamp in milliseconds stands for the whole of its millisecond.
    let deadline = Stamp(sent.0.saturating_add(window).saturating_add(MILLISECOND_NS - 1));
    match now > deadline {
        true => Err(ApiError::outside_window()),
        false => Ok(deadline),
    }
}

fn window_ns(params: &Params<'_>) -> Result<u64, ApiError> {
    let Some(text) = params.get("recvWindow") else {
        return Ok(WINDOW_DEFAULT_MS as u64 * MILLISECOND_NS);
    };
    let illegal = || ApiError::illegal("recvWindow", "^[0-9]{1,20}(\\.[0-9]{1,3})?$");
    if text.split_once('.').is_some_and(|(_, decimals)| decimals.len() > 3) {
        return Err(illegal());
    }
    let units = parse_decimal(text).map_err(|_| illegal())?;
    if units > WINDOW_MAX_MS * UNITS_PER_MS {
        let text = "'recvWindow' contains unexpected value. Cannot be greater than 60000.";
        return Err(ApiError::new(-1102, text));
    }
    Ok((units / UNITS_PER_NANOSECOND_OF_MS) as u64)
}

/// Requests that sign in.
pub static LOGON: Endpoint = signing_in(&["cancelOnDisconnect"]);
pub static SUBSCRIBE: Endpoint = signing_in(&[]);

const fn signing_in(optional: &'static [&'static str]) -> Endpoint {
    Endpoint {
        method: "session",
        rest: (Method::GET, ""),
        security: Security::UserData,
        mandatory: &["apiKey"],
        optional,
        weight: crate::endpoint::weight::<2>,
        run: Run::Query(|_, _| Ok(String::new())),
    }
}

/// A request of a session's own (log on, subscribe): signed by a key that may read user data.
pub fn sign_in(
    core: &Core,
    endpoint: &'static Endpoint,
    params: &Params<'_>,
    credentials: Credentials<'_>,
    peer: IpAddr,
) -> Result<Caller, ApiError> {
    let request = Request {
        endpoint,
        params,
        credentials,
        unit: TimeUnit::Millisecond,
        peer,
        is_socket: true,
    };
    request.check_names()?;
    let security = match core.accounts.keys.get(&key_of(params)?) {
        // A key that may only trade may log on, too.
        Some(key) if !key.may(key_permission::USER_DATA) => Security::Trade,
        _ => Security::UserData,
    };
    request.authenticate(core, security, core.now()).map(|(caller, _)| caller)
}

fn key_of(params: &Params<'_>) -> Result<ApiKey, ApiError> {
    ApiKey::new(params.required("apiKey")?).map_err(|_| key_format())
}

/// Who is counted, and whether the limits apply.
pub fn client_of(core: &Core, peer: IpAddr, key: Option<ApiKey>) -> (ClientId, bool) {
    let known = key.and_then(|key| Some((key, core.accounts.keys.get(&key)?)));
    let is_unlimited = known.is_some_and(|(_, it)| it.may(key_permission::UNLIMITED));
    (ClientId::of(peer, known.map(|(key, _)| key)), is_unlimited)
}

/// The key that a session logged on with, if it still is that one.
pub fn still(core: &Core, session: Caller) -> Result<&Key, ApiError> {
    let key = core.accounts.keys.get(&session.key).filter(|it| it.added == session.since);
    key.ok_or_else(ApiError::key)
}

/// The account that a caller may listen to.
pub fn may_listen(core: &Core, caller: Caller) -> Result<AccountId, ApiError> {
    let key = still(core, caller)?;
    if key.may(key_permission::USER_DATA) { Ok(key.account) } else { Err(ApiError::key()) }
}
