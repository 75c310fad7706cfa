//! Identifiers, one type per kind, so that a vantage can never be passed where an endpoint is meant.
//!
//! All of them are lower-case words of `a-z`, `0-9` and `-`, 1 to 63 characters, starting with a letter or digit
//! (AIP-122 resource id). Fault ids are `snake_case` and come from the catalogue only.

use std::fmt;

/// A name that is not a lower-case word of 1 to 63 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(pub String);

impl fmt::Display for InvalidName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "`{}` is not a name: use 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit",
            self.0
        )
    }
}

impl std::error::Error for InvalidName {}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
        && text.bytes().next().is_some_and(plain)
        && text.bytes().next_back().is_some_and(plain)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Takes a checked name.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                if is_name(&text) { Ok(Self(text)) } else { Err(InvalidName(text)) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A network location that looks: `ext`, `hq-dmz`.
    VantageName
);
name!(
    /// An endpoint of one target: `published`, `cas1`.
    EndpointName
);
name!(
    /// `targets/{id}` without the collection.
    TargetId
);
name!(
    /// `accounts/{id}` without the collection.
    AccountId
);
name!(
    /// `diagnoses/{id}` without the collection.
    DiagnosisId
);

/// One vantage looking at one endpoint; the unit of reporting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId {
    pub vantage: VantageName,
    pub endpoint: EndpointName,
}

impl fmt::Display for PathId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} -> {}", self.vantage, self.endpoint)
    }
}

/// A cause in the catalogue: a stable `snake_case` id, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(pub &'static str);

impl fmt::Display for FaultId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words() {
        for good in ["a", "ext", "hq-dmz", "2010", "a-1"] {
            assert!(VantageName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Ext", "-a", "a-", "a_b", "a b", "ä", &"x".repeat(64)] {
            assert!(VantageName::new(bad).is_err(), "{bad}");
        }
    }
}
