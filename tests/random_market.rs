//! The random market that drives the simulator: what it must keep for ever.

use app::market::{Market, Shape, Slots, Step, venue_commands};
use engine::Engine;
use protocol::*;

const PRODUCERS: u32 = 4;

struct Simulation {
    engine: Engine,
    slots: Slots,
    sequence: Sequence,
}

impl Simulation {
    fn apply(&mut self, step: &Step) -> Vec<Event> {
        let (stamp, command) = self.slots.place(step);
        self.sequence = self.sequence.next();
        let mut events = Vec::new();
        let sequence = self.sequence;
        self.engine.apply(&Sequenced { sequence, stamp, command: &command }, &mut events);
        events
    }
}

#[test]
fn books_stay_bounded_and_money_lasts() {
    const COMMANDS: usize = 400_000;
    let shape = Shape { open_orders: 300, ..Shape::default() };
    let mut simulation =
        Simulation { engine: Engine::new(), slots: Slots::new(), sequence: Sequence(0) };
    for (at, command) in venue_commands(&shape).into_iter().enumerate() {
        let events = simulation.apply(&Step::new(command));
        let refused = events.iter().any(|event| matches!(event, Event::CommandRefused(_)));
        assert!(!refused, "{events:?}");
        if at == 0 {
            for slot in 0..PRODUCERS as u8 {
                let joined = command::GatewayJoined { envelope: Envelope::INTERNAL, nonce: 1 };
                simulation.apply(&Step { slot, ..Step::new(joined) });
            }
        }
    }
    let each = shape.accounts / PRODUCERS;
    let mut markets: Vec<Market> = (0..PRODUCERS)
        .map(|producer| Market::new(7, shape, producer * each + 1..producer * each + each + 1))
        .collect();
    let (mut refused, mut trades, mut funds) = (0, 0, 0);
    for count in 0..COMMANDS {
        let producer = count % PRODUCERS as usize;
        let command = markets[producer].next();
        let slot = producer as u8;
        let step = Step { advance_ns: 10_000, slot, ..Step::new(command) };
        for event in simulation.apply(&step) {
            match &event {
                Event::Trade(_) => trades += 1,
                Event::CommandRefused(it) => {
                    refused += 1;
                    funds += usize::from(it.reason == RejectReason::InsufficientBalance);
                }
                _ => {}
            }
            markets.iter_mut().for_each(|market| market.observe(&event));
        }
        // What it knows is what there is.
        if count % 50_000 == 0 {
            let known: usize = markets.iter().map(Market::open_orders).sum();
            assert_eq!(known, simulation.engine.open_orders_count());
        }
        let bound = (shape.open_orders * PRODUCERS) as usize * 5 / 4;
        assert!(simulation.engine.open_orders_count() <= bound);
    }
    assert!(trades > COMMANDS / 5, "only {trades} trades");
    assert!(refused < COMMANDS / 5, "{refused} of {COMMANDS} refused");
    assert!(funds < COMMANDS / 50, "{funds} of {COMMANDS} refused for lack of money");
}

#[test]
fn the_same_seed_gives_the_same_commands() {
    let market = |seed| Market::new(seed, Shape::default(), 1..9);
    let commands = |seed| {
        let mut market = market(seed);
        (0..1_000).map(|_| market.next()).collect::<Vec<_>>()
    };
    assert_eq!(commands(1), commands(1));
    assert_ne!(commands(1), commands(2));
}
