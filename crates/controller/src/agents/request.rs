//! A certificate signing request (RFC 2986) as an agent sends it: is it whole, who signed it, and with which key.
//!
//! Absent on purpose: everything else that a request can say. Names, extensions and attributes are neither taken nor looked at;
//! what a certificate says comes from our own record of the agent.
//!
//! INVARIANT: a key leaves here only if the request was signed with it, and only P-256 and Ed25519.
//! INVARIANT: one key has one encoding here, so that its hash identifies it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use rcgen::{PublicKeyData as _, SubjectPublicKeyInfo};
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use crate::authority::Authority;

/// Largest request or certificate taken, in bytes.
pub(super) const REQUEST_MAX: usize = 8 * 1024;

/// RFC 5480 section 2.1.1.
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
/// RFC 5758 section 3.2.
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
/// RFC 8410 section 3: key and signature have the same.
const ED25519_ID: &str = "1.3.101.112";
/// An uncompressed point (SEC 1 section 2.3.3).
const P256_POINT: usize = 65;
const ED25519_KEY: usize = 32;

/// Why a request is not taken. Says what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestRefused {
    #[error("`signing_request`: is larger than {REQUEST_MAX} bytes")]
    TooLarge,
    #[error("`signing_request`: is not one certificate signing request in DER (RFC 2986)")]
    Unreadable,
    #[error("`signing_request`: its key has to be P-256 (uncompressed) or Ed25519")]
    Key,
    #[error(
        "`signing_request`: has to be signed with ECDSA and SHA-256, or Ed25519, as its key is"
    )]
    Algorithm,
    #[error("`signing_request`: is not signed with the key in it")]
    Signature,
}

/// Why a certificate that ended is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CertificateRefused {
    #[error("`expired_certificate`: is not one certificate in DER of at most {REQUEST_MAX} bytes")]
    Unreadable,
    #[error("`expired_certificate`: was not issued by this controller; join anew with a token")]
    Foreign,
}

/// A public key whose holder signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentKey {
    pub info: SubjectPublicKeyInfo,
    /// Over the DER of `SubjectPublicKeyInfo`.
    pub sha256: [u8; 32],
}

/// A certificate of ours, whenever it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndedCertificate {
    pub sha256: [u8; 32],
    pub public_key_sha256: [u8; 32],
    /// Seconds since 1970.
    pub ended: i64,
}

/// Reads a request.
pub(super) fn read_request(der: &[u8]) -> Result<AgentKey, RequestRefused> {
    if der.len() > REQUEST_MAX {
        return Err(RequestRefused::TooLarge);
    }
    let (rest, request) =
        X509CertificationRequest::from_der(der).map_err(|_| RequestRefused::Unreadable)?;
    if !rest.is_empty() {
        return Err(RequestRefused::Unreadable);
    }
    let info = &request.certification_request_info;
    let (algorithm, key) = read_key(&info.subject_pki)?;
    let signed_with = request.signature_algorithm.algorithm.to_id_string();
    let expected = if key.len() == P256_POINT { ECDSA_WITH_SHA256 } else { ED25519_ID };
    if signed_with != expected {
        return Err(RequestRefused::Algorithm);
    }
    if request.signature_value.unused_bits != 0 {
        return Err(RequestRefused::Signature);
    }
    UnparsedPublicKey::new(algorithm, key)
        .verify(info.raw, &request.signature_value.data)
        .map_err(|_| RequestRefused::Signature)?;
    let raw = info.subject_pki.raw;
    let taken = SubjectPublicKeyInfo::from_der(raw).map_err(|_| RequestRefused::Key)?;
    if taken.subject_public_key_info() != raw {
        return Err(RequestRefused::Key);
    }
    Ok(AgentKey { sha256: Sha256::digest(raw).into(), info: taken })
}

type Key<'a> = (&'static dyn VerificationAlgorithm, &'a [u8]);

