//! The source checks itself: does it have the shape that `crates/README.md` promises?
//!
//! Reads files only, in milliseconds; everything else is the compiler's and clippy's. Absent on purpose: taste.
//!
//! INVARIANT: a failure names every offender with its path, not only the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Crate → the crates of ours that it may use. A new edge is a decision: it changes this table and the code map.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("process", &[]),
    ("failpoint", &[]),
    ("faults", &["model"]),
    ("auth", &["model"]),
    ("probe", &["auth", "model"]),
    ("wire", &["model"]),
    ("store", &["auth", "failpoint", "wire", "model"]),
    ("agent", &["auth", "failpoint", "probe", "wire", "process", "model"]),
    ("controller", &["auth", "failpoint", "faults", "store", "wire", "process", "model"]),
    ("world", &["controller", "agent", "probe", "store", "wire", "process", "model"]),
    (
        "parallax",
        &[
            "agent",
            "auth",
            "controller",
            "faults",
            "model",
            "probe",
            "process",
            "store",
            "wire",
            "world",
        ],
    ),
];

/// These know nothing but values: no clock, no runtime, no log, no randomness.
const PURE: &[&str] = &["model", "faults"];

/// All that lies at the top, dot-files and build output apart.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "crates",
    "deploy",
    "proto",
    "rust-toolchain.toml",
    "tests",
];

const LINES_MAX: usize = 600;

/// A module is named after what it knows.
const NAMELESS: &[&str] =
    &["common", "helper", "helpers", "manager", "misc", "types", "util", "utils"];

/// Words of unfinished work; cut in two, so that this list does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[ig", "nore"),
    concat!("for ", "now,"),
    concat!("for ", "now."),
    concat!("not yet ", "implemented"),
    concat!("dum", "my"),
];

/// What each cause's file says before its code.
const FAULT_HEADINGS: &[&str] =
    &["//! ## What it says", "//! ## How we know", "//! ## What it is not", "//! ## What to do"];

/// Causes that nothing we can ask ever settles: a client certificate, or the rules of a publishing layer would.
const OPEN_AT_MOST: [&str; 2] =
    ["client_cert_strong_mapping_enforced", "isa_useragent_mapping_forms"];

/// In `causes/`, but no causes: what several of them share.
const SHARED_BY_CAUSES: &[&str] = &[
    "back_end",
    "front_logon",
    "fronts",
    "handshakes",
    "legacy",
    "mod",
    "node",
    "preauth",
    "tcp",
    "user",
    "views",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listing.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Every file of ours below `folder` that ends in one of `endings`.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(folder) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            let foreign = ["target", "node_modules", "__pycache__", "google"];
            if !name.starts_with('.') && !foreign.contains(&name.as_str()) {
                found.extend(files(&path, endings));
            }
        } else if path.extension().is_some_and(|it| endings.iter().any(|ending| it == *ending)) {
            found.push(path);
        }
    }
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// Relative to the workspace, for messages.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[track_caller]
fn assert_none(offenders: &[String], rule: &str) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

/// Names of what a crate is built with, tests apart.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    for table in tables {
        for key in ["dependencies", "build-dependencies"] {
            if let Some(found) = table.get(key).and_then(toml::Value::as_table) {
                names.extend(found.keys().cloned());
            }
        }
    }
    names
}

/// Folder name of each crate → what it is built with.
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    entries(&root().join("crates"))
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|path| {
            let text = read(&path.join("Cargo.toml"));
            let manifest: toml::Table = text.parse().expect("a manifest");
            (stem(&path), dependencies(&manifest))
        })
        .collect()
}

#[test]
fn crates_use_only_what_the_table_allows() {
    let manifests = manifests();
    let known: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let mut offenders: Vec<String> = manifests
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
        .map(|name| format!("{name} is in no row of the table"))
        .collect();
    for (name, allowed) in EDGES {
        let Some(used) = manifests.get(*name) else {
            offenders.push(format!("{name} has no folder"));
            continue;
        };
        let ours = used.iter().filter_map(|it| it.strip_prefix("parallax-"));
        offenders
            .extend(ours.filter(|it| !allowed.contains(it)).map(|it| format!("{name} -> {it}")));
    }
    assert_none(&offenders, "edges that the table does not have");
}

