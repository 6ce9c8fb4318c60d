use store::segment::SegmentHeader;
use store::{Error, Identity, LogKind, LogOptions, SimDisk, verify};

use crate::bench::*;

fn damage(disk: &SimDisk, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
    disk.damage(&segment(number), change).unwrap();
}

/// Changes fields of a segment's header and gives it a good checksum again.
fn forge(disk: &SimDisk, number: u64, change: impl FnOnce(&mut [u8])) {
    damage(disk, number, |bytes| {
        let header = &mut bytes[..4096];
        change(header);
        let sum = crc32c::crc32c(&header[..4092]);
        header[4092..].copy_from_slice(&sum.to_le_bytes());
    });
}

#[test]
fn an_empty_log_begins_at_its_start() {
    let disk = SimDisk::new();
    let (writer, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.tail.position, recovery.tail.index, recovery.frames), (0, 0, 0));
    drop(writer);
    assert_eq!(open(&disk).unwrap().1.tail, recovery.tail);
}

#[test]
fn a_log_can_begin_after_a_snapshot() {
    let disk = SimDisk::new();
    let start =
        store::Tail { position: 10_000, index: 70, sequence: 50, hash: 9, ..Default::default() };
    let options = LogOptions { start, needed_from: 10_000, durable_position: 10_000, ..options() };
    let (mut writer, _) = open_with(&disk, &options).unwrap();
    fill(&mut writer, 51, 60, 100);
    let (_, recovery) = open_with(&disk, &options).unwrap();
    assert_eq!((recovery.first_position, recovery.tail.index), (10_000, 80));
    assert_eq!(recovery.tail.sequence, 60);
}

#[test]
fn a_torn_frame_is_cut_at_every_byte_and_filling() {
    let (disk, ends) = filled(3, 100);
    let from = (HEADER + ends[1]) as usize;
    let to = (HEADER + ends[2]) as usize;
    let whole = disk.read(&segment(1)).unwrap();
    let mut cases = 0;
    for torn in from..to {
        for fill in [0x00, 0xFF, 0x50] {
            let mut bytes = whole.clone();
            bytes[torn..to].fill(fill);
            if bytes == whole {
                continue;
            }
            damage(&disk, 1, |old| *old = bytes);
            let (mut writer, recovery) = open_durable(&disk, ends[1]).unwrap();
            assert_eq!(recovery.tail.position, ends[1], "torn at {torn} with {fill:02x}");
            fill_one(&mut writer, 3);
            assert_eq!(open_durable(&disk, ends[1]).unwrap().1.tail.position, ends[2]);
            cases += 1;
        }
    }
    // The last four bytes of the payload are padding, and zeros already.
    assert!(cases > 3 * 170, "{cases}");
}

fn fill_one(writer: &mut store::Writer, sequence: u64) {
    fill(writer, sequence, sequence, 100);
}

#[test]
fn the_same_torn_frame_below_durable_is_corruption() {
    let (disk, ends) = filled(3, 100);
    let offset = HEADER + ends[1];
    damage(&disk, 1, |bytes| bytes[offset as usize + 80] ^= 1);
    let found = error(open_durable(&disk, ends[2]));
    assert!(matches!(&found, Error::Corrupt { file, offset: at, .. }
        if *file == segment(1) && *at == offset));
    let text = found.to_string();
    assert!(text.contains("events-00000000000000000001.seg") && text.contains("restore"), "{text}");
}

#[test]
fn every_single_bit_flip_is_detected() {
    let (disk, ends) = filled(4, 120);
    let end = *ends.last().unwrap();
    let clean = verify(&disk, folder(), LogKind::Events, end).unwrap();
    assert!(clean.problem.is_none());
    assert_eq!((clean.frames, clean.records, clean.bytes, clean.segments), (4, 4, end, 1));
    for byte in 0..(HEADER + end) as usize + 128 {
        for bit in 0..8 {
            damage(&disk, 1, |bytes| bytes[byte] ^= 1 << bit);
            let found = verify(&disk, folder(), LogKind::Events, end).unwrap();
            assert!(found.problem.is_some(), "byte {byte} bit {bit}");
            // Behind the end is nothing that was known durable.
            let behind = byte as u64 >= HEADER + end;
            assert_eq!(found.is_torn_tail, behind, "byte {byte} bit {bit}");
            damage(&disk, 1, |bytes| bytes[byte] ^= 1 << bit);
        }
    }
}