fn read_key<'a>(
    info: &'a x509_parser::x509::SubjectPublicKeyInfo<'_>,
) -> Result<Key<'a>, RequestRefused> {
    let key: &[u8] = &info.subject_public_key.data;
    if info.subject_public_key.unused_bits != 0 {
        return Err(RequestRefused::Key);
    }
    let parameters = info.algorithm.parameters.as_ref();
    match info.algorithm.algorithm.to_id_string().as_str() {
        EC_PUBLIC_KEY => {
            let curve = parameters.and_then(|it| it.as_oid().ok()).map(|it| it.to_id_string());
            let is_p256 = curve.as_deref() == Some(P256);
            if !is_p256 || key.len() != P256_POINT || key.first() != Some(&4) {
                return Err(RequestRefused::Key);
            }
            Ok((&ECDSA_P256_SHA256_ASN1, key))
        }
        ED25519_ID if parameters.is_none() && key.len() == ED25519_KEY => Ok((&ED25519, key)),
        _ => Err(RequestRefused::Key),
    }
}

/// Reads a certificate that this authority signed, whether it ended or not.
pub(super) fn read_certificate(
    der: &[u8],
    authority: &Authority,
) -> Result<EndedCertificate, CertificateRefused> {
    if der.len() > REQUEST_MAX {
        return Err(CertificateRefused::Unreadable);
    }
    let (rest, certificate) =
        x509_parser::parse_x509_certificate(der).map_err(|_| CertificateRefused::Unreadable)?;
    if !rest.is_empty() {
        return Err(CertificateRefused::Unreadable);
    }
    let is_ours = certificate.signature_algorithm.algorithm.to_id_string() == ECDSA_WITH_SHA256
        && certificate.signature_value.unused_bits == 0
        && is_signed_by(
            authority.certificate(),
            certificate.tbs_certificate.as_ref(),
            &certificate.signature_value.data,
        );
    if !is_ours {
        return Err(CertificateRefused::Foreign);
    }
    Ok(EndedCertificate {
        sha256: Sha256::digest(der).into(),
        public_key_sha256: Sha256::digest(certificate.public_key().raw).into(),
        ended: certificate.validity().not_after.timestamp(),
    })
}

