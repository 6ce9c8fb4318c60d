//! Inputs from other inputs: a seed decides everything.

use protocol::SCALE;

/// Pseudo-random numbers: splitmix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 … `bound` − 1; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.number()) * bound as u128) >> 64) as usize
    }
}

/// Integers at which something may change its mind.
pub const BOUNDARIES: &[u64] = &[
    0,
    1,
    2,
    15,
    16,
    17,
    63,
    64,
    127,
    128,
    255,
    256,
    4_095,
    4_096,
    32_767,
    32_768,
    65_535,
    65_536,
    SCALE - 1,
    SCALE,
    SCALE + 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 62) + 1,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 15,
    u64::MAX - 1,
    u64::MAX,
];

/// Decimal texts at the bounds of the number types.
const DECIMALS: &[&str] = &[
    "0",
    "1",
    "0.00000001",
    "0.00000000",
    "0.000000001",
    "92233720368.54775807",
    "92233720368.54775808",
    "99999999999999999999",
    "99999999999999999999.99999999",
    "184467440737.09551615",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "-1",
    "1e3",
    "00000000000000000001.00000000000000000000",
];

/// Changes inputs.
pub struct Mutator {
    pub random: Random,
    words: &'static [&'static str],
    length_max: usize,
}

impl Mutator {
    pub fn new(seed: u64, words: &'static [&'static str], length_max: usize) -> Mutator {
        Mutator { random: Random::new(seed), words, length_max }
    }

    /// A changed copy of one of the inputs.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let empty = Vec::new();
        let mut input = self.pick(corpus).unwrap_or(&empty).clone();
        // Mostly few changes: an input that is wrong in one place gets furthest.
        let changes = 1 + self.random.below(1 << self.random.clone().below(5));
        for _ in 0..changes {
            let other = self.pick(corpus).unwrap_or(&empty);
            self.change(&mut input, other);
        }
        input.truncate(self.length_max);
        input
    }

    fn pick<'c>(&mut self, corpus: &'c [Vec<u8>]) -> Option<&'c Vec<u8>> {
        corpus.get(self.random.below(corpus.len()))
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        match self.random.below(14) {
            0 => self.flip(input),
            1 => self.set(input),
            2 => self.add(input),
            3 | 4 => self.integer(input),
            5 => self.splice(input, other),
            6 => self.truncate(input),
            7 => self.duplicate(input),
            8 => self.remove(input),
            9 => self.overwrite(input, other),
            10 => self.insert_noise(input),
            11 => self.decimal(input),
            _ => self.word(input),
        }
    }

    fn flip(&mut self, input: &mut [u8]) {
        let at = self.random.below(input.len());
        let bit = self.random.below(8);
        if let Some(byte) = input.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn set(&mut self, input: &mut [u8]) {
        let at = self.random.below(input.len());
        let value = match self.random.below(4) {
            0 => 0,
            1 => 0xFF,
            _ => self.random.number() as u8,
        };
        if let Some(byte) = input.get_mut(at) {
            *byte = value;
        }
    }

    fn add(&mut self, input: &mut [u8]) {
        let at = self.random.below(input.len());
        let difference = self.random.below(9) as u8;
        if let Some(byte) = input.get_mut(at) {
            *byte = byte.wrapping_add(difference).wrapping_sub(4);
        }
    }

    /// Puts a little-endian integer of some width there.
    fn integer(&mut self, input: &mut [u8]) {
        let width = 1 << self.random.below(4);
        let at = self.random.below(input.len());
        let boundary = BOUNDARIES.get(self.random.below(BOUNDARIES.len())).copied().unwrap_or(0);
        let value = match self.random.below(4) {
            0 => boundary.wrapping_neg(),
            1 => u64::MAX >> self.random.below(64),
            _ => boundary,
        };
        // Fields mostly lie where their width says.
        let at = if self.random.below(2) == 0 { at - at % width } else { at };
        if let Some(place) = input.get_mut(at..at + width) {
            place.copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }

    /// The beginning of one, the end of another.
    fn splice(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        input.truncate(self.random.below(input.len() + 1));
        let from = self.random.below(other.len() + 1);
        input.extend_from_slice(other.get(from..).unwrap_or_default());
    }

    fn truncate(&mut self, input: &mut Vec<u8>) {
        input.truncate(self.random.below(input.len() + 1));
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.random.below(length + 1);
        let longest = (length - from).min(1 << self.random.below(10));
        from..from + self.random.below(longest + 1)
    }

    fn duplicate(&mut self, input: &mut Vec<u8>) {
        let range = self.range(input.len());
        let part = input[range].to_vec();
        self.insert(input, &part);
    }

    fn remove(&mut self, input: &mut Vec<u8>) {
        let range = self.range(input.len());
        input.drain(range);
    }

    fn overwrite(&mut self, input: &mut [u8], other: &[u8]) {
        let range = self.range(other.len());
        let part = &other[range];
        let at = self.random.below(input.len() + 1);
        if let Some(place) = input.get_mut(at..at + part.len()) {
            place.copy_from_slice(part);
        }
    }

    fn insert_noise(&mut self, input: &mut Vec<u8>) {
        let length = 1 + self.random.below(16);
        let noise: Vec<u8> = (0..length).map(|_| self.random.number() as u8).collect();
        self.insert(input, &noise);
    }

    fn insert(&mut self, input: &mut Vec<u8>, part: &[u8]) {
        let at = self.random.below(input.len() + 1);
        input.splice(at..at, part.iter().copied());
    }

    /// Another number in the place of one of the text's.
    fn decimal(&mut self, input: &mut Vec<u8>) {
        let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let at = self.random.below(input.len());
        let rest = input.get(at..).unwrap_or_default();
        let Some(start) = rest.iter().position(is_part).map(|skipped| at + skipped) else { return };
        let length = input[start..].iter().take_while(|byte| is_part(byte)).count();
        let number = DECIMALS.get(self.random.below(DECIMALS.len())).copied().unwrap_or("0");
        input.splice(start..start + length, number.bytes());
    }

    fn word(&mut self, input: &mut Vec<u8>) {
        if let Some(word) = self.words.get(self.random.below(self.words.len())) {
            self.insert(input, word.as_bytes());
        }
    }
}
