//! `GET /feed/v1/status`, `obi` and `book`.

use marketdata::{FeedSource, Instrument};
use protocol::{FeedState, Side, Stamp};

use super::payload::{Together, imbalances, level, levels, own_imbalance, scales};
use super::{FeedView, OWN_MARKET, OWN_VENUE, own};
use crate::core::Core;
use crate::endpoint::{Call, Endpoint, weight};
use crate::error::ApiError;
use crate::json::Json;
use crate::market::query;
use crate::params::Params;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 5_000;
const NAMES: [&str; 4] = ["levels", "bids", "asks", "obi"];

/// Over REST alone.
pub const ENDPOINTS: &[Endpoint] = &[
    query("", "/feed/v1/status", &[], &["symbol", "venue", "market"], weight::<2>, status),
    query("", "/feed/v1/obi", &["symbol"], &["venue", "market"], weight::<2>, obi),
    query("", "/feed/v1/book", &["symbol"], &["venue", "market", "limit"], weight::<5>, book),
];

/// What a request narrows the sources down to.
struct Asked<'a> {
    symbol: Option<&'a str>,
    venue: Option<&'a str>,
    market: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(params: &'a Params<'_>) -> Asked<'a> {
        let get = |name| params.get(name);
        Asked { symbol: get("symbol"), venue: get("venue"), market: get("market") }
    }

    fn is_own(&self) -> bool {
        let is = |asked: Option<&str>, name| asked.is_none_or(|asked| asked == name);
        is(self.venue, OWN_VENUE) && is(self.market, OWN_MARKET)
    }

    fn wants(&self, source: &FeedSource) -> bool {
        let definition = source.definition();
        let is = |asked: Option<&str>, name: &str| asked.is_none_or(|asked| asked == name);
        let is_symbol =
            self.symbol.is_none_or(|it| it.to_lowercase() == source.symbol().to_lowercase());
        is_symbol
            && is(self.venue, definition.venue.as_str())
            && is(self.market, definition.market.as_str())
    }

    fn sources<'v>(&self, view: &'v FeedView) -> Vec<&'v FeedSource> {
        view.feeds.sources().filter(|source| self.wants(source)).collect()
    }

    /// Nobody has what was asked for: says what there is.
    fn nothing(&self, core: &Core) -> ApiError {
        let of_symbol: Vec<String> = match self.symbol {
            Some(symbol) => {
                let own = own(&core.market, symbol).map(|_| format!("{OWN_VENUE}/{OWN_MARKET}"));
                own.into_iter().chain(core.feed.sources_of(symbol).map(name_of)).collect()
            }
            None => Vec::new(),
        };
        let text = match of_symbol.as_slice() {
            [] => "Invalid symbol.".to_owned(),
            there => format!("Invalid venue or market; the symbol is at {}.", there.join(", ")),
        };
        ApiError::new(-1121, text)
    }
}

fn name_of(source: &FeedSource) -> String {
    format!("{}/{}", source.definition().venue, source.definition().market)
}

/// `status`: one object for each source, and what is known of the log.
fn status(core: &Core, call: &Call<'_>) -> Result<String, ApiError> {
    let (asked, view) = (Asked::of(call.params), &core.feed);
    let sources = asked.sources(view);
    let is_narrowed = asked.symbol.is_some() || asked.venue.is_some() || asked.market.is_some();
    if sources.is_empty() && is_narrowed {
        return Err(asked.nothing(core));
    }
    Ok(Json::of(call.unit, |json| {
        json.text_field("log", view.log.as_str());
        match &view.problem {
            Some(problem) => json.text_field("problem", problem),
            None => json.null_field("problem"),
        }
        json.array_field("sources", |json| {
            for source in sources {
                json.object(|json| source_status(json, view, source));
            }
        });
    }))
}

fn source_status(json: &mut Json, view: &FeedView, source: &FeedSource) {
    head(json, source);
    json.text_field("state", view.state(source).as_str());
    json.text_field("reason", view.reason(source));
    top(json, source);
    json.array_field("obi", |json| {
        if let Some(book) = source.book().filter(|_| view.is_synced(source)) {
            imbalances(json, NAMES, scales(source).1, |levels| book.imbalance(levels));
        }
    });
    let status = source.status();
    let count = |of: fn(&protocol::feed::FeedStatusChanged) -> u64| status.map_or(0, of);
    json.number_field("messages", count(|it| it.messages));
    let rate = source.messages_per_second_thousandths();
    json.fixed_field("messagesPerSecond", i128::from(rate), 3);
    json.number_field("gaps", count(|it| it.gaps));
    json.number_field("resyncs", count(|it| it.resyncs));
    json.number_field("dropped", count(|it| it.dropped));
    let lag_ns = status.map_or(0, |it| it.lag_ns);
    // Milliseconds with six digits: nanoseconds.
    json.fixed_field("lagMs", i128::from(lag_ns), 6);
    let definition = source.definition();
    json.number_field("priceScale", definition.price_scale);
    json.number_field("quantityScale", definition.quantity_scale);
    json.number_field("depthMax", definition.depth_max);
    times(json, source);
}

fn head(json: &mut Json, source: &FeedSource) {
    let definition = source.definition();
    json.text_field("venue", definition.venue.as_str());
    json.text_field("market", definition.market.as_str());
    json.text_field("symbol", source.symbol());
}

