//! Where a value came from, and what is wrong with it there.

use std::fmt;
use std::sync::Arc;

/// A place in a file; line and column from 1, columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File(Place),
    /// A variable, by its name.
    Environment(String),
    /// A setting given on the command line, by its key.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(place) => write!(f, "{}:{}:{}", place.file, place.line, place.column),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::Flag(key) => write!(f, "flag {key}"),
        }
    }
}

impl Source {
    /// As printed, without the column.
    pub(crate) fn short(&self) -> String {
        match self {
            Source::File(place) => format!("{}:{}", place.file, place.line),
            other => other.to_string(),
        }
    }
}

/// One thing that is wrong: `FILE:LINE:COLUMN: what; allowed: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The place, or the name of the file as a whole.
    pub place: String,
    pub what: String,
    /// Empty where there is nothing to choose from.
    pub allowed: String,
}

impl ConfigError {
    pub(crate) fn new(
        place: impl fmt::Display,
        what: impl Into<String>,
        allowed: impl Into<String>,
    ) -> ConfigError {
        ConfigError { place: place.to_string(), what: what.into(), allowed: allowed.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        match self.allowed.is_empty() {
            true => Ok(()),
            false => write!(f, "; allowed: {}", self.allowed),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A value in force, for `config show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Dotted: `log.durability`, `instrument.BTCUSDT.price_filter.tick_size`.
    pub key: String,
    /// As TOML; secrets are `***`.
    pub value: String,
    pub source: Source,
}
