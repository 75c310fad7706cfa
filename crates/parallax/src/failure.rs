//! Why a command did not do what it was asked: what to say of it, and with which code the process ends.
//!
//! Absent on purpose: what a target answered. That is a result, whatever it is.
//!
//! INVARIANT: no secret and no token is in here.

use std::error::Error;
use std::ops::{Deref, DerefMut};

use parallax_process::ExitCode;

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrongField {
    /// As `endpoints[1].url`; empty: the whole.
    pub field: String,
    /// What is wrong and what would be right.
    pub text: String,
}

/// A command that failed; in a box, because every function here may return one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(Box<Details>);

/// What is known of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Details {
    pub code: ExitCode,
    /// What went wrong; may have several lines.
    pub text: String,
    /// The word of the API's reason catalogue.
    pub reason: Option<String>,
    pub fields: Vec<WrongField>,
    /// The causes below, nearest first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Deref for Failure {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl Failure {
    pub(crate) fn new(code: ExitCode, text: impl Into<String>) -> Self {
        Self(Box::new(Details {
            code,
            text: text.into(),
            reason: None,
            fields: Vec::new(),
            causes: Vec::new(),
            hint: None,
        }))
    }

    /// Wrong usage, or wrong settings.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, text)
    }

    /// The service is not there, or our own side failed.
    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self::new(ExitCode::Unavailable, text)
    }

    #[must_use]
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some errors repeat the text of their source.
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn fields(mut self, fields: Vec<WrongField>) -> Self {
        self.fields = fields;
        self
    }
}
