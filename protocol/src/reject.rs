//! Why a command was refused. The gateway maps each reason to the venue's code and text.

use crate::words::words;
use core::fmt;
use rkyv::{Archive, Deserialize, Serialize};

words! {
    /// A refusal as a value, grouped by what is checked; docs/rules.md has the order.
    pub enum RejectReason {
        // The envelope.
        NumberGap = "a command of this gateway is missing before this one",
        StaleIncarnation = "the gateway slot was taken over",
        DeadlinePassed = "the deadline of the command has passed",
        NoGenesis = "the log has no genesis yet",
        // Venue commands.
        AlreadyDefined = "already defined",
        UnknownRules = "this version of the rules is unknown to this build",
        InvalidDefinition = "the definition has a value out of range",
        TooManyDefinitions = "the venue's bound on definitions is reached",
        AssetMismatch = "the instrument exists with other assets",
        NoChange = "the request would change nothing",
        UnknownInstrument = "unknown instrument",
        UnknownAccount = "unknown account",
        UnknownAsset = "unknown asset",
        UnknownKey = "unknown key",
        DuplicateTransfer = "a transfer of this id was executed",
        InvalidAmount = "the amount is not positive or too large",
        TransferNotPermitted = "the account may not deposit or withdraw",
        // Orders: shape.
        AccountMayNotTrade = "the account may not trade",
        InvalidPrice = "the price is missing or too large",
        InvalidQuantity = "the quantity is missing or too large",
        InvalidStopPrice = "the stop price is missing or too large",
        InvalidClientOrderId = "the client order id is empty",
        UnsupportedCombination = "this combination of fields is not supported",
        OrderKindNotAllowed = "the instrument does not allow this order type",
        QuoteQuantityNotAllowed = "the instrument does not allow quote order quantities",
        StpModeNotAllowed = "the instrument does not allow this self-trade prevention mode",
        MarketClosed = "market is closed",
        // Orders: filters.
        PriceFilter = "PRICE_FILTER",
        PercentPriceBySide = "PERCENT_PRICE_BY_SIDE",
        LotSize = "LOT_SIZE",
        MarketLotSize = "MARKET_LOT_SIZE",
        MinNotional = "MIN_NOTIONAL",
        Notional = "NOTIONAL",
        MaxPosition = "MAX_POSITION",
        MaxNumOrders = "MAX_NUM_ORDERS",
        ExchangeMaxNumOrders = "EXCHANGE_MAX_NUM_ORDERS",
        // Orders: state.
        DuplicateClientOrderId = "duplicate client order id",
        WouldTriggerImmediately = "order would trigger immediately",
        WouldMatchImmediately = "order would immediately match and take",
        InsufficientBalance = "insufficient balance",
        // Cancel, amend, cancel-replace.
        UnknownOrder = "unknown order",
        ClientOrderIdMismatch = "the client order id is not of this order",
        CancelRestricted = "the cancel restrictions forbid it",
        CancelReplaceNotSupported = "the instrument does not allow cancel-replace",
        AmendNotSupported = "the instrument does not allow amends",
        QuantityIncrease = "an amend may only reduce the quantity",
        TooManyAmends = "the order was amended too often",
        NotInBook = "the order does not rest in the book",
        // Orders with terms.
        IcebergNotAllowed = "the instrument does not allow iceberg orders",
        IcebergExceedsQuantity = "the shown part exceeds the quantity",
        TrailingStopNotAllowed = "the instrument does not allow trailing stops",
        PeggedNotAllowed = "the instrument does not allow pegged orders",
        PegNotForKind = "an order of this type cannot be pegged",
        PegNotForCombination = "this peg cannot be used with this order",
        NoPegPrice = "the book has no level to peg to",
        PercentPrice = "PERCENT_PRICE",
        IcebergParts = "ICEBERG_PARTS",
        TrailingDelta = "TRAILING_DELTA",
        MaxNumAlgoOrders = "MAX_NUM_ALGO_ORDERS",
        MaxNumIcebergOrders = "MAX_NUM_ICEBERG_ORDERS",
        MaxNumOrderLists = "MAX_NUM_ORDER_LISTS",
        ExchangeMaxNumAlgoOrders = "EXCHANGE_MAX_NUM_ALGO_ORDERS",
        ExchangeMaxNumIcebergOrders = "EXCHANGE_MAX_NUM_ICEBERG_ORDERS",
        ExchangeMaxNumOrderLists = "EXCHANGE_MAX_NUM_ORDER_LISTS",
        // Order lists.
        OcoNotAllowed = "the instrument does not allow OCO lists",
        OtoNotAllowed = "the instrument does not allow OTO lists",
        OpoNotAllowed = "the instrument does not allow OPO lists",
        InvalidOrderList = "the orders of the list do not fit together",
        ListPrices = "the relationship of the prices for the orders is not correct",
        DuplicateListClientOrderId = "duplicate list client order id",
        UnknownOrderList = "unknown order list",
        PendingAmend = "a pending order that is paid by another cannot be amended",
        // Auctions.
        NoUpperPrice = "a market order to buy needs an upper price limit in an auction",
        // Risk.
        KillSwitch = "trading is switched off by the kill switch",
        OrderNotionalLimit = "the order is above the limit on an order's notional",
        OpenOrdersLimit = "the limit on open orders is reached",
        DayQuantityLimit = "the limit on a day's quantity would be passed",
        PriceCollar = "the price is outside of the collar around the last price",
    }
}
