//! REST: one handler for every path of the venue. Parameters may stand in the query or in the body,
//! whatever the content type says.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::Request as HttpRequest;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use protocol::RateLimitKind;
use tokio::sync::oneshot;

use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::json::TimeUnit;
use crate::limits::{ClientId, RateLimitStatus, Used};
use crate::link::Host;
use crate::market::neighbours;
use crate::params::Params;
use crate::pending::{Answer, Reply};
use crate::request::{Credentials, Ran, Request, of_rest};
use crate::signature::payload_of_rest;

const KEY_HEADER: &str = "x-mbx-apikey";
const TIME_UNIT_HEADER: &str = "x-mbx-time-unit";
const JSON: &str = "application/json;charset=UTF-8";

/// Answers one request.
pub async fn answer(gateway: Arc<Gateway>, peer: IpAddr, request: HttpRequest) -> Response {
    if request.method() == Method::OPTIONS {
        return with_cors(empty(StatusCode::NO_CONTENT));
    }
    let (parts, body) = request.into_parts();
    let answer = match to_bytes(body, gateway.options.request_bytes_max).await {
        Ok(body) => {
            let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
            let come = Come { method: &parts.method, path, query, headers: &parts.headers, peer };
            come.answer(&gateway, &body).await
        }
        Err(_) => refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            &ApiError::new(-1100, "The request is too large."),
        ),
    };
    with_cors(answer)
}

/// A request as it came.
struct Come<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    peer: IpAddr,
}

impl Come<'_> {
    async fn answer(&self, gateway: &Arc<Gateway>, body: &[u8]) -> Response {
        if self.wants_only_sbe() {
            return refused(
                StatusCode::NOT_ACCEPTABLE,
                &ApiError::new(-1155, "SBE is not enabled."),
            );
        }
        let Ok(body) = std::str::from_utf8(body) else {
            let error = ApiError::new(-1100, "Illegal characters found in a parameter.");
            return refused(StatusCode::BAD_REQUEST, &error);
        };
        // The query of a GET is all there is to it.
        let body = if self.method == Method::GET { "" } else { body };
        if self.query.len() > gateway.options.request_bytes_max {
            return refused(
                StatusCode::URI_TOO_LONG,
                &ApiError::new(-1100, "The request is too large."),
            );
        }
        match of_rest(self.method, self.path) {
            Some(Ok(endpoint)) => match Params::of_rest(self.query, body) {
                Ok(params) => self.run(gateway, endpoint, &params, body).await,
                Err(error) => self.unweighed(gateway, error),
            },
            Some(Err(())) => {
                let error = ApiError::new(-1020, "This operation is not supported.");
                refused(StatusCode::METHOD_NOT_ALLOWED, &error)
            }
            None => self.outside(gateway, body),
        }
    }

    /// `Accept: application/sbe` without anything else that we have.
    fn wants_only_sbe(&self) -> bool {
        let accepted = self.headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
        let accepted: Vec<&str> = accepted.flat_map(|it| it.split(',')).map(str::trim).collect();
        let is = |what: &str| accepted.iter().any(|it| it.starts_with(what));
        is("application/sbe") && !is("application/json") && !is("*/*")
    }

    fn unit(&self) -> Result<TimeUnit, ApiError> {
        match self.headers.get(TIME_UNIT_HEADER).map(HeaderValue::as_bytes) {
            None => Ok(TimeUnit::Millisecond),
            Some(unit) if unit.eq_ignore_ascii_case(b"MILLISECOND") => Ok(TimeUnit::Millisecond),
            Some(unit) if unit.eq_ignore_ascii_case(b"MICROSECOND") => Ok(TimeUnit::Microsecond),
            Some(_) => Err(time_unit_error()),
        }
    }

    async fn run(
        &self,
        gateway: &Arc<Gateway>,
        endpoint: &'static crate::endpoint::Endpoint,
        params: &Params<'_>,
        body: &str,
    ) -> Response {
        let unit = match self.unit() {
            Ok(unit) => unit,
            Err(error) => return self.unweighed(gateway, error),
        };
        let signed = payload_of_rest(self.query, body);
        let key = self.headers.get(KEY_HEADER).and_then(|it| it.to_str().ok());
        let (sender, receiver) = oneshot::channel();
        let ran = {
            let request = Request {
                endpoint,
                params,
                credentials: Credentials {
                    key,
                    payload: &|| signed.as_ref().map_or(String::new(), |it| it.0.clone()),
                    signature: signed.as_ref().map(|it| it.1.as_str()),
                    session: None,
                },
                unit,
                peer: self.peer,
                is_socket: false,
            };
            request.run(&mut gateway.core(), || Reply::Rest(sender))
        };
        let answer = match ran {
            Ran::Now(answer) => answer,
            Ran::Later => receiver.await.unwrap_or_else(|_| Answer {
                result: Err(ApiError::shutting_down()),
                used: Used::NOTHING,
            }),
        };
        response(answer)
    }

    /// A request that is refused before anybody knows what it costs costs 1.
    fn unweighed(&self, gateway: &Gateway, error: ApiError) -> Response {
        let mut core = gateway.core();
        let now = core.now();
        let client = ClientId::of(self.peer, None);
        match core.charge(&client, 1, now) {
            Ok(weights) => {
                response(Answer { result: Err(error), used: Used { weights, ..Used::NOTHING } })
            }
            Err(error) => response(Answer { result: Err(error), used: Used::NOTHING }),
        }
    }

    /// Paths outside `/api`: neighbours that clients ask at their start, and the retired ones.
    fn outside(&self, gateway: &Gateway, body: &str) -> Response {
        if self.path == "/api/v3/userDataStream" || self.path == "/api/v1/userDataStream" {
            return self.listen_key(gateway, body);
        }
        let mut core = gateway.core();
        if core.catch_up().is_err() {
            return refused(StatusCode::SERVICE_UNAVAILABLE, &ApiError::shutting_down());
        }
        match neighbours::answer(self.method, self.path, &core) {
            Some(body) => json(StatusCode::OK, body),
            None => {
                let text = format!("Path {} does not exist.", self.path);
                refused(StatusCode::NOT_FOUND, &ApiError::new(-1000, text))
            }
        }
    }

    /// `userDataStream`: retired by the venue; served when the legacy switch is on.
    fn listen_key(&self, gateway: &Gateway, body: &str) -> Response {
        if !gateway.options.listen_keys {
            let text = "listenKey was retired on 2026-02-20: use userDataStream.subscribe.signature \
                        of the WebSocket API, or start with the setting server.listen_keys on";
            return refused(StatusCode::GONE, &ApiError::new(-1020, text));
        }
        let key = self.headers.get(KEY_HEADER).and_then(|it| it.to_str().ok());
        let result = Params::of_rest(self.query, body).and_then(|params| {
            let mut core = gateway.core();
            core.listen_key(self.method, key, params.get("listenKey"))
        });
        match result {
            Ok(body) => json(StatusCode::OK, body),
            Err(error) => response(Answer { result: Err(error), used: Used::NOTHING }),
        }
    }
}

