//! An HTTP client that shows everything: status, headers, body.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// The body, which must be JSON and say so.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        let content = self.header("content-type").unwrap_or("");
        assert!(content.starts_with("application/json"), "{content}: {}", self.text);
        let parsed = serde_json::from_str(&self.text);
        parsed.unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of an answer that says yes.
    #[track_caller]
    pub(super) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// Status and code of a refusal.
    #[track_caller]
    pub(super) fn refusal(&self) -> (u16, i64) {
        let body = self.json();
        let has_text = body["msg"].as_str().is_some_and(|text| !text.is_empty());
        assert!(has_text, "no text: {body}");
        (self.status, body["code"].as_i64().unwrap_or_else(|| panic!("no code: {body}")))
    }
}

/// A connection that is kept open between requests.
pub(super) struct Http {
    /// `host:port`.
    host: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Http {
    pub(super) fn new(base: &str) -> Http {
        Http { host: base.trim_start_matches("http://").to_owned(), stream: None }
    }

    #[track_caller]
    pub(super) fn get(&mut self, target: &str) -> Reply {
        self.request("GET", target, &[], "")
    }

    #[track_caller]
    pub(super) fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let reply = self.try_request(method, target, headers, body);
        reply.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Errors: the server is gone, or what it says is not HTTP.
    pub(super) fn try_request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Reply> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.host)?,
        };
        let length = body.len();
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {length}\r\n\r\n{body}");
        let mut stream = stream;
        // Whoever refuses a large body may have answered before it is written.
        let written = stream.get_mut().write_all(text.as_bytes());
        let reply = read_reply(&mut stream)?;
        if written.is_ok() && reply.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(reply)
    }
}

pub(super) fn connect(host: &str) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(BufReader::new(stream))
}

pub(super) fn not_http(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Status and headers.
pub(super) fn read_head(stream: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| not_http(&line))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None if line.trim_end().is_empty() => break,
            None => return Err(not_http(&line)),
        }
    }
    Ok(Reply { status, headers, text: String::new() })
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<Reply> {
    let mut reply = read_head(stream)?;
    let length = reply.header("content-length").and_then(|it| it.parse::<u64>().ok());
    let length = match (length, reply.status) {
        (Some(length), _) => length,
        (None, 101 | 204) => 0,
        (None, _) => return Err(not_http("no length")),
    };
    stream.take(length).read_to_string(&mut reply.text)?;
    match reply.text.len() as u64 == length {
        true => Ok(reply),
        false => Err(not_http("a body that ends early")),
    }
}
