//! A book of price levels in whole numbers.
//!
//! Prices and quantities are counts at the book's own scales, which widen when a longer decimal
//! appears.

use crate::adapter::ReadLevel;
use crate::decimal::{Misfit, power, write_count};
use crate::ladder::{Entry, Ladder};
use marketdata::{Imbalance, OBI_LEVELS};
use protocol::Side;

/// Decimal places that a book begins with: Binance's.
pub const SCALE_FIRST: u8 = 8;

/// Decimal places of prices and of quantities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scales {
    pub price: u8,
    pub quantity: u8,
}

impl Default for Scales {
    fn default() -> Scales {
        Scales { price: SCALE_FIRST, quantity: SCALE_FIRST }
    }
}

/// How many places a level was written with: a checksum is over the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub price: u8,
    pub quantity: u8,
}

/// What one level became, and what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub side: Side,
    pub price: u64,
    /// 0: there was none.
    pub before: u128,
    /// 0: it is gone.
    pub after: u128,
    written_before: Written,
}

/// Both sides of one symbol.
///
/// **Invariants:** keys of a side rise; no quantity is zero; after [`Book::trim`] no side is longer
/// than its bound.
#[derive(Debug, Clone, Default)]
pub struct Book {
    scales: Scales,
    /// 0: no bound.
    depth_max: usize,
    bids: Levels,
    asks: Levels,
}

/// A side. A key is greater when its price is better.
#[derive(Debug, Clone, Default)]
struct Levels {
    ladder: Ladder,
    /// Levels with lesser keys may be missing; none: the side is whole.
    known_from: Option<u64>,
}

/// Its own inverse.
#[inline(always)]
const fn key(side: Side, price: u64) -> u64 {
    match side {
        Side::Buy => price,
        Side::Sell => !price,
    }
}

impl Book {
    /// `depth_max`: levels a side that are kept; 0: all.
    pub fn new(scales: Scales, depth_max: usize) -> Book {
        Book { scales, depth_max, ..Book::default() }
    }

    pub fn scales(&self) -> Scales {
        self.scales
    }

    pub fn depth_max(&self) -> usize {
        self.depth_max
    }

    fn side(&self, side: Side) -> &Levels {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Levels of a side, the best first: price and quantity.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (u64, u128)> + '_ {
        self.side(side).ladder.iter_back().map(move |(it, entry)| (key(side, it), entry.quantity))
    }

    pub fn best(&self, side: Side) -> Option<(u64, u128)> {
        self.levels(side).next()
    }

    pub fn len(&self, side: Side) -> usize {
        self.side(side).ladder.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bids.ladder.len() + self.asks.ladder.len() == 0
    }

    /// Best bid and ask, when the bid is not below the ask.
    pub fn crossed(&self) -> Option<(u64, u64)> {
        let bid = self.bids.ladder.last()?;
        let ask = key(Side::Sell, self.asks.ladder.last()?);
        (bid >= ask).then_some((bid, ask))
    }

    /// Sums over the best 5, 10 and 20 levels; none when they are beyond all bounds.
    pub fn imbalances(&self) -> Option<[Imbalance; OBI_LEVELS.len()]> {
        let (bids, asks) = (self.bids.sums()?, self.asks.sums()?);
        let mut all = [Imbalance::default(); OBI_LEVELS.len()];
        for ((it, bids), asks) in all.iter_mut().zip(bids).zip(asks) {
            *it = Imbalance { bids, asks };
        }
        Some(all)
    }

    /// The worst price down to which nothing is missing; none: the side is whole.
    ///
    /// A snapshot ends somewhere, and a bounded book forgets what lies behind its end. Levels
    /// behind this price are shown when the venue has changed them since, and may be missing
    /// otherwise.
    pub fn known_to(&self, side: Side) -> Option<u64> {
        self.side(side).known_from.map(|it| key(side, it))
    }

