//! Which bytes does an answer have on the wire? RFC 9112 sections 4 and 6, to the letter of the script.
//!
//! Header order, letter case, repeats and phrases are those of the file. Framing is added only where
//! the file says none. Absent on purpose: correction of what a file gets wrong; a wrong length is
//! sent as written, and the connection ends behind it.

use crate::format::HttpVersion;
use crate::simulation::Plan;

/// The bytes of an answer, and whether another request can follow on the connection.
pub(super) fn answer(plan: &Plan, method: &str) -> (Vec<u8>, bool) {
    let has_body = method != "HEAD" && plan.status >= 200 && !matches!(plan.status, 204 | 304);
    let chunked = plan.version == HttpVersion::V11
        && (plan.chunked || is(plan, "transfer-encoding", "chunked"));
    let listed_length = value(plan, "content-length");
    let mut bytes =
        format!("HTTP/{} {} {}\r\n", plan.version.word(), plan.status, phrase(plan)).into_bytes();
    for [name, value] in &plan.headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let listed_coding = value(plan, "transfer-encoding").is_some();
    if chunked && !listed_coding {
        bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    } else if !chunked
        && listed_length.is_none()
        && !listed_coding
        && !matches!(plan.status, 204 | 304)
    {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", plan.body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    if has_body && chunked {
        if !plan.body.is_empty() {
            bytes.extend_from_slice(
                format!("{:x}\r\n{}\r\n", plan.body.len(), plan.body).as_bytes(),
            );
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    } else if has_body {
        bytes.extend_from_slice(plan.body.as_bytes());
    }
    let framed = chunked
        || !has_body
        || match listed_length {
            Some(length) => length.parse() == Ok(plan.body.len()),
            None => !listed_coding,
        };
    let keeps_alive = match plan.version {
        HttpVersion::V11 => !is(plan, "connection", "close"),
        HttpVersion::V10 => is(plan, "connection", "keep-alive"),
    };
    (bytes, framed && keeps_alive)
}

fn value<'p>(plan: &'p Plan, name: &str) -> Option<&'p str> {
    plan.headers
        .iter()
        .find(|[it, _]| it.eq_ignore_ascii_case(name))
        .map(|[_, value]| value.as_str())
}

fn is(plan: &Plan, name: &str, word: &str) -> bool {
    value(plan, name)
        .is_some_and(|it| it.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
}

/// The phrase of the file, or the usual one.
fn phrase(plan: &Plan) -> &str {
    match &plan.reason {
        Some(reason) => reason,
        None => usual_phrase(plan.status),
    }
}

/// The phrase that the registry of status codes has; empty for others (RFC 9110 section 15).
pub(super) const fn usual_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plan(status: u16, headers: &[(&str, &str)], body: &str) -> Plan {
        Plan {
            status,
            reason: None,
            version: HttpVersion::V11,
            headers: headers.iter().map(|(n, v)| [(*n).to_owned(), (*v).to_owned()]).collect(),
            body: body.to_owned(),
            chunked: false,
            delay: Duration::ZERO,
            by: "ex1".to_owned(),
        }
    }

    #[track_caller]
    fn check(plan: &Plan, method: &str, expected: &str, keeps: bool) {
        let (bytes, kept) = answer(plan, method);
        assert_eq!(String::from_utf8(bytes).expect("text"), expected);
        assert_eq!(kept, keeps);
    }

    #[test]
    fn headers_stand_as_written() {
        let it = plan(401, &[("www-AUTHENTICATE", "Basic"), ("X", "ü"), ("X", "2")], "no");
        let head = "HTTP/1.1 401 Unauthorized\r\nwww-AUTHENTICATE: Basic\r\nX: ü\r\nX: 2\r\nContent-Length: 2\r\n\r\n";
        check(&it, "OPTIONS", &format!("{head}no"), true);
        check(&it, "HEAD", head, true);
    }

    #[test]
    fn framing_follows_the_file() {
        check(&plan(204, &[], ""), "GET", "HTTP/1.1 204 No Content\r\n\r\n", true);
        check(
            &plan(200, &[("content-length", "9")], "ab"),
            "GET",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab",
            false,
        );
        let chunked = Plan { chunked: true, ..plan(200, &[], "abc") };
        let expected = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        check(&chunked, "GET", expected, true);
    }

    #[test]
    fn phrases_and_versions() {
        let empty =
            Plan { reason: Some(String::new()), version: HttpVersion::V10, ..plan(200, &[], "") };
        check(&empty, "GET", "HTTP/1.0 200 \r\nContent-Length: 0\r\n\r\n", false);
        check(
            &plan(449, &[("Connection", "close")], ""),
            "GET",
            "HTTP/1.1 449 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            false,
        );
    }
}
