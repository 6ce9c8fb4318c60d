//! Ids. All of them are engine state: equal on every node and after every restart.

use core::fmt;
use rkyv::{Archive, Deserialize, Serialize};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize,
            Deserialize,
        )]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// No such thing: real ids start at 1.
            pub const NONE: $name = $name(0);

            /// The id after this one.
            #[must_use]
            pub const fn next(self) -> $name {
                $name(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        schema!($name: $inner);
    };
}

id! {
    /// Place of a command in the log, from 1, without gaps.
    Sequence(u64)
}
id! {
    /// Stored time: nanoseconds since 1970, UTC.
    Stamp(u64)
}
id! {
    /// An account. 0 is the venue itself: fees go to it, deposits come from it.
    AccountId(u32)
}
id! {
    /// An asset, in the order in which instruments first named it.
    AssetId(u32)
}
id! {
    /// An instrument, in the order of definition.
    InstrumentId(u32)
}
id! {
    /// An order; venue-wide.
    OrderId(u64)
}
id! {
    /// An order list; venue-wide.
    OrderListId(u64)
}
id! {
    /// A trade; counts per instrument, without gaps.
    TradeId(u64)
}
id! {
    /// Trades of one taker at one price, in a row; counts per instrument.
    AggregateTradeId(u64)
}
id! {
    /// One change of one order; counts per instrument.
    ExecutionId(u64)
}
id! {
    /// One change of one book level; counts per instrument.
    UpdateId(u64)
}

/// A self-trade that was prevented; counts per instrument **from 0**, as the venue's examples do.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Archive,
    Serialize,
    Deserialize,
)]
#[repr(transparent)]
pub struct PreventedMatchId(pub u64);

schema!(PreventedMatchId: u64);

impl AccountId {
    /// The venue's own account: collects fees, is the other side of deposits and withdrawals.
    pub const VENUE: AccountId = AccountId(0);
}

/// Nanoseconds in one millisecond, second, minute.
pub const MILLISECOND_NS: u64 = 1_000_000;
pub const SECOND_NS: u64 = 1_000 * MILLISECOND_NS;
pub const MINUTE_NS: u64 = 60 * SECOND_NS;

impl Stamp {
    /// No deadline.
    pub const NEVER: Stamp = Stamp(u64::MAX);

    /// The minute since 1970 that this stamp lies in.
    pub const fn minute(self) -> u64 {
        self.0 / MINUTE_NS
    }
}
