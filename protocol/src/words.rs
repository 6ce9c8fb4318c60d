//! The closed sets of words of the venue.

use core::fmt;
use rkyv::{Archive, Deserialize, Serialize};

/// Declares a set of words stored in one byte, numbered from 0 in the order written.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$word_meta:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize,
            Deserialize,
        )]
        #[rkyv(derive(Debug))]
        #[repr(u8)]
        pub enum $name { $($(#[$word_meta])* $word,)* }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$word,)*];

            /// The venue's own text.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$word => $text,)* }
            }

            /// The word with this text.
            pub fn parse(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$word),)* _ => None }
            }

            /// One bit per word, for sets.
            pub const fn bit(self) -> u16 {
                1 << self as u16
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl crate::record::Schema for $name {
            const SCHEMA: u64 = {
                let mut hash = crate::record::name_hash(stringify!($name));
                $(hash = crate::record::mix(hash, crate::record::name_hash(stringify!($word)));)*
                hash
            };
        }
    };
}
pub(crate) use words;

words! {
    pub enum Side { Buy = "BUY", Sell = "SELL", }
}

impl Side {
    #[must_use]
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}

words! {
    /// Order types of Binance Spot.
    pub enum OrderKind {
        Limit = "LIMIT",
        LimitMaker = "LIMIT_MAKER",
        Market = "MARKET",
        StopLoss = "STOP_LOSS",
        StopLossLimit = "STOP_LOSS_LIMIT",
        TakeProfit = "TAKE_PROFIT",
        TakeProfitLimit = "TAKE_PROFIT_LIMIT",
    }
}

impl OrderKind {
    /// Has a limit price.
    pub const fn is_limit(self) -> bool {
        !matches!(self, OrderKind::Market | OrderKind::StopLoss | OrderKind::TakeProfit)
    }

    /// Waits for a trade at or past its stop price.
    pub const fn is_contingent(self) -> bool {
        matches!(
            self,
            OrderKind::StopLoss
                | OrderKind::StopLossLimit
                | OrderKind::TakeProfit
                | OrderKind::TakeProfitLimit
        )
    }

    /// Does a contingent order of this kind and side fire when the price rises to its stop price?
    /// The others fire when it falls to it. (rest-api.md, "Trigger order price rules".)
    pub const fn fires_on_rise(self, side: Side) -> bool {
        let stop_loss = matches!(self, OrderKind::StopLoss | OrderKind::StopLossLimit);
        stop_loss == matches!(side, Side::Buy)
    }
}

words! {
    pub enum TimeInForce { Gtc = "GTC", Ioc = "IOC", Fok = "FOK", }
}

words! {
    /// Self-trade prevention modes.
    pub enum StpMode {
        None = "NONE",
        ExpireTaker = "EXPIRE_TAKER",
        ExpireMaker = "EXPIRE_MAKER",
        ExpireBoth = "EXPIRE_BOTH",
        Decrement = "DECREMENT",
        Transfer = "TRANSFER",
    }
}

words! {
    /// What an order's quantity counts.
    pub enum QuantityUnit {
        /// The base asset.
        Base = "BASE",
        /// The quote asset: MARKET by `quoteOrderQty`.
        Quote = "QUOTE",
    }
}

words! {
    pub enum OrderStatus {
        New = "NEW",
        PartiallyFilled = "PARTIALLY_FILLED",
        Filled = "FILLED",
        Canceled = "CANCELED",
        Rejected = "REJECTED",
        Expired = "EXPIRED",
        ExpiredInMatch = "EXPIRED_IN_MATCH",
        /// Of an order list: waits until the working order is filled.
        PendingNew = "PENDING_NEW",
    }
}

words! {
    /// Why an order was closed without being filled.
    pub enum CloseReason {
        /// Its owner asked.
        Requested = "requested",
        /// What an immediate-or-cancel order could not take.
        ImmediateOrCancel = "immediate-or-cancel",
        /// A fill-or-kill order that could not be filled whole.
        FillOrKill = "fill-or-kill",
        /// A market order that found the book empty.
        NoLiquidity = "no liquidity",
        /// Self-trade prevention.
        SelfTrade = "self-trade",
        /// A market order that lacked funds when it was triggered.
        InsufficientBalance = "insufficient balance",
        /// Amended to no more than what was already executed or prevented.
        Amended = "amended",
        /// The other order of its pair works, or the pair expired.
        ListTriggered = "the other order of the pair works",
        /// The working order of its list expired.
        ListExpired = "the working order of the list expired",
        /// A check failed when it was to begin its work; `OrderRefused` before says which.
        Refused = "refused when it was to begin its work",
        /// The price range execution rule.
        PriceRange = "outside of the price range",
        /// The volatility band: trading was interrupted.
        Interrupted = "trading was interrupted",
        /// An administrator, or a kill switch.
        Exchange = "canceled by the exchange",
        /// Cancel on disconnect.
        Disconnected = "its session ended",
    }
}