#[test]
fn the_code_map_shows_the_same_edges() {
    let map = read(&root().join("crates/README.md"));
    let missing: Vec<String> = EDGES
        .iter()
        .map(|(name, allowed)| {
            let edges = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
            format!("| `{name}` | {edges} |")
        })
        .filter(|row| !map.contains(row.as_str()))
        .collect();
    assert_none(&missing, "rows that `crates/README.md` lacks");
}

#[test]
fn the_pure_crates_use_nothing_else() {
    let manifests = manifests();
    let mut offenders = Vec::new();
    for name in PURE {
        let foreign = manifests[*name].iter().filter(|it| !it.starts_with("parallax-"));
        offenders.extend(foreign.map(|it| format!("{name} -> {it}")));
    }
    assert_none(&offenders, "dependencies of crates that have none");
}

#[test]
fn every_crate_has_the_workspace_lints_and_is_named_after_its_folder() {
    let mut offenders = Vec::new();
    for folder in entries(&root().join("crates")).into_iter().filter(|path| path.is_dir()) {
        let manifest: toml::Table = read(&folder.join("Cargo.toml")).parse().expect("a manifest");
        if manifest.get("lints").and_then(|it| it.get("workspace")) != Some(&true.into()) {
            offenders.push(format!("{}: [lints] workspace = true", shown(&folder)));
        }
        let name = manifest["package"]["name"].as_str().expect("a name");
        if name != stem(&folder) && name != format!("parallax-{}", stem(&folder)) {
            offenders.push(format!("{}: is called {name}", shown(&folder)));
        }
    }
    assert_none(&offenders, "manifests");
}

#[test]
fn source_files_open_with_their_purpose_and_stay_small() {
    let mut offenders = Vec::new();
    for path in files(&root(), &["rs"]) {
        let text = read(&path);
        if !text.starts_with("//! ") || text.starts_with("//! .") {
            offenders.push(format!("{}: does not open with what it is for", shown(&path)));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            offenders.push(format!("{}: {lines} lines, at most {LINES_MAX}", shown(&path)));
        }
    }
    assert_none(&offenders, "source files");
}

#[test]
fn modules_are_named_after_what_they_know() {
    let mut offenders = Vec::new();
    for path in files(&root(), &["rs"]) {
        let relative = PathBuf::from(shown(&path));
        let parts = relative.iter().map(|it| it.to_string_lossy().replace(".rs", ""));
        let inline = read(&path);
        let inline = inline.lines().filter_map(|line| {
            let (_, after) = line.trim_start().split_once("mod ")?;
            Some(after.trim_end_matches([' ', '{', ';']).to_owned())
        });
        for name in parts.chain(inline) {
            if NAMELESS.contains(&name.as_str()) {
                offenders.push(format!("{}: `{name}`", shown(&path)));
            }
        }
    }
    assert_none(&offenders, "names that say nothing");
}

/// Places of the fields (and enum values) of a `.proto` file that no comment stands above.
fn fields_without_comment(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut before = "";
    let mut options = 0_usize;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let is_statement = line.starts_with("option ") || line.starts_with("syntax ");
        let is_field = options == 0
            && !is_statement
            && !line.starts_with("//")
            && line.split_once(" = ").is_some_and(|(name, value)| {
                name.chars().all(|it| it.is_alphanumeric() || "_ .<>,".contains(it))
                    && value.starts_with(|it: char| it.is_ascii_digit())
            });
        if is_field && !before.starts_with("//") {
            found.push(number + 1);
        }
        options += line.matches(['[', '{']).count() * usize::from(is_field || options > 0);
        if options > 0 {
            options = options.saturating_sub(line.matches([']', '}']).count());
        }
        if !line.is_empty() {
            before = line;
        }
    }
    found
}

#[test]
fn every_proto_field_has_a_comment() {
    let mut offenders = Vec::new();
    for path in files(&root().join("proto"), &["proto"]) {
        let lines = fields_without_comment(&read(&path));
        offenders.extend(lines.iter().map(|line| format!("{}:{line}", shown(&path))));
    }
    assert_none(&offenders, "fields without a comment");
}

