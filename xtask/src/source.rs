//! Just enough of a reader of Rust to tell code from comments and strings, words from parts of
//! words, and tests from what ships. It never parses.

use std::ops::Range;

/// The text with the insides of comments, strings and characters turned into blanks, byte for
/// byte, so that offsets and lines stay what they were.
pub(crate) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if starts_raw_string(bytes, at) => raw_string_end(bytes, at + 1),
            b'\'' => character_end(bytes, at),
            _ => at,
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&code).into_owned()
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

/// Block comments nest.
fn comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `r"`, `r#"`, also after `b` or `c`; not the raw identifier `r#type`, nor a word that ends in r.
fn starts_raw_string(bytes: &[u8], at: usize) -> bool {
    let mut before = bytes[..at].iter().rev().copied();
    let starts_word = match before.next() {
        Some(b'b' | b'c') => !before.next().is_some_and(in_word),
        Some(byte) => !in_word(byte),
        None => true,
    };
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    starts_word && bytes.get(at + 1 + hashes) == Some(&b'"')
}

fn raw_string_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let inside = at + hashes + 1;
    let length = bytes[inside..].windows(close.len()).position(|window| window == close);
    length.map_or(bytes.len(), |length| inside + length + close.len())
}

/// The end of `'x'` or `'\n'`; a lifetime ends where it starts and stays as it is.
fn character_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at + 1..];
    match rest.first() {
        Some(b'\\') => {
            let close = rest.iter().skip(2).position(|byte| *byte == b'\'');
            close.map_or(at, |length| at + length + 4)
        }
        Some(_) => {
            // The character's other bytes: 0b10xx_xxxx.
            let others = rest[1..].iter().take_while(|byte| **byte & 0xC0 == 0x80).count();
            let width = 1 + others;
            if rest.get(width) == Some(&b'\'') { at + width + 2 } else { at }
        }
        None => at,
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Identifiers, keywords and numbers with their offsets.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(|character: char| {
        !(character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii())
    })
    .filter_map(move |word| {
        let offset = at;
        at += word.len() + 1; // What separates words is ASCII: one byte.
        (!word.is_empty()).then_some((offset, word))
    })
}

/// Offsets of literals such as `1.5` and `1e9`; not ranges, nor `pair.0.1`, nor `0x1e9`.
pub(crate) fn float_literals(code: &str) -> impl Iterator<Item = usize> {
    let bytes = code.as_bytes();
    words(code).filter_map(move |(offset, word)| {
        let starts_number = word.starts_with(|character: char| character.is_ascii_digit());
        let is_field = offset > 0 && bytes[offset - 1] == b'.';
        if !starts_number || is_field {
            return None;
        }
        let digits = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
        let exponent = digits.strip_prefix(['e', 'E']);
        let has_exponent = exponent.is_some_and(|rest| {
            let signed = rest.is_empty() && matches!(bytes.get(offset + word.len()), Some(b'-'));
            signed || rest.starts_with(|character: char| character.is_ascii_digit())
        });
        let after = &bytes[offset + word.len()..];
        let has_fraction = digits.is_empty()
            && after.first() == Some(&b'.')
            && after.get(1).is_some_and(u8::is_ascii_digit);
        (has_exponent || has_fraction).then_some(offset)
    })
}

/// Where the items below `#[cfg(test)]`, `#[cfg(all(test, …))]` and `#[test]` lie.
pub(crate) fn test_regions(code: &str) -> Vec<Range<usize>> {
    let mut regions = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(all(test,", "#[test]"] {
        for (start, _) in code.match_indices(attribute) {
            regions.push(start..item_end(code, start + attribute.len()));
        }
    }
    regions
}

/// The end of the item that starts here: its `;`, or the brace that closes its first one.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b';' if depth == 0 => return offset + 1,
            b'{' | b'(' | b'[' => depth += 1,
            b'}' if depth <= 1 => return offset + 1,
            b'}' | b')' | b']' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked_and_code_is_kept() {
        for (text, code) in [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"a("b \" // c") + d"#, r#"a(           ) + d"#),
            ("r#\"b \" c\"# + d", "           + d"),
            ("bar\"x\" + y", "bar    + y"),
            ("'x' 'a '\\'' b '\"' c", "    'a      b     c"),
            ("fn a<'a>(b: &'a str)", "fn a<'a>(b: &'a str)"),
            ("'é' + a", "     + a"),
            ("\"a\nb\" c", "  \n   c"),
        ] {
            assert_eq!(code_of(text).trim(), code.trim(), "{text}");
            assert_eq!(code_of(text).len(), text.len(), "{text}");
        }
    }

    #[test]
    fn a_word_is_never_a_part_of_a_word() {
        let found: Vec<_> = words("no_std std::x unstd é").collect();
        assert_eq!(found, [(0, "no_std"), (7, "std"), (12, "x"), (14, "unstd"), (20, "é")]);
    }

    #[test]
    fn float_literals_are_told_from_ranges_fields_and_hexadecimals() {
        for (code, floats) in [
            ("1.5", 1),
            ("1_000.25 + 2.0", 2),
            ("1e9", 1),
            ("1e-5", 1),
            ("1E5", 1),
            ("0..5", 0),
            ("pair.0.1", 0),
            ("0x1e9", 0),
            ("1usize", 0),
            ("2.max(3)", 0),
            ("x1.2", 0),
        ] {
            assert_eq!(float_literals(code).count(), floats, "{code}");
        }
    }

    #[test]
    fn a_test_region_ends_with_its_item() {
        for (code, region) in [
            ("a #[cfg(test)] mod b { fn c() { d } } e", "#[cfg(test)] mod b { fn c() { d } }"),
            ("#[cfg(test)] extern crate std; f", "#[cfg(test)] extern crate std;"),
            ("#[cfg(test)] fn a() -> [u8; 2] { b } c", "#[cfg(test)] fn a() -> [u8; 2] { b }"),
            ("#[test] fn a() { b } c", "#[test] fn a() { b }"),
        ] {
            let found: Vec<_> = test_regions(code).into_iter().map(|it| &code[it]).collect();
            assert_eq!(found, [region]);
        }
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!([line_of("a\nb", 0), line_of("a\nb", 2)], [1, 2]);
    }
}
