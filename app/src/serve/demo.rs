//! The demo: a small venue, its accounts, and keys that are drawn at the first start.
//!
//! Secrets live in the log, sealed like any other; `demo.env` is written anew at each start.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clients::Credentials;
use protocol::command::{AccountName, AddKey, ApiKey, key_permission};
use protocol::{Bytes, Command, Envelope, KeyKind};

use crate::config::{self, Config, VenueState};
use crate::seal::{Sealer, random_bytes};

/// The venue of the demo, as a configuration file.
const VENUE: &str = include_str!("demo.toml");
/// The symbol that no bot trades.
pub(super) const QUIET_SYMBOL: &str = "LTCUSDT";
const FILE_NAME: &str = "demo.env";
const TOKEN_FILE_NAME: &str = "admin.token";

/// Whose keys the demo has, and whether rate limits count for them.
const USERS: [(&str, bool); 5] = [
    ("demo-a", false),
    ("demo-b", false),
    ("demo-maker", true),
    ("demo-noise", true),
    ("demo-taker", true),
];

/// The keys of the demo's accounts.
#[derive(Debug)]
pub(super) struct Keys {
    pub a: Credentials,
    pub b: Credentials,
    pub maker: Credentials,
    pub noise: Credentials,
    pub taker: Credentials,
}

/// The configuration of the demo's venue; its local settings are the defaults.
pub(super) fn configuration() -> Result<Config> {
    Ok(config::parse(VENUE, "the demo's venue")?)
}

/// Keys that are missing, as commands.
pub(super) fn missing_keys(state: &VenueState, sealer: &Sealer) -> Result<Vec<Command>> {
    let mut commands = Vec::new();
    for (name, is_unlimited) in USERS {
        if key_of(state, name).is_some() {
            continue;
        }
        let key = ApiKey::new(&draw()?).context("a key of 64 letters")?;
        let sealed = sealer.seal(draw()?.as_bytes(), key.as_bytes())?;
        let both = key_permission::TRADE | key_permission::USER_DATA;
        let unlimited = if is_unlimited { key_permission::UNLIMITED } else { 0 };
        let command = AddKey {
            envelope: Envelope::INTERNAL,
            account: AccountName::new(name).context("the name of a demo account")?,
            key,
            kind: KeyKind::Hmac,
            permissions: both | unlimited,
            material: Bytes::new(&sealed).context("a sealed secret")?,
        };
        commands.push(command.into());
    }
    Ok(commands)
}

/// The first HMAC key of an account and its sealed secret.
fn key_of<'s>(state: &'s VenueState, name: &str) -> Option<(&'s ApiKey, &'s [u8])> {
    let account = state.accounts.get(&AccountName::new(name).ok()?)?.id;
    let of_account =
        |it: &config::state::KeyState| it.account == account && it.kind == KeyKind::Hmac;
    let (key, found) = state.keys.iter().find(|(_, it)| of_account(it))?;
    Some((key, found.material.as_bytes()))
}

/// The keys as they stand.
pub(super) fn keys(state: &VenueState, sealer: &Sealer) -> Result<Keys> {
    let open = |name: &str| {
        let (key, sealed) = key_of(state, name)
            .with_context(|| format!("account {name} has no key: is this the demo's folder?"))?;
        let secret = sealer.unseal(sealed, key.as_bytes())?;
        let secret = std::str::from_utf8(secret.as_bytes()).context("a secret that is no text")?;
        anyhow::Ok(Credentials::new(key.as_str(), secret))
    };
    Ok(Keys {
        a: open("demo-a")?,
        b: open("demo-b")?,
        maker: open("demo-maker")?,
        noise: open("demo-noise")?,
        taker: open("demo-taker")?,
    })
}

/// 64 letters and digits.
fn draw() -> Result<String> {
    const CHARACTERS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab";
    let bytes: [u8; 64] = random_bytes()?;
    Ok(bytes.iter().map(|byte| char::from(CHARACTERS[usize::from(byte & 63)])).collect())
}

/// The admin token of a folder; drawn the first time.
pub(super) fn admin_token(data: &Path) -> Result<String> {
    let path = data.join(TOKEN_FILE_NAME);
    match fs::read_to_string(&path) {
        Ok(token) if !token.trim().is_empty() => Ok(token.trim().to_owned()),
        Ok(_) | Err(_) => {
            let token = draw()?;
            write_private(&path, &format!("{token}\n"))?;
            Ok(token)
        }
    }
}

/// Writes `demo.env`, ready to be sourced; gives its path.
pub(super) fn write_env(
    data: &Path,
    address: &str,
    keys: &Keys,
    reference_price: &str,
    admin_token: &str,
) -> Result<PathBuf> {
    let path = data.join(FILE_NAME);
    let lines = [
        ("BASE_HTTP", format!("http://{address}")),
        ("BASE_WS", format!("ws://{address}")),
        ("KEY_A", keys.a.key.clone()),
        ("SECRET_A", keys.a.secret.clone()),
        ("KEY_B", keys.b.key.clone()),
        ("SECRET_B", keys.b.secret.clone()),
        ("SYMBOL", QUIET_SYMBOL.to_owned()),
        ("REF_PRICE", reference_price.to_owned()),
        ("ADMIN_TOKEN", admin_token.to_owned()),
    ];
    let text: String = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    write_private(&path, &text)?;
    Ok(path)
}

/// Writes a file that only its owner may read; it is whole or not there.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let scratch = path.with_extension("new");
    let what = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&scratch)
        .with_context(what)?;
    // A file that was there keeps its mode when it is opened.
    file.set_permissions(fs::Permissions::from_mode(0o600)).with_context(what)?;
    file.write_all(text.as_bytes()).with_context(what)?;
    file.sync_all().with_context(what)?;
    fs::rename(&scratch, path).with_context(what)
}
