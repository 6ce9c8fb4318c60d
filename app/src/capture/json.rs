//! JSON whose numbers keep their text: amounts never pass through a float.

use std::borrow::Cow;

/// Lists and objects inside one another.
const DEPTH_MAX: u32 = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The field of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        match self {
            Value::Object(fields) => fields.iter().find(|field| field.0 == name).map(|it| &it.1),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::List(values) => Some(values),
            _ => None,
        }
    }

    /// The digits of a number, whether it came as a number or as text.
    pub(super) fn digits(&self) -> Option<&str> {
        match self {
            Value::Number(text) => Some(text),
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads exactly one value. The error says what stands wrong, and at which byte.
pub(super) fn parse(text: &str) -> Result<Value<'_>, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.expected("the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The next byte that is not a blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_ascii_start().len();
        self.rest().bytes().next()
    }

    fn expected(&self, what: &str) -> String {
        format!("JSON: {what} expected at byte {}", self.at)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn need(&mut self, byte: u8) -> Result<(), String> {
        match self.eat(byte) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{}`", char::from(byte)))),
        }
    }

    fn value(&mut self, depth: u32) -> Result<Value<'a>, String> {
        if depth > DEPTH_MAX {
            return Err(self.expected("less depth"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(self.number()),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: u32) -> Result<Value<'a>, String> {
        self.need(b'{')?;
        let mut fields = Vec::new();
        while !self.eat(b'}') {
            if !fields.is_empty() {
                self.need(b',')?;
            }
            self.peek();
            let name = self.string()?;
            self.need(b':')?;
            fields.push((name, self.value(depth + 1)?));
        }
        Ok(Value::Object(fields))
    }

    fn list(&mut self, depth: u32) -> Result<Value<'a>, String> {
        self.need(b'[')?;
        let mut values = Vec::new();
        while !self.eat(b']') {
            if !values.is_empty() {
                self.need(b',')?;
            }
            values.push(self.value(depth + 1)?);
        }
        Ok(Value::List(values))
    }

    fn number(&mut self) -> Value<'a> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += length;
        Value::Number(rest.get(..length).unwrap_or(""))
    }

    fn word(&mut self) -> Result<Value<'a>, String> {
        let words =
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        let found = words.into_iter().find(|(word, _)| self.rest().starts_with(word));
        let (word, value) = found.ok_or_else(|| self.expected("a value"))?;
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        self.need(b'"')?;
        let rest = self.rest();
        let end = rest.find(['"', '\\']).ok_or_else(|| self.expected("the end of a text"))?;
        if rest.get(end..).is_some_and(|rest| rest.starts_with('"')) {
            self.at += end + 1;
            return Ok(Cow::Borrowed(rest.get(..end).unwrap_or("")));
        }
        self.escaped()
    }

    fn escaped(&mut self) -> Result<Cow<'a, str>, String> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, next)) = chars.next() {
            match next {
                '"' => {
                    self.at += at + 1;
                    return Ok(Cow::Owned(text));
                }
                '\\' => {
                    let escape = chars.next().map(|(_, escape)| escape);
                    text.push(match escape {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some('r') => '\r',
                        Some('b') => '\u{8}',
                        Some('f') => '\u{c}',
                        Some('u') => {
                            let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                            let code = u32::from_str_radix(&digits, 16).ok();
                            // Half of a surrogate pair stands for nothing that is looked at here.
                            code.and_then(char::from_u32).unwrap_or('\u{fffd}')
                        }
                        Some(same @ ('"' | '\\' | '/')) => same,
                        _ => return Err(self.expected("a known escape")),
                    });
                }
                plain => text.push(plain),
            }
        }
        Err(self.expected("the end of a text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text() {
        let value = parse(r#" {"price": 235.91999999999999, "id": 7, "text": "1.50"} "#).unwrap();
        assert_eq!(value.get("price"), Some(&Value::Number("235.91999999999999")));
        assert_eq!(value.get("text").and_then(Value::digits), Some("1.50"));
        assert_eq!(value.get("absent"), None);
        let value =
            parse(r#"{"bids": [["1", "2"], []], "a": [null, true, "x\n\u0041\""]}"#).unwrap();
        assert_eq!(value.get("bids").and_then(Value::list).map(<[_]>::len), Some(2));
        let list = value.get("a").and_then(Value::list).unwrap();
        assert_eq!(list[2], Value::Text("x\nA\"".into()));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for text in
            ["", "{", "{\"a\"", "{\"a\":}", "[1", "[1 2]", "\"a", "\"\\q\"", "nul", "1 2", "{a:1}"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.contains("expected at byte"), "{text:?}: {error}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
