//! The rounds after the first: only what separates the faults still open, a logon being far dearer than time.
//!
//! INVARIANT: the first logon of an account goes alone, on the first open rung of its ladder; other paths get the secret
//! only after it succeeded, one after another.
//! INVARIANT: a refused logon is an account's last in this diagnosis.

use parallax_faults::{Acceptance, acceptance, cost};
use parallax_model::{
    Account, AccountId, Credential, Diagnosis, Endpoint, Evidence, Generation, Look, Need, PathId,
    Place, Purpose, Role, TlsFacts, UserName,
};

use super::free::{dials, free_looks};
use super::ladder::{Rung, anonymous, is_open, ladder, own_observations, sights};
use super::{AccountBudget, HeldLogon, NextRound, Proposal, ProposedLogon, ROUNDS_MAX};

/// What to ask after `round` rounds.
pub fn next_round(
    evidence: &Evidence,
    diagnosis: &Diagnosis,
    budgets: &[AccountBudget],
    round: u32,
) -> NextRound {
    let mut next = NextRound::default();
    let wanted = wanted(diagnosis);
    let is_last = round >= ROUNDS_MAX;
    for account in by_urgency(evidence, &wanted) {
        let Some(budget) = budgets.iter().find(|it| it.account == account.id) else { continue };
        let wants: Vec<&(PathId, Look)> = wanted
            .iter()
            .filter(|(path, look)| {
                account_of(look) == Some(&account.id)
                    && !is_made(evidence, path, |made| made == look)
            })
            .collect();
        logon_for(evidence, account, budget, &wants, is_last, &mut next);
    }
    if !is_last {
        free_looks(evidence, diagnosis, &mut next);
        dials(evidence, diagnosis, &mut next);
    }
    hold_published(evidence, budgets, &mut next);
    next
}

/// The logon of a phone, from outside at the published name, that a refused one now forbids: said, not silently left out.
fn hold_published(evidence: &Evidence, budgets: &[AccountBudget], next: &mut NextRound) {
    for budget in
        budgets.iter().filter(|it| it.refused_here > 0 && is_subject(evidence, &it.account))
    {
        for path in
            evidence.target.endpoints.iter().filter_map(|it| outermost_answering(evidence, it))
        {
            let is_told =
                next.held.iter().any(|it| it.path == path && it.account == budget.account);
            if !is_made(evidence, &path, |made| account_of(made) == Some(&budget.account))
                && !is_told
            {
                let reason = "one refused logon per account and diagnosis".to_owned();
                next.held.push(HeldLogon { path, account: budget.account.clone(), reason });
            }
        }
    }
}

/// Whether such a logon went along this path: what was made is not held.
fn is_made(evidence: &Evidence, path: &PathId, is_such: impl Fn(&Look) -> bool) -> bool {
    sights(evidence, path)
        .into_iter()
        .flat_map(|it| &it.observations)
        .flat_map(|it| &it.exchanges)
        .any(|it| it.sent && is_such(&it.look))
}

fn is_subject(evidence: &Evidence, account: &AccountId) -> bool {
    evidence
        .target
        .accounts
        .iter()
        .any(|it| it.account == *account && it.purpose == Purpose::Subject)
}

/// The path of the outermost vantage to a published endpoint, if its anonymous question was answered.
fn outermost_answering(evidence: &Evidence, endpoint: &Endpoint) -> Option<PathId> {
    let outermost = evidence
        .vantages
        .iter()
        .filter(|it| endpoint.is_for(it))
        .min_by_key(|it| (it.zone, it.name.clone()))?;
    let path = PathId { vantage: outermost.name.clone(), endpoint: endpoint.name.clone() };
    let is_answering = own_observations(evidence, &path)
        .into_iter()
        .flat_map(|it| &it.exchanges)
        .any(|it| it.look == Look::OPTIONS && it.outcome.done().is_some());
    (endpoint.role == Role::External && is_answering).then_some(path)
}

