//! The generated messages, clients and servers of `parallax.v1`, their `ProtoJSON`, and their descriptors.
//!
//! Absent on purpose: anything written by hand but the `Debug` of the messages that carry a secret.
//!
//! INVARIANT: a secret never reaches `Debug`.

use std::fmt;

include!(concat!(env!("OUT_DIR"), "/parallax.v1.rs"));
include!(concat!(env!("OUT_DIR"), "/parallax.v1.serde.rs"));

/// The package of the link between agents and controller.
pub mod link {
    include!(concat!(env!("OUT_DIR"), "/agent/parallax.agent.v1.rs"));
}

/// Encoded `google.protobuf.FileDescriptorSet` of `parallax.v1` and all it imports, for reflection. The agents'
/// package is not in it.
pub const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/parallax.v1.descriptors.bin"));

impl fmt::Debug for link::EnrollRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("EnrollRequest(..)")
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("JoinToken")
            .field("agent", &self.agent)
            .field("zone", &self.zone)
            .field("site", &self.site)
            .field("replace", &self.replace)
            .field("ttl", &self.ttl)
            .field("expire_time", &self.expire_time)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Account")
            .field("name", &self.name)
            .field("directory", &self.directory)
            .field("user_names", &self.user_names)
            .field("user_principal_name", &self.user_principal_name)
            .field("mailbox", &self.mailbox())
            .field("lockout", &self.lockout)
            .field("secret_version", &self.secret_version)
            .field("budget", &self.budget)
            .field("create_time", &self.create_time)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RotateAccountRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RotateAccountRequest")
            .field("name", &self.name)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}
