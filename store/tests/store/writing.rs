use store::{
    Backing, Error, FrameFlags, FrameKind, LogKind, LogOptions, SimDisk, Storage, inspect,
};

use crate::bench::*;

#[test]
fn frames_come_back_as_they_were_appended() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    let mut frame = writer.begin();
    frame.push(&[1; 32]);
    frame.push_with(16, |bytes| bytes.fill(2));
    assert_eq!(frame.payload_length(), 48);
    let end = frame.finish(&meta(1));
    assert_eq!((end, writer.unwritten_bytes(), writer.written()), (112, 112, 0));
    assert_eq!(writer.write().unwrap(), end);
    assert_eq!((writer.unwritten_bytes(), writer.written(), writer.durable()), (0, 112, 0));
    assert_eq!(writer.sync().unwrap(), end);
    assert_eq!(writer.durable(), 112);
    let frames = read_all(disk.shared(), end).unwrap();
    let bytes = [[1; 16], [1; 16], [2; 16]].concat();
    assert_eq!(frames, [(112, meta(1).stamp, bytes)]);
}

#[test]
fn a_payload_is_padded_to_sixteen() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    assert_eq!(writer.append(&meta(1), &[9; 17]), 96);
    writer.write().unwrap();
    let frames = read_all(disk.shared(), 96).unwrap();
    assert_eq!(frames[0].2[..17], [9; 17]);
    assert_eq!(frames[0].2[17..], [0; 15]);
}

#[test]
fn a_frame_that_was_begun_is_resumed_over_a_write_or_forgotten() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    writer.append(&meta(1), &[1; 16]);
    writer.begin().push(&[2; 16]);
    writer.write().unwrap();
    writer.resume().push(&[3; 16]);
    let end = writer.resume().finish(&meta(2));
    writer.begin().push(&[4; 64]);
    assert_eq!(writer.append(&meta(3), &[5; 16]), end + 80);
    writer.write().unwrap();
    let payloads: Vec<_> =
        read_all(disk.shared(), end + 80).unwrap().into_iter().map(|frame| frame.2).collect();
    assert_eq!(payloads, [vec![1; 16], [[2; 16], [3; 16]].concat(), vec![5; 16]]);
}

#[test]
fn frames_of_every_kind_keep_their_fields() {
    let disk = SimDisk::new();
    let options = LogOptions { kind: LogKind::Commands, ..options() };
    let (mut writer, _) = open_with(&disk, &options).unwrap();
    let kinds = [FrameKind::Commands, FrameKind::Empty, FrameKind::Configuration, FrameKind::Feed];
    for kind in kinds {
        let meta = store::FrameMeta { kind, flags: FrameFlags(0x8001), term: 5, ..meta(7) };
        writer.append(&meta, &[]);
    }
    let end = writer.write().unwrap();
    let (kind, from) = (LogKind::Commands, store::From::Start);
    let mut reader = store::Reader::open(disk.shared(), folder(), kind, from, end, true).unwrap();
    for (index, kind) in (1..).zip(kinds) {
        let header = reader.next(end).unwrap().unwrap().header;
        let meta = store::FrameMeta { kind, flags: FrameFlags(0x8001), term: 5, ..meta(7) };
        assert_eq!((header.meta(), header.index, header.length), (meta, index, 64));
    }
}

#[test]
fn a_segment_is_begun_when_asked_for_but_never_an_empty_one() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    let whole = writer.room();
    writer.roll();
    assert_eq!(writer.room(), whole);
    writer.append(&meta(1), &[1; 16]);
    assert_eq!(writer.room(), whole - 80);
    writer.roll();
    let end = writer.append(&meta(2), &[2; 16]);
    assert_eq!((writer.room(), writer.write().unwrap()), (whole - 80, end));
    let firsts: Vec<u64> = inspect(disk.shared().as_ref(), folder())
        .unwrap()
        .segments
        .into_iter()
        .map(|segment| segment.header.unwrap().first_position)
        .collect();
    assert_eq!(firsts, [0, 80]);
    assert_eq!(read_all(disk.shared(), end).unwrap().len(), 2);
}

#[test]
fn frames_roll_over_within_one_batch_and_never_straddle() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    let payloads = [3000, 900, 4032, 4032, 10, 2000, 2000].map(|length| vec![length as u8; length]);
    let ends: Vec<u64> = (1..)
        .zip(&payloads)
        .map(|(sequence, bytes)| writer.append(&meta(sequence), bytes))
        .collect();
    writer.write().unwrap();
    let frames = read_all(disk.shared(), ends[6]).unwrap();
    assert_eq!(frames.iter().map(|frame| frame.0).collect::<Vec<_>>(), ends);
    assert_eq!(inspect(&disk, folder()).unwrap().segments.len(), 5);
    let (_, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.segments, recovery.tail.index), (5, 7));
}

#[test]
fn a_schema_that_changes_twice_without_frames_still_opens() {
    let disk = filled(2, 10).0;
    for schema in [1, 2, 3] {
        let schemas_readable = vec![SCHEMA, 1, 2, 3];
        let options = LogOptions { schema, schemas_readable, ..options() };
        let (mut writer, _) = open_with(&disk, &options).unwrap();
        writer.write().unwrap();
    }
    assert_eq!(last_sequence(&disk), 2);
}

