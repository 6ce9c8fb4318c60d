//! The smallest HTTP client that will do: one request, one answer, one connection. For set-up and
//! checks, not for speed.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::credentials::Credentials;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer: status and body.
pub type Answer = (u16, String);

/// Sends one request to `http://host:port` and waits for its answer.
///
/// Errors: the server cannot be reached, takes too long, or answers what is not HTTP.
pub fn request(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let host = base.strip_prefix("http://").unwrap_or(base);
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not HTTP"))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A signed request; `parameters` without timestamp and signature, in the query.
pub fn signed(
    base: &str,
    method: &str,
    path: &str,
    credentials: &Credentials,
    parameters: &[(&str, &str)],
    now_ms: u64,
) -> io::Result<Answer> {
    let mut query: String =
        parameters.iter().map(|(name, value)| format!("{name}={value}&")).collect();
    query += &format!("timestamp={now_ms}&recvWindow=60000");
    let signature = credentials.sign_text(&query);
    let path = format!("{path}?{query}&signature={signature}");
    request(base, method, &path, &[("X-MBX-APIKEY", &credentials.key)], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_and_anything_else_is_refused() {
        let answer = "HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n{\"code\":1}";
        assert_eq!(parse(answer), Some((404, "{\"code\":1}".to_owned())));
        for broken in ["", "HTTP/1.1 \r\n\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
