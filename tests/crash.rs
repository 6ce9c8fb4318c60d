//! `kill -9` of a simulation at random moments, also while it recovers and rolls over.
//!
//! The child is this test binary, started again on one test. The recorder is this process: it
//! reads the answers from a pipe and writes each down before it counts it. After the last restart
//! every answer is found in the log with the same hash over all events so far, which says: the
//! same ids, fills and balances; and replay gives every event frame its hash again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use app::node::Node;
use app::offline::Folder;
use app::simulate::{Answer, Orders, run};
use protocol::event::CommandAnswered;
use replication::{Durability, SystemClock};
use store::segment::LogKind;
use store::sim::Random;

use crate::support::{on_disk, small, walk_log};

const FOLDER: &str = "OUTCRY_CRASH_FOLDER";
const DURABILITY: &str = "OUTCRY_CRASH_DURABILITY";
const SEED: &str = "OUTCRY_CRASH_SEED";
const RUNS: &str = "OUTCRY_CRASH_RUNS";

/// Kills in the suite; `cargo xtask crash` asks for more.
const RUNS_IN_SUITE: u64 = 50;
/// Kills of one data folder before the next is begun.
const RUNS_PER_FOLDER: u64 = 10;
/// The longest life of a child.
const LIFE_MS_MAX: u64 = 300;
/// Slow enough that many kills leave a log that is replayed in a moment.
const COMMANDS_PER_SECOND: u64 = 30_000;

/// Does nothing but in the child, where it simulates until it is killed.
#[test]
fn simulate_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let durability = durability_of(&std::env::var(DURABILITY).unwrap());
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let simulation =
        app::simulate::Simulation { rate: COMMANDS_PER_SECOND, ..small(seed, u64::MAX) };
    let orders = Orders::default();
    let snapshot = orders.snapshot.clone();
    let mut random = Random::new(seed);
    thread::spawn(move || {
        loop {
            thread::park_timeout(Duration::from_millis(20 + random.below(200)));
            snapshot.store(true, std::sync::atomic::Ordering::Release);
        }
    });
    let threads = app::node::Threads {
        is_fused: seed.is_multiple_of(2),
        waiting: app::node::Waiting::Park,
        cores: Vec::new(),
        strict_pinning: false,
        on_published: None,
    };
    let answers = Box::new(std::io::stdout());
    let options = on_disk(Path::new(&folder), durability);
    run(&simulation, &options, &threads, &orders, Some(answers)).unwrap();
}

fn durability_of(name: &str) -> Durability {
    let all = [Durability::Memory, Durability::Async, Durability::Sync];
    all.into_iter().find(|durability| durability.as_str() == name).unwrap()
}

fn start_child(folder: &Path, durability: Durability, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::simulate_until_killed", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(DURABILITY, durability.as_str())
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Writes every answer down, then tells of it. Ends when the pipe does.
fn record(child: &mut Child, mut book: File) -> Receiver<Answer> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (told, answers) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
            if let Some(answer) = Answer::parse(&line) {
                book.write_all(line.as_bytes()).unwrap();
                if told.send(answer).is_err() {
                    return;
                }
            }
            line.clear();
        }
    });
    answers
}

/// Lets a child live for a while and kills it; gives what it answered.
fn live_and_die(folder: &Path, durability: Durability, seed: u64, life: Duration) -> Vec<Answer> {
    let mut child = start_child(folder, durability, seed);
    let book = File::create(folder.join(format!("answers-{seed}"))).unwrap();
    let answers = record(&mut child, book);
    let deadline = Instant::now() + life;
    let mut counted = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match answers.recv_timeout(left) {
            Ok(answer) => counted.push(answer),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => {
                let output = child.wait_with_output().unwrap();
                let error = String::from_utf8_lossy(&output.stderr);
                panic!("seed {seed}: the child ended by itself: {error}");
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    counted.extend(answers.iter());
    counted
}

/// Starts the node a last time and looks every answer up.
fn check(folder: &Path, durability: Durability, answers: &BTreeMap<u64, Answer>) {
    let options = on_disk(folder, durability);
    let (mut node, _) = Node::open(&options, Box::new(SystemClock::default())).unwrap();
    node.settle().unwrap();
    node.close().unwrap();
    let opened = Folder::open(&options.data).unwrap();
    let end = opened.end(LogKind::Events).unwrap();
    let mut wanted = answers.iter().peekable();
    walk_log(opened.storage.clone(), &opened.place.log, end, |view, _, hash| {
        if !view.is::<CommandAnswered>() {
            return;
        }
        let sequence = view.decode::<CommandAnswered>().unwrap().sequence.0;
        if let Some((_, answer)) = wanted.next_if(|(wanted, _)| **wanted == sequence) {
            assert_eq!(hash, answer.events_hash, "the answer {answer} became another");
        }
    });
    assert_eq!(wanted.next(), None, "an acknowledged command is gone");
    let mut story = Vec::new();
    app::replay::replay(&options.data, u64::MAX, true, &mut story).unwrap();
    let mut report = Vec::new();
    let is_whole = app::verify::verify(&options.data, &mut report).unwrap();
    assert!(is_whole, "{}", String::from_utf8_lossy(&report));
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_at_any_moment() {
    let runs = std::env::var(RUNS).map_or(RUNS_IN_SUITE, |runs| runs.parse().unwrap());
    let mut random = Random::new(u64::from(std::process::id()));
    let (mut done, mut answered, mut placed, mut unanswered) = (0, 0, 0, 0);
    while done < runs {
        let all = [Durability::Async, Durability::Sync, Durability::Memory];
        let durability = all[(done / RUNS_PER_FOLDER % 3) as usize];
        let folder = tempfile::tempdir().unwrap();
        let mut answers = BTreeMap::new();
        for _ in 0..RUNS_PER_FOLDER.min(runs - done) {
            let seed = random.number() >> 1;
            // Some die while they recover.
            let life = random.below(LIFE_MS_MAX) * random.below(4).min(1);
            let life = Duration::from_millis(life + random.below(20));
            let counted = live_and_die(folder.path(), durability, seed, life);
            unanswered += u64::from(counted.is_empty());
            answered += counted.len() as u64;
            placed += counted.iter().filter(|answer| answer.order > 0).count() as u64;
            for answer in counted {
                let again = answers.insert(answer.sequence, answer);
                assert_eq!(again, None, "command {} was answered twice", answer.sequence);
            }
            done += 1;
        }
        check(folder.path(), durability, &answers);
    }
    println!(
        "{runs} kills, {answered} answers recorded, {placed} of orders placed, {unanswered} lives \
         without any"
    );
    assert!(placed > answered / 4, "only {placed} of {answered} commands placed an order");
    assert!(answered > runs * 10, "only {answered} answers: nothing was tested");
}
