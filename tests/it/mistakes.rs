//! Bad files and arguments: every mistake told at once, each with its field, exit 2, and nothing sent or changed.
//!
//! No controller runs here: what would be sent could only fail with another code. What the API itself refuses is asked
//! in `installation.rs` and from Python.

use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

use crate::program::{Ended, run, run_with};

/// Nothing listens on the discard port of this machine.
const NOWHERE: [&str; 2] = ["--server", "http://127.0.0.1:9"];

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempdir().expect("a folder") }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        run(self.folder.path(), arguments)
    }

    fn left(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).expect("the folder");
        let mut names: Vec<String> = names
            .map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_target_file() {
    let files = Files::new();
    let file = files.write(
        "target.toml",
        r#"
        name = "mail"
        colour = "blue"
        [[endpoints]]
        name = "Published"
        role = "EXTERNAL"
        url = "ftp://mail.example"
        [[endpoints]]
        name = "cas1"
        role = "ROLE_CAS"
        url = "https://mail.example"
        connect = "cas1"
        "#,
    );
    let ended = files.run(&[&["target", "apply", "-f", &file], &NOWHERE[..]].concat());
    ended.assert_code(2).assert_says(&[
        "`name`",
        "`colour`",
        "`endpoints[0].name`",
        "`endpoints[0].role`",
        "ROLE_EXTERNAL",
        "`endpoints[0].url`",
        "https",
        "`endpoints[1].connect`",
    ]);
}

#[test]
fn a_file_that_is_neither_json_nor_toml() {
    let files = Files::new();
    let file = files.write("target.toml", "name = \"targets/mail\"\nurl = planted-line\n");
    let ended = files.run(&[&["target", "apply", "-f", &file], &NOWHERE[..]].concat());
    ended.assert_code(2).assert_says(&["target.toml", "TOML", "line 2"]);
    assert!(
        !ended.all().contains("planted-line"),
        "a line of the file is repeated:\n{}",
        ended.all()
    );
}

#[test]
fn an_account_file() {
    let files = Files::new();
    let file = files.write(
        "account.json",
        r#"{"name": "anna", "directory": "", "user_names": [{"form": "NAME_FORM_UPN", "login": "anna"}],
            "lockout": {"count": 0}, "pasword": "planted-secret"}"#,
    );
    let arguments = [&["account", "add", "-f", &file, "--secret-stdin"], &NOWHERE[..]].concat();
    let ended = run_with(files.folder.path(), &arguments, "another-planted-secret\n", &[]);
    ended.assert_code(2).assert_says(&[
        "`name`",
        "`directory`",
        "`user_names[0].login`",
        "`lockout.count`",
        "`pasword`",
    ]);
    assert!(!ended.all().contains("planted-secret"), "a secret is repeated:\n{}", ended.all());
}

#[test]
fn the_controllers_settings() {
    let files = Files::new();
    let file = files.write(
        "controller.toml",
        "data_dir = \"x\"\napi_listen = \"nowhere\"\nagent_listen = 7444\nagent_names = [\"two words\"]\n",
    );
    let ended = files.run(&["controller", "--config", &file]);
    ended.assert_code(2).assert_says(&[
        "`data_dir`",
        "`data_folder`",
        "`api_listen`",
        "`agent_listen`",
        "`agent_names[0]`",
    ]);
    assert_eq!(files.left(), ["controller.toml"]);
}

#[test]
fn an_agents_settings() {
    let files = Files::new();
    let file = files.write(
        "agent.toml",
        "controler = \"a:1\"\ncontroller = \"nowhere\"\nkey = \"agent.key\"\nproxy = \"socks5://p:1\"\nspool = 5\n",
    );
    let ended = files.run(&["agent", "run", "--config", &file]);
    ended.assert_code(2).assert_says(&[
        "`controler`",
        "`controller`",
        "`key`",
        "`identity`",
        "`authority`",
        "`policy`",
        "`proxy`",
        "`spool`",
    ]);
    assert_eq!(files.left(), ["agent.toml"]);
}

#[test]
fn an_agents_settings_that_are_not_toml() {
    let files = Files::new();
    let text = "controller = \"a.example:7444\"\nproxy = \"http://anna:planted-secret@proxy:3128\n";
    let file = files.write("agent.toml", text);
    let ended = files.run(&["agent", "run", "--config", &file]);
    ended.assert_code(2).assert_says(&["agent.toml", "TOML", "line 2, column"]);
    assert!(!ended.all().contains("planted-secret"), "a secret is repeated:\n{}", ended.all());
}

/// The check and the start refuse alike, and the way out that is named is one.
#[cfg(unix)]
#[test]
fn a_data_folder_that_is_not_right() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let files = Files::new();
    let data = files.folder.path().join("data");
    let shown = data.display().to_string();
    let set = |name: &str, mode| {
        set_permissions(data.join(name), Permissions::from_mode(mode)).expect("set");
    };
    let init = ["controller", "init", "--data-folder", &shown];
    let start = ["controller", "--data-folder", &shown];
    let check = [&start[..], &["--check-config"]].concat();
    files.run(&init).assert_code(0);
    files.run(&check).assert_code(0);
    set("", 0o777);
    let chmod = format!("chmod 0700 {shown}");
    files.run(&check).assert_code(2).assert_says(&[&chmod]);
    files.run(&start).assert_code(2).assert_says(&["0777", &chmod]);
    set("", 0o700);
    set("agent-ca.key", 0o644);
    let ended = files.run(&start);
    ended.assert_code(2).assert_says(&[&format!("chmod 0600 {shown}/agent-ca.key")]);
    assert!(!ended.all().contains("controller init"), "{}", ended.all());
    set("agent-ca.key", 0o600);
    std::fs::write(data.join("token"), "").expect("emptied");
    let remove = format!("rm {shown}/token; parallax controller init");
    for command in [&init[..], &start] {
        files.run(command).assert_code(2).assert_says(&[&remove]);
    }
    std::fs::remove_file(data.join("token")).expect("removed");
    files.run(&init).assert_code(0);
    files.run(&check).assert_code(0);
}

#[test]
fn a_url_of_another_scheme() {
    let files = Files::new();
    let ended = files.run(&["diagnose", "ftp://mail.example"]);
    ended.assert_code(2).assert_says(&["ftp", "https"]);
    assert!(files.left().is_empty(), "{:?}", files.left());
}

#[test]
fn an_argument_that_holds_a_secret_is_not_repeated() {
    let files = Files::new();
    let arguments = ["diagnose", "https://anna:planted-secret@mail.example"];
    let ended = files.run(&arguments);
    ended.assert_code(2);
    assert!(!ended.all().contains("planted-secret"), "a secret is repeated:\n{}", ended.all());
}
