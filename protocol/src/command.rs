//! Commands: what may be asked of the exchange. Everything that `apply` uses is in one of them.

use crate::ids::*;
use crate::instrument::{AssetName, InstrumentDefinition, Symbol};
use crate::number::{Amount, Price, Quantity};
use crate::text::{Bytes, Text};
use crate::words::*;

pub type ClientOrderId = Text<36>;
pub type AccountName = Text<32>;
pub type ApiKey = Text<64>;
pub type TransferId = Text<64>;

/// Room for a sealed HMAC secret or a public key (RSA-4096 SPKI takes 550 bytes).
pub const KEY_MATERIAL_LENGTH_MAX: usize = 640;

/// Rates of commission count 10^-8; 1 is a hundred percent.
pub const COMMISSION_RATE_MAX: u32 = crate::number::SCALE as u32;

/// What an account may do: bits of [`DefineAccount::permissions`].
pub mod account_permission {
    pub const TRADE: u8 = 1 << 0;
    pub const DEPOSIT: u8 = 1 << 1;
    pub const WITHDRAW: u8 = 1 << 2;
    pub const ALL: u8 = TRADE | DEPOSIT | WITHDRAW;
}

/// What a key may do: bits of [`AddKey::permissions`].
pub mod key_permission {
    pub const TRADE: u8 = 1 << 0;
    pub const USER_DATA: u8 = 1 << 1;
    /// The rate limits do not apply.
    pub const UNLIMITED: u8 = 1 << 2;
    pub const ALL: u8 = TRADE | USER_DATA | UNLIMITED;
}

part! {
    /// Where a command came from. A slot is one gateway thread's ring.
    #[derive(Default, Hash)]
    pub struct Origin {
        pub node: u8,
        pub slot: u8,
        /// Which attachment to the slot; set by the engine at [`GatewayJoined`].
        pub incarnation: u32,
        /// Counts the commands of one incarnation, from 1, without gaps.
        pub number: u64,
    }
}

part! {
    /// What every command carries and every answer brings back untouched.
    pub struct Envelope {
        pub origin: Origin,
        pub session: u32,
        pub request: u32,
        /// An order command is refused when stored time is past it; others ignore it.
        pub deadline: Stamp,
    }
}

impl Envelope {
    /// Of a command that the log itself makes: no origin, no deadline.
    pub const INTERNAL: Envelope = Envelope {
        origin: Origin { node: 0, slot: 0, incarnation: 0, number: 0 },
        session: 0,
        request: 0,
        deadline: Stamp::NEVER,
    };
}

part! {
    /// A new order as its owner states it.
    pub struct OrderRequest {
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub side: Side,
        pub kind: OrderKind,
        /// GTC for kinds without one.
        pub time_in_force: TimeInForce,
        pub stp_mode: StpMode,
        pub quantity_unit: QuantityUnit,
        /// Limit price; 0 for market kinds.
        pub price: Price,
        /// Of the base asset, or of the quote asset as `quantity_unit` says.
        pub quantity: Quantity,
        /// 0 for kinds that are not contingent.
        pub stop_price: Price,
        pub client_order_id: ClientOrderId,
        /// The owner's own marks, returned as they came; 0 is none.
        pub strategy_id: i64,
        pub strategy_type: u32,
    }
}

impl OrderRequest {
    /// Fills the unused places of a list.
    pub const EMPTY: OrderRequest = OrderRequest {
        account: AccountId::NONE,
        instrument: InstrumentId::NONE,
        side: Side::Buy,
        kind: OrderKind::Limit,
        time_in_force: TimeInForce::Gtc,
        stp_mode: StpMode::None,
        quantity_unit: QuantityUnit::Base,
        price: Price::ZERO,
        quantity: Quantity::ZERO,
        stop_price: Price::ZERO,
        client_order_id: ClientOrderId::EMPTY,
        strategy_id: 0,
        strategy_type: 0,
    };
}

part! {
    /// What few orders have.
    pub struct OrderTerms {
        /// The part that the book shows of a resting order; 0 shows all of it.
        pub iceberg: Quantity,
        /// Basis points that the price must turn by before a contingent order fires; 0 is none.
        pub trailing_delta: u32,
        pub peg: PegPrice,
        /// Existing price levels deeper into the book than the best; at most [`PEG_LEVEL_MAX`].
        pub peg_level: u8,
    }
}

