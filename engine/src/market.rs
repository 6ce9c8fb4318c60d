//! What the engine keeps of one instrument besides its definition: book, stops, counters, prices.

use crate::average::Average;
use crate::book::{Book, Level};
use crate::ledger::Row;
use crate::orders::{Extra, Orders};
use crate::phases::Collection;
use crate::reference::{Bounds, Buckets};
use crate::rules::Rules;
use crate::slab::Slot;
use crate::stops::Stops;
use crate::trailing::Trailing;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use protocol::command::{Calendar, TradingRules};
use protocol::event::BookChanged;
use protocol::*;

/// The instrument's id counters: the last one given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) trade: TradeId,
    pub(crate) aggregate: AggregateTradeId,
    pub(crate) execution: ExecutionId,
    pub(crate) update: UpdateId,
    /// The next one: these count from 0.
    pub(crate) next_prevented: PreventedMatchId,
}

/// Commission rates, in counts of 10^-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) maker: u32,
    pub(crate) taker: u32,
}

#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) id: InstrumentId,
    pub(crate) base: AssetId,
    pub(crate) quote: AssetId,
    /// The venue's own balances of base and quote, where commissions go.
    pub(crate) venue_base: Row,
    pub(crate) venue_quote: Row,
    /// The definition, ready for use.
    pub(crate) rules: Rules,
    definition: Box<InstrumentDefinition>,
    /// Set for this instrument in particular.
    pub(crate) rates: Option<Rates>,
    pub(crate) book: Book,
    pub(crate) stops: Stops,
    pub(crate) trailing: Trailing,
    /// Those that rest in the book.
    pub(crate) icebergs: BTreeMap<OrderId, Slot>,
    /// While an auction collects.
    pub(crate) collection: Option<Box<Collection>>,
    pub(crate) trading_rules: TradingRules,
    pub(crate) buckets: Buckets,
    pub(crate) calendar: Option<Box<Calendar>>,
    pub(crate) counters: Counters,
    /// Price of the latest trade.
    pub(crate) last_trade: Option<Price>,
    pub(crate) average: Average,
}

impl Market {
    pub(crate) fn new(
        id: InstrumentId,
        (base, venue_base): (AssetId, Row),
        (quote, venue_quote): (AssetId, Row),
        definition: InstrumentDefinition,
    ) -> Market {
        let rules = Rules::of(&definition);
        let tick = match rules.has(instrument::filter::PRICE) {
            true => definition.filters.price.tick,
            false => Price::ZERO,
        };
        Market {
            id,
            base,
            quote,
            venue_base,
            venue_quote,
            rules,
            definition: Box::new(definition),
            rates: None,
            book: Book::new(tick),
            stops: Stops::default(),
            trailing: Trailing::default(),
            icebergs: BTreeMap::new(),
            collection: None,
            trading_rules: TradingRules::default(),
            buckets: Buckets::default(),
            calendar: None,
            counters: Counters::default(),
            last_trade: None,
            average: Average::default(),
        }
    }

    pub(crate) fn definition(&self) -> &InstrumentDefinition {
        &self.definition
    }

    pub(crate) fn define(&mut self, definition: &InstrumentDefinition) {
        *self.definition = *definition;
        let is_bounded = self.rules.is_bounded;
        self.rules = Rules { is_bounded, ..Rules::of(definition) };
    }

    pub(crate) fn set_status(&mut self, status: InstrumentStatus) {
        self.define(&InstrumentDefinition { status, ..*self.definition });
    }

    #[inline]
    pub(crate) fn next_execution(&mut self) -> ExecutionId {
        self.counters.execution = self.counters.execution.next();
        self.counters.execution
    }

    /// Price of the latest trade; before any, the reference price, if there is one.
    pub(crate) fn last_price(&self) -> Option<Price> {
        let reference = self.definition.reference_price;
        self.last_trade.or(Some(reference).filter(|price| !price.is_zero()))
    }

