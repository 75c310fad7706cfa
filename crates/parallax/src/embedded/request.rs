//! What `parallax diagnose URL` describes: a target with one endpoint, perhaps an account, and what may be probed.
//!
//! INVARIANT: all spellings of a user name in this mode share one ledger account; that errs on the safe side.

use std::io::Read as _;
use std::path::Path;

use parallax_agent::NamedHost;
use parallax_model::{Vantage, VantageName, Zone};
use parallax_process::ExitCode;
use parallax_wire::pb::{self, NameForm, endpoint, target_account, trust};
use parallax_wire::{check_account, check_target};
use url::{Host, Url};

use crate::cli::{DiagnoseArguments, TrustChoice, UrlArguments, ZoneChoice};
use crate::commands::lockout_policy;
use crate::failure::{Failure, WrongField};
use crate::secret::read_secret;

/// The one vantage there is, and its name in the matrix.
const VANTAGE: &str = "here";
const ENDPOINT: &str = "url";
/// Every account of this mode is kept under this directory.
const DIRECTORY: &str = "embedded";
const AUTHORITIES_BYTES_MAX: u64 = 256 * 1024;
/// Room for a readable part, a dash and the digits that make it unique, within the 63 characters of an id.
const READABLE_MAX: usize = 48;

/// What is to be looked at, from where, as whom.
#[derive(Debug)]
pub(super) struct UrlRequest {
    pub vantage: Vantage,
    pub target: pb::Target,
    /// With its secret.
    pub account: Option<pb::Account>,
    /// Why a refused secret may be sent again.
    pub release: Option<String>,
    pub hosts: Vec<NamedHost>,
}

impl UrlRequest {
    /// Reads and checks the options; asks for the secret last.
    pub(super) fn read(arguments: &DiagnoseArguments) -> Result<Self, Failure> {
        refuse_foreign_options(arguments)?;
        let url = read_url(&arguments.target)?;
        let options = &arguments.url;
        let zone = options.zone.map_or(Zone::Internal, zone);
        let mut account = options
            .account
            .as_ref()
            .filter(|_| !arguments.anonymous_only)
            .map(|login| describe_account(login, options));
        let target = pb::Target {
            name: format!("targets/{}", id_of(&format!("{url}"), &readable(&url))),
            display_name: url.to_string(),
            endpoints: vec![pb::Endpoint {
                name: ENDPOINT.to_owned(),
                role: role(zone).into(),
                url: url.to_string(),
                trust: options.trust.as_ref().map(read_trust).transpose()?,
                ..pb::Endpoint::default()
            }],
            accounts: account
                .iter()
                .map(|it| pb::TargetAccount {
                    account: it.name.clone(),
                    purpose: target_account::Purpose::Subject.into(),
                })
                .collect(),
            ..pb::Target::default()
        };
        let checked =
            check_target(&target).map_err(|it| refused("the URL cannot be diagnosed", it))?;
        if let Some(account) = &mut account {
            check_account(account).map_err(|it| refused("the account cannot be used", it))?;
            account.secret =
                read_secret(&options.secret, options.account.as_deref().unwrap_or(""))?;
        }
        let mut hosts: Vec<NamedHost> = checked.endpoints.iter().map(NamedHost::of).collect();
        hosts.extend(autodiscover_host(&url).map(|it| NamedHost::new(&it)));
        let name = VantageName::new(VANTAGE).map_err(|error| {
            Failure::new(ExitCode::Unavailable, "the vantage has no name").because(&error)
        })?;
        let vantage = Vantage { name, zone, site: String::new() };
        Ok(Self { vantage, target, account, release: options.release.clone(), hosts })
    }
}

