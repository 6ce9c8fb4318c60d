//! The one loop of the load generator: send what is due, read what came, count it, sleep.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::flow::{Flow, Kind, push_number};
use super::report::{Counts, LoadReport, Progress};
use super::schedule::Schedule;
use super::{LoadError, LoadOptions};
use crate::handshake::{API_PATH, Endpoint};
use crate::scan::{self, answer_head};
use crate::session::{Session, SessionError, shown, symbol_json, unix_ms};
use crate::usage::CpuTime;
use crate::wire::{self, FrameReader, Opcode, begin_frame, end_frame, push_pong};

/// Unwritten bytes of one connection above which nothing more is given to it.
const UNWRITTEN_MAX: usize = 1 << 20;

/// Sent later than this after it was due: late.
const LATE_NS: u64 = 1_000_000;

/// How long the last answers are waited for.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the other connections are read after one was lost.
const AFTERMATH: Duration = Duration::from_millis(200);

const PROGRESS_NS: u64 = 1_000_000_000;

/// Number of a slot without an order.
const FREE: u64 = u64::MAX;

struct Connection {
    stream: TcpStream,
    reader: FrameReader,
    out: Vec<u8>,
    /// Bytes of `out` that are written.
    written: usize,
    account: usize,
    /// The first of its account: its user data tells which orders are gone.
    is_primary: bool,
}

/// An order in flight.
#[derive(Clone, Copy)]
struct Slot {
    number: u64,
    intended_ns: u64,
    sent_ns: u64,
    order_id: u64,
    symbol: u32,
    account: u32,
    kind: Kind,
}

const FREE_SLOT: Slot = Slot {
    number: FREE,
    intended_ns: 0,
    sent_ns: 0,
    order_id: 0,
    symbol: 0,
    account: 0,
    kind: Kind::Trade,
};

/// What became of an order.
enum Outcome {
    /// In the book under this id.
    Open(u64),
    /// Accepted and done; `true` when something was executed.
    Done(bool),
    Refused {
        code: i64,
        text: String,
    },
}

/// An answer that is read and not yet counted.
struct Answer {
    number: u64,
    received_ns: u64,
    outcome: Outcome,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: i64,
}

/// The server's word for an order it does not know (any more).
const CODE_CANCEL_REJECTED: i64 = -2011;

pub(super) struct Drive {
    options: LoadOptions,
    connections: Vec<Connection>,
    receiver: Receiver,
    schedule: Schedule,
    flow: Flow,
    start: Instant,
    /// The next order to send.
    next: u64,
    /// Number of the first order that is not sent.
    total: u64,
    /// Wake-ups that sent something.
    turns: usize,
}

/// What reading touches.
struct Receiver {
    /// By number, modulo the length, a power of two.
    slots: Vec<Slot>,
    answers: Vec<Answer>,
    counts: Counts,
    recorder: Option<File>,
    /// Lines of the recorder not yet written.
    lines: Vec<u8>,
    /// Symbol texts, by symbol, for the recorder.
    symbols: Vec<String>,
    in_flight: u64,
    /// From when to when answers count for the throughput.
    window_ns: (u64, u64),
}

