//! Local settings: where and how this process runs. None of them ever influences an event.

use super::reader::Section;
use super::source::{ConfigError, Effective, Source};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How durable a frame is before it counts as committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Survives the process, not the machine.
    Memory,
    /// Synced in the background: a power cut loses at most `async_interval_ms`, never a hole.
    Async,
    /// Synced before any answer.
    Sync,
}

/// What a stage does while it has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    Spin,
    Yield,
    Park,
}

/// Whether sequencer, replication and engine share one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fused {
    /// With fewer than four allowed cores.
    Auto,
    Always,
    Never,
}

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    pub listen: SocketAddr,
    pub data_directory: PathBuf,
    /// Of live cursors and rings; none: chosen in shared memory by the id of the log.
    pub runtime_directory: Option<PathBuf>,
    pub durability: Durability,
    pub async_interval: Duration,
    pub segment_bytes: u64,
    /// Between two snapshots of `serve`; zero: none are taken.
    pub snapshot_interval: Duration,
    /// Numbers of the operating system; empty: any.
    pub cores: Vec<usize>,
    pub waiting: Waiting,
    pub fused: Fused,
    /// A core that cannot be had stops the start, instead of a warning.
    pub strict_pinning: bool,
    pub ring_bytes: u64,
    pub frame_bytes_max: u64,
    pub uncommitted_bytes_max: u64,
    pub snapshots_kept: u32,
    /// 0: nothing is ever removed.
    pub retention_bytes_max: u64,
    /// Of the admin API; none switches it off.
    pub admin_token: Option<String>,
    /// Bounds and switches of the gateway.
    pub gateway: gateway::Options,
    /// A start of `serve` reads at most about this much of the event log.
    pub replay_bytes_max: u64,
    /// The feed that `serve` keeps.
    pub feed: FeedSettings,
}

/// A feed of other venues: what, from where, and how much of it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedSettings {
    /// `VENUE:SYMBOL`; empty: no feed is kept.
    pub sources: Vec<String>,
    /// `VENUE=URL`.
    pub ws_urls: Vec<String>,
    /// `VENUE=URL`.
    pub rest_urls: Vec<String>,
    pub proxy: Option<String>,
    pub certificates: Option<PathBuf>,
    /// Levels a side of a book; 0: all.
    pub levels_max: usize,
    pub log_segment_bytes: u64,
    /// Of all segments together.
    pub log_bytes_max: u64,
}

/// One local setting: its key in the file and on the command line, and all that is said about it.
pub struct Setting {
    pub key: &'static str,
    pub default: &'static str,
    /// What it may be, with its unit.
    pub allowed: &'static str,
    pub about: &'static str,
    put: fn(&mut Local, &str) -> Option<()>,
}

impl Setting {
    /// `log.durability` → `OUTCRY_LOG_DURABILITY`.
    pub fn variable(&self) -> String {
        format!("OUTCRY_{}", self.key.replace('.', "_").to_uppercase())
    }

