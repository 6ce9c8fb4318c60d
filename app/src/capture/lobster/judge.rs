//! Compares the engine's book with the rows of the book file.

use super::super::ladder::{Ladders, Rank, rank};
use super::format::{Row, Step, price, quantity};
use protocol::{Amount, Price, Side};
use std::collections::BTreeSet;

const MISMATCHES_LISTED_MAX: usize = 10;

/// How a row compares.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Equal,
    /// Equal, but for levels that slid into view: those that the engine does not have yet, as
    /// side, price, size.
    Revealed(Vec<(Side, u64, u64)>),
    Mismatch,
}

#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) compared: u64,
    pub(super) equal: u64,
    pub(super) revealed: u64,
    pub(super) mismatched: u64,
    pub(super) listed: Vec<String>,
}

/// **Invariant:** `hidden` are levels that the engine has already and the rows do not show yet.
#[derive(Debug)]
pub(super) struct Judge {
    depth: usize,
    hidden: BTreeSet<(Side, Rank)>,
    /// Did the row before show as many levels as it can? Only then can one lie behind them.
    full: [bool; 2],
    pub(super) rows: Rows,
}

impl Judge {
    pub(super) fn new(depth: usize) -> Judge {
        Judge { depth, hidden: BTreeSet::new(), full: [false; 2], rows: Rows::default() }
    }

    pub(super) fn hide(&mut self, side: Side, price: u64) {
        self.hidden.insert((side, rank(side, price)));
    }

    /// Starts again from a row whose levels the engine holds exactly.
    pub(super) fn reset(&mut self, row: &Row) {
        self.hidden.clear();
        self.note_depth(row);
    }

    pub(super) fn row(&mut self, book: &Ladders<Amount>, step: &Step) -> Outcome {
        let mut outcome = self.compare(book, &step.row);
        self.rows.compared += 1;
        match &outcome {
            Outcome::Equal => self.rows.equal += 1,
            Outcome::Revealed(_) => self.rows.revealed += 1,
            Outcome::Mismatch => self.mismatch(book, step),
        }
        self.show(&step.row, &mut outcome);
        self.note_depth(&step.row);
        outcome
    }

    /// What the row shows is hidden no more, and the engine has it already.
    fn show(&mut self, row: &Row, outcome: &mut Outcome) {
        if self.hidden.is_empty() {
            return;
        }
        for side in [Side::Buy, Side::Sell] {
            for (price, _) in row.side(side) {
                let was_hidden = self.hidden.remove(&(side, rank(side, *price)));
                if let Outcome::Revealed(levels) = outcome
                    && was_hidden
                {
                    levels.retain(|level| (level.0, level.1) != (side, *price));
                }
            }
        }
    }

    /// Counts a row that the engine's book cannot show.
    pub(super) fn refuse(&mut self, book: &Ladders<Amount>, step: &Step) {
        self.rows.compared += 1;
        self.mismatch(book, step);
    }

    fn compare(&self, book: &Ladders<Amount>, row: &Row) -> Outcome {
        if !row.is_possible() {
            return Outcome::Mismatch;
        }
        let mut revealed = Vec::new();
        for side in [Side::Sell, Side::Buy] {
            let (ours, theirs) = (self.visible(book, side), row.side(side));
            if self.difference(side, &ours, theirs).is_some() {
                return Outcome::Mismatch;
            }
            let behind = theirs.get(ours.len()..).unwrap_or(&[]);
            revealed.extend(behind.iter().map(|(price, size)| (side, *price, *size)));
        }
        match revealed.is_empty() {
            true => Outcome::Equal,
            false => Outcome::Revealed(revealed),
        }
    }

    /// The first level that differs, from 0; levels that slid into view do not.
    fn difference(&self, side: Side, ours: &[Level], theirs: &[(u64, u64)]) -> Option<usize> {
        let compared = match self.full[side as usize] {
            true => ours.len(),
            false => ours.len().max(theirs.len()),
        };
        (0..compared).find(|at| ours.get(*at).copied() != theirs.get(*at).copied().map(units))
    }

    /// The engine's levels that a row can show.
    fn visible(&self, book: &Ladders<Amount>, side: Side) -> Vec<Level> {
        let levels = book.levels(side).map(|(price, quantity)| (price, *quantity));
        let shown = levels.filter(|(price, _)| {
            self.hidden.is_empty() || !self.hidden.contains(&(side, rank(side, *price / TICK)))
        });
        shown.take(self.depth).collect()
    }

    fn note_depth(&mut self, row: &Row) {
        for side in [Side::Buy, Side::Sell] {
            self.full[side as usize] = row.side(side).len() >= self.depth;
        }
    }

    fn mismatch(&mut self, book: &Ladders<Amount>, step: &Step) {
        self.rows.mismatched += 1;
        if self.rows.listed.len() >= MISMATCHES_LISTED_MAX {
            return;
        }
        let differing = [Side::Sell, Side::Buy].into_iter().find_map(|side| {
            let (ours, theirs) = (self.visible(book, side), step.row.side(side));
            let at = self.difference(side, &ours, theirs)?;
            let ours = show(ours.get(at).copied());
            let theirs = show(theirs.get(at).copied().map(units));
            Some(format!("{side} level {}: engine {ours}, row {theirs}", at + 1))
        });
        let what = match step.row.is_possible() {
            true => differing.unwrap_or_else(|| "equal, but not comparable before".into()),
            false => "the row is crossed or not in order of price".into(),
        };
        self.rows.listed.push(format!("line {}: {what}", step.line));
    }
}

fn show(level: Option<Level>) -> String {
    level.map_or("nothing".into(), |(price, quantity)| format!("{} × {quantity}", Price(price)))
}

/// Price and quantity in counts of 10^-8.
type Level = (u64, Amount);

const TICK: u64 = price(1).0;

fn units((ticks, shares): (u64, u64)) -> Level {
    (price(ticks).0, quantity(shares).into())
}
