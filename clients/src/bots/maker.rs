//! The market maker: a ladder of orders on both sides of a fair price that wanders.

use protocol::{OrderKind, Price, Quantity, Side, TimeInForce};

use super::Trader;
use super::desk::{DRIFT_MAX, Desk, Intent, NewOrder, OwnOrder, Phase};
use super::market::BotSymbol;
use super::walk::Walk;
use crate::random::Random;

/// Levels by which a full drift moves the ladder against it.
const SKEW_LEVELS: i64 = 3;

/// Levels past the last one on which an order may stay while the ladder moves.
const TAIL_LEVELS: u64 = 3;

/// A look at a ladder in order changes it anyway this many times in 100.
const REFRESH_PERCENT: u64 = 15;

/// Of what takes an order off its level: cancel and replace in one request, per cent.
const REPLACE_PERCENT: u64 = 35;

/// Of new orders: LIMIT instead of LIMIT_MAKER, per cent. It takes what stands in its way.
const LIMIT_PERCENT: u64 = 25;

pub(super) struct Maker {
    random: Random,
    walks: Vec<Walk>,
    /// Levels per side.
    levels: u64,
    /// The instrument and side to look at next.
    cursor: usize,
}

impl Maker {
    pub(super) fn new(symbols: &[BotSymbol], levels: u64, seed: u64) -> Maker {
        let walk = |(lane, symbol): (usize, &BotSymbol)| {
            Walk::new(symbol.reference_price, Random::lane(seed, lane as u64))
        };
        Maker {
            random: Random::new(seed),
            walks: symbols.iter().enumerate().map(walk).collect(),
            levels,
            cursor: 0,
        }
    }
}

impl Trader for Maker {
    fn turn(&mut self) {
        self.walks.iter_mut().for_each(Walk::step);
    }

    fn decide(&mut self, desk: &Desk) -> Option<Intent> {
        let ladders = 2 * desk.symbols.len();
        for _ in 0..ladders {
            self.cursor = (self.cursor + 1) % ladders;
            let side = if self.cursor.is_multiple_of(2) { Side::Buy } else { Side::Sell };
            let intent = self.tend(desk, self.cursor / 2, side);
            if intent.is_some() {
                return intent;
            }
        }
        None
    }
}

/// One side of one instrument as it should be.
struct Ladder<'a> {
    symbol: &'a BotSymbol,
    side: Side,
    /// The best price.
    top: Price,
    gap: Price,
    levels: u64,
}

impl Ladder<'_> {
    /// The level on which a price lies, 0 at the top; `None` for a price better than the top.
    fn level(&self, price: Price) -> Option<u64> {
        let distance = match self.side {
            Side::Buy => self.top.0.checked_sub(price.0),
            Side::Sell => price.0.checked_sub(self.top.0),
        };
        distance.map(|distance| distance / self.gap.0)
    }

    /// The first level on which no order may stay.
    fn end(&self) -> u64 {
        if self.levels == 0 { 0 } else { self.levels + TAIL_LEVELS }
    }

    /// The best price of a level.
    fn price(&self, level: u64) -> Price {
        self.symbol.away(self.side, self.top, Price(self.gap.0.saturating_mul(level)))
    }
}

impl Maker {
    /// The one most useful change of a ladder, if any.
    fn tend(&mut self, desk: &Desk, instrument: usize, side: Side) -> Option<Intent> {
        let ladder = self.ladder(desk, instrument, side)?;
        let mut taken = vec![false; ladder.levels as usize];
        let mut misplaced = None;
        for (number, own) in desk.own(instrument, side) {
            let level = ladder.level(own.order.price);
            let place = level.and_then(|level| taken.get_mut(level as usize));
            let is_misplaced = match place {
                Some(place) => std::mem::replace(place, true),
                None => level.is_none_or(|level| level >= ladder.end()),
            };
            if is_misplaced && own.phase == Phase::Open {
                misplaced = misplaced.or(Some(number));
            }
        }
        let free = taken.iter().position(|&is_taken| !is_taken);
        let wanted = free.and_then(|level| self.order(desk, &ladder, instrument, level as u64));
        match (misplaced, wanted) {
            (Some(number), Some(new)) if self.random.chance(REPLACE_PERCENT, 100) => {
                Some(Intent::Replace { number, new })
            }
            (Some(number), _) => Some(Intent::Cancel { number }),
            (None, Some(new)) => Some(Intent::Place(new)),
            (None, None) => self.refresh(desk, &ladder, instrument),
        }
    }

