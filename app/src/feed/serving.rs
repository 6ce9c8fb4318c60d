//! The feed that `serve` keeps by itself, on a thread of its own.

use std::path::Path;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use feed::log::{FeedLog, FeedLogOptions};
use feed::shell::clock::now_ns;
use feed::shell::{Failure, Listener};
use protocol::{FeedEvent, SECOND_NS};

use super::Venues;
use crate::config::local::FeedSettings;
use crate::simulate::Orders;

/// Notes are printed no more often than so many in so long; the others are counted.
const NOTES_MAX: u32 = 20;
const NOTES_IN_NS: u64 = 60 * SECOND_NS;

/// A feed whose log is ours and that does not run yet.
pub(crate) struct Keeper {
    venues: Venues,
    log: FeedLog,
}

impl Keeper {
    /// Takes the feed's log, if the configuration names something to feed.
    ///
    /// Errors: settings that do not fit together; another process writes the log.
    pub(crate) fn open(data: &Path, settings: &FeedSettings) -> Result<Option<Keeper>> {
        if settings.sources.is_empty() {
            return Ok(None);
        }
        let venues = Venues::configured(settings);
        // Before a log is begun.
        venues.options().context("[feed]")?;
        let options = FeedLogOptions {
            segment_bytes: settings.log_segment_bytes,
            log_bytes: settings.log_bytes_max,
        };
        let log = FeedLog::open(data, &options, now_ns()).with_context(|| {
            format!(
                "cannot write the feed's log in {}: end the process that writes it, or leave \
                 feed.sources empty to serve what it writes",
                data.display()
            )
        })?;
        if let Some(why) = log.discarded() {
            eprintln!("outcry: the feed's log was damaged and is begun anew: {why}");
        }
        Ok(Some(Keeper { venues, log }))
    }

    pub(crate) fn start(self) -> Result<Keeping> {
        let Keeper { venues, log } = self;
        let orders = Orders::default();
        let ours = Orders { stop: orders.stop.clone(), snapshot: orders.snapshot.clone() };
        let listener = Telling { log, noted: 0, left_out: 0, since_ns: now_ns(), is_full: false };
        let run = move || {
            let ended = super::run(&venues, listener, &ours).map(drop);
            if let Err(error) = &ended {
                eprintln!("outcry: the feed has ended, the exchange goes on: {error:#}");
            }
            ended
        };
        let thread = std::thread::Builder::new().name("feed".to_owned()).spawn(run);
        Ok(Keeping { thread: thread.context("cannot start a thread")?, orders })
    }
}

impl Venues {
    /// As `[feed]` of the configuration has it.
    fn configured(settings: &FeedSettings) -> Venues {
        let mut venues: Vec<String> = Vec::new();
        for (venue, _) in settings.sources.iter().filter_map(|it| it.split_once(':')) {
            if !venues.iter().any(|it| it == venue) {
                venues.push(venue.to_owned());
            }
        }
        Venues {
            venues,
            symbols: settings.sources.clone(),
            ws_url: settings.ws_urls.clone(),
            rest_url: settings.rest_urls.clone(),
            proxy: settings.proxy.clone(),
            certificates: settings.certificates.clone(),
            snapshot_levels: None,
            levels_max: Some(settings.levels_max),
            bitget_version: None,
            bitget_channel: None,
            seconds: None,
        }
    }
}

/// A feed that runs.
pub(crate) struct Keeping {
    thread: JoinHandle<Result<()>>,
    orders: Orders,
}

impl Keeping {
    /// Ends the feed. What went wrong in it was told when it did.
    pub(crate) fn stop(self) -> Result<()> {
        self.orders.stop.store(true, std::sync::atomic::Ordering::Release);
        let ended = self.thread.join();
        ended.map(drop).map_err(|_| anyhow!("the feed's thread panicked: this is a bug"))
    }
}

/// Writes what the feed says into its log.
struct Telling {
    log: FeedLog,
    noted: u32,
    left_out: u64,
    since_ns: u64,
    /// The disk was full when it was tried last.
    is_full: bool,
}

impl Telling {
    /// A full disk is waited for: readers see that the feed is silent meanwhile.
    fn publish(&mut self, now_ns: u64) -> Result<(), Failure> {
        match self.log.publish(now_ns) {
            Err(error) if error.is_retryable() => {
                if !std::mem::replace(&mut self.is_full, true) {
                    eprintln!("outcry: feed: {error}");
                }
                Ok(())
            }
            other => {
                self.is_full = false;
                Ok(other?)
            }
        }
    }
}

impl Listener for Telling {
    fn changes(&mut self, receive_ns: u64, changes: &[FeedEvent]) -> Result<(), Failure> {
        changes.iter().for_each(|change| self.log.append(change));
        self.publish(receive_ns)
    }

    fn note(&mut self, source: Option<u32>, note: &str) {
        self.noted += 1;
        if self.noted > NOTES_MAX {
            self.left_out += 1;
            return;
        }
        match source.and_then(|id| self.log.told().source(id)) {
            Some(source) => {
                let definition = source.definition();
                let (venue, market) = (definition.venue, definition.market);
                eprintln!("outcry: feed: {venue}/{market} {}: {note}", definition.symbol);
            }
            None => eprintln!("outcry: feed: {note}"),
        }
    }

    fn tick(&mut self, now_ns: u64) -> Result<(), Failure> {
        if now_ns.abs_diff(self.since_ns) >= NOTES_IN_NS {
            if self.left_out > 0 {
                eprintln!("outcry: feed: {} more notes in the last minute", self.left_out);
            }
            (self.noted, self.left_out, self.since_ns) = (0, 0, now_ns);
        }
        self.publish(now_ns)
    }
}
