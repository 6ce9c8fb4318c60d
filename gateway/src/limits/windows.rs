//! What was counted in the current window of each limit of one kind.

use protocol::Stamp;

use super::{RULES_PER_KIND_MAX, Rule};

/// **Invariants:** windows only move forward. What comes with an earlier time counts in the window
/// reached.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Windows {
    slots: [Window; RULES_PER_KIND_MAX],
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    /// Id of the rule; 0 is none.
    rule: u32,
    count: u32,
    number: u64,
}

impl Windows {
    /// Counts `cost` and returns what the window holds then.
    pub(super) fn add(&mut self, rule: &Rule, cost: u32, now: Stamp) -> u32 {
        let window = self.current(rule, now);
        window.count = window.count.saturating_add(cost);
        window.count
    }

    /// Takes back from the current window, not below 0.
    pub(super) fn subtract(&mut self, rule: &Rule, cost: u32, now: Stamp) {
        let window = self.current(rule, now);
        window.count = window.count.saturating_sub(cost);
    }

    /// Takes back what was counted at `then`, unless its window is over.
    pub(super) fn give_back(&mut self, rule: &Rule, cost: u32, then: Stamp) {
        let window = &mut self.slots[rule.slot];
        if window.number == rule.window(then) {
            window.count = window.count.saturating_sub(cost);
        }
    }

    pub(super) fn count(&self, rule: &Rule, now: Stamp) -> u32 {
        let window = &self.slots[rule.slot];
        if window.is_over(rule, rule.window(now)) { 0 } else { window.count }
    }

    fn current(&mut self, rule: &Rule, now: Stamp) -> &mut Window {
        let window = &mut self.slots[rule.slot];
        let number = rule.window(now);
        if window.is_over(rule, number) {
            *window = Window { rule: rule.id, count: 0, number };
        }
        window
    }
}

impl Window {
    fn is_over(&self, rule: &Rule, number: u64) -> bool {
        self.rule != rule.id || self.number < number
    }
}
