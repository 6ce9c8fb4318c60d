//! Stories from the venue's documents, and random runs against lists of all that happened.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use protocol::command::ApiKey;
use protocol::{AccountId, MILLISECOND_NS};

use super::recent::Recent;
use super::*;

const MIDNIGHT: u64 = 19_723 * DAY_NS;

/// A moment of 2024-01-01, in seconds.
fn at(seconds: u64) -> Stamp {
    Stamp(MIDNIGHT + seconds * SECOND_NS)
}

fn rules(list: &[(RateLimitKind, RateLimitInterval, u32, u32)]) -> Rules {
    let mut rules = Rules::new();
    for (kind, interval, interval_count, limit) in list.iter().copied() {
        assert!(rules.set(&RateLimitSet { kind, interval, interval_count, limit }));
    }
    rules
}

fn weight_rules(limit: u32) -> Rules {
    rules(&[(RateLimitKind::RequestWeight, RateLimitInterval::Minute, 1, limit)])
}

fn order_rules(limit: u32) -> Rules {
    rules(&[
        (RateLimitKind::Orders, RateLimitInterval::Day, 1, 200_000),
        (RateLimitKind::Orders, RateLimitInterval::Second, 10, limit),
    ])
}

fn client(number: u32) -> ClientId {
    ClientId::Address(IpAddr::V4(Ipv4Addr::from_bits(number)))
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }

    /// Mostly a small step, sometimes over many windows.
    fn step_ns(&mut self) -> u64 {
        match self.below(100) {
            0 => self.below(2 * DAY_NS),
            1..10 => self.below(2 * MINUTE_NS),
            _ => self.below(SECOND_NS),
        }
    }
}

fn window_of(rule: &Rule, now: Stamp) -> u64 {
    let unit_ns = match rule.interval {
        RateLimitInterval::Second => SECOND_NS,
        RateLimitInterval::Minute => MINUTE_NS,
        RateLimitInterval::Day => DAY_NS,
    };
    now.0 / (unit_ns * u64::from(rule.interval_count))
}

#[test]
fn limits_are_listed_as_the_venue_lists_them() {
    let mut rules = rules(&[
        (RateLimitKind::RawRequests, RateLimitInterval::Minute, 5, 300_000),
        (RateLimitKind::Orders, RateLimitInterval::Day, 1, 200_000),
        (RateLimitKind::Orders, RateLimitInterval::Second, 10, 100),
        (RateLimitKind::RequestWeight, RateLimitInterval::Minute, 1, 6_000),
    ]);
    let list = |rules: &Rules| -> Vec<String> {
        let text = |rule: &Rule| {
            format!("{} {} {}", rule.kind, rule.status(0).header_suffix(), rule.limit)
        };
        rules.iter().map(text).collect()
    };
    assert_eq!(
        list(&rules),
        ["REQUEST_WEIGHT 1M 6000", "ORDERS 10S 100", "ORDERS 1D 200000", "RAW_REQUESTS 5M 300000"]
    );
    let (kind, interval) = (RateLimitKind::Orders, RateLimitInterval::Second);
    for (interval_count, limit) in [(10, 0), (20, 0), (10, 7), (10, 8)] {
        assert!(rules.set(&RateLimitSet { kind, interval, interval_count, limit }));
    }
    assert_eq!(list(&rules)[1..3], ["ORDERS 10S 8", "ORDERS 1D 200000"]);
}

#[test]
fn the_fifth_limit_of_a_kind_is_not_applied() {
    let mut rules = Rules::new();
    let event = |interval_count, limit| RateLimitSet {
        kind: RateLimitKind::Orders,
        interval: RateLimitInterval::Minute,
        interval_count,
        limit,
    };
    for interval_count in 1..=4 {
        assert!(rules.set(&event(interval_count, 10)));
    }
    assert!(!rules.set(&event(5, 10)));
    assert!(rules.set(&event(4, 11)));
    assert!(rules.set(&event(2, 0)));
    assert!(rules.set(&event(5, 10)));
    assert_eq!(rules.of(RateLimitKind::Orders).len(), RULES_PER_KIND_MAX);
}

