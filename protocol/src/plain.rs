//! Archives written field by field.
//!
//! An archive has its fields in order, little endian, unaligned and without gaps. Said like that,
//! the compiler makes plain stores of it; rkyv's own serializer goes through a copy on the stack and
//! several calls a record. rkyv stays the reader, and tests hold the bytes of both together.

use crate::feed::FeedState;
use crate::reject::RejectReason;
use crate::words::*;
use rkyv::api::low::{LowSerializer, to_bytes_in_with_alloc};
use rkyv::rancor::Failure;
use rkyv::ser::{allocator::SubAllocator, writer::Buffer};

/// A value that writes its own archive.
pub trait Plain {
    /// Fills `out`, which is as long as the archive.
    fn put(&self, out: &mut [u8]);
}

macro_rules! plain_numbers {
    ($($name:ident)*) => { $(impl Plain for $name {
        #[inline(always)]
        fn put(&self, out: &mut [u8]) {
            out.copy_from_slice(&self.to_le_bytes());
        }
    })* };
}
plain_numbers!(u8 u16 u32 u64 u128 i64 i128);

/// Words are one byte, numbered as they are declared.
macro_rules! plain_words {
    ($($name:ident)*) => { $(impl Plain for $name {
        #[inline(always)]
        fn put(&self, out: &mut [u8]) {
            (*self as u8).put(out);
        }
    })* };
}
plain_words! {
    bool Side OrderKind TimeInForce StpMode QuantityUnit OrderStatus CloseReason InstrumentStatus
    CancelRestrictions CancelReplaceMode KeyKind TransferDirection FeeScope RateLimitKind
    RateLimitInterval CommandPart RejectReason PegPrice OrderListKind MassCancelCause FeedState
}

impl<T: Plain, const N: usize> Plain for [T; N] {
    #[inline]
    fn put(&self, out: &mut [u8]) {
        let length = out.len() / N.max(1);
        self.iter().zip(out.chunks_exact_mut(length.max(1))).for_each(|(item, out)| item.put(out));
    }
}

/// What rkyv can write into a slice, without an allocator.
pub trait Archivable:
    for<'a> rkyv::Serialize<LowSerializer<Buffer<'a>, SubAllocator<'a>, Failure>>
{
}
impl<T: for<'a> rkyv::Serialize<LowSerializer<Buffer<'a>, SubAllocator<'a>, Failure>>> Archivable
    for T
{
}

/// Fills `out`, which is as long as the archive, by rkyv's serializer.
pub fn put_archive<T: Archivable>(value: &T, out: &mut [u8]) {
    let none = SubAllocator::new(&mut []);
    let written = to_bytes_in_with_alloc::<_, _, Failure>(value, Buffer::from(out), none);
    assert!(written.is_ok(), "a fixed-size value needs no allocator and fits its archive");
}

/// A field of a part. `(&Field(&value)).put(out)` takes its type's [`Plain`] where it has one, else
/// rkyv's serializer: method look-up finds the first of the two traits below that holds.
#[derive(Debug)]
pub struct Field<'a, T>(pub &'a T);

pub trait PutPlain {
    fn put(&self, out: &mut [u8]);
}

impl<T: Plain> PutPlain for Field<'_, T> {
    #[inline(always)]
    fn put(&self, out: &mut [u8]) {
        self.0.put(out);
    }
}

pub trait PutArchive {
    fn put(&self, out: &mut [u8]);
}

impl<T: Archivable> PutArchive for &Field<'_, T> {
    fn put(&self, out: &mut [u8]) {
        put_archive(self.0, out);
    }
}
