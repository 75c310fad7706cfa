//! With which credential the probe comes, and which part of what it does is attacked.

/// The authentication modes that a probe has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Three looks without a credential; all is attacked.
    Anonymous,
    /// Over TLS: a free look, then one with the secret, which is attacked.
    Basic,
    /// A free look, then NTLM Type-1, which is attacked.
    Ntlm,
}

impl Mode {
    pub(super) const ALL: [Self; 3] = [Self::Anonymous, Self::Basic, Self::Ntlm];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Basic => "basic",
            Self::Ntlm => "ntlm",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The number of the first connection that an attack below HTTP is made on.
    pub(super) fn first_attacked(self) -> u64 {
        match self {
            Self::Anonymous => 0,
            Self::Basic | Self::Ntlm => 1,
        }
    }

    /// Whether a request, in lower case, is one to attack.
    pub(super) fn is_attacked(self, head: &str) -> bool {
        match self {
            Self::Anonymous => true,
            Self::Basic => head.contains("\r\nauthorization: basic "),
            Self::Ntlm => head.contains("\r\nauthorization: ntlm "),
        }
    }
}
