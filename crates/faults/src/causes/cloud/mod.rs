//! Exchange Online and Outlook.com.

use crate::fault::Fault;

mod exo_anonymous_451_cba;
mod exo_basic_retired;

pub(crate) use exo_anonymous_451_cba::notes;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[exo_basic_retired::FAULT];
