//! Plays every trick and looks at the counters after each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use parallax_model::{Limits, Look};
use parallax_wire::pb::{self, link as wire};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::bed::Bed;
use super::controller::{Authority, Controller, Session, Verdict};
use super::names::{Names, Script};
use super::target::Target;
use super::tricks::{Book, TRICKS_MIN, Trick, Want, WrittenPolicy};
use super::watch::{self, Counts};
use crate::campaign::Tally;

/// Nothing here answers late.
const LIMITS: Limits = Limits {
    dns: Duration::from_secs(2),
    tcp: Duration::from_secs(2),
    tls: Duration::from_secs(2),
    exchange: Duration::from_secs(2),
    observation: Duration::from_secs(5),
    credentialed: Duration::from_secs(2),
};

/// Plays all tricks, or those whose name begins with one of these words.
#[expect(clippy::print_stdout, reason = "figures of a campaign")]
pub(super) async fn all(only: &[String]) -> anyhow::Result<Tally> {
    // Another part of the program may have chosen it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let book = Book::read()?;
    let mut tricks = book.tricks()?;
    ensure!(tricks.len() >= TRICKS_MIN, "only {} tricks", tricks.len());
    if !only.is_empty() {
        tricks.retain(|trick| only.iter().any(|it| trick.name.starts_with(it)));
    }
    let (names, target) = (Names::start().await?, Target::start().await?);
    let authority = Authority::new()?;
    let mut controller = Controller::start(&authority).await?;
    show_that_it_counts().await?;
    let started = Instant::now();
    let mut stage = Stage {
        names,
        target,
        tally: Tally::default(),
        permitted: 0,
        outside: 0,
        counts: Counts::default(),
    };
    let folder = tempfile::tempdir()?;
    for (epoch, policy) in (1..).zip(&book.policy) {
        let tricks: Vec<&Trick> = tricks.iter().filter(|it| it.policy == policy.name).collect();
        if tricks.is_empty() {
            continue;
        }
        watch::begin(&policy.permitted)?;
        stage.counts = Counts::default();
        let file = write(folder.path(), policy)?;
        let mut bed = Bed::start(&mut controller, &authority, &file, epoch).await?;
        for trick in &tricks {
            stage.play(&mut bed.session, trick).await?;
        }
        bed.stop().await?;
        // What may still have been on its way.
        let counts = watch::read()?;
        stage.permitted += counts.permitted;
        stage.outside += counts.outside;
    }
    if only.is_empty() {
        ensure!(stage.permitted > 0, "nothing permitted was counted, so the rest means nothing");
    }
    println!(
        "{} tricks under {} policies in {} s: {} packets permitted, {} packets outside",
        tricks.len(),
        book.policy.len(),
        started.elapsed().as_secs(),
        stage.permitted,
        stage.outside
    );
    stage.tally.failed += u64::from(stage.outside > 0);
    Ok(stage.tally)
}

fn write(folder: &Path, policy: &WrittenPolicy) -> anyhow::Result<std::path::PathBuf> {
    let path = folder.join(format!("{}.toml", policy.name));
    if !policy.file.is_empty() {
        std::fs::write(&path, &policy.file)?;
    }
    Ok(path)
}

