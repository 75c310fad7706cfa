//! One case of the campaign: a server, a child that looks at it, and what must hold of both.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::ServerConfig;
use tokio::process::Command;

use super::behaviours::{Behaviour, Below, Conduct, INTERIM_LIMIT};
use super::below::Preparations;
use super::certificates::Authority;
use super::errand::{Errand, Report, Sabotage};
use super::label::fits;
use super::mode::Mode;
use super::names::{self, NameServer, Script};
use super::server::{Counts, Server, Setting};
use super::step::{Scene, answer, send};
use crate::campaign::Scale;

/// Beyond its deadline, less what a thread with nothing to do was late.
const LATE_MAX: Duration = Duration::from_millis(250);
const GROWTH_MAX_KIB: u64 = 4 * 1024;
/// Of one look, in a build without optimisation.
const CPU_MAX: Duration = Duration::from_secs(1);
/// Of a flood of interim answers, which need no look at all once there are too many.
const FLOOD_CPU_MAX: Duration = Duration::from_millis(50);
/// Questions of one look to one name server; no script may make it ask in a storm.
const QUESTIONS_MAX: u64 = 12;
/// For the process around the look.
const CHILD_EXTRA: Duration = Duration::from_mins(1);

/// What all cases share.
pub(super) struct Ground {
    authority: Authority,
    session: Arc<ServerConfig>,
    benign: Server,
    benign_tls: Server,
    benign_names: NameServer,
    scale: Scale,
}

/// Answers every request as anybody would.
static BENIGN: Behaviour = Behaviour {
    name: "benign",
    says: "http 401 whole",
    conduct: Conduct::Answer(|_| {
        vec![send(answer("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"mail\""], b""))]
    }),
};

#[derive(Clone, Copy)]
pub(super) enum Subject {
    Server(&'static Behaviour, Mode),
    Names(&'static Script),
    /// Many addresses, behind each of which is the same.
    Crowd(&'static Script, &'static Behaviour),
}

#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) subject: Subject,
    pub(super) sabotage: Sabotage,
}

/// What came of a case.
pub(super) struct Verdict {
    pub(super) name: String,
    pub(super) problems: Vec<String>,
    pub(super) report: Report,
    pub(super) credentials: u64,
    /// 1 where a secret could be sent.
    pub(super) credentials_at_most: u64,
    /// Connections to the listener that must stay alone.
    pub(super) trespasses: u64,
    pub(super) is_names: bool,
    pub(super) is_control: bool,
}

impl Verdict {
    pub(super) fn own_lateness(&self) -> Duration {
        self.report.late.saturating_sub(self.report.lateness)
    }
}

/// Limits of a look: the real ones, or a tenth of them.
struct Limits {
    limit: Duration,
    observation: Duration,
    credentialed: Duration,
}

impl Limits {
    fn of(scale: Scale, mode: Mode) -> Self {
        let real = if mode == Mode::Basic {
            parallax_model::Limits::LOGON
        } else {
            parallax_model::Limits::STANDARD
        };
        match scale {
            Scale::Full => Self {
                limit: real.exchange,
                observation: real.observation,
                credentialed: real.credentialed,
            },
            Scale::Short => {
                let limit = Duration::from_millis(1200);
                Self { limit, observation: limit * 2, credentialed: limit }
            }
        }
    }
}

impl Ground {
    pub(super) async fn prepare(scale: Scale) -> Result<Self> {
        let authority = Authority::new("trusted")?;
        let session = Arc::new(authority.good()?);
        let benign = |tls: Option<Arc<ServerConfig>>| {
            Server::hostile(Setting {
                behaviour: &BENIGN,
                mode: Mode::Anonymous,
                scene: Scene {
                    limit: Duration::from_secs(1),
                    forbidden: ([127, 0, 0, 1], 9).into(),
                },
                tls,
                preparations: Preparations::default(),
                counts: Arc::default(),
            })
        };
        let healthy = names::all().next().context("there are scripts")?;
        Ok(Self {
            benign: benign(None).await?,
            benign_tls: benign(Some(Arc::clone(&session))).await?,
            benign_names: NameServer::start(healthy).await?,
            authority,
            session,
            scale,
        })
    }
}

impl Case {
    fn name(&self) -> String {
        let name = match self.subject {
            Subject::Server(behaviour, mode) => format!("{} ({})", behaviour.name, mode.name()),
            Subject::Names(script) => format!("{} (name server)", script.name),
            Subject::Crowd(script, behaviour) => format!("{}, {}", script.name, behaviour.name),
        };
        if self.sabotage == Sabotage::None {
            return name;
        }
        format!("{name}, spoiled: {}", self.sabotage.name())
    }

