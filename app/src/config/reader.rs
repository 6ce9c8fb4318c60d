//! Walks TOML with places: every key is asked for by name, what nobody asked for is refused, and
//! what was read is noted for `config show`.

use super::source::{ConfigError, Effective, Place, Source};
use gateway::exchange_info::shape::{Kind, Word, is_name};
use protocol::Text;
use std::cell::RefCell;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) type Result<T> = std::result::Result<T, ConfigError>;

/// One file and what was read of it.
pub(crate) struct Document<'d> {
    name: Arc<str>,
    text: &'d str,
    line_starts: Vec<usize>,
    noted: RefCell<Vec<Effective>>,
}

impl<'d> Document<'d> {
    pub(crate) fn new(name: &str, text: &'d str) -> Document<'d> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|it| it.0 + 1));
        let noted = RefCell::new(Vec::new());
        Document { name: name.into(), text, line_starts: line_starts.collect(), noted }
    }

    pub(crate) fn parse(&self) -> Result<Spanned<DeTable<'d>>> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            ConfigError::new(self.source(at), format!("not TOML: {}", error.message()), "")
        })
    }

    pub(crate) fn source(&self, at: usize) -> Source {
        let line = self.line_starts.partition_point(|start| *start <= at).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or_default();
        let column = before.chars().count() + 1;
        Source::File(Place { file: self.name.clone(), line, column })
    }

    fn note(&self, key: &str, value: String, source: Source) {
        self.noted.borrow_mut().push(Effective { key: key.to_string(), value, source });
    }

    pub(crate) fn into_noted(self) -> Vec<Effective> {
        self.noted.into_inner()
    }
}

/// A table on its way through the reading.
pub(crate) struct Section<'r, 'd> {
    document: &'r Document<'d>,
    /// Dotted name, for messages and notes; empty at the top.
    pub(crate) path: String,
    /// Where it begins.
    at: usize,
    table: Option<&'r DeTable<'d>>,
    known: Vec<String>,
}

impl<'r, 'd> Section<'r, 'd> {
    pub(crate) fn top(document: &'r Document<'d>, table: &'r Spanned<DeTable<'d>>) -> Self {
        let (path, at) = (String::new(), table.span().start);
        Section { document, path, at, table: Some(table.get_ref()), known: Vec::new() }
    }

    pub(crate) fn source(&self) -> Source {
        self.document.source(self.at)
    }

