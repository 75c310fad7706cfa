//! What a campaign is, and the list of them.

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// A few seconds to a minute, in the gate.
    Short,
    /// The figures of the closing notes.
    Full,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub scale: Scale,
    /// The campaign's own words, as the seed to replay; none in the gate.
    pub words: Vec<String>,
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
    pub run: fn(&Plan) -> anyhow::Result<Tally>,
}

/// A process that a campaign starts of this same program: `parallax-long child NAME WORD…`.
pub(crate) struct Child {
    pub name: &'static str,
    pub run: fn(&[String]) -> anyhow::Result<()>,
}

/// Every campaign, by name. A line is added with its module.
pub(crate) const CAMPAIGNS: &[Campaign] = &[
    crate::abuse::CAMPAIGN,
    crate::joining::BAN,
    crate::kills::CAMPAIGN,
    crate::herd::CAMPAIGN,
    crate::hostile::CAMPAIGN,
    crate::policy::CAMPAIGN,
    crate::simulation::CAMPAIGN,
    crate::joining::TOKEN_RACE,
];

/// Every child process, by name.
pub(crate) const CHILDREN: &[Child] = &[
    crate::kills::CONTROLLER,
    crate::kills::AGENT,
    crate::herd::CHILD,
    crate::hostile::CHILD,
    crate::policy::CHILD,
];