    /// The average that filters use (docs/rules.md §9).
    pub(crate) fn average_price(&self, minutes: u32, now: Stamp) -> Option<Price> {
        let traded = match minutes {
            0 => None,
            minutes => self.average.over(minutes, now),
        };
        traded.or_else(|| self.last_price())
    }

    /// The reference price of the execution rules, if there is one (docs/rules.md §9).
    pub(crate) fn reference_price(&self, now: Stamp) -> Option<Price> {
        self.buckets.reference(&self.trading_rules, now)
    }

    /// The price that filters use (docs/rules.md §9).
    pub(crate) fn filter_price(&self, minutes: u32, now: Stamp) -> Option<Price> {
        self.reference_price(now).or_else(|| self.average_price(minutes, now))
    }

    /// The middle of the volatility band; none: there is no band.
    pub(crate) fn band_middle(&self, now: Stamp) -> Option<Price> {
        let rules = &self.trading_rules;
        if rules.volatility_band == 0 {
            return None;
        }
        self.average_price(rules.volatility_minutes, now)
    }

    /// Where a run of this side that begins now may execute.
    #[inline]
    pub(crate) fn bounds(&self, side: Side, now: Stamp) -> Option<Bounds> {
        match self.rules.is_bounded {
            false => None,
            true => Some(self.bounds_now(side, now)),
        }
    }

    #[cold]
    fn bounds_now(&self, side: Side, now: Stamp) -> Bounds {
        let reference = self.reference_price(now);
        Bounds::new(&self.trading_rules, side, reference, self.band_middle(now))
    }

    pub(crate) fn set_trading_rules(&mut self, rules: TradingRules) {
        let buckets = |rules: &TradingRules| (rules.bucket_width_ms, rules.bucket_count);
        if buckets(&rules) != buckets(&self.trading_rules) {
            self.buckets = Buckets::default();
        }
        let limits =
            [rules.bid_limit_up, rules.bid_limit_down, rules.ask_limit_up, rules.ask_limit_down];
        self.rules.is_bounded = rules.volatility_band != 0 || limits != [0; 4];
        self.trading_rules = rules;
    }

    /// The event of a level's change; takes the next update id.
    #[inline]
    pub(crate) fn book_changed(&mut self, side: Side, level: crate::book::Level) -> BookChanged {
        self.counters.update = self.counters.update.next();
        BookChanged {
            instrument: self.id,
            update: self.counters.update,
            side,
            price: level.price,
            quantity: LevelQuantity::new(level.quantity),
            orders: level.orders,
        }
    }

    /// The asset that an order of this side pays with.
    #[inline]
    pub(crate) fn paying_asset(&self, side: Side) -> AssetId {
        match side {
            Side::Buy => self.quote,
            Side::Sell => self.base,
        }
    }
}

impl Market {
    /// An iceberg that rests here no longer.
    #[inline]
    pub(crate) fn forget_iceberg(&mut self, orders: &Orders, slot: Slot) {
        if orders.extra(slot).is_some_and(Extra::is_iceberg) {
            self.icebergs.remove(&orders.get(slot).id);
        }
    }

    /// After a trade of `quantity`, taken off the level already: what an iceberg shows is less; when
    /// nothing is left of it, the next part joins the end of the level. Returns that part and the level.
    pub(crate) fn refill(
        &mut self,
        orders: &mut Orders,
        slot: Slot,
        quantity: Quantity,
    ) -> Option<(Quantity, Level)> {
        let remaining = orders.get(slot).remaining;
        let extra = orders.extra_mut(slot).filter(|extra| extra.is_iceberg())?;
        extra.shown.0 -= quantity.0;
        if !extra.shown.is_zero() {
            return None;
        }
        extra.shown = extra.terms.iceberg.min(remaining);
        let shown = extra.shown;
        self.book.remove(&mut orders.slab, slot, Quantity::ZERO);
        Some((shown, self.book.insert(&mut orders.slab, slot, shown)))
    }
}
