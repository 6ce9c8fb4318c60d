//! The state as bytes: canonical, so that equal states have equal bytes, and the hash over them.
//!
//! The bytes are records, in this order: header, gateway slots, assets, instruments (each with its
//! minutes, trading rules, calendar, buckets and auction), accounts, keys, rate limits, risk limits,
//! kill switches, transfers, balances, what was traded today, open order lists, what few orders have,
//! open orders (each instrument's bids and asks from best to worst and oldest to youngest, then those
//! that wait by id, then the pending ones of lists), and the trigger queue.

use crate::average::MinuteSum;
use crate::engine::{Engine, RULES_VERSION};
use crate::gateways::GatewaySlot;
use crate::ledger::{Balance, Entry};
use crate::lists::{OrderList, Stage};
use crate::market::{Counters, Market, Rates};
use crate::orders::{Extra, Owned, Owner};
use crate::reference::Bucket;
use crate::risk::DayTraded;
use crate::slab::{Phase, Slot};
use crate::sweep::Sweep;
use crate::venue::{Account, Venue};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use protocol::command::{AccountName, OrderRequest, OrderTerms, TradingRules, VenueLimits};
use protocol::event::{
    AssetDefined, BalanceChanged, CalendarSet, IndicativeChanged, KeyAdded, KillSwitchSet,
    OrderListAccepted, RateLimitSet, RiskLimitsSet, TradingRulesSet, TransferExecuted,
};
use protocol::instrument::AssetName;
use protocol::record::encode;
use protocol::*;

record! { 0x0301, length 101,
    /// Begins the state.
    pub struct EngineState {
        pub sequence: Sequence,
        pub now: Stamp,
        pub seed: u64,
        pub has_genesis: bool,
        pub rules: u32,
        pub last_order: OrderId,
        pub last_list: OrderListId,
        pub last_tick: Stamp,
        pub limits: VenueLimits,
        /// The venue's own commission rates.
        pub maker: u32,
        pub taker: u32,
        /// How far the sweep of the state hash is, and what it gave.
        pub sweep_cursor: u64,
        pub sweep_hash: u64,
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
    /// Trails the price, or waits for the first trade to do so.
    Trailing,
    /// Waits for the working order of its list.
    Pending,
    /// The same; its list stands in the trigger queue, here.
    PendingInQueue,
    /// Beside the book, for the end of an auction.
    Auction,
}

impl protocol::record::Schema for OrderPlace {
    const SCHEMA: u64 = protocol::record::name_hash(
        "OrderPlace: Book Stops TriggerQueue Trailing Pending PendingInQueue Auction",
    );
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

record! { 0x0307, length 36,
    pub struct BucketState {
        pub instrument: InstrumentId,
        pub open: u64,
        pub count: u64,
        pub sum: Amount,
    }
}

record! { 0x0308, length 61,
    /// The instrument collects.
    pub struct CollectionState {
        pub indication: IndicativeChanged,
        pub until: Stamp,
    }
}

record! { 0x0309, length 33,
    /// A public level of an instrument that collects, as it was last told.
    pub struct ToldLevelState {
        pub instrument: InstrumentId,
        pub side: Side,
        pub price: Price,
        pub quantity: Amount,
        pub orders: u32,
    }
}

record! { 0x030a, length 28,
    pub struct DayTradedState {
        pub account: AccountId,
        pub instrument: InstrumentId,
        pub day: u32,
        pub quantity: Amount,
    }
}

record! { 0x030b, length 87,
    pub struct OrderListState {
        pub accepted: OrderListAccepted,
        pub stage: Stage,
        pub holder: OrderId,
    }
}

record! { 0x030c, length 80,
    /// What few orders have.
    pub struct OrderExtraState {
        pub order: OrderId,
        pub terms: OrderTerms,
        pub list: OrderListId,
        pub named_price: Price,
        /// What counts in place of the named price.
        pub price: Price,
        pub shown: Quantity,
        pub held: Amount,
        pub is_funded: bool,
        /// Of an order that trails the price.
        pub has_extreme: bool,
        pub extreme: Price,
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
        BucketState::SCHEMA,
        CollectionState::SCHEMA,
        ToldLevelState::SCHEMA,
        DayTradedState::SCHEMA,
        OrderListState::SCHEMA,
        OrderExtraState::SCHEMA,
        RiskLimitsSet::SCHEMA,
        KillSwitchSet::SCHEMA,
        TradingRulesSet::SCHEMA,
        CalendarSet::SCHEMA,
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