#[test]
fn a_full_disk_at_roll_over_loses_nothing() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    disk.set_capacity(Some(SEGMENT_BYTES + 100));
    for sequence in 1..=20 {
        writer.append(&meta(sequence), &[sequence as u8; 400]);
    }
    for _ in 0..3 {
        let error = writer.write().unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }) && error.is_retryable(), "{error}");
        assert!(!writer.is_stopped() && !writer.has_spare());
    }
    // What came before the roll-over is there and can be read and synced.
    let written = writer.sync().unwrap();
    assert!(written > 0 && written < writer.tail().position);
    assert!(!read_all(disk.shared(), written).unwrap().is_empty());
    assert_eq!(open(&disk.cut(1)).unwrap().1.tail.position, written);
    disk.set_capacity(None);
    let end = writer.write().unwrap();
    writer.sync().unwrap();
    assert_eq!(read_all(disk.shared(), end).unwrap().len(), 20);
    assert_eq!(last_sequence(&disk.cut(2)), 20);
}

#[test]
fn a_write_that_stops_short_anywhere_is_done_again() {
    for budget in (0..14_000).step_by(97) {
        let disk = SimDisk::new();
        let (mut writer, _) = open(&disk).unwrap();
        disk.fail_writes_after(Some(budget));
        for sequence in 1..=12 {
            writer.append(&meta(sequence), &[sequence as u8; 400]);
        }
        if let Err(error) = writer.write() {
            assert!(error.is_retryable(), "{error}");
            disk.fail_writes_after(None);
            writer.write().unwrap();
        }
        let end = writer.sync().unwrap();
        assert_eq!(read_all(disk.shared(), end).unwrap().len(), 12, "budget {budget}");
        assert_eq!(last_sequence(&disk.cut(budget)), 12, "budget {budget}");
    }
}

#[test]
fn a_failed_sync_stops_the_writer_for_good() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    let syncer = writer.syncer();
    fill(&mut writer, 1, 3, 100);
    writer.append(&meta(4), &[4; 100]);
    writer.write().unwrap();
    disk.fail_syncs_after(Some(0));
    let error = syncer.sync().unwrap_err();
    assert!(matches!(error, Error::SyncFailed { .. }) && error.is_fatal(), "{error}");
    disk.fail_syncs_after(None);
    assert!(writer.is_stopped());
    assert!(matches!(syncer.sync(), Err(Error::Stopped)));
    assert!(matches!(writer.sync(), Err(Error::Stopped)));
    writer.append(&meta(5), &[5; 100]);
    assert!(matches!(writer.write(), Err(Error::Stopped)));
    assert!(matches!(writer.cut(0), Err(Error::Stopped)));
    drop(writer);
    assert!(open(&disk).unwrap().1.tail.sequence >= 3);
}

#[test]
fn a_failed_write_stops_the_writer() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    writer.append(&meta(1), &[1; 100]);
    disk.power_off_after(Some(0));
    assert!(matches!(writer.write(), Err(Error::Io { .. })));
    disk.power_off_after(None);
    assert!(matches!(writer.write(), Err(Error::Stopped)));
}

#[test]
fn a_sync_with_nothing_new_does_not_touch_the_disk() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    fill(&mut writer, 1, 3, 100);
    let before = disk.operations();
    writer.sync().unwrap();
    assert_eq!(disk.operations(), before);
}

#[test]
fn a_left_over_spare_is_not_used() {
    let disk = filled(2, 10).0;
    let spare = folder().join(LogKind::Events.spare_name());
    let file = disk.create(&spare, 100).unwrap();
    file.write_at(&[0xAA; 100], 0).unwrap();
    let (mut writer, _) = open(&disk).unwrap();
    fill(&mut writer, 3, 60, 200);
    assert_eq!(last_sequence(&disk), 60);
}

#[test]
fn frames_in_a_map_are_read_and_recovered_like_any_others() {
    let disk = SimDisk::new();
    let options = LogOptions { backing: Backing::Mapped, ..options() };
    let (mut writer, _) = open_with(&disk, &options).unwrap();
    let ends = fill(&mut writer, 1, 60, 200);
    let end = *ends.last().unwrap();
    assert_eq!(read_all(disk.shared(), end).unwrap().len(), 60);
    assert_eq!(writer.cut(ends[40]).unwrap().sequence, 41);
    fill(&mut writer, 42, 70, 200);
    drop(writer);
    assert_eq!(open_with(&disk, &options).unwrap().1.tail.sequence, 70);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for segment_bytes in [0, 4096, 8191, 10_000, 1 << 33] {
        let found = error(open_with(&SimDisk::new(), &LogOptions { segment_bytes, ..options() }));
        assert!(matches!(found, Error::Options { .. }), "{segment_bytes}: {found}");
    }
}

#[test]
fn the_largest_payload_fills_a_segment() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    let largest = vec![1; writer.payload_length_max()];
    assert_eq!(largest.len(), 4096 - 64);
    for sequence in 1..=3 {
        writer.append(&meta(sequence), &largest);
    }
    let end = writer.write().unwrap();
    assert_eq!(read_all(disk.shared(), end).unwrap().len(), 3);
}

#[test]
fn inspect_lists_what_lies_there() {
    let disk = filled(60, 200).0;
    let found = inspect(&disk, folder()).unwrap();
    assert!(found.durable.is_none() && found.spares.is_empty());
    let numbers: Vec<u64> =
        found.segments.iter().map(|segment| segment.header.unwrap().number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(found.segments.iter().all(|segment| segment.length == SEGMENT_BYTES));
    disk.damage(&segment(2), |bytes| bytes[3] = 0).unwrap();
    assert!(inspect(&disk, folder()).unwrap().segments[1].header.is_err());
}
