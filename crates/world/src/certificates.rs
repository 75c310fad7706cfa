//! Which certificates does a world show, and which roots judge them?
//!
//! Minted once per run: a public root with its intermediate, one private root per other issuer,
//! and one leaf per `leaf` text, names, issuer and validity; the same leaf text has the same serial
//! number everywhere. Defects are real: an expired certificate is expired, a missing intermediate
//! is not sent. Absent on purpose: the decision who shows which (`network`).
//!
//! INVARIANT: keys of authorities never leave this module.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

use crate::format::{CertificateDefect, ClientCertificate, Tls, World};

/// The word for a public authority in a world file.
const PUBLIC: &str = "public";

/// Days around now in which a leaf that is not expired is valid.
const VALID_DAYS: (i64, i64) = (-30, 60);

/// Why certificates could not be made: something in a world is no name for a certificate.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the certificate `{subject}`")]
pub struct CertificateError {
    pub subject: String,
    #[source]
    source: rcgen::Error,
}

/// A chain as it is sent, with the key of its leaf.
#[derive(Debug)]
pub struct Identity {
    /// The leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// A copy; keys do not clone by accident.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// A client certificate of an account.
#[derive(Debug)]
pub struct ClientIdentity {
    pub kind: ClientCertificate,
    pub identity: Identity,
}

/// The certificates of one running world.
pub struct Certificates {
    now: OffsetDateTime,
    public_root: CertificateDer<'static>,
    public_issuing: Authority,
    private: BTreeMap<String, Authority>,
    leaves: BTreeMap<LeafKey, Arc<Leaf>>,
    /// Leaves that an old listener shows: those need RSA, wherever they are shown.
    old: BTreeSet<String>,
    clients: BTreeMap<String, ClientIdentity>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let issuers: Vec<&String> = self.private.keys().collect();
        f.debug_struct("Certificates").field("issuers", &issuers).finish_non_exhaustive()
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

struct Leaf {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct LeafKey {
    text: String,
    names: Vec<String>,
    issuer: Issuer,
    validity: Validity,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Issuer {
    Public,
    Private(String),
    Itself,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Validity {
    Now,
    Past,
    Future,
}

impl Certificates {
    /// Mints everything that a world shows and trusts.
    ///
    /// # Errors
    /// When a name of the world cannot stand in a certificate.
    pub fn mint(world: &World) -> Result<Self, CertificateError> {
        let now = OffsetDateTime::now_utc();
        let root = authority("Public Root CA", None, now)?;
        let issuing = authority("Public Issuing CA", Some(&root), now)?;
        let mut all = Self {
            now,
            public_root: root.der().clone(),
            public_issuing: issuing,
            private: BTreeMap::new(),
            leaves: BTreeMap::new(),
            old: listeners(world).filter(|it| !it.is_modern()).map(|it| it.leaf).collect(),
            clients: BTreeMap::new(),
        };
        for issuer in world.vantages.iter().flat_map(|it| &it.trusts).filter(|it| *it != PUBLIC) {
            all.private_authority(issuer)?;
        }
        for tls in listeners(world) {
            all.leaf(&tls)?;
        }
        for account in &world.accounts {
            if let Some(kind) = account.client_cert {
                let client = client(&account.name, account.upn.as_deref(), kind, now)?;
                all.clients.insert(account.name.clone(), client);
            }
        }
        Ok(all)
    }

    /// The roots that stand for the public ones.
    pub fn public_roots(&self) -> Vec<CertificateDer<'static>> {
        vec![self.public_root.clone()]
    }

    /// The root of a private issuer.
    pub fn root_of(&self, issuer: &str) -> Option<CertificateDer<'static>> {
        if issuer == PUBLIC {
            return Some(self.public_root.clone());
        }
        self.private.get(issuer).map(|it| it.der().clone())
    }

    /// What a listener sends. Every listener of the world has one.
    pub fn shown(&self, tls: &Tls) -> Option<Identity> {
        let key = LeafKey::of(tls);
        let leaf = self.leaves.get(&key)?;
        let mut chain = vec![leaf.certificate.clone()];
        match (&key.issuer, tls.cert) {
            (_, CertificateDefect::LeafOnly) | (Issuer::Itself, _) => {}
            (Issuer::Public, _) => chain.push(self.public_issuing.der().clone()),
            // The chain is complete to its root, so that nobody takes it for a missing intermediate.
            (Issuer::Private(name), _) => {
                chain.extend(self.private.get(name).map(|it| it.der().clone()));
            }
        }
        Some(Identity { chain, key: leaf.key.clone_key() })
    }

    /// The client certificates, by account entry.
    pub fn clients(&self) -> &BTreeMap<String, ClientIdentity> {
        &self.clients
    }

    fn private_authority(&mut self, name: &str) -> Result<(), CertificateError> {
        if !self.private.contains_key(name) {
            let made = authority(name, None, self.now)?;
            self.private.insert(name.to_owned(), made);
        }
        Ok(())
    }

