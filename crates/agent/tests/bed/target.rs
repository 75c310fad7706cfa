//! A small HTTP/1.1 server that asks for Basic, takes any, and remembers every `Authorization` it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Heard = Arc<Mutex<Vec<String>>>;

pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    heard: Heard,
    _serving: JoinSet<()>,
}

impl Target {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard = Heard::default();
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&heard)));
        Self { address, heard, _serving: serving }
    }

    /// Every credential that arrived.
    pub(crate) fn credentials(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }
}

async fn accept(listener: TcpListener, heard: Heard) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(serve(stream, Arc::clone(&heard)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, heard: Heard) {
    let mut stream = BufReader::new(stream);
    let mut credential = None;
    loop {
        let mut line = String::new();
        match stream.read_line(&mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = line.trim_end();
        if let Some((_, value)) =
            line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            heard.lock().expect("no panic").push(value.to_owned());
            credential = Some(());
        }
        if line.is_empty() {
            let answer = if credential.take().is_some() {
                "HTTP/1.1 200 OK\r\nMS-ASProtocolVersions: 2.5\r\nContent-Length: 0\r\n\r\n"
            } else {
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"be03\"\r\nContent-Length: 0\r\n\r\n"
            };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
