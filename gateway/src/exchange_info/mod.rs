//! Binance's exchangeInfo: read from a real answer, written back, and turned into `[[instrument]]`
//! tables of the configuration.
//!
//! Numbers are read from their text, exactly or not at all. A filter that this version does not
//! know is kept. A symbol that cannot be read is refused, with its place, and stops no other.

mod json;
pub mod shape;
mod table;
mod write;

#[cfg(test)]
mod tests;
pub use table::{quoted, to_toml};
pub use write::{STATUS_WORDS, Shown, exchange_filters, filters, status_word, symbol, to_json};

use json::{Node, Object, Wrong, line_and_column};
use protocol::instrument::{OTHER_FILTERS_LENGTH_MAX, Symbol};
use protocol::{Bytes, Filters, InstrumentDefinition, InstrumentStatus, OrderKind, StpMode, Text};
use shape::{CAPABILITIES, FILTERS, FilterShape, PRECISION_MAX, PRECISIONS, Word};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::{fmt, io};

/// The largest exchangeInfo that is read, packed or unpacked (a real one has about 20 MB).
pub const EXCHANGE_INFO_BYTES_MAX: u64 = 256 << 20;

/// Symbols of one file.
pub const SYMBOLS_MAX: usize = 65_536;

/// Why a file, or one symbol of it, is refused: `FILE:LINE:COLUMN: SYMBOL: what; allowed: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError {
    pub file: String,
    /// Line and column, from 1.
    pub place: Option<(usize, usize)>,
    /// Empty: the whole file.
    pub symbol: String,
    pub what: String,
    pub allowed: String,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.symbol.is_empty() {
            write!(f, ": {}", self.symbol)?;
        }
        write!(f, ": {}", self.what)?;
        match self.allowed.is_empty() {
            true => Ok(()),
            false => write!(f, "; allowed: {}", self.allowed),
        }
    }
}

impl std::error::Error for ImportError {}

/// What a file held. Prints as the report of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    pub file: String,
    /// In the order of the file.
    pub instruments: Vec<InstrumentDefinition>,
    pub refused: Vec<ImportError>,
    /// Filters that are kept and shown but not enforced, with the number of symbols.
    pub not_enforced: BTreeMap<String, usize>,
    /// What this version has no place for, with the number of symbols.
    pub not_kept: BTreeMap<String, usize>,
}

impl Imported {
    /// Was every symbol taken?
    pub fn is_whole(&self) -> bool {
        self.refused.is_empty()
    }

    fn counted(f: &mut fmt::Formatter<'_>, counts: &BTreeMap<String, usize>) -> fmt::Result {
        let counted: Vec<String> =
            counts.iter().map(|(name, symbols)| format!("{name} {symbols}")).collect();
        f.write_str(&counted.join(", "))
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for refused in &self.refused {
            writeln!(f, "{refused}")?;
        }
        let (imported, refused) = (self.instruments.len(), self.refused.len());
        writeln!(f, "{imported} instruments imported, {refused} refused")?;
        if !self.not_enforced.is_empty() {
            f.write_str("not enforced: ")?;
            Imported::counted(f, &self.not_enforced)?;
            f.write_str(" (kept, and shown in exchangeInfo)\n")?;
        }
        if !self.not_kept.is_empty() {
            f.write_str("not kept: ")?;
            Imported::counted(f, &self.not_kept)?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// Reads an answer of `GET /api/v3/exchangeInfo`, plain or gzipped (told by its first bytes).
pub fn import(path: &Path) -> Result<Imported, ImportError> {
    let file = path.display().to_string();
    let read = File::open(path).and_then(|file| read_bounded(file, EXCHANGE_INFO_BYTES_MAX));
    match read {
        Ok(bytes) => import_bytes(&file, &bytes),
        Err(error) => Err(of_file(&file, &error)),
    }
}

/// As [`import`], from bytes; `file` is their name in messages.
pub fn import_bytes(file: &str, bytes: &[u8]) -> Result<Imported, ImportError> {
    import_bytes_bounded(file, bytes, EXCHANGE_INFO_BYTES_MAX)
}

fn import_bytes_bounded(file: &str, bytes: &[u8], max: u64) -> Result<Imported, ImportError> {
    let unpacked;
    let mut content = bytes;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        unpacked = read_bounded(flate2::read::MultiGzDecoder::new(bytes), max)
            .map_err(|error| of_gzip(file, &error))?;
        content = &unpacked;
    }
    let text = match str::from_utf8(content) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let good = content.get(..error.valid_up_to()).unwrap_or_default();
            let place = line_and_column(&String::from_utf8_lossy(good), good.len());
            return Err(refusal(file, Some(place), "not UTF-8", "JSON"));
        }
    };
    import_text(file, text)
}

