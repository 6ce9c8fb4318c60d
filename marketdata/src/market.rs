//! All instruments and their views.

use crate::History;
use crate::auction::Auction;
use crate::candles::Candles;
use crate::depth::Depth;
use crate::reference::{Bucket, Reference};
use crate::ticker::{self, AveragePrice, Ticker};
use crate::trades::{TradeRow, Trades};
use protocol::event::{AssetDefined, InstrumentDefined, Trade};
use protocol::instrument::AssetName;
use protocol::{AssetId, Event, InstrumentDefinition, InstrumentId, Price, Stamp};
use std::collections::HashMap;

/// What is publicly known of all instruments.
///
/// **Invariants:** an id's place in its list is the id less 1; `by_symbol` names every instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Market {
    history: History,
    assets: Vec<AssetName>,
    asset_ids: HashMap<String, AssetId>,
    instruments: Vec<Instrument>,
    by_symbol: HashMap<String, InstrumentId>,
}

/// What is publicly known of one instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    pub id: InstrumentId,
    pub base: AssetId,
    pub quote: AssetId,
    /// As it stands: the status is kept current.
    pub definition: InstrumentDefinition,
    pub depth: Depth,
    pub trades: Trades,
    pub candles: Candles,
    /// Trading rules, and the price that they refer to.
    pub reference: Reference,
    /// The running auction, or the last one; none before the first.
    pub auction: Option<Auction>,
}

impl Market {
    pub fn new(history: History) -> Market {
        Market {
            history,
            assets: Vec::new(),
            asset_ids: HashMap::new(),
            instruments: Vec::new(),
            by_symbol: HashMap::new(),
        }
    }

    /// Takes one event, in the order of the event log; `stamp` is its command's.
    ///
    /// What names an unknown instrument or leaves out an id is passed over.
    pub fn apply(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::BookChanged(change) => {
                if let Some(instrument) = self.instrument_mut(change.instrument) {
                    instrument.depth.apply(change);
                }
            }
            Event::Trade(trade) => {
                if let Some(instrument) = self.instrument_mut(trade.instrument) {
                    instrument.trade(trade, stamp);
                }
            }
            Event::AssetDefined(defined) => {
                self.define_asset(defined);
            }
            Event::InstrumentDefined(defined) => {
                if self.define_instrument(defined)
                    && let Some(instrument) = self.instrument_mut(defined.instrument)
                {
                    instrument.enter_status(stamp);
                }
            }
            Event::InstrumentStatusSet(set) => {
                if let Some(instrument) = self.instrument_mut(set.instrument) {
                    instrument.definition.status = set.status;
                    instrument.enter_status(stamp);
                }
            }
            Event::TradingRulesSet(set) => {
                if let Some(instrument) = self.instrument_mut(set.instrument) {
                    instrument.reference.set_rules(&set.rules);
                }
            }
            Event::IndicativeChanged(changed) => {
                if let Some(instrument) = self.instrument_mut(changed.instrument) {
                    instrument.auction = Some(Auction::indicated(changed, stamp));
                }
            }
            Event::AuctionUncrossed(uncrossed) => {
                if let Some(instrument) = self.instrument_mut(uncrossed.instrument) {
                    let before = instrument.auction.unwrap_or(Auction::begun(stamp));
                    instrument.auction = Some(before.uncrossed(uncrossed, stamp));
                    instrument.reference.uncrossed(uncrossed.price, stamp);
                }
            }
            _ => {}
        }
    }

    pub fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(place(id.0)?)
    }

    /// By its exact text.
    pub fn by_symbol(&self, symbol: &str) -> Option<&Instrument> {
        self.instrument(*self.by_symbol.get(symbol)?)
    }

    /// By rising id.
    pub fn instruments(&self) -> impl ExactSizeIterator<Item = &Instrument> {
        self.instruments.iter()
    }

    pub fn asset(&self, id: AssetId) -> Option<&AssetName> {
        self.assets.get(place(id.0)?)
    }

    /// By rising id.
    pub fn assets(&self) -> impl Iterator<Item = (AssetId, &AssetName)> {
        (1..).map(AssetId).zip(&self.assets)
    }

    /// Puts back what the reference price of an instrument is made of, where the trades before
    /// are not known. False if its buckets do not rise.
    pub fn restore_reference(
        &mut self,
        id: InstrumentId,
        buckets: impl IntoIterator<Item = Bucket>,
    ) -> bool {
        let Some(instrument) = self.instrument_mut(id) else { return false };
        buckets.into_iter().all(|bucket| instrument.reference.restore(bucket))
    }

    pub(crate) fn instrument_mut(&mut self, id: InstrumentId) -> Option<&mut Instrument> {
        self.instruments.get_mut(place(id.0)?)
    }

    /// False if ids were left out, and nothing is changed.
    pub(crate) fn define_asset(&mut self, defined: &AssetDefined) -> bool {
        let Some(place) = place(defined.asset.0).filter(|place| *place <= self.assets.len()) else {
            return false;
        };
        match self.assets.get_mut(place) {
            Some(name) => {
                self.asset_ids.remove(name.as_str());
                *name = defined.name;
            }
            None => self.assets.push(defined.name),
        }
        self.asset_ids.insert(defined.name.as_str().to_owned(), defined.asset);
        true
    }

    /// False if ids were left out, and nothing is changed.
    pub(crate) fn define_instrument(&mut self, defined: &InstrumentDefined) -> bool {
        let place = place(defined.instrument.0).filter(|place| *place <= self.instruments.len());
        let Some(place) = place else {
            return false;
        };
        match self.instruments.get_mut(place) {
            Some(instrument) => {
                self.by_symbol.remove(instrument.definition.symbol.as_str());
                instrument.definition = defined.definition;
            }
            None => self.instruments.push(Instrument::new(defined, &self.history)),
        }
        let symbol = defined.definition.symbol.as_str().to_owned();
        self.by_symbol.insert(symbol, defined.instrument);
        true
    }
}

