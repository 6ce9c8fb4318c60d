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
const CHECK_INTERVAL: u64 = 64;
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
            transfers: 0,
        }
    }

    /// Instruments without filters, and accounts with so much of everything.
    fn open_venue(&mut self, balance: Amount) {
        let envelope = Envelope::INTERNAL;
        self.do_now(Genesis { envelope, seed: 3, rules: 1 });
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
                Event::OrderAccepted(accepted) => {
                    assert_eq!(accepted.order, self.last_order.next(), "a gap in the order ids");
                    self.last_order = accepted.order;
                }
                _ => {}
            }
        }
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
            0..192 => 0,
            192..224 => MILLISECOND_NS,
            224..240 => SECOND_NS,
            240..250 => MINUTE_NS,
            250..254 => 61 * MINUTE_NS,
            254 => draw.number() >> 12,
            _ => draw.extreme(),
        };
        Stamp(self.now.0.saturating_add(passed))
    }

    fn command(&mut self, draw: &mut Draw<'_>) -> Command {
        let envelope = Envelope::INTERNAL;
        let mut command: Command = match draw.byte() {
            0..112 => {
                NewOrder { envelope, request: self.request(draw), dry_run: draw.byte() == 255 }
                    .into()
            }
            112..136 => CancelOrder {
                envelope,
                account: account(draw),
                instrument: instrument(draw),
                order: self.order(draw),
                restrictions: draw.pick(CancelRestrictions::ALL),
            }
            .into(),
            136..148 => CancelNamedOrder {
                envelope,
                account: account(draw),
                instrument: instrument(draw),
                order: self.order(draw),
                client_order_id: client_order_id(draw),
                cancel_client_order_id: client_order_id(draw),
                restrictions: draw.pick(CancelRestrictions::ALL),
            }
            .into(),
            148..154 => {
                let (account, instrument) = (account(draw), instrument(draw));
                CancelAllOrders { envelope, account, instrument }.into()
            }
            154..174 => CancelReplace {
                terms: OrderTerms::NONE,
                envelope,
                mode: draw.pick(CancelReplaceMode::ALL),
                restrictions: draw.pick(CancelRestrictions::ALL),
                cancel_order: self.order(draw),
                cancel_original_client_order_id: client_order_id(draw),
                cancel_client_order_id: client_order_id(draw),
                request: self.request(draw),
            }
            .into(),
            174..192 => AmendOrder {
                envelope,
                account: account(draw),
                instrument: instrument(draw),
                order: self.order(draw),
                client_order_id: client_order_id(draw),
                new_client_order_id: client_order_id(draw),
                quantity: Quantity(quantity(draw)),
            }
            .into(),
            192..200 => Tick { envelope }.into(),
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
            200..222 => self.transfer(draw).into(),
            222..232 => DefineInstrument { envelope, definition: redefined(draw) }.into(),
            232..236 => {
                let (symbol, status) = (symbol(draw), draw.pick(InstrumentStatus::ALL));
                SetInstrumentStatus { envelope, symbol, status }.into()
            }
            236..241 => {
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
                let open_orders_max = u32::from(draw.byte() % 16);
                SetVenueLimits {
                    envelope,
                    limits: VenueLimits { open_orders_max, ..VenueLimits::default() },
                }
                .into()
            }
            250 => SetRules { envelope, rules: u32::from(draw.byte() % 3) }.into(),
            251 | 252 => {
                Genesis { envelope, seed: draw.number(), rules: u32::from(draw.byte() % 3) }.into()
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

fn definition(place: usize) -> InstrumentDefinition {
    let (symbol, base, quote) = SYMBOLS[place];
    InstrumentDefinition::open(text(symbol), text(base), text(quote))
}

/// A definition with some filters and some things changed, allowed or not.
fn redefined(draw: &mut Draw<'_>) -> InstrumentDefinition {
    let mut it = definition(draw.below(SYMBOLS.len()));
    for _ in 0..draw.below(5) {
        let filters = &mut it.filters;
        match draw.below(24) {
            0 => filters.present |= 1 << draw.below(32),
            1 => filters.present = filter::ENFORCED,
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
