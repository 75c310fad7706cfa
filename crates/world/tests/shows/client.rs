//! What does a plain client see? Name, connection, handshake and one exchange, each to its end.
//!
//! Nothing here waits for a time: an answer that will not come is told by the world itself.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "enums of other crates, of which a test names what it knows"
)]
#![expect(clippy::panic, reason = "what this client cannot explain fails the test")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use parallax_probe::Route;
use parallax_world::format::{ClientCertificate, Family, Show, ShowProbe};
use parallax_world::network::{Happening, RunningWorld};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::broadcast::Receiver;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::look;

/// A look that takes longer hangs, and the test with it; nothing legitimate comes near.
const LOOK_LIMIT: Duration = Duration::from_mins(1);

/// What one look saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) stage: String,
    pub(crate) status: Option<u16>,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) delay: Duration,
    /// Whose answer it is.
    pub(crate) by: Option<String>,
    /// Whose listener was reached.
    pub(crate) landed: Option<String>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) counted: u32,
}

/// One look. The bad-password counters are read before and after.
pub(crate) async fn look(running: &RunningWorld, show: &Show) -> Seen {
    let risen = || running.counters().iter().map(|it| it.risen).sum::<u32>();
    let before = risen();
    let mut happenings = running.happenings();
    let mut seen = Seen::default();
    let walked =
        tokio::time::timeout(LOOK_LIMIT, walk(running, show, &mut seen, &mut happenings)).await;
    seen.stage = match walked.expect("a look ends") {
        Ok(stage) => stage.to_owned(),
        Err(stage) => stage,
    };
    seen.counted = risen() - before;
    while let Ok(happening) = happenings.try_recv() {
        note(&mut seen, happening);
    }
    seen
}

fn note(seen: &mut Seen, happening: Happening) {
    match happening {
        Happening::Landed { host, .. } => {
            (seen.by, seen.landed) = (Some(host.clone()), Some(host));
        }
        Happening::Answered { by, delay, .. } => (seen.by, seen.delay) = (Some(by), delay),
        // What the reference says of an answer that never comes.
        Happening::Stalled { .. } => seen.delay = Duration::from_secs(130),
        Happening::NameUnanswered { .. } => {}
    }
}

/// Waits until the world says that it will not answer.
async fn silence(seen: &mut Seen, happenings: &mut Receiver<Happening>) {
    loop {
        let happening = happenings.recv().await.expect("the world runs");
        let silent =
            matches!(happening, Happening::Stalled { .. } | Happening::NameUnanswered { .. });
        note(seen, happening);
        if silent {
            return;
        }
    }
}

async fn walk(
    running: &RunningWorld,
    show: &Show,
    seen: &mut Seen,
    happenings: &mut Receiver<Happening>,
) -> Result<&'static str, String> {
    let world = running.world();
    let endpoint = world.endpoint(&show.to).expect("checked on reading");
    let vantage = world.vantage(&show.from).expect("checked on reading");
    let family = show.family.unwrap_or(Family::V4);
    if !vantage.families.contains(&family) {
        return Err("dns:family_absent".to_owned());
    }
    let url = Url::parse(&endpoint.url).expect("checked on reading");
    let port = url.port_or_known_default().expect("http or https");
    let address = match &endpoint.connect {
        Some(host) => {
            running.addresses().of_host(host, family).expect("a dialled host has an address")
        }
        None => {
            resolve(running, show, url.host_str().expect("a host"), family, seen, happenings)
                .await?
        }
    };
    let stream = connect(running, show, SocketAddr::new(address, port)).await?;
    if url.scheme() == "http" {
        return exchange(stream, running, show, &url, seen, happenings).await;
    }
    let mut stream = handshake(stream, running, show, &url, seen, happenings).await?;
    if show.probe == ShowProbe::L {
        // A TLS 1.3 client learns only now that its certificate was missed (RFC 8446 section 4.4.2.4).
        let closed = async {
            stream.shutdown().await?;
            stream.read(&mut [0]).await
        };
        return closed.await.map_or_else(|error| Err(http_stage(&error)), |_| Ok("tls"));
    }
    exchange(stream, running, show, &url, seen, happenings).await
}

async fn resolve(
    running: &RunningWorld,
    show: &Show,
    name: &str,
    family: Family,
    seen: &mut Seen,
    happenings: &mut Receiver<Happening>,
) -> Result<IpAddr, String> {
    let view = running.view(&show.from).expect("every vantage has one");
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(view.name_servers[0]).await.expect("loopback");
    let wanted = match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    };
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(format!("{name}.")).expect("a name"), wanted));
    socket.send(&query.to_vec().expect("encodes")).await.expect("sent");
    let mut bytes = [0; 4096];
    let length = tokio::select! {
        received = socket.recv(&mut bytes) => received.expect("received"),
        () = silence(seen, happenings) => return Err("dns:timeout".to_owned()),
    };
    let reply = Message::from_vec(&bytes[..length]).expect("a message");
    match reply.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err("dns:nxdomain".to_owned()),
        ResponseCode::ServFail => return Err("dns:servfail".to_owned()),
        other => panic!("the name server says {other}"),
    }
    let address = reply.answers.iter().find_map(|it| match &it.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    address.ok_or_else(|| "dns:nodata".to_owned())
}

