//! The WebSocket API: requests in text frames, answers and user data events out.
//!
//! One task per connection. It reads all requests that are there, runs them under one lock, and
//! writes everything that waits with one flush.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::{FutureExt, StreamExt};
use protocol::{ApiKey, Stamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until};

use crate::core::Core;
use crate::disconnect::Protection;
use crate::endpoint::Caller;
use crate::error::ApiError;
use crate::gateway::{Admitted, Gateway};
use crate::json::{Json, TimeUnit};
use crate::limits::Used;
use crate::outbox::{Close, Outbox};
use crate::params::Params;
use crate::pending::{Answer, Reply, RequestId, socket_answer};
use crate::reports;
use crate::request::{
    Credentials, LOGON, Ran, Request, SUBSCRIBE, client_of, may_listen, of_method, sign_in, still,
};
use crate::signature::payload_of_ws;
use crate::socket::{Life, Written, farewell, write};
use crate::users::{Listener, SUBSCRIPTION_ID_MAX, Wrap};

/// Requests that are run under one lock, so that nobody waits long for it.
const BATCH_MAX: usize = 256;
/// After this long, or with this much to write, a batch ends.
const BATCH_TIME: Duration = Duration::from_millis(2);
const BATCH_BYTES: usize = 1 << 20;
/// What opening a connection costs (web-socket-api.md).
pub const CONNECT_WEIGHT: u32 = 2;
/// What a request about the session itself costs.
const SESSION_WEIGHT: u32 = 2;
const ID_RANGE: &str = "^[a-zA-Z0-9-_]{1,36}$";
const ID_LENGTH_MAX: usize = 36;
/// Four bytes a character, and the quotation marks.
const REQUEST_ID_BYTES_MAX: usize = 4 * ID_LENGTH_MAX + 2;

/// How a connection was opened.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    pub peer: IpAddr,
    pub unit: TimeUnit,
    pub return_rate_limits: bool,
    /// Number of the connection.
    pub connection: u64,
    /// What is open is canceled when it ends.
    pub cancel_on_disconnect: bool,
}

/// Serves one connection until it ends.
pub async fn serve(
    gateway: Arc<Gateway>,
    mut socket: WebSocket,
    opened: Opened,
    admitted: Admitted,
) {
    let outbox = Arc::new(Outbox::new(gateway.options.outbox));
    let connected = gateway.core().now();
    let mut session = Session {
        opened,
        outbox: Arc::clone(&outbox),
        connected,
        logged_on: None,
        next_subscription: 0,
        protection: Protection::new(opened.cancel_on_disconnect),
    };
    gateway.enter(opened.connection, &outbox);
    converse(&gateway, &mut socket, &mut session).await;
    gateway.core().part(&mut session.protection);
    gateway.leave(opened.connection);
    gateway.core().users.disconnected(opened.connection);
    drop(admitted);
}

async fn converse(gateway: &Arc<Gateway>, socket: &mut WebSocket, session: &mut Session) {
    let outbox = Arc::clone(&session.outbox);
    let (mut life, mut waiting) = (Life::new(&gateway.options, Instant::now()), Vec::new());
    // One timer for the connection's life: a new one for each turn would be set and dropped.
    let mut alarm = pin!(sleep_until(life.next()));
    loop {
        tokio::select! {
            biased;
            () = outbox.ready() => {}
            message = socket.next() => {
                if let Err(ended) = read(gateway, socket, session, &mut life, message) {
                    // At once: a farewell takes its time.
                    gateway.core().part(&mut session.protection);
                    return farewell(socket, ended).await;
                }
            }
            () = &mut alarm => {
                match life.look(Instant::now()) {
                    Ok(ping) => waiting.extend(ping),
                    Err(close) => outbox.close(close),
                }
                alarm.as_mut().reset(life.next());
            }
        }
        if outbox.is_closed() {
            gateway.core().part(&mut session.protection);
        }
        if write(socket, &outbox, &mut waiting, life.patience()).await == Written::Over {
            return;
        }
    }
}