    pub(super) async fn run(self, ground: &Ground) -> Verdict {
        let done = match self.subject {
            Subject::Server(behaviour, mode) => self.against_server(ground, behaviour, mode).await,
            Subject::Names(script) => self.against_names(ground, script, &BENIGN).await,
            Subject::Crowd(script, behaviour) => {
                self.against_names(ground, script, behaviour).await
            }
        };
        done.unwrap_or_else(|error| Verdict {
            name: self.name(),
            problems: vec![format!("{error:#}")],
            report: Report::default(),
            credentials: 0,
            credentials_at_most: 0,
            trespasses: 0,
            is_names: false,
            is_control: self.sabotage != Sabotage::None,
        })
    }

    async fn against_server(
        self,
        ground: &Ground,
        behaviour: &'static Behaviour,
        mode: Mode,
    ) -> Result<Verdict> {
        let limits = Limits::of(ground.scale, mode);
        let forbidden = Server::forbidden().await?;
        let is_below = matches!(behaviour.conduct, Conduct::Below(_));
        let is_https = is_below || mode != Mode::Anonymous;
        let limit = if mode == Mode::Basic { limits.credentialed } else { limits.limit };
        let server = Server::hostile(Setting {
            behaviour,
            mode,
            scene: Scene { limit, forbidden: forbidden.socket },
            tls: is_https.then(|| Arc::clone(&ground.session)),
            preparations: Preparations::of(behaviour, &ground.authority)?,
            counts: Arc::default(),
        })
        .await?;
        let benign = if is_https { &ground.benign_tls } else { &ground.benign };
        let errand = Errand {
            mode,
            is_https,
            server: server.socket,
            benign: benign.socket,
            forbidden: forbidden.socket,
            names: None,
            benign_names: None,
            root: ground.authority.der().to_vec(),
            dns: Duration::from_secs(3),
            limit: limits.limit,
            observation: limits.observation,
            credentialed: limits.credentialed,
            sabotage: self.sabotage,
        };
        let report = errand_run(&errand).await?;
        let mut problems = problems_of(&report);
        problems.extend(says(behaviour, mode, &report));
        problems.extend(counted(behaviour, mode, &server.counts));
        if behaviour.says == INTERIM_LIMIT && report.cpu > FLOOD_CPU_MAX {
            problems.push(format!("a flood took {} ms of CPU", report.cpu.as_millis()));
        }
        Ok(self.verdict(report, problems, Some(&server.counts), &forbidden))
    }

    async fn against_names(
        self,
        ground: &Ground,
        script: &'static Script,
        behaviour: &'static Behaviour,
    ) -> Result<Verdict> {
        let forbidden = Server::forbidden().await?;
        let names = NameServer::start(script).await?;
        let limits = Limits::of(ground.scale, Mode::Anonymous);
        let dns = parallax_model::Limits::STANDARD.dns;
        let server = Server::hostile(Setting {
            behaviour,
            mode: Mode::Anonymous,
            scene: Scene { limit: limits.limit, forbidden: forbidden.socket },
            tls: None,
            preparations: Preparations::default(),
            counts: Arc::default(),
        })
        .await?;
        let errand = Errand {
            mode: Mode::Anonymous,
            is_https: false,
            server: server.socket,
            benign: ground.benign.socket,
            forbidden: forbidden.socket,
            names: Some(names.socket),
            benign_names: Some(ground.benign_names.socket),
            root: ground.authority.der().to_vec(),
            dns,
            limit: limits.limit,
            observation: dns + limits.observation,
            credentialed: limits.credentialed,
            sabotage: self.sabotage,
        };
        let report = errand_run(&errand).await?;
        let mut problems = problems_of(&report);
        if !fits(&report.dns, script.says) {
            problems.push(format!("says `{}`, not `{}`", report.dns, script.says));
        }
        if report.dns.starts_with("dns found") && !fits(&report.exchange, behaviour.says) {
            problems.push(format!("found a name and says `{}`", report.exchange));
        }
        let asked = names.asked.load(Ordering::Relaxed);
        if asked == 0 || asked > QUESTIONS_MAX {
            problems.push(format!("{asked} questions, not 1 to {QUESTIONS_MAX}"));
        }
        Ok(self.verdict(report, problems, None, &forbidden))
    }

