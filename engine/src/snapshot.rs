//! The state as bytes: canonical, so that equal states have equal bytes, and the hash over them.
//!
//! The bytes are records, in this order: header, gateway slots, assets, instruments (each with its
//! minutes), accounts, keys, rate limits, transfers, balances, open orders (each instrument's bids
//! and asks from best to worst and oldest to youngest, then those that wait by id), and the
//! trigger queue.

use crate::average::MinuteSum;
use crate::engine::{Engine, GatewaySlot, RULES_VERSION};
use crate::ledger::Balance;
use crate::market::{Counters, Rates};
use crate::orders::{Order, Phase, Slot};
use crate::venue::Account;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use protocol::command::{AccountName, OrderRequest};
use protocol::event::{AssetDefined, BalanceChanged, KeyAdded, RateLimitSet, TransferExecuted};
use protocol::record::encode;
use protocol::*;

record! { 0x0301, length 57,
    /// Begins the state.
    pub struct EngineState {
        pub sequence: Sequence,
        pub now: Stamp,
        pub seed: u64,
        pub has_genesis: bool,
        pub rules: u32,
        pub last_order: OrderId,
        pub open_orders_max: u32,
        /// The venue's own commission rates.
        pub maker: u32,
        pub taker: u32,
        /// Open orders that follow.
        pub orders: u64,
    }
}

record! { 0x0302, length 14,
    pub struct GatewaySlotState {
        pub node: u8,
        pub slot: u8,
        pub incarnation: u32,
        pub last_number: u64,
    }
}

record! { 0x0303, length 1435,
    pub struct InstrumentState {
        pub instrument: InstrumentId,
        pub base: AssetId,
        pub quote: AssetId,
        pub definition: InstrumentDefinition,
        pub has_rates: bool,
        pub maker: u32,
        pub taker: u32,
        pub trade: TradeId,
        pub aggregate: AggregateTradeId,
        pub execution: ExecutionId,
        pub update: UpdateId,
        pub next_prevented: PreventedMatchId,
        /// 0: no trade yet.
        pub last_trade: Price,
    }
}

record! { 0x0304, length 44,
    pub struct MinuteState {
        pub instrument: InstrumentId,
        pub minute: u64,
        pub quote: Amount,
        pub quantity: Amount,
    }
}

record! { 0x0305, length 51,
    pub struct AccountState {
        pub account: AccountId,
        pub name: AccountName,
        pub trade_group: u32,
        pub permissions: u8,
        pub has_rates: bool,
        pub maker: u32,
        pub taker: u32,
    }
}

/// Where an open order stands between commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[repr(u8)]
pub enum OrderPlace {
    Book,
    Stops,
    TriggerQueue,
}

impl protocol::record::Schema for OrderPlace {
    const SCHEMA: u64 = protocol::record::name_hash("OrderPlace: Book Stops TriggerQueue");
}

record! { 0x0306, length 139,
    pub struct OrderState {
        pub order: OrderId,
        pub request: OrderRequest,
        pub quantity: Quantity,
        pub executed: Quantity,
        pub executed_quote: Amount,
        pub prevented: Quantity,
        pub amends: u32,
        pub place: OrderPlace,
    }
}

/// Why bytes are not a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadError {
    Record(RecordError),
    /// The records contradict each other at the record that begins at this byte.
    Inconsistent {
        offset: usize,
    },
    /// The state was left under rules that this build does not implement.
    UnknownRules {
        rules: u32,
    },
    /// Records are missing at the end.
    Incomplete,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Record(error) => write!(f, "engine state: {error}"),
            LoadError::Inconsistent { offset } => {
                write!(f, "engine state: the record at byte {offset} contradicts those before it")
            }
            LoadError::UnknownRules { rules } => write!(
                f,
                "engine state: rules version {rules}; this build implements {RULES_VERSION}"
            ),
            LoadError::Incomplete => f.write_str("engine state: records are missing at the end"),
        }
    }
}

