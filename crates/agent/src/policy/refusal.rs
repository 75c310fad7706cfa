//! Why something is refused: a stable id, and the text that tells an administrator which line to change.
//!
//! An id names the key of the policy file that decides (`zone`, `hosts.name`, …), or `address` where no line can change it.
//!
//! INVARIANT: the text begins with the id and a colon; ids do not change.

use std::fmt;
use std::net::IpAddr;

use parallax_probe::Rule;

use super::Door;
use super::addresses::Nature;

/// One refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal<'a> {
    /// Everything is denied.
    Nothing {
        why: &'a str,
    },
    Host {
        host: &'a str,
    },
    /// The zone, without named hosts, has no such door.
    ZoneDoor {
        host: &'a str,
        door: Door,
    },
    HostDoor {
        host: &'a str,
        door: Door,
    },
    Path {
        path: &'a str,
    },
    /// The task names an address that neither a name server nor the file gives for the host.
    Given {
        host: &'a str,
        address: IpAddr,
    },
    /// An address that is never dialled. `form`: the address itself, or the one inside it that decides.
    Never {
        address: IpAddr,
        form: IpAddr,
        nature: Nature,
    },
    /// A private address in zone external.
    Private {
        address: IpAddr,
        form: IpAddr,
    },
}

impl Refusal<'_> {
    fn id(&self) -> &'static str {
        match self {
            Self::Nothing { .. } => "policy.absent",
            Self::Host { .. } => "hosts.name",
            Self::ZoneDoor { .. } => "zone.ports",
            Self::HostDoor { .. } => "hosts.ports",
            Self::Path { .. } => "hosts.path",
            Self::Given { .. } => "hosts.addresses",
            Self::Never { nature, .. } => match nature {
                Nature::Unspecified => "address.unspecified",
                Nature::Loopback => "address.loopback",
                Nature::LinkLocal => "address.link_local",
                Nature::Metadata => "address.metadata",
                Nature::Multicast => "address.multicast",
                Nature::Broadcast => "address.broadcast",
                Nature::Public | Nature::Private => "address.private",
            },
            Self::Private { .. } => "zone.private",
        }
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.id())?;
        match self {
            Self::Nothing { why } => out.write_str(why),
            Self::Host { host } => write!(out, "host `{host}` is not named in the policy"),
            Self::ZoneDoor { host, door } => {
                write!(out, "{door} of `{host}` is not permitted; zone external dials https to 443")
            }
            Self::HostDoor { host, door } => {
                write!(out, "{door} of `{host}` is not permitted by the policy")
            }
            Self::Path { path } => write!(out, "path `{path}` is not permitted by the policy"),
            Self::Given { host, address } => write!(
                out,
                "{address} for `{host}` comes from the task alone; the policy's `addresses` of that host do not hold it",
            ),
            Self::Never { address, form, nature } => {
                write!(out, "{} is {}; never dialled", Formed(*address, *form), of(*nature))
            }
            Self::Private { address, form } => {
                let formed = Formed(*address, *form);
                write!(out, "{formed} is private; zone external dials public addresses")
            }
        }
    }
}

/// An address, and the one inside it that decides.
struct Formed(IpAddr, IpAddr);

impl fmt::Display for Formed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address, form) = self;
        if address == form {
            return write!(out, "{address}");
        }
        write!(out, "{address} stands for {form}, which")
    }
}

fn of(nature: Nature) -> &'static str {
    match nature {
        Nature::Public => "public",
        Nature::Private => "private",
        Nature::Unspecified => "no address of anybody",
        Nature::Loopback => "loopback",
        Nature::LinkLocal => "link-local",
        Nature::Metadata => "the metadata service of a cloud",
        Nature::Multicast => "multicast",
        Nature::Broadcast => "broadcast",
    }
}

impl fmt::Display for Door {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} to port {}", if self.is_https { "https" } else { "http" }, self.port)
    }
}

impl From<Refusal<'_>> for Rule {
    fn from(refusal: Refusal<'_>) -> Self {
        Self(refusal.to_string())
    }
}
