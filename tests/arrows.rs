//! Which crate may use which: the table of docs/ARCHITECTURE.md as data, held against the
//! manifests. `cargo xtask tidy` reads this file too, so it needs nothing but `toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

struct Row {
    /// The folder, and the package in it.
    name: &'static str,
    floor: &'static str,
    may_use: &'static [&'static str],
    must_never_know: &'static str,
}

const BELOW_APP: &[&str] = &[
    "protocol",
    "engine",
    "store",
    "marketdata",
    "sequencer",
    "replication",
    "gateway",
    "feed",
    "report",
    "clients",
];
const ALL: &[&str] = &[
    "protocol",
    "engine",
    "store",
    "marketdata",
    "sequencer",
    "replication",
    "gateway",
    "feed",
    "report",
    "clients",
    "app",
    "bench",
    "fuzz",
];

/// Rows whose crate is still to come bind it from its first day.
const ROWS: &[Row] = &[
    row("protocol", "0", &[], "JSON, I/O, clock"),
    row(
        "engine",
        "1",
        &["protocol"],
        "store, tokio, `std::time`, threads, randomness, floats, hash-map order",
    ),
    row("store", "1", &["protocol"], "orders, trades"),
    row("marketdata", "1", &["protocol"], "engine, store, JSON"),
    row("sequencer", "2", &["protocol", "store"], "engine, gateway"),
    row("replication", "2", &["protocol", "store"], "engine; what a command means"),
    row("gateway", "2", &["protocol", "marketdata", "store"], "engine, replication, report"),
    row("feed", "2", &["protocol", "marketdata", "store"], "engine, gateway"),
    row("report", "2", &["protocol", "marketdata", "store"], "engine, gateway"),
    row("app", "3", BELOW_APP, "rules of fields"),
    row("tests", "4", ALL, "–"),
    row("clients", "beside", &["protocol"], "everything behind the wire"),
    row("bench", "beside", ALL, "–"),
    row("fuzz", "beside", ALL, "–"),
    row("xtask", "beside", &[], "–"),
];

const fn row(
    name: &'static str,
    floor: &'static str,
    may_use: &'static [&'static str],
    must_never_know: &'static str,
) -> Row {
    Row { name, floor, may_use, must_never_know }
}

/// All that the engine may be built from, its own dependencies' dependencies included.
const ENGINE_CLOSURE: &[&str] = &["engine", "protocol", "hashbrown", "rkyv", "xxhash-rust"];
/// Features by which those would bring in std, or a hasher with a random seed.
const ENGINE_FEATURES_REFUSED: &[&str] = &["default", "std", "default-hasher", "rayon"];
/// Packages of others that stay where they are.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("serde_json", &["app", "gateway", "feed", "clients", "tests"]),
    ("anyhow", &["app", "xtask"]),
];
/// What a crate may take for its own tests, besides what its floor allows.
const DEV_ONLY: &[&str] = &["loom", "tempfile"];
const TEST_CRATES: &[&str] = &["tests", "bench", "fuzz"];

/// A manifest, reduced to what the arrows are about.
struct Crate {
    /// The folder, seen from the root.
    path: String,
    package: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    kind: Kind,
    default_features: bool,
    features: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Build,
    Dev,
}

/// Everything in the workspace that breaks the table, as lines to print.
pub(crate) fn violations(root: &Path) -> Vec<String> {
    let crates = match workspace(root) {
        Ok(crates) => crates,
        Err(error) => return vec![error],
    };
    let mut found = Vec::new();
    for each in &crates {
        found.extend(placement(each));
        found.extend(arrows(each, &crates));
        found.extend(packages_of_others(each, &crates));
    }
    found.extend(engine_closure(&crates));
    match fs::read_to_string(root.join("docs/ARCHITECTURE.md")) {
        Ok(page) => found.extend(page_differs(&page)),
        Err(error) => found.push(format!("docs/ARCHITECTURE.md: {error}")),
    }
    found
}

fn workspace(root: &Path) -> Result<Vec<Crate>, String> {
    let manifest = parse(&root.join("Cargo.toml"))?;
    let shared = manifest.get("workspace").and_then(Value::as_table).ok_or("no [workspace]")?;
    let members = shared.get("members").and_then(Value::as_array).ok_or("no members")?;
    let catalog = shared.get("dependencies").and_then(Value::as_table).ok_or("no dependencies")?;
    members
        .iter()
        .map(|member| {
            let path = member.as_str().ok_or("a member that is not a string")?;
            read_crate(path, &parse(&root.join(path).join("Cargo.toml"))?, catalog)
        })
        .collect()
}

fn parse(path: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.parse().map_err(|error| format!("{}: {error}", path.display()))
}

