//! `outcry explain`: the life of an order, told from the command log: which checks it passed or failed,
//! where it stood in the queue and what was ahead, each fill, and why it was not filled.
//!
//! The log is replayed; nothing is kept but what is printed, with a bound. It works beside a node that
//! runs on the folder and looks up to what is whole in the log then.

mod checks;
mod facts;
mod json;
mod life;
mod queue;
mod search;
mod steps;
mod text;
mod values;
mod why;

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};
use engine::{Engine, RULES_VERSION};
use protocol::OrderId;
use protocol::command::ClientOrderId;

use crate::offline::{Beginning, Folder, load};
use crate::progress::Progress;
use life::{At, Life};
use search::Search;

/// How it is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form {
    /// Every change of the queue has its line.
    pub all: bool,
    pub json: bool,
}

/// The log has no such order, or not its beginning any more.
#[derive(Debug)]
pub struct NoSuchOrder(String);

impl fmt::Display for NoSuchOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoSuchOrder {}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Order(OrderId),
    /// By client order id: every order that ever had it, and refused commands.
    Named(ClientOrderId),
}

impl Wanted {
    /// An order id, or any other text as a client order id; `id:` makes a number one.
    fn parse(text: &str) -> Result<Wanted> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            let id = text.parse().ok().filter(|id| *id > 0);
            let Some(id) = id else { bail!("{text} is no order id: they count from 1") };
            return Ok(Wanted::Order(OrderId(id)));
        }
        let name = text.strip_prefix("id:").unwrap_or(text);
        match ClientOrderId::new(name) {
            Ok(name) if !name.is_empty() => Ok(Wanted::Named(name)),
            Ok(_) => bail!("an order id or a client order id is expected"),
            Err(error) => bail!("{name} is no client order id: {error}"),
        }
    }
}

/// What was found.
struct Told {
    wanted: String,
    /// In the order of the log.
    lives: Vec<Life>,
    /// Found, and too old to be told.
    older: u64,
    /// The last command before those that were looked at, and the last one looked at.
    after: u64,
    up_to: At,
}

/// Prints the life of an order. Errors: the log cannot be read, or has no such order.
pub fn explain(data: &Path, order: &str, form: Form, out: &mut dyn Write) -> Result<()> {
    let told = find(data, order, true)?;
    match form.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&json::document(&told))?)?,
        false => text::write(&told, form.all, out)?,
    }
    Ok(())
}

/// The same as a JSON document (docs/explain.md).
pub fn explain_json(data: &Path, order: &str) -> Result<String> {
    Ok(json::document(&find(data, order, false)?).to_string())
}

fn find(data: &Path, order: &str, shows_progress: bool) -> Result<Told> {
    let wanted = Wanted::parse(order)?;
    let folder = Folder::open(data)?;
    let mut progress = Progress::new("explain", shows_progress);
    let search = match wanted {
        Wanted::Order(id) => find_order(&folder, id, &mut progress)?,
        Wanted::Named(_) => find_named(&folder, wanted, &mut progress)?,
    };
    progress.end();
    search.told(order)
}

/// From the newest good snapshot that is older than the order, else from the beginning.
fn find_order(folder: &Folder, id: OrderId, progress: &mut Progress) -> Result<Search> {
    let wanted = Wanted::Order(id);
    let first = folder.beginning()?;
    let mut sequences = folder.snapshots.list()?;
    while let Some(sequence) = sequences.pop() {
        // A damaged one is passed over: `outcry verify` tells of it.
        let Ok((facts, state)) = folder.snapshots.read(sequence) else { continue };
        let is_of_use = facts.schema == Engine::STATE_SCHEMA
            && facts.rules_version <= RULES_VERSION
            && facts.commands_position > first.facts.commands_position;
        if !is_of_use {
            continue;
        }
        let Ok(engine) = load(&facts, &state) else { continue };
        if engine.open_orders().last().is_some_and(|last| last.order >= id) {
            continue;
        }
        let begin = Beginning { engine, facts };
        let search = Search::run(folder, begin, wanted, BTreeSet::new(), progress)?;
        if !search.is_too_late() {
            return Ok(search);
        }
    }
    Search::run(folder, first, wanted, BTreeSet::new(), progress)
}

/// From the beginning; once more if an order got the name by an amendment.
fn find_named(folder: &Folder, wanted: Wanted, progress: &mut Progress) -> Result<Search> {
    let run = |also, progress: &mut Progress| {
        Search::run(folder, folder.beginning()?, wanted, also, progress)
    };
    let mut search = run(BTreeSet::new(), progress)?;
    match search.take_renamed() {
        renamed if renamed.is_empty() => Ok(search),
        renamed => run(renamed, progress),
    }
}
