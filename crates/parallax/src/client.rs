//! The controller's API as a client sees it: channel, token, deadlines, and what its errors mean to a person.
//!
//! Absent on purpose: retries. A call that failed is told; only `following` takes up a watch again.
//!
//! INVARIANT: the token goes over TLS, or to loopback; it is in no `Debug` and no error.

use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parallax_process::ExitCode;
use parallax_wire::pb;
use parallax_wire::pb::account_service_client::AccountServiceClient;
use parallax_wire::pb::diagnosis_service_client::DiagnosisServiceClient;
use parallax_wire::pb::fleet_service_client::FleetServiceClient;
use parallax_wire::pb::target_service_client::TargetServiceClient;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tonic::codegen::http::Uri;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use url::Url;

use crate::cli::ConnectionArguments;
use crate::failure::{Failure, WrongField};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// For a call that does not wait for a diagnosis.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// A diagnosis with all its reports; the controller bounds what it keeps.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const TOKEN_BYTES_MAX: u64 = 4096;
/// Rows asked for at once when everything is listed.
pub(crate) const PAGE_SIZE: i32 = 200;

type Service = InterceptedService<Channel, Bearer>;

/// Rows of one page after another, until there are no more or `limit` of them; `page` gives the rows of a page token and the
/// token of the next page.
pub(crate) async fn every_page<T>(
    limit: usize,
    page: impl AsyncFn(String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    let (mut rows, mut page_token) = (Vec::new(), String::new());
    loop {
        let (more, next) = page(page_token).await?;
        rows.extend(more);
        if next.is_empty() || rows.len() >= limit {
            break;
        }
        page_token = next;
    }
    rows.truncate(limit);
    Ok(rows)
}

/// Puts the token into every call.
#[derive(Clone)]
pub(crate) struct Bearer(Option<AsciiMetadataValue>);

impl fmt::Debug for Bearer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Bearer(..)")
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A connection to the API.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    channel: Channel,
    bearer: Bearer,
}

impl Client {
    /// Connects as the options say.
    pub(crate) async fn connect(connection: &ConnectionArguments) -> Result<Self, Failure> {
        let url = server_url(&connection.server)?;
        let token = connection.token_file.as_deref().map(read_token).transpose()?;
        let channel = if url.scheme() == "https" {
            connect_tls(&url, connection.server_ca.as_deref()).await?
        } else {
            connect_plain(&url).await?
        };
        Self::new(channel, token.as_deref())
    }

    /// Connects to a controller of this very process.
    pub(crate) async fn connect_here(
        address: std::net::SocketAddr,
        token: &str,
    ) -> Result<Self, Failure> {
        let url = server_url(&format!("http://{address}"))?;
        Self::new(connect_plain(&url).await?, Some(token))
    }

    fn new(channel: Channel, token: Option<&str>) -> Result<Self, Failure> {
        let value = token.map(|it| format!("Bearer {it}").parse::<AsciiMetadataValue>());
        let mut value = value
            .transpose()
            .map_err(|_| Failure::usage("the token file holds no token of a controller"))?;
        if let Some(value) = &mut value {
            value.set_sensitive(true);
        }
        Ok(Self { channel, bearer: Bearer(value) })
    }

