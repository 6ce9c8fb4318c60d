//! Cancel on disconnect (*ours*): when a connection that asked for it ends, every open order of its
//! accounts is canceled.
//!
//! **Invariants:** an account leaves the queue only when its cancel is in the ring; the ring's last
//! quarter, where no order gets, has room for it, and without room it is tried again.

use std::collections::BTreeSet;

use protocol::command::MassCancel;
use protocol::{AccountId, Envelope, InstrumentId, MassCancelCause};

use crate::core::Core;
use crate::link::{Full, Link};

/// Carried where a request's two numbers stand: nobody waits for the answer.
const NOBODY: u32 = u32::MAX;

/// Whose orders one connection protects.
#[derive(Debug, Default)]
pub struct Protection {
    /// The connection was opened so: everybody who logs on or sends orders over it.
    everybody: bool,
    accounts: BTreeSet<AccountId>,
}

impl Protection {
    pub fn new(everybody: bool) -> Protection {
        Protection { everybody, accounts: BTreeSet::new() }
    }

    /// An account logs on and says whether it wants it; nothing said leaves what stands.
    pub fn logged_on(&mut self, account: AccountId, asked: Option<bool>) {
        match asked.or(self.everybody.then_some(true)) {
            Some(true) => {
                self.accounts.insert(account);
            }
            Some(false) => {
                self.accounts.remove(&account);
            }
            None => {}
        }
    }

    /// A command of the account was sent.
    pub fn sent(&mut self, account: AccountId) {
        if self.everybody {
            self.accounts.insert(account);
        }
    }

    pub const fn is_for_everybody(&self) -> bool {
        self.everybody
    }

    pub fn is_of(&self, account: AccountId) -> bool {
        self.accounts.contains(&account)
    }

    /// The connection has ended.
    pub fn take(&mut self) -> BTreeSet<AccountId> {
        std::mem::take(&mut self.accounts)
    }
}

/// Accounts whose orders are to be canceled, until that is sent.
#[derive(Debug, Default)]
pub struct Partings {
    accounts: BTreeSet<AccountId>,
}

impl Partings {
    pub fn add(&mut self, accounts: BTreeSet<AccountId>) {
        self.accounts.extend(accounts);
    }

    /// Sends what the ring has room for.
    pub fn send(&mut self, link: &mut dyn Link) {
        while let Some(account) = self.accounts.first().copied() {
            let envelope = Envelope { session: NOBODY, request: NOBODY, ..Envelope::INTERNAL };
            let (instrument, cause) = (InstrumentId::NONE, MassCancelCause::Disconnect);
            match link.send(MassCancel { envelope, account, instrument, cause }.into()) {
                Ok(()) => self.accounts.pop_first(),
                Err(Full) => return,
            };
        }
    }
}

impl Core {
    /// A connection has ended: what it protects is canceled. Not when the exchange stops: then
    /// every connection ends.
    pub fn part(&mut self, protection: &mut Protection) {
        let accounts = protection.take();
        if !self.is_draining && !accounts.is_empty() {
            self.partings.add(accounts);
            self.send_partings();
        }
    }

    /// Tries again what the ring had no room for.
    pub fn send_partings(&mut self) {
        self.partings.send(self.link.as_mut());
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Command, Origin, Stamp};

    use super::*;
    use crate::link::{Broken, Polled, Seer};

    const ALICE: AccountId = AccountId(1);
    const BOB: AccountId = AccountId(2);

    /// A ring with room for so many commands.
    #[derive(Default)]
    struct Ring {
        room: usize,
        sent: Vec<Command>,
    }

    impl Link for Ring {
        fn send(&mut self, command: Command) -> Result<(), Full> {
            self.room = self.room.checked_sub(1).ok_or(Full)?;
            self.sent.push(command);
            Ok(())
        }

        fn poll(&mut self, _: usize, _: &mut Seer<'_>) -> Result<Polled, Broken> {
            Ok(Polled::Nothing)
        }

        fn has_news(&self) -> bool {
            false
        }

        fn origin(&self) -> Origin {
            Origin::default()
        }

        fn now(&self) -> Stamp {
            Stamp(0)
        }
    }

    impl Ring {
        fn canceled(&mut self) -> Vec<AccountId> {
            let accounts = self.sent.drain(..).map(|command| match command {
                Command::MassCancel(it) => {
                    assert_eq!(it.cause, MassCancelCause::Disconnect);
                    assert_eq!(it.envelope.deadline, Stamp::NEVER);
                    it.account
                }
                other => panic!("{other:?}"),
            });
            accounts.collect()
        }
    }

    #[test]
    fn only_who_asked_is_protected() {
        let mut one = Protection::new(false);
        one.logged_on(ALICE, None);
        one.sent(ALICE);
        assert!(one.take().is_empty());
        one.logged_on(ALICE, Some(true));
        one.logged_on(ALICE, None);
        one.sent(BOB);
        assert!(one.is_of(ALICE) && !one.is_of(BOB));
        one.logged_on(ALICE, Some(false));
        assert!(one.take().is_empty());
        let mut all = Protection::new(true);
        all.sent(ALICE);
        all.logged_on(BOB, None);
        assert_eq!(all.take(), [ALICE, BOB].into());
        assert!(all.take().is_empty(), "once");
    }

    #[test]
    fn what_a_full_ring_does_not_take_is_sent_later() {
        let (mut ring, mut partings) = (Ring::default(), Partings::default());
        partings.add([BOB, ALICE].into());
        partings.send(&mut ring);
        assert_eq!(ring.canceled(), []);
        ring.room = 1;
        partings.send(&mut ring);
        assert_eq!(ring.canceled(), [ALICE]);
        ring.room = 9;
        partings.send(&mut ring);
        partings.send(&mut ring);
        assert_eq!(ring.canceled(), [BOB]);
    }
}
