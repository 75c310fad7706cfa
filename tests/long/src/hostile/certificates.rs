//! One authority that the probe trusts, and what hostile servers show of it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, sign::any_supported_type};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::behaviours::Shown;

/// The name every probe asks for.
pub(super) const HOST: &str = "mail.corp.example";

/// A chain as a server sends it, leaf first, and the leaf's key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// The root of everything that is trusted here.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    /// A server as it should be: TLS 1.2 and 1.3, a fresh leaf for [`HOST`].
    pub(super) fn good(&self) -> Result<ServerConfig> {
        config(self.leaf(|_| Ok(()))?, rustls::ALL_VERSIONS, default_provider())
    }

    /// The same with TLS 1.2 and one cipher alone, whose keys can be taken out.
    pub(super) fn tls12(&self) -> Result<ServerConfig> {
        let mut provider = default_provider();
        provider.cipher_suites = vec![cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
        let mut config = config(self.leaf(|_| Ok(()))?, &[&rustls::version::TLS12], provider)?;
        config.enable_secret_extraction = true;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(config)
    }

    pub(super) fn showing(&self, shown: Shown) -> Result<ServerConfig> {
        let versions = if shown == Shown::OnlyTls12 {
            &[&rustls::version::TLS12]
        } else {
            rustls::ALL_VERSIONS
        };
        let mut config = config(self.identity(shown)?, versions, default_provider())?;
        if matches!(shown, Shown::AsksForCertificate | Shown::InsistsOnCertificate) {
            let mut roots = RootCertStore::empty();
            roots.add(self.der().clone())?;
            let provider = Arc::new(default_provider());
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            if shown == Shown::AsksForCertificate {
                verifier = verifier.allow_unauthenticated();
            }
            config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()?
                .with_client_cert_verifier(verifier.build()?)
                .with_cert_resolver(config.cert_resolver);
        }
        Ok(config)
    }

    fn identity(&self, shown: Shown) -> Result<Identity> {
        match shown {
            Shown::WrongName => self.leaf(|it| named(it, "other.example")),
            Shown::WildcardForAll => self.leaf(|it| named(it, "*")),
            Shown::NulInName => self.leaf(|it| named(it, "mail.corp.example\0.evil.example")),
            Shown::Expired => self.leaf(|it| {
                it.not_before = rcgen::date_time_ymd(2001, 1, 1);
                it.not_after = rcgen::date_time_ymd(2002, 1, 1);
                Ok(())
            }),
            Shown::NotYetValid => self.leaf(|it| {
                it.not_before = rcgen::date_time_ymd(2090, 1, 1);
                it.not_after = rcgen::date_time_ymd(2091, 1, 1);
                Ok(())
            }),
            Shown::YearsOneTo9999 | Shown::YearZero => self.ancient(shown == Shown::YearZero),
            Shown::SelfSigned => {
                let key = KeyPair::generate()?;
                let leaf = CertificateParams::new(vec![HOST.to_owned()])?.self_signed(&key)?;
                Ok(Identity { chain: vec![leaf.der().clone()], key: key.into() })
            }
            Shown::UnknownIssuer => Self::new("a stranger")?.leaf(|_| Ok(())),
            Shown::HundredCertificates => self.followed_by(100, 0),
            Shown::ChainOver64Kib => self.followed_by(100, 20),
            Shown::MegabyteOfNames => self.leaf(|it| with_names(it, 16_000)),
            Shown::NotDer => {
                let key = KeyPair::generate()?;
                Ok(Identity { chain: vec![CertificateDer::from(vec![0xa5; 700])], key: key.into() })
            }
            Shown::ManyAttributes => self.leaf(|it| {
                for at in 0..250_u64 {
                    let kind = DnType::CustomDnType(vec![2, 5, 4, 1000 + at]);
                    it.distinguished_name.push(kind, "an attribute like any other, and long");
                }
                Ok(())
            }),
            Shown::AsksForCertificate | Shown::InsistsOnCertificate | Shown::OnlyTls12 => {
                self.leaf(|_| Ok(()))
            }
        }
    }

    fn leaf(&self, change: impl FnOnce(&mut CertificateParams) -> Result<()>) -> Result<Identity> {
        let mut params = CertificateParams::new(vec![HOST.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "leaf");
        change(&mut params)?;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.0)?;
        Ok(Identity { chain: vec![leaf.der().clone()], key: key.into() })
    }

    /// A good leaf, then so many certificates of others with so many names each.
    fn followed_by(&self, count: usize, names: usize) -> Result<Identity> {
        let mut identity = self.leaf(|_| Ok(()))?;
        for _ in 1..count {
            let other = self.leaf(|it| with_names(it, names))?;
            identity.chain.extend(other.chain);
        }
        Ok(identity)
    }

    /// From the year 1 to the year 9999; with `zero` from the year 0, which no clock of a protocol knows.
    fn ancient(&self, zero: bool) -> Result<Identity> {
        let mut identity = self.leaf(|it| {
            it.not_before = rcgen::date_time_ymd(1, 1, 1);
            it.not_after = rcgen::date_time_ymd(9999, 12, 31);
            Ok(())
        })?;
        if zero {
            let mut der = identity.chain.remove(0).to_vec();
            let year = der
                .windows(15)
                .position(|it| it == b"00010101000000Z")
                .context("the date is not where it was looked for")?;
            der[year + 3] = b'0';
            identity.chain.insert(0, der.into());
        }
        Ok(identity)
    }
}

fn named(params: &mut CertificateParams, name: &str) -> Result<()> {
    params.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
    Ok(())
}

fn with_names(params: &mut CertificateParams, count: usize) -> Result<()> {
    for number in 0..count {
        let name = format!("a-long-name-that-nobody-will-ever-ask-for-{number}.corp.example");
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    Ok(())
}

/// Shows its chain whatever is asked for, and does not look at it.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn config(
    identity: Identity,
    versions: &[&'static SupportedProtocolVersion],
    provider: CryptoProvider,
) -> Result<ServerConfig> {
    let key = any_supported_type(&identity.key)?;
    let shown = Always(Arc::new(CertifiedKey::new(identity.chain, key)));
    Ok(ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown)))
}
