//! Where events go: the log's writer encodes them in place, tests collect them, benches count.

use alloc::vec::Vec;
use protocol::{Event, EventRecord};

/// Takes events in the order in which they happen.
pub trait EventSink {
    fn emit<E: EventRecord>(&mut self, event: E);
}

impl EventSink for Vec<Event> {
    fn emit<E: EventRecord>(&mut self, event: E) {
        self.push(event.into());
    }
}

/// Counts on the way: a command stops running its consequences after a bound.
pub(crate) struct Counted<'a, S> {
    sink: &'a mut S,
    pub(crate) count: u32,
}

impl<'a, S: EventSink> Counted<'a, S> {
    pub(crate) fn new(sink: &'a mut S) -> Counted<'a, S> {
        Counted { sink, count: 0 }
    }
}

impl<S: EventSink> EventSink for Counted<'_, S> {
    #[inline]
    fn emit<E: EventRecord>(&mut self, event: E) {
        self.count += 1;
        self.sink.emit(event);
    }
}