/// (rest-api.md, `pegOffsetValue`.)
pub const PEG_LEVEL_MAX: u8 = 100;

impl OrderTerms {
    pub const NONE: OrderTerms = OrderTerms {
        iceberg: Quantity::ZERO,
        trailing_delta: 0,
        peg: PegPrice::None,
        peg_level: 0,
    };
}

part! {
    /// One order of a list.
    pub struct ListedOrder {
        pub request: OrderRequest,
        pub terms: OrderTerms,
    }
}

impl ListedOrder {
    pub const EMPTY: ListedOrder =
        ListedOrder { request: OrderRequest::EMPTY, terms: OrderTerms::NONE };
}

/// Orders of the largest list.
pub const LISTED_ORDERS_MAX: usize = 3;

part! {
    /// Bounds on every account, over all instruments. 0 switches one off.
    #[derive(Default)]
    pub struct VenueLimits {
        pub open_orders_max: u32,
        /// Of the contingent kinds.
        pub algo_orders_max: u32,
        pub iceberg_orders_max: u32,
        pub order_lists_max: u32,
    }
}

part! {
    /// What an account may do at most; 0 switches a limit off.
    #[derive(Default)]
    pub struct RiskLimits {
        /// Price × quantity of one order.
        pub order_notional_max: Amount,
        /// Open orders: of the instrument if the limits name one, else of the account.
        pub open_orders_max: u32,
        /// Base quantity of one instrument in a UTC day of stored time: traded, open and new.
        pub day_quantity_max: Amount,
        /// How far a limit price may be from the last price, in counts of 10^-8 of it.
        pub collar: u64,
    }
}

part! {
    /// How an instrument trades, besides its filters. 0 switches a rule off.
    #[derive(Default)]
    pub struct TradingRules {
        /// Price range execution rule: multiples of the reference price, in counts of 10^-8.
        pub bid_limit_up: u64,
        pub bid_limit_down: u64,
        pub ask_limit_up: u64,
        pub ask_limit_down: u64,
        /// Reference price that an operator sets; goes before the calculated one.
        pub external_reference: Price,
        /// Buckets of the calculated reference price.
        pub bucket_width_ms: u32,
        pub bucket_count: u32,
        /// A trade further from the average than this, in counts of 10^-8 of it, begins an auction.
        pub volatility_band: u64,
        /// Minutes of that average; 0 is the last price.
        pub volatility_minutes: u32,
        /// How long that auction lasts.
        pub volatility_auction_s: u32,
    }
}

/// Bounds of [`TradingRules`].
pub const REFERENCE_BUCKETS_MAX: u32 = 600;
pub const BUCKET_WIDTH_MS_MAX: u32 = 3_600_000;
pub const VOLATILITY_AUCTION_S_MAX: u32 = 86_400;

part! {
    /// From this second of these days on, the instrument has this status.
    pub struct CalendarEntry {
        /// Bit 0 is Monday; 0 is an unused place.
        pub weekdays: u8,
        /// Seconds since midnight, UTC.
        pub second: u32,
        pub status: InstrumentStatus,
    }
}

pub const CALENDAR_ENTRIES_MAX: usize = 16;

impl CalendarEntry {
    pub const NONE: CalendarEntry =
        CalendarEntry { weekdays: 0, second: 0, status: InstrumentStatus::Trading };
}

pub type Calendar = [CalendarEntry; CALENDAR_ENTRIES_MAX];

record! { 0x0101, length 42,
    /// The first command of every log.
    pub struct Genesis {
        pub envelope: Envelope,
        /// Keys the engine's hashers: clients choose ids.
        pub seed: u64,
        pub rules: u32,
    }
}

record! { 0x0102, length 34,
    /// From here on this version of the rules stands.
    pub struct SetRules {
        pub envelope: Envelope,
        pub rules: u32,
    }
}

record! { 0x0103, length 30,
    /// Stored time has passed: 100 ms after a busy frame, 1 s when idle.
    pub struct Tick {
        pub envelope: Envelope,
    }
}

record! { 0x0104, length 38,
    /// A gateway attaches to the slot of its envelope's origin; answered by `GatewayAdmitted`.
    pub struct GatewayJoined {
        pub envelope: Envelope,
        /// Tells this attachment's answer from another's.
        pub nonce: u64,
    }
}

record! { 0x0110, length 1396,
    /// Defines an instrument or replaces a definition.
    pub struct DefineInstrument {
        pub envelope: Envelope,
        pub definition: InstrumentDefinition,
    }
}

