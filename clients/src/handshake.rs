//! The address of a server and the HTTP/1.1 upgrade to WebSocket (RFC 6455, section 4).

use std::fmt;

use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const DEFAULT_PORT: u16 = 80;

/// The path of the WebSocket API; answers leave out the state of the rate limits.
pub(crate) const API_PATH: &str = "/ws-api/v3?returnRateLimits=false";

/// `ws://host[:port]`, without a path. TLS is not spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    pub fn parse(url: &str) -> Result<Endpoint, HandshakeError> {
        let wrong = || HandshakeError::Url { url: url.to_owned() };
        let authority = url.strip_prefix("ws://").ok_or_else(wrong)?.trim_end_matches('/');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (authority, DEFAULT_PORT),
        };
        match host.is_empty() || host.contains(['/', '?', ' ', '\r', '\n']) {
            true => Err(wrong()),
            false => Ok(Endpoint { host: host.to_owned(), port }),
        }
    }

    /// What a socket connects to.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The whole URL of a path that begins with `/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}:{}{path}", self.host, self.port)
    }
}

/// Why no WebSocket came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeError {
    /// Not `ws://host[:port]`.
    Url { url: String },
    /// The server answered with another status than 101.
    Refused { answer: String },
    /// The answer's `Sec-WebSocket-Accept` does not belong to the key.
    WrongAccept,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Url { url } => write!(f, "not of the form ws://host:port: {url}"),
            HandshakeError::Refused { answer } => write!(f, "upgrade refused: {answer}"),
            HandshakeError::WrongAccept => f.write_str("upgrade answered for another key"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// A request for an upgrade and the answer it calls for.
pub(crate) struct Upgrade {
    key: String,
    pub(crate) request: String,
}

impl Upgrade {
    pub(crate) fn new(endpoint: &Endpoint, path: &str) -> Upgrade {
        let key = generate_key();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n",
            endpoint.address()
        );
        Upgrade { key, request }
    }

    /// Is `head` the consent to this request?
    pub(crate) fn check(&self, head: &[u8]) -> Result<(), HandshakeError> {
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default();
        if status.split(' ').nth(1) != Some("101") {
            return Err(HandshakeError::Refused { answer: status.to_owned() });
        }
        let expected = derive_accept_key(self.key.as_bytes());
        let accepted = lines.filter_map(|line| line.split_once(':')).any(|(name, value)| {
            name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == expected
        });
        if accepted { Ok(()) } else { Err(HandshakeError::WrongAccept) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        #[track_caller]
        fn check(url: &str, expected: Option<&str>) {
            assert_eq!(
                Endpoint::parse(url).ok().map(|endpoint| endpoint.url("/x")).as_deref(),
                expected
            );
        }
        check("ws://127.0.0.1:8080", Some("ws://127.0.0.1:8080/x"));
        check("ws://localhost/", Some("ws://localhost:80/x"));
        check("ws://[::1]:9", Some("ws://[::1]:9/x"));
        check("ws://[::1]", Some("ws://[::1]:80/x"));
        check("wss://localhost", None);
        check("ws://", None);
        check("ws://a:b", None);
        check("ws://a/b:1", None);
    }

    #[test]
    fn only_the_answer_to_its_own_key_opens_a_socket() {
        let endpoint = Endpoint::parse("ws://127.0.0.1:1").unwrap();
        let upgrade = Upgrade::new(&endpoint, "/stream");
        let accept = derive_accept_key(upgrade.key.as_bytes());
        let answer = |accept: &str| {
            format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {accept}\r\n\r\n")
        };
        assert_eq!(upgrade.check(answer(&accept).as_bytes()), Ok(()));
        assert_eq!(upgrade.check(answer("x").as_bytes()), Err(HandshakeError::WrongAccept));
        let refused = upgrade.check(b"HTTP/1.1 404 Not Found\r\n\r\n");
        assert_eq!(
            refused,
            Err(HandshakeError::Refused { answer: "HTTP/1.1 404 Not Found".into() })
        );
    }
}
