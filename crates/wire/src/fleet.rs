//! Agents and join tokens: what may be asked for.
//!
//! Absent on purpose: the state of an agent, which nobody but the controller's fleet knows; it fills `Agent` itself.

use std::time::Duration;

use parallax_model::{Vantage, VantageName};

use crate::{FieldViolation, decode_duration, pb, read_zone};

/// How long a join token holds if nothing is said.
pub const JOIN_TOKEN_TTL: Duration = Duration::from_mins(10);
const TTL_MIN: Duration = Duration::from_mins(1);
const TTL_MAX: Duration = Duration::from_hours(24);
/// Longest name of a site, in characters.
const SITE_LENGTH_MAX: usize = 63;

/// A join token that may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedJoinToken {
    pub vantage: Vantage,
    pub may_replace: bool,
    /// 1 min to 24 h.
    pub ttl: Duration,
}

/// Checks all fields of a join token that is asked for. What only the controller sets is ignored.
pub fn check_join_token(message: &pb::JoinToken) -> Result<WantedJoinToken, Vec<FieldViolation>> {
    let mut violations = Vec::new();
    let mut add = |field: &str, description: String| {
        violations.push(FieldViolation { field: field.to_owned(), description });
    };
    let name = VantageName::new(message.agent.as_str())
        .map_err(|error| add("agent", error.to_string()))
        .ok();
    let zone = read_zone(&message.zone);
    if zone.is_none() {
        add("zone", "has to be external, dmz, internal or backend".to_owned());
    }
    let site = message.site.clone();
    if site.chars().count() > SITE_LENGTH_MAX || site.chars().any(char::is_control) {
        add("site", format!("has to be at most {SITE_LENGTH_MAX} printable characters"));
    }
    let ttl = message.ttl.map_or(Ok(JOIN_TOKEN_TTL), |it| decode_duration(Some(it), "ttl"));
    let ttl = ttl.ok().filter(|it| (TTL_MIN..=TTL_MAX).contains(it));
    if ttl.is_none() {
        add("ttl", "has to be 1 min to 24 h".to_owned());
    }
    match (name, zone, ttl) {
        (Some(name), Some(zone), Some(ttl)) if violations.is_empty() => {
            let vantage = Vantage { name, zone, site };
            Ok(WantedJoinToken { vantage, may_replace: message.replace, ttl })
        }
        _ => Err(violations),
    }
}

impl From<&WantedJoinToken> for pb::JoinToken {
    fn from(wanted: &WantedJoinToken) -> Self {
        Self {
            agent: wanted.vantage.name.to_string(),
            zone: crate::zone_word(wanted.vantage.zone).to_owned(),
            site: wanted.vantage.site.clone(),
            replace: wanted.may_replace,
            ttl: Some(crate::encode_duration(wanted.ttl)),
            expire_time: None,
            token: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use parallax_model::Zone;

    use super::*;

    fn wanted(ttl: Option<Duration>) -> WantedJoinToken {
        WantedJoinToken {
            vantage: Vantage {
                name: VantageName::new("hq-dmz").expect("a name"),
                zone: Zone::Dmz,
                site: "Berlin, 2nd floor".to_owned(),
            },
            may_replace: true,
            ttl: ttl.unwrap_or(JOIN_TOKEN_TTL),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for minutes in [1, 10, 24 * 60] {
            let wanted = wanted(Some(Duration::from_mins(minutes)));
            assert_eq!(check_join_token(&(&wanted).into()), Ok(wanted));
        }
        let unsaid = pb::JoinToken { ttl: None, ..(&wanted(None)).into() };
        assert_eq!(check_join_token(&unsaid), Ok(wanted(None)));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let ttl = |seconds| Some(pbjson_types::Duration { seconds, nanos: 0 });
        let message = pb::JoinToken {
            agent: "HQ".to_owned(),
            zone: "outside".to_owned(),
            site: "x".repeat(64),
            ttl: ttl(59),
            ..pb::JoinToken::default()
        };
        let violations = check_join_token(&message).expect_err("all wrong");
        let fields: Vec<_> = violations.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["agent", "zone", "site", "ttl"]);
        for seconds in [-1, 0, 59, 24 * 3600 + 1, i64::MAX] {
            let message = pb::JoinToken { ttl: ttl(seconds), ..(&wanted(None)).into() };
            assert_eq!(check_join_token(&message).expect_err("wrong").len(), 1, "{seconds}");
        }
    }
}