    /// Hash over the canonical state: what replicas, replay and live compare. Takes as long as
    /// saving it does; `StateHashed` carries another, which is swept together on the way.
    pub fn state_hash(&self) -> u64 {
        let mut bytes = Vec::new();
        self.save(&mut bytes);
        hash::hash_bytes(&bytes, 0)
    }

    /// Appends the canonical state.
    pub fn save(&self, out: &mut Vec<u8>) {
        self.save_header(out);
        self.save_venue(out);
        self.ledger.sorted().iter().for_each(|entry| save_balance(entry, out));
        self.save_days(out);
        self.save_lists(out);
        self.save_orders(out);
    }

    /// What is neither a list nor a book.
    pub(crate) fn save_header(&self, out: &mut Vec<u8>) {
        let header = EngineState {
            sequence: self.sequence,
            now: self.now,
            seed: self.genesis.unwrap_or(0),
            has_genesis: self.genesis.is_some(),
            rules: self.rules,
            last_order: self.last_order,
            last_list: self.last_list,
            last_tick: self.last_tick,
            limits: self.venue.limits,
            maker: self.venue.rates.maker,
            taker: self.venue.rates.taker,
            sweep_cursor: self.sweep.cursor,
            sweep_hash: self.sweep.hash,
            orders: self.orders.len() as u64,
        };
        encode(&header, out);
    }

    fn save_venue(&self, out: &mut Vec<u8>) {
        let venue = &self.venue;
        self.gateways.all().iter().for_each(|held| save_gateway(held, out));
        for (name, at) in venue.assets.iter().zip(0..) {
            save_asset(at, name, out);
        }
        for market in &venue.markets {
            save_market(market, out);
            save_told_levels(market, out);
        }
        for id in 1..venue.accounts.len() as u32 {
            save_account(venue, AccountId(id), out);
        }
        venue.keys.values().for_each(|key| encode(key, out));
        venue.rate_limits.values().for_each(|limit| encode(limit, out));
        for ((account, instrument), limits) in &venue.risk.entries {
            let (account, instrument) = (*account, *instrument);
            encode(&RiskLimitsSet { account, instrument, limits: *limits }, out);
        }
        if venue.is_killed {
            encode(&KillSwitchSet { account: AccountId::NONE, engaged: true }, out);
        }
        for (_, id) in venue.accounts.iter().zip(0u32..).filter(|(account, _)| account.is_killed) {
            encode(&KillSwitchSet { account: AccountId(id), engaged: true }, out);
        }
        venue.transfers.values().for_each(|transfer| encode(transfer, out));
    }

    fn save_days(&self, out: &mut Vec<u8>) {
        self.orders.owners().iter().for_each(|owned| self.save_day(owned, out));
    }

    /// What an owner traded today, if anything.
    pub(crate) fn save_day(&self, owned: &Owned, out: &mut Vec<u8>) {
        let Owner { account, instrument } = owned.owner;
        let DayTraded { day, quantity } = owned.traded;
        if day == self.orders.day && !quantity.is_zero() {
            encode(&DayTradedState { account, instrument, day, quantity }, out);
        }
    }

    fn save_lists(&self, out: &mut Vec<u8>) {
        self.lists.iter().for_each(|list| save_list(list, out));
        let mut slots: Vec<Slot> = self.orders.slots().collect();
        slots.sort_unstable_by_key(|slot| self.orders.get(*slot).id);
        slots.into_iter().for_each(|slot| self.save_extra(slot, out));
    }

