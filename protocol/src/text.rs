//! Short text and bytes of bounded length, stored inline so that records keep a fixed size.

use core::fmt;
use rkyv::rancor::{Fallible, Source, fail};
use rkyv::{Archive, Deserialize, Serialize};

/// UTF-8 text of at most `N` bytes.
///
/// **Invariants:** `length <= N`, the first `length` bytes are UTF-8, the rest are zero (so that
/// equal texts have equal bytes). Held by the constructor and checked on every read from outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Archive, Serialize)]
#[rkyv(attr(repr(C)))]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

/// The text does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    pub length_max: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "longer than {} bytes", self.length_max)
    }
}

impl core::error::Error for TooLong {}

impl<const N: usize> Text<N> {
    pub const EMPTY: Text<N> = Text { bytes: [0; N], length: 0 };

    pub fn new(text: &str) -> Result<Text<N>, TooLong> {
        const { assert!(N <= u8::MAX as usize) };
        let mut bytes = [0; N];
        bytes
            .get_mut(..text.len())
            .ok_or(TooLong { length_max: N })?
            .copy_from_slice(text.as_bytes());
        Ok(Text { bytes, length: text.len() as u8 })
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }

    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }

    /// All `N` bytes, with zeros behind the text.
    pub const fn padded(&self) -> &[u8; N] {
        &self.bytes
    }

    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text::EMPTY
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> crate::record::Schema for Text<N> {
    const SCHEMA: u64 = crate::record::mix(crate::record::name_hash("Text"), N as u64);
}

/// Opaque bytes, at most `N`: sealed secrets, public keys, filters kept for another version.
///
/// **Invariants:** as [`Text`], without UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Archive, Serialize)]
#[rkyv(attr(repr(C)))]
pub struct Bytes<const N: usize> {
    bytes: [u8; N],
    length: u16,
}

impl<const N: usize> Bytes<N> {
    pub const EMPTY: Bytes<N> = Bytes { bytes: [0; N], length: 0 };

    pub fn new(content: &[u8]) -> Result<Bytes<N>, TooLong> {
        const { assert!(N <= u16::MAX as usize) };
        let mut bytes = [0; N];
        bytes.get_mut(..content.len()).ok_or(TooLong { length_max: N })?.copy_from_slice(content);
        Ok(Bytes { bytes, length: content.len() as u16 })
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }

    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Prints the length only: the content may be a secret.
impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*** ({} bytes)", self.length)
    }
}

impl<const N: usize> crate::record::Schema for Bytes<N> {
    const SCHEMA: u64 = crate::record::mix(crate::record::name_hash("Bytes"), N as u64);
}

impl<const N: usize> crate::plain::Plain for Text<N> {
    #[inline]
    fn put(&self, out: &mut [u8]) {
        let (bytes, length) = out.split_at_mut(N);
        bytes.copy_from_slice(&self.bytes);
        self.length.put(length);
    }
}

impl<const N: usize> crate::plain::Plain for Bytes<N> {
    #[inline]
    fn put(&self, out: &mut [u8]) {
        let (bytes, length) = out.split_at_mut(N);
        bytes.copy_from_slice(&self.bytes);
        self.length.put(length);
    }
}

/// Inline text or bytes whose length, padding or UTF-8 is not as promised.
#[derive(Debug)]
struct NotCanonical;

impl fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("inline text is too long, not UTF-8, or not followed by zeros")
    }
}

impl core::error::Error for NotCanonical {}

fn is_canonical(bytes: &[u8], length: usize) -> bool {
    bytes.get(length..).is_some_and(|rest| rest.iter().all(|&byte| byte == 0))
}

impl<D, const N: usize> Deserialize<Text<N>, D> for ArchivedText<N>
where
    D: Fallible + ?Sized,
    D::Error: Source,
{
    fn deserialize(&self, _: &mut D) -> Result<Text<N>, D::Error> {
        let length = usize::from(self.length);
        let text = self.bytes.get(..length).unwrap_or(&[]);
        if !is_canonical(&self.bytes, length) || core::str::from_utf8(text).is_err() {
            fail!(NotCanonical);
        }
        Ok(Text { bytes: self.bytes, length: self.length })
    }
}

impl<D, const N: usize> Deserialize<Bytes<N>, D> for ArchivedBytes<N>
where
    D: Fallible + ?Sized,
    D::Error: Source,
{
    fn deserialize(&self, _: &mut D) -> Result<Bytes<N>, D::Error> {
        let length = self.length.to_native();
        if !is_canonical(&self.bytes, usize::from(length)) {
            fail!(NotCanonical);
        }
        Ok(Bytes { bytes: self.bytes, length })
    }
}
