//! Events: what happened, in the past tense. They carry what views need, so that no view repeats
//! a rule or counts. docs/rules.md says which follow which command, in which order.

use crate::command::*;
use crate::ids::*;
use crate::instrument::{AssetName, InstrumentDefinition};
use crate::number::{Amount, LevelQuantity, Price, Quantity};
use crate::reject::RejectReason;
use crate::text::Bytes;
use crate::words::*;

record! { 0x0201, length 40,
    /// A command was executed; what follows up to `CommandAnswered` is its answer.
    pub struct CommandBegan {
        pub sequence: Sequence,
        pub stamp: Stamp,
        pub origin: Origin,
        pub session: u32,
        pub request: u32,
        /// The command's record kind.
        pub kind: u16,
    }
}

record! { 0x0202, length 8,
    /// The answer is complete; consequences (triggered orders) may follow.
    pub struct CommandAnswered {
        pub sequence: Sequence,
    }
}

record! { 0x0203, length 2,
    /// The command, or one part of it, was refused and changed nothing.
    pub struct CommandRefused {
        pub part: CommandPart,
        pub reason: RejectReason,
    }
}

record! { 0x0204, length 14,
    /// The slot is the attachment's: its commands carry this incarnation and count from 1.
    pub struct GatewayAdmitted {
        pub node: u8,
        pub slot: u8,
        pub incarnation: u32,
        pub nonce: u64,
    }
}

record! { 0x0205, length 4,
    pub struct RulesSet {
        pub rules: u32,
    }
}

record! { 0x0206, length 16,
    /// Hash over the canonical state after `sequence`: what replicas, replay and live compare.
    pub struct StateHashed {
        pub sequence: Sequence,
        pub state_hash: u64,
    }
}

record! { 0x0210, length 21,
    pub struct AssetDefined {
        pub asset: AssetId,
        pub name: AssetName,
    }
}

record! { 0x0211, length 1378,
    pub struct InstrumentDefined {
        pub instrument: InstrumentId,
        pub base: AssetId,
        pub quote: AssetId,
        pub definition: InstrumentDefinition,
    }
}

record! { 0x0212, length 5,
    pub struct InstrumentStatusSet {
        pub instrument: InstrumentId,
        pub status: InstrumentStatus,
    }
}

record! { 0x0213, length 42,
    pub struct AccountDefined {
        pub account: AccountId,
        pub name: AccountName,
        pub trade_group: u32,
        /// Set of bits of [`account_permission`].
        pub permissions: u8,
    }
}

record! { 0x0214, length 713,
    pub struct KeyAdded {
        pub account: AccountId,
        pub key: ApiKey,
        pub kind: KeyKind,
        /// Set of bits of [`key_permission`].
        pub permissions: u8,
        pub material: Bytes<KEY_MATERIAL_LENGTH_MAX>,
    }
}

record! { 0x0215, length 69,
    pub struct KeyRemoved {
        pub account: AccountId,
        pub key: ApiKey,
    }
}

record! { 0x0216, length 17,
    /// Commission rates in counts of 10^-8; the id that `scope` names is set, the other is `NONE`.
    pub struct FeesSet {
        pub scope: FeeScope,
        pub instrument: InstrumentId,
        pub account: AccountId,
        pub maker: u32,
        pub taker: u32,
    }
}

record! { 0x0217, length 10,
    pub struct RateLimitSet {
        pub kind: RateLimitKind,
        pub interval: RateLimitInterval,
        pub interval_count: u32,
        pub limit: u32,
    }
}

record! { 0x0218, length 16,
    pub struct VenueLimitsSet {
        pub limits: VenueLimits,
    }
}

record! { 0x0219, length 90,
    pub struct TransferExecuted {
        pub transfer: TransferId,
        pub account: AccountId,
        pub asset: AssetId,
        pub direction: TransferDirection,
        pub amount: Amount,
    }
}

record! { 0x021a, length 52,
    /// `NONE` is every account, every instrument.
    pub struct RiskLimitsSet {
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub limits: RiskLimits,
    }
}

record! { 0x021b, length 5,
    pub struct KillSwitchSet {
        /// `NONE`: the venue.
        pub account: AccountId,
        pub engaged: bool,
    }
}

record! { 0x021c, length 68,
    pub struct TradingRulesSet {
        pub instrument: InstrumentId,
        pub rules: TradingRules,
    }
}

record! { 0x021d, length 100,
    pub struct CalendarSet {
        pub instrument: InstrumentId,
        pub entries: Calendar,
    }
}

