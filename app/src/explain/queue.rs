//! The place of a resting order in its level's queue, and what changes it.

use engine::OrderBook;
use protocol::{Amount, Event, OrderId, Price, Quantity, Side};
use serde_json::{Map, Value, json};

use super::facts::{Facts, short};
use super::life::{At, Step, subject};
use super::steps::{fields, text};

/// Causes of one change that are named.
const CAUSES_TOLD: usize = 3;

/// Where an order stands: `ahead` is what the book shows of the orders before it in its level,
/// oldest first. Hidden parts are not ahead: they come behind.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) side: Side,
    pub(super) price: Price,
    pub(super) ahead: Vec<(OrderId, Quantity)>,
    /// Orders of the level, itself counted.
    pub(super) of: usize,
    /// Of its side: how many better levels there are, and what they show.
    pub(super) better: (usize, Amount),
}

pub(super) fn sum(ahead: &[(OrderId, Quantity)]) -> Amount {
    ahead.iter().fold(Amount::ZERO, |sum, (_, quantity)| sum + (*quantity).into())
}

impl Place {
    /// None: the order does not rest at this price.
    pub(super) fn find(
        book: &OrderBook<'_>,
        order: OrderId,
        side: Side,
        price: Price,
        facts: &Facts,
    ) -> Option<Place> {
        let (mut ahead, mut of, mut is_there) = (Vec::new(), 0, false);
        for (other, remaining) in book.queue(side, price) {
            of += 1;
            is_there |= other == order;
            if !is_there {
                ahead.push((other, facts.shown(other, remaining)));
            }
        }
        let levels = book.levels(side).take_while(|level| level.price != price);
        let add = |(count, sum): (usize, Amount), shown| (count + 1, sum + shown);
        let better = levels.map(|level| level.quantity).fold((0, Amount::ZERO), add);
        is_there.then_some(Place { side, price, ahead, of, better })
    }

    /// From 1.
    pub(super) fn number(&self) -> usize {
        self.ahead.len() + 1
    }

    /// Sets what is ahead now, and tells why it changed.
    pub(super) fn moved(
        &mut self,
        ahead: Vec<(OrderId, Quantity)>,
        causes: &mut Causes,
        at: At,
    ) -> Step {
        let before = sum(&self.ahead);
        self.of -= self.ahead.len().saturating_sub(ahead.len()).min(self.of);
        self.ahead = ahead;
        let now = sum(&self.ahead);
        let (told, words) = (causes.json(), causes.words());
        *causes = Causes::default();
        let orders = self.ahead.len();
        let left = match orders {
            0 => "nothing is ahead of it".to_owned(),
            orders => format!("{} in {} ahead of it", short(now), count(orders, "order")),
        };
        let told = fields([
            ("aheadBefore", text(before)),
            ("ahead", text(now)),
            ("ordersAhead", json!(orders)),
            ("causes", told),
        ]);
        let words = format!("{words}: {left}");
        Step { at, what: "queue", text: words, fields: told, ahead: Some((before, now)) }
    }

    /// The step of an order that comes to rest.
    pub(super) fn rests(&self, at: At) -> Step {
        let side = self.side.as_str().to_ascii_lowercase();
        let (number, of) = (self.number(), self.of);
        let mut words = format!("rests: {side} {}, {number} of {of}", short(self.price));
        words += &match self.ahead.len() {
            0 => ", nothing is ahead of it in its level".to_owned(),
            orders => {
                let ahead = short(sum(&self.ahead));
                format!(", {ahead} in {} ahead of it in its level", count(orders, "order"))
            }
        };
        if let (levels @ 1.., shown) = self.better {
            words +=
                &format!(", {} in {} before that", short(shown), count(levels, "better level"));
        }
        Step { at, what: "rests", text: words, fields: self.fields(), ahead: None }
    }

    /// As JSON.
    pub(super) fn fields(&self) -> Map<String, Value> {
        fields([
            ("price", text(self.price)),
            ("place", json!(self.number())),
            ("ordersInLevel", json!(self.of)),
            ("ordersAhead", json!(self.ahead.len())),
            ("ahead", text(sum(&self.ahead))),
            ("betterLevels", json!(self.better.0)),
            ("betterQuantity", text(self.better.1)),
        ])
    }
}

/// `1 order`, `2 orders`
pub(super) fn count(number: usize, of: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {of}{ending}")
}

/// What one command did to the orders ahead.
#[derive(Debug, Clone, Default)]
pub(super) struct Causes {
    all: Vec<(OrderId, &'static str, Option<Quantity>)>,
}

impl Causes {
    pub(super) fn see(&mut self, event: &Event, place: &Place) {
        let is_ahead = |order| place.ahead.iter().any(|(ahead, _)| *ahead == order);
        let (order, what, quantity) = match event {
            Event::OrderFilled(it) => (it.order, "traded", Some(it.quantity)),
            Event::OrderClosed(it) => {
                let what = match it.status {
                    protocol::OrderStatus::Canceled => "canceled",
                    _ => "expired",
                };
                (it.order, what, None)
            }
            Event::OrderAmended(it) => {
                let less = it.quantity_before.0.saturating_sub(it.quantity.0);
                (it.order, "amended by", Some(Quantity(less)))
            }
            Event::OrderReplaced(it) => (it.order, "replaced", None),
            Event::IcebergRefilled(it) => (it.order, "went behind with its next part", None),
            Event::MatchPrevented(it) => (it.maker_order, "prevented", Some(it.maker_prevented)),
            _ => return,
        };
        debug_assert!(subject(event).is_none_or(|subject| subject == order));
        if is_ahead(order) {
            self.all.push((order, what, quantity));
        }
    }

    fn words(&self) -> String {
        let told = self.all.iter().take(CAUSES_TOLD);
        let mut words: Vec<_> = told
            .map(|(order, what, quantity)| match quantity {
                Some(quantity) => format!("#{order} {what} {}", short(quantity)),
                None => format!("#{order} {what}"),
            })
            .collect();
        match self.all.len().saturating_sub(CAUSES_TOLD) {
            0 if words.is_empty() => words.push("the queue changed".to_owned()),
            0 => {}
            more => words.push(format!("{more} more")),
        }
        words.join(", ")
    }

    fn json(&self) -> Value {
        let causes = self.all.iter().map(|(order, what, quantity)| {
            let quantity = quantity.map_or(Value::Null, text);
            json!({ "order": order.0, "what": what, "quantity": quantity })
        });
        causes.collect()
    }
}