/// Options that speak of a controller, or of an account that is not given.
fn refuse_foreign_options(arguments: &DiagnoseArguments) -> Result<(), Failure> {
    let options = &arguments.url;
    let mut fields = Vec::new();
    if arguments.no_wait {
        fields.push(("--no-wait", "goes with a registered target only; here nobody would go on"));
    }
    if options.account.is_none() {
        let secret = &options.secret;
        let needs_account = "goes with --account only";
        for (option, is_given) in [
            ("--secret-stdin", secret.secret_stdin),
            ("--secret-file", secret.secret_file.is_some()),
            ("--secret-env", secret.secret_env.is_some()),
            ("--lockout-window", options.lockout.lockout_window.is_some()),
            ("--release", options.release.is_some()),
        ] {
            if is_given {
                fields.push((option, needs_account));
            }
        }
    }
    if fields.is_empty() {
        return Ok(());
    }
    let fields = fields
        .into_iter()
        .map(|(field, text)| WrongField { field: field.to_owned(), text: text.to_owned() })
        .collect();
    Err(Failure::usage("these options do not fit together").fields(fields))
}

fn read_url(text: &str) -> Result<Url, Failure> {
    // First of all, and nothing is repeated: it may hold a password.
    if text.contains('@') {
        return Err(Failure::usage("the URL cannot be diagnosed").fields(vec![WrongField {
            field: "TARGET".to_owned(),
            text: "holds `@`, as before a host; give the user with --account, and the URL without"
                .to_owned(),
        }]));
    }
    let wrong = |why: &str| {
        let text = format!(
            "`{text}` {why}; give https://host, with port and path if they are not the usual ones"
        );
        Failure::usage("the URL cannot be diagnosed")
            .fields(vec![WrongField { field: "TARGET".to_owned(), text }])
    };
    let mut url = Url::parse(text).map_err(|error| wrong(&format!("is no URL ({error})")))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong(&format!("has the scheme {}", url.scheme())));
    }
    if matches!(url.path(), "" | "/") {
        // A missing path is the usual one; the API's own default.
        url.set_path("/Microsoft-Server-ActiveSync");
    }
    Ok(url)
}

fn refused(what: &str, violations: Vec<parallax_wire::FieldViolation>) -> Failure {
    let fields = violations
        .into_iter()
        .map(|it| WrongField { field: it.field, text: it.description })
        .collect();
    Failure::usage(what).fields(fields)
}

fn zone(choice: ZoneChoice) -> Zone {
    match choice {
        ZoneChoice::External => Zone::External,
        ZoneChoice::Dmz => Zone::Dmz,
        ZoneChoice::Internal => Zone::Internal,
        ZoneChoice::Backend => Zone::Backend,
    }
}

/// A URL is the service as published, wherever it is looked at from: that no box stands between is not known. Only in the
/// zone of the back ends it is one of them.
fn role(zone: Zone) -> endpoint::Role {
    match zone {
        Zone::External | Zone::Dmz | Zone::Internal => endpoint::Role::External,
        Zone::Backend => endpoint::Role::Backend,
    }
}

fn read_trust(choice: &TrustChoice) -> Result<pb::Trust, Failure> {
    let mode = |mode: trust::Mode| pb::Trust { mode: mode.into(), ..pb::Trust::default() };
    Ok(match choice {
        TrustChoice::Public => mode(trust::Mode::Public),
        TrustChoice::Store => mode(trust::Mode::Store),
        TrustChoice::Authorities(path) => {
            pb::Trust { authorities_pem: read_pem(path)?, ..mode(trust::Mode::Authorities) }
        }
        TrustChoice::Pins(pins) => pb::Trust { pins: pins.clone(), ..mode(trust::Mode::Pinned) },
    })
}

fn read_pem(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(AUTHORITIES_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| {
        Failure::usage(format!("cannot read the certificates in {} (--trust)", path.display()))
            .because(&error)
    })?;
    Ok(text)
}

/// The account without its secret.
fn describe_account(login: &str, options: &UrlArguments) -> pb::Account {
    let form = if login.contains('\\') {
        NameForm::Domain
    } else if login.contains('@') {
        NameForm::Upn
    } else {
        NameForm::Bare
    };
    let user = login.rsplit_once('\\').map_or(login, |(_, user)| user);
    let user = user.split_once('@').map_or(user, |(user, _)| user).to_lowercase();
    pb::Account {
        name: format!("accounts/{}", id_of(&user, &user)),
        directory: DIRECTORY.to_owned(),
        user_names: vec![pb::UserName { form: form.into(), login: login.to_owned() }],
        lockout: Some(lockout_policy(
            options.lockout.lockout_threshold,
            options.lockout.lockout_window,
        )),
        ..pb::Account::default()
    }
}

