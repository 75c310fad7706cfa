//! What a child process is asked and what it answers, as words on a command line and fields of a line.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::mode::Mode;

/// What one child looks at, and how.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) mode: Mode,
    pub(super) is_https: bool,
    pub(super) server: SocketAddr,
    /// A server that means well, for the look before.
    pub(super) benign: SocketAddr,
    pub(super) forbidden: SocketAddr,
    /// The name server to ask, if the address is not declared.
    pub(super) names: Option<SocketAddr>,
    pub(super) benign_names: Option<SocketAddr>,
    /// The certificate that stands for the public roots.
    pub(super) root: Vec<u8>,
    pub(super) dns: Duration,
    /// Of TCP, TLS and an exchange, each.
    pub(super) limit: Duration,
    pub(super) observation: Duration,
    pub(super) credentialed: Duration,
    pub(super) sabotage: Sabotage,
}

/// What a child does wrong on purpose, to show that the campaign would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    None,
    /// Ends 600 ms after its deadline.
    Late,
    /// Holds 8 MiB.
    Greedy,
    /// Panics where nobody looks.
    Panic,
    /// Looks twice, and so sends the credential twice.
    Twice,
}

impl Sabotage {
    pub(super) const REAL: [Self; 4] = [Self::Late, Self::Greedy, Self::Panic, Self::Twice];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Late => "late",
            Self::Greedy => "greedy",
            Self::Panic => "panic",
            Self::Twice => "twice",
        }
    }
}

impl Errand {
    pub(super) fn words(&self) -> Vec<String> {
        let socket = |it: Option<SocketAddr>| it.map_or("-".to_owned(), |it| it.to_string());
        let time = |it: Duration| it.as_millis().to_string();
        vec![
            self.mode.name().to_owned(),
            if self.is_https { "https" } else { "http" }.to_owned(),
            self.server.to_string(),
            self.benign.to_string(),
            self.forbidden.to_string(),
            socket(self.names),
            socket(self.benign_names),
            hexadecimal(&self.root),
            time(self.dns),
            time(self.limit),
            time(self.observation),
            time(self.credentialed),
            self.sabotage.name().to_owned(),
        ]
    }

    pub(super) fn read(words: &[String]) -> Result<Self> {
        let [
            mode,
            scheme,
            server,
            benign,
            forbidden,
            names,
            benign_names,
            root,
            dns,
            limit,
            observation,
            credentialed,
            sabotage,
        ] = words
        else {
            bail!("the errand has {} words, not 13", words.len())
        };
        let socket = |text: &str| match text {
            "-" => Ok(None),
            text => text.parse().map(Some).context("a socket is `address:port`"),
        };
        let time = |text: &str| text.parse().map(Duration::from_millis).context("milliseconds");
        Ok(Self {
            mode: Mode::named(mode).context("no such mode")?,
            is_https: scheme == "https",
            server: server.parse()?,
            benign: benign.parse()?,
            forbidden: forbidden.parse()?,
            names: socket(names)?,
            benign_names: socket(benign_names)?,
            root: bytes(root)?,
            dns: time(dns)?,
            limit: time(limit)?,
            observation: time(observation)?,
            credentialed: time(credentialed)?,
            sabotage: Sabotage::REAL
                .into_iter()
                .find(|it| it.name() == sabotage)
                .unwrap_or(Sabotage::None),
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| {
            let pair = text.get(at..at + 2).context("an even number of digits")?;
            u8::from_str_radix(pair, 16).context("hexadecimal digits")
        })
        .collect()
}

/// What one child saw and what it cost.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) dns: String,
    pub(super) transport: String,
    pub(super) exchange: String,
    pub(super) growth_kib: u64,
    pub(super) cpu: Duration,
    pub(super) took: Duration,
    /// By how much a deadline was missed at most.
    pub(super) late: Duration,
    /// By how much a thread with nothing to do was late at most meanwhile.
    pub(super) lateness: Duration,
    pub(super) panics: u64,
    /// Bounds of what is kept that do not hold.
    pub(super) complaints: String,
}

impl Report {
    pub(super) fn line(&self) -> String {
        let text = |it: &String| it.replace(['\t', '\n', '\r'], " ");
        let time = |it: Duration| it.as_micros().to_string();
        [
            text(&self.dns),
            text(&self.transport),
            text(&self.exchange),
            self.growth_kib.to_string(),
            time(self.cpu),
            time(self.took),
            time(self.late),
            time(self.lateness),
            self.panics.to_string(),
            text(&self.complaints),
        ]
        .join("\t")
    }

    pub(super) fn read(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.trim_end_matches('\n').split('\t').collect();
        let [dns, transport, exchange, growth, cpu, took, late, lateness, panics, complaints] =
            fields.as_slice()
        else {
            bail!("a report has 10 fields, not {}", fields.len())
        };
        let time = |text: &str| text.parse().map(Duration::from_micros).context("microseconds");
        Ok(Self {
            dns: (*dns).to_owned(),
            transport: (*transport).to_owned(),
            exchange: (*exchange).to_owned(),
            growth_kib: growth.parse()?,
            cpu: time(cpu)?,
            took: time(took)?,
            late: time(late)?,
            lateness: time(lateness)?,
            panics: panics.parse()?,
            complaints: (*complaints).to_owned(),
        })
    }
}
