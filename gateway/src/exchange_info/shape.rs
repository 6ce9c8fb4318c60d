//! Binance's names of what an instrument has, and where a definition keeps it.
//!
//! One table serves four ways: reading and writing exchangeInfo, reading and writing `[[instrument]]`
//! tables, whose keys are the same names in snake_case.

use protocol::instrument::{AVERAGE_MINUTES_MAX, filter, flag};
use protocol::number::{DecimalError, parse_decimal};
use protocol::{Amount, Filters, InstrumentDefinition, Price, Quantity, SCALE};

/// Digits that an asset may show.
pub const PRECISION_MAX: u8 = 8;

/// What a number of a filter counts, and so what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A price, a quantity or a multiplier: 63 bits of 10^-8.
    Decimal,
    /// An amount: a decimal of at most 20 digits before the point.
    Amount,
    Minutes,
    Count,
    Flag,
}

impl Kind {
    pub const fn allowed(self) -> &'static str {
        match self {
            Kind::Decimal => {
                "a decimal from 0 to 92233720368.54775807, at most 8 digits after the point"
            }
            Kind::Amount => {
                "a decimal from 0 to 99999999999999999999, at most 8 digits after the point"
            }
            Kind::Minutes => "a whole number of minutes from 0 to 60",
            Kind::Count => "a whole number from 0 to 4294967295",
            Kind::Flag => "true, false",
        }
    }

    pub const fn is_decimal(self) -> bool {
        matches!(self, Kind::Decimal | Kind::Amount)
    }

    /// The value of a text: counts of 10^-8, a whole number, or 0 and 1.
    pub fn parse(self, text: &str) -> Result<u128, DecimalError> {
        let whole = |max: u32| match text.parse::<u32>() {
            Ok(number) if number <= max && !text.starts_with('+') => Ok(u128::from(number)),
            Ok(_) => Err(DecimalError::TooLarge),
            Err(_) => match parse_decimal(text) {
                Ok(units) if units % u128::from(SCALE) == 0 => Err(DecimalError::TooLarge),
                _ => Err(DecimalError::Malformed),
            },
        };
        match self {
            Kind::Decimal => Price::parse(text).map(|price| u128::from(price.0)),
            Kind::Amount => Amount::parse(text).map(|amount| amount.0.unsigned_abs()),
            Kind::Minutes => whole(AVERAGE_MINUTES_MAX),
            Kind::Count => whole(u32::MAX),
            Kind::Flag => match text {
                "true" => Ok(1),
                "false" => Ok(0),
                _ => Err(DecimalError::Malformed),
            },
        }
    }

    /// The text of a value, shortest form.
    pub fn text(self, value: u128) -> String {
        match self {
            Kind::Decimal | Kind::Amount => decimal_text(value),
            Kind::Minutes | Kind::Count => value.to_string(),
            Kind::Flag => (value != 0).to_string(),
        }
    }
}

/// A decimal without trailing zeros.
pub fn decimal_text(units: u128) -> String {
    let scale = u128::from(SCALE);
    let text = format!("{}.{:08}", units / scale, units % scale);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// A number of one filter.
pub struct Field {
    /// Binance's name.
    pub json: &'static str,
    pub kind: Kind,
    pub get: fn(&Filters) -> u128,
    /// Sets a value that [`Kind::parse`] gave.
    pub set: fn(&mut Filters, u128),
}

impl Field {
    pub fn is_multiplier(&self) -> bool {
        self.json.ends_with("ultiplierUp") || self.json.ends_with("ultiplierDown")
    }
}

/// One filter.
pub struct FilterShape {
    /// Bit of [`Filters::present`].
    pub bit: u32,
    pub fields: &'static [Field],
}

impl FilterShape {
    /// Binance's name.
    pub fn name(&self) -> &'static str {
        filter::ALL.iter().find(|(bit, _)| *bit == self.bit).map_or("", |(_, name)| name)
    }

    /// The key of the sub-table of an `[[instrument]]`.
    pub fn key(&self) -> String {
        self.name().to_lowercase()
    }
}

