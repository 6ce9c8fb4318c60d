//! One ladder over several books: each price with everybody who quotes it.

use crate::depth::{Depth, Level};
use crate::feed::FeedSource;
use protocol::Side;
use std::collections::BTreeMap;

/// Prices and quantities of a consolidated book count 10^-this, whatever the books count.
pub const CONSOLIDATED_SCALE: u8 = 12;

/// A quantity above it leaves its book out: sums over all books must fit.
const QUANTITY_MAX: u128 = u128::MAX >> 12;

/// Books that are put together; more are left out.
pub const LADDERS_MAX: usize = 1 << 11;

/// A book as its owner counts.
pub struct Ladder<'a> {
    /// Prices count 10^-this; at most [`CONSOLIDATED_SCALE`].
    pub price_scale: u8,
    /// Quantities count 10^-this; at most [`CONSOLIDATED_SCALE`].
    pub quantity_scale: u8,
    pub bids: Levels<'a>,
    pub asks: Levels<'a>,
}

/// Price and quantity, from the best price outwards.
pub type Levels<'a> = Box<dyn Iterator<Item = (u64, u128)> + 'a>;

impl<'a> Ladder<'a> {
    /// The book of a source, if it is the venue's now.
    pub fn of_source(source: &'a FeedSource) -> Option<Ladder<'a>> {
        let (book, definition) = (source.synced_book()?, source.definition());
        let (price_scale, quantity_scale) = (definition.price_scale, definition.quantity_scale);
        let [bids, asks] = [Side::Buy, Side::Sell].map(|side| Box::new(book.levels(side)) as _);
        Some(Ladder { price_scale, quantity_scale, bids, asks })
    }

    /// A book of our own.
    pub fn of_depth(depth: &'a Depth) -> Ladder<'a> {
        let levels = |side| {
            // Of a level the quantity is above 0.
            let level = |it: Level| (it.price.0, it.quantity.0.unsigned_abs());
            Box::new(depth.levels(side).map(level)) as _
        };
        let [price_scale, quantity_scale] = [protocol::number::DECIMALS as u8; 2];
        Ladder { price_scale, quantity_scale, bids: levels(Side::Buy), asks: levels(Side::Sell) }
    }
}

/// One price, in counts of 10^-12.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsolidatedLevel {
    pub price: u128,
    /// Of all books together.
    pub quantity: u128,
    /// The place of each book that quotes it, rising, and its quantity.
    pub books: Vec<(usize, u128)>,
}

/// The best levels of several books together. **Invariants:** each side runs from the best price
/// outwards; no price stands twice on a side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consolidated {
    pub bids: Vec<ConsolidatedLevel>,
    pub asks: Vec<ConsolidatedLevel>,
    /// Places of the books that are not in it: their numbers are too large to be put together.
    pub left_out: Vec<usize>,
}

impl Consolidated {
    /// The best `levels_max` prices a side. A book is in it whole or not at all.
    pub fn of(ladders: Vec<Ladder<'_>>, levels_max: usize) -> Consolidated {
        let mut consolidated = Consolidated::default();
        let mut merged = [BTreeMap::new(), BTreeMap::new()];
        for (place, ladder) in ladders.into_iter().enumerate() {
            let scales = (ladder.price_scale, ladder.quantity_scale);
            let sides = [ladder.bids, ladder.asks].map(|levels| rows(levels, scales, levels_max));
            let ([Some(bids), Some(asks)], true) = (sides, place < LADDERS_MAX) else {
                consolidated.left_out.push(place);
                continue;
            };
            for (side, rows) in merged.iter_mut().zip([bids, asks]) {
                rows.into_iter().for_each(|row| add(side, row, place));
            }
        }
        let [bids, asks] = merged;
        // The best prices of all are among the best of each.
        consolidated.bids = bids.into_values().rev().take(levels_max).collect();
        consolidated.asks = asks.into_values().take(levels_max).collect();
        consolidated
    }

    /// Best bid at or above best ask: venues disagree, or somebody could earn.
    pub fn is_crossed(&self) -> bool {
        match (self.bids.first(), self.asks.first()) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }
}

fn add(side: &mut BTreeMap<u128, ConsolidatedLevel>, (price, quantity): (u128, u128), book: usize) {
    let level = side.entry(price).or_insert_with(|| ConsolidatedLevel {
        price,
        quantity: 0,
        books: Vec::new(),
    });
    // Each is below 2^116 and there are at most 2^11.
    level.quantity += quantity;
    level.books.push((book, quantity));
}

/// In counts of 10^-12; none if one is too large.
fn rows(
    levels: Levels<'_>,
    (price_scale, quantity_scale): (u8, u8),
    levels_max: usize,
) -> Option<Vec<(u128, u128)>> {
    let factor = |scale: u8| {
        let places = CONSOLIDATED_SCALE.checked_sub(scale)?;
        Some(10u128.pow(u32::from(places)))
    };
    let (price_factor, quantity_factor) = (factor(price_scale)?, factor(quantity_scale)?);
    let row = |(price, quantity): (u64, u128)| {
        let quantity = quantity.checked_mul(quantity_factor)?;
        (quantity <= QUANTITY_MAX).then_some((u128::from(price) * price_factor, quantity))
    };
    levels.take(levels_max).map(row).collect()
}
