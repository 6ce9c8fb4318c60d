//! Little-endian fields taken from bytes that a disk gave us. Nothing here can panic.

/// Takes fields one after another; `None` when the bytes are at their end.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }
}

/// Puts fields one after another into bytes of our own; a bug when there is no room.
pub(crate) struct FieldsMut<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> FieldsMut<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn put<const N: usize>(&mut self, field: [u8; N]) -> &mut Self {
        self.bytes[self.at..self.at + N].copy_from_slice(&field);
        self.at += N;
        self
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.put(value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.put(value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.put(value.to_le_bytes())
    }

    pub(crate) fn u128(&mut self, value: u128) -> &mut Self {
        self.put(value.to_le_bytes())
    }
}

/// True when the checksum in the last four bytes is that of the bytes before it.
pub(crate) fn sealed(bytes: &[u8]) -> bool {
    match bytes.split_last_chunk::<4>() {
        Some((body, sum)) => crc32c::crc32c(body) == u32::from_le_bytes(*sum),
        None => false,
    }
}

/// Puts the checksum of the bytes before into the last four; gives it back.
pub(crate) fn seal(bytes: &mut [u8]) -> u32 {
    let body = bytes.len() - 4;
    let sum = crc32c::crc32c(&bytes[..body]);
    bytes[body..].copy_from_slice(&sum.to_le_bytes());
    sum
}
