//! Who holds which gateway slot, and the number of the last command of each that was executed.

use alloc::vec::Vec;

/// Who holds a gateway's slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GatewaySlot {
    pub(crate) node: u8,
    pub(crate) slot: u8,
    pub(crate) incarnation: u32,
    pub(crate) last_number: u64,
}

/// **Invariants:** sorted by node and slot, without doubles.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    slots: Vec<GatewaySlot>,
    /// Where the last command's slot is: the next command is likely to come through it too.
    last: usize,
}

impl Gateways {
    #[inline]
    pub(crate) fn get_mut(&mut self, node: u8, slot: u8) -> Option<&mut GatewaySlot> {
        let is_last = |held: &GatewaySlot| held.node == node && held.slot == slot;
        if !self.slots.get(self.last).is_some_and(is_last) {
            self.last = self.place(node, slot).ok()?;
        }
        self.slots.get_mut(self.last)
    }

    /// The slot, which no gateway has held yet if it is new.
    pub(crate) fn get_or_add(&mut self, node: u8, slot: u8) -> &mut GatewaySlot {
        let at = self.place(node, slot).unwrap_or_else(|at| {
            self.slots.insert(at, GatewaySlot { node, slot, ..GatewaySlot::default() });
            at
        });
        &mut self.slots[at]
    }

    fn place(&self, node: u8, slot: u8) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&(node, slot), |held| (held.node, held.slot))
    }

    /// By node, then slot.
    pub(crate) fn all(&self) -> &[GatewaySlot] {
        &self.slots
    }
}
