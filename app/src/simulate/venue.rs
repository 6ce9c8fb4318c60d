//! The venue of a simulation: what is missing of it, and how it gets into the log.

use anyhow::Result;
use engine::Engine;
use protocol::command::GatewayJoined;
use protocol::{Command, Envelope, Event, Origin, Sequenced, Stamp};

use super::Simulation;
use crate::config::VenueState;
use crate::market::venue_commands;
use crate::slot::Slot;

/// The slot of whoever sets the venue up; producers have the others.
pub(crate) const SLOT: u8 = 0;

/// What is missing of the venue: the simulated one, if its last command was never executed, and then
/// what the configuration changes of that.
pub(super) fn missing(simulation: &Simulation, engine: &Engine) -> Result<Vec<Command>> {
    let state = VenueState::of(engine);
    let mut venue = venue_commands(&simulation.shape);
    let is_complete = venue.last().is_some_and(|last| match last {
        Command::Transfer(last) => state.transfers.contains_key(&last.transfer),
        _ => false,
    });
    if is_complete {
        venue.clear();
    }
    venue.retain(|command| !engine.has_genesis() || !matches!(command, Command::Genesis(_)));
    if let Some(plan) = &simulation.plan {
        let planned = plan(&state_after(engine, &venue)?)?;
        venue.extend(planned);
    }
    Ok(venue)
}

/// The venue as it will be when the commands are executed, seen on a copy of the engine.
fn state_after(engine: &Engine, commands: &[Command]) -> Result<VenueState> {
    let mut state = Vec::new();
    engine.save(&mut state);
    let mut copy = Engine::load(&state)?;
    let origin = Origin { node: 1, slot: u8::MAX, incarnation: 0, number: 0 };
    let joins = Envelope { origin, ..Envelope::INTERNAL };
    let (genesis, others): (Vec<_>, Vec<_>) =
        commands.iter().cloned().partition(|it| matches!(it, Command::Genesis(_)));
    let join = Command::from(GatewayJoined { envelope: joins, nonce: 0 });
    let mut events = Vec::new();
    let mut apply = |command: &Command| {
        let (sequence, stamp) = (copy.last_sequence().next(), copy.now());
        copy.apply(&Sequenced { sequence, stamp, command }, &mut events);
        events.drain(..).find_map(|event| match event {
            Event::GatewayAdmitted(admitted) => Some(admitted.incarnation),
            _ => None,
        })
    };
    for command in &genesis {
        apply(command);
    }
    let incarnation = apply(&join).unwrap_or_default();
    for (mut command, number) in others.into_iter().zip(1..) {
        command.envelope_mut().origin = Origin { incarnation, number, ..origin };
        apply(&command);
    }
    Ok(VenueState::of(&copy))
}

/// Defines the venue. What is defined already is refused and changes nothing, so this may be done
/// again after a crash in the middle.
pub(crate) fn set_up(
    mut admin: Slot,
    nonce: u64,
    venue: &[Command],
    mut turn: impl FnMut() -> Result<()>,
) -> Result<()> {
    let (genesis, others): (Vec<_>, Vec<_>) =
        venue.iter().cloned().partition(|it| matches!(it, Command::Genesis(_)));
    for command in genesis {
        admin.push(&command)?;
    }
    admin.join(nonce, &mut turn)?;
    for command in others {
        while admin.send(command.clone(), Stamp::NEVER).is_err() {
            turn()?;
        }
    }
    let (origin, mut answered) = (admin.origin(), 0);
    while answered < admin.sent() {
        turn()?;
        admin.poll(|seen| {
            let is_answer = matches!(seen.event, Event::CommandAnswered(_));
            if is_answer && Slot::is_own(&origin, &seen) {
                answered = seen.command.origin.number;
            }
            Ok(())
        })?;
    }
    Ok(())
}