record! { 0x0111, length 64,
    pub struct SetInstrumentStatus {
        pub envelope: Envelope,
        pub symbol: Symbol,
        pub status: InstrumentStatus,
    }
}

record! { 0x0112, length 68,
    /// Opens an account or replaces its settings.
    pub struct DefineAccount {
        pub envelope: Envelope,
        pub name: AccountName,
        /// Accounts of one group are one self for self-trade prevention; 0 is none.
        pub trade_group: u32,
        /// Set of bits of [`account_permission`].
        pub permissions: u8,
    }
}

record! { 0x0113, length 772,
    /// Adds an API key or replaces it.
    pub struct AddKey {
        pub envelope: Envelope,
        pub account: AccountName,
        pub key: ApiKey,
        pub kind: KeyKind,
        /// Set of bits of [`key_permission`].
        pub permissions: u8,
        /// Sealed secret (HMAC) or public key (DER of the SPKI).
        pub material: Bytes<KEY_MATERIAL_LENGTH_MAX>,
    }
}

record! { 0x0114, length 95,
    pub struct RemoveKey {
        pub envelope: Envelope,
        pub key: ApiKey,
    }
}

record! { 0x0115, length 72,
    /// Commission rates, in counts of 10^-8.
    pub struct SetFees {
        pub envelope: Envelope,
        pub scope: FeeScope,
        /// Symbol or account name; empty for the venue.
        pub name: Text<32>,
        pub maker: u32,
        pub taker: u32,
    }
}

record! { 0x0116, length 40,
    /// One rate limit of the venue; applied by gateways, kept here so that all agree.
    pub struct SetRateLimit {
        pub envelope: Envelope,
        pub kind: RateLimitKind,
        pub interval: RateLimitInterval,
        pub interval_count: u32,
        /// 0 switches it off.
        pub limit: u32,
    }
}

record! { 0x0117, length 46,
    pub struct SetVenueLimits {
        pub envelope: Envelope,
        pub limits: VenueLimits,
    }
}

record! { 0x0118, length 162,
    /// Money comes in or goes out; executed once per id.
    pub struct Transfer {
        pub envelope: Envelope,
        pub transfer: TransferId,
        pub account: AccountName,
        pub asset: AssetName,
        pub direction: TransferDirection,
        pub amount: Amount,
    }
}

record! { 0x0119, length 140,
    /// Limits of one account, of one instrument, of both or of all; all zero takes them away.
    pub struct SetRiskLimits {
        pub envelope: Envelope,
        /// Empty: every account.
        pub account: AccountName,
        /// Empty: every instrument.
        pub symbol: Symbol,
        pub limits: RiskLimits,
    }
}

record! { 0x011a, length 64,
    /// Engaged, it cancels what is open and refuses what is new.
    pub struct SetKillSwitch {
        pub envelope: Envelope,
        /// Empty: the venue.
        pub account: AccountName,
        pub engaged: bool,
    }
}

record! { 0x011b, length 127,
    pub struct SetTradingRules {
        pub envelope: Envelope,
        pub symbol: Symbol,
        pub rules: TradingRules,
    }
}

record! { 0x011c, length 159,
    /// When the instrument changes its status by itself; replaces the calendar that it had.
    pub struct SetCalendar {
        pub envelope: Envelope,
        pub symbol: Symbol,
        /// Unused places at the end.
        pub entries: Calendar,
    }
}

record! { 0x0120, length 117,
    pub struct NewOrder {
        pub envelope: Envelope,
        pub request: OrderRequest,
        /// Checked and answered without any other effect (`order/test`).
        pub dry_run: bool,
    }
}

record! { 0x0121, length 47,
    /// Cancels by order id.
    pub struct CancelOrder {
        pub envelope: Envelope,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub order: OrderId,
        pub restrictions: CancelRestrictions,
    }
}

record! { 0x0122, length 121,
    /// Cancels by client order id, by order id checked against it, or with an id for the cancel.
    pub struct CancelNamedOrder {
        pub envelope: Envelope,
        pub account: AccountId,
        pub instrument: InstrumentId,
        /// `NONE`: found by `client_order_id` alone.
        pub order: OrderId,
        /// Empty: not checked.
        pub client_order_id: ClientOrderId,
        /// Id of this cancel, shown in its report; empty: none given.
        pub cancel_client_order_id: ClientOrderId,
        pub restrictions: CancelRestrictions,
    }
}

