//! `parallax agent join`: from a token to a folder with which an agent can run.
//!
//! A key is made here and never leaves; the token names the authority by its pin, so that nothing is sent to anybody else.
//! Absent on purpose: running; the folder is all that is left behind.
//!
//! INVARIANT: the token is sent only after the chain led to the pinned authority, for the name asked for.
//! INVARIANT: nothing is written before the answer is there, and the identity comes last. Names are changed one by one: a folder
//! in which that was cut off has the file `joining`, and no agent starts with it until somebody joins again.
//! INVARIANT: results of another agent are not left for this one: sent as its own they would be taken for forged.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parallax_auth::JoinToken;
use parallax_model::Zone;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::enrollment_service_client::EnrollmentServiceClient;
use tokio::time::timeout;
use tonic::Code;

use crate::alerts::said;
use crate::certificate::{key_digest, vantage};
use crate::files::{Draft, PRIVATE, PUBLIC, make_folder, sync_folder_of};
use crate::identity::{Identity, NewKey};
use crate::lock::Lock;
use crate::policy::{Policy, policy_template};
use crate::proxy::ProxyChoice;
use crate::reach::Way;
use crate::renewal::{ANSWER_BYTES_MAX, CALL_LIMIT, taken};
use crate::settings::{AgentSettings, SPOOL_FOLDER, read_server_name, split};
use crate::trouble::Trouble;
use crate::trust::Trust;

/// All files of a join together stay below this, in bytes.
const FILES_BYTES_MAX: usize = 64 * 1024;
pub(crate) const SETTINGS_FILE: &str = "agent.toml";
pub(crate) const IDENTITY_FILE: &str = "identity.pem";
pub(crate) const AUTHORITY_FILE: &str = "authority.pem";
pub(crate) const POLICY_FILE: &str = "policy.toml";
/// There while the files of a join get their names.
pub(crate) const JOINING_FILE: &str = "joining";

/// Calls with one token and one key; the controller gives the same answer to each.
const TRIES: u32 = 5;
/// The controller takes one attempt per second and address.
const TRY_PAUSE: Duration = Duration::from_millis(1300);

