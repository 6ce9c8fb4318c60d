//! Random histories from a seed against a naive model: a list of frames.
//!
//! After every crash the log is a prefix of what was appended on the branch that counts, and it
//! has everything that a sync had promised.

use store::sim::Random;
use store::{LogOptions, SimDisk, Writer};

use crate::bench::*;

struct Model {
    seed: u64,
    random: Random,
    disk: SimDisk,
    lie: bool,
    writer: Option<Writer>,
    /// End, stamp and payload of each frame appended, on the branch that counts.
    frames: Vec<(u64, u64, Vec<u8>)>,
    /// What a sync has promised.
    synced: u64,
    stamp: u64,
    crashes: u64,
    lost: usize,
}

impl Model {
    fn new(seed: u64, lie: bool) -> Model {
        let random = Random::new(seed);
        let disk = SimDisk::new();
        disk.set_syncs_lie(lie);
        let (frames, writer) = (Vec::new(), None);
        let mut model = Model {
            seed,
            random,
            disk,
            lie,
            writer,
            frames,
            synced: 0,
            stamp: 0,
            crashes: 0,
            lost: 0,
        };
        model.writer = Some(open(&model.disk).unwrap().0);
        model
    }

    fn run(&mut self, steps: u64) -> Result<(), String> {
        for _ in 0..steps {
            match self.random.below(100) {
                0..50 => self.append(),
                50..70 => self.write(),
                70..85 => self.sync(),
                85..88 => self.cut(),
                88..94 => self.crash_now()?,
                94..96 => self.kill()?,
                _ => self.crash_in_the_middle()?,
            }
        }
        self.crash_now()
    }

    fn append(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        let length = self.random.below(5).pow(4) * 2;
        let bytes = payload(&mut self.random, length as usize);
        self.stamp += 1;
        let mut meta = meta(writer.tail().sequence + 1);
        meta.stamp = self.stamp;
        let end = writer.append(&meta, &bytes);
        let mut padded = bytes;
        padded.resize(padded.len().next_multiple_of(16), 0);
        self.frames.push((end, self.stamp, padded));
    }

    fn write(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        if writer.write().is_err() {
            self.writer = None;
        }
    }

    fn sync(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        let by_thread = self.random.chance(50);
        match if by_thread { writer.syncer().sync() } else { writer.sync() } {
            Ok(position) => self.synced = self.synced.max(position),
            Err(_) => self.writer = None,
        }
    }

    /// Cuts at the end of any frame; if it does not come to its end, frames above may stay.
    fn cut(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        let keep = self.random.below(self.frames.len() as u64 + 1) as usize;
        let position = self.frames[..keep].last().map_or(0, |frame| frame.0);
        self.synced = self.synced.min(position);
        if writer.cut(position).is_err() {
            self.writer = None;
            return;
        }
        self.frames.truncate(keep);
    }

    fn crash_now(&mut self) -> Result<(), String> {
        let seed = self.random.number();
        self.restart_on(self.disk.cut(seed))
    }

    /// The process dies, the machine does not.
    fn kill(&mut self) -> Result<(), String> {
        let written = self.writer.as_ref().map(Writer::written);
        let disk = self.disk.clone();
        self.restart_on(disk)?;
        match written {
            Some(written) if self.end() < written => {
                Err(format!("a kill lost what was written up to {written}"))
            }
            _ => Ok(()),
        }
    }

    /// The power goes in the middle of something, perhaps of the recovery itself.
    fn crash_in_the_middle(&mut self) -> Result<(), String> {
        let operations = self.random.below(12);
        self.disk.power_off_after(Some(operations));
        for _ in 0..6 {
            match self.random.below(8) {
                0..3 => self.append(),
                3..5 => self.write(),
                5..7 => self.sync(),
                _ => self.cut(),
            }
        }
        let seed = self.random.number();
        let after = self.disk.cut(seed);
        after.set_syncs_lie(self.lie);
        self.writer = None;
        let operations = self.random.below(20);
        after.power_off_after(Some(operations));
        let recovered = open_durable(&after, self.random_durable());
        drop(recovered);
        self.restart_on(after.cut(seed ^ 1))
    }

    /// What the durable facts may say: anything up to what was promised.
    fn random_durable(&mut self) -> u64 {
        let ends = self.frames.iter().map(|frame| frame.0);
        let ends: Vec<u64> = ends.filter(|&end| end <= self.synced).collect();
        match ends.len() as u64 {
            0 => 0,
            count => ends[self.random.below(count) as usize],
        }
    }

    fn end(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.0)
    }

    fn restart_on(&mut self, disk: SimDisk) -> Result<(), String> {
        self.writer = None;
        self.disk = disk;
        self.disk.set_syncs_lie(self.lie);
        self.crashes += 1;
        let options = LogOptions { durable_position: self.random_durable(), ..options() };
        let (writer, recovery) =
            open_with(&self.disk, &options).map_err(|error| self.explain(&error.to_string()))?;
        let end = recovery.tail.position;
        let found =
            read_all(self.disk.shared(), end).map_err(|error| self.explain(&error.to_string()))?;
        if self.frames.get(..found.len()) != Some(&found[..]) {
            return Err(self.explain("the log is not a prefix of what was appended"));
        }
        if end < self.synced {
            return Err(self.explain("something that was synced is lost"));
        }
        self.lost += self.frames.len() - found.len();
        self.frames.truncate(found.len());
        self.synced = end;
        self.writer = Some(writer);
        Ok(())
    }

    fn explain(&self, what: &str) -> String {
        format!("seed {}, crash {}: {what}", self.seed, self.crashes)
    }
}

#[test]
fn no_crash_loses_what_was_synced_or_revives_what_was_cut() {
    let (mut crashes, mut lost) = (0, 0);
    for seed in 0..400 {
        let mut model = Model::new(seed, false);
        model.run(120).unwrap();
        crashes += model.crashes;
        lost += model.lost;
    }
    // The test tests something: crashes came, and unsynced frames were lost in them.
    assert!(crashes > 4000 && lost > 4000, "{crashes} crashes lost {lost} frames");
}

#[test]
fn without_fdatasync_the_same_test_fails() {
    let failed = (0..20).filter(|&seed| Model::new(seed, true).run(120).is_err()).count();
    assert!(failed > 15, "only {failed} of 20 histories failed");
}
