//! Looking for a secret in everything that a program leaves behind, in each form in which it might stand there.
//!
//! INVARIANT: a find is told by its place and form; the secret itself is a test's own.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// One text in all its forms.
pub(crate) struct Needles(Vec<(&'static str, Vec<u8>)>);

impl Needles {
    /// A secret, and what Basic makes of it with each of these user names (RFC 7617).
    pub(crate) fn of(secret: &str, logins: &[&str]) -> Self {
        let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut forms = vec![
            ("in clear", secret.as_bytes().to_vec()),
            ("as Base64", STANDARD.encode(secret).into_bytes()),
            ("as Base64 of URLs", URL_SAFE_NO_PAD.encode(secret).into_bytes()),
            ("as UTF-16", utf16),
            ("hexadecimal", hex(secret).into_bytes()),
            ("as a list of bytes", format!("{:?}", secret.as_bytes()).into_bytes()),
        ];
        forms.extend(logins.iter().map(|login| {
            ("as Basic credentials", STANDARD.encode(format!("{login}:{secret}")).into_bytes())
        }));
        Self(forms)
    }

    /// The text as it is, to show that the search finds.
    pub(crate) fn plain(text: &str) -> Self {
        Self(vec![("in clear", text.as_bytes().to_vec())])
    }

    fn found_in(&self, hay: &[u8]) -> Option<&'static str> {
        let is_in = |needle: &[u8]| hay.windows(needle.len()).any(|it| it == needle);
        self.0.iter().find(|(_, needle)| is_in(needle)).map(|(form, _)| *form)
    }

    #[track_caller]
    pub(crate) fn assert_absent(&self, place: &str, hay: &[u8]) {
        if let Some(form) = self.found_in(hay) {
            panic!("the secret stands {form} in {place}");
        }
    }

    #[track_caller]
    pub(crate) fn assert_absent_below(&self, folder: &Path) {
        each_file(folder, &mut |path, bytes| {
            self.assert_absent(&path.display().to_string(), bytes);
        });
    }

    #[track_caller]
    pub(crate) fn assert_present_below(&self, folder: &Path) {
        let mut count = 0;
        each_file(folder, &mut |_, bytes| count += usize::from(self.found_in(bytes).is_some()));
        assert!(count > 0, "nothing found below {}: the search is blind", folder.display());
    }
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn each_file(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            each_file(&path, look);
        } else {
            // A file may go while we look: SQLite's own come and go.
            if let Ok(bytes) = fs::read(&path) {
                look(&path, &bytes);
            }
        }
    }
}

#[test]
fn every_form_is_found() {
    let needles = Needles::of("se>cret?", &["anna@x"]);
    for hay in [
        "a se>cret? b",
        "c2U+Y3JldD8=",
        "c2U-Y3JldD8",
        "s\0e\0>\0c\0r\0e\0t\0?\0",
        "73653e637265743f",
        "[115, 101, 62, 99, 114, 101, 116, 63]",
        "Basic YW5uYUB4OnNlPmNyZXQ/",
    ] {
        assert!(needles.found_in(hay.as_bytes()).is_some(), "{hay:?}");
    }
    assert!(needles.found_in(b"se-cret").is_none());
}