#[test]
fn flipped_bits_of_durable_frames_refuse_the_start() {
    let (disk, ends) = filled(2, 40);
    for byte in (0..4096).step_by(17).chain(4096..(HEADER + ends[1]) as usize) {
        damage(&disk, 1, |bytes| bytes[byte] ^= 0x10);
        error(open_durable(&disk, ends[1]));
        damage(&disk, 1, |bytes| bytes[byte] ^= 0x10);
    }
    assert_eq!(open_durable(&disk, ends[1]).unwrap().1.tail.position, ends[1]);
}

#[test]
fn many_torn_frames_are_cut_at_the_first() {
    let (disk, ends) = filled(20, 100);
    damage(&disk, 1, |bytes| {
        for torn in [5, 7, 8, 12, 19] {
            bytes[(HEADER + ends[torn]) as usize - 60] ^= 0xFF;
        }
    });
    let (writer, recovery) = open_durable(&disk, ends[3]).unwrap();
    assert_eq!(recovery.tail.sequence, 5);
    let cut = recovery.cut.unwrap();
    assert_eq!((cut.offset, cut.bytes > 1000), (HEADER + ends[4], true));
    drop(writer);
    let rest = disk.read(&segment(1)).unwrap().split_off((HEADER + ends[4]) as usize);
    assert!(rest.iter().all(|&byte| byte == 0));
    assert_eq!(open_durable(&disk, ends[3]).unwrap().1.cut, None);
}

#[test]
fn cut_frames_do_not_come_back_to_life() {
    let (disk, ends) = filled(6, 100);
    let old = disk.read(&segment(1)).unwrap();
    damage(&disk, 1, |bytes| bytes[(HEADER + ends[3]) as usize - 20] ^= 1);
    let (mut writer, recovery) = open_durable(&disk, ends[1]).unwrap();
    assert_eq!(recovery.tail.sequence, 3);
    // Another frame 4 of the same length takes the place of the torn one.
    let mut other = meta(4);
    other.term = 2;
    writer.append(&other, &[7; 100]);
    writer.write().unwrap();
    writer.sync().unwrap();
    drop(writer);
    // Even if frames 5 and 6 were still there, they do not follow from this frame 4.
    let (from, to) = ((HEADER + ends[3]) as usize, (HEADER + ends[5]) as usize);
    damage(&disk, 1, |bytes| bytes[from..to].copy_from_slice(&old[from..to]));
    let (_, recovery) = open_durable(&disk, ends[1]).unwrap();
    assert_eq!((recovery.tail.sequence, recovery.tail.term), (4, 2));
}

