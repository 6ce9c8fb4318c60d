//! A trade, entered as the aggressor's order; the engine's fills are judged by the exchange's.

use super::super::ladder::rank;
use super::super::venue::Limit;
use super::causes::{Cause, Difference, Fill};
use super::format::{Place, Print, quantity};
use super::replay::Replay;
use protocol::{Event, SCALE, Side, TimeInForce};
use std::collections::BTreeSet;

impl Replay {
    /// `fills` are the rows that follow the trade; those on the aggressor's side are its own.
    pub(super) fn trade(&mut self, place: Place, print: Print, fills: &[Print]) {
        let Some(side) = print.side.filter(|_| self.is_entered) else {
            self.tally.without_aggressor += u64::from(self.is_entered);
            self.tally.suspended_trades += u64::from(!self.is_entered);
            return fills.iter().for_each(|fill| self.reduce(fill.id, fill.size));
        };
        let is_own = |fill: &Print| fill.side == Some(side) && [fill.id, 0].contains(&print.id);
        let (own, real): (Vec<Print>, Vec<Print>) = fills.iter().partition(|fill| is_own(fill));
        // An aggressor that rested before is in the book until a later row.
        for fill in own {
            self.reduce(fill.id, fill.size);
        }
        let fill = |fill: &Print| Fill { id: Some(fill.id), price: fill.price, size: fill.size };
        let real: Vec<Fill> = real.iter().map(fill).collect();
        let made = self.aggress(side, print);
        self.tally.judged += 1;
        match made == real && !real.is_empty() {
            true => {
                self.tally.exact += 1;
                self.fill(&real);
            }
            false => self.differ(place, print, side, &made, &real),
        }
    }

    /// Enters the aggressor: limit and quantity of the trade, and nothing rests.
    fn aggress(&mut self, side: Side, print: Print) -> Vec<Fill> {
        let limit = Limit {
            account: self.taker,
            side,
            price: print.price,
            quantity: quantity(print.size),
            time_in_force: TimeInForce::Ioc,
        };
        let mut made = Vec::new();
        let ids = &self.ids;
        self.venue.place(limit, |_, event| {
            if let Event::Trade(trade) = event {
                let id = ids.get(&trade.maker_order).copied();
                made.push(Fill { id, price: trade.price, size: trade.quantity.0 / SCALE });
            }
        });
        made
    }

    /// Takes the exchange's fills off the queues.
    fn fill(&mut self, fills: &[Fill]) {
        for fill in fills {
            let Some(id) = fill.id else { continue };
            self.touched.extend(self.queues.place(id));
            let Some(resting) = self.queues.get_mut(id) else { continue };
            resting.executed += fill.size;
            resting.remaining = resting.remaining.saturating_sub(fill.size);
            let (order, rest) = (resting.order, resting.remaining);
            if rest == 0 {
                self.queues.remove(id);
                self.ids.remove(&order);
            }
        }
    }

    /// Names the causes, and makes the engine's levels the exchange's again.
    fn differ(&mut self, place: Place, print: Print, side: Side, made: &[Fill], real: &[Fill]) {
        let causes = self.causes(print, side, made, real);
        let sum = |fills: &[Fill]| -> u64 { fills.iter().map(|fill| fill.size).sum() };
        self.tally.same_total += u64::from(sum(made) == sum(real));
        if causes.contains(&Cause::Unexplained) {
            self.tally.unexplained.add(|| {
                let (price, made, real) = (print.price, show(made), show(real));
                format!("{place}: {} at {price}: exchange {real}, engine {made}", print.size)
            });
        }
        let is_self_match = causes.contains(&Cause::SelfMatch);
        *self.tally.causes.entry(causes.into_iter().collect()).or_default() += 1;
        let resting = side.opposite();
        let mut levels: BTreeSet<_> = made.iter().map(|fill| (resting, fill.price.0)).collect();
        levels.extend(real.iter().filter_map(|fill| self.queues.place(fill.id?)));
        if is_self_match {
            for id in self.canceled_up_to(resting, print.price) {
                levels.extend(self.queues.place(id));
                self.queues.remove(id);
            }
        }
        self.fill(real);
        for (side, price) in levels {
            self.touched.insert((side, price));
            self.enter_level(side, price);
        }
    }

    /// The queues are still those of before the trade.
    fn causes(&self, print: Print, side: Side, made: &[Fill], real: &[Fill]) -> BTreeSet<Cause> {
        let resting = side.opposite();
        let is_better = |price: u64| rank(resting, price) < rank(resting, print.price.0);
        let levels = self.queues.levels(resting).take_while(|level| is_better(level.0));
        let queue = self.queues.queue(resting, print.price.0);
        let filled = real.iter().filter_map(|fill| fill.id);
        Difference {
            size: print.size,
            made,
            real,
            queue: queue.map(|it| (it.id, it.remaining)).collect(),
            better: levels.flat_map(|level| level.1.iter().map(|it| it.id)).collect(),
            strangers: filled.filter(|id| self.queues.place(*id).is_none()).collect(),
            unplaced: &self.unplaced,
            canceled: &self.canceled,
            icebergs: &self.icebergs,
        }
        .causes()
    }
}

fn show(fills: &[Fill]) -> String {
    let fill = |fill: &Fill| {
        let id = fill.id.map_or("?".into(), |id| id.to_string());
        format!("{id} {} at {}", fill.size, fill.price)
    };
    fills.iter().map(fill).collect::<Vec<_>>().join(", ")
}
