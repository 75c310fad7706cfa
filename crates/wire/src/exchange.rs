//! Requests and answers, both ways.
//!
//! Absent on purpose: the challenges. They are read from the header fields again, so that both sides read alike.

use parallax_model::{
    Answer, Body, BodyEnd, Connection, Exchange, Headers, HttpFailure, HttpVersion, LimitBroken,
    Outcome, Type2,
};

use crate::error::{DecodeError, Decoded, Within as _, bounded, enumeration, optional, required};
use crate::pb::{self, answer, exchange, http_failure};
use crate::scalar::{
    decode_count, decode_duration, decode_port, decode_sha256, decode_time, encode_count,
    encode_duration, encode_hex, encode_time, present,
};

/// Header fields of one answer; the probe stops before.
const HEADERS_MAX: usize = 256;

impl From<&Exchange> for pb::Exchange {
    fn from(exchange: &Exchange) -> Self {
        use exchange::Outcome as Wire;
        let outcome = match &exchange.outcome {
            Outcome::Done(answer) => Wire::Done(answer.into()),
            Outcome::Failed(failure) => Wire::Failed(failure.into()),
            Outcome::NotReached => Wire::NotReached(pb::NotReached {}),
        };
        Self {
            look: Some((&exchange.look).into()),
            connection: encode_count(exchange.connection.number),
            local_port: exchange.connection.local_port.into(),
            sent: exchange.sent,
            asked_for_certificate: exchange.asked_for_certificate,
            outcome: Some(outcome),
        }
    }
}

impl TryFrom<pb::Exchange> for Exchange {
    type Error = DecodeError;

    fn try_from(message: pb::Exchange) -> Decoded<Self> {
        use exchange::Outcome as Wire;
        let outcome = match message.outcome {
            Some(Wire::Done(answer)) => answer.try_into().map(Outcome::Done).within("done")?,
            Some(Wire::Failed(failure)) => {
                failure.try_into().map(Outcome::Failed).within("failed")?
            }
            Some(Wire::NotReached(_)) => Outcome::NotReached,
            None => return Err(DecodeError::missing("outcome")),
        };
        Ok(Self {
            look: required(message.look, "look")?,
            connection: Connection {
                number: decode_count(message.connection, "connection")?,
                local_port: decode_port(message.local_port, "local_port")?,
            },
            sent: message.sent,
            asked_for_certificate: message.asked_for_certificate,
            outcome,
        })
    }
}

impl From<&Answer> for pb::Answer {
    fn from(answer: &Answer) -> Self {
        let version = match answer.version {
            HttpVersion::Http10 => answer::Version::Http10,
            HttpVersion::Http11 => answer::Version::Http11,
        };
        let header = |(name, value): &(String, String)| pb::Header {
            name: name.clone(),
            value: value.clone(),
        };
        Self {
            version: version.into(),
            status: answer.status.into(),
            reason: answer.reason.clone(),
            headers: answer.headers.0.iter().map(header).collect(),
            headers_left_out: encode_count(answer.headers_left_out),
            body_beginning: answer.body.beginning.clone(),
            body_length: encode_count(answer.body.length),
            body_sha256: encode_hex(&answer.body.sha256),
            body_cut: answer.body.end != BodyEnd::Whole,
            body_end: encode_body_end(answer.body.end).into(),
            ntlm_type2: answer.type2.as_ref().map(Into::into),
            took: Some(encode_duration(answer.took)),
        }
    }
}

impl TryFrom<pb::Answer> for Answer {
    type Error = DecodeError;

    fn try_from(message: pb::Answer) -> Decoded<Self> {
        let version = match enumeration(message.version, "version")? {
            answer::Version::Unspecified => return Err(DecodeError::missing("version")),
            answer::Version::Http10 => HttpVersion::Http10,
            answer::Version::Http11 => HttpVersion::Http11,
        };
        bounded(&message.headers, "headers", HEADERS_MAX)?;
        let headers = Headers(message.headers.into_iter().map(|it| (it.name, it.value)).collect());
        let status = u16::try_from(message.status)
            .ok()
            .filter(|it| (100..=999).contains(it))
            .ok_or_else(|| DecodeError::out_of_range("status", "100 to 999"))?;
        Ok(Self {
            version,
            status,
            reason: message.reason,
            challenges: headers.challenges(),
            headers,
            headers_left_out: decode_count(message.headers_left_out, "headers_left_out")?,
            body: Body {
                beginning: message.body_beginning,
                length: decode_count(message.body_length, "body_length")?.into(),
                sha256: decode_sha256(&message.body_sha256).ok_or_else(|| {
                    DecodeError::malformed("body_sha256", "64 hexadecimal digits")
                })?,
                end: decode_body_end(message.body_end)?,
            },
            type2: optional(message.ntlm_type2, "ntlm_type2")?,
            took: decode_duration(message.took, "took")?,
        })
    }
}