/// What is asked for.
#[derive(Debug)]
pub struct JoinRequest {
    /// `host:port` of the controller's agent port.
    pub controller: String,
    /// Name in the controller's certificate, if it is not the host of `controller`.
    pub server_name: Option<String>,
    pub token: JoinToken,
    /// Where everything is written.
    pub folder: PathBuf,
    pub proxy: Option<ProxyChoice>,
    /// Hosts to stand in the policy.
    pub hosts: Vec<String>,
    /// Take over a folder that is used.
    pub replace: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub vantage: String,
    /// `external`, `dmz`, `internal` or `backend`.
    pub zone: &'static str,
    /// When the certificate ends, RFC 3339.
    pub until: String,
    /// What was written, each with what it is for.
    pub files: Vec<(PathBuf, &'static str)>,
    /// The policy names no host and the zone needs some: the agent does not start before that.
    pub policy_lacks_hosts: bool,
    /// The policy was there before and is for this zone, which is another than the agent's now.
    pub policy_of_zone: Option<&'static str>,
    /// Where results of another agent were put, which this one must not send.
    pub spool_set_aside: Option<PathBuf>,
}

/// Why an agent did not join. Nothing was written, unless a disk failed in the middle; then no agent starts with the folder.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("`{field}`: {text}")]
    Wrong { field: &'static str, text: String },
    #[error("{} is used by an agent already ({file}); give --replace to take its place, or another --folder", .folder.display())]
    Used { folder: PathBuf, file: &'static str },
    #[error("an agent runs with {}; stop it first", .folder.display())]
    Running { folder: PathBuf },
    #[error("cannot write into {}", .folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Trouble(#[from] Trouble),
    #[error("no key can be made")]
    Key(#[source] rcgen::Error),
}

/// Joins: makes a key, has it certified, writes the folder.
pub async fn join(request: &JoinRequest) -> Result<Joined, JoinError> {
    let settings = check(request)?;
    let site = Site::prepare(&request.folder, request.replace)?;
    let enrolled = enroll(&settings, &request.token).await?;
    site.write(request, &enrolled)
}

fn check(request: &JoinRequest) -> Result<AgentSettings, JoinError> {
    let wrong = |field: &'static str| move |text: String| JoinError::Wrong { field, text };
    let (host, _) = split(&request.controller).map_err(wrong("controller"))?;
    let name = request.server_name.as_deref().unwrap_or(&host);
    let name = read_server_name(name).map_err(wrong("server_name"))?;
    for host in &request.hosts {
        let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(is_plain) {
            let text = format!("`{}` is no host name and no address", host.escape_debug());
            return Err(JoinError::Wrong { field: "host", text });
        }
    }
    let mut settings = AgentSettings::new(request.controller.clone(), name);
    settings.proxy = request.proxy.as_ref().and_then(|it| it.proxy().cloned());
    Ok(settings)
}

struct Enrolled {
    identity: Identity,
    vantage: String,
    zone: Zone,
}

async fn enroll(settings: &AgentSettings, token: &JoinToken) -> Result<Enrolled, JoinError> {
    let key = NewKey::generate().map_err(JoinError::Key)?;
    let signing_request = key.signing_request().map_err(JoinError::Key)?;
    let way = Way::new(settings, Trust::Pin(token.authority_pin), None)
        .map_err(|error| Trouble::Tls { detail: error.to_string() })?;
    let mut tries = 1;
    let answer = loop {
        match ask(&way, token, &signing_request).await {
            Ok(answer) => break answer,
            // The answer was perhaps lost on its way; the same key gets it again.
            Err(Trouble::NoSession { .. } | Trouble::Silent { .. }) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(TRY_PAUSE).await;
            }
            Err(trouble) => return Err(trouble.into()),
        }
    };
    let out_of_turn = |detail: String| Trouble::OutOfTurn { detail };
    let identity = taken(key, answer.certificate, Some(token.authority_pin))?;
    let zone = parallax_wire::read_zone(&answer.zone)
        .ok_or_else(|| out_of_turn("its answer names no zone".to_owned()))?;
    let certified = identity.chain.first().and_then(vantage);
    if certified.as_deref() != Some(answer.vantage.as_str())
        || answer.vantage != token.agent.as_str()
    {
        let detail =
            format!("its certificate is not for the vantage `{}` of the token", token.agent);
        return Err(out_of_turn(detail).into());
    }
    Ok(Enrolled { identity, vantage: answer.vantage, zone })
}

async fn ask(
    way: &Way,
    token: &JoinToken,
    signing_request: &[u8],
) -> Result<wire::EnrollResponse, Trouble> {
    let wire = way.open().await?;
    let mut client = EnrollmentServiceClient::new(wire.channel.clone())
        .max_decoding_message_size(ANSWER_BYTES_MAX);
    let request = wire::EnrollRequest {
        token: token.secret.to_vec(),
        signing_request: signing_request.to_vec(),
    };
    let enrolled = timeout(CALL_LIMIT, client.enroll(request))
        .await
        .map_err(|_| Trouble::Silent { after: CALL_LIMIT })?;
    enrolled.map(tonic::Response::into_inner).map_err(|status| {
        let is_no = [
            Code::PermissionDenied,
            Code::Unauthenticated,
            Code::NotFound,
            Code::AlreadyExists,
            Code::FailedPrecondition,
            Code::InvalidArgument,
        ]
        .contains(&status.code());
        if is_no {
            Trouble::TokenRefused { detail: said(&status) }
        } else {
            wire.alerts.of_call(&status)
        }
    })
}

/// The folder that is to be written.
struct Site<'a> {
    folder: &'a Path,
    /// Removed again if nothing comes of it.
    is_new: bool,
    is_done: bool,
    /// No agent runs here meanwhile.
    _lock: Option<Lock>,
}

impl<'a> Site<'a> {
    /// Makes sure that the folder can be written before the token is used up.
    fn prepare(folder: &'a Path, replace: bool) -> Result<Self, JoinError> {
        for file in [IDENTITY_FILE, SETTINGS_FILE, AUTHORITY_FILE] {
            if !replace && folder.join(file).exists() {
                return Err(JoinError::Used { folder: folder.to_owned(), file });
            }
        }
        let failed = |source| JoinError::Folder { folder: folder.to_owned(), source };
        let lock = Lock::take_if_used(folder)
            .map_err(|_| JoinError::Running { folder: folder.to_owned() })?;
        let site = Self { folder, is_new: !folder.exists(), is_done: false, _lock: lock };
        make_folder(folder).map_err(failed)?;
        // As much as will be written: a disk that is full says so before the token is used up.
        let as_much = vec![0; FILES_BYTES_MAX];
        Draft::write(&folder.join(IDENTITY_FILE), PRIVATE, &as_much).map_err(failed)?;
        Ok(site)
    }