impl core::error::Error for LoadError {}

impl From<RecordError> for LoadError {
    fn from(error: RecordError) -> LoadError {
        LoadError::Record(error)
    }
}

/// Hash over the shapes of the state's records; stands in every snapshot's header.
pub(crate) const fn schema() -> u64 {
    use protocol::record::{Schema, mix};
    let parts = [
        EngineState::SCHEMA,
        GatewaySlotState::SCHEMA,
        AssetDefined::SCHEMA,
        InstrumentState::SCHEMA,
        MinuteState::SCHEMA,
        AccountState::SCHEMA,
        KeyAdded::SCHEMA,
        RateLimitSet::SCHEMA,
        TransferExecuted::SCHEMA,
        BalanceChanged::SCHEMA,
        OrderState::SCHEMA,
    ];
    let mut hash = protocol::record::name_hash("engine state");
    let mut at = 0;
    while at < parts.len() {
        hash = mix(hash, parts[at]);
        at += 1;
    }
    hash
}

impl Engine {
    /// Hash over the shapes of the state's records.
    pub const STATE_SCHEMA: u64 = schema();

    /// Hash over the canonical state: what replicas, replay and live compare.
    pub fn state_hash(&self) -> u64 {
        let mut bytes = Vec::new();
        self.save(&mut bytes);
        hash::hash_bytes(&bytes, 0)
    }

    /// Appends the canonical state.
    pub fn save(&self, out: &mut Vec<u8>) {
        self.save_header(out);
        self.save_venue(out);
        for (account, asset, Balance { free, locked }) in self.ledger.iter() {
            encode(&BalanceChanged { account, asset, free, locked }, out);
        }
        self.save_orders(out);
    }

    fn save_header(&self, out: &mut Vec<u8>) {
        let header = EngineState {
            sequence: self.sequence,
            now: self.now,
            seed: self.genesis.unwrap_or(0),
            has_genesis: self.genesis.is_some(),
            rules: self.rules,
            last_order: self.last_order,
            open_orders_max: self.venue.open_orders_max,
            maker: self.venue.rates.maker,
            taker: self.venue.rates.taker,
            orders: self.orders.len() as u64,
        };
        encode(&header, out);
        for ((node, slot), held) in &self.slots {
            let GatewaySlot { incarnation, last_number } = *held;
            encode(&GatewaySlotState { node: *node, slot: *slot, incarnation, last_number }, out);
        }
    }

    fn save_venue(&self, out: &mut Vec<u8>) {
        let venue = &self.venue;
        for (name, asset) in venue.assets.iter().zip(1u32..) {
            encode(&AssetDefined { asset: AssetId(asset), name: *name }, out);
        }
        for market in &venue.markets {
            let Counters { trade, aggregate, execution, update, next_prevented } = market.counters;
            let rates = market.rates.unwrap_or_default();
            let state = InstrumentState {
                instrument: market.id,
                base: market.base,
                quote: market.quote,
                definition: market.definition,
                has_rates: market.rates.is_some(),
                maker: rates.maker,
                taker: rates.taker,
                trade,
                aggregate,
                execution,
                update,
                next_prevented,
                last_trade: market.last_trade.unwrap_or_default(),
            };
            encode(&state, out);
            for MinuteSum { minute, quote, quantity } in market.average.minutes.iter().copied() {
                encode(&MinuteState { instrument: market.id, minute, quote, quantity }, out);
            }
        }
        for (account, id) in venue.accounts.iter().zip(0u32..).skip(1) {
            let rates = account.rates.unwrap_or_default();
            let state = AccountState {
                account: AccountId(id),
                name: account.name,
                trade_group: account.trade_group,
                permissions: account.permissions,
                has_rates: account.rates.is_some(),
                maker: rates.maker,
                taker: rates.taker,
            };
            encode(&state, out);
        }
        venue.keys.values().for_each(|key| encode(key, out));
        for ((kind, interval, interval_count), limit) in &venue.rate_limits {
            let (kind, interval, interval_count) = (*kind, *interval, *interval_count);
            encode(&RateLimitSet { kind, interval, interval_count, limit: *limit }, out);
        }
        venue.transfers.values().for_each(|transfer| encode(transfer, out));
    }

