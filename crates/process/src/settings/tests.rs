//! Settings of a made-up program: which layer wins, and every mistake at once.

use std::io::Write as _;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    name: String,
    probes_max: u32,
    log: RawLog,
    servers: Vec<String>,
    hosts: Vec<RawHost>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawHost {
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawLog {
    filter: String,
    with_colour: bool,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            name: "x".into(),
            probes_max: 8,
            log: RawLog::default(),
            servers: vec![],
            hosts: vec![],
        }
    }
}

#[derive(Debug)]
struct Checked {
    name: String,
    probes_max: u32,
    filter: String,
    servers: usize,
}

fn check(raw: Raw, mistakes: &mut Mistakes) -> Option<Checked> {
    if raw.probes_max == 0 {
        mistakes.add("probes_max", "is 0; give 1 to 64");
    }
    if raw.name.contains(' ') {
        mistakes.add("name", format!("`{}` is not a lower-case word", raw.name));
        return None;
    }
    let servers = raw.servers.len();
    let _ = (raw.log.with_colour, raw.hosts.first().map(|it| it.port));
    Some(Checked { name: raw.name, probes_max: raw.probes_max, filter: raw.log.filter, servers })
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_later_layer_wins() {
    let file = file("name = 'a'\nprobes_max = 1\nservers = ['x', 'y']\n[log]\nfilter = 'file'");
    let layers = Layers::default()
        .with_file(file.path())
        .with_variables(
            "P",
            variables(&[("P_PROBES_MAX", "2"), ("P_LOG__FILTER", "env"), ("Q", "1")]),
        )
        .with_flag("log.filter", Some("flag"))
        .with_flag("name", None::<String>);
    let read = read_settings(&layers, check).expect("good");
    assert_eq!((read.name.as_str(), read.probes_max), ("a", 2));
    assert_eq!((read.filter.as_str(), read.servers), ("flag", 2));
}

#[test]
fn every_mistake_at_once() {
    let file = file(
        "name = 'Head Office'\nprobes_max = 'many'\nservers = 7\ncolour = 'blue'\n[log]\nwith_colour = 'perhaps'\nfitler = 'x'\n[[hosts]]\nport = 1\n[[hosts]]\nport = 'x'\nprot = 2",
    );
    let layers =
        Layers::default().with_file(file.path()).with_variables("P", variables(&[("P_NAEM", "x")]));
    let error = read_settings(&layers, check).expect_err("mistakes");
    assert_eq!(error.exit_code(), ExitCode::Usage);
    let mut lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "`colour`: is unknown; expected one of `name`, `probes_max`, `log`, `servers`, `hosts`",
            "`hosts[1].port`: is the text `x`; give a whole number",
            "`hosts[1].prot`: is unknown; expected `port`",
            "`log.fitler`: is unknown; remove it or correct its name",
            "`log.with_colour`: is the text `perhaps`; give true or false",
            "`naem`: is unknown; expected one of `name`, `probes_max`, `log`, `servers`, `hosts`",
            "`name`: `Head Office` is not a lower-case word",
            "`probes_max`: is the text `many`; give a whole number",
            "`servers`: is `7`; give a list in brackets",
        ]
    );
}

#[test]
fn files_that_cannot_be_read() {
    let layers = Layers::default().with_file("/nonexistent/settings.toml");
    let error = read_settings(&layers, check).expect_err("no such file");
    assert!(matches!(error, SettingsError::Unreadable { .. }), "{error}");
    let file = file("name = \n");
    let layers = Layers::default().with_file(file.path());
    let error = read_settings(&layers, check).expect_err("not TOML");
    assert!(matches!(error, SettingsError::NotToml { .. }), "{error}");
}

#[test]
fn a_line_that_is_not_toml_is_not_repeated() {
    for (line, place) in [
        ("proxy = \"http://user:planted@proxy:3128", "line 2, column"),
        ("proxy = http://user:planted@proxy:3128", "line 2, column 9"),
        ("proxy = 'http://user:planted@proxy:3128\" # é", "line 2, column"),
        ("planted planted", "line 2, column"),
        ("planted = 1\nplanted = 2", "line 3, column 1"),
        ("[planted", "line 2, column"),
        ("secret = \"\\planted\"", "line 2, column"),
        ("number = 12planted", "line 2, column"),
    ] {
        let file = file(&format!("name = 'a'\n{line}\n[log]\n"));
        let layers = Layers::default().with_file(file.path());
        let error = read_settings(&layers, check).expect_err("not TOML");
        assert!(matches!(error, SettingsError::NotToml { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(place) && text.lines().count() == 1, "{line}: {text}");
        assert!(!format!("{text}{error:?}").contains("planted"), "{line}: {text}");
    }
}