    fn service(&self) -> Service {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    pub(crate) fn diagnoses(&self) -> DiagnosisServiceClient<Service> {
        DiagnosisServiceClient::new(self.service()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn targets(&self) -> TargetServiceClient<Service> {
        TargetServiceClient::new(self.service()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn accounts(&self) -> AccountServiceClient<Service> {
        AccountServiceClient::new(self.service()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn fleet(&self) -> FleetServiceClient<Service> {
        FleetServiceClient::new(self.service()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Gets a diagnosis, with its texts in this language.
    pub(crate) async fn get_diagnosis(
        &self,
        name: &str,
        language: &str,
    ) -> Result<pb::Diagnosis, Failure> {
        let request =
            pb::GetDiagnosisRequest { name: name.to_owned(), language: language.to_owned() };
        let answer = self.diagnoses().get_diagnosis(call(request)).await;
        Ok(answer.map_err(refused)?.into_inner())
    }
}

/// A request with its deadline.
pub(crate) fn call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_LIMIT);
    request
}

/// `targets/mail` from `mail` or `targets/mail`. No name holds `@`; what does may be a URL with a password, and is
/// neither sent nor repeated.
pub(crate) fn resource_name(collection: &str, given: &str) -> Result<String, Failure> {
    if given.contains('@') {
        return Err(Failure::usage(format!(
            "what is given is not a name of {collection}, for it holds `@`; use a-z, 0-9 and -"
        )));
    }
    Ok(if given.contains('/') { given.to_owned() } else { format!("{collection}/{given}") })
}

fn server_url(text: &str) -> Result<Url, Failure> {
    let quoted = if text.contains('@') {
        "what is given".to_owned() // It may hold a password.
    } else {
        format!("`{text}`")
    };
    let wrong = |why: &str| {
        Failure::usage("the controller's address cannot be used").fields(vec![WrongField {
            field: "--server".to_owned(),
            text: format!("{quoted} {why}; give a URL as http://127.0.0.1:7443 or https://parallax.example.org:7443"),
        }])
    };
    if text.contains('@') {
        return Err(wrong("holds `@`; the token goes into a file (--token-file)"));
    }
    let url = Url::parse(text).map_err(|_| wrong("is no URL"))?;
    let is_loopback = match url.host() {
        None => return Err(wrong("names no host")),
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        "http" => Err(wrong("would send the token in clear over the network")),
        _ => Err(wrong("has another scheme than http or https")),
    }
}

/// Reads a token file.
pub(crate) fn read_token(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| {
        Failure::usage(format!("cannot read the token file {}", path.display())).because(&error)
    })?;
    Ok(text.trim_end().to_owned())
}

fn endpoint(url: &Url) -> Result<Endpoint, Failure> {
    let endpoint = Endpoint::from_shared(url.to_string());
    let endpoint = endpoint.map_err(|error| {
        Failure::usage("the controller's address cannot be used").because(&error)
    })?;
    Ok(endpoint.connect_timeout(CONNECT_LIMIT))
}

fn unreachable(url: &Url, error: &dyn std::error::Error) -> Failure {
    Failure::unavailable(format!("cannot reach the controller at {url}"))
        .because(error)
        .hint("Is it running, and does --server (or PARALLAX_SERVER) say where?")
}

async fn connect_plain(url: &Url) -> Result<Channel, Failure> {
    endpoint(url)?.connect().await.map_err(|error| unreachable(url, &error))
}

async fn connect_tls(url: &Url, authorities: Option<&Path>) -> Result<Channel, Failure> {
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots(authorities)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config));
    let connector = tower::service_fn(move |uri: Uri| {
        let tls = tls.clone();
        async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let port = uri.port_u16().unwrap_or(443);
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Ok::<_, io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
        }
    });
    let connected = endpoint(url)?.connect_with_connector(connector).await;
    connected.map_err(|error| unreachable(url, &error))
}

fn roots(authorities: Option<&Path>) -> Result<rustls::RootCertStore, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    let Some(path) = authorities else {
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        return Ok(roots);
    };
    let wrong = || Failure::usage(format!("{} holds no PEM certificates", path.display()));
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong().because(&error))?;
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() { Err(wrong()) } else { Ok(roots) }
}

/// What an error of the API means to a person and to a script.
pub(crate) fn refused(status: Status) -> Failure {
    let details = status.get_error_details();
    if details.error_info().is_none() && is_foreign(&status) {
        let failure = Failure::unavailable("no Parallax API answers there").because(&status);
        return failure.hint(
            "Does --server (or PARALLAX_SERVER) say the API's port, and not that of the agents?",
        );
    }
    let reason = details.error_info().map(|it| it.reason.clone());
    let mut fields: Vec<WrongField> = details
        .bad_request()
        .map(|it| it.field_violations.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|it| WrongField { field: it.field.clone(), text: it.description.clone() })
        .collect();
    let text = if fields.is_empty() {
        status.message().to_owned()
    } else {
        // The message repeats the fields, which are told one by one.
        "the controller refused the request".to_owned()
    };
    let unmet = details.precondition_failure().map(|it| it.violations.as_slice());
    fields.extend(
        unmet
            .unwrap_or_default()
            .iter()
            .map(|it| WrongField { field: it.subject.clone(), text: it.description.clone() }),
    );
    let text = if text.is_empty() { status.code().description().to_owned() } else { text };
    let mut failure = Failure::new(code_of(status.code(), reason.as_deref()), text).fields(fields);
    failure.hint = hint_of(reason.as_deref(), details.retry_info().and_then(|it| it.retry_delay));
    failure.reason = reason;
    if let Some(cause) = std::error::Error::source(&status) {
        failure = failure.because(cause);
    }
    failure
}

/// Whether the connection, and not a controller, made this error: who listens there speaks something else, or left.
fn is_foreign(status: &Status) -> bool {
    let is_late = status.message().to_ascii_lowercase().contains("timeout");
    let is_broken = match status.code() {
        Code::Cancelled | Code::Unknown | Code::Internal | Code::Unavailable => true,
        // Who speaks HTTP but not gRPC is told as this.
        Code::Unimplemented => return true,
        Code::Ok
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::DataLoss
        | Code::Unauthenticated => false,
    };
    is_broken && !is_late && std::error::Error::source(status).is_some()
}

fn hint_of(reason: Option<&str>, retry_after: Option<Duration>) -> Option<String> {
    match (reason, retry_after) {
        (Some("TOKEN_MISSING"), _) => Some(
            "Name the file with --token-file or PARALLAX_TOKEN_FILE; the controller keeps it as `token` in its data folder."
                .to_owned(),
        ),
        (_, Some(delay)) => Some(format!("Try again in {} s.", delay.as_secs().max(1))),
        (_, None) => None,
    }
}

/// The exit code for an RPC that was refused.
fn code_of(code: Code, reason: Option<&str>) -> ExitCode {
    match reason {
        Some("CREDENTIAL_BUDGET_EXHAUSTED") => return ExitCode::NotPermitted,
        Some("MESSAGE_TOO_LARGE") => return ExitCode::Usage,
        Some(_) | None => {}
    }
    match code {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange => ExitCode::Usage,
        Code::PermissionDenied | Code::Unauthenticated => ExitCode::NotPermitted,
        Code::DeadlineExceeded | Code::Cancelled => ExitCode::Undetermined,
        Code::Ok
        | Code::Unknown
        | Code::ResourceExhausted
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => ExitCode::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_refusal_names_reason_and_fields() {
        let mut details = ErrorDetails::with_error_info("FIELDS_INVALID", "parallax", []);
        details.add_bad_request_violation("target.endpoints[0].url", "has to begin with https://");
        let status = Status::with_error_details(Code::InvalidArgument, "a\nb", details);
        let failure = refused(status);
        assert_eq!(failure.code, ExitCode::Usage);
        assert_eq!(failure.reason.as_deref(), Some("FIELDS_INVALID"));
        assert_eq!(failure.fields[0].field, "target.endpoints[0].url");
    }

    /// A port that speaks TLS, as that of the agents, answers plain HTTP/2 with an alert and leaves.
    #[tokio::test]
    async fn a_port_that_speaks_something_else_is_no_api() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("address");
        let ask = async {
            let client = Client::connect_here(address, "x").await?;
            client.get_diagnosis("diagnoses/x", "en").await
        };
        let answer = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut greeting = [0; 24];
            stream.read_exact(&mut greeting).await.expect("read");
            stream.write_all(&[21, 3, 3, 0, 2, 2, 50]).await.expect("written");
        };
        let (asked, ()) = tokio::join!(ask, answer);
        let failure = asked.expect_err("no API");
        assert_eq!(failure.code, ExitCode::Unavailable, "{failure:?}");
        assert!(format!("{failure:?}").contains("no Parallax API"), "{failure:?}");
    }

