//! The shell around the state machines: sockets, clocks, chance and files. All that is here only
//! drives [`Session`]s; no rule of a venue stands in it.
//!
//! ```text
//! run ─┬─ connection ── Session        one for some symbols of a market of a venue
//!      ├─ connection ── Session  ─changes, notes, raw lines→  Listener
//!      └─ desk           one for each market: rate limit, snapshots, new connections
//! ```
//!
//! All of it is one thread; the listener is called in order and must not wait for anything. While it
//! is busy nothing is read, so what is under way waits in the kernel's buffers, and a venue that
//! finds them full cuts the connection: then the book is begun anew. There is no queue to overflow.
//!
//! | module | what it is |
//! |---|---|
//! | [`record`], [`tape`] | writes what came; the format of our recordings |
//! | [`backoff`] | how long to wait before the next connection |
//! | [`budget`] | the venue's rate limit, shared by all symbols |
//! | [`net`] | TCP, proxy, TLS |
//! | [`http`] | snapshots over REST |
//! | [`venues`] | venues by name |

pub mod backoff;
pub mod budget;
pub mod clock;
mod connection;
mod desk;
pub mod error;
pub mod http;
pub mod net;
pub mod random;
pub mod record;
mod socket;
pub mod tape;
pub mod venues;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use protocol::FeedEvent;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::adapter::{Symbol, Venue};
use crate::session::{Session, SessionOptions};
use backoff::{Backoff, BackoffOptions};
use connection::Parts;
use desk::Desk;
pub use error::Error;
use http::HttpOptions;
use net::{Net, NetOptions};
use record::Line;

/// How we introduce ourselves.
const AGENT: &str = concat!("outcry/", env!("CARGO_PKG_VERSION"));
/// How often [`Listener::tick`] is called.
const TICK: Duration = Duration::from_millis(250);

/// Why a listener cannot go on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Who is told what happens. Errors end the feed.
pub trait Listener {
    /// What follows from one thing that came, in order; `receive_ns` is when it came.
    fn changes(&mut self, receive_ns: u64, changes: &[FeedEvent]) -> Result<(), Failure>;

    /// Something that a person should read.
    fn note(&mut self, _source: Option<u32>, _note: &str) {}

    /// What came, as it came.
    fn line(&mut self, _receive_ns: u64, _line: &Line<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// Time passes: about four times a second, whether something came or not.
    fn tick(&mut self, _now_ns: u64) -> Result<(), Failure> {
        Ok(())
    }
}

type SharedListener = Rc<RefCell<dyn Listener>>;

/// The symbols of one market of a venue.
#[derive(Debug, Clone)]
pub struct Market {
    pub venue: Arc<dyn Venue>,
    /// As the venue writes them.
    pub symbols: Vec<String>,
}

/// What is fed, and how.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    pub markets: Vec<Market>,
    pub session: SessionOptions,
    pub net: NetOptions,
    pub http: HttpOptions,
    pub backoff: BackoffOptions,
    /// Of the jitter.
    pub seed: u64,
}

/// Feeds the listener until `stop` is true. Sources are numbered from 0 in the order of the options.
/// Losses of connections are no errors; whatever happens to a venue, it is tried again.
///
/// Errors: the options make no sense; the listener cannot go on.
pub async fn run(
    options: FeedOptions,
    listener: Rc<RefCell<dyn Listener>>,
    stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let net = Net::new(&options.net)?;
    let connections = connections(&options, &net, &listener)?;
    let feed = async move {
        let driven = connections.into_iter().map(|it| connection::drive(it, stop.clone()));
        let mut driven: FuturesUnordered<_> = driven.collect();
        let mut ticks = tokio::time::interval(TICK);
        let mut stopped = stop.clone();
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => listener.borrow_mut().tick(clock::now_ns())?,
                Some(ended) = driven.next(), if !driven.is_empty() => ended?,
                _ = stopped.wait_for(|&is| is), if driven.is_empty() => return Ok(()),
            }
        }
    };
    LocalSet::new().run_until(feed).await
}

fn connections(
    options: &FeedOptions,
    net: &Net,
    listener: &SharedListener,
) -> Result<Vec<Parts>, Failure> {
    let mut parts = Vec::new();
    let (mut first_source, mut number) = (0, 0);
    for Market { venue, symbols } in &options.markets {
        let limits = venue.limits();
        let (weight_max, window_ns) = (limits.weight, limits.weight_window_ns);
        let desk = Rc::new(Desk::new(net.clone(), options.http, weight_max, window_ns));
        for symbols in symbols.chunks(limits.symbols_per_connection.max(1)) {
            if let Some(long) = symbols.iter().find(|symbol| Symbol::new(symbol).is_err()) {
                return Err(format!("the symbol is too long: {long}").into());
            }
            parts.push(Parts {
                number,
                session: Session::new(Arc::clone(venue), symbols, first_source, options.session),
                venue: venue.name(),
                market: venue.market(),
                symbols: symbols.join(","),
                texts_per_second: limits.texts_per_second,
                desk: Rc::clone(&desk),
                backoff: Backoff::new(options.backoff, options.seed ^ u64::from(number)),
                listener: Rc::clone(listener),
            });
            first_source += u32::try_from(symbols.len())?;
            number += 1;
        }
    }
    Ok(parts)
}
