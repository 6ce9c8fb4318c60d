//! Refusals with the venue's own codes and texts (errors.md).

use std::borrow::Cow;

use protocol::{OrderKind, RejectReason};

use crate::json::{Json, TimeUnit};

/// An answer that says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status, and `status` of the WebSocket API.
    pub status: u16,
    pub code: i32,
    pub message: Cow<'static, str>,
    /// What goes into `data`, as JSON.
    pub data: Option<String>,
    /// Seconds for the header `Retry-After`.
    pub retry_after: Option<u64>,
}

impl ApiError {
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> ApiError {
        let status = match code {
            -2014 | -2015 => 401,
            -1003 => 429,
            -1008 => 503,
            -1007 => 504,
            _ => 400,
        };
        ApiError { status, code, message: message.into(), data: None, retry_after: None }
    }

    pub fn with_data(mut self, data: String) -> ApiError {
        self.data = Some(data);
        self
    }

    pub fn with_status(mut self, status: u16) -> ApiError {
        self.status = status;
        self
    }

    /// The body of a REST answer.
    pub fn body(&self) -> String {
        Json::of(TimeUnit::Millisecond, |json| self.fields(json))
    }

    /// `code`, `msg` and `data`.
    pub fn fields(&self, json: &mut Json) {
        json.number_field("code", self.code);
        json.text_field("msg", &self.message);
        if let Some(data) = &self.data {
            json.raw_field("data", data);
        }
    }

    pub fn mandatory(name: &str) -> ApiError {
        let text =
            format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
        ApiError::new(-1102, text)
    }

    pub fn either(first: &str, second: &str) -> ApiError {
        let text = format!("Param '{first}' or '{second}' must be sent, but both were empty/null!");
        ApiError::new(-1102, text)
    }

    pub fn illegal(name: &str, range: &str) -> ApiError {
        let text =
            format!("Illegal characters found in parameter '{name}'; legal range is '{range}'.");
        ApiError::new(-1100, text)
    }

    pub fn empty(name: &str) -> ApiError {
        ApiError::new(-1105, format!("Parameter '{name}' was empty."))
    }

    pub fn not_required(name: &str) -> ApiError {
        ApiError::new(-1106, format!("Parameter '{name}' sent when not required."))
    }

    pub fn too_precise(name: &str) -> ApiError {
        ApiError::new(-1111, format!("Parameter '{name}' has too much precision."))
    }

    pub fn overflow(name: &str) -> ApiError {
        ApiError::new(-1108, format!("Parameter '{name}' overflowed."))
    }

    pub fn invalid(name: &str) -> ApiError {
        ApiError::new(-1130, format!("Data sent for parameter '{name}' is not valid."))
    }

    pub fn bad_combination() -> ApiError {
        ApiError::new(-1128, "Combination of optional parameters invalid.")
    }

    pub fn only_together(first: &str, second: &str) -> ApiError {
        let text = format!(
            "Combination of optional fields invalid. \
             Recommendation: '{first}' and '{second}' must both be sent."
        );
        ApiError::new(-1128, text)
    }

    pub fn symbol() -> ApiError {
        ApiError::new(-1121, "Invalid symbol.")
    }

    pub fn filter(name: &str) -> ApiError {
        ApiError::new(-1013, format!("Filter failure: {name}"))
    }

    pub fn outside_window() -> ApiError {
        ApiError::new(-1021, "Timestamp for this request is outside of the recvWindow.")
    }

    pub fn key() -> ApiError {
        ApiError::new(-2015, "Invalid API-key, IP, or permissions for action.")
    }

    pub fn busy() -> ApiError {
        let text = "Server is currently overloaded with other requests. \
                    Please try again in a few minutes.";
        ApiError::new(-1008, text)
    }

    pub fn timeout() -> ApiError {
        let text = "Timeout waiting for response from backend server. \
                    Send status unknown; execution status unknown.";
        ApiError::new(-1007, text)
    }

    pub fn shutting_down() -> ApiError {
        ApiError::new(-1016, "This service is no longer available.").with_status(503)
    }

    pub fn unknown_order() -> ApiError {
        ApiError::new(-2011, "Unknown order sent.")
    }

    pub fn no_such_order() -> ApiError {
        ApiError::new(-2013, "Order does not exist.")
    }
}