impl Drive {
    pub(super) fn open(options: LoadOptions) -> Result<Drive, LoadError> {
        let endpoint = Endpoint::parse(&options.ws).map_err(LoadError::Url)?;
        let connections = (0..options.connections)
            .map(|connection| {
                Connection::open(&options, &endpoint, connection)
                    .map_err(|error| LoadError::Session { connection, error })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let schedule = Schedule::new(options.rate);
        let orders = |time: Duration| schedule.due(time.as_nanos() as u64).saturating_sub(1);
        let total = orders(options.warm_up + options.duration);
        let accounts = options.credentials.len().min(options.connections);
        let flow = Flow::new(
            &options.symbols,
            accounts,
            options.mix,
            options.open_orders_max,
            options.seed,
            options.recorder.is_some(),
        );
        let receiver = Receiver::new(&options)?;
        let start = Instant::now();
        let (next, turns) = (0, 0);
        Ok(Drive { options, connections, receiver, schedule, flow, start, next, total, turns })
    }

    pub(super) fn run(
        mut self,
        mut progress: impl FnMut(&Progress),
        stop: &AtomicBool,
    ) -> Result<LoadReport, LoadError> {
        self.start = Instant::now();
        let sent = self.send_all(&mut progress, stop).and_then(|()| self.drain());
        if let Err(error) = sent {
            self.survive(error)?;
        } else if self.options.cancel_at_end {
            self.cancel_open_orders();
        }
        let mut counts = self.receiver.counts;
        counts.report.unanswered = self.receiver.in_flight;
        Ok(counts.finish())
    }

    /// Sends until all is sent, the time is over or `stop`; notes what that took, whatever ended
    /// it.
    fn send_all(
        &mut self,
        progress: &mut impl FnMut(&Progress),
        stop: &AtomicBool,
    ) -> Result<(), LoadError> {
        let mut before = None;
        let ended = self.pump(progress, stop, &mut before);
        let now = self.elapsed_ns();
        let (cpu, first) = before.unwrap_or_else(|| (CpuTime::now(), self.next));
        let report = &mut self.receiver.counts.report;
        report.cpu = CpuTime::now().since(cpu);
        report.measured_sent = self.next - first;
        report.measured = Duration::from_nanos(now.saturating_sub(self.receiver.window_ns.0));
        report.never_sent = self.schedule.due(now).min(self.total).saturating_sub(self.next);
        ended
    }

    /// `before` becomes the CPU time and the number of the next order when measuring began.
    fn pump(
        &mut self,
        progress: &mut impl FnMut(&Progress),
        stop: &AtomicBool,
        before: &mut Option<(CpuTime, u64)>,
    ) -> Result<(), LoadError> {
        let (window_start, end) = self.receiver.window_ns;
        let mut next_progress = PROGRESS_NS;
        let mut now = self.elapsed_ns();
        while now < end && self.next < self.total && !stop.load(Ordering::Relaxed) {
            if now >= window_start && before.is_none() {
                *before = Some((CpuTime::now(), self.next));
            }
            if now >= next_progress {
                next_progress += PROGRESS_NS;
                progress(&self.progress(now));
            }
            self.send_due(now)?;
            self.receive()?;
            self.sleep();
            now = self.elapsed_ns();
        }
        Ok(())
    }

    fn elapsed_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn progress(&self, now: u64) -> Progress {
        let report = &self.receiver.counts.report;
        Progress {
            elapsed: Duration::from_nanos(now),
            sent: report.sent,
            answered: report.answered,
            refused: report.refused_total(),
            in_flight: self.receiver.in_flight,
        }
    }

    fn sleep(&self) {
        if self.options.poll.is_zero() {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(self.options.poll);
        }
    }

    /// Writes every order that is due, as far as connections and slots allow.
    fn send_due(&mut self, now: u64) -> Result<(), LoadError> {
        let due = self.schedule.due(now).min(self.total);
        if self.next < due {
            let timestamp_ms = unix_ms();
            self.turns = self.turns.wrapping_add(1);
            while self.next < due && self.send(timestamp_ms) {}
        }
        for (index, connection) in self.connections.iter_mut().enumerate() {
            let flushed = connection.flush();
            flushed.map_err(|error| LoadError::Session { connection: index, error })?;
        }
        Ok(())
    }

    /// Puts the next order into its connection's buffer; `false` when there is no room for it.
    #[inline]
    fn send(&mut self, timestamp_ms: u64) -> bool {
        let number = self.next;
        let turn = if self.options.spread { number as usize } else { self.turns };
        let index = turn % self.connections.len();
        let connection = &mut self.connections[index];
        let slots = &mut self.receiver.slots;
        let place = number as usize & (slots.len() - 1);
        let slot = &mut slots[place];
        if slot.number != FREE || connection.out.len() >= UNWRITTEN_MAX {
            return false;
        }
        let start = begin_frame(&mut connection.out);
        let account = connection.account;
        let written = self.flow.write(account, number, timestamp_ms, &mut connection.out);
        end_frame(&mut connection.out, start, Opcode::Text, wire::MASK);
        let sent_ns = self.start.elapsed().as_nanos() as u64;
        let intended_ns = self.schedule.intended_ns(number);
        *slot = Slot {
            number,
            intended_ns,
            sent_ns,
            order_id: written.order_id,
            symbol: written.symbol as u32,
            account: account as u32,
            kind: written.kind,
        };
        self.receiver.in_flight += 1;
        let report = &mut self.receiver.counts.report;
        report.sent += 1;
        report.late += u64::from(sent_ns.saturating_sub(intended_ns) > LATE_NS);
        self.next += 1;
        true
    }

    /// Reads all connections and counts the answers.
    fn receive(&mut self) -> Result<(), LoadError> {
        let read = (0..self.connections.len()).try_for_each(|index| self.receive_from(index));
        // What was read before a connection broke counts too.
        self.receiver.settle(&mut self.flow)?;
        read
    }

    fn receive_from(&mut self, index: usize) -> Result<(), LoadError> {
        let Some(connection) = self.connections.get_mut(index) else { return Ok(()) };
        let received = self.receiver.receive(connection, index, &mut self.flow, self.start);
        received.map_err(|error| LoadError::Session { connection: index, error })
    }

    /// Waits for the answers to what was sent.
    fn drain(&mut self) -> Result<(), LoadError> {
        let deadline = Instant::now() + DRAIN;
        while self.receiver.in_flight > 0 && Instant::now() < deadline {
            for (index, connection) in self.connections.iter_mut().enumerate() {
                let flushed = connection.flush();
                flushed.map_err(|error| LoadError::Session { connection: index, error })?;
            }
            self.receive()?;
            self.sleep();
        }
        Ok(())
    }

    /// A tolerated loss of a connection: reads what the others still hold.
    fn survive(&mut self, error: LoadError) -> Result<(), LoadError> {
        if !self.options.tolerate_disconnect || !matches!(error, LoadError::Session { .. }) {
            return Err(error);
        }
        self.receiver.counts.report.disconnected = true;
        let deadline = Instant::now() + AFTERMATH;
        while Instant::now() < deadline {
            for index in 0..self.connections.len() {
                // A connection that is lost too has nothing more to tell.
                let _ = self.receive_from(index);
            }
            self.receiver.settle(&mut self.flow)?;
            self.sleep();
        }
        Ok(())
    }

    /// Cancels what is left, on connections of its own. Whether it works changes no figure.
    fn cancel_open_orders(&self) {
        let Ok(endpoint) = Endpoint::parse(&self.options.ws) else { return };
        for credentials in self.options.credentials.iter().take(self.options.connections) {
            let Ok(mut session) = Session::open(&endpoint, API_PATH) else { return };
            if session.logon(credentials).is_err() {
                return;
            }
            for symbol in &self.options.symbols {
                let _ = session.cancel_all(&symbol_json(&symbol.symbol));
            }
        }
    }
}

impl Connection {
    fn open(
        options: &LoadOptions,
        endpoint: &Endpoint,
        index: usize,
    ) -> Result<Connection, SessionError> {
        let accounts = options.credentials.len();
        let (account, is_primary) = (index % accounts, index < accounts);
        let mut session = Session::open(endpoint, API_PATH)?;
        session.logon(&options.credentials[account])?;
        if is_primary {
            for symbol in &options.symbols {
                session.cancel_all(&symbol_json(&symbol.symbol))?;
            }
        }
        if options.user_streams {
            session.subscribe_user_data()?;
        }
        session.stream.set_nonblocking(true)?;
        let Session { stream, reader, .. } = session;
        Ok(Connection { stream, reader, out: Vec::new(), written: 0, account, is_primary })
    }

    /// Writes what the socket takes now.
    fn flush(&mut self) -> Result<(), SessionError> {
        while self.written < self.out.len() {
            match self.stream.write(self.out.get(self.written..).unwrap_or_default()) {
                Ok(0) => return Err(SessionError::Closed),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

impl Receiver {
    fn new(options: &LoadOptions) -> Result<Receiver, LoadError> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let recorder =
            options.recorder.as_ref().map(open).transpose().map_err(LoadError::Recorder)?;
        let window_start = options.warm_up.as_nanos() as u64;
        Ok(Receiver {
            slots: vec![FREE_SLOT; options.in_flight_max.next_power_of_two()],
            answers: Vec::new(),
            counts: Counts::new(),
            recorder,
            lines: Vec::new(),
            symbols: options.symbols.iter().map(|symbol| symbol.symbol.clone()).collect(),
            in_flight: 0,
            window_ns: (window_start, window_start + options.duration.as_nanos() as u64),
        })
    }

    /// Reads one socket until it is empty.
    fn receive(
        &mut self,
        connection: &mut Connection,
        index: usize,
        flow: &mut Flow,
        start: Instant,
    ) -> Result<(), SessionError> {
        loop {
            let room = connection.reader.room();
            let room_length = room.len();
            let count = match connection.stream.read(room) {
                Ok(0) => return Err(SessionError::Closed),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            connection.reader.received(count);
            let received_ns = start.elapsed().as_nanos() as u64;
            self.read_frames(connection, index, flow, received_ns)?;
            if count < room_length {
                return Ok(());
            }
        }
    }

    fn read_frames(
        &mut self,
        connection: &mut Connection,
        index: usize,
        flow: &mut Flow,
        received_ns: u64,
    ) -> Result<(), SessionError> {
        while let Some(frame) = connection.reader.next_frame()? {
            match frame.opcode {
                Opcode::Text if scan::is_event(frame.payload) => {
                    self.counts.report.user_events += 1;
                    if connection.is_primary
                        && let Some(order_id) = scan::order_gone(frame.payload)
                    {
                        flow.gone(connection.account, order_id);
                    }
                }
                Opcode::Text => self.read_answer(frame.payload, index, received_ns),
                Opcode::Ping => push_pong(&mut connection.out, frame.payload),
                Opcode::Close => return Err(SessionError::Closed),
                Opcode::Binary | Opcode::Pong => {}
            }
        }
        Ok(())
    }

    /// Reads one answer; it is counted by [`Receiver::settle`].
    fn read_answer(&mut self, message: &[u8], connection: usize, received_ns: u64) {
        let slot = answer_head(message).and_then(|head| Some((head, self.slot(head.id)?)));
        let Some((head, slot)) = slot else {
            // Refusals without the id of a request, such as a key that was removed meanwhile.
            return self.counts.refused(error_code(message), || shown(message));
        };
        if self.recorder.is_some() {
            self.record(connection, slot, head.status, message);
        }
        let outcome = match head.status {
            200 => accepted(slot.kind, message),
            _ => Outcome::Refused { code: error_code(message), text: shown(message) },
        };
        self.answers.push(Answer { number: head.id, received_ns, outcome });
    }

    /// The order in flight with this number.
    #[inline]
    fn slot(&self, number: u64) -> Option<Slot> {
        let place = number as usize & (self.slots.len() - 1);
        self.slots.get(place).copied().filter(|slot| slot.number == number && number != FREE)
    }

    fn record(&mut self, connection: usize, slot: Slot, status: u64, message: &[u8]) {
        let lines = &mut self.lines;
        push_number(lines, connection as u64);
        lines.push(b' ');
        push_number(lines, slot.number);
        let symbol = self.symbols.get(slot.symbol as usize).map_or("-", String::as_str);
        for word in [slot.kind.as_str(), symbol] {
            lines.push(b' ');
            lines.extend_from_slice(word.as_bytes());
        }
        if status != 200 {
            // Writing to a Vec does not fail.
            let _ = writeln!(lines, " - - {} -", error_code(message));
            return;
        }
        lines.push(b' ');
        push_number(lines, scan::number_after(message, b"\"orderId\":").unwrap_or(0));
        let client_order_id: &[u8] = match slot.kind {
            Kind::Cancel => b"\"origClientOrderId\":",
            Kind::Rest | Kind::Near | Kind::Trade => b"\"clientOrderId\":",
        };
        for key in [client_order_id, b"\"status\":", b"\"executedQty\":"] {
            lines.push(b' ');
            lines.extend_from_slice(scan::text_after(message, key).unwrap_or(b"-"));
        }
        lines.push(b'\n');
    }

    /// Counts the answers that were read, after they are in the recorder's file.
    fn settle(&mut self, flow: &mut Flow) -> Result<(), LoadError> {
        if let Some(recorder) = &mut self.recorder
            && !self.lines.is_empty()
        {
            recorder.write_all(&self.lines).map_err(LoadError::Recorder)?;
            self.lines.clear();
        }
        let mut answers = std::mem::take(&mut self.answers);
        for answer in answers.drain(..) {
            self.count(answer, flow);
        }
        self.answers = answers;
        Ok(())
    }

    #[inline]
    fn count(&mut self, answer: Answer, flow: &mut Flow) {
        // An answer that came twice has lost its slot.
        let Some(slot) = self.slot(answer.number) else { return };
        let place = answer.number as usize & (self.slots.len() - 1);
        self.slots[place].number = FREE;
        self.in_flight -= 1;
        let counts = &mut self.counts;
        counts.report.answered += 1;
        if (self.window_ns.0..self.window_ns.1).contains(&answer.received_ns) {
            counts.measured_answers += 1;
        }
        if slot.sent_ns >= self.window_ns.0 {
            counts.latency.record(answer.received_ns.saturating_sub(slot.intended_ns));
            counts.service.record(answer.received_ns.saturating_sub(slot.sent_ns));
        }
        self.count_outcome(slot, answer.outcome, flow);
    }

    fn count_outcome(&mut self, slot: Slot, outcome: Outcome, flow: &mut Flow) {
        let (account, symbol) = (slot.account as usize, slot.symbol as usize);
        let report = &mut self.counts.report;
        let mut open = None;
        match outcome {
            Outcome::Open(order_id) => {
                report.rested += 1;
                open = Some(order_id);
            }
            Outcome::Done(executed) => match slot.kind {
                Kind::Rest | Kind::Near => report.rested += 1,
                Kind::Cancel => report.canceled += 1,
                Kind::Trade => {
                    report.traded += 1;
                    report.filled += u64::from(executed);
                }
            },
            Outcome::Refused { code, text } => {
                if slot.kind == Kind::Cancel && code != CODE_CANCEL_REJECTED {
                    flow.cancel_refused(account, symbol, slot.order_id);
                }
                self.counts.refused(code, || text);
            }
        }
        if slot.kind.rests() {
            flow.rest_answered(account, symbol, slot.kind, open);
        }
    }
}

#[inline]
fn accepted(kind: Kind, message: &[u8]) -> Outcome {
    match kind {
        Kind::Cancel => Outcome::Done(false),
        Kind::Trade => Outcome::Done(has_executed(message)),
        Kind::Rest | Kind::Near => match scan::number_after(message, b"\"orderId\":") {
            Some(order_id) if status_is(message, &[b"NEW", b"PARTIALLY_FILLED"]) => {
                Outcome::Open(order_id)
            }
            _ => Outcome::Done(true),
        },
    }
}

#[inline]
fn status_is(message: &[u8], words: &[&[u8]]) -> bool {
    scan::text_after(message, b"\"status\":").is_some_and(|status| words.contains(&status))
}

#[inline]
fn has_executed(message: &[u8]) -> bool {
    let executed = scan::text_after(message, b"\"executedQty\":").unwrap_or_default();
    executed.iter().any(|digit| (b'1'..=b'9').contains(digit))
}

/// The error's code; 0 when there is none.
fn error_code(message: &[u8]) -> i64 {
    serde_json::from_slice::<ErrorAnswer>(message).map_or(0, |answer| answer.error.code)
}
