//! What does the simulated network consist of? Directories, accounts, vantages and hosts.
//!
//! Sections 2 to 4 of the format. The defaults of the format are written here, once.
//! Absent on purpose: rules of hosts (`rules`) and the meaning of any of it (`simulation`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::rules::Rule;
use super::words::words;

/// A directory that counts refused passwords per account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    pub name: String,
    pub netbios: String,
    pub dns_domain: String,
    pub upn_suffixes: Vec<String>,
    /// Refused passwords until an account is locked; 0 = never.
    pub lockout_threshold: u32,
    /// The count returns to 0 after this long without a refusal.
    pub observation_window_s: u32,
    /// How long an account stays locked; 0 = until somebody unlocks it.
    pub lockout_duration_s: u32,
    /// The host that answers Kerberos for it; absent = none can be asked.
    #[serde(default)]
    pub kdc: Option<String>,
}

/// One spelling of one identity in one directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    pub name: String,
    pub directory: String,
    /// The user name exactly as sent.
    pub login: String,
    pub form: LoginForm,
    /// False: the directory does not know this spelling.
    pub resolves: bool,
    #[serde(default)]
    pub upn: Option<String>,
    #[serde(default)]
    pub smtp: Option<String>,
    /// Whether the secret that the product holds is the right one.
    pub secret: SecretState,
    #[serde(default)]
    pub secret_charset: SecretCharset,
    pub state: AccountState,
    /// The count of refused passwords at t = 0.
    #[serde(default)]
    pub bad_count: u32,
    /// A host, `cloud` or `none`.
    pub mailbox: String,
    /// Registered with the product.
    pub given: bool,
    pub purpose: Purpose,
    #[serde(default)]
    pub declared_mailbox: Option<super::Generation>,
    #[serde(default)]
    pub bearer: Option<Bearer>,
    #[serde(default)]
    pub client_cert: Option<ClientCertificate>,
}

words! {
    /// The form of a user name.
    LoginForm { Bare = "bare", Domain = "domain", Upn = "upn", Smtp = "smtp" }
}
words! {
    /// Whether the secret that the product holds is right.
    SecretState { Right = "right", Wrong = "wrong" }
}
words! {
    /// Which encoding of the secret is right.
    #[derive(Default)]
    SecretCharset {
        #[default]
        Ascii = "ascii",
        Utf8Only = "utf8_only",
        Latin1Only = "latin1_only",
    }
}
words! {
    /// The state of an account at t = 0.
    AccountState {
        Ok = "ok",
        Locked = "locked",
        Disabled = "disabled",
        Expired = "expired",
        MustChange = "must_change",
    }
}
words! {
    /// What an account is for.
    Purpose { Subject = "subject", Witness = "witness", Hidden = "hidden" }
}
words! {
    /// The kind of token that the product holds.
    Bearer { Ok = "ok", Bad = "bad" }
}
words! {
    /// The kind of client certificate that the product holds.
    ClientCertificate { Ok = "ok", Bad = "bad" }
}
words! {
    /// The zone of a vantage.
    Zone { External = "external", Dmz = "dmz", Internal = "internal", Backend = "backend" }
}
words! {
    /// Whether the agent of a vantage reports.
    AgentState { Up = "up", Silent = "silent" }
}
words! {
    /// An address family.
    Family { V4 = "v4", V6 = "v6" }
}
words! {
    /// How a name that cannot be answered is answered.
    #[derive(Default)]
    DnsDefault {
        #[default]
        NxDomain = "nxdomain",
        ServFail = "servfail",
        Timeout = "timeout",
    }
}
words! {
    /// How a machine is reached that no entry names.
    #[derive(Default)]
    ReachDefault {
        #[default]
        Open = "open",
        Refused = "refused",
        Blackhole = "blackhole",
    }
}
words! {
    /// How one of several machines is chosen.
    #[derive(Default)]
    Balance {
        #[default]
        First = "first",
        RoundRobin = "round_robin",
        ByOrigin = "by_origin",
    }
}
words! {
    /// What is wrong with a certificate.
    CertificateDefect {
        Good = "good",
        Expired = "expired",
        NotYet = "not_yet",
        SelfSigned = "self_signed",
        PrivateCa = "private_ca",
        NameMismatch = "name_mismatch",
        LeafOnly = "leaf_only",
        InspectionCa = "inspection_ca",
    }
}
words! {
    /// A version of TLS.
    TlsVersion { V10 = "1.0", V11 = "1.1", V12 = "1.2", V13 = "1.3" }
}
words! {
    /// Which cipher suites a listener has.
    #[derive(Default)]
    Ciphers {
        #[default]
        Modern = "modern",
        CbcOnly = "cbc_only",
        RsaOnly = "rsa_only",
        Windows2003 = "windows_2003",
        NoneCommon = "none_common",
    }
}
words! {
    /// Whether a listener asks for a client certificate.
    #[derive(Default)]
    ClientCertificateRequest {
        #[default]
        No = "no",
        Optional = "optional",
        Required = "required",
        Renegotiate = "renegotiate",
    }
}
words! {
    /// Whether a listener needs the server name in the `ClientHello`.
    #[derive(Default)]
    ServerNameIndication {
        #[default]
        Any = "any",
        Required = "required",
    }
}
words! {
    /// What follows the `ClientHello`.
    #[derive(Default)]
    Handshake {
        #[default]
        Ok = "ok",
        Reset = "reset",
        Stall = "stall",
        Alert40 = "alert40",
        ResetModern = "reset_modern",
    }
}
words! {
    /// Whether a Kerberos ticket for this host is accepted.
    KerberosAccepts { Yes = "yes", NoSpn = "no_spn", Modified = "modified", Skew = "skew" }
}

