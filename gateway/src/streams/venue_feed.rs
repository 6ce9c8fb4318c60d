//! One stream over all venues that have a symbol: its imbalances, or its consolidated book.
//!
//! Our own book changes in stored time, those of other venues in the time of the feed. What is of one
//! venue follows that one's time; the consolidated book follows both.

use std::collections::BTreeSet;

use marketdata::{FeedSource, Instrument};
use protocol::{MILLISECOND_NS, Stamp};

use super::audience::{Audience, Publisher};
use super::feed::Elapsed;
use super::name::VenueTopic;
use crate::feed::{self, FeedView};

/// How often a message is sent at most.
pub(super) const INTERVAL_NS: u64 = 100 * MILLISECOND_NS;

/// One stream that somebody listens to.
#[derive(Debug)]
pub(super) struct VenueFeed {
    pub(super) topic: VenueTopic,
    /// In small letters.
    pub(super) symbol: Box<str>,
    pub(super) audience: Audience,
    /// Our own book changed since it was shown.
    is_own_due: bool,
    /// Sources that changed since they were shown.
    due: BTreeSet<u32>,
    /// Somebody joined: every source is due.
    are_all_due: bool,
    /// The newest boundary at which something was sent.
    sent: Stamp,
}

impl VenueFeed {
    pub(super) fn new(symbol: &str, topic: VenueTopic) -> VenueFeed {
        VenueFeed {
            topic,
            symbol: symbol.into(),
            audience: Audience::default(),
            is_own_due: true,
            due: BTreeSet::new(),
            are_all_due: true,
            sent: Stamp(0),
        }
    }

    /// Somebody joined: everything is shown at the next boundary, changed or not.
    pub(super) fn greet(&mut self) {
        (self.is_own_due, self.are_all_due) = (true, true);
    }

    pub(super) fn source_changed(&mut self, source: u32) {
        self.due.insert(source);
    }

    pub(super) fn own_changed(&mut self) {
        self.is_own_due = true;
    }

    /// Sends what is due of our own book at a boundary that was passed.
    pub(super) fn pass_own(
        &mut self,
        elapsed: Elapsed,
        own: Option<&Instrument>,
        view: &FeedView,
        publisher: &mut Publisher,
    ) {
        let (Some(boundary), Some(own)) = (elapsed.first(INTERVAL_NS), own) else { return };
        if !self.is_own_due {
            return;
        }
        match self.topic {
            VenueTopic::Consolidated => self.consolidate(elapsed, Some(own), view, publisher),
            VenueTopic::Imbalance => {
                self.is_own_due = false;
                publisher.publish(&mut self.audience, |json| {
                    json.object(|json| feed::own_obi(json, own, boundary));
                });
            }
        }
    }

    /// Sends what is due of other venues at a boundary that was passed.
    pub(super) fn pass_sources(
        &mut self,
        elapsed: Elapsed,
        own: Option<&Instrument>,
        view: &FeedView,
        publisher: &mut Publisher,
    ) {
        let Some(boundary) = elapsed.ends(INTERVAL_NS).last() else { return };
        if self.due.is_empty() && !self.are_all_due {
            return;
        }
        if self.topic == VenueTopic::Consolidated {
            return self.consolidate(elapsed, own, view, publisher);
        }
        let due = std::mem::take(&mut self.due);
        let are_all_due = std::mem::take(&mut self.are_all_due);
        let is_due =
            |source: &&FeedSource| are_all_due || due.contains(&source.definition().source);
        for source in view.sources_of(&self.symbol).filter(is_due) {
            publisher.publish(&mut self.audience, |json| {
                json.object(|json| feed::source_obi(json, view, source, boundary));
            });
        }
    }

    /// One message of a boundary, whichever of the two times passes it first.
    fn consolidate(
        &mut self,
        elapsed: Elapsed,
        own: Option<&Instrument>,
        view: &FeedView,
        publisher: &mut Publisher,
    ) {
        let boundary = elapsed.ends(INTERVAL_NS).last().filter(|it| *it > self.sent);
        let Some(boundary) = boundary else { return };
        self.sent = boundary;
        self.due.clear();
        (self.is_own_due, self.are_all_due) = (false, false);
        if own.is_none() && view.sources_of(&self.symbol).next().is_none() {
            return;
        }
        publisher.publish(&mut self.audience, |json| {
            json.object(|json| feed::consolidated(json, view, own, &self.symbol, boundary));
        });
    }
}
