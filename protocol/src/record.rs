//! Records: how a command or an event becomes bytes.
//!
//! ```text
//!   0       2         4         8                              padded to 16
//!   | kind  | version | length  | archive of exactly `length` bytes | 0…  |
//! ```
//! Little endian. Each kind has its own fixed-size archive with text inline; `length` counts the
//! archive alone. Archives are rkyv's, unaligned and without padding inside. rkyv's own check does
//! not see swapped or flipped values: the frame's checksum and the segment's schema hash do that.

use crate::plain::{Archivable, Plain};
use alloc::vec::Vec;
use core::fmt;
use rkyv::api::low::{LowDeserializer, LowValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::{Archive, Archived, Deserialize};

/// Bytes before the archive.
pub const RECORD_HEADER_LENGTH: usize = 8;

/// Every record begins at a multiple of this in its frame.
pub const RECORD_ALIGNMENT: usize = 16;

/// The largest record of any kind, for buffers on the stack.
pub const RECORD_LENGTH_MAX: usize = 2048;

/// A fixed shape: its hash changes whenever a field's name, type or place changes.
pub trait Schema {
    const SCHEMA: u64;
}

/// FNV-1a of a name, at compile time.
pub const fn name_hash(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// Adds one part to a schema hash; the order of parts matters.
pub const fn mix(hash: u64, part: u64) -> u64 {
    (hash.rotate_left(5) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Gives a newtype its [`Schema`], and its bytes: `schema!(Price: u64)`.
macro_rules! schema {
    ($name:ident: $inner:ty) => {
        impl crate::plain::Plain for $name {
            #[inline(always)]
            fn put(&self, out: &mut [u8]) {
                self.0.put(out);
            }
        }

        impl crate::record::Schema for $name {
            const SCHEMA: u64 = crate::record::mix(
                crate::record::name_hash(stringify!($name)),
                crate::record::name_hash(stringify!($inner)),
            );
        }
    };
}

macro_rules! primitive_schema {
    ($($name:ident)*) => { $(impl Schema for $name { const SCHEMA: u64 = name_hash(stringify!($name)); })* };
}
primitive_schema!(bool u8 u16 u32 u64 u128 i64 i128);

impl<T: Schema, const N: usize> Schema for [T; N] {
    const SCHEMA: u64 = mix(mix(name_hash("array"), N as u64), T::SCHEMA);
}

/// Declares a struct that lies inside records: plain data, fixed layout, schema hash.
#[macro_export]
macro_rules! part {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ::rkyv::Archive, ::rkyv::Serialize, ::rkyv::Deserialize)]
        #[rkyv(attr(repr(C)))]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::record::Schema for $name {
            const SCHEMA: u64 = {
                let mut hash = $crate::record::name_hash(stringify!($name));
                $(
                    hash = $crate::record::mix(hash, $crate::record::name_hash(stringify!($field)));
                    hash = $crate::record::mix(hash, <$type as $crate::record::Schema>::SCHEMA);
                )*
                hash
            };
        }

        impl $crate::plain::Plain for $name {
            #[inline]
            #[allow(clippy::needless_borrow, unused_imports, reason = "the field's type decides")]
            fn put(&self, out: &mut [u8]) {
                use $crate::plain::{Field, PutArchive as _, PutPlain as _};
                $(
                    let (field, out) = out.split_at_mut(size_of::<::rkyv::Archived<$type>>());
                    (&Field(&self.$field)).put(field);
                )*
                let _ = out;
            }
        }
    };
}