words! {
    pub enum InstrumentStatus {
        Trading = "TRADING",
        Halt = "HALT",
        CancelOnly = "CANCEL_ONLY",
        Break = "BREAK",
        /// After the end of the day, before the next opening auction.
        Closed = "CLOSED",
        /// Orders are collected and executed at one price when it ends.
        OpeningAuction = "OPENING_AUCTION",
        /// Begun by a price outside of the volatility band; ends by itself.
        VolatilityAuction = "VOLATILITY_AUCTION",
        ClosingAuction = "CLOSING_AUCTION",
    }
}

impl InstrumentStatus {
    pub const fn is_auction(self) -> bool {
        matches!(
            self,
            InstrumentStatus::OpeningAuction
                | InstrumentStatus::VolatilityAuction
                | InstrumentStatus::ClosingAuction
        )
    }
}

words! {
    /// What the price of a pegged order follows when it enters the book.
    pub enum PegPrice {
        None = "NONE",
        /// The best price of its own side.
        Primary = "PRIMARY_PEG",
        /// The best price of the other side.
        Market = "MARKET_PEG",
    }
}

words! {
    pub enum OrderListKind {
        /// One cancels the other: a stop-loss and a take-profit or limit maker.
        Oco = "OCO",
        /// One triggers the other: a working order and a pending one.
        Oto = "OTO",
        /// One triggers a pair of which one cancels the other.
        Otoco = "OTOCO",
        /// One pays the other: what the working order buys is what the pending one sells.
        Opo = "OPO",
        /// One pays for a pair of which one cancels the other.
        Opoco = "OPOCO",
    }
}

impl OrderListKind {
    pub const fn has_working_order(self) -> bool {
        !matches!(self, OrderListKind::Oco)
    }

    /// Ends in a pair of which one cancels the other.
    pub const fn has_pair(self) -> bool {
        !matches!(self, OrderListKind::Oto | OrderListKind::Opo)
    }

    /// The pending orders sell what the working order buys.
    pub const fn pays(self) -> bool {
        matches!(self, OrderListKind::Opo | OrderListKind::Opoco)
    }

    pub const fn orders(self) -> usize {
        match self {
            OrderListKind::Oco | OrderListKind::Oto | OrderListKind::Opo => 2,
            OrderListKind::Otoco | OrderListKind::Opoco => 3,
        }
    }
}

words! {
    /// Who asks for a mass cancel.
    pub enum MassCancelCause {
        /// The owner's session ended and had asked for it.
        Disconnect = "disconnect",
        Administrator = "administrator",
    }
}

words! {
    pub enum CancelRestrictions {
        None = "NONE",
        OnlyNew = "ONLY_NEW",
        OnlyPartiallyFilled = "ONLY_PARTIALLY_FILLED",
    }
}

words! {
    pub enum CancelReplaceMode {
        StopOnFailure = "STOP_ON_FAILURE",
        AllowFailure = "ALLOW_FAILURE",
    }
}

words! {
    pub enum KeyKind { Hmac = "HMAC", Ed25519 = "ED25519", Rsa = "RSA", }
}

words! {
    pub enum TransferDirection { Deposit = "DEPOSIT", Withdrawal = "WITHDRAWAL", }
}

words! {
    /// What a pair of commission rates applies to. The most particular wins: account, then
    /// instrument, then venue.
    pub enum FeeScope { Venue = "VENUE", Instrument = "INSTRUMENT", Account = "ACCOUNT", }
}

words! {
    pub enum RateLimitKind {
        RequestWeight = "REQUEST_WEIGHT",
        Orders = "ORDERS",
        RawRequests = "RAW_REQUESTS",
    }
}

words! {
    pub enum RateLimitInterval { Second = "SECOND", Minute = "MINUTE", Day = "DAY", }
}

words! {
    /// Which part of a command was refused.
    pub enum CommandPart {
        /// The command as a whole.
        Whole = "command",
        /// The cancel of a cancel-replace.
        Cancel = "cancel",
        /// The new order of a cancel-replace.
        New = "new order",
    }
}
