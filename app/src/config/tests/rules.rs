//! Trading rules, calendars, risk limits, and the bounds of the venue.

use super::*;
use protocol::command::*;
use protocol::event::{CalendarSet, RiskLimitsSet, TradingRulesSet, VenueLimitsSet};
use protocol::{AccountId, Amount, InstrumentId};

const RULES: &str = r#"
[venue]
open_orders_max = 500
order_lists_max = 7

[[instrument]]
symbol = "BTCUSDT"
base = "BTC"
quote = "USDT"
trading = { bid_limit_up = "1.5", bucket_width_ms = 1000, bucket_count = 300, volatility_band = "0.1", volatility_auction_s = 120 }
calendar = [
    { days = "mon-fri", time = "09:00", status = "OPENING_AUCTION" },
    { days = "sat,sun", time = "17:30:15", status = "CLOSED" },
]

[[account]]
name = "alice"

[[risk]]
order_notional_max = 1000

[[risk]]
account = "alice"
symbol = "BTCUSDT"
open_orders_max = 5
collar = "0.1"
"#;

fn planned(text: &str, state: &VenueState) -> String {
    let config = parse(text, "t.toml").unwrap();
    plan(&config, state, &sealer()).unwrap().to_string()
}

/// What stands after the commands of a plan, as the engine's events tell it.
fn told(text: &str) -> VenueState {
    let config = parse(text, "t.toml").unwrap();
    let mut state = Exchange::started("[[instrument]]\nsymbol = \"BTCUSDT\"\nbase = \"BTC\"\nquote = \"USDT\"\n[[account]]\nname = \"alice\"\n").state;
    let plan = plan(&config, &state, &sealer()).unwrap();
    for command in plan.commands() {
        let instrument = InstrumentId(1);
        let account = |name: AccountName| AccountId(u32::from(!name.is_empty()));
        let event: Event = match command {
            Command::SetVenueLimits(it) => VenueLimitsSet { limits: it.limits }.into(),
            Command::SetTradingRules(it) => TradingRulesSet { instrument, rules: it.rules }.into(),
            Command::SetCalendar(it) => CalendarSet { instrument, entries: it.entries }.into(),
            Command::SetRiskLimits(it) => {
                let instrument = InstrumentId(u32::from(!it.symbol.is_empty()));
                RiskLimitsSet { account: account(it.account), instrument, limits: it.limits }.into()
            }
            other => panic!("{other:?}"),
        };
        state.apply(&event);
    }
    state
}

#[test]
fn rules_are_proposed_once() {
    let state = told("");
    let expected = "\
~ trading of BTCUSDT bid_limit_up  0 → 1.5
~ trading of BTCUSDT bucket_width_ms  0 → 1000
~ trading of BTCUSDT bucket_count  0 → 300
~ trading of BTCUSDT volatility_band  0 → 0.1
~ trading of BTCUSDT volatility_auction_s  0 → 120
~ calendar of BTCUSDT  none → mon-fri 09:00:00 OPENING_AUCTION, sat,sun 17:30:15 CLOSED
~ venue open_orders_max  0 → 500
~ venue order_lists_max  0 → 7
+ risk of all accounts order_notional_max 1000
+ risk of account alice on BTCUSDT open_orders_max 5 collar 0.1
";
    let account = "+ account alice [TRADE DEPOSIT WITHDRAW]\n";
    let text = planned(RULES, &state);
    assert!(!text.contains(account), "it stands");
    let limits = text.lines().filter(|line| !line.contains("rate limit"));
    assert_eq!(limits.map(|line| format!("{line}\n")).collect::<String>(), expected);
    let state = told(RULES);
    assert_eq!(planned(RULES, &state), "nothing to propose: the state is as configured\n");
    assert_eq!(planned("", &state), "nothing to propose: the state is as configured\n");
    assert_eq!(state.limits.open_orders_max, 500);
}

#[test]
fn rules_change_and_go_by_themselves() {
    let state = told(RULES);
    let changed = RULES
        .replace("bid_limit_up = \"1.5\", ", "reference_price = 7, ")
        .replace("09:00", "09:30")
        .replace("order_lists_max = 7", "order_lists_max = 8")
        .replace("order_notional_max = 1000", "")
        .replace("open_orders_max = 5\n", "day_quantity_max = 5\n");
    let expected = "\
~ trading of BTCUSDT bid_limit_up  1.5 → 0
~ trading of BTCUSDT reference_price  0 → 7
~ calendar of BTCUSDT  mon-fri 09:00:00 OPENING_AUCTION, sat,sun 17:30:15 CLOSED → mon-fri \
09:30:00 OPENING_AUCTION, sat,sun 17:30:15 CLOSED
~ venue order_lists_max  7 → 8
- risk of all accounts order_notional_max 1000
~ risk of account alice on BTCUSDT  open_orders_max 5 collar 0.1 → day_quantity_max 5 collar 0.1
";
    assert_eq!(planned(&changed, &state), expected);
    let gone = RULES
        .replace("trading = { bid_limit_up = \"1.5\"", "trading = {}\n#")
        .replace("calendar = [", "calendar = []\nother_filters = ''' ");
    let gone = gone.replace("\n]\n", "'''\n");
    let gone = gone.split("other_filters").next().unwrap();
    assert_eq!(
        planned(gone, &state).lines().last().unwrap(),
        "~ calendar of BTCUSDT  mon-fri 09:00:00 OPENING_AUCTION, sat,sun 17:30:15 CLOSED → none"
    );
}

