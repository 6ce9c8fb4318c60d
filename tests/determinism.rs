//! The same seed gives the same log, events and state: in another process, with another allocator,
//! on another day. This test binary has an allocator of its own; `tests/determinism.txt` holds what
//! the binary, with the system's allocator, gave on the day when it was last rewritten:
//!
//! ```text
//! outcry simulate --lockstep --commands 20000 --instruments 3 --accounts 12 --seed 7 --data DIR
//! ```
//! `UPDATE_GOLDEN=1` rewrites the file.

use std::process;

use app::market::{Shape, venue_commands};
use app::simulate::{Lockstep, Orders, Simulation};
use engine::Engine;
use protocol::command::{DefineInstrument, GatewayJoined, NewOrder, OrderRequest};
use protocol::*;
use replication::Durability;
use store::SimDisk;

use crate::support::{simulated, small};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const CHILD: &str = "OUTCRY_DETERMINISM_CHILD";
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/determinism.txt");

fn outcome(seed: u64) -> String {
    let options = simulated(SimDisk::new().shared(), Durability::Async);
    let shape = Shape { instruments: 3, accounts: 12, ..Shape::default() };
    let simulation = Simulation { shape, ..small(seed, 20_000) };
    let lockstep = Lockstep::open(&simulation, &options, None).unwrap();
    lockstep.finish(&Orders::default()).unwrap().outcome.to_string()
}

/// Does nothing but in a child, where it prints what the seeds give there.
#[test]
fn prints_its_outcomes() {
    if std::env::var_os(CHILD).is_some() {
        eprintln!("outcomes: {}", outcomes());
    }
}

fn outcomes() -> String {
    [7, 8].map(|seed| format!("seed {seed} {}", outcome(seed))).join("; ")
}

#[test]
fn the_same_seed_gives_the_golden_hashes_everywhere() {
    let here = outcomes();
    let child = process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "determinism::prints_its_outcomes", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let there = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(there.contains(&format!("outcomes: {here}")), "here {here}, in a child {there}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, format!("{here}\n")).unwrap();
    }
    let then = std::fs::read_to_string(GOLDEN).unwrap();
    assert_eq!(then.trim_end(), here, "another day gave other hashes");
}

#[test]
fn another_seed_gives_another_market() {
    assert_ne!(outcome(7), outcome(8));
}

#[test]
fn a_large_state_is_hashed_as_often_as_a_small_one() {
    let shape = Shape { instruments: 1, accounts: 1, ..Shape::default() };
    let mut engine = Engine::new();
    let mut hashed = Vec::new();
    let mut apply = |command: &Command| {
        let mut events = Vec::new();
        let sequence = engine.last_sequence().next();
        engine.apply(&Sequenced { sequence, stamp: Stamp(1), command }, &mut events);
        let refused = |event: &Event| matches!(event, Event::CommandRefused(_));
        assert!(!events.iter().any(refused), "{command:?}: {events:?}");
        let is_hash = |event: &Event| matches!(event, Event::StateHashed(_));
        hashed.extend(events.iter().any(is_hash).then_some(sequence.0));
    };
    let origin = Origin { node: 1, slot: 1, incarnation: 1, number: 0 };
    let envelope = Envelope { origin, ..Envelope::INTERNAL };
    let mut venue = venue_commands(&shape);
    apply(&venue.remove(0));
    apply(&GatewayJoined { envelope, nonce: 0 }.into());
    venue.retain(|command| !matches!(command, Command::SetVenueLimits(_)));
    let open = InstrumentDefinition::open(
        Text::new("AB").unwrap(),
        Text::new("A").unwrap(),
        Text::new("USDT").unwrap(),
    );
    venue.push(DefineInstrument { envelope, definition: open }.into());
    let orders = (0..17_000).map(|number| {
        let request = OrderRequest {
            account: AccountId(1),
            instrument: InstrumentId(2),
            side: Side::Buy,
            kind: OrderKind::Limit,
            time_in_force: TimeInForce::Gtc,
            stp_mode: StpMode::None,
            quantity_unit: QuantityUnit::Base,
            price: Price(SCALE),
            quantity: Quantity(1),
            stop_price: Price::ZERO,
            client_order_id: Text::new(&number.to_string()).unwrap(),
            strategy_id: 0,
            strategy_type: 0,
        };
        Command::from(NewOrder { envelope, request, dry_run: false })
    });
    for (mut command, number) in venue.into_iter().chain(orders).zip(1..) {
        command.envelope_mut().origin = Origin { number, ..origin };
        apply(&command);
    }
    assert_eq!(hashed, [4_096, 8_192, 12_288, 16_384]);
}
