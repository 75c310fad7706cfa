//! Claims in three-valued logic (Kleene), with the evidence that settles them or the probe that would.
//!
//! INVARIANT: what is unknown never becomes true or false by combining; silence is [`Claim::Unknown`].

use parallax_model::{EvidenceRef, Need};

/// One thing a fault needs to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Seen or declared so.
    Holds(Vec<EvidenceRef>),
    /// Seen or declared otherwise.
    Fails(Vec<EvidenceRef>),
    /// Nobody knows; `seen` speaks for it, `needs` would tell.
    Unknown { seen: Vec<EvidenceRef>, needs: Vec<Need> },
}

impl Claim {
    pub(crate) fn holds(evidence: EvidenceRef) -> Self {
        Self::Holds(vec![evidence])
    }

    pub(crate) fn fails(evidence: EvidenceRef) -> Self {
        Self::Fails(vec![evidence])
    }

    pub(crate) fn unknown(need: Need) -> Self {
        Self::Unknown { seen: Vec::new(), needs: vec![need] }
    }

    /// Unknown, and no probe of ours would tell.
    pub(crate) fn undecidable() -> Self {
        Self::Unknown { seen: Vec::new(), needs: Vec::new() }
    }

    /// A claim that needs nothing.
    pub(crate) fn given() -> Self {
        Self::Holds(Vec::new())
    }
}

/// All of them: one that fails decides, else one that is unknown leaves it open.
pub(crate) fn all(claims: impl IntoIterator<Item = Claim>) -> Claim {
    let (mut seen, mut needs, mut open, mut against) =
        (Vec::new(), Vec::new(), false, None::<Vec<EvidenceRef>>);
    for claim in claims {
        match claim {
            Claim::Holds(evidence) => seen.extend(evidence),
            Claim::Fails(evidence) => against = against.or(Some(evidence)),
            Claim::Unknown { seen: more, needs: wanted } => {
                open = true;
                seen.extend(more);
                needs.extend(wanted);
            }
        }
    }
    match against {
        Some(evidence) => Claim::Fails(evidence),
        None if open => Claim::Unknown { seen, needs },
        None => Claim::Holds(seen),
    }
}

/// Any of them: one that holds decides, else one that is unknown leaves it open.
pub(crate) fn any(claims: impl IntoIterator<Item = Claim>) -> Claim {
    let (mut against, mut seen, mut needs, mut open) = (Vec::new(), Vec::new(), Vec::new(), false);
    for claim in claims {
        match claim {
            Claim::Holds(evidence) => return Claim::Holds(evidence),
            Claim::Fails(evidence) => against.extend(evidence),
            Claim::Unknown { seen: more, needs: wanted } => {
                open = true;
                seen.extend(more);
                needs.extend(wanted);
            }
        }
    }
    if open { Claim::Unknown { seen, needs } } else { Claim::Fails(against) }
}

/// The opposite.
pub(crate) fn not(claim: Claim) -> Claim {
    match claim {
        Claim::Holds(evidence) => Claim::Fails(evidence),
        Claim::Fails(evidence) => Claim::Holds(evidence),
        Claim::Unknown { needs, .. } => Claim::Unknown { seen: Vec::new(), needs },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, prop, prop_assert_eq, prop_oneof, proptest};

    use super::{Claim, all, any, not};
    use parallax_model::{EvidenceRef, Need};

    fn fact(value: &str) -> EvidenceRef {
        EvidenceRef { round: 1, path: None, address: None, look: None, value: value.to_owned() }
    }

    fn claim() -> impl Strategy<Value = Claim> {
        prop_oneof![
            Just(Claim::holds(fact("yes"))),
            Just(Claim::fails(fact("no"))),
            Just(Claim::unknown(Need::Witness)),
        ]
    }

    fn value(claim: &Claim) -> i8 {
        match claim {
            Claim::Holds(_) => 1,
            Claim::Unknown { .. } => 0,
            Claim::Fails(_) => -1,
        }
    }

    proptest! {
        /// Kleene: `all` is the minimum, `any` the maximum, whatever the order.
        #[test]
        fn all_is_the_least_and_any_the_greatest(claims in prop::collection::vec(claim(), 1..6)) {
            let values: Vec<i8> = claims.iter().map(value).collect();
            prop_assert_eq!(Some(value(&all(claims.clone()))), values.iter().min().copied());
            prop_assert_eq!(Some(value(&any(claims.clone()))), values.iter().max().copied());
            prop_assert_eq!(value(&not(claims[0].clone())), -value(&claims[0]));
        }
    }

    #[test]
    fn what_is_missing_is_carried_along() {
        let open = all([
            Claim::holds(fact("seen")),
            Claim::unknown(Need::Witness),
            Claim::unknown(Need::Subject),
        ]);
        assert_eq!(
            open,
            Claim::Unknown { seen: vec![fact("seen")], needs: vec![Need::Witness, Need::Subject] }
        );
    }
}