    fn verdict(
        self,
        report: Report,
        mut problems: Vec<String>,
        counts: Option<&Counts>,
        forbidden: &Server,
    ) -> Verdict {
        let load = |it: &AtomicU64| it.load(Ordering::Relaxed);
        let trespasses = load(&forbidden.counts.connections);
        if trespasses > 0 {
            problems.push(format!("{trespasses} connections to a forbidden place"));
        }
        let is_control = self.sabotage != Sabotage::None;
        if is_control {
            let sign = match self.sabotage {
                Sabotage::None | Sabotage::Late => "late",
                Sabotage::Greedy => "grew",
                Sabotage::Panic => "panic",
                Sabotage::Twice => "credentials",
            };
            let is_noticed = problems.iter().any(|it| it.contains(sign));
            problems = if is_noticed { Vec::new() } else { vec![format!("no `{sign}` noticed")] };
        }
        let is_basic = matches!(self.subject, Subject::Server(_, Mode::Basic));
        Verdict {
            name: self.name(),
            problems,
            report,
            credentials: counts.map_or(0, |it| load(&it.credentials)),
            credentials_at_most: u64::from(is_basic),
            trespasses,
            is_names: matches!(self.subject, Subject::Names(_) | Subject::Crowd(..)),
            is_control,
        }
    }
}

/// What must hold of every look.
fn problems_of(report: &Report) -> Vec<String> {
    let mut problems = Vec::new();
    let late = report.late.saturating_sub(report.lateness);
    if late > LATE_MAX {
        problems.push(format!("{} ms late, at most {}", late.as_millis(), LATE_MAX.as_millis()));
    }
    if report.growth_kib > GROWTH_MAX_KIB {
        problems.push(format!("grew by {} KiB, at most {GROWTH_MAX_KIB}", report.growth_kib));
    }
    if report.cpu > CPU_MAX {
        problems.push(format!(
            "{} ms of CPU, at most {}",
            report.cpu.as_millis(),
            CPU_MAX.as_millis()
        ));
    }
    if report.panics > 0 {
        problems.push(format!("{} panics", report.panics));
    }
    if !report.complaints.is_empty() {
        problems.push(report.complaints.clone());
    }
    problems
}

/// Whether the outcome names the phase that was attacked.
fn says(behaviour: &Behaviour, mode: Mode, report: &Report) -> Option<String> {
    let (label, expected) = match (&behaviour.conduct, mode) {
        (Conduct::Answer(_), _) => (report.exchange.clone(), behaviour.says),
        (Conduct::Below(_), Mode::Anonymous) => {
            (format!("{} / {}", report.transport, report.exchange), behaviour.says)
        }
        // The connection was refused, or nobody is trusted on it.
        (Conduct::Below(Below::Records(_)), _) => (report.exchange.clone(), "http *"),
        (Conduct::Below(_), Mode::Basic) => (
            report.exchange.clone(),
            "http no connection: TLS: * | http no connection: TCP: Reset | http untrusted",
        ),
        (Conduct::Below(_), Mode::Ntlm) => (
            report.exchange.clone(),
            "http no connection: TLS: * | http no connection: TCP: Reset | http 401 whole | http other: TLS *",
        ),
    };
    (!fits(&label, expected)).then(|| format!("says `{label}`, not `{expected}`"))
}

/// What the server saw: the attack took place, and the secret came once or, where nobody is trusted, never.
fn counted(behaviour: &Behaviour, mode: Mode, counts: &Counts) -> Option<String> {
    let credentials = counts.credentials.load(Ordering::Relaxed);
    if counts.met.load(Ordering::Relaxed) == 0 {
        return Some("the attack did not take place".to_owned());
    }
    // On an attacked connection below HTTP nobody is who was there before.
    let is_sent = mode == Mode::Basic && matches!(behaviour.conduct, Conduct::Answer(_));
    let expected = u64::from(is_sent);
    (credentials != expected).then(|| format!("{credentials} credentials, not {expected}"))
}

async fn errand_run(errand: &Errand) -> Result<Report> {
    let limit = errand.dns + errand.observation + errand.credentialed + CHILD_EXTRA;
    let child = Command::new(std::env::current_exe()?)
        .args(["child", super::CHILD.name])
        .args(errand.words())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(limit, child)
        .await
        .context("late: the process did not end at all")?
        .context("the process could not be started")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("the process ended with {}: {}", output.status, errors.trim());
    }
    Report::read(&String::from_utf8_lossy(&output.stdout))
}
