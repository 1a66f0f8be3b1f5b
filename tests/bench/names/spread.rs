//! How soon a name is known on another host, and how soon it is not any more: from the end of `docker network connect` until a container elsewhere is
//! answered, and from the end of the container's process, by `docker kill`, until it is told that there is nobody of that name. It asks once a millisecond.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use poplin_lab::{Container, Docker, Lab};
use serde_json::json;

use crate::figures::{Line, Times, tell};

/// Every container's gateway.
const SERVER: &str = "169.254.1.1:53";

const POOL: &str = "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {cidr: 10.77.0.0/16}}";

/// Longer than any name takes; then the bench ends.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn spread(repetitions: usize) {
    let lab = Lab::new();
    let mut tor = lab.tor();
    tor.start_etcd();
    let one = tor.host_on_segment(&lab, 1);
    let mut docker = Docker::new(&lab, &one);
    let mut one = one.with(&docker.arguments().each_ref().map(String::as_str));
    let mut two = tor.host_on_segment(&lab, 2);
    one.start();
    two.start();
    one.apply(POOL);
    docker.start();
    docker.run(&["network", "create", "plain"]);
    docker.make_network("shop", &[]);
    let mut asker = lab.container("asker");
    two.cni_add_with(&mut asker, &json!({"network": "shop"}));

    let (mut known, mut gone) = (Times::default(), Times::default());
    for number in 0..repetitions {
        let name = format!("n{number}");
        docker.sleeper(&name, &["--network", "plain"]);
        let asked = format!("{name}.shop.poplin.internal.");
        known.add(until(&asker, &asked, true, || drop(docker.run(&["network", "connect", "shop", &name]))));
        gone.add(until(&asker, &asked, false, || drop(docker.run(&["kill", &name]))));
        docker.run(&["rm", "--force", &name]);
    }

    let line = |what, times| Line { what, who: "Poplin".to_owned(), times, reference: times };
    let lines = [line("known elsewhere", &known), line("gone elsewhere", &gone)];
    tell("names", "A name after its container joined, and after it ended; of no reference", &lines);
}

/// How long after the act a container is answered so; nothing if it was by then.
fn until(asker: &Container, name: &str, is_known: bool, act: impl FnOnce() + Send) -> Duration {
    asker.namespace().within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect(SERVER).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        std::thread::scope(|scope| {
            let acted = scope.spawn(|| {
                let begin = Instant::now();
                act();
                if is_known { Instant::now() } else { begin }
            });
            let begin = Instant::now();
            while answered(&socket, name) != Some(is_known) {
                assert!(begin.elapsed() < PATIENCE, "{name}: {is_known} is never answered");
                std::thread::sleep(Duration::from_millis(1));
            }
            let answered = Instant::now();
            answered.saturating_duration_since(acted.join().unwrap())
        })
    })
}

/// Whether somebody is told to have the name.
fn answered(socket: &UdpSocket, name: &str) -> Option<bool> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    socket.send(&question.to_vec().unwrap()).ok()?;
    let mut buffer = [0; 1500];
    let count = socket.recv(&mut buffer).ok()?;
    Some(!Message::from_vec(&buffer[..count]).ok()?.answers.is_empty())
}