record! { 0x0123, length 38,
    /// Cancels every open order of the account on the instrument.
    pub struct CancelAllOrders {
        pub envelope: Envelope,
        pub account: AccountId,
        pub instrument: InstrumentId,
    }
}

record! { 0x0124, length 214,
    /// Cancels one order and places another on the same instrument, for the same account.
    pub struct CancelReplace {
        pub envelope: Envelope,
        pub mode: CancelReplaceMode,
        pub restrictions: CancelRestrictions,
        pub cancel_order: OrderId,
        pub cancel_original_client_order_id: ClientOrderId,
        pub cancel_client_order_id: ClientOrderId,
        pub request: OrderRequest,
        pub terms: OrderTerms,
    }
}

record! { 0x0125, length 128,
    /// Reduces an order's quantity in place; it keeps its priority.
    pub struct AmendOrder {
        pub envelope: Envelope,
        pub account: AccountId,
        pub instrument: InstrumentId,
        /// `NONE`: found by `client_order_id` alone.
        pub order: OrderId,
        /// Empty: not checked.
        pub client_order_id: ClientOrderId,
        pub new_client_order_id: ClientOrderId,
        pub quantity: Quantity,
    }
}

record! { 0x0126, length 62,
    /// Gives a resting order another price and open quantity; it keeps its id and loses its
    /// priority. Of administrators and replays of other venues' order flow: no client has it.
    pub struct ReplaceOrder {
        pub envelope: Envelope,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub order: OrderId,
        pub price: Price,
        /// What is open afterwards, executed parts not counted.
        pub quantity: Quantity,
    }
}

record! { 0x0127, length 131,
    pub struct NewOrderWithTerms {
        pub envelope: Envelope,
        pub request: OrderRequest,
        pub terms: OrderTerms,
        /// Checked and answered without any other effect (`order/test`).
        pub dry_run: bool,
    }
}

record! { 0x0128, length 376,
    /// Two or three orders of one account on one instrument that hang together.
    pub struct NewOrderList {
        pub envelope: Envelope,
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub kind: OrderListKind,
        pub list_client_order_id: ClientOrderId,
        /// OCO: the stop-loss, the other. OTO, OPO: working, pending. OTOCO, OPOCO: working, pending
        /// stop-loss, pending other. The rest is `ListedOrder::EMPTY`. Pending orders that another
        /// pays have quantity 0.
        pub orders: [ListedOrder; LISTED_ORDERS_MAX],
    }
}

record! { 0x0129, length 120,
    /// Cancels every order of a list.
    pub struct CancelOrderList {
        pub envelope: Envelope,
        pub account: AccountId,
        pub instrument: InstrumentId,
        /// `NONE`: found by `list_client_order_id` alone.
        pub list: OrderListId,
        /// Empty: not checked.
        pub list_client_order_id: ClientOrderId,
        /// Id of this cancel, shown in its reports; empty: none given.
        pub cancel_client_order_id: ClientOrderId,
    }
}

record! { 0x012a, length 39,
    /// Cancels all open orders: of an account, of an instrument, of both or of all.
    pub struct MassCancel {
        pub envelope: Envelope,
        /// `NONE`: every account.
        pub account: AccountId,
        /// `NONE`: every instrument.
        pub instrument: InstrumentId,
        pub cause: MassCancelCause,
    }
}

record_sum! {
    /// One command. Rare, large kinds are boxed so that the common ones stay small to move.
    pub enum Command: CommandRecord, schemas COMMAND_SCHEMA {
        Genesis,
        SetRules,
        Tick,
        GatewayJoined,
        DefineInstrument in boxed,
        SetInstrumentStatus,
        DefineAccount,
        AddKey in boxed,
        RemoveKey,
        SetFees,
        SetRateLimit,
        SetVenueLimits,
        Transfer in boxed,
        NewOrder,
        CancelOrder,
        CancelNamedOrder,
        CancelAllOrders,
        CancelReplace,
        AmendOrder,
        ReplaceOrder,
        SetRiskLimits,
        SetKillSwitch,
        SetTradingRules,
        SetCalendar,
        NewOrderWithTerms,
        NewOrderList in boxed,
        CancelOrderList,
        MassCancel,
    }
}

