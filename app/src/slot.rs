//! A producer of commands: a ring of its own, an incarnation, numbers without gaps, and the answers
//! read back from the event log.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use protocol::command::GatewayJoined;
use protocol::{Command, Envelope, Event, Origin, Stamp};
use store::ring::{Class, Consumer, Full, Producer, anonymous};

use crate::events::{EventReader, Seen};
use crate::node::{Readers, Waker};

/// How long an answer may take before the node counts as stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// One end of a slot.
pub struct Slot {
    ring: Producer,
    reader: EventReader,
    waker: Waker,
    origin: Origin,
    buffer: Vec<u8>,
}

impl Slot {
    /// Makes a gateway and the other end of its ring, which is to be attached to the node before
    /// the gateway joins. `capacity`: bytes, a power of two.
    pub fn new(
        slot: u8,
        capacity: usize,
        readers: &Readers,
        waker: Waker,
    ) -> Result<(Slot, Consumer)> {
        let (ring, consumer) = anonymous(capacity)?;
        let reader = EventReader::from_now(readers)?;
        let origin = Origin { node: 1, slot, incarnation: 0, number: 0 };
        Ok((Slot { ring, reader, waker, origin, buffer: Vec::new() }, consumer))
    }

    /// Reads on with another reader: one that begins earlier, for views that need all there is.
    pub fn read_with(&mut self, reader: EventReader) {
        self.reader = reader;
    }

    /// Did the last poll end with the whole of a command?
    pub fn is_drained(&self) -> bool {
        self.reader.is_drained()
    }

    /// Was anything published since the last poll?
    pub fn has_news(&self) -> bool {
        self.reader.has_news()
    }

    /// The waker of the node's first stage, once it runs on a thread.
    pub fn set_waker(&mut self, waker: Waker) {
        self.waker = waker;
    }

    /// Takes the slot: from here on commands carry this attachment's incarnation. `turn` lets the
    /// node run when it has no thread of its own.
    pub fn join(&mut self, nonce: u64, mut turn: impl FnMut() -> Result<()>) -> Result<()> {
        let envelope = Envelope { origin: self.origin, ..Envelope::INTERNAL };
        self.push(&GatewayJoined { envelope, nonce }.into())?;
        let began = Instant::now();
        let (mut incarnation, own) = (None, (self.origin.node, self.origin.slot));
        while incarnation.is_none() {
            turn()?;
            self.reader.poll(|seen| {
                if let Event::GatewayAdmitted(admitted) = seen.event
                    && (admitted.node, admitted.slot) == own
                    && admitted.nonce == nonce
                {
                    incarnation = Some(admitted.incarnation);
                }
                Ok(())
            })?;
            if began.elapsed() > ANSWER_TIMEOUT {
                bail!("the node does not answer");
            }
        }
        self.origin.incarnation = incarnation.unwrap_or_default();
        self.origin.number = 0;
        Ok(())
    }

    /// Sends a command as this gateway's next. `Full`: nothing was sent, try again later.
    #[inline]
    pub fn send(&mut self, mut command: Command, deadline: Stamp) -> Result<(), Full> {
        let number = self.origin.number + 1;
        let envelope = command.envelope_mut();
        envelope.origin = Origin { number, ..self.origin };
        envelope.deadline = deadline;
        self.push(&command)?;
        self.origin.number = number;
        Ok(())
    }

    /// Sends a command as it is: for those that carry no number, and for tests.
    pub fn push(&mut self, command: &Command) -> Result<(), Full> {
        self.buffer.clear();
        command.encode(&mut self.buffer);
        let places_an_order = matches!(
            command,
            Command::NewOrder(_)
                | Command::NewOrderWithTerms(_)
                | Command::NewOrderList(_)
                | Command::CancelReplace(_)
        );
        let class = if places_an_order { Class::Order } else { Class::Urgent };
        self.ring.push(&self.buffer, class)?;
        self.waker.wake();
        Ok(())
    }

    /// Commands sent in this incarnation.
    pub fn sent(&self) -> u64 {
        self.origin.number
    }

    /// Did this gateway's present incarnation send the command that `seen` belongs to?
    pub fn is_own(origin: &Origin, seen: &Seen<'_>) -> bool {
        let Origin { node, slot, incarnation, .. } = seen.command.origin;
        (node, slot, incarnation) == (origin.node, origin.slot, origin.incarnation)
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// As [`EventReader::poll_some`].
    pub fn poll_some(
        &mut self,
        events_max: usize,
        see: impl FnMut(Seen<'_>) -> Result<()>,
    ) -> Result<bool> {
        self.reader.poll_some(events_max, see)
    }

    /// Everything that was published since, own or not; true when there was something.
    pub fn poll(&mut self, see: impl FnMut(Seen<'_>) -> Result<()>) -> Result<bool> {
        self.reader.poll(see)
    }
}
