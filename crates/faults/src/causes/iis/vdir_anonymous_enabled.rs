//! `vdir_anonymous_enabled`
//!
//! ## What it says
//! Anonymous authentication is switched on for the `ActiveSync` virtual directory.
//!
//! ## How we know
//! The server's own answer to `OPTIONS` without a credential is 200 with the `ActiveSync` headers, which Exchange writes only
//! where nobody had to log on. (The other face, a 403 held back for 20 s, comes later than an anonymous look waits.)
//!
//! ## What it is not
//! - A proxy that answers `OPTIONS` itself, or that puts in a credential of its own: the server dialled directly says 401.
//! - A server of another make that answers `OPTIONS` to everybody: no mark of IIS or Exchange.
//!
//! ## What to do
//! See the text.

use parallax_model::{Answer, FaultId};

use super::node;
use crate::claim::Claim;
use crate::fault::{Basis, Era, Fault, Layer, Owner, Reach, Severity};
use crate::logon;
use crate::responder;
use crate::texts::pages;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("vdir_anonymous_enabled"),
    layer: Layer::Iis,
    owner: Owner::Exchange,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("vdir_anonymous_enabled"),
    cases: |seen| node::cases(seen, is_let_in, |_| (Claim::given(), Claim::given()), "401 Basic"),
};

fn is_let_in(answer: &Answer) -> bool {
    logon::is_active_sync(answer)
        && responder::is_exchange_or_iis(answer)
        && responder::other_product(answer).is_none()
}
