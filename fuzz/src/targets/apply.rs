//! The engine, given any command in a well-formed envelope: no panic, every sum right, every
//! executed command answered, and a state that is read back is the state.

use engine::Engine;
use protocol::command::*;
use protocol::event::CommandBegan;
use protocol::instrument::{InstrumentDefinition, Symbol, filter};
use protocol::*;

use crate::Target;
use crate::draw::Draw;
use crate::feedback::note;
use crate::mutate::Random;

pub const TARGET: Target =
    Target { name: "apply", run: apply, corpus, words: &[], length_max: 4_096 };

/// How often the full sums are checked and the state is read back.
const CHECK_INTERVAL: u64 = 32;
/// Slots that gateways join.
const SLOTS: u8 = 2;
const BEGINNING: Stamp = Stamp(1_767_225_600 * SECOND_NS);

const SYMBOLS: &[(&str, &str, &str)] =
    &[("BTCUSDT", "BTC", "USDT"), ("ETHBTC", "ETH", "BTC"), ("ETHUSDT", "ETH", "USDT")];
const ACCOUNTS: &[&str] = &["alice", "bob", "carol", "dave"];
const NAMES: &[&str] = &["a", "b", "c", "d", "e", "f", "", "ü"];

/// The first byte chooses the venue, the rest commands.
pub fn apply(data: &[u8]) {
    let mut draw = Draw::new(data);
    let mut exchange = Exchange::new();
    match draw.below(8) {
        0 => {}
        1 => exchange.open_venue(Amount(1_000 * i128::from(SCALE))),
        2 => exchange.open_venue(Amount::MAX),
        _ => exchange.open_venue(Amount(i128::MAX >> 40)),
    }
    while !draw.is_over() {
        let command = exchange.command(&mut draw);
        let stamp = exchange.stamp(&mut draw);
        exchange.apply(stamp, &command);
    }
    exchange.check();
}

fn corpus() -> Vec<Vec<u8>> {
    let mut random = Random::new(11);
    let mut inputs: Vec<Vec<u8>> = (0..24u8)
        .map(|venue| {
            let length = 64 << (venue % 6);
            [venue].into_iter().chain((0..length).map(|_| random.number() as u8)).collect()
        })
        .collect();
    inputs.push(vec![3]);
    inputs
}

/// An engine, and what its users know.
struct Exchange {
    engine: Engine,
    /// Read from the engine's state some time ago; must go the same way.
    twin: Option<Engine>,
    sequence: Sequence,
    now: Stamp,
    has_genesis: bool,
    slots: [Origin; SLOTS as usize],
    last_order: OrderId,
    last_list: OrderListId,
    transfers: u64,
}

impl Exchange {
    fn new() -> Exchange {
        Exchange {
            engine: Engine::new(),
            twin: None,
            sequence: Sequence(0),
            now: BEGINNING,
            has_genesis: false,
            slots: std::array::from_fn(|slot| Origin {
                node: 1,
                slot: slot as u8,
                ..Default::default()
            }),
            last_order: OrderId::NONE,
            last_list: OrderListId::NONE,
            transfers: 0,
        }
    }

    /// Instruments without filters, and accounts with so much of everything.
    fn open_venue(&mut self, balance: Amount) {
        let envelope = Envelope::INTERNAL;
        self.do_now(Genesis { envelope, seed: 3, rules: engine::RULES_VERSION });
        for slot in 0..SLOTS {
            let envelope = Envelope { origin: self.slots[usize::from(slot)], ..envelope };
            self.do_now(GatewayJoined { envelope, nonce: 1 });
        }
        for place in 0..SYMBOLS.len() {
            self.do_numbered(DefineInstrument { envelope, definition: definition(place) });
        }
        for (name, trade_group) in ACCOUNTS.iter().zip([1, 1, 0, 0]) {
            let permissions = account_permission::ALL;
            let name = text(name);
            self.do_numbered(DefineAccount { envelope, name, trade_group, permissions });
            for asset in ["BTC", "ETH", "USDT"] {
                self.transfers += 1;
                self.do_numbered(Transfer {
                    envelope,
                    transfer: text(&self.transfers.to_string()),
                    account: name,
                    asset: text(asset),
                    direction: TransferDirection::Deposit,
                    // All accounts together may have so much.
                    amount: Amount(balance.0 / 4),
                });
            }
        }
        let (scope, name) = (FeeScope::Venue, Text::EMPTY);
        self.do_numbered(SetFees { envelope, scope, name, maker: 100_000, taker: 100_000 });
    }

