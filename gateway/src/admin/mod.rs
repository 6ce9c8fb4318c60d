//! The admin API, `/admin/v1`: what an operator may do. Ours, not the venue's (docs/admin.md).
//!
//! Every change is a command like any other; the answer comes when it is in the log and applied.

mod accounts;
mod orders;
mod risk;
mod rules;
mod venue;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use marketdata::Instrument;
use protocol::{AccountId, Amount, Command, Price, TransferDirection};
use ring::hmac;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::accounts::Account;
use crate::core::Core;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::json::{Json, TimeUnit};
use crate::limits::Used;
use crate::params::decode;
use crate::pending::{Expect, Reply, Waiting};
use crate::rest::{json, refused};

type Answered = Result<String, ApiError>;

/// Answers one request.
pub async fn answer(gateway: Arc<Gateway>, peer: IpAddr, request: Request) -> Response {
    match answered(&gateway, peer, request).await {
        Ok(body) => json(StatusCode::OK, body),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
            refused(status, &error)
        }
    }
}

async fn answered(gateway: &Arc<Gateway>, peer: IpAddr, request: Request) -> Answered {
    let (parts, body) = request.into_parts();
    admitted(gateway, peer, &parts.headers)?;
    let body = to_bytes(body, gateway.options.request_bytes_max).await;
    let body = body.map_err(|_| refusal(413, "the body is too large"))?;
    let path = parts.uri.path().strip_prefix("/admin/v1/").unwrap_or("");
    let path: Vec<String> =
        path.split('/').map(|it| decode(it).map(|it| it.into_owned())).collect::<Result<_, _>>()?;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let query = parts.uri.query().unwrap_or("");
    let admin = Admin { gateway, body: &body, query };
    admin.route(&parts.method, &path).await
}

/// From this machine, with the token.
fn admitted(gateway: &Gateway, peer: IpAddr, headers: &HeaderMap) -> Result<(), ApiError> {
    if !gateway.options.admin_remote && !peer.to_canonical().is_loopback() {
        return Err(refusal(403, "the admin API answers callers on this machine only"));
    }
    let Some(token) = &gateway.options.admin_token else {
        return Err(refusal(403, "the admin API is off: set admin.token in the configuration"));
    };
    let sent = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or("");
    let sent = sent.strip_prefix("Bearer ").unwrap_or("");
    if is_same(gateway, token, sent) {
        return Ok(());
    }
    Err(refusal(401, "send the header `Authorization: Bearer TOKEN` with the admin token"))
}

/// Compares in a time that says nothing about where they differ: by keyed digests.
fn is_same(gateway: &Gateway, token: &str, sent: &str) -> bool {
    let mut seed = [0u8; 32];
    if gateway.host.random(&mut seed).is_err() {
        return false;
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, &seed);
    let expected = hmac::sign(&key, token.as_bytes());
    hmac::verify(&key, sent.as_bytes(), expected.as_ref()).is_ok()
}

fn refusal(status: u16, text: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::new(-1000, text).with_status(status)
}

fn object(fields: impl FnOnce(&mut Json)) -> String {
    Json::of(TimeUnit::Millisecond, fields)
}

fn list(items: impl FnOnce(&mut Json)) -> String {
    Json::list(TimeUnit::Millisecond, items)
}

struct Admin<'a> {
    gateway: &'a Arc<Gateway>,
    body: &'a [u8],
    query: &'a str,
}

