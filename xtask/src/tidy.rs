//! Fast checks of the tree's text: what no compiler and no lint sees. Every rule has a case below
//! that breaks it.

use crate::arrows;
use crate::source::{code_of, float_literals, line_of, test_regions, words};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{fmt, fs};

/// The two modules that may say `unsafe`: the one that maps memory and the one that is the ring.
const UNSAFE_ALLOWED: &[&str] = &["store/src/map.rs", "store/src/ring.rs"];
/// Where floats show progress or statistics and never a price, a quantity or money.
const FLOATS_ALLOWED: &[&str] =
    &["xtask/", "bench/", "app/src/progress.rs", "clients/src/latency.rs"];
/// What must be a function of its input alone.
const PURE: &[&str] = &["protocol/src/", "engine/src/"];
/// Words that a pure crate has no use for, tests included. `std` itself is for its tests only.
const IMPURE_WORDS: &[&str] = &["Instant", "SystemTime", "RandomState", "rand", "thread_rng"];
/// What is written by people, and therefore read by them.
const WRITTEN: &[&str] = &["rs", "md", "toml", "sh", "py", "ts", "css", "html", "yml"];
const FILE_LINES_MAX: usize = 1_200;

// In two halves each, so that a search of the tree for them finds only real ones.
const UNFINISHED: &[&str] = &[concat!("to", "do!"), concat!("unimple", "mented!"), "dbg!"];
const UNFINISHED_NOTES: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X")];
/// Inside an attribute, `cfg_attr` included.
const TESTS_OFF: &[&str] = &["ignore", "should_panic"];

pub(crate) fn run(root: &Path) -> Result<()> {
    let files = tree(root)?;
    let mut findings: Vec<Finding> = files.iter().flat_map(check_file).collect();
    findings.extend(check_tree(&files));
    findings.extend(arrows::violations(root).into_iter().map(|what| Finding {
        path: "tests/arrows.rs".into(),
        line: 1,
        what,
    }));
    for finding in &findings {
        println!("{finding}");
    }
    ensure!(findings.is_empty(), "{} findings in {} files", findings.len(), files.len());
    println!("tidy: {} files, nothing found", files.len());
    Ok(())
}

struct File {
    path: String,
    text: String,
    /// The text of a Rust file without comments and strings; empty for others.
    code: String,
}

struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl File {
    fn new(path: &str, text: &str) -> File {
        let code = if path.ends_with(".rs") { code_of(text) } else { String::new() };
        File { path: path.into(), text: text.into(), code }
    }

    fn finding(&self, offset: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line: line_of(&self.text, offset), what: what.into() }
    }

    fn is_below(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    fn extension(&self) -> &str {
        Path::new(&self.path).extension().and_then(|it| it.to_str()).unwrap_or("")
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or("")
    }

    /// Whether the offset lies in a test: in a file of tests, or in a region of them.
    fn is_test(&self, offset: usize) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
            || test_regions(&self.code).iter().any(|region| region.contains(&offset))
    }
}

/// Text files that git knows or would add. What is not text is nobody's style.
fn tree(root: &Path) -> Result<Vec<File>> {
    let listed = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("cannot start git")?;
    if !listed.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr).trim());
    }
    let paths = String::from_utf8(listed.stdout).context("a path that is not UTF-8")?;
    let paths: BTreeSet<&str> = paths.split('\0').filter(|path| !path.is_empty()).collect();
    let mut files = Vec::new();
    for path in paths {
        let at = root.join(path);
        if !at.is_file() {
            continue; // Removed, and git does not know it yet.
        }
        let bytes = fs::read(&at).with_context(|| format!("cannot read {path}"))?;
        if let (false, Ok(text)) = (bytes.contains(&0), str::from_utf8(&bytes)) {
            files.push(File::new(path, text));
        }
    }
    ensure!(!files.is_empty(), "git lists no file");
    Ok(files)
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(unfinished(file));
    findings.extend(tests_off(file));
    findings.extend(sleeping_tests(file));
    findings.extend(layout(file));
    findings.extend(unsafe_code(file));
    findings.extend(floats(file));
    findings.extend(default_hashers(file));
    findings.extend(impure(file));
    findings
}

fn check_tree(files: &[File]) -> Vec<Finding> {
    let mut findings = no_std_declared(files);
    findings.extend(decisions_linked(files));
    findings.extend(broken_links(files));
    findings
}

