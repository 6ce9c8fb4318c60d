//! What is known of an auction: what it would do if it ended now, or what it did.

use protocol::event::{AuctionUncrossed, IndicativeChanged};
use protocol::{Amount, Price, Side, Stamp};

part! {
    /// The running auction of an instrument, or the last one.
    pub struct Auction {
        /// Orders are collected: the numbers are indicative.
        pub is_collecting: bool,
        /// 0: nothing would trade, or nothing did.
        pub price: Price,
        pub quantity: Amount,
        /// The side of which more is wanted at the price than there is; as it was last told.
        pub surplus_side: Side,
        pub surplus: Amount,
        /// Price that decides when all else is equal; 0 is none.
        pub reference: Price,
        /// Since when this is so.
        pub stamp: Stamp,
    }
}

impl Auction {
    /// As an auction begins.
    pub(crate) fn begun(stamp: Stamp) -> Auction {
        Auction {
            is_collecting: true,
            price: Price::ZERO,
            quantity: Amount::ZERO,
            surplus_side: Side::Buy,
            surplus: Amount::ZERO,
            reference: Price::ZERO,
            stamp,
        }
    }

    pub(crate) fn indicated(event: &IndicativeChanged, stamp: Stamp) -> Auction {
        Auction {
            is_collecting: true,
            price: event.price,
            quantity: event.quantity,
            surplus_side: event.surplus_side,
            surplus: event.surplus,
            reference: event.reference,
            stamp,
        }
    }

    pub(crate) fn uncrossed(self, event: &AuctionUncrossed, stamp: Stamp) -> Auction {
        let (price, quantity) = (event.price, event.quantity);
        Auction { is_collecting: false, price, quantity, stamp, ..self }
    }
}