#[test]
fn what_is_counted_stays_when_other_limits_change() {
    let mut rules = order_rules(50);
    let mut orders = OrderCounts::new();
    let account = AccountId(1);
    let counts = |orders: &OrderCounts, rules: &Rules| -> Vec<u32> {
        orders.counts(rules, account, at(2)).iter().map(|status| status.count).collect()
    };
    let kind = RateLimitKind::Orders;
    let set = |rules: &mut Rules, interval, interval_count, limit| {
        assert!(rules.set(&RateLimitSet { kind, interval, interval_count, limit }));
    };
    orders.accepted(&rules, account, at(1));
    set(&mut rules, RateLimitInterval::Second, 5, 10);
    assert_eq!(counts(&orders, &rules), [0, 1, 1]);
    orders.accepted(&rules, account, at(1));
    set(&mut rules, RateLimitInterval::Second, 5, 0);
    set(&mut rules, RateLimitInterval::Second, 10, 60);
    assert_eq!(counts(&orders, &rules), [2, 2]);
    set(&mut rules, RateLimitInterval::Minute, 1, 10);
    assert_eq!(counts(&orders, &rules), [2, 0, 2], "a slot that is free again starts at 0");
}

#[test]
fn lengths_of_windows_never_overflow() {
    for interval in RateLimitInterval::ALL {
        for interval_count in [0, 1, u32::MAX] {
            let rule = (RateLimitKind::RequestWeight, *interval, interval_count, 1);
            let rules = rules(&[rule]);
            let mut usage = Usage::default();
            for now in [Stamp(0), at(0), Stamp::NEVER] {
                assert!(usage.charge(&rules, &client(1), 1, now).is_ok_and(|used| used.len() == 1));
                assert!(usage.charge(&rules, &client(1), u32::MAX, now).is_err());
                usage = Usage::default();
            }
        }
    }
}

#[test]
fn weight_counts_until_its_minute_ends() {
    let rules = weight_rules(100);
    let mut usage = Usage::default();
    let mut charge = |weight, now| {
        let used = usage.charge(&rules, &client(1), weight, now).map(|used| used[0].count);
        used.map_err(|refusal| (refusal.hit.count, refusal.status(), refusal.retry_after_seconds))
    };
    assert_eq!(charge(60, at(10)), Ok(60));
    assert_eq!(charge(40, at(59)), Ok(100));
    assert_eq!(charge(1, at(59)), Err((101, 429, 1)));
    assert_eq!(charge(100, at(60)), Ok(100));
    assert_eq!(charge(5, Stamp(at(60).0 + 1)), Err((105, 429, 60)));
    assert_eq!(charge(1, at(60)), Err((106, 429, 60)), "over stays over");
    assert_eq!(charge(100, at(3_600)), Ok(100));
    let used = usage.used(&rules, &client(1), at(3_600));
    assert_eq!(used[0].count, 100);
    assert_eq!(used[0].header_suffix().to_string(), "1M");
    assert_eq!(usage.used(&rules, &client(1), at(3_660))[0].count, 0);
    assert_eq!(usage.used(&rules, &client(2), at(3_600))[0].count, 0);
}

#[test]
fn weight_is_given_back_within_its_window_only() {
    let rules = weight_rules(100);
    let mut usage = Usage::default();
    usage.refund(&rules, &client(1), 1, at(0));
    assert!(usage.charge(&rules, &client(1), 3, at(1)).is_ok());
    usage.refund(&rules, &client(1), 1, at(1));
    assert_eq!(usage.used(&rules, &client(1), at(2))[0].count, 2);
    usage.refund(&rules, &client(1), 7, at(2));
    assert_eq!(usage.used(&rules, &client(1), at(2))[0].count, 0);
    assert!(usage.charge(&rules, &client(1), 3, at(60)).is_ok());
    usage.refund(&rules, &client(1), 1, at(1));
    assert_eq!(usage.used(&rules, &client(1), at(60))[0].count, 3);
}