/// A number as the tables carry it.
trait Number: Copy {
    fn value(self) -> u128;
    fn of(value: u128) -> Self;
}

macro_rules! number {
    ($($type:ty: $value:ident => $to:expr, $from:expr;)*) => {
        $(impl Number for $type {
            fn value(self) -> u128 {
                let $value = self;
                $to
            }
            fn of($value: u128) -> $type {
                $from
            }
        })*
    };
}
number! {
    Price: it => u128::from(it.0), Price(it as u64);
    Quantity: it => u128::from(it.0), Quantity(it as u64);
    Amount: it => it.0.unsigned_abs(), Amount(it as i128);
    u64: it => u128::from(it), it as u64;
    u32: it => u128::from(it), it as u32;
    bool: it => u128::from(it), it != 0;
}

macro_rules! filters {
    ($($bit:ident { $($json:literal: $kind:ident $($path:ident).+,)* })*) => {
        &[$(FilterShape {
            bit: filter::$bit,
            fields: &[$(Field {
                json: $json,
                kind: Kind::$kind,
                get: |filters| filters.$($path).+.value(),
                set: |filters, value| filters.$($path).+ = Number::of(value),
            },)*],
        },)*]
    };
}

/// Every filter that has a place of its own (filters.md, "Symbol filters").
pub const FILTERS: &[FilterShape] = filters! {
    PRICE {
        "minPrice": Decimal price.min,
        "maxPrice": Decimal price.max,
        "tickSize": Decimal price.tick,
    }
    PERCENT_PRICE {
        "multiplierUp": Decimal percent_price.multiplier_up,
        "multiplierDown": Decimal percent_price.multiplier_down,
        "avgPriceMins": Minutes percent_price.average_minutes,
    }
    PERCENT_PRICE_BY_SIDE {
        "bidMultiplierUp": Decimal percent_price_by_side.bid_multiplier_up,
        "bidMultiplierDown": Decimal percent_price_by_side.bid_multiplier_down,
        "askMultiplierUp": Decimal percent_price_by_side.ask_multiplier_up,
        "askMultiplierDown": Decimal percent_price_by_side.ask_multiplier_down,
        "avgPriceMins": Minutes percent_price_by_side.average_minutes,
    }
    LOT_SIZE {
        "minQty": Decimal lot_size.min,
        "maxQty": Decimal lot_size.max,
        "stepSize": Decimal lot_size.step,
    }
    MARKET_LOT_SIZE {
        "minQty": Decimal market_lot_size.min,
        "maxQty": Decimal market_lot_size.max,
        "stepSize": Decimal market_lot_size.step,
    }
    MIN_NOTIONAL {
        "minNotional": Amount min_notional.min,
        "applyToMarket": Flag min_notional.apply_to_market,
        "avgPriceMins": Minutes min_notional.average_minutes,
    }
    NOTIONAL {
        "minNotional": Amount notional.min,
        "applyMinToMarket": Flag notional.apply_min_to_market,
        "maxNotional": Amount notional.max,
        "applyMaxToMarket": Flag notional.apply_max_to_market,
        "avgPriceMins": Minutes notional.average_minutes,
    }
    ICEBERG_PARTS { "limit": Count iceberg_parts, }
    MAX_NUM_ORDERS { "maxNumOrders": Count max_num_orders, }
    MAX_NUM_ALGO_ORDERS { "maxNumAlgoOrders": Count max_num_algo_orders, }
    MAX_NUM_ICEBERG_ORDERS { "maxNumIcebergOrders": Count max_num_iceberg_orders, }
    MAX_POSITION { "maxPosition": Amount max_position, }
    TRAILING_DELTA {
        "minTrailingAboveDelta": Count trailing_delta.min_above,
        "maxTrailingAboveDelta": Count trailing_delta.max_above,
        "minTrailingBelowDelta": Count trailing_delta.min_below,
        "maxTrailingBelowDelta": Count trailing_delta.max_below,
    }
    MAX_NUM_ORDER_AMENDS { "maxNumOrderAmends": Count max_num_order_amends, }
    MAX_NUM_ORDER_LISTS { "maxNumOrderLists": Count max_num_order_lists, }
};

