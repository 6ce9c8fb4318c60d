//! Damage to a file as an input states it: few bytes say where and what, so that a mutated input
//! is another small damage and not other noise.

use crate::draw::Draw;
use crate::mutate::BOUNDARIES;

/// Changes `content` in one place, keeping its length.
pub fn damage_in_place(content: &mut [u8], draw: &mut Draw<'_>) {
    let at = place(draw, content.len());
    match draw.below(6) {
        0 => change(content, at, |byte| *byte ^= 1 << draw.below(8)),
        1 => change(content, at, |byte| *byte = draw.byte()),
        2 => {
            let length = usize::from(draw.byte());
            let end = content.len().min(at + length);
            content[at.min(end)..end].fill(0);
        }
        3 => {
            let value = draw.extreme();
            let at = at - at % 8;
            write(content, at, &value.to_le_bytes());
        }
        4 => {
            let value = draw.pick(BOUNDARIES) as u32;
            let at = at - at % 4;
            write(content, at, &value.to_le_bytes());
        }
        // A part of the file in another place: old frames that come back.
        _ => {
            let from = place(draw, content.len()) / 16 * 16;
            let length = 16 * usize::from(draw.byte());
            let part = content[from..content.len().min(from + length)].to_vec();
            write(content, at - at % 16, &part);
        }
    }
}

/// Changes `content` in one place, or its length.
pub fn damage(content: &mut Vec<u8>, draw: &mut Draw<'_>) {
    match draw.below(8) {
        0 => content.truncate(place(draw, content.len())),
        1 => content.extend(std::iter::repeat_n(draw.byte(), draw.byte().into())),
        _ => damage_in_place(content, draw),
    }
}

fn place(draw: &mut Draw<'_>, length: usize) -> usize {
    let at = usize::from(u16::from_le_bytes([draw.byte(), draw.byte()]));
    at % length.max(1)
}

fn change(content: &mut [u8], at: usize, change: impl FnOnce(&mut u8)) {
    if let Some(byte) = content.get_mut(at) {
        change(byte);
    }
}

fn write(content: &mut [u8], at: usize, bytes: &[u8]) {
    let end = content.len().min(at + bytes.len());
    if at < end {
        content[at..end].copy_from_slice(&bytes[..end - at]);
    }
}