#[test]
fn an_unwritten_first_sector_hides_the_later_ones_for_good() {
    let (disk, ends) = filled(6, 100);
    let from = (HEADER + ends[2]) as usize;
    damage(&disk, 1, |bytes| bytes[from..from + 64].fill(0));
    let (_, recovery) = open_durable(&disk, ends[1]).unwrap();
    assert_eq!(recovery.tail.sequence, 3);
    let bytes = disk.read(&segment(1)).unwrap();
    assert!(bytes[from..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_torn_end_of_one_segment_takes_the_later_segments_with_it() {
    let (disk, ends) = filled(60, 200);
    assert!(open(&disk).unwrap().1.segments >= 4);
    let offset = (HEADER + ends[2] + 10) as usize;
    damage(&disk, 1, |bytes| bytes[offset] ^= 1);
    let (mut writer, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.tail.sequence, recovery.segments), (3, 1));
    assert!(recovery.cut.unwrap().segments_removed >= 3);
    fill(&mut writer, 4, 40, 200);
    assert_eq!(last_sequence(&disk), 40);
}

#[test]
fn the_epoch_rises_with_a_cut() {
    let (disk, ends) = filled(3, 100);
    damage(&disk, 1, |bytes| bytes[(HEADER + ends[1] + 9) as usize] ^= 1);
    let (mut writer, _) = open(&disk).unwrap();
    fill(&mut writer, 3, 40, 100);
    let epoch = |number| {
        let bytes = disk.read(&segment(number)).unwrap();
        SegmentHeader::parse(&bytes).unwrap().epoch
    };
    assert_eq!((epoch(1), epoch(2)), (1, 2));
}

#[test]
fn a_torn_header_of_the_newest_segment_is_a_torn_tail() {
    let (disk, ends) = filled(30, 200);
    let last = open(&disk).unwrap().1.segments;
    let header = SegmentHeader::parse(&disk.read(&segment(last)).unwrap()).unwrap();
    damage(&disk, last, |bytes| bytes[..512].fill(0));
    let (_, recovery) = open_durable(&disk, header.first_position).unwrap();
    assert_eq!(recovery.tail.position, header.first_position);
    assert_eq!(recovery.cut.unwrap().segments_removed, 1);
    let disk = filled(30, 200).0;
    damage(&disk, last, |bytes| bytes[..512].fill(0));
    let found = error(open_durable(&disk, *ends.last().unwrap()));
    assert!(matches!(&found, Error::Corrupt { file, offset: 0, .. } if *file == segment(last)));
}

#[test]
fn a_foreign_log_is_refused() {
    let disk = filled(3, 100).0;
    for identity in [Identity { cluster: 1, node: 1 }, Identity { node: 2, ..IDENTITY }] {
        let found = error(open_with(&disk, &LogOptions { identity, ..options() }));
        assert!(matches!(&found, Error::Foreign { file, .. } if *file == segment(1)), "{found}");
    }
}

#[test]
fn a_newer_format_is_refused() {
    let disk = filled(3, 100).0;
    forge(&disk, 1, |header| header[8] = 9);
    let found = error(open(&disk));
    assert!(matches!(found, Error::NewerFormat { offset: 8, found: 9, supported: 1, .. }));
}

#[test]
fn an_unknown_schema_is_refused_and_an_older_one_is_read() {
    let disk = filled(3, 100).0;
    let newer = LogOptions { schema: 77, ..options() };
    let found = error(open_with(&disk, &newer));
    assert!(matches!(found, Error::UnknownSchema { found: SCHEMA, .. }));
    let newer = LogOptions { schemas_readable: vec![SCHEMA], ..newer };
    let (mut writer, recovery) = open_with(&disk, &newer).unwrap();
    assert_eq!(recovery.tail.sequence, 3);
    // Records of the new schema go to a segment of their own.
    fill(&mut writer, 4, 4, 100);
    let header = SegmentHeader::parse(&disk.read(&segment(2)).unwrap()).unwrap();
    assert_eq!((header.schema, header.first_index), (77, 4));
    drop(writer);
    assert_eq!(open_with(&disk, &newer).unwrap().1.tail.sequence, 4);
}

#[test]
fn a_truncated_file_is_refused() {
    let disk = filled(30, 200).0;
    for (number, length) in [(1, 5000), (2, 0), (2, 100), (2, 8191)] {
        let whole = disk.read(&segment(number)).unwrap();
        damage(&disk, number, |bytes| bytes.truncate(length));
        let found = error(open(&disk));
        assert!(matches!(&found, Error::Truncated { file, length: at, .. }
            if *file == segment(number) && *at == length as u64));
        damage(&disk, number, |bytes| *bytes = whole);
    }
}

#[test]
fn a_missing_segment_is_named() {
    use store::Storage;
    let (disk, ends) = filled(60, 200);
    let end = *ends.last().unwrap();
    let count = open(&disk).unwrap().1.segments;
    for missing in 1..=count {
        let disk = disk.cut(0);
        disk.unlink(&segment(missing)).unwrap();
        let found = error(open_durable(&disk, end));
        match missing {
            1 => assert!(matches!(found, Error::MissingSegment { .. }), "{found}"),
            n if n == count => assert!(matches!(found, Error::Corrupt { .. }), "{found}"),
            n => assert!(
                matches!(&found, Error::MissingSegment { file, .. }
                if *file == segment(n)),
                "{found}"
            ),
        }
    }
    for number in 1..=count {
        disk.unlink(&segment(number)).unwrap();
    }
    assert!(matches!(error(open_durable(&disk, end)), Error::MissingSegment { .. }));
}

#[test]
fn a_renamed_segment_is_refused() {
    use store::Storage;
    let disk = filled(60, 200).0;
    disk.rename(&segment(2), &folder().join("other")).unwrap();
    disk.rename(&segment(3), &segment(2)).unwrap();
    assert!(matches!(error(open(&disk)), Error::Corrupt { offset: 12, .. }));
}

#[test]
fn a_snapshot_spares_the_walk_of_older_segments() {
    let (disk, ends) = filled(60, 200);
    let all = open(&disk).unwrap().1;
    let needed_from = ends[40];
    let some = open_with(&disk, &LogOptions { needed_from, ..options() }).unwrap().1;
    assert_eq!(some.tail, all.tail);
    assert!(some.frames < all.frames && some.first_position == 0);
}

#[test]
fn an_explicit_cut_is_durable_and_another_branch_goes_on() {
    let (disk, ends) = filled(60, 200);
    for keep in [59, 58, 30, 16, 1] {
        let (mut writer, _) = open(&disk).unwrap();
        let tail = writer.cut(ends[keep - 1]).unwrap();
        assert_eq!((tail.position, tail.sequence), (ends[keep - 1], keep as u64));
        assert_eq!((writer.written(), writer.durable()), (tail.position, tail.position));
        for seed in 0..20 {
            assert_eq!(last_sequence(&disk.cut(seed)), keep as u64);
        }
    }
    let (mut writer, _) = open(&disk).unwrap();
    writer.cut(0).unwrap();
    fill(&mut writer, 1, 60, 200);
    assert_eq!(last_sequence(&disk), 60);
}

#[test]
fn a_cut_at_the_end_of_a_segment_goes_on_in_a_new_one() {
    let disk = filled(60, 200).0;
    let header = SegmentHeader::parse(&disk.read(&segment(3)).unwrap()).unwrap();
    let (mut writer, _) = open(&disk).unwrap();
    let tail = writer.cut(header.first_position).unwrap();
    fill(&mut writer, tail.sequence + 1, 60, 200);
    assert_eq!(last_sequence(&disk), 60);
}

#[test]
fn only_ends_of_frames_can_be_cut_at() {
    let (disk, ends) = filled(10, 100);
    let (mut writer, _) = open(&disk).unwrap();
    for position in [ends[3] + 16, ends[3] - 1, ends[9] + 64] {
        assert!(matches!(writer.cut(position), Err(Error::NotABoundary { .. })), "{position}");
    }
    fill(&mut writer, 11, 12, 100);
    assert_eq!(last_sequence(&disk), 12);
}

#[test]
fn retired_segments_are_gone_and_the_log_goes_on() {
    let (disk, ends) = filled(60, 200);
    let (mut writer, recovery) = open(&disk).unwrap();
    assert_eq!(writer.retire(0).unwrap(), 0);
    assert!(writer.retire(ends[30]).unwrap() > 0);
    let needed = LogOptions { needed_from: ends[30], ..options() };
    let after = open_with(&disk, &needed).unwrap().1;
    assert_eq!(after.tail, recovery.tail);
    assert!(after.first_position > 0 && after.first_position <= ends[30]);
    assert!(matches!(error(open(&disk)), Error::MissingSegment { .. }));
    // The newest stays, whatever is asked.
    writer.retire(u64::MAX).unwrap();
    let needed = LogOptions { needed_from: ends[59], ..options() };
    assert_eq!(open_with(&disk, &needed).unwrap().1.segments, 1);
}

#[test]
fn a_power_cut_while_retiring_leaves_a_log_without_a_gap() {
    for operations in 0..12 {
        for seed in 0..10 {
            let (disk, ends) = filled(60, 200);
            let (mut writer, _) = open(&disk).unwrap();
            disk.power_off_after(Some(operations));
            let _ = writer.retire(ends[50]);
            let needed =
                LogOptions { needed_from: ends[50], durable_position: ends[59], ..options() };
            let after = open_with(&disk.cut(seed), &needed).unwrap().1;
            assert_eq!(after.tail.sequence, 60, "{operations} operations, seed {seed}");
        }
    }
}

#[test]
fn a_power_cut_after_retiring_all_but_an_unsynced_segment_leaves_a_log() {
    for operations in 0..8 {
        for seed in 0..40 {
            let disk = SimDisk::new();
            let (mut writer, _) = open(&disk).unwrap();
            // 4000 bytes and a header fill the first segment, so the second frame rolls over.
            let end = fill(&mut writer, 1, 1, 4000)[0];
            writer.append(&meta(2), &[2; 16]);
            writer.write().unwrap();
            disk.power_off_after(Some(operations));
            let _ = writer.retire(end);
            let needed = LogOptions { needed_from: end, durable_position: end, ..options() };
            let after = open_with(&disk.cut(seed), &needed).unwrap().1;
            assert!(after.tail.position >= end, "{operations} operations, seed {seed}");
        }
    }
}
