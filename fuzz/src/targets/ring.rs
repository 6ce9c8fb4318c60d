//! A ring shared with a process that has gone mad: the other end refuses, and never panics.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use store::Error;
use store::ring::{Class, Consumer, Producer};

use crate::Target;
use crate::draw::Draw;
use crate::edit::{damage, damage_in_place};
use crate::feedback::note;
use crate::scratch::Scratch;

pub const TARGET: Target = Target { name: "ring", run: ring, corpus, words: &[], length_max: 128 };

const CAPACITY: usize = 512;
/// Where head, taken and released lie.
const WORDS: [usize; 3] = [128, 256, 384];
/// The longest record that the ring takes.
const RECORD_MAX: usize = CAPACITY / 4 - 16;
/// The same of the smallest ring that there is: damage may make this one look like that.
const SMALLEST_RECORD_MAX: usize = 128 / 4 - 16;

fn corpus() -> Vec<Vec<u8>> {
    let mut inputs =
        vec![vec![], vec![1], vec![9, 3], vec![13, 200, 0, 1, 0, 1], vec![0, 1, 0, 29, 0, 0, 0]];
    for at in (0..1_024u16).step_by(8) {
        let [low, high] = at.to_le_bytes();
        let value = (at % 251) as u8;
        inputs.push(vec![9, 0, 1, 2, 3, low, high, value, 0, 0]);
        inputs.push(vec![9, 0, 0, 1, 3, low, high, value, 0, 0]);
    }
    inputs
}

pub fn ring(data: &[u8]) {
    let file = Scratch::new();
    let mut draw = Draw::new(data);
    let sent = prepare(&file.path, &mut draw);
    let before = draw.below(3);
    let mut content = fs::read(&file.path).expect("a file that was made");
    for _ in 0..before {
        match draw.below(4) {
            0 => move_words(&mut content, &mut draw),
            _ => damage(&mut content, &mut draw),
        }
    }
    fs::write(&file.path, &content).expect("a scratch file");
    let (consumer, producer) = (Consumer::open(&file.path), Producer::open(&file.path));
    note((consumer.is_ok(), producer.is_ok()));
    // What the other process does while this one looks: the length of the file stays.
    let meanwhile = draw.below(4);
    for _ in 0..meanwhile {
        damage_in_place(&mut content, &mut draw);
    }
    if meanwhile > 0 {
        let written = File::options().write(true).open(&file.path);
        written.and_then(|it| it.write_all_at(&content, 0)).expect("a scratch file");
    }
    if let Ok(consumer) = consumer {
        let taken = take_all(consumer, draw.below(2) == 1);
        if before + meanwhile == 0 {
            assert_eq!(taken, sent);
        }
    }
    if let Ok(producer) = producer {
        push_some(producer, &mut draw);
    }
}

/// Makes a ring, lets records through and leaves some in it; gives those.
fn prepare(path: &Path, draw: &mut Draw<'_>) -> Vec<Vec<u8>> {
    let mut producer = Producer::create(path, CAPACITY).expect("a ring");
    let mut consumer = Consumer::open(path).expect("a ring");
    let mut left = Vec::new();
    for number in 0..draw.below(24) as u8 {
        let record = vec![number; usize::from(number) * 11 % (RECORD_MAX + 1)];
        if producer.push(&record, Class::Urgent).is_ok() {
            left.push(record);
        }
        if left.len() > 3 {
            consumer.poll(2, |_| drop(left.remove(0))).expect("a ring in order");
            consumer.release(consumer.taken());
        }
    }
    left
}

/// Puts head, taken and released near some number: words that agree, wherever they are.
fn move_words(content: &mut [u8], draw: &mut Draw<'_>) {
    let near = draw.extreme() / 16 * 16;
    for word in WORDS {
        let back = 16 * u64::from(draw.byte() % 8);
        if let Some(place) = content.get_mut(word..word + 8) {
            place.copy_from_slice(&near.wrapping_sub(back).to_le_bytes());
        }
    }
}

fn take_all(mut consumer: Consumer, release: bool) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    loop {
        let before = consumer.taken();
        let polled = consumer.poll(3, |record| {
            assert!(record.len() <= CAPACITY);
            taken.push(record.to_vec());
        });
        match &polled {
            Err(Error::Corrupt { what, .. }) => note(what),
            polled => note(polled.as_ref().ok()),
        }
        let ended = !matches!(polled, Ok(1..));
        assert!(consumer.taken() >= before && consumer.taken() - before <= CAPACITY as u64);
        assert!(taken.len() <= CAPACITY / 16, "more records than the ring has room for");
        if release && consumer.taken() > consumer.released() {
            consumer.release(consumer.taken());
        }
        if ended {
            consumer.rewind_to_released();
            return taken;
        }
    }
}

fn push_some(mut producer: Producer, draw: &mut Draw<'_>) {
    for _ in 0..6 {
        let record = [1; SMALLEST_RECORD_MAX];
        let class = draw.pick(&[Class::Order, Class::Urgent]);
        let pushed = producer.push(&record[..draw.below(SMALLEST_RECORD_MAX + 1)], class);
        note(pushed.is_ok());
        assert!(producer.used() <= CAPACITY as u64);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_ring_makes_the_other_end_panic() {
        crate::campaign::check(&super::TARGET, 1, 2_000);
    }
}
