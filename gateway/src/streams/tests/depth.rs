//! Books that are followed from messages.

use super::*;

type Levels = [BTreeMap<String, String>; 2];

fn snapshot(venue: &Venue) -> Levels {
    let depth = &venue.market.instrument(InstrumentId(1)).unwrap().depth;
    [Side::Buy, Side::Sell].map(|side| {
        depth.levels(side).map(|it| (it.price.to_string(), it.quantity.to_string())).collect()
    })
}

fn last_update(venue: &Venue) -> u64 {
    venue.market.instrument(InstrumentId(1)).unwrap().depth.last_update().0
}

/// A client that keeps a book as the document says.
struct Follower {
    client: Client,
    levels: Levels,
    update: u64,
    has_begun: bool,
}

impl Follower {
    fn new(venue: &mut Venue, name: &str) -> Follower {
        let client = venue.socket(&[name]);
        let (levels, update) = (snapshot(venue), last_update(venue));
        Follower { client, levels, update, has_begun: false }
    }

    fn read(&mut self, snapshots: &BTreeMap<u64, Levels>) {
        for message in self.client.messages() {
            let id = |name: &str| message[name].as_u64().unwrap();
            if id("u") <= self.update {
                assert!(!self.has_begun, "{message}");
                continue;
            }
            // The first may begin before the snapshot.
            let is_next = id("U") == self.update + 1;
            assert!(is_next || (!self.has_begun && id("U") <= self.update), "{message}");
            self.has_begun = true;
            self.update = id("u");
            for (side, levels) in ["b", "a"].into_iter().zip(&mut self.levels) {
                for level in message[side].as_array().unwrap() {
                    let [price, quantity] = [0, 1].map(|at| level[at].as_str().unwrap().to_owned());
                    match quantity.as_str() {
                        "0.00000000" => levels.remove(&price),
                        _ => levels.insert(price, quantity),
                    };
                }
            }
            assert_eq!(self.levels, snapshots[&self.update], "{message}");
        }
    }
}

#[test]
fn differences_lead_from_any_snapshot_to_every_later_one() {
    for seed in 1..40 {
        let mut random = Random(seed);
        let mut venue = Venue::new();
        let mut snapshots = BTreeMap::new();
        let mut followers: Vec<Follower> = Vec::new();
        for _ in 0..300 {
            let events: Vec<Event> = (0..random.below(4))
                .map(|_| {
                    let side = if random.below(2) == 0 { Side::Buy } else { Side::Sell };
                    venue.book(1, side, 1 + random.below(9), random.below(3))
                })
                .collect();
            let later = [0, 1, 30 * MS, 100 * MS, 1_700 * MS][random.below(5) as usize];
            venue.command(later, &events);
            snapshots.insert(last_update(&venue), snapshot(&venue));
            followers.iter_mut().for_each(|follower| follower.read(&snapshots));
            if random.below(25) == 0 {
                let name = ["btcusdt@depth", "btcusdt@depth@100ms"][random.below(2) as usize];
                followers.push(Follower::new(&mut venue, name));
            }
            if random.below(60) == 0
                && let Some(follower) = followers.pop()
            {
                venue.streams.disconnect(follower.client.id);
            }
        }
        venue.command(2_000 * MS, &[]);
        followers.iter_mut().for_each(|follower| follower.read(&snapshots));
        for follower in &followers {
            assert_eq!(follower.update, last_update(&venue), "seed {seed}");
        }
    }
}

#[test]
fn whoever_joins_in_an_interval_can_begin_from_a_snapshot_of_it() {
    let mut venue = Venue::new();
    let early = venue.socket(&["btcusdt@depth@100ms"]);
    let first = venue.book(1, Side::Buy, 5, 1);
    venue.at(10, &[first]);
    let late = venue.socket(&["btcusdt@depth@100ms"]);
    let at_joining = last_update(&venue);
    let second = venue.book(1, Side::Buy, 6, 1);
    venue.at(20, &[second]);
    venue.at(130, &[]);
    let told = late.one();
    assert_eq!(told, early.one());
    assert!(told["U"].as_u64().unwrap() <= at_joining + 1);
    assert_eq!(told["u"], 2);
}

#[test]
fn differences_are_sent_at_the_boundary_and_only_if_there_are_some() {
    let mut venue = Venue::new();
    let (fast, slow) = (venue.socket(&["btcusdt@depth@100ms"]), venue.socket(&["btcusdt@depth"]));
    let events = [venue.book(1, Side::Buy, 5, 1), venue.book(1, Side::Sell, 7, 2)];
    venue.at(40, &events);
    venue.at(99, &[]);
    fast.nothing();
    venue.at(100, &[]);
    assert_eq!(
        fast.texts()[0].as_str(),
        "{\"e\":\"depthUpdate\",\"E\":1700000000100,\"s\":\"BTCUSDT\",\"U\":1,\"u\":2,\
         \"b\":[[\"5.00000000\",\"1.00000000\"]],\"a\":[[\"7.00000000\",\"2.00000000\"]]}"
    );
    // A change in the command that passes a boundary belongs to the next interval.
    let change = venue.book(1, Side::Buy, 5, 0);
    venue.at(1_000, &[change]);
    fast.nothing();
    let told = slow.one();
    assert_eq!((&told["E"], &told["u"]), (&1_700_000_001_000u64.into(), &2.into()));
    venue.at(5_550, &[]);
    let told = fast.one();
    assert_eq!((&told["E"], &told["U"]), (&1_700_000_001_100u64.into(), &3.into()));
    assert_eq!(told["b"][0][1], "0.00000000");
    assert_eq!(slow.one()["E"], 1_700_000_002_000u64);
}

#[test]
fn a_partial_book_is_sent_after_subscribing_and_when_it_changed() {
    let mut venue = Venue::new();
    let events: Vec<Event> = (1..9).map(|price| venue.book(1, Side::Buy, price, 1)).collect();
    venue.at(10, &events);
    let client = venue.socket(&["btcusdt@depth5@100ms"]);
    venue.at(100, &[]);
    let told = client.one();
    assert_eq!((&told["lastUpdateId"], &told["asks"]), (&8.into(), &Value::Array(Vec::new())));
    assert_eq!(told["bids"].as_array().unwrap().len(), 5);
    assert_eq!(told["bids"][0][0], "8.00000000");
    venue.at(300, &[]);
    client.nothing();
    // Somebody who joins sees it too; what shows a state may come twice.
    let second = venue.socket(&["btcusdt@depth5@100ms"]);
    venue.at(400, &[]);
    assert_eq!(second.one(), told);
    assert_eq!(client.one(), told);
    let change = venue.book(1, Side::Buy, 8, 0);
    venue.at(450, &[change]);
    venue.at(500, &[]);
    assert_eq!(client.one()["lastUpdateId"], 9);
}