    fn save_orders(&self, out: &mut Vec<u8>) {
        for market in &self.venue.markets {
            for side in [Side::Buy, Side::Sell] {
                for slot in market.book.orders(&self.orders, side) {
                    self.save_order(slot, out);
                }
            }
            for (_, slot) in market.stops.by_order() {
                self.save_order(slot, out);
            }
        }
        for order in &self.triggered {
            if let Some(slot) = self.orders.find(*order) {
                self.save_order(slot, out);
            }
        }
    }

    fn save_order(&self, slot: Slot, out: &mut Vec<u8>) {
        let order = self.orders.get(slot);
        let state = OrderState {
            order: order.id,
            request: order.request,
            quantity: order.quantity,
            executed: order.executed,
            executed_quote: order.executed_quote,
            prevented: order.prevented,
            amends: order.amends,
            place: match order.phase {
                Phase::Resting { .. } => OrderPlace::Book,
                Phase::Waiting => OrderPlace::Stops,
                Phase::Due => OrderPlace::TriggerQueue,
                Phase::Running => panic!("order {} runs between commands", order.id),
            },
        };
        encode(&state, out);
    }

    /// Reads a state that [`Engine::save`] wrote.
    pub fn load(bytes: &[u8]) -> Result<Engine, LoadError> {
        let mut records = Records::new(bytes);
        let first = records.next().ok_or(LoadError::Incomplete)??;
        let header: EngineState = first.decode()?;
        let mut engine = Engine::of_header(&header)?;
        let mut orders = Vec::new();
        for view in records {
            let view = view?;
            if view.is::<OrderState>() {
                let state: OrderState = view.decode()?;
                let known = engine.venue.market(state.request.instrument).is_some()
                    && engine.venue.account(state.request.account).is_some();
                if !known || state.order > header.last_order {
                    return Err(LoadError::Inconsistent { offset: view.offset });
                }
                orders.push(state);
            } else if engine.load_record(&view)?.is_none() {
                return Err(LoadError::Inconsistent { offset: view.offset });
            }
        }
        if orders.len() as u64 != header.orders {
            return Err(LoadError::Incomplete);
        }
        engine.load_orders(&orders)?;
        Ok(engine)
    }

    fn of_header(header: &EngineState) -> Result<Engine, LoadError> {
        let mut engine = Engine::new();
        if header.has_genesis {
            if header.rules != RULES_VERSION {
                return Err(LoadError::UnknownRules { rules: header.rules });
            }
            engine.open(header.seed, header.rules);
        }
        engine.sequence = header.sequence;
        engine.now = header.now;
        engine.last_order = header.last_order;
        engine.venue.open_orders_max = header.open_orders_max;
        engine.venue.rates = Rates { maker: header.maker, taker: header.taker };
        Ok(engine)
    }