fn unfinished(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in UNFINISHED {
        let word = name.trim_end_matches('!');
        let calls = words(&file.code).filter(|(offset, found)| {
            *found == word && file.code[offset + found.len()..].starts_with('!')
        });
        findings.extend(calls.map(|(at, _)| file.finding(at, format!("`{name}` stands here"))));
    }
    let notes = words(&file.text).filter(|(_, word)| UNFINISHED_NOTES.contains(word));
    findings.extend(notes.map(|(at, word)| file.finding(at, format!("{word}: do it or drop it"))));
    findings
}

fn tests_off(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, _) in file.code.match_indices("#[") {
        let attribute = file.code[at..].split(']').next().unwrap_or("");
        for (_, word) in words(attribute).filter(|(_, word)| TESTS_OFF.contains(word)) {
            findings.push(file.finding(at, format!("`{word}`: a test runs and returns")));
        }
    }
    findings
}

fn sleeping_tests(file: &File) -> Vec<Finding> {
    words(&file.code)
        .filter(|(at, word)| matches!(*word, "sleep" | "nanosleep") && file.is_test(*at))
        .map(|(at, _)| file.finding(at, "a test sleeps: wait for the fact itself"))
        .collect()
}

fn layout(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let written = WRITTEN.contains(&file.extension());
    let lines = file.text.lines().count();
    if written && lines > FILE_LINES_MAX {
        findings.push(file.finding(file.text.len(), format!("{lines} lines: split the file")));
    }
    if file.extension() == "json" || file.text.is_empty() {
        return findings; // Captured answers of other venues stay as they came.
    }
    for (index, line) in file.text.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            let (path, line) = (file.path.clone(), index + 1);
            findings.push(Finding { path, line, what: "white space ends the line".into() });
        }
    }
    if !file.text.ends_with('\n') || file.text.ends_with("\n\n") {
        findings.push(file.finding(file.text.len(), "a file ends with one line feed"));
    }
    findings
}

fn unsafe_code(file: &File) -> Vec<Finding> {
    if UNSAFE_ALLOWED.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let found = words(&file.code).filter(|(_, word)| *word == "unsafe");
    found.map(|(at, _)| file.finding(at, format!("unsafe outside {UNSAFE_ALLOWED:?}"))).collect()
}

fn floats(file: &File) -> Vec<Finding> {
    if file.is_below(FLOATS_ALLOWED) {
        return Vec::new();
    }
    let is_type = |word: &str| {
        matches!(word, "f32" | "f64") || word.ends_with("_f32") || word.ends_with("_f64")
    };
    let types = words(&file.code).filter(|(_, word)| is_type(word)).map(|(at, _)| at);
    let what = "a float: prices, quantities and money are whole numbers";
    types.chain(float_literals(&file.code)).map(|at| file.finding(at, what)).collect()
}

/// In a pure crate a map names its hasher: `HashMap<K, V, S>`, `HashSet<T, S>`.
fn default_hashers(file: &File) -> Vec<Finding> {
    if !file.is_below(PURE) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, word) in words(&file.code) {
        let parameters = match word {
            "HashMap" => 3,
            "HashSet" => 2,
            _ => continue,
        };
        let rest = file.code[at + word.len()..].trim_start();
        let rest = rest.strip_prefix("::").unwrap_or(rest).trim_start();
        let constructs = ["new(", "with_capacity(", "from("].iter().any(|it| rest.starts_with(it));
        let default = match rest.strip_prefix('<') {
            Some(inside) => generic_count(inside) < parameters,
            None => constructs,
        };
        if default {
            findings.push(file.finding(at, format!("a `{word}` with the default hasher")));
        }
    }
    findings
}

/// Counts the parameters up to the `>` that closes the list.
fn generic_count(inside: &str) -> usize {
    let (mut depth, mut count, mut open) = (0, 0, false);
    let mut before = ' ';
    for character in inside.chars() {
        match character {
            '>' if before == '-' => {} // An arrow.
            '>' if depth == 0 => break,
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => open = false,
            _ => {}
        }
        if !open && !character.is_whitespace() && character != ',' {
            (open, count) = (true, count + 1);
        }
        before = character;
    }
    count
}

fn impure(file: &File) -> Vec<Finding> {
    if !file.is_below(PURE) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, word) in words(&file.code) {
        if IMPURE_WORDS.contains(&word) {
            findings.push(file.finding(at, format!("`{word}` in a pure crate")));
        }
        if word == "std" {
            let rest = &file.code[at..];
            let clock_or_thread =
                ["std::time", "std::thread"].iter().any(|it| rest.starts_with(it));
            if clock_or_thread || !file.is_test(at) {
                findings.push(file.finding(at, "`std` in a crate that builds without it"));
            }
        }
    }
    findings
}

