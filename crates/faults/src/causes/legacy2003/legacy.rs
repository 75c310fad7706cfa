//! What the faults of an Exchange 2003 back end behind a newer CAS share: who is legacy, whose password is proven, and what
//! the CAS says to the same secret.

use parallax_model::{
    Account, Answer, Generation, Look, Need, Place, Purpose, Role, Standing, TextPlace, Zone,
};

use crate::causes::{at, login, places};
use crate::claim::{Claim, all, any};
use crate::claims::{Logons, Spelling, is_generation, unanswered};
use crate::condition::Stage;
use crate::fault::{Case, Explains};
use crate::responder;
use crate::seen::{Seen, Spot};

/// A legacy account, a back end of 2003 and the fronts that lead to it.
pub(in crate::causes) struct Legacy<'a, 'e> {
    pub(in crate::causes) seen: &'a Seen<'e>,
    pub(in crate::causes) account: &'e Account,
    pub(in crate::causes) back_end: &'a Spot<'e>,
}

/// Every combination of a legacy account and a 2003 back end that somebody looks at.
pub(in crate::causes) fn pairs<'a, 'e>(seen: &'a Seen<'e>) -> Vec<Legacy<'a, 'e>> {
    let back_ends = || {
        let mut names = std::collections::BTreeSet::new();
        // The innermost vantage that got an answer speaks for the back end; behind it any that looked.
        let mut spots: Vec<&Spot<'e>> = seen.with_role(Role::Backend).collect();
        spots.sort_by_key(|spot| {
            let is_mute = spot.answer(&Look::OPTIONS).is_none();
            (is_mute, !spot.is_seen(), std::cmp::Reverse(spot.vantage.zone))
        });
        spots.retain(|spot| names.insert(spot.endpoint.name.clone()));
        spots.into_iter().filter(|spot| {
            matches!(
                responder::generation(seen, spot.endpoint),
                Some(Generation::Exchange2003) | None
            )
        })
    };
    seen.accounts(Purpose::Subject)
        .filter(|account| matches!(account.mailbox, Some(Generation::Exchange2003) | None))
        .flat_map(|account| back_ends().map(move |back_end| Legacy { seen, account, back_end }))
        .collect()
}

impl<'a, 'e> Legacy<'a, 'e> {
    /// A case that needs the password proven: a 401 alone is what a wrong one gets.
    pub(in crate::causes) fn case(
        &self,
        back_end_shows: Claim,
        front_says: Claim,
        seen_words: String,
        expected: &str,
    ) -> Case {
        let proven = self.password_is_proven();
        self.case_without_proof(all([back_end_shows, proven]), front_says, seen_words, expected)
    }

    /// A case in which the front's own answer already shows that the password was right.
    pub(in crate::causes) fn case_without_proof(
        &self,
        back_end_shows: Claim,
        front_says: Claim,
        seen_words: String,
        expected: &str,
    ) -> Case {
        let must =
            all([self.is_2003(), self.fronts_are_2007_or_2010(), back_end_shows, front_says]);
        self.case_of(must, self.newer_passes(), seen_words, expected)
    }

    /// A case that earlier sights of the back end show; what logons tell only makes it firm.
    pub(in crate::causes) fn case_by_the_past(
        &self,
        back_end_shows: Claim,
        seen_words: String,
        expected: &str,
    ) -> Case {
        let must = all([self.is_2003(), self.fronts_are_2007_or_2010(), back_end_shows]);
        let logons =
            [self.password_is_proven(), self.through_fronts().refused(), self.newer_passes()];
        self.case_of(must, all(logons), seen_words, expected)
    }

    fn case_of(&self, must: Claim, firmer: Claim, seen_words: String, expected: &str) -> Case {
        Case {
            must,
            firmer,
            at_most: Standing::Confirmed,
            role: Role::Backend,
            explains: Explains {
                paths: [].into(),
                stages: &[Stage::Logon],
                logons_of: Some((self.account.id.clone(), Vec::new())),
            },
            places: places([
                at(self.back_end),
                vec![
                    (TextPlace::Account, login(self.account)),
                    (TextPlace::Seen, seen_words),
                    (TextPlace::Expected, expected.to_owned()),
                    (TextPlace::Elsewhere, self.cas_name()),
                ],
                self.newer().map(|it| vec![(TextPlace::Witness, login(it))]).unwrap_or_default(),
            ]),
        }
    }

    fn cas_name(&self) -> String {
        self.fronts().last().map(|spot| spot.endpoint.name.to_string()).unwrap_or_default()
    }

