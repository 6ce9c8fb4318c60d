//! The lives as JSON. Names of fields are stable; numbers of the exchange are text, as in all of
//! our JSON (docs/explain.md).

use protocol::{Amount, Price, Stamp};
use serde_json::{Value, json};

use super::Told;
use super::checks::Checks;
use super::facts::utc;
use super::life::{At, Doing, Entry, Life, Step};
use super::steps::text;

pub(super) fn document(told: &Told) -> Value {
    json!({
        "wanted": told.wanted,
        "from": told.after + 1,
        "upTo": at(told.up_to),
        "olderNotTold": told.older,
        "orders": told.lives.iter().map(life).collect::<Value>(),
    })
}

fn at(at: At) -> Value {
    let Stamp(stamp) = at.stamp;
    json!({ "sequence": at.sequence.0, "stamp": stamp, "time": utc(at.stamp) })
}

fn life(it: &Life) -> Value {
    let request = &it.request;
    json!({
        "orderId": it.order.0,
        "clientOrderId": request.client_order_id.as_str(),
        "account": it.account,
        "symbol": it.symbol,
        "side": request.side.as_str(),
        "type": request.kind.as_str(),
        "timeInForce": request.time_in_force.as_str(),
        "selfTradePreventionMode": request.stp_mode.as_str(),
        "quantityUnit": request.quantity_unit.as_str(),
        "quantity": text(it.quantity),
        "price": text(it.price),
        "stopPrice": text(request.stop_price),
        "icebergQuantity": text(it.terms.iceberg),
        "trailingDelta": it.terms.trailing_delta,
        "peg": it.terms.peg.as_str(),
        "pegLevel": it.terms.peg_level,
        "words": it.headline,
        "list": it.list.as_ref().map_or(Value::Null, |list| json!({
            "listId": list.id.0,
            "kind": list.kind.as_str(),
            "others": list.others.iter().map(|order| order.0).collect::<Value>(),
        })),
        "command": command(&it.entry),
        "checks": checks(&it.checks),
        "hold": it.hold.as_ref().map_or(Value::Null, |(amount, asset)| {
            json!({ "amount": text(amount), "asset": asset })
        }),
        "tradedAtOnce": text(it.traded_at_once),
        "status": status(it),
        "reason": match it.doing {
            Doing::Closed(_, reason) => json!(reason.as_str()),
            _ => Value::Null,
        },
        "cumulativeQuantity": text(it.executed),
        "cumulativeQuote": text(it.executed_quote),
        "preventedQuantity": text(it.prevented),
        "fills": it.fills,
        "commissions": it.commissions.iter().map(|(asset, amount)| {
            json!({ "asset": asset, "amount": text(amount) })
        }).collect::<Value>(),
        "place": it.place.as_ref().map_or(Value::Null, |place| Value::Object(place.fields())),
        "market": market(it),
        "steps": it.steps.iter().map(step).collect::<Value>(),
        "stepsLeftOut": it.steps_left_out,
        "whyNotFilled": it.why,
    })
}

fn command(entry: &Entry) -> Value {
    let origin = &entry.envelope.origin;
    json!({
        "at": at(entry.at),
        "kind": entry.command,
        "words": entry.words,
        "node": origin.node,
        "slot": origin.slot,
        "session": entry.envelope.session,
        "request": entry.envelope.request,
    })
}

fn checks(checks: &Checks) -> Value {
    let failed = checks.failed.as_ref().map_or(Value::Null, |failed| {
        let values = failed.values.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        json!({
            "check": failed.check,
            "part": failed.part.as_str(),
            "reason": failed.reason.as_str(),
            "values": Value::Object(values.collect()),
        })
    });
    json!({ "passed": checks.passed, "failed": failed })
}

fn status(it: &Life) -> &'static str {
    match it.doing {
        Doing::Refused => "REFUSED",
        Doing::Tested => "TESTED",
        Doing::Pending => "PENDING_NEW",
        Doing::Filled => "FILLED",
        Doing::Closed(status, _) => status.as_str(),
        Doing::Waiting | Doing::Working | Doing::Resting => match it.executed.is_zero() {
            true => "NEW",
            false => "PARTIALLY_FILLED",
        },
    }
}

/// What others traded while the order was open, and the other side of the book at its end or now.
fn market(it: &Life) -> Value {
    let traded = &it.traded;
    let opposite = it.around.opposite.map(|level| (level.price, level.quantity));
    let (price, quantity) = opposite.unwrap_or((Price::ZERO, Amount::ZERO));
    json!({
        "trades": traded.trades,
        "lowest": text(traded.lowest),
        "highest": text(traded.highest),
        "tradedAtPrice": text(traded.at),
        "tradedThrough": text(traded.through),
        "bestOpposite": text(price),
        "bestOppositeQuantity": text(quantity),
        "withinLimit": text(it.around.within),
        "instrumentStatus": it.around.status.map(|status| status.as_str()),
    })
}

fn step(step: &Step) -> Value {
    let mut fields = step.fields.clone();
    fields.insert("at".to_owned(), at(step.at));
    fields.insert("what".to_owned(), json!(step.what));
    fields.insert("text".to_owned(), json!(step.text));
    Value::Object(fields)
}
