//! What `controller --check-config` found right.

use std::time::Duration;

use parallax_controller::check::Checked;
use parallax_controller::settings::{ApiSecurity, ControllerSettings};

use super::escape;
use super::paint::Paint;
use super::table::{Cell, rows};

/// One line for each thing that was looked at.
pub(crate) fn check_page(settings: &ControllerSettings, checked: &Checked, paint: Paint) -> String {
    let database = match checked.schema {
        None => "no database yet; the first start makes it".to_owned(),
        Some(version) if version < checked.schema_known => format!(
            "schema {version}; the start brings it to {}, make a backup before",
            checked.schema_known
        ),
        Some(version) => format!("schema {version}, as this program has it"),
    };
    let api = match &settings.api_security {
        ApiSecurity::Plain => format!("{}, without TLS", settings.api_listen),
        ApiSecurity::Tls { .. } => {
            format!("{}, with a certificate for {}", settings.api_listen, left(checked.api_left))
        }
    };
    let agents =
        format!("{}, reached as {}", settings.agent_listen, settings.agent_names.join(", "));
    let authority = format!("holds for {}", left(checked.authority_left));
    let line = |name: &str, text: String| vec![Cell::new(name), Cell::new(escape::line(&text))];
    let table = [
        line("data folder", settings.data_folder.display().to_string()),
        line("database", database),
        line("token", settings.token_file.display().to_string()),
        line("API", api),
        line("agents", agents),
        line("authority", authority),
    ];
    format!("A controller with these settings would start.\n{}", rows(&table, 2, paint))
}

fn left(duration: Option<Duration>) -> String {
    const DAY_SECONDS: u64 = 24 * 60 * 60;
    match duration.map(|it| it.as_secs() / DAY_SECONDS) {
        Some(1) => "1 more day".to_owned(),
        Some(days) => format!("{days} more days"),
        None => "an unknown time".to_owned(),
    }
}