impl Admin<'_> {
    async fn route(&self, method: &Method, path: &[&str]) -> Answered {
        match (method.as_str(), path) {
            ("GET", ["state"]) => self.state(),
            ("GET", ["accounts"]) => self.accounts(),
            ("POST", ["accounts"]) => self.define_account().await,
            ("GET", ["accounts", name]) => self.account(name),
            ("PUT", ["accounts", name]) => self.change_account(name).await,
            ("GET", ["accounts", name, "keys"]) => self.keys(Some(name)),
            ("POST", ["accounts", name, "keys"]) => self.add_key(name).await,
            ("GET", ["keys"]) => self.keys(None),
            ("PUT", ["keys", key]) => self.change_key(key).await,
            ("DELETE", ["keys", key]) => self.remove_key(key).await,
            ("POST", ["deposits"]) => self.transfer(TransferDirection::Deposit).await,
            ("POST", ["withdrawals"]) => self.transfer(TransferDirection::Withdrawal).await,
            ("GET", ["instruments"]) => self.instruments(),
            ("PUT", ["instruments", symbol, "status"]) => self.set_status(symbol).await,
            ("GET", ["instruments", symbol, "rules"]) => self.rules(symbol),
            ("PUT", ["instruments", symbol, "rules"]) => self.set_rules(symbol).await,
            ("GET", ["instruments", symbol, "calendar"]) => self.calendar(symbol),
            ("PUT", ["instruments", symbol, "calendar"]) => self.set_calendar(symbol).await,
            ("GET", ["risk"]) => self.risk(),
            ("PUT", ["risk"]) => self.set_risk().await,
            ("DELETE", ["risk"]) => self.remove_risk().await,
            ("GET", ["kill-switch"]) => self.kill_switches(),
            ("PUT", ["kill-switch"]) => self.set_kill_switch(None).await,
            ("GET", ["accounts", name, "kill-switch"]) => self.kill_switch(name),
            ("PUT", ["accounts", name, "kill-switch"]) => self.set_kill_switch(Some(name)).await,
            ("DELETE", ["orders"]) => self.cancel_all().await,
            ("PUT", ["orders", id]) => self.replace_order(id).await,
            ("GET", ["orders", id, "life"]) => self.life_of_order(id).await,
            ("POST", ["snapshot"]) => self.snapshot(),
            ("GET", ["bans"]) => Ok(self.bans()),
            ("DELETE", ["bans"]) => {
                self.gateway.core().limits.usage.lift_all();
                Ok("{}".to_owned())
            }
            ("DELETE", ["bans", client]) => self.lift(client),
            _ => Err(refusal(404, format!("no {method} of this path: see docs/admin.md"))),
        }
    }

    fn read<T: for<'de> Deserialize<'de>>(&self) -> Result<T, ApiError> {
        // An array would be taken for the fields in order.
        if !self.body.trim_ascii_start().starts_with(b"{") {
            return Err(refusal(400, "body: not a JSON object"));
        }
        serde_json::from_slice(self.body).map_err(|error| refusal(400, format!("body: {error}")))
    }

    /// The core, up to date.
    fn core(&self) -> Result<std::sync::MutexGuard<'_, Core>, ApiError> {
        let mut core = self.gateway.core();
        core.catch_up().map_err(|_| ApiError::shutting_down())?;
        Ok(core)
    }

    /// Sends a command and waits for its answer.
    async fn submit(&self, command: impl Into<Command>, expect: Expect) -> Answered {
        let (sender, receiver) = oneshot::channel();
        {
            let mut core = self.core()?;
            let waiting = Waiting {
                reply: Reply::Rest(sender),
                expect,
                unit: TimeUnit::Millisecond,
                account: AccountId::VENUE,
                client: None,
                since: core.now(),
            };
            core.send(command.into(), waiting, Used::NOTHING);
        }
        receiver.await.map_err(|_| ApiError::shutting_down())?.result
    }

    async fn done(&self, command: impl Into<Command>) -> Answered {
        self.submit(command, Expect::Admin).await
    }

    fn asked(&self, name: &str) -> Result<Option<String>, ApiError> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(key, _)| *key == name);
        found.map(|(_, value)| decode(value).map(|it| it.into_owned())).transpose()
    }

    /// Refuses parameters that nobody reads: a name written wrong must not mean everybody.
    fn only(&self, names: &[&str]) -> Result<(), ApiError> {
        let parts = self.query.split('&').filter(|part| !part.is_empty());
        let is_known = |part: &&str| {
            names.iter().any(|name| part.split_once('=').is_some_and(|it| it.0 == *name))
        };
        let unknown = parts.into_iter().find(|part| !is_known(part));
        unknown.map_or(Ok(()), |part| {
            let name = part.split('=').next().unwrap_or(part);
            Err(refusal(
                400,
                format!("parameter {name}: of {}, each with a value", names.join(", ")),
            ))
        })
    }
}

fn find_instrument<'c>(core: &'c Core, symbol: &str) -> Result<&'c Instrument, ApiError> {
    core.market.by_symbol(symbol).ok_or_else(|| refusal(404, "no such symbol"))
}

/// Counts of 10^-8 that fit a price or a quantity.
fn decimal(name: &str, text: &str) -> Result<u64, ApiError> {
    let parsed = Price::parse(text).map(|price| price.0);
    parsed.map_err(|error| refusal(400, format!("{name}: {error}")))
}

fn amount(name: &str, text: &str) -> Result<Amount, ApiError> {
    Amount::parse(text).map_err(|error| refusal(400, format!("{name}: {error}")))
}

fn find<'c>(core: &'c Core, name: &str) -> Result<&'c Account, ApiError> {
    core.accounts.by_name(name).ok_or_else(|| refusal(404, "no such account"))
}