/// `autodiscover.` and the domain of the host.
fn autodiscover_host(url: &Url) -> Option<String> {
    let Some(Host::Domain(host)) = url.host() else { return None };
    let (_, domain) = host.split_once('.')?;
    domain.contains('.').then(|| format!("autodiscover.{domain}"))
}

fn readable(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// An id that people recognise and that stands for exactly this text: a readable part and a hash (FNV-1a, 32 bits).
fn id_of(text: &str, readable: &str) -> String {
    let plain: String = readable
        .to_ascii_lowercase()
        .chars()
        .map(|it| if it.is_ascii_lowercase() || it.is_ascii_digit() { it } else { '-' })
        .take(READABLE_MAX)
        .collect();
    let hash = text
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let plain = plain.trim_matches('-');
    let dash = if plain.is_empty() { "" } else { "-" };
    format!("{plain}{dash}{hash:08x}")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn read(line: &[&str]) -> Result<UrlRequest, Failure> {
        let line = ["parallax", "diagnose"].iter().chain(line);
        let Command::Diagnose(arguments) = Cli::parse_from(line).command else {
            panic!("another command");
        };
        UrlRequest::read(&arguments)
    }

    #[test]
    fn a_bare_url_is_the_published_service_and_nothing_else_may_be_probed() {
        let request = read(&["https://mail.contoso.example"]).expect("right");
        let endpoint = &request.target.endpoints[0];
        assert_eq!(endpoint.url, "https://mail.contoso.example/Microsoft-Server-ActiveSync");
        assert_eq!(endpoint.role(), endpoint::Role::External);
        assert_eq!(request.vantage.zone, Zone::Internal);
        let hosts: Vec<&str> = request.hosts.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(hosts, ["mail.contoso.example", "autodiscover.contoso.example"]);
        assert!(request.account.is_none());
    }

    #[test]
    fn every_spelling_of_a_user_is_one_ledger_account() {
        let folder = tempfile::tempdir().expect("folder");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "Planted-1\n").expect("written");
        let secret = secret.display().to_string();
        let names: Vec<(String, String)> = ["anna@contoso.example", r"CORP\Anna", "ANNA"]
            .into_iter()
            .map(|login| {
                let request = read(&[
                    "https://m.contoso.example",
                    "--account",
                    login,
                    "--secret-file",
                    &secret,
                ]);
                let account = request.expect("right").account.expect("an account");
                assert!(!format!("{account:?}").contains("Planted"));
                (account.directory, account.name)
            })
            .collect();
        assert!(names.iter().all(|it| *it == names[0]), "{names:?}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for wrong in [
            &["ftp://mail.contoso.example"][..],
            &["https://"],
            &["https://user:Planted-1@mail.contoso.example"],
            &["https://user:Planted-1@mail.contoso.example:99999/"],
            &["https://user:Planted-1/2@mail.contoso.example"],
            &["gopher://user:Planted-1@mail.contoso.example"],
            &["https://mail.contoso.example", "--no-wait"],
            &["https://mail.contoso.example", "--secret-stdin"],
            &["https://mail.contoso.example", "--trust", "/nonexistent.pem"],
        ] {
            let failure = read(wrong).expect_err("wrong");
            assert_eq!(failure.code, ExitCode::Usage, "{wrong:?}");
            assert!(!format!("{failure:?}").contains("Planted"), "{wrong:?}");
        }
    }

    #[test]
    fn ids_are_readable_and_different() {
        assert_eq!(id_of("a", "Mail.Contoso"), "mail-contoso-e40c292c");
        assert_ne!(id_of("a", "x"), id_of("b", "x"));
        assert!(id_of("統", "統").len() == 8);
        assert!(id_of("a", &"x".repeat(200)).len() <= 63);
    }
}
