//! Deterministic operations, as `app::ops` describes their file: the same bytes on every machine.

use std::collections::HashMap;

use app::ops::{BUY, CHUNK, Chunk, Error, Kind, Operation, Operations, Outcome, SELL, See};

use clap::ValueEnum;

use crate::book::Book;

/// Which mix of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mix {
    /// A small book whose orders are replaced most of the time.
    A,
    /// About 10,000 orders that come and go.
    B,
    /// A million orders in 50,000 levels.
    C,
}

/// Operations at which the outcome of each mix is known.
pub const FULL_SIZE: usize = 3_000_000;

impl Mix {
    pub const ALL: [Mix; 3] = [Mix::A, Mix::B, Mix::C];

    pub fn name(self) -> &'static str {
        match self {
            Mix::A => "a",
            Mix::B => "b",
            Mix::C => "c",
        }
    }

    /// What comes of [`FULL_SIZE`] operations.
    pub fn expected(self) -> Outcome {
        let (trades, volume, hash) = match self {
            Mix::A => (168_063, 3_106_763, 0x7a2b_43e6_b2ea_dc45),
            Mix::B => (428_490, 10_917_405, 0x678a_1c6d_2570_e083),
            Mix::C => (450_905, 11_474_542, 0x9f69_900b_3160_8283),
        };
        Outcome { trades, volume, hash }
    }

    /// What a machine that is not busy with other things gives the naive book.
    pub fn naive_per_second_min(self) -> f64 {
        match self {
            Mix::A => 7e6,
            Mix::B => 10e6,
            Mix::C => 3e6,
        }
    }
}

/// A prefill, and the operations that count.
pub struct Workload {
    pub prefill: Vec<Operation>,
    pub operations: Vec<Operation>,
    /// The id that the next new order would have.
    pub next_id: u64,
    /// What came of it in the book that guided the generator.
    pub outcome: Outcome,
}

impl Workload {
    /// The first so many operations of a mix.
    pub fn generate(mix: Mix, operations: usize) -> Workload {
        Generator::new(mix).run(operations)
    }

    /// The operation file.
    pub fn encode(&self) -> Vec<u8> {
        let count = self.prefill.len() + self.operations.len();
        let mut bytes = Vec::with_capacity(32 * (count + 1));
        bytes.extend_from_slice(b"OPSF0001");
        for number in [self.prefill.len() as u64, self.operations.len() as u64, self.next_id] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for operation in self.prefill.iter().chain(&self.operations) {
            bytes.extend_from_slice(&[operation.kind as u8, operation.side, 0, 0, 0, 0, 0, 0]);
            bytes.extend_from_slice(&operation.id.to_le_bytes());
            bytes.extend_from_slice(&operation.price.to_le_bytes());
            bytes.extend_from_slice(&operation.quantity.to_le_bytes());
        }
        bytes
    }
}

impl Operations for &Workload {
    fn each_chunk(&mut self, see: See<'_>) -> Result<(), Error> {
        let mut first = 0;
        for (part, is_timed) in [(&self.prefill, false), (&self.operations, true)] {
            for operations in part.chunks(CHUNK) {
                see(Chunk { operations, first, is_timed })?;
                first += operations.len() as u64;
            }
        }
        Ok(())
    }
}

/// Pseudo-random numbers: xorshift128+, seeded by splitmix64.
struct Random(u64, u64);

impl Random {
    fn new(seed: u64) -> Random {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        Random(next(), next())
    }

    fn number(&mut self) -> u64 {
        let Random(mut one, other) = *self;
        let sum = one.wrapping_add(other);
        one ^= one << 23;
        *self = Random(other, one ^ other ^ (one >> 18) ^ (other >> 5));
        sum
    }

    /// From 0 to below 1.
    fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// Mostly small, with this mean.
    fn geometric(&mut self, mean: f64) -> i64 {
        (-(1.0 - self.fraction()).ln() * mean) as i64
    }
}

const BASE: i64 = 100_000;

/// Chooses operations by looking at the book that they make.
struct Generator {
    mix: Mix,
    random: Random,
    book: Book,
    /// Open orders by side, and where each stands there.
    live: [Vec<u64>; 2],
    places: HashMap<u64, (usize, usize)>,
    mid: i64,
    next_id: u64,
    /// Orders of a side that the book is kept at.
    target: usize,
    distance_mean: f64,
    distance_max: i64,
}

