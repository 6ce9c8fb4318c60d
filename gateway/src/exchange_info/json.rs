//! JSON with places: objects whose values remember where they stand in the file, and numbers read
//! from their text.

use super::shape::Kind;
use protocol::DecimalError;
use serde::de::IgnoredAny;

/// What is wrong at one place of a text, before the file and the line are known.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// Offset in the whole text.
    pub(crate) at: usize,
    pub(crate) what: String,
    pub(crate) allowed: String,
}

/// The most names that one object may have: a symbol has about thirty.
const MEMBERS_MAX: usize = 1_000;

/// A value and its place.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    /// JSON text of the value: a slice of the whole text.
    pub(crate) text: &'a str,
    /// Offset of `text` in the whole text.
    pub(crate) at: usize,
}

impl<'a> Node<'a> {
    /// The whole text as one value; a syntax error has its place. Every other node is a slice of
    /// this one, and so of JSON.
    pub(crate) fn whole(text: &'a str) -> Result<Node<'a>, Wrong> {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| syntax(text, &error))?;
        Ok(Node { text, at: 0 }.slice(0, text.len()))
    }

    /// A part of the value's text, without the blanks around it.
    fn slice(&self, start: usize, end: usize) -> Node<'a> {
        let part = self.text.get(start..end).unwrap_or_default();
        let trimmed = part.trim_ascii_start();
        let blanks = part.len().saturating_sub(trimmed.len());
        Node { text: trimmed.trim_ascii_end(), at: self.at.saturating_add(start + blanks) }
    }

    /// The members of an object as name and value; those of a list have an empty name.
    fn parts(&self) -> Vec<(Node<'a>, Node<'a>)> {
        let (mut parts, mut start, mut colon) = (Vec::new(), 1, None);
        let (mut depth, mut in_text, mut escaped) = (0u32, false, false);
        for (at, byte) in self.text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'{' | b'[' => depth += 1,
                b':' if depth == 1 && colon.is_none() => colon = Some(at),
                b',' if depth == 1 => {
                    parts.push(self.part(start, at, colon.take()));
                    start = at + 1;
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        let last = self.part(start, self.text.len().saturating_sub(1), colon);
        if !last.1.text.is_empty() {
            parts.push(last);
        }
        parts
    }

    fn part(&self, start: usize, end: usize, colon: Option<usize>) -> (Node<'a>, Node<'a>) {
        let value_start = colon.map_or(start, |colon| colon + 1);
        (self.slice(start, colon.unwrap_or(start)), self.slice(value_start, end))
    }

    pub(crate) fn wrong(&self, what: impl Into<String>, allowed: impl Into<String>) -> Wrong {
        Wrong { at: self.at, what: what.into(), allowed: allowed.into() }
    }

    pub(crate) fn object(&self) -> Result<Object<'a>, Wrong> {
        if !self.text.starts_with('{') {
            return Err(self.wrong(format!("{} is not an object", self.shown()), "{…}"));
        }
        let parts = self.parts();
        if parts.len() > MEMBERS_MAX {
            let what = format!("an object with {} names", parts.len());
            return Err(self.wrong(what, format!("at most {MEMBERS_MAX}")));
        }
        let mut object = Object { whole: *self, members: Vec::with_capacity(parts.len()) };
        for (name, value) in parts {
            let name = name.string()?;
            if object.get(&name).is_some() {
                return Err(value.wrong(format!("`{name}` stands twice"), "one of each name"));
            }
            object.members.push((name, value));
        }
        Ok(object)
    }

    pub(crate) fn list(&self) -> Result<Vec<Node<'a>>, Wrong> {
        match self.text.starts_with('[') {
            true => Ok(self.parts().into_iter().map(|(_, value)| value).collect()),
            false => Err(self.wrong(format!("{} is not a list", self.shown()), "[…]")),
        }
    }

    pub(crate) fn string(&self) -> Result<String, Wrong> {
        serde_json::from_str(self.text)
            .map_err(|_| self.wrong(format!("{} is not a text", self.shown()), "\"…\""))
    }

    /// A number of a filter: decimals as text or as a JSON number, whole numbers as numbers.
    pub(crate) fn number(&self, kind: Kind) -> Result<u128, Wrong> {
        let quoted = match self.text.starts_with('"') {
            true if kind == Kind::Flag => Err(DecimalError::Malformed),
            true => Ok(self.string()?),
            false => Ok(self.text.to_string()),
        };
        quoted.and_then(|text| kind.parse(&text)).map_err(|error| {
            let what = match kind.is_decimal() {
                true => format!("{}: {error}", self.shown()),
                false => format!("{} is not allowed here", self.shown()),
            };
            self.wrong(what, kind.allowed())
        })
    }

    pub(crate) fn flag(&self) -> Result<bool, Wrong> {
        Ok(self.number(Kind::Flag)? != 0)
    }

    /// The value for a message: its beginning.
    pub(crate) fn shown(&self) -> String {
        const SHOWN_MAX: usize = 40;
        let mut shown: String = self.text.chars().take(SHOWN_MAX).collect();
        if shown.len() < self.text.len() {
            shown.push('…');
        }
        shown
    }

    /// The value's text without the blanks between its parts.
    pub(crate) fn compact(&self) -> String {
        let (mut compact, mut in_text, mut escaped) = (String::new(), false, false);
        for character in self.text.chars() {
            match character {
                _ if escaped => escaped = false,
                '\\' if in_text => escaped = true,
                '"' => in_text = !in_text,
                ' ' | '\t' | '\r' | '\n' if !in_text => continue,
                _ => {}
            }
            compact.push(character);
        }
        compact
    }
}

