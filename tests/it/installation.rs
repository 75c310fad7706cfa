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
        let ended = site.run(&[
            "controller",
            "init",
            "--data-folder",
            &data,
            "--vantage",
            "ext:external:berlin",
            "--vantage",
            "hq:internal:hq",
        ]);
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

    fn start_agent(&self, controller: &Controller, vantage: &str, policy: &str) -> Running {
        let of_agent = |ending: &str| {
            self.data().join(format!("agents/{vantage}.{ending}")).display().to_string()
        };
        let authority = self.data().join("agent-ca.pem").display().to_string();
        Running::start_with(
            self.home.path(),
            &["agent", "run", "--config", &example("agent.toml"), "--log", "trace"],
            &[
                ("PARALLAX_AGENT_CONTROLLER", &controller.agents),
                ("PARALLAX_AGENT_SERVER_NAME", SERVER_NAME),
                ("PARALLAX_AGENT_CERTIFICATE", &of_agent("pem")),
                ("PARALLAX_AGENT_KEY", &of_agent("key")),
                ("PARALLAX_AGENT_AUTHORITY", &authority),
                ("PARALLAX_AGENT_POLICY", policy),
            ],
        )
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

#[test]
fn keys_token_and_data_are_for_their_owner_alone() {
    let site = Site::new();
    let mode = |path: &str| {
        let metadata = fs::metadata(site.data().join(path));
        metadata.unwrap_or_else(|error| panic!("{path}: {error}")).permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    for file in ["token", "agent-ca.key", "agents/hq.key", "parallax.db", "envelope.key"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

#[test]
fn the_examples_of_the_guide_are_taken_and_planned() {
    let mut site = Site::new();
    let controller = site.start_controller();
    let mut agent = site.start_agent(&controller, "hq", &example("policy.toml"));
    agent.wait_for("session began", START_LIMIT);
    site.register(&controller, "correct-horse-1");
    let plan = site.ask(&controller, &["plan", "mail", "--output", "json"], "");
    plan.assert_code(0);
    let plan: Value = serde_json::from_str(&plan.stdout).expect("one JSON document");
    let paths = plan["paths"].as_array().expect("paths");
    assert!(paths.len() >= 4, "{plan}");
    agent.stop().assert_code(0);
    controller.process.stop().assert_code(0);
}

#[test]
fn a_restart_ends_what_was_under_way_as_interrupted() {
    let mut site = Site::new();
    let controller = site.start_controller();
    let mut agent = site.start_agent(&controller, "hq", &example("policy.toml"));
    agent.wait_for("session began", START_LIMIT);
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
    assert_eq!(diagnosis["state"], "STATE_INTERRUPTED");
    assert!(diagnosis["stateReason"].as_str().is_some_and(|it| !it.is_empty()), "no reason");
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
    let site = Site::new();
    let controller = site.start_controller();
    let policy = site.home.path().join("policy.toml");
    let text = "zone = \"moon\"\nport = 1\n[[hosts]]\nname = \"two words\"\nports = [25]\n";
    fs::write(&policy, text).expect("written");
    let agent = site.start_agent(&controller, "hq", &policy.display().to_string());
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
