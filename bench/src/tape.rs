//! A random market that was rehearsed: commands are chosen with the events before them in sight,
//! written down, and played as often as wanted.

use app::market::{Market, Shape, Slots, Step, venue_commands};
use engine::Engine;
use protocol::command::GatewayJoined;
use protocol::{Command, Envelope, Event, Sequence, Sequenced};

/// Stored time between two commands.
const STEP_NS: u64 = 1_000;

/// Who sends: slot 0 sets the venue up, the others are the market's.
const SETUP_SLOT: u8 = 0;

/// One command, addressed as the log of the rehearsal has it.
pub struct Taped {
    pub slot: u8,
    pub command: Command,
}

/// The commands of a market, in order.
pub struct Tape {
    pub venue: Vec<Command>,
    /// Those that bring the exchange to where the market begins: venue and gateways.
    pub setup: Vec<Taped>,
    pub market: Vec<Taped>,
}

/// How many commands.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    /// Of all producers in turn.
    pub together: u64,
    /// Of the first producer alone, afterwards.
    pub alone: u64,
}

impl Tape {
    /// A market of so many producers, each with a share of the accounts.
    pub fn rehearse(seed: u64, shape: &Shape, producers: u8, length: Length) -> Tape {
        let mut stage = Stage { engine: Engine::new(), slots: Slots::new(), sequence: Sequence(0) };
        let venue = venue_commands(shape);
        let mut setup = Vec::new();
        for (at, command) in venue.iter().enumerate() {
            let step = Step { slot: SETUP_SLOT, ..Step::new(command.clone()) };
            setup.push(stage.play(&step, |_| {}));
            if at == 0 {
                for slot in 0..=producers {
                    let joined = GatewayJoined { envelope: Envelope::INTERNAL, nonce: 1 };
                    setup.push(stage.play(&Step { slot, ..Step::new(joined) }, |_| {}));
                }
            }
        }
        let share = (shape.accounts / u32::from(producers)).max(1);
        let of_share = |share_number: u8| {
            let first = 1 + share * u32::from(share_number);
            Market::new(seed, *shape, first..first + share)
        };
        let mut markets: Vec<Market> = (0..producers).map(of_share).collect();
        let turns = (0..length.together).map(|turn| (turn % u64::from(producers)) as usize);
        let turns = turns.chain((0..length.alone).map(|_| 0));
        let market = turns
            .map(|producer| {
                let slot = producer as u8 + 1;
                let command = markets[producer].next();
                let step = Step { advance_ns: STEP_NS, slot, ..Step::new(command) };
                stage.play(&step, |event| markets.iter_mut().for_each(|it| it.observe(event)))
            })
            .collect();
        Tape { venue, setup, market }
    }
}

struct Stage {
    engine: Engine,
    slots: Slots,
    sequence: Sequence,
}

impl Stage {
    fn play(&mut self, step: &Step, mut see: impl FnMut(&Event)) -> Taped {
        let (stamp, command) = self.slots.place(step);
        self.sequence = self.sequence.next();
        let mut events: Vec<Event> = Vec::new();
        let sequence = self.sequence;
        self.engine.apply(&Sequenced { sequence, stamp, command: &command }, &mut events);
        events.iter().for_each(&mut see);
        Taped { slot: step.slot, command }
    }
}