    fn write(mut self, request: &JoinRequest, enrolled: &Enrolled) -> Result<Joined, JoinError> {
        let failed = |source| JoinError::Folder { folder: self.folder.to_owned(), source };
        let path = |name: &str| self.folder.join(name);
        let hosts: Vec<&str> = request.hosts.iter().map(String::as_str).collect();
        let policy = policy_template(enrolled.zone, &hosts);
        let has_policy = path(POLICY_FILE).exists();
        let settings = settings_text(request, &std::path::absolute(self.folder).map_err(failed)?);
        // A proxy's password may be in the settings.
        let mode = if request.proxy.is_some() { PRIVATE } else { PUBLIC };
        let mut drafts = vec![
            Draft::write(&path(SETTINGS_FILE), mode, settings.as_bytes()),
            Draft::write(
                &path(AUTHORITY_FILE),
                PUBLIC,
                enrolled.identity.authority_pem().as_bytes(),
            ),
        ];
        if !has_policy {
            drafts.push(Draft::write(&path(POLICY_FILE), PUBLIC, policy.as_bytes()));
        }
        let pem = enrolled.identity.pem();
        drafts.push(Draft::write(&path(IDENTITY_FILE), PRIVATE, pem.as_bytes()));
        let drafts = drafts.into_iter().collect::<io::Result<Vec<_>>>().map_err(failed)?;
        let joining = path(JOINING_FILE);
        Draft::write(&joining, PUBLIC, b"").and_then(Draft::place).map_err(failed)?;
        let spool_set_aside = self.set_aside_spool(&enrolled.identity).map_err(failed)?;
        for draft in drafts {
            draft.place().map_err(failed)?;
        }
        std::fs::remove_file(&joining).and_then(|()| sync_folder_of(&joining)).map_err(failed)?;
        let mut files = vec![
            (path(SETTINGS_FILE), "the agent's settings"),
            (path(IDENTITY_FILE), "its certificate and key, for its owner alone"),
            (path(AUTHORITY_FILE), "whom it takes for the controller"),
        ];
        if !has_policy {
            files.push((path(POLICY_FILE), "what it may probe"));
        }
        let policy_lacks_hosts = !has_policy && hosts.is_empty() && enrolled.zone != Zone::External;
        let joined = Joined {
            vantage: enrolled.vantage.clone(),
            zone: parallax_wire::zone_word(enrolled.zone),
            until: enrolled.identity.holds_until(),
            files,
            policy_lacks_hosts,
            policy_of_zone: has_policy
                .then(|| other_zone(&path(POLICY_FILE), enrolled.zone))
                .flatten(),
            spool_set_aside,
        };
        self.is_done = true;
        Ok(joined)
    }
}

impl Site<'_> {
    /// Results stay for the next identity only if it is of the same agent with the same controller.
    fn set_aside_spool(&self, next: &Identity) -> io::Result<Option<PathBuf>> {
        let spool = self.folder.join(SPOOL_FOLDER);
        // A join that was cut off has perhaps changed one of its files already; what cannot be read is another's.
        let before =
            Identity::read(&self.folder.join(IDENTITY_FILE), &self.folder.join(AUTHORITY_FILE));
        if before.is_ok_and(|it| who(&it) == who(next)) {
            return Ok(None);
        }
        let is_empty = match std::fs::read_dir(&spool) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            entries => entries?.next().is_none(),
        };
        if is_empty {
            return Ok(None);
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let aside = self.folder.join(format!("{SPOOL_FOLDER}.old-{}", since.as_millis()));
        std::fs::rename(&spool, &aside)?;
        sync_folder_of(&spool)?;
        Ok(Some(aside))
    }
}

/// Whose results an agent's are: its vantage and the key of its authority.
fn who(identity: &Identity) -> (Option<String>, Option<[u8; 32]>) {
    (identity.chain.first().and_then(vantage), key_digest(&identity.authority))
}

/// The zone of a policy, if it is another one. A policy that cannot be read is told by the agent when it starts.
fn other_zone(policy: &Path, zone: Zone) -> Option<&'static str> {
    let before = Policy::read(policy).ok()?.zone()?;
    (before != zone).then(|| parallax_wire::zone_word(before))
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        if self.is_new && !self.is_done {
            // Only if it is empty; what others put there is not ours.
            let _ = std::fs::remove_dir(self.folder);
        }
    }
}

/// TOML with a comment for every setting.
fn settings_text(request: &JoinRequest, folder: &Path) -> zeroize::Zeroizing<String> {
    let quoted = |text: &str| {
        let escaped = text.chars().flat_map(|it| match it {
            '"' | '\\' => vec!['\\', it],
            // TOML 1.0 "String": other characters stand for themselves.
            it if it.is_control() => format!("\\u{:04x}", u32::from(it)).chars().collect(),
            it => vec![it],
        });
        format!("\"{}\"", escaped.collect::<String>())
    };
    let file = |name: &str| quoted(&folder.join(name).display().to_string());
    let server_name = match &request.server_name {
        Some(name) => format!("server_name = {}", quoted(name)),
        None => "# server_name = \"parallax.corp.example\"".to_owned(),
    };
    let proxy = match &request.proxy {
        Some(choice) => format!("proxy = {}", quoted(choice.text())),
        None => "# proxy = \"http://proxy.corp.example:3128\"".to_owned(),
    };
    zeroize::Zeroizing::new(format!(
        "# The settings of one agent. Each key may also stand in the environment, as PARALLAX_AGENT_CONTROLLER.

# The controller's agent port. The agent calls out; nothing calls in.
controller = {controller}

# Name in the controller's certificate, if it is not the host above.
{server_name}

# Who this agent is: certificate and key. The agent renews it at half its life and puts the new one in its place.
identity = {identity}

# Whom it takes for the controller.
authority = {authority}

# What it may probe; the controller cannot widen it. Without this file it refuses everything.
policy = {policy}

# Where results wait until the controller has acknowledged them.
spool = {spool}

# The HTTP proxy between agent and controller, with user and password if it wants them (http://user:password@host:port);
# \"environment\": what https_proxy says. Probes never use it.
{proxy}
",
        controller = quoted(&request.controller),
        identity = file(IDENTITY_FILE),
        authority = file(AUTHORITY_FILE),
        policy = file(POLICY_FILE),
        spool = file("spool"),
    ))
}
