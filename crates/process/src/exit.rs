//! Exit codes and what they mean to whoever called the program.

/// How a run ended. The numbers are part of the interface; scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// Healthy; or the command did what it was asked.
    Healthy,
    /// A fault, confirmed or likely.
    Fault,
    /// Wrong usage, or wrong settings.
    Usage,
    /// Undetermined: nothing confirmed, no logon made, budget spent on the way, deadline, cancelled.
    Undetermined,
    /// Not permitted: policy, or the budget was spent before the start.
    NotPermitted,
    /// The service is unavailable, or the run failed.
    Unavailable,
    /// Ended by Ctrl-C.
    Interrupted,
}

impl ExitCode {
    pub fn number(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Fault => 1,
            Self::Usage => 2,
            Self::Undetermined => 3,
            Self::NotPermitted => 4,
            Self::Unavailable => 5,
            Self::Interrupted => 130,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.number().into()
    }
}

impl std::process::Termination for ExitCode {
    fn report(self) -> std::process::ExitCode {
        self.into()
    }
}