/// Declares a record kind: `record! { 0x0110, length 88, /// … pub struct NewOrder { … } }`.
///
/// `length` is the archive's, asserted at compile time: a released kind never changes it.
#[macro_export]
macro_rules! record {
    ($kind:literal, length $length:literal, $(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        $crate::part! { $(#[$meta])* pub struct $name { $($body)* } }

        impl $crate::record::Record for $name {
            const KIND: u16 = $kind;
            const VERSION: u16 = 1;
            const LENGTH: usize = $length;
        }

        const _: () = assert!(size_of::<::rkyv::Archived<$name>>() == $length, "length of the archive");
        const _: () = assert!(align_of::<::rkyv::Archived<$name>>() == 1, "archives are unaligned");
        const _: () = assert!($crate::record::encoded_length::<$name>() <= $crate::record::RECORD_LENGTH_MAX);
    };
}

/// One kind of record.
pub trait Record:
    Schema
    + Plain
    + Archivable
    + Sized
    + Archive<
        Archived: for<'a> CheckBytes<LowValidator<'a, Failure>>
                      + Deserialize<Self, LowDeserializer<Failure>>,
    >
{
    /// Number of the kind: commands from 0x0100, events from 0x0200, state from 0x0300,
    /// feeds from 0x0400.
    const KIND: u16;
    const VERSION: u16;
    /// Bytes of the archive.
    const LENGTH: usize;
}

/// Bytes of a whole record, padding included.
pub const fn encoded_length<R: Record>() -> usize {
    (RECORD_HEADER_LENGTH + R::LENGTH).next_multiple_of(RECORD_ALIGNMENT)
}

/// Writes the record to the beginning of `out` and returns how many bytes it took.
///
/// # Panics
/// When `out` is shorter than [`encoded_length`]: the caller's book-keeping is wrong.
#[inline]
pub fn encode_into<R: Record>(record: &R, out: &mut [u8]) -> usize {
    let total = encoded_length::<R>();
    let out = &mut out[..total];
    let (header, rest) = out.split_at_mut(RECORD_HEADER_LENGTH);
    let (archive, padding) = rest.split_at_mut(R::LENGTH);
    header.copy_from_slice(&header_of::<R>());
    record.put(archive);
    padding.fill(0);
    total
}

const fn header_of<R: Record>() -> [u8; RECORD_HEADER_LENGTH] {
    let header = (R::KIND as u64) | (R::VERSION as u64) << 16 | (R::LENGTH as u32 as u64) << 32;
    header.to_le_bytes()
}

/// Appends the record to `out`.
#[inline]
pub fn encode<R: Record>(record: &R, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded_length::<R>(), 0);
    encode_into(record, &mut out[start..]);
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// Fewer bytes than the header or its length promise.
    Truncated { offset: usize },
    /// This build knows no such kind and version.
    UnknownKind { offset: usize, kind: u16, version: u16 },
    /// The length is not the kind's, a value is out of its range, or padding is not zero.
    Invalid { offset: usize, kind: u16 },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Truncated { offset } => write!(f, "record cut short at byte {offset}"),
            RecordError::UnknownKind { offset, kind, version } => {
                write!(f, "unknown record kind {kind:#06x} version {version} at byte {offset}")
            }
            RecordError::Invalid { offset, kind } => {
                write!(f, "record of kind {kind:#06x} at byte {offset} has an invalid value")
            }
        }
    }
}

impl core::error::Error for RecordError {}

