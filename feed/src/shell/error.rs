//! What goes wrong between here and a venue.

use std::fmt;
use std::io;

/// A failure of the network, in words for a person.
#[derive(Debug)]
pub enum Error {
    /// Not `http`, `https`, `ws` or `wss`, or without a host.
    Url {
        url: String,
    },
    /// Nobody answers at this address.
    Connect {
        address: String,
        error: io::Error,
    },
    /// The certificate, or the handshake, is not good.
    Tls {
        host: String,
        error: io::Error,
    },
    /// The proxy does not let us through.
    Proxy {
        answer: String,
    },
    /// Certificates that cannot be read.
    Certificates {
        path: String,
        error: String,
    },
    /// The upgrade to a WebSocket was refused.
    Refused {
        status: u16,
        retry_after_s: Option<u64>,
    },
    WebSocket(Box<tokio_tungstenite::tungstenite::Error>),
    Http(Box<hyper::Error>),
    /// An answer above the bound.
    TooLong {
        bytes_max: usize,
    },
    /// It took longer than it may.
    Late {
        what: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url { url } => write!(f, "not an address of the kind scheme://host: {url}"),
            Error::Connect { address, error } => write!(f, "no connection to {address}: {error}"),
            Error::Tls { host, error } => write!(f, "no TLS with {host}: {error}"),
            Error::Proxy { answer } => write!(f, "proxy: {answer}"),
            Error::Certificates { path, error } => write!(f, "{path}: {error}"),
            Error::Refused { status, .. } => write!(f, "upgrade refused with {status}"),
            Error::WebSocket(error) => write!(f, "{error}"),
            Error::Http(error) => write!(f, "{error}"),
            Error::TooLong { bytes_max } => write!(f, "answer of more than {bytes_max} bytes"),
            Error::Late { what } => write!(f, "{what} took too long"),
        }
    }
}

impl std::error::Error for Error {}

impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Error {
        Error::Http(Box::new(error))
    }
}
