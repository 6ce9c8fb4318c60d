//! CME's order flow, market by order: every order added, modified and canceled, and every trade
//! with its fills.
//!
//! Orders go in as orders, modifications as amends and replaces, each trade as the aggressor's
//! order. The engine's fills are compared with the exchange's; a trade that differs has causes of a
//! closed list, or the replay fails. After each event the engine's book must be what the rows show.
//! docs/captures.md tells it at length.

mod auction;
mod causes;
mod format;
mod opening;
mod queues;
mod replay;
mod settle;
mod shown;
#[cfg(test)]
mod tests;
mod trade;

use super::report::{Progress, Report};
use anyhow::{Result, bail};
use causes::Cause;
use format::{Events, Place};
use replay::{Auctions, Replay, Tally};
use std::io::Write;
use std::path::PathBuf;

/// So many of the trades may have other fills, with a named cause: a share (percent), and some in
/// any case. An instrument that is not matched first-in first-out is far beyond.
const DIFFERENCES_PERCENT_MAX: u64 = 50;
const DIFFERENCES_FLOOR: u64 = 50;

/// Replays files of one instrument, in order of time, and prints a line per check. True: all passed.
pub fn cme_mbo(files: &[PathBuf], out: &mut dyn Write) -> Result<bool> {
    replay(Events::open(files)?, out)
}

fn replay(mut events: Events, out: &mut dyn Write) -> Result<bool> {
    let progress = Progress::new("row");
    let mut replay = Replay::open()?;
    let mut last = None;
    while let Some(event) = events.next()? {
        progress.at(events.rows);
        last = event.rows.last().map(|row| row.place).or(last);
        replay.advance(&event)?;
    }
    let Some(last) = last else { bail!("no row in the files, or no whole event") };
    replay.finish(last);
    drop(progress);
    let mut report = Report::new(out);
    report.note(format_args!("CME market by order, {} rows", events.rows))?;
    if events.unfinished > 0 {
        let rows = events.unfinished;
        report.note(format_args!("the last {rows} rows are no whole event and are left out"))?;
    }
    print_rows(&replay.tally, &mut report)?;
    print_auctions(&replay.tally.auctions, &mut report)?;
    print_books(&replay.tally, last, &mut report)?;
    print_trades(&replay.tally, &mut report)?;
    replay.venue.print(replay.held(), &mut report)?;
    Ok(report.verdict()?)
}

fn print_rows(tally: &Tally, report: &mut Report<'_>) -> Result<()> {
    let [adds, modifications, cancels, trades, fills, clears] = tally.rows;
    report.note(format_args!(
        "rows: {adds} added ({} of a snapshot), {modifications} modified, {cancels} canceled, \
         {trades} trades, {fills} fills, {clears} clears",
        tally.snapshot_rows
    ))?;
    report.note(format_args!(
        "orders: {} shown again after they were filled whole; {} first shown by a modification, {} \
         added again, {} canceled that were never shown; {} entered where their event took out the \
         orders in their way (self-match prevention)",
        tally.slices,
        tally.first_modified,
        tally.added_again,
        tally.unknown_cancels,
        tally.quiet_self_matches
    ))?;
    report.note(format_args!(
        "no continuous trading: {} times, {} events with a crossed book, {} trades",
        tally.suspensions, tally.suspended_events, tally.suspended_trades
    ))?;
    Ok(())
}

fn print_auctions(auctions: &Auctions, report: &mut Report<'_>) -> Result<()> {
    let Auctions { printed, held, equal, not_judged, orders, orders_equal, lines, differ } =
        auctions;
    report.check(
        equal + not_judged == *held,
        format_args!(
            "auctions: {} printed, {held} held by the engine, {equal} with the exchange's price and \
             quantity, {not_judged} not judged (orders of unknown side)",
            printed.count
        ),
    )?;
    report.notes(&printed.first, printed.count)?;
    report.notes(&lines.first, lines.count)?;
    if *held > 0 {
        report.note(format_args!(
            "orders filled in auctions: {orders_equal} of {orders} as the exchange's, {} not",
            differ.count
        ))?;
    }
    Ok(report.notes(&differ.first, differ.count)?)
}

fn print_books(tally: &Tally, last: Place, report: &mut Report<'_>) -> Result<()> {
    let differ = &tally.levels_differ;
    report.check(
        differ.count == 0 && tally.events_compared > 0,
        format_args!(
            "books equal to the rows' (orders, sizes, queues in turn): after {} of {} events up to \
             {last}; {} levels compared, {} differ",
            tally.events_compared, tally.events, tally.levels_compared, differ.count
        ),
    )?;
    report.notes(&differ.first, differ.count)?;
    let rests = &tally.rests_differ;
    report.check(
        rests.count == 0,
        format_args!(
            "orders that were filled: {} have the rest that their next row shows, {} do not",
            tally.rests_equal, rests.count
        ),
    )?;
    report.notes(&rests.first, rests.count)?;
    let unprinted = &tally.unprinted;
    report.check(
        unprinted.count == 0,
        format_args!("trades of orders that the exchange let rest: {}", unprinted.count),
    )?;
    Ok(report.notes(&unprinted.first, unprinted.count)?)
}

fn print_trades(tally: &Tally, report: &mut Report<'_>) -> Result<()> {
    let (judged, exact) = (tally.judged, tally.exact);
    let differ = judged - exact;
    let allowed = DIFFERENCES_FLOOR.max(judged * DIFFERENCES_PERCENT_MAX / 100);
    report.check(
        differ <= allowed,
        format_args!(
            "trades: {exact} of {judged} with exactly the exchange's fills (order, price, quantity, \
             in turn), at most {allowed} may differ"
        ),
    )?;
    if tally.without_aggressor > 0 {
        let count = tally.without_aggressor;
        report.note(format_args!("{count} trades without aggressor were not compared"))?;
    }
    let unexplained = tally.unexplained.count;
    report.check(
        unexplained == 0,
        format_args!(
            "trades with other fills: {} explained, {unexplained} not; {} of them have the same \
             total; {} levels entered anew",
            differ - unexplained,
            tally.same_total,
            tally.levels_anew
        ),
    )?;
    for (causes, count) in &tally.causes {
        let causes: Vec<String> = causes.iter().map(Cause::to_string).collect();
        report.note(format_args!("  {count} {}", causes.join("; ")))?;
    }
    Ok(report.notes(&tally.unexplained.first, unexplained)?)
}
