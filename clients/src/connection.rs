//! A WebSocket API connection of a bot: requests out, messages in. What they mean is not decided
//! here.

use std::fmt;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::credentials::Credentials;
use crate::handshake::{API_PATH, Endpoint};
use crate::scan::answer_head;
use crate::session::{shown, unix_ms};

/// How long connecting, writing, and an answer of the set-up may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a connection is of no use any more.
#[derive(Debug)]
pub(crate) enum Lost {
    Socket(Box<tungstenite::Error>),
    Closed,
    /// Nothing came in time.
    Silent,
    /// A request of the set-up was refused.
    Refused {
        method: &'static str,
        answer: String,
    },
    /// A status of 500 or more: nobody knows what became of the request.
    UnknownOutcome {
        status: u16,
    },
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Socket(error) => write!(f, "{error}"),
            Lost::Closed => f.write_str("closed by the server"),
            Lost::Silent => f.write_str("no answer in time"),
            Lost::Refused { method, answer } => write!(f, "{method} refused: {answer}"),
            Lost::UnknownOutcome { status } => write!(f, "status {status}: outcome unknown"),
        }
    }
}

impl From<tungstenite::Error> for Lost {
    fn from(error: tungstenite::Error) -> Lost {
        match error {
            tungstenite::Error::ConnectionClosed => Lost::Closed,
            error => Lost::Socket(Box::new(error)),
        }
    }
}

/// Returns once `stop` is true, or its sender is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|&is_stopped| is_stopped).await;
}

pub(crate) struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
}

impl Connection {
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Connection, Lost> {
        let connect = connect_async_with_config(endpoint.url(API_PATH), None, true);
        let (socket, _) = timeout(PATIENCE, connect).await.map_err(|_| Lost::Silent)??;
        Ok(Connection { socket, next_id: 1 })
    }

    pub(crate) async fn logon(&mut self, credentials: &Credentials) -> Result<(), Lost> {
        let parameters = credentials.logon_parameters(unix_ms());
        self.call("session.logon", &parameters).await.map(drop)
    }

    /// Puts a request into the buffer and gives its id; [`Connection::flush`] sends.
    pub(crate) async fn request(
        &mut self,
        method: &'static str,
        parameters: &str,
    ) -> Result<u64, Lost> {
        let id = self.next_id;
        self.next_id += 1;
        let request = format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":{parameters}}}");
        let feed = self.socket.feed(Message::text(request));
        timeout(PATIENCE, feed).await.map_err(|_| Lost::Silent)??;
        Ok(id)
    }

    pub(crate) async fn flush(&mut self) -> Result<(), Lost> {
        Ok(timeout(PATIENCE, self.socket.flush()).await.map_err(|_| Lost::Silent)??)
    }

    /// One request and its answer, which must have status 200. Other messages are dropped.
    pub(crate) async fn call(
        &mut self,
        method: &'static str,
        parameters: &str,
    ) -> Result<Utf8Bytes, Lost> {
        let id = self.request(method, parameters).await?;
        self.flush().await?;
        let answer = async {
            loop {
                let message = self.next_message().await?;
                match answer_head(message.as_bytes()) {
                    Some(head) if head.id == id => return Ok::<_, Lost>((head.status, message)),
                    _ => {}
                }
            }
        };
        let (status, answer) = timeout(PATIENCE, answer).await.map_err(|_| Lost::Silent)??;
        match status {
            200 => Ok(answer),
            _ => Err(Lost::Refused { method, answer: shown(answer.as_bytes()) }),
        }
    }

    /// The next text message; PINGs are answered by the library. Safe to drop while waiting.
    pub(crate) async fn next_message(&mut self) -> Result<Utf8Bytes, Lost> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(_))) | None => return Err(Lost::Closed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}