    /// Best levels of a side between which nothing is missing; none: the side is whole.
    pub fn known_levels(&self, side: Side) -> Option<usize> {
        {
            let Levels { ladder, known_from } = self.side(side);
            known_from.map(|from| ladder.count_from(from))
        }
    }

    /// After a snapshot: a side that is as long as the snapshot may be ends where it ends; a
    /// shorter one is whole.
    pub fn ends_at_snapshot(&mut self, side: Side, snapshot_length_max: usize) {
        let Levels { ladder, known_from } = self.side_mut(side);
        let is_cut = ladder.len() >= snapshot_length_max;
        *known_from = if is_cut { ladder.first() } else { None };
    }

    pub fn clear(&mut self) {
        self.bids = Levels::default();
        self.asks = Levels::default();
    }

    /// Sets levels of one side; a quantity of zero removes. What changed is added to `changes`;
    /// counts the removals of levels that were not there.
    ///
    /// At an error the levels before it are set; whoever wants them back uses [`Book::undo`].
    pub fn set(
        &mut self,
        side: Side,
        levels: &[ReadLevel],
        changes: &mut Vec<Change>,
    ) -> Result<u64, Misfit> {
        let Scales { price: price_scale, quantity: quantity_scale } = self.scales;
        let ladder = &mut self.side_mut(side).ladder;
        let mut absent = 0;
        for level in levels {
            let price = level.price.price_at_scale(price_scale)?;
            let after = level.quantity.at_scale(quantity_scale)?;
            let written = Written { price: level.price.places, quantity: level.quantity.places };
            let old = ladder.set(key(side, price), Entry { quantity: after, written });
            let (before, written_before) = (old.quantity, old.written);
            match before | after {
                0 => absent += 1,
                _ => changes.push(Change { side, price, before, after, written_before }),
            }
        }
        Ok(absent)
    }

    /// Takes changes back, the last one first.
    pub fn undo(&mut self, changes: &[Change]) {
        for change in changes.iter().rev() {
            let key = key(change.side, change.price);
            let before = Entry { quantity: change.before, written: change.written_before };
            self.side_mut(change.side).ladder.set(key, before);
        }
    }

    /// Cuts both sides to their bound; what is cut is added to `changes`.
    pub fn trim(&mut self, changes: &mut Vec<Change>) {
        if self.depth_max == 0 {
            return;
        }
        for side in [Side::Buy, Side::Sell] {
            self.trim_side(side, changes);
        }
    }

    fn trim_side(&mut self, side: Side, changes: &mut Vec<Change>) {
        let depth_max = self.depth_max;
        let Levels { ladder, known_from } = self.side_mut(side);
        let Some(excess @ 1..) = ladder.len().checked_sub(depth_max) else { return };
        ladder.drain_first(excess, |cut, entry| {
            changes.push(Change {
                side,
                price: key(side, cut),
                before: entry.quantity,
                after: 0,
                written_before: entry.written,
            });
        });
        // Better than what was known before, or else nothing that was known is cut.
        *known_from = (*known_from).max(ladder.first());
    }

    /// Turns the book to wider scales; the least that both its own and the wanted ones fit in.
    pub fn widen(&mut self, wanted: Scales) -> Result<(), Misfit> {
        let price = self.scales.price.max(wanted.price);
        let quantity = self.scales.quantity.max(wanted.quantity);
        let factor = |more: u8| power(more).ok_or(Misfit::TooLarge);
        let prices = factor(price - self.scales.price)?;
        let quantities = factor(quantity - self.scales.quantity)?;
        let mut wide = self.clone();
        for side in [Side::Buy, Side::Sell] {
            wide.side_mut(side).multiply(side, prices, quantities).ok_or(Misfit::TooLarge)?;
        }
        *self = Book { scales: Scales { price, quantity }, ..wide };
        Ok(())
    }

