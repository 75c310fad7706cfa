//! Exchange Online and Outlook.com, mailboxes that moved there, and what a starting server does.

use crate::fault::Fault;

mod exchange_starting_anonymous_500;
mod exo_anonymous_451_cba;
mod exo_basic_retired;
mod exo_consumer_account_451;
mod exo_throttled_or_network_busy;
mod hybrid_user_moved_403_no_redirect;
mod hybrid_user_moved_451;

pub(crate) use exo_anonymous_451_cba::notes;

/// In the order in which a request meets them.
pub(super) const ALL: &[Fault] = &[
    exchange_starting_anonymous_500::FAULT,
    exo_throttled_or_network_busy::FAULT,
    exo_consumer_account_451::FAULT,
    exo_basic_retired::FAULT,
    hybrid_user_moved_451::FAULT,
    hybrid_user_moved_403_no_redirect::FAULT,
];
