//! `proxy_strips_authorization`
//!
//! ## What it says
//! The publishing device does not pass `Authorization` on, so Exchange sees every client as anonymous.
//!
//! ## How we know
//! A logon outside gets exactly the answer of the anonymous question, with Exchange's own challenge, and the same secret is
//! accepted inside, by the same server.
//!
//! ## What it is not
//! - `bad_password`: the secret is accepted inside.
//! - `proxy_preauth_other_directory`: there the challenge is the device's own.
//! - One server of several that refuses for reasons of its own: the one that refuses is known to be the one that accepts;
//!   where only one is registered and none has a name, this is only likely.
//! - `stale_cached_token_divergence` and other differences between two servers: there the names of the two differ.
//! - A user of an older back end: there the server inside refuses as well.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, EvidenceRef, FaultId, Look, Scheme, TextPlace};

use super::fronts::{Inside, Tried, accepted_inside, is_same_as_anonymous, published, tried};
use crate::claim::{Claim, all};
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::seen::{Met, Seen, Spot};
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("proxy_strips_authorization"),
    layer: Layer::Publishing,
    owner: Owner::Publishing,
    era: Era::Any,
    basis: Basis::Observed,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("proxy_strips_authorization"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let inside = Inside::of(seen);
    published(seen)
        .flat_map(|spot| tried(seen, spot).into_iter().map(move |it| (spot, it)))
        .map(|(spot, tried)| case(seen, &inside, spot, &tried))
        .collect()
}

fn case(seen: &Seen<'_>, inside: &Inside<'_, '_>, spot: &Spot<'_>, tried: &Tried<'_>) -> Case {
    let refuser = refuser(inside, spot, tried);
    let (may_be_it, is_it) = match refuser {
        Refuser::Same(reference) => (Claim::given(), Claim::holds(reference)),
        Refuser::OnlyOne => (Claim::given(), Claim::undecidable()),
        Refuser::MaybeAnother => (Claim::undecidable(), Claim::undecidable()),
    };
    let must = if tried.answer.status == 401 {
        all([
            Claim::holds(tried.met.reference()),
            is_same_as_anonymous(spot, tried),
            offers_basic(spot),
            inside.is_own_challenge(spot),
            accepted_inside(seen, spot, tried.account, tried.form),
            may_be_it,
        ])
    } else {
        Claim::fails(tried.met.reference())
    };
    Case::new(spot, must, &[Stage::Logon])
        .firmer(is_it)
        .with(TextPlace::Account, tried.account.id.to_string())
        .with(TextPlace::Seen, words::answer(tried.answer))
        .with(TextPlace::Expected, "200")
}

fn offers_basic(spot: &Spot<'_>) -> Claim {
    spot.sign(&Look::OPTIONS, |it| it.challenges.iter().any(|it| it.scheme == Scheme::Basic))
        .claim(spot)
}

/// Which server refused the account outside, as far as it has a name.
enum Refuser {
    /// The one that let it in.
    Same(EvidenceRef),
    /// Another one, or one of several that nobody can tell apart: it may refuse for reasons of its own.
    MaybeAnother,
    /// There is only one, and it gave no name.
    OnlyOne,
}

fn refuser(inside: &Inside<'_, '_>, spot: &Spot<'_>, tried: &Tried<'_>) -> Refuser {
    let computer = |spot: &Spot<'_>| {
        let answer = spot.latest(&Look::NTLM_PROXY).iter().find_map(Met::answer);
        answer.and_then(|it| it.type2.as_ref()?.netbios_computer.clone())
    };
    let name = tried.answer.headers.first("X-FEServer");
    let here = computer(spot);
    for node in &inside.nodes {
        let mut accepted = node.spot.logons(&tried.account.id).into_iter().filter_map(|met| {
            met.answer().filter(|it| logon::is_active_sync(it)).map(|it| (met, it))
        });
        let is_same = |answer: &Answer| match name {
            Some(name) => {
                answer.headers.first("X-FEServer").is_some_and(|it| it.eq_ignore_ascii_case(name))
            }
            None => here.is_some() && computer(node.spot) == here,
        };
        if let Some((met, _)) = accepted.find(|(_, answer)| is_same(answer)) {
            return Refuser::Same(met.reference());
        }
    }
    let mut nodes = inside.nodes.iter().map(|it| &it.spot.endpoint.name);
    let first = nodes.next();
    let is_only_one = first.is_some() && nodes.all(|it| Some(it) == first);
    if name.is_none() && here.is_none() && is_only_one {
        Refuser::OnlyOne
    } else {
        Refuser::MaybeAnother
    }
}
