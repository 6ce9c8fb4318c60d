//! What an instrument is: its assets, what it allows, and its filters.

use crate::number::{Amount, Price, Quantity};
use crate::text::{Bytes, Text};
use crate::words::{InstrumentStatus, OrderKind, StpMode};

pub type Symbol = Text<32>;
pub type AssetName = Text<16>;

/// Bounds on what a definition may hold.
pub const AVERAGE_MINUTES_MAX: u32 = 60;
pub const OTHER_FILTERS_LENGTH_MAX: usize = 1024;

/// Capabilities of an instrument: bits of [`InstrumentDefinition::flags`].
pub mod flag {
    pub const ICEBERG: u32 = 1 << 0;
    pub const OCO: u32 = 1 << 1;
    pub const OTO: u32 = 1 << 2;
    pub const OPO: u32 = 1 << 3;
    pub const QUOTE_ORDER_QUANTITY: u32 = 1 << 4;
    pub const TRAILING_STOP: u32 = 1 << 5;
    pub const CANCEL_REPLACE: u32 = 1 << 6;
    pub const AMEND: u32 = 1 << 7;
    pub const PEGGED: u32 = 1 << 8;
    pub const SPOT: u32 = 1 << 9;
    pub const MARGIN: u32 = 1 << 10;

    /// All that say what an order may be.
    pub const TRADABLE: u32 = (1 << 9) - 1;
}

/// Filters that are present: bits of [`Filters::present`]. A filter that is not present is not
/// shown; a limit of 0 switches a rule off.
pub mod filter {
    pub const PRICE: u32 = 1 << 0;
    pub const PERCENT_PRICE: u32 = 1 << 1;
    pub const PERCENT_PRICE_BY_SIDE: u32 = 1 << 2;
    pub const LOT_SIZE: u32 = 1 << 3;
    pub const MARKET_LOT_SIZE: u32 = 1 << 4;
    pub const MIN_NOTIONAL: u32 = 1 << 5;
    pub const NOTIONAL: u32 = 1 << 6;
    pub const ICEBERG_PARTS: u32 = 1 << 7;
    pub const MAX_NUM_ORDERS: u32 = 1 << 8;
    pub const MAX_NUM_ALGO_ORDERS: u32 = 1 << 9;
    pub const MAX_NUM_ICEBERG_ORDERS: u32 = 1 << 10;
    pub const MAX_POSITION: u32 = 1 << 11;
    pub const TRAILING_DELTA: u32 = 1 << 12;
    pub const MAX_NUM_ORDER_AMENDS: u32 = 1 << 13;
    pub const MAX_NUM_ORDER_LISTS: u32 = 1 << 14;

    /// Every filter that has a place of its own, with Binance's name.
    pub const ALL: &[(u32, &str)] = &[
        (PRICE, "PRICE_FILTER"),
        (PERCENT_PRICE, "PERCENT_PRICE"),
        (PERCENT_PRICE_BY_SIDE, "PERCENT_PRICE_BY_SIDE"),
        (LOT_SIZE, "LOT_SIZE"),
        (MARKET_LOT_SIZE, "MARKET_LOT_SIZE"),
        (MIN_NOTIONAL, "MIN_NOTIONAL"),
        (NOTIONAL, "NOTIONAL"),
        (ICEBERG_PARTS, "ICEBERG_PARTS"),
        (MAX_NUM_ORDERS, "MAX_NUM_ORDERS"),
        (MAX_NUM_ALGO_ORDERS, "MAX_NUM_ALGO_ORDERS"),
        (MAX_NUM_ICEBERG_ORDERS, "MAX_NUM_ICEBERG_ORDERS"),
        (MAX_POSITION, "MAX_POSITION"),
        (TRAILING_DELTA, "TRAILING_DELTA"),
        (MAX_NUM_ORDER_AMENDS, "MAX_NUM_ORDER_AMENDS"),
        (MAX_NUM_ORDER_LISTS, "MAX_NUM_ORDER_LISTS"),
    ];

    /// All of them.
    pub const KNOWN: u32 = (MAX_NUM_ORDER_LISTS << 1) - 1;
}

part! {
    /// Bounds and grid of a price. 0 switches a bound or the grid off.
    pub struct PriceFilter {
        pub min: Price,
        pub max: Price,
        pub tick: Price,
    }
}

part! {
    /// Bounds and grid of a quantity. 0 switches `max` or the grid off.
    pub struct LotSize {
        pub min: Quantity,
        pub max: Quantity,
        pub step: Quantity,
    }
}

part! {
    /// A price band around the average: multipliers count 10^-8.
    pub struct PercentPrice {
        pub multiplier_up: u64,
        pub multiplier_down: u64,
        /// Minutes of the average; 0 is the last price.
        pub average_minutes: u32,
    }
}

part! {
    /// Price bands for bids and asks apart: multipliers count 10^-8.
    pub struct PercentPriceBySide {
        pub bid_multiplier_up: u64,
        pub bid_multiplier_down: u64,
        pub ask_multiplier_up: u64,
        pub ask_multiplier_down: u64,
        /// Minutes of the average; 0 is the last price.
        pub average_minutes: u32,
    }
}

