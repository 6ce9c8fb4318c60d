//! Which order comes next and its bytes: resting orders around a fixed middle price, cancels of the
//! oldest of those far from it, and orders that trade with those near to it: so a cancel meets an
//! order that is there. Knows nothing of sockets and clocks.

use std::collections::VecDeque;
use std::io::Write;

use protocol::{Price, Side};

use super::{LoadSymbol, Mix};
use crate::random::Random;
use crate::session::symbol_json;

/// Price levels on each side of the middle on which orders rest, one tick apart.
pub(super) const LEVELS: u64 = 20;

/// The levels next to the middle: what rests there is traded with, never canceled. A little more
/// comes in there than the usual mix trades away; the bound on open orders takes the rest.
const NEAR_LEVELS: u64 = 9;

/// Filled orders remembered per account, a power of two; an older one is forgotten and costs one
/// refused cancel.
const GONE_SLOTS: usize = 4 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rests where it is canceled some day.
    Rest,
    /// Rests where it is traded with.
    Near,
    Cancel,
    Trade,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Kind::Rest | Kind::Near => "rest",
            Kind::Cancel => "cancel",
            Kind::Trade => "trade",
        }
    }

    pub(super) const fn rests(self) -> bool {
        matches!(self, Kind::Rest | Kind::Near)
    }
}

/// An order that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) kind: Kind,
    pub(super) symbol: usize,
    /// Of a cancel: what it cancels; else 0.
    pub(super) order_id: u64,
}

/// The constant middle of each request on one symbol.
struct Requests {
    /// By side and level: `,"method":"order.place",…,"timestamp":`.
    rest: [Vec<Vec<u8>>; 2],
    /// By side.
    trade: [Vec<u8>; 2],
    /// Up to the order id.
    cancel: Vec<u8>,
}

/// Open resting orders of one account and symbol, the oldest first.
#[derive(Default)]
struct OpenOrders {
    /// Far from the middle.
    ids: VecDeque<u64>,
    /// Near to it.
    near: VecDeque<u64>,
    /// Sent and not yet answered.
    pending: usize,
}

struct AccountFlow {
    /// By symbol.
    open: Vec<OpenOrders>,
    /// Order ids seen filled, each in the slot of its hash.
    gone: Vec<u64>,
    /// Trading orders so far: their sides alternate.
    trades: u64,
}

pub(super) struct Flow {
    random: Random,
    mix: Mix,
    requests: Vec<Requests>,
    accounts: Vec<AccountFlow>,
    open_orders_max: usize,
    /// Names each order after seed and number, so that one without an answer can be found again.
    names: Option<String>,
}

impl Flow {
    pub(super) fn new(
        symbols: &[LoadSymbol],
        accounts: usize,
        mix: Mix,
        open_orders_max: usize,
        seed: u64,
        is_named: bool,
    ) -> Flow {
        let account = || AccountFlow {
            open: symbols.iter().map(|_| OpenOrders::default()).collect(),
            gone: vec![u64::MAX; GONE_SLOTS],
            trades: 0,
        };
        Flow {
            random: Random::new(seed),
            mix,
            requests: symbols.iter().map(Requests::new).collect(),
            accounts: (0..accounts).map(|_| account()).collect(),
            open_orders_max,
            names: is_named.then(|| format!("load-{seed}-")),
        }
    }

    /// Writes the request of order `number` for `account`.
    #[inline]
    pub(super) fn write(
        &mut self,
        account: usize,
        number: u64,
        timestamp_ms: u64,
        out: &mut Vec<u8>,
    ) -> Written {
        let symbol = self.random.below(self.requests.len() as u64) as usize;
        let wanted = self.mix.pick(self.random.below(self.mix.total()));
        let written = self.decide(account, symbol, wanted);
        out.extend_from_slice(b"{\"id\":");
        push_number(out, number);
        self.push_request(account, written, out);
        push_number(out, timestamp_ms);
        if let Some(prefix) = &self.names
            && written.kind != Kind::Cancel
        {
            // Writing to a Vec does not fail.
            let _ = write!(out, ",\"newClientOrderId\":\"{prefix}{number}\"");
        }
        out.extend_from_slice(b"}}");
        written
    }

