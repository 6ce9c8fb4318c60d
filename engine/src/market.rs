//! What the engine keeps of one instrument besides its definition: book, stops, counters, prices.

use crate::average::Average;
use crate::book::Book;
use crate::stops::Stops;
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
    pub(crate) definition: InstrumentDefinition,
    /// Set for this instrument in particular.
    pub(crate) rates: Option<Rates>,
    pub(crate) book: Book,
    pub(crate) stops: Stops,
    pub(crate) counters: Counters,
    /// Price of the latest trade.
    pub(crate) last_trade: Option<Price>,
    pub(crate) average: Average,
}

impl Market {
    pub(crate) fn new(
        id: InstrumentId,
        base: AssetId,
        quote: AssetId,
        definition: InstrumentDefinition,
    ) -> Market {
        Market {
            id,
            base,
            quote,
            definition,
            rates: None,
            book: Book::default(),
            stops: Stops::default(),
            counters: Counters::default(),
            last_trade: None,
            average: Average::default(),
        }
    }

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

    /// The event of a level's change; takes the next update id.
    pub(crate) fn book_changed(&mut self, side: Side, level: crate::book::Level) -> BookChanged {
        self.counters.update = self.counters.update.next();
        BookChanged {
            instrument: self.id,
            update: self.counters.update,
            side,
            price: level.price,
            quantity: level.quantity,
            orders: level.orders,
        }
    }

    /// The grid of quantities; 1 unit without one.
    pub(crate) fn step(&self) -> u64 {
        let filters = &self.definition.filters;
        match filters.has(instrument::filter::LOT_SIZE) {
            true => filters.lot_size.step.0.max(1),
            false => 1,
        }
    }

    /// The asset that an order of this side pays with.
    pub(crate) fn paying_asset(&self, side: Side) -> AssetId {
        match side {
            Side::Buy => self.quote,
            Side::Sell => self.base,
        }
    }
}