/// The reader above finds what it is for; else the test before could not fail.
#[test]
fn a_bare_field_is_found() {
    let text = "message A {\n  // Said.\n  string a = 1 [\n    (x) = REQUIRED,\n    (y) = {t: 1}\n  ];\n  \
                map<string, B> b = 2;\n  // Said.\n  oneof c {\n    int32 d = 3;\n  }\n}\n\
                enum E {\n  E_UNSPECIFIED = 0;\n}\n";
    assert_eq!(fields_without_comment(text), [7, 10, 14]);
}

/// Whether the word stands by itself: `\u` and four `X` is something else.
fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let is_letter = |it: Option<char>| it.is_some_and(char::is_alphanumeric);
        !is_letter(before) && (!word.ends_with(char::is_alphanumeric) || !is_letter(after))
    })
}

#[test]
fn no_word_of_unfinished_work() {
    let mut offenders = Vec::new();
    for path in files(&root(), &["rs", "proto", "sql", "py", "sh", "md", "toml", "json"]) {
        for (number, line) in read(&path).lines().enumerate() {
            for word in UNFINISHED.iter().filter(|word| holds_word(line, word)) {
                offenders.push(format!("{}:{}: {word}", shown(&path), number + 1));
            }
        }
    }
    assert_none(&offenders, "words of unfinished work");
}

#[test]
fn the_top_level_is_what_was_agreed() {
    let found: Vec<String> = entries(&root())
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    assert_eq!(found, TOP);
}

/// The causes that have a file; their ids are the files' names.
fn causes() -> Vec<PathBuf> {
    let all = files(&root().join("crates/faults/src/causes"), &["rs"]);
    all.into_iter().filter(|path| !SHARED_BY_CAUSES.contains(&stem(path).as_str())).collect()
}

#[test]
fn a_cause_opens_with_its_id_and_the_four_headings() {
    let mut offenders = Vec::new();
    for path in causes() {
        let text = read(&path);
        let header: Vec<&str> = text.lines().take_while(|it| it.starts_with("//!")).collect();
        let title = format!("//! `{}`", stem(&path));
        if header.first() != Some(&title.as_str()) {
            offenders.push(format!("{}: has to begin with {title}", shown(&path)));
        }
        let headings: Vec<&str> =
            header.iter().filter(|it| it.starts_with("//! ## ")).copied().collect();
        if headings != FAULT_HEADINGS {
            offenders.push(format!("{}: headings are {headings:?}", shown(&path)));
        }
    }
    assert!(causes().len() >= 18, "the catalogue was not found");
    assert_none(&offenders, "files of causes");
}

/// That each text is complete is the catalogue's own test; here: none is missing and none is left over.
#[test]
fn every_cause_has_its_text_in_both_languages() {
    let mut expected: BTreeSet<String> = causes().iter().map(|path| stem(path)).collect();
    expected.extend(["healthy".to_owned(), "undetermined".to_owned()]);
    for language in ["en", "ja"] {
        let folder = root().join("crates/faults/texts").join(language);
        let found: BTreeSet<String> = files(&folder, &["md"]).iter().map(|it| stem(it)).collect();
        assert_eq!(found, expected, "{language}");
    }
}

