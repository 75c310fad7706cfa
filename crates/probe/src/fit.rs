//! How large may a sight become? A report has to fit into one message of the session, whatever eight addresses sent together.
//!
//! Each answer and each chain has a bound of its own; together they could still be some MiB. What is too much goes by size: head
//! fields that are no challenge, beginnings of bodies, names of certificates, authorities above the leaf. Absent on purpose:
//! dropping an exchange or an address.
//!
//! INVARIANT: what a verdict rests on stays: status, challenges, lengths, hashes, the leaf.

use parallax_model::{
    Answer, Exchange, HttpFailure, Observation, Outcome, Sight, TlsFacts, Transport,
};

use crate::head;

/// The most bytes of text in a sight. The session's messages have 1 MiB.
const SIGHT_BYTES_MAX: usize = 512 * 1024;
/// Bytes of head and of body per answer, and certificates per chain with names of each, from what a stage keeps down to what
/// eight addresses can have within the bound.
const STEPS: [Step; 5] = [
    Step { head: 8 * 1024, body: 2 * 1024, certificates: 8, names: 50 },
    Step { head: 4 * 1024, body: 1024, certificates: 4, names: 25 },
    Step { head: 2 * 1024, body: 512, certificates: 2, names: 12 },
    Step { head: 1024, body: 256, certificates: 1, names: 6 },
    Step { head: 256, body: 64, certificates: 1, names: 2 },
];

#[derive(Clone, Copy)]
struct Step {
    head: usize,
    body: usize,
    certificates: usize,
    names: usize,
}

/// Takes away until the sight fits.
pub(crate) fn fit(sight: &mut Sight) {
    for step in STEPS {
        if sight.observations.iter().map(size).sum::<usize>() <= SIGHT_BYTES_MAX {
            return;
        }
        for observation in &mut sight.observations {
            shrink(observation, step);
        }
    }
}

fn size(observation: &Observation) -> usize {
    let sessions = [observation.transport.tls(), observation.without_sni.done()];
    let sessions: usize = sessions.into_iter().flatten().map(of_session).sum();
    sessions + observation.exchanges.iter().map(of_exchange).sum::<usize>()
}

fn of_session(facts: &TlsFacts) -> usize {
    let texts = facts.chain.iter().map(|it| {
        let names: usize = it.names.iter().map(String::len).sum();
        it.subject.len() + it.issuer.len() + it.serial.len() + names
    });
    texts.sum()
}

fn of_exchange(exchange: &Exchange) -> usize {
    match &exchange.outcome {
        Outcome::Done(answer) => {
            let fields = answer.headers.0.iter().map(|(name, value)| name.len() + value.len());
            answer.reason.len() + answer.body.beginning.len() + fields.sum::<usize>()
        }
        Outcome::Failed(
            HttpFailure::Malformed { detail }
            | HttpFailure::NoConnection { detail }
            | HttpFailure::Other { detail },
        ) => detail.len(),
        Outcome::Failed(
            HttpFailure::Reset
            | HttpFailure::Closed
            | HttpFailure::TimedOut { .. }
            | HttpFailure::Limit(_)
            | HttpFailure::UntrustedPeer
            | HttpFailure::NotPermitted { .. },
        )
        | Outcome::NotReached => 0,
    }
}

fn shrink(observation: &mut Observation, step: Step) {
    let session = match &mut observation.transport {
        Transport::Plain => None,
        Transport::Tls(outcome) | Transport::OldTls { old: outcome, .. } => Some(outcome),
    };
    for handshake in session.into_iter().chain([&mut observation.without_sni]) {
        let Outcome::Done(facts) = handshake else { continue };
        facts.chain.truncate(step.certificates);
        for certificate in &mut facts.chain {
            certificate.names.truncate(step.names);
        }
    }
    for exchange in &mut observation.exchanges {
        if let Outcome::Done(answer) = &mut exchange.outcome {
            shorten(answer, step);
        }
    }
}

fn shorten(answer: &mut Answer, step: Step) {
    let (headers, left_out) = head::keep(&answer.headers.0, step.head);
    answer.headers = headers;
    answer.headers_left_out += left_out;
    // Read again as the controller will.
    answer.challenges = answer.headers.challenges();
    let end = answer.body.beginning.floor_char_boundary(step.body);
    answer.body.beginning.truncate(end);
}

#[cfg(test)]
mod tests {
    use parallax_model::{BodyEnd, Connection, Headers, HttpVersion, Look, TcpFacts};

    use super::*;

    fn sight(addresses: usize, field: usize) -> Sight {
        let headers = Headers(vec![
            ("X-Long".to_owned(), "x".repeat(field)),
            ("WWW-Authenticate".to_owned(), "Basic realm=\"mail\"".to_owned()),
        ]);
        let answer = Answer {
            version: HttpVersion::Http11,
            status: 401,
            reason: String::new(),
            challenges: headers.challenges(),
            headers,
            headers_left_out: 0,
            body: parallax_model::Body {
                beginning: "b".repeat(2048),
                length: 65_536,
                sha256: [1; 32],
                end: BodyEnd::Bound,
            },
            type2: None,
            took: std::time::Duration::ZERO,
        };
        let exchange = Exchange {
            look: Look::OPTIONS,
            connection: Connection { number: 0, local_port: 1 },
            sent: true,
            asked_for_certificate: false,
            outcome: Outcome::Done(answer),
        };
        let observation = Observation {
            address: std::net::SocketAddr::from(([192, 0, 2, 1], 80)),
            tcp: Outcome::Done(TcpFacts { local_port: 1, took: std::time::Duration::ZERO }),
            transport: Transport::Plain,
            without_sni: Outcome::NotReached,
            exchanges: vec![exchange; 7],
        };
        Sight { dns: Outcome::NotReached, observations: vec![observation; addresses] }
    }

    #[test]
    fn what_fits_stays_and_what_does_not_keeps_its_challenges() {
        let small = sight(1, 8 * 1024);
        let mut same = small.clone();
        fit(&mut same);
        assert_eq!(same, small);

        let mut large = sight(8, 16 * 1024);
        fit(&mut large);
        assert!(large.observations.iter().map(size).sum::<usize>() <= SIGHT_BYTES_MAX);
        let exchanges = large.observations.iter().flat_map(|it| &it.exchanges);
        let answers: Vec<_> = exchanges.filter_map(|it| it.outcome.done()).collect();
        assert_eq!(answers.len(), 56);
        for answer in answers {
            assert_eq!((answer.challenges.len(), answer.headers_left_out), (1, 1));
            assert_eq!(answer.body.length, 65_536);
        }
    }
}