    fn do_now(&mut self, command: impl Into<Command>) {
        self.apply(self.now, &command.into());
    }

    fn do_numbered(&mut self, command: impl Into<Command>) {
        let mut command = command.into();
        let origin = &self.slots[0];
        command.envelope_mut().origin = Origin { number: origin.number + 1, ..*origin };
        self.apply(self.now, &command);
    }

    fn apply(&mut self, stamp: Stamp, command: &Command) {
        self.sequence = self.sequence.next();
        self.now = stamp;
        let input = Sequenced { sequence: self.sequence, stamp, command };
        let mut events = Vec::new();
        self.engine.apply(&input, &mut events);
        if let Some(twin) = &mut self.twin {
            let mut others = Vec::new();
            twin.apply(&input, &mut others);
            assert_eq!(events, others, "the state that was read back went another way");
        }
        self.check_answer(&input, &events);
        self.observe(command, &events);
        if self.sequence.0.is_multiple_of(CHECK_INTERVAL) {
            self.check();
        }
    }

    /// An answer has its two ends, refusals stand inside, consequences behind.
    fn check_answer(&self, input: &Sequenced<'_>, events: &[Event]) {
        let (command, sequence) = (input.command, input.sequence);
        let Envelope { origin, session, request, .. } = *command.envelope();
        let Some((first, rest)) = events.split_first() else {
            let last = self.slots.iter().find(|slot| slot.slot == origin.slot);
            let is_copy = last.is_some_and(|last| origin.number <= last.number);
            assert!(command.is_numbered() && is_copy, "no answer to {command:?}");
            note("a copy");
            return;
        };
        let (stamp, kind) = (input.stamp, command.kind());
        let began = CommandBegan { sequence, stamp, origin, session, request, kind };
        assert_eq!(*first, Event::CommandBegan(began));
        let is_answered = |event: &Event| matches!(event, Event::CommandAnswered(_));
        let end = rest.iter().position(is_answered).expect("an end of the answer");
        let (answer, consequences) = rest.split_at(end);
        assert_eq!(consequences[0], Event::CommandAnswered(event::CommandAnswered { sequence }));
        for event in &consequences[1..] {
            let is_of_answers = matches!(
                event,
                Event::CommandBegan(_)
                    | Event::CommandAnswered(_)
                    | Event::CommandRefused(_)
                    | Event::OrderAccepted(_)
                    | Event::OrderAcceptedWithTerms(_)
                    | Event::OrderListAccepted(_)
                    | Event::OrderTested(_)
            );
            assert!(!is_of_answers, "behind the answer: {event:?}");
        }
        for event in answer {
            match event {
                Event::CommandRefused(refused) => note((kind, refused.part, refused.reason)),
                Event::OrderClosed(closed) => note((kind, closed.status, closed.reason)),
                Event::MatchPrevented(prevented) => note((kind, prevented.mode)),
                event => note((kind, event.kind())),
            }
        }
        note((kind, events.len().ilog2()));
        self.check_records(events);
    }

    /// What is told can be written and read, and no balance but the venue's is below zero.
    fn check_records(&self, events: &[Event]) {
        let mut bytes = Vec::new();
        events.iter().for_each(|event| event.encode(&mut bytes));
        let read = Records::new(&bytes).map(|view| Event::decode(&view.expect("a record")));
        assert!(read.zip(events).all(|(read, event)| read.as_ref() == Ok(event)));
        for event in events {
            match event {
                Event::BalanceChanged(balance) => {
                    assert!(balance.free >= Amount::ZERO && balance.locked >= Amount::ZERO);
                }
                Event::Trade(trade) => {
                    assert!(trade.quantity.is_valid() && !trade.quantity.is_zero());
                    assert_eq!(trade.quote, notional(trade.price, trade.quantity));
                }
                _ => {}
            }
        }
    }

