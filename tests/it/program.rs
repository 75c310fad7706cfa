//! The real program, from outside: started, fed, read, waited for and ended, each with a limit.
//!
//! Absent on purpose: knowledge of any command. Every program gets a home of its own, so that nothing of the machine's
//! user reaches it.
//!
//! INVARIANT: a program that a test started ends with the test, whatever becomes of it.
//! INVARIANT: no wait is without a limit, and none is a sleep: what a program prints is the event.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// For a command that asks a server and ends.
pub(crate) const COMMAND_LIMIT: Duration = Duration::from_secs(150);
/// For a program that is told to end.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// Lines not yet looked at; above that the program waits.
const LINES_MAX: usize = 100_000;

/// What a program came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Both streams, for what must be in neither.
    pub(crate) fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Each of these texts is on stderr; what is missing is named with what is there.
    #[track_caller]
    pub(crate) fn assert_says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "`{text}` is missing in:\n{}", self.stderr);
        }
        self
    }

    #[track_caller]
    pub(crate) fn assert_shows(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stdout.contains(text), "`{text}` is missing in:\n{}", self.stdout);
        }
        self
    }
}

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.args(arguments).env_clear().env("HOME", home).env("NO_COLOR", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(home: &Path, arguments: &[&str]) -> Ended {
    run_with(home, arguments, "", &[])
}

/// Runs a command to its end with this on stdin and these variables.
#[track_caller]
pub(crate) fn run_with(
    home: &Path,
    arguments: &[&str],
    stdin: &str,
    environment: &[(&str, &str)],
) -> Ended {
    let mut running = Running::start_with(home, arguments, environment);
    running.write(stdin);
    running.wait(COMMAND_LIMIT)
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    /// `None`: that stream ended.
    lines: Receiver<(Stream, Option<String>)>,
    readers: Vec<JoinHandle<()>>,
    stdout: String,
    stderr: String,
    open: usize,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

impl Running {
    pub(crate) fn start(home: &Path, arguments: &[&str]) -> Self {
        Self::start_with(home, arguments, &[])
    }

    pub(crate) fn start_with(
        home: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = command(home, arguments)
            .envs(environment.iter().copied())
            .spawn()
            .expect("the program starts");
        let (sender, lines) = sync_channel(LINES_MAX);
        let out = child.stdout.take().expect("a pipe");
        let err = child.stderr.take().expect("a pipe");
        let readers = vec![
            read_lines(Stream::Out, out, sender.clone()),
            read_lines(Stream::Err, err, sender),
        ];
        let name = arguments.join(" ");
        let (stdout, stderr) = (String::new(), String::new());
        Self { child, lines, readers, stdout, stderr, open: 2, name }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to stdin and closes it. A program that does not read is no failure here.
    fn write(&mut self, text: &str) {
        if let Some(mut stdin) = self.child.stdin.take() {
            let _ = stdin.write_all(text.as_bytes());
        }
    }

    /// Takes the next line in; `false`: both streams ended.
    #[track_caller]
    fn take_line(&mut self, until: Instant) -> bool {
        match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((Stream::Out, Some(line))) => self.stdout.push_str(&line),
            Ok((Stream::Err, Some(line))) => self.stderr.push_str(&line),
            Ok((_, None)) => self.open -= 1,
            Err(RecvTimeoutError::Disconnected) => self.open = 0,
            Err(RecvTimeoutError::Timeout) => {
                panic!("`{}` took too long:\n{}\n{}", self.name, self.stdout, self.stderr)
            }
        }
        self.open > 0
    }

    /// What follows `mark` up to the next blank, once the program printed it on either stream.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, mark: &str, limit: Duration) -> String {
        let until = Instant::now() + limit;
        loop {
            // A whole line, so that what follows the mark is whole too.
            for text in [&self.stdout, &self.stderr] {
                if let Some((_, after)) = text.split_once(mark)
                    && after.contains('\n')
                {
                    return after.split_whitespace().next().unwrap_or_default().to_owned();
                }
            }
            let is_running = self.take_line(until);
            assert!(
                is_running,
                "`{}` ended without saying `{mark}`:\n{}\n{}",
                self.name, self.stdout, self.stderr
            );
        }
    }

    /// Waits until the program has ended by itself.
    #[track_caller]
    pub(crate) fn wait(mut self, limit: Duration) -> Ended {
        let until = Instant::now() + limit;
        while self.take_line(until) {}
        let status = self.child.wait().expect("an end");
        self.ended(status)
    }

    /// Asks the program to end, as a service manager does, and waits for it.
    #[track_caller]
    pub(crate) fn stop(self) -> Ended {
        signal(self.id(), "TERM");
        self.wait(STOP_LIMIT)
    }

    /// Ends the program as a power failure does.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().expect("it runs");
        self.wait(STOP_LIMIT)
    }

    fn ended(mut self, status: ExitStatus) -> Ended {
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader");
        }
        Ended {
            // Ended by a signal: no code.
            code: status.code().unwrap_or(-1),
            stdout: std::mem::take(&mut self.stdout),
            stderr: std::mem::take(&mut self.stderr),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to one process, as `STOP`.
pub(crate) fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
    assert!(sent.expect("kill").success(), "cannot send {name}");
}

fn read_lines(
    stream: Stream,
    pipe: impl Read + Send + 'static,
    sender: SyncSender<(Stream, Option<String>)>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            let read = pipe.read_until(b'\n', &mut line).unwrap_or(0);
            let text = (read > 0).then(|| String::from_utf8_lossy(&line).into_owned());
            let is_last = text.is_none();
            // Nobody listens any more: the test is over.
            if sender.send((stream, text)).is_err() || is_last {
                return;
            }
        }
    })
}
