//! `outcry feed …`: books of other venues, live and from recordings.

mod expect;
mod record;
pub mod replay;
pub(crate) mod serving;
mod table;
mod watch;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use feed::session::SessionOptions;
use feed::shell::clock::now_ns;
use feed::shell::http::HttpOptions;
use feed::shell::net::NetOptions;
use feed::shell::venues::{VENUE_NAMES, VenueSettings, venue};
use feed::shell::{FeedOptions, Listener, Market};
use marketdata::FEED_SOURCES_MAX;

use crate::simulate::Orders;
pub use expect::Judge;
pub use record::{Record, record};
pub use replay::{Replay, replay};
pub use watch::{Watch, watch};

/// How often a run looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Subcommand)]
pub enum Feed {
    /// Keep exact books of live venues, and show them
    Watch(Watch),
    /// Store raw messages of live venues with their receive times
    Record(Record),
    /// Play recordings back, and compare with what is known of them
    Replay(Replay),
}

/// Which venues, and how they are reached.
#[derive(Debug, Clone, Args)]
pub struct Venues {
    /// binance, binance-usdm, bitget, bitget-usdt-futures, bitget-coin-futures,
    /// bitget-usdc-futures; may be repeated
    #[arg(long = "venue", value_name = "VENUE", required = true)]
    venues: Vec<String>,
    /// Symbol as the venue writes it, of all venues, or `VENUE:SYMBOL` of one; may be repeated
    #[arg(long = "symbol", value_name = "SYMBOL", required = true)]
    symbols: Vec<String>,
    /// Where a venue's streams are, `ws://…` or `wss://…`; `VENUE=URL` where there are several venues
    #[arg(long, value_name = "URL")]
    ws_url: Vec<String>,
    /// Where a venue's REST API is, `http://…` or `https://…`; `VENUE=URL` likewise
    #[arg(long, value_name = "URL")]
    rest_url: Vec<String>,
    /// Go through this proxy (CONNECT): `http://[user:password@]host:port`
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Trust these certificates, too (PEM)
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    /// Binance: levels a side of a snapshot
    #[arg(long, value_name = "LEVELS")]
    snapshot_levels: Option<u32>,
    /// Levels a side that are kept of a book; 0: all that the venue sends
    #[arg(long, value_name = "LEVELS")]
    levels_max: Option<usize>,
    /// Bitget: v2 or v3
    #[arg(long, value_name = "VERSION")]
    bitget_version: Option<String>,
    /// Bitget: books, books1, books5 or books15
    #[arg(long, value_name = "CHANNEL")]
    bitget_channel: Option<String>,
    /// End after so many seconds; without it, when told to
    #[arg(long)]
    seconds: Option<u64>,
}

impl Venues {
    fn options(&self) -> Result<FeedOptions> {
        for name in &self.venues {
            let known = VENUE_NAMES.contains(&name.as_str());
            ensure!(known, "--venue {name} is none of {}", VENUE_NAMES.join(", "));
        }
        let (ws_urls, rest_urls) =
            (self.of_venues("ws-url", &self.ws_url)?, self.of_venues("rest-url", &self.rest_url)?);
        self.check_symbols()?;
        let mut markets = Vec::new();
        for (at, name) in self.venues.iter().enumerate() {
            ensure!(!self.venues[..at].contains(name), "--venue {name} is given twice");
            let settings = VenueSettings {
                ws_url: ws_urls.get(name.as_str()).cloned(),
                rest_url: rest_urls.get(name.as_str()).cloned(),
                snapshot_levels: self.snapshot_levels,
                version: self.bitget_version.clone(),
                channel: self.bitget_channel.clone(),
            };
            let symbols = self.symbols_of(name);
            ensure!(!symbols.is_empty(), "--venue {name} has no --symbol");
            markets.push(Market { venue: venue(name, &settings)?, symbols });
        }
        let count: usize = markets.iter().map(|it| it.symbols.len()).sum();
        ensure!(
            count <= FEED_SOURCES_MAX as usize,
            "at most {FEED_SOURCES_MAX} books, not {count}"
        );
        Ok(FeedOptions {
            markets,
            session: self.session(),
            net: NetOptions {
                proxy: self.proxy.clone(),
                certificates: self.certificates.clone(),
                ..NetOptions::default()
            },
            http: HttpOptions::default(),
            backoff: feed::shell::backoff::BackoffOptions::default(),
            seed: now_ns() ^ u64::from(std::process::id()),
        })
    }

    fn session(&self) -> SessionOptions {
        let default = SessionOptions::default();
        SessionOptions { depth_max: self.levels_max.unwrap_or(default.depth_max), ..default }
    }

    fn symbols_of(&self, venue: &str) -> Vec<String> {
        let mut symbols: Vec<String> = Vec::new();
        for text in &self.symbols {
            let (of, symbol) = match text.split_once(':') {
                Some((of, symbol)) => (Some(of), symbol),
                None => (None, text.as_str()),
            };
            let symbol = symbol.to_uppercase();
            if of.is_none_or(|of| of == venue) && !symbols.contains(&symbol) {
                symbols.push(symbol);
            }
        }
        symbols
    }

    fn check_symbols(&self) -> Result<()> {
        for text in &self.symbols {
            let (of, symbol) = text.split_once(':').unwrap_or(("", text));
            let known = of.is_empty() || self.venues.iter().any(|it| it == of);
            ensure!(known, "--symbol {text}: there is no --venue {of}");
            let good = symbol.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it));
            ensure!(good && (1..=32).contains(&symbol.len()), "--symbol {text} is no symbol");
        }
        Ok(())
    }

    /// `URL` of the only venue, or `VENUE=URL`.
    fn of_venues(&self, option: &str, given: &[String]) -> Result<BTreeMap<&str, String>> {
        let mut urls = BTreeMap::new();
        for text in given {
            let (name, url) = match (text.split_once('='), self.venues.as_slice()) {
                (Some((name, url)), _) if VENUE_NAMES.contains(&name) => (name, url),
                (_, [only]) => (only.as_str(), text.as_str()),
                _ => bail!("--{option} {text}: say of which venue, as VENUE=URL"),
            };
            let known = self.venues.iter().find(|it| *it == name);
            let known =
                known.with_context(|| format!("--{option} {text}: there is no --venue {name}"))?;
            ensure!(url.contains("://"), "--{option} {text} is no URL");
            if urls.insert(known.as_str(), url.to_owned()).is_some() {
                bail!("--{option} is given twice for {name}");
            }
        }
        Ok(urls)
    }
}

/// Feeds the listener until it is told to stop, or the time is over. Gives the listener back.
fn run<L: Listener + 'static>(venues: &Venues, listener: L, orders: &Orders) -> Result<L> {
    let options = venues.options()?;
    let until = venues.seconds.map(|it| Instant::now() + Duration::from_secs(it));
    let listener = Rc::new(RefCell::new(listener));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared: Rc<RefCell<dyn Listener>> = Rc::<RefCell<L>>::clone(&listener);
    runtime.block_on(async {
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let look = async {
            while !orders.stop.load(Ordering::Acquire) && until.is_none_or(|it| Instant::now() < it)
            {
                tokio::time::sleep(LOOK).await;
            }
            stop.send_replace(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = feed::shell::run(options, shared, stopping) => ended.map_err(|it| anyhow!(it)),
            () = look => Ok(()),
        }
    })?;
    // Tasks that still had it are gone with the runtime.
    drop(runtime);
    let listener = Rc::try_unwrap(listener).ok().context("the feed has not ended")?;
    Ok(listener.into_inner())
}