/// Exceeds a limit of 1 and goes on until the ban; returns how long it lasts.
fn seconds_of_next_ban(usage: &mut Usage, rules: &Rules, now: Stamp) -> u64 {
    for _ in 0..REFUSALS_MAX {
        let refusal = usage.charge(rules, &client(1), 2, now).unwrap_err();
        assert_eq!((refusal.status(), refusal.ban_until), (429, None));
    }
    let refusal = usage.charge(rules, &client(1), 2, now).unwrap_err();
    assert_eq!((refusal.status(), refusal.ban_until), (418, Some(refusal.retry_at)));
    assert_eq!(usage.bans(now), [(client(1), refusal.retry_at)]);
    refusal.retry_after_seconds
}

#[test]
fn bans_double_from_two_minutes_to_three_days() {
    let (rules, mut usage) = (weight_rules(1), Usage::default());
    let mut now = 0;
    let mut bans = Vec::new();
    for _ in 0..14 {
        let seconds = seconds_of_next_ban(&mut usage, &rules, at(now));
        now += seconds;
        bans.push(seconds);
    }
    let doubled = (0..12).map(|times| 120 << times);
    assert_eq!(bans, doubled.chain([259_200, 259_200]).collect::<Vec<_>>());
    let remembered_seconds = BAN_REMEMBERED_NS / SECOND_NS;
    now += remembered_seconds - 1;
    assert_eq!(seconds_of_next_ban(&mut usage, &rules, at(now)), 259_200);
    now += 259_200 + remembered_seconds;
    assert_eq!(seconds_of_next_ban(&mut usage, &rules, at(now)), 120);
}

#[test]
fn requests_during_a_ban_neither_count_nor_prolong_it() {
    let (rules, mut usage) = (weight_rules(1), Usage::default());
    assert_eq!(seconds_of_next_ban(&mut usage, &rules, at(0)), 120);
    for second in [0, 1, 60, 119] {
        let refusal = usage.charge(&rules, &client(1), 1, at(second)).unwrap_err();
        assert_eq!((refusal.status(), refusal.retry_at), (418, at(120)));
        assert_eq!(refusal.retry_after_seconds, 120 - second);
    }
    assert!(usage.charge(&rules, &client(2), 1, at(119)).is_ok());
    assert_eq!(usage.used(&rules, &client(1), at(119))[0].count, 0);
    assert!(usage.charge(&rules, &client(1), 1, at(120)).is_ok());
}

#[test]
fn after_a_ban_refusals_count_anew_in_the_same_window() {
    let rules = rules(&[(RateLimitKind::RawRequests, RateLimitInterval::Day, 1, 1)]);
    let mut usage = Usage::default();
    assert!(usage.charge(&rules, &client(1), 1, at(0)).is_ok());
    assert_eq!(seconds_of_next_ban(&mut usage, &rules, at(0)), 120);
    assert_eq!(seconds_of_next_ban(&mut usage, &rules, at(120)), 240);
}

#[test]
fn refusals_of_an_earlier_window_bring_no_ban() {
    let (rules, mut usage) = (weight_rules(1), Usage::default());
    for minute in 0..10 {
        for _ in 0..REFUSALS_MAX {
            let refusal = usage.charge(&rules, &client(1), 2, at(minute * 60)).unwrap_err();
            assert_eq!(refusal.status(), 429, "minute {minute}");
        }
    }
}

#[test]
fn a_lifted_ban_leaves_nothing_behind() {
    let (rules, mut usage) = (weight_rules(1), Usage::default());
    assert_eq!(seconds_of_next_ban(&mut usage, &rules, at(0)), 120);
    assert_eq!(usage.bans(at(119)), [(client(1), at(120))]);
    assert_eq!(usage.bans(at(120)), []);
    assert!(usage.lift(&client(1)));
    assert!(!usage.lift(&client(1)));
    assert!(usage.charge(&rules, &client(1), 1, at(0)).is_ok());
    usage.lift_all();
    assert!(usage.charge(&rules, &client(1), 1, at(0)).is_err(), "only bans are lifted");
    usage = Usage::default();
    assert_eq!(seconds_of_next_ban(&mut usage, &rules, at(0)), 120);
    usage.lift_all();
    assert_eq!(seconds_of_next_ban(&mut usage, &rules, at(0)), 120);
}

