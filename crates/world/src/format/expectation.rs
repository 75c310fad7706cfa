//! What must be said about a world, and what must it show? Sections 7 and 8 of the format.
//!
//! Absent on purpose: the grading, and the product's own words; these are plain texts as written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::network::Family;
use super::words::words;

/// The right answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// A fault id, `healthy` or `undetermined`.
    pub fault: String,
    /// Other honest verdicts.
    pub acceptable: Vec<String>,
    pub standing_at_least: LeastStanding,
    /// Faults that must appear among the findings too.
    pub also: Vec<String>,
    /// Further findings that are true or harmless.
    #[serde(default)]
    pub tolerated: Vec<String>,
    /// Neither the verdict nor a confirmed finding.
    pub never: Vec<String>,
    /// Should be on the list of what is still possible; reported, not graded.
    #[serde(default)]
    pub open: Vec<String>,
    /// What a green report should name as beyond its sight; reported, not graded.
    #[serde(default)]
    pub not_visible: Vec<String>,
    /// The most by which one account's counter may rise.
    pub max_refused_logons: u32,
}

words! {
    /// The least standing of a fault verdict.
    LeastStanding { Undetermined = "undetermined", Likely = "likely", Confirmed = "confirmed" }
}

/// One look that must see this.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// What the look is there for.
    #[serde(default)]
    pub fact: Option<String>,
    pub from: String,
    pub to: String,
    pub probe: ShowProbe,
    #[serde(default)]
    pub account: Option<String>,
    /// Path and query instead of the endpoint's.
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub charset: Option<Charset>,
    #[serde(default)]
    pub family: Option<Family>,
    /// Version of HTTP of the request.
    #[serde(default)]
    pub http: Option<String>,
    #[serde(default)]
    pub times: Option<u32>,
    /// Sets the clock, in seconds since the start.
    #[serde(default)]
    pub at_s: Option<f64>,
    pub saw: Saw,
}

words! {
    /// Which look: the probe codes of the catalogue.
    ShowProbe {
        A0 = "A0",
        A0g = "A0g",
        A1 = "A1",
        A1x = "A1x",
        A2t1 = "A2t1",
        A2 = "A2",
        A3 = "A3",
        A4e = "A4e",
        A4ei = "A4ei",
        A4 = "A4",
        A6 = "A6",
        Hc = "HC",
        P2 = "P2",
        Ad1 = "AD1",
        Ad2 = "AD2",
        Neg = "NEG",
        Post = "POST",
        L = "L",
    }
}

words! {
    /// How a secret is encoded in a Basic credential.
    #[derive(Default)]
    Charset {
        #[default]
        Utf8 = "utf8",
        Latin1 = "latin1",
    }
}

/// What a look saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saw {
    /// `http`, or where it ended, such as `dns:timeout` or `tcp:refused`.
    #[serde(default)]
    pub stage: Option<String>,
    #[serde(default)]
    pub status: Option<u16>,
    #[serde(default)]
    pub reason: Option<String>,
    /// Schemes, in order.
    #[serde(default)]
    pub challenges: Option<Vec<String>>,
    #[serde(default)]
    pub has: Vec<String>,
    #[serde(default)]
    pub lacks: Vec<String>,
    #[serde(default)]
    pub value: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<String>,
    /// 15 s or more.
    #[serde(default)]
    pub slow: Option<bool>,
    #[serde(default)]
    pub cert: Option<String>,
    #[serde(default)]
    pub leaf: Option<String>,
    #[serde(default)]
    pub tls_max: Option<String>,
    /// The host whose answer it is.
    #[serde(default)]
    pub by: Option<String>,
    /// By how much the bad-password counters rose.
    #[serde(default)]
    pub counted: Option<u32>,
}