    /// CRC-32 over the best `levels` of both sides as the venue wrote them:
    /// `bid1px:bid1qty:ask1px:ask1qty:bid2px:…`; a side that has run out is passed over.
    pub fn checksum(&self, levels: usize) -> i32 {
        let mut text = String::with_capacity(levels * 64);
        let [mut bids, mut asks] =
            [Side::Buy, Side::Sell].map(|side| self.side(side).ladder.iter_back());
        for _ in 0..levels {
            for (side, level) in [(Side::Buy, bids.next()), (Side::Sell, asks.next())] {
                if let Some((it, entry)) = level {
                    self.write_level(key(side, it), entry, &mut text);
                }
            }
        }
        let text = text.strip_suffix(':').unwrap_or(&text);
        crc32fast::hash(text.as_bytes()).cast_signed()
    }

    /// `price:quantity:`
    fn write_level(&self, price: u64, entry: &Entry, text: &mut String) {
        let Entry { quantity, written } = *entry;
        write_as_written(text, u128::from(price), self.scales.price, written.price);
        text.push(':');
        write_as_written(text, quantity, self.scales.quantity, written.quantity);
        text.push(':');
    }

    /// A level by its rank from the best one, and how it was written.
    pub fn ranked(&self, side: Side, rank: usize) -> Option<(u64, u128, Written)> {
        let (it, entry) = self.side(side).ladder.iter_back().nth(rank)?;
        Some((key(side, it), entry.quantity, entry.written))
    }
}

impl Levels {
    /// Sums over the best 5, 10, 20.
    fn sums(&self) -> Option<[u128; OBI_LEVELS.len()]> {
        let mut sums = [0; OBI_LEVELS.len()];
        let (mut sum, mut begin) = (0_u128, 0);
        let mut best = self.ladder.iter_back();
        for (it, levels) in sums.iter_mut().zip(OBI_LEVELS) {
            for (_, entry) in best.by_ref().take(levels - begin) {
                sum = sum.checked_add(entry.quantity)?;
            }
            (*it, begin) = (sum, levels);
        }
        Some(sums)
    }

    fn multiply(&mut self, side: Side, prices: u64, quantities: u64) -> Option<()> {
        let scaled = |it: u64| key(side, it).checked_mul(prices).map(|price| key(side, price));
        if let Some(from) = &mut self.known_from {
            *from = scaled(*from)?;
        }
        self.ladder.try_for_each(|it, entry| {
            *it = scaled(*it)?;
            entry.quantity = entry.quantity.checked_mul(u128::from(quantities))?;
            Some(())
        })
    }
}

