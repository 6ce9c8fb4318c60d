//! Why an order was not filled, as far as its life tells.

use protocol::{
    Amount, CloseReason, InstrumentStatus, OrderKind, Price, QuantityUnit, Side, TimeInForce,
};

use super::facts::{Facts, short};
use super::life::{Doing, Life};
use super::queue::{count, sum};

/// The reasons, the deciding one first; none for an order that was filled or never was one.
pub(super) fn why(life: &Life, facts: &Facts) -> Vec<String> {
    let mut reasons = Vec::new();
    match life.doing {
        Doing::Refused | Doing::Tested | Doing::Filled => return reasons,
        Doing::Closed(_, reason) => {
            reasons.push(closed(life, reason, facts));
            if life.last_place.is_some() {
                resting(life, &mut reasons);
            } else if life.doing_was_waiting() {
                waiting(life, &mut reasons);
            }
        }
        Doing::Pending => reasons.push(pending(life)),
        Doing::Waiting => waiting(life, &mut reasons),
        Doing::Working => reasons.push(working(life)),
        Doing::Resting => resting(life, &mut reasons),
    }
    if let Some(status) = life.around.status.filter(|it| *it != InstrumentStatus::Trading) {
        let verb = if life.is_open() { "is" } else { "was" };
        reasons.push(format!("{} {verb} {status}: nothing trades continuously", life.symbol));
    }
    reasons
}

impl Life {
    /// Was it closed while it waited for its stop price?
    fn doing_was_waiting(&self) -> bool {
        self.request.kind.is_contingent() && !self.steps.iter().any(|it| it.what == "triggered")
    }

    /// `101 or lower`, for a buy.
    fn limit_or_better(&self) -> String {
        let better = match self.request.side {
            Side::Buy => "lower",
            Side::Sell => "higher",
        };
        format!("{} or {better}", short(self.price))
    }
}

/// The best price of the other side, and what it is called.
fn opposite(life: &Life) -> (Option<Price>, &'static str) {
    let name = match life.request.side {
        Side::Buy => "ask",
        Side::Sell => "bid",
    };
    (life.around.opposite.map(|level| level.price), name)
}

/// The best opposite price against the limit.
fn against_limit(life: &Life) -> String {
    let (price, name) = opposite(life);
    let worse = match life.request.side {
        Side::Buy => "above",
        Side::Sell => "below",
    };
    let is_over = matches!(life.doing, Doing::Closed(..));
    let verb = if is_over { "was" } else { "is" };
    match price {
        None => format!("there {verb} no {name}"),
        Some(price) if life.price.is_zero() => format!("the best {name} {verb} {}", short(price)),
        Some(price) => match life.around.within.is_zero() {
            true => {
                let (price, limit) = (short(price), short(life.price));
                format!("the best {name} {verb} {price}, {worse} its limit of {limit}")
            }
            false => {
                let (price, within) = (short(price), short(life.around.within));
                format!("the best {name} {verb} {price}; {within} within its limit")
            }
        },
    }
}

fn closed(life: &Life, reason: CloseReason, facts: &Facts) -> String {
    let (_, name) = opposite(life);
    match reason {
        CloseReason::Requested => "its owner had it canceled".to_owned(),
        CloseReason::ImmediateOrCancel => {
            let against = against_limit(life);
            match life.executed.is_zero() {
                true => format!("it could take nothing at once and may not rest (IOC): {against}"),
                false => format!("it took what it could at once and may not rest (IOC): {against}"),
            }
        }
        CloseReason::FillOrKill => fill_or_kill(life),
        CloseReason::NoLiquidity if life.request.quantity_unit == QuantityUnit::Quote => {
            format!("there was no further {name} that it could have taken a step of")
        }
        CloseReason::NoLiquidity => format!("there was no {name} left for it to take"),
        CloseReason::SelfTrade => {
            let mode = life.request.stp_mode;
            format!("it met an order of the same owner or group; its own mode is {mode}")
        }
        CloseReason::InsufficientBalance => {
            let asset = facts.paying(life.request.instrument, life.request.side);
            let free = facts.money(life.around.free, asset);
            format!("its turn came and its owner lacked funds: {free} free")
        }
        CloseReason::Amended => "it was amended to no more than was executed or prevented".into(),
        CloseReason::ListTriggered | CloseReason::ListExpired => format!("{reason}"),
        CloseReason::Refused => match life.refusal {
            Some(refusal) => format!("a check failed when its turn came: {refusal}"),
            None => "a check failed when its turn came".to_owned(),
        },
        CloseReason::PriceRange => {
            format!("the next price is outside of the price range: {}", against_limit(life))
        }
        CloseReason::Interrupted => {
            "a trade at a price outside of the volatility band was about to happen".to_owned()
        }
        CloseReason::Exchange => "an administrator or a kill switch canceled it".to_owned(),
        CloseReason::Disconnected => "its session ended and had asked for that".to_owned(),
    }
}

