use super::*;
use crate::import::captured;
use crate::seal::Sealer;
use engine::Engine;
use gateway::exchange_info::{import, import_bytes, to_toml};
use protocol::command::GatewayJoined;
use protocol::{
    Command, Envelope, Event, InstrumentStatus, Origin, Sequence, Sequenced, Stamp, StpMode,
};

mod rules;

const EXAMPLE: &str = include_str!("../../../docs/example.toml");
const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

/// A venue with one of everything.
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

[[account]]
name = "bob"

[[deposit]]
id = "bonus/1"
account = "bob"
asset = "USDT"
amount = "0.5"

[fees]
maker = "0.001"
taker = "0.002"
[fees.instrument.BTCUSDT]
maker = 0
taker = "0.0004"
[fees.account.bob]
maker = 0
taker = 0

[[rate_limit]]
kind = "ORDERS"
interval = "SECOND"
count = 10
limit = 50

[[rate_limit]]
kind = "RAW_REQUESTS"
interval = "MINUTE"
count = 5
enabled = false
"#;

fn sealer() -> Sealer {
    Sealer::in_memory([9; 32])
}

/// An engine, and the state as its events tell it.
struct Exchange {
    engine: Engine,
    state: VenueState,
    sequence: u64,
    number: u64,
}

impl Exchange {
    fn new() -> Exchange {
        Exchange { engine: Engine::new(), state: VenueState::default(), sequence: 0, number: 0 }
    }

    fn apply(&mut self, command: &Command) {
        self.sequence += 1;
        let mut events: Vec<Event> = Vec::new();
        let (sequence, stamp) = (Sequence(self.sequence), Stamp(self.sequence));
        self.engine.apply(&Sequenced { sequence, stamp, command }, &mut events);
        for event in &events {
            assert!(!matches!(event, Event::CommandRefused(_)), "{command:?}: {event:?}");
            self.state.apply(event);
        }
    }

    /// Applies a plan as a start would: genesis, a gateway joins, its commands.
    fn start(&mut self, plan: &Plan) {
        let origin = Origin { node: 1, slot: 0, incarnation: 1, number: 0 };
        if let Some(genesis) = plan.genesis(42) {
            self.apply(&genesis);
            let envelope = Envelope { origin, ..Envelope::INTERNAL };
            self.apply(&GatewayJoined { envelope, nonce: 1 }.into());
        }
        for command in plan.commands() {
            self.number += 1;
            let mut command = command.clone();
            command.envelope_mut().origin = Origin { number: self.number, ..origin };
            self.apply(&command);
        }
    }

    fn plan(&self, text: &str) -> Result<Plan, PlanError> {
        plan(&parse(text, "t.toml").unwrap(), &self.state, &sealer())
    }

    fn started(text: &str) -> Exchange {
        let mut exchange = Exchange::new();
        let plan = exchange.plan(text).unwrap();
        exchange.start(&plan);
        exchange
    }
}

#[track_caller]
fn check(text: &str, message: &str) {
    match parse(text, "t.toml") {
        Ok(_) => panic!("taken: {text}"),
        Err(error) => assert_eq!(error.to_string(), message, "{text}"),
    }
}

