//! A name server that answers what the trick of the moment wants, differently each time if need be.
//!
//! Every answer has a TTL of 0.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::watch::NAME_SERVER;

/// What is said about names: `203.0.113.10 fd00::1` are addresses, `@other.example` an alias that goes first; `;` parts
/// one question's answer from the next one's, for each record type. The last stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Script(Vec<String>);

impl Script {
    pub(super) fn new(text: &str) -> Self {
        Self(text.split(';').map(|it| it.trim().to_owned()).collect())
    }
}

#[derive(Default)]
struct State {
    script: Script,
    asked: BTreeMap<u16, usize>,
}

/// A running name server; dropping it ends it.
pub(super) struct Names {
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

impl Names {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(NAME_SERVER).await.context("name server")?;
        let state = Arc::new(Mutex::new(State::default()));
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&state);
        serving.spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let reply = Message::from_vec(&buffer[..length]).ok().and_then(|query| {
                    let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    answer(&query, &mut state)
                });
                if let Some(bytes) = reply {
                    // Whoever asked may have gone.
                    let _ = socket.send_to(&bytes, client).await;
                }
            }
        });
        Ok(Self { state, _serving: serving })
    }

    /// From now on answers so.
    pub(super) fn play(&self, script: Script) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { script, asked: BTreeMap::new() };
    }
}

fn answer(query: &Message, state: &mut State) -> Option<Vec<u8>> {
    let question = query.queries.first()?;
    let asked = state.asked.entry(question.query_type().into()).or_default();
    let step = state.script.0.get(*asked).or(state.script.0.last())?;
    *asked += 1;
    let mut reply = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
    reply.add_query(question.clone());
    reply.metadata.response_code = ResponseCode::NoError;
    let mut owner = question.name().clone();
    for word in step.split_whitespace() {
        if let Some(alias) = word.strip_prefix('@') {
            let target = Name::from_ascii(alias).ok()?;
            let data = RData::CNAME(CNAME(target.clone()));
            reply.add_answer(Record::from_rdata(owner, 0, data));
            owner = target;
        } else if let Ok(address) = word.parse::<IpAddr>() {
            let data = match address {
                IpAddr::V4(v4) => RData::A(A(v4)),
                IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
            };
            if question.query_type() == data.record_type() {
                reply.add_answer(Record::from_rdata(owner.clone(), 0, data));
            }
        }
    }
    reply.to_vec().ok()
}
