//! A network namespace in which every address of both families is this machine's own, and nothing leads out.
//!
//! There is only the loopback device, and everything is routed to it as local; so any address answers, and the kernel needs
//! no other kind of device for it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::campaign::Tally;

/// With what the child says its figures.
pub(super) const TALLY: &str = "tally";
/// For all tricks.
const LIMIT: Duration = Duration::from_mins(5);
/// Where these programs lie, also for users who do not have it in their path.
const PROGRAMS: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// Without and with a user namespace: root may be denied the second, everybody else the first.
const WAYS: [&[&str]; 2] = [&["--net", "--user", "--map-root-user"], &["--net"]];

/// Runs a child of this program in a namespace of its own, and passes on what it prints.
pub(super) fn play(child: &str, words: &[String]) -> anyhow::Result<Tally> {
    let mut refusals = Vec::new();
    for way in WAYS {
        match tried(way) {
            Ok(()) => return run(way, child, words),
            Err(error) => refusals.push(format!("unshare {}: {error:#}", way.join(" "))),
        }
    }
    bail!("no network namespace can be made here, so nothing was tested: {}", refusals.join("; "))
}

fn tried(way: &[&str]) -> anyhow::Result<()> {
    let output = program("unshare").args(way).args(["ip", "link", "set", "lo", "up"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// A child that ends with its owner.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::print_stdout, reason = "what the child prints")]
fn run(way: &[&str], child: &str, words: &[String]) -> anyhow::Result<Tally> {
    let own = std::env::current_exe()?;
    // `unshare` becomes the child, so its id is the child's. The child ends itself with its limit, see `furnish`.
    let mut process = program("unshare")
        .args(way)
        .arg(own)
        .args(["child", child])
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .map(Owned)?;
    let output = process.0.stdout.take().context("no output")?;
    let mut tally = None;
    for line in BufReader::new(output).lines() {
        let line = line?;
        match line.strip_prefix(TALLY).map(|it| it.split_whitespace().collect::<Vec<_>>()) {
            Some(figures) => {
                let [passed, failed] = figures[..] else { bail!("odd figures: {line}") };
                tally = Some(Tally { passed: passed.parse()?, failed: failed.parse()? });
            }
            None => println!("{line}"),
        }
    }
    let status = process.0.wait()?;
    ensure!(status.success(), "the tricks ended with {status}");
    tally.context("the tricks ended without figures")
}

/// Makes every address local. Ends this process when it lives too long.
pub(super) fn furnish() -> anyhow::Result<()> {
    let started = Instant::now();
    std::thread::spawn(move || {
        while let Some(left) = LIMIT.checked_sub(started.elapsed()) {
            std::thread::park_timeout(left);
        }
        std::process::exit(1);
    });
    for words in
        ["link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"]
    {
        succeed(program("ip").args(words.split(' ')), "")?;
    }
    Ok(())
}

/// Runs a program to its end, with this on its input. Returns what it printed.
pub(super) fn succeed(command: &mut Command, input: &str) -> anyhow::Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", complaint.trim());
    Ok(String::from_utf8(output.stdout)?)
}

pub(super) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", PROGRAMS);
    command
}
