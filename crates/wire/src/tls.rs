//! What the TLS stage saw, both ways.

use parallax_model::{
    Certificate, ChainJudgement, ChainProblem, ChainTrust, Outcome, TlsFacts, TlsFailure,
    TlsVersion,
};

use crate::error::{DecodeError, Decoded, each, enumeration};
use crate::pb::{self, tls_facts, tls_failure};
use crate::scalar::{
    decode_duration, decode_sha256, decode_time, encode_count, encode_duration, encode_hex,
    encode_time, present,
};

/// Certificates of one chain; a server that sends more is broken or hostile.
const CHAIN_MAX: usize = 32;

impl From<&Outcome<TlsFacts, TlsFailure>> for pb::TlsOutcome {
    fn from(outcome: &Outcome<TlsFacts, TlsFailure>) -> Self {
        use pb::tls_outcome::Outcome as Wire;
        let outcome = match outcome {
            Outcome::Done(facts) => Wire::Done(facts.into()),
            Outcome::Failed(failure) => Wire::Failed(failure.into()),
            Outcome::NotReached => Wire::NotReached(pb::NotReached {}),
        };
        Self { outcome: Some(outcome) }
    }
}

impl TryFrom<pb::TlsOutcome> for Outcome<TlsFacts, TlsFailure> {
    type Error = DecodeError;

    fn try_from(message: pb::TlsOutcome) -> Decoded<Self> {
        use crate::error::Within as _;
        use pb::tls_outcome::Outcome as Wire;
        match message.outcome {
            Some(Wire::Done(facts)) => facts.try_into().map(Outcome::Done).within("done"),
            Some(Wire::Failed(failure)) => failure.try_into().map(Outcome::Failed).within("failed"),
            Some(Wire::NotReached(_)) => Ok(Outcome::NotReached),
            None => Err(DecodeError::missing("outcome")),
        }
    }
}

impl From<&TlsFacts> for pb::TlsFacts {
    fn from(facts: &TlsFacts) -> Self {
        let version = match facts.version {
            TlsVersion::Tls10 => tls_facts::Version::Tls10,
            TlsVersion::Tls11 => tls_facts::Version::Tls11,
            TlsVersion::Tls12 => tls_facts::Version::Tls12,
            TlsVersion::Tls13 => tls_facts::Version::Tls13,
        };
        Self {
            version: version.into(),
            cipher: facts.cipher.clone(),
            alpn: facts.alpn.clone().unwrap_or_default(),
            chain: facts.chain.iter().map(Into::into).collect(),
            public_trust: pb::ChainJudgement::from(facts.trust.public).into(),
            store_trust: pb::ChainJudgement::from(facts.trust.store).into(),
            endpoint_trust: pb::ChainJudgement::from(facts.trust.endpoint).into(),
            name_matches: facts.name_matches,
            dates_hold: facts.dates_hold,
            client_certificate_requested: facts.client_certificate_requested,
            took: Some(encode_duration(facts.took)),
        }
    }
}

impl TryFrom<pb::TlsFacts> for TlsFacts {
    type Error = DecodeError;

    fn try_from(message: pb::TlsFacts) -> Decoded<Self> {
        let version = match enumeration(message.version, "version")? {
            tls_facts::Version::Unspecified => return Err(DecodeError::missing("version")),
            tls_facts::Version::Tls10 => TlsVersion::Tls10,
            tls_facts::Version::Tls11 => TlsVersion::Tls11,
            tls_facts::Version::Tls12 => TlsVersion::Tls12,
            tls_facts::Version::Tls13 => TlsVersion::Tls13,
        };
        let chain: Vec<Certificate> = each(message.chain, "chain", CHAIN_MAX)?;
        if chain.is_empty() {
            return Err(DecodeError::missing("chain"));
        }
        Ok(Self {
            version,
            cipher: message.cipher,
            alpn: present(message.alpn),
            chain,
            trust: ChainTrust {
                public: decode_judgement(message.public_trust, "public_trust")?,
                store: decode_judgement(message.store_trust, "store_trust")?,
                endpoint: decode_judgement(message.endpoint_trust, "endpoint_trust")?,
            },
            name_matches: message.name_matches,
            dates_hold: message.dates_hold,
            client_certificate_requested: message.client_certificate_requested,
            took: decode_duration(message.took, "took")?,
        })
    }
}