fn no_std_declared(files: &[File]) -> Vec<Finding> {
    let roots = files
        .iter()
        .filter(|file| PURE.iter().any(|place| file.path.strip_prefix(place) == Some("lib.rs")));
    roots
        .filter(|file| !file.code.contains("#![no_std]"))
        .map(|file| file.finding(0, "the crate must say `#![no_std]`"))
        .collect()
}

fn decisions_linked(files: &[File]) -> Vec<Finding> {
    let index = files.iter().find(|file| file.path == "docs/ARCHITECTURE.md");
    let index = index.map_or("", |file| file.text.as_str());
    files
        .iter()
        .filter(|file| file.path.starts_with("docs/decisions/"))
        .filter(|file| !index.contains(&format!("(decisions/{})", file.name())))
        .map(|file| file.finding(0, "docs/ARCHITECTURE.md has no link to this decision"))
        .collect()
}

/// Links between our own pages. What points to the network is not looked up.
fn broken_links(files: &[File]) -> Vec<Finding> {
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let exists = |target: &str| {
        paths.contains(target) || paths.iter().any(|path| path.starts_with(&format!("{target}/")))
    };
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.extension() == "md") {
        for (at, link) in links(&file.text) {
            let page = link.split('#').next().unwrap_or("");
            if !page.is_empty() && !page.contains(':') && !exists(&resolve(&file.path, page)) {
                findings.push(file.finding(at, format!("a link to `{link}`, which is not there")));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` outside code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut offset, mut in_code) = (Vec::new(), 0, false);
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        for (at, _) in line.match_indices("](").filter(|_| !in_code) {
            let target = &line[at + 2..];
            if let Some(length) = target.find(')') {
                found.push((offset + at, &target[..length]));
            }
        }
        offset += line.len();
    }
    found
}

/// A link of a page, seen from the root.
fn resolve(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines on which a rule finds something.
    fn lines(rule: fn(&File) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        rule(&File::new(path, text)).into_iter().map(|finding| finding.line).collect()
    }

    #[track_caller]
    fn check(rule: fn(&File) -> Vec<Finding>, path: &str, text: &str, expected: &[usize]) {
        assert_eq!(lines(rule, path, text), expected, "{path}: {text}");
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_in_notes() {
        for name in UNFINISHED {
            check(unfinished, "app/src/a.rs", &format!("a\n{name}()"), &[2]);
            check(unfinished, "app/src/a.rs", &format!("// {name}\n\"{name}\""), &[]);
            check(unfinished, "app/src/a.rs", &format!("my_{name}()"), &[]);
        }
        for note in UNFINISHED_NOTES {
            check(unfinished, "app/src/a.rs", &format!("// a\n// {note}: b"), &[2]);
            check(unfinished, "docs/a.md", note, &[1]);
            check(unfinished, ".ci/run", &format!("mktemp /a/{note}{note}"), &[]);
        }
    }

    #[test]
    fn tests_that_are_switched_off_are_found() {
        for attribute in TESTS_OFF {
            check(tests_off, "tests/a.rs", &format!("#[{attribute} = 1]\nfn a() {{}}"), &[1]);
            check(tests_off, "app/src/a.rs", &format!("a\n#[cfg_attr(b, {attribute})]"), &[2]);
            check(tests_off, "tests/a.rs", &format!("// #[{attribute}]\n{attribute}[0]"), &[]);
        }
    }

    #[test]
    fn only_tests_may_not_sleep() {
        let text = "thread::sleep(a);\n#[cfg(test)]\nmod tests {\nfn a() { thread::sleep(b) }\n}";
        check(sleeping_tests, "app/src/a.rs", text, &[4]);
        check(sleeping_tests, "tests/a.rs", text, &[1, 4]);
        check(sleeping_tests, "store/src/tests.rs", text, &[1, 4]);
        check(sleeping_tests, "tests/a.rs", "fn no_sleep_here() {} // sleep", &[]);
    }

    #[test]
    fn layout_is_looked_at_in_every_text() {
        check(layout, "app/src/a.rs", "a\nb\n", &[]);
        check(layout, "app/src/a.rs", "a \nb\n", &[1]);
        check(layout, "docs/a.md", "a\nb\t\n", &[2]);
        check(layout, "docs/a.md", "a\r\nb\n", &[1]);
        check(layout, "Makefile", "a\nb", &[2]);
        check(layout, "docs/a.md", "a\n\n", &[3]);
        check(layout, "tests/data/a.json", "{} ", &[]);
        check(layout, "app/src/a.rs", &"a\n".repeat(FILE_LINES_MAX), &[]);
        check(layout, "app/src/a.rs", &"a\n".repeat(FILE_LINES_MAX + 1), &[FILE_LINES_MAX + 2]);
        check(layout, "tests/golden/a.txt", &"a\n".repeat(FILE_LINES_MAX + 1), &[]);
    }

    #[test]
    fn unsafe_stays_in_its_two_modules() {
        check(unsafe_code, "store/src/log.rs", "a\nunsafe { b }", &[2]);
        check(unsafe_code, "store/src/map.rs", "unsafe { b }", &[]);
        check(unsafe_code, "store/src/log.rs", "#![deny(unsafe_code)] // unsafe", &[]);
    }

    #[test]
    fn floats_are_found_as_types_methods_and_literals() {
        check(floats, "app/src/a.rs", "let a: f64 = b;\nlet c = 1.5;", &[1, 2]);
        check(floats, "gateway/src/a.rs", "a.as_secs_f64()", &[1]);
        check(floats, "tests/a.rs", "let price = 30000.95999999;", &[1]);
        check(floats, "app/src/a.rs", "// f64\n\"1.5\"; 0..5; a.0.1; 0xf64", &[]);
        check(floats, "app/src/progress.rs", "f64", &[]);
        check(floats, "bench/src/main.rs", "1.5", &[]);
    }

    #[test]
    fn a_map_of_the_engine_names_its_hasher() {
        for (text, found) in [
            ("HashMap<u64, Order>", 1),
            ("HashMap<u64, (A, B)>", 1),
            ("HashMap<u64, Vec<(A, B)>, Keyed>", 0),
            ("HashMap<\n u64,\n Order,\n Keyed,\n>", 0),
            ("HashSet<u64>", 1),
            ("HashSet<u64, Keyed>", 0),
            ("HashMap<u64, fn(A) -> B>", 1),
            ("HashMap::new()", 1),
            ("HashMap::<u64, Order>::new()", 1),
            ("HashMap::with_hasher(keyed)", 0),
            ("use hashbrown::HashMap;", 0),
        ] {
            check(default_hashers, "engine/src/a.rs", text, &[1][..found]);
            check(default_hashers, "app/src/a.rs", text, &[]);
        }
    }

    #[test]
    fn the_engine_knows_no_clock_no_thread_no_chance_and_no_std() {
        for text in [
            "use std::collections::BTreeMap;",
            "std::time::Duration",
            "fn a(b: Instant) {}",
            "SystemTime::now()",
            "rand::random()",
            "#[cfg(test)] mod tests { use std::thread; }",
        ] {
            check(impure, "engine/src/a.rs", text, &[1]);
            check(impure, "protocol/src/a/b.rs", text, &[1]);
            check(impure, "store/src/a.rs", text, &[]);
        }
        let tests = "#[cfg(test)] extern crate std;\n#[cfg(test)] mod tests { use std::vec; }";
        check(impure, "engine/src/a.rs", tests, &[]);
        check(impure, "engine/src/a.rs", "#![no_std] // std\nuse core::mem; operand(a)", &[]);
    }

    #[test]
    fn pure_crates_declare_it() {
        let without = [File::new("engine/src/lib.rs", "// #![no_std]\n")];
        assert_eq!(no_std_declared(&without).len(), 1);
        let with =
            [File::new("engine/src/lib.rs", "#![no_std]\n"), File::new("app/src/lib.rs", "")];
        assert_eq!(no_std_declared(&with).len(), 0);
    }

    #[test]
    fn a_decision_without_a_link_is_found() {
        let decision = || File::new("docs/decisions/0001-a.md", "a");
        let linked = File::new("docs/ARCHITECTURE.md", "[a](decisions/0001-a.md)");
        assert_eq!(decisions_linked(&[decision()]).len(), 1);
        assert_eq!(decisions_linked(&[decision(), linked]).len(), 0);
    }

    #[test]
    fn a_link_to_a_page_that_is_not_there_is_found() {
        let page = |text: &str| {
            broken_links(&[File::new("docs/a.md", text), File::new("README.md", "b")]).len()
        };
        assert_eq!(page("[b](../README.md#c) [d](https://e.f) [g](#h) [i](../docs/)"), 0);
        assert_eq!(page("[b](README.md)"), 1);
        assert_eq!(page("```\na[0](b)\n```\n"), 0);
    }
}
