//! A WebSocket client that shows everything: messages, silence, and how the connection ended.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, client};

/// How long a message that has to come may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Got {
    Message(Value),
    /// Closed or cut off: the code and reason of the close frame, 0 without one.
    Closed(u16, String),
    Silence,
}

pub(super) struct Socket {
    inner: WebSocket<TcpStream>,
    /// Read while an answer was waited for.
    passed: VecDeque<Value>,
    next_id: u64,
}

impl Socket {
    /// `base`: `ws://host:port`.
    #[track_caller]
    pub(super) fn open(base: &str, path: &str) -> Socket {
        Socket::try_open(base, path).unwrap_or_else(|status| panic!("{path}: {status}"))
    }

    /// Errors: the status with which the upgrade was refused, and the body.
    pub(super) fn try_open(base: &str, path: &str) -> Result<Socket, String> {
        let stream = TcpStream::connect(base.trim_start_matches("ws://")).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        match client::client(format!("{base}{path}"), stream) {
            Ok((inner, _)) => Ok(Socket { inner, passed: VecDeque::new(), next_id: 1 }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                Err(format!("{} {}", answer.status().as_u16(), String::from_utf8_lossy(body)))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn send(&mut self, text: impl Into<String>) {
        self.inner.send(Message::text(text.into())).unwrap();
    }

    /// Errors: the connection is gone, or takes nothing more.
    pub(super) fn try_send(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        self.inner.send(message)
    }

    pub(super) fn set_write_timeout(&mut self, patience: Duration) {
        self.inner.get_ref().set_write_timeout(Some(patience)).unwrap();
    }

    /// The next message, however long it takes; pings are answered on the way.
    #[track_caller]
    pub(super) fn next(&mut self) -> Value {
        match self.next_within(TIMEOUT) {
            Got::Message(message) => message,
            other => panic!("no message: {other:?}"),
        }
    }

    pub(super) fn next_within(&mut self, patience: Duration) -> Got {
        if let Some(message) = self.passed.pop_front() {
            return Got::Message(message);
        }
        self.read(Instant::now() + patience)
    }

    fn read(&mut self, deadline: Instant) -> Got {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Zero would mean for ever.
            let left = left.max(Duration::from_millis(1));
            self.inner.get_ref().set_read_timeout(Some(left)).unwrap();
            match self.inner.read() {
                Ok(Message::Text(text)) => {
                    let parsed = serde_json::from_str(&text);
                    return Got::Message(parsed.unwrap_or_else(|it| panic!("{it}: {text}")));
                }
                Ok(Message::Close(frame)) => {
                    let frame = frame.map(|it| (u16::from(it.code), it.reason.to_string()));
                    let (code, reason) = frame.unwrap_or_default();
                    return Got::Closed(code, reason);
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if is_timeout(&error) => {
                    if Instant::now() >= deadline {
                        return Got::Silence;
                    }
                }
                Err(error) => return Got::Closed(0, error.to_string()),
            }
        }
    }

    /// Reads to the end of the connection.
    #[track_caller]
    pub(super) fn until_closed(&mut self) -> (Vec<Value>, u16, String) {
        let mut messages = Vec::new();
        loop {
            match self.next_within(TIMEOUT) {
                Got::Message(message) => messages.push(message),
                Got::Closed(code, reason) => return (messages, code, reason),
                Got::Silence => panic!("still open after {} messages", messages.len()),
            }
        }
    }

    /// The next message for which something holds; others are dropped.
    #[track_caller]
    pub(super) fn find(&mut self, is_meant: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let message = self.next();
            if is_meant(&message) {
                return message;
            }
            assert!(Instant::now() < deadline, "it never came");
        }
    }

    /// A request and its answer. Events that come before it are kept for [`Socket::next`].
    #[track_caller]
    pub(super) fn call(&mut self, method: &str, params: &Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.send(json!({ "id": id, "method": method, "params": params }).to_string());
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.read(deadline) {
                Got::Message(message) if message["id"] == id => return message,
                Got::Message(message) => self.passed.push_back(message),
                other => panic!("{method} has no answer: {other:?}"),
            }
        }
    }

    /// The result of a request that must be granted.
    #[track_caller]
    pub(super) fn ok(&mut self, method: &str, params: &Value) -> Value {
        let mut answer = self.call(method, params);
        assert_eq!(answer["status"], 200, "{method}: {answer}");
        answer["result"].take()
    }
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
