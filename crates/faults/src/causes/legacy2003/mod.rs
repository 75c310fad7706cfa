//! Exchange 2003 and 2000 behind something newer, or by themselves.

use crate::fault::Fault;

mod e2003_be_iwa_missing;
mod e2003_be_ssl_required_on_eas_vdir;
mod e2003_negotiate_provider_missing;
mod legacy;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    e2003_be_iwa_missing::FAULT,
    e2003_negotiate_provider_missing::FAULT,
    e2003_be_ssl_required_on_eas_vdir::FAULT,
];
