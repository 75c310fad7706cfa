//! Which token belongs to whom.
//!
//! Absent on purpose: where tokens come from. Today there is one, in a file; that there may be more, each with its role, is
//! decided by whoever starts the controller.
//!
//! INVARIANT: looking one up takes the same time whichever it is, and whether it is one at all.

use crate::permissions::Principal;
use crate::token::TokenDigest;

/// Everybody who may call, by token.
#[derive(Clone, Debug)]
pub(crate) struct Callers(Vec<(TokenDigest, Principal)>);

impl Callers {
    /// The holder of the controller's own token, and these.
    pub(crate) fn new(own: TokenDigest, others: Vec<(TokenDigest, Principal)>) -> Self {
        let mut all = vec![(own, Principal::token_holder())];
        all.extend(others);
        Self(all)
    }

    /// Whose token this is.
    pub(crate) fn find(&self, token: &str) -> Option<&Principal> {
        self.0.iter().fold(
            None,
            |found, (digest, principal)| {
                if digest.is(token) { Some(principal) } else { found }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions::Role;

    #[test]
    fn every_token_is_its_holders_and_no_other_is_anybodys() {
        let viewer = Principal { name: "eve".to_owned(), role: Role::Viewer };
        let others = vec![(TokenDigest::of("two"), viewer.clone())];
        let callers = Callers::new(TokenDigest::of("one"), others);
        assert_eq!(callers.find("one"), Some(&Principal::token_holder()));
        assert_eq!(callers.find("two"), Some(&viewer));
        for wrong in ["", "three", "one ", "onetwo"] {
            assert_eq!(callers.find(wrong), None, "{wrong:?}");
        }
    }
}