    fn save_orders(&self, out: &mut Vec<u8>) {
        for market in &self.venue.markets {
            for side in [Side::Buy, Side::Sell] {
                for slot in market.book.orders(&self.orders.slab, side) {
                    self.save_order(slot, out);
                }
            }
            for (_, slot) in market.stops.by_order() {
                self.save_order(slot, out);
            }
            for (_, slot, _) in market.trailing.by_order() {
                self.save_order(slot, out);
            }
            if let Some(collection) = &market.collection {
                let collected = collection.buys.values().chain(collection.sells.values());
                collected.for_each(|slot| self.save_order(*slot, out));
            }
        }
        for list in self.lists.iter() {
            let is_queued = |order: &OrderId| list.queued() == Some(*order);
            for order in list.pending().iter().filter(|order| !is_queued(order)) {
                if let Some(slot) = self.orders.find(*order)
                    && self.orders.get(slot).phase == Phase::Pending
                {
                    self.save_order(slot, out);
                }
            }
        }
        for order in &self.triggered {
            if let Some(slot) = self.orders.find(*order) {
                self.save_order(slot, out);
            }
        }
    }

    /// What an order has besides, if it is one of few.
    pub(crate) fn save_extra(&self, slot: Slot, out: &mut Vec<u8>) {
        let Some(extra) = self.orders.extra(slot) else { return };
        let order = self.orders.get(slot);
        let extreme = match (order.phase, self.venue.market(order.instrument)) {
            (Phase::Trailing, Some(market)) => {
                market.trailing.extreme(order.side, extra.terms.trailing_delta, order.id)
            }
            _ => None,
        };
        let is_shown = order.phase == Phase::Resting && extra.is_iceberg();
        let state = OrderExtraState {
            order: order.id,
            terms: extra.terms,
            list: extra.list,
            named_price: extra.named_price,
            price: order.price,
            shown: if is_shown { extra.shown } else { Quantity::ZERO },
            held: extra.held,
            is_funded: extra.is_funded,
            has_extreme: extreme.is_some(),
            extreme: extreme.unwrap_or_default(),
        };
        encode(&state, out);
    }

    pub(crate) fn save_order(&self, slot: Slot, out: &mut Vec<u8>) {
        let (order, terms) = (self.orders.get(slot), self.orders.terms(slot));
        let state = OrderState {
            order: order.id,
            request: self.orders.request(slot),
            quantity: Quantity(order.remaining.0 + terms.gone().0),
            executed: terms.executed,
            executed_quote: terms.executed_quote,
            prevented: terms.prevented,
            amends: terms.amends,
            place: match order.phase {
                Phase::Resting => OrderPlace::Book,
                Phase::Waiting => OrderPlace::Stops,
                Phase::Due => OrderPlace::TriggerQueue,
                Phase::Trailing => OrderPlace::Trailing,
                Phase::Collected => OrderPlace::Auction,
                Phase::Pending => match self.list_of(slot).and_then(OrderList::queued) {
                    Some(queued) if queued == order.id => OrderPlace::PendingInQueue,
                    _ => OrderPlace::Pending,
                },
                Phase::Running => panic!("order {} runs between commands", order.id),
            },
        };
        encode(&state, out);
    }
}

pub(crate) fn save_gateway(held: &GatewaySlot, out: &mut Vec<u8>) {
    let GatewaySlot { node, slot, incarnation, last_number } = *held;
    encode(&GatewaySlotState { node, slot, incarnation, last_number }, out);
}

/// The asset at a place of the venue's list.
pub(crate) fn save_asset(at: u32, name: &AssetName, out: &mut Vec<u8>) {
    encode(&AssetDefined { asset: AssetId(at + 1), name: *name }, out);
}

/// An instrument and its minutes.
pub(crate) fn save_market(market: &Market, out: &mut Vec<u8>) {
    let Counters { trade, aggregate, execution, update, next_prevented } = market.counters;
    let rates = market.rates.unwrap_or_default();
    let state = InstrumentState {
        instrument: market.id,
        base: market.base,
        quote: market.quote,
        definition: *market.definition(),
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
    save_regulation(market, out);
}

pub(crate) fn save_account(venue: &Venue, id: AccountId, out: &mut Vec<u8>) {
    let account = &venue.accounts[id.0 as usize];
    let rates = account.rates.unwrap_or_default();
    let state = AccountState {
        account: id,
        name: venue.account_names[id.0 as usize],
        trade_group: account.trade_group,
        permissions: account.permissions,
        has_rates: account.rates.is_some(),
        maker: rates.maker,
        taker: rates.taker,
    };
    encode(&state, out);
}

pub(crate) fn save_list(list: &OrderList, out: &mut Vec<u8>) {
    let (accepted, stage, holder) = (list.accepted(), list.stage, list.holder);
    encode(&OrderListState { accepted, stage, holder }, out);
}

pub(crate) fn save_balance(entry: &Entry, out: &mut Vec<u8>) {
    let Entry { account, asset, balance: Balance { free, locked } } = *entry;
    encode(&BalanceChanged { account, asset, free, locked }, out);
}

impl Engine {
    /// Reads a state that [`Engine::save`] wrote.
    pub fn load(bytes: &[u8]) -> Result<Engine, LoadError> {
        let mut records = Records::new(bytes);
        let first = records.next().ok_or(LoadError::Incomplete)??;
        let header: EngineState = first.decode()?;
        let mut engine = Engine::of_header(&header)?;
        let (mut orders, mut extras) = (Vec::new(), BTreeMap::new());
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
            } else if view.is::<OrderExtraState>() {
                let state: OrderExtraState = view.decode()?;
                extras.insert(state.order, state);
            } else if engine.load_record(&view)?.is_none() {
                return Err(LoadError::Inconsistent { offset: view.offset });
            }
        }
        if orders.len() as u64 != header.orders {
            return Err(LoadError::Incomplete);
        }
        engine.begin_day();
        engine.load_orders(&orders, &extras)?;
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
        engine.last_list = header.last_list;
        engine.last_tick = header.last_tick;
        engine.sweep = Sweep::new(header.sweep_cursor, header.sweep_hash);
        engine.venue.limits = header.limits;
        engine.venue.rates = Rates { maker: header.maker, taker: header.taker };
        Ok(engine)
    }