fn fill_or_kill(life: &Life) -> String {
    let (within, wanted) = (life.around.within, Amount::from(life.quantity));
    match within < wanted {
        true => {
            let (within, wanted) = (short(within), short(wanted));
            format!("only {within} of {wanted} were to be had at {} (FOK)", life.limit_or_better())
        }
        false => "what was to be had at its limit did not count: orders of the same owner or \
                  group, or prices outside of range or band (FOK)"
            .to_owned(),
    }
}

fn pending(life: &Life) -> String {
    let working = life.list.as_ref().and_then(|list| list.others.first());
    match working {
        Some(working) => format!("its working order #{working} is not filled"),
        None => "its working order is not filled".to_owned(),
    }
}

fn working(life: &Life) -> String {
    match life.request.kind {
        OrderKind::Market => "it waits for the auction's end".to_owned(),
        _ => "it was triggered and its turn has not come".to_owned(),
    }
}

/// What the market did while it waited for its stop price.
fn waiting(life: &Life, reasons: &mut Vec<String>) {
    let rises = life.request.kind.fires_on_rise(life.request.side);
    let reached = match (life.traded.trades, rises) {
        (0, _) => "nothing traded since it came".to_owned(),
        (_, true) => format!("the highest trade since it came was {}", short(life.traded.highest)),
        (_, false) => format!("the lowest trade since it came was {}", short(life.traded.lowest)),
    };
    let words = match (life.terms.trailing_delta, life.extreme) {
        (0, _) => format!("no trade reached its stop price {}", short(life.request.stop_price)),
        (_, None) => "nothing traded yet that it could follow".to_owned(),
        (delta, Some(extreme)) => format!(
            "the price did not turn by {delta} basis points from {}: it fires at {}",
            short(extreme),
            short(life.fires_at(extreme))
        ),
    };
    reasons.push(format!("{words}; {reached}"));
}

/// What the market did while it rested.
fn resting(life: &Life, reasons: &mut Vec<String>) {
    if life.request.time_in_force != TimeInForce::Gtc {
        return;
    }
    reasons.push(against_limit(life));
    let place = life.place.as_ref().or(life.last_place.as_ref());
    if let Some(place) = place {
        let (ahead, orders) = (sum(&place.ahead), place.ahead.len());
        let (levels, better) = life.around.better;
        let mut words = match orders {
            0 => "nothing stood before it in its level".to_owned(),
            orders => format!("{} in {} stood before it", short(ahead), count(orders, "order")),
        };
        if levels > 0 {
            words += &format!(", {} in {}", short(better), count(levels, "better level"));
        }
        reasons.push(words);
    }
    reasons.push(traded(life));
}

fn traded(life: &Life) -> String {
    let traded = &life.traded;
    if traded.trades == 0 {
        return "nothing else traded while it was open".to_owned();
    }
    let extreme = match life.request.side {
        Side::Buy => format!("the lowest trade was {}", short(traded.lowest)),
        Side::Sell => format!("the highest trade was {}", short(traded.highest)),
    };
    match (traded.at.is_zero(), traded.through.is_zero()) {
        (true, true) => {
            let limit = life.limit_or_better();
            let who = if life.fills == 0 { "the market never" } else { "nobody else" };
            format!("{who} traded at {limit} while it was open: {extreme}")
        }
        (_, true) => {
            let (at, price) = (short(traded.at), short(life.price));
            format!("others traded {at} at {price} while it was open: {extreme}")
        }
        _ => {
            let (at, through) = (short(traded.at), short(traded.through));
            let price = short(life.price);
            format!("others traded {at} at {price} and {through} beyond it: {extreme}")
        }
    }
}