    fn section(&self) -> &'static str {
        self.key.split('.').next().unwrap_or_default()
    }

    fn name(&self) -> &'static str {
        self.key.split('.').next_back().unwrap_or_default()
    }

    /// As TOML, for `config show`.
    fn shown(&self, text: &str) -> String {
        let plain = matches!(text, "true" | "false")
            || !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match (self.key, plain) {
            ("threads.cores", _) => format!("[{text}]"),
            ("feed.sources" | "feed.ws_urls" | "feed.rest_urls", _) => {
                let items: Vec<_> = items(text).map(gateway::exchange_info::quoted).collect();
                format!("[{}]", items.join(", "))
            }
            // It may have a password in it.
            ("feed.proxy", _) if text.contains('@') => gateway::exchange_info::quoted("***"),
            ("admin.token", _) if !text.is_empty() => gateway::exchange_info::quoted("***"),
            (_, true) => text.to_string(),
            (_, false) => gateway::exchange_info::quoted(text),
        }
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Every local setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "server.listen",
        default: "127.0.0.1:8080",
        allowed: "ADDRESS:PORT with a numeric address; port 0 takes a free one",
        about: "Where `serve` listens.",
        put: |local, text| text.parse().ok().map(|address| local.listen = address),
    },
    Setting {
        key: "server.sockets_max",
        default: "8192",
        allowed: "1 to 1000000 sockets",
        about: "Open sockets of all kinds; more wait until one is closed.",
        put: |local, text| {
            let number = whole(text, 1, 1_000_000)?;
            local.gateway.sockets_max = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.connections_max",
        default: "4096",
        allowed: "1 to 1000000 connections",
        about: "Open WebSocket connections of all kinds; more are refused.",
        put: |local, text| {
            let number = whole(text, 1, 1000000)?;
            local.gateway.connections_max = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.connects_per_five_minutes",
        default: "300",
        allowed: "0 to 1000000 attempts; 0 is no bound",
        about: "WebSocket connection attempts of one address in five minutes.",
        put: |local, text| {
            let number = whole(text, 0, 1000000)?;
            local.gateway.connects_per_five_minutes = u32::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.streams_max",
        default: "1024",
        allowed: "1 to 100000 streams",
        about: "Streams of one connection.",
        put: |local, text| {
            let number = whole(text, 1, 100000)?;
            local.gateway.streams_max = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.stream_messages_per_second",
        default: "5",
        allowed: "0 to 1000000 messages; 0 is no bound",
        about: "Messages a second that a client of streams may send; more cut it off.",
        put: |local, text| {
            let number = whole(text, 0, 1000000)?;
            local.gateway.stream_messages_per_second = u32::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.request_bytes_max",
        default: "65536",
        allowed: "1024 to 16777216 bytes",
        about: "The largest request: body, query or WebSocket message.",
        put: |local, text| {
            let number = whole(text, 1024, 16777216)?;
            local.gateway.request_bytes_max = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.pending_max",
        default: "65536",
        allowed: "1 to 4194304 requests",
        about: "Requests that wait for their answer; more are refused (-1008).",
        put: |local, text| {
            let number = whole(text, 1, 4194304)?;
            local.gateway.pending_max = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.outbox_messages_max",
        default: "65536",
        allowed: "16 to 16777216 messages",
        about: "Messages that may wait for one connection; then it is cut off as too slow.",
        put: |local, text| {
            let number = whole(text, 16, 16777216)?;
            local.gateway.outbox.messages_max = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.outbox_bytes_max",
        default: "33554432",
        allowed: "65536 to 17179869184 bytes",
        about: "Bytes that may wait for one connection; then it is cut off as too slow.",
        put: |local, text| {
            let number = whole(text, 65536, 17179869184)?;
            local.gateway.outbox.bytes_max = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.idle_timeout_ms",
        default: "75000",
        allowed: "100 to 3600000 milliseconds",
        about: "A socket on which nothing is read or written for so long is closed; longer than a \
                pong may take.",
        put: |local, text| {
            let number = whole(text, 100, 3_600_000)?;
            local.gateway.idle_timeout = Duration::from_millis(number);
            Some(())
        },
    },
    Setting {
        key: "server.ping_interval_ms",
        default: "20000",
        allowed: "10 to 3600000 milliseconds",
        about: "How often WebSocket connections are pinged.",
        put: |local, text| {
            let number = whole(text, 10, 3600000)?;
            local.gateway.ping_interval = Duration::from_millis(number);
            Some(())
        },
    },
    Setting {
        key: "server.pong_timeout_ms",
        default: "60000",
        allowed: "10 to 3600000 milliseconds",
        about: "A connection that answers no ping for so long is closed.",
        put: |local, text| {
            let number = whole(text, 10, 3600000)?;
            local.gateway.pong_timeout = Duration::from_millis(number);
            Some(())
        },
    },
    Setting {
        key: "server.connection_age_max_s",
        default: "86400",
        allowed: "1 to 31536000 seconds",
        about: "A connection that is older is closed, as the venue does after 24 hours.",
        put: |local, text| {
            let number = whole(text, 1, 31536000)?;
            local.gateway.connection_age_max = Duration::from_secs(number);
            Some(())
        },
    },
    Setting {
        key: "server.rate_limits",
        default: "true",
        allowed: "true, false",
        about: "The venue's rate limits are applied; false: they are shown and counted only.",
        put: |local, text| {
            one_of(text, &[("true", true), ("false", false)])
                .map(|applied| local.gateway.rate_limits = applied)
        },
    },
    Setting {
        key: "server.idempotency_window_s",
        default: "0",
        allowed: "0 to 86400 seconds",
        about: "For so long the client order id of a closed order is refused; 0: it is free at once, as at the venue.",
        put: |local, text| {
            let number = whole(text, 0, 86_400)?;
            local.gateway.idempotency_window_s = u32::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "server.listen_keys",
        default: "false",
        allowed: "true, false",
        about: "The legacy `userDataStream` with listen keys, retired by Binance on 2026-02-20.",
        put: |local, text| {
            one_of(text, &[("true", true), ("false", false)])
                .map(|kept| local.gateway.listen_keys = kept)
        },
    },
    Setting {
        key: "data.directory",
        default: "./outcry-data",
        allowed: "a path",
        about: "The logs, the snapshots and `secret.key`.",
        put: |local, text| path(text).map(|path| local.data_directory = path),
    },
    Setting {
        key: "data.runtime_directory",
        default: "auto",
        allowed: "auto, or a path on a file system in memory",
        about: "Live cursors and rings; `auto` is `/dev/shm/outcry-<id of the log>`.",
        put: |local, text| {
            let chosen = path(text)?;
            local.runtime_directory = (text != "auto").then_some(chosen);
            Some(())
        },
    },
    Setting {
        key: "log.durability",
        default: "async",
        allowed: "memory, async, sync",
        about: "What a commit survives: `memory` the process, `async` a power cut but for the \
                last `async_interval_ms`, `sync` a power cut.",
        put: |local, text| {
            const WORDS: &[(&str, Durability)] = &[
                ("memory", Durability::Memory),
                ("async", Durability::Async),
                ("sync", Durability::Sync),
            ];
            one_of(text, WORDS).map(|word| local.durability = word)
        },
    },
    Setting {
        key: "log.async_interval_ms",
        default: "100",
        allowed: "1 to 60000 milliseconds",
        about: "The most that a power cut takes with durability `async`.",
        put: |local, text| {
            whole(text, 1, 60_000).map(|ms| local.async_interval = Duration::from_millis(ms))
        },
    },
    Setting {
        key: "log.segment_bytes",
        default: "67108864",
        allowed: "65536 to 4294963200 bytes, a multiple of 4096",
        about: "The size of a segment file of either log. A segment is allotted as a whole.",
        put: |local, text| {
            let bytes = whole(text, 64 * KIB, 4 * GIB - 4 * KIB)?;
            bytes.is_multiple_of(4 * KIB).then(|| local.segment_bytes = bytes)
        },
    },
    Setting {
        key: "log.snapshot_interval_s",
        default: "300",
        allowed: "0 to 31536000 seconds; 0 takes none",
        about: "How often `serve` takes a snapshot, if at least 10000 commands came since.",
        put: |local, text| {
            whole(text, 0, 31_536_000)
                .map(|seconds| local.snapshot_interval = Duration::from_secs(seconds))
        },
    },
    Setting {
        key: "threads.cores",
        default: "",
        allowed: "a list of different cores by their numbers in the operating system, 0 to 1023, \
                  first for sequencer and replication, second for the engine; empty: any",
        about: "The cores that the stages are pinned to.",
        put: |local, text| cores(text).map(|cores| local.cores = cores),
    },
    Setting {
        key: "threads.waiting",
        default: "park",
        allowed: "spin, yield, park",
        about: "What an idle stage does: `spin` answers fastest and takes a whole core, `park` \
                spins shortly and then sleeps.",
        put: |local, text| {
            const WORDS: &[(&str, Waiting)] =
                &[("spin", Waiting::Spin), ("yield", Waiting::Yield), ("park", Waiting::Park)];
            one_of(text, WORDS).map(|word| local.waiting = word)
        },
    },
    Setting {
        key: "threads.fused",
        default: "auto",
        allowed: "auto, true, false",
        about: "Sequencer, replication and engine on one thread; `auto`: with fewer than four \
                cores.",
        put: |local, text| {
            const WORDS: &[(&str, Fused)] =
                &[("auto", Fused::Auto), ("true", Fused::Always), ("false", Fused::Never)];
            one_of(text, WORDS).map(|word| local.fused = word)
        },
    },
    Setting {
        key: "threads.strict_pinning",
        default: "false",
        allowed: "true, false",
        about: "A core that cannot be had stops the start, instead of a warning.",
        put: |local, text| {
            one_of(text, &[("true", true), ("false", false)])
                .map(|strict| local.strict_pinning = strict)
        },
    },
    Setting {
        key: "limits.ring_bytes",
        default: "4194304",
        allowed: "65536 to 1073741824 bytes, a power of two",
        about: "The ring of one producer. New orders stop at three quarters of it.",
        put: |local, text| {
            let bytes = whole(text, 64 * KIB, GIB)?;
            bytes.is_power_of_two().then(|| local.ring_bytes = bytes)
        },
    },
    Setting {
        key: "limits.frame_bytes_max",
        default: "1048576",
        allowed: "4096 to 1048576 bytes",
        about: "The largest frame: how much one batch takes.",
        put: |local, text| whole(text, 4 * KIB, MIB).map(|bytes| local.frame_bytes_max = bytes),
    },
    Setting {
        key: "limits.uncommitted_bytes_max",
        default: "16777216",
        allowed: "1048576 to 1073741824 bytes",
        about: "Frames that wait to be durable; new orders stop there.",
        put: |local, text| whole(text, MIB, GIB).map(|bytes| local.uncommitted_bytes_max = bytes),
    },
    Setting {
        key: "limits.snapshots_kept",
        default: "3",
        allowed: "1 to 100 snapshots",
        about: "Older snapshots are removed, and so may the segments below the oldest kept.",
        put: |local, text| {
            local.snapshots_kept = u32::try_from(whole(text, 1, 100)?).ok()?;
            Some(())
        },
    },
    Setting {
        key: "limits.retention_bytes_max",
        default: "0",
        allowed: "0 to 1152921504606846976 bytes; 0 keeps everything",
        about: "When both logs take more after a snapshot, segments below the oldest kept \
                snapshot are removed; a replay then begins at that snapshot.",
        put: |local, text| whole(text, 0, 1 << 60).map(|bytes| local.retention_bytes_max = bytes),
    },
    Setting {
        key: "admin.token",
        default: "",
        allowed: "text of printable ASCII without blanks; empty: the admin API is off",
        about: "What callers of the admin API send as `Authorization: Bearer TOKEN`.",
        put: |local, text| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
            is_plain.then(|| local.admin_token = (!text.is_empty()).then(|| text.to_owned()))
        },
    },
    Setting {
        key: "admin.remote",
        default: "false",
        allowed: "true, false",
        about: "The admin API answers callers on other machines, too.",
        put: |local, text| {
            one_of(text, &[("true", true), ("false", false)])
                .map(|remote| local.gateway.admin_remote = remote)
        },
    },
    Setting {
        key: "history.trades",
        default: "10000",
        allowed: "1 to 10000000 trades",
        about: "Public trades kept of each symbol, and as many aggregate trades.",
        put: |local, text| {
            let number = whole(text, 1, 10000000)?;
            local.gateway.history.trades = usize::try_from(number).ok()?;
            local.gateway.history.aggregate_trades = local.gateway.history.trades;
            Some(())
        },
    },
    Setting {
        key: "history.candles",
        default: "1500",
        allowed: "1 to 1000000 candles",
        about: "Candles with trades kept of each symbol and interval.",
        put: |local, text| {
            let number = whole(text, 1, 1000000)?;
            local.gateway.history.candles = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "history.closed_orders",
        default: "4000",
        allowed: "1 to 10000000 orders",
        about: "Closed orders kept of each account and symbol; open ones always are.",
        put: |local, text| {
            let number = whole(text, 1, 10000000)?;
            local.gateway.closed_orders_max = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "history.fills",
        default: "4000",
        allowed: "1 to 10000000 fills",
        about: "Fills kept of each account and symbol.",
        put: |local, text| {
            let number = whole(text, 1, 10000000)?;
            local.gateway.fills_max = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "history.resume_messages",
        default: "10000",
        allowed: "0 to 10000000 messages",
        about: "Messages kept of each stream that is read over HTTP, for resuming.",
        put: |local, text| {
            let number = whole(text, 0, 10000000)?;
            local.gateway.resume_messages = usize::try_from(number).ok()?;
            Some(())
        },
    },
    Setting {
        key: "history.replay_bytes_max",
        default: "1073741824",
        allowed: "0 to 1152921504606846976 bytes",
        about: "How much of the event log a start of `serve` reads to make its views anew; a longer \
                one is read from a snapshot on, and closed orders and fills from before are not \
                known.",
        put: |local, text| whole(text, 0, 1 << 60).map(|bytes| local.replay_bytes_max = bytes),
    },
    Setting {
        key: "feed.sources",
        default: "",
        allowed: "a list of VENUE:SYMBOL, as in `binance:BTCUSDT`; VENUE is binance, binance-usdm, \
                  bitget, bitget-usdt-futures, bitget-coin-futures or bitget-usdc-futures",
        about: "Books of other venues that `serve` keeps and shows ([feed.md](feed.md)); empty: it \
                shows what another process writes, if one does.",
        put: |local, text| feed_list(text, ':').map(|list| local.feed.sources = list),
    },
    Setting {
        key: "feed.ws_urls",
        default: "",
        allowed: "a list of VENUE=URL with ws or wss",
        about: "Where the streams of a venue are, if not at its own address.",
        put: |local, text| feed_list(text, '=').map(|list| local.feed.ws_urls = list),
    },
    Setting {
        key: "feed.rest_urls",
        default: "",
        allowed: "a list of VENUE=URL with http or https",
        about: "Where the REST API of a venue is, if not at its own address.",
        put: |local, text| feed_list(text, '=').map(|list| local.feed.rest_urls = list),
    },
    Setting {
        key: "feed.proxy",
        default: "",
        allowed: "http://[USER:PASSWORD@]HOST:PORT; empty: none",
        about: "Venues are reached through this proxy (CONNECT).",
        put: |local, text| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
            let is_url = text.is_empty() || text.starts_with("http://");
            (is_plain && is_url)
                .then(|| local.feed.proxy = (!text.is_empty()).then(|| text.to_owned()))
        },
    },
    Setting {
        key: "feed.certificates",
        default: "",
        allowed: "a path of a PEM file; empty: none",
        about: "Certificates that are trusted beside those of the web.",
        put: |local, text| {
            local.feed.certificates = match text {
                "" => None,
                text => Some(path(text)?),
            };
            Some(())
        },
    },
    Setting {
        key: "feed.levels_max",
        default: "1000",
        allowed: "0 to 65536 levels; 0 keeps all that the venue sends",
        about: "Levels a side that are kept of a book of another venue.",
        put: |local, text| {
            local.feed.levels_max = usize::try_from(whole(text, 0, 65_536)?).ok()?;
            Some(())
        },
    },
    Setting {
        key: "feed.log_segment_bytes",
        default: "16777216",
        allowed: "1048576 to 1073741824 bytes, a multiple of 4096",
        about: "The size of a segment file of the feed's log.",
        put: |local, text| {
            let bytes = whole(text, MIB, GIB)?;
            bytes.is_multiple_of(4 * KIB).then(|| local.feed.log_segment_bytes = bytes)
        },
    },
    Setting {
        key: "feed.log_bytes_max",
        default: "268435456",
        allowed: "2097152 to 1152921504606846976 bytes",
        about: "What the feed's log takes; older segments are removed, two always stay.",
        put: |local, text| {
            whole(text, 2 * MIB, 1 << 60).map(|bytes| local.feed.log_bytes_max = bytes)
        },
    },
];

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
}

fn one_of<W: Copy>(text: &str, words: &[(&str, W)]) -> Option<W> {
    words.iter().find(|(word, _)| *word == text).map(|(_, word)| *word)
}

fn whole(text: &str, min: u64, max: u64) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (min..=max).contains(number))
}

fn cores(text: &str) -> Option<Vec<usize>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut cores: Vec<usize> = Vec::new();
    for item in text.split(',') {
        let core = usize::try_from(whole(item.trim(), 0, 1_023)?).ok()?;
        if cores.contains(&core) {
            return None;
        }
        cores.push(core);
    }
    Some(cores)
}

/// The items of a list, as the layers hand it over.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// A list of `VENUE:SYMBOL` or `VENUE=URL`, each once.
fn feed_list(text: &str, between: char) -> Option<Vec<String>> {
    let mut list: Vec<String> = Vec::new();
    for item in items(text) {
        let (venue, value) = item.split_once(between)?;
        let is_known = feed::shell::venues::VENUE_NAMES.contains(&venue);
        let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_known || !is_plain || list.iter().any(|it| it == item) {
            return None;
        }
        list.push(item.to_owned());
    }
    Some(list)
}

/// The settings on their way through the layers.
pub(crate) struct Layers {
    local: Local,
    effective: Vec<Effective>,
}

impl Layers {
    /// The defaults.
    pub(crate) fn new() -> Layers {
        let local = Local {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data_directory: PathBuf::new(),
            runtime_directory: None,
            durability: Durability::Async,
            async_interval: Duration::ZERO,
            segment_bytes: 0,
            snapshot_interval: Duration::ZERO,
            cores: Vec::new(),
            waiting: Waiting::Park,
            fused: Fused::Auto,
            strict_pinning: false,
            ring_bytes: 0,
            frame_bytes_max: 0,
            uncommitted_bytes_max: 0,
            snapshots_kept: 0,
            retention_bytes_max: 0,
            admin_token: None,
            gateway: gateway::Options::default(),
            replay_bytes_max: 0,
            feed: FeedSettings::default(),
        };
        let mut layers = Layers { local, effective: Vec::with_capacity(SETTINGS.len()) };
        for setting in SETTINGS {
            let put = (setting.put)(&mut layers.local, setting.default);
            debug_assert!(put.is_some(), "{}: its own default", setting.key);
            layers.effective.push(Effective {
                key: setting.key.to_string(),
                value: setting.shown(setting.default),
                source: Source::Default,
            });
        }
        layers
    }

    fn put(&mut self, setting: &Setting, text: &str, source: Source) -> Result<(), ConfigError> {
        if (setting.put)(&mut self.local, text).is_none() {
            let what = format!("`{}`: {text:?} is not allowed", setting.key);
            return Err(ConfigError::new(source, what, setting.allowed));
        }
        if let Some(effective) = self.effective.iter_mut().find(|it| it.key == setting.key) {
            effective.value = setting.shown(text);
            effective.source = source;
        }
        Ok(())
    }

    pub(crate) fn file(&mut self, top: &mut Section<'_, '_>) -> Result<(), ConfigError> {
        let mut names: Vec<&str> = SETTINGS.iter().map(Setting::section).collect();
        names.dedup();
        for name in names {
            let mut section = top.section(name)?;
            for setting in SETTINGS.iter().filter(|setting| setting.section() == name) {
                if let Some(item) = section.take(setting.name()) {
                    self.put(setting, &item.scalar(setting.allowed)?, item.source())?;
                }
            }
            section.finish()?;
        }
        Ok(())
    }

    /// Takes the variables of settings. Others of the same prefix are not ours to judge, unless
    /// they begin like a section: then a name is misspelt.
    pub(crate) fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let mut variables: Vec<(String, String)> = variables.into_iter().collect();
        variables.sort();
        for (name, text) in variables {
            let source = Source::Environment(name.clone());
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) {
                self.put(setting, &text, source)?;
                continue;
            }
            let is_ours = SETTINGS.iter().any(|setting| {
                name.starts_with(&format!("OUTCRY_{}_", setting.section().to_uppercase()))
            });
            if is_ours {
                let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
                return Err(ConfigError::new(source, "unknown variable", known.join(", ")));
            }
        }
        Ok(())
    }

    pub(crate) fn flags(&mut self, flags: &[(String, String)]) -> Result<(), ConfigError> {
        for (key, text) in flags {
            let source = Source::Flag(key.clone());
            match SETTINGS.iter().find(|setting| setting.key == key) {
                Some(setting) => self.put(setting, text, source)?,
                None => {
                    let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
                    return Err(ConfigError::new(source, "unknown setting", known.join(", ")));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> (Local, Vec<Effective>) {
        (self.local, self.effective)
    }
}