#[test]
fn refusals_speak_as_the_venue_does() {
    let mut weight = weight_rules(6_000);
    let mut usage = Usage::default();
    let refusal = usage.charge(&weight, &client(1), 6_001, at(0)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. \
         Please use WebSocket Streams for live updates to avoid polling the API."
    );
    for _ in 0..REFUSALS_MAX {
        assert!(usage.charge(&weight, &client(1), 1, at(0)).is_err());
    }
    let refusal = usage.charge(&weight, &client(1), 1, at(0)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(
            "Way too much request weight used; IP banned until {}. \
             Please use WebSocket Streams for live updates to avoid bans.",
            at(120).0 / MILLISECOND_NS
        )
    );
    let (kind, interval) = (RateLimitKind::RawRequests, RateLimitInterval::Minute);
    assert!(weight.set(&RateLimitSet { kind, interval, interval_count: 5, limit: 1 }));
    assert!(usage.charge(&weight, &client(2), 6_001, at(0)).is_err());
    let refusal = usage.charge(&weight, &client(2), 1, at(0)).unwrap_err();
    assert_eq!(refusal.retry_at, at(300), "the limit that ends last");
    assert_eq!(
        refusal.to_string(),
        "Too many requests; current limit is 1 requests per 5 MINUTE. \
         Please use WebSocket Streams for live updates to avoid polling the API."
    );
}

#[test]
fn on_loopback_signed_requests_count_per_key() {
    let key = ApiKey::new("abc").unwrap();
    let far = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    #[rustfmt::skip]
    let table = [
        (v4, Some(key), "abc"),
        (v6, Some(key), "abc"),
        (mapped, Some(key), "abc"),
        (v4, None, "127.0.0.1"),
        (v6, None, "::1"),
        (mapped, None, "127.0.0.1"),
        (far, Some(key), "192.0.2.1"),
        (far, None, "192.0.2.1"),
    ];
    for (address, key, counted_as) in table {
        assert_eq!(ClientId::of(address, key).to_string(), counted_as, "{address} {key:?}");
    }
}

#[test]
fn clients_are_forgotten_but_not_their_bans() {
    let (rules, mut usage) = (weight_rules(1), Usage::new(100));
    assert_eq!(seconds_of_next_ban(&mut usage, &rules, at(0)), 120);
    assert!(usage.charge(&rules, &client(2), 1, at(0)).is_ok());
    for number in 3..3_000 {
        assert!(usage.charge(&rules, &client(number), 1, at(0)).is_ok());
        let earlier = client(number.saturating_sub(49).max(2));
        let used = usage.used(&rules, &earlier, at(0))[0].count;
        assert_eq!(used, 1, "one of the last 50 is remembered, {number}");
    }
    assert_eq!(usage.used(&rules, &client(2), at(0))[0].count, 0);
    assert_eq!(usage.bans(at(0)).len(), 1);
}

#[test]
fn the_number_of_bans_is_bounded() {
    let (rules, mut usage) = (weight_rules(1), Usage::default());
    for number in 0..BANS_MAX as u32 + 10 {
        for _ in 0..=REFUSALS_MAX {
            let now = Stamp(at(0).0 + u64::from(number));
            assert!(usage.charge(&rules, &client(number), 2, now).is_err());
        }
    }
    let bans = usage.bans(at(1));
    assert_eq!(bans.len(), BANS_MAX);
    assert_eq!(bans[0].0, client(10), "those that end first were lifted");
}