    /// Too many open orders make a cancel of a resting order, none make a resting order of a
    /// cancel.
    fn decide(&mut self, account: usize, symbol: usize, wanted: Kind) -> Written {
        let AccountFlow { open, gone, .. } = &mut self.accounts[account];
        let open = &mut open[symbol];
        // Until there is something near to trade with, orders come that one can trade with.
        let is_early = wanted == Kind::Trade && open.near.is_empty();
        let rests = wanted != Kind::Trade || is_early;
        let is_full = rests && open.is_full(self.open_orders_max, gone);
        let cancel = wanted == Kind::Cancel || is_full;
        if cancel && let Some(order_id) = open.take_oldest(gone) {
            return Written { kind: Kind::Cancel, symbol, order_id };
        }
        // With nothing but unanswered orders there is nothing to cancel: trade.
        let kind = match wanted == Kind::Trade || is_full {
            true if is_early && !is_full => Kind::Near,
            true => Kind::Trade,
            false if self.random.below(LEVELS) < NEAR_LEVELS => Kind::Near,
            false => Kind::Rest,
        };
        if kind.rests() {
            open.pending += 1;
        }
        Written { kind, symbol, order_id: 0 }
    }

    fn push_request(&mut self, account: usize, written: Written, out: &mut Vec<u8>) {
        let requests = &self.requests[written.symbol];
        match written.kind {
            Kind::Rest | Kind::Near => {
                let (first, count) = match written.kind {
                    Kind::Near => (0, NEAR_LEVELS),
                    _ => (NEAR_LEVELS, LEVELS - NEAR_LEVELS),
                };
                let drawn = self.random.below(2 * count);
                let levels = &requests.rest[(drawn & 1) as usize];
                out.extend_from_slice(&levels[(first + (drawn >> 1)) as usize]);
            }
            Kind::Trade => {
                let trades = &mut self.accounts[account].trades;
                *trades += 1;
                out.extend_from_slice(&requests.trade[(*trades & 1) as usize]);
            }
            Kind::Cancel => {
                out.extend_from_slice(&requests.cancel);
                push_number(out, written.order_id);
                out.extend_from_slice(b",\"timestamp\":");
            }
        }
    }

    /// A resting order was answered; `open` is its id when it is in the book.
    #[inline]
    pub(super) fn rest_answered(
        &mut self,
        account: usize,
        symbol: usize,
        kind: Kind,
        open: Option<u64>,
    ) {
        let orders = &mut self.accounts[account].open[symbol];
        orders.pending = orders.pending.saturating_sub(1);
        match kind {
            Kind::Near => orders.near.extend(open),
            _ => orders.ids.extend(open),
        }
    }

    /// A cancel was refused for a reason that leaves the order in the book.
    pub(super) fn cancel_refused(&mut self, account: usize, symbol: usize, order_id: u64) {
        self.accounts[account].open[symbol].ids.push_back(order_id);
    }

    /// An order of the account left the book by itself.
    #[inline]
    pub(super) fn gone(&mut self, account: usize, order_id: u64) {
        self.accounts[account].gone[gone_slot(order_id)] = order_id;
    }

    #[cfg(test)]
    fn open_count(&self, account: usize, symbol: usize) -> usize {
        let open = &self.accounts[account].open[symbol];
        open.count()
    }
}

impl OpenOrders {
    fn count(&self) -> usize {
        self.ids.len() + self.near.len() + self.pending
    }

    fn is_full(&mut self, max: usize, gone: &[u64]) -> bool {
        if self.count() >= max {
            let is_open = |order_id: &u64| gone[gone_slot(*order_id)] != *order_id;
            self.ids.retain(is_open);
            self.near.retain(is_open);
        }
        self.count() >= max
    }

    fn take_oldest(&mut self, gone: &[u64]) -> Option<u64> {
        loop {
            let order_id = self.ids.pop_front()?;
            if gone[gone_slot(order_id)] != order_id {
                return Some(order_id);
            }
        }
    }
}

