//! What an API key is checked with: a shared secret, or a public key as DER of its SPKI.
//!
//! Reads PEM and base64, and looks into the DER as far as it takes to know the kind and the length
//! of the key. It never sees a private key.

use crate::seal::{SEALED_OVERHEAD, Secret};
use protocol::KeyKind;
use protocol::command::KEY_MATERIAL_LENGTH_MAX;

/// The longest secret whose sealed form fits a record.
pub const SECRET_LENGTH_MAX: usize = KEY_MATERIAL_LENGTH_MAX - SEALED_OVERHEAD;

/// What a key is checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// Of HMAC; sealed before it enters the log.
    Secret(Secret),
    /// DER of the SPKI.
    PublicKey(Vec<u8>),
}

pub(crate) const PUBLIC_KEY_ALLOWED: &str = "the public key as PEM (-----BEGIN PUBLIC KEY-----) or as base64 of its DER (SPKI): Ed25519, \
     or RSA of 2048 to 4096 bits";

/// Identifiers of algorithms in DER: RSA with its empty parameters, and Ed25519.
const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];

/// Reads a public key and checks that it is of this kind.
pub(crate) fn public_key(kind: KeyKind, text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let body = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
        Some(rest) => rest
            .trim_end()
            .strip_suffix("-----END PUBLIC KEY-----")
            .ok_or("the PEM ends without -----END PUBLIC KEY-----")?,
        None if text.contains("PRIVATE KEY") => return Err("this is a private key".to_string()),
        None if text.starts_with("-----") => return Err("not the PEM of a public key".to_string()),
        None => text,
    };
    let der = base64(body).ok_or("not base64")?;
    let found = kind_of(&der).ok_or("not a public key of a known kind")?;
    match found {
        (found, _) if found != kind => Err(format!("the key is of kind {found}, not {kind}")),
        (KeyKind::Rsa, bits) if !(2_048..=4_096).contains(&bits) => {
            Err(format!("an RSA key of {bits} bits"))
        }
        _ if der.len() > KEY_MATERIAL_LENGTH_MAX => Err(format!("{} bytes", der.len())),
        _ => Ok(der),
    }
}

/// The kind of a SPKI and the bits of its key.
fn kind_of(der: &[u8]) -> Option<(KeyKind, usize)> {
    let mut outer = Der(der);
    let mut spki = Der(outer.element(0x30)?);
    let algorithm = spki.element(0x30)?;
    let key = spki.element(0x03)?.strip_prefix(&[0])?;
    if !outer.0.is_empty() || !spki.0.is_empty() {
        return None;
    }
    match algorithm {
        ED25519 if key.len() == 32 => Some((KeyKind::Ed25519, 256)),
        RSA => {
            let mut key = Der(key);
            let mut numbers = Der(key.element(0x30)?);
            let modulus = numbers.element(0x02)?;
            numbers.element(0x02)?;
            if !key.0.is_empty() || !numbers.0.is_empty() {
                return None;
            }
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
            let unused = modulus.first()?.leading_zeros() as usize;
            Some((KeyKind::Rsa, (modulus.len() * 8).saturating_sub(unused)))
        }
        _ => None,
    }
}

/// Reads elements of DER one after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, if it has this tag.
    fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let rest = self.0.strip_prefix(&[tag])?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
            0x82 => {
                let (bytes, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*bytes)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }
}

/// Standard base64; blanks and line feeds between the letters do not count.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let body = match letters.as_slice() {
        [body @ .., b'=', b'='] | [body @ .., b'='] if letters.len().is_multiple_of(4) => body,
        body => body,
    };
    let mut bytes = Vec::with_capacity(body.len() * 3 / 4);
    for group in body.chunks(4) {
        let mut bits = 0u32;
        for &letter in group {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        // 2 letters carry 1 byte, 3 carry 2, 4 carry 3; what is left over must be zero.
        let (length, left_over) = match group.len() {
            4 => (3, 0),
            3 => (2, 2),
            2 => (1, 4),
            _ => return None,
        };
        if bits & ((1 << left_over) - 1) != 0 {
            return None;
        }
        let whole = (bits >> left_over).to_be_bytes();
        bytes.extend_from_slice(whole.get(4 - length..)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From RFC 8410.
    const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    /// A SPKI around a modulus of so many bits.
    fn rsa_der(bits: usize) -> Vec<u8> {
        fn element(tag: u8, content: &[u8]) -> Vec<u8> {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x82, length[0], length[1]], content].concat()
        }
        let modulus = [&[0, 0x80][..], &vec![1; bits / 8 - 1]].concat();
        let numbers = [element(2, &modulus), element(2, &[1, 0, 1])].concat();
        let key = [&[0][..], &element(0x30, &numbers)].concat();
        element(0x30, &[element(0x30, RSA), element(3, &key)].concat())
    }

    fn to_base64(bytes: &[u8]) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - group.len()));
            for letter in 0..=group.len() {
                text.push(LETTERS[(bits >> (18 - 6 * letter)) as usize & 63] as char);
            }
        }
        text
    }

    #[test]
    fn base64_is_read_back_or_refused() {
        for length in 0..50 {
            let bytes: Vec<u8> = (0..length).map(|it: u8| it.wrapping_mul(37)).collect();
            assert_eq!(base64(&to_base64(&bytes)), Some(bytes));
        }
        assert_eq!(base64("TQ==\n").as_deref(), Some(&b"M"[..]));
        for text in ["A", "TQ=", "TR==", "T Q = = =", "T_Q=", "====", "TWE=TWE="] {
            assert_eq!(base64(text), None, "{text}");
        }
    }

    #[test]
    fn public_keys_are_known_by_their_der() {
        let der = public_key(KeyKind::Ed25519, ED25519_PEM).unwrap();
        assert_eq!(der.len(), 44);
        assert_eq!(public_key(KeyKind::Ed25519, &to_base64(&der)), Ok(der));
        let der = rsa_der(4_096);
        assert_eq!(public_key(KeyKind::Rsa, &to_base64(&der)), Ok(der));
    }

    #[test]
    fn what_is_not_a_public_key_of_the_kind_is_refused() {
        #[track_caller]
        fn check(kind: KeyKind, text: &str, what: &str) {
            assert_eq!(public_key(kind, text).unwrap_err(), what);
        }
        check(KeyKind::Rsa, ED25519_PEM, "the key is of kind ED25519, not RSA");
        check(KeyKind::Rsa, &to_base64(&rsa_der(1_024)), "an RSA key of 1024 bits");
        check(KeyKind::Rsa, &to_base64(&rsa_der(8_192)), "an RSA key of 8192 bits");
        check(KeyKind::Rsa, "§", "not base64");
        check(KeyKind::Rsa, "", "not a public key of a known kind");
        check(KeyKind::Rsa, "-----BEGIN PRIVATE KEY-----", "this is a private key");
        check(KeyKind::Rsa, "-----BEGIN CERTIFICATE-----", "not the PEM of a public key");
        let cut = ED25519_PEM.get(..60).unwrap();
        check(KeyKind::Ed25519, cut, "the PEM ends without -----END PUBLIC KEY-----");
        let der = rsa_der(2_048);
        for length in 0..der.len() {
            assert_eq!(kind_of(&der[..length]), None);
        }
    }
}
