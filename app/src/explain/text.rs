//! The lives as text.

use std::io::Write;

use anyhow::Result;
use protocol::{CommandPart, Origin};

use super::Told;
use super::facts::{short, utc};
use super::life::{Doing, Life, Step};
use super::queue::count;

/// Changes of the queue that have a line of their own, unless all are wanted.
const QUEUE_LINES_MAX: usize = 20;
const WIDTH: usize = 110;
const INDENT: &str = "            ";

pub(super) fn write(told: &Told, all: bool, out: &mut dyn Write) -> Result<()> {
    if told.older > 0 {
        writeln!(out, "{} older ones are not told\n", told.older)?;
    }
    for life in &told.lives {
        write_life(life, all, out)?;
        writeln!(out)?;
    }
    let (sequence, time) = (told.up_to.sequence, utc(told.up_to.stamp));
    writeln!(out, "looked at commands {} to {sequence}, {time}", told.after + 1)?;
    Ok(())
}

fn write_life(life: &Life, all: bool, out: &mut dyn Write) -> Result<()> {
    let title = match life.doing {
        Doing::Refused => "refused".to_owned(),
        Doing::Tested => "tested only".to_owned(),
        _ => format!("order #{}", life.order),
    };
    writeln!(out, "{title}, {}: {}", life.symbol, life.headline)?;
    write_entry(life, out)?;
    write_steps(&life.steps, all, out)?;
    if life.steps_left_out > 0 {
        writeln!(out, "  … {} more steps are not kept", life.steps_left_out)?;
    }
    write_end(life, out)
}

fn write_entry(life: &Life, out: &mut dyn Write) -> Result<()> {
    let entry = &life.entry;
    let Origin { node, slot, .. } = entry.envelope.origin;
    let (at, session) = (entry.at, entry.envelope.session);
    let from = format!("slot {node}.{slot}, session {session}");
    let time = utc(at.stamp);
    writeln!(out, "  asked     command {}, {time}, {} of {from}", at.sequence, entry.command)?;
    if !entry.words.is_empty() && entry.words != life.headline {
        writeln!(out, "{INDENT}{}", entry.words)?;
    }
    if let Some(list) = &life.list {
        let others: Vec<_> = list.others.iter().map(|order| format!("#{order}")).collect();
        writeln!(out, "  list      {} {} with {}", list.kind, list.id, others.join(" and "))?;
    }
    if !life.checks.passed.is_empty() {
        write_wrapped("  passed    ", &life.checks.passed, out)?;
    }
    if let Some(failed) = &life.checks.failed {
        let check = failed.check.filter(|check| *check != failed.reason.as_str());
        let check = check.map_or(String::new(), |check| format!("{check}: "));
        let part = match failed.part {
            CommandPart::Whole => String::new(),
            part => format!(" (the {part} of the command)"),
        };
        writeln!(out, "  failed    {check}{}{part}", failed.reason)?;
        for (name, value) in &failed.values {
            writeln!(out, "{INDENT}{name} {value}")?;
        }
    }
    if let Some((amount, asset)) = &life.hold {
        writeln!(out, "  holds     {} {asset}", short(amount))?;
    }
    if !life.traded_at_once.is_zero() {
        writeln!(out, "  at once   traded {}", short(life.traded_at_once))?;
    }
    Ok(())
}

/// Words with commas, in lines that begin below each other.
fn write_wrapped(title: &str, words: &[&str], out: &mut dyn Write) -> Result<()> {
    let mut line = title.to_owned();
    for (at, word) in words.iter().enumerate() {
        let comma = if at + 1 < words.len() { "," } else { "" };
        if line.len() + word.len() + 2 > WIDTH && line.len() > INDENT.len() {
            writeln!(out, "{}", line.trim_end())?;
            line = INDENT.to_owned();
        }
        line += &format!("{word}{comma} ");
    }
    writeln!(out, "{}", line.trim_end())?;
    Ok(())
}

/// The steps; of many changes of the queue the first and the last, and what lies between in a line.
fn write_steps(steps: &[Step], all: bool, out: &mut dyn Write) -> Result<()> {
    let changes = steps.iter().filter(|step| step.ahead.is_some()).count();
    let told = match all || changes <= QUEUE_LINES_MAX {
        true => changes,
        false => QUEUE_LINES_MAX / 2,
    };
    let mut change = 0;
    let mut skipped: Vec<&Step> = Vec::new();
    for step in steps {
        if step.ahead.is_some() {
            change += 1;
            if change > told && change <= changes - told.min(changes) {
                skipped.push(step);
                continue;
            }
        }
        write_skipped(&mut skipped, out)?;
        writeln!(out, "{:>10}  {}  {}", step.at.sequence.0, utc(step.at.stamp), step.text)?;
    }
    write_skipped(&mut skipped, out)
}

fn write_skipped(skipped: &mut Vec<&Step>, out: &mut dyn Write) -> Result<()> {
    if let (Some(first), Some(last)) = (skipped.first(), skipped.last())
        && let (Some((before, _)), Some((_, after))) = (first.ahead, last.ahead)
    {
        let changes = count(skipped.len(), "more change");
        writeln!(out, "{INDENT}… {changes}, ahead {} → {}", short(before), short(after))?;
    }
    skipped.clear();
    Ok(())
}

fn write_end(life: &Life, out: &mut dyn Write) -> Result<()> {
    let state = match life.doing {
        Doing::Refused | Doing::Tested => return Ok(()),
        Doing::Pending => "pending: its list has not let it work yet".to_owned(),
        Doing::Waiting => "open: waits for its trigger".to_owned(),
        Doing::Working => "open: does not rest in the book".to_owned(),
        Doing::Resting => match &life.place {
            Some(place) => format!("open: rests, {} of {}", place.number(), place.of),
            None => "open".to_owned(),
        },
        Doing::Filled => "filled".to_owned(),
        Doing::Closed(status, reason) => {
            format!("{}: {reason}", status.as_str().to_ascii_lowercase().replace('_', " "))
        }
    };
    writeln!(out, "  {state}{}", totals(life))?;
    if !life.why.is_empty() {
        writeln!(out, "  why it was not filled{}", if life.fills > 0 { " whole" } else { "" })?;
    }
    for reason in &life.why {
        writeln!(out, "    - {reason}")?;
    }
    Ok(())
}

fn totals(life: &Life) -> String {
    let mut words = match life.fills {
        0 => "; nothing executed".to_owned(),
        fills => format!(
            "; executed {} for {} in {}",
            short(life.executed),
            short(life.executed_quote),
            count(usize::try_from(fills).unwrap_or(usize::MAX), "fill")
        ),
    };
    for (asset, amount) in &life.commissions {
        words += &format!(", commission {} {asset}", short(amount));
    }
    if !life.prevented.is_zero() {
        words += &format!(", {} prevented", short(life.prevented));
    }
    if life.is_open() && !life.remaining().is_zero() {
        words += &format!(", {} open", short(life.remaining()));
    }
    words
}