    /// One record that is not an order. None: it contradicts those before it.
    fn load_record(&mut self, view: &RecordView<'_>) -> Result<Option<()>, LoadError> {
        if view.is::<GatewaySlotState>() {
            let GatewaySlotState { node, slot, incarnation, last_number } = view.decode()?;
            *self.gateways.get_or_add(node, slot) =
                GatewaySlot { node, slot, incarnation, last_number };
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
            let set: RateLimitSet = view.decode()?;
            let place = (set.kind, set.interval, set.interval_count);
            self.venue.rate_limits.insert(place, set);
        } else if view.is::<TransferExecuted>() {
            let executed: TransferExecuted = view.decode()?;
            self.venue.transfers.insert(executed.transfer, executed);
        } else if view.is::<BalanceChanged>() {
            let BalanceChanged { account, asset, free, locked } = view.decode()?;
            let known = account == AccountId::VENUE || self.venue.account(account).is_some();
            if !known || asset.0 as usize > self.venue.assets.len() {
                return Ok(None);
            }
            self.ledger.restore(account, asset, Balance { free, locked });
        } else {
            return self.load_regulation(view);
        }
        Ok(Some(()))
    }

    /// How instruments trade, what accounts may do, order lists. None: it contradicts what came before.
    fn load_regulation(&mut self, view: &RecordView<'_>) -> Result<Option<()>, LoadError> {
        let knows_account = |engine: &Engine, account| engine.venue.account(account).is_some();
        let knows = |engine: &Engine, instrument| engine.venue.market(instrument).is_some();
        let known = if view.is::<TradingRulesSet>() {
            let TradingRulesSet { instrument, rules } = view.decode()?;
            let known = knows(self, instrument);
            if known {
                self.venue.known(instrument).set_trading_rules(rules);
            }
            known
        } else if view.is::<CalendarSet>() {
            let CalendarSet { instrument, entries } = view.decode()?;
            let known = knows(self, instrument);
            if known {
                self.venue.known(instrument).calendar = Some(Box::new(entries));
                self.venue.scheduled.insert(instrument);
            }
            known
        } else if view.is::<BucketState>() {
            let BucketState { instrument, open, count, sum } = view.decode()?;
            let known = knows(self, instrument);
            if known {
                let sum = sum.0.unsigned_abs();
                let buckets = &mut self.venue.known(instrument).buckets.buckets;
                buckets.push_back(Bucket { open, count, sum });
            }
            known
        } else if view.is::<CollectionState>() {
            let CollectionState { indication, until } = view.decode()?;
            let instrument = indication.instrument;
            let known = knows(self, instrument);
            if known {
                let collection = self.venue.known(instrument).collect();
                (collection.indication, collection.until) = (indication, until);
                self.venue.collecting.insert(instrument);
            }
            known
        } else if view.is::<ToldLevelState>() {
            let ToldLevelState { instrument, side, price, quantity, orders } = view.decode()?;
            let known = knows(self, instrument) && self.venue.known(instrument).is_collecting();
            if known {
                let collection = self.venue.known(instrument).collect();
                let levels = match side {
                    Side::Buy => &mut collection.bids,
                    Side::Sell => &mut collection.asks,
                };
                levels.insert(price, (quantity, orders));
            }
            known
        } else if view.is::<RiskLimitsSet>() {
            let RiskLimitsSet { account, instrument, limits } = view.decode()?;
            self.venue.risk.entries.insert((account, instrument), limits);
            true
        } else if view.is::<KillSwitchSet>() {
            let KillSwitchSet { account, engaged } = view.decode()?;
            match self.venue.accounts.get_mut(account.0 as usize) {
                Some(_) if account == AccountId::NONE => self.venue.is_killed = engaged,
                Some(account) => account.is_killed = engaged,
                None => return Ok(None),
            }
            true
        } else if view.is::<DayTradedState>() {
            let DayTradedState { account, instrument, day, quantity } = view.decode()?;
            let known = knows(self, instrument) && knows_account(self, account);
            if known {
                let owner = Owner { account, instrument };
                let found = self.orders.find_owner(owner);
                let owner = found.unwrap_or_else(|| self.add_owner(owner));
                self.orders.owned_mut(owner).traded = DayTraded { day, quantity };
            }
            known
        } else {
            let OrderListState { accepted, stage, holder } = view.decode()?;
            let known = knows(self, accepted.instrument) && knows_account(self, accepted.account);
            if known && self.lists.get(accepted.list).is_none() {
                self.lists.insert(OrderList {
                    id: accepted.list,
                    account: accepted.account,
                    instrument: accepted.instrument,
                    kind: accepted.kind,
                    client_order_id: accepted.list_client_order_id,
                    orders: accepted.orders,
                    stage,
                    holder,
                });
            }
            known
        };
        Ok(known.then_some(()))
    }