    fn path_of(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_string(),
            false => format!("{}.{key}", self.path),
        }
    }

    /// Something that the table lacks or that does not fit together in it.
    pub(crate) fn wrong(&self, what: impl Into<String>, allowed: impl Into<String>) -> ConfigError {
        ConfigError::new(self.source(), what, allowed)
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Item<'r, 'd>> {
        self.known.push(key.to_string());
        let table = self.table?;
        let value = table.iter().find(|(name, _)| name.get_ref() == key)?.1;
        Some(Item { document: self.document, path: self.path_of(key), value })
    }

    pub(crate) fn need(&mut self, key: &str, allowed: &str) -> Result<Item<'r, 'd>> {
        let missing = self
            .wrong(format!("`{key}` is missing in {}", self.shown()), format!("{key} = {allowed}"));
        self.take(key).ok_or(missing)
    }

    fn shown(&self) -> String {
        match self.path.as_str() {
            "" => "the file".to_string(),
            path => format!("[{path}]"),
        }
    }

    /// The value of a key, or its default, noted either way.
    pub(crate) fn value<T>(
        &mut self,
        key: &str,
        default: T,
        default_shown: &str,
        read: impl FnOnce(&Item<'r, 'd>) -> Result<T>,
    ) -> Result<T> {
        match self.take(key) {
            Some(item) => item.noted(read),
            None => {
                self.document.note(&self.path_of(key), default_shown.into(), Source::Default);
                Ok(default)
            }
        }
    }

    /// A sub-table; an absent one reads as empty.
    pub(crate) fn section(&mut self, key: &str) -> Result<Section<'r, 'd>> {
        match self.take(key) {
            Some(item) => item.section(),
            None => Ok(Section {
                document: self.document,
                path: self.path_of(key),
                at: self.at,
                table: None,
                known: Vec::new(),
            }),
        }
    }

    /// The tables of `[[key]]`.
    pub(crate) fn sections(&mut self, key: &str) -> Result<Vec<Section<'r, 'd>>> {
        let Some(item) = self.take(key) else { return Ok(Vec::new()) };
        let DeValue::Array(list) = item.value.get_ref() else {
            return Err(item.wrong(format!("`{key}` is {}", item.kind()), format!("[[{key}]]")));
        };
        let items = list.iter().map(|value| Item { value, ..item.clone() });
        items.map(|item| item.section()).collect()
    }

    /// All keys with their values: the keys are names of the user.
    pub(crate) fn entries(&self) -> Vec<(&'r str, Item<'r, 'd>)> {
        let table = self.table.into_iter().flat_map(|table| table.iter());
        let mut entries: Vec<_> = table
            .map(|(key, value)| {
                let path = self.path_of(key.get_ref());
                (key.get_ref().as_ref(), Item { document: self.document, path, value })
            })
            .collect();
        entries.sort_by_key(|(_, item)| item.value.span().start);
        entries
    }

    /// Refuses the first key that nobody asked for.
    pub(crate) fn finish(self) -> Result<()> {
        let table = self.table.into_iter().flat_map(|table| table.keys());
        let unknown = table
            .filter(|key| !self.known.iter().any(|known| known == key.get_ref()))
            .min_by_key(|key| key.span().start);
        match unknown {
            None => Ok(()),
            Some(key) => {
                let what = format!("unknown key `{}` in {}", key.get_ref(), self.shown());
                let source = self.document.source(key.span().start);
                Err(ConfigError::new(source, what, self.known.join(", ")))
            }
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.table.is_none()
    }

    pub(crate) fn note(&self, key: &str, value: String) {
        self.document.note(&self.path_of(key), value, self.source());
    }
}

/// One value of the file.
#[derive(Clone)]
pub(crate) struct Item<'r, 'd> {
    document: &'r Document<'d>,
    pub(crate) path: String,
    value: &'r Spanned<DeValue<'d>>,
}

impl<'r, 'd> Item<'r, 'd> {
    pub(crate) fn source(&self) -> Source {
        self.document.source(self.value.span().start)
    }

    pub(crate) fn wrong(&self, what: impl Into<String>, allowed: impl Into<String>) -> ConfigError {
        ConfigError::new(self.source(), what, allowed)
    }

    /// What the value is, for messages.
    fn kind(&self) -> &'static str {
        match self.value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    pub(crate) fn is_not(&self, allowed: &str) -> ConfigError {
        if let DeValue::Float(float) = self.value.get_ref() {
            let what = format!("`{}`: the float {} may not be exact", self.path, float.as_str());
            return self.wrong(what, format!("the same in quotes: \"{}\"", float.as_str()));
        }
        self.wrong(format!("`{}` is {}", self.path, self.kind()), allowed)
    }

    /// Reads the value and notes it as it stands in the file.
    pub(crate) fn noted<T>(&self, read: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let value = read(self)?;
        let text = self.document.text.get(self.value.span()).unwrap_or_default();
        let shown = match (self.value.get_ref(), text.contains('\n')) {
            (DeValue::String(text), true) => gateway::exchange_info::quoted(text),
            (_, true) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            (_, false) => text.to_string(),
        };
        self.document.note(&self.path, shown, self.source());
        Ok(value)
    }

    /// Notes that a secret is there.
    pub(crate) fn note_secret(&self) {
        self.document.note(&self.path, "***".to_string(), self.source());
    }

    pub(crate) fn text(&self, allowed: &str) -> Result<&'r str> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.is_not(allowed)),
        }
    }

    /// The text of a scalar: what settings of any kind are read from.
    pub(crate) fn scalar(&self, allowed: &str) -> Result<String> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_string()),
            DeValue::Boolean(flag) => Ok(flag.to_string()),
            DeValue::Array(list) => {
                let items = list.iter().map(|value| Item { value, ..self.clone() });
                let texts = items.map(|item| match item.value.get_ref() {
                    DeValue::Array(_) => Err(item.is_not(allowed)),
                    _ => item.scalar(allowed),
                });
                Ok(texts.collect::<Result<Vec<_>>>()?.join(","))
            }
            _ => Err(self.is_not(allowed)),
        }
    }

    pub(crate) fn flag(&self) -> Result<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.is_not("true, false")),
        }
    }

    /// A number of a filter, an amount, a price: text or a whole number of TOML.
    pub(crate) fn number(&self, kind: Kind) -> Result<u128> {
        let text = match self.value.get_ref() {
            DeValue::String(text) if kind != Kind::Flag => text.as_ref(),
            DeValue::Integer(number) if kind != Kind::Flag && number.radix() == 10 => {
                number.as_str()
            }
            DeValue::Boolean(true) if kind == Kind::Flag => "true",
            DeValue::Boolean(false) if kind == Kind::Flag => "false",
            _ => return Err(self.is_not(kind.allowed())),
        };
        kind.parse(text).map_err(|error| {
            let what = match kind.is_decimal() {
                true => format!("`{}`: \"{text}\": {error}", self.path),
                false => format!("`{}`: {text} is out of range", self.path),
            };
            self.wrong(what, kind.allowed())
        })
    }

    /// A whole number between bounds.
    pub(crate) fn integer(&self, min: u32, max: u32) -> Result<u32> {
        let allowed = format!("a whole number from {min} to {max}");
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            _ => return Err(self.is_not(&allowed)),
        };
        match text.parse::<u32>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(self.wrong(format!("`{}`: {text} is out of range", self.path), allowed)),
        }
    }

    pub(crate) fn list(&self, allowed: &str) -> Result<Vec<Item<'r, 'd>>> {
        match self.value.get_ref() {
            DeValue::Array(list) => {
                Ok(list.iter().map(|value| Item { value, ..self.clone() }).collect())
            }
            _ => Err(self.is_not(allowed)),
        }
    }

    pub(crate) fn section(&self) -> Result<Section<'r, 'd>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Ok(Section {
                document: self.document,
                path: self.path.clone(),
                at: self.value.span().start,
                table: Some(table),
                known: Vec::new(),
            }),
            _ => Err(self.is_not("a table")),
        }
    }

    /// A name of at most `N` bytes: nothing blank in it, nothing that does not print.
    pub(crate) fn name<const N: usize>(&self) -> Result<Text<N>> {
        let allowed = format!("1 to {N} bytes without blanks");
        let text = self.text(&allowed)?;
        match Text::new(text) {
            Ok(name) if is_name(text) => Ok(name),
            _ => Err(self.wrong(format!("`{}`: {text:?} is not a name", self.path), allowed)),
        }
    }

    pub(crate) fn word<W: Word>(&self) -> Result<W> {
        let text = self.text(&W::listed())?;
        let unknown = || self.wrong(format!("`{}`: {text:?} is unknown", self.path), W::listed());
        W::find(text).ok_or_else(unknown)
    }

    /// A set of words.
    pub(crate) fn words<W: Word>(&self) -> Result<u16> {
        let items = self.list(&format!("a list of {}", W::listed()))?;
        items.iter().try_fold(0, |set, item| Ok(set | item.word::<W>()?.mask()))
    }

    /// A set of names, each with a bit.
    pub(crate) fn bits(&self, names: &[(&str, u32)]) -> Result<u32> {
        let listed = names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let mut set = 0;
        for item in self.list(&format!("a list of {listed}"))? {
            let text = item.text(&listed)?;
            match names.iter().find(|(name, _)| *name == text) {
                Some((_, bit)) => set |= bit,
                None => {
                    let what = format!("`{}`: {text:?} is unknown", self.path);
                    return Err(item.wrong(what, listed));
                }
            }
        }
        Ok(set)
    }
}
