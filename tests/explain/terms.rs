//! Orders with terms, lists and auctions.

use app::market::Step;
use protocol::command::{
    DefineInstrument, ListedOrder, NewOrderList, NewOrderWithTerms, OrderRequest, OrderTerms,
    ReplaceOrder,
};
use protocol::*;

use super::{NOBODY, VENUE, Writer, check};

/// A venue that allows everything, and what the language of stories cannot ask.
impl Writer {
    fn with_everything() -> Writer {
        let mut writer = Writer::begun();
        let name = |text: &str| Text::new(text).unwrap();
        let mut definition = InstrumentDefinition::open(
            name("BTCUSDT"),
            Text::new("BTC").unwrap(),
            Text::new("USDT").unwrap(),
        );
        definition.flags = u32::MAX >> 21;
        definition.reference_price = Price(100 * SCALE);
        let define = DefineInstrument { envelope: NOBODY, definition };
        writer.step(&Step::new(define));
        let venue: Vec<_> = VENUE.lines().filter(|line| !line.contains("instrument")).collect();
        writer.ask(&venue.join("\n"));
        writer
    }

    fn request(&mut self, line: &str) -> OrderRequest {
        match self.language.parse(line).unwrap().unwrap().command {
            Command::NewOrder(it) => it.request,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn ask_with(&mut self, line: &str, terms: OrderTerms) {
        let request = self.request(line);
        let new = NewOrderWithTerms { envelope: NOBODY, request, terms, dry_run: false };
        self.step(&Step::new(new));
    }

    fn ask_list(&mut self, kind: OrderListKind, lines: &[&str]) {
        let mut orders = [ListedOrder::EMPTY; 3];
        for (place, line) in lines.iter().enumerate() {
            orders[place].request = self.request(line);
        }
        let OrderRequest { account, instrument, .. } = orders[0].request;
        let list_client_order_id = Text::new("list").unwrap();
        let envelope = NOBODY;
        let list =
            NewOrderList { envelope, account, instrument, kind, list_client_order_id, orders };
        self.step(&Step::new(list));
    }
}

fn iceberg(shown: u64) -> OrderTerms {
    OrderTerms { iceberg: Quantity(shown * SCALE), ..OrderTerms::NONE }
}

#[test]
fn an_iceberg_goes_behind_with_its_next_part() {
    let mut writer = Writer::with_everything();
    writer.ask_with("alice buy 5 @ 100", iceberg(2));
    writer.ask("bob buy 3 @ 100\n carol sell 2 @ 100\n carol sell 4 @ 100");
    let log = writer.finish();
    check(
        &log.text("1"),
        &[
            "alice buy 5 @ 100 iceberg=2",
            "iceberg part",
            "rests: buy 100, 1 of 1",
            "partly filled: 2 @ 100 as maker against #3",
            "shows its next part, 2, behind all others of its level",
            "rests: buy 100, 2 of 2, 3 in 1 order ahead of it",
            "#2 traded 3: nothing is ahead of it",
            "partly filled: 1 @ 100 as maker against #4",
            "open: rests, 1 of 1; executed 3 for 300 in 2 fills, 2 open",
        ],
    );
    // Hidden parts are not ahead: 2 of 5.
    check(
        &log.text("2"),
        &["rests: buy 100, 2 of 2, 2 in 1 order ahead", "#1 traded 2, #1 went behind", "filled: 3"],
    );
}

#[test]
fn a_trailing_stop_says_what_it_followed_and_where_it_fires() {
    let mut writer = Writer::with_everything();
    let trade = |price: u32| format!("bob sell 1 @ {price}\n carol buy 1 @ {price}\n");
    writer.ask(&trade(100));
    let terms = OrderTerms { trailing_delta: 500, ..OrderTerms::NONE };
    writer.ask_with("alice stop_loss sell 1 id=fires", terms);
    writer.ask_with("alice stop_loss sell 1 stop 90 id=waits", terms);
    writer.ask(&trade(110));
    writer.ask("bob buy 9 @ 104");
    writer.ask("carol sell 1 @ 104");
    let log = writer.finish();
    check(
        &log.text("fires"),
        &[
            "alice stop_loss sell 1",
            "trailing",
            "accepted, follows the price from 100 on",
            "triggered by trade $3 at 104, its extreme was 110",
            "filled: 1 @ 104 as taker",
        ],
    );
    check(
        &log.text("waits"),
        &["open: waits for its trigger", "the lowest trade since it came was 104"],
    );
}

#[test]
fn the_orders_of_a_list_say_what_the_others_did() {
    let mut writer = Writer::with_everything();
    let pair = [
        "alice stop_loss_limit sell 1 @ 89 stop 90 id=low",
        "alice limit_maker sell 1 @ 110 id=high",
    ];
    writer.ask_list(OrderListKind::Oco, &pair);
    writer.ask("bob buy 1 @ 110");
    writer.ask_list(
        OrderListKind::Oto,
        &["alice buy 1 @ 80 id=working", "alice sell 1 @ 120 id=pending"],
    );
    writer.ask_list(
        OrderListKind::Oco,
        &["alice stop_loss sell 1 stop 90 id=b", "alice buy 1 @ 110 id=c"],
    );
    let log = writer.finish();
    check(
        &log.text("low"),
        &[
            "list      OCO 1 with #2",
            "prices of the pair",
            "expired: the other order of the pair works",
        ],
    );
    check(
        &log.text("high"),
        &["rests: sell 110", "#1 of its list was closed", "filled: 1 @ 110 as maker"],
    );
    check(
        &log.text("pending"),
        &["of list 2, waits until", "pending: ", "its working order #4 is not filled"],
    );
    check(
        &log.text("c"),
        &["refused, BTCUSDT", "passed    gateway", "OCO allowed", "failed    orders fit together"],
    );
}

#[test]
fn pegs_and_replaces_say_what_price_they_gave() {
    let mut writer = Writer::with_everything();
    writer.ask("bob buy 1 @ 97\n bob buy 1 @ 95\n carol buy 2 @ 97");
    let peg = OrderTerms { peg: PegPrice::Primary, peg_level: 1, ..OrderTerms::NONE };
    writer.ask_with("alice limit_maker buy 1", peg);
    let (account, instrument) = (AccountId(3), InstrumentId(1));
    let (price, quantity) = (Price(97 * SCALE), Quantity(SCALE));
    for (order, price) in [(3, Price(96 * SCALE)), (1, price)] {
        let account = if order == 1 { AccountId(2) } else { account };
        let order = OrderId(order);
        let envelope = NOBODY;
        let replace = ReplaceOrder { envelope, account, instrument, order, price, quantity };
        writer.step(&Step::new(replace));
    }
    let log = writer.finish();
    check(
        &log.text("4"),
        &[
            "peg=primary+1",
            "peg price",
            "accepted, pegged: its price is 95",
            "rests: buy 95, 2 of 2",
        ],
    );
    check(
        &log.text("3"),
        &[
            "rests: buy 97, 2 of 2, 1 in 1 order ahead",
            "replaced: from 97 to 96, 1 in all; it loses its place",
            "rests: buy 96, 1 of 1, nothing is ahead of it in its level, 1 in 1 better level",
        ],
    );
    check(&log.text("1"), &["replaced: from 97 to 97", "rests: buy 97, 1 of 1"]);
}

#[test]
fn an_auction_says_why_it_executed_an_order_or_not() {
    let mut writer = Writer::with_everything();
    writer.ask(
        "status BTCUSDT OPENING_AUCTION
         alice buy 5 @ 101 id=takes
         alice buy 1 @ 99 id=worse
         bob sell 3 @ 100
         alice buy 2 @ 100 ioc id=closed
         tick
         status BTCUSDT TRADING",
    );
    let log = writer.finish();
    check(
        &log.text("takes"),
        &[
            "rests: buy 101, 1 of 1",
            "BTCUSDT is TRADING now",
            "partly filled: 3 @ 101 as maker against #3",
            "the auction ended at 101 for 3: it took part with 1 trades",
        ],
    );
    check(
        &log.text("worse"),
        &["the auction ended at 101 for 3: its limit 99 is worse", "open: rests"],
    );
    check(&log.text("closed"), &["failed    status of the instrument", "status OPENING_AUCTION"]);
}