#[test]
fn a_recent_map_equals_the_tail_of_a_list() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let length_max = 2 + random.below(30) as usize;
        let mut recent: Recent<u64, u64> = Recent::new(length_max);
        let mut uses: Vec<u64> = Vec::new();
        for _ in 0..2_000 {
            let key = random.below(40);
            let is_known = recent.get(&key).is_some();
            let value = recent.entry(&key);
            *value += 1;
            let in_a_row = *value as usize;
            let uses_before = uses.iter().filter(|used| **used == key).count();
            assert!(in_a_row <= uses_before + 1, "seed {seed}");
            let mut last_keys: Vec<u64> = Vec::new();
            for used in uses.iter().rev() {
                if last_keys.len() < length_max / 2 && !last_keys.contains(used) {
                    last_keys.push(*used);
                }
            }
            assert!(is_known || !last_keys.contains(&key), "seed {seed}: forgot {key}");
            assert_eq!(is_known, in_a_row > 1, "seed {seed}");
            assert!(recent.len() <= length_max, "seed {seed}");
            uses.push(key);
        }
    }
}

/// All that one client did.
#[derive(Default)]
struct ClientHistory {
    charges: Vec<(Stamp, u32)>,
    /// When, and the end of the window that was full.
    refusals: Vec<(Stamp, Stamp)>,
    /// Length and end.
    bans: Vec<(u64, Stamp)>,
}

impl ClientHistory {
    fn used(&self, rule: &Rule, now: Stamp) -> u64 {
        let window = window_of(rule, now);
        let charges = self.charges.iter().filter(|(stamp, _)| window_of(rule, *stamp) == window);
        let cost = |weight| if rule.kind == RateLimitKind::RequestWeight { weight } else { 1 };
        charges.map(|(_, weight)| u64::from(cost(*weight))).sum()
    }

    /// Status, and when to try again.
    fn charge(&mut self, rules: &Rules, weight: u32, now: Stamp) -> Option<(u16, Stamp)> {
        if let Some((_, until)) = self.bans.last()
            && now < *until
        {
            return Some((418, *until));
        }
        self.charges.push((now, weight));
        let requests = rules.iter().filter(|rule| rule.kind != RateLimitKind::Orders);
        let exceeded = requests.filter(|rule| self.used(rule, now) > u64::from(rule.limit));
        let end = exceeded.map(|rule| rule.window_end(now)).max()?;
        self.refusals.push((now, end));
        if self.refusals_in_a_row() <= REFUSALS_MAX as usize {
            return Some((429, end));
        }
        self.refusals.clear();
        let earlier = self.bans.last().filter(|(_, until)| now.0 < until.0 + BAN_REMEMBERED_NS);
        let duration_ns = earlier.map_or(BAN_NS, |(earlier, _)| (earlier * 2).min(BAN_NS_MAX));
        let until = Stamp(now.0 + duration_ns);
        self.bans.push((duration_ns, until));
        Some((418, until))
    }

    /// Back from the last one, each before the end of the window that was full at the one before.
    fn refusals_in_a_row(&self) -> usize {
        let pairs = self.refusals.windows(2).rev();
        1 + pairs.take_while(|pair| pair[1].0 < pair[0].1).count()
    }

    fn refund(&mut self, place: usize, weight: u32) {
        let charge = &mut self.charges[place].1;
        *charge = charge.saturating_sub(weight);
    }
}

#[test]
fn usage_equals_the_list_of_all_charges() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let rules = rules(&[
            (RateLimitKind::RequestWeight, RateLimitInterval::Second, 10, 12),
            (RateLimitKind::RequestWeight, RateLimitInterval::Minute, 1, 40),
            (RateLimitKind::RawRequests, RateLimitInterval::Minute, 5, 60),
            (RateLimitKind::Orders, RateLimitInterval::Second, 1, 1),
        ]);
        let mut usage = Usage::default();
        let mut histories: [ClientHistory; 3] = Default::default();
        let mut now = at(0);
        for step in 0..1_500 {
            now = Stamp(now.0 + random.step_ns() / 4);
            let number = random.below(3) as usize;
            let (client, history) = (client(number as u32), &mut histories[number]);
            let weight = random.below(8) as u32;
            let answer = usage.charge(&rules, &client, weight, now);
            let expected = history.charge(&rules, weight, now);
            let found = answer.err().map(|refusal| (refusal.status(), refusal.retry_at));
            assert_eq!(found, expected, "seed {seed} step {step}");
            if random.below(4) == 0 && expected.is_none() {
                usage.refund(&rules, &client, weight, now);
                history.refund(history.charges.len() - 1, weight);
            }
            for status in usage.used(&rules, &client, now).iter() {
                let of_status = |rule: &&Rule| rule.status(status.count) == *status;
                let rule = rules.of(status.kind).iter().find(of_status).unwrap();
                assert_eq!(u64::from(status.count), history.used(rule, now), "seed {seed} {step}");
            }
        }
        let bans: usize = histories.iter().map(|history| history.bans.len()).sum();
        assert!(bans > 0, "seed {seed} shows no ban");
    }
}