    fn observe(&mut self, command: &Command, events: &[Event]) {
        let origin = command.envelope().origin;
        let is_counted = !events.iter().any(|event| match event {
            Event::CommandRefused(refused) => matches!(
                refused.reason,
                RejectReason::NoGenesis | RejectReason::StaleIncarnation | RejectReason::NumberGap
            ),
            _ => false,
        });
        let slot = self.slots.iter_mut().find(|slot| slot.slot == origin.slot);
        if let Some(slot) = slot.filter(|_| is_counted && command.is_numbered()) {
            slot.number = slot.number.max(origin.number);
        }
        for event in events {
            match event {
                Event::RulesSet(_) => self.has_genesis = true,
                Event::GatewayAdmitted(admitted) => {
                    for slot in self.slots.iter_mut().filter(|slot| slot.slot == admitted.slot) {
                        (slot.incarnation, slot.number) = (admitted.incarnation, 0);
                    }
                }
                Event::OrderAccepted(accepted) => self.accept(accepted.order),
                Event::OrderAcceptedWithTerms(accepted) => self.accept(accepted.order),
                Event::OrderListAccepted(accepted) => {
                    assert_eq!(accepted.list, self.last_list.next(), "a gap in the list ids");
                    self.last_list = accepted.list;
                }
                _ => {}
            }
        }
    }

    fn accept(&mut self, order: OrderId) {
        assert_eq!(order, self.last_order.next(), "a gap in the order ids");
        self.last_order = order;
    }

    /// The full sums; and the state, written and read, is the state.
    fn check(&mut self) {
        self.engine.check_invariants();
        let mut state = Vec::new();
        self.engine.save(&mut state);
        let loaded = Engine::load(&state).expect("a state that was saved");
        loaded.check_invariants();
        assert_eq!(loaded.state_hash(), self.engine.state_hash());
        let mut again = Vec::new();
        loaded.save(&mut again);
        assert_eq!(state, again);
        self.twin = Some(loaded);
    }

    // Commands.

    fn stamp(&self, draw: &mut Draw<'_>) -> Stamp {
        let passed = match draw.byte() {
            0..176 => 0,
            176..208 => MILLISECOND_NS,
            208..228 => SECOND_NS,
            228..240 => MINUTE_NS,
            240..246 => 61 * MINUTE_NS,
            246..254 => u64::from(draw.byte()) * 60 * MINUTE_NS,
            254 => draw.number() >> 12,
            _ => draw.extreme(),
        };
        Stamp(self.now.0.saturating_add(passed))
    }

    fn command(&mut self, draw: &mut Draw<'_>) -> Command {
        let envelope = Envelope::INTERNAL;
        let mut command: Command = match draw.byte() {
            0..64 => {
                NewOrder { envelope, request: self.request(draw), dry_run: draw.byte() == 255 }
                    .into()
            }
            64..96 => {
                let (request, terms) = (self.request(draw), terms(draw));
                let dry_run = draw.byte() == 255;
                NewOrderWithTerms { envelope, request, terms, dry_run }.into()
            }
            96..124 => self.list(draw).into(),
            124..134 => CancelOrder {
                envelope,
                account: account(draw),
                instrument: instrument(draw),
                order: self.order(draw),
                restrictions: draw.pick(CancelRestrictions::ALL),
            }
            .into(),
            134..142 => CancelNamedOrder {
                envelope,
                account: account(draw),
                instrument: instrument(draw),
                order: self.order(draw),
                client_order_id: client_order_id(draw),
                cancel_client_order_id: client_order_id(draw),
                restrictions: draw.pick(CancelRestrictions::ALL),
            }
            .into(),
            142..146 => {
                let (account, instrument) = (account(draw), instrument(draw));
                CancelAllOrders { envelope, account, instrument }.into()
            }
            146..162 => CancelReplace {
                terms: terms(draw),
                envelope,
                mode: draw.pick(CancelReplaceMode::ALL),
                restrictions: draw.pick(CancelRestrictions::ALL),
                cancel_order: self.order(draw),
                cancel_original_client_order_id: client_order_id(draw),
                cancel_client_order_id: client_order_id(draw),
                request: self.request(draw),
            }
            .into(),
            162..174 => AmendOrder {
                envelope,
                account: account(draw),
                instrument: instrument(draw),
                order: self.order(draw),
                client_order_id: match draw.byte() {
                    0..224 => Text::EMPTY,
                    _ => client_order_id(draw),
                },
                new_client_order_id: match draw.byte() {
                    0..224 => text(&format!("a{}", self.sequence)),
                    _ => client_order_id(draw),
                },
                quantity: Quantity(quantity(draw)),
            }
            .into(),
            174..180 => ReplaceOrder {
                envelope,
                account: account(draw),
                instrument: instrument(draw),
                order: self.order(draw),
                price: Price(price(draw)),
                quantity: Quantity(quantity(draw)),
            }
            .into(),
            180..185 => CancelOrderList {
                envelope,
                account: account(draw),
                instrument: instrument(draw),
                list: OrderListId(match draw.byte() {
                    back @ 0..240 => self.last_list.0.saturating_sub(u64::from(back) % 4),
                    _ => draw.extreme(),
                }),
                list_client_order_id: match draw.byte() {
                    0..224 => Text::EMPTY,
                    _ => client_order_id(draw),
                },
                cancel_client_order_id: client_order_id(draw),
            }
            .into(),
            185..188 => MassCancel {
                envelope,
                account: if draw.byte() < 64 { AccountId(0) } else { account(draw) },
                instrument: if draw.byte() < 64 { InstrumentId::NONE } else { instrument(draw) },
                cause: draw.pick(MassCancelCause::ALL),
            }
            .into(),
            188..200 => Tick { envelope }.into(),
            other => self.venue_command(other, draw),
        };
        self.address(&mut command, draw);
        command
    }