/// Which request was refused: the same reason has another code on a cancel than on a new order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Place(OrderKind),
    Cancel,
    Amend,
    /// A command of the admin API.
    Admin,
}

/// The engine's reason in the venue's words.
pub fn refusal(reason: RejectReason, refused: Refused) -> ApiError {
    use RejectReason as R;
    let rejected = match refused {
        Refused::Cancel => -2011,
        Refused::Amend => -2038,
        Refused::Place(_) => -2010,
        Refused::Admin => return admin_refusal(reason),
    };
    let kind = match refused {
        Refused::Place(kind) => kind,
        _ => OrderKind::Limit,
    };
    match reason {
        R::DeadlinePassed => ApiError::outside_window(),
        // Never executed: another gateway took the slot while the request was on its way.
        R::NumberGap | R::StaleIncarnation | R::NoGenesis => ApiError::busy(),
        R::UnknownInstrument => ApiError::symbol(),
        R::UnknownAccount => ApiError::key(),
        R::AccountMayNotTrade => {
            ApiError::new(rejected, "This account may not place or cancel orders.")
        }
        R::InvalidPrice => ApiError::filter("PRICE_FILTER"),
        R::InvalidStopPrice => ApiError::filter("PRICE_FILTER"),
        R::InvalidQuantity => ApiError::filter("LOT_SIZE"),
        R::InvalidClientOrderId => ApiError::new(-1118, "New client order ID was empty."),
        R::UnsupportedCombination => ApiError::new(-1014, "Unsupported order combination."),
        R::OrderKindNotAllowed => ApiError::new(rejected, kind_not_allowed(kind)),
        R::QuoteQuantityNotAllowed => ApiError::new(
            rejected,
            "Quote order qty market orders are not support for this symbol.",
        ),
        R::StpModeNotAllowed => ApiError::new(
            -1013,
            "This symbol does not allow the specified self-trade prevention mode.",
        ),
        R::MarketClosed => ApiError::new(rejected, "Market is closed."),
        R::PriceFilter
        | R::PercentPriceBySide
        | R::LotSize
        | R::MarketLotSize
        | R::MinNotional
        | R::Notional
        | R::MaxPosition
        | R::MaxNumOrders
        | R::PercentPrice
        | R::IcebergParts
        | R::TrailingDelta
        | R::MaxNumAlgoOrders
        | R::MaxNumIcebergOrders
        | R::MaxNumOrderLists
        | R::ExchangeMaxNumOrders
        | R::ExchangeMaxNumAlgoOrders
        | R::ExchangeMaxNumIcebergOrders
        | R::ExchangeMaxNumOrderLists => ApiError::filter(reason.as_str()),
        R::IcebergNotAllowed => {
            ApiError::new(rejected, "Iceberg orders are not supported for this symbol.")
        }
        R::IcebergExceedsQuantity => ApiError::new(rejected, "IcebergQty exceeds QTY."),
        R::TrailingStopNotAllowed => {
            ApiError::new(rejected, "Trailing stop orders are not supported for this symbol.")
        }
        R::PeggedNotAllowed => {
            ApiError::new(rejected, "Pegged orders are not supported for this symbol.")
        }
        R::PegNotForKind => ApiError::new(rejected, "This order type may not use pegged price."),
        R::PegNotForCombination => {
            ApiError::new(rejected, "This price peg cannot be used with this order type.")
        }
        R::NoPegPrice => {
            ApiError::new(rejected, "Order book liquidity is too low for this pegged order.")
        }
        R::OcoNotAllowed => ApiError::new(rejected, "OCO orders are not supported for this symbol"),
        R::OtoNotAllowed => ApiError::new(rejected, "OTO orders are not supported for this symbol"),
        R::OpoNotAllowed => {
            ApiError::new(rejected, "OPO orders are not supported for this symbol.")
        }
        R::InvalidOrderList => ApiError::new(-1014, "Unsupported order combination."),
        R::ListPrices => {
            ApiError::new(rejected, "The relationship of the prices for the orders is not correct.")
        }
        R::DuplicateListClientOrderId => ApiError::new(rejected, "Duplicate order sent."),
        R::UnknownOrderList => ApiError::unknown_order(),
        R::PendingAmend => {
            ApiError::new(rejected, "Order amend (pending OPO order) is not supported.")
        }
        // Ours: the words of a venue that never has these.
        R::NoUpperPrice => ApiError::new(
            rejected,
            "A market order to buy needs an upper price limit during an auction.",
        ),
        R::KillSwitch => ApiError::new(rejected, "This action is disabled on this account."),
        R::OrderNotionalLimit => {
            ApiError::new(rejected, "Risk limit: the order's notional is above the maximum.")
        }
        R::OpenOrdersLimit => ApiError::new(rejected, "Risk limit: too many open orders."),
        R::DayQuantityLimit => {
            ApiError::new(rejected, "Risk limit: the day's quantity would be passed.")
        }
        R::PriceCollar => ApiError::new(
            rejected,
            "Risk limit: the price is outside of the collar around the last price.",
        ),
        R::DuplicateClientOrderId => ApiError::new(rejected, "Duplicate order sent."),
        R::WouldTriggerImmediately => ApiError::new(rejected, "Order would trigger immediately."),
        R::WouldMatchImmediately => {
            ApiError::new(rejected, "Order would immediately match and take.")
        }
        R::InsufficientBalance => {
            ApiError::new(rejected, "Account has insufficient balance for requested action.")
        }
        // An amend of an order that is not there is an amend that was rejected. Ids that belong to
        // two orders have a code of their own in queries alone (changelog 2025-04-08).
        R::UnknownOrder | R::ClientOrderIdMismatch if refused == Refused::Amend => {
            ApiError::new(-2038, "Unknown order sent.")
        }
        R::UnknownOrder | R::ClientOrderIdMismatch => ApiError::unknown_order(),
        R::CancelRestricted => {
            ApiError::new(-2011, "Order was not canceled due to cancel restrictions.")
        }
        R::CancelReplaceNotSupported => {
            ApiError::new(rejected, "Order cancel-replace is not supported for this symbol.")
        }
        R::AmendNotSupported => {
            ApiError::new(rejected, "Order amend is not supported for this symbol.")
        }
        R::QuantityIncrease => {
            ApiError::new(rejected, "Order amend (quantity increase) is not supported.")
        }
        R::NoChange => {
            ApiError::new(rejected, "The requested action would change no state; rejecting.")
        }
        // filters.md: "you will receive the -2038 error code".
        R::TooManyAmends => ApiError::new(rejected, "Filter failure: MAX_NUM_ORDER_AMENDS"),
        R::AlreadyDefined
        | R::UnknownRules
        | R::InvalidDefinition
        | R::TooManyDefinitions
        | R::AssetMismatch
        | R::UnknownAsset
        | R::UnknownKey
        | R::DuplicateTransfer
        | R::InvalidAmount
        | R::TransferNotPermitted
        | R::NotInBook => admin_refusal(reason),
    }
}

