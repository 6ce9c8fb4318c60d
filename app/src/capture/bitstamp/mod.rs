//! Bitstamp's order flow: every order created, changed and deleted, the trades, and snapshots.
//!
//! Creates and cancels go in as limit orders and cancels. The engine's trades are compared, in
//! order, with the trades that the exchange printed; each one that is not reproduced has a cause of
//! a closed list, or the replay fails. docs/captures.md tells it at length.

mod causes;
mod common;
mod format;
mod outcomes;
mod replay;
#[cfg(test)]
mod tests;

use super::decimal;
use super::report::{Progress, Report};
use super::source::Lines;
use anyhow::Result;
use causes::{Cause, Print};
use protocol::{Price, Quantity};
use replay::{Fill, Replay};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// So many of the printed trades must be reproduced in order (percent). The log does not tell what
/// rested before it, and the exchange matches some orders at prices that no line gave: a log's
/// beginning alone may be at 80, a longer one is near 90.
const REPRODUCED_PERCENT_MIN: u64 = 75;
/// So many of the engine's fills must be printed trades (percent).
const PRINTED_PERCENT_MIN: u64 = 75;
/// Trades are printed as floats: their price is rounded to the places of the orders' prices, but
/// not to fewer than these.
const PRICE_PLACES_MIN: u32 = 2;
const UNEXPLAINED_LISTED_MAX: usize = 20;

/// Replays a log and prints a line per check. True: all passed.
pub fn bitstamp(log: &Path, out: &mut dyn Write) -> Result<bool> {
    replay(Lines::open(log)?, out)
}

fn replay(mut lines: Lines, out: &mut dyn Write) -> Result<bool> {
    let progress = Progress::new("line");
    let mut replay = Replay::open()?;
    while let Some(record) = format::next(&mut lines)? {
        progress.at(record.line);
        replay.advance(record);
    }
    drop(progress);
    if replay.lines == 0 {
        anyhow::bail!("{}: empty", lines.name());
    }
    let mut report = Report::new(out);
    print_lines(&replay, &mut report)?;
    print_trades(&mut replay, &mut report)?;
    replay.venue.print(replay.held(), &mut report)?;
    Ok(report.verdict()?)
}

fn print_lines(replay: &Replay, report: &mut Report<'_>) -> Result<()> {
    let tally = &replay.tally;
    report.note(format_args!("Bitstamp, {} lines", replay.lines))?;
    report.note(format_args!(
        "orders: {} created; {} canceled; {} filled; {} from before the log; {} deleted before \
         their create; {} that cannot be entered",
        tally.created,
        tally.canceled,
        tally.filled,
        tally.from_before,
        tally.before_create,
        tally.not_enterable
    ))?;
    report.note(format_args!(
        "outcomes that differ: {} filled but open in the engine, {} canceled but filled in the \
         engine, {} canceled with another rest",
        tally.filled_still_open, tally.canceled_but_filled, tally.canceled_other_rest
    ))?;
    report.note(format_args!(
        "snapshots: best bid and ask equal in {} of {}, {} of {} levels equal",
        tally.snapshots_best_equal, tally.snapshots, tally.levels_equal, tally.levels
    ))?;
    Ok(())
}

fn print_trades(replay: &mut Replay, report: &mut Report<'_>) -> Result<()> {
    let places = replay.price_places.max(PRICE_PLACES_MIN);
    let print = |it: &replay::Printed| {
        let price = decimal::round(&it.trade.price, places).unwrap_or(0);
        Print { price: Price(price), quantity: it.trade.amount }
    };
    let prints: Vec<Print> = replay.printed.iter().map(print).collect();
    let made: Vec<Print> = replay
        .fills
        .iter()
        .map(|fill| Print { price: fill.price, quantity: fill.quantity })
        .collect();
    let Some(common) = common::common(&made, &prints) else {
        let (fills, trades) = (made.len(), prints.len());
        let text = format!("{fills} fills and {trades} trades have too little in common");
        return Ok(report.check(false, text)?);
    };
    let matched: Vec<usize> = common.iter().map(|pair| pair.1).collect();
    let (fills, trades, in_order) = (made.len(), prints.len(), matched.len());
    let in_any_order = in_any_order(&made, &prints);
    report.check(
        trades > 0 && in_order as u64 * 100 >= trades as u64 * REPRODUCED_PERCENT_MIN,
        format_args!(
            "trades: {trades} printed, {in_order} reproduced in order (at least \
             {REPRODUCED_PERCENT_MIN} % asked for), {in_any_order} in any order"
        ),
    )?;
    report.check(
        in_any_order as u64 * 100 >= fills as u64 * PRINTED_PERCENT_MIN,
        format_args!(
            "engine fills: {fills}, {} of them not printed (at least {PRINTED_PERCENT_MIN} % asked \
             for)",
            fills - in_any_order
        ),
    )?;
    let mut made_in_order = common.iter().map(|pair| pair.0).peekable();
    let mut unmatched: Vec<Fill> = Vec::new();
    for (at, fill) in replay.fills.iter().enumerate() {
        if made_in_order.next_if_eq(&at).is_none() {
            unmatched.push(*fill);
        }
    }
    let causes = causes::causes(replay, &prints, &matched, &unmatched);
    print_causes(replay, &prints, &causes, report)
}

/// How many are equal, whatever their order.
fn in_any_order(made: &[Print], prints: &[Print]) -> usize {
    let mut left: BTreeMap<(Price, Quantity), usize> = BTreeMap::new();
    for print in prints {
        *left.entry((print.price, print.quantity)).or_default() += 1;
    }
    let mut take = |print: &&Print| match left.get_mut(&(print.price, print.quantity)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    made.iter().filter(|print| take(print)).count()
}

fn print_causes(
    replay: &Replay,
    prints: &[Print],
    causes: &[Option<Cause>],
    report: &mut Report<'_>,
) -> Result<()> {
    let mut counts: BTreeMap<Cause, u64> = BTreeMap::new();
    let mut listed = Vec::new();
    for ((printed, print), cause) in replay.printed.iter().zip(prints).zip(causes) {
        let Some(cause) = cause else { continue };
        *counts.entry(*cause).or_default() += 1;
        if *cause == Cause::Unexplained && listed.len() < UNEXPLAINED_LISTED_MAX {
            let (line, id) = (printed.line, printed.trade.id);
            let Print { price, quantity } = print;
            listed.push(format!("line {line}: trade {id}, {quantity} at {price}"));
        }
    }
    let unexplained = counts.remove(&Cause::Unexplained).unwrap_or(0);
    let explained: u64 = counts.values().sum();
    report.check(
        unexplained == 0,
        format_args!("trades not reproduced in order: {explained} explained, {unexplained} not"),
    )?;
    for (cause, count) in counts {
        report.note(format_args!("  {count} {cause}"))?;
    }
    Ok(report.notes(&listed, unexplained)?)
}