    /// Mostly the next number of a slot; sometimes another, and sometimes too late.
    fn address(&self, command: &mut Command, draw: &mut Draw<'_>) {
        let slot = self.slots[draw.below(self.slots.len())];
        let numbered = command.is_numbered();
        let is_late = command.is_order() && draw.byte() == 255;
        let envelope = command.envelope_mut();
        envelope.origin = match draw.byte() {
            _ if !numbered => Origin { incarnation: 0, number: 0, ..slot },
            252 => slot,
            253 => Origin { number: draw.extreme(), ..slot },
            254 => Origin { incarnation: draw.extreme() as u32, number: slot.number + 1, ..slot },
            255 => Origin { node: draw.byte(), number: slot.number + 1, ..slot },
            _ => Origin { number: slot.number + 1, ..slot },
        };
        (envelope.session, envelope.request) = (u32::from(draw.byte()), 7);
        if is_late {
            envelope.deadline = Stamp(self.now.0.wrapping_add(draw.extreme()).wrapping_sub(16));
        }
    }

    fn request(&self, draw: &mut Draw<'_>) -> OrderRequest {
        let kind = match draw.byte() {
            0..128 => OrderKind::Limit,
            128..160 => OrderKind::Market,
            _ => draw.pick(OrderKind::ALL),
        };
        // Mostly of the right shape.
        let is_odd = draw.byte() == 255;
        let time_in_force = match draw.byte() {
            0..160 if !is_odd => TimeInForce::Gtc,
            _ if !is_odd && matches!(kind, OrderKind::Market | OrderKind::LimitMaker) => {
                TimeInForce::Gtc
            }
            _ => draw.pick(TimeInForce::ALL),
        };
        let by_quote = draw.byte() % 2 == 1 && (is_odd || kind == OrderKind::Market);
        OrderRequest {
            account: account(draw),
            instrument: instrument(draw),
            side: draw.pick(Side::ALL),
            kind,
            time_in_force,
            stp_mode: if draw.byte() < 96 { StpMode::None } else { draw.pick(StpMode::ALL) },
            quantity_unit: if by_quote { QuantityUnit::Quote } else { QuantityUnit::Base },
            price: Price(if is_odd || kind.is_limit() { price(draw) } else { 0 }),
            quantity: Quantity(quantity(draw)),
            stop_price: Price(if is_odd || kind.is_contingent() { price(draw) } else { 0 }),
            client_order_id: match draw.byte() {
                0..224 => text(&format!("n{}", self.sequence)),
                _ => client_order_id(draw),
            },
            strategy_id: draw.byte().into(),
            strategy_type: 0,
        }
    }

