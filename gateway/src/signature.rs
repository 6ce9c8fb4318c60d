//! Signatures of requests: which bytes are signed, and whether a key has signed them.
//!
//! The three kinds of keys of the venue: HMAC-SHA256 (hex), Ed25519 and RSA PKCS#1 v1.5 with
//! SHA-256 (base64). This module never reads a clock, knows no accounts or permissions, and
//! prints no key.

mod der;
#[cfg(test)]
mod tests;

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use protocol::KeyKind;
use ring::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use ring::{digest, hmac};

use der::PublicKey;

/// Length of an RSA modulus. The venue names 2048 and 4096; what lies between is taken too.
pub const RSA_BITS_MIN: usize = 2048;
pub const RSA_BITS_MAX: usize = 4096;

/// Length of a key as text. PEM of RSA-4096 takes 800 bytes.
pub const KEY_TEXT_LENGTH_MAX: usize = 2048;

/// Name of the parameter that carries the signature.
pub const SIGNATURE: &str = "signature";

const HMAC_LENGTH: usize = digest::SHA256_OUTPUT_LEN;
/// Room for the longest signature; the base64 decoder counts in whole groups of three bytes.
const SIGNATURE_LENGTH_MAX: usize = (RSA_BITS_MAX / 8).next_multiple_of(3);

const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_DASHES: &str = "-----";
const PEM_LABEL: &str = "PUBLIC KEY";
const PEM_END: &str = "-----END PUBLIC KEY-----";

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKey {
    EmptySecret,
    /// Longer than [`KEY_TEXT_LENGTH_MAX`].
    TooLong,
    NotBase64,
    /// The label of the PEM is not `PUBLIC KEY`, or its end is missing.
    NotPublicKeyPem,
    PrivateKey,
    /// Not exactly one SubjectPublicKeyInfo in DER.
    NotSpki,
    UnknownAlgorithm,
    WrongKind {
        expected: KeyKind,
        found: KeyKind,
    },
    RsaLength {
        bits: usize,
    },
    /// An even modulus, or an exponent that is even, 1 or longer than 33 bits.
    RsaNumbers,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidKey::EmptySecret => f.write_str("the secret is empty"),
            InvalidKey::TooLong => write!(f, "the key is longer than {KEY_TEXT_LENGTH_MAX} bytes"),
            InvalidKey::NotBase64 => f.write_str("the key is neither PEM nor base64"),
            InvalidKey::NotPublicKeyPem => {
                f.write_str("the PEM must stand between `BEGIN PUBLIC KEY` and `END PUBLIC KEY`")
            }
            InvalidKey::PrivateKey => {
                f.write_str("this is a private key: keep it, and send the public key")
            }
            InvalidKey::NotSpki => f.write_str("not a public key in DER (SubjectPublicKeyInfo)"),
            InvalidKey::UnknownAlgorithm => f.write_str("neither an Ed25519 nor an RSA key"),
            InvalidKey::WrongKind { expected, found } => {
                write!(f, "an {found} key where {expected} was named")
            }
            InvalidKey::RsaLength { bits } => {
                write!(f, "an RSA key of {bits} bits, not {RSA_BITS_MIN} to {RSA_BITS_MAX}")
            }
            InvalidKey::RsaNumbers => f.write_str("modulus or exponent of the RSA key is unusable"),
        }
    }
}

impl core::error::Error for InvalidKey {}

/// What is needed to check the signatures of one API key.
#[derive(Clone)]
pub enum Verifier {
    Hmac(hmac::Key),
    Ed25519(UnparsedPublicKey<[u8; der::ED25519_LENGTH]>),
    /// Of the inner `RSAPublicKey`.
    Rsa(UnparsedPublicKey<Vec<u8>>),
}

/// Prints the kind only.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.kind())
    }
}

impl Verifier {
    /// `material` is the opened secret of an HMAC key, else the SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    ///
    /// The material is no key of this kind.
    pub fn new(kind: KeyKind, material: &[u8]) -> Result<Verifier, InvalidKey> {
        if kind == KeyKind::Hmac {
            if material.is_empty() {
                return Err(InvalidKey::EmptySecret);
            }
            return Ok(Verifier::Hmac(hmac::Key::new(hmac::HMAC_SHA256, material)));
        }
        let key = der::public_key(material)?;
        if key.kind() != kind {
            return Err(InvalidKey::WrongKind { expected: kind, found: key.kind() });
        }
        Ok(match key {
            PublicKey::Ed25519(point) => {
                Verifier::Ed25519(UnparsedPublicKey::new(&ED25519, *point))
            }
            PublicKey::Rsa(numbers) => {
                Verifier::Rsa(UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, numbers.to_vec()))
            }
        })
    }

    pub const fn kind(&self) -> KeyKind {
        match self {
            Verifier::Hmac(_) => KeyKind::Hmac,
            Verifier::Ed25519(_) => KeyKind::Ed25519,
            Verifier::Rsa(_) => KeyKind::Rsa,
        }
    }

    /// Whether `signature` (hex in either case, or base64; no longer percent-encoded) is this
    /// key's signature of `payload`.
    pub fn verify(&self, payload: &str, signature: &str) -> bool {
        match self {
            Verifier::Hmac(key) => parse_hex(signature)
                .is_some_and(|tag| hmac::verify(key, payload.as_bytes(), &tag).is_ok()),
            Verifier::Ed25519(key) => verify_base64(key, payload, signature),
            Verifier::Rsa(key) => verify_base64(key, payload, signature),
        }
    }
}