fn refusal(file: &str, place: Option<(usize, usize)>, what: &str, allowed: &str) -> ImportError {
    let (what, allowed) = (what.to_string(), allowed.to_string());
    ImportError { file: file.to_string(), place, symbol: String::new(), what, allowed }
}

fn of_file(file: &str, error: &io::Error) -> ImportError {
    let what = match error.kind() {
        ErrorKind::FileTooLarge => error.to_string(),
        _ => format!("cannot read: {error}"),
    };
    refusal(file, None, &what, "an answer of GET /api/v3/exchangeInfo, .json or .json.gz")
}

fn of_gzip(file: &str, error: &io::Error) -> ImportError {
    let what = match error.kind() {
        ErrorKind::UnexpectedEof => "the gzip ends in the middle".to_string(),
        ErrorKind::FileTooLarge => format!("unpacked, {error}"),
        _ => format!("the gzip is damaged: {error}"),
    };
    refusal(file, None, &what, "a whole .json.gz; fetch or copy it again")
}

/// Reads to the end, or fails with `FileTooLarge` behind `max` bytes.
fn read_bounded(reader: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let what = format!("larger than {max} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

fn import_text(file: &str, text: &str) -> Result<Imported, ImportError> {
    let mut lines = Lines::new(text);
    let symbols = symbols_of(text)
        .map_err(|wrong| refusal(file, Some(lines.place(wrong.at)), &wrong.what, &wrong.allowed))?;
    let mut imported = Imported {
        file: file.to_string(),
        instruments: Vec::with_capacity(symbols.len()),
        refused: Vec::new(),
        not_enforced: BTreeMap::new(),
        not_kept: BTreeMap::new(),
    };
    let mut seen: BTreeSet<Symbol> = BTreeSet::new();
    for (index, node) in symbols.into_iter().enumerate() {
        let mut read = SymbolReader::new(index);
        match read.symbol(node, &mut seen) {
            Ok(definition) => {
                imported.instruments.push(definition);
                count(&mut imported.not_enforced, read.not_enforced);
                count(&mut imported.not_kept, read.not_kept);
            }
            Err(wrong) => imported.refused.push(ImportError {
                file: file.to_string(),
                place: Some(lines.place(wrong.at)),
                symbol: read.name,
                what: wrong.what,
                allowed: wrong.allowed,
            }),
        }
    }
    Ok(imported)
}

/// Adds one symbol to the count of each name.
fn count(counts: &mut BTreeMap<String, usize>, names: BTreeSet<String>) {
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
}

/// Places of offsets that mostly grow: a file with a million lines is walked once.
struct Lines<'a> {
    text: &'a str,
    line: usize,
    line_start: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        Lines { text, line: 1, line_start: 0 }
    }

    fn place(&mut self, at: usize) -> (usize, usize) {
        if at < self.line_start {
            (self.line, self.line_start) = (1, 0);
        }
        let rest = self.text.get(self.line_start..at.min(self.text.len())).unwrap_or_default();
        let (lines, column) = line_and_column(rest, rest.len());
        self.line_start += rest.rfind('\n').map_or(0, |at| at + 1);
        self.line += lines - 1;
        (self.line, column)
    }
}