/// Runs a message and those that came with it, as long as nobody else waits too long for the core
/// and the answers do not pile up.
///
/// Errors: the connection is over; with a reason if the end is ours.
fn read(
    gateway: &Arc<Gateway>,
    socket: &mut WebSocket,
    session: &mut Session,
    life: &mut Life,
    first: Option<Result<Message, axum::Error>>,
) -> Result<(), Option<Close>> {
    let (began, mut core) = (Instant::now(), gateway.core());
    let (mut next, mut runs) = (Some(first), 0);
    while let Some(message) = next.take() {
        match message {
            Some(Ok(Message::Text(text))) => session.run(&mut core, &text),
            Some(Ok(Message::Pong(payload))) => life.pong(&payload, Instant::now()),
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(Message::Binary(_))) => session.refuse_unread(&mut core),
            Some(Ok(Message::Close(_))) | None => return Err(None),
            // Not WebSocket, or above the bound.
            Some(Err(_)) => return Err(Some(Close::Unreadable)),
        }
        let is_long = began.elapsed() > BATCH_TIME;
        runs += 1;
        if runs == BATCH_MAX || is_long || session.outbox.waiting_bytes() > BATCH_BYTES {
            break;
        }
        next = socket.next().now_or_never();
    }
    // What is published already is answered in the same turn.
    let _ = core.pump();
    Ok(())
}

/// A request as it is on the wire.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// A request is an object; the reader would also take an array for its fields in order.
fn parse_frame(text: &str) -> Result<Frame<'_>, ApiError> {
    let is_object = text.trim_ascii_start().starts_with('{');
    let frame = is_object.then(|| serde_json::from_str(text).ok()).flatten();
    frame.ok_or_else(|| ApiError::new(-1135, "Invalid JSON Request"))
}

/// At most 36 characters, and with all escapes no more than is kept.
fn is_short(json: &str) -> bool {
    json.chars().count() <= ID_LENGTH_MAX + 2 && json.len() <= REQUEST_ID_BYTES_MAX
}

/// The id as it is echoed: a whole number, a short text, or null.
fn id_of<'a>(frame: &Frame<'a>) -> Result<&'a str, ApiError> {
    let Some(id) = frame.id else { return Ok("null") };
    let text = id.get();
    let is_text = text.len() >= 2 && text.starts_with('"');
    let is_number = text.strip_prefix('-').unwrap_or(text).bytes().all(|it| it.is_ascii_digit())
        && text.parse::<i64>().is_ok();
    match (is_text, is_number || text == "null") {
        (true, _) if is_short(text) => Ok(text),
        (_, true) => Ok(text),
        _ => Err(ApiError::illegal("id", ID_RANGE)),
    }
}

/// Fits: its length was checked.
fn request_id(id: &str) -> RequestId {
    RequestId::new(id).unwrap_or(RequestId::EMPTY)
}

/// What a parser of the frame says, for fuzzing: never panics.
pub fn parse(text: &str) -> Result<(), ApiError> {
    let frame = parse_frame(text)?;
    id_of(&frame)?;
    if let Some(params) = frame.params {
        let params = Params::of_json(params)?;
        let pairs: Vec<_> = params.pairs().collect();
        payload_of_ws(&pairs);
    }
    Ok(())
}

/// One connection's state.
struct Session {
    opened: Opened,
    outbox: Arc<Outbox>,
    connected: Stamp,
    /// The key it is logged on with, and since when.
    logged_on: Option<(Caller, Stamp)>,
    next_subscription: u32,
    protection: Protection,
}

impl Session {
    fn refuse(&self, id: &str, error: ApiError) {
        let answer = Answer { result: Err(error), used: Used::NOTHING };
        self.outbox.push(socket_answer(id, &answer, false));
    }

    /// What cannot be read costs what the smallest request costs.
    fn refuse_unread(&self, core: &mut Core) {
        let key = self.logged_on.map(|(caller, _)| caller.key);
        let error = match self.charge_client(core, key, 1) {
            Ok(_) => ApiError::new(-1135, "Invalid JSON Request"),
            Err(error) => error,
        };
        self.refuse("null", error);
    }

    fn charge_client(
        &self,
        core: &mut Core,
        key: Option<ApiKey>,
        weight: u32,
    ) -> Result<Used, ApiError> {
        let now = core.now();
        match client_of(core, self.opened.peer, key) {
            (_, true) => Ok(Used::NOTHING),
            (client, false) => {
                let weights = core.charge(&client, weight, now)?;
                Ok(Used { weights, ..Used::NOTHING })
            }
        }
    }

