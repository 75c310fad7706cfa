//! Front end to back end, and one client access server to another.

use crate::fault::Fault;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[];
