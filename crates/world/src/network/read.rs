//! What did a client ask? One HTTP/1.1 request from a stream, RFC 9112 sections 2 to 7.
//!
//! Everything has a bound; a request beyond it, or one that cannot be read, is [`Asked::Bad`]. The
//! body is read to its end and thrown away: no rule looks at it, but the next request begins behind it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::simulation::Headers;

/// Bytes of request line and headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Header lines.
const HEADERS_MAX: usize = 256;

/// Bytes of a body.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long a connection may be idle before or within a request, as IIS has it.
const IDLE_LIMIT: Duration = Duration::from_mins(2);

/// Bytes per read.
const READ_BYTES: usize = 8 * 1024;

/// What came.
pub(super) enum Asked {
    Request(Head),
    /// Something that is no request, or too much of one.
    Bad,
    /// The client closed, or said nothing for too long.
    Gone,
}

/// Request line and headers.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) is_version_11: bool,
    pub(super) headers: Headers,
}

impl Head {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|[it, _]| it.eq_ignore_ascii_case(name))
            .map(|[_, value]| value.as_str())
    }

    fn has(&self, name: &str, word: &str) -> bool {
        self.header(name)
            .is_some_and(|it| it.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
    }

    pub(super) fn keeps_alive(&self) -> bool {
        if self.is_version_11 {
            !self.has("connection", "close")
        } else {
            self.has("connection", "keep-alive")
        }
    }
}

/// Bytes that came and were not used yet.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads the next request with its body.
    pub(super) async fn next<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> Asked {
        match tokio::time::timeout(IDLE_LIMIT, self.read(stream)).await {
            Ok(Ok(asked)) => asked,
            Ok(Err(_)) | Err(_) => Asked::Gone,
        }
    }

    async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> io::Result<Asked> {
        let end = loop {
            if let Some(end) = position(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            // A record of TLS begins with its type, which no method does (RFC 8446 section 5.1).
            if self.buffer.len() > HEAD_BYTES_MAX
                || self.buffer.first().is_some_and(|it| *it < b' ' && *it != b'\r' && *it != b'\n')
            {
                return Ok(Asked::Bad);
            }
            if !self.more(stream).await? {
                return Ok(if self.buffer.is_empty() { Asked::Gone } else { Asked::Bad });
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let Some(head) = parse(&head) else { return Ok(Asked::Bad) };
        if head.has("expect", "100-continue") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let whole = if head.has("transfer-encoding", "chunked") {
            self.skip_chunks(stream).await?
        } else {
            match head.header("content-length").map(str::parse::<usize>) {
                None => true,
                Some(Ok(length)) => self.skip(stream, length).await?,
                Some(Err(_)) => false,
            }
        };
        Ok(if whole { Asked::Request(head) } else { Asked::Bad })
    }

    async fn more<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<bool> {
        let mut bytes = [0; READ_BYTES];
        let count = stream.read(&mut bytes).await?;
        self.buffer.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Ok(count > 0)
    }

    async fn skip<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        length: usize,
    ) -> io::Result<bool> {
        if length > BODY_BYTES_MAX {
            return Ok(false);
        }
        while self.buffer.len() < length {
            if !self.more(stream).await? {
                return Ok(false);
            }
        }
        self.buffer.drain(..length);
        Ok(true)
    }

    /// RFC 9112 section 7.1; trailers are skipped line by line.
    async fn skip_chunks<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<bool> {
        let mut total = 0_usize;
        loop {
            let Some(line) = self.line(stream).await? else { return Ok(false) };
            let digits = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(digits, 16) else { return Ok(false) };
            total = total.saturating_add(size);
            if size == 0 {
                break;
            }
            if total > BODY_BYTES_MAX || !self.skip(stream, size + 2).await? {
                return Ok(false);
            }
        }
        for _ in 0..HEADERS_MAX {
            match self.line(stream).await? {
                None => return Ok(false),
                Some(line) if line.is_empty() => return Ok(true),
                Some(_) => {}
            }
        }
        Ok(false)
    }

    async fn line<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = position(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(Some(text(line.get(..end).unwrap_or_default())));
            }
            if self.buffer.len() > HEAD_BYTES_MAX || !self.more(stream).await? {
                return Ok(None);
            }
        }
    }
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}

fn text(bytes: &[u8]) -> String {
    crate::simulation::text(bytes)
}

fn parse(head: &[u8]) -> Option<Head> {
    let head = text(head);
    let mut lines = head.split("\r\n").skip_while(|it| it.is_empty());
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method.is_empty() || words.next().is_some() {
        return None;
    }
    let is_version_11 = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return None,
    };
    let mut headers = Headers::new();
    for line in lines.take_while(|it| !it.is_empty()) {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || name.contains([' ', '\t']) || headers.len() == HEADERS_MAX {
            return None;
        }
        headers.push([name.to_owned(), value.trim().to_owned()]);
    }
    let target = origin_form(target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(Head {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        is_version_11,
        headers,
    })
}

/// The path and query of a target in absolute form, RFC 9112 section 3.2.2.
fn origin_form(target: &str) -> &str {
    match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |it| &rest[it..]),
        _ => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(bytes: &[u8]) -> Vec<Option<Head>> {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(bytes).await.expect("written");
        theirs.shutdown().await.expect("closed");
        let (mut reader, mut heads) = (Reader::default(), Vec::new());
        loop {
            match reader.next(&mut ours).await {
                Asked::Request(head) => heads.push(Some(head)),
                Asked::Bad => {
                    heads.push(None);
                    return heads;
                }
                Asked::Gone => return heads,
            }
        }
    }

    #[tokio::test]
    async fn bodies_are_skipped() {
        let bytes = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
            POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
            GET http://h:80/p HTTP/1.0\r\n\r\n";
        let heads: Vec<Head> =
            ask(bytes).await.into_iter().map(|it| it.expect("a request")).collect();
        assert_eq!(heads.len(), 3);
        assert_eq!((heads[0].path.as_str(), heads[0].query.as_str()), ("/a", "b=c"));
        assert_eq!(heads[2].path, "/p");
        assert!(heads[1].keeps_alive() && !heads[2].keeps_alive());
    }

    #[tokio::test]
    async fn what_is_no_request_is_bad() {
        for bytes in [
            &b"\x16\x03\x01\x02\x00"[..],
            b"GET\r\n\r\n",
            b"GET / HTTP/1.1\r\nbad line\r\n\r\n",
            b"GET / HT",
        ] {
            assert!(ask(bytes).await.pop().expect("an answer").is_none());
        }
    }

    #[tokio::test]
    async fn a_head_without_end_is_bad() {
        let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
        bytes.resize(HEAD_BYTES_MAX * 2, b'a');
        assert!(ask(&bytes).await.pop().expect("an answer").is_none());
    }
}