    /// Mostly of its kind's shape, with prices on both sides of 100.
    fn list(&self, draw: &mut Draw<'_>) -> NewOrderList {
        let kind = draw.pick(OrderListKind::ALL);
        let (account, instrument) = (account(draw), instrument(draw));
        let pending_side = if kind.pays() { Side::Sell } else { draw.pick(Side::ALL) };
        let all = Quantity(quantity(draw));
        let working = usize::from(kind.has_working_order());
        let mut orders = [ListedOrder::EMPTY; LISTED_ORDERS_MAX];
        for (place, order) in orders.iter_mut().enumerate().take(kind.orders()) {
            let is_pending = place >= working;
            let kinds = match (is_pending, kind.has_pair(), place == working) {
                (false, ..) => &[OrderKind::Limit, OrderKind::LimitMaker],
                (true, true, true) => &[OrderKind::StopLoss, OrderKind::StopLossLimit][..],
                (true, true, false) => {
                    &[OrderKind::LimitMaker, OrderKind::TakeProfit, OrderKind::TakeProfitLimit]
                }
                (true, false, _) => OrderKind::ALL,
            };
            let kind_of_order = draw.pick(kinds);
            let is_low = (place == working) == (pending_side == Side::Sell);
            let near = if is_low { 92 } else { 101 } + u64::from(draw.byte()) % 8;
            let near = Price(near * SCALE);
            let other_side = if kind.pays() { Side::Buy } else { draw.pick(Side::ALL) };
            order.request = OrderRequest {
                account,
                instrument,
                side: if is_pending { pending_side } else { other_side },
                kind: kind_of_order,
                price: if kind_of_order.is_limit() { near } else { Price::ZERO },
                stop_price: if kind_of_order.is_contingent() { near } else { Price::ZERO },
                quantity: if is_pending && kind.pays() { Quantity::ZERO } else { all },
                client_order_id: text(&format!("l{}-{place}", self.sequence)),
                ..OrderRequest::EMPTY
            };
            if draw.byte() >= 192 {
                order.terms = terms(draw);
            }
        }
        // Some are nonsense.
        for _ in 0..usize::from(draw.byte()).saturating_sub(216) % 4 {
            let order = &mut orders[draw.below(LISTED_ORDERS_MAX)];
            match draw.below(6) {
                0 => order.request = self.request(draw),
                1 => order.request.price = Price(price(draw)),
                2 => order.request.quantity = Quantity(quantity(draw)),
                3 => order.request.side = order.request.side.opposite(),
                4 => order.terms = terms(draw),
                _ => *order = ListedOrder::EMPTY,
            }
        }
        let list_client_order_id = match draw.byte() {
            0..128 => text(&format!("l{}", self.sequence)),
            _ => client_order_id(draw),
        };
        let envelope = Envelope::INTERNAL;
        NewOrderList { envelope, account, instrument, kind, list_client_order_id, orders }
    }

    /// Near the latest, so that it is often there.
    fn order(&self, draw: &mut Draw<'_>) -> OrderId {
        match draw.byte() {
            back @ 0..240 => OrderId(self.last_order.0.saturating_sub(u64::from(back) % 12)),
            240..248 => OrderId::NONE,
            _ => OrderId(draw.extreme()),
        }
    }

