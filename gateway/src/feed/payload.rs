//! The JSON of feeds. Prices and quantities have as many digits after the point as their source
//! counts, at least those that it showed; a ratio always has twelve.

use marketdata::{
    CONSOLIDATED_SCALE, Consolidated, ConsolidatedLevel, Depth, FeedBook, FeedSource, Imbalance,
    Instrument, Ladder, OBI_LEVELS, RATIO_DECIMALS,
};
use protocol::{Side, Stamp};

use super::{FeedView, OWN_MARKET, OWN_VENUE};
use crate::json::Json;

const OWN_SCALE: u8 = protocol::number::DECIMALS as u8;

/// One level as `["price","quantity"]`.
pub(super) fn level(json: &mut Json, (price, quantity): (u64, u128), scales: (u8, u8)) {
    json.array(|json| {
        json.scaled(u128::from(price), scales.0);
        json.scaled(quantity, scales.1);
    });
}

pub(super) fn scales(source: &FeedSource) -> (u8, u8) {
    let definition = source.definition();
    (definition.price_scale, definition.quantity_scale)
}

/// Sums over the best levels and their ratio, for each number of levels. Where sums are too large or
/// nothing is there, the ratio is null.
pub(super) fn imbalances(
    json: &mut Json,
    names: [&str; 4],
    quantity_scale: u8,
    of: impl Fn(usize) -> Option<Imbalance>,
) {
    let [levels_name, bids_name, asks_name, ratio_name] = names;
    for levels in OBI_LEVELS {
        let imbalance = of(levels);
        json.object(|json| {
            json.number_field(levels_name, levels as u64);
            match imbalance {
                Some(imbalance) => {
                    json.scaled_field(bids_name, imbalance.bids, quantity_scale);
                    json.scaled_field(asks_name, imbalance.asks, quantity_scale);
                }
                None => {
                    json.null_field(bids_name);
                    json.null_field(asks_name);
                }
            }
            match imbalance.and_then(|it| it.ratio()) {
                Some(ratio) => {
                    json.fixed_field(ratio_name, i128::from(ratio.0), RATIO_DECIMALS as usize);
                }
                None => json.null_field(ratio_name),
            }
        });
    }
}

pub(super) fn own_imbalance(depth: &Depth, levels: usize) -> Option<Imbalance> {
    let quantities = |side| depth.levels(side).map(|level| level.quantity.0.unsigned_abs());
    Imbalance::of(quantities(Side::Buy), quantities(Side::Sell), levels)
}

const STREAM_NAMES: [&str; 4] = ["n", "B", "A", "r"];

fn head(json: &mut Json, event: &str, time: Stamp, symbol: &str) {
    json.text_field("e", event);
    json.time_field("E", time);
    json.text_field("s", symbol);
}

/// One message of `<symbol>@obi`. A book that is not synced shows no numbers.
pub(crate) fn source_obi(json: &mut Json, view: &FeedView, source: &FeedSource, time: Stamp) {
    let definition = source.definition();
    head(json, "obi", time, source.symbol());
    json.text_field("v", definition.venue.as_str());
    json.text_field("m", definition.market.as_str());
    json.text_field("st", view.state(source).as_str());
    let book = source.book().filter(|_| view.is_synced(source));
    let Some(book) = book else {
        json.text_field("rs", view.reason(source));
        return json.array_field("i", |_| {});
    };
    json.number_field("u", book.update);
    json.time_field("T", Stamp(book.event_ns));
    json.array_field("i", |json| {
        imbalances(json, STREAM_NAMES, scales(source).1, |levels| book.imbalance(levels));
    });
}

/// The same of our own book.
pub(crate) fn own_obi(json: &mut Json, instrument: &Instrument, time: Stamp) {
    let depth = &instrument.depth;
    head(json, "obi", time, instrument.symbol());
    json.text_field("v", OWN_VENUE);
    json.text_field("m", OWN_MARKET);
    json.text_field("st", protocol::FeedState::Synced.as_str());
    json.number_field("u", depth.last_update().0);
    json.time_field("T", time);
    json.array_field("i", |json| {
        imbalances(json, STREAM_NAMES, OWN_SCALE, |levels| own_imbalance(depth, levels));
    });
}

/// Books of one symbol, put together.
pub(super) struct Together<'a> {
    view: &'a FeedView,
    own: Option<&'a Instrument>,
    /// By rising id; our own book stands before them.
    sources: Vec<&'a FeedSource>,
    book: Consolidated,
    /// Place in the list of venues, for each book in `book`.
    places: Vec<usize>,
    price_scale: u8,
    quantity_scale: u8,
}