/// A place to look from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vantage {
    pub name: String,
    pub zone: Zone,
    pub site: String,
    pub agent: AgentState,
    /// What names mean here.
    pub dns: BTreeMap<String, DnsAnswer>,
    #[serde(default)]
    pub dns_default: DnsDefault,
    /// Keys are `host`, `host:port`, `host/v6` or `host:port/v6`; the most exact wins.
    pub reach: BTreeMap<String, Reach>,
    pub reach_default: ReachDefault,
    #[serde(default = "v4_only")]
    pub families: Vec<Family>,
    /// Issuers in the agent's own certificate store.
    #[serde(default)]
    pub trusts: Vec<String>,
    #[serde(default)]
    pub intercept: Option<Intercept>,
}

fn v4_only() -> Vec<Family> {
    vec![Family::V4]
}

/// What a name means at a vantage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "must be a host name, a list of host names, `nxdomain`, `servfail`, `timeout`, \
                 or an object with `a`, `aaaa` or `cname`"
)]
pub enum DnsAnswer {
    Fails(DnsDefault),
    Host(String),
    Hosts(Vec<String>),
    Records(DnsRecords),
}

/// Records of a name, spelled out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsRecords {
    #[serde(default)]
    pub a: Vec<String>,
    #[serde(default)]
    pub aaaa: Vec<String>,
    #[serde(default)]
    pub cname: Option<String>,
}

/// How a machine is reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenReach")]
pub enum Reach {
    Open,
    Refused,
    Blackhole,
    /// TCP and TLS work, then RST once a request with one of these methods was read; `None` = any.
    ResetAfterRequest(Option<Vec<String>>),
    /// TCP opens, the TLS handshake gets no answer.
    TlsStall,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be `open`, `refused`, `blackhole`, `reset_after_request`, `tls_stall`, \
                 or an object with mode `reset_after_request` and `methods`"
)]
enum WrittenReach {
    Word(ReachWord),
    ForMethods(ReachForMethods),
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReachWord {
    Open,
    Refused,
    Blackhole,
    ResetAfterRequest,
    TlsStall,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReachForMethods {
    mode: ReachWord,
    methods: Vec<String>,
}

impl TryFrom<WrittenReach> for Reach {
    type Error = &'static str;

    fn try_from(written: WrittenReach) -> Result<Self, Self::Error> {
        match written {
            WrittenReach::Word(ReachWord::Open) => Ok(Self::Open),
            WrittenReach::Word(ReachWord::Refused) => Ok(Self::Refused),
            WrittenReach::Word(ReachWord::Blackhole) => Ok(Self::Blackhole),
            WrittenReach::Word(ReachWord::TlsStall) => Ok(Self::TlsStall),
            WrittenReach::Word(ReachWord::ResetAfterRequest) => Ok(Self::ResetAfterRequest(None)),
            WrittenReach::ForMethods(it) if it.mode == ReachWord::ResetAfterRequest => {
                Ok(Self::ResetAfterRequest(Some(it.methods)))
            }
            WrittenReach::ForMethods(_) => {
                Err("`mode` must be `reset_after_request` where `methods` stand")
            }
        }
    }
}

/// Connections to these ports are answered by another host, whatever the address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intercept {
    pub ports: Vec<u16>,
    pub by: String,
}

/// A machine that answers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    pub name: String,
    /// For people.
    #[serde(default)]
    pub what: Option<String>,
    #[serde(default)]
    pub listeners: Vec<Listener>,
    #[serde(default)]
    pub passthrough: Option<Passthrough>,
    /// This host's clock against true time, in seconds.
    #[serde(default)]
    pub clock_offset_s: i64,
    #[serde(default)]
    pub validates: Option<Validates>,
    #[serde(default)]
    pub ntlm: Option<Ntlm>,
    #[serde(default)]
    pub kerberos: Option<Kerberos>,
    /// What this host can forward to; open by default.
    #[serde(default)]
    pub reach: BTreeMap<String, Reach>,
    /// Tried in order; the first that holds acts.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A port that answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub port: u16,
    /// `None` = the port speaks plain HTTP (`"none"` in a file).
    #[serde(deserialize_with = "tls_or_none")]
    pub tls: Option<Tls>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be `none` or an object with `cert`, `leaf`, `names` and `issuer`"
)]
enum WrittenTls {
    Word(NoTls),
    Tls(Box<Tls>),
}