/// Dials what nobody permits, and what somebody does: both have to be seen.
async fn show_that_it_counts() -> anyhow::Result<()> {
    let permitted: SocketAddr = "203.0.113.10:443".parse()?;
    let others =
        ["127.0.0.1:443", "10.9.9.9:443", "169.254.169.254:80", "[::1]:443", "[fd00::9]:81"];
    watch::begin(&[permitted])?;
    connect(permitted).await?;
    let counts = watch::read()?;
    ensure!(
        counts.permitted > 0 && counts.outside == 0,
        "a permitted packet was not seen: {counts:?}"
    );
    for other in others {
        let before = watch::read()?.outside;
        connect(other.parse()?).await?;
        ensure!(watch::read()?.outside > before, "a packet to {other} was not seen");
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> anyhow::Result<()> {
    let connecting = timeout(Duration::from_secs(5), TcpStream::connect(address));
    connecting.await.context("too late")?.with_context(|| address.to_string())?;
    Ok(())
}

struct Stage {
    names: Names,
    target: Target,
    tally: Tally,
    permitted: u64,
    outside: u64,
    /// Since the watch for the policy at hand began.
    counts: Counts,
}

impl Stage {
    #[expect(clippy::print_stdout, reason = "findings of a campaign")]
    async fn play(&mut self, session: &mut Session, trick: &Trick) -> anyhow::Result<()> {
        self.names.play(Script::new(&trick.names));
        self.target.play(&trick.head);
        let begun = self.counts;
        let mut before = begun;
        let mut verdict = Verdict::Other("not offered".to_owned());
        for round in 0..trick.times {
            if round > 0 {
                before = watch::read()?;
            }
            let offer = offer(trick, round)?;
            verdict = session.offer(offer).await.with_context(|| trick.name.clone())?;
        }
        let after = watch::read()?;
        self.counts = after;
        let (is_dialled, outside) = (after.dialled > before.dialled, after.outside - begun.outside);
        let is_asked = after.names > before.names;
        let is_right = match (&trick.want, &verdict) {
            (Want::Refused(id), Verdict::Refused(rule)) => {
                rule.starts_with(&format!("{id}: ")) && !is_dialled
            }
            (Want::Unreadable, Verdict::Unreadable(_)) => !is_dialled,
            (Want::Unresolved, Verdict::Seen) => !is_dialled && is_asked,
            (Want::Dialled, Verdict::Seen) => is_dialled,
            (Want::Refused(_) | Want::Unreadable | Want::Unresolved | Want::Dialled, _) => false,
        };
        if is_right && outside == 0 {
            self.tally.passed += 1;
            return Ok(());
        }
        self.tally.failed += 1;
        println!("FAILED {} under `{}`: wants {:?}", trick.name, trick.policy, trick.want);
        println!("  {verdict:?}, dialled: {is_dialled}, {outside} packets outside");
        if outside > 0 {
            println!("  they went to {}", watch::seen()?);
        }
        Ok(())
    }
}

fn offer(trick: &Trick, round: u32) -> anyhow::Result<wire::Offer> {
    let limits = match trick.limit.as_str() {
        "" => LIMITS,
        text => {
            let limit = Duration::from_secs(text.parse()?);
            Limits {
                dns: limit,
                tcp: limit,
                tls: limit,
                exchange: limit,
                observation: limit,
                ..LIMITS
            }
        }
    };
    let looks = match &trick.looks {
        None => {
            [Look::OPTIONS, Look::AUTODISCOVER_JSON, Look::NTLM].iter().map(Into::into).collect()
        }
        Some(text) => {
            text.split(',').filter(|it| !it.is_empty()).map(look).collect::<Result<_, _>>()?
        }
    };
    let logon = (!trick.logon.is_empty()).then(|| -> anyhow::Result<_> {
        Ok(wire::Logon {
            attempt: format!("a-{}-{round}", trick.name),
            account: "accounts/anna".to_owned(),
            form: pb::NameForm::Upn.into(),
            login: "anna@corp.example".to_owned(),
            place: trick.logon.parse()?,
        })
    });
    Ok(wire::Offer {
        task: short_id(&trick.name, round),
        diagnosis: "diagnoses/d1".to_owned(),
        endpoint: Some(pb::Endpoint {
            name: "e1".to_owned(),
            role: pb::endpoint::Role::Backend.into(),
            url: trick.url.clone(),
            connect: trick.connect.clone(),
            allow_plaintext_logon: true,
            ..pb::Endpoint::default()
        }),
        looks,
        logon: logon.transpose()?,
        only_address: trick.only.clone(),
        without_sni: false,
        limits: Some((&limits).into()),
        lane: wire::Lane::OnDemand.into(),
        traceparent: String::new(),
    })
}

/// `METHOD PLACE`, and `type1`, `impossible` or `account` after it.
fn look(text: &str) -> anyhow::Result<pb::Look> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [method, place, credential @ ..] = &words[..] else { anyhow::bail!("`{text}` is no look") };
    let known: BTreeMap<&str, pb::Look> = BTreeMap::from([
        ("type1", (&Look::NTLM).into()),
        ("impossible", (&Look::IMPOSSIBLE_USER).into()),
        ("anonymous", (&Look::OPTIONS).into()),
    ]);
    let credential = credential.first().copied().unwrap_or("anonymous");
    let sample = known.get(credential).with_context(|| format!("no credential `{credential}`"))?;
    Ok(pb::Look { method: method.parse()?, place: place.parse()?, ..sample.clone() })
}

/// Ids of tasks are short.
fn short_id(name: &str, round: u32) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (name, round).hash(&mut hasher);
    format!("t-{:016x}", hasher.finish())
}
