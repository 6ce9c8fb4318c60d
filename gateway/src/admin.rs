//! The admin API, `/admin/v1`: what an operator may do. Ours, not the venue's (docs/admin.md).
//!
//! Every change is a command like any other; the answer comes when it is in the log and applied.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use protocol::command::*;
use protocol::instrument::{AssetName, Symbol};
use protocol::{
    AccountId, Amount, Bytes, Command, Envelope, InstrumentId, InstrumentStatus, KeyKind,
    TransferDirection,
};
use ring::hmac;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::accounts::{Account, Key};
use crate::core::Core;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::json::{Json, TimeUnit};
use crate::limits::Used;
use crate::params::decode;
use crate::pending::{Expect, Reply, Waiting};
use crate::rest::{json, refused};
use crate::signature::parse_public_key;

type Answered = Result<String, ApiError>;

const KEY_CHARACTERS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab";
/// Length of keys and secrets that are drawn here, as the venue has them.
const DRAWN_LENGTH: usize = 64;
/// What a key may do when nothing is said.
const KEY_PERMISSIONS_DEFAULT: u8 = key_permission::TRADE | key_permission::USER_DATA;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewAccount {
    name: String,
    #[serde(default)]
    trade_group: u32,
    permissions: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AccountTerms {
    trade_group: Option<u32>,
    permissions: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewKey {
    #[serde(default)]
    kind: Option<String>,
    key: Option<String>,
    secret: Option<String>,
    public_key: Option<String>,
    permissions: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyTerms {
    permissions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moved {
    id: Option<String>,
    account: String,
    asset: String,
    amount: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    status: String,
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
            ("DELETE", ["orders"]) => self.cancel_all().await,
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

    fn state(&self) -> Answered {
        let core = self.core()?;
        let node = self.gateway.host.node();
        Ok(object(|json| {
            json.flag_field("isRunning", node.is_running);
            json.text_field("durability", &node.durability);
            json.time_field("serverTime", core.now());
            json.number_field("sequence", core.sequence.0);
            json.time_field("stamp", core.stamp);
            json.object_field("stateHash", |json| {
                json.number_field("sequence", core.state_hash.0.0);
                json.text_field("hash", &format!("{:016x}", core.state_hash.1));
            });
            json.object_field("cursors", |json| {
                for (name, position, sequence) in &node.cursors {
                    json.object_field(name, |json| {
                        json.number_field("position", *position);
                        json.number_field("sequence", *sequence);
                    });
                }
            });
            json.number_field("connections", self.gateway.connections() as u64);
            json.number_field("pending", core.pending.len() as u64);
        }))
    }

    fn accounts(&self) -> Answered {
        let core = self.core()?;
        Ok(list(|json| {
            core.accounts.iter().for_each(|it| json.object(|json| write_account(json, &core, it)));
        }))
    }

    fn account(&self, name: &str) -> Answered {
        let core = self.core()?;
        let account = find(&core, name)?;
        Ok(object(|json| write_account(json, &core, account)))
    }

    async fn define_account(&self) -> Answered {
        let asked: NewAccount = self.read()?;
        let name = account_name(&asked.name)?;
        if self.core()?.accounts.by_name(&asked.name).is_some() {
            return Err(refusal(409, format!("account {name} exists; change it with PUT")));
        }
        let permissions = match &asked.permissions {
            Some(words) => bits(words, &ACCOUNT_PERMISSIONS)?,
            None => account_permission::ALL,
        };
        let (envelope, trade_group) = (Envelope::INTERNAL, asked.trade_group);
        self.done(DefineAccount { envelope, name, trade_group, permissions }).await?;
        self.account(&asked.name)
    }

    async fn change_account(&self, name: &str) -> Answered {
        let asked: AccountTerms = self.read()?;
        let command = {
            let core = self.core()?;
            let account = find(&core, name)?;
            let permissions = match &asked.permissions {
                Some(words) => bits(words, &ACCOUNT_PERMISSIONS)?,
                None => account.permissions,
            };
            let trade_group = asked.trade_group.unwrap_or(account.trade_group);
            let envelope = Envelope::INTERNAL;
            DefineAccount { envelope, name: account.name, trade_group, permissions }
        };
        self.done(command).await?;
        self.account(name)
    }

    fn keys(&self, of: Option<&str>) -> Answered {
        let core = self.core()?;
        let account = of.map(|name| find(&core, name).map(|it| it.id)).transpose()?;
        let mut keys: Vec<(&ApiKey, &Key)> = core.accounts.keys.iter().collect();
        keys.retain(|(_, it)| account.is_none_or(|account| it.account == account));
        keys.sort_by_key(|(key, _)| key.as_str());
        Ok(list(|json| {
            for (key, it) in keys {
                json.object(|json| write_key(json, &core, key, it));
            }
        }))
    }

    /// A key, with its secret when that was drawn here: the only time it is shown.
    async fn add_key(&self, name: &str) -> Answered {
        let asked: NewKey = self.read()?;
        let host = &self.gateway.host;
        let key = match &asked.key {
            Some(text) => ApiKey::new(text).map_err(|_| refusal(400, "key: too long"))?,
            None => ApiKey::new(&draw(self.gateway)?).unwrap_or(ApiKey::EMPTY),
        };
        if key.is_empty() || !key.as_str().bytes().all(|it| it.is_ascii_graphic()) {
            return Err(refusal(400, "key: letters, digits and signs without blanks"));
        }
        let account = find(&*self.core()?, name)?.name;
        if self.core()?.accounts.keys.contains_key(&key) {
            return Err(refusal(409, "this key exists; delete it first"));
        }
        let (kind, material, drawn) = match (&asked.public_key, &asked.secret) {
            (Some(_), Some(_)) => return Err(refusal(400, "publicKey or secret, not both")),
            (Some(public), None) => {
                let parsed = parse_public_key(public);
                let (kind, spki) =
                    parsed.map_err(|error| refusal(400, format!("publicKey: {error}")))?;
                (kind, spki, None)
            }
            (None, secret) => {
                let (secret, drawn) = match secret {
                    Some(secret) if secret.is_empty() => return Err(refusal(400, "secret: empty")),
                    Some(secret) => (secret.clone(), None),
                    None => {
                        let drawn = draw(self.gateway)?;
                        (drawn.clone(), Some(drawn))
                    }
                };
                let sealed = host.seal(&key, secret.as_bytes());
                (KeyKind::Hmac, sealed.map_err(|error| refusal(500, error))?, drawn)
            }
        };
        if let Some(word) = asked.kind.filter(|word| !word.eq_ignore_ascii_case(kind.as_str())) {
            let text = format!("kind is {word}, but what came with it is of {kind}");
            return Err(refusal(400, text));
        }
        let permissions = match &asked.permissions {
            Some(words) => bits(words, &KEY_PERMISSIONS)?,
            None => KEY_PERMISSIONS_DEFAULT,
        };
        let material = Bytes::new(&material)
            .map_err(|_| refusal(400, "the secret or public key is too long"))?;
        let envelope = Envelope::INTERNAL;
        self.done(AddKey { envelope, account, key, kind, permissions, material }).await?;
        let core = self.core()?;
        let added = core.accounts.keys.get(&key).ok_or_else(ApiError::timeout)?;
        Ok(object(|json| {
            write_key(json, &core, &key, added);
            if let Some(secret) = &drawn {
                json.text_field("secret", secret);
            }
        }))
    }

    async fn change_key(&self, key: &str) -> Answered {
        let asked: KeyTerms = self.read()?;
        let permissions = bits(&asked.permissions, &KEY_PERMISSIONS)?;
        let command = {
            let core = self.core()?;
            let (key, it) = find_key(&core, key)?;
            let account = core.accounts.account(it.account).map(|account| account.name);
            AddKey {
                envelope: Envelope::INTERNAL,
                account: account.unwrap_or(AccountName::EMPTY),
                key,
                kind: it.kind,
                permissions,
                material: it.material,
            }
        };
        self.done(command).await
    }

    async fn remove_key(&self, key: &str) -> Answered {
        let key = find_key(&*self.core()?, key)?.0;
        self.done(RemoveKey { envelope: Envelope::INTERNAL, key }).await
    }

    async fn transfer(&self, direction: TransferDirection) -> Answered {
        let asked: Moved = self.read()?;
        let transfer = match &asked.id {
            Some(id) => TransferId::new(id).map_err(|_| refusal(400, "id: too long"))?,
            None => TransferId::new(&draw(self.gateway)?).unwrap_or(TransferId::EMPTY),
        };
        let amount = Amount::parse(&asked.amount)
            .map_err(|error| refusal(400, format!("amount: {error}")))?;
        let account = account_name(&asked.account)?;
        let asset = AssetName::new(&asked.asset).map_err(|_| refusal(404, "no such asset"))?;
        let envelope = Envelope::INTERNAL;
        self.done(Transfer { envelope, transfer, account, asset, direction, amount }).await?;
        Ok(object(|json| {
            json.text_field("id", transfer.as_str());
            json.text_field("account", account.as_str());
            json.text_field("asset", asset.as_str());
            json.decimal_field("amount", amount);
        }))
    }

    fn instruments(&self) -> Answered {
        let core = self.core()?;
        Ok(list(|json| {
            for instrument in core.market.instruments() {
                json.object(|json| {
                    json.text_field("symbol", instrument.definition.symbol.as_str());
                    json.text_field("status", instrument.definition.status.as_str());
                });
            }
        }))
    }

    async fn set_status(&self, symbol: &str) -> Answered {
        let asked: NewStatus = self.read()?;
        let status = InstrumentStatus::parse(&asked.status).ok_or_else(|| {
            let words: Vec<&str> = InstrumentStatus::ALL.iter().map(|it| it.as_str()).collect();
            refusal(400, format!("status: one of {}", words.join(", ")))
        })?;
        let symbol = Symbol::new(symbol).map_err(|_| refusal(404, "no such symbol"))?;
        self.done(SetInstrumentStatus { envelope: Envelope::INTERNAL, symbol, status }).await
    }

    /// Cancels open orders: of an account, on a symbol, or all there are.
    async fn cancel_all(&self) -> Answered {
        let open = {
            let core = self.core()?;
            let (account, symbol) = (self.asked("account")?, self.asked("symbol")?);
            let account = account.map(|name| find(&core, &name).map(|it| it.id)).transpose()?;
            let find_symbol = |symbol: String| {
                let found = core.market.by_symbol(&symbol).map(|it| it.id);
                found.ok_or_else(|| refusal(404, "no such symbol"))
            };
            let instrument = symbol.map(find_symbol).transpose()?;
            with_open_orders(&core, account, instrument)
        };
        let mut canceled = 0usize;
        for (account, instrument, count) in open {
            let envelope = Envelope::INTERNAL;
            let command = CancelAllOrders { envelope, account, instrument };
            match self.submit(command, Expect::CancelAll).await {
                Ok(_) => canceled += count,
                // Its orders ended meanwhile.
                Err(error) if error.code == -2011 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(object(|json| json.number_field("canceled", canceled as u64)))
    }

    fn asked(&self, name: &str) -> Result<Option<String>, ApiError> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(key, _)| *key == name);
        found.map(|(_, value)| decode(value).map(|it| it.into_owned())).transpose()
    }

    fn snapshot(&self) -> Answered {
        self.gateway.host.request_snapshot();
        Ok(object(|json| json.flag_field("requested", true)))
    }

    fn bans(&self) -> String {
        let core = self.gateway.core();
        list(|json| {
            for (client, until) in core.limits.usage.bans(core.now()) {
                json.object(|json| {
                    json.text_field("client", &client.to_string());
                    json.time_field("until", until);
                });
            }
        })
    }

    fn lift(&self, client: &str) -> Answered {
        let mut core = self.gateway.core();
        let bans = core.limits.usage.bans(core.now());
        let found = bans.iter().find(|(it, _)| it.to_string() == client);
        let (client, _) = found.ok_or_else(|| refusal(404, "no such ban"))?;
        core.limits.usage.lift(client);
        Ok("{}".to_owned())
    }
}

/// Accounts and instruments with open orders, and how many.
fn with_open_orders(
    core: &Core,
    account: Option<AccountId>,
    instrument: Option<InstrumentId>,
) -> Vec<(AccountId, InstrumentId, usize)> {
    let accounts = core.accounts.iter().filter(|it| account.is_none_or(|id| id == it.id));
    let of = |it: &Account| {
        let all = core.market.instruments().map(|it| it.id).collect::<Vec<_>>();
        let wanted = all.into_iter().filter(|id| instrument.is_none_or(|only| only == *id));
        let count = |id| it.on(id).map_or(0, |activity| activity.open_count());
        wanted.map(|id| (it.id, id, count(id))).filter(|it| it.2 > 0).collect::<Vec<_>>()
    };
    accounts.flat_map(of).collect()
}

fn account_name(text: &str) -> Result<AccountName, ApiError> {
    match AccountName::new(text) {
        Ok(name) if is_plain_name(text) => Ok(name),
        _ => Err(refusal(400, "name: 1 to 32 bytes without blanks, slashes or control characters")),
    }
}

/// What the configuration takes as a name.
fn is_plain_name(text: &str) -> bool {
    let is_odd = |it: char| it.is_whitespace() || it.is_control() || it == '/';
    !text.is_empty() && !text.contains(is_odd)
}

fn find<'c>(core: &'c Core, name: &str) -> Result<&'c Account, ApiError> {
    core.accounts.by_name(name).ok_or_else(|| refusal(404, "no such account"))
}

fn find_key<'c>(core: &'c Core, text: &str) -> Result<(ApiKey, &'c Key), ApiError> {
    let key = ApiKey::new(text).ok();
    let found = key.and_then(|key| Some((key, core.accounts.keys.get(&key)?)));
    found.ok_or_else(|| refusal(404, "no such key"))
}

/// A key or secret of 64 letters and digits.
fn draw(gateway: &Gateway) -> Result<String, ApiError> {
    let mut bytes = [0u8; DRAWN_LENGTH];
    gateway.host.random(&mut bytes).map_err(|error| refusal(500, error))?;
    Ok(bytes.iter().map(|byte| char::from(KEY_CHARACTERS[usize::from(byte & 63)])).collect())
}

const ACCOUNT_PERMISSIONS: [(&str, u8); 3] = [
    ("TRADE", account_permission::TRADE),
    ("DEPOSIT", account_permission::DEPOSIT),
    ("WITHDRAW", account_permission::WITHDRAW),
];
const KEY_PERMISSIONS: [(&str, u8); 3] = [
    ("TRADE", key_permission::TRADE),
    ("USER_DATA", key_permission::USER_DATA),
    ("UNLIMITED", key_permission::UNLIMITED),
];

fn bits(words: &[String], table: &[(&str, u8)]) -> Result<u8, ApiError> {
    words.iter().try_fold(0, |bits, word| match table.iter().find(|(name, _)| name == word) {
        Some((_, bit)) => Ok(bits | bit),
        None => {
            let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
            Err(refusal(400, format!("permissions: of {}", names.join(", "))))
        }
    })
}

fn write_words(json: &mut Json, name: &str, bits: u8, table: &[(&str, u8)]) {
    json.array_field(name, |json| {
        table.iter().filter(|(_, bit)| bits & bit != 0).for_each(|(name, _)| json.text(name));
    });
}

fn write_account(json: &mut Json, core: &Core, account: &Account) {
    json.text_field("name", account.name.as_str());
    json.number_field("uid", account.id.0);
    json.number_field("tradeGroup", account.trade_group);
    write_words(json, "permissions", account.permissions, &ACCOUNT_PERMISSIONS);
    json.number_field("openOrders", account.open().len() as u64);
    json.array_field("balances", |json| {
        for (asset, balance) in &account.balances {
            json.object(|json| {
                let name = core.market.asset(*asset).map_or("", |name| name.as_str());
                json.text_field("asset", name);
                json.decimal_field("free", balance.free);
                json.decimal_field("locked", balance.locked);
            });
        }
    });
}

fn write_key(json: &mut Json, core: &Core, key: &ApiKey, it: &Key) {
    json.text_field("key", key.as_str());
    let owner = core.accounts.account(it.account);
    json.text_field("account", owner.map_or("", |account| account.name.as_str()));
    json.text_field("kind", it.kind.as_str());
    write_words(json, "permissions", it.permissions, &KEY_PERMISSIONS);
    json.time_field("added", it.added);
    json.flag_field("isUsable", it.verifier.is_some());
}
