//! Accounts, their keys and their money.

use protocol::command::*;
use protocol::instrument::AssetName;
use protocol::{Bytes, Envelope, KeyKind, TransferDirection};
use serde::Deserialize;

use super::{Admin, Answered, amount, find, list, object, refusal};
use crate::accounts::{Account, Key};
use crate::core::Core;
use crate::error::ApiError;
use crate::gateway::Gateway;
use crate::json::Json;
use crate::signature::parse_public_key;

const KEY_CHARACTERS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab";
/// Length of keys and secrets that are drawn here, as the venue has them.
const DRAWN_LENGTH: usize = 64;
/// What a key may do when nothing is said.
const KEY_PERMISSIONS_DEFAULT: u8 = key_permission::TRADE | key_permission::USER_DATA;

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

impl Admin<'_> {
    pub(super) fn accounts(&self) -> Answered {
        let core = self.core()?;
        Ok(list(|json| {
            core.accounts.iter().for_each(|it| json.object(|json| write_account(json, &core, it)));
        }))
    }

    pub(super) fn account(&self, name: &str) -> Answered {
        let core = self.core()?;
        let account = find(&core, name)?;
        Ok(object(|json| write_account(json, &core, account)))
    }

    pub(super) async fn define_account(&self) -> Answered {
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

    pub(super) async fn change_account(&self, name: &str) -> Answered {
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

    pub(super) fn keys(&self, of: Option<&str>) -> Answered {
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
    pub(super) async fn add_key(&self, name: &str) -> Answered {
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

    pub(super) async fn change_key(&self, key: &str) -> Answered {
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

    pub(super) async fn remove_key(&self, key: &str) -> Answered {
        let key = find_key(&*self.core()?, key)?.0;
        self.done(RemoveKey { envelope: Envelope::INTERNAL, key }).await
    }

    pub(super) async fn transfer(&self, direction: TransferDirection) -> Answered {
        let asked: Moved = self.read()?;
        let transfer = match &asked.id {
            Some(id) => TransferId::new(id).map_err(|_| refusal(400, "id: too long"))?,
            None => TransferId::new(&draw(self.gateway)?).unwrap_or(TransferId::EMPTY),
        };
        let amount = amount("amount", &asked.amount)?;
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