/// Logons that would decide something, the most useful first: open faults, then likely ones that could be firm, then what
/// is missing for calling it healthy. Once something is found, health is no longer asked for.
fn wanted(diagnosis: &Diagnosis) -> Vec<(PathId, Look)> {
    let open = diagnosis.open.iter().flat_map(|it| &it.needs);
    let firmer = diagnosis.findings.iter().flat_map(|it| &it.needs);
    let mut wanted = Vec::new();
    for need in open.chain(firmer).chain(&diagnosis.gaps) {
        if let Need::Logon { path, look } = need {
            let want = (path.clone(), look.clone());
            if !wanted.contains(&want) {
                wanted.push(want);
            }
        }
    }
    wanted
}

fn account_of(look: &Look) -> Option<&AccountId> {
    match &look.credential {
        Credential::Account { account, .. } => Some(account),
        Credential::None | Credential::NtlmType1 | Credential::ImpossibleUser => None,
    }
}

/// Accounts for which something is wanted, in the order of the wants.
fn by_urgency<'e>(evidence: &'e Evidence, wanted: &[(PathId, Look)]) -> Vec<&'e Account> {
    let mut accounts: Vec<&Account> = Vec::new();
    for (_, look) in wanted {
        let account =
            account_of(look).and_then(|id| evidence.accounts.iter().find(|it| it.id == *id));
        if let Some(account) = account.filter(|it| !accounts.iter().any(|known| known.id == it.id))
        {
            accounts.push(account);
        }
    }
    accounts
}

/// At most one logon of an account in a round; what is wanted and may not be is held, with the reason.
fn logon_for(
    evidence: &Evidence,
    account: &Account,
    budget: &AccountBudget,
    wants: &[&(PathId, Look)],
    is_last: bool,
    next: &mut NextRound,
) {
    let hold = |path: &PathId, reason: String| HeldLogon {
        path: path.clone(),
        account: account.id.clone(),
        reason,
    };
    if let Some(reason) =
        never(account, budget).or_else(|| is_last.then(|| format!("{ROUNDS_MAX} rounds are over")))
    {
        next.held.extend(wants.iter().map(|(path, _)| hold(path, reason.clone())));
        return;
    }
    let standing = standing(evidence, account);
    if standing == Some(Acceptance::MaybeCached) {
        let reason =
            "an earlier logon may have been accepted from a cached token: no proof of the secret";
        next.held.extend(wants.iter().map(|(path, _)| hold(path, reason.to_owned())));
        return;
    }
    let has_proof = standing == Some(Acceptance::Proof);
    let mut reasons: Vec<HeldLogon> = Vec::new();
    let candidates =
        if has_proof { along_wants(account, wants) } else { first_rungs(evidence, account) };
    if candidates.is_empty() {
        let reason = why_no_rung(evidence, account);
        next.held.extend(wants.iter().map(|(path, _)| hold(path, reason.to_owned())));
        return;
    }
    for (rung, name) in candidates {
        if !is_open(evidence, &rung) {
            reasons.push(hold(
                &rung.path,
                "the box that asks is not known to accept this logon".to_owned(),
            ));
            continue;
        }
        let price = cost(evidence, &rung.path);
        let Some(reason) = forbidden(budget, price) else {
            next.proposals.push(proposal(evidence, account, rung, name, price, has_proof));
            return;
        };
        reasons.push(hold(&rung.path, reason));
    }
    next.held.append(&mut reasons);
}

/// Why the first logon has no rung to stand on.
fn why_no_rung(evidence: &Evidence, account: &Account) -> &'static str {
    let carries = ladder(&evidence.target, &evidence.vantages, account)
        .iter()
        .any(|rung| answering_address(evidence, rung).is_some());
    if carries {
        "no server that may be given the secret offers Basic"
    } else {
        "no path can carry the secret: certificate not trusted, or plain HTTP without allow_plaintext_logon"
    }
}

/// Why no logon of this account is made at all.
fn never(account: &Account, budget: &AccountBudget) -> Option<String> {
    if !account.secret_is_ascii {
        return Some("the secret is not ASCII: two encodings make two attempts".to_owned());
    }
    if budget.refused_here > 0 {
        return Some("one refused logon per account and diagnosis".to_owned());
    }
    budget
        .ended_here
        .then(|| "an earlier logon came to nothing that proves it right or wrong".to_owned())
}

