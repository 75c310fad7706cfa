//! Why the controller cannot be reached, in one line that also says what to do. The only place with these texts.
//!
//! Absent on purpose: finding out; the stages that meet a trouble name it.
//!
//! INVARIANT: every line names what was tried, what came back, and the next step; none holds a secret.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::certificate::moment;

/// Why there is no session. `Display` is the line for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error(
        "the name `{name}` does not resolve ({detail}): check `{setting}` and this machine's name servers"
    )]
    Name { name: String, detail: String, setting: &'static str },
    #[error(
        "{address} refuses the connection: nothing listens on that port there; check the port in `{setting}` and that the controller runs"
    )]
    Refused { address: SocketAddr, setting: &'static str },
    #[error("{address} does not answer within {} s: a firewall drops the packets or the machine is off; open outbound TCP to it", .after.as_secs())]
    Filtered { address: SocketAddr, after: Duration },
    #[error("{address} cannot be reached ({detail}): check this machine's network and routes")]
    Unreachable { address: SocketAddr, detail: String },

    #[error(
        "what answers does not speak TLS ({detail}): check that `controller` names the agent port, not the API port, and that nothing in between answers for it"
    )]
    NotTls { detail: String },
    #[error(
        "the connection was cut during the TLS handshake ({detail}): check `controller`, and firewalls that inspect TLS"
    )]
    TlsCut { detail: String },
    #[error("TLS did not come up within {} s: what answers is not the agent port, or the controller is overloaded", .after.as_secs())]
    TlsSilent { after: Duration },
    #[error(
        "the certificate shown is not of this controller's authority; it was issued by `{issuer}`: if that is a proxy that inspects TLS, exempt this connection from it; if the controller was set up anew, join again with a new token. Nothing was sent"
    )]
    OtherAuthority { issuer: String },
    #[error("the controller's certificate does not carry the name `{name}`{}: set `server_name` to one that it carries, or add this one to the controller's `agent_names`", but_carries(.carries))]
    OtherName { name: String, carries: Vec<String> },
    #[error("the controller's certificate ended at {until} and it is {now} here: check this machine's clock, then the controller's certificate", until = moment(*.until), now = moment(*.now))]
    ControllerExpired { until: SystemTime, now: SystemTime },
    #[error("the controller's certificate holds only from {from} on and it is {now} here: this machine's clock is behind; set it (NTP)", from = moment(*.from), now = moment(*.now))]
    ControllerNotYetValid { from: SystemTime, now: SystemTime },
    #[error(
        "no TLS 1.3 with the controller ({detail}): check `controller` and what stands between"
    )]
    Tls { detail: String },

    #[error("this agent's certificate ended ({detail}): it is asked for a new one")]
    IdentityExpired { detail: String },
    #[error("this agent's certificate holds only from {from} on and it is {now} here: this machine's clock is behind; set it (NTP)", from = moment(*.from), now = moment(*.now))]
    IdentityNotYetValid { from: SystemTime, now: SystemTime },
    #[error(
        "the controller does not take this agent's certificate ({detail}): it was banned, removed, replaced, or is of another controller; see `parallax fleet list` there, and join again with a new token if it is to come back"
    )]
    IdentityRefused { detail: String },
    #[error(
        "the certificate ended while the agent was off and the controller gives no new one ({detail}): a new token is needed; make one with `parallax fleet token` there, then `parallax agent join --replace` here"
    )]
    TokenNeeded { detail: String },
    #[error(
        "the controller does not take this token ({detail}): a token is good for one agent and 10 min; make a new one with `parallax fleet token`"
    )]
    TokenRefused { detail: String },

    #[error(
        "this agent is too old for the controller ({detail}): install the controller's release here"
    )]
    TooOld { detail: String },
    #[error(
        "what answers speaks TLS but not HTTP/2 ({detail}): check that `controller` names the agent port"
    )]
    NotHttp2 { detail: String },
    #[error("the controller gives no session now ({detail}): it is tried again")]
    NoSession { detail: String },
    #[error("the controller said nothing for {} s where it had to answer: it is overloaded or the way to it is cut; it is tried again", .after.as_secs())]
    Silent { after: Duration },
    #[error("the controller answered out of turn ({detail}): use the same release on both sides")]
    OutOfTurn { detail: String },

    #[error("the proxy {proxy} cannot be reached ({detail}): check `proxy`")]
    ProxyUnreachable { proxy: String, detail: String },
    #[error(
        "the proxy {proxy} wants authentication (407): give a user in `proxy`, as http://user:password@host:port"
    )]
    ProxyWantsAuthentication { proxy: String },
    #[error(
        "the proxy {proxy} does not take the user in `proxy` (407): check the name and the password"
    )]
    ProxyRefusesUser { proxy: String },
    #[error(
        "the proxy {proxy} refuses the way to the controller (status {status}): allow CONNECT to `controller` there"
    )]
    ProxyRefused { proxy: String, status: u16 },
    #[error("what answers at {proxy} is no HTTP proxy ({detail}): check `proxy`")]
    NotAProxy { proxy: String, detail: String },
}

impl Trouble {
    /// Whether only a person can help, so that asking often is of no use.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::TooOld { .. }
                | Self::IdentityRefused { .. }
                | Self::TokenNeeded { .. }
                | Self::TokenRefused { .. }
        )
    }
}

fn but_carries(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" but {}", names.join(", ")) }
}

/// An error with its causes; one whose words end the text already is not said twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_says_what_to_do() {
        let at = SystemTime::UNIX_EPOCH;
        let address = SocketAddr::from(([192, 0, 2, 1], 7444));
        for trouble in [
            Trouble::Filtered { address, after: Duration::from_secs(10) },
            Trouble::ControllerExpired { until: at, now: at },
            Trouble::OtherName { name: "a".into(), carries: vec!["b".into(), "c".into()] },
        ] {
            let line = trouble.to_string();
            assert!(!line.contains('\n') && line.contains(": "), "{line}");
        }
        let line = Trouble::OtherName { name: "a".into(), carries: vec!["b".into()] }.to_string();
        assert!(line.contains("`a` but b: set `server_name`"), "{line}");
    }
}
