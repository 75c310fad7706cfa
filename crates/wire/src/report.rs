//! What one path answered: silence or a sight, with DNS, TCP and everything after it, both ways.

use std::net::{IpAddr, SocketAddr};

use parallax_model::{
    DnsFacts, DnsFailure, DnsSource, FamilyAnswer, Observation, Outcome, PathReport, Report, Round,
    Sight, Silence, TcpFacts, TcpFailure, Transport,
};

use crate::error::{DecodeError, Decoded, Within as _, bounded, each, enumeration, required};
use crate::pb::{self, dns_facts, dns_failure, family_answer, path_report, silence, tcp_failure};
use crate::scalar::{
    decode_address, decode_addresses, decode_count, decode_duration, decode_port, encode_count,
    encode_duration,
};

const OBSERVATIONS_MAX: usize = 8;
const ADDRESSES_MAX: usize = 16;
const CNAMES_MAX: usize = 8;
/// Exchanges of one observation; a task never asks for so many.
const EXCHANGES_MAX: usize = 64;
/// Paths of one round: 64 endpoints from every vantage.
const REPORTS_MAX: usize = 65_536;

impl From<&Round> for pb::Round {
    fn from(round: &Round) -> Self {
        Self {
            number: encode_count(round.number),
            reports: round.reports.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Round> for Round {
    type Error = DecodeError;

    fn try_from(message: pb::Round) -> Decoded<Self> {
        Ok(Self {
            number: decode_count(message.number, "number")?,
            reports: each(message.reports, "reports", REPORTS_MAX)?,
        })
    }
}

impl From<&PathReport> for pb::PathReport {
    fn from(report: &PathReport) -> Self {
        use path_report::Report as Wire;
        let wire = match &report.report {
            Report::Seen(sight) => Wire::Seen(sight.into()),
            Report::Refused { rule } => Wire::Refused(pb::Refusal { rule: rule.clone() }),
            Report::Unable { detail } => Wire::Unable(pb::Inability { detail: detail.clone() }),
            Report::Silent(silence) => Wire::Silent(silence.into()),
        };
        Self { path: Some((&report.path).into()), report: Some(wire) }
    }
}

impl TryFrom<pb::PathReport> for PathReport {
    type Error = DecodeError;

    fn try_from(message: pb::PathReport) -> Decoded<Self> {
        use path_report::Report as Wire;
        let report = match message.report {
            Some(Wire::Seen(sight)) => sight.try_into().map(Report::Seen).within("seen")?,
            Some(Wire::Refused(refusal)) => Report::Refused { rule: refusal.rule },
            Some(Wire::Unable(inability)) => Report::Unable { detail: inability.detail },
            Some(Wire::Silent(silence)) => {
                silence.try_into().map(Report::Silent).within("silent")?
            }
            None => return Err(DecodeError::missing("report")),
        };
        Ok(Self { path: required(message.path, "path")?, report })
    }
}

impl From<&Silence> for pb::Silence {
    fn from(silence: &Silence) -> Self {
        let reason = match silence {
            Silence::NoSession => silence::Reason::NoSession,
            Silence::Lost => silence::Reason::Lost,
            Silence::Late => silence::Reason::Late,
            Silence::Cancelled => silence::Reason::Cancelled,
        };
        Self { reason: reason.into() }
    }
}

impl TryFrom<pb::Silence> for Silence {
    type Error = DecodeError;

    fn try_from(message: pb::Silence) -> Decoded<Self> {
        match enumeration(message.reason, "reason")? {
            silence::Reason::Unspecified => Err(DecodeError::missing("reason")),
            silence::Reason::NoSession => Ok(Self::NoSession),
            silence::Reason::Lost => Ok(Self::Lost),
            silence::Reason::Late => Ok(Self::Late),
            silence::Reason::Cancelled => Ok(Self::Cancelled),
        }
    }
}

impl From<&Sight> for pb::Sight {
    fn from(sight: &Sight) -> Self {
        use pb::dns_outcome::Outcome as Wire;
        let dns = match &sight.dns {
            Outcome::Done(facts) => Wire::Done(facts.into()),
            Outcome::Failed(failure) => Wire::Failed(failure.into()),
            Outcome::NotReached => Wire::NotReached(pb::NotReached {}),
        };
        Self {
            dns: Some(pb::DnsOutcome { outcome: Some(dns) }),
            observations: sight.observations.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Sight> for Sight {
    type Error = DecodeError;

    fn try_from(message: pb::Sight) -> Decoded<Self> {
        Ok(Self {
            dns: required(message.dns, "dns")?,
            observations: each(message.observations, "observations", OBSERVATIONS_MAX)?,
        })
    }
}

impl TryFrom<pb::DnsOutcome> for Outcome<DnsFacts, DnsFailure> {
    type Error = DecodeError;

    fn try_from(message: pb::DnsOutcome) -> Decoded<Self> {
        use pb::dns_outcome::Outcome as Wire;
        match message.outcome {
            Some(Wire::Done(facts)) => facts.try_into().map(Outcome::Done).within("done"),
            Some(Wire::Failed(failure)) => failure.try_into().map(Outcome::Failed).within("failed"),
            Some(Wire::NotReached(_)) => Ok(Outcome::NotReached),
            None => Err(DecodeError::missing("outcome")),
        }
    }
}

impl From<&DnsFacts> for pb::DnsFacts {
    fn from(facts: &DnsFacts) -> Self {
        let source = match facts.source {
            DnsSource::Declared => dns_facts::Source::Declared(dns_facts::Declared {}),
            DnsSource::NameServer(server) => dns_facts::Source::NameServer(server.to_string()),
        };
        Self {
            source: Some(source),
            cname_chain: facts.cname_chain.clone(),
            addresses: facts.addresses.iter().map(IpAddr::to_string).collect(),
            left_out: encode_count(facts.left_out),
            v4: Some((&facts.v4).into()),
            v6: Some((&facts.v6).into()),
            took: Some(encode_duration(facts.took)),
        }
    }
}

impl TryFrom<pb::DnsFacts> for DnsFacts {
    type Error = DecodeError;

    fn try_from(message: pb::DnsFacts) -> Decoded<Self> {
        let source = match message.source {
            Some(dns_facts::Source::Declared(_)) => DnsSource::Declared,
            Some(dns_facts::Source::NameServer(text)) => DnsSource::NameServer(
                text.parse()
                    .map_err(|_| DecodeError::malformed("name_server", "`address:port`"))?,
            ),
            None => return Err(DecodeError::missing("source")),
        };
        bounded(&message.cname_chain, "cname_chain", CNAMES_MAX)?;
        Ok(Self {
            source,
            cname_chain: message.cname_chain,
            addresses: decode_addresses(&message.addresses, "addresses", ADDRESSES_MAX)?,
            left_out: decode_count(message.left_out, "left_out")?,
            v4: required(message.v4, "v4")?,
            v6: required(message.v6, "v6")?,
            took: decode_duration(message.took, "took")?,
        })
    }
}

impl From<&FamilyAnswer> for pb::FamilyAnswer {
    fn from(answer: &FamilyAnswer) -> Self {
        use family_answer::Answer as Wire;
        let wire = match answer {
            FamilyAnswer::Addresses(addresses) => Wire::Addresses(family_answer::Addresses {
                addresses: addresses.iter().map(IpAddr::to_string).collect(),
            }),
            FamilyAnswer::Failed(failure) => Wire::Failed(failure.into()),
            FamilyAnswer::NotAsked => Wire::NotAsked(family_answer::NotAsked {}),
        };
        Self { answer: Some(wire) }
    }
}

impl TryFrom<pb::FamilyAnswer> for FamilyAnswer {
    type Error = DecodeError;

    fn try_from(message: pb::FamilyAnswer) -> Decoded<Self> {
        use family_answer::Answer as Wire;
        match message.answer {
            Some(Wire::Addresses(message)) => {
                decode_addresses(&message.addresses, "addresses", ADDRESSES_MAX)
                    .map(Self::Addresses)
            }
            Some(Wire::Failed(failure)) => failure.try_into().map(Self::Failed).within("failed"),
            Some(Wire::NotAsked(_)) => Ok(Self::NotAsked),
            None => Err(DecodeError::missing("answer")),
        }
    }
}

impl From<&DnsFailure> for pb::DnsFailure {
    fn from(failure: &DnsFailure) -> Self {
        use dns_failure::Kind;
        let plain = |kind: Kind| Self { kind: kind.into(), ..Self::default() };
        match failure {
            DnsFailure::NxDomain => plain(Kind::NxDomain),
            DnsFailure::ServFail => plain(Kind::ServFail),
            DnsFailure::Refused => plain(Kind::Refused),
            DnsFailure::TimedOut { after } => {
                Self { after: Some(encode_duration(*after)), ..plain(Kind::TimedOut) }
            }
            DnsFailure::NoAddress => plain(Kind::NoAddress),
            DnsFailure::NoNameServer => plain(Kind::NoNameServer),
            DnsFailure::ChainTooLong => plain(Kind::ChainTooLong),
            DnsFailure::Other { detail } => Self { detail: detail.clone(), ..plain(Kind::Other) },
        }
    }
}

impl TryFrom<pb::DnsFailure> for DnsFailure {
    type Error = DecodeError;

    fn try_from(message: pb::DnsFailure) -> Decoded<Self> {
        use dns_failure::Kind;
        Ok(match enumeration(message.kind, "kind")? {
            Kind::Unspecified => return Err(DecodeError::missing("kind")),
            Kind::NxDomain => Self::NxDomain,
            Kind::ServFail => Self::ServFail,
            Kind::Refused => Self::Refused,
            Kind::TimedOut => Self::TimedOut { after: decode_duration(message.after, "after")? },
            Kind::NoAddress => Self::NoAddress,
            Kind::NoNameServer => Self::NoNameServer,
            Kind::ChainTooLong => Self::ChainTooLong,
            Kind::Other => Self::Other { detail: message.detail },
        })
    }
}

impl From<&Observation> for pb::Observation {
    fn from(observation: &Observation) -> Self {
        use pb::observation::Transport as Wire;
        use pb::tcp_outcome::Outcome as WireTcp;
        let tcp = match &observation.tcp {
            Outcome::Done(facts) => WireTcp::Done(pb::TcpFacts {
                local_port: facts.local_port.into(),
                took: Some(encode_duration(facts.took)),
            }),
            Outcome::Failed(failure) => WireTcp::Failed(failure.into()),
            Outcome::NotReached => WireTcp::NotReached(pb::NotReached {}),
        };
        let transport = match &observation.transport {
            Transport::Plain => Wire::Plain(pb::observation::Plain {}),
            Transport::Tls(outcome) => Wire::Tls(outcome.into()),
            Transport::OldTls { modern, old } => Wire::OldTls(pb::observation::OldTls {
                modern: Some(modern.into()),
                old: Some(old.into()),
            }),
        };
        Self {
            address: observation.address.ip().to_string(),
            port: observation.address.port().into(),
            tcp: Some(pb::TcpOutcome { outcome: Some(tcp) }),
            transport: Some(transport),
            exchanges: observation.exchanges.iter().map(Into::into).collect(),
            without_sni: match &observation.without_sni {
                Outcome::NotReached => None,
                reached @ (Outcome::Done(_) | Outcome::Failed(_)) => Some(reached.into()),
            },
        }
    }
}

impl TryFrom<pb::Observation> for Observation {
    type Error = DecodeError;

    fn try_from(message: pb::Observation) -> Decoded<Self> {
        use pb::observation::Transport as Wire;
        let transport = match message.transport {
            Some(Wire::Plain(_)) => Transport::Plain,
            Some(Wire::Tls(outcome)) => outcome.try_into().map(Transport::Tls).within("tls")?,
            Some(Wire::OldTls(both)) => Transport::OldTls {
                modern: required(both.modern, "modern").within("old_tls")?,
                old: required(both.old, "old").within("old_tls")?,
            },
            None => return Err(DecodeError::missing("transport")),
        };
        Ok(Self {
            address: SocketAddr::new(
                decode_address(&message.address, "address")?,
                decode_port(message.port, "port")?,
            ),
            tcp: required(message.tcp, "tcp")?,
            transport,
            without_sni: crate::error::optional(message.without_sni, "without_sni")?
                .unwrap_or_default(),
            exchanges: each(message.exchanges, "exchanges", EXCHANGES_MAX)?,
        })
    }
}

impl TryFrom<pb::TcpOutcome> for Outcome<TcpFacts, TcpFailure> {
    type Error = DecodeError;

    fn try_from(message: pb::TcpOutcome) -> Decoded<Self> {
        use pb::tcp_outcome::Outcome as Wire;
        match message.outcome {
            Some(Wire::Done(facts)) => facts.try_into().map(Outcome::Done).within("done"),
            Some(Wire::Failed(failure)) => failure.try_into().map(Outcome::Failed).within("failed"),
            Some(Wire::NotReached(_)) => Ok(Outcome::NotReached),
            None => Err(DecodeError::missing("outcome")),
        }
    }
}

impl TryFrom<pb::TcpFacts> for TcpFacts {
    type Error = DecodeError;

    fn try_from(message: pb::TcpFacts) -> Decoded<Self> {
        Ok(Self {
            local_port: decode_port(message.local_port, "local_port")?,
            took: decode_duration(message.took, "took")?,
        })
    }
}

impl From<&TcpFailure> for pb::TcpFailure {
    fn from(failure: &TcpFailure) -> Self {
        use tcp_failure::Kind;
        let plain = |kind: Kind| Self { kind: kind.into(), ..Self::default() };
        match failure {
            TcpFailure::Refused => plain(Kind::Refused),
            TcpFailure::Reset => plain(Kind::Reset),
            TcpFailure::TimedOut { after } => {
                Self { after: Some(encode_duration(*after)), ..plain(Kind::TimedOut) }
            }
            TcpFailure::Unreachable => plain(Kind::Unreachable),
            TcpFailure::Other { detail } => Self { detail: detail.clone(), ..plain(Kind::Other) },
        }
    }
}

impl TryFrom<pb::TcpFailure> for TcpFailure {
    type Error = DecodeError;

    fn try_from(message: pb::TcpFailure) -> Decoded<Self> {
        use tcp_failure::Kind;
        Ok(match enumeration(message.kind, "kind")? {
            Kind::Unspecified => return Err(DecodeError::missing("kind")),
            Kind::Refused => Self::Refused,
            Kind::Reset => Self::Reset,
            Kind::TimedOut => Self::TimedOut { after: decode_duration(message.after, "after")? },
            Kind::Unreachable => Self::Unreachable,
            Kind::Other => Self::Other { detail: message.detail },
        })
    }
}
