//! What a campaign is, and the list of them.

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// A few seconds to a minute, in the gate.
    Short,
    /// The figures of the closing notes.
    Full,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub passed: u64,
    pub failed: u64,
}

/// One word on the command line.
pub(crate) struct Campaign {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(Scale) -> anyhow::Result<Tally>,
}

/// Every campaign, by name. A line is added with its module.
pub(crate) const CAMPAIGNS: &[Campaign] = &[];