#[inline]
fn gone_slot(order_id: u64) -> usize {
    // The top bits of a multiplication spread ids that count up in steps.
    let shift = u64::BITS - GONE_SLOTS.trailing_zeros();
    (order_id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as usize
}

impl Requests {
    fn new(symbol: &LoadSymbol) -> Requests {
        let sides = [Side::Buy, Side::Sell];
        let rest = sides.map(|side| {
            let away = |level| price_at(symbol, side.opposite(), level + 1);
            (0..LEVELS).map(|level| place(symbol, side, "GTC", away(level))).collect()
        });
        let trade =
            sides.map(|side| place(symbol, side, "IOC", price_at(symbol, side, NEAR_LEVELS)));
        let name = symbol_json(&symbol.symbol);
        let cancel =
            format!(",\"method\":\"order.cancel\",\"params\":{{\"symbol\":{name},\"orderId\":");
        Requests { rest, trade, cancel: cancel.into_bytes() }
    }
}

/// `ticks` above the middle for a buy, below it for a sell: towards the other side's orders.
fn price_at(symbol: &LoadSymbol, side: Side, ticks: u64) -> Price {
    let distance = symbol.tick.0.saturating_mul(ticks);
    match side {
        Side::Buy => Price(symbol.price.0.saturating_add(distance)),
        Side::Sell => Price(symbol.price.0.saturating_sub(distance)),
    }
}

fn place(symbol: &LoadSymbol, side: Side, time_in_force: &str, price: Price) -> Vec<u8> {
    let name = symbol_json(&symbol.symbol);
    let quantity = symbol.quantity;
    format!(
        ",\"method\":\"order.place\",\"params\":{{\"symbol\":{name},\"side\":\"{side}\",\
         \"type\":\"LIMIT\",\"timeInForce\":\"{time_in_force}\",\"price\":\"{price}\",\
         \"quantity\":\"{quantity}\",\"newOrderRespType\":\"RESULT\",\"timestamp\":"
    )
    .into_bytes()
}

#[inline]
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Quantity;
    use serde_json::Value;

    fn symbols() -> Vec<LoadSymbol> {
        let symbol = |symbol: &str| LoadSymbol {
            symbol: symbol.to_owned(),
            price: Price::parse("100").unwrap(),
            tick: Price::parse("0.01").unwrap(),
            quantity: Quantity::parse("0.5").unwrap(),
        };
        vec![symbol("BTCUSDT"), symbol("ETHUSDT")]
    }

    fn flow(seed: u64) -> Flow {
        Flow::new(&symbols(), 2, Mix::default(), 30, seed, true)
    }

    fn next(flow: &mut Flow, account: usize, number: u64) -> (Written, Value) {
        let mut out = Vec::new();
        let written = flow.write(account, number, 1_700_000_000_000, &mut out);
        (written, serde_json::from_slice(&out).unwrap())
    }

    #[test]
    fn every_request_is_json_with_its_own_id() {
        let mut flow = flow(1);
        for number in 0..2_000 {
            let (written, request) = next(&mut flow, (number % 2) as usize, number);
            let parameters = &request["params"];
            assert_eq!(request["id"].as_u64(), Some(number));
            assert_eq!(parameters["symbol"], symbols()[written.symbol].symbol.as_str());
            assert_eq!(parameters["timestamp"].as_u64(), Some(1_700_000_000_000));
            if written.kind == Kind::Cancel {
                assert_eq!(request["method"], "order.cancel");
                assert_eq!(parameters["orderId"].as_u64(), Some(written.order_id));
                continue;
            }
            assert_eq!(request["method"], "order.place");
            assert_eq!(parameters["newClientOrderId"], format!("load-1-{number}"));
            let price = Price::parse(parameters["price"].as_str().unwrap()).unwrap();
            let is_below = price < symbols()[0].price;
            let is_buy = parameters["side"] == "BUY";
            assert_eq!(is_below, is_buy == written.kind.rests(), "{request}");
            if written.kind.rests() {
                let account = (number % 2) as usize;
                flow.rest_answered(account, written.symbol, written.kind, Some(number));
            }
        }
    }

    #[test]
    fn open_orders_stay_bounded_and_the_mix_is_kept() {
        for seed in 0..10 {
            let mut flow = flow(seed);
            let mut counts = [0u64; 4];
            let mut unanswered = VecDeque::new();
            for number in 0..20_000 {
                let (written, _) = next(&mut flow, 0, number);
                counts[written.kind as usize] += 1;
                if written.kind.rests() {
                    unanswered.push_back((written, number));
                }
                if unanswered.len() > 8 {
                    let (answered, id) = unanswered.pop_front().unwrap();
                    flow.rest_answered(0, answered.symbol, answered.kind, Some(id));
                    if answered.kind == Kind::Near {
                        flow.gone(0, id);
                    }
                }
                assert!(flow.open_count(0, written.symbol) <= 30, "seed {seed}");
            }
            let [far, near, cancel, trade] = counts.map(|count| count / 200);
            assert!((45..=55).contains(&(far + near)), "seed {seed}: {counts:?}");
            assert!((25..=35).contains(&cancel), "seed {seed}: {counts:?}");
            assert!((15..=25).contains(&trade), "seed {seed}: {counts:?}");
        }
    }

    #[test]
    fn an_order_that_is_gone_is_not_canceled() {
        let mut flow = flow(3);
        flow.rest_answered(0, 0, Kind::Rest, Some(1));
        flow.rest_answered(0, 0, Kind::Rest, Some(2));
        flow.rest_answered(0, 0, Kind::Near, Some(3));
        flow.gone(0, 1);
        let cancel = flow.decide(0, 0, Kind::Cancel);
        assert_eq!(cancel, Written { kind: Kind::Cancel, symbol: 0, order_id: 2 });
        assert!(flow.decide(0, 0, Kind::Cancel).kind.rests());
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 1_700_000_000_000, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
