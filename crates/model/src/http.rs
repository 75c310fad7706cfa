//! Header fields as received, and the challenges in `WWW-Authenticate` (RFC 9110 section 11.6.1).
//!
//! Parsing takes whatever a hostile or careless server sends and never fails: what cannot be read is left out, and the
//! raw lines stay in [`Headers`].
//!
//! INVARIANT: scheme names compare without regard to letter case (RFC 9110 section 11.1); `basic realm="SOGo"` is Basic.

/// The most challenges kept of one answer; a server that sends more is broken or hostile.
pub(crate) const CHALLENGES_MAX: usize = 16;

/// Header fields in the order and letter case received. Bytes outside UTF-8 were replaced when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of a field, whatever its letter case.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// Whether some value of the field contains the text, whatever its letter case.
    pub fn mentions(&self, name: &str, text: &str) -> bool {
        self.all(name).any(|value| contains(value, text))
    }

    /// Every challenge of every `WWW-Authenticate` line, in order, at most [`CHALLENGES_MAX`].
    pub fn challenges(&self) -> Vec<Challenge> {
        self.all("www-authenticate").flat_map(parse_line).take(CHALLENGES_MAX).collect()
    }
}

/// Whether `text` stands somewhere in `value`, whatever the letter case. Asked thousands of times in one judgement, so nothing is
/// copied.
fn contains(value: &str, text: &str) -> bool {
    text.is_empty()
        || value.as_bytes().windows(text.len()).any(|it| it.eq_ignore_ascii_case(text.as_bytes()))
}

/// An authentication scheme.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    Basic,
    Ntlm,
    Negotiate,
    Bearer,
    Digest,
    /// Lower-cased name of anything else.
    Other(String),
}

impl Scheme {
    fn read(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "basic" => Self::Basic,
            "ntlm" => Self::Ntlm,
            "negotiate" => Self::Negotiate,
            "bearer" => Self::Bearer,
            "digest" => Self::Digest,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The scheme's name as IANA registers it.
    pub fn name(&self) -> &str {
        match self {
            Self::Basic => "Basic",
            Self::Ntlm => "NTLM",
            Self::Negotiate => "Negotiate",
            Self::Bearer => "Bearer",
            Self::Digest => "Digest",
            Self::Other(name) => name,
        }
    }
}

/// One challenge: a scheme with either a token68 or parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub scheme: Scheme,
    /// The token68 after the scheme, as in `NTLM TlRMTVNTUAAC…`.
    pub token: Option<String>,
    /// Parameters in order; names lower-cased, values unquoted.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn realm(&self) -> Option<&str> {
        self.parameter("realm")
    }
}

fn parse_line(line: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    for piece in split_outside_quotes(line) {
        let piece = piece.trim();
        if piece.is_empty() {
            continue;
        }
        let (word, rest) =
            piece.split_once([' ', '\t']).map_or((piece, ""), |(word, rest)| (word, rest.trim()));
        if is_parameter(word, rest) {
            if let (Some(challenge), Some(parameter)) = (found.last_mut(), read_parameter(piece)) {
                challenge.parameters.push(parameter);
            }
            continue;
        }
        let mut challenge =
            Challenge { scheme: Scheme::read(word), token: None, parameters: Vec::new() };
        match read_parameter(rest) {
            Some(parameter) => challenge.parameters.push(parameter),
            None if !rest.is_empty() => challenge.token = Some(rest.to_owned()),
            None => {}
        }
        found.push(challenge);
    }
    found
}

/// A piece continues the challenge before it when its first word is a parameter: `a=b`, `a = b`.
fn is_parameter(word: &str, rest: &str) -> bool {
    word.contains('=') || rest.starts_with('=')
}

/// `name=value` or `name="value"`; not a token68, whose `=` stand only at its end.
fn read_parameter(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if !is_name || value.is_empty() || value.bytes().all(|byte| byte == b'=') {
        return None;
    }
    Some((name.to_ascii_lowercase(), unquote(value)))
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}

/// Pieces between commas that stand outside quoted strings.
fn split_outside_quotes(line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                pieces.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&line[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes(lines: &[&str]) -> Vec<String> {
        let headers = Headers(
            lines.iter().map(|line| ("Www-Authenticate".to_owned(), (*line).to_owned())).collect(),
        );
        headers
            .challenges()
            .iter()
            .map(|it| match (&it.token, it.realm()) {
                (Some(token), _) => format!("{}:{token}", it.scheme.name()),
                (None, Some(realm)) => format!("{}({realm})", it.scheme.name()),
                (None, None) => it.scheme.name().to_owned(),
            })
            .collect()
    }

    #[test]
    fn many_lines_and_many_challenges_on_a_line() {
        assert_eq!(
            schemes(&["Negotiate", "NTLM", "Basic realm=\"mail\""]),
            ["Negotiate", "NTLM", "Basic(mail)"]
        );
        assert_eq!(
            schemes(&["Negotiate, NTLM,Basic realm=\"mail\", charset=\"UTF-8\""]),
            ["Negotiate", "NTLM", "Basic(mail)"]
        );
    }

    #[test]
    fn commas_and_quotes_inside_a_realm() {
        assert_eq!(
            schemes(&[r#"Basic realm="a, NTLM \"b\"", NTLM"#]),
            [r#"Basic(a, NTLM "b")"#, "NTLM"]
        );
    }

    #[test]
    fn letter_case_does_not_matter() {
        assert_eq!(schemes(&["basic realm=\"SOGo\"", "NEGOTIATE"]), ["Basic(SOGo)", "Negotiate"]);
    }

    #[test]
    fn a_token68_is_not_a_parameter() {
        assert_eq!(
            schemes(&["NTLM TlRMTVNTUAACAAAA==", "Negotiate oYG=", "Basic realm=x"]),
            ["NTLM:TlRMTVNTUAACAAAA==", "Negotiate:oYG=", "Basic(x)"]
        );
    }

    #[test]
    fn spaces_around_the_equals_sign() {
        assert_eq!(schemes(&["Basic realm = \"x\" , charset = y, NTLM"]), ["Basic(x)", "NTLM"]);
    }

    #[test]
    fn rubbish_is_left_out_and_never_fails() {
        assert_eq!(
            schemes(&["", ",,,", "=", "\"", "Basic realm=\"unterminated"])
                .last()
                .map(String::as_str),
            Some("Basic(unterminated)")
        );
        let flood = vec!["A"; 1000].join(",");
        assert_eq!(schemes(&[&flood]).len(), CHALLENGES_MAX);
    }
}
