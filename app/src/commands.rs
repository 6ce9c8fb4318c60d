//! The subcommands that need a configuration: what `main` does for each.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{Context, Result, bail};
use gateway::exchange_info;
use replication::Durability;

use crate::cli;
use crate::config::{self, Config, Fused, Local, VenueState, plan};
use crate::import::import_to;
use crate::market::Shape;
use crate::node::{NodeFile, NodeOptions, Threads, Waiting};
use crate::offline::Folder;
use crate::seal::{Sealer, random_bytes};
use crate::simulate::{Answers, Lockstep, Orders, Planner, Simulation, Summary, run};

/// With fewer allowed cores than this all stages share one thread.
const CORES_TO_SPLIT: usize = 4;

/// `simulate`.
pub fn simulate(args: &cli::Simulate, orders: &Orders) -> Result<Summary> {
    let config = load(&args.settings, args.durability.as_deref())?;
    let local = &config.local;
    let shape =
        Shape { instruments: args.instruments, accounts: args.accounts, ..Shape::default() };
    if u32::from(args.producers) > args.accounts {
        bail!("{} producers need an account each; there are {}", args.producers, args.accounts);
    }
    let simulation = Simulation {
        seed: args.seed,
        commands: args.commands,
        producers: args.producers,
        shape,
        rate: args.rate,
        ring_bytes: usize::try_from(local.ring_bytes)?,
        plan: args.settings.config.is_some().then(|| planner(&config)),
    };
    let options = node_options(local)?;
    let answers = args.answers.then(|| Box::new(stdout()) as Answers);
    if args.lockstep {
        return Lockstep::open(&simulation, &options, answers)?.finish(orders);
    }
    run(&simulation, &options, &threads(local), orders, answers)
}

/// What the configuration's venue is missing in a state. Runs when the node holds its folder.
pub(crate) fn planner(config: &Config) -> Planner {
    let config = config.clone();
    Box::new(move |state| {
        let sealer = Sealer::open_or_create(&config.local.data_directory)?;
        Ok(plan(&config, state, &sealer)?.commands().cloned().collect())
    })
}

/// `config plan` and `config show`.
pub fn config(command: &cli::Config, out: &mut dyn Write) -> Result<()> {
    match command {
        cli::Config::Show { settings, origin } => {
            load(settings, None)?.show(*origin, out)?;
        }
        cli::Config::Plan(settings) => {
            let config = load(settings, None)?;
            let data = &config.local.data_directory;
            let state = venue_state(data)?;
            let sealer = match Sealer::open(data)? {
                Some(sealer) => sealer,
                None => Sealer::in_memory(random_bytes()?),
            };
            write!(out, "{}", plan(&config, &state, &sealer)?)?;
        }
    }
    Ok(())
}

/// `instruments import`; false when a symbol was refused.
pub fn instruments(command: &cli::Instruments, out: &mut dyn Write) -> Result<bool> {
    let cli::Instruments::Import { file, out: toml, json } = command;
    if !json {
        return import_to(file, toml.as_deref(), out);
    }
    let imported = exchange_info::import(file)?;
    serde_json::to_writer_pretty(&mut *out, &exchange_info::to_json(&imported.instruments))?;
    writeln!(out)?;
    Ok(imported.is_whole())
}

/// What the state of a data folder holds; empty when there is none yet.
fn venue_state(data: &Path) -> Result<VenueState> {
    match NodeFile::exists(data) {
        true => Ok(VenueState::of(&Folder::open(data)?.latest()?)),
        false => Ok(VenueState::default()),
    }
}

pub(crate) fn load(settings: &cli::Settings, durability: Option<&str>) -> Result<Config> {
    let mut flags = Vec::new();
    for set in &settings.set {
        let (key, value) =
            set.split_once('=').with_context(|| format!("--set {set}: expected KEY=VALUE"))?;
        flags.push((key.to_owned(), value.to_owned()));
    }
    if let Some(data) = &settings.data {
        flags.push(("data.directory".to_owned(), data.display().to_string()));
    }
    if let Some(durability) = durability {
        flags.push(("log.durability".to_owned(), durability.to_owned()));
    }
    Ok(config::load(settings.config.as_deref(), config::environment(), &flags)?)
}

pub(crate) fn node_options(local: &Local) -> Result<NodeOptions> {
    Ok(NodeOptions {
        data: local.data_directory.clone(),
        durability: match local.durability {
            config::Durability::Memory => Durability::Memory,
            config::Durability::Async => Durability::Async,
            config::Durability::Sync => Durability::Sync,
        },
        async_interval: local.async_interval,
        segment_bytes: local.segment_bytes,
        frame_bytes_max: usize::try_from(local.frame_bytes_max)?,
        uncommitted_bytes_max: local.uncommitted_bytes_max,
        snapshots_kept: local.snapshots_kept as usize,
        retention_bytes_max: local.retention_bytes_max,
        cluster: u128::from_le_bytes(random_bytes()?),
        storage: store::Disk::shared(),
        shared_memory: local.runtime_directory.clone().unwrap_or_else(|| PathBuf::from("/dev/shm")),
        is_simulated: false,
    })
}

pub(crate) fn threads(local: &Local) -> Threads {
    let cores = available_parallelism().map_or(1, usize::from);
    Threads {
        is_fused: match local.fused {
            Fused::Auto => cores < CORES_TO_SPLIT,
            Fused::Always => true,
            Fused::Never => false,
        },
        waiting: match local.waiting {
            config::Waiting::Spin => Waiting::Spin,
            config::Waiting::Yield => Waiting::Yield,
            config::Waiting::Park => Waiting::Park,
        },
        cores: local.cores.clone(),
        strict_pinning: local.strict_pinning,
        on_published: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn outcry(arguments: &[&str], data: &Path) -> String {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/example.toml");
        let common = ["--config", example, "--data", data.to_str().unwrap()];
        let all = ["outcry"].iter().chain(arguments).chain(&common);
        let mut out = Vec::new();
        match cli::Cli::parse_from(all).command {
            cli::Command::Simulate(args) => {
                simulate(&args, &Orders::default()).unwrap();
            }
            cli::Command::Config(command) => config(&command, &mut out).unwrap(),
            _ => panic!("not a command of this test"),
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn after_a_start_a_configuration_proposes_nothing_and_later_starts_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let plan = outcry(&["config", "plan"], &data);
        assert!(plan.contains("+ genesis") && plan.contains("+ instrument"), "{plan}");
        assert!(!data.exists(), "a plan wrote something");
        for commands in ["2500", "3000", "3500"] {
            outcry(&["simulate", "--lockstep", "--commands", commands], &data);
            let plan = outcry(&["config", "plan"], &data);
            assert!(plan.contains("nothing to propose"), "after {commands}: {plan}");
        }
    }
}
