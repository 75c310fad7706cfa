//! TCP stage: does the address complete a handshake?
//!
//! One connect, one address, no retry. A retry would hide the packet loss that the engine is looking for; whoever wants two
//! attempts asks in two rounds.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use parallax_model::{TcpFacts, TcpFailure};
use tokio::time::{Instant, timeout};

use crate::dial::Dial;
use crate::stream::Wire;

/// Connects to a declared address. Cancel-safe: dropping the future closes the socket and loses nothing else.
pub(crate) async fn run(
    dial: &Dial,
    address: SocketAddr,
    limit: Duration,
) -> Result<(TcpFacts, Wire), TcpFailure> {
    let started = Instant::now();
    match timeout(limit, dial.connect(address)).await {
        Err(_) => Err(TcpFailure::TimedOut { after: limit }),
        Ok(Err(error)) => Err(classify(&error, started.elapsed())),
        Ok(Ok(socket)) => {
            let took = started.elapsed();
            // Small requests go out at once. A socket that refuses the option works all the same.
            let _ = socket.set_nodelay(true);
            let local_port = socket.local_addr().map_or(0, |local| local.port());
            Ok((TcpFacts { local_port, took }, Wire::new(socket, local_port)))
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list of `ErrorKind` grows; the rest has no name of its own here"
)]
fn classify(error: &io::Error, after: Duration) -> TcpFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => TcpFailure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => TcpFailure::Reset,
        io::ErrorKind::TimedOut => TcpFailure::TimedOut { after },
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => TcpFailure::Unreachable,
        _ => TcpFailure::Other { detail: error.to_string() },
    }
}
