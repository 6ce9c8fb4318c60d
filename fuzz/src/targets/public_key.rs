//! Public keys as people paste them: PEM or base64, of two kinds. What is taken can be used, and is
//! the same key in either form.

use gateway::signature::{InvalidKey, Verifier, parse_public_key};
use protocol::KeyKind;

use crate::Target;
use crate::feedback::note;

pub const TARGET: Target =
    Target { name: "public_key", run: public_key, corpus, words: WORDS, length_max: 3_000 };

const WORDS: &[&str] = &[
    "-----BEGIN PUBLIC KEY-----\n",
    "\n-----END PUBLIC KEY-----",
    "-----BEGIN PRIVATE KEY-----\n",
    "-----",
    "\n",
    " ",
    "=",
    "==",
    "MCowBQYDK2VwAyEA",
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA",
    "AQAB",
    "/////w",
    "AAAA",
    "é",
];

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
const ED25519: &str = "MCowBQYDK2VwAyEAgmDRTtj2FA+wzJUIlAL9ly1eovjLBu7uXUFR+jFULmg=";
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAyfKiFXpcOhF5rX1XxePN
akwN7Etwtn3v05cZNY+ftDHbVZHs/kY6Ruj5lhxVFAq5dv7Ba9/4jPijXuMuIc6Y
8nUlqtrrxC8DEOAczw9SKATDYZN9nbLfYlbBFfHzRQUXdAtYCPI6XtxmJBS7aOBb
4nZe1SVm+bhLrp0YQnx2P0s+37qkGeVn09m6w9MnWxjgCkkYFPWQkXIu5qOnwx6p
NfqDmFD7d7dUc/6PZQ1bKFALu/UETsobmBk82ShbrBhlc0JXuhf9qBR7QASjHjFQ
2N+VF2PfH8dm5prZIpz/MFKPkBW4Yuss0OXiD+jQt1J2JUKspLqsIqoXjHQQGjL7
3wIDAQAB
-----END PUBLIC KEY-----";

fn corpus() -> Vec<Vec<u8>> {
    let pem = format!("{BEGIN}\n{ED25519}\n{END}\n");
    [ED25519, RSA, &pem].map(|text| text.as_bytes().to_vec()).to_vec()
}

pub fn public_key(data: &[u8]) {
    // The bytes alone, as they stand behind the base64, too.
    check(&base64(data));
    if let Ok(text) = str::from_utf8(data) {
        check(text);
    }
}

fn check(text: &str) {
    let (kind, spki) = match parse_public_key(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            note(shown(error));
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    note((kind, spki.len()));
    let verifier = Verifier::new(kind, &spki).expect("a key that was taken");
    assert_eq!(verifier.kind(), kind);
    assert!(!verifier.verify("payload", ""), "an empty signature was taken");
    for other in [KeyKind::Ed25519, KeyKind::Rsa].into_iter().filter(|other| *other != kind) {
        let expected = InvalidKey::WrongKind { expected: other, found: kind };
        assert_eq!(Verifier::new(other, &spki).err(), Some(expected));
    }
    let bare = base64(&spki);
    let body = text.trim().trim_start_matches(BEGIN).trim_end_matches(END);
    let body: String = body.split_ascii_whitespace().collect();
    assert_eq!(body, bare, "taken otherwise than it was written: {text:?}");
    assert_eq!(parse_public_key(&bare), Ok((kind, spki.clone())));
    let pem = format!("{BEGIN}\n{bare}\n{END}\n");
    assert_eq!(parse_public_key(&pem), Ok((kind, spki)));
}

/// Which refusal, whatever its numbers.
fn shown(error: InvalidKey) -> String {
    let text = format!("{error:?}");
    text.split(['{', ' ']).next().unwrap_or_default().to_owned()
}

/// Base64 with padding, as the standard has it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks(3).map(|group| {
        let at = |place: usize| group.get(place).copied().unwrap_or(0);
        let bits = u32::from_be_bytes([0, at(0), at(1), at(2)]);
        let digit = |place: usize| match place <= group.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]),
            false => '=',
        };
        [0, 1, 2, 3].map(digit)
    });
    groups.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_can_be_used_or_is_refused() {
        crate::campaign::check(&TARGET, 1, 5_000);
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
