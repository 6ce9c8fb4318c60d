use store::{Cursor, Error, FrameFlags, From, LogKind, Reader, SimDisk, Storage, check_cursor};

use crate::bench::*;

fn reader(disk: &SimDisk, from: From, limit: u64) -> Result<Reader, Error> {
    Reader::open(disk.shared(), folder(), LogKind::Events, from, limit, true)
}

fn reader_error(disk: &SimDisk, from: From, limit: u64) -> Error {
    reader(disk, from, limit).err().expect("the reader must be refused")
}

/// The next frame's last sequence.
fn next(reader: &mut Reader, limit: u64) -> Option<u64> {
    reader.next(limit).unwrap().map(|frame| frame.header.last_sequence)
}

#[test]
fn a_reader_stops_at_the_limit_whatever_lies_behind() {
    let (disk, ends) = filled(10, 100);
    // Bytes that look like the start of a very long frame.
    let behind = (HEADER + ends[9]) as usize;
    disk.damage(&segment(1), |bytes| bytes[behind..behind + 4].fill(0x70)).unwrap();
    let mut reader = reader(&disk, From::Start, 0).unwrap();
    assert_eq!(next(&mut reader, 0), None);
    for (sequence, &end) in (1..).zip(&ends) {
        assert_eq!(next(&mut reader, end), Some(sequence));
        assert_eq!(next(&mut reader, end), None);
        assert_eq!(reader.position(), end);
    }
}

#[test]
fn a_frame_that_is_longer_than_the_limit_says_is_corruption() {
    let (disk, ends) = filled(3, 100);
    let offset = (HEADER + ends[1]) as usize;
    disk.damage(&segment(1), |bytes| bytes[offset + 1] = 4).unwrap();
    for verify in [true, false] {
        let (storage, kind) = (disk.shared(), LogKind::Events);
        let mut reader =
            Reader::open(storage, folder(), kind, From::Start, ends[2], verify).unwrap();
        next(&mut reader, ends[2]);
        next(&mut reader, ends[2]);
        let error = reader.next(ends[2]).unwrap_err();
        assert!(matches!(error, Error::Corrupt { offset: at, .. } if at == offset as u64));
    }
}

#[test]
fn a_reader_begins_at_any_frame_by_position() {
    let (disk, ends) = filled(60, 200);
    let end = ends[59];
    for (before, &position) in (1..60).zip(&ends) {
        let mut reader = reader(&disk, From::Position(position), end).unwrap();
        assert_eq!(reader.position(), position);
        assert_eq!(next(&mut reader, end), Some(before + 1));
    }
    let mut at_end = reader(&disk, From::Position(end), end).unwrap();
    assert_eq!((next(&mut at_end, end), at_end.tail().sequence), (None, 60));
    for position in [ends[3] + 16, ends[40] - 16] {
        let error = reader_error(&disk, From::Position(position), end);
        assert!(matches!(error, Error::NotABoundary { .. }), "{error}");
    }
    let error = reader_error(&disk, From::Position(end), ends[57]);
    assert!(matches!(error, Error::Cut { last_common: 58 }), "{error}");
}

#[test]
fn a_reader_begins_at_any_command_by_sequence() {
    let (disk, ends) = filled(60, 200);
    for sequence in 1..=60 {
        let mut reader = reader(&disk, From::Sequence(sequence), ends[59]).unwrap();
        assert_eq!(next(&mut reader, ends[59]), Some(sequence));
    }
    let mut first = reader(&disk, From::Sequence(0), ends[59]).unwrap();
    assert_eq!(next(&mut first, ends[59]), Some(1));
    let mut behind = reader(&disk, From::Sequence(61), ends[59]).unwrap();
    assert_eq!((next(&mut behind, ends[59]), behind.position()), (None, ends[59]));
}

