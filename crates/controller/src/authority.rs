//! Who the controller is to its agents, and who may be one of them.
//!
//! One private authority (ECDSA P-256) signs the certificate of the agent port and one certificate per agent, whose
//! SPIFFE id names the vantage it stands for. Absent on purpose: who may join (`agents::enrollment`), and any trust of the
//! authority beyond this port.
//!
//! INVARIANT: a private key is written with mode 0600 and appears in no `Debug`, log or error.
//! INVARIANT: nothing that exists is overwritten.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parallax_model::VantageName;
use parallax_store::NewCertificate;
use rand::Rng as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType, SubjectPublicKeyInfo,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;

/// What an agent's SPIFFE id begins with; the vantage's name follows.
const SPIFFE_PREFIX: &str = "spiffe://parallax/agent/";
/// How long an agent's certificate holds.
const AGENT_DAYS: i64 = 30;
/// How long the authority and the certificate of the agent port hold; only our own agents read them.
const AUTHORITY_DAYS: i64 = 3650;
/// How far back a certificate begins, for agents whose clock is behind.
const CLOCK_SLACK: Duration = Duration::hours(1);

/// Length of a serial number, in bytes.
const SERIAL_LENGTH: usize = 16;

/// Certificate of the authority, in the data folder.
pub const AUTHORITY_FILE: &str = "agent-ca.pem";
/// Its private key.
pub const AUTHORITY_KEY_FILE: &str = "agent-ca.key";

/// Why the authority could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("cannot {doing} `{path}`")]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` exists already; remove it first if every agent is to get a new certificate")]
    Exists { path: PathBuf },
    #[error("`{path}` does not hold what `parallax controller init` writes there")]
    Unreadable { path: PathBuf },
    #[error(
        "`{path}` can be read by others (mode {mode:03o}); set it to 600, and make a new one if somebody did"
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("`{text}` is no name or address that a certificate can carry")]
    Name { text: String },
}

/// Signs the certificates of the agent port.
pub struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Authority(..)")
    }
}

/// A certificate with its key.
pub struct Identity {
    /// Leaf, PEM.
    pub certificate_pem: String,
    /// PKCS#8, PEM. A secret.
    pub key_pem: String,
    /// Leaf first; with the authority where the peer may know nothing but its pin.
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Identity(..)")
    }
}

impl Identity {
    /// SHA-256 of the certificate over its DER encoding: what the register keeps.
    pub fn certificate_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.chain[0]).into()
    }

    /// Chain and key as rustls takes them.
    pub fn into_rustls(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain, self.key.into())
    }
}

impl Authority {
    /// Makes a new one, in memory.
    pub fn generate() -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params("Parallax agents", AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Makes a new one and writes it into the data folder.
    pub fn create(folder: &Path) -> Result<Self, AuthorityError> {
        let authority = Self::generate()?;
        write_new(
            &folder.join(AUTHORITY_KEY_FILE),
            authority.issuer.key().serialize_pem().as_bytes(),
            0o600,
        )?;
        write_new(&folder.join(AUTHORITY_FILE), authority.certificate_pem.as_bytes(), 0o644)?;
        Ok(authority)
    }

    /// Reads the one in the data folder.
    pub fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let path = folder.join(AUTHORITY_FILE);
        let certificate_pem = read(&path)?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| AuthorityError::Unreadable { path })?;
        let path = folder.join(AUTHORITY_KEY_FILE);
        check_private(&path)?;
        let key =
            KeyPair::from_pem(&read(&path)?).map_err(|_| AuthorityError::Unreadable { path })?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, certificate_pem, issuer })
    }

    /// What agents trust, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// What agents trust.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Whether certificate and key belong together.
    pub(crate) fn is_of_its_key(&self) -> bool {
        x509_parser::parse_x509_certificate(&self.certificate).is_ok_and(|(_, parsed)| {
            parsed.public_key().raw == self.issuer.key().subject_public_key_info()
        })
    }

    /// What a joining agent knows of it: SHA-256 over the `SubjectPublicKeyInfo` (DER) of the certificate.
    pub fn pin(&self) -> [u8; 32] {
        Sha256::digest(self.issuer.key().subject_public_key_info()).into()
    }

    /// A certificate for the agent of a vantage that has this key, 30 days from now.
    pub(crate) fn sign_agent(
        &self,
        vantage: &VantageName,
        key: &SubjectPublicKeyInfo,
    ) -> Result<NewCertificate, AuthorityError> {
        self.sign_until(vantage, key, OffsetDateTime::now_utc() + Duration::days(AGENT_DAYS))
    }

    pub(crate) fn sign_until(
        &self,
        vantage: &VantageName,
        key: &SubjectPublicKeyInfo,
        end: OffsetDateTime,
    ) -> Result<NewCertificate, AuthorityError> {
        let mut params = agent_params(vantage)?;
        // A certificate holds whole seconds.
        params.not_after = end.replace_nanosecond(0).unwrap_or(end);
        params.not_before = params.not_before.min(params.not_after - CLOCK_SLACK);
        let certificate = params.signed_by(key, &self.issuer)?;
        let der = certificate.der().to_vec();
        Ok(NewCertificate {
            sha256: Sha256::digest(&der).into(),
            public_key_sha256: Sha256::digest(key.subject_public_key_info()).into(),
            expires: params.not_after.into(),
            der,
        })
    }

    /// A certificate with its key for the agent of a vantage, 30 days from now; for agents in the controller's own process.
    pub fn issue_agent(&self, vantage: &VantageName) -> Result<Identity, AuthorityError> {
        let params = agent_params(vantage)?;
        self.issue(params)
    }

    /// A certificate for the agent port, with these host names and addresses.
    pub fn issue_server(&self, names: &[String]) -> Result<Identity, AuthorityError> {
        let mut params = params("Parallax controller", AUTHORITY_DAYS);
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(
                    name.clone()
                        .try_into()
                        .map_err(|_| AuthorityError::Name { text: name.clone() })?,
                ),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut identity = self.issue(leaf_params(params))?;
        identity.chain.push(self.certificate.clone());
        Ok(identity)
    }

    fn issue(&self, params: CertificateParams) -> Result<Identity, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        })
    }
}