fn symbols_of(text: &str) -> Result<Vec<Node<'_>>, Wrong> {
    let answer = Node::whole(text)?.object()?;
    let Some(symbols) = answer.get("symbols") else {
        let allowed = "an answer of GET /api/v3/exchangeInfo, with \"symbols\": [...]";
        return Err(answer.whole.wrong("`symbols` is missing", allowed));
    };
    let list = symbols.list()?;
    match list.len() {
        0 => Err(symbols.wrong("no symbol in it", "1 to 65536 symbols")),
        1..=SYMBOLS_MAX => Ok(list),
        more => Err(symbols.wrong(format!("{more} symbols"), "1 to 65536 symbols")),
    }
}

/// The reading of one symbol.
struct SymbolReader {
    /// For messages; its number until the symbol is known.
    name: String,
    not_enforced: BTreeSet<String>,
    not_kept: BTreeSet<String>,
}

/// Fields of a symbol that need no place of their own.
const READ_APART: &[&str] = &[
    "symbol",
    "status",
    "baseAsset",
    "quoteAsset",
    "quotePrecision",
    "orderTypes",
    "filters",
    "permissions",
    "permissionSets",
    "defaultSelfTradePreventionMode",
    "allowedSelfTradePreventionModes",
];

impl SymbolReader {
    fn new(index: usize) -> SymbolReader {
        let name = format!("symbol {}", index + 1);
        SymbolReader { name, not_enforced: BTreeSet::new(), not_kept: BTreeSet::new() }
    }

    fn symbol(
        &mut self,
        node: Node<'_>,
        seen: &mut BTreeSet<Symbol>,
    ) -> Result<InstrumentDefinition, Wrong> {
        let object = node.object()?;
        let at = object.need("symbol")?;
        let symbol: Symbol = name("symbol", at)?;
        self.name = symbol.to_string();
        let base = name("baseAsset", object.need("baseAsset")?)?;
        let quote_at = object.need("quoteAsset")?;
        let quote = name("quoteAsset", quote_at)?;
        if base == quote {
            let what = format!("quoteAsset: {quote} is the base asset too");
            return Err(quote_at.wrong(what, "two different assets"));
        }
        let mut definition = InstrumentDefinition::open(symbol, base, quote);
        definition.status = status(object.need("status")?)?;
        self.precisions(&object, &mut definition)?;
        self.capabilities(&object, &mut definition)?;
        definition.order_kinds = self.order_kinds(&object)?;
        definition.permissions = self.permissions(&object)?;
        self.self_trade_prevention(&object, &mut definition)?;
        self.filters(object.need("filters")?, &mut definition)?;
        for (field, _) in &object.members {
            let known = READ_APART.contains(&field.as_str())
                || CAPABILITIES.iter().any(|it| it.json == field)
                || PRECISIONS.iter().any(|it| it.json == field);
            if !known {
                self.not_kept.insert(format!("field {field}"));
            }
        }
        if !seen.insert(symbol) {
            return Err(at.wrong(format!("symbol: {symbol} stands twice"), "each symbol once"));
        }
        Ok(definition)
    }

    fn precisions(
        &mut self,
        object: &Object<'_>,
        definition: &mut InstrumentDefinition,
    ) -> Result<(), Wrong> {
        for precision in PRECISIONS {
            let node = match (object.get(precision.json), precision.json) {
                (None, "quoteAssetPrecision") => object.need("quotePrecision")?,
                (None, json) => object.need(json)?,
                (Some(node), _) => node,
            };
            match node.text.parse::<u8>() {
                Ok(digits) if digits <= PRECISION_MAX => (precision.set)(definition, digits),
                _ => {
                    let what = format!("{}: {} digits", precision.json, node.shown());
                    return Err(node.wrong(what, "a whole number from 0 to 8"));
                }
            }
        }
        Ok(())
    }

