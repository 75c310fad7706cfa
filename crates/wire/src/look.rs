//! A request to make, both ways.

use parallax_model::{AccountId, Credential, Look, Method, NameForm, Place};

use crate::error::{DecodeError, Decoded, Within as _, enumeration};
use crate::pb::{self, look};
use crate::scalar::{account_name, decode_account_name};

impl From<Method> for look::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Options => Self::Options,
            Method::Get => Self::Get,
        }
    }
}

fn decode_method(number: i32) -> Decoded<Method> {
    match enumeration(number, "method")? {
        look::Method::Unspecified => Err(DecodeError::missing("method")),
        look::Method::Options => Ok(Method::Options),
        look::Method::Get => Ok(Method::Get),
    }
}

impl From<Place> for look::Place {
    fn from(place: Place) -> Self {
        match place {
            Place::ActiveSync => Self::ActiveSync,
            Place::ActiveSyncProxy => Self::ActiveSyncProxy,
            Place::HealthCheck => Self::HealthCheck,
            Place::Owa => Self::Owa,
            Place::Autodiscover => Self::Autodiscover,
            Place::AutodiscoverJson => Self::AutodiscoverJson,
            Place::Ews => Self::Ews,
            Place::Exchange => Self::Exchange,
        }
    }
}

pub(crate) fn decode_place(number: i32) -> Decoded<Place> {
    match enumeration(number, "place")? {
        look::Place::Unspecified => Err(DecodeError::missing("place")),
        look::Place::ActiveSync => Ok(Place::ActiveSync),
        look::Place::ActiveSyncProxy => Ok(Place::ActiveSyncProxy),
        look::Place::HealthCheck => Ok(Place::HealthCheck),
        look::Place::Owa => Ok(Place::Owa),
        look::Place::Autodiscover => Ok(Place::Autodiscover),
        look::Place::AutodiscoverJson => Ok(Place::AutodiscoverJson),
        look::Place::Ews => Ok(Place::Ews),
        look::Place::Exchange => Ok(Place::Exchange),
    }
}

impl From<NameForm> for pb::NameForm {
    fn from(form: NameForm) -> Self {
        match form {
            NameForm::Upn => Self::Upn,
            NameForm::Domain => Self::Domain,
            NameForm::Smtp => Self::Smtp,
            NameForm::Bare => Self::Bare,
        }
    }
}

pub(crate) fn decode_form(number: i32) -> Decoded<NameForm> {
    match enumeration(number, "form")? {
        pb::NameForm::Unspecified => Err(DecodeError::missing("form")),
        pb::NameForm::Upn => Ok(NameForm::Upn),
        pb::NameForm::Domain => Ok(NameForm::Domain),
        pb::NameForm::Smtp => Ok(NameForm::Smtp),
        pb::NameForm::Bare => Ok(NameForm::Bare),
    }
}

impl From<&Credential> for look::Credential {
    fn from(credential: &Credential) -> Self {
        match credential {
            Credential::None => Self::Anonymous(look::Anonymous {}),
            Credential::NtlmType1 => Self::NtlmType1(look::NtlmType1 {}),
            Credential::ImpossibleUser => Self::ImpossibleUser(look::ImpossibleUser {}),
            Credential::Account { account, form } => Self::Account(look::AccountCredential {
                account: account_name(account),
                form: pb::NameForm::from(*form).into(),
            }),
        }
    }
}

fn decode_account(message: &look::AccountCredential) -> Decoded<(AccountId, NameForm)> {
    Ok((decode_account_name(&message.account, "account")?, decode_form(message.form)?))
}

impl From<&Look> for pb::Look {
    fn from(look: &Look) -> Self {
        Self {
            method: look::Method::from(look.method).into(),
            place: look::Place::from(look.place).into(),
            credential: Some((&look.credential).into()),
        }
    }
}

impl TryFrom<pb::Look> for Look {
    type Error = DecodeError;

    fn try_from(message: pb::Look) -> Decoded<Self> {
        let credential = match message.credential {
            Some(look::Credential::Anonymous(_)) => Credential::None,
            Some(look::Credential::NtlmType1(_)) => Credential::NtlmType1,
            Some(look::Credential::ImpossibleUser(_)) => Credential::ImpossibleUser,
            Some(look::Credential::Account(message)) => {
                let (account, form) = decode_account(&message).within("account")?;
                Credential::Account { account, form }
            }
            None => return Err(DecodeError::missing("credential")),
        };
        Ok(Self {
            method: decode_method(message.method)?,
            place: decode_place(message.place)?,
            credential,
        })
    }
}
