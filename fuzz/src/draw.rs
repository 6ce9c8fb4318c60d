//! Choices made by the bytes of an input, so that mutating bytes changes choices.

use crate::mutate::BOUNDARIES;

/// Takes choices from an input; when it is at its end every choice is the first.
pub struct Draw<'a> {
    bytes: &'a [u8],
}

impl<'a> Draw<'a> {
    pub fn new(bytes: &'a [u8]) -> Draw<'a> {
        Draw { bytes }
    }

    pub fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// 0 … `bound` − 1, for bounds up to 256.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// An integer at which something may change its mind, or any.
    pub fn extreme(&mut self) -> u64 {
        match self.byte() {
            choice @ 0..224 => BOUNDARIES[usize::from(choice) % BOUNDARIES.len()],
            224..240 => u64::MAX >> self.below(64),
            _ => self.number(),
        }
    }

    /// The next bytes, as many as there are.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }
}
