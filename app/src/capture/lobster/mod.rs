//! NASDAQ's order flow as LOBSTER writes it: a message file, and the book after each message.
//!
//! Messages go in as orders, executions as the aggressor that must have caused them. What the
//! engine's events then tell is compared: its book with every row, its fills with every execution.
//! What the recording does not know (orders that rested before it, levels below its window) comes
//! from the rows as orders of unknown arrival. docs/captures.md tells it at length.

mod aggressor;
mod format;
mod judge;
mod known;
mod replay;
#[cfg(test)]
mod tests;

use super::report::{Progress, Report};
use super::source;
use anyhow::Result;
use format::{Step, Steps};
use protocol::Side;
use replay::{Replay, Tally};
use std::io::Write;
use std::path::Path;

/// Executions out of priority are the exchange's own exceptions. So many may be counted: a share of
/// the executions of orders whose arrival was seen (percent), and some in any case, because the
/// first messages of a day may enter again orders that are older than others.
const EXCEPTIONS_PERCENT_MAX: u64 = 2;
const EXCEPTIONS_FLOOR: u64 = 50;
/// Rows of one aggressor; a longer run is entered as several.
const RUN_LENGTH_MAX: usize = 4_096;

/// Replays a pair of files, or a zip archive with both (then `book` is left out), and prints a line
/// per check. True: all passed.
pub fn lobster(messages: &Path, book: Option<&Path>, out: &mut dyn Write) -> Result<bool> {
    let (messages, book) = source::pair(messages, book)?;
    replay(Steps::new(messages, book)?, out)
}

fn replay(mut steps: Steps, out: &mut dyn Write) -> Result<bool> {
    let progress = Progress::new("row");
    let symbol = steps.symbol().to_owned();
    let mut replay = Replay::open(&symbol, steps.depth)?;
    let Some(first) = steps.next()? else { return Ok(false) };
    replay.start(&first);
    let mut last = first.message.time;
    while let Some(step) = steps.next()? {
        progress.at(step.line);
        last = step.message.time;
        let mut run = vec![step];
        while let (Some(step), Some(next)) = (run.last(), steps.peek())
            && run.len() < RUN_LENGTH_MAX
            && is_same_aggressor(step, next)
        {
            run.extend(steps.next()?);
        }
        replay.advance(&run);
    }
    replay.compare_queues();
    drop(progress);
    let mut report = Report::new(out);
    let (depth, begin) = (steps.depth, first.message.time);
    report.note(format_args!("LOBSTER {symbol}, {depth} levels, {begin} .. {last} s"))?;
    print(&replay, report)
}

/// Consecutive executions of one moment and side that walk away from the best price.
fn is_same_aggressor(step: &Step, next: &Step) -> bool {
    let (Some(one), Some(other)) = (step.execution(), next.execution()) else { return false };
    let walks_on = match one.side {
        Side::Buy => other.price <= one.price,
        Side::Sell => other.price >= one.price,
    };
    step.message.time == next.message.time && one.side == other.side && walks_on
}

fn print(replay: &Replay, mut report: Report<'_>) -> Result<bool> {
    let tally = &replay.tally;
    let [adds, reductions, deletions, executions, hidden, crosses, halts] = tally.messages;
    report.note(format_args!(
        "messages: {adds} added, {reductions} reduced, {deletions} deleted, {executions} executed, \
         {hidden} hidden executions, {crosses} crosses, {halts} halts"
    ))?;
    print_rows(replay, &mut report)?;
    print_executions(tally, &mut report)?;
    print_engine(replay, &mut report)?;
    Ok(report.verdict()?)
}

fn print_rows(replay: &Replay, report: &mut Report<'_>) -> Result<()> {
    let rows = &replay.judge.rows;
    report.check(
        rows.mismatched == 0 && rows.compared > 0,
        format_args!(
            "book rows: {} compared, {} equal, {} equal with a level that slid into view, \
             {} mismatched",
            rows.compared, rows.equal, rows.revealed, rows.mismatched
        ),
    )?;
    report.notes(&rows.listed, rows.mismatched)?;
    let auction = replay.tally.auction_rows;
    if auction > 0 {
        report.note(format_args!("{auction} rows of a halt's crossed book were not compared"))?;
    }
    Ok(())
}

fn print_executions(tally: &Tally, report: &mut Report<'_>) -> Result<()> {
    let (executions, at_best) = (tally.executions, tally.at_best);
    report.check(
        at_best == executions,
        format_args!("executions at the best price: {at_best} of {executions}"),
    )?;
    let expected = tally.fills_expected;
    report.check(
        tally.fills_differ.count == 0 && tally.fills_equal == expected,
        format_args!(
            "engine fills equal to the executions (order, price, quantity, in turn): {} of \
             {expected}, by {} aggressors",
            tally.fills_equal, tally.aggressors
        ),
    )?;
    report.notes(&tally.fills_differ.first, tally.fills_differ.count)?;
    let (seen, oldest) = (tally.seen, tally.seen_oldest);
    let allowed = EXCEPTIONS_FLOOR + seen * EXCEPTIONS_PERCENT_MAX / 100;
    report.check(
        tally.exceptions.count <= allowed,
        format_args!(
            "executions of orders whose arrival was seen: {oldest} of {seen} oldest first; of \
             others: {}; {} exceptions of the exchange, at most {allowed} allowed",
            tally.unseen_oldest, tally.exceptions.count
        ),
    )?;
    report.notes(&tally.exceptions.first, tally.exceptions.count)?;
    report.check(
        tally.unprinted.count == 0,
        format_args!("trades of orders that the exchange let rest: {}", tally.unprinted.count),
    )?;
    Ok(report.notes(&tally.unprinted.first, tally.unprinted.count)?)
}

fn print_engine(replay: &Replay, report: &mut Report<'_>) -> Result<()> {
    let queues = &replay.tally.queues;
    report.check(
        queues.count == 0,
        format_args!(
            "queues in order of arrival: {} levels compared, {} mismatched",
            replay.tally.queues_compared, queues.count
        ),
    )?;
    report.notes(&queues.first, queues.count)?;
    Ok(replay.venue.print(replay.held(), report)?)
}