    fn capabilities(
        &mut self,
        object: &Object<'_>,
        definition: &mut InstrumentDefinition,
    ) -> Result<(), Wrong> {
        definition.flags = 0;
        for capability in CAPABILITIES {
            let allowed = match (object.get(capability.json), capability.when_absent) {
                (None, Some(allowed)) => allowed,
                (None, None) => object.need(capability.json)?.flag()?,
                (Some(node), _) => node.flag().map_err(|wrong| prefix(wrong, capability.json))?,
            };
            definition.flags |= if allowed { capability.bit } else { 0 };
        }
        Ok(())
    }

    /// Words that this version does not know are left out, and the report says so.
    fn set<W: Word>(&mut self, field: &str, what: &str, node: Node<'_>) -> Result<u16, Wrong> {
        let mut set = 0;
        for item in node.list().map_err(|wrong| prefix(wrong, field))? {
            let text = item.string().map_err(|wrong| prefix(wrong, field))?;
            match W::find(&text) {
                Some(word) => set |= word.mask(),
                None => {
                    self.not_kept.insert(format!("{what} {}", cut(&text)));
                }
            }
        }
        Ok(set)
    }

    fn order_kinds(&mut self, object: &Object<'_>) -> Result<u16, Wrong> {
        self.set::<OrderKind>("orderTypes", "order type", object.need("orderTypes")?)
    }

    /// The permissions of all sets together: they are shown, not enforced.
    fn permissions(&mut self, object: &Object<'_>) -> Result<u32, Wrong> {
        let mut lists = Vec::new();
        if let Some(node) = object.get("permissionSets") {
            let sets = node.list().map_err(|wrong| prefix(wrong, "permissionSets"))?;
            if sets.len() > 1 {
                self.not_kept.insert("grouping of permissionSets".to_string());
            }
            lists.extend(sets.into_iter().map(|set| ("permissionSets", set)));
        }
        match object.get("permissions") {
            Some(node) => lists.push(("permissions", node)),
            None if lists.is_empty() => lists.push(("permissions", object.need("permissions")?)),
            None => {}
        }
        let mut set = 0;
        for (field, list) in lists {
            for item in list.list().map_err(|wrong| prefix(wrong, field))? {
                let text = item.string().map_err(|wrong| prefix(wrong, field))?;
                match shape::permission_bit(&text) {
                    Some(bit) => set |= bit,
                    None => {
                        self.not_kept.insert(format!("permission {}", cut(&text)));
                    }
                }
            }
        }
        Ok(set)
    }

    /// An old file is silent: everything that this version trades on is allowed, and no mode is
    /// the default, as it was then.
    fn self_trade_prevention(
        &mut self,
        object: &Object<'_>,
        definition: &mut InstrumentDefinition,
    ) -> Result<(), Wrong> {
        const ALLOWED: &str = "allowedSelfTradePreventionModes";
        const DEFAULT: &str = "defaultSelfTradePreventionMode";
        if let Some(node) = object.get(ALLOWED) {
            definition.allowed_stp_modes =
                self.set::<StpMode>(ALLOWED, "self-trade prevention mode", node)?;
        }
        if let Some(node) = object.get(DEFAULT) {
            definition.default_stp_mode = word::<StpMode>(DEFAULT, node)?;
            // Binance's own lists leave out NONE while it is the default.
            definition.allowed_stp_modes |= definition.default_stp_mode.bit();
        } else {
            definition.allowed_stp_modes |= StpMode::None.bit();
        }
        Ok(())
    }

