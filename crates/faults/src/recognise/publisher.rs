//! Publishing layers by the marks that they leave on an answer: cookies, header fields, where they redirect to, realms, pages.
//!
//! Absent on purpose: a mark that also Exchange or a plain web server leaves, and any conclusion from a mark that is missing.
//!
//! INVARIANT: a mark is told by its name, never with the value of a cookie or the query of an address: they may hold a session.

use std::fmt;

use parallax_model::{Answer, Place, Scheme};

use crate::words;

/// A product that stands in front of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Product {
    IsaOrTmg,
    Uag,
    F5Ltm,
    F5Apm,
    F5Asm,
    Citrix,
    WebApplicationProxy,
    EntraProxy,
    /// Both tokens of http.sys and IIS in `Server`: Web Application Proxy, Entra application proxy or hybrid agent.
    KernelPublisher,
    RequestRouting,
    ApplicationGateway,
    Kemp,
    Cloudflare,
    Akamai,
    Nginx,
    Apache,
    Haproxy,
    Sentry,
    SecureEmailGateway,
    /// The edge of Exchange Online itself.
    OnlineEdge,
    /// It wrote its name into `Via` and says nothing more.
    Unnamed,
}

impl Product {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IsaOrTmg => "Microsoft ISA Server or Forefront TMG",
            Self::Uag => "Microsoft Forefront UAG",
            Self::F5Ltm => "F5 BIG-IP",
            Self::F5Apm => "F5 BIG-IP APM",
            Self::F5Asm => "F5 BIG-IP ASM",
            Self::Citrix => "Citrix NetScaler",
            Self::WebApplicationProxy => "Web Application Proxy (AD FS)",
            Self::EntraProxy => "Microsoft Entra application proxy",
            Self::KernelPublisher => {
                "publisher on http.sys (Web Application Proxy or Entra application proxy)"
            }
            Self::RequestRouting => "IIS Application Request Routing",
            Self::ApplicationGateway => "Azure Application Gateway",
            Self::Kemp => "Kemp LoadMaster",
            Self::Cloudflare => "Cloudflare",
            Self::Akamai => "Akamai",
            Self::Nginx => "nginx",
            Self::Apache => "Apache httpd",
            Self::Haproxy => "HAProxy",
            Self::Sentry => "Ivanti (MobileIron) Sentry",
            Self::SecureEmailGateway => "Workspace ONE (AirWatch) Secure Email Gateway",
            Self::OnlineEdge => "Exchange Online",
            Self::Unnamed => "proxy",
        }
    }

    /// A gateway that decides by the device, which a probe is not.
    pub(crate) fn is_mobile_gateway(self) -> bool {
        matches!(self, Self::Sentry | Self::SecureEmailGateway)
    }
}

