//! One question to one name server: over UDP, again over TCP when the answer is cut, again without EDNS when that is not
//! understood.
//!
//! Absent on purpose: repeating a datagram. Whoever loses one is asked again by the stage, which knows the other servers.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::DnsRequestSender as _;
use hickory_proto::op::{
    DnsRequest, DnsRequestOptions, Message, MessageType, OpCode, Query, ResponseCode,
};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why there is no answer.
pub(super) enum Unanswered {
    TimedOut,
    Broken(String),
}

/// Asks once. Whatever response code comes back is an answer.
pub(super) async fn ask(
    server: SocketAddr,
    name: &Name,
    record: RecordType,
    limit: Duration,
) -> Result<Message, Unanswered> {
    let exchange = async {
        let message = over_udp(server, request(name, record, true), limit).await?;
        // Servers older than EDNS say so (RFC 6891 section 6.2.2).
        let message = if message.metadata.response_code == ResponseCode::FormErr {
            over_udp(server, request(name, record, false), limit).await?
        } else {
            message
        };
        let message = if message.metadata.truncation {
            over_tcp(server, &request(name, record, true)).await?
        } else {
            message
        };
        if message.metadata.op_code == OpCode::Query {
            Ok(message)
        } else {
            Err(Unanswered::Broken("the answer is for another operation".to_owned()))
        }
    };
    timeout(limit, exchange).await.unwrap_or(Err(Unanswered::TimedOut))
}

fn request(name: &Name, record: RecordType, use_edns: bool) -> DnsRequest {
    let mut options = DnsRequestOptions::default();
    options.use_edns = use_edns;
    options.recursion_desired = true;
    DnsRequest::from_query(Query::query(name.clone(), record), options)
}

async fn over_udp(
    server: SocketAddr,
    request: DnsRequest,
    limit: Duration,
) -> Result<Message, Unanswered> {
    // A new stream per question: each goes out from a random port of its own.
    let mut stream = UdpClientStream::builder(server, TokioRuntimeProvider::default())
        .with_timeout(Some(limit))
        .with_max_retries(1)
        .with_os_port_selection(true)
        .build();
    match stream.send_message(request).next().await {
        None => Err(Unanswered::TimedOut),
        Some(Ok(response)) => Ok(response.into_message()),
        Some(Err(error)) => Err(Unanswered::Broken(error.to_string())),
    }
}

/// RFC 1035 section 4.2.2: the message behind its length in two bytes, which bounds it.
async fn over_tcp(server: SocketAddr, request: &DnsRequest) -> Result<Message, Unanswered> {
    let broken = |error: &dyn std::fmt::Display| Unanswered::Broken(format!("over TCP: {error}"));
    let query = request.to_vec().map_err(|error| broken(&error))?;
    let length = u16::try_from(query.len()).map_err(|error| broken(&error))?;
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(&[&length.to_be_bytes(), query.as_slice()].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = exchange.await.map_err(|error| broken(&error))?;
    let message = Message::from_vec(&answer).map_err(|error| broken(&error))?;
    if message.metadata.id != request.metadata.id || message.queries != request.queries {
        return Err(broken(&"the answer is for another question"));
    }
    if message.metadata.message_type != MessageType::Response {
        return Err(broken(&"a question came back"));
    }
    if message.metadata.truncation {
        return Err(broken(&"the answer is cut here too"));
    }
    Ok(message)
}
