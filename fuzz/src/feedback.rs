//! What a run has shown: targets note outcomes, and inputs with new ones are worth mutating again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;

use protocol::hash::hash_bytes;

thread_local! {
    static NOTED: RefCell<BTreeSet<u64>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes that a run came by here.
pub fn note(what: impl Debug) {
    let hash = hash_bytes(format!("{what:?}").as_bytes(), 0);
    NOTED.with_borrow_mut(|noted| noted.insert(hash));
}

/// What was noted on this thread since the last call.
pub(crate) fn take() -> BTreeSet<u64> {
    NOTED.take()
}

/// The words of a message without what it quotes: which rule it comes from.
pub fn rule(message: &str) -> Vec<&str> {
    let unquoted = message.split(['`', '"', '\'']).step_by(2);
    unquoted.flat_map(str::split_whitespace).filter(|word| is_word(word)).collect()
}

fn is_word(word: &str) -> bool {
    word.chars().all(|letter| letter.is_ascii_lowercase() || ",;:".contains(letter))
}
