//! One port for everything: which path goes where, and the tasks that keep a gateway alive.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::net::TcpListener;

use crate::admin;
use crate::error::ApiError;
use crate::feed::FeedLog;
use crate::gateway::{Admitted, Gateway};
use crate::json::{Json, TimeUnit};
use crate::limits::ClientId;
use crate::link::Broken;
use crate::listener::{Bounded, Peer};
use crate::params::decode;
use crate::rest::{self, refused};
use crate::socket_api::{self, CONNECT_WEIGHT, Opened};
use crate::streams;

/// How often a feed is looked at: its writer may be another process, which cannot wake us.
const FEED_INTERVAL: Duration = Duration::from_millis(20);
/// The same, while there is none.
const FEED_LOOK: Duration = Duration::from_millis(250);
/// How often requests without an answer are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// What is read from a socket at once: requests come in crowds, controls of streams do not. The
/// buffer is cleared before each look at the socket: at 128 KiB that was half of the time of a
/// thousand subscribers.
const REQUESTS_READ_BYTES: usize = 32 * 1024;
const CONTROLS_READ_BYTES: usize = 2 * 1024;
/// Connections of the time before the start have this long to end.
const HAND_OVER: Duration = Duration::from_millis(100);
/// Connections that are told to end have this long to do so.
const DRAIN: Duration = Duration::from_millis(1_500);
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// Serves until the gateway is told to stop, then drains.
///
/// Errors: the event log cannot be read on, or the socket fails.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener) -> Result<(), Broken> {
    let pump = tokio::spawn(pump(Arc::clone(&gateway)));
    if gateway.core().follows_feed() {
        tokio::spawn(pump_feed(Arc::clone(&gateway)));
    }
    let app = routes(Arc::clone(&gateway));
    let listener =
        Bounded::new(listener, gateway.options.sockets_max, gateway.options.idle_timeout);
    let (stopping, draining) = (gateway.stopping.clone(), Arc::clone(&gateway));
    let stop = async move {
        stopped(stopping).await;
        draining.shut_down();
    };
    let app = app.into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(listener, app).with_graceful_shutdown(stop);
    let drained = async {
        let served = server.into_future().await;
        // WebSocket connections are not among those that the server waits for.
        while gateway.connections() > 0 {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        served
    };
    tokio::select! {
        served = drained => served.map_err(|error| Broken(error.to_string())),
        broken = pump => Err(broken.unwrap_or_else(|error| Broken(error.to_string()))),
        // Connections end by themselves; what is left after the time is cut.
        () = async {
            stopped(gateway.stopping.clone()).await;
            tokio::time::sleep(DRAIN).await;
        } => Ok(()),
    }
}

/// Answers everything with 503 until `until` says that the exchange is there, or is gone.
pub async fn starting(listener: TcpListener, until: tokio::sync::watch::Receiver<bool>) {
    let not_yet = || async {
        let body = Json::of(TimeUnit::Millisecond, |json| json.text_field("state", "starting"));
        rest::json(StatusCode::SERVICE_UNAVAILABLE, body)
    };
    let refuse = || async {
        let error = ApiError::new(-1016, "The exchange is starting: see /readyz.");
        refused(StatusCode::SERVICE_UNAVAILABLE, &error)
    };
    let app = Router::new().route("/healthz", get(healthy)).route("/readyz", get(not_yet));
    let server = axum::serve(listener, app.fallback(refuse));
    tokio::select! {
        _ = server.with_graceful_shutdown(stopped(until.clone())).into_future() => {}
        () = async {
            stopped(until.clone()).await;
            tokio::time::sleep(HAND_OVER).await;
        } => {}
    }
}

async fn healthy() -> Response {
    rest::json(StatusCode::OK, "{}".to_owned())
}