/// What an instrument can do. The names that the layout of 2021 lacks have a value for then.
pub struct Capability {
    pub bit: u32,
    pub json: &'static str,
    pub when_absent: Option<bool>,
}

const fn capability(bit: u32, json: &'static str, when_absent: Option<bool>) -> Capability {
    Capability { bit, json, when_absent }
}

/// In exchangeInfo's order. Cancel-replace and amend stand open where an old file is silent: they
/// came later, for every symbol, and whoever imports an old file trades with today's API. Order
/// lists of the newer kinds, pegged orders and trailing stops stay shut: their rules (filters) are
/// not in an old file either.
pub const CAPABILITIES: &[Capability] = &[
    capability(flag::ICEBERG, "icebergAllowed", None),
    capability(flag::OCO, "ocoAllowed", None),
    capability(flag::OTO, "otoAllowed", Some(false)),
    capability(flag::OPO, "opoAllowed", Some(false)),
    capability(flag::QUOTE_ORDER_QUANTITY, "quoteOrderQtyMarketAllowed", None),
    capability(flag::TRAILING_STOP, "allowTrailingStop", Some(false)),
    capability(flag::CANCEL_REPLACE, "cancelReplaceAllowed", Some(true)),
    capability(flag::AMEND, "amendAllowed", Some(true)),
    capability(flag::PEGGED, "pegInstructionsAllowed", Some(false)),
    capability(flag::SPOT, "isSpotTradingAllowed", None),
    capability(flag::MARGIN, "isMarginTradingAllowed", None),
];

/// Digits that an asset shows.
pub struct Precision {
    pub json: &'static str,
    pub get: fn(&InstrumentDefinition) -> u8,
    pub set: fn(&mut InstrumentDefinition, u8),
}

macro_rules! precisions {
    ($($json:literal: $field:ident,)*) => {
        &[$(Precision {
            json: $json,
            get: |definition| definition.$field,
            set: |definition, digits| definition.$field = digits,
        },)*]
    };
}

pub const PRECISIONS: &[Precision] = precisions! {
    "baseAssetPrecision": base_precision,
    "quoteAssetPrecision": quote_precision,
    "baseCommissionPrecision": base_commission_precision,
    "quoteCommissionPrecision": quote_commission_precision,
};

/// Binance's permissions (enums.md); the place in the list is the bit in a definition. Never
/// reordered: definitions in logs count on it.
pub const PERMISSIONS: &[&str] = &[
    "SPOT",
    "MARGIN",
    "LEVERAGED",
    "TRD_GRP_002",
    "TRD_GRP_003",
    "TRD_GRP_004",
    "TRD_GRP_005",
    "TRD_GRP_006",
    "TRD_GRP_007",
    "TRD_GRP_008",
    "TRD_GRP_009",
    "TRD_GRP_010",
    "TRD_GRP_011",
    "TRD_GRP_012",
    "TRD_GRP_013",
    "TRD_GRP_014",
    "TRD_GRP_015",
    "TRD_GRP_016",
    "TRD_GRP_017",
    "TRD_GRP_018",
    "TRD_GRP_019",
    "TRD_GRP_020",
    "TRD_GRP_021",
    "TRD_GRP_022",
    "TRD_GRP_023",
    "TRD_GRP_024",
    "TRD_GRP_025",
];

const _: () = assert!(PERMISSIONS.len() <= u32::BITS as usize);

/// The bit of a permission.
pub fn permission_bit(name: &str) -> Option<u32> {
    PERMISSIONS.iter().position(|permission| *permission == name).map(|at| 1 << at)
}