/// Commands 1 and 3 spread over several frames; each frame fills a good part of a segment.
fn spread() -> (SimDisk, Vec<u64>) {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    let mut ends = Vec::new();
    for (first, last, ends_command) in
        [(1, 0, false), (1, 0, false), (1, 1, true), (2, 2, false), (3, 2, false), (3, 4, true)]
    {
        let mut meta = meta(first);
        meta.last_sequence = last;
        meta.flags = if ends_command { FrameFlags::ENDS_COMMAND } else { FrameFlags(0) };
        ends.push(writer.append(&meta, &[1; 2500]));
    }
    writer.write().unwrap();
    writer.sync().unwrap();
    (disk, ends)
}

#[test]
fn a_command_over_many_frames_is_read_from_its_first() {
    let (disk, ends) = spread();
    let begins = |sequence| reader(&disk, From::Sequence(sequence), ends[5]).unwrap().position();
    assert_eq!([0, 1, 2, 3, 4].map(begins), [0, 0, ends[2], ends[2 + 1] - 2576, ends[4]]);
    assert_eq!(begins(5), ends[5]);
}

#[test]
fn a_reader_of_retired_frames_is_told_where_the_log_begins() {
    let (disk, ends) = filled(60, 200);
    let end = ends[59];
    let (mut writer, _) = open(&disk).unwrap();
    let mut slow = reader(&disk, From::Start, end).unwrap();
    next(&mut slow, end);
    writer.retire(ends[40]).unwrap();
    // What it has mapped it may read to the end.
    let error = loop {
        match slow.next(end) {
            Ok(frame) => assert!(frame.is_some()),
            Err(error) => break error,
        }
    };
    let Error::Vanished { first_available, first_sequence } = error else { panic!("{error}") };
    let mut again = reader(&disk, From::Position(first_available), end).unwrap();
    assert_eq!(next(&mut again, end), Some(first_sequence));
    for from in [From::Position(ends[0]), From::Sequence(1), From::Sequence(first_sequence - 1)] {
        assert!(matches!(reader_error(&disk, from, end), Error::Vanished { .. }), "{from:?}");
    }
    assert!(reader(&disk, From::Sequence(first_sequence), end).is_ok());
    assert!(reader(&disk, From::Start, end).is_ok());
}

#[test]
fn a_reader_above_a_cut_is_told_what_is_common() {
    let (disk, ends) = filled(30, 200);
    let mut above = reader(&disk, From::Position(ends[20]), ends[29]).unwrap();
    let mut below = reader(&disk, From::Position(ends[5]), ends[29]).unwrap();
    let (mut writer, _) = open(&disk).unwrap();
    writer.cut(ends[9]).unwrap();
    let error = above.next(ends[9]).unwrap_err();
    assert!(matches!(error, Error::Cut { last_common: 10 }), "{error}");
    assert_eq!(next(&mut below, ends[9]), Some(7));
}

#[test]
fn a_reader_that_slept_through_a_cut_notices() {
    let (disk, ends) = filled(10, 200);
    let mut asleep = reader(&disk, From::Start, ends[9]).unwrap();
    (1..=8).for_each(|sequence| assert_eq!(next(&mut asleep, ends[9]), Some(sequence)));
    let (mut writer, _) = open(&disk).unwrap();
    writer.cut(ends[4]).unwrap();
    // The other branch is as long and longer.
    for sequence in 6..=40 {
        writer.append(&meta(sequence), &[sequence as u8; 200]);
    }
    let end = writer.write().unwrap();
    let error = asleep.next(end).unwrap_err();
    assert!(matches!(error, Error::Cut { last_common: 0 }), "{error}");
}