record! { 0x021e, length 28,
    /// A price outside of the volatility band: no trade happens before an auction.
    pub struct TradingInterrupted {
        pub instrument: InstrumentId,
        /// At which a trade was about to happen.
        pub price: Price,
        /// The middle of the band.
        pub reference: Price,
        /// The auction ends with the first tick at or after this.
        pub until: Stamp,
    }
}

record! { 0x0220, length 40,
    /// An account's balance of one asset, after the change.
    pub struct BalanceChanged {
        pub account: AccountId,
        pub asset: AssetId,
        pub free: Amount,
        pub locked: Amount,
    }
}

record! { 0x0230, length 102,
    /// The order exists: it rests, trades or waits for its trigger from here on.
    pub struct OrderAccepted {
        pub order: OrderId,
        pub execution: ExecutionId,
        pub request: OrderRequest,
    }
}

record! { 0x0231, length 24,
    /// A contingent order's stop price was reached; it runs now.
    pub struct OrderTriggered {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub execution: ExecutionId,
    }
}

record! { 0x0232, length 95,
    /// One side's view of a trade. Follows its [`Trade`], the taker's before the maker's.
    pub struct OrderFilled {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub execution: ExecutionId,
        pub trade: TradeId,
        pub side: Side,
        pub is_maker: bool,
        /// `PartiallyFilled` or `Filled`.
        pub status: OrderStatus,
        pub price: Price,
        pub quantity: Quantity,
        /// Sum of the order's fills, this one included.
        pub cumulative_quantity: Quantity,
        pub cumulative_quote: Amount,
        pub commission: Amount,
        pub commission_asset: AssetId,
    }
}

record! { 0x0233, length 95,
    /// The order is gone without being filled whole.
    pub struct OrderClosed {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub execution: ExecutionId,
        /// `Canceled`, `Expired`, `ExpiredInMatch` or `Rejected`.
        pub status: OrderStatus,
        pub reason: CloseReason,
        pub cumulative_quantity: Quantity,
        pub cumulative_quote: Amount,
        pub prevented_quantity: Quantity,
        /// Id of the cancel that asked; empty otherwise.
        pub cancel_client_order_id: ClientOrderId,
    }
}

record! { 0x0234, length 114,
    /// The order's quantity was reduced in place.
    pub struct OrderAmended {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub execution: ExecutionId,
        pub quantity: Quantity,
        /// Where it stood before.
        pub quantity_before: Quantity,
        pub client_order_id: ClientOrderId,
        pub client_order_id_before: ClientOrderId,
    }
}

record! { 0x0235, length 97,
    /// A self-trade was prevented; orders that close because of it follow.
    pub struct MatchPrevented {
        pub instrument: InstrumentId,
        pub prevented_match: PreventedMatchId,
        pub mode: StpMode,
        pub price: Price,
        pub maker_order: OrderId,
        pub taker_order: OrderId,
        pub maker_account: AccountId,
        pub taker_account: AccountId,
        /// The group both are of; 0 when they are one account without a group.
        pub trade_group: u32,
        pub maker_execution: ExecutionId,
        pub taker_execution: ExecutionId,
        /// Prevented by this match; 0 when the mode spares the order.
        pub maker_prevented: Quantity,
        pub taker_prevented: Quantity,
        /// Prevented over the order's life, this match included.
        pub maker_prevented_total: Quantity,
        pub taker_prevented_total: Quantity,
    }
}

record! { 0x0236, length 69,
    /// The public fact.
    pub struct Trade {
        pub instrument: InstrumentId,
        pub trade: TradeId,
        pub aggregate: AggregateTradeId,
        pub price: Price,
        pub quantity: Quantity,
        /// Price × quantity, cut to 10^-8.
        pub quote: Amount,
        pub maker_order: OrderId,
        pub taker_order: OrderId,
        pub taker_side: Side,
    }
}

record! { 0x0237, length 37,
    /// One level of the book, after the change; quantity 0 removes it.
    pub struct BookChanged {
        pub instrument: InstrumentId,
        pub update: UpdateId,
        pub side: Side,
        pub price: Price,
        pub quantity: LevelQuantity,
        pub orders: u32,
    }
}

record! { 0x0238, length 4,
    /// A dry run passed every check.
    pub struct OrderTested {
        pub instrument: InstrumentId,
    }
}

record! { 0x0239, length 48,
    /// The order has another price and open quantity, and lost its priority; it keeps what it
    /// executed. It trades or rests from here on.
    pub struct OrderReplaced {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub execution: ExecutionId,
        pub price: Price,
        /// Of the whole order: executed, prevented and open.
        pub quantity: Quantity,
        pub price_before: Price,
    }
}

