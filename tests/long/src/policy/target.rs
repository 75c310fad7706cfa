//! What answers at every address: https on 443, 444 and 8443, plain http on 80, 81 and 8080, with the head that the trick of
//! the moment wants.
//!
//! INVARIANT: every connection is ended after a while, whatever the client does.

use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const HTTPS: [u16; 3] = [443, 444, 8443];
const HTTP: [u16; 3] = [80, 81, 8080];
const CONNECTION_MAX: Duration = Duration::from_secs(5);
const HEAD_MAX: usize = 8192;

/// Listeners; dropping them ends them.
pub(super) struct Target {
    head: Arc<Mutex<String>>,
    _serving: JoinSet<()>,
}

impl Target {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["mail.example".to_owned()])?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let tls = TlsAcceptor::from(Arc::new(config));
        let head = Arc::new(Mutex::new(String::new()));
        let mut serving = JoinSet::new();
        for port in HTTPS.into_iter().chain(HTTP) {
            // Both families: IPv4 comes in mapped.
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
                .await
                .with_context(|| format!("port {port}"))?;
            let tls = HTTPS.contains(&port).then(|| tls.clone());
            serving.spawn(serve(listener, tls, Arc::clone(&head)));
        }
        Ok(Self { head, _serving: serving })
    }

    /// From now on answers so: lines of a head, parted by `|`.
    pub(super) fn play(&self, head: &str) {
        let head = head.replace('|', "\r\n");
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, head: Arc<Mutex<String>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (tls, head) = (tls.clone(), Arc::clone(&head));
        // Answers at once, as the other end does.
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let answering = async {
                match tls {
                    None => answer(stream, &head).await,
                    Some(tls) => answer(tls.accept(stream).await?, &head).await,
                }
            };
            // A client that goes away is not of interest.
            let _ = tokio::time::timeout(CONNECTION_MAX, answering).await;
        });
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    head: &Mutex<String>,
) -> std::io::Result<()> {
    let mut received = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        while !received.windows(4).any(|it| it == b"\r\n\r\n") {
            let length = stream.read(&mut buffer).await?;
            if length == 0 || received.len() > HEAD_MAX {
                return Ok(());
            }
            received.extend_from_slice(&buffer[..length]);
        }
        received.clear();
        let text = head.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stream.write_all(format!("{text}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await?;
        stream.flush().await?;
    }
}
