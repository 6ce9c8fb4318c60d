//! API key, secret and the signature of requests: HMAC-SHA256 in hex over the parameters, sorted
//! by name and joined with `&` (web-socket-api.md, "SIGNED request example (HMAC)").

use std::fmt;

use ring::hmac;

/// An API key of kind HMAC with its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub key: String,
    pub secret: String,
}

/// Never shows the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Credentials {
    pub fn new(key: impl Into<String>, secret: impl Into<String>) -> Credentials {
        Credentials { key: key.into(), secret: secret.into() }
    }

    /// The signature of `parameters` in any order; they include `apiKey`.
    pub fn sign(&self, parameters: &[(&str, &str)]) -> String {
        let mut sorted = parameters.to_vec();
        sorted.sort_unstable();
        let mut payload = String::new();
        for (name, value) in sorted {
            if !payload.is_empty() {
                payload.push('&');
            }
            payload.push_str(name);
            payload.push('=');
            payload.push_str(value);
        }
        self.sign_text(&payload)
    }

    /// The signature of a payload as it is: of REST, the query.
    pub fn sign_text(&self, payload: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        hex(hmac::sign(&key, payload.as_bytes()).as_ref())
    }

    /// The parameters of `session.logon` as a JSON object; `now_ms` in milliseconds since 1970.
    pub fn logon_parameters(&self, now_ms: u64) -> String {
        let timestamp = now_ms.to_string();
        let signature = self.sign(&[("apiKey", &self.key), ("timestamp", &timestamp)]);
        serde_json::json!({ "apiKey": self.key, "signature": signature, "timestamp": now_ms })
            .to_string()
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the document.
    const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

    #[test]
    fn the_documents_example_has_the_documents_signature() {
        let signature = Credentials::new(KEY, SECRET).sign(&[
            ("symbol", "BTCUSDT"),
            ("side", "SELL"),
            ("type", "LIMIT"),
            ("timeInForce", "GTC"),
            ("quantity", "0.01000000"),
            ("price", "52000.00"),
            ("recvWindow", "100"),
            ("timestamp", "1645423376532"),
            ("apiKey", KEY),
        ]);
        assert_eq!(signature, "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24");
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert!(!format!("{:?}", Credentials::new(KEY, SECRET)).contains(SECRET));
    }
}
