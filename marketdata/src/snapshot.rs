//! The views as bytes, so that a restart need not read the whole log.
//!
//! ```text
//!   0        4
//!   | format | records: contents, assets, instruments, each followed by its views |
//! ```
//! Little endian. Records are framed and checked as in `protocol::record`; there is no checksum:
//! whoever keeps the bytes guards them.

use crate::History;
use crate::auction::Auction;
use crate::candles::{Bar, Evicted};
use crate::interval::Interval;
use crate::market::{Instrument, Market};
use crate::reference::Bucket;
use crate::trades::{AggregateTrade, TradeRow};
use core::fmt;
use protocol::event::{AssetDefined, BookChanged, InstrumentDefined, TradingRulesSet};
use protocol::record::encode;
use protocol::{
    AggregateTradeId, InstrumentId, LevelQuantity, Price, Record, RecordError, RecordView, Records,
    Side, Stamp, UpdateId,
};

/// Version of everything behind the first four bytes.
const FORMAT: u32 = 2;

/// Stands for the unfinished second where a bar's interval stands.
const CURRENT_SECOND: u8 = u8::MAX;

record! { 0x0380, length 8,
    /// Begins the views.
    pub struct MarketContents {
        /// Records that follow.
        pub records: u64,
    }
}

record! { 0x0381, length 20,
    /// Begins one instrument's views, after its definition.
    pub struct ViewState {
        pub instrument: InstrumentId,
        pub last_update: UpdateId,
        pub latest: Stamp,
    }
}

record! { 0x0382, length 77,
    pub struct TradeState {
        pub instrument: InstrumentId,
        pub row: TradeRow,
    }
}

record! { 0x0383, length 61,
    pub struct AggregateState {
        pub instrument: InstrumentId,
        pub row: AggregateTrade,
    }
}

record! { 0x0384, length 133,
    pub struct BarState {
        pub instrument: InstrumentId,
        /// Number of the interval, or 255 for the unfinished second.
        pub interval: u8,
        pub bar: Bar,
    }
}

record! { 0x0385, length 21,
    /// The newest bar that was dropped from an interval.
    pub struct EvictedState {
        pub instrument: InstrumentId,
        pub interval: u8,
        pub open_stamp: Stamp,
        pub close: Price,
    }
}

record! { 0x0386, length 36,
    /// Trades that the reference price counts, after the instrument's rules.
    pub struct BucketState {
        pub instrument: InstrumentId,
        pub bucket: Bucket,
    }
}

record! { 0x0387, length 12,
    /// The trades of the last uncross.
    pub struct PrintState {
        pub instrument: InstrumentId,
        pub aggregate: AggregateTradeId,
    }
}

record! { 0x0388, length 62,
    pub struct AuctionState {
        pub instrument: InstrumentId,
        pub auction: Auction,
    }
}

/// Why bytes are not views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadError {
    /// Another format, or fewer than four bytes.
    UnknownFormat { format: Option<u32> },
    /// Offsets count from the fifth byte.
    Record(RecordError),
    /// The record at this byte, from the fifth, contradicts those before it.
    Inconsistent { offset: usize },
    /// Records are missing, or there are more than stated.
    Incomplete,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::UnknownFormat { format: Some(format) } => {
                write!(f, "market views: format {format}; this build reads {FORMAT}")
            }
            LoadError::UnknownFormat { format: None } => f.write_str("market views: no format"),
            LoadError::Record(error) => write!(f, "market views: {error}"),
            LoadError::Inconsistent { offset } => {
                write!(f, "market views: the record at byte {offset} contradicts those before it")
            }
            LoadError::Incomplete => f.write_str("market views: records missing or left over"),
        }
    }
}

impl core::error::Error for LoadError {}

impl From<RecordError> for LoadError {
    fn from(error: RecordError) -> LoadError {
        LoadError::Record(error)
    }
}