    #[track_caller]
    fn check(code: Code, reason: Option<&str>, number: u8) {
        assert_eq!(code_of(code, reason).number(), number, "{code:?} {reason:?}");
    }

    #[test]
    fn codes_become_exit_codes() {
        check(Code::InvalidArgument, Some("FIELDS_INVALID"), 2);
        check(Code::FailedPrecondition, Some("NO_VANTAGE"), 2);
        check(Code::FailedPrecondition, Some("CREDENTIAL_BUDGET_EXHAUSTED"), 4);
        check(Code::Unauthenticated, Some("TOKEN_WRONG"), 4);
        check(Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED"), 3);
        check(Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE"), 2);
        check(Code::ResourceExhausted, Some("TOO_MANY_DIAGNOSES"), 5);
        check(Code::Unavailable, None, 5);
    }

    #[test]
    fn a_token_never_goes_in_clear_over_a_network() {
        for right in [
            "http://127.0.0.1:7443",
            "http://localhost:1",
            "http://[::1]:7443",
            "https://p.example",
        ] {
            assert!(server_url(right).is_ok(), "{right}");
        }
        for wrong in [
            "http://10.0.0.1:7443",
            "http://p.example",
            "ftp://p.example",
            "p.example:7443",
            "",
            "unix:x",
            "https://u:Planted-1@h",
            "https://u:Planted-1@h:99999",
        ] {
            let failure = server_url(wrong).expect_err(wrong);
            assert_eq!(failure.code, ExitCode::Usage);
            assert!(!format!("{failure:?}").contains("Planted"));
        }
    }
}
