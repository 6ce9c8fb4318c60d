//! Configuration files: read, planned and taken by the engine, or refused with their place.

use app::config::{self, Plan, VenueState, plan};
use app::seal::Sealer;
use engine::Engine;
use protocol::command::GatewayJoined;
use protocol::{Command, Envelope, Event, Origin, Sequence, Sequenced, Stamp};

use crate::Target;
use crate::feedback::{note, rule};

pub const TARGET: Target =
    Target { name: "config", run: config, corpus, words: WORDS, length_max: 8_192 };

const EXAMPLE: &str = include_str!("../../../docs/example.toml");
const NAME: &str = "fuzz.toml";

const WORDS: &[&str] = &[
    "\n",
    "=",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    ",",
    "\"",
    "\"\"\"",
    "'",
    "#",
    "\\u0000",
    "\\u{}",
    "true",
    "false",
    "\n[fees]\n",
    "\n[fees.account.alice]\n",
    "\n[[account]]\nname = \"x\"\n",
    "\n[[account.key]]\nkey = \"k\"\nkind = \"hmac\"\nsecret = \"s\"\n",
    "\n[[deposit]]\n",
    "\n[[rate_limit]]\nkind = \"ORDERS\"\ninterval = \"DAY\"\ncount = 1\nlimit = 5\n",
    "enabled = false\n",
    "1979-05-27",
    "inf",
    "nan",
    "0x7f",
    "1_000",
    "-0",
    "é",
    "\u{feff}",
    "instruments_from = \"x\"\n",
    "secret_file = \"x\"\n",
    "public_key = \"AAAA\"\n",
];

const VENUE: &str = r#"
[venue]
open_orders_max = 500
[[instrument]]
symbol = "BTCUSDT"
base = "BTC"
quote = "USDT"
price_filter = { min_price = "0.01", max_price = 1000000, tick_size = "0.01" }
lot_size = { min_qty = "0.00001", max_qty = "9000", step_size = "0.00001" }
[[account]]
name = "alice"
trade_group = 7
balances = { BTC = "10", USDT = 1_000 }
[[account.key]]
key = "alice-key"
kind = "hmac"
secret = "alice-secret"
[[account.key]]
key = "alice-public"
kind = "ed25519"
public_key = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
[[deposit]]
id = "bonus/1"
account = "alice"
asset = "USDT"
amount = "0.5"
[fees]
maker = "0.001"
taker = "0.002"
[fees.instrument.BTCUSDT]
maker = 0
taker = "0.0004"
[[rate_limit]]
kind = "ORDERS"
interval = "SECOND"
count = 10
limit = 50
"#;

fn corpus() -> Vec<Vec<u8>> {
    // Each table of the example alone, besides the whole.
    let mut inputs = vec![EXAMPLE.as_bytes().to_vec(), VENUE.as_bytes().to_vec()];
    inputs.extend(EXAMPLE.split("\n\n").map(|part| part.as_bytes().to_vec()));
    inputs
}

pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let config = match config::parse(&text, NAME) {
        Ok(config) => config,
        Err(error) => {
            note(rule(&error.what));
            let text = error.to_string();
            assert!(text.starts_with(NAME), "no place: {text}");
            return;
        }
    };
    let mut shown = Vec::new();
    config.show(true, &mut shown).expect("memory");
    assert_eq!(shown.iter().filter(|&&byte| byte == b'\n').count(), config.effective().len());
    let sealer = Sealer::in_memory([9; 32]);
    match plan(&config, &VenueState::default(), &sealer) {
        Ok(planned) => {
            note((config.venue.instruments.len(), config.venue.accounts.len()));
            let state = start(&planned);
            // What was taken is what is wanted: the next start proposes nothing.
            let again = plan(&config, &state, &sealer).expect("what was planned once");
            assert!(again.is_empty(), "planned again: {again}");
        }
        Err(error) => note(("plan", rule(&error.to_string()))),
    }
}

/// Applies a plan as a start would; nothing may be refused. Gives the state that comes of it.
fn start(planned: &Plan) -> VenueState {
    let (mut engine, mut state) = (Engine::new(), VenueState::default());
    let origin = Origin { node: 1, slot: 0, incarnation: 1, number: 0 };
    let joined = GatewayJoined { envelope: Envelope { origin, ..Envelope::INTERNAL }, nonce: 1 };
    let beginning = planned.genesis(42).into_iter().chain([Command::from(joined)]);
    let numbered = planned.commands().zip(1..).map(|(command, number)| {
        let mut command = command.clone();
        command.envelope_mut().origin = Origin { number, ..origin };
        command
    });
    for (command, sequence) in beginning.chain(numbered).zip(1..) {
        let mut events: Vec<Event> = Vec::new();
        let (sequence, stamp) = (Sequence(sequence), Stamp(sequence));
        engine.apply(&Sequenced { sequence, stamp, command: &command }, &mut events);
        for event in &events {
            let is_refusal = matches!(event, Event::CommandRefused(_));
            assert!(!is_refusal, "planned and refused: {command:?}: {event:?}");
            state.apply(event);
        }
    }
    engine.check_invariants();
    state
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_is_taken_whole_or_refused_with_its_place() {
        crate::campaign::check(&super::TARGET, 1, 2_000);
    }
}
