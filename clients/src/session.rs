//! A blocking session of the WebSocket API: opening, logging on and single requests. The load
//! generator and the probe set up with it and then take its socket for themselves.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::credentials::Credentials;
use crate::handshake::{Endpoint, HandshakeError, Upgrade};
use crate::scan::{AnswerHead, answer_head};
use crate::wire::{FrameReader, Opcode, WireError, push_frame, push_pong};

/// How long the set-up waits for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Room for received bytes of one connection.
const RECEIVE_CAPACITY: usize = 256 << 10;

/// Ids of requests of the set-up; orders are numbered from 0.
const SETUP_ID_FIRST: u64 = 1 << 62;

/// How much of an answer an error shows.
const ANSWER_SHOWN_MAX: usize = 300;

/// Why a session could not be used.
#[derive(Debug)]
pub enum SessionError {
    Handshake(HandshakeError),
    Socket(io::Error),
    Wire(WireError),
    /// The server closed the connection.
    Closed,
    /// The server said no to a request of the set-up.
    Refused {
        method: &'static str,
        answer: String,
    },
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::Handshake(error) => write!(f, "{error}"),
            SessionError::Socket(error) => write!(f, "socket: {error}"),
            SessionError::Wire(error) => write!(f, "{error}"),
            SessionError::Closed => f.write_str("closed by the server"),
            SessionError::Refused { method, answer } => write!(f, "{method} refused: {answer}"),
        }
    }
}

impl std::error::Error for SessionError {}

impl From<HandshakeError> for SessionError {
    fn from(error: HandshakeError) -> SessionError {
        SessionError::Handshake(error)
    }
}

impl From<io::Error> for SessionError {
    fn from(error: io::Error) -> SessionError {
        SessionError::Socket(error)
    }
}

impl From<WireError> for SessionError {
    fn from(error: WireError) -> SessionError {
        SessionError::Wire(error)
    }
}

/// Milliseconds since 1970: the `timestamp` of requests.
pub(crate) fn unix_ms() -> u64 {
    unix_us() / 1_000
}

/// Microseconds since 1970.
pub(crate) fn unix_us() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) struct Session {
    pub(crate) stream: TcpStream,
    pub(crate) reader: FrameReader,
    requests: u64,
    spins: bool,
}

impl Session {
    /// Connects and upgrades to WebSocket.
    pub(crate) fn open(endpoint: &Endpoint, path: &str) -> Result<Session, SessionError> {
        let stream = TcpStream::connect(endpoint.address())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let reader = FrameReader::new(RECEIVE_CAPACITY);
        let mut session = Session { stream, reader, requests: 0, spins: false };
        let upgrade = Upgrade::new(endpoint, path);
        session.stream.write_all(upgrade.request.as_bytes())?;
        let head = loop {
            match session.reader.take_head()? {
                Some(head) => break head,
                None => session.receive()?,
            }
        };
        upgrade.check(&head)?;
        Ok(session)
    }

    /// Authenticates the connection; later requests are not signed.
    pub(crate) fn logon(&mut self, credentials: &Credentials) -> Result<(), SessionError> {
        self.call("session.logon", &credentials.logon_parameters(unix_ms())).map(drop)
    }

    pub(crate) fn subscribe_user_data(&mut self) -> Result<(), SessionError> {
        self.call("userDataStream.subscribe", "{}").map(drop)
    }

    /// Cancels all open orders of the account and this symbol; having none is no error.
    pub(crate) fn cancel_all(&mut self, symbol_json: &str) -> Result<(), SessionError> {
        let timestamp = unix_ms();
        let parameters = format!("{{\"symbol\":{symbol_json},\"timestamp\":{timestamp}}}");
        match self.call("openOrders.cancelAll", &parameters) {
            Err(SessionError::Refused { answer, .. }) if answer.contains("-2011") => Ok(()),
            answered => answered.map(drop),
        }
    }

    /// One request of the set-up and its answer, which must have status 200. Events and answers
    /// to other requests that arrive meanwhile are dropped.
    fn call(&mut self, method: &'static str, parameters: &str) -> Result<Vec<u8>, SessionError> {
        let id = SETUP_ID_FIRST + self.requests;
        self.requests += 1;
        let request = format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":{parameters}}}");
        let mut out = Vec::new();
        push_frame(&mut out, Opcode::Text, request.as_bytes());
        self.stream.write_all(&out)?;
        let (status, answer) = self.answer_to(id)?;
        match status {
            200 => Ok(answer),
            _ => Err(SessionError::Refused { method, answer: shown(&answer) }),
        }
    }

    fn answer_to(&mut self, id: u64) -> Result<(u64, Vec<u8>), SessionError> {
        loop {
            let message = self.next_message()?;
            match answer_head(&message) {
                Some(AnswerHead { id: found, status }) if found == id => {
                    return Ok((status, message));
                }
                _ => {}
            }
        }
    }

    /// The next text message; PINGs are answered on the way.
    pub(crate) fn next_message(&mut self) -> Result<Vec<u8>, SessionError> {
        loop {
            let Some(frame) = self.reader.next_frame()? else {
                self.receive()?;
                continue;
            };
            match frame.opcode {
                Opcode::Text | Opcode::Binary => return Ok(frame.payload.to_vec()),
                Opcode::Close => return Err(SessionError::Closed),
                Opcode::Pong => {}
                Opcode::Ping => {
                    let mut out = Vec::new();
                    push_pong(&mut out, frame.payload);
                    self.stream.write_all(&out)?;
                }
            }
        }
    }

    /// Reads what is there, or waits. On a non-blocking socket it spins.
    fn receive(&mut self) -> Result<(), SessionError> {
        loop {
            match self.stream.read(self.reader.room()) {
                Ok(0) => return Err(SessionError::Closed),
                Ok(count) => {
                    self.reader.received(count);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.spins && error.kind() == io::ErrorKind::WouldBlock => {
                    std::hint::spin_loop();
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// From here on `receive` spins on the socket instead of sleeping in it.
    pub(crate) fn spin(&mut self) -> Result<(), SessionError> {
        self.spins = true;
        Ok(self.stream.set_nonblocking(true)?)
    }
}

/// A symbol as JSON text with its quotes.
pub(crate) fn symbol_json(symbol: &str) -> String {
    serde_json::Value::from(symbol).to_string()
}

pub(crate) fn shown(answer: &[u8]) -> String {
    let shown = answer.get(..ANSWER_SHOWN_MAX).unwrap_or(answer);
    String::from_utf8_lossy(shown).into_owned()
}