fn agent_params(vantage: &VantageName) -> Result<CertificateParams, AuthorityError> {
    let id = format!("{SPIFFE_PREFIX}{vantage}");
    let mut params = params(vantage.as_str(), AGENT_DAYS);
    params.subject_alt_names = vec![SanType::URI(id.try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(leaf_params(params))
}

/// What every certificate below the authority has. The serial number is random, for one key may get several certificates.
fn leaf_params(mut params: CertificateParams) -> CertificateParams {
    let mut serial = [0_u8; SERIAL_LENGTH];
    rand::rng().fill_bytes(&mut serial);
    // RFC 5280 section 4.1.2.2: positive.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(serial.to_vec().into());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn params(common_name: &str, days: i64) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = now - CLOCK_SLACK;
    params.not_after = now + Duration::days(days);
    params
}

/// The vantage that a client certificate stands for: its one SPIFFE id. The chain was verified by the TLS layer.
pub(crate) fn vantage_of(certificate: &CertificateDer<'_>) -> Option<VantageName> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names
        .value
        .general_names
        .iter()
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    // SPIFFE X.509-SVID section 2: exactly one URI, or it identifies nobody.
    let (Some(uri), None) = (uris.next(), uris.next()) else { return None };
    VantageName::new(uri.strip_prefix(SPIFFE_PREFIX)?).ok()
}

/// Makes a folder that only its owner enters; one that exists stays as it is.
pub(crate) fn make_folder(path: &Path) -> Result<(), AuthorityError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| AuthorityError::File {
        doing: "make",
        path: path.to_owned(),
        source,
    })
}

#[cfg_attr(
    not(unix),
    expect(unused_variables, reason = "elsewhere the folder's access list protects the file")
)]
pub(crate) fn write_new(path: &Path, text: &[u8], mode: u32) -> Result<(), AuthorityError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()
    });
    written.map_err(|source| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            AuthorityError::Exists { path }
        } else {
            AuthorityError::File { doing: "write", path, source }
        }
    })
}

/// Refuses a secret file that others can read: somebody may have.
#[cfg(unix)]
pub(crate) fn check_private(path: &Path) -> Result<(), AuthorityError> {
    use std::os::unix::fs::PermissionsExt as _;
    // A file that is not there is told by whoever reads it.
    let mode = fs::metadata(path).map_or(0, |it| it.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        return Err(AuthorityError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn check_private(_path: &Path) -> Result<(), AuthorityError> {
    Ok(())
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(|source| AuthorityError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> VantageName {
        VantageName::new(text).expect("a name")
    }

    #[test]
    fn an_agents_certificate_names_its_vantage_and_no_other_does() {
        let authority = Authority::generate().expect("authority");
        let agent = authority.issue_agent(&name("hq-dmz")).expect("issued");
        assert_eq!(vantage_of(&agent.chain[0]), Some(name("hq-dmz")));
        let server = authority
            .issue_server(&["localhost".to_owned(), "127.0.0.1".to_owned()])
            .expect("issued");
        assert_eq!(vantage_of(&server.chain[0]), None);
        assert_eq!(vantage_of(authority.certificate()), None);
        assert!(!format!("{agent:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_init_writes_is_read_again_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("folder");
        let made = Authority::create(folder.path()).expect("made");
        let opened = Authority::open(folder.path()).expect("opened");
        assert_eq!(made.certificate_pem(), opened.certificate_pem());
        let again = Authority::create(folder.path()).expect_err("exists");
        assert!(matches!(again, AuthorityError::Exists { .. }), "{again}");
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("folder");
        Authority::create(folder.path()).expect("made");
        let path = folder.path().join(AUTHORITY_KEY_FILE);
        let mode = fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn the_pin_is_that_of_the_key_in_the_chain() {
        let authority = Authority::generate().expect("authority");
        let (chain, _) =
            authority.issue_server(&["localhost".to_owned()]).expect("issued").into_rustls();
        assert_eq!(chain.len(), 2, "a joining agent has to see the authority");
        let (_, shown) = x509_parser::parse_x509_certificate(&chain[1]).expect("a certificate");
        let digest: [u8; 32] = Sha256::digest(shown.public_key().raw).into();
        assert_eq!(digest, authority.pin());
        let folder = tempfile::tempdir().expect("folder");
        let made = Authority::create(folder.path()).expect("made");
        assert_eq!(made.pin(), Authority::open(folder.path()).expect("opened").pin());
    }
}