fn read_crate(path: &str, manifest: &Table, catalog: &Table) -> Result<Crate, String> {
    let package = manifest.get("package").and_then(|package| package.get("name"));
    let package = package.and_then(Value::as_str).ok_or(format!("{path}: no package name"))?;
    let mut dependencies = sections(manifest, catalog);
    for platform in manifest.get("target").and_then(Value::as_table).into_iter().flatten() {
        dependencies.extend(platform.1.as_table().into_iter().flat_map(|it| sections(it, catalog)));
    }
    Ok(Crate { path: path.into(), package: package.into(), dependencies })
}

/// The dependencies of one manifest, or of one of its `[target.…]` tables.
fn sections(table: &Table, catalog: &Table) -> Vec<Dependency> {
    let names = [
        ("dependencies", Kind::Normal),
        ("build-dependencies", Kind::Build),
        ("dev-dependencies", Kind::Dev),
    ];
    let mut found = Vec::new();
    for (section, kind) in names {
        for (key, value) in table.get(section).and_then(Value::as_table).into_iter().flatten() {
            found.push(read_dependency(key, value, kind, catalog));
        }
    }
    found
}

fn read_dependency(key: &str, value: &Value, kind: Kind, catalog: &Table) -> Dependency {
    let inherits = value.get("workspace").and_then(Value::as_bool) == Some(true);
    let shared = if inherits { catalog.get(key) } else { None };
    let sources = || shared.into_iter().chain([value]);
    let name = sources().find_map(|source| source.get("package").and_then(Value::as_str));
    let defaults = |source: &Value| source.get("default-features").and_then(Value::as_bool);
    let features = sources().filter_map(|source| source.get("features")?.as_array()).flatten();
    Dependency {
        name: name.unwrap_or(key).into(),
        kind,
        // Cargo ignores `default-features = false` of a member when the workspace has them on.
        default_features: defaults(shared.unwrap_or(value)).unwrap_or(true)
            || (inherits && defaults(value) == Some(true)),
        features: features.filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

/// The row of a crate: its own, or for a leaf under `clients/` theirs.
fn row_of(each: &Crate) -> Option<&'static Row> {
    let folder = each.path.split('/').next().unwrap_or("");
    ROWS.iter().find(|row| row.name == folder)
}

fn placement(each: &Crate) -> Vec<String> {
    let Crate { path, package, .. } = each;
    let mut found = Vec::new();
    if row_of(each).is_none() {
        found.push(format!("{path}: no row in the arrow table; decide what it may use"));
    }
    let is_leaf = path.starts_with("clients/") && path.matches('/').count() == 1;
    if !is_leaf && (path.contains('/') || path == "." || path == "..") {
        found.push(format!("{path}: a crate lies directly below the root"));
    }
    if !is_leaf && path != package {
        found.push(format!("{path}: the package is `{package}`, not what its folder says"));
    }
    found
}

fn arrows(each: &Crate, crates: &[Crate]) -> Vec<String> {
    let Some(row) = row_of(each) else { return Vec::new() };
    let used = each.dependencies.iter().map(|dependency| dependency.name.as_str());
    let wrong = used.filter(|name| is_ours(name, crates) && !row.may_use.contains(name));
    wrong.map(|name| format!("{}: may not use `{name}`", each.path)).collect()
}

/// Also a crate that is still to come.
fn is_ours(name: &str, crates: &[Crate]) -> bool {
    ROWS.iter().any(|row| row.name == name) || crates.iter().any(|other| other.package == name)
}

fn packages_of_others(each: &Crate, crates: &[Crate]) -> Vec<String> {
    let mut found = Vec::new();
    for Dependency { name, kind, .. } in &each.dependencies {
        let homes = ONLY_IN.iter().find(|(package, _)| package == name).map(|(_, homes)| *homes);
        if homes.is_some_and(|homes| !homes.contains(&each.path.as_str())) {
            found.push(format!("{}: `{name}` belongs to others", each.path));
        }
        let is_test_crate = TEST_CRATES.contains(&each.path.as_str());
        let for_tests = *kind == Kind::Dev && !is_test_crate && !is_ours(name, crates);
        if for_tests && !DEV_ONLY.contains(&name.as_str()) {
            found.push(format!("{}: `{name}` for tests only; use {DEV_ONLY:?}", each.path));
        }
    }
    found
}

/// What the engine is built from, through our own crates, has no std and no chance in it.
fn engine_closure(crates: &[Crate]) -> Vec<String> {
    let by_name: BTreeMap<&str, &Crate> =
        crates.iter().map(|each| (each.package.as_str(), each)).collect();
    let (mut found, mut seen, mut open) = (Vec::new(), BTreeSet::new(), vec!["engine"]);
    while let Some(name) = open.pop() {
        let Some(each) = by_name.get(name).filter(|_| seen.insert(name)) else { continue };
        for dependency in each.dependencies.iter().filter(|it| it.kind != Kind::Dev) {
            let to = dependency.name.as_str();
            if !ENGINE_CLOSURE.contains(&to) {
                found.push(format!("{name}: `{to}` would become a part of the engine"));
            }
            let features = dependency.features.iter().map(String::as_str);
            let refused: Vec<_> =
                features.filter(|it| ENGINE_FEATURES_REFUSED.contains(it)).collect();
            let with_defaults = dependency.default_features && !by_name.contains_key(to);
            if with_defaults || !refused.is_empty() {
                found.push(format!("{name}: `{to}` with default features or {refused:?}"));
            }
            open.push(to);
        }
    }
    if seen.is_empty() {
        found.push("there is no crate `engine`".into());
    }
    found
}

/// The table as the page shows it.
fn table() -> String {
    let mut text =
        String::from("| floor | crate | may use | must never know |\n|---|---|---|---|\n");
    for Row { name, floor, may_use, must_never_know } in ROWS {
        let uses = match *may_use {
            [] => "nothing of ours".into(),
            BELOW_APP => "all of the above and clients".into(),
            ALL => "any of ours".into(),
            names => names.join(", "),
        };
        text += &format!("| {floor} | {name} | {uses} | {must_never_know} |\n");
    }
    text
}

fn page_differs(page: &str) -> Option<String> {
    let table = table();
    (!page.contains(&table))
        .then(|| format!("docs/ARCHITECTURE.md: the table should read\n{table}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_uses_only_what_its_floor_may() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let found = violations(root);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[track_caller]
    fn check(path: &str, manifest: &str, expected: &[&str]) {
        let catalog = "engine = { path = \"engine\" }\nhashbrown = \"1\"\nserde_json = \"1\"\n\
                       rkyv = { version = \"1\", default-features = false }\ntempfile = \"1\"";
        let catalog: Table = catalog.parse().unwrap();
        let manifest = format!("package.name = \"{path}\"\n{manifest}");
        let each = read_crate(path, &manifest.parse().unwrap(), &catalog).unwrap();
        let crates = [each];
        let mut found = placement(&crates[0]);
        found.extend(arrows(&crates[0], &crates));
        found.extend(packages_of_others(&crates[0], &crates));
        if path == "engine" {
            found.extend(engine_closure(&crates));
        }
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, expected, "{path}: {manifest}");
    }

    #[test]
    fn an_arrow_against_the_table_is_found_in_every_section() {
        let refused = ["gateway: may not use `engine`"];
        for section in [
            "dependencies",
            "build-dependencies",
            "dev-dependencies",
            "target.'cfg(unix)'.dependencies",
            "target.'cfg(unix)'.dev-dependencies",
        ] {
            check("gateway", &format!("[{section}]\nengine.workspace = true"), &refused);
        }
        check(
            "gateway",
            "[dependencies]\nother = { package = \"engine\", path = \"a\" }",
            &refused,
        );
        check("gateway", "[dependencies]\nprotocol = { path = \"a\" }", &[]);
        check("app", "[dependencies]\nengine.workspace = true", &[]);
        check("app", "[dependencies]\ntests = { path = \"a\" }", &["app: may not use `tests`"]);
        check(
            "xtask",
            "[dependencies]\nprotocol = { path = \"a\" }",
            &["xtask: may not use `protocol`"],
        );
    }

    #[test]
    fn packages_of_others_stay_where_they_belong() {
        let json = "[dependencies]\nserde_json.workspace = true";
        check("app", json, &[]);
        check("store", json, &["store: `serde_json` belongs to others"]);
        check("store", "[dev-dependencies]\ntempfile.workspace = true", &[]);
        check(
            "store",
            "[dev-dependencies]\nrand = \"1\"",
            &["store: `rand` for tests only; use [\"loom\", \"tempfile\"]"],
        );
        check("tests", "[dev-dependencies]\nrand = \"1\"", &[]);
    }

    #[test]
    fn the_engine_is_built_from_a_closed_list_without_std() {
        check("engine", "[dependencies]\nrkyv.workspace = true", &[]);
        check(
            "engine",
            "[dependencies]\nrkyv = { workspace = true, features = [\"std\"] }",
            &["engine: `rkyv` with default features or [\"std\"]"],
        );
        check(
            "engine",
            "[dependencies]\nhashbrown.workspace = true",
            &["engine: `hashbrown` with default features or []"],
        );
        check(
            "engine",
            "[dependencies]\ntokio = { version = \"1\", default-features = false }",
            &["engine: `tokio` would become a part of the engine"],
        );
    }

    #[test]
    fn a_crate_lies_below_the_root_and_has_a_row() {
        check("clients/bot", "", &[]);
        check("engine/book", "", &["engine/book: a crate lies directly below the root"]);
        check("helpers", "", &["helpers: no row in the arrow table; decide what it may use"]);
    }

    #[test]
    fn a_page_with_another_table_is_found() {
        assert!(page_differs(&format!("# A\n\n{}\nb", table())).is_none());
        assert!(page_differs(&table().replace("orders, trades", "orders")).is_some());
    }
}
