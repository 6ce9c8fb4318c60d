//! Trailing stops that follow the price (docs/rules.md §4, trailing-stop-faq.md).

use crate::slab::Slot;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use protocol::{OrderId, Price, Side};

const SCALE_BIPS: u128 = 10_000;

/// Orders whose extreme is the same price, those that fire first in front.
#[derive(Debug)]
struct Group {
    extreme: Price,
    by_delta: BTreeMap<(u32, OrderId), Slot>,
}

/// The started orders of one side.
///
/// **Invariants:** an order that was started earlier has seen more trades, so its extreme is at
/// least as extreme: groups lie in the order of their extremes, the most extreme first, no two alike,
/// none empty. A new extreme therefore only touches groups at the end, which become one.
#[derive(Debug, Default)]
struct Followers {
    groups: Vec<Group>,
}

/// Is `price` more extreme than `other` for orders of this side? A sell follows the highest.
fn is_beyond(side: Side, price: Price, other: Price) -> bool {
    match side {
        Side::Sell => price > other,
        Side::Buy => price < other,
    }
}

/// The largest delta that fires at `price`: `price × 10^4 ≤ extreme × (10^4 − delta)` for a sell,
/// `price × 10^4 ≥ extreme × (10^4 + delta)` for a buy, solved for delta.
fn largest_due(extreme: Price, price: Price) -> u128 {
    u128::from(extreme.0.abs_diff(price.0)) * SCALE_BIPS / u128::from(extreme.0.max(1))
}

impl Followers {
    fn start(&mut self, side: Side, extreme: Price, delta: u32, order: OrderId, slot: Slot) {
        // From the end: nearly always the last group or a new one behind it.
        let behind = self
            .groups
            .iter()
            .rposition(|group| !is_beyond(side, extreme, group.extreme))
            .map_or(0, |at| at + 1);
        let is_there = behind > 0 && self.groups[behind - 1].extreme == extreme;
        if !is_there {
            self.groups.insert(behind, Group { extreme, by_delta: BTreeMap::new() });
        }
        let at = if is_there { behind - 1 } else { behind };
        let previous = self.groups[at].by_delta.insert((delta, order), slot);
        assert!(previous.is_none(), "order {order} follows twice");
    }

    fn remove(&mut self, delta: u32, order: OrderId) {
        let group =
            self.groups.iter_mut().find(|group| group.by_delta.contains_key(&(delta, order)));
        let Some(group) = group else { panic!("order {order} does not follow the price") };
        group.by_delta.remove(&(delta, order));
        self.groups.retain(|group| !group.by_delta.is_empty());
    }

    /// Takes out what fires at `price`, then moves the extremes.
    fn follow(&mut self, side: Side, price: Price, due: &mut Vec<(OrderId, Slot)>) {
        for group in &mut self.groups {
            if !is_beyond(side, group.extreme, price) {
                break;
            }
            let largest = largest_due(group.extreme, price);
            while let Some(first) = group.by_delta.first_entry() {
                if u128::from(first.key().0) > largest {
                    break;
                }
                let ((_, order), slot) = first.remove_entry();
                due.push((order, slot));
            }
        }
        self.groups.retain(|group| !group.by_delta.is_empty());
        self.raise(side, price);
    }

    fn raise(&mut self, side: Side, price: Price) {
        let overtaken = |group: &Group| is_beyond(side, price, group.extreme);
        let Some(mut last) = self.groups.pop_if(|group| overtaken(group)) else { return };
        last.extreme = price;
        while let Some(mut next) =
            self.groups.pop_if(|group| overtaken(group) || group.extreme == price)
        {
            // The smaller moves into the larger.
            if next.by_delta.len() > last.by_delta.len() {
                core::mem::swap(&mut next.by_delta, &mut last.by_delta);
            }
            last.by_delta.append(&mut next.by_delta);
        }
        self.groups.push(last);
    }
}

/// **Invariants:** an order stands in exactly one of the three.
#[derive(Debug, Default)]
pub(crate) struct Trailing {
    sells: Followers,
    buys: Followers,
    /// Placed without a stop price before the instrument's first trade.
    unstarted: BTreeMap<OrderId, Slot>,
}

impl Trailing {
    pub(crate) fn is_empty(&self) -> bool {
        self.sells.groups.is_empty() && self.buys.groups.is_empty() && self.unstarted.is_empty()
    }

    fn side_mut(&mut self, side: Side) -> &mut Followers {
        match side {
            Side::Sell => &mut self.sells,
            Side::Buy => &mut self.buys,
        }
    }