    /// What every vantage that got an answer from this back end saw. Vantages that contradict each other settle nothing:
    /// one of them may have met another box, or another moment.
    pub(in crate::causes) fn back_end_says(&self, claim: impl Fn(&Spot<'e>) -> Claim) -> Claim {
        let answering = self.seen.with_role(Role::Backend).filter(|spot| {
            spot.endpoint.name == self.back_end.endpoint.name
                && spot.answer(&Look::OPTIONS).is_some()
        });
        let claims: Vec<Claim> = answering.map(claim).collect();
        if claims.is_empty() {
            return unanswered(self.back_end, &Look::OPTIONS);
        }
        let agree = all(claims.clone());
        match (&agree, any(claims)) {
            (Claim::Fails(against), Claim::Holds(seen)) => {
                let seen = seen.into_iter().chain(against.iter().cloned()).collect();
                Claim::Unknown { seen, needs: Vec::new() }
            }
            (Claim::Holds(_) | Claim::Fails(_) | Claim::Unknown { .. }, _) => agree,
        }
    }

    /// Client access servers dialled directly; without one, the published name.
    fn fronts(&self) -> Vec<&'a Spot<'e>> {
        let direct: Vec<&Spot<'e>> = self
            .seen
            .with_role(Role::Cas)
            .filter(|it| it.answer(&Look::OPTIONS).is_some())
            .collect();
        if direct.is_empty() { self.seen.with_role(Role::External).collect() } else { direct }
    }

    fn all_fronts(&self) -> Vec<&'a Spot<'e>> {
        self.seen.fronts().collect()
    }

    fn is_2003(&self) -> Claim {
        is_generation(
            self.seen,
            self.back_end,
            |it| it == Generation::Exchange2003,
            "generation of the back end",
        )
    }

    fn fronts_are_2007_or_2010(&self) -> Claim {
        let fronts = self.fronts();
        if fronts.is_empty() {
            return Claim::unknown(Need::Vantage { zone: Zone::Internal });
        }
        any(fronts.iter().map(|spot| {
            is_generation(
                self.seen,
                spot,
                Generation::is_2007_or_2010,
                "generation of the client access server",
            )
        }))
    }

    /// The secret is right, checked at that moment by the back end itself or on another path of the same CAS.
    fn password_is_proven(&self) -> Claim {
        let at_back_end = self.accepted_by_back_end();
        if matches!(at_back_end, Claim::Holds(_)) {
            return at_back_end;
        }
        // A back end that refuses the secret settles it: nothing on the CAS speaks against that.
        if matches!(at_back_end, Claim::Fails(_)) {
            return at_back_end;
        }
        any([at_back_end, self.accepted_beside()])
    }

    pub(in crate::causes) fn accepted_by_back_end(&self) -> Claim {
        let spots: Vec<&Spot<'e>> = self
            .seen
            .with_role(Role::Backend)
            .filter(|it| it.endpoint.name == self.back_end.endpoint.name)
            .collect();
        self.logons(Spelling::Any, Place::ActiveSync, spots).accepted()
    }

    /// Autodiscover or EWS of the same CAS takes the secret, where they offer Basic.
    fn accepted_beside(&self) -> Claim {
        let with_basic = |look: &Look| -> Vec<&'a Spot<'e>> {
            self.fronts()
                .into_iter()
                .filter(|spot| {
                    spot.answer(look).is_some_and(|(_, answer)| {
                        answer
                            .challenges
                            .iter()
                            .any(|it| it.scheme == parallax_model::Scheme::Basic)
                    })
                })
                .collect()
        };
        any([(Place::Autodiscover, Look::AUTODISCOVER), (Place::Ews, Look::EWS)].map(
            |(place, look)| {
                let spots = with_basic(&look);
                if spots.is_empty() {
                    Claim::undecidable()
                } else {
                    self.logons(Spelling::Qualified, place, spots).accepted()
                }
            },
        ))
    }

    /// The same secret, with a qualified user name, through a front.
    pub(in crate::causes) fn through_fronts(&self) -> Logons<'a, 'e> {
        let asked = |spots: &[&Spot<'e>]| {
            spots.iter().any(|spot| !spot.logons(&self.account.id).is_empty())
        };
        let (direct, every) = (self.fronts(), self.all_fronts());
        let spots = if !asked(&direct) && asked(&every) { every } else { direct };
        self.logons(Spelling::Qualified, Place::ActiveSync, spots)
    }

    /// Some front answered a logon of this account with this status.
    pub(in crate::causes) fn is_met_with(&self, status: u16) -> bool {
        self.seen.fronts().any(|spot| {
            spot.logons(&self.account.id).iter().any(|met| met.status() == Some(status))
        })
    }

    fn newer(&self) -> Option<&'e Account> {
        self.seen.evidence.accounts.iter().find(|it| {
            it.id != self.account.id
                && it.mailbox.is_some_and(|mailbox| mailbox != Generation::Exchange2003)
                && it.has_password
        })
    }

    /// A mailbox on a newer server passes the same front; or this very account is accepted on another path of it.
    fn newer_passes(&self) -> Claim {
        let newer = self.newer().map_or_else(
            || Claim::unknown(Need::Witness),
            |account| {
                let spots = self.fronts();
                Logons {
                    seen: self.seen,
                    account,
                    spelling: Spelling::Any,
                    place: Place::ActiveSync,
                    spots,
                }
                .accepted()
            },
        );
        // The witness path counts here only beside the back end's own word; alone it already proved the password.
        let beside = if matches!(self.accepted_by_back_end(), Claim::Holds(_)) {
            self.accepted_beside()
        } else {
            Claim::undecidable()
        };
        match newer {
            // A newer mailbox that fails as well: the front itself is in trouble, and this is not the whole story.
            Claim::Fails(seen) => Claim::Unknown { seen, needs: Vec::new() },
            Claim::Unknown { .. } if matches!(beside, Claim::Holds(_)) => beside,
            Claim::Holds(_) | Claim::Unknown { .. } => newer,
        }
    }

    fn logons(&self, spelling: Spelling, place: Place, spots: Vec<&'a Spot<'e>>) -> Logons<'a, 'e> {
        Logons { seen: self.seen, account: self.account, spelling, place, spots }
    }
}

/// IIS 6 names the sub-status in its page: "HTTP Error 403.4", "must be viewed over a secure channel" (KB 817379).
pub(in crate::causes) fn is_403_4(answer: &Answer) -> bool {
    let body = answer.body.beginning.to_ascii_lowercase();
    answer.status == 403 && (body.contains("403.4") || body.contains("secure channel"))
}
