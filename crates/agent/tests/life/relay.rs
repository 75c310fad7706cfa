//! A way between agent and controller that can stop carrying bytes in one direction, without closing anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToAgent,
    ToController,
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    /// Connections from now on; those that stand keep theirs.
    now: std::sync::Mutex<Switches>,
    shared: Arc<std::sync::Mutex<Switches>>,
    _carrying: JoinSet<()>,
}

/// Whether each direction of a connection drops what it should carry.
#[derive(Clone, Default)]
struct Switches {
    to_agent: Arc<AtomicBool>,
    to_controller: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) async fn start(controller: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let first = Switches::default();
        let shared = Arc::new(std::sync::Mutex::new(first.clone()));
        let mut carrying = JoinSet::new();
        carrying.spawn(accept(listener, controller, Arc::clone(&shared)));
        Self { address, now: std::sync::Mutex::new(first), shared, _carrying: carrying }
    }

    /// What goes this way on the connections of now is lost.
    pub(crate) fn stop(&self, direction: Direction) {
        let switches = self.now.lock().expect("no panic");
        match direction {
            Direction::ToAgent => &switches.to_agent,
            Direction::ToController => &switches.to_controller,
        }
        .store(true, Ordering::SeqCst);
    }

    /// New connections carry both ways; the old ones stay as they are.
    pub(crate) fn heal(&self) {
        *self.shared.lock().expect("no panic") = Switches::default();
    }
}

async fn accept(
    listener: TcpListener,
    controller: SocketAddr,
    switches: Arc<std::sync::Mutex<Switches>>,
) {
    let mut carrying = JoinSet::new();
    while let Ok((agent, _)) = listener.accept().await {
        let Ok(there) = TcpStream::connect(controller).await else { continue };
        let switches = switches.lock().expect("no panic").clone();
        let (from_agent, to_agent) = agent.into_split();
        let (from_there, to_there) = there.into_split();
        carrying.spawn(carry(from_agent, to_there, switches.to_controller));
        carrying.spawn(carry(from_there, to_agent, switches.to_agent));
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_lost: Arc<AtomicBool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if is_lost.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    if is_lost.load(Ordering::SeqCst) {
        // Not even the end gets through.
        std::future::pending::<()>().await;
    }
}
