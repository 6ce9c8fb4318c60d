//! All that is asked of one market of a venue over HTTP, and how often it is called: one rate limit
//! for all connections and symbols.

use std::cell::RefCell;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::budget::Budget;
use super::clock::{now_ns, sleep_until_ns};
use super::error::Error;
use super::http::{self, Answer, HttpOptions};
use super::net::Net;
use super::socket::Socket;

/// Requests under way at a time.
const REQUESTS_MAX: usize = 4;
/// New connections in five minutes. Binance allows 300 an address, and others share it.
const CONNECTS_MAX: u32 = 150;
const CONNECTS_WINDOW_NS: u64 = 300 * 1_000_000_000;
/// Opening a WebSocket, from the first packet to the answer of the upgrade.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) struct Desk {
    net: Net,
    options: HttpOptions,
    requests: RefCell<Budget>,
    connects: RefCell<Budget>,
    /// Fair: who asks first is served first.
    turns: Semaphore,
}

impl Desk {
    pub(crate) fn new(net: Net, options: HttpOptions, weight_max: u32, window_ns: u64) -> Desk {
        Desk {
            net,
            options,
            requests: RefCell::new(Budget::new(weight_max, window_ns)),
            connects: RefCell::new(Budget::new(CONNECTS_MAX, CONNECTS_WINDOW_NS)),
            turns: Semaphore::new(REQUESTS_MAX),
        }
    }

    /// Waits for its turn and for the budget, then asks. Safe to drop at any time.
    pub(crate) async fn get(&self, url: &str, weight: u32) -> Result<Answer, Error> {
        let _turn = self.turns.acquire().await;
        wait_for(&self.requests, weight).await;
        let answer = http::get(&self.net, url, self.options).await?;
        let Answer { status, retry_after_s, used_weight, .. } = answer;
        self.requests.borrow_mut().answered(now_ns(), status, retry_after_s, used_weight);
        Ok(answer)
    }

    /// Waits, then opens a WebSocket.
    pub(crate) async fn open(&self, url: &str, wait: Duration) -> Result<Socket, Error> {
        tokio::time::sleep(wait).await;
        wait_for(&self.connects, 1).await;
        let opened = Socket::open(&self.net, url, OPEN_TIMEOUT).await;
        if let Err(Error::Refused { status, retry_after_s }) = opened {
            self.connects.borrow_mut().answered(now_ns(), status, retry_after_s, None);
        }
        opened
    }
}

async fn wait_for(budget: &RefCell<Budget>, weight: u32) {
    loop {
        let spent = budget.borrow_mut().spend(now_ns(), weight);
        match spent {
            Ok(()) => return,
            Err(again_ns) => sleep_until_ns(again_ns).await,
        }
    }
}