    /// `None` for a side that is given up until the inventory is back.
    fn ladder<'a>(&self, desk: &'a Desk, instrument: usize, side: Side) -> Option<Ladder<'a>> {
        let symbol = desk.symbols.get(instrument)?;
        let fair = self.walks.get(instrument)?.fair();
        let drift = desk.drift(instrument);
        let gap = symbol.gap();
        // Too much in stock moves the ladder down, too little up.
        let skew = Price(gap.0.saturating_mul((drift * SKEW_LEVELS / DRIFT_MAX).unsigned_abs()));
        let toward = if drift > 0 { Side::Buy } else { Side::Sell };
        let middle = symbol.away(toward, fair, skew);
        // The middle is on a tick, so one tick away on either side never meets the other.
        let half_spread = Price((gap.0 / 2).max(symbol.tick.0));
        let top = symbol.away(side, middle, half_spread);
        let is_given_up = match side {
            Side::Buy => drift >= DRIFT_MAX,
            Side::Sell => drift <= -DRIFT_MAX,
        };
        let levels = if is_given_up { 0 } else { self.levels };
        (!gap.is_zero()).then_some(Ladder { symbol, side, top, gap, levels })
    }

    /// A new order on a level, unless it would meet an own one or lacks funds.
    fn order(
        &mut self,
        desk: &Desk,
        ladder: &Ladder<'_>,
        instrument: usize,
        level: u64,
    ) -> Option<NewOrder> {
        let symbol = ladder.symbol;
        // Anywhere within the level, on a tick.
        let jitter = self.random.below(ladder.gap.0 / symbol.tick.0) * symbol.tick.0;
        let price = symbol.away(ladder.side, ladder.price(level), Price(jitter));
        let kind = match self.random.chance(LIMIT_PERCENT, 100) {
            true => OrderKind::Limit,
            false => OrderKind::LimitMaker,
        };
        let new = NewOrder {
            instrument,
            side: ladder.side,
            kind,
            time_in_force: TimeInForce::Gtc,
            price,
            quantity: symbol.fit(price, self.quantity(symbol, level)),
        };
        let is_good = ladder.level(price) == Some(level)
            && !desk.crosses_own(instrument, ladder.side, price)
            && desk.can_afford(&new);
        is_good.then_some(new)
    }

    /// Deeper levels hold more.
    fn quantity(&mut self, symbol: &BotSymbol, level: u64) -> Quantity {
        let percent = self.random.between(50, 150).saturating_mul(4 + level) / 4;
        let quantity = u128::from(symbol.order_quantity.0) * u128::from(percent) / 100;
        Quantity(u64::try_from(quantity).unwrap_or(Quantity::MAX.0).min(Quantity::MAX.0))
    }

    /// Now and then an order is renewed or made smaller though nothing is wrong with it.
    fn refresh(&mut self, desk: &Desk, ladder: &Ladder<'_>, instrument: usize) -> Option<Intent> {
        if !self.random.chance(REFRESH_PERCENT, 100) {
            return None;
        }
        let open = desk.own(instrument, ladder.side).filter(|(_, own)| own.phase == Phase::Open);
        let open: Vec<_> = open.collect();
        let drawn = self.random.below(open.len() as u64) as usize;
        let &(number, own) = open.get(drawn)?;
        if let Some(quantity) = smaller(ladder.symbol, own)
            && self.random.chance(1, 2)
        {
            return Some(Intent::Amend { number, quantity });
        }
        let level = ladder.level(own.order.price).filter(|&level| level < ladder.levels)?;
        let new = self.order(desk, ladder, instrument, level)?;
        Some(Intent::Replace { number, new })
    }
}

/// Half of what is left of an order that was not amended before, if that is still an order.
fn smaller(symbol: &BotSymbol, own: &OwnOrder) -> Option<Quantity> {
    let remaining = own.order.quantity.0.checked_sub(own.filled.0)?;
    let kept = symbol.fit(own.order.price, Quantity(remaining / 2));
    let quantity = Quantity(own.filled.0.checked_add(kept.0)?);
    let is_less = quantity < own.order.quantity && !own.is_amended;
    is_less.then_some(quantity)
}