    fn filters(
        &mut self,
        list: Node<'_>,
        definition: &mut InstrumentDefinition,
    ) -> Result<(), Wrong> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        let mut others: Vec<String> = Vec::new();
        for node in list.list().map_err(|wrong| prefix(wrong, "filters"))? {
            let object = node.object().map_err(|wrong| prefix(wrong, "filters"))?;
            let type_at = object.need("filterType").map_err(|wrong| prefix(wrong, "filters"))?;
            let name = type_at.string().map_err(|wrong| prefix(wrong, "filterType"))?;
            match FILTERS.iter().find(|shape| shape.name() == name) {
                Some(shape) => self.filter(shape, &object, &mut definition.filters)?,
                None => {
                    let text = node.compact();
                    // What is kept must be read again by whoever shows it.
                    if serde_json::from_str::<serde_json::Value>(&text).is_err() {
                        let what = format!("filters: {} is no text", type_at.shown());
                        return Err(type_at.wrong(what, "JSON whose strings are Unicode"));
                    }
                    self.not_enforced.insert(cut(&name));
                    others.push(text);
                }
            }
            if !names.insert(name) {
                let what = format!("filterType: {} stands twice", type_at.shown());
                return Err(type_at.wrong(what, "each filter once"));
            }
        }
        let others = others.join(",");
        definition.other_filters = Bytes::new(others.as_bytes()).map_err(|_| {
            let what = format!(
                "filters: {} bytes of filters that this version does not know",
                others.len()
            );
            list.wrong(what, format!("at most {OTHER_FILTERS_LENGTH_MAX} bytes of them"))
        })?;
        Ok(())
    }

    fn filter(
        &mut self,
        shape: &FilterShape,
        object: &Object<'_>,
        filters: &mut Filters,
    ) -> Result<(), Wrong> {
        let name = shape.name();
        for field in shape.fields {
            let in_filter = |wrong| prefix(wrong, &format!("{name}.{}", field.json));
            let node = object.need(field.json).map_err(|wrong| prefix(wrong, name))?;
            (field.set)(filters, node.number(field.kind).map_err(in_filter)?);
        }
        for (field, _) in &object.members {
            if field != "filterType" && !shape.fields.iter().any(|it| it.json == field) {
                self.not_kept.insert(format!("field {name}.{field}"));
            }
        }
        filters.present |= shape.bit;
        Ok(())
    }
}

/// Names the field in front of what is wrong with it.
fn prefix(mut wrong: Wrong, field: &str) -> Wrong {
    wrong.what = format!("{field}: {}", wrong.what);
    wrong
}

/// A word of the file for the report: its beginning.
fn cut(text: &str) -> String {
    const LENGTH_MAX: usize = 40;
    text.chars().filter(|it| !it.is_control()).take(LENGTH_MAX).collect()
}

fn name<const N: usize>(field: &str, node: Node<'_>) -> Result<Text<N>, Wrong> {
    let text = node.string().map_err(|wrong| prefix(wrong, field))?;
    match Text::new(&text) {
        Ok(name) if shape::is_name(&text) => Ok(name),
        _ => {
            let what = format!("{field}: {} is not a name", node.shown());
            Err(node.wrong(what, format!("1 to {N} bytes without blanks")))
        }
    }
}

fn status(node: Node<'_>) -> Result<InstrumentStatus, Wrong> {
    let text = node.string().map_err(|wrong| prefix(wrong, "status"))?;
    // An auction of the venue's was one before trading.
    let auction = InstrumentStatus::OpeningAuction;
    let mut known = InstrumentStatus::ALL.iter().copied().filter(|it| !it.is_auction());
    let found = known.find(|it| status_word(*it) == text);
    let found = found.or((status_word(auction) == text).then_some(auction));
    let unknown = || format!("status: {} is unknown", node.shown());
    found.ok_or_else(|| node.wrong(unknown(), STATUS_WORDS.join(", ")))
}

fn word<W: Word>(field: &str, node: Node<'_>) -> Result<W, Wrong> {
    let text = node.string().map_err(|wrong| prefix(wrong, field))?;
    let unknown = || node.wrong(format!("{field}: {} is unknown", node.shown()), W::listed());
    W::find(&text).ok_or_else(unknown)
}