/// The names of a set of permissions.
pub fn permission_names(set: u32) -> Vec<&'static str> {
    let members = PERMISSIONS.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0);
    members.map(|(_, name)| *name).collect()
}

/// A word of the venue: the closed sets of `protocol`.
pub trait Word: Copy + 'static {
    fn all() -> &'static [Self];
    fn text(self) -> &'static str;
    fn mask(self) -> u16;

    fn find(text: &str) -> Option<Self> {
        Self::all().iter().copied().find(|word| word.text() == text)
    }

    /// The words, for messages.
    fn listed() -> String {
        Self::all().iter().map(|word| word.text()).collect::<Vec<_>>().join(", ")
    }

    /// The words of a set.
    fn names(set: u16) -> Vec<&'static str> {
        let members = Self::all().iter().filter(|word| set & word.mask() != 0);
        members.map(|word| word.text()).collect()
    }
}

macro_rules! word {
    ($($name:ty)*) => {
        $(impl Word for $name {
            fn all() -> &'static [Self] {
                <$name>::ALL
            }
            fn text(self) -> &'static str {
                self.as_str()
            }
            fn mask(self) -> u16 {
                self.bit()
            }
        })*
    };
}
word! {
    protocol::OrderKind protocol::StpMode protocol::InstrumentStatus protocol::RateLimitKind
    protocol::RateLimitInterval protocol::KeyKind
}

/// `minPrice` → `min_price`.
pub fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// Is the text fit for a name: something to see, nothing that moves the cursor?
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|it| it.is_whitespace() || it.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_of_the_protocol_has_its_names_and_its_own_places() {
        let bits: Vec<u32> = FILTERS.iter().map(|shape| shape.bit).collect();
        assert_eq!(bits, filter::ALL.iter().map(|(bit, _)| *bit).collect::<Vec<_>>());
        for (at, field) in FILTERS.iter().flat_map(|shape| shape.fields).enumerate() {
            let mut filters = Filters::NONE;
            (field.set)(&mut filters, 1);
            let set = FILTERS.iter().flat_map(|shape| shape.fields);
            let places: Vec<usize> =
                set.enumerate().filter(|(_, it)| (it.get)(&filters) == 1).map(|it| it.0).collect();
            assert_eq!(places, [at], "{}", field.json);
        }
    }

    #[test]
    fn keys_are_binances_names_in_snake_case() {
        assert_eq!(snake_case("quoteOrderQtyMarketAllowed"), "quote_order_qty_market_allowed");
        let keys: Vec<String> = FILTERS.iter().map(FilterShape::key).collect();
        assert_eq!(&keys[..3], ["price_filter", "percent_price", "percent_price_by_side"]);
    }

    #[test]
    fn a_number_says_what_it_may_be() {
        #[track_caller]
        fn check(kind: Kind, text: &str, expected: Result<u128, DecimalError>) {
            assert_eq!(kind.parse(text), expected, "{kind:?} {text:?}");
        }
        check(Kind::Decimal, "0.00000001", Ok(1));
        check(Kind::Decimal, "0.0000000000001", Err(DecimalError::TooPrecise));
        check(Kind::Decimal, "92233720368.54775808", Err(DecimalError::TooLarge));
        check(Kind::Amount, "99999999999999999999", Ok(9_999_999_999_999_999_999_900_000_000));
        check(Kind::Minutes, "60", Ok(60));
        check(Kind::Minutes, "61", Err(DecimalError::TooLarge));
        check(Kind::Count, "4294967296", Err(DecimalError::TooLarge));
        check(Kind::Count, "1.5", Err(DecimalError::Malformed));
        check(Kind::Count, "-1", Err(DecimalError::Malformed));
        check(Kind::Flag, "yes", Err(DecimalError::Malformed));
        assert_eq!(Kind::Decimal.text(100), "0.000001");
        assert_eq!(Kind::Decimal.text(500_000_000), "5");
        assert_eq!(Kind::Decimal.text(0), "0");
        assert_eq!(Kind::Decimal.text(100_000_000_000), "1000");
    }
}
