//! The unfilled-order count: orders that an account has placed and that have not begun to trade.
//!
//! Source: the venue's "Spot Unfilled Order Count Rules". An accepted order counts 1. With its
//! first fill the count falls by 1 if the order was the taker, by 5 if it was the maker, in the
//! current windows and whenever the order was placed; never below 0. Nothing else changes the
//! count: not cancels, expiries or later fills. That large fills may give back more is not
//! copied: the venue tells no numbers.

use core::fmt;

use protocol::{AccountId, RateLimitInterval, RateLimitKind, Stamp};
use rustc_hash::FxHashMap;

use super::windows::Windows;
use super::{RateLimitStatus, Rules, Statuses, seconds_until};

/// What the first fill of an order gives back.
pub const FIRST_FILL_AS_TAKER: u32 = 1;
pub const FIRST_FILL_AS_MAKER: u32 = 5;

/// A new order that is refused (-1015, status 429). Prints the venue's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyOrders {
    pub limit: u32,
    pub interval: RateLimitInterval,
    pub interval_count: u32,
    pub retry_at: Stamp,
    pub retry_after_seconds: u64,
}

impl fmt::Display for TooManyOrders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooManyOrders { limit, interval, interval_count, .. } = self;
        write!(
            f,
            "Too many new orders; current limit is {limit} orders per {interval_count} {interval}."
        )
    }
}

impl core::error::Error for TooManyOrders {}

/// The unfilled-order counts of all accounts: a view of the events.
#[derive(Debug, Default)]
pub struct OrderCounts {
    accounts: FxHashMap<AccountId, Windows>,
}

impl OrderCounts {
    pub fn new() -> OrderCounts {
        OrderCounts::default()
    }

    /// An order was accepted; each leg of a list counts.
    pub fn accepted(&mut self, rules: &Rules, account: AccountId, now: Stamp) {
        let windows = self.accounts.entry(account).or_default();
        for rule in rules.of(RateLimitKind::Orders) {
            windows.add(rule, 1, now);
        }
    }

    /// An order was filled for the first time. Must not be told of its later fills.
    pub fn first_filled(&mut self, rules: &Rules, account: AccountId, is_maker: bool, now: Stamp) {
        let given_back = if is_maker { FIRST_FILL_AS_MAKER } else { FIRST_FILL_AS_TAKER };
        if let Some(windows) = self.accounts.get_mut(&account) {
            for rule in rules.of(RateLimitKind::Orders) {
                windows.subtract(rule, given_back, now);
            }
        }
    }

    /// Whether a request may place `orders` more (0 if it places none), when `in_flight` are sent
    /// and not yet accepted.
    ///
    /// # Errors
    ///
    /// Of the limits that would be exceeded, the one whose window ends last.
    pub fn may_place(
        &self,
        rules: &Rules,
        account: AccountId,
        orders: u32,
        in_flight: u32,
        now: Stamp,
    ) -> Result<(), TooManyOrders> {
        let counts = self.counts(rules, account, now);
        let list = rules.of(RateLimitKind::Orders).iter().zip(counts.iter());
        let exceeded = list.filter(|(_, status)| {
            orders > 0
                && status.count.saturating_add(in_flight).saturating_add(orders) > status.limit
        });
        let last = exceeded
            .map(|(rule, status)| (rule.window_end(now), status))
            .max_by_key(|(end, _)| *end);
        let Some((end, status)) = last else { return Ok(()) };
        let RateLimitStatus { limit, interval, interval_count, .. } = *status;
        let retry_after_seconds = seconds_until(end, now);
        Err(TooManyOrders { limit, interval, interval_count, retry_at: end, retry_after_seconds })
    }

    /// For the headers `X-MBX-ORDER-COUNT-*`, `GET rateLimit/order` and `rateLimits`.
    pub fn counts(&self, rules: &Rules, account: AccountId, now: Stamp) -> Statuses {
        let windows = self.accounts.get(&account);
        Statuses::of(rules.of(RateLimitKind::Orders), |rule| {
            windows.map_or(0, |windows| windows.count(rule, now))
        })
    }
}