    fn venue_command(&mut self, choice: u8, draw: &mut Draw<'_>) -> Command {
        let envelope = Envelope::INTERNAL;
        match choice {
            200..208 => self.transfer(draw).into(),
            208..214 => DefineInstrument { envelope, definition: redefined(draw) }.into(),
            214..226 => {
                // Trading comes back, else nothing happens any more.
                let status = match draw.byte() {
                    0..96 => InstrumentStatus::Trading,
                    _ => draw.pick(InstrumentStatus::ALL),
                };
                SetInstrumentStatus { envelope, symbol: symbol(draw), status }.into()
            }
            226..232 => {
                let (symbol, rules) = (symbol(draw), trading_rules(draw));
                SetTradingRules { envelope, symbol, rules }.into()
            }
            232..235 => {
                let (symbol, entries) = (symbol(draw), calendar(draw));
                SetCalendar { envelope, symbol, entries }.into()
            }
            235..238 => SetRiskLimits {
                envelope,
                account: if draw.byte() < 96 { Text::EMPTY } else { account_name(draw) },
                symbol: if draw.byte() < 96 { Text::EMPTY } else { symbol(draw) },
                limits: risk_limits(draw),
            }
            .into(),
            238 | 239 => {
                let account = if draw.byte() < 128 { Text::EMPTY } else { account_name(draw) };
                SetKillSwitch { envelope, account, engaged: draw.byte() >= 192 }.into()
            }
            240 => {
                let permissions = match draw.byte() {
                    0..192 => account_permission::ALL,
                    bits => bits % 16,
                };
                let trade_group = u32::from(draw.byte() % 3);
                DefineAccount { envelope, name: account_name(draw), trade_group, permissions }
                    .into()
            }
            241..245 => {
                let scope = draw.pick(FeeScope::ALL);
                let name = match scope {
                    FeeScope::Venue => Text::EMPTY,
                    FeeScope::Instrument => symbol(draw),
                    FeeScope::Account => account_name(draw),
                };
                let rates = [0, 1, 100_000, COMMISSION_RATE_MAX, COMMISSION_RATE_MAX + 1, u32::MAX];
                let (maker, taker) = (draw.pick(&rates), draw.pick(&rates));
                SetFees { envelope, scope, name, maker, taker }.into()
            }
            245 | 246 => AddKey {
                envelope,
                account: account_name(draw),
                key: text(draw.pick(NAMES)),
                kind: draw.pick(KeyKind::ALL),
                permissions: draw.byte() % 16,
                material: Bytes::new(draw.take(4)).unwrap_or(Bytes::EMPTY),
            }
            .into(),
            247 => RemoveKey { envelope, key: text(draw.pick(NAMES)) }.into(),
            248 => SetRateLimit {
                envelope,
                kind: draw.pick(RateLimitKind::ALL),
                interval: draw.pick(RateLimitInterval::ALL),
                interval_count: u32::from(draw.byte() % 3),
                limit: draw.extreme() as u32,
            }
            .into(),
            249 => {
                let mut limit = || u32::from(draw.byte() % 16);
                let limits = VenueLimits {
                    open_orders_max: limit(),
                    algo_orders_max: limit(),
                    iceberg_orders_max: limit(),
                    order_lists_max: limit(),
                };
                SetVenueLimits { envelope, limits }.into()
            }
            250 => SetRules { envelope, rules: u32::from(draw.byte() % 4) }.into(),
            251 | 252 => {
                Genesis { envelope, seed: draw.number(), rules: u32::from(draw.byte() % 4) }.into()
            }
            _ => GatewayJoined { envelope, nonce: draw.byte().into() }.into(),
        }
    }

    fn transfer(&mut self, draw: &mut Draw<'_>) -> Transfer {
        self.transfers += 1;
        let transfer = match draw.byte() {
            0..240 => text(&self.transfers.to_string()),
            _ => text(draw.pick(&["1", "2", ""])),
        };
        let amount = match draw.byte() {
            0..64 => i128::from(quantity(draw)),
            64..96 => Amount::MAX.0,
            96..112 => Amount::MAX.0 + 1,
            112..128 => i128::MAX,
            128..144 => i128::MIN,
            144..160 => -i128::from(draw.extreme()),
            160..192 => Amount::MAX.0 / 5,
            _ => i128::from(draw.extreme()) << draw.below(64),
        };
        Transfer {
            envelope: Envelope::INTERNAL,
            transfer,
            account: account_name(draw),
            asset: text(draw.pick(&["BTC", "ETH", "USDT", "USDT", "X", ""])),
            direction: draw.pick(TransferDirection::ALL),
            amount: Amount(amount),
        }
    }
}

/// Text that is known to fit.
fn text<const N: usize>(text: &str) -> Text<N> {
    Text::new(text).unwrap_or(Text::EMPTY)
}

fn account(draw: &mut Draw<'_>) -> AccountId {
    match draw.byte() {
        choice @ 0..248 => AccountId(1 + u32::from(choice) % 4),
        248..252 => AccountId::VENUE,
        _ => AccountId(draw.extreme() as u32),
    }
}

/// Mostly the first, so that orders meet.
fn instrument(draw: &mut Draw<'_>) -> InstrumentId {
    match draw.byte() {
        0..176 => InstrumentId(1),
        choice @ 176..252 => InstrumentId(1 + u32::from(choice) % 3),
        _ => InstrumentId(draw.extreme() as u32),
    }
}

fn account_name(draw: &mut Draw<'_>) -> AccountName {
    match draw.byte() {
        choice @ 0..240 => text(ACCOUNTS[usize::from(choice) % ACCOUNTS.len()]),
        _ => text(draw.pick(NAMES)),
    }
}

fn symbol(draw: &mut Draw<'_>) -> Symbol {
    match draw.byte() {
        choice @ 0..240 => text(SYMBOLS[usize::from(choice) % SYMBOLS.len()].0),
        _ => text(draw.pick(NAMES)),
    }
}