    fn leaf(&mut self, tls: &Tls) -> Result<(), CertificateError> {
        let key = LeafKey::of(tls);
        if self.leaves.contains_key(&key) {
            return Ok(());
        }
        let failed = |source| CertificateError { subject: key.text.clone(), source };
        let mut params = CertificateParams::new(key.names.clone()).map_err(failed)?;
        let common_name = key.names.first().unwrap_or(&key.text);
        params.distinguished_name.push(DnType::CommonName, common_name.as_str());
        params.serial_number = Some(serial(&key.text));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if self.old.contains(&key.text) {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = key.issuer != Issuer::Itself;
        let (from, until) = match key.validity {
            Validity::Now => VALID_DAYS,
            Validity::Past => (-400, -3),
            Validity::Future => (3, 400),
        };
        params.not_before = self.now + Duration::days(from);
        params.not_after = self.now + Duration::days(until);
        let pair = if self.old.contains(&key.text) { old_key() } else { KeyPair::generate() }
            .map_err(failed)?;
        let certificate = match &key.issuer {
            Issuer::Public => params.signed_by(&pair, &self.public_issuing),
            Issuer::Itself => params.self_signed(&pair),
            Issuer::Private(name) => {
                self.private_authority(name)?;
                match self.private.get(name) {
                    Some(authority) => params.signed_by(&pair, authority),
                    None => params.self_signed(&pair),
                }
            }
        }
        .map_err(failed)?;
        let leaf = Leaf { certificate: certificate.der().clone(), key: private_key(&pair) };
        self.leaves.insert(key, Arc::new(leaf));
        Ok(())
    }
}

/// The RSA key of every old leaf: it takes the better part of a second to make, and no client remembers it.
fn old_key() -> Result<KeyPair, rcgen::Error> {
    static KEY: OnceLock<PrivatePkcs8KeyDer<'static>> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return KeyPair::from_pkcs8_der_and_sign_algo(key, &PKCS_RSA_SHA256);
    }
    let made = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let key = KEY.get_or_init(|| PrivatePkcs8KeyDer::from(made.serialize_der()));
    KeyPair::from_pkcs8_der_and_sign_algo(key, &PKCS_RSA_SHA256)
}

/// Every listener, with and without a server name.
fn listeners(world: &World) -> impl Iterator<Item = Tls> {
    let all = world.hosts.iter().flat_map(|it| &it.listeners).filter_map(|it| it.tls.as_ref());
    all.flat_map(|it| [it.clone(), it.nameless()])
}

impl LeafKey {
    fn of(tls: &Tls) -> Self {
        let issuer = match tls.cert {
            CertificateDefect::SelfSigned => Issuer::Itself,
            // These two say that the root is not public, so their issuer is not either.
            CertificateDefect::PrivateCa | CertificateDefect::InspectionCa
                if tls.issuer == PUBLIC =>
            {
                Issuer::Private(tls.cert.word().to_owned())
            }
            CertificateDefect::Good
            | CertificateDefect::Expired
            | CertificateDefect::NotYet
            | CertificateDefect::PrivateCa
            | CertificateDefect::NameMismatch
            | CertificateDefect::LeafOnly
            | CertificateDefect::InspectionCa => {
                if tls.issuer == PUBLIC {
                    Issuer::Public
                } else {
                    Issuer::Private(tls.issuer.clone())
                }
            }
        };
        let validity = match tls.cert {
            CertificateDefect::Expired => Validity::Past,
            CertificateDefect::NotYet => Validity::Future,
            CertificateDefect::Good
            | CertificateDefect::SelfSigned
            | CertificateDefect::PrivateCa
            | CertificateDefect::NameMismatch
            | CertificateDefect::LeafOnly
            | CertificateDefect::InspectionCa => Validity::Now,
        };
        Self { text: tls.leaf.clone(), names: tls.names.clone(), issuer, validity }
    }
}

/// The serial number of a leaf: equal text, equal serial. The top bits keep it positive and long.
pub fn serial(text: &str) -> SerialNumber {
    let mut bytes: Vec<u8> = Sha256::digest(text.as_bytes()).iter().copied().take(16).collect();
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    SerialNumber::from_slice(&bytes)
}

fn authority(
    name: &str,
    parent: Option<&Authority>,
    now: OffsetDateTime,
) -> Result<Authority, CertificateError> {
    let failed = |source| CertificateError { subject: name.to_owned(), source };
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = parent.is_some();
    params.not_before = now - Duration::days(800);
    params.not_after = now + Duration::days(3000);
    let key = KeyPair::generate().map_err(failed)?;
    match parent {
        Some(parent) => CertifiedIssuer::signed_by(params, key, parent),
        None => CertifiedIssuer::self_signed(params, key),
    }
    .map_err(failed)
}

fn client(
    account: &str,
    upn: Option<&str>,
    kind: ClientCertificate,
    now: OffsetDateTime,
) -> Result<ClientIdentity, CertificateError> {
    let failed = |source| CertificateError { subject: account.to_owned(), source };
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, upn.unwrap_or(account));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = now + Duration::days(VALID_DAYS.0);
    params.not_after = now + Duration::days(VALID_DAYS.1);
    let pair = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&pair).map_err(failed)?;
    let identity = Identity { chain: vec![certificate.der().clone()], key: private_key(&pair) };
    Ok(ClientIdentity { kind, identity })
}

fn private_key(pair: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()))
}