async fn stopped(mut stopping: tokio::sync::watch::Receiver<bool>) {
    // The sender is gone: nobody is left who could want us.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Reads the event log as it grows; ends only when it cannot.
async fn pump(gateway: Arc<Gateway>) -> Broken {
    loop {
        let pumped = {
            let mut core = gateway.core();
            core.sweep();
            core.pump()
        };
        match pumped {
            Err(broken) => return broken,
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => {
                let news = gateway.alarm.wait(|| gateway.core().link.has_news());
                // The sweep must come round on a quiet exchange, too.
                let _ = tokio::time::timeout(SWEEP_INTERVAL, news).await;
            }
        }
    }
}

/// Reads the feed's log as it grows, until the exchange stops.
async fn pump_feed(gateway: Arc<Gateway>) {
    let mut stopping = gateway.stopping.clone();
    loop {
        let wait = match gateway.core().feed.log {
            FeedLog::Absent => FEED_LOOK,
            FeedLog::Silent | FeedLog::Live => FEED_INTERVAL,
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
        // Others get the lock in between.
        while gateway.core().pump_feed() {
            tokio::task::yield_now().await;
        }
    }
}

fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/ws-api/v3", any(socket_api_route))
        .route("/ws", any(streams_route))
        .route("/ws/{*names}", any(streams_route))
        .route("/stream", any(streams_route))
        .route("/stream/sse", get(events_route))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready_route))
        .route("/admin/v1/{*path}", any(admin_route))
        .fallback(rest_route)
        .with_state(gateway)
}

type From = ConnectInfo<Peer>;
type Shared = State<Arc<Gateway>>;

async fn rest_route(
    State(gateway): Shared,
    ConnectInfo(Peer(peer)): From,
    request: Request,
) -> Response {
    rest::answer(gateway, peer.ip(), request).await
}

async fn admin_route(
    State(gateway): Shared,
    ConnectInfo(Peer(peer)): From,
    request: Request,
) -> Response {
    rest::with_cors(admin::answer(gateway, peer.ip(), request).await)
}

async fn ready_route(State(gateway): Shared) -> Response {
    let (status, state) = readiness(&gateway);
    let body = Json::of(TimeUnit::Millisecond, |json| json.text_field("state", &state));
    rest::json(status, body)
}

/// Ready, draining, or halted and why.
fn readiness(gateway: &Gateway) -> (StatusCode, String) {
    let node = gateway.host.node();
    if gateway.host.is_stalled() {
        let why = "halted: the disk is full; it goes on when there is room".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, why);
    }
    match (node.is_running, gateway.core().is_draining) {
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining".to_owned()),
        (false, _) => {
            let why = "halted: the node has failed, its log says why".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, why)
        }
        (true, false) => (StatusCode::OK, "ready".to_owned()),
    }
}

/// What a connection's query says, each value decoded.
fn query_value(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    // `@kline_1m@+08:00` is often written as it is: here `+` is itself, not a blank.
    decode(&value.replace('+', "%2B")).ok().map(std::borrow::Cow::into_owned)
}

fn unit_of(query: &str) -> Result<TimeUnit, ApiError> {
    match query_value(query, "timeUnit") {
        None => Ok(TimeUnit::Millisecond),
        Some(unit) if unit.eq_ignore_ascii_case("millisecond") => Ok(TimeUnit::Millisecond),
        Some(unit) if unit.eq_ignore_ascii_case("microsecond") => Ok(TimeUnit::Microsecond),
        Some(_) => Err(rest::time_unit_error()),
    }
}

/// A refusal before a connection is there.
fn refuse(error: ApiError) -> Box<Response> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    Box::new(refused(status, &error))
}

/// Counts an attempt to connect, or says why there may be none.
fn count_connect(gateway: &Gateway, peer: IpAddr) -> Result<(), Box<Response>> {
    let mut core = gateway.core();
    if core.is_draining {
        return Err(refuse(ApiError::shutting_down()));
    }
    if !gateway.options.rate_limits {
        return Ok(());
    }
    let now = core.now();
    core.limits.connects.attempt(peer, now).map_err(|too_many| {
        let mut error = ApiError::new(-1034, too_many.to_string()).with_status(429);
        error.retry_after = Some(too_many.retry_after_seconds);
        refuse(error)
    })
}

/// Counts an attempt to connect, charges for it and admits it, or says why not.
fn admit(gateway: &Arc<Gateway>, peer: IpAddr, weight: u32) -> Result<Admitted, Box<Response>> {
    count_connect(gateway, peer)?;
    // Programs on this machine share an address: what one of them did must not lock the others out.
    // Their requests count by key.
    if weight > 0 && gateway.options.rate_limits && !peer.to_canonical().is_loopback() {
        let mut core = gateway.core();
        let now = core.now();
        core.charge(&ClientId::of(peer, None), weight, now).map_err(refuse)?;
    }
    gateway.admit().ok_or_else(|| {
        let max = gateway.options.connections_max;
        let text = format!("Too many concurrent connections; current limit is '{max}'.");
        refuse(ApiError::new(-1034, text).with_status(503))
    })
}

