//! One WebSocket: texts and signs of life in, texts out.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::header::{HeaderValue, RETRY_AFTER, USER_AGENT};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::AGENT;
use super::error::Error;
use super::net::{Duplex, Net, Target};

/// Longest message that is read: a venue's snapshots are below 1 MiB.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// What waits to be sent: subscriptions and pings, nothing more.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// How long a write may take before the other side is taken for gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What came.
pub(crate) enum Got {
    Text(Utf8Bytes),
    /// Bytes that are no text: some venues compress.
    Binary(Bytes),
    /// A ping or a pong; pings are answered.
    Life,
    /// The end, with what the other side says of it.
    Closed(String),
}

pub(crate) struct Socket {
    inner: WebSocketStream<Box<dyn Duplex>>,
}

impl Socket {
    pub(crate) async fn open(net: &Net, url: &str, patience: Duration) -> Result<Socket, Error> {
        let opened = timeout(patience, Socket::open_patiently(net, url)).await;
        opened.map_err(|_| Error::Late { what: "opening the WebSocket" })?
    }

    async fn open_patiently(net: &Net, url: &str) -> Result<Socket, Error> {
        let target = Target::parse(url)?;
        let mut request = url.into_client_request().map_err(failed)?;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let stream = net.dial(&target).await?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX))
            .max_write_buffer_size(WRITE_BYTES_MAX);
        let opened = client_async_with_config(request, stream, Some(config)).await;
        let (inner, _) = opened.map_err(failed)?;
        Ok(Socket { inner })
    }

    /// Waits for what comes next. Safe to drop while waiting.
    pub(crate) async fn next(&mut self) -> Got {
        match self.inner.next().await {
            Some(Ok(Message::Text(text))) => Got::Text(text),
            Some(Ok(Message::Binary(bytes))) => Got::Binary(bytes),
            Some(Ok(Message::Close(frame))) => Got::Closed(match frame {
                Some(frame) => format!("closed with {} {}", frame.code, frame.reason),
                None => "closed".to_owned(),
            }),
            Some(Ok(_)) => Got::Life,
            Some(Err(error)) => Got::Closed(error.to_string()),
            None => Got::Closed("closed".to_owned()),
        }
    }

    pub(crate) async fn send(&mut self, text: String) -> Result<(), Error> {
        self.write(Message::text(text)).await
    }

    pub(crate) async fn ping(&mut self) -> Result<(), Error> {
        self.write(Message::Ping(Bytes::new())).await
    }

    /// Says goodbye; whether it is heard does not matter.
    pub(crate) async fn close(mut self) {
        let _ = timeout(Duration::from_millis(200), self.inner.close(None)).await;
    }

    async fn write(&mut self, message: Message) -> Result<(), Error> {
        let written = timeout(WRITE_TIMEOUT, self.inner.send(message)).await;
        written.map_err(|_| Error::Late { what: "sending" })?.map_err(failed)
    }
}

fn failed(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(answer) => {
            let retry_after = answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
            Error::Refused {
                status: answer.status().as_u16(),
                retry_after_s: retry_after.and_then(|it| it.trim().parse().ok()),
            }
        }
        error => Error::WebSocket(Box::new(error)),
    }
}