/// What an answer was known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark<'a> {
    Cookie(&'a str),
    Field(&'a str),
    /// A field whose value names the product.
    Named(&'static str, &'a str),
    Location(&'static str),
    Realm(&'a str),
    Reason,
    Page(&'static str),
}

impl fmt::Display for Mark<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(name) => write!(out, "cookie {}", words::shortened(name)),
            Self::Field(name) => out.write_str(&words::shortened(name)),
            Self::Named(field, value) => write!(out, "{field}: {}", words::shortened(value)),
            Self::Location(part) => write!(out, "Location with {part}"),
            Self::Realm(realm) => write!(out, "realm \"{}\"", words::shortened(realm)),
            Self::Reason => out.write_str("its reason phrase"),
            Self::Page(text) => write!(out, "\"{text}\" on its page"),
        }
    }
}

/// Beginnings of cookies' names, in lower case.
const COOKIES: [(&str, Product); 14] = [
    ("mrhsession", Product::F5Apm),
    ("lastmrh_session", Product::F5Apm),
    ("f5_st", Product::F5Apm),
    ("bigipserver", Product::F5Ltm),
    ("ts01", Product::F5Asm),
    ("nsc_", Product::Citrix),
    ("isawplb", Product::IsaOrTmg),
    ("cadata", Product::IsaOrTmg),
    ("msisauth", Product::WebApplicationProxy),
    ("edgeaccesscookie", Product::WebApplicationProxy),
    ("nlsessionc", Product::Uag),
    ("nlsessions", Product::Uag),
    ("azureappproxy", Product::EntraProxy),
    ("arraffinity", Product::RequestRouting),
];

/// Beginnings of header fields' names.
const FIELDS: [(&str, Product); 7] = [
    ("cf-ray", Product::Cloudflare),
    ("cf-mitigated", Product::Cloudflare),
    ("x-kemp", Product::Kemp),
    ("x-forms_based_auth_required", Product::WebApplicationProxy),
    ("x-ms-proxy-", Product::EntraProxy),
    ("x-nanoproxy", Product::OnlineEdge),
    ("x-proxyerrorlabel", Product::OnlineEdge),
];

/// Parts of `Server`.
const SERVERS: [(&str, Product); 14] = [
    ("nginx", Product::Nginx),
    ("haproxy", Product::Haproxy),
    ("apache", Product::Apache),
    ("bigip", Product::F5Ltm),
    ("big-ip", Product::F5Ltm),
    ("netscaler", Product::Citrix),
    ("cloudflare", Product::Cloudflare),
    ("akamaighost", Product::Akamai),
    ("kemp", Product::Kemp),
    ("microsoft-azure-application-gateway", Product::ApplicationGateway),
    ("sentry", Product::Sentry),
    ("mobileiron", Product::Sentry),
    ("airwatch", Product::SecureEmailGateway),
    ("secure email gateway", Product::SecureEmailGateway),
];

/// Parts of `Location` that no other product has.
const LOCATIONS: [(&str, Product); 5] = [
    ("/my.policy", Product::F5Apm),
    ("cookieauth.dll", Product::IsaOrTmg),
    ("/internalsite/", Product::Uag),
    ("urn%3aappproxy", Product::WebApplicationProxy),
    ("appproxystate", Product::EntraProxy),
];

const REALMS: [(&str, Product); 4] = [
    ("sentry", Product::Sentry),
    ("mobileiron", Product::Sentry),
    ("airwatch", Product::SecureEmailGateway),
    ("secure email gateway", Product::SecureEmailGateway),
];

/// What ISA Server and TMG write on their own pages.
const ISA_PAGES: [&str; 3] = ["ISA Server", "Forefront TMG", "CookieAuth.dll"];

/// Calls `note` with every mark on an answer to a request for this place.
pub(crate) fn marks<'a>(answer: &'a Answer, place: Place, mut note: impl FnMut(Product, Mark<'a>)) {
    let mut has_server = false;
    for (name, value) in &answer.headers.0 {
        match name.len() {
            3 if name.eq_ignore_ascii_case("Via") => {
                note(Product::Unnamed, Mark::Named("Via", value));
            }
            6 if name.eq_ignore_ascii_case("Server") => {
                has_server = true;
                server_marks(value, &mut note);
            }
            8 if name.eq_ignore_ascii_case("Location") => {
                for (part, product) in LOCATIONS {
                    if holds(value, part) {
                        note(product, Mark::Location(part));
                    }
                }
            }
            10 if name.eq_ignore_ascii_case("Set-Cookie") => {
                cookie_mark(value, place, &mut note);
            }
            12 if name.eq_ignore_ascii_case("X-Powered-By") && holds(value, "arr/") => {
                note(Product::RequestRouting, Mark::Named("X-Powered-By", value));
            }
            _ => {
                if let Some((_, product)) = FIELDS.iter().find(|(it, _)| begins(name, it)) {
                    note(*product, Mark::Field(name));
                }
            }
        }
    }
    let realms = answer.challenges.iter().filter(|it| it.scheme == Scheme::Basic);
    for realm in realms.filter_map(|it| it.realm()) {
        if let Some((_, product)) = REALMS.iter().find(|(it, _)| holds(realm, it)) {
            note(*product, Mark::Realm(realm));
        }
    }
    // These products write their own pages without `Server`.
    if !has_server {
        isa_marks(answer, &mut note);
    }
}

fn server_marks<'a>(value: &'a str, note: &mut impl FnMut(Product, Mark<'a>)) {
    for (part, product) in SERVERS {
        if holds(value, part) {
            note(product, Mark::Named("Server", value));
            return;
        }
    }
    if holds(value, "microsoft-iis") && holds(value, "microsoft-httpapi") {
        note(Product::KernelPublisher, Mark::Named("Server", value));
    }
}

fn cookie_mark<'a>(value: &'a str, place: Place, note: &mut impl FnMut(Product, Mark<'a>)) {
    let name = value.split('=').next().unwrap_or_default().trim();
    // Outlook Web Access has a cookie of this name of its own.
    let is_own = place == Place::Owa && begins(name, "cadata");
    let found = COOKIES.iter().find(|(it, _)| begins(name, it)).filter(|_| !is_own);
    if let Some((_, product)) = found {
        note(*product, Mark::Cookie(name));
    }
}

fn isa_marks<'a>(answer: &'a Answer, note: &mut impl FnMut(Product, Mark<'a>)) {
    // `Forbidden ( The server denied the specified Uniform Resource Locator (URL). … )`
    if answer.reason.contains("( The ") && answer.reason.ends_with(" )") {
        note(Product::IsaOrTmg, Mark::Reason);
    }
    if let Some(text) = ISA_PAGES.iter().find(|it| answer.body.beginning.contains(**it)) {
        note(Product::IsaOrTmg, Mark::Page(text));
    }
}

/// The first mark of a publishing layer on an answer, as it stands there.
pub(crate) fn first_mark(answer: &Answer, place: Place) -> Option<String> {
    let mut first = None;
    marks(answer, place, |_, mark| {
        first.get_or_insert(mark);
    });
    first.map(|mark| mark.to_string())
}

/// Whether an answer carries a mark of a product of this kind.
pub(crate) fn is_marked(answer: &Answer, place: Place, is_such: impl Fn(Product) -> bool) -> bool {
    let mut is_found = false;
    marks(answer, place, |product, _| is_found |= is_such(product));
    is_found
}

/// Whether a text contains another, which is in lower case, whatever its letter case.
pub(crate) fn holds(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let Some(first) = part.first() else { return true };
    text.windows(part.len()).any(|it| {
        it.first().is_some_and(|byte| byte.eq_ignore_ascii_case(first))
            && it.eq_ignore_ascii_case(part)
    })
}

fn begins(text: &str, part: &str) -> bool {
    text.get(..part.len()).is_some_and(|it| it.eq_ignore_ascii_case(part))
}
