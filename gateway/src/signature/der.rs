//! Reads public keys: the SubjectPublicKeyInfo (RFC 5280) of Ed25519 (RFC 8410) and RSA
//! (RFC 8017), in strict DER. Knows no other structure and copies nothing.

use protocol::KeyKind;

use super::{InvalidKey, RSA_BITS_MAX, RSA_BITS_MIN};

pub(super) const ED25519_LENGTH: usize = 32;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// 1.3.101.112
const ED25519_OID: &[u8] = &[0x2b, 0x65, 0x70];
/// 1.2.840.113549.1.1.1
const RSA_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The verifying library takes no longer exponent.
const RSA_EXPONENT_BITS_MAX: usize = 33;

/// The inner bytes of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublicKey<'a> {
    Ed25519(&'a [u8; ED25519_LENGTH]),
    /// The `RSAPublicKey`.
    Rsa(&'a [u8]),
}

impl PublicKey<'_> {
    pub(super) const fn kind(&self) -> KeyKind {
        match self {
            PublicKey::Ed25519(_) => KeyKind::Ed25519,
            PublicKey::Rsa(_) => KeyKind::Rsa,
        }
    }
}

/// ```text
/// SEQUENCE { SEQUENCE { OBJECT IDENTIFIER, NULL if RSA }, BIT STRING { 0 unused bits, key } }
/// ```
pub(super) fn public_key(spki: &[u8]) -> Result<PublicKey<'_>, InvalidKey> {
    let (algorithm, key) = algorithm_and_key(spki).ok_or(InvalidKey::NotSpki)?;
    let mut algorithm = Reader(algorithm);
    match algorithm.element(OBJECT_ID) {
        Some(ED25519_OID) => {
            algorithm.end().ok_or(InvalidKey::NotSpki)?;
            key.try_into().map(PublicKey::Ed25519).map_err(|_| InvalidKey::NotSpki)
        }
        Some(RSA_OID) => {
            let parameters = algorithm.element(NULL).ok_or(InvalidKey::NotSpki)?;
            Reader(parameters).end().and_then(|()| algorithm.end()).ok_or(InvalidKey::NotSpki)?;
            check_rsa(key)?;
            Ok(PublicKey::Rsa(key))
        }
        Some(_) => Err(InvalidKey::UnknownAlgorithm),
        None => Err(InvalidKey::NotSpki),
    }
}

fn algorithm_and_key(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Reader(spki);
    let mut inner = Reader(outer.element(SEQUENCE)?);
    outer.end()?;
    let algorithm = inner.element(SEQUENCE)?;
    let (unused_bits, key) = inner.element(BIT_STRING)?.split_first()?;
    inner.end()?;
    (*unused_bits == 0).then_some((algorithm, key))
}

fn check_rsa(key: &[u8]) -> Result<(), InvalidKey> {
    let (modulus, exponent) = rsa_numbers(key).ok_or(InvalidKey::NotSpki)?;
    let bits = bit_length(modulus);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(InvalidKey::RsaLength { bits });
    }
    let exponent_fits = (2..=RSA_EXPONENT_BITS_MAX).contains(&bit_length(exponent));
    if !(is_odd(modulus) && is_odd(exponent) && exponent_fits) {
        return Err(InvalidKey::RsaNumbers);
    }
    Ok(())
}

fn rsa_numbers(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Reader(key);
    let mut numbers = Reader(outer.element(SEQUENCE)?);
    outer.end()?;
    let modulus = numbers.positive()?;
    let exponent = numbers.positive()?;
    numbers.end()?;
    Some((modulus, exponent))
}

/// Of a number without leading zero bytes.
fn bit_length(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |byte| byte.leading_zeros());
    number.len() * 8 - unused as usize
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte & 1 == 1)
}

/// Whether the highest bit is set, which DER takes for a sign.
fn is_negative(number: &[u8]) -> bool {
    number.first().is_some_and(|byte| *byte >= 0x80)
}

/// The elements that follow each other in some bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Content of the next element, if it has this tag.
    fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let ([found, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match *first {
            0..=0x7f => (usize::from(*first), rest),
            0x81 => {
                let (length, rest) = rest.split_first()?;
                (usize::from(*length), rest)
            }
            0x82 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            _ => return None,
        };
        let is_shortest = match *first {
            0x81 => length >= 0x80,
            0x82 => length >= 0x100,
            _ => true,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*found == tag && is_shortest).then_some(content)
    }

    /// The next element, an INTEGER above 0, without leading zeros.
    fn positive(&mut self) -> Option<&'a [u8]> {
        match self.element(INTEGER)? {
            [0, rest @ ..] if is_negative(rest) => Some(rest),
            [0, ..] => None,
            number if !number.is_empty() && !is_negative(number) => Some(number),
            _ => None,
        }
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