impl Instrument {
    fn new(defined: &InstrumentDefined, history: &History) -> Instrument {
        Instrument {
            id: defined.instrument,
            base: defined.base,
            quote: defined.quote,
            definition: defined.definition,
            depth: Depth::default(),
            trades: Trades::new(history.trades, history.aggregate_trades),
            candles: Candles::new(history.candles),
            reference: Reference::default(),
            auction: None,
        }
    }

    pub fn symbol(&self) -> &str {
        self.definition.symbol.as_str()
    }

    pub fn last_trade(&self) -> Option<&TradeRow> {
        self.trades.last()
    }

    /// Price of the newest trade.
    pub fn last_price(&self) -> Option<Price> {
        self.trades.last().map(|last| last.price)
    }

    /// Statistics of the last `window_ns` nanoseconds (at most
    /// [`WINDOW_MAX_NS`](crate::WINDOW_MAX_NS)); the window begins on the minute before, as that of
    /// `GET ticker` does. A `now` before the newest trade counts as that trade's stamp.
    pub fn rolling(&self, window_ns: u64, now: Stamp) -> Ticker {
        ticker::rolling(&self.candles, self.trades.last(), window_ns, now)
    }

    /// Statistics of the day that holds `now`, in the time zone so many minutes east of UTC. The
    /// close stamp is the day's last nanosecond.
    pub fn trading_day(&self, now: Stamp, offset_minutes: i32) -> Ticker {
        ticker::trading_day(&self.candles, self.trades.last(), now, offset_minutes)
    }

    /// The average that the filters use; minutes are the first stating filter's, else 5.
    pub fn average_price(&self, now: Stamp) -> AveragePrice {
        ticker::average_price(&self.definition, &self.candles, self.trades.last(), now)
    }

    /// The reference price as of `now`, if there is one.
    pub fn reference_price(&self, now: Stamp) -> Option<Price> {
        self.reference.price(now.max(self.candles.latest()))
    }

    /// Orders are collected from the beginning of an auction to its uncross, whatever status comes
    /// between.
    fn enter_status(&mut self, stamp: Stamp) {
        let is_collecting = self.auction.is_some_and(|auction| auction.is_collecting);
        if self.definition.status.is_auction() && !is_collecting {
            self.auction = Some(Auction::begun(stamp));
        }
    }

    fn trade(&mut self, trade: &Trade, stamp: Stamp) {
        let stamp = stamp.max(self.candles.latest());
        self.reference.traded(trade.aggregate, trade.price, stamp);
        self.trades.apply(trade, stamp);
        if let Some(row) = self.trades.last() {
            self.candles.apply(row);
        }
    }
}

/// Place of an id that counts from 1.
fn place(id: u32) -> Option<usize> {
    Some(id.checked_sub(1)? as usize)
}