    fn load_instrument(&mut self, state: &InstrumentState) -> Option<()> {
        let asset = |asset: AssetId| (1..=self.venue.assets.len()).contains(&(asset.0 as usize));
        let next = self.venue.markets.len() as u32 + 1;
        if state.instrument.0 != next || !asset(state.base) || !asset(state.quote) {
            return None;
        }
        self.add_market(state.base, state.quote, state.definition);
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
        let account = Account {
            rates: state.has_rates.then_some(Rates { maker: state.maker, taker: state.taker }),
            ..Account::new(state.trade_group, state.permissions)
        };
        let id = self.venue.add_account(state.name, account);
        (id == state.account).then_some(())
    }

    /// Owners list their orders by id; books queue them as they were written.
    fn load_orders(
        &mut self,
        states: &[OrderState],
        extras: &BTreeMap<OrderId, OrderExtraState>,
    ) -> Result<(), LoadError> {
        let by_id: BTreeMap<OrderId, &OrderState> =
            states.iter().map(|state| (state.order, state)).collect();
        if by_id.len() != states.len() {
            return Err(LoadError::Incomplete);
        }
        for state in by_id.values() {
            let owner = Owner::of(&state.request);
            let name_hash = self.orders.name_hash(owner, &state.request.client_order_id);
            let found = self.orders.find_owner(owner);
            let owner = found.unwrap_or_else(|| self.add_owner(owner));
            let slot = self.orders.insert(state.order, owner, name_hash, &state.request);
            let terms = self.orders.terms_mut(slot);
            terms.executed = state.executed;
            terms.executed_quote = state.executed_quote;
            terms.prevented = state.prevented;
            terms.amends = state.amends;
            let gone = state.executed.0.checked_add(state.prevented.0);
            let remaining = gone.and_then(|gone| state.quantity.0.checked_sub(gone));
            let remaining = remaining.ok_or(LoadError::Incomplete)?;
            self.orders.set_remaining(slot, Quantity(remaining));
            self.orders.slab.get_mut(slot).is_touched = gone != Some(0);
            let extra = extras.get(&state.order);
            let terms = extra.map_or(OrderTerms::NONE, |extra| extra.terms);
            let OrderRequest { account, kind, .. } = state.request;
            self.venue.accounts[account.0 as usize].count(kind, terms, 1);
            if let Some(extra) = extra {
                self.load_extra(slot, extra);
            }
        }
        if extras.keys().any(|order| !by_id.contains_key(order)) {
            return Err(LoadError::Incomplete);
        }
        for state in states {
            let slot = self.orders.find(state.order).ok_or(LoadError::Incomplete)?;
            let OrderRequest { kind, side, stop_price, instrument, .. } = state.request;
            let market = self.venue.known(instrument);
            match state.place {
                OrderPlace::Book => {
                    let shown = self.orders.shown(slot);
                    if self.orders.extra(slot).is_some_and(Extra::is_iceberg) {
                        market.icebergs.insert(state.order, slot);
                    }
                    market.book.insert(&mut self.orders.slab, slot, shown);
                }
                OrderPlace::Stops => {
                    self.orders.slab.get_mut(slot).phase = Phase::Waiting;
                    market.stops.insert(kind.fires_on_rise(side), stop_price, state.order, slot);
                }
                OrderPlace::TriggerQueue => {
                    self.orders.slab.get_mut(slot).phase = Phase::Due;
                    self.triggered.push_back(state.order);
                }
                OrderPlace::Trailing => {
                    self.orders.slab.get_mut(slot).phase = Phase::Trailing;
                    let extra = extras.get(&state.order).ok_or(LoadError::Incomplete)?;
                    let (delta, extreme) = (extra.terms.trailing_delta, extra.extreme);
                    match extra.has_extreme {
                        true => market.trailing.start(side, extreme, delta, state.order, slot),
                        false => market.trailing.wait(state.order, slot),
                    }
                }
                OrderPlace::Pending => self.orders.slab.get_mut(slot).phase = Phase::Pending,
                OrderPlace::PendingInQueue => {
                    self.orders.slab.get_mut(slot).phase = Phase::Pending;
                    self.triggered.push_back(state.order);
                }
                OrderPlace::Auction => {
                    self.orders.slab.get_mut(slot).phase = Phase::Collected;
                    let collection = market.collection.as_mut().ok_or(LoadError::Incomplete)?;
                    collection.side_mut(side).insert(state.order, slot);
                }
            }
        }
        Ok(())
    }