    fn run(&mut self, core: &mut Core, text: &Utf8Bytes) {
        let frame = match parse_frame(text) {
            Ok(frame) => frame,
            Err(error) => return self.refuse("null", error),
        };
        let id = match id_of(&frame) {
            Ok(id) => id,
            Err(error) => return self.refuse("null", error),
        };
        let params = match frame.params.filter(|it| it.get() != "null").map(Params::of_json) {
            None => Params::default(),
            Some(Ok(params)) => params,
            Some(Err(error)) => return self.refuse(id, error),
        };
        let with_limits = match params.boolean("returnRateLimits") {
            Ok(asked) => asked.unwrap_or(self.opened.return_rate_limits),
            Err(error) => return self.refuse(id, error),
        };
        let Some(method) = frame.method.as_deref() else {
            return self.refuse(id, ApiError::mandatory("method"));
        };
        let method = method.strip_prefix("v3/").unwrap_or(method);
        let payload = || payload_of_ws(&params.pairs().collect::<Vec<_>>());
        let credentials = Credentials {
            key: params.get("apiKey"),
            payload: &payload,
            signature: params.get("signature"),
            session: self.logged_on.map(|(caller, _)| caller),
        };
        if let Some(endpoint) = of_method(method) {
            let request = Request {
                endpoint,
                params: &params,
                credentials,
                unit: self.opened.unit,
                peer: self.opened.peer,
                is_socket: true,
            };
            let reply = || Reply::Socket {
                outbox: Arc::clone(&self.outbox),
                id: request_id(id),
                with_limits,
            };
            match request.run(core, reply) {
                Ran::Now(answer) => {
                    self.revoke_if_gone(core, &answer);
                    self.outbox.push(socket_answer(id, &answer, with_limits));
                }
                Ran::Later if self.protection.is_for_everybody() => self.protect(core, &params),
                Ran::Later => {}
            }
            return;
        }
        let used = match self.charge(core, &credentials) {
            Ok(used) => used,
            Err(error) => {
                let answer = Answer { result: Err(error), used: Used::NOTHING };
                return self.outbox.push(socket_answer(id, &answer, with_limits));
            }
        };
        let result = self.session_method(core, method, &params, credentials);
        self.outbox.push(socket_answer(id, &Answer { result, used }, with_limits));
    }

    /// A command was sent, so whoever signed it is known.
    fn protect(&mut self, core: &Core, params: &Params<'_>) {
        let named = params.get("apiKey").and_then(|key| ApiKey::new(key).ok());
        let signed = named.and_then(|key| core.accounts.keys.get(&key)).map(|key| key.account);
        let account = signed.or(self.logged_on.map(|(caller, _)| caller.account));
        account.into_iter().for_each(|account| self.protection.sent(account));
    }

    fn charge(&self, core: &mut Core, credentials: &Credentials<'_>) -> Result<Used, ApiError> {
        let named = credentials.key.and_then(|key| ApiKey::new(key).ok());
        let key = named.or(credentials.session.map(|caller| caller.key));
        self.charge_client(core, key, SESSION_WEIGHT)
    }

    /// The session's key is not what it was: the session is logged off.
    fn revoke_if_gone(&mut self, core: &Core, answer: &Answer) {
        let is_refused = answer.result.as_ref().is_err_and(|error| error.code == -2015);
        if is_refused && self.logged_on.is_some_and(|(caller, _)| still(core, caller).is_err()) {
            self.logged_on = None;
        }
    }