    /// Waits for the first trade.
    pub(crate) fn wait(&mut self, order: OrderId, slot: Slot) {
        self.unstarted.insert(order, slot);
    }

    /// Those that waited for the first trade, by id.
    pub(crate) fn take_unstarted(&mut self) -> BTreeMap<OrderId, Slot> {
        core::mem::take(&mut self.unstarted)
    }

    pub(crate) fn start(
        &mut self,
        side: Side,
        extreme: Price,
        delta: u32,
        order: OrderId,
        slot: Slot,
    ) {
        self.side_mut(side).start(side, extreme, delta, order, slot);
    }

    pub(crate) fn remove(&mut self, side: Side, delta: u32, order: OrderId) {
        if self.unstarted.remove(&order).is_none() {
            self.side_mut(side).remove(delta, order);
        }
    }

    /// A trade: takes out what it makes due, in no order, and moves the extremes of the others.
    pub(crate) fn follow(&mut self, price: Price, due: &mut Vec<(OrderId, Slot)>) {
        self.sells.follow(Side::Sell, price, due);
        self.buys.follow(Side::Buy, price, due);
    }

    /// The extreme of an order, if it was started.
    pub(crate) fn extreme(&self, side: Side, delta: u32, order: OrderId) -> Option<Price> {
        let followers = match side {
            Side::Sell => &self.sells,
            Side::Buy => &self.buys,
        };
        let holds = |group: &&Group| group.by_delta.contains_key(&(delta, order));
        followers.groups.iter().find(holds).map(|group| group.extreme)
    }

    /// All, by id, with the extreme if started.
    pub(crate) fn by_order(&self) -> Vec<(OrderId, Slot, Option<Price>)> {
        let waiting = self.unstarted.iter().map(|(order, slot)| (*order, *slot, None));
        let groups = self.sells.groups.iter().chain(&self.buys.groups);
        let started = groups.flat_map(|group| {
            let of_group = group.by_delta.iter();
            of_group.map(|((_, order), slot)| (*order, *slot, Some(group.extreme)))
        });
        let mut all: Vec<_> = waiting.chain(started).collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same rule for one order at a time, as the document says it.
    fn naive(orders: &mut Vec<(OrderId, Side, u32, u64)>, price: u64) -> Vec<OrderId> {
        let is_due = |side: Side, delta: u32, extreme: u64| match side {
            Side::Sell => delta < 10_000 && price * 10_000 <= extreme * u64::from(10_000 - delta),
            Side::Buy => price * 10_000 >= extreme * u64::from(10_000 + delta),
        };
        let mut due = Vec::new();
        orders.retain_mut(|(order, side, delta, extreme)| {
            if is_due(*side, *delta, *extreme) {
                due.push(*order);
                return false;
            }
            *extreme = match *side {
                Side::Sell => price.max(*extreme),
                Side::Buy => price.min(*extreme),
            };
            true
        });
        due.sort_unstable();
        due
    }

    #[test]
    fn groups_fire_as_single_orders_would() {
        let mut seed = 7u64;
        let mut draw = |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let (mut trailing, mut orders) = (Trailing::default(), Vec::new());
        let (mut price, mut fired) = (1_000u64, 0);
        for number in 1..20_000u64 {
            match draw(4) {
                0 => {
                    let (order, slot) = (OrderId(number), Slot(number as u32));
                    let side = if draw(2) == 0 { Side::Buy } else { Side::Sell };
                    let delta = 1 + draw(900) as u32;
                    trailing.start(side, Price(price), delta, order, slot);
                    orders.push((order, side, delta, price));
                }
                1 if !orders.is_empty() && draw(8) == 0 => {
                    let (order, side, delta, _) = orders.remove(draw(orders.len() as u64) as usize);
                    trailing.remove(side, delta, order);
                }
                _ => {
                    price = (price + draw(41)).saturating_sub(20).max(1);
                    let mut due = Vec::new();
                    trailing.follow(Price(price), &mut due);
                    let mut due: Vec<_> = due.into_iter().map(|(order, _)| order).collect();
                    due.sort_unstable();
                    fired += due.len();
                    assert_eq!(due, naive(&mut orders, price), "at {price}");
                }
            }
            let extremes: Vec<_> = trailing
                .by_order()
                .into_iter()
                .map(|(order, _, extreme)| (order, extreme))
                .collect();
            let expected: Vec<_> = orders
                .iter()
                .map(|(order, _, _, extreme)| (*order, Some(Price(*extreme))))
                .collect();
            assert_eq!(extremes, expected);
        }
        assert!(fired > 1_000, "{fired}");
    }
}