impl Command {
    pub fn envelope(&self) -> &Envelope {
        match self {
            Command::Genesis(command) => &command.envelope,
            Command::SetRules(command) => &command.envelope,
            Command::Tick(command) => &command.envelope,
            Command::GatewayJoined(command) => &command.envelope,
            Command::DefineInstrument(command) => &command.envelope,
            Command::SetInstrumentStatus(command) => &command.envelope,
            Command::DefineAccount(command) => &command.envelope,
            Command::AddKey(command) => &command.envelope,
            Command::RemoveKey(command) => &command.envelope,
            Command::SetFees(command) => &command.envelope,
            Command::SetRateLimit(command) => &command.envelope,
            Command::SetVenueLimits(command) => &command.envelope,
            Command::Transfer(command) => &command.envelope,
            Command::NewOrder(command) => &command.envelope,
            Command::CancelOrder(command) => &command.envelope,
            Command::CancelNamedOrder(command) => &command.envelope,
            Command::CancelAllOrders(command) => &command.envelope,
            Command::CancelReplace(command) => &command.envelope,
            Command::AmendOrder(command) => &command.envelope,
            Command::ReplaceOrder(command) => &command.envelope,
            Command::SetRiskLimits(command) => &command.envelope,
            Command::SetKillSwitch(command) => &command.envelope,
            Command::SetTradingRules(command) => &command.envelope,
            Command::SetCalendar(command) => &command.envelope,
            Command::NewOrderWithTerms(command) => &command.envelope,
            Command::NewOrderList(command) => &command.envelope,
            Command::CancelOrderList(command) => &command.envelope,
            Command::MassCancel(command) => &command.envelope,
        }
    }

    pub fn envelope_mut(&mut self) -> &mut Envelope {
        match self {
            Command::Genesis(command) => &mut command.envelope,
            Command::SetRules(command) => &mut command.envelope,
            Command::Tick(command) => &mut command.envelope,
            Command::GatewayJoined(command) => &mut command.envelope,
            Command::DefineInstrument(command) => &mut command.envelope,
            Command::SetInstrumentStatus(command) => &mut command.envelope,
            Command::DefineAccount(command) => &mut command.envelope,
            Command::AddKey(command) => &mut command.envelope,
            Command::RemoveKey(command) => &mut command.envelope,
            Command::SetFees(command) => &mut command.envelope,
            Command::SetRateLimit(command) => &mut command.envelope,
            Command::SetVenueLimits(command) => &mut command.envelope,
            Command::Transfer(command) => &mut command.envelope,
            Command::NewOrder(command) => &mut command.envelope,
            Command::CancelOrder(command) => &mut command.envelope,
            Command::CancelNamedOrder(command) => &mut command.envelope,
            Command::CancelAllOrders(command) => &mut command.envelope,
            Command::CancelReplace(command) => &mut command.envelope,
            Command::AmendOrder(command) => &mut command.envelope,
            Command::ReplaceOrder(command) => &mut command.envelope,
            Command::SetRiskLimits(command) => &mut command.envelope,
            Command::SetKillSwitch(command) => &mut command.envelope,
            Command::SetTradingRules(command) => &mut command.envelope,
            Command::SetCalendar(command) => &mut command.envelope,
            Command::NewOrderWithTerms(command) => &mut command.envelope,
            Command::NewOrderList(command) => &mut command.envelope,
            Command::CancelOrderList(command) => &mut command.envelope,
            Command::MassCancel(command) => &mut command.envelope,
        }
    }

    /// Does the command place, change or cancel an order? Those carry a deadline.
    pub const fn is_order(&self) -> bool {
        matches!(
            self,
            Command::NewOrder(_)
                | Command::CancelOrder(_)
                | Command::CancelNamedOrder(_)
                | Command::CancelAllOrders(_)
                | Command::CancelReplace(_)
                | Command::AmendOrder(_)
                | Command::ReplaceOrder(_)
                | Command::NewOrderWithTerms(_)
                | Command::NewOrderList(_)
                | Command::CancelOrderList(_)
                | Command::MassCancel(_)
        )
    }

    /// Does the command come from a gateway's ring, and so carry a number of its incarnation?
    /// The others are made by the log itself or open the incarnation.
    pub const fn is_numbered(&self) -> bool {
        !matches!(self, Command::Genesis(_) | Command::Tick(_) | Command::GatewayJoined(_))
    }
}

// The commands that fill a log are small (docs/format.md).
const _: () = assert!(crate::record::encoded_length::<NewOrder>() <= 128);
const _: () = assert!(crate::record::encoded_length::<CancelOrder>() <= 64);