record! { 0x023a, length 133,
    /// As `OrderAccepted`, of an order with terms or of a list.
    pub struct OrderAcceptedWithTerms {
        pub order: OrderId,
        pub execution: ExecutionId,
        pub request: OrderRequest,
        pub terms: OrderTerms,
        /// The price that the peg gave; 0: not pegged, or not yet.
        pub pegged_price: Price,
        /// `NONE`: of no list.
        pub list: OrderListId,
        /// Waits until the working order of its list is filled.
        pub is_pending: bool,
    }
}

record! { 0x023b, length 78,
    /// The list exists; its orders' `OrderAcceptedWithTerms` follow.
    pub struct OrderListAccepted {
        pub list: OrderListId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub kind: OrderListKind,
        pub list_client_order_id: ClientOrderId,
        /// In the order of the command; `NONE` where there is none.
        pub orders: [OrderId; LISTED_ORDERS_MAX],
    }
}

record! { 0x023c, length 16,
    /// No order of the list is open any more.
    pub struct OrderListDone {
        pub list: OrderListId,
        pub account: AccountId,
        pub instrument: InstrumentId,
    }
}

record! { 0x023d, length 40,
    /// A pending order of a list begins its work: rests, trades or waits for its trigger.
    pub struct OrderActivated {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub execution: ExecutionId,
        /// Set here for an order that another paid.
        pub quantity: Quantity,
        /// As in `OrderAcceptedWithTerms`.
        pub pegged_price: Price,
    }
}

record! { 0x023e, length 24,
    /// A contingent order that was triggered found its price.
    pub struct OrderPegged {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub price: Price,
    }
}

record! { 0x023f, length 17,
    /// Why an order that was accepted before cannot begin its work; its `OrderClosed` follows.
    pub struct OrderRefused {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub reason: RejectReason,
    }
}

record! { 0x0240, length 24,
    /// A trailing stop follows the price from here on.
    pub struct TrailingStarted {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        /// The trade that its extreme begins with.
        pub price: Price,
    }
}

record! { 0x0241, length 24,
    /// An iceberg shows its next part, behind all others of its level.
    pub struct IcebergRefilled {
        pub order: OrderId,
        pub account: AccountId,
        pub instrument: InstrumentId,
        /// Shown now.
        pub quantity: Quantity,
    }
}

record! { 0x0242, length 53,
    /// What an auction would do if it ended now.
    pub struct IndicativeChanged {
        pub instrument: InstrumentId,
        /// 0: nothing would trade.
        pub price: Price,
        pub quantity: Amount,
        /// The side of which more is wanted at the price than there is.
        pub surplus_side: Side,
        pub surplus: Amount,
        /// Price that decides when all else is equal; 0 is none.
        pub reference: Price,
    }
}

record! { 0x0243, length 28,
    /// An auction ended; its trades follow.
    pub struct AuctionUncrossed {
        pub instrument: InstrumentId,
        /// 0: nothing trades.
        pub price: Price,
        pub quantity: Amount,
    }
}

record_sum! {
    /// One event. Rare, large kinds are boxed.
    pub enum Event: EventRecord, schemas EVENT_SCHEMA {
        CommandBegan,
        CommandAnswered,
        CommandRefused,
        GatewayAdmitted,
        RulesSet,
        StateHashed,
        AssetDefined,
        InstrumentDefined in boxed,
        InstrumentStatusSet,
        AccountDefined,
        KeyAdded in boxed,
        KeyRemoved,
        FeesSet,
        RateLimitSet,
        VenueLimitsSet,
        TransferExecuted,
        BalanceChanged,
        OrderAccepted,
        OrderTriggered,
        OrderFilled,
        OrderClosed,
        OrderAmended,
        MatchPrevented,
        Trade,
        BookChanged,
        OrderTested,
        OrderReplaced,
        RiskLimitsSet,
        KillSwitchSet,
        TradingRulesSet,
        CalendarSet,
        TradingInterrupted,
        OrderAcceptedWithTerms,
        OrderListAccepted,
        OrderListDone,
        OrderActivated,
        OrderPegged,
        OrderRefused,
        TrailingStarted,
        IcebergRefilled,
        IndicativeChanged,
        AuctionUncrossed,
    }
}

const _: () = assert!(crate::record::encoded_length::<Trade>() <= 128);
const _: () = assert!(crate::record::encoded_length::<OrderFilled>() <= 128);
