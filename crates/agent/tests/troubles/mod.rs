//! Why the controller cannot be reached: every trouble, from a real server on loopback that makes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parallax_agent::{AgentConfig, AgentSettings, Identity, Policy, Proxy, Trouble, self_test};
use parallax_probe::{Dial, Instrument};
use rustls::ServerConfig;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::Status;

use crate::bed::{Authority, Controller, FRESH, settings};

/// What the self-test says of the controller.
async fn trouble_of(settings: AgentSettings, identity: Identity) -> Option<Trouble> {
    let config = AgentConfig {
        settings,
        identity: "identity.pem".into(),
        authority: "authority.pem".into(),
        policy: "policy.toml".into(),
    };
    let instrument = Instrument::new(Dial::Direct).expect("an instrument");
    let instrument = instrument.with_name_servers(Vec::new());
    let policy = Policy::deny_everything("no policy");
    let seen = self_test(&config, identity, policy, instrument, None).await;
    let lines: Vec<&str> = seen
        .findings
        .iter()
        .filter(|it| it.what == "controller")
        .map(|it| it.text.as_str())
        .collect();
    if let Some(trouble) = &seen.trouble {
        assert_eq!(lines.last().copied(), Some(trouble.to_string().as_str()));
        assert!(!trouble.to_string().contains('\n') && trouble.to_string().contains(": "));
    }
    seen.trouble
}

async fn trouble_at(address: SocketAddr, identity: Identity) -> Trouble {
    trouble_of(settings(&address.to_string()), identity).await.expect("trouble")
}

/// Does this with every connection.
async fn server<F, W>(serve: F) -> (SocketAddr, JoinSet<()>)
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((tcp, _)) = listener.accept().await {
            connections.spawn(serve(tcp));
        }
    });
    (address, serving)
}

/// Says this and ends.
async fn saying(text: &'static [u8]) -> (SocketAddr, JoinSet<()>) {
    server(move |mut tcp| async move {
        let mut head = [0; 1024];
        let _ = tcp.read(&mut head).await;
        let _ = tcp.write_all(text).await;
    })
    .await
}