/// Why a logon at this price is not made.
pub(super) fn forbidden(budget: &AccountBudget, price: u32) -> Option<String> {
    if let Some(reason) = &budget.frozen {
        return Some(format!("frozen: {reason}"));
    }
    if budget.breaker_open {
        return Some("the secret was refused before: rotate it or release the account".to_owned());
    }
    (price > budget.left).then(|| {
        format!("it may cost {price} counts and {} are left: declare the lockout threshold, logon_cost or connect", budget.left)
    })
}

/// What the logons of an account in this diagnosis are worth: proof, if one was accepted with the secret checked.
fn standing(evidence: &Evidence, account: &Account) -> Option<Acceptance> {
    let mut best = None;
    for report in evidence.rounds.iter().flat_map(|round| &round.reports) {
        let sight = report.report.seen();
        for exchange in
            sight.into_iter().flat_map(|it| &it.observations).flat_map(|it| &it.exchanges)
        {
            if account_of(&exchange.look) != Some(&account.id) {
                continue;
            }
            match acceptance(evidence, &report.path, exchange) {
                Some(Acceptance::Proof) => return Some(Acceptance::Proof),
                Some(Acceptance::MaybeCached) => best = Some(Acceptance::MaybeCached),
                None => {}
            }
        }
    }
    best
}

/// After proof: exactly what is wanted, each at its own price.
fn along_wants(account: &Account, wants: &[&(PathId, Look)]) -> Vec<(Rung, UserName)> {
    wants
        .iter()
        .filter_map(|(path, look)| {
            let Credential::Account { form, .. } = &look.credential else { return None };
            let name = account.names.iter().find(|name| name.form == *form)?.clone();
            Some((Rung { path: path.clone(), place: look.place }, name))
        })
        .collect()
}

/// Before proof: the ladder, with the best form of the name.
fn first_rungs(evidence: &Evidence, account: &Account) -> Vec<(Rung, UserName)> {
    let Some(name) = account.first_name() else { return Vec::new() };
    ladder(&evidence.target, &evidence.vantages, account)
        .into_iter()
        .filter(|rung| is_open(evidence, rung))
        .map(|rung| (rung, name.clone()))
        .collect()
}

fn proposal(
    evidence: &Evidence,
    account: &Account,
    rung: Rung,
    name: UserName,
    cost: u32,
    has_proof: bool,
) -> Proposal {
    let only_address = answering_address(evidence, &rung);
    let reaches_back_end = reaches_back_end(evidence, account, &rung);
    Proposal {
        looks: vec![anonymous(rung.place)],
        logon: Some(ProposedLogon {
            account: account.id.clone(),
            name,
            place: rung.place,
            cost,
            has_proof,
            reaches_back_end,
        }),
        path: rung.path,
        only_address,
        without_sni: false,
    }
}

/// The first address that answered the anonymous question and may be given a secret: it goes where a round before looked.
fn answering_address(evidence: &Evidence, rung: &Rung) -> Option<std::net::IpAddr> {
    let look = anonymous(rung.place);
    let is_https = evidence.target.endpoint(&rung.path.endpoint).is_none_or(|it| it.is_https);
    own_observations(evidence, &rung.path)
        .into_iter()
        .filter(|it| !is_https || it.transport.tls().is_some_and(TlsFacts::may_carry_a_secret))
        .find(|it| {
            it.exchanges
                .iter()
                .any(|exchange| exchange.look == look && exchange.outcome.done().is_some())
        })
        .map(|it| it.address.ip())
}

/// Whether a CAS may pass this logon on to a back end of another generation. A mailbox known to be of the front's own
/// generation ends there.
fn reaches_back_end(evidence: &Evidence, account: &Account, rung: &Rung) -> bool {
    let Some(endpoint) = evidence.target.endpoint(&rung.path.endpoint) else { return true };
    let generation = endpoint.generation.or(evidence.target.generation);
    let proxies = !generation.is_some_and(Generation::is_2013_or_later)
        && generation != Some(Generation::Online);
    matches!(endpoint.role, Role::External | Role::Cas)
        && rung.place == Place::ActiveSync
        && proxies
        && (account.mailbox.is_none() || account.mailbox != generation)
}