fn is_signed_by(authority: &CertificateDer<'_>, signed: &[u8], signature: &[u8]) -> bool {
    let Ok((_, authority)) = x509_parser::parse_x509_certificate(authority) else { return false };
    let key = &authority.public_key().subject_public_key.data;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(signed, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateSigningRequest, DnType, IsCa, KeyPair,
        PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SanType,
        SignatureAlgorithm,
    };

    use super::*;

    fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
        KeyPair::generate_for(algorithm).expect("a key")
    }

    fn request(params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
        params.serialize_request(key).expect("a request").der().to_vec()
    }

    fn plain(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        request(&CertificateParams::default(), &key(algorithm))
    }

    /// With the first occurrence of one byte string replaced by another of the same length.
    fn replaced(mut der: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let at = der.windows(from.len()).position(|it| it == from).expect("found");
        der[at..at + to.len()].copy_from_slice(to);
        der
    }

    fn flipped(mut der: Vec<u8>, from_the_end: usize) -> Vec<u8> {
        let at = der.len() - from_the_end;
        der[at] ^= 1;
        der
    }

    #[test]
    fn keys_that_may_be_taken_are_taken_and_nothing_else_is() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
            let key = key(algorithm);
            let mut params = CertificateParams::new(["controller".to_owned()]).expect("a name");
            params.distinguished_name.push(DnType::CommonName, "root");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let uri = "spiffe://parallax/agent/somebody-else".try_into().expect("a URI");
            params.subject_alt_names.push(SanType::URI(uri));
            let taken = read_request(&request(&params, &key)).expect("taken");
            let digest: [u8; 32] = Sha256::digest(key.subject_public_key_info()).into();
            assert_eq!(taken.sha256, digest);
            assert_eq!(taken.info.subject_public_key_info(), key.subject_public_key_info());
        }
    }

    #[test]
    fn hostile_requests_are_refused_each_for_its_reason() {
        use RequestRefused as R;
        // 1.2.840.10045.4.3.2 and .3: ECDSA with SHA-256 and with SHA-384.
        const SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        const SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
        let good = plain(&PKCS_ECDSA_P256_SHA256);
        let other = key(&PKCS_ECDSA_P256_SHA256);
        let own = key(&PKCS_ECDSA_P256_SHA256);
        let own_request = request(&CertificateParams::default(), &own);
        let mut large = CertificateParams::default();
        large.distinguished_name.push(DnType::CommonName, "x".repeat(REQUEST_MAX));
        let certificate = CertificateParams::default().self_signed(&own).expect("a certificate");
        let pem = CertificateParams::default().serialize_request(&own);
        let pem = pem.as_ref().map(CertificateSigningRequest::pem).expect("made").expect("PEM");
        let compressed = [&[2], &own.der_bytes()[1..]].concat();
        let mut longer = good.clone();
        longer.push(0);
        let cases: Vec<(&str, Vec<u8>, RequestRefused)> = vec![
            ("empty", Vec::new(), R::Unreadable),
            ("zeroes", vec![0; 512], R::Unreadable),
            ("text", b"GET / HTTP/1.1\r\n\r\n".to_vec(), R::Unreadable),
            ("PEM", pem.into_bytes(), R::Unreadable),
            ("a certificate", certificate.der().to_vec(), R::Unreadable),
            ("cut off", good[..good.len() - 1].to_vec(), R::Unreadable),
            ("one byte more", longer, R::Unreadable),
            ("twice", [good.clone(), good.clone()].concat(), R::Unreadable),
            ("a length beyond all", vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30], R::Unreadable),
            ("an endless length", vec![0x30, 0x80, 0, 0], R::Unreadable),
            ("nested 4,000 deep", [0x30, 0x80].repeat(4000), R::Unreadable),
            ("too large", request(&large, &own), R::TooLarge),
            ("RSA", plain(&PKCS_RSA_SHA256), R::Key),
            ("P-384", plain(&PKCS_ECDSA_P384_SHA384), R::Key),
            (
                "a compressed point",
                replaced(own_request.clone(), own.der_bytes(), &compressed),
                R::Key,
            ),
            (
                "somebody else's key",
                replaced(own_request.clone(), own.der_bytes(), other.der_bytes()),
                R::Signature,
            ),
            (
                "a point that is not on the curve",
                replaced(own_request, &own.der_bytes()[1..], &[0xff; 64]),
                R::Signature,
            ),
            ("another signature", flipped(good.clone(), 1), R::Signature),
            ("another signature, Ed25519", flipped(plain(&PKCS_ED25519), 1), R::Signature),
            ("another subject", flipped(good.clone(), good.len() - 10), R::Unreadable),
            ("signed with SHA-384, it says", replaced(good, SHA256, SHA384), R::Algorithm),
        ];
        for (what, der, expected) in cases {
            assert_eq!(read_request(&der).expect_err(what), expected, "{what}");
        }
    }

    #[test]
    fn a_certificate_of_another_authority_is_foreign() {
        let (ours, other) = (Authority::generate(), Authority::generate());
        let (ours, other) = (ours.expect("made"), other.expect("made"));
        let name = parallax_model::VantageName::new("ext").expect("a name");
        let key = key(&PKCS_ECDSA_P256_SHA256);
        let info = SubjectPublicKeyInfo::from_der(&key.subject_public_key_info()).expect("a key");
        let signed = ours.sign_agent(&name, &info).expect("signed");
        let read = read_certificate(&signed.der, &ours).expect("ours");
        assert_eq!(
            (read.sha256, read.public_key_sha256),
            (signed.sha256, signed.public_key_sha256)
        );
        assert_eq!(read_certificate(&signed.der, &other), Err(CertificateRefused::Foreign));
        let changed = flipped(signed.der.clone(), 1);
        assert_eq!(read_certificate(&changed, &ours), Err(CertificateRefused::Foreign));
        for der in [Vec::new(), vec![0x30; 9000], signed.der[..99].to_vec()] {
            assert_eq!(read_certificate(&der, &ours), Err(CertificateRefused::Unreadable));
        }
    }
}