#[derive(Deserialize)]
enum NoTls {
    #[serde(rename = "none")]
    None,
}

fn tls_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Tls>, D::Error> {
    Ok(match WrittenTls::deserialize(deserializer)? {
        WrittenTls::Word(NoTls::None) => None,
        WrittenTls::Tls(tls) => Some(*tls),
    })
}

/// How a port speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub cert: CertificateDefect,
    /// Identity of the leaf: equal text, equal certificate.
    pub leaf: String,
    /// Its subject alternative names.
    pub names: Vec<String>,
    /// `public`, or the name of a private issuer.
    pub issuer: String,
    #[serde(default = "oldest")]
    pub min_version: TlsVersion,
    #[serde(default = "newest")]
    pub max_version: TlsVersion,
    #[serde(default)]
    pub ciphers: Ciphers,
    #[serde(default)]
    pub requests_client_cert: ClientCertificateRequest,
    #[serde(default)]
    pub sni: ServerNameIndication,
    #[serde(default = "http11")]
    pub alpn: Vec<String>,
    #[serde(default)]
    pub handshake: Handshake,
    /// What a client without a server name gets instead.
    #[serde(default)]
    pub without_sni: Option<OtherCertificate>,
}

/// The certificate of another site on the same port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherCertificate {
    pub cert: CertificateDefect,
    pub leaf: String,
    pub names: Vec<String>,
    pub issuer: String,
}

impl Tls {
    /// Whether a client that speaks TLS 1.2 with forward secrecy and authenticated encryption finds something.
    pub fn is_modern(&self) -> bool {
        self.ciphers == Ciphers::Modern && self.max_version >= TlsVersion::V12
    }

    /// The same port as a client without a server name meets it.
    #[must_use]
    pub fn nameless(&self) -> Self {
        let mut other = self.clone();
        if let Some(shown) = other.without_sni.take() {
            (other.cert, other.leaf) = (shown.cert, shown.leaf);
            (other.names, other.issuer) = (shown.names, shown.issuer);
        }
        other
    }
}

const fn oldest() -> TlsVersion {
    TlsVersion::V10
}

const fn newest() -> TlsVersion {
    TlsVersion::V13
}

fn http11() -> Vec<String> {
    vec!["http/1.1".to_owned()]
}

/// TCP handed on unread.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passthrough {
    pub to: Vec<String>,
    pub ports: Vec<u16>,
    pub balance: Balance,
}

/// Where Basic credentials are checked against a directory before the rules are looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validates {
    pub directory: String,
    /// Paths, exact or prefixes with a final `*`.
    pub basic_on: Vec<String>,
    /// Bare names are known.
    #[serde(default)]
    pub default_domain: bool,
    /// How much one refused password moves the counter here.
    #[serde(default = "one")]
    pub cost: u32,
    /// Accounts whose token is cached: accepted without a check.
    #[serde(default)]
    pub cached: Vec<String>,
}

const fn one() -> u32 {
    1
}

/// Fields of the NTLM Type-2 message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ntlm {
    pub nb_computer: String,
    pub nb_domain: String,
    pub dns_computer: String,
    pub dns_domain: String,
    /// `major.minor.build`
    pub os: String,
    /// False: the message has no AV pair 7.
    pub timestamp: bool,
}

/// The Kerberos name of a host, and whether its tickets are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kerberos {
    pub spn: String,
    pub accepts: KerberosAccepts,
}