fn verify_base64<B: AsRef<[u8]>>(
    key: &UnparsedPublicKey<B>,
    payload: &str,
    signature: &str,
) -> bool {
    let mut room = [0; SIGNATURE_LENGTH_MAX];
    BASE64
        .decode_slice(signature, &mut room)
        .ok()
        .and_then(|length| room.get(..length))
        .is_some_and(|signature| key.verify(payload.as_bytes(), signature).is_ok())
}

fn parse_hex(text: &str) -> Option<[u8; HMAC_LENGTH]> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    if digits.len() != HMAC_LENGTH || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; HMAC_LENGTH];
    for (byte, digits) in bytes.iter_mut().zip(digits) {
        *byte = hex_byte(*digits)?;
    }
    Some(bytes)
}

fn hex_byte(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

/// Reads an Ed25519 or RSA public key: PEM labelled `PUBLIC KEY`, or its base64 alone. Returns
/// the kind that the key itself names, and its SubjectPublicKeyInfo in DER.
///
/// # Errors
///
/// With a text for whoever sent the key.
pub fn parse_public_key(pem_or_base64: &str) -> Result<(KeyKind, Vec<u8>), InvalidKey> {
    if pem_or_base64.len() > KEY_TEXT_LENGTH_MAX {
        return Err(InvalidKey::TooLong);
    }
    let mut base64 = pem_body(pem_or_base64.trim())?.to_owned();
    base64.retain(|character| !character.is_ascii_whitespace());
    let spki = BASE64.decode(base64).map_err(|_| InvalidKey::NotBase64)?;
    let kind = der::public_key(&spki)?.kind();
    Ok((kind, spki))
}

/// What stands between the labels; all of a text that has none.
fn pem_body(text: &str) -> Result<&str, InvalidKey> {
    let Some(after_begin) = text.strip_prefix(PEM_BEGIN) else { return Ok(text) };
    let (label, body) = after_begin.split_once(PEM_DASHES).ok_or(InvalidKey::NotPublicKeyPem)?;
    if label.ends_with("PRIVATE KEY") {
        return Err(InvalidKey::PrivateKey);
    }
    if label != PEM_LABEL {
        return Err(InvalidKey::NotPublicKeyPem);
    }
    body.strip_suffix(PEM_END).ok_or(InvalidKey::NotPublicKeyPem)
}

/// What a REST request signs, and its signature.
///
/// The payload is the raw query followed by the raw body, without separator and percent-encoded
/// exactly as sent. `signature=…` is taken out wherever it stands, with one adjoining `&`, as if
/// it had never been there. If it is sent more than once, the first one counts, the query before
/// the body. The signature is percent-decoded (`+` stays `+`); one that cannot be decoded is
/// returned as sent and fails to verify. `None`: there is no such parameter.
pub fn payload_of_rest(query: &str, body: &str) -> Option<(String, String)> {
    let mut payload = String::with_capacity(query.len() + body.len());
    let of_query = push_without_signature(&mut payload, query);
    let of_body = push_without_signature(&mut payload, body);
    let signature = of_query.or(of_body)?;
    Some((payload, percent_decoded(signature).unwrap_or_else(|| signature.to_owned())))
}

/// Appends the other parameters of `text` and returns the value of the first signature.
fn push_without_signature<'a>(payload: &mut String, text: &'a str) -> Option<&'a str> {
    let mut signature = None;
    let mut is_first = true;
    for parameter in text.split('&') {
        if let Some((SIGNATURE, value)) = parameter.split_once('=') {
            signature = signature.or(Some(value));
            continue;
        }
        if !is_first {
            payload.push('&');
        }
        is_first = false;
        payload.push_str(parameter);
    }
    signature
}

/// `None` if a `%` is not followed by two hex digits, or the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.as_bytes().split_first_chunk::<2>()?;
        bytes.push(hex_byte(*digits)?);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).ok()
}

/// What a request of the WebSocket API signs: all parameters but the signature, sorted by name,
/// as `name=value` joined with `&`. Values are the JSON text, strings without their quotes.
pub fn payload_of_ws(params: &[(&str, &str)]) -> String {
    let mut sorted: Vec<_> = params.iter().filter(|(name, _)| *name != SIGNATURE).collect();
    sorted.sort_by_key(|(name, _)| *name);
    let length = sorted.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut payload = String::with_capacity(length);
    for (name, value) in sorted {
        if !payload.is_empty() {
            payload.push('&');
        }
        payload.push_str(name);
        payload.push('=');
        payload.push_str(value);
    }
    payload
}
