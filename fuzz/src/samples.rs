//! Valid commands and events of every kind, from a random log.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use app::market::{RandomLog, Shape, Slots};
use engine::Engine;
use protocol::{Command, Event, Sequence, Sequenced};

/// Steps within which a random log has shown every kind.
const STEPS: u64 = 16_000;

/// One record of each kind that a log of any length shows.
pub struct Samples {
    pub commands: Vec<Command>,
    pub events: Vec<Event>,
}

/// The same ones in every process.
pub fn samples() -> &'static Samples {
    static SAMPLES: OnceLock<Samples> = OnceLock::new();
    SAMPLES.get_or_init(collect)
}

fn collect() -> Samples {
    let shape = Shape { accounts: 16, open_orders: 200, ..Shape::default() };
    let mut log = RandomLog::extended(5, shape);
    let (mut slots, mut engine) = (Slots::new(), Engine::new());
    let (mut commands, mut events) = (BTreeMap::new(), BTreeMap::new());
    for sequence in 1..=STEPS {
        let (stamp, command) = slots.place(&log.next());
        let mut happened: Vec<Event> = Vec::new();
        let sequence = Sequence(sequence);
        engine.apply(&Sequenced { sequence, stamp, command: &command }, &mut happened);
        happened.iter().for_each(|event| log.observe(event));
        commands.entry(command.kind()).or_insert(command);
        for event in happened {
            events.entry(event.kind()).or_insert(event);
        }
    }
    Samples { commands: commands.into_values().collect(), events: events.into_values().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_sample_of_every_kind() {
        let Samples { commands, events } = samples();
        let named = |name: fn(u16) -> Option<&'static str>| {
            (0..=u16::MAX).filter(|&kind| name(kind).is_some()).count()
        };
        assert_eq!(commands.len(), named(Command::kind_name));
        assert_eq!(events.len(), named(Event::kind_name));
    }
}
