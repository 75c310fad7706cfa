//! `tls_cert_name_mismatch`
//!
//! ## What it says
//! The certificate shown to clients does not hold the published name.
//!
//! ## How we know
//! The URL's host is not among the leaf's subject alternative names (RFC 9525), seen on a published endpoint.
//!
//! ## What it is not
//! - A node dialled by its own name inside: no phone does that.
//! - A record that leads to somebody else's server: then the address is not a declared one, or outside it is another one
//!   whose leaf fits, or the server behind it knows no `ActiveSync` either.
//!
//! ## What to do
//! See the text.

use std::collections::BTreeMap;

use parallax_model::{
    Answer, EndpointName, FaultId, Need, Observation, Place, Role, TextPlace, Zone,
};

use super::handshakes::{Session, sessions};
use crate::claim::{Claim, all};
use crate::claims::is_meant_address;
use crate::condition::Stage;
use crate::fault::{Basis, Case, Era, Fault, Layer, Owner, Reach, Severity};
use crate::responder;
use crate::seen::{Met, Seen, Spot};
use crate::sign::along;
use crate::texts::pages;
use crate::words;

pub(crate) const FAULT: Fault = Fault {
    id: FaultId("tls_cert_name_mismatch"),
    layer: Layer::Tls,
    owner: Owner::Certificate,
    era: Era::Any,
    basis: Basis::Documented,
    reach: Reach::Options,
    severity: Severity::Failure,
    pages: pages!("tls_cert_name_mismatch"),
    cases,
};

fn cases(seen: &Seen<'_>) -> Vec<Case> {
    let fitting = fitting_outside(seen);
    along(
        seen.with_role(Role::External).filter(|spot| spot.endpoint.is_https),
        |spot| spot.tls_sign(lacks_the_name),
        |spot, shown| case(&fitting, spot, shown),
    )
}

fn lacks_the_name(observation: &Observation) -> bool {
    observation.transport.tls().is_some_and(|it| !it.name_matches)
}

/// By endpoint: what clients outside are shown, where it fits.
type Fitting<'a, 'e> = BTreeMap<&'a EndpointName, Session<'a, 'e>>;

fn fitting_outside<'a, 'e>(seen: &'a Seen<'e>) -> Fitting<'a, 'e> {
    seen.with_role(Role::External)
        .filter(|spot| spot.vantage.zone <= Zone::Dmz)
        .flat_map(sessions)
        .filter(|it| it.tls.name_matches)
        .map(|it| (&it.spot.endpoint.name, it))
        .collect()
}

fn case(fitting: &Fitting<'_, '_>, spot: &Spot<'_>, shown: Claim) -> Case {
    let found = sessions(spot).find(|it| !it.tls.name_matches);
    let leaf = found.and_then(|it| it.tls.chain.first());
    let names = leaf.map(|it| words::shortened(&it.names.join(", "))).unwrap_or_default();
    let is_its_box = found.map_or_else(Claim::given, |it| is_box_of_the_name(fitting, &it));
    let knows = found.map_or_else(Claim::given, |it| knows_active_sync(&it));
    Case::new(spot, all([shown, is_meant_address(spot), is_its_box, knows]), &[Stage::Tls])
        .with(TextPlace::Seen, names)
        .with(TextPlace::Expected, spot.endpoint.host.clone())
}

/// Outside the name leads to another address, and there the leaf fits: inside it may lead to a box that was never meant.
fn is_box_of_the_name(fitting: &Fitting<'_, '_>, here: &Session<'_, '_>) -> Claim {
    match fitting.get(&here.spot.endpoint.name) {
        Some(outer)
            if here.spot.vantage.zone > Zone::Dmz
                && outer.address != here.address
                && !answers(here).any(|(_, it)| responder::is_exchange_named(it)) =>
        {
            Claim::Unknown { seen: vec![outer.leaf_reference()], needs: vec![PUBLISHED_ON] }
        }
        Some(_) | None => Claim::given(),
    }
}

const PUBLISHED_ON: Need =
    Need::Declared { what: "published_on: the addresses the name is published on" };

/// What the box answered, whatever it was asked.
fn answers<'a, 'e>(
    here: &Session<'a, 'e>,
) -> impl Iterator<Item = (Met<'e>, &'e Answer)> + use<'a, 'e> {
    let address = here.address;
    let own = here.spot.met().iter().filter(move |it| it.observation.address.ip() == address);
    own.filter_map(|it| Some((*it, it.answer()?)))
}

/// Neither the name nor the directory is known to a server that is somebody else's: then the record may be wrong, and not the
/// certificate. A declared address says whose it is.
fn knows_active_sync(here: &Session<'_, '_>) -> Claim {
    let is_declared = here.spot.endpoint.published_on.contains(&here.address);
    let asked = || answers(here).filter(|(it, _)| it.exchange.look.place == Place::ActiveSync);
    let is_ignorant = asked().next().is_some() && asked().all(|(_, it)| it.status == 404);
    if is_declared || !is_ignorant || answers(here).any(|(_, it)| responder::is_exchange_named(it))
    {
        return Claim::given();
    }
    Claim::unknown(PUBLISHED_ON)
}