fn client_order_id(draw: &mut Draw<'_>) -> ClientOrderId {
    text(draw.pick(NAMES))
}

/// Mostly around 100, where orders cross.
fn price(draw: &mut Draw<'_>) -> u64 {
    match draw.byte() {
        choice @ 0..160 => (96 + u64::from(choice) % 8) * SCALE,
        choice @ 160..192 => 1 + u64::from(choice) % 8,
        192..216 => Price::MAX.0,
        216..224 => draw.number() >> 1,
        _ => draw.extreme(),
    }
}

fn quantity(draw: &mut Draw<'_>) -> u64 {
    match draw.byte() {
        choice @ 0..128 => (1 + u64::from(choice) % 16) * SCALE / 4,
        choice @ 128..160 => 1 + u64::from(choice) % 4,
        160..192 => Quantity::MAX.0,
        192..208 => draw.number() >> 1,
        _ => draw.extreme(),
    }
}

/// Often none, one thing, or all things at once.
fn terms(draw: &mut Draw<'_>) -> OrderTerms {
    let mut terms = OrderTerms::NONE;
    let wanted = draw.byte();
    if wanted & 0b1001 == 1 {
        terms.iceberg = Quantity(match draw.byte() {
            choice @ 0..160 => (1 + u64::from(choice) % 8) * SCALE / 8,
            _ => quantity(draw),
        });
    }
    if wanted & 0b1010 == 2 {
        terms.trailing_delta = match draw.byte() {
            choice @ 0..160 => 1 + u32::from(choice) * 8,
            160..192 => 9_999 + u32::from(draw.byte() % 4),
            _ => draw.extreme() as u32,
        };
    }
    if wanted & 0b1100 == 4 {
        terms.peg = draw.pick(PegPrice::ALL);
        terms.peg_level = match draw.byte() {
            choice @ 0..240 => choice % 3,
            _ => draw.extreme() as u8,
        };
    }
    terms
}

/// Of a price: around 1, and far from it.
fn multiple(draw: &mut Draw<'_>) -> u64 {
    match draw.byte() {
        0..64 => 0,
        choice @ 64..192 => SCALE / 64 * u64::from(choice),
        192..224 => SCALE << 32,
        _ => draw.extreme(),
    }
}

fn trading_rules(draw: &mut Draw<'_>) -> TradingRules {
    let mut rules = TradingRules::default();
    for _ in 0..draw.below(8) {
        match draw.below(8) {
            0 => rules.bid_limit_up = multiple(draw),
            1 => rules.bid_limit_down = multiple(draw),
            2 => rules.ask_limit_up = multiple(draw),
            3 => rules.ask_limit_down = multiple(draw),
            4 => rules.external_reference = Price(price(draw)),
            5 => {
                let widths = [1, 1_000, BUCKET_WIDTH_MS_MAX, draw.extreme() as u32];
                let counts = [1, 7, REFERENCE_BUCKETS_MAX, draw.extreme() as u32];
                (rules.bucket_width_ms, rules.bucket_count) =
                    (draw.pick(&widths), draw.pick(&counts));
            }
            6 => {
                let bands = [SCALE / 100, SCALE / 20, SCALE << 32, draw.extreme()];
                let lengths = [1, 60, VOLATILITY_AUCTION_S_MAX, draw.extreme() as u32];
                rules.volatility_band = draw.pick(&bands);
                rules.volatility_auction_s = draw.pick(&lengths);
            }
            _ => rules.volatility_minutes = u32::from(draw.byte() % 64),
        }
    }
    rules
}

fn calendar(draw: &mut Draw<'_>) -> Calendar {
    let mut entries = [CalendarEntry::NONE; CALENDAR_ENTRIES_MAX];
    let used = draw.below(CALENDAR_ENTRIES_MAX + 1);
    for entry in entries.iter_mut().take(used) {
        *entry = CalendarEntry {
            weekdays: if draw.byte() < 250 { 1 + draw.byte() % 127 } else { draw.byte() },
            second: match draw.byte() {
                choice @ 0..240 => u32::from(choice) * 360,
                240..250 => 86_399,
                _ => draw.extreme() as u32,
            },
            status: draw.pick(&[
                InstrumentStatus::Trading,
                InstrumentStatus::OpeningAuction,
                InstrumentStatus::Trading,
                InstrumentStatus::ClosingAuction,
                InstrumentStatus::Closed,
                InstrumentStatus::Trading,
                InstrumentStatus::Halt,
            ]),
        };
    }
    if draw.byte() >= 250 {
        entries[draw.below(CALENDAR_ENTRIES_MAX)].status = draw.pick(InstrumentStatus::ALL);
    }
    entries
}