/// An object with places.
pub(crate) struct Object<'a> {
    pub(crate) whole: Node<'a>,
    pub(crate) members: Vec<(String, Node<'a>)>,
}

impl<'a> Object<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<Node<'a>> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, node)| *node)
    }

    pub(crate) fn need(&self, name: &str) -> Result<Node<'a>, Wrong> {
        let missing = || self.whole.wrong(format!("`{name}` is missing"), format!("\"{name}\": …"));
        self.get(name).ok_or_else(missing)
    }
}

/// A syntax error of serde_json, whose text ends with the place that is told apart.
fn syntax(text: &str, error: &serde_json::Error) -> Wrong {
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or_default();
    let line_start = match error.line() {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(at, _)| at + 1),
    };
    let at = line_start.saturating_add(error.column().saturating_sub(1)).min(text.len());
    Wrong { at, what: format!("not JSON: {what}"), allowed: String::new() }
}

/// Line and column of an offset, from 1; columns count characters.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..at.min(text.len())).unwrap_or_default();
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let in_line = before.get(line_start..).unwrap_or_default();
    // A byte 10xxxxxx goes on with a character.
    let column = 1 + in_line.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_where_they_stand() {
        let text = "\n {\"ä\": [1, {\"b\": 1e-05}]}";
        let list = Node::whole(text).unwrap().object().unwrap().get("ä").unwrap().list().unwrap();
        let value = list[1].object().unwrap().get("b").unwrap();
        assert_eq!((value.text, line_and_column(text, value.at)), ("1e-05", (2, 18)));
        let wrong = value.number(Kind::Decimal).unwrap_err();
        let what = "1e-05: not a decimal number: digits, at most one point, no sign";
        assert_eq!((wrong.at, wrong.what.as_str()), (value.at, what));
    }

    #[test]
    fn empty_nested_and_escaped_parts_are_told_apart() {
        #[track_caller]
        fn check(text: &str, names: &[&str], values: &[&str]) {
            let object = Node::whole(text).unwrap().object().unwrap();
            let (found, nodes): (Vec<_>, Vec<_>) = object.members.iter().cloned().unzip();
            let texts: Vec<&str> = nodes.iter().map(|node: &Node<'_>| node.text).collect();
            assert_eq!(
                (found, texts),
                (names.iter().map(|it| it.to_string()).collect(), values.into())
            );
        }
        check(" { } ", &[], &[]);
        check(
            r#"{"a:\"b,":{"c":[1,2]} , "d" : "}\\" }"#,
            &["a:\"b,", "d"],
            &[r#"{"c":[1,2]}"#, r#""}\\""#],
        );
        let many: Vec<String> = (0..=MEMBERS_MAX).map(|it| format!("\"{it}\":1")).collect();
        let many = format!("{{{}}}", many.join(","));
        let wrong = Node::whole(&many).unwrap().object().map(|_| ()).unwrap_err();
        assert_eq!(wrong.what, "an object with 1001 names");
        for (text, length) in [("[]", 0), ("[ ]", 0), ("[[],[1,2]]", 2), ("[\",\"]", 1)] {
            assert_eq!(Node::whole(text).unwrap().list().unwrap().len(), length, "{text}");
        }
    }

    #[test]
    fn blanks_in_texts_stay() {
        let node = Node { text: "{ \"a b\" : \"\\\" \" ,\n\"c\":\t1.0 }", at: 0 };
        assert_eq!(node.compact(), "{\"a b\":\"\\\" \",\"c\":1.0}");
    }
}