/// One record in a byte string, its framing checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    pub kind: u16,
    pub version: u16,
    /// Where the record begins in the byte string, for error messages.
    pub offset: usize,
    /// Header, archive and padding.
    pub bytes: &'a [u8],
    archive: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Reads the record that begins `bytes`; `offset` is reported in errors.
    pub fn read(bytes: &'a [u8], offset: usize) -> Result<RecordView<'a>, RecordError> {
        let truncated = RecordError::Truncated { offset };
        let (header, _) = bytes.split_first_chunk::<RECORD_HEADER_LENGTH>().ok_or(truncated)?;
        let [k0, k1, v0, v1, l0, l1, l2, l3] = *header;
        let kind = u16::from_le_bytes([k0, k1]);
        let version = u16::from_le_bytes([v0, v1]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let end = RECORD_HEADER_LENGTH.checked_add(length).ok_or(truncated)?;
        let total = end.checked_next_multiple_of(RECORD_ALIGNMENT).ok_or(truncated)?;
        let whole = bytes.get(..total).ok_or(truncated)?;
        let archive = whole.get(RECORD_HEADER_LENGTH..end).ok_or(truncated)?;
        if whole.iter().skip(end).any(|&byte| byte != 0) {
            return Err(RecordError::Invalid { offset, kind });
        }
        Ok(RecordView { kind, version, offset, bytes: whole, archive })
    }

    /// Is this a record of `R`?
    pub fn is<R: Record>(&self) -> bool {
        self.kind == R::KIND && self.version == R::VERSION
    }

    /// The record's values, checked.
    pub fn decode<R: Record>(&self) -> Result<R, RecordError> {
        let invalid = RecordError::Invalid { offset: self.offset, kind: self.kind };
        if !self.is::<R>() {
            return Err(self.unknown());
        }
        if self.archive.len() != R::LENGTH {
            return Err(invalid);
        }
        let archived =
            rkyv::api::low::access::<Archived<R>, Failure>(self.archive).map_err(|_| invalid)?;
        rkyv::api::low::deserialize::<R, Failure>(archived).map_err(|_| invalid)
    }

    pub fn unknown(&self) -> RecordError {
        let RecordView { kind, version, offset, .. } = *self;
        RecordError::UnknownKind { offset, kind, version }
    }
}

/// The records of a frame's payload, one after the other. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Records<'a> {
    pub fn new(payload: &'a [u8]) -> Records<'a> {
        Records { bytes: payload, offset: 0 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let view = RecordView::read(rest, self.offset);
        self.offset = match &view {
            Ok(view) => self.offset + view.bytes.len(),
            Err(_) => self.bytes.len(),
        };
        Some(view)
    }
}

/// Declares the sum of several kinds with `decode`, `encode`, `kind` and `From`.
macro_rules! record_sum {
    ($(#[$meta:meta])* pub enum $sum:ident: $trait:ident, schemas $schemas:ident { $($name:ident $(in $boxed:ident)?,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $sum { $($name(record_sum!(@type $name $($boxed)?)),)* }

        /// A record kind that is one of the variants.
        pub trait $trait: crate::record::Record + Clone + Into<$sum> {}
        $(impl $trait for $name {})*
        $(impl From<$name> for $sum {
            fn from(record: $name) -> $sum { $sum::$name(record_sum!(@wrap record $($boxed)?)) }
        })*

        impl $sum {
            /// The record's values as the variant of its kind.
            pub fn decode(view: &crate::record::RecordView<'_>) -> Result<$sum, crate::record::RecordError> {
                match view.kind {
                    $(<$name as crate::record::Record>::KIND => Ok(view.decode::<$name>()?.into()),)*
                    _ => Err(view.unknown()),
                }
            }

            /// Appends the record's bytes to `out`.
            pub fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
                match self { $($sum::$name(record) => crate::record::encode::<$name>(record, out),)* }
            }

            /// Number of the record's kind.
            pub const fn kind(&self) -> u16 {
                match self { $($sum::$name(_) => <$name as crate::record::Record>::KIND,)* }
            }

            /// Every kind: number, name, bytes of the archive.
            pub const KINDS: &[(u16, &str, usize)] = &[
                $((<$name as crate::record::Record>::KIND, stringify!($name), <$name as crate::record::Record>::LENGTH),)*
            ];

            /// Name of a kind, for stories and errors.
            pub fn kind_name(kind: u16) -> Option<&'static str> {
                match kind { $(<$name as crate::record::Record>::KIND => Some(stringify!($name)),)* _ => None }
            }
        }

        /// Hash over the shapes of all kinds; stands in every segment's header.
        pub const $schemas: u64 = {
            let mut hash = crate::record::name_hash(stringify!($sum));
            $(
                hash = crate::record::mix(hash, <$name as crate::record::Record>::KIND as u64);
                hash = crate::record::mix(hash, <$name as crate::record::Schema>::SCHEMA);
            )*
            hash
        };
    };
    (@type $name:ident) => { $name };
    (@type $name:ident $boxed:ident) => { alloc::boxed::Box<$name> };
    (@wrap $record:ident) => { $record };
    (@wrap $record:ident $boxed:ident) => { alloc::boxed::Box::new($record) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::*;
    use crate::event::{Event, Trade};
    use crate::feed::FeedEvent;
    use crate::ids::*;
    use crate::number::{Amount, Price, Quantity};
    use crate::text::Text;
    use crate::words::*;

    fn order() -> NewOrder {
        NewOrder {
            envelope: Envelope {
                origin: Origin { node: 1, slot: 2, incarnation: 3, number: 4 },
                session: 5,
                request: 6,
                deadline: Stamp(7),
            },
            request: OrderRequest {
                account: AccountId(8),
                instrument: InstrumentId(9),
                side: Side::Sell,
                kind: OrderKind::StopLossLimit,
                time_in_force: TimeInForce::Ioc,
                stp_mode: StpMode::Decrement,
                quantity_unit: QuantityUnit::Base,
                price: Price(10),
                quantity: Quantity(11),
                stop_price: Price(12),
                client_order_id: Text::new("x-TKT5PX2F").unwrap(),
                strategy_id: -13,
                strategy_type: 14,
            },
            dry_run: true,
        }
    }

    fn encoded() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&order(), &mut bytes);
        bytes
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let bytes = encoded();
        assert_eq!(bytes.len(), 128);
        let view = RecordView::read(&bytes, 0).unwrap();
        assert_eq!(view.decode::<NewOrder>(), Ok(order()));
        assert_eq!(Command::decode(&view), Ok(Command::NewOrder(order())));
    }

    /// Released bytes never change: this is the picture of docs/format.md, byte by byte.
    #[test]
    fn the_bytes_of_a_trade_are_little_endian_and_without_gaps() {
        let trade = Trade {
            instrument: InstrumentId(0x0403_0201),
            trade: TradeId(5),
            aggregate: AggregateTradeId(6),
            price: Price(7),
            quantity: Quantity(8),
            quote: Amount(-2),
            maker_order: OrderId(9),
            taker_order: OrderId(10),
            taker_side: Side::Sell,
        };
        let mut bytes = Vec::new();
        encode(&trade, &mut bytes);
        let mut expected: Vec<u8> = [0x36, 2, 1, 0, 69, 0, 0, 0, 1, 2, 3, 4].into();
        for id in [5u64, 6, 7, 8] {
            expected.extend(id.to_le_bytes());
        }
        expected.extend((-2i128).to_le_bytes());
        expected.extend(9u64.to_le_bytes());
        expected.extend(10u64.to_le_bytes());
        expected.push(1);
        expected.resize(80, 0);
        assert_eq!(bytes, expected);
    }

    /// Each byte of each kind in turn, written by hand, read by rkyv, written by us.
    #[test]
    fn every_field_is_written_where_rkyv_reads_it() {
        type Again = fn(&RecordView<'_>) -> Result<Vec<u8>, RecordError>;
        fn again<T>(decoded: T, encode: fn(&T, &mut Vec<u8>)) -> Vec<u8> {
            let mut bytes = Vec::new();
            encode(&decoded, &mut bytes);
            bytes
        }
        let sums: [(_, Again); 3] = [
            (Command::KINDS, |view| Command::decode(view).map(|it| again(it, Command::encode))),
            (Event::KINDS, |view| Event::decode(view).map(|it| again(it, Event::encode))),
            (FeedEvent::KINDS, |it| FeedEvent::decode(it).map(|it| again(it, FeedEvent::encode))),
        ];
        for (kinds, again) in sums {
            for &(kind, name, length) in kinds {
                let total = (RECORD_HEADER_LENGTH + length).next_multiple_of(RECORD_ALIGNMENT);
                let mut zeros = alloc::vec![0; total];
                zeros[..2].copy_from_slice(&kind.to_le_bytes());
                zeros[2] = 1;
                zeros[4..8].copy_from_slice(&(length as u32).to_le_bytes());
                let mut read = 0;
                for (at, value) in (8..8 + length).flat_map(|at| [(at, 0), (at, 1), (at, 0xa5)]) {
                    let mut bytes = zeros.clone();
                    bytes[at] = value;
                    let view = RecordView::read(&bytes, 0).unwrap();
                    if let Ok(written) = again(&view) {
                        assert_eq!(written, bytes, "{name}, byte {at}");
                        read += 1;
                    }
                }
                assert!(read > length, "{name}: {read} of {length} bytes");
            }
        }
    }

    /// Without its own [`Plain`], a field is written by rkyv.
    #[test]
    fn a_field_that_has_no_writer_of_its_own_is_archived() {
        use crate::plain::{Field, PutArchive as _, PutPlain as _};
        #[derive(rkyv::Archive, rkyv::Serialize)]
        struct Foreign(u32);
        let (mut plain, mut archived) = ([0; 4], [0; 4]);
        Field(&0x0403_0201_u32).put(&mut plain);
        (&Field(&Foreign(0x0403_0201))).put(&mut archived);
        assert_eq!((plain, archived), ([1, 2, 3, 4], [1, 2, 3, 4]));
    }

    #[test]
    fn records_cut_short_or_out_of_range_are_refused() {
        let bytes = encoded();
        for length in 0..bytes.len() {
            let error = RecordView::read(&bytes[..length], 3).unwrap_err();
            assert_eq!(error, RecordError::Truncated { offset: 3 });
        }
        let side_at = RECORD_HEADER_LENGTH + 30 + 8;
        let text_length_at = RECORD_HEADER_LENGTH + 30 + 37 + 36;
        for (at, value) in [(side_at, 2), (text_length_at, 37), (127, 1)] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            let decoded = RecordView::read(&bytes, 0).and_then(|view| Command::decode(&view));
            let invalid = RecordError::Invalid { offset: 0, kind: NewOrder::KIND };
            assert_eq!(decoded, Err(invalid), "byte {at}");
        }
        let mut unknown = bytes;
        unknown[2] = 9;
        let decoded = RecordView::read(&unknown, 0).and_then(|view| Event::decode(&view));
        let expected = RecordError::UnknownKind { offset: 0, kind: NewOrder::KIND, version: 9 };
        assert_eq!(decoded, Err(expected));
    }

    #[test]
    fn records_follow_each_other_and_end_at_the_first_error() {
        let mut bytes = encoded();
        Command::Tick(Tick { envelope: Envelope::INTERNAL }).encode(&mut bytes);
        let kinds: Vec<_> = Records::new(&bytes).map(|view| view.map(|view| view.kind)).collect();
        assert_eq!(kinds, [Ok(NewOrder::KIND), Ok(Tick::KIND)]);
        let kinds: Vec<_> = Records::new(&bytes[..bytes.len() - 1]).collect();
        assert_eq!(kinds.len(), 2);
        assert!(kinds[1].is_err());
    }
}