#[test]
fn a_status_beside_a_calendar_is_that_of_a_new_instrument_alone() {
    let state = told(RULES);
    let closed = "quote = \"USDT\"\nstatus = \"CLOSED\"";
    let with = RULES.replace("quote = \"USDT\"", closed);
    assert_eq!(planned(&with, &state), "nothing to propose: the state is as configured\n");
    let new = planned(&with, &VenueState::default());
    assert!(new.contains("+ instrument BTCUSDT BTC/USDT CLOSED"), "{new}");
    let without = with.split("calendar").next().unwrap();
    let text = planned(without, &state);
    assert_eq!(text.lines().next(), Some("~ instrument BTCUSDT status  TRADING → CLOSED"));
}

#[test]
fn a_definition_and_a_status_are_proposed_apart() {
    let state = told("");
    let text = "[[instrument]]\nsymbol = \"BTCUSDT\"\nbase = \"BTC\"\nquote = \"USDT\"\n\
                status = \"OPENING_AUCTION\"\niceberg_allowed = false";
    let config = parse(text, "t.toml").unwrap();
    let plan = plan(&config, &state, &sealer()).unwrap();
    let expected = "~ instrument BTCUSDT iceberg_allowed  true → false\n\
                    ~ instrument BTCUSDT status  TRADING → OPENING_AUCTION\n";
    assert_eq!(plan.to_string(), expected);
    match plan.commands().next() {
        Some(Command::DefineInstrument(it)) => {
            assert_eq!(it.definition.status, InstrumentStatus::Trading);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_wrong_with_rules_is_told_with_its_place() {
    #[track_caller]
    fn wrong(line: &str, replaced: &str, message: &str) {
        assert_eq!(RULES.matches(line).count(), 1, "{line}");
        check(&RULES.replace(line, replaced), message);
    }
    parse(RULES, "t.toml").unwrap();
    wrong(
        "bucket_count = 300, ",
        "",
        "t.toml:10:11: [instrument.BTCUSDT.trading] has one of bucket_width_ms and bucket_count; \
         allowed: both, or neither",
    );
    wrong(
        ", volatility_auction_s = 120",
        "",
        "t.toml:10:11: [instrument.BTCUSDT.trading] has a volatility_band without an auction; \
         allowed: volatility_auction_s = 120",
    );
    wrong(
        "bucket_count = 300",
        "bucket_count = 601",
        "t.toml:10:74: `instrument.BTCUSDT.trading.bucket_count`: 601 is out of range; allowed: a \
         whole number from 0 to 600",
    );
    wrong(
        "\"1.5\"",
        "\"4294967297\"",
        "t.toml:10:28: `instrument.BTCUSDT.trading.bid_limit_up` is out of range; allowed: 0 to \
         4294967296",
    );
    wrong(
        "mon-fri",
        "mon-day",
        "t.toml:12:14: `instrument.BTCUSDT.calendar.days`: \"mon-day\" is not that; allowed: days of \
         mon, tue, wed, thu, fri, sat, sun: \"mon-fri\", \"sat,sun\"",
    );
    wrong(
        "17:30:15",
        "25:00",
        "t.toml:13:32: `instrument.BTCUSDT.calendar.time`: \"25:00\" is not that; allowed: a time of \
         day in UTC from 00:00:00 to 23:59:59",
    );
    wrong(
        "\"CLOSED\"",
        "\"VOLATILITY_AUCTION\"",
        "t.toml:13:53: `instrument.BTCUSDT.calendar.status`: \"VOLATILITY_AUCTION\" is not that; allowed: \
         TRADING, HALT, CANCEL_ONLY, BREAK, CLOSED, OPENING_AUCTION, CLOSING_AUCTION",
    );
    wrong(
        "account = \"alice\"",
        "account = \"bob\"",
        "t.toml:23:11: `risk.account`: no account bob; allowed: alice",
    );
    wrong(
        "symbol = \"BTCUSDT\"\nopen",
        "symbol = \"ETHUSDT\"\nopen",
        "t.toml:24:10: `risk.symbol`: no instrument ETHUSDT; allowed: BTCUSDT",
    );
    wrong(
        "account = \"alice\"\nsymbol = \"BTCUSDT\"\n",
        "",
        "t.toml:22:1: [risk] stands twice, first at t.toml:19; allowed: each account and symbol \
         once",
    );
    wrong(
        "collar = \"0.1\"",
        "colar = \"0.1\"",
        "t.toml:26:1: unknown key `colar` in [risk.alice.BTCUSDT]; allowed: account, symbol, \
         order_notional_max, open_orders_max, day_quantity_max, collar",
    );
    let limits = RiskLimits { order_notional_max: Amount(100_000_000_000), ..Default::default() };
    let config = parse(RULES, "t.toml").unwrap();
    assert_eq!(config.venue.risk[0].limits, limits);
}