part! {
    pub struct MinNotional {
        pub min: Amount,
        pub apply_to_market: bool,
        /// Minutes of the average that prices a market order; 0 is the last price.
        pub average_minutes: u32,
    }
}

part! {
    pub struct NotionalFilter {
        pub min: Amount,
        /// 0 switches the upper bound off.
        pub max: Amount,
        pub apply_min_to_market: bool,
        pub apply_max_to_market: bool,
        /// Minutes of the average that prices a market order; 0 is the last price.
        pub average_minutes: u32,
    }
}

part! {
    /// Basis points.
    pub struct TrailingDelta {
        pub min_above: u32,
        pub max_above: u32,
        pub min_below: u32,
        pub max_below: u32,
    }
}

part! {
    /// All filters of an instrument; `present` says which exist.
    pub struct Filters {
        pub present: u32,
        pub price: PriceFilter,
        pub lot_size: LotSize,
        pub market_lot_size: LotSize,
        pub percent_price: PercentPrice,
        pub percent_price_by_side: PercentPriceBySide,
        pub min_notional: MinNotional,
        pub notional: NotionalFilter,
        pub max_position: Amount,
        pub trailing_delta: TrailingDelta,
        pub max_num_orders: u32,
        pub max_num_algo_orders: u32,
        pub max_num_iceberg_orders: u32,
        pub iceberg_parts: u32,
        pub max_num_order_amends: u32,
        pub max_num_order_lists: u32,
    }
}

impl Filters {
    /// No filter at all.
    pub const NONE: Filters = Filters {
        present: 0,
        price: PriceFilter { min: Price::ZERO, max: Price::ZERO, tick: Price::ZERO },
        lot_size: LotSize { min: Quantity::ZERO, max: Quantity::ZERO, step: Quantity::ZERO },
        market_lot_size: LotSize { min: Quantity::ZERO, max: Quantity::ZERO, step: Quantity::ZERO },
        percent_price: PercentPrice { multiplier_up: 0, multiplier_down: 0, average_minutes: 0 },
        percent_price_by_side: PercentPriceBySide {
            bid_multiplier_up: 0,
            bid_multiplier_down: 0,
            ask_multiplier_up: 0,
            ask_multiplier_down: 0,
            average_minutes: 0,
        },
        min_notional: MinNotional { min: Amount::ZERO, apply_to_market: false, average_minutes: 0 },
        notional: NotionalFilter {
            min: Amount::ZERO,
            max: Amount::ZERO,
            apply_min_to_market: false,
            apply_max_to_market: false,
            average_minutes: 0,
        },
        max_position: Amount::ZERO,
        trailing_delta: TrailingDelta { min_above: 0, max_above: 0, min_below: 0, max_below: 0 },
        max_num_orders: 0,
        max_num_algo_orders: 0,
        max_num_iceberg_orders: 0,
        iceberg_parts: 0,
        max_num_order_amends: 0,
        max_num_order_lists: 0,
    };

    pub const fn has(&self, filter: u32) -> bool {
        self.present & filter != 0
    }
}

part! {
    /// An instrument as its definer states it. Defining a symbol again replaces all but its assets.
    pub struct InstrumentDefinition {
        pub symbol: Symbol,
        pub base: AssetName,
        pub quote: AssetName,
        pub status: InstrumentStatus,
        /// Digits shown; the engine counts 10^-8 whatever they say.
        pub base_precision: u8,
        pub quote_precision: u8,
        pub base_commission_precision: u8,
        pub quote_commission_precision: u8,
        /// Set of [`OrderKind::bit`].
        pub order_kinds: u16,
        /// Set of bits of [`flag`].
        pub flags: u32,
        /// Set of Binance's permissions, numbered by the importer; shown, not enforced.
        pub permissions: u32,
        pub default_stp_mode: StpMode,
        /// Set of [`StpMode::bit`].
        pub allowed_stp_modes: u16,
        /// What stands for the average before the first trade; 0 is none.
        pub reference_price: Price,
        pub filters: Filters,
        /// Filters that this version has no place for, as they came (JSON objects, comma-separated).
        pub other_filters: Bytes<OTHER_FILTERS_LENGTH_MAX>,
    }
}

impl InstrumentDefinition {
    /// Everything allowed, nothing filtered: the base that tests and tools start from.
    pub fn open(symbol: Symbol, base: AssetName, quote: AssetName) -> InstrumentDefinition {
        InstrumentDefinition {
            symbol,
            base,
            quote,
            status: InstrumentStatus::Trading,
            base_precision: 8,
            quote_precision: 8,
            base_commission_precision: 8,
            quote_commission_precision: 8,
            order_kinds: OrderKind::ALL.iter().fold(0, |set, kind| set | kind.bit()),
            flags: flag::TRADABLE | flag::SPOT,
            permissions: 1,
            default_stp_mode: StpMode::None,
            allowed_stp_modes: StpMode::ALL.iter().fold(0, |set, mode| set | mode.bit()),
            reference_price: Price::ZERO,
            filters: Filters::NONE,
            other_filters: Bytes::EMPTY,
        }
    }
}