    /// One record that is not an order. None: it contradicts those before it.
    fn load_record(&mut self, view: &RecordView<'_>) -> Result<Option<()>, LoadError> {
        if view.is::<GatewaySlotState>() {
            let GatewaySlotState { node, slot, incarnation, last_number } = view.decode()?;
            self.slots.insert((node, slot), GatewaySlot { incarnation, last_number });
        } else if view.is::<AssetDefined>() {
            let AssetDefined { asset, name } = view.decode()?;
            return Ok((self.venue.add_asset(name) == asset).then_some(()));
        } else if view.is::<InstrumentState>() {
            return Ok(self.load_instrument(&view.decode()?));
        } else if view.is::<MinuteState>() {
            let MinuteState { instrument, minute, quote, quantity } = view.decode()?;
            if self.venue.market(instrument).is_none() {
                return Ok(None);
            }
            let minutes = &mut self.venue.known(instrument).average.minutes;
            minutes.push_back(MinuteSum { minute, quote, quantity });
        } else if view.is::<AccountState>() {
            return Ok(self.load_account(&view.decode()?));
        } else if view.is::<KeyAdded>() {
            let key: KeyAdded = view.decode()?;
            self.venue.keys.insert(key.key, key);
        } else if view.is::<RateLimitSet>() {
            let RateLimitSet { kind, interval, interval_count, limit } = view.decode()?;
            self.venue.rate_limits.insert((kind, interval, interval_count), limit);
        } else if view.is::<TransferExecuted>() {
            let executed: TransferExecuted = view.decode()?;
            self.venue.transfers.insert(executed.transfer, executed);
        } else {
            let BalanceChanged { account, asset, free, locked } = view.decode()?;
            let known = account == AccountId::VENUE || self.venue.account(account).is_some();
            if !known || asset.0 as usize > self.venue.assets.len() {
                return Ok(None);
            }
            self.ledger.restore(account, asset, Balance { free, locked });
        }
        Ok(Some(()))
    }

    fn load_instrument(&mut self, state: &InstrumentState) -> Option<()> {
        let asset = |asset: AssetId| (1..=self.venue.assets.len()).contains(&(asset.0 as usize));
        let next = self.venue.markets.len() as u32 + 1;
        if state.instrument.0 != next || !asset(state.base) || !asset(state.quote) {
            return None;
        }
        self.venue.add_market(state.base, state.quote, state.definition);
        let market = self.venue.known(state.instrument);
        market.rates = state.has_rates.then_some(Rates { maker: state.maker, taker: state.taker });
        market.counters = Counters {
            trade: state.trade,
            aggregate: state.aggregate,
            execution: state.execution,
            update: state.update,
            next_prevented: state.next_prevented,
        };
        market.last_trade = Some(state.last_trade).filter(|price| !price.is_zero());
        Some(())
    }

    fn load_account(&mut self, state: &AccountState) -> Option<()> {
        let id = self.venue.add_account(Account {
            name: state.name,
            trade_group: state.trade_group,
            permissions: state.permissions,
            rates: state.has_rates.then_some(Rates { maker: state.maker, taker: state.taker }),
            open_orders: 0,
        });
        (id == state.account).then_some(())
    }

    /// Owners list their orders by id; books queue them as they were written.
    fn load_orders(&mut self, states: &[OrderState]) -> Result<(), LoadError> {
        let by_id: BTreeMap<OrderId, &OrderState> =
            states.iter().map(|state| (state.order, state)).collect();
        if by_id.len() != states.len() {
            return Err(LoadError::Incomplete);
        }
        for state in by_id.values() {
            let mut order = Order::new(state.order, &state.request);
            order.quantity = state.quantity;
            order.executed = state.executed;
            order.executed_quote = state.executed_quote;
            order.prevented = state.prevented;
            order.amends = state.amends;
            order.held = order.due_hold();
            self.venue.accounts[state.request.account.0 as usize].open_orders += 1;
            self.orders.insert(order);
        }
        for state in states {
            let slot = self.orders.find(state.order).ok_or(LoadError::Incomplete)?;
            let OrderRequest { kind, side, stop_price, instrument, .. } = state.request;
            let market = self.venue.known(instrument);
            match state.place {
                OrderPlace::Book => {
                    market.book.insert(&mut self.orders, slot);
                }
                OrderPlace::Stops => {
                    self.orders.get_mut(slot).phase = Phase::Waiting;
                    market.stops.insert(kind.fires_on_rise(side), stop_price, state.order, slot);
                }
                OrderPlace::TriggerQueue => {
                    self.orders.get_mut(slot).phase = Phase::Due;
                    self.triggered.push_back(state.order);
                }
            }
        }
        Ok(())
    }
}