fn encode_body_end(end: BodyEnd) -> answer::BodyEnd {
    match end {
        BodyEnd::Whole => answer::BodyEnd::Whole,
        BodyEnd::Bound => answer::BodyEnd::Bound,
        BodyEnd::TimedOut => answer::BodyEnd::TimedOut,
        BodyEnd::TooSlow => answer::BodyEnd::TooSlow,
        BodyEnd::Broken => answer::BodyEnd::Broken,
    }
}

fn decode_body_end(number: i32) -> Decoded<BodyEnd> {
    Ok(match enumeration(number, "body_end")? {
        answer::BodyEnd::Unspecified => return Err(DecodeError::missing("body_end")),
        answer::BodyEnd::Whole => BodyEnd::Whole,
        answer::BodyEnd::Bound => BodyEnd::Bound,
        answer::BodyEnd::TimedOut => BodyEnd::TimedOut,
        answer::BodyEnd::TooSlow => BodyEnd::TooSlow,
        answer::BodyEnd::Broken => BodyEnd::Broken,
    })
}

impl From<&Type2> for pb::NtlmType2 {
    fn from(type2: &Type2) -> Self {
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        Self {
            netbios_computer: text(&type2.netbios_computer),
            netbios_domain: text(&type2.netbios_domain),
            dns_computer: text(&type2.dns_computer),
            dns_domain: text(&type2.dns_domain),
            dns_tree: text(&type2.dns_tree),
            server_time: type2.timestamp.map(encode_time),
            os_version: type2
                .version
                .map(|(major, minor, build)| format!("{major}.{minor}.{build}"))
                .unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::NtlmType2> for Type2 {
    type Error = DecodeError;

    fn try_from(message: pb::NtlmType2) -> Decoded<Self> {
        let version = present(message.os_version)
            .map(|text| {
                read_version(&text)
                    .ok_or_else(|| DecodeError::malformed("os_version", "`major.minor.build`"))
            })
            .transpose()?;
        Ok(Self {
            netbios_computer: present(message.netbios_computer),
            netbios_domain: present(message.netbios_domain),
            dns_computer: present(message.dns_computer),
            dns_domain: present(message.dns_domain),
            dns_tree: present(message.dns_tree),
            timestamp: message
                .server_time
                .map(|it| decode_time(Some(it), "server_time"))
                .transpose()?,
            version,
        })
    }
}

fn read_version(text: &str) -> Option<(u8, u8, u16)> {
    let (major, rest) = text.split_once('.')?;
    let (minor, build) = rest.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?, build.parse().ok()?))
}

impl From<&HttpFailure> for pb::HttpFailure {
    fn from(failure: &HttpFailure) -> Self {
        use http_failure::Kind;
        let plain = |kind: Kind| Self { kind: kind.into(), ..Self::default() };
        let detailed = |kind: Kind, detail: &str| Self { detail: detail.to_owned(), ..plain(kind) };
        match failure {
            HttpFailure::Reset => plain(Kind::Reset),
            HttpFailure::Closed => plain(Kind::Closed),
            HttpFailure::TimedOut { after } => {
                Self { after: Some(encode_duration(*after)), ..plain(Kind::TimedOut) }
            }
            HttpFailure::Malformed { detail } => detailed(Kind::Malformed, detail),
            HttpFailure::Limit(LimitBroken::HeadBytes) => plain(Kind::HeadTooLarge),
            HttpFailure::Limit(LimitBroken::HeaderCount) => plain(Kind::TooManyHeaders),
            HttpFailure::Limit(LimitBroken::InterimResponses) => {
                plain(Kind::TooManyInterimResponses)
            }
            HttpFailure::Limit(LimitBroken::Progress) => plain(Kind::TooSlow),
            HttpFailure::NoConnection { detail } => detailed(Kind::NoConnection, detail),
            HttpFailure::UntrustedPeer => plain(Kind::UntrustedPeer),
            HttpFailure::NotPermitted { reason } => detailed(Kind::NotPermitted, reason),
            HttpFailure::Other { detail } => detailed(Kind::Other, detail),
        }
    }
}

impl TryFrom<pb::HttpFailure> for HttpFailure {
    type Error = DecodeError;

    fn try_from(message: pb::HttpFailure) -> Decoded<Self> {
        use http_failure::Kind;
        let detail = message.detail;
        Ok(match enumeration(message.kind, "kind")? {
            Kind::Unspecified => return Err(DecodeError::missing("kind")),
            Kind::Reset => Self::Reset,
            Kind::Closed => Self::Closed,
            Kind::TimedOut => Self::TimedOut { after: decode_duration(message.after, "after")? },
            Kind::Malformed => Self::Malformed { detail },
            Kind::HeadTooLarge => Self::Limit(LimitBroken::HeadBytes),
            Kind::TooManyHeaders => Self::Limit(LimitBroken::HeaderCount),
            Kind::TooManyInterimResponses => Self::Limit(LimitBroken::InterimResponses),
            Kind::TooSlow => Self::Limit(LimitBroken::Progress),
            Kind::NoConnection => Self::NoConnection { detail },
            Kind::UntrustedPeer => Self::UntrustedPeer,
            Kind::NotPermitted => Self::NotPermitted { reason: detail },
            Kind::Other => Self::Other { detail },
        })
    }
}
