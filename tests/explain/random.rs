//! Every order of random markets, against the events of their logs.

use std::collections::BTreeMap;

use app::market::{RandomLog, Shape};
use protocol::command::ClientOrderId;
use protocol::event::OrderFilled;
use protocol::*;
use serde_json::Value;

use super::{Writer, check, decimal, steps};

/// What the events of a log say of an order.
#[derive(Default)]
struct Known {
    fills: Vec<OrderFilled>,
    closed: Option<(OrderStatus, Quantity)>,
}

/// Of the first order that a command asks for.
fn client_order_id(command: &Command) -> Option<ClientOrderId> {
    match command {
        Command::NewOrder(it) => Some(it.request.client_order_id),
        Command::NewOrderWithTerms(it) => Some(it.request.client_order_id),
        Command::CancelReplace(it) => Some(it.request.client_order_id),
        Command::NewOrderList(it) => Some(it.orders[0].request.client_order_id),
        _ => None,
    }
}

/// Explains one of so many orders of a random log and compares with its events.
fn check_random(seed: u64, log: RandomLog, commands: usize, one_of: usize) {
    let mut log = log;
    let mut writer = Writer::new();
    let mut refused = Vec::new();
    for _ in 0..commands {
        let step = log.next();
        let first = writer.step(&step);
        let happened = &writer.events[first..];
        happened.iter().for_each(|event| log.observe(event));
        let reason = happened.iter().find_map(|event| match event {
            Event::CommandRefused(it) if it.part != CommandPart::Cancel => Some(it.reason),
            _ => None,
        });
        let name = client_order_id(&step.command).filter(|name| !name.is_empty());
        refused.extend(name.zip(reason));
    }
    let log = writer.finish();
    for (name, reason) in refused.iter().step_by(one_of) {
        let document = log.json(&format!("id:{name}"));
        let orders = document["orders"].as_array().unwrap();
        let mut failed = orders.iter().map(|life| &life["checks"]["failed"]);
        let is_it = |it: &Value| it["reason"] == reason.as_str() && it["check"].is_string();
        assert!(failed.any(is_it), "seed {seed}, {name}, {reason}: {document:#}");
    }
    let mut known: BTreeMap<OrderId, Known> = BTreeMap::new();
    for event in &log.events {
        match event {
            Event::OrderAccepted(it) => drop(known.entry(it.order).or_default()),
            Event::OrderAcceptedWithTerms(it) => drop(known.entry(it.order).or_default()),
            Event::OrderFilled(it) => known.entry(it.order).or_default().fills.push(*it),
            Event::OrderClosed(it) => {
                let closed = Some((it.status, it.cumulative_quantity));
                known.entry(it.order).or_default().closed = closed;
            }
            _ => {}
        }
    }
    assert!(known.len() > 100, "seed {seed}: {} orders", known.len());
    for (order, known) in known.iter().step_by(one_of) {
        let life = log.life(&order.to_string());
        let place = format!("seed {seed}, order {order}: {life:#}");
        if order.0 % 7 == 0 {
            check(&log.text(&order.to_string()), &["  asked  ", "looked at commands 1 to "]);
        }
        let fills = steps(&life, "fill");
        assert_eq!(fills.len(), known.fills.len(), "{place}");
        let sum: i128 = fills.iter().map(|fill| decimal(&fill["quantity"])).sum();
        assert_eq!(sum, decimal(&life["cumulativeQuantity"]), "{place}");
        let last = known.fills.last();
        assert_eq!(sum, last.map_or(0, |it| it.cumulative_quantity.0.into()), "{place}");
        let is_filled = last.is_some_and(|it| it.status == OrderStatus::Filled);
        let status = life["status"].as_str().unwrap();
        match known.closed {
            Some((closed, _)) => assert_eq!(status, closed.as_str(), "{place}"),
            None => assert_eq!(status == "FILLED", is_filled, "{place}"),
        }
        assert_eq!(life["whyNotFilled"].as_array().unwrap().is_empty(), is_filled, "{place}");
        let mut ahead = None;
        for step in life["steps"].as_array().unwrap() {
            match step["what"].as_str().unwrap() {
                "rests" => ahead = Some(decimal(&step["ahead"])),
                "queue" => {
                    assert_eq!(ahead, Some(decimal(&step["aheadBefore"])), "{place}");
                    let now = decimal(&step["ahead"]);
                    assert!(ahead.is_some_and(|before| now < before), "{place}");
                    assert!(!step["causes"].as_array().unwrap().is_empty(), "{place}");
                    ahead = Some(now);
                }
                // A market order of an auction stands beside the book.
                "fill" if step["isMaker"] == true && life["type"] != "MARKET" => {
                    assert_eq!(ahead, Some(0), "{place}")
                }
                _ => {}
            }
        }
    }
}

#[test]
fn every_order_of_a_random_market_is_told_as_its_events_have_it() {
    for seed in 1..4 {
        let shape = Shape { instruments: 3, accounts: 8, open_orders: 60, bad_per_mille: 20 };
        check_random(seed, RandomLog::new(seed, shape), 1_200, 5);
        check_random(seed, RandomLog::extended(seed, shape), 1_500, 3);
    }
}
