//! Records: what decodes is what was encoded, to the byte.

use protocol::RecordError::UnknownKind;
use protocol::record::{RECORD_ALIGNMENT, RECORD_HEADER_LENGTH};
use protocol::{Command, Event, FeedEvent, RecordError, RecordView, Records};

use crate::Target;
use crate::feedback::note;
use crate::samples::{Samples, samples};

pub const TARGET: Target =
    Target { name: "record", run: record, corpus, words: &[], length_max: 8_192 };

fn corpus() -> Vec<Vec<u8>> {
    let Samples { commands, events } = samples();
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    let mut all = Vec::new();
    for command in commands {
        let mut input = Vec::new();
        command.encode(&mut input);
        all.extend_from_slice(&input);
        inputs.push(input);
    }
    for event in events {
        let mut input = Vec::new();
        event.encode(&mut input);
        inputs.push(input);
    }
    inputs.push(all);
    inputs
}

pub fn record(data: &[u8]) {
    match RecordView::read(data, 3) {
        Ok(view) => assert!(data.starts_with(view.bytes) && view.offset == 3),
        Err(error) => note(error_without_place(error, 3)),
    }
    let mut end = 0;
    for view in Records::new(data) {
        let view = match view {
            Ok(view) => view,
            Err(error) => {
                note(error_without_place(error, end));
                return;
            }
        };
        assert_eq!(view.offset, end);
        end += view.bytes.len();
        assert_eq!(data.get(view.offset..end), Some(view.bytes));
        assert!(end.is_multiple_of(RECORD_ALIGNMENT) && view.bytes.len() >= RECORD_HEADER_LENGTH);
        decode(&view);
    }
    assert_eq!(end, data.len(), "bytes were passed over");
}

fn decode(view: &RecordView<'_>) {
    let mut again = Vec::new();
    let decoded = (Command::decode(view), Event::decode(view), FeedEvent::decode(view));
    match decoded {
        (Ok(command), Err(UnknownKind { .. }), Err(UnknownKind { .. })) => {
            assert_eq!(command.kind(), view.kind);
            command.encode(&mut again);
        }
        (Err(UnknownKind { .. }), Ok(event), Err(UnknownKind { .. })) => {
            assert_eq!(event.kind(), view.kind);
            event.encode(&mut again);
        }
        (Err(UnknownKind { .. }), Err(UnknownKind { .. }), Ok(event)) => {
            assert_eq!(event.kind(), view.kind);
            event.encode(&mut again);
        }
        (Err(command), Err(event), Err(feed)) => {
            note(("refused", Command::kind_name(view.kind), Event::kind_name(view.kind)));
            for error in [command, event, feed] {
                assert_eq!(error_place(error), view.offset);
            }
            return;
        }
        several => panic!("a record of several sums: {several:?}"),
    }
    note(("taken", view.kind));
    assert_eq!(again, view.bytes, "kind {:#06x} has a second way to be written", view.kind);
}

fn error_place(error: RecordError) -> usize {
    let (RecordError::Truncated { offset }
    | RecordError::UnknownKind { offset, .. }
    | RecordError::Invalid { offset, .. }) = error;
    offset
}

fn error_without_place(error: RecordError, place: usize) -> &'static str {
    assert_eq!(error_place(error), place);
    match error {
        RecordError::Truncated { .. } => "truncated",
        RecordError::UnknownKind { .. } => "unknown kind",
        RecordError::Invalid { .. } => "invalid",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_bytes_break_a_reader_of_records() {
        crate::campaign::check(&super::TARGET, 1, 20_000);
    }
}
