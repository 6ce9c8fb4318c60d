//! Quotation marks in the query of a GET, as rest-api.md has them in its examples:
//! `exchangeInfo?symbols=["BTCUSDT","BNBBTC"]`. A URL may not hold them, and the HTTP library
//! refuses them before anybody can answer. Here each becomes a grave accent, which a URL may hold
//! and no parameter has; the reader of lists takes it for what it stands for.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// What stands for a quotation mark.
pub const STAND_IN: char = '`';

/// A listener whose connections say so.
pub struct Quotes(pub TcpListener);

impl Listener for Quotes {
    type Io = Quoted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Quoted, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        (Quoted { stream, line: Line::default() }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One connection.
pub struct Quoted {
    stream: TcpStream,
    line: Line,
}

impl Quoted {
    pub fn set_nodelay(&self, is_on: bool) -> io::Result<()> {
        self.stream.set_nodelay(is_on)
    }
}

/// Replaces them in the first line of a GET, in one read or several. What else is read is left
/// alone: a request begins a read, and neither a body nor a frame of a socket begins in this way.
#[derive(Debug, Default)]
struct Line {
    is_open: bool,
}

impl Line {
    fn replace(&mut self, read: &mut [u8]) {
        if !self.is_open && !read.starts_with(b"GET /") {
            return;
        }
        let end = read.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        self.is_open = end.is_none();
        let line = read.iter_mut().take(end.unwrap_or(usize::MAX));
        line.filter(|byte| **byte == b'"').for_each(|byte| *byte = STAND_IN as u8);
    }
}

impl AsyncRead for Quoted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(read) = buffer.filled_mut().get_mut(before..) {
            self.line.replace(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Quoted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_of_a_get_changes() {
        #[track_caller]
        fn check(read: &str, expected: &str) {
            let whole = read.len().max(1);
            for size in [whole, 6] {
                let (mut bytes, mut line) = (read.as_bytes().to_vec(), Line::default());
                bytes.chunks_mut(size).for_each(|part| line.replace(part));
                assert_eq!(std::str::from_utf8(&bytes), Ok(expected), "{size}");
            }
        }
        check(
            "GET /x?s=[\"A\",\"B\"] HTTP/1.1\r\nA: \"b\"\r\n\r\n",
            "GET /x?s=[`A`,`B`] HTTP/1.1\r\nA: \"b\"\r\n\r\n",
        );
        for same in ["POST /x HTTP/1.1\r\n\r\n{\"a\":1}", "{\"a\":1}", "GET", ""] {
            check(same, same);
        }
    }
}
