//! What a fault of the catalogue is: where it sits, whose box it is, how we know, and its cases.

use std::collections::BTreeMap;
use std::rc::Rc;

use parallax_model::{FaultId, Generation, PathId, Role, Standing, TextPlace};

use crate::causes;
use crate::claim::Claim;
use crate::condition::{Mark, Stage};
use crate::seen::{Seen, Spot};
use crate::texts::Pages;

/// Where a cause sits. The order is the order in which a client's request meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    Dns,
    Network,
    Tls,
    Publishing,
    Iis,
    Account,
    FrontEndToBackEnd,
    Legacy2003,
    Cloud,
    NonExchange,
}

impl Layer {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Publishing => "publishing",
            Self::Iis => "iis",
            Self::Account => "account",
            Self::FrontEndToBackEnd => "fe_be",
            Self::Legacy2003 => "legacy2003",
            Self::Cloud => "cloud",
            Self::NonExchange => "non_exchange",
        }
    }
}

/// Whose box it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    Dns,
    Firewall,
    /// Whoever runs the box that ends TLS for clients.
    Certificate,
    Publishing,
    Exchange,
    Directory,
    /// The user or device.
    Client,
    /// Whoever runs the target.
    Service,
}

impl Owner {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Firewall => "firewall",
            Self::Certificate => "certificate",
            Self::Publishing => "publishing",
            Self::Exchange => "exchange",
            Self::Directory => "directory",
            Self::Client => "client",
            Self::Service => "service",
        }
    }
}

/// Which generations a fault concerns: the same cause has different faces by era.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    Any,
    /// A 2007 or 2010 CAS in front of a 2003 mailbox.
    Mailbox2003,
    /// 2007 and later, on premises.
    From2007,
    /// 2013 and later, on premises: front end and back end on one machine.
    From2013,
    Online,
    NonExchange,
}

impl Era {
    /// Whether a target of this generation may have such a fault; an unknown one may have any.
    pub(crate) fn may_concern(self, generation: Option<Generation>) -> bool {
        match (self, generation) {
            (Self::Any, _) | (_, None) => true,
            (Self::Mailbox2003, Some(it)) => it == Generation::Exchange2003 || it.is_2007_or_2010(),
            (Self::From2007, Some(it)) => it.is_2007_or_2010() || it.is_2013_or_later(),
            (Self::From2013, Some(it)) => it.is_2013_or_later(),
            (Self::Online, Some(it)) => it == Generation::Online,
            (Self::NonExchange, Some(it)) => it == Generation::Other,
        }
    }

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Mailbox2003 => "2003 behind 2007/2010",
            Self::From2007 => "2007 and later",
            Self::From2013 => "2013 and later",
            Self::Online => "online",
            Self::NonExchange => "not Exchange",
        }
    }
}

/// How we know of a cause. An inferred one is never confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    Documented,
    Observed,
    Inferred,
}

impl Basis {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Observed => "observed",
            Self::Inferred => "inferred",
        }
    }
}

/// Whether a request with `OPTIONS` and what stands around it can ever show a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    Options,
    /// It shows only later, in synchronisation: a green report names it as not visible from here.
    Beyond,
}

impl Reach {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Options => "options",
            Self::Beyond => "beyond",
        }
    }
}

/// What a cause does to those who meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// `OPTIONS` fails for somebody.
    Failure,
    /// Nobody fails by it today; it is told beside the verdict and never is the verdict.
    Warning,
}

impl Severity {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Warning => "warning",
        }
    }
}

/// A cause in the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub id: FaultId,
    pub layer: Layer,
    pub owner: Owner,
    pub era: Era,
    pub basis: Basis,
    pub reach: Reach,
    pub severity: Severity,
    pub(crate) pages: Pages,
    /// One case per place where it could be; none: it does not apply to this target.
    pub(crate) cases: fn(&Seen<'_>) -> Vec<Case>,
}

/// A fault at one place of this target.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What has to hold.
    pub(crate) must: Claim,
    /// What has to hold besides for it to be confirmed; while it is unknown, the fault is likely.
    pub(crate) firmer: Claim,
    /// The most that this case can be.
    pub(crate) at_most: Standing,
    /// The role of the endpoint it sits at; with the layer it says which fault a client meets first.
    pub(crate) role: Role,
    pub(crate) explains: Explains,
    pub(crate) places: BTreeMap<TextPlace, String>,
}

impl Case {
    /// A case at one path that needs nothing more to be confirmed.
    pub(crate) fn new(spot: &Spot<'_>, must: Claim, stages: &'static [Stage]) -> Self {
        Self {
            must,
            firmer: Claim::given(),
            at_most: Standing::Confirmed,
            role: spot.endpoint.role,
            explains: Explains::path(spot.path, stages),
            places: causes::places([causes::at(spot)]),
        }
    }

    #[must_use]
    pub(crate) fn firmer(self, firmer: Claim) -> Self {
        Self { firmer, ..self }
    }

    #[must_use]
    pub(crate) fn at_most(self, at_most: Standing) -> Self {
        Self { at_most, ..self }
    }

    #[must_use]
    pub(crate) fn explaining(self, explains: Explains) -> Self {
        Self { explains, ..self }
    }

    /// Fills a named place of the texts; an empty text leaves it to its neutral word.
    #[must_use]
    pub(crate) fn with(mut self, place: TextPlace, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.places.insert(place, text);
        }
        self
    }
}

/// Which marks a case accounts for.
#[derive(Clone, Debug)]
pub(crate) struct Explains {
    /// On these paths; empty: on every path.
    pub(crate) paths: Rc<[PathId]>,
    pub(crate) stages: &'static [Stage],
    /// Only logons of this account, in these forms (empty: any).
    pub(crate) logons_of: Option<(parallax_model::AccountId, Vec<parallax_model::NameForm>)>,
}

impl Explains {
    pub(crate) fn path(path: &PathId, stages: &'static [Stage]) -> Self {
        Self { paths: Rc::from([path.clone()]), stages, logons_of: None }
    }

    /// Whether it accounts for the same marks, as far as that is plain to see.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.paths, &other.paths)
            && self.stages == other.stages
            && self.logons_of == other.logons_of
    }

    /// Whether it accounts for a mark, if that is on one of its paths.
    pub(crate) fn covers(&self, mark: &Mark) -> bool {
        let is_account = match (&self.logons_of, &mark.account) {
            (Some((account, forms)), Some((it, form))) => {
                account == it && (forms.is_empty() || forms.contains(form))
            }
            (Some(_), None) | (None, _) => true,
        };
        is_account && self.stages.contains(&mark.stage)
    }
}