/// The venue above with one line changed; the message without the place.
#[track_caller]
fn check_venue(line: &str, replaced: &str, message: &str) {
    assert_eq!(VENUE.matches(line).count(), 1, "{line}");
    check(&VENUE.replace(line, replaced), message);
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_place() {
    check(
        "[log]\ndurability = \"async\"\n  durabilty = 1",
        "t.toml:3:3: unknown key `durabilty` in [log]; allowed: durability, async_interval_ms, \
         segment_bytes, snapshot_interval_s",
    );
    check(
        "x = 1",
        "t.toml:1:1: unknown key `x` in the file; allowed: server, data, log, \
         threads, limits, admin, history, feed, venue, instrument, account, deposit, fees, \
         rate_limit, risk",
    );
    check(
        "[log]\ndurability = \"fast\"",
        "t.toml:2:14: `log.durability`: \"fast\" is not allowed; allowed: memory, async, sync",
    );
    check(
        "[log]\nasync_interval_ms = 0",
        "t.toml:2:21: `log.async_interval_ms`: \"0\" is not allowed; allowed: 1 to 60000 \
         milliseconds",
    );
    check(
        "[log]\nasync_interval_ms = 1.5",
        "t.toml:2:21: `log.async_interval_ms`: the float 1.5 may not be exact; allowed: the same \
         in quotes: \"1.5\"",
    );
    check(
        "[log]\nsegment_bytes = 65537",
        "t.toml:2:17: `log.segment_bytes`: \"65537\" is not allowed; allowed: 65536 to 4294963200 \
         bytes, a multiple of 4096",
    );
    check(
        "[threads]\ncores = [2, 2]",
        "t.toml:2:9: `threads.cores`: \"2,2\" is not allowed; allowed: a list of different cores \
         by their numbers in the operating system, 0 to 1023, first for sequencer and \
         replication, second for the engine; empty: any",
    );
    check("log = 3", "t.toml:1:7: `log` is a whole number; allowed: a table");
    check("[log]\n[log]", "t.toml:2:2: not TOML: duplicate key");
    check("a = ", "t.toml:1:5: not TOML: string values must be quoted, expected literal string");
    check("instrument = 1", "t.toml:1:14: `instrument` is a whole number; allowed: [[instrument]]");
    check(
        "[venue]\ninstruments_from = \"x.json\"",
        "t.toml:2:20: `venue.instruments_from`: x.json cannot be read from here; allowed: the \
         path of an exchangeInfo answer, .json or .json.gz",
    );
    check(
        "[venue]\nsymbols = [\"A\"]",
        "t.toml:2:11: `venue.symbols` without `instruments_from`; allowed: instruments_from = \
         \"exchangeInfo.json.gz\"",
    );
}

#[test]
fn what_is_wrong_with_the_venue_is_told_with_its_place() {
    parse(VENUE, "t.toml").unwrap();
    let tick = "tick_size = \"0.01\"";
    check_venue(
        tick,
        "tick_size = \"0.0000000000001\"",
        "t.toml:9:71: `instrument.BTCUSDT.price_filter.tick_size`: \"0.0000000000001\": more than \
         8 digits after the point; allowed: a decimal from 0 to 92233720368.54775807, at most 8 \
         digits after the point",
    );
    check_venue(
        tick,
        "tick_size = \"1e-05\"",
        "t.toml:9:71: `instrument.BTCUSDT.price_filter.tick_size`: \"1e-05\": not a decimal \
         number: digits, at most one point, no sign; allowed: a decimal from 0 to \
         92233720368.54775807, at most 8 digits after the point",
    );
    check_venue(
        tick,
        "tick_size = 0.01",
        "t.toml:9:71: `instrument.BTCUSDT.price_filter.tick_size`: the float 0.01 may not be \
         exact; allowed: the same in quotes: \"0.01\"",
    );
    check_venue(
        ", tick_size = \"0.01\"",
        "",
        "t.toml:9:16: `tick_size` is missing in [instrument.BTCUSDT.price_filter]; allowed: \
         tick_size = a decimal from 0 to 92233720368.54775807, at most 8 digits after the point",
    );
    check_venue(
        "quote = \"USDT\"",
        "quote = \"BTC\"",
        "t.toml:8:9: BTC is the base and the quote of BTCUSDT; allowed: two different assets",
    );
    check_venue(
        "quote = \"USDT\"",
        "quote = \"USDT\"\nstatus = \"OPEN\"",
        "t.toml:9:10: `instrument.BTCUSDT.status`: \"OPEN\" is unknown; allowed: TRADING, HALT, \
         CANCEL_ONLY, BREAK, CLOSED, OPENING_AUCTION, CLOSING_AUCTION",
    );
    check_venue(
        "quote = \"USDT\"",
        "quote = \"USDT\"\norder_types = [\"LIMIT\", \"ICEBERG\"]",
        "t.toml:9:25: `instrument.BTCUSDT.order_types`: \"ICEBERG\" is unknown; allowed: LIMIT, \
         LIMIT_MAKER, MARKET, STOP_LOSS, STOP_LOSS_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT",
    );
    check_venue(
        "quote = \"USDT\"",
        "quote = \"USDT\"\nallowed_self_trade_prevention_modes = [\"DECREMENT\"]",
        "t.toml:5:1: `instrument.BTCUSDT`: the default mode NONE is not allowed; allowed: \
         DECREMENT",
    );
    check_venue(
        "quote = \"USDT\"",
        "quote = \"USDT\"\nbase_asset_precision = 9",
        "t.toml:9:24: `instrument.BTCUSDT.base_asset_precision`: 9 is out of range; allowed: a \
         whole number from 0 to 8",
    );
    check_venue(
        "account = \"bob\"",
        "account = \"carol\"",
        "t.toml:32:11: `deposit.bonus/1.account`: no account carol; allowed: alice, bob",
    );
    check_venue(
        "asset = \"USDT\"",
        "asset = \"EUR\"",
        "t.toml:33:9: `deposit.bonus/1.asset`: no instrument has the asset \"EUR\"; allowed: BTC, \
         USDT",
    );
    check_venue(
        "amount = \"0.5\"",
        "amount = 0",
        "t.toml:34:10: `deposit.bonus/1.amount`: a deposit of 0; allowed: more than 0, or no such \
         line",
    );
    check_venue(
        "USDT = 1_000",
        "USDT = -1",
        "t.toml:15:33: `account.alice.balances.USDT`: \"-1\": not a decimal number: digits, at \
         most one point, no sign; allowed: a decimal from 0 to 99999999999999999999, at most 8 \
         digits after the point",
    );
    check_venue(
        "name = \"bob\"",
        "name = \"alice\"",
        "t.toml:28:8: account alice stands twice, first at t.toml:12; allowed: each account once",
    );
    check_venue(
        "key = \"alice-public\"",
        "key = \"alice-key\"",
        "t.toml:23:7: key alice-key stands twice, first at t.toml:17; allowed: each key once",
    );
    check_venue(
        "kind = \"hmac\"",
        "kind = \"sha\"",
        "t.toml:19:8: `key.alice-key.kind`: \"sha\" is unknown; allowed: hmac, ed25519, rsa",
    );
    check_venue(
        "secret = \"alice-secret\"",
        "",
        "t.toml:17:1: an HMAC key without its secret; allowed: secret = \"…\" or secret_file = \
         \"…\"",
    );
    check_venue(
        "kind = \"ed25519\"",
        "kind = \"rsa\"",
        "t.toml:25:14: `key.alice-public.public_key`: the key is of kind ED25519, not RSA; \
         allowed: the public key as PEM (-----BEGIN PUBLIC KEY-----) or as base64 of its DER \
         (SPKI): Ed25519, or RSA of 2048 to 4096 bits",
    );
    check_venue(
        "taker = \"0.002\"",
        "taker = \"1.1\"",
        "t.toml:38:9: `fees.taker`: more than a hundred percent; allowed: a decimal from 0 to 1; \
         0.001 is a tenth of a percent",
    );
    check_venue(
        "taker = \"0.002\"",
        "",
        "t.toml:36:1: [fees] needs both rates; allowed: maker = \"0.001\" and taker = \"0.001\"",
    );
    check_venue(
        "[fees.instrument.BTCUSDT]",
        "[fees.instrument.ETHUSDT]",
        "t.toml:39:1: `fees.instrument.ETHUSDT`: no instrument ETHUSDT; allowed: BTCUSDT",
    );
    check_venue(
        "limit = 50",
        "",
        "t.toml:46:1: `limit` is missing in [rate_limit.ORDERS.10_SECOND]; allowed: limit = 100, \
         or enabled = false",
    );
    check_venue(
        "open_orders_max = 500",
        "open_orders_max = 5000000000",
        "t.toml:3:19: `venue.open_orders_max`: 5000000000 is out of range; allowed: a whole \
         number from 0 to 4294967295",
    );
}

#[test]
fn every_prefix_and_every_changed_byte_is_taken_or_refused() {
    for length in 0..VENUE.len() {
        if let Some(text) = VENUE.get(..length) {
            let _ = parse(text, "t.toml");
        }
        for byte in [b'"', b'[', b'9', b'\n', b'.'] {
            let mut bytes = VENUE.as_bytes().to_vec();
            bytes[length] = byte;
            let _ = parse(&String::from_utf8(bytes).unwrap(), "t.toml");
        }
    }
    let deep = [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("{}b = 1", "a.".repeat(100_000)),
        format!("[{}b]", "a.".repeat(100_000)),
        format!("[[{}b]]", "a.".repeat(100_000)),
    ];
    for text in deep {
        assert!(parse(&text, "t.toml").is_err());
    }
}

fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn later_layers_win_and_say_where_they_are() {
    let file = "[log]\nasync_interval_ms = 5\nsegment_bytes = 65536\ndurability = \"sync\"";
    let environment =
        given(&[("OUTCRY_LOG_SEGMENT_BYTES", "131072"), ("OUTCRY_LOG_ASYNC_INTERVAL_MS", "6")]);
    let flags = given(&[("log.async_interval_ms", "7"), ("threads.cores", "3,2")]);
    let config = read(Some((file, "t.toml")), environment, &flags, &|_| unreachable!()).unwrap();
    assert_eq!(config.local.durability, Durability::Sync);
    assert_eq!(config.local.segment_bytes, 131_072);
    assert_eq!(config.local.async_interval.as_millis(), 7);
    assert_eq!(config.local.cores, [3, 2]);
    let mut out = Vec::new();
    config.show(true, &mut out).unwrap();
    let shown: String = String::from_utf8(out)
        .unwrap()
        .split(' ')
        .filter(|it| !it.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    for line in [
        "log.durability = \"sync\" # t.toml:4\n",
        "log.segment_bytes = 131072 # environment OUTCRY_LOG_SEGMENT_BYTES\n",
        "log.async_interval_ms = 7 # flag log.async_interval_ms\n",
        "threads.cores = [3,2] # flag threads.cores\n",
        "threads.waiting = \"park\" # default\n",
        "rate_limit.ORDERS.10_SECOND.limit = 100 # default\n",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

#[test]
fn unknown_and_bad_variables_and_flags_are_refused() {
    #[track_caller]
    fn check(environment: &[(&str, &str)], flags: &[(&str, &str)], beginning: &str) {
        let read = load(None, given(environment), &given(flags));
        let message = read.map_or_else(|error| error.to_string(), |_| "taken".to_string());
        assert!(message.starts_with(beginning), "{message}");
    }
    check(&[("OUTCRY_CAPTURES", "x"), ("OUTCRY_SERVICE_HOST", "x")], &[], "taken");
    check(
        &[("OUTCRY_LOG_DURABILTY", "sync")],
        &[],
        "environment OUTCRY_LOG_DURABILTY: unknown variable; allowed: OUTCRY_SERVER_LISTEN, ",
    );
    check(
        &[("OUTCRY_LOG_DURABILITY", "x")],
        &[],
        "environment OUTCRY_LOG_DURABILITY: `log.durability`: \"x\" is not allowed; allowed: \
         memory, async, sync",
    );
    check(&[], &[("log", "x")], "flag log: unknown setting; allowed: server.listen, ");
    check(&[], &[("server.listen", "localhost:1")], "flag server.listen: `server.listen`: ");
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_refused() {
    let folder = std::env::temp_dir().join(format!("outcry-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("missing.toml");
    let error = load(Some(&path), [], &[]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: cannot read: ", path.display())), "{error}");
    let path = folder.join("bytes.toml");
    std::fs::write(&path, b"# fine\n# \xff").unwrap();
    let error = load(Some(&path), [], &[]).unwrap_err().to_string();
    let place = format!("{}:2:3: not UTF-8; allowed: a TOML file in UTF-8", path.display());
    assert_eq!(error, place);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn files_that_the_configuration_names_are_read_beside_it() {
    let folder = std::env::temp_dir().join(format!("outcry-named-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let info = r#"{"symbols":[{"symbol":"A1","status":"BREAK","baseAsset":"A","quoteAsset":"B",
        "baseAssetPrecision":8,"quotePrecision":8,"baseCommissionPrecision":8,
        "quoteCommissionPrecision":8,"orderTypes":["LIMIT"],"icebergAllowed":true,
        "ocoAllowed":true,"quoteOrderQtyMarketAllowed":true,"isSpotTradingAllowed":true,
        "isMarginTradingAllowed":false,"filters":[],"permissions":["SPOT"]},
        {"symbol":"BAD"}]}"#;
    std::fs::write(folder.join("info.json"), info).unwrap();
    std::fs::write(folder.join("secret"), "s3cret\n").unwrap();
    let path = folder.join("t.toml");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        load(Some(&path), [], &[])
            .map_err(|error| error.to_string().replace(&format!("{}/", folder.display()), ""))
    };
    let venue = "[venue]\ninstruments_from = \"info.json\"\n";
    let account = "[[account]]\nname = \"a\"\n[[account.key]]\nkey = \"k\"\nkind = \"hmac\"\n";
    let config = load(&format!("{venue}symbols = [\"A1\"]\n{account}secret_file = \"secret\""));
    let config = config.unwrap();
    assert_eq!(config.venue.instruments[0].definition.status, InstrumentStatus::Break);
    let terms = config.venue.keys[0].terms.as_ref().unwrap();
    assert_eq!(terms.material, Material::Secret(crate::seal::Secret::new("s3cret")));
    let table = "[[instrument]]\nsymbol = \"A1\"\nbase = \"A\"\nquote = \"B\"";
    let config = load(&format!("{venue}symbols = [\"A1\"]\n{table}")).unwrap();
    assert_eq!(config.venue.instruments.len(), 1);
    assert_eq!(config.venue.instruments[0].definition.status, InstrumentStatus::Trading);
    assert_eq!(
        load(venue).unwrap_err(),
        "t.toml:2:20: `venue.instruments_from`: 1 symbols refused: info.json:6:9: BAD: \
         `baseAsset` is missing; allowed: \"baseAsset\": …; allowed: a whole file, or `symbols` \
         without them"
    );
    assert_eq!(
        load(&format!("{venue}symbols = [\"C\"]")).unwrap_err(),
        "t.toml:3:12: info.json has no symbol C; allowed: A1"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_feed_is_configured_by_lists_of_venues() {
    let text = "[feed]\nsources = [\"binance:BTCUSDT\", \"bitget:BTCUSDT\"]\n\
                ws_urls = [\"binance=ws://127.0.0.1:1\"]\nlevels_max = 50\n\
                proxy = \"http://me:secret@proxy:3128\"";
    let config = parse(text, "t.toml").unwrap();
    let feed = &config.local.feed;
    assert_eq!(feed.sources, ["binance:BTCUSDT", "bitget:BTCUSDT"]);
    assert_eq!(feed.ws_urls, ["binance=ws://127.0.0.1:1"]);
    assert_eq!((feed.levels_max, feed.log_bytes_max), (50, 256 << 20));
    assert_eq!(feed.proxy.as_deref(), Some("http://me:secret@proxy:3128"));
    let mut out = Vec::new();
    config.show(false, &mut out).unwrap();
    let shown = String::from_utf8(out).unwrap();
    assert!(shown.contains("feed.sources = [\"binance:BTCUSDT\", \"bitget:BTCUSDT\"]\n"));
    assert!(shown.contains("feed.proxy = \"***\"\n") && !shown.contains("secret"), "{shown}");
    for wrong in [
        "sources = [\"BTCUSDT\"]",
        "sources = [\"nowhere:BTCUSDT\"]",
        "sources = [\"binance:\"]",
        "sources = [\"binance:BTCUSDT\", \"binance:BTCUSDT\"]",
        "ws_urls = [\"ws://127.0.0.1\"]",
        "proxy = \"socks://127.0.0.1\"",
        "log_segment_bytes = 4096",
        "log_bytes_max = 4096",
    ] {
        let error = parse(&format!("[feed]\n{wrong}"), "t.toml").unwrap_err().to_string();
        assert!(error.contains("is not allowed; allowed: "), "{wrong}: {error}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let config = parse(VENUE, "t.toml").unwrap();
    let mut out = Vec::new();
    config.show(true, &mut out).unwrap();
    let plan = plan(&config, &VenueState::default(), &sealer()).unwrap();
    let shown = format!("{} {config:?} {plan} {plan:?}", String::from_utf8(out).unwrap());
    assert!(!shown.contains("alice-secret"));
    assert!(shown.contains("key.alice-key.secret = ***"), "{shown}");
}

#[test]
fn a_plan_on_an_empty_log_is_everything_and_then_nothing() {
    let mut exchange = Exchange::new();
    let plan = exchange.plan(VENUE).unwrap();
    let expected = "\
+ genesis with version 2 of the rules
+ instrument BTCUSDT BTC/USDT TRADING PRICE_FILTER LOT_SIZE
+ account alice trade group 7 [TRADE DEPOSIT WITHDRAW]
+ account bob [TRADE DEPOSIT WITHDRAW]
~ fees of the venue  maker 0 taker 0 → maker 0.001 taker 0.002
+ fees of instrument BTCUSDT maker 0 taker 0.0004
+ fees of account bob maker 0 taker 0
+ key alice-key of account alice HMAC [TRADE USER_DATA]
+ key alice-public of account alice ED25519 [TRADE USER_DATA]
+ rate limit REQUEST_WEIGHT per 1 MINUTE 6000
+ rate limit ORDERS per 10 SECOND 50
+ rate limit ORDERS per 1 DAY 200000
~ venue open_orders_max  0 → 500
+ deposit open/alice/BTC: 10 BTC to alice
+ deposit open/alice/USDT: 1000 USDT to alice
+ deposit bonus/1: 0.5 USDT to bob
";
    assert_eq!(plan.to_string(), expected);
    exchange.start(&plan);
    let plan = exchange.plan(VENUE).unwrap();
    assert!(plan.is_empty());
    assert_eq!(plan.to_string(), "nothing to propose: the state is as configured\n");
    assert!(exchange.plan("").unwrap().is_empty(), "what is not mentioned is left alone");
}

#[test]
fn a_plan_proposes_what_differs_and_only_that() {
    let mut exchange = Exchange::started(VENUE);
    let changed = VENUE
        .replace("tick_size = \"0.01\"", "tick_size = \"0.1\"")
        .replace("trade_group = 7", "trade_group = 8")
        .replace("alice-secret", "other-secret")
        .replace("key = \"alice-public\"", "key = \"alice-public\"\npermissions = [\"TRADE\"]")
        .replace("limit = 50", "limit = 0")
        .replace("maker = \"0.001\"", "maker = 0")
        .replace("open_orders_max = 500", "");
    let plan = exchange.plan(&changed).unwrap();
    let expected = "\
~ instrument BTCUSDT price_filter.tick_size  0.01 → 0.1
~ account alice  trade group 7 [TRADE DEPOSIT WITHDRAW] → trade group 8 [TRADE DEPOSIT WITHDRAW]
~ fees of the venue  maker 0.001 taker 0.002 → maker 0 taker 0.002
~ key alice-key  of account alice HMAC [TRADE USER_DATA] → of account alice HMAC [TRADE \
USER_DATA], with other material ***
~ key alice-public  of account alice ED25519 [TRADE USER_DATA] → of account alice ED25519 [TRADE]
- rate limit ORDERS per 10 SECOND 50
";
    assert_eq!(plan.to_string(), expected);
    exchange.start(&plan);
    assert!(exchange.plan(&changed).unwrap().is_empty());
}

#[test]
fn a_status_that_is_not_given_stands_and_a_given_one_is_set_alone() {
    let mut exchange = Exchange::started(VENUE);
    let halted = VENUE.replace("quote = \"USDT\"", "quote = \"USDT\"\nstatus = \"HALT\"");
    let plan = exchange.plan(&halted).unwrap();
    assert_eq!(plan.to_string(), "~ instrument BTCUSDT status  TRADING → HALT\n");
    assert!(matches!(plan.steps[0].command, Command::SetInstrumentStatus(_)));
    exchange.start(&plan);
    assert!(exchange.plan(VENUE).unwrap().is_empty());
}

#[test]
fn a_key_is_removed_only_when_the_file_says_so() {
    let mut exchange = Exchange::started(VENUE);
    let removed = VENUE.replace("kind = \"hmac\"\nsecret = \"alice-secret\"", "remove = true");
    let plan = exchange.plan(&removed).unwrap();
    assert_eq!(plan.to_string(), "- key alice-key of account alice\n");
    exchange.start(&plan);
    assert!(exchange.plan(&removed).unwrap().is_empty());
}

#[test]
fn a_secret_that_another_key_sealed_is_sealed_anew() {
    let exchange = Exchange::started(VENUE);
    let config = parse(VENUE, "t.toml").unwrap();
    let other = Sealer::in_memory([1; 32]);
    let plan = plan(&config, &exchange.state, &other).unwrap();
    assert_eq!(plan.steps.len(), 1);
    assert!(plan.to_string().starts_with("~ key alice-key"));
}

#[test]
fn a_difference_that_no_command_makes_up_for_stops_with_its_line() {
    let exchange = Exchange::started(VENUE);
    let changed = VENUE
        .replace("base = \"BTC\"", "base = \"XBT\"")
        .replace("BTC = \"10\", USDT = 1_000", "USDT = 2000");
    assert_eq!(
        exchange.plan(&changed).unwrap_err().to_string(),
        "! t.toml:5:1: cannot change base of BTCUSDT from BTC to XBT; allowed: BTC\n\
         ! t.toml:15:21: cannot change deposit open/alice/USDT: executed as DEPOSIT of 1000 USDT, \
         account alice; the file says 2000 USDT, account alice; allowed: as it was executed, or a \
         [[deposit]] with a new id"
    );
    let denied = VENUE.replace("trade_group = 7", "permissions = [\"TRADE\"]");
    assert!(exchange.plan(&denied).is_ok(), "its deposits are executed");
    assert_eq!(
        Exchange::new().plan(&denied).unwrap_err().to_string().lines().next().unwrap(),
        "! t.toml:15:20: account alice may not deposit, and open/alice/BTC is a deposit to it; \
         allowed: permissions with \"DEPOSIT\""
    );
}

#[test]
fn the_example_is_whole_and_a_venue_starts_from_it() {
    let exchange = Exchange::started(EXAMPLE);
    assert!(exchange.plan(EXAMPLE).unwrap().is_empty());
    let config = parse(EXAMPLE, "example.toml").unwrap();
    assert_eq!(config.local, load(None, [], &[]).unwrap().local, "the example states the defaults");
    for setting in SETTINGS {
        let name = setting.key.split('.').next_back().unwrap();
        assert!(EXAMPLE.lines().any(|line| line.starts_with(&format!("{name} = "))), "{name}");
    }
}

#[test]
fn the_documentation_has_a_row_for_every_setting() {
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "[]" } else { setting.default };
        let row = format!(
            "| `{}` | `{default}` | {} | {} |",
            setting.key, setting.allowed, setting.about
        );
        assert!(DOCUMENTATION.contains(&row), "docs/configuration.md lacks:\n{row}");
    }
}

#[test]
fn imported_instruments_are_read_back_from_their_tables() {
    let info = include_str!("../../../gateway/src/exchange_info/current.json");
    let imported = import_bytes("current.json", info.as_bytes()).unwrap();
    assert_eq!(imported.refused, []);
    let config = parse(&to_toml(&imported.instruments), "t.toml").unwrap();
    let read: Vec<_> = config.venue.instruments.iter().map(|it| it.definition).collect();
    assert_eq!(read, imported.instruments);
    assert_eq!(read[0].default_stp_mode, StpMode::ExpireMaker);
    let exchange = Exchange::started(&to_toml(&imported.instruments));
    assert_eq!(exchange.state.instruments.len(), imported.instruments.len());
}

#[test]
fn the_captured_instruments_enter_a_log() {
    let path = captured();
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let imported = import(&path).unwrap().instruments;
    let tables = to_toml(&imported);
    let config = parse(&tables, "instruments.toml").unwrap();
    let read: Vec<_> = config.venue.instruments.iter().map(|it| it.definition).collect();
    assert!(read == imported);
    let exchange = Exchange::started(&tables);
    assert_eq!(exchange.state.instruments.len(), 1_695);
    assert!(exchange.plan(&tables).unwrap().is_empty());
}
