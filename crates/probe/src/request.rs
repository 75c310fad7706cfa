//! Which bytes a look sends: place to path, host to names, and the headers that every request carries.
//!
//! Everything that could be wrong with an endpoint's spelling is found here, before anything is dialled.
//!
//! INVARIANT: a request made here carries no secret. The one that does is finished by the gate, which alone can make a [`Pass`].

use std::net::IpAddr;

use bytes::Bytes;
use hickory_proto::rr::Name;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Uri};
use http_body_util::Empty;
use parallax_auth::ImpossibleUser;
use parallax_auth::ntlm::type1_authorization;
use parallax_model::{Credential, Endpoint, Look, Method, Place};
use rustls_pki_types::ServerName;

use crate::gate::Pass;
use crate::walk::ProbeError;

/// How every request names its sender.
pub(crate) const AGENT_NAME: &str = concat!("Parallax/", env!("CARGO_PKG_VERSION"));

/// The endpoint's host in every spelling that a stage needs.
#[derive(Debug)]
pub(crate) struct Host {
    /// Set when the URL holds an address instead of a name.
    pub(crate) literal: Option<IpAddr>,
    /// Fully qualified, for DNS.
    pub(crate) name: Name,
    /// For SNI and the certificate's names.
    pub(crate) server_name: ServerName<'static>,
    /// As in the URL, address literals of IPv6 in brackets.
    pub(crate) text: String,
    /// The value of the `Host` field.
    header: HeaderValue,
    own_path: String,
}

/// Whether the server is told to keep the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    Keep,
    Close,
}

/// A request ready to go.
#[derive(Debug)]
pub(crate) struct Outgoing(Request<Empty<Bytes>>);

impl Outgoing {
    pub(crate) fn into_request(self) -> Request<Empty<Bytes>> {
        self.0
    }

    /// Adds the secret's header. Only the gate can: it alone has a [`Pass`].
    pub(crate) fn with_secret(mut self, _pass: &Pass, authorization: HeaderValue) -> Self {
        self.0.headers_mut().insert(AUTHORIZATION, authorization);
        self
    }
}

impl Host {
    pub(crate) fn of(endpoint: &Endpoint) -> Result<Self, ProbeError> {
        let invalid = || ProbeError::Host { host: endpoint.host.clone() };
        let bare = endpoint.host.trim_start_matches('[').trim_end_matches(']');
        let literal = bare.parse::<IpAddr>().ok();
        let text = match literal {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            Some(IpAddr::V4(_)) | None => bare.to_ascii_lowercase(),
        };
        let mut name = match literal {
            Some(_) => Name::root(),
            None => Name::from_ascii(bare).map_err(|_| invalid())?,
        };
        name.set_fqdn(true);
        let server_name = match literal {
            Some(address) => ServerName::from(address),
            None => ServerName::try_from(text.trim_end_matches('.').to_owned())
                .map_err(|_| invalid())?,
        };
        let default_port = if endpoint.is_https { 443 } else { 80 };
        let header = if endpoint.port == default_port {
            text.clone()
        } else {
            format!("{text}:{}", endpoint.port)
        };
        let header = HeaderValue::try_from(header).map_err(|_| invalid())?;
        let own_path = endpoint.path.clone();
        if !own_path.starts_with('/') || own_path.parse::<Uri>().is_err() {
            return Err(ProbeError::Path { path: own_path });
        }
        Ok(Self { literal, name, server_name, text, header, own_path })
    }

    /// The domain that the host stands in: where a user name is looked for at home.
    pub(crate) fn domain(&self) -> &str {
        if self.literal.is_some() {
            // Reserved (RFC 2606); nobody's domain.
            return "example.invalid";
        }
        match self.text.trim_end_matches('.').split_once('.') {
            Some((_, rest)) if rest.contains('.') => rest,
            _ => self.text.trim_end_matches('.'),
        }
    }

    /// The path of a place, without query. What the agent's policy is asked about.
    pub(crate) fn path(&self, place: Place) -> String {
        match place {
            Place::ActiveSync => self.own_path.clone(),
            Place::ActiveSyncProxy => "/Microsoft-Server-ActiveSync/Proxy".to_owned(),
            Place::HealthCheck => "/Microsoft-Server-ActiveSync/healthcheck.htm".to_owned(),
            Place::Owa => "/owa/".to_owned(),
            Place::Autodiscover => "/autodiscover/autodiscover.xml".to_owned(),
            Place::AutodiscoverJson => "/autodiscover/autodiscover.json".to_owned(),
            Place::Ews => "/EWS/Exchange.asmx".to_owned(),
            Place::Exchange => "/Exchange/".to_owned(),
        }
    }

    /// Path and query as they are sent.
    pub(crate) fn target(&self, place: Place) -> String {
        let path = self.path(place);
        match place {
            Place::AutodiscoverJson => format!(
                "{path}?Email=parallax-probe@{}&Protocol=ActiveSync&RedirectCount=3",
                self.domain()
            ),
            Place::ActiveSync
            | Place::ActiveSyncProxy
            | Place::HealthCheck
            | Place::Owa
            | Place::Autodiscover
            | Place::Ews
            | Place::Exchange => path,
        }
    }

    /// The fields that every request carries.
    pub(crate) fn fields(&self, persistence: Persistence) -> [(http::HeaderName, HeaderValue); 5] {
        let persistence = match persistence {
            Persistence::Keep => HeaderValue::from_static("keep-alive"),
            Persistence::Close => HeaderValue::from_static("close"),
        };
        [
            (HOST, self.header.clone()),
            (USER_AGENT, HeaderValue::from_static(AGENT_NAME)),
            (ACCEPT, HeaderValue::from_static("*/*")),
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            (CONNECTION, persistence),
        ]
    }

    /// The request of a look. For an account it is still without the secret, which only the gate adds.
    pub(crate) fn request(
        &self,
        look: &Look,
        persistence: Persistence,
    ) -> Result<Outgoing, ProbeError> {
        let method = match look.method {
            Method::Options => http::Method::OPTIONS,
            Method::Get => http::Method::GET,
        };
        let target = self.target(look.place);
        let mut request = Request::builder()
            .method(method)
            .uri(&target)
            .body(Empty::new())
            .map_err(|_| ProbeError::Path { path: target.clone() })?;
        request.headers_mut().extend(self.fields(persistence));
        let authorization = match &look.credential {
            Credential::None | Credential::Account { .. } => None,
            Credential::NtlmType1 => Some(type1_authorization()),
            Credential::ImpossibleUser => Some(
                ImpossibleUser::at(self.domain())
                    .and_then(|user| user.authorization())
                    .map_err(|_| ProbeError::Host { host: self.text.clone() })?,
            ),
        };
        request.headers_mut().extend(authorization.map(|value| (AUTHORIZATION, value)));
        Ok(Outgoing(request))
    }
}