impl<'a> Together<'a> {
    pub(super) fn of(
        view: &'a FeedView,
        own: Option<&'a Instrument>,
        symbol: &str,
        levels: usize,
    ) -> Together<'a> {
        let sources: Vec<&FeedSource> = view.sources_of(symbol).collect();
        let (mut ladders, mut places) = (Vec::new(), Vec::new());
        if let Some(own) = own {
            ladders.push(Ladder::of_depth(&own.depth));
            places.push(0);
        }
        for (place, source) in (places.len()..).zip(&sources) {
            if let Some(ladder) = Ladder::of_source(source).filter(|_| view.is_synced(source)) {
                ladders.push(ladder);
                places.push(place);
            }
        }
        let widest = |scale: fn(&Ladder<'_>) -> u8| {
            ladders.iter().map(scale).max().unwrap_or(OWN_SCALE).min(CONSOLIDATED_SCALE)
        };
        let (price_scale, quantity_scale) =
            (widest(|ladder| ladder.price_scale), widest(|ladder| ladder.quantity_scale));
        let book = Consolidated::of(ladders, levels);
        Together { view, own, sources, book, places, price_scale, quantity_scale }
    }

    /// Does anybody have the symbol?
    pub(super) fn is_known(&self) -> bool {
        self.own.is_some() || !self.sources.is_empty()
    }

    fn is_included(&self, place: usize) -> bool {
        let book = self.places.iter().position(|it| *it == place);
        book.is_some_and(|book| !self.book.left_out.contains(&book))
    }

    /// Everybody who has the symbol; levels name them by their place here.
    fn venues(&self, json: &mut Json, names: [&str; 5]) {
        let row = |json: &mut Json, place, texts: [&str; 3], update: Option<u64>| {
            json.object(|json| {
                for (name, text) in names.iter().zip(texts) {
                    json.text_field(name, text);
                }
                let [.., update_name, included_name] = names;
                match update {
                    Some(update) => json.number_field(update_name, update),
                    None => json.null_field(update_name),
                }
                json.flag_field(included_name, self.is_included(place));
            });
        };
        let mut place = 0;
        if let Some(own) = self.own {
            let state = protocol::FeedState::Synced.as_str();
            row(json, 0, [OWN_VENUE, OWN_MARKET, state], Some(own.depth.last_update().0));
            place = 1;
        }
        for (place, source) in (place..).zip(&self.sources) {
            let definition = source.definition();
            let state = self.view.state(source).as_str();
            let texts = [definition.venue.as_str(), definition.market.as_str(), state];
            row(json, place, texts, source.book().map(|book| book.update));
        }
    }

    fn levels(&self, json: &mut Json, levels: &[ConsolidatedLevel]) {
        let narrowed = |count: u128, scale: u8| {
            // No book counts finer than the widest scale: nothing is cut off.
            count / 10u128.pow(u32::from(CONSOLIDATED_SCALE.saturating_sub(scale)))
        };
        for level in levels {
            json.array(|json| {
                json.scaled(narrowed(level.price, self.price_scale), self.price_scale);
                json.scaled(narrowed(level.quantity, self.quantity_scale), self.quantity_scale);
                json.array(|json| {
                    for (book, quantity) in &level.books {
                        let place = self.places.get(*book).copied().unwrap_or(0);
                        json.array(|json| {
                            json.number(place as u64);
                            let quantity = narrowed(*quantity, self.quantity_scale);
                            json.scaled(quantity, self.quantity_scale);
                        });
                    }
                });
            });
        }
    }

    /// Fields of the snapshot.
    pub(super) fn fields(&self, json: &mut Json) {
        json.array_field("venues", |json| {
            self.venues(json, ["venue", "market", "state", "lastUpdateId", "isIncluded"]);
        });
        json.flag_field("isCrossed", self.book.is_crossed());
        json.array_field("bids", |json| self.levels(json, &self.book.bids));
        json.array_field("asks", |json| self.levels(json, &self.book.asks));
    }
}

/// One message of `<symbol>@consolidated`.
pub(crate) fn consolidated(
    json: &mut Json,
    view: &FeedView,
    own: Option<&Instrument>,
    symbol: &str,
    time: Stamp,
) {
    let together = Together::of(view, own, symbol, super::CONSOLIDATED_LEVELS);
    let named = own.map(Instrument::symbol);
    let named = named.or_else(|| together.sources.first().map(|source| source.symbol()));
    head(json, "consolidated", time, named.unwrap_or(symbol));
    json.array_field("v", |json| together.venues(json, ["v", "m", "st", "u", "in"]));
    json.flag_field("x", together.book.is_crossed());
    json.array_field("b", |json| together.levels(json, &together.book.bids));
    json.array_field("a", |json| together.levels(json, &together.book.asks));
}

/// The best levels of one book.
pub(super) fn levels(json: &mut Json, source: &FeedSource, book: &FeedBook, limit: usize) {
    for (name, side) in [("bids", Side::Buy), ("asks", Side::Sell)] {
        json.array_field(name, |json| {
            book.levels(side).take(limit).for_each(|it| level(json, it, scales(source)));
        });
    }
}