/// Mostly few limits, so that orders still pass.
fn risk_limits(draw: &mut Draw<'_>) -> RiskLimits {
    let mut limits = RiskLimits::default();
    for _ in 0..draw.below(3) {
        let amount = match draw.byte() {
            0..224 => Amount(i128::from(draw.extreme()) << draw.below(60)),
            224..240 => Amount::MAX,
            _ => Amount(i128::MIN >> draw.below(127)),
        };
        match draw.below(4) {
            0 => limits.order_notional_max = amount,
            1 => limits.open_orders_max = u32::from(draw.byte() % 16),
            2 => limits.day_quantity_max = amount,
            _ => limits.collar = multiple(draw),
        }
    }
    limits
}

fn definition(place: usize) -> InstrumentDefinition {
    let (symbol, base, quote) = SYMBOLS[place];
    InstrumentDefinition::open(text(symbol), text(base), text(quote))
}

/// A definition with some filters and some things changed, allowed or not.
fn redefined(draw: &mut Draw<'_>) -> InstrumentDefinition {
    let mut it = definition(draw.below(SYMBOLS.len()));
    for _ in 0..draw.below(5) {
        let filters = &mut it.filters;
        match draw.below(31) {
            0 => filters.present |= 1 << draw.below(32),
            1 => filters.present = filter::KNOWN,
            2 => filters.price.min = Price(price(draw)),
            3 => filters.price.max = Price(price(draw)),
            4 => filters.price.tick = Price(draw.extreme()),
            5 => filters.lot_size.min = Quantity(quantity(draw)),
            6 => filters.lot_size.max = Quantity(quantity(draw)),
            7 => filters.lot_size.step = Quantity(draw.extreme()),
            8 => filters.market_lot_size.step = Quantity(draw.extreme()),
            9 => filters.market_lot_size.max = Quantity(quantity(draw)),
            10 => {
                let band = &mut filters.percent_price_by_side;
                (band.bid_multiplier_up, band.ask_multiplier_down) =
                    (draw.extreme(), draw.extreme());
                band.average_minutes = u32::from(draw.byte() % 64);
            }
            11 => filters.min_notional.min = Amount(i128::from(draw.extreme()) << draw.below(60)),
            12 => filters.min_notional.apply_to_market ^= true,
            13 => filters.notional.min = Amount(i128::from(draw.extreme())),
            14 => filters.notional.max = Amount(i128::from(draw.extreme()) << draw.below(60)),
            15 => {
                filters.notional.apply_min_to_market ^= true;
                filters.notional.apply_max_to_market ^= true;
                filters.notional.average_minutes = u32::from(draw.byte() % 64);
            }
            16 => filters.max_position = Amount(i128::from(draw.extreme()) << draw.below(60)),
            17 => filters.max_num_orders = u32::from(draw.byte() % 8),
            18 => filters.max_num_order_amends = u32::from(draw.byte() % 4),
            19 => it.reference_price = Price(price(draw)),
            20 => it.allowed_stp_modes = u16::from(draw.byte()),
            21 => it.order_kinds = u16::from(draw.byte()),
            22 => it.flags = draw.extreme() as u32,
            23 => filters.iceberg_parts = draw.extreme() as u32,
            24 => {
                let delta = &mut filters.trailing_delta;
                (delta.min_above, delta.max_above) = (draw.extreme() as u32, draw.extreme() as u32);
                (delta.min_below, delta.max_below) = (draw.extreme() as u32, draw.extreme() as u32);
            }
            25 => filters.percent_price.multiplier_up = multiple(draw),
            26 => filters.percent_price.multiplier_down = multiple(draw),
            27 => filters.max_num_algo_orders = u32::from(draw.byte() % 4),
            28 => filters.max_num_iceberg_orders = u32::from(draw.byte() % 4),
            29 => filters.max_num_order_lists = u32::from(draw.byte() % 4),
            _ => it.base = text(draw.pick(&["USDT", "BTC", "NEW", ""])),
        }
    }
    it
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_breaks_the_engine() {
        crate::campaign::check(&TARGET, 1, 2_000);
    }
}