/// What a world says about the answer: the verdict, what may stand beside it, and what is no fault.
fn named_by(world: &Value) -> Vec<String> {
    let expect = &world["expect"];
    let lists = ["also", "tolerated"].into_iter().filter_map(|key| expect[key].as_array());
    let names = std::iter::once(&expect["fault"]).chain(lists.flatten());
    names.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// What a world lists under a key of its expectation.
fn listed(world: &Value, key: &str) -> Vec<String> {
    let list = world["expect"][key].as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// A cause is shown where it is the answer; one that `OPTIONS` never sees where it is named as such, and one that nobody here can
/// settle where it is left open.
#[test]
fn every_cause_has_a_world() {
    let worlds = entries(&root().join("tests/worlds")).into_iter();
    let worlds: Vec<Value> = worlds
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .map(|path| serde_json::from_str(&read(&path)).expect("a world"))
        .collect();
    let all = |of: &dyn Fn(&Value) -> Vec<String>| worlds.iter().flat_map(of).collect();
    let named: BTreeSet<String> = all(&named_by);
    let not_visible: BTreeSet<String> = all(&|it| listed(it, "not_visible"));
    let open: BTreeSet<String> = all(&|it| listed(it, "open"));
    let mut missing = Vec::new();
    for path in causes() {
        let id = stem(&path);
        let shown = if read(&path).contains("Reach::Beyond") {
            &not_visible
        } else if OPEN_AT_MOST.contains(&id.as_str()) {
            &open
        } else {
            &named
        };
        if !shown.contains(&id) {
            missing.push(id);
        }
    }
    let verdicts = ["healthy", "undetermined"].into_iter().filter(|it| !named.contains(*it));
    missing.extend(verdicts.map(ToOwned::to_owned));
    assert_none(&missing, "causes that no world shows");
}

/// What of the test builds a manifest switches on for whoever builds it: as a feature of a dependency, or by a feature of its
/// own of another name. What only its tests use is not in it.
fn test_features_of(manifest: &toml::Table) -> Vec<String> {
    let is_for_tests = |package: &str, feature: &str| {
        feature == "simulation" || (package == "parallax-failpoint" && feature == "enabled")
    };
    let mut found = Vec::new();
    let workspace = manifest.get("workspace").and_then(toml::Value::as_table);
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let targets = targets.into_iter().flat_map(toml::Table::values);
    let tables = [Some(manifest), workspace].into_iter().flatten();
    for table in tables.chain(targets.filter_map(toml::Value::as_table)) {
        for kind in ["dependencies", "build-dependencies"] {
            let packages = table.get(kind).and_then(toml::Value::as_table);
            for (package, how) in packages.into_iter().flatten() {
                let features = how.get("features").and_then(toml::Value::as_array);
                let features = features.into_iter().flatten().filter_map(toml::Value::as_str);
                let features = features.filter(|it| is_for_tests(package, it));
                found.extend(features.map(|it| format!("{kind}: {package}/{it}")));
            }
        }
    }
    let features = manifest.get("features").and_then(toml::Value::as_table);
    for (name, implied) in features.into_iter().flatten() {
        let implied = implied.as_array().into_iter().flatten().filter_map(toml::Value::as_str);
        for word in implied {
            let (package, feature) = word.split_once('/').unwrap_or(("", word));
            let package = package.trim_end_matches('?');
            // A seam for simulations may switch on those below it; fail points are nobody's but the campaigns'.
            let is_seam = name == "simulation" && feature == "simulation";
            if is_for_tests(package, feature) && !is_seam {
                found.push(format!("features: {name} = {word}"));
            }
        }
    }
    found
}

#[test]
fn only_the_campaigns_switch_on_what_is_for_tests() {
    let manifest = |path: &Path| read(path).parse::<toml::Table>().expect("a manifest");
    let mut offenders = Vec::new();
    let crates = entries(&root().join("crates")).into_iter().filter(|path| path.is_dir());
    for path in crates.map(|it| it.join("Cargo.toml")).chain([root().join("Cargo.toml")]) {
        let found = test_features_of(&manifest(&path));
        offenders.extend(found.iter().map(|it| format!("{}: {it}", shown(&path))));
    }
    assert_none(&offenders, "features for tests in a program that somebody uses");
    let campaigns = test_features_of(&manifest(&root().join("tests/long/Cargo.toml")));
    assert!(campaigns.contains(&"dependencies: parallax-failpoint/enabled".to_owned()));
    assert!(campaigns.contains(&"dependencies: parallax-agent/simulation".to_owned()));
    let sly = "[features]\ndefault = [\"simulation\"]\nfull = [\"parallax-failpoint?/enabled\"]\n\
               simulation = [\"parallax-store/simulation\"]\n";
    assert_eq!(
        test_features_of(&sly.parse().expect("a manifest")),
        ["features: default = simulation", "features: full = parallax-failpoint?/enabled"]
    );
}

/// Whether a program built by itself would have fail points.
fn has_fail_points(package: &str) -> bool {
    let words = ["tree", "--offline", "-p", package, "-e", "normal,features", "--prefix", "none"];
    let listed = std::process::Command::new(env!("CARGO"))
        .args(words)
        .current_dir(root())
        .output()
        .expect("cargo tells the features");
    let text = String::from_utf8_lossy(&listed.stdout);
    assert!(text.contains("parallax-failpoint"), "{}", String::from_utf8_lossy(&listed.stderr));
    text.contains("parallax-failpoint feature \"enabled\"")
}

#[test]
fn only_the_campaigns_have_fail_points() {
    assert!(!has_fail_points("parallax"));
    assert!(has_fail_points("parallax-long"), "else this test could not fail");
}
