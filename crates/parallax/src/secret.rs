//! Where a secret comes from: a prompt, stdin, a file, or the environment. Never an argument.
//!
//! INVARIANT: a secret is in no error and no output; the prompt does not echo.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};

use crate::cli::SecretArguments;
use crate::failure::Failure;

/// A secret has at most 256 characters; what is longer is refused later, with its reason.
const BYTES_MAX: u64 = 4096;

/// Reads the secret; asks at the terminal, twice, if no option says where it is. Blocks.
pub(crate) fn read_secret(arguments: &SecretArguments, account: &str) -> Result<String, Failure> {
    if arguments.secret_stdin {
        return first_line(io::stdin().lock(), "stdin");
    }
    if let Some(path) = &arguments.secret_file {
        let shown = path.display().to_string();
        let file = File::open(path).map_err(|error| {
            Failure::usage(format!("cannot read the secret from {shown}")).because(&error)
        })?;
        return first_line(file, &shown);
    }
    if let Some(name) = &arguments.secret_env {
        let value = std::env::var_os(name).ok_or_else(|| {
            Failure::usage(format!(
                "the environment variable {name} is not set; it should hold the secret"
            ))
        })?;
        return value.into_string().map_err(|_| {
            Failure::usage(format!("the secret in the environment variable {name} is not UTF-8"))
        });
    }
    ask(account)
}

fn first_line(reader: impl Read, from: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    reader.take(BYTES_MAX).read_to_end(&mut bytes).map_err(|error| {
        Failure::usage(format!("cannot read the secret from {from}")).because(&error)
    })?;
    let line = bytes.split(|it| matches!(it, b'\n' | b'\r')).next().unwrap_or_default();
    String::from_utf8(line.to_vec())
        .map_err(|_| Failure::usage(format!("the secret in {from} is not UTF-8")))
}

fn ask(account: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask for the secret at")
            .hint("Say where it is: --secret-stdin, --secret-file FILE or --secret-env NAME."));
    }
    let prompt = |text: String| {
        rpassword::prompt_password(text)
            .map_err(|error| Failure::usage("cannot ask for the secret").because(&error))
    };
    let first = prompt(format!("Secret of {account}: "))?;
    // A mistyped one would be a refused logon, and those are counted.
    if prompt("The same again: ".to_owned())? == first {
        Ok(first)
    } else {
        Err(Failure::usage("the two secrets differ; nothing was changed"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn only_the_first_line_is_the_secret() {
        for text in ["Planted-1", "Planted-1\n", "Planted-1\r\nmore", "Planted-1\n\n"] {
            let read = first_line(Cursor::new(text), "x").expect("read");
            assert_eq!(read, "Planted-1");
        }
        assert!(first_line(Cursor::new([0xff, 0xfe]), "x").is_err());
    }

    #[test]
    fn a_missing_source_is_named() {
        let file =
            SecretArguments { secret_file: Some("/nonexistent/s".into()), ..Default::default() };
        assert!(read_secret(&file, "anna").expect_err("missing").text.contains("/nonexistent/s"));
        let variable =
            SecretArguments { secret_env: Some("PARALLAX_NO_SUCH".into()), ..Default::default() };
        assert!(
            read_secret(&variable, "anna").expect_err("missing").text.contains("PARALLAX_NO_SUCH")
        );
    }
}
