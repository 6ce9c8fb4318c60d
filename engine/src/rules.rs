//! What an instrument's definition asks of every order, made ready when it is defined: bounds, and
//! grids that need no division.

use crate::divisor::Divisor;
use protocol::instrument::{LotSize, PriceFilter, filter};
use protocol::{InstrumentDefinition, InstrumentStatus, Price, Quantity};

/// Bounds and grid of a number. What is switched off lets everything pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    min: u64,
    max: u64,
    step: Divisor,
}

impl Grid {
    fn new(present: bool, (min, max, step): (u64, u64, u64)) -> Grid {
        match present {
            false => Grid { min: 0, max: u64::MAX, step: Divisor::EVERYTHING },
            true => {
                Grid { min, max: if max == 0 { u64::MAX } else { max }, step: Divisor::new(step) }
            }
        }
    }

    fn of_lots(present: bool, rule: &LotSize) -> Grid {
        Grid::new(present, (rule.min.0, rule.max.0, rule.step.0))
    }

    #[inline]
    fn fits(&self, number: u64) -> bool {
        number >= self.min && number <= self.max && self.step.divides(number)
    }

    #[inline]
    pub(crate) fn fits_price(&self, price: Price) -> bool {
        self.fits(price.0)
    }

    #[inline]
    pub(crate) fn fits_quantity(&self, quantity: Quantity) -> bool {
        self.fits(quantity.0)
    }

    /// The largest number of the grid up to the maximum that is not above the quantity.
    pub(crate) fn cut(&self, quantity: Quantity) -> Quantity {
        let most = quantity.0.min(self.max);
        Quantity(most - most % self.unit())
    }

    /// The grid's unit; 1 without one.
    pub(crate) fn unit(&self) -> u64 {
        self.step.unit().max(1)
    }
}

/// **Invariants:** says what the market's definition says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) status: InstrumentStatus,
    /// Set of kinds' bits.
    pub(crate) order_kinds: u16,
    /// Set of modes' bits.
    pub(crate) stp_modes: u16,
    pub(crate) flags: u32,
    /// Set of filters that are present.
    pub(crate) filters: u32,
    pub(crate) price: Grid,
    pub(crate) lots: Grid,
    pub(crate) market_lots: Grid,
    /// Runs have bounds besides the order's own: a price range or a volatility band.
    pub(crate) is_bounded: bool,
}

impl Rules {
    pub(crate) fn of(definition: &InstrumentDefinition) -> Rules {
        let filters = &definition.filters;
        let PriceFilter { min, max, tick } = filters.price;
        Rules {
            status: definition.status,
            order_kinds: definition.order_kinds,
            stp_modes: definition.allowed_stp_modes,
            flags: definition.flags,
            filters: filters.present,
            price: Grid::new(filters.has(filter::PRICE), (min.0, max.0, tick.0)),
            lots: Grid::of_lots(filters.has(filter::LOT_SIZE), &filters.lot_size),
            market_lots: Grid::of_lots(
                filters.has(filter::MARKET_LOT_SIZE),
                &filters.market_lot_size,
            ),
            is_bounded: false,
        }
    }

    #[inline]
    pub(crate) fn has(&self, filter: u32) -> bool {
        self.filters & filter != 0
    }
}