impl Market {
    /// All views as bytes; [`Market::load`] reads them.
    pub fn save(&self) -> Vec<u8> {
        let mut writer = Writer { bytes: Vec::new(), records: 0 };
        for (asset, name) in self.assets() {
            writer.write(&AssetDefined { asset, name: *name });
        }
        for instrument in self.instruments() {
            writer.instrument(instrument);
        }
        let mut bytes = FORMAT.to_le_bytes().to_vec();
        encode(&MarketContents { records: writer.records }, &mut bytes);
        bytes.append(&mut writer.bytes);
        bytes
    }

    /// Reads what [`Market::save`] wrote. A shorter history keeps the newest.
    pub fn load(bytes: &[u8], history: History) -> Result<Market, LoadError> {
        let Some((format, payload)) = bytes.split_first_chunk::<4>() else {
            return Err(LoadError::UnknownFormat { format: None });
        };
        match u32::from_le_bytes(*format) {
            FORMAT => {}
            format => return Err(LoadError::UnknownFormat { format: Some(format) }),
        }
        let mut records = Records::new(payload);
        let first = records.next().ok_or(LoadError::Incomplete)??;
        let contents = first.decode::<MarketContents>()?;
        let mut market = Market::new(history);
        let mut count = 0;
        for record in records {
            restore(&mut market, &record?)?;
            count += 1;
        }
        match count == contents.records {
            true => Ok(market),
            false => Err(LoadError::Incomplete),
        }
    }
}

struct Writer {
    bytes: Vec<u8>,
    records: u64,
}

impl Writer {
    fn write<R: Record>(&mut self, record: &R) {
        encode(record, &mut self.bytes);
        self.records += 1;
    }

    fn instrument(&mut self, instrument: &Instrument) {
        let Instrument { id, base, quote, definition, .. } = *instrument;
        self.write(&InstrumentDefined { instrument: id, base, quote, definition });
        for side in [Side::Buy, Side::Sell] {
            self.levels(instrument, side);
        }
        for row in instrument.trades.recent(usize::MAX) {
            self.write(&TradeState { instrument: id, row: *row });
        }
        for row in instrument.trades.recent_aggregates(usize::MAX) {
            self.write(&AggregateState { instrument: id, row: *row });
        }
        self.reference(instrument);
        if let Some(auction) = instrument.auction {
            self.write(&AuctionState { instrument: id, auction });
        }
        self.bars(instrument);
        let last_update = instrument.depth.last_update();
        let latest = instrument.candles.latest();
        self.write(&ViewState { instrument: id, last_update, latest });
        if let Some(bar) = instrument.candles.current_second() {
            self.write(&BarState { instrument: id, interval: CURRENT_SECOND, bar });
        }
    }

    /// Every level with the last update, which is what the depth stands at.
    fn levels(&mut self, instrument: &Instrument, side: Side) {
        for level in instrument.depth.levels(side) {
            self.write(&BookChanged {
                instrument: instrument.id,
                update: instrument.depth.last_update(),
                side,
                price: level.price,
                quantity: LevelQuantity::new(level.quantity),
                orders: level.orders,
            });
        }
    }

    fn reference(&mut self, instrument: &Instrument) {
        let (id, reference) = (instrument.id, &instrument.reference);
        self.write(&TradingRulesSet { instrument: id, rules: *reference.rules() });
        for bucket in reference.buckets() {
            self.write(&BucketState { instrument: id, bucket: *bucket });
        }
        self.write(&PrintState { instrument: id, aggregate: reference.print() });
    }

    fn bars(&mut self, instrument: &Instrument) {
        for (interval, ring) in Interval::ALL.iter().zip(instrument.candles.rings()) {
            let (instrument, interval) = (instrument.id, *interval as u8);
            if let Some(Evicted { open_stamp, close }) = ring.evicted() {
                self.write(&EvictedState { instrument, interval, open_stamp, close });
            }
            for bar in ring.bars() {
                self.write(&BarState { instrument, interval, bar: *bar });
            }
        }
    }
}

