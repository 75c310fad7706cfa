//! The first installation, as the operations guide walks it, with its own example files: the real controller and a real
//! agent as processes of their own, on loopback.
//!
//! Absent on purpose: a target that answers. An agent's policy never permits loopback; answers are the demo's and the
//! worlds'.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::needles::Needles;
use crate::program::{Ended, Running, run, run_with, signal};

/// For a process to open its store, its ports and its sessions.
const START_LIMIT: Duration = Duration::from_mins(1);
/// In the example's `agent_names`.
const SERVER_NAME: &str = "parallax.corp.example";

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples").join(name);
    path.canonicalize().expect("an example").display().to_string()
}

/// One data folder, with a controller on it or not.
struct Site {
    home: TempDir,
    /// What every process printed.
    printed: String,
}

impl Site {
    fn new() -> Self {
        let mut site = Self { home: tempdir().expect("a folder"), printed: String::new() };
        let data = site.data().display().to_string();
        let ended = site.run(&["controller", "init", "--data-folder", &data]);
        ended.assert_code(0);
        site
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn token_file(&self) -> String {
        self.data().join("token").display().to_string()
    }

    fn run(&mut self, arguments: &[&str]) -> Ended {
        let ended = run(self.home.path(), arguments);
        self.printed.push_str(&ended.all());
        ended
    }

    fn start_controller(&self) -> Controller {
        let data = self.data().display().to_string();
        let mut process = Running::start(
            self.home.path(),
            &[
                "controller",
                "--config",
                &example("controller.toml"),
                "--data-folder",
                &data,
                "--api-listen",
                "127.0.0.1:0",
                "--agent-listen",
                "127.0.0.1:0",
                "--log",
                "trace",
            ],
        );
        let api = process.wait_for("api_address=", START_LIMIT);
        let agents = process.wait_for("agent_address=", START_LIMIT);
        Controller {
            process,
            server: format!("http://{api}"),
            agents,
            token_file: self.token_file(),
        }
    }

    /// An agent's folder, made by joining; its policy is the guide's example.
    fn join(&mut self, controller: &Controller, vantage: &str) -> PathBuf {
        let made = self.ask(
            controller,
            &["fleet", "token", vantage, "--zone", "internal", "--output", "json"],
            "",
        );
        made.assert_code(0);
        let made: Value = serde_json::from_str(&made.stdout).expect("one JSON document");
        let token = made["token"].as_str().expect("a token").to_owned();
        let folder = self.home.path().join("agents").join(vantage);
        let joined = self.join_with(controller, &token, &folder);
        joined.assert_code(0).assert_shows(&["joined as", vantage, "identity.pem", "agent run"]);
        // The one who asked has seen it; from here on it must be nowhere.
        assert!(!joined.all().contains(&token));
        fs::copy(example("policy.toml"), folder.join("policy.toml")).expect("copied");
        folder
    }

    fn join_with(&self, controller: &Controller, token: &str, folder: &Path) -> Ended {
        let folder = folder.display().to_string();
        run_with(
            self.home.path(),
            &[
                "agent",
                "join",
                "--controller",
                &controller.agents,
                "--server-name",
                SERVER_NAME,
                "--folder",
                &folder,
            ],
            token,
            &[],
        )
    }

    fn start_agent(&self, folder: &Path) -> Running {
        let config = folder.join("agent.toml").display().to_string();
        Running::start(self.home.path(), &["agent", "run", "--config", &config, "--log", "trace"])
    }

    /// A controller and the agent `hq` with its session.
    fn with_agent(&mut self) -> (Controller, Running) {
        let controller = self.start_controller();
        let folder = self.join(&controller, "hq");
        let mut agent = self.start_agent(&folder);
        agent.wait_for("session began", START_LIMIT);
        (controller, agent)
    }

    /// A command against the controller.
    fn ask(&mut self, controller: &Controller, arguments: &[&str], secret: &str) -> Ended {
        let connection = ["--server", &controller.server, "--token-file", &controller.token_file];
        let ended = run_with(
            self.home.path(),
            &[arguments, &connection[..]].concat(),
            secret,
            &[("PLANTED_PASSWORD", secret)],
        );
        self.printed.push_str(&ended.all());
        ended
    }

    /// The example's accounts and target.
    fn register(&mut self, controller: &Controller, secret: &str) {
        let account = example("account.toml");
        self.ask(controller, &["account", "add", "-f", &account, "--secret-stdin"], secret)
            .assert_code(0);
        self.ask(
            controller,
            &[
                "account",
                "add",
                "pilot",
                "--directory",
                "corp",
                "--upn",
                "pilot@corp.example",
                "--mailbox",
                "2010",
                "--lockout-threshold",
                "10",
                "--lockout-window",
                "30m",
                "--secret-env",
                "PLANTED_PASSWORD",
            ],
            secret,
        )
        .assert_code(0);
        let target = example("target.toml");
        self.ask(controller, &["target", "apply", "-f", &target], "").assert_code(0);
    }
}

struct Controller {
    process: Running,
    server: String,
    agents: String,
    token_file: String,
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path);
    let metadata = metadata.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    metadata.permissions().mode() & 0o777
}