/// Best bid, best ask and what lies between; null where a side is empty.
fn top(json: &mut Json, source: &FeedSource) {
    let best = |side| source.book().and_then(|book| book.best(side));
    let (bid, ask) = (best(Side::Buy), best(Side::Sell));
    for (name, best) in [("bid", bid), ("ask", ask)] {
        match best {
            Some(best) => {
                let mut of = Json::new(json.unit());
                level(&mut of, best, scales(source));
                json.raw_field(name, &of.finish());
            }
            None => json.null_field(name),
        }
    }
    match (bid, ask) {
        (Some(bid), Some(ask)) => {
            let spread = i128::from(ask.0) - i128::from(bid.0);
            json.fixed_field("spread", spread, usize::from(scales(source).0));
        }
        _ => json.null_field("spread"),
    }
}

fn times(json: &mut Json, source: &FeedSource) {
    match source.book() {
        Some(book) => {
            json.number_field("lastUpdateId", book.update);
            json.time_field("eventTime", Stamp(book.event_ns));
            json.time_field("receiveTime", Stamp(book.receive_ns));
        }
        None => {
            let names = ["lastUpdateId", "eventTime", "receiveTime"];
            names.into_iter().for_each(|name| json.null_field(name));
        }
    }
}

/// `obi`: one object for each venue that has the symbol, our own first.
fn obi(core: &Core, call: &Call<'_>) -> Result<String, ApiError> {
    let (asked, view) = (Asked::of(call.params), &core.feed);
    let symbol = call.params.required("symbol")?;
    let own = own(&core.market, symbol).filter(|_| asked.is_own());
    let sources = asked.sources(view);
    if own.is_none() && sources.is_empty() {
        return Err(asked.nothing(core));
    }
    Ok(Json::list(call.unit, |json| {
        if let Some(own) = own {
            json.object(|json| own_row(json, own, core.stamp));
        }
        for source in sources {
            json.object(|json| {
                head(json, source);
                json.text_field("state", view.state(source).as_str());
                json.text_field("reason", view.reason(source));
                json.array_field("obi", |json| {
                    if let Some(book) = source.book().filter(|_| view.is_synced(source)) {
                        let quantity_scale = scales(source).1;
                        imbalances(json, NAMES, quantity_scale, |levels| book.imbalance(levels));
                    }
                });
                times(json, source);
            });
        }
    }))
}

fn own_row(json: &mut Json, own: &Instrument, now: Stamp) {
    own_head(json, own);
    json.array_field("obi", |json| {
        let of = |levels| own_imbalance(&own.depth, levels);
        imbalances(json, NAMES, protocol::number::DECIMALS as u8, of);
    });
    json.number_field("lastUpdateId", own.depth.last_update().0);
    json.time_field("eventTime", now);
    json.time_field("receiveTime", now);
}

fn own_head(json: &mut Json, own: &Instrument) {
    json.text_field("venue", OWN_VENUE);
    json.text_field("market", OWN_MARKET);
    json.text_field("symbol", own.symbol());
    json.text_field("state", FeedState::Synced.as_str());
    json.text_field("reason", "");
}

/// `book`: that of one venue, or the consolidated one.
fn book(core: &Core, call: &Call<'_>) -> Result<String, ApiError> {
    let limit = call.params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let symbol = call.params.required("symbol")?;
    let asked = Asked::of(call.params);
    let own = own(&core.market, symbol);
    if asked.venue.is_none() && asked.market.is_none() {
        let together = Together::of(&core.feed, own, symbol, limit);
        if !together.is_known() {
            return Err(asked.nothing(core));
        }
        return Ok(Json::of(call.unit, |json| {
            json.text_field("symbol", symbol);
            together.fields(json);
        }));
    }
    let sources = asked.sources(&core.feed);
    match (own.filter(|_| asked.is_own()), sources.as_slice()) {
        (Some(own), []) => Ok(own_book(call, own, core.stamp, limit)),
        (None, [source]) => source_book(&core.feed, source, call, limit),
        (None, []) => Err(asked.nothing(core)),
        (own, several) => {
            let own = own.map(|_| format!("{OWN_VENUE}/{OWN_MARKET}"));
            let names: Vec<String> =
                own.into_iter().chain(several.iter().copied().map(name_of)).collect();
            let text = format!("Send 'venue' and 'market' of one of {}.", names.join(", "));
            Err(ApiError::new(-1128, text))
        }
    }
}

fn own_book(call: &Call<'_>, own: &Instrument, now: Stamp, limit: usize) -> String {
    Json::of(call.unit, |json| {
        own_head(json, own);
        json.number_field("lastUpdateId", own.depth.last_update().0);
        json.time_field("eventTime", now);
        json.time_field("receiveTime", now);
        for (name, side) in [("bids", Side::Buy), ("asks", Side::Sell)] {
            json.array_field(name, |json| {
                for level in own.depth.levels(side).take(limit) {
                    json.array(|json| {
                        json.decimal(level.price);
                        json.decimal(level.quantity);
                    });
                }
            });
        }
    })
}

fn source_book(
    view: &FeedView,
    source: &FeedSource,
    call: &Call<'_>,
    limit: usize,
) -> Result<String, ApiError> {
    let state = view.state(source);
    let Some(book) = source.book() else {
        let (name, reason) = (name_of(source), view.reason(source));
        let colon = if reason.is_empty() { "" } else { ": " };
        let text = format!("No book of {name} yet, the feed is {state}{colon}{reason}.");
        return Err(ApiError::new(-1000, text).with_status(503));
    };
    Ok(Json::of(call.unit, |json| {
        head(json, source);
        json.text_field("state", state.as_str());
        json.text_field("reason", view.reason(source));
        times(json, source);
        levels(json, source, book, limit);
    }))
}
