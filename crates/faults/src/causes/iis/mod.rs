//! IIS and the virtual directory on the client access server or front end.

use crate::fault::Fault;

mod default_domain_missing;
mod vdir_basic_disabled;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[vdir_basic_disabled::FAULT, default_domain_missing::FAULT];