const fn kind_not_allowed(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::Market => "Market orders are not supported for this symbol.",
        OrderKind::StopLoss => "Stop loss orders are not supported for this symbol.",
        OrderKind::StopLossLimit => "Stop loss limit orders are not supported for this symbol.",
        OrderKind::TakeProfit => "Take profit orders are not supported for this symbol.",
        OrderKind::TakeProfitLimit => "Take profit limit orders are not supported for this symbol.",
        OrderKind::Limit | OrderKind::LimitMaker => "Unsupported order combination",
    }
}

/// The admin API is ours: the reason is said as it is, under one code.
fn admin_refusal(reason: RejectReason) -> ApiError {
    let status = match reason {
        RejectReason::UnknownAccount
        | RejectReason::UnknownInstrument
        | RejectReason::UnknownAsset
        | RejectReason::UnknownKey => 404,
        RejectReason::NoChange | RejectReason::DuplicateTransfer => 409,
        _ => 400,
    };
    ApiError::new(-1000, reason.as_str()).with_status(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_two_orders_are_an_unknown_order_to_whoever_changes_one() {
        for reason in [RejectReason::UnknownOrder, RejectReason::ClientOrderIdMismatch] {
            for (what, code) in [(Refused::Cancel, -2011), (Refused::Amend, -2038)] {
                let error = refusal(reason, what);
                assert_eq!((error.code, &*error.message), (code, "Unknown order sent."));
            }
        }
    }
}