/// Puts one record where it belongs.
fn restore(market: &mut Market, view: &RecordView<'_>) -> Result<(), LoadError> {
    let fits = match view.kind {
        AssetDefined::KIND => market.define_asset(&view.decode()?),
        InstrumentDefined::KIND => market.define_instrument(&view.decode()?),
        BookChanged::KIND => {
            let change: BookChanged = view.decode()?;
            let instrument = market.instrument_mut(change.instrument);
            instrument.map(|instrument| instrument.depth.apply(&change)).is_some()
        }
        TradingRulesSet::KIND => {
            let set: TradingRulesSet = view.decode()?;
            let instrument = market.instrument_mut(set.instrument);
            instrument.map(|instrument| instrument.reference.set_rules(&set.rules)).is_some()
        }
        BucketState::KIND => {
            let state: BucketState = view.decode()?;
            market.restore_reference(state.instrument, [state.bucket])
        }
        PrintState::KIND => {
            let state: PrintState = view.decode()?;
            let instrument = market.instrument_mut(state.instrument);
            instrument.map(|it| it.reference.restore_print(state.aggregate)).is_some()
        }
        AuctionState::KIND => {
            let state: AuctionState = view.decode()?;
            let instrument = market.instrument_mut(state.instrument);
            instrument.map(|instrument| instrument.auction = Some(state.auction)).is_some()
        }
        TradeState::KIND => restore_trade(market, &view.decode()?),
        AggregateState::KIND => restore_aggregate(market, &view.decode()?),
        BarState::KIND => restore_bar(market, &view.decode()?),
        EvictedState::KIND => restore_evicted(market, &view.decode()?),
        ViewState::KIND => restore_view(market, &view.decode()?),
        _ => return Err(view.unknown().into()),
    };
    match fits {
        true => Ok(()),
        false => Err(LoadError::Inconsistent { offset: view.offset }),
    }
}

fn restore_trade(market: &mut Market, state: &TradeState) -> bool {
    let Some(instrument) = market.instrument_mut(state.instrument) else {
        return false;
    };
    let last = instrument.trades.last();
    let rises = last.is_none_or(|last| last.id < state.row.id && last.stamp <= state.row.stamp);
    if rises {
        instrument.trades.push(state.row);
    }
    rises
}

fn restore_aggregate(market: &mut Market, state: &AggregateState) -> bool {
    let Some(instrument) = market.instrument_mut(state.instrument) else {
        return false;
    };
    let last = instrument.trades.last_aggregate();
    let rises = last.is_none_or(|last| last.id < state.row.id && last.stamp <= state.row.stamp);
    if rises {
        instrument.trades.push_aggregate(state.row);
    }
    rises
}

fn restore_bar(market: &mut Market, state: &BarState) -> bool {
    let Some(instrument) = market.instrument_mut(state.instrument) else {
        return false;
    };
    let candles = &mut instrument.candles;
    match state.interval {
        CURRENT_SECOND => {
            let fits = state.bar.open_stamp <= candles.latest();
            candles.restore(candles.latest(), Some(state.bar));
            fits
        }
        interval => candles.restore_bar(interval, state.bar),
    }
}

fn restore_evicted(market: &mut Market, state: &EvictedState) -> bool {
    let Some(instrument) = market.instrument_mut(state.instrument) else {
        return false;
    };
    let evicted = Evicted { open_stamp: state.open_stamp, close: state.close };
    instrument.candles.restore_evicted(state.interval, evicted)
}

fn restore_view(market: &mut Market, state: &ViewState) -> bool {
    let Some(instrument) = market.instrument_mut(state.instrument) else {
        return false;
    };
    instrument.candles.restore(state.latest, None);
    instrument.depth.restore(state.last_update);
    true
}