    /// Methods that are about the connection itself.
    fn session_method(
        &mut self,
        core: &mut Core,
        method: &str,
        params: &Params<'_>,
        credentials: Credentials<'_>,
    ) -> Result<String, ApiError> {
        core.catch_up().map_err(|_| ApiError::shutting_down())?;
        let now = core.now();
        match method {
            "session.logon" => {
                let asked = params.boolean("cancelOnDisconnect")?;
                let caller = sign_in(core, &LOGON, params, credentials, self.opened.peer)?;
                self.protection.logged_on(caller.account, asked);
                self.logged_on = Some((caller, now));
                Ok(self.status(core))
            }
            "session.status" => Ok(self.status(core)),
            "session.logout" => {
                self.logged_on = None;
                core.users.logged_out(self.opened.connection, now);
                Ok(self.status(core))
            }
            "session.subscriptions" => {
                let ids = core.users.of_connection(self.opened.connection);
                Ok(Json::list(self.opened.unit, |json| {
                    for id in ids {
                        json.object(|json| json.number_field("subscriptionId", id));
                    }
                }))
            }
            "userDataStream.subscribe" => {
                let caller = self.logged_on.map(|(caller, _)| caller);
                let caller = caller.ok_or_else(|| {
                    ApiError::new(-1002, "You are not authorized to execute this request.")
                        .with_status(401)
                })?;
                self.subscribe(core, caller, true)
            }
            "userDataStream.subscribe.signature" => {
                let caller = sign_in(core, &SUBSCRIBE, params, credentials, self.opened.peer)?;
                self.subscribe(core, caller, false)
            }
            "userDataStream.unsubscribe" => {
                let id = params.integer("subscriptionId")?;
                let id = id.map(|id| u32::try_from(id).unwrap_or(u32::MAX));
                core.users.unsubscribe(self.opened.connection, id, now)?;
                Ok("{}".to_owned())
            }
            "userDataStream.start" | "userDataStream.ping" | "userDataStream.stop"
                if core.options.listen_keys =>
            {
                let verb = match method {
                    "userDataStream.start" => axum::http::Method::POST,
                    "userDataStream.ping" => axum::http::Method::PUT,
                    _ => axum::http::Method::DELETE,
                };
                core.listen_key(&verb, credentials.key, params.get("listenKey"))
            }
            _ => Err(ApiError::new(-1020, "This operation is not supported.")),
        }
    }

    fn subscribe(
        &mut self,
        core: &mut Core,
        caller: Caller,
        is_of_logon: bool,
    ) -> Result<String, ApiError> {
        let account = may_listen(core, caller)?;
        if self.next_subscription >= SUBSCRIPTION_ID_MAX {
            let text = "Maximum subscription ID reached for this connection.";
            return Err(ApiError::new(-2042, text));
        }
        let id = self.next_subscription;
        let listener = Listener {
            outbox: Arc::clone(&self.outbox),
            connection: self.opened.connection,
            wrap: Wrap::Subscription(id),
            unit: self.opened.unit,
            key: caller.key,
            is_of_logon,
        };
        core.users.subscribe(account, listener)?;
        self.next_subscription += 1;
        Ok(Json::of(self.opened.unit, |json| json.number_field("subscriptionId", id)))
    }

    fn status(&self, core: &Core) -> String {
        Json::of(self.opened.unit, |json| {
            match &self.logged_on {
                Some((caller, since)) => {
                    json.text_field("apiKey", caller.key.as_str());
                    json.time_field("authorizedSince", *since);
                }
                None => {
                    json.null_field("apiKey");
                    json.null_field("authorizedSince");
                }
            }
            json.time_field("connectedSince", self.connected);
            json.flag_field("returnRateLimits", self.opened.return_rate_limits);
            // Ours: shown to whoever asked for it.
            let caller = self.logged_on.map(|(caller, _)| caller.account);
            if caller.is_some_and(|account| self.protection.is_of(account)) {
                json.flag_field("cancelOnDisconnect", true);
            }
            json.time_field("serverTime", core.now());
            let is_listening = !core.users.of_connection(self.opened.connection).is_empty();
            json.flag_field("userDataStream", is_listening);
        })
    }
}

/// What every WebSocket API connection is told before the exchange stops.
pub fn shutdown_notice(stamp: Stamp) -> Utf8Bytes {
    let event = Json::of(TimeUnit::Millisecond, |json| {
        reports::notice(json, "serverShutdown", stamp);
    });
    Utf8Bytes::from(format!("{{\"event\":{event}}}"))
}

/// Tells a connection that the exchange stops, and ends it.
pub fn shut_down(outbox: &Outbox, stamp: Stamp) {
    outbox.push(shutdown_notice(stamp));
    outbox.close(Close::ShuttingDown);
}
