//! The program as a child: this test binary, started again on one test that does what `outcry`
//! does with the same arguments.
//!
//! A child is killed when its guard is dropped, and ends by itself when this process is gone: its
//! standard input is a pipe that then ends. All it writes lies in the test's folder, shared memory
//! included.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use app::cli::{self, Cli};
use app::simulate::Orders;
use clap::Parser;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use signal_hook::consts::SIGTERM;

/// Not `OUTCRY_…`: those are settings of the program.
const ARGUMENTS: &str = "TESTED_ARGUMENTS";
const SEPARATOR: char = '\n';
/// How long a start or an end may take before the test gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(3);
/// Status of a child whose parent is gone.
const ORPHANED: i32 = 86;

/// Does nothing but in the child, where it is the program.
#[test]
fn be_outcry() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(ORPHANED);
    });
    let orders = Orders::default();
    signal_hook::flag::register(SIGTERM, orders.stop.clone()).unwrap();
    let arguments = ["outcry"].into_iter().chain(arguments.split(SEPARATOR));
    let done = match Cli::parse_from(arguments).command {
        cli::Command::Serve(args) => app::serve::serve(&args, &orders),
        cli::Command::Load(args) => {
            app::load::load(&args, &orders, &mut std::io::stderr()).map(drop)
        }
        cli::Command::Feed(app::feed::Feed::Watch(args)) => app::feed::watch(&args, &orders),
        other => panic!("not run by any test: {other:?}"),
    };
    done.unwrap_or_else(|error| panic!("outcry: {error:#}"));
}

/// A running child.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// `log` gets what it says.
    pub(super) fn start(arguments: &[&str], log: &Path) -> Process {
        let said = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "serve::child::be_outcry", "--nocapture", "--test-threads=1"])
            .env(ARGUMENTS, arguments.join(&SEPARATOR.to_string()))
            .stdin(Stdio::piped())
            .stdout(said.try_clone().unwrap())
            .stderr(said);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OUTCRY_") {
                command.env_remove(name);
            }
        }
        Process { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            let is_late = Instant::now() > deadline;
            assert!(!is_late, "still running after {patience:?}: {}", self.said());
            thread::park_timeout(LOOK);
        }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// `kill -TERM`.
    pub(super) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("--- {}\n{}", self.log.display(), self.said());
        }
    }
}

/// How a server is started.
#[derive(Clone)]
pub(super) struct Setting {
    /// Of the data, the log of what it says, and its shared memory.
    folder: PathBuf,
    arguments: Vec<String>,
}

/// The venue of the demo, as a file: its accounts have no keys then, and nobody trades.
const VENUE: &str = include_str!("../../app/src/serve/demo.toml");
/// The token of servers that are no demo.
const TOKEN: &str = "token-of-the-tests";

impl Setting {
    fn new(folder: &Path) -> Setting {
        let (data, shared) = (folder.join("data"), folder.join("shm"));
        fs::create_dir_all(&shared).unwrap();
        let setting = Setting { folder: folder.to_owned(), arguments: Vec::new() };
        let setting = setting.with(&["serve", "--listen", "127.0.0.1:0"]);
        let setting = setting.with(&["--data", data.to_str().unwrap()]);
        let ready = setting.ready_file();
        setting
            .with(&["--ready-file", ready.to_str().unwrap()])
            .set("data.runtime_directory", shared.to_str().unwrap())
            .set("log.segment_bytes", "4194304")
    }

    /// `serve --demo`.
    pub(super) fn demo(folder: &Path) -> Setting {
        Setting::new(folder).with(&["--demo"])
    }

    /// The demo's symbols and accounts without keys and bots; `more` is added to the file.
    pub(super) fn quiet(folder: &Path, more: &str) -> Setting {
        let file = folder.join("venue.toml");
        fs::write(&file, format!("{VENUE}\n{more}")).unwrap();
        let setting = Setting::new(folder).with(&["--config", file.to_str().unwrap()]);
        setting.set("admin.token", TOKEN)
    }

    fn with(mut self, arguments: &[&str]) -> Setting {
        self.arguments.extend(arguments.iter().map(|it| (*it).to_owned()));
        self
    }

    pub(super) fn set(self, key: &str, value: &str) -> Setting {
        self.with(&["--set", &format!("{key}={value}")])
    }

    fn ready_file(&self) -> PathBuf {
        self.folder.join("ready.json")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it and does not wait.
    pub(super) fn spawn(&self) -> Process {
        let _ = fs::remove_file(self.ready_file());
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Process::start(&arguments, &self.folder.join("log"))
    }

    /// Starts it and waits until it serves.
    pub(super) fn start(&self) -> Server {
        let mut process = self.spawn();
        let deadline = Instant::now() + PATIENCE;
        let ready = loop {
            if let Ok(text) = fs::read_to_string(self.ready_file()) {
                break text;
            }
            let ended = process.ended();
            assert!(ended.is_none(), "ended with {ended:?}: {}", process.said());
            assert!(Instant::now() < deadline, "not ready: {}", process.said());
            thread::park_timeout(LOOK);
        };
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        let (http, ws) = (text("http"), text("ws"));
        let env = read_env(&self.data().join("demo.env"));
        let token = env.get("ADMIN_TOKEN").map_or(TOKEN, String::as_str).to_owned();
        Server { process, ready, http, ws, token, env }
    }
}

/// `NAME=value` lines; empty when there is no such file.
fn read_env(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A server that serves.
pub(super) struct Server {
    pub(super) process: Process,
    /// What the ready file says.
    pub(super) ready: Value,
    /// `http://host:port`.
    pub(super) http: String,
    /// `ws://host:port`.
    pub(super) ws: String,
    /// Of the admin API.
    pub(super) token: String,
    /// `demo.env`, when it is a demo.
    pub(super) env: BTreeMap<String, String>,
}

impl Server {
    /// SIGTERM; it has to end well and in time.
    pub(super) fn stop(mut self) {
        self.process.terminate();
        let status = self.process.wait(Duration::from_secs(5));
        assert!(status.success(), "{status}: {}", self.process.said());
    }
}