async fn connect(
    running: &RunningWorld,
    show: &Show,
    declared: SocketAddr,
) -> Result<TcpStream, String> {
    let view = running.view(&show.from).expect("every vantage has one");
    match view.routes.get(&declared).copied().unwrap_or(view.otherwise) {
        Route::Silent => Err("tcp:timeout".to_owned()),
        Route::Unreachable => Err("dns:family_absent".to_owned()),
        Route::To(socket) => TcpStream::connect(socket).await.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => "tcp:refused".to_owned(),
            other => format!("tcp:{other}"),
        }),
    }
}

async fn handshake(
    stream: TcpStream,
    running: &RunningWorld,
    show: &Show,
    url: &Url,
    seen: &mut Seen,
    happenings: &mut Receiver<Happening>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let keep = Arc::new(Keep::default());
    let kept: Arc<dyn ServerCertVerifier> = Arc::<Keep>::clone(&keep);
    let builder = ClientConfig::builder().dangerous().with_custom_certificate_verifier(kept);
    let client = show.account.as_deref().and_then(|it| running.client_certificates().get(it));
    let mut config = match client.filter(|_| show.probe == ShowProbe::A6) {
        Some(client) => {
            assert!(matches!(client.kind, ClientCertificate::Ok | ClientCertificate::Bad));
            let identity = client.identity.duplicate();
            builder.with_client_auth_cert(identity.chain, identity.key).expect("a key pair")
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(url.host_str().expect("a host").to_owned()).expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let result = tokio::select! {
        result = connector.connect(name, stream) => result,
        () = silence(seen, happenings) => return Err("tls:timeout".to_owned()),
    };
    seen.chain.clone_from(&keep.chain.lock().expect("no panic"));
    let stream =
        result.map_err(|error| tls_stage(&error).unwrap_or_else(|| format!("tls:{error}")))?;
    seen.tls_version = match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => Some("1.2"),
        Some(ProtocolVersion::TLSv1_3) => Some("1.3"),
        other => panic!("negotiated {other:?}"),
    };
    Ok(stream)
}

fn tls_stage(error: &io::Error) -> Option<String> {
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe
    ) {
        return Some("tls:reset".to_owned());
    }
    Some(match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(AlertDescription::HandshakeFailure) => "tls:alert40".to_owned(),
        Error::AlertReceived(AlertDescription::ProtocolVersion) => "tls:alert70".to_owned(),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "tls:certificate_required".to_owned()
        }
        Error::InvalidMessage(_) => "tls:not_tls".to_owned(),
        other => format!("tls:{other}"),
    })
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    running: &RunningWorld,
    show: &Show,
    url: &Url,
    seen: &mut Seen,
    happenings: &mut Receiver<Happening>,
) -> Result<&'static str, String> {
    let (method, request) = look::request(running, show, url);
    let mut bytes = Vec::new();
    let result = tokio::select! {
        result = answer(&mut stream, &request, &method, &mut bytes) => result,
        () = silence(seen, happenings) => return Err("http:timeout".to_owned()),
    };
    result.map_err(|error| http_stage(&error))?;
    parse(&bytes, seen);
    Ok("http")
}

fn http_stage(error: &io::Error) -> String {
    match error.get_ref().and_then(|it| it.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            "tls:certificate_required".to_owned()
        }
        Some(other) => format!("http:{other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "http:closed".to_owned(),
        None => "http:reset".to_owned(),
    }
}

/// Sends the request and reads the answer to the end of its framing.
async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
    method: &str,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    stream.write_all(request).await?;
    stream.flush().await?;
    loop {
        if is_whole(bytes, method) {
            return Ok(());
        }
        if stream.read_buf(bytes).await? == 0 {
            let headed = bytes.windows(4).any(|it| it == b"\r\n\r\n");
            return if headed { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

fn is_whole(bytes: &[u8], method: &str) -> bool {
    let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let body = &bytes[end + 4..];
    let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if method == "HEAD" || matches!(status.as_str(), "204" | "304") {
        return true;
    }
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with(b"0\r\n\r\n");
    }
    let length = head
        .split("\r\ncontent-length: ")
        .nth(1)
        .and_then(|it| it.split("\r\n").next()?.parse().ok());
    length.is_some_and(|it: usize| body.len() >= it)
}

fn parse(bytes: &[u8], seen: &mut Seen) {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status_line = lines.next().expect("a status line");
    let mut words = status_line.splitn(3, ' ');
    assert!(words.next().expect("a version").starts_with("HTTP/1."));
    seen.status = words.next().and_then(|it| it.parse().ok());
    words.next().unwrap_or_default().clone_into(&mut seen.reason);
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header line");
        seen.headers.push((name.to_owned(), value.to_owned()));
    }
    seen.body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
}

/// Keeps the chain and takes any; whether it is good is what the test asks later.
#[derive(Debug, Default)]
struct Keep {
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Keep {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(leaf).chain(others).map(|it| it.clone().into_owned());
        *self.chain.lock().expect("no panic") = chain.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
