//! A task as it is offered to an agent, both ways.
//!
//! INVARIANT: an offer holds no secret. Limits are bounded, so that no controller can make an agent wait for ever.

use std::time::Duration;

use parallax_model::{Limits, LogonTask, Look, Task, UserName, VantageName};

use crate::error::{DecodeError, Decoded, each, required};
use crate::look::{decode_form, decode_place};
use crate::pb::{self, link, look};
use crate::scalar::{
    account_name, decode_account_name, decode_address, decode_diagnosis_name, decode_duration,
    diagnosis_name, encode_duration,
};

const LOOKS_MAX: usize = 32;
const TASK_ID_BYTES_MAX: usize = 128;
const LOGIN_BYTES_MAX: usize = 256;
/// No stage of a probe may take longer.
const LIMIT_MAX: Duration = Duration::from_mins(2);

/// What a `Go` is sealed with besides its binding (the `aad` of HPKE, RFC 9180): the vantage of the agent it is for.
pub fn go_aad(vantage: &VantageName) -> &[u8] {
    vantage.as_str().as_bytes()
}

/// Encodes a task for one lane, with the trace it belongs to (W3C `traceparent`, or empty).
pub fn encode_offer(task: &Task, lane: link::Lane, traceparent: &str) -> link::Offer {
    link::Offer {
        task: task.id.clone(),
        diagnosis: diagnosis_name(&task.diagnosis),
        endpoint: Some((&task.endpoint).into()),
        looks: task.looks.iter().map(Into::into).collect(),
        logon: task.logon.as_ref().map(Into::into),
        only_address: task.only_address.map(|it| it.to_string()).unwrap_or_default(),
        without_sni: task.without_sni,
        limits: Some((&task.limits).into()),
        lane: lane.into(),
        traceparent: traceparent.to_owned(),
    }
}

/// Reads an offer; lane and trace are the caller's to take.
pub fn decode_offer(message: link::Offer) -> Result<Task, DecodeError> {
    if message.task.is_empty() {
        return Err(DecodeError::missing("task"));
    }
    if message.task.len() > TASK_ID_BYTES_MAX {
        return Err(DecodeError::malformed("task", "at most 128 bytes"));
    }
    let looks: Vec<Look> = each(message.looks, "looks", LOOKS_MAX)?;
    if looks.iter().any(Look::is_logon) {
        return Err(DecodeError::malformed(
            "looks",
            "looks without an account; a logon has a field",
        ));
    }
    let only_address = match message.only_address.as_str() {
        "" => None,
        text => Some(decode_address(text, "only_address")?),
    };
    Ok(Task {
        id: message.task,
        diagnosis: decode_diagnosis_name(&message.diagnosis, "diagnosis")?,
        endpoint: required(message.endpoint, "endpoint")?,
        looks,
        logon: crate::error::optional(message.logon, "logon")?,
        only_address,
        without_sni: message.without_sni,
        limits: required(message.limits, "limits")?,
    })
}

impl From<&LogonTask> for link::Logon {
    fn from(logon: &LogonTask) -> Self {
        Self {
            attempt: logon.attempt.clone(),
            account: account_name(&logon.account),
            form: pb::NameForm::from(logon.name.form).into(),
            login: logon.name.login.clone(),
            place: look::Place::from(logon.place).into(),
        }
    }
}

impl TryFrom<link::Logon> for LogonTask {
    type Error = DecodeError;

    fn try_from(message: link::Logon) -> Decoded<Self> {
        if message.attempt.is_empty() {
            return Err(DecodeError::missing("attempt"));
        }
        if message.attempt.len() > TASK_ID_BYTES_MAX {
            return Err(DecodeError::malformed("attempt", "at most 128 bytes"));
        }
        if message.login.is_empty() {
            return Err(DecodeError::missing("login"));
        }
        if message.login.len() > LOGIN_BYTES_MAX {
            return Err(DecodeError::malformed("login", "at most 256 bytes"));
        }
        Ok(Self {
            attempt: message.attempt,
            account: decode_account_name(&message.account, "account")?,
            name: UserName { form: decode_form(message.form)?, login: message.login },
            place: decode_place(message.place)?,
        })
    }
}

impl From<&Limits> for link::Limits {
    fn from(limits: &Limits) -> Self {
        Self {
            dns: Some(encode_duration(limits.dns)),
            tcp: Some(encode_duration(limits.tcp)),
            tls: Some(encode_duration(limits.tls)),
            exchange: Some(encode_duration(limits.exchange)),
            observation: Some(encode_duration(limits.observation)),
            credentialed: Some(encode_duration(limits.credentialed)),
        }
    }
}

impl TryFrom<link::Limits> for Limits {
    type Error = DecodeError;

    fn try_from(message: link::Limits) -> Decoded<Self> {
        let limit = |value, field| {
            let limit = decode_duration(value, field)?;
            if limit > LIMIT_MAX {
                return Err(DecodeError::out_of_range(field, "at most 120 s"));
            }
            Ok(limit)
        };
        Ok(Self {
            dns: limit(message.dns, "dns")?,
            tcp: limit(message.tcp, "tcp")?,
            tls: limit(message.tls, "tls")?,
            exchange: limit(message.exchange, "exchange")?,
            observation: limit(message.observation, "observation")?,
            credentialed: limit(message.credentialed, "credentialed")?,
        })
    }
}
