//! Do the listeners of a running world show what its file says they show?
//!
//! Every `shows` entry of every world below `tests/worlds` is one look over real sockets, by a small
//! client of this test that has nothing in common with the product. Two things are not looked at,
//! counted and printed: NTLM Type-3 and Kerberos, which have no acceptor here, and HTTP behind TLS
//! that a modern client cannot speak; of the latter the refusal itself is checked.

mod client;
mod compare;
mod look;
#[cfg(feature = "legacy-tls")]
mod old;
mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use parallax_model::Look;
use parallax_probe::{Instrument, Route};

use parallax_world::format::{self, Saw, Show, ShowProbe, World};
use parallax_world::network::RunningWorld;
use parallax_world::simulation::{LogonSeen, Pace};
use tokio::task::JoinSet;

/// Fewer worlds than this mean that the folder was not found.
const WORLDS_MIN: usize = 4;

/// Worlds that stand side by side: more of them would wait for each other until a limit of the probe ends.
const WORLDS_AT_ONCE: usize = 16;

#[derive(Debug, Default)]
struct Tally {
    worlds: usize,
    compared: usize,
    without_acceptor: usize,
    old_tls: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_show_what_the_files_say() {
    install_provider();
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for world in tests_worlds() {
        tally.worlds += 1;
        wrong.extend(check(world, &mut tally).await);
    }
    println!("{tally:?}");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tally.compared > tally.worlds, "nothing was compared: {tally:?}");
}

/// Every variant of a listener, a rule and a forward, with what the reference interpreter of the
/// format says each look sees.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_thing_a_listener_can_do() {
    install_provider();
    let mut tally = Tally::default();
    let wrong = check(every_listener(), &mut tally).await;
    println!("{tally:?}");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// The comparison itself: each expectation that is made wrong is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_expectations_are_found() {
    install_provider();
    let mut world = every_listener();
    let all = world.shows.len();
    for show in &mut world.shows {
        // Round robin may send the same look elsewhere, so the place does not count here.
        show.saw = Saw { counted: Some(99), ..Saw::default() };
    }
    let wrong = check(world, &mut Tally::default()).await;
    let counted = wrong.iter().filter(|it| it.contains("counted: expected 99")).count();
    assert!(counted > all * 9 / 10, "{counted} of {all} were found");
}

/// The product's probe and the plain client see the same in every world.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_of_the_product_sees_the_same() {
    install_provider();
    let mut variants = every_listener();
    variants.vantages.truncate(1);
    let mut worlds = tests_worlds().into_iter().chain([variants]).map(probe::compare);
    let mut looks: JoinSet<Vec<String>> = worlds.by_ref().take(WORLDS_AT_ONCE).collect();
    let mut wrong = Vec::new();
    while let Some(differences) = looks.join_next().await {
        wrong.extend(differences.expect("no panic"));
        if let Some(next) = worlds.next() {
            looks.spawn(next);
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a host says of itself in NTLM arrives at the product as it stands in the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type2_message_is_read_by_the_product() {
    install_provider();
    let running =
        RunningWorld::start(Arc::new(every_listener()), Pace::Stepped).await.expect("it starts");
    let instrument =
        Instrument::new(running.dial("in").expect("a vantage")).expect("an instrument");
    let sight = probe::look(&running, &instrument, "rules", Look::NTLM).await;
    running.stop().await;
    let exchange = &sight.observations[0].exchanges[0];
    let type2 = exchange.outcome.done().and_then(|it| it.type2.as_ref()).expect("a type-2");
    assert_eq!(type2.netbios_computer.as_deref(), Some("R1"));
    assert_eq!(type2.dns_domain.as_deref(), Some("w.example"));
    assert_eq!(type2.version, Some((6, 1, 7601)));
    assert_eq!(type2.timestamp, None);
}

/// A stopped world leaves no socket behind, and tells who was shown which credential.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_closes_every_socket() {
    install_provider();
    let world = Arc::new(every_listener());
    let running = RunningWorld::start(Arc::clone(&world), Pace::Stepped).await.expect("it starts");
    let logon = |it: &&Show| {
        it.probe == ShowProbe::A1 && it.account.as_deref() == Some("wrong") && it.to == "rules"
    };
    client::look(&running, world.shows.iter().find(logon).expect("a wrong logon")).await;
    let seen = LogonSeen { host: "rules".to_owned(), account: Some("wrong".to_owned()) };
    assert_eq!(running.logons(), BTreeMap::from([(seen, 1)]));
    // One refusal counts twice at this machine.
    assert_eq!(running.highest_rise(), 2);

    let views = world.vantages.iter().filter_map(|it| running.view(&it.name));
    let sockets: BTreeSet<SocketAddr> = views
        .flat_map(|it| {
            it.routes
                .values()
                .filter_map(|it| if let Route::To(socket) = it { Some(*socket) } else { None })
        })
        .collect();
    assert!(sockets.len() > world.hosts.len());
    running.stop().await;
    for socket in sockets {
        let error = tokio::net::TcpStream::connect(socket).await.expect_err("nothing listens");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

fn tests_worlds() -> Vec<World> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/worlds");
    let worlds = format::find(&folder).expect("every world is readable");
    assert!(worlds.len() >= WORLDS_MIN, "only {} worlds in {}", worlds.len(), folder.display());
    worlds.into_iter().map(|(_, world)| world).collect()
}

fn every_listener() -> World {
    let path = Path::new("every_listener.json");
    format::read_text(path, include_str!("every_listener.json")).expect("a world")
}

fn install_provider() {
    // The second test of a process finds it installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// All looks of one world, in order; the differences.
async fn check(world: World, tally: &mut Tally) -> Vec<String> {
    let world = Arc::new(world);
    let running = RunningWorld::start(Arc::clone(&world), Pace::Stepped).await.expect("it starts");
    let mut wrong = Vec::new();
    for (index, show) in world.shows.iter().enumerate() {
        if let Some(at_s) = show.at_s {
            running.set_clock(at_s);
        }
        if matches!(show.probe, ShowProbe::A2 | ShowProbe::A3) {
            tally.without_acceptor += 1;
            continue;
        }
        let mut seen = client::look(&running, show).await;
        for _ in 1..show.times.unwrap_or(1) {
            seen = client::look(&running, show).await;
        }
        let differences = match compare::refusal_of_old_tls(&world, show, &seen) {
            Some(differences) => {
                tally.old_tls += 1;
                differences
            }
            None => compare::differences(&running, show, &seen),
        };
        tally.compared += 1;
        wrong.extend(differences.into_iter().map(|it| {
            format!(
                "{} shows[{index}] ({} {} {}): {it}",
                world.id,
                show.from,
                show.probe.word(),
                show.to
            )
        }));
    }
    running.stop().await;
    wrong
}