impl Generator {
    fn new(mix: Mix) -> Generator {
        let (seed, target, distance_mean, distance_max) = match mix {
            Mix::A => (11, 1_000, 250.0, 1_000),
            Mix::B => (22, 5_000, 250.0, 1_000),
            Mix::C => (33, 500_000, 100.0, 25_000),
        };
        Generator {
            mix,
            random: Random::new(seed),
            book: Book::default(),
            live: [Vec::new(), Vec::new()],
            places: HashMap::new(),
            mid: BASE,
            next_id: 1,
            target,
            distance_mean,
            distance_max,
        }
    }

    fn run(mut self, count: usize) -> Workload {
        let mut prefill = Vec::with_capacity(2 * self.target);
        for number in 0..2 * self.target {
            let side = (number & 1) as u8;
            let distance = match self.mix {
                Mix::C => self.uniform_distance(),
                _ => self.distance(),
            };
            let price = self.away(side, distance);
            let order = self.new_order(Kind::Limit, side, price, 50.0);
            self.apply(&order);
            prefill.push(order);
        }
        let mut operations = Vec::with_capacity(count);
        while operations.len() < count {
            if let Some(operation) = self.next() {
                self.apply(&operation);
                operations.push(operation);
            }
        }
        Workload { prefill, operations, next_id: self.next_id, outcome: self.book.outcome }
    }

    /// The next operation; none when there is no order that it could be about.
    fn next(&mut self) -> Option<Operation> {
        self.move_mid();
        let kind = self.kind();
        let thin = if self.live[0].len() < self.live[1].len() { BUY } else { SELL };
        match kind {
            Kind::Limit => self.limit(thin),
            Kind::ImmediateOrCancel => {
                let side = self.mostly(thin);
                let price = self.marketable(side)?;
                Some(self.new_order(Kind::ImmediateOrCancel, side, price, 20.0))
            }
            Kind::Cancel => {
                let side = self.mostly(1 - thin);
                self.live_order(side)
            }
            Kind::Replace => self.replace(),
        }
    }

    fn move_mid(&mut self) {
        if self.random.below(500) == 0 {
            let pull = (self.mid - BASE) as f64 / 400.0;
            self.mid += if self.random.fraction() < 0.5 - pull { 1 } else { -1 };
        }
    }

    fn open_orders(&self) -> usize {
        self.live[0].len() + self.live[1].len()
    }

    fn is_low(&self) -> bool {
        self.open_orders() < 2 * self.target * 99 / 100
    }

    fn is_high(&self) -> bool {
        self.open_orders() > 2 * self.target * 101 / 100
    }

    fn kind(&mut self) -> Kind {
        let (new, immediate, cancel) =
            if self.mix == Mix::A { (0.09, 0.12, 0.18) } else { (0.50, 0.50, 0.95) };
        let choice = self.random.fraction();
        let kind = if choice < new {
            Kind::Limit
        } else if choice < immediate {
            Kind::ImmediateOrCancel
        } else if choice < cancel {
            Kind::Cancel
        } else {
            Kind::Replace
        };
        match kind {
            _ if self.mix == Mix::A => kind,
            Kind::Cancel if self.is_low() => Kind::Limit,
            Kind::Limit if self.is_high() => Kind::Cancel,
            _ => kind,
        }
    }

    /// This side six times of ten.
    fn mostly(&mut self, side: u8) -> u8 {
        if self.random.fraction() < 0.6 { side } else { 1 - side }
    }

    fn limit(&mut self, thin: u8) -> Option<Operation> {
        let crosses = match self.mix {
            Mix::A if self.is_low() => 0.05,
            Mix::A => 0.35,
            _ => 0.20,
        };
        let crosses = self.random.fraction() < crosses;
        let side = self.mostly(thin);
        let price = if crosses {
            self.marketable(side)?
        } else {
            let distance = self.distance();
            self.passive(side, self.away(side, distance))
        };
        Some(self.new_order(Kind::Limit, side, price, 50.0))
    }

