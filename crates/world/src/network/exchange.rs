//! What happens on one connection after it is open?
//!
//! Requests are read one after another, handed to the simulation, and answered when their delay is
//! over. Absent on purpose: pipelining ahead, HTTP/2, and every opinion about the content.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::door::{Door, goodbye, reset};
#[cfg(feature = "legacy-tls")]
use super::old_tls::OldStream;
use super::outgoing::Outgoing;
use super::read::{Asked, Head, Reader};
use super::site::{Happening, Site};
use super::{is_reset, write};
use crate::simulation::{Credential, Place, Reply, Request, ShownCertificate};

/// What a machine says to something that is no request, as the kernel driver of IIS does.
const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=us-ascii\r\n\
    Server: Microsoft-HTTPAPI/2.0\r\nConnection: close\r\nContent-Length: 11\r\n\r\nBad Request";

/// Who is at the other end, and where it ended up.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) door: &'a Door,
    pub(super) host: &'a str,
    pub(super) shown: Option<ShownCertificate>,
}

/// A stream that shows its TCP connection, to be reset.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<Outgoing> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0.tcp()
    }
}

#[cfg(feature = "legacy-tls")]
impl Wire for OldStream {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().tcp()
    }
}

/// Answers requests until the connection ends.
pub(super) async fn serve(mut stream: impl Wire, site: &Site, caller: &Caller<'_>) {
    let mut reader = Reader::default();
    let mut ntlm_begun = false;
    loop {
        let head = match reader.next(&mut stream).await {
            Asked::Request(head) => head,
            Asked::Bad => {
                // Best effort: who sends no request may not read an answer.
                let _ = stream.write_all(BAD_REQUEST).await;
                return goodbye(stream).await;
            }
            Asked::Gone => return goodbye(stream).await,
        };
        if is_reset(&caller.door.reach, &head.method) {
            return reset(stream.tcp());
        }
        let keeps_alive = head.keeps_alive();
        let request = request(head, caller, ntlm_begun);
        ntlm_begun |= request.credential == Credential::NtlmType1;
        let place = Place {
            peer: &caller.door.vantage,
            origin: &caller.door.vantage,
            port: caller.door.port,
        };
        let reply = site.state().answer(site.clock.now(), caller.host, &request, place);
        match reply {
            Reply::Reset => return reset(stream.tcp()),
            Reply::Fin => return goodbye(stream).await,
            Reply::Stall => return caller.door.stall(stream, site).await,
            Reply::Answer(plan) => {
                site.clock.wait(plan.delay).await;
                let (bytes, can_follow) = write::answer(&plan, &request.method);
                let vantage = caller.door.vantage.clone();
                site.say(Happening::Answered { vantage, by: plan.by, delay: plan.delay });
                if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                    return; // The client did not wait.
                }
                if !(keeps_alive && can_follow) {
                    return goodbye(stream).await;
                }
            }
        }
    }
}

fn request(head: Head, caller: &Caller<'_>, ntlm_begun: bool) -> Request {
    let credential = Credential::read(head.header("authorization"));
    let host = head.header("host").map(without_port).unwrap_or_default().to_owned();
    Request {
        method: head.method,
        path: head.path,
        query: head.query,
        host,
        headers: head.headers,
        credential,
        client_certificate: caller.shown.clone(),
        ntlm_begun,
    }
}

/// The host of `host:port`; an IPv6 literal keeps its brackets, RFC 3986 section 3.2.2.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    }
}
