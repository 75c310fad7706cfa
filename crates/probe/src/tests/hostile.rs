//! Servers that mean harm or know no better: every answer ends as a value, within its bound and limit.

use parallax_model::{BodyEnd, HttpFailure, LimitBroken, Look, Outcome};
use tokio::time::{Duration, Instant};

use super::network::{Network, SHORT, answer, failure, http, only};
use super::peer::{Act, Peer};

async fn look(act: Act) -> HttpFailure {
    let peer = Peer::plain(move |_| act.clone()).await;
    let sight = Network::to(peer.socket).see(&http(&[Look::OPTIONS])).await;
    failure(&sight).clone()
}

#[tokio::test]
async fn an_endless_header_is_cut() {
    let started = Instant::now();
    let act = Act::Flood(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 8192]);
    assert_eq!(look(act).await, HttpFailure::Limit(LimitBroken::HeadBytes));
    let act = Act::Flood(b"HTTP/1.1 200 OK\r\n".to_vec(), b"\x00\x01garbage-without-end ".to_vec());
    assert!(matches!(look(act).await, HttpFailure::Malformed { .. } | HttpFailure::Limit(_)));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_hundred_fields_are_read_and_one_more_is_not() {
    let with_fields = |count: usize| {
        let fields = "A: b\r\n".repeat(count - 1);
        Act::Send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes())
    };
    assert_eq!(look(with_fields(101)).await, HttpFailure::Limit(LimitBroken::HeaderCount));
    let act = with_fields(100);
    let peer = Peer::plain(move |_| act.clone()).await;
    let sight = Network::to(peer.socket).see(&http(&[Look::OPTIONS])).await;
    assert_eq!(answer(&only(&sight).exchanges[0]).headers.0.len(), 100);
}

#[tokio::test]
async fn a_flood_of_interim_answers_ends_at_the_eleventh() {
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec();
    let flood = Act::Flood(Vec::new(), interim.clone());
    assert_eq!(look(flood).await, HttpFailure::Limit(LimitBroken::InterimResponses));
    let ten =
        [interim.repeat(10), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()].concat();
    let peer = Peer::plain(move |_| Act::Send(ten.clone())).await;
    let sight = Network::to(peer.socket).see(&http(&[Look::OPTIONS])).await;
    assert_eq!(answer(&only(&sight).exchanges[0]).status, 200);
}

#[tokio::test]
async fn whoever_breaks_a_bound_is_asked_nothing_more() {
    let peer = Peer::plain(|_| Act::Flood(Vec::new(), b"HTTP/1.1 103 \r\n\r\n".to_vec())).await;
    let looks = [Look::OPTIONS, Look::GET, Look::AUTODISCOVER_JSON];
    let sight = Network::to(peer.socket).see(&http(&looks)).await;
    let exchanges = &only(&sight).exchanges;
    assert!(matches!(exchanges[0].outcome.failed(), Some(HttpFailure::Limit(_))));
    assert!(exchanges[1..].iter().all(|it| it.outcome == Outcome::NotReached && !it.sent));
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn what_is_no_http_is_malformed_and_shown() {
    for bytes in [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n".as_slice(),
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n leading: fold\r\n\r\n",
    ] {
        let failure = look(Act::SendThenClose(bytes.to_vec())).await;
        let HttpFailure::Malformed { detail } = failure else {
            panic!("{failure:?} for {}", bytes.escape_ascii())
        };
        let shown = bytes[..4].escape_ascii().to_string();
        assert!(detail.contains(&shown) && detail.is_ascii(), "{detail}");
    }
}

#[tokio::test]
async fn odd_but_readable_answers_are_read() {
    for bytes in [
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n".as_slice(),
        b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 \xff\xfe\r\nX-\x41: \xc3\x28\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let peer = Peer::plain(move |_| Act::SendThenClose(bytes.to_vec())).await;
        let sight = Network::to(peer.socket).see(&http(&[Look::OPTIONS])).await;
        assert_eq!(answer(&only(&sight).exchanges[0]).status, 200, "{}", bytes.escape_ascii());
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_at_its_bound() {
    let first = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = [b"1000\r\n".as_slice(), &[0x1f; 4096], b"\r\n"].concat();
    let peer = Peer::plain(move |_| Act::Flood(first.to_vec(), chunk.clone())).await;
    let sight = Network::to(peer.socket).see(&http(&[Look::GET])).await;
    let body = &answer(&only(&sight).exchanges[0]).body;
    assert_eq!((body.length, body.end), (65_536, BodyEnd::Bound));
    assert!(body.beginning.starts_with("\u{1f}\u{1f}"), "never decompressed");
}

#[tokio::test]
async fn a_head_that_has_begun_has_to_come_on() {
    let peer = Peer::plain(|_| Act::SendThenStall(b"H".to_vec())).await;
    let mut task = http(&[Look::OPTIONS]);
    task.limits.exchange = SHORT;
    let started = Instant::now();
    let sight = Network::to(peer.socket).see(&task).await;
    assert_eq!(failure(&sight), &HttpFailure::Limit(LimitBroken::Progress));
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn framing_without_end_ends_at_its_bound() {
    // hyper would read the digits of one chunk's size for as long as they come.
    let started = Instant::now();
    let first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let peer = Peer::plain(move |_| Act::Flood(first.clone(), vec![b'0'; 8192])).await;
    let sight = Network::to(peer.socket).see(&http(&[Look::GET])).await;
    let body = &answer(&only(&sight).exchanges[0]).body;
    assert_eq!((body.length, body.end), (0, BodyEnd::Bound));
    assert!(started.elapsed() < Duration::from_secs(4), "before its limit of 5 s");
}