    fn load_extra(&mut self, slot: Slot, state: &OrderExtraState) {
        let extra = Extra::new(state.terms, state.list, state.named_price);
        let (shown, held, is_funded) = (state.shown, state.held, state.is_funded);
        self.orders.add_extra(slot, Extra { shown, held, is_funded, ..extra });
        self.orders.slab.get_mut(slot).price = state.price;
    }
}

fn save_regulation(market: &Market, out: &mut Vec<u8>) {
    let instrument = market.id;
    if market.trading_rules != TradingRules::default() {
        encode(&TradingRulesSet { instrument, rules: market.trading_rules }, out);
    }
    if let Some(entries) = market.calendar.as_deref().copied() {
        encode(&CalendarSet { instrument, entries }, out);
    }
    for Bucket { open, count, sum } in market.buckets.buckets.iter().copied() {
        let sum = Amount(i128::try_from(sum).unwrap_or(i128::MAX));
        encode(&BucketState { instrument, open, count, sum }, out);
    }
    let Some(collection) = &market.collection else { return };
    encode(&CollectionState { indication: collection.indication, until: collection.until }, out);
}

fn save_told_levels(market: &Market, out: &mut Vec<u8>) {
    let instrument = market.id;
    let Some(collection) = &market.collection else { return };
    for (side, levels) in [(Side::Buy, &collection.bids), (Side::Sell, &collection.asks)] {
        for (price, (quantity, orders)) in levels {
            let (price, quantity, orders) = (*price, *quantity, *orders);
            encode(&ToldLevelState { instrument, side, price, quantity, orders }, out);
        }
    }
}
