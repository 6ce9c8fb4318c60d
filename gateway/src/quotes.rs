//! Quotation marks in the query of a GET, as rest-api.md has them in its examples:
//! `exchangeInfo?symbols=["BTCUSDT","BNBBTC"]`. A URL may not hold them, and the HTTP library
//! refuses them before anybody can answer. Here each becomes a grave accent, which a URL may hold
//! and no parameter has; the reader of lists takes it for what it stands for.

/// What stands for a quotation mark.
pub const STAND_IN: char = '`';

/// Where a connection is in the first line of a GET, which may take several reads. What else is
/// read is left alone: a request begins a read, and neither a body nor a frame of a socket begins
/// in this way.
#[derive(Debug, Default)]
pub struct RequestLine {
    is_open: bool,
}

impl RequestLine {
    /// Replaces them in what was just read.
    pub fn replace_quotes(&mut self, read: &mut [u8]) {
        if !self.is_open && !read.starts_with(b"GET /") {
            return;
        }
        let end = read.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        self.is_open = end.is_none();
        let line = read.iter_mut().take(end.unwrap_or(usize::MAX));
        line.filter(|byte| **byte == b'"').for_each(|byte| *byte = STAND_IN as u8);
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
                let (mut bytes, mut line) = (read.as_bytes().to_vec(), RequestLine::default());
                bytes.chunks_mut(size).for_each(|part| line.replace_quotes(part));
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
