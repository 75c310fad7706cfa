//! A scripted name server: UDP and TCP on one loopback port, answering by a function of the question.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// The two questions that are ever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    A,
    Aaaa,
}

/// What to answer to one question; `None`: stay silent.
type Script = Arc<dyn Fn(&Message, Asked) -> Option<Message> + Send + Sync>;

/// A running name server; dropping it ends it.
pub(super) struct NameServer {
    pub(super) socket: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl NameServer {
    pub(super) async fn start(
        script: impl Fn(&Message, Asked) -> Option<Message> + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = sockets().await;
        let socket = udp.local_addr().expect("address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let mut tasks = JoinSet::new();
        let (log, answer) = (Arc::clone(&asked), Arc::clone(&script));
        tasks.spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
                if let Some(mut reply) = replied(&buffer[..length], &log, &answer) {
                    let mut bytes = reply.to_vec().expect("message");
                    if bytes.len() > 1232 {
                        reply.answers.clear();
                        reply.metadata.truncation = true;
                        bytes = reply.to_vec().expect("message");
                    }
                    let _ = udp.send_to(&bytes, client).await;
                }
            }
        });
        let log = Arc::clone(&asked);
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let Ok(length) = stream.read_u16().await else { continue };
                let mut query = vec![0; usize::from(length)];
                if stream.read_exact(&mut query).await.is_err() {
                    continue;
                }
                if let Some(reply) = replied(&query, &log, &script) {
                    let bytes = reply.to_vec().expect("message");
                    let length = u16::try_from(bytes.len()).expect("length");
                    let _ =
                        stream.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat()).await;
                }
            }
        });
        Self { socket, asked, _tasks: tasks }
    }

    /// How often each kind of question came.
    pub(super) fn asked(&self, record: Asked) -> usize {
        self.asked.lock().expect("lock").iter().filter(|it| **it == record).count()
    }
}

/// UDP and TCP on the same free port.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("socket");
        let port = udp.local_addr().expect("address").port();
        if let Ok(tcp) = TcpListener::bind(("127.0.0.1", port)).await {
            return (udp, tcp);
        }
    }
}

fn replied(bytes: &[u8], asked: &Mutex<Vec<Asked>>, script: &Script) -> Option<Message> {
    let query = Message::from_vec(bytes).expect("our own question");
    let is_a = query.queries[0].query_type() == RecordType::A;
    let record = if is_a { Asked::A } else { Asked::Aaaa };
    asked.lock().expect("lock").push(record);
    script(&query, record)
}

/// An answer to this question with these records.
pub(super) fn records(query: &Message, data: &[(&str, RData)]) -> Message {
    let mut reply = code(query, ResponseCode::NoError);
    for (name, data) in data {
        let name = Name::from_ascii(name).expect("name");
        reply.add_answer(Record::from_rdata(name, 60, data.clone()));
    }
    reply
}

pub(super) fn code(query: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
    reply.add_query(query.queries[0].clone());
    reply.metadata.response_code = code;
    reply
}

pub(super) fn alias(target: &str) -> RData {
    RData::CNAME(CNAME(Name::from_ascii(target).expect("name")))
}