/// What became of an account's orders in the examples of the venue's document.
#[derive(Clone, Copy)]
enum Told {
    Placed,
    FirstFillAsTaker,
    FirstFillAsMaker,
    LaterFillOrCancel,
}

fn tell(orders: &mut OrderCounts, rules: &Rules, told: Told, now: Stamp) {
    match told {
        Told::Placed => orders.accepted(rules, AccountId(1), now),
        Told::FirstFillAsTaker => orders.first_filled(rules, AccountId(1), false, now),
        Told::FirstFillAsMaker => orders.first_filled(rules, AccountId(1), true, now),
        Told::LaterFillOrCancel => {}
    }
}

fn check_story(story: &[(u64, Told, u32)]) {
    let rules = order_rules(100);
    let mut orders = OrderCounts::new();
    for (line, (second, told, count)) in story.iter().enumerate() {
        tell(&mut orders, &rules, *told, at(*second));
        let counts = orders.counts(&rules, AccountId(1), at(*second));
        let found = [counts[0].count, counts[1].count];
        assert_eq!(found, [*count; 2], "line {line}");
        assert!(orders.counts(&rules, AccountId(2), at(*second)).iter().all(|s| s.count == 0));
    }
}

#[test]
fn orders_count_as_in_the_documents() {
    use Told::*;
    check_story(&[
        (1, Placed, 1),
        (2, Placed, 2),
        (2, FirstFillAsTaker, 1),
        (3, Placed, 2),
        (4, LaterFillOrCancel, 2),
        (5, Placed, 3),
        (5, FirstFillAsTaker, 2),
    ]);
    check_story(&[
        (1, Placed, 1),
        (1, Placed, 2),
        (2, Placed, 3),
        (2, Placed, 4),
        (2, Placed, 5),
        (3, FirstFillAsMaker, 0),
        (4, Placed, 1),
        (4, Placed, 2),
        (5, LaterFillOrCancel, 2),
        (5, FirstFillAsMaker, 0),
        (6, Placed, 1),
    ]);
}

#[test]
fn a_fill_gives_back_in_the_window_in_which_it_happens() {
    let (rules, mut orders, account) = (order_rules(100), OrderCounts::new(), AccountId(1));
    let day = 24 * 3_600;
    for _ in 0..5 {
        orders.accepted(&rules, account, at(9 * 3_600));
    }
    let of_day = |orders: &OrderCounts, second| orders.counts(&rules, account, at(second))[1].count;
    assert_eq!(of_day(&orders, 9 * 3_600), 5);
    assert_eq!(of_day(&orders, day), 0);
    for _ in 0..10 {
        orders.accepted(&rules, account, at(day + 9 * 3_600));
    }
    for left in (5..10).rev() {
        orders.first_filled(&rules, account, false, at(day + 12 * 3_600));
        assert_eq!(of_day(&orders, day + 12 * 3_600), left);
    }
}