#[test]
fn keys_token_and_data_are_for_their_owner_alone() {
    let mut site = Site::new();
    assert_eq!(mode(&site.data()), 0o700);
    let controller = site.start_controller();
    for file in ["token", "agent-ca.key", "parallax.db", "envelope.key"] {
        assert_eq!(mode(&site.data().join(file)), 0o600, "{file}");
    }
    let folder = site.join(&controller, "hq");
    assert_eq!((mode(&folder), mode(&folder.join("identity.pem"))), (0o700, 0o600));
    controller.process.stop().assert_code(0);
}

/// Sockets that a process listens on, by the kernel's own tables.
#[cfg(target_os = "linux")]
fn listening(process: u32) -> Vec<String> {
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .expect("a process")
        .filter_map(|it| fs::read_link(it.ok()?.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|it| Some(it.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    assert!(!sockets.is_empty(), "its connection to the controller is one");
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let rows = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for row in rows.lines().skip(1) {
            let columns: Vec<&str> = row.split_whitespace().collect();
            let (Some(state), Some(inode)) = (columns.get(3), columns.get(9)) else { continue };
            // 0A is LISTEN; a UDP socket that is bound takes what comes, which 07 says.
            let listens = if table.starts_with("tcp") { *state == "0A" } else { *state == "07" };
            if listens && sockets.iter().any(|it| it == inode) {
                found.push(format!("{table} {row}"));
            }
        }
    }
    found
}

#[cfg(target_os = "linux")]
#[test]
fn an_agent_listens_nowhere() {
    let mut site = Site::new();
    let (controller, agent) = site.with_agent();
    assert_eq!(listening(agent.id()), Vec::<String>::new());
    // The same look finds the controller's ports.
    assert_eq!(listening(controller.process.id()).len(), 2);
    agent.stop().assert_code(0);
    controller.process.stop().assert_code(0);
}

#[test]
fn a_token_is_good_once() {
    let mut site = Site::new();
    let controller = site.start_controller();
    let made = site.ask(
        &controller,
        &["fleet", "token", "ext", "--zone", "external", "--output", "json"],
        "",
    );
    made.assert_code(0);
    let made: Value = serde_json::from_str(&made.stdout).expect("one JSON document");
    let token = made["token"].as_str().expect("a token");
    let (first, second) = (site.home.path().join("first"), site.home.path().join("second"));
    site.join_with(&controller, token, &first).assert_code(0);
    let again = site.join_with(&controller, token, &second);
    again.assert_code(5).assert_says(&["does not take this token", "fleet token"]);
    assert!(!again.all().contains(token) && !second.exists());
    let used = site.join_with(&controller, token, &first);
    used.assert_code(2).assert_says(&["is used by an agent already", "--replace"]);
    let cut = site.join_with(&controller, &token[..60], &second);
    cut.assert_code(2).assert_says(&["cut off or mistyped"]);
    controller.process.stop().assert_code(0);
}

#[test]
fn a_self_test_says_what_the_vantage_sees() {
    let mut site = Site::new();
    let controller = site.start_controller();
    let folder = site.join(&controller, "hq");
    let config = folder.join("agent.toml").display().to_string();
    let test = |form: &str| {
        let words = ["agent", "--self-test", "--config", &config, "--output", form];
        run(site.home.path(), &words)
    };
    let seen = test("json");
    let seen: Value = serde_json::from_str(&seen.stdout).expect("one JSON document");
    assert_eq!(
        (&seen["vantage"], &seen["reachesController"]),
        (&"hq".into(), &true.into()),
        "{seen}"
    );
    let verdict = |what: &str| {
        let findings = seen["findings"].as_array().expect("findings");
        let found = findings.iter().find(|it| it["what"] == what);
        found.map(|it| it["verdict"].as_str().unwrap_or_default().to_owned())
    };
    for what in ["identity", "policy", "controller", "clock"] {
        assert_eq!(verdict(what).as_deref(), Some("good"), "{what}: {seen}");
    }
    // The example's target is nobody's; that there is a line is what is asked.
    assert!(verdict("target").is_some());
    controller.process.stop().assert_code(0);
    let seen = test("table");
    seen.assert_code(5).assert_shows(&["bad", "refuses the connection"]);
}

#[test]
fn the_examples_of_the_guide_are_taken_and_planned() {
    let mut site = Site::new();
    let (controller, agent) = site.with_agent();
    site.register(&controller, "correct-horse-1");
    let plan = site.ask(&controller, &["plan", "mail", "--output", "json"], "");
    plan.assert_code(0);
    let plan: Value = serde_json::from_str(&plan.stdout).expect("one JSON document");
    let paths = plan["paths"].as_array().expect("paths");
    assert_eq!(paths.len(), 3, "{plan}");
    agent.stop().assert_code(0);
    controller.process.stop().assert_code(0);
}

#[test]
fn a_restart_takes_up_what_was_under_way_or_says_that_it_was_interrupted() {
    let mut site = Site::new();
    let (controller, agent) = site.with_agent();
    site.register(&controller, "correct-horse-1");
    // The agent has its session and no longer answers.
    signal(agent.id(), "STOP");
    let arguments = ["diagnose", "mail", "--anonymous-only", "--no-wait"];
    let asked = site.ask(&controller, &arguments, "");
    asked.assert_code(0);
    let name = asked.stdout.split_whitespace().find(|it| it.starts_with("diagnoses/"));
    let name = name.expect("the diagnosis's name").to_owned();
    controller.process.kill();

    let controller = site.start_controller();
    let got = site.ask(&controller, &["get", &name, "--output", "json"], "");
    got.assert_code(0);
    let diagnosis: Value = serde_json::from_str(&got.stdout).expect("one JSON document");
    let reason = diagnosis["stateReason"].as_str().unwrap_or_default();
    match diagnosis["state"].as_str() {
        // Its agent does not answer, so it does not end by itself soon.
        Some("STATE_RUNNING") => {
            site.ask(&controller, &["cancel", &name], "").assert_code(0);
        }
        Some("STATE_INTERRUPTED") => assert!(!reason.is_empty(), "no reason"),
        Some(_) | None => panic!("{diagnosis}"),
    }
    controller.process.stop().assert_code(0);
}

#[test]
fn what_the_controller_refuses_changes_nothing() {
    let mut site = Site::new();
    let controller = site.start_controller();
    let target = example("target.toml");
    let unknown = site.ask(&controller, &["target", "apply", "-f", &target], "");
    unknown.assert_code(2).assert_says(&[
        "accounts[0].account",
        "accounts/anna",
        "accounts[1].account",
    ]);
    let listed = site.ask(&controller, &["target", "list", "--output", "json"], "");
    listed.assert_code(0);
    assert!(!listed.stdout.contains("targets/mail"), "{}", listed.stdout);

    let wrong = site.home.path().join("wrong-token");
    fs::write(&wrong, "0123456789abcdef0123456789abcdef0123456789a\n").expect("written");
    let wrong = wrong.display().to_string();
    let refused =
        site.run(&["target", "list", "--server", &controller.server, "--token-file", &wrong]);
    assert_ne!(refused.code, 0);
    refused.assert_says(&["token"]);
    controller.process.stop().assert_code(0);
}

#[test]
fn an_agent_with_a_wrong_policy_does_not_start() {
    let mut site = Site::new();
    let controller = site.start_controller();
    let folder = site.join(&controller, "hq");
    let text = "zone = \"moon\"\nport = 1\n[[hosts]]\nname = \"two words\"\nports = [25]\n";
    fs::write(folder.join("policy.toml"), text).expect("written");
    let agent = site.start_agent(&folder);
    let ended = agent.wait(START_LIMIT);
    ended.assert_code(2).assert_says(&["`zone`", "`port`", "`hosts[0].name`", "`hosts[0].ports`"]);
    controller.process.stop().assert_code(0);
}

#[test]
fn a_registered_secret_is_nowhere_to_be_read() {
    let secret = "Planted-9f3c-registered";
    let mut site = Site::new();
    let controller = site.start_controller();
    site.register(&controller, secret);
    let rotated = "Planted-77aa-rotated";
    site.ask(
        &controller,
        &["account", "rotate", "anna", "--secret-stdin", "--log", "trace"],
        rotated,
    )
    .assert_code(0);
    site.ask(&controller, &["account", "list", "--output", "json"], "").assert_code(0);
    let ended = controller.process.stop();
    site.printed.push_str(&ended.all());
    for secret in [secret, rotated] {
        let needles = Needles::of(secret, &["anna@corp.example", "pilot@corp.example"]);
        needles.assert_absent("what was printed", site.printed.as_bytes());
        needles.assert_absent_below(&site.data());
    }
    // The search reads the files that matter: names of accounts are in there in clear.
    Needles::plain("anna@corp.example").assert_present_below(&site.data());
}