async fn tls_server(config: ServerConfig) -> (SocketAddr, JoinSet<()>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    server(move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                let mut bytes = [0; 1024];
                while matches!(tls.read(&mut bytes).await, Ok(1..)) {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn name_and_port() {
    let authority = Authority::new();
    let of = |controller: &str| trouble_of(settings(controller), authority.agent("hq"));
    let trouble = of("no-such-host.invalid:7444").await;
    assert!(
        matches!(trouble, Some(Trouble::Name { ref name, .. }) if name == "no-such-host.invalid"),
        "{trouble:?}"
    );
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let trouble = of(&address.to_string()).await;
    assert_eq!(trouble, Some(Trouble::Refused { address, setting: "controller" }));
}

/// A listener whose queue is full answers a SYN as little as a firewall does.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_filtered_port() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&SockAddr::from(any)).expect("bound");
    socket.listen(0).expect("listening");
    let address = socket.local_addr().expect("an address").as_socket().expect("IPv4");
    let mut queued = Vec::new();
    while let Ok(Ok(tcp)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        queued.push(tcp);
        assert!(queued.len() < 16, "the queue never fills");
    }
    let trouble = trouble_at(address, Authority::new().agent("hq")).await;
    assert_eq!(trouble, Trouble::Filtered { address, after: Duration::from_secs(10) });
}

#[tokio::test]
async fn what_is_not_tls() {
    let agent = || Authority::new().agent("hq");
    let (address, _http) = saying(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let trouble = trouble_at(address, agent()).await;
    assert!(matches!(trouble, Trouble::NotTls { .. }), "{trouble:?}");
    let (address, _cut) = server(|tcp| async move { drop(tcp) }).await;
    let trouble = trouble_at(address, agent()).await;
    assert!(matches!(trouble, Trouble::TlsCut { .. }), "{trouble:?}");
    let (address, _silent) = server(|tcp| async move {
        tokio::time::sleep(Duration::from_mins(1)).await;
        drop(tcp);
    })
    .await;
    let trouble = trouble_at(address, agent()).await;
    assert_eq!(trouble, Trouble::TlsSilent { after: Duration::from_secs(10) });
}

#[tokio::test]
async fn the_controllers_certificate() {
    let ours = Authority::new();
    let at = async |config: ServerConfig| {
        let (address, _serving) = tls_server(config).await;
        trouble_at(address, ours.agent("hq")).await
    };
    let trouble = at(Authority::named("Corp Inspection CA").server(FRESH)).await;
    let issuer = "CN=Corp Inspection CA".to_owned();
    assert_eq!(trouble, Trouble::OtherAuthority { issuer });
    let trouble = at(ours.server((-20, -10))).await;
    assert!(
        matches!(trouble, Trouble::ControllerExpired { until, now } if until < now),
        "{trouble:?}"
    );
    let trouble = at(ours.server((10, 20))).await;
    assert!(
        matches!(trouble, Trouble::ControllerNotYetValid { from, now } if from > now),
        "{trouble:?}"
    );
    let (address, _serving) = tls_server(ours.server(FRESH)).await;
    let mut named = settings(&address.to_string());
    named.server_name = "mail.corp.example".try_into().expect("a name");
    let trouble = trouble_of(named, ours.agent("hq")).await;
    let carries = vec!["controller.test".to_owned()];
    assert_eq!(trouble, Some(Trouble::OtherName { name: "mail.corp.example".to_owned(), carries }));
}

#[tokio::test]
async fn versions_below() {
    let ours = Authority::new();
    let mut without_h2 = ours.server(FRESH);
    without_h2.alpn_protocols.clear();
    let (address, _serving) = tls_server(without_h2).await;
    let trouble = trouble_at(address, ours.agent("hq")).await;
    assert!(matches!(trouble, Trouble::NotHttp2 { .. }), "{trouble:?}");
    // An alert of the handshake: protocol_version.
    let (address, _serving) = saying(b"\x15\x03\x03\x00\x02\x02\x46").await;
    let trouble = trouble_at(address, ours.agent("hq")).await;
    assert!(matches!(trouble, Trouble::Tls { .. }), "{trouble:?}");
}

#[tokio::test]
async fn the_agents_certificate() {
    let ours = Authority::new();
    let controller = Controller::start(&ours).await;
    let ended = trouble_at(controller.address, ours.agent_for("hq", (-40, -10))).await;
    assert!(matches!(ended, Trouble::IdentityExpired { .. }), "{ended:?}");
    // Of another controller, which it takes this one for.
    let stranger = Authority::new().agent("hq");
    let stranger = Identity { authority: ours.certificate().clone(), ..stranger };
    let refused = trouble_at(controller.address, stranger).await;
    assert!(matches!(refused, Trouble::IdentityRefused { .. }), "{refused:?}");
}

#[tokio::test]
async fn what_the_controller_answers() {
    let ours = Authority::new();
    let mut controller = Controller::start(&ours).await;
    let settings = settings(&controller.address.to_string());
    for (status, wanted) in [
        (Status::invalid_argument("`signing_request`: is missing"), None),
        (
            Status::permission_denied("this agent was banned"),
            Some(Trouble::IdentityRefused { detail: "this agent was banned".to_owned() }),
        ),
        (
            Status::failed_precondition("protocol 0 is too old"),
            Some(Trouble::TooOld { detail: "protocol 0 is too old".to_owned() }),
        ),
        (
            Status::unavailable("the store does not answer"),
            Some(Trouble::NoSession { detail: "the store does not answer".to_owned() }),
        ),
    ] {
        let answering = async {
            let call = controller.call().await;
            call.reply.send(Err(status)).expect("it waits");
        };
        let testing = trouble_of(settings.clone(), ours.agent("hq"));
        let (trouble, ()) = tokio::join!(testing, answering);
        assert_eq!(trouble, wanted);
    }
}

#[tokio::test]
async fn the_proxy() {
    let ours = Authority::new();
    let mut controller = Controller::start(&ours).await;
    let there = controller.address;
    let through = async |proxy: SocketAddr, user: &str| {
        let mut settings = settings("controller.test:7444");
        settings.proxy = Some(Proxy::read(&format!("http://{user}{proxy}")).expect("a proxy"));
        trouble_of(settings, ours.agent("hq")).await
    };
    // The name is the proxy's to resolve; what is carried is TLS to the controller itself.
    let (address, _serving) = server(move |mut tcp| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.expect("a byte"));
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("CONNECT controller.test:7444 HTTP/1.1\r\n"), "{head}");
        let answer: &[u8] = if head.contains("Proxy-Authorization: Basic bWU6cHc=\r\n") {
            b"HTTP/1.1 200 Connection established\r\n\r\n"
        } else {
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
        };
        tcp.write_all(answer).await.expect("written");
        if let Ok(mut there) = TcpStream::connect(there).await {
            let _ = tokio::io::copy_bidirectional(&mut tcp, &mut there).await;
        }
    })
    .await;
    let proxy = format!("http://{address}");
    let trouble = through(address, "").await;
    assert_eq!(trouble, Some(Trouble::ProxyWantsAuthentication { proxy: proxy.clone() }));
    let trouble = through(address, "me:wrong@").await;
    assert_eq!(trouble, Some(Trouble::ProxyRefusesUser { proxy }));
    let answering = async {
        let call = controller.call().await;
        call.reply.send(Err(Status::invalid_argument("no request"))).expect("it waits");
    };
    let (trouble, ()) = tokio::join!(through(address, "me:pw@"), answering);
    assert_eq!(trouble, None);

    let (address, _serving) = saying(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let proxy = format!("http://{address}");
    assert_eq!(through(address, "").await, Some(Trouble::ProxyRefused { proxy, status: 403 }));
    let (address, _serving) = saying(b"SSH-2.0-OpenSSH_9.9\r\n").await;
    let trouble = through(address, "").await;
    assert!(matches!(trouble, Some(Trouble::NotAProxy { .. })), "{trouble:?}");
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let trouble = through(address, "me:hunter2@").await;
    assert!(matches!(trouble, Some(Trouble::ProxyUnreachable { .. })), "{trouble:?}");
    assert!(!format!("{trouble:?}").contains("hunter2"));
}