/// What a value of `timeUnit` that is none gets.
pub fn time_unit_error() -> ApiError {
    ApiError::new(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
}

fn response(answer: Answer) -> Response {
    let mut response = match answer.result {
        Ok(body) => json(StatusCode::OK, body),
        Err(error) => {
            refused(StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST), &error)
        }
    };
    let headers = response.headers_mut();
    for limit in answer.used.iter() {
        add_limit(headers, limit);
    }
    response
}

/// `X-MBX-USED-WEIGHT-1M`, `X-MBX-ORDER-COUNT-10S` and their like.
fn add_limit(headers: &mut HeaderMap, limit: &RateLimitStatus) {
    let prefix = match limit.kind {
        RateLimitKind::RequestWeight => "x-mbx-used-weight-",
        RateLimitKind::Orders => "x-mbx-order-count-",
        RateLimitKind::RawRequests => return,
    };
    let name = format!("{prefix}{}", limit.header_suffix()).to_ascii_lowercase();
    let count = HeaderValue::from(limit.count);
    if limit.kind == RateLimitKind::RequestWeight {
        headers.entry("x-mbx-used-weight").or_insert_with(|| count.clone());
    }
    if let Ok(name) = HeaderName::try_from(name) {
        headers.insert(name, count);
    }
}

/// A refusal as REST shows it.
pub fn refused(status: StatusCode, error: &ApiError) -> Response {
    // Over REST the time to wait is in a header; `data` is the WebSocket API's (web-socket-api.md).
    let is_limited = error.retry_after.is_some() && error.data.is_some();
    let body = match is_limited {
        true => ApiError { data: None, ..error.clone() }.body(),
        false => error.body(),
    };
    let mut response = json(status, body);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A JSON body.
pub fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Any page may ask: nothing here rests on cookies.
pub fn with_cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let allowed = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, POST, PUT, DELETE, OPTIONS"),
        (
            "access-control-allow-headers",
            "content-type, x-mbx-apikey, x-mbx-time-unit, last-event-id",
        ),
        (
            "access-control-expose-headers",
            "retry-after, x-mbx-used-weight, x-mbx-used-weight-1m, x-mbx-order-count-10s, x-mbx-order-count-1d",
        ),
        ("access-control-max-age", "600"),
    ];
    for (name, value) in allowed {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// A listen key: 60 letters and digits.
pub fn draw_listen_key(host: &dyn Host) -> Result<String, ApiError> {
    let mut bytes = [0u8; 60];
    host.random(&mut bytes).map_err(|_| ApiError::new(-1000, "no randomness"))?;
    const LETTERS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzXZ";
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 63)])).collect())
}
