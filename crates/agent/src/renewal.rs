//! New certificates for old: at half life over the running session's connection, or with the old key when the certificate
//! ended while the agent was off.
//!
//! Absent on purpose: when; the session knows the time. A new key is made for every renewal.
//!
//! INVARIANT: what came back is for our new key and of the authority that we know, or it is not taken.

use std::time::{Duration, SystemTime};

use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::enrollment_service_client::EnrollmentServiceClient;
use tokio::time::timeout;
use tonic::Code;

use crate::alerts::said;
use crate::certificate::key_digest;
use crate::identity::{Identity, NewKey};
use crate::link::service;
use crate::reach::{Way, Wire};
use crate::settings::AgentSettings;
use crate::trouble::Trouble;
use crate::trust::Trust;

/// One call.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(20);
/// Part of its life after which a certificate is renewed, so that a fleet that joined together does not renew together.
const DUE_AT: std::ops::RangeInclusive<f64> = 0.45..=0.55;
/// From an enrollment call; certificates are small.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// When to renew: half life ± 10 %. `None`: its times cannot be read.
pub(crate) fn due(identity: &Identity) -> Option<SystemTime> {
    identity.validity().map(|it| it.at(rand::random_range(DUE_AT)))
}

/// Asks for a certificate for a new key, over a connection that shows the old one.
pub(crate) async fn renew(
    wire: Wire,
    authority_key: Option<[u8; 32]>,
) -> Result<Identity, Trouble> {
    let key = NewKey::generate().map_err(|error| ours(&error))?;
    let signing_request = key.signing_request().map_err(|error| ours(&error))?;
    let mut client = service(wire.channel.clone());
    let renewing = client.renew(wire::RenewRequest { signing_request });
    let renewed = timeout(CALL_LIMIT, renewing)
        .await
        .map_err(|_| Trouble::Silent { after: CALL_LIMIT })?
        .map_err(|status| wire.alerts.of_call(&status))?;
    taken(key, renewed.into_inner().certificate, authority_key)
}

/// Asks for a certificate in place of the one that ended, with its key.
pub(crate) async fn recover(
    settings: &AgentSettings,
    identity: &Identity,
) -> Result<Identity, Trouble> {
    let way = Way::new(settings, Trust::Authority(identity.authority.clone()), None)
        .map_err(|error| Trouble::Tls { detail: error.to_string() })?;
    let key = NewKey::of(identity).map_err(|error| ours(&error))?;
    let request = wire::RecoverRequest {
        expired_certificate: identity.chain.first().map(|it| it.to_vec()).unwrap_or_default(),
        signing_request: key.signing_request().map_err(|error| ours(&error))?,
    };
    let wire = way.open().await?;
    let mut client = EnrollmentServiceClient::new(wire.channel.clone())
        .max_decoding_message_size(ANSWER_BYTES_MAX);
    let recovered = timeout(CALL_LIMIT, client.recover(request))
        .await
        .map_err(|_| Trouble::Silent { after: CALL_LIMIT })?
        .map_err(|status| {
            let is_no = [
                Code::PermissionDenied,
                Code::Unauthenticated,
                Code::NotFound,
                Code::FailedPrecondition,
                Code::InvalidArgument,
            ]
            .contains(&status.code());
            if is_no {
                Trouble::TokenNeeded { detail: said(&status) }
            } else {
                wire.alerts.of_call(&status)
            }
        })?;
    taken(key, recovered.into_inner().certificate, key_digest(&identity.authority))
}

/// The identity, if the answer is for our key and of the authority we know.
pub(crate) fn taken(
    key: NewKey,
    certificate: Option<wire::Certificate>,
    authority_key: Option<[u8; 32]>,
) -> Result<Identity, Trouble> {
    let identity = key.with(certificate).ok_or_else(|| Trouble::OutOfTurn {
        detail: "its answer holds no certificate for this agent's key".to_owned(),
    })?;
    if key_digest(&identity.authority) != authority_key {
        let detail = "its answer names another authority than the one known here".to_owned();
        return Err(Trouble::OutOfTurn { detail });
    }
    Ok(identity)
}

fn ours(error: &rcgen::Error) -> Trouble {
    Trouble::Tls { detail: format!("no key could be made here: {error}") }
}