impl From<ChainJudgement> for pb::ChainJudgement {
    fn from(judgement: ChainJudgement) -> Self {
        match judgement {
            ChainJudgement::Trusted => Self::Trusted,
            ChainJudgement::Untrusted(ChainProblem::UnknownIssuer) => Self::UnknownIssuer,
            ChainJudgement::Untrusted(ChainProblem::SelfSigned) => Self::SelfSigned,
            ChainJudgement::Untrusted(ChainProblem::BadSignature) => Self::BadSignature,
            ChainJudgement::Untrusted(ChainProblem::Unusable) => Self::Unusable,
            ChainJudgement::Untrusted(ChainProblem::NotPinned) => Self::NotPinned,
        }
    }
}

fn decode_judgement(number: i32, field: &str) -> Decoded<ChainJudgement> {
    let problem = match enumeration(number, field)? {
        pb::ChainJudgement::Unspecified => return Err(DecodeError::missing(field)),
        pb::ChainJudgement::Trusted => return Ok(ChainJudgement::Trusted),
        pb::ChainJudgement::UnknownIssuer => ChainProblem::UnknownIssuer,
        pb::ChainJudgement::SelfSigned => ChainProblem::SelfSigned,
        pb::ChainJudgement::BadSignature => ChainProblem::BadSignature,
        pb::ChainJudgement::Unusable => ChainProblem::Unusable,
        pb::ChainJudgement::NotPinned => ChainProblem::NotPinned,
    };
    Ok(ChainJudgement::Untrusted(problem))
}

impl From<&Certificate> for pb::Certificate {
    fn from(certificate: &Certificate) -> Self {
        Self {
            sha256: encode_hex(&certificate.sha256),
            subject: certificate.subject.clone(),
            issuer: certificate.issuer.clone(),
            serial: certificate.serial.clone(),
            names: certificate.names.clone(),
            not_before_time: Some(encode_time(certificate.not_before)),
            not_after_time: Some(encode_time(certificate.not_after)),
        }
    }
}

impl TryFrom<pb::Certificate> for Certificate {
    type Error = DecodeError;

    fn try_from(message: pb::Certificate) -> Decoded<Self> {
        Ok(Self {
            sha256: decode_sha256(&message.sha256)
                .ok_or_else(|| DecodeError::malformed("sha256", "64 hexadecimal digits"))?,
            subject: message.subject,
            issuer: message.issuer,
            serial: message.serial,
            names: message.names,
            not_before: decode_time(message.not_before_time, "not_before_time")?,
            not_after: decode_time(message.not_after_time, "not_after_time")?,
        })
    }
}

impl From<&TlsFailure> for pb::TlsFailure {
    fn from(failure: &TlsFailure) -> Self {
        use tls_failure::Kind;
        let plain = |kind: Kind| Self { kind: kind.into(), ..Self::default() };
        match failure {
            TlsFailure::Alert { number } => {
                Self { alert: encode_count(*number), ..plain(Kind::Alert) }
            }
            TlsFailure::Reset => plain(Kind::Reset),
            TlsFailure::Closed => plain(Kind::Closed),
            TlsFailure::TimedOut { after } => {
                Self { after: Some(encode_duration(*after)), ..plain(Kind::TimedOut) }
            }
            TlsFailure::NotTls => plain(Kind::NotTls),
            TlsFailure::ClientCertificateRequired => plain(Kind::ClientCertificateRequired),
            TlsFailure::Limit { detail } => Self { detail: detail.clone(), ..plain(Kind::Limit) },
            TlsFailure::OurLimit { detail } => {
                Self { detail: detail.clone(), ..plain(Kind::OurLimit) }
            }
            TlsFailure::Other { detail } => Self { detail: detail.clone(), ..plain(Kind::Other) },
        }
    }
}

impl TryFrom<pb::TlsFailure> for TlsFailure {
    type Error = DecodeError;

    fn try_from(message: pb::TlsFailure) -> Decoded<Self> {
        use tls_failure::Kind;
        Ok(match enumeration(message.kind, "kind")? {
            Kind::Unspecified => return Err(DecodeError::missing("kind")),
            Kind::Alert => Self::Alert {
                number: u8::try_from(message.alert)
                    .map_err(|_| DecodeError::out_of_range("alert", "0 to 255"))?,
            },
            Kind::Reset => Self::Reset,
            Kind::Closed => Self::Closed,
            Kind::TimedOut => Self::TimedOut { after: decode_duration(message.after, "after")? },
            Kind::NotTls => Self::NotTls,
            Kind::ClientCertificateRequired => Self::ClientCertificateRequired,
            Kind::Limit => Self::Limit { detail: message.detail },
            Kind::OurLimit => Self::OurLimit { detail: message.detail },
            Kind::Other => Self::Other { detail: message.detail },
        })
    }
}