#[test]
fn an_order_above_the_limit_is_refused() {
    let (rules, mut orders, account) = (order_rules(3), OrderCounts::new(), AccountId(1));
    #[rustfmt::skip]
    let table = [
        // placed, in flight, accepted before; whether it may
        (1, 0, 0, true), (3, 0, 0, true), (4, 0, 0, false), (1, 2, 0, true), (1, 3, 0, false),
        (2, 0, 1, true), (3, 0, 1, false), (1, 1, 1, true), (1, 2, 1, false), (0, 9, 9, true),
        (u32::MAX, u32::MAX, 1, false),
    ];
    for (placed, in_flight, accepted, may) in table {
        orders = OrderCounts::new();
        for _ in 0..accepted {
            orders.accepted(&rules, account, at(1));
        }
        let verdict = orders.may_place(&rules, account, placed, in_flight, at(1));
        assert_eq!(verdict.is_ok(), may, "{placed} placed, {in_flight} in flight, {accepted}");
    }
    let refusal = orders.may_place(&rules, account, 4, 0, at(13)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "Too many new orders; current limit is 3 orders per 10 SECOND."
    );
    assert_eq!((refusal.retry_at, refusal.retry_after_seconds), (at(20), 7));
    let refusal = orders.may_place(&rules, account, 200_001, 0, at(13)).unwrap_err();
    assert_eq!((refusal.limit, refusal.retry_at), (200_000, at(24 * 3_600)));
    let suffixes: Vec<_> = orders
        .counts(&rules, account, at(1))
        .iter()
        .map(|s| s.header_suffix().to_string())
        .collect();
    assert_eq!(suffixes, ["10S", "1D"]);
}

#[test]
fn order_counts_equal_the_list_of_all_events() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let rules = order_rules(20);
        let mut orders = OrderCounts::new();
        let mut history: Vec<(Stamp, i64)> = Vec::new();
        let mut now = at(0);
        for step in 0..2_000 {
            now = Stamp(now.0 + random.step_ns());
            let (told, change) = match random.below(8) {
                0 => (Told::FirstFillAsTaker, -1),
                1 => (Told::FirstFillAsMaker, -5),
                2 => (Told::LaterFillOrCancel, 0),
                _ => (Told::Placed, 1),
            };
            tell(&mut orders, &rules, told, now);
            history.push((now, change));
            for (rule, status) in rules
                .of(RateLimitKind::Orders)
                .iter()
                .zip(orders.counts(&rules, AccountId(1), now).iter())
            {
                let window = window_of(rule, now);
                let in_window = history.iter().filter(|(s, _)| window_of(rule, *s) == window);
                let count = in_window.fold(0, |count, (_, change)| (count + change).max(0));
                assert_eq!(i64::from(status.count), count, "seed {seed} step {step}");
            }
        }
    }
}

#[test]
fn an_address_connects_so_often_in_five_minutes() {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let mut connects = Connects::default();
    for _ in 0..CONNECTS_MAX / 2 {
        assert_eq!(connects.attempt(address, at(1)), Ok(()));
        assert_eq!(connects.attempt(mapped, at(299)), Ok(()));
    }
    let refusal = connects.attempt(address, at(290)).unwrap_err();
    assert_eq!(refusal.retry_after_seconds, 10);
    assert_eq!(refusal.to_string(), "more than 300 attempts to connect in 5 minutes");
    assert_eq!(connects.attempt(IpAddr::V6(Ipv6Addr::LOCALHOST), at(290)), Ok(()));
    assert_eq!(connects.attempt(address, at(300)), Ok(()));
    let mut unlimited = Connects::new(0);
    assert!((0..1_000).all(|_| unlimited.attempt(address, at(1)).is_ok()));
}

#[test]
fn a_connection_speaks_so_often_in_a_second() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut pace = MessagePace::default();
        let mut messages: Vec<u64> = Vec::new();
        let mut now = at(0);
        for _ in 0..1_000 {
            now = Stamp(now.0 + random.below(SECOND_NS / 2));
            messages.push(now.0 / SECOND_NS);
            let in_second = messages.iter().filter(|second| **second == now.0 / SECOND_NS).count();
            assert_eq!(pace.admits(now), in_second <= 5, "seed {seed}");
        }
    }
    let mut unlimited = MessagePace::new(0);
    assert!((0..1_000).all(|_| unlimited.admits(at(1))));
}