/// A count of 10^-`scale` with the places it was written with.
pub fn write_as_written(text: &mut String, count: u128, scale: u8, places: u8) {
    let digits = match (scale.checked_sub(places), places.checked_sub(scale)) {
        (Some(fewer), _) => count / u128::from(power(fewer).unwrap_or(1)),
        (_, Some(more)) => count * u128::from(power(more).unwrap_or(1)),
        _ => count,
    };
    // Writing into a string does not fail.
    let _ = write_count(text, digits, places);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::Decimal;

    fn levels(text: &str) -> Vec<ReadLevel> {
        let number = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        let pair = |word: &str| {
            let (price, quantity) = word.split_once('x').unwrap();
            ReadLevel { price: number(price), quantity: number(quantity) }
        };
        text.split_whitespace().map(pair).collect()
    }

    fn book(bids: &str, asks: &str, depth_max: usize) -> Book {
        let mut book = Book::new(Scales { price: 2, quantity: 2 }, depth_max);
        let changes = &mut Vec::new();
        book.set(Side::Buy, &levels(bids), changes).unwrap();
        book.set(Side::Sell, &levels(asks), changes).unwrap();
        book
    }

    fn shown(book: &Book, side: Side) -> String {
        let words: Vec<_> = book.levels(side).map(|(p, q)| format!("{p}x{q}")).collect();
        words.join(" ")
    }

    #[test]
    fn both_sides_show_their_best_level_first() {
        let book = book("99x1 100x2 98x3", "103x1 101x2 102x3", 0);
        assert_eq!(shown(&book, Side::Buy), "10000x200 9900x100 9800x300");
        assert_eq!(shown(&book, Side::Sell), "10100x200 10200x300 10300x100");
        assert_eq!(book.crossed(), None);
    }

    #[test]
    fn a_level_that_is_removed_twice_is_counted_and_changes_nothing() {
        let mut book = book("99x1 100x2", "101x1", 0);
        let mut changes = Vec::new();
        assert_eq!(book.set(Side::Buy, &levels("100x0.00 100x0"), &mut changes), Ok(1));
        assert_eq!(changes.len(), 1);
        assert_eq!(shown(&book, Side::Buy), "9900x100");
    }

    #[test]
    fn changes_are_taken_back_in_reverse() {
        let before = book("99x1 100x2", "101x1", 0);
        let mut book = before.clone();
        let mut changes = Vec::new();
        book.set(Side::Buy, &levels("100x0 100x5.0 97x1 99x2 97x0"), &mut changes).unwrap();
        assert_eq!(shown(&book, Side::Buy), "10000x500 9900x200");
        book.undo(&changes);
        assert_eq!(shown(&book, Side::Buy), shown(&before, Side::Buy));
        assert_eq!(book.checksum(25), before.checksum(25));
    }

    #[test]
    fn a_bounded_side_says_down_to_where_it_is_known() {
        let mut book = book("96x1 97x1 98x1 99x1", "101x1", 3);
        book.ends_at_snapshot(Side::Buy, 1_000);
        assert_eq!(book.known_levels(Side::Buy), None);
        let mut cut = Vec::new();
        book.trim(&mut cut);
        assert_eq!((cut.len(), cut[0].price, cut[0].after), (1, 9_600, 0));
        assert_eq!(
            (book.known_to(Side::Buy), book.known_levels(Side::Buy)),
            (Some(9_700), Some(3))
        );
        // What is behind the cut may have a better one before it that nobody has told us of.
        book.set(Side::Buy, &levels("99x0 95x7"), &mut cut).unwrap();
        book.trim(&mut cut);
        assert_eq!(shown(&book, Side::Buy), "9800x100 9700x100 9500x700");
        assert_eq!(book.known_levels(Side::Buy), Some(2));
        assert_eq!(book.known_to(Side::Sell), None);
    }

    #[test]
    fn a_longer_decimal_widens_the_book_and_keeps_its_levels() {
        let mut book = book("99.5x1", "101x1", 0);
        let long = levels("99.123x1");
        assert_eq!(book.set(Side::Buy, &long, &mut Vec::new()), Err(Misfit::Wider(3)));
        book.widen(Scales { price: 3, quantity: 0 }).unwrap();
        book.set(Side::Buy, &long, &mut Vec::new()).unwrap();
        assert_eq!(shown(&book, Side::Buy), "99500x100 99123x100");
        assert_eq!(shown(&book, Side::Sell), "101000x100");
        let huge = self::book("92233720368547758x1", "", 0);
        assert_eq!(huge.clone().widen(Scales { price: 12, quantity: 2 }), Err(Misfit::TooLarge));
    }

    #[test]
    fn a_checksum_is_over_the_text_that_was_sent() {
        let text = |text: &str| crc32fast::hash(text.as_bytes()).cast_signed();
        let book = book("43231.10x4 43231x6.0", "43232.8x9", 0);
        assert_eq!(book.checksum(25), text("43231.10:4:43232.8:9:43231:6.0"));
        assert_eq!(book.checksum(1), text("43231.10:4:43232.8:9"));
        assert_eq!(Book::default().checksum(25), text(""));
    }

    #[test]
    fn imbalances_are_over_the_best_levels_there_are() {
        let book = book("100x1 99x2 98x3 97x4 96x5 95x6", "101x7", 0);
        let [five, ten, twenty] = book.imbalances().unwrap();
        assert_eq!((five.bids, five.asks), (1_500, 700));
        assert_eq!((ten.bids, twenty.bids), (2_100, 2_100));
    }
}