/// An upgrade, or why there is none.
type Upgrade = Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>;

async fn socket_api_route(
    State(gateway): Shared,
    ConnectInfo(Peer(peer)): From,
    asked: Upgrade,
    uri: axum::http::Uri,
) -> Response {
    let Ok(asked) = asked else { return not_a_socket() };
    let query = uri.query().unwrap_or("");
    let unit = match unit_of(query) {
        Ok(unit) => unit,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    let cancel_on_disconnect = match query_value(query, "cancelOnDisconnect").as_deref() {
        Some("true") => true,
        None | Some("false") => false,
        Some(_) => {
            // Silence would look like protection.
            let error = ApiError::illegal("cancelOnDisconnect", "true|false");
            return refused(StatusCode::BAD_REQUEST, &error);
        }
    };
    let return_rate_limits = query_value(query, "returnRateLimits").as_deref() != Some("false");
    let admitted = match admit(&gateway, peer.ip(), CONNECT_WEIGHT) {
        Ok(admitted) => admitted,
        Err(response) => return *response,
    };
    let connection = gateway.next_connection();
    let opened =
        Opened { peer: peer.ip(), unit, return_rate_limits, connection, cancel_on_disconnect };
    bounded(&gateway, asked, REQUESTS_READ_BYTES)
        .on_upgrade(move |socket| socket_api::serve(gateway, socket, opened, admitted))
}

/// The bounds that every socket has.
fn bounded(gateway: &Gateway, asked: WebSocketUpgrade, read_bytes: usize) -> WebSocketUpgrade {
    let bytes = gateway.options.request_bytes_max;
    asked.max_message_size(bytes).max_frame_size(bytes).read_buffer_size(read_bytes)
}

fn not_a_socket() -> Response {
    let text = "This path speaks WebSocket: the request asks for no upgrade.";
    refused(StatusCode::UPGRADE_REQUIRED, &ApiError::new(-1000, text))
}

async fn streams_route(
    State(gateway): Shared,
    ConnectInfo(Peer(peer)): From,
    asked: Upgrade,
    uri: axum::http::Uri,
) -> Response {
    let Ok(asked) = asked else { return not_a_socket() };
    let query = uri.query().unwrap_or("");
    let unit = match unit_of(query) {
        Ok(unit) => unit,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    let is_combined = uri.path().starts_with("/stream");
    let asked_for = match is_combined {
        true => query_value(query, "streams").unwrap_or_default(),
        false => {
            let names = uri.path().strip_prefix("/ws/").unwrap_or("").replace('+', "%2B");
            // Names that cannot be read are none of ours: silent like any other.
            decode(&names).map(std::borrow::Cow::into_owned).unwrap_or_default()
        }
    };
    let names: Vec<String> =
        asked_for.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let admitted = match admit(&gateway, peer.ip(), 0) {
        Ok(admitted) => admitted,
        Err(response) => return *response,
    };
    let bounded = bounded(&gateway, asked, CONTROLS_READ_BYTES);
    let start = streams::socket::Start { is_combined, names, unit };
    bounded.on_upgrade(move |socket| streams::socket::serve(gateway, socket, start, admitted))
}

async fn events_route(
    State(gateway): Shared,
    ConnectInfo(Peer(peer)): From,
    headers: HeaderMap,
    uri: axum::http::Uri,
) -> Response {
    let query = uri.query().unwrap_or("");
    let unit = match unit_of(query) {
        Ok(unit) => unit,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    if let Err(refused) = count_connect(&gateway, peer.ip()) {
        return *refused;
    }
    let names = query_value(query, "streams").unwrap_or_default();
    let names: Vec<String> =
        names.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let header = headers.get("last-event-id").and_then(|it| it.to_str().ok()).map(str::to_owned);
    let last = header.or_else(|| query_value(query, "lastEventId"));
    let response = streams::events::answer(gateway, names, last, unit).await;
    rest::with_cors(response.into_response())
}