#[test]
fn a_reader_at_the_end_of_a_segment_that_was_cut_away_notices() {
    let (disk, ends) = filled(30, 200);
    let mut asleep = reader(&disk, From::Start, ends[29]).unwrap();
    while asleep.segment().is_none_or(|segment| segment.number < 2) {
        next(&mut asleep, ends[29]).unwrap();
    }
    let position = asleep.position();
    let (mut writer, _) = open(&disk).unwrap();
    writer.cut(ends[2]).unwrap();
    for sequence in 4..=60 {
        writer.append(&meta(sequence), &[sequence as u8; 150]);
    }
    let end = writer.write().unwrap();
    assert!(end > position);
    let error = loop {
        match asleep.next(end) {
            Ok(frame) => assert!(frame.is_some(), "the old segment may be read to its end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Cut { .. }), "{error}");
}

#[test]
fn a_stored_cursor_goes_on_where_it_was() {
    let (disk, ends) = filled(60, 200);
    let check = |disk: &SimDisk, sequence, hash, limit| {
        check_cursor(disk.shared(), folder(), LogKind::Events, Cursor { sequence, hash }, limit)
    };
    assert_eq!(check(&disk, 0, 0, ends[59]).unwrap(), 0);
    for (sequence, &end) in (1..).zip(&ends) {
        assert_eq!(check(&disk, sequence, meta(sequence).hash, ends[59]).unwrap(), end);
    }
    let error = check(&disk, 30, 1, ends[59]).unwrap_err();
    assert!(matches!(error, Error::Cut { last_common: 0 }), "{error}");
    let error = check(&disk, 61, 1, ends[59]).unwrap_err();
    assert!(matches!(error, Error::Cut { last_common: 60 }), "{error}");
    let error = check(&disk, 30, meta(30).hash, ends[19]).unwrap_err();
    assert!(matches!(error, Error::Cut { last_common: 20 }), "{error}");
    let (mut writer, _) = open(&disk).unwrap();
    writer.retire(ends[40]).unwrap();
    let error = check(&disk, 3, meta(3).hash, ends[59]).unwrap_err();
    assert!(matches!(error, Error::Vanished { .. }), "{error}");
    let Error::Vanished { first_available, first_sequence } = error else { return };
    // Exactly before the first frame that is left nothing is missing.
    let last = first_sequence - 1;
    assert_eq!(check(&disk, last, meta(last).hash, ends[59]).unwrap(), first_available);
}

#[test]
fn a_cursor_inside_a_frame_of_another_framing_is_cut() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    let mut both = meta(1);
    both.last_sequence = 2;
    let end = writer.append(&both, &[1; 16]);
    writer.write().unwrap();
    let cursor = Cursor { sequence: 1, hash: meta(1).hash };
    let error = check_cursor(disk.shared(), folder(), LogKind::Events, cursor, end).unwrap_err();
    assert!(matches!(error, Error::Cut { last_common: 0 }), "{error}");
}

#[test]
fn a_reader_of_an_empty_log_waits() {
    let disk = SimDisk::new();
    disk.create_directory(folder()).unwrap();
    let mut early = reader(&disk, From::Start, 0).unwrap();
    assert_eq!(next(&mut early, 0), None);
    assert!(matches!(early.next(100), Err(Error::MissingSegment { .. })));
    let (mut writer, _) = open(&disk).unwrap();
    let ends = fill(&mut writer, 1, 2, 10);
    assert_eq!(next(&mut early, ends[1]), Some(1));
}

#[test]
fn a_verifying_reader_finds_a_flipped_bit() {
    let (disk, ends) = filled(3, 100);
    disk.damage(&segment(1), |bytes| bytes[(HEADER + ends[1] + 70) as usize] ^= 4).unwrap();
    let mut reader = reader(&disk, From::Start, ends[2]).unwrap();
    next(&mut reader, ends[2]);
    next(&mut reader, ends[2]);
    assert!(matches!(reader.next(ends[2]), Err(Error::Corrupt { .. })));
}

#[test]
fn frames_missing_inside_a_segment_are_corruption_not_a_cut() {
    let (disk, ends) = filled(60, 200);
    disk.damage(&segment(1), |bytes| bytes[(HEADER + ends[5]) as usize..].fill(0)).unwrap();
    let mut reader = reader(&disk, From::Start, ends[59]).unwrap();
    (0..6).for_each(|_| assert!(next(&mut reader, ends[59]).is_some()));
    assert!(matches!(reader.next(ends[59]), Err(Error::Corrupt { .. })));
}
