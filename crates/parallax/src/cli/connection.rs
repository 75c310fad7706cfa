//! Options that many commands share: where the controller is, who asks, in which form and language the answer comes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Language;

/// Where the controller's API is, and who asks.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectionArguments {
    /// The controller's API
    #[arg(
        long,
        env = "PARALLAX_SERVER",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:7443",
        help_heading = "Connection"
    )]
    pub server: String,
    /// File with the bearer token, as the controller wrote it (`token` in its data folder)
    #[arg(
        long,
        env = "PARALLAX_TOKEN_FILE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Connection"
    )]
    pub token_file: Option<PathBuf>,
    /// PEM certificates to trust for an https:// server, instead of the system's
    #[arg(
        long,
        env = "PARALLAX_SERVER_CA",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Connection"
    )]
    pub server_ca: Option<PathBuf>,
}

/// In which form the answer comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    #[default]
    Table,
    /// One JSON document: the API's message (ProtoJSON)
    Json,
    /// One JSON document a line; while a diagnosis runs, every event, the last one with the diagnosis
    Ndjson,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgument {
    /// In which form the answer comes, on stdout
    #[arg(long, short, value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    pub output: OutputFormat,
    #[command(flatten)]
    pub language: LanguageArgument,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LanguageArgument {
    /// Language of headings and texts
    #[arg(
        long,
        env = "PARALLAX_LANG",
        hide_env_values = true,
        value_name = "LANGUAGE",
        default_value = "en",
        help_heading = "Output"
    )]
    pub lang: Language,
}