    fn replace(&mut self) -> Option<Operation> {
        let side = self.random.below(2) as u8;
        let order = self.live_order(side)?;
        let price = if self.random.fraction() < 0.5 {
            let distance = self.distance();
            self.away(side, distance)
        } else {
            order.price + self.random.below(21) as i64 - 10
        };
        let reach = self.distance_max + 400;
        let price = price.clamp(BASE - reach, BASE + reach);
        let price = match self.random.fraction() < 0.003 {
            true => self.book.best(1 - side)?,
            false => self.passive(side, price),
        };
        let worse = if side == BUY { price - 1 } else { price + 1 };
        let price = if price == order.price { worse } else { price };
        Some(Operation { kind: Kind::Replace, price, ..order })
    }

    /// A random open order of the side, as its cancel.
    fn live_order(&mut self, side: u8) -> Option<Operation> {
        let live = &self.live[usize::from(side)];
        if live.is_empty() {
            return None;
        }
        let id = live[self.random.below(live.len() as u64) as usize];
        let (side, price, quantity) = self.book.open(id)?;
        Some(Operation { kind: Kind::Cancel, side, id, price, quantity })
    }

    fn new_order(&mut self, kind: Kind, side: u8, price: i64, mean: f64) -> Operation {
        let quantity = 1 + self.random.geometric(mean) as u64;
        let id = self.next_id;
        self.next_id += 1;
        Operation { kind, side, id, price, quantity }
    }

    fn uniform_distance(&mut self) -> i64 {
        1 + self.random.below(self.distance_max as u64) as i64
    }

    fn distance(&mut self) -> i64 {
        if self.mix == Mix::C && self.random.fraction() < 0.5 {
            return self.uniform_distance();
        }
        loop {
            let distance = 1 + self.random.geometric(self.distance_mean);
            if distance <= self.distance_max {
                return distance;
            }
        }
    }

    fn away(&self, side: u8, distance: i64) -> i64 {
        if side == BUY { self.mid - distance } else { self.mid + distance }
    }

    /// The price, or the best that does not cross.
    fn passive(&self, side: u8, price: i64) -> i64 {
        match self.book.best(1 - side) {
            Some(best) if side == BUY => price.min(best - 1),
            Some(best) => price.max(best + 1),
            None => price,
        }
    }

    /// A price a little beyond the best of the other side.
    fn marketable(&mut self, side: u8) -> Option<i64> {
        let best = self.book.best(1 - side)?;
        let beyond = self.random.geometric(3.0);
        Some(if side == BUY { best + beyond } else { best - beyond })
    }

    fn apply(&mut self, operation: &Operation) {
        let Generator { book, live, places, .. } = self;
        let mut forget = |id: u64| {
            let Some((side, place)) = places.remove(&id) else { return };
            live[side].swap_remove(place);
            if let Some(moved) = live[side].get(place) {
                places.insert(*moved, (side, place));
            }
        };
        if matches!(operation.kind, Kind::Cancel | Kind::Replace) {
            forget(operation.id);
        }
        book.apply(operation, forget);
        if book.open(operation.id).is_some() {
            let side = usize::from(operation.side);
            places.insert(operation.id, (side, live[side].len()));
            live[side].push(operation.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::hash::hash_bytes;

    /// What the reference generator's files of 10,000 operations begin with and hash to.
    #[test]
    fn the_operation_files_are_the_reference_generators() {
        let expected = [
            (Mix::A, 2_000, 3_263, 8_231_727_331_708_009_930),
            (Mix::B, 10_000, 15_624, 13_653_476_640_723_259_516),
        ];
        for (mix, prefill, next_id, hash) in expected {
            let bytes = Workload::generate(mix, 10_000).encode();
            let numbers = [prefill, 10_000, next_id].map(u64::to_le_bytes).concat();
            assert_eq!(bytes[..32], [&b"OPSF0001"[..], &numbers].concat(), "{mix:?}");
            assert_eq!(bytes.len() as u64, 32 * (1 + prefill + 10_000), "{mix:?}");
            assert_eq!(hash_bytes(&bytes, 0), hash, "{mix:?}");
        }
    }

    #[test]
    fn a_short_workload_is_the_beginning_of_a_long_one() {
        let (short, long) = (Workload::generate(Mix::A, 100), Workload::generate(Mix::A, 1_000));
        assert_eq!(
            (short.prefill, short.operations),
            (long.prefill, long.operations[..100].to_vec())
        );
    }
}
