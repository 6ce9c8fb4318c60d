//! Venues by name, as people and configuration files name them.

use std::fmt;
use std::sync::Arc;

use crate::adapter::Venue;
use crate::binance::Binance;
use crate::bitget::{Bitget, Channel, Product, Version};

/// The names: a venue alone is its spot market.
pub const VENUE_NAMES: [&str; 6] = [
    "binance",
    "binance-usdm",
    "bitget",
    "bitget-usdt-futures",
    "bitget-coin-futures",
    "bitget-usdc-futures",
];

/// Other settings of a venue than its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VenueSettings {
    pub ws_url: Option<String>,
    pub rest_url: Option<String>,
    /// Binance: levels a side of a snapshot.
    pub snapshot_levels: Option<u32>,
    /// Bitget: `v2` or `v3`.
    pub version: Option<String>,
    /// Bitget: `books`, `books1`, `books5` or `books15`.
    pub channel: Option<String>,
}

/// A setting that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVenue {
    what: &'static str,
    found: String,
    known: String,
}

impl fmt::Display for UnknownVenue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` is none of {}", self.what, self.found, self.known)
    }
}

impl std::error::Error for UnknownVenue {}

/// Finds a venue.
pub fn venue(name: &str, settings: &VenueSettings) -> Result<Arc<dyn Venue>, UnknownVenue> {
    let binance = |market: Binance| -> Result<Arc<dyn Venue>, UnknownVenue> {
        let market = market.at(settings.ws_url.as_deref(), settings.rest_url.as_deref());
        Ok(match settings.snapshot_levels {
            Some(levels) => Arc::new(market.with_snapshot_levels(levels)),
            None => Arc::new(market),
        })
    };
    match name {
        "binance" => binance(Binance::spot()),
        "binance-usdm" => binance(Binance::usdm()),
        "bitget" => bitget(Product::Spot, settings),
        "bitget-usdt-futures" => bitget(Product::UsdtFutures, settings),
        "bitget-coin-futures" => bitget(Product::CoinFutures, settings),
        "bitget-usdc-futures" => bitget(Product::UsdcFutures, settings),
        _ => Err(unknown("venue", name, &VENUE_NAMES)),
    }
}

fn bitget(product: Product, settings: &VenueSettings) -> Result<Arc<dyn Venue>, UnknownVenue> {
    let version = match settings.version.as_deref() {
        None | Some("v2") => Version::V2,
        Some("v3") => Version::V3,
        Some(other) => return Err(unknown("version", other, &["v2", "v3"])),
    };
    let channel = match settings.channel.as_deref() {
        None | Some("books") => Channel::Books,
        Some("books1") => Channel::Books1,
        Some("books5") => Channel::Books5,
        Some("books15") => Channel::Books15,
        Some(other) => {
            return Err(unknown("channel", other, &["books", "books1", "books5", "books15"]));
        }
    };
    Ok(Arc::new(Bitget::new(version, product, channel).at(settings.ws_url.as_deref())))
}

fn unknown(what: &'static str, found: &str, known: &[&str]) -> UnknownVenue {
    UnknownVenue { what, found: found.to_owned(), known: known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_venue_and_another_is_refused() {
        for name in VENUE_NAMES {
            let venue = venue(name, &VenueSettings::default()).unwrap();
            assert_eq!(name.split('-').next(), Some(venue.name()));
        }
        let wrong = |name, settings: &VenueSettings| venue(name, settings).unwrap_err().to_string();
        let none = VenueSettings::default();
        assert!(wrong("kraken", &none).starts_with("venue `kraken` is none of binance, "));
        let version = VenueSettings { version: Some("v4".into()), ..none.clone() };
        assert_eq!(wrong("bitget", &version), "version `v4` is none of v2, v3");
        let channel = VenueSettings { channel: Some("books7".into()), ..none };
        assert!(wrong("bitget", &channel).starts_with("channel `books7` is none of books, "));
    }

    #[test]
    fn addresses_can_be_others() {
        let (ws_url, rest_url) =
            (Some("ws://127.0.0.1:1".into()), Some("http://127.0.0.1:1".into()));
        let settings = VenueSettings { ws_url, rest_url, ..VenueSettings::default() };
        let venue = venue("binance", &settings).unwrap();
        assert!(venue.connect_url(&["BTCUSDT".into()]).starts_with("ws://127.0.0.1:1/stream"));
    }
}
