//! The configuration: local settings, and the venue as it should be.
//!
//! Layers, the later wins: defaults, the file, the environment (`OUTCRY_LOG_DURABILITY`), flags. The
//! environment and flags reach the local settings only. The venue enters the log as commands: what
//! they would be is what [`plan`] tells, against the state that the event log gives ([`state`]).
//! docs/configuration.md lists every key.

mod key;
pub mod local;
pub mod plan;
mod reader;
mod rules;
mod source;
pub mod state;
pub mod venue;

#[cfg(test)]
mod tests;

pub use key::{Material, SECRET_LENGTH_MAX};
pub use local::{Durability, Fused, Local, SETTINGS, Waiting};
pub use plan::{Plan, PlanError, plan};
pub use source::{ConfigError, Effective, Place, Source};
pub use state::VenueState;
pub use venue::{Account, Deposit, Fees, Instrument, Key, Limits, RateLimit, Risk, Venue};

use local::Layers;
use reader::{Document, Section};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The largest configuration file.
pub const CONFIG_BYTES_MAX: u64 = 64 << 20;

/// A configuration that was read whole and makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How this process runs. Never influences an event.
    pub local: Local,
    /// What enters the log as commands.
    pub venue: Venue,
    effective: Vec<Effective>,
}

/// Reads one file, without environment and flags; `name` is what messages call it.
///
/// Touches nothing outside: a key that names another file is refused.
pub fn parse(text: &str, name: &str) -> Result<Config, ConfigError> {
    let refuse = |path: &Path| Err(format!("{} cannot be read from here", path.display()));
    read(Some((text, name)), [], &[], &refuse)
}

/// Reads the layers: the file if there is one, the environment ([`environment`]), and flags as (key, value): `("log.durability", "sync")`.
///
/// Paths in the file are relative to the file.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> Result<Config, ConfigError> {
    let Some(path) = file else {
        return read(None, variables, flags, &|_| Err("no file".to_string()));
    };
    let name = path.display().to_string();
    let bytes = read_bounded(path, CONFIG_BYTES_MAX)
        .map_err(|what| ConfigError::new(&name, what, "a TOML file (docs/configuration.md)"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let place = Document::new(&name, &good).source(good.len());
        ConfigError::new(place, "not UTF-8", "a TOML file in UTF-8")
    })?;
    let folder: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let read_file = |named: &Path| {
        let path = folder.join(named);
        read_bounded(&path, gateway::exchange_info::EXCHANGE_INFO_BYTES_MAX)
            .map_err(|what| format!("{}: {what}", path.display()))
    };
    read(Some((&text, &name)), variables, flags, &read_file)
}

/// The variables of this process that begin with `OUTCRY_`.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("OUTCRY_"))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
}

fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(max.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read: {error}"))?;
    match bytes.len() as u64 > max {
        true => Err(format!("larger than {max} bytes")),
        false => Ok(bytes),
    }
}

fn read(
    file: Option<(&str, &str)>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: &[(String, String)],
    read_file: venue::ReadFile<'_>,
) -> Result<Config, ConfigError> {
    let mut layers = Layers::new();
    let mut venue = venue::default_venue();
    let mut noted = Vec::new();
    if let Some((text, name)) = file {
        let document = Document::new(name, text.strip_prefix('\u{feff}').unwrap_or(text));
        let table = document.parse()?;
        let mut top = Section::top(&document, &table);
        layers.file(&mut top)?;
        venue = venue::read(&mut top, read_file)?;
        top.finish()?;
        noted = document.into_noted();
    }
    layers.environment(variables)?;
    layers.flags(flags)?;
    let (local, mut effective) = layers.finish();
    effective.append(&mut noted);
    for limit in venue.rate_limits.iter().filter(|limit| limit.source == Source::Default) {
        let (kind, interval, count) = limit.id;
        effective.push(Effective {
            key: format!("rate_limit.{kind}.{count}_{interval}.limit"),
            value: limit.limit.to_string(),
            source: Source::Default,
        });
    }
    Ok(Config { local, venue, effective })
}

impl Config {
    /// Every value in force. Secrets are `***`.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// Writes `key = value` lines, with where each came from if asked.
    pub fn show(&self, with_origin: bool, out: &mut dyn Write) -> io::Result<()> {
        let width =
            self.effective.iter().map(|it| it.key.len() + it.value.len()).filter(|it| *it < 60);
        let width = width.max().unwrap_or(0) + 3;
        for Effective { key, value, source } in &self.effective {
            let line = format!("{key} = {value}");
            match with_origin {
                true => writeln!(out, "{line:width$}  # {}", source.short())?,
                false => writeln!(out, "{line}")?,
            }
        }
        Ok(())
    }
}
