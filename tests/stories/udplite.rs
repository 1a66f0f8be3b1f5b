//! UDP-Lite between containers, by real sockets: under policy like all else, whether or not the kernel tracks it.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use poplin_lab::{Agent, Container, Lab, Namespace, told, until};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};

use crate::room::room;

/// Whether connection tracking looks at checksums. If it does, it finds those of UDP-Lite wrong.
const CHECKSUM: &str = "net.netfilter.nf_conntrack_checksum";

#[test]
fn udp_lite_passes_as_policy_says_packet_by_packet() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    track(&host, false);
    until("nobody governs it", || is_answered(&web, &db, SocketAddr::new(db.v4(), 5004)));

    host.apply(DB_FOR_5004);

    let [open, closed] = [5004, 5005].map(|port| SocketAddr::new(db.v4(), port));
    until("what no rule allows is denied", || !is_heard(&web, &db, closed));
    assert!(is_answered(&web, &db, open));
    let denied = host.try_poplin(&["explain", "web", "db", "udplite/5005", "--live"]);
    assert!(told(&denied).contains("ingress of db: end of tier default: denied"), "{}", told(&denied));

    host.apply(WEB_CLOSED);
    until("an answer is asked as what it is", || is_heard(&web, &db, open) && !is_answered(&web, &db, open));
}

#[test]
fn udp_lite_is_a_flow_where_the_kernel_tracks_it() {
    let lab = Lab::new();
    let (host, web, db) = room(&lab);
    track(&host, true);
    host.apply(DB_FOR_5004);
    host.apply(WEB_CLOSED);

    let [open, closed] = [5004, 5005].map(|port| SocketAddr::new(db.v4(), port));
    until("what no rule allows is denied", || !is_heard(&web, &db, closed) && !is_heard(&db, &web, here(&web)));
    assert!(is_answered(&web, &db, open), "the answer belongs to the flow");
}

fn track(host: &Agent, is_tracked: bool) {
    let setting = format!("{CHECKSUM}={}", u8::from(!is_tracked));
    host.namespace().run("sysctl", &["-qw", &setting]);
}

fn here(container: &Container) -> SocketAddr {
    SocketAddr::new(container.v4(), 5004)
}

/// A UDP-Lite socket, whose checksum covers all, as is usual.
fn socket(of: &Namespace, address: SocketAddr) -> UdpSocket {
    let socket = of.within(|| {
        // A program that somebody starts meanwhile is not to hold the port.
        let (family, kind) = (AddressFamily::INET, SocketType::DGRAM);
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(ipproto::UDPLITE))
            .expect("the kernel has UDP-Lite");
        rustix::net::bind(&socket, &address).expect("the port is free");
        UdpSocket::from(socket)
    });
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout can be set");
    socket
}

/// A datagram goes there; whether it comes.
fn is_heard(from: &Container, to: &Container, address: SocketAddr) -> bool {
    talk(from, to, address).0
}

/// A datagram goes there and back; whether it comes back.
fn is_answered(from: &Container, to: &Container, address: SocketAddr) -> bool {
    talk(from, to, address) == (true, true)
}

fn talk(from: &Container, to: &Container, address: SocketAddr) -> (bool, bool) {
    let (near, far) = (socket(from.namespace(), SocketAddr::new(from.v4(), 0)), socket(to.namespace(), address));
    let mut message = [0; 8];
    near.send_to(b"question", address).expect("it leaves");
    let Ok((_, whence)) = far.recv_from(&mut message) else { return (false, false) };
    far.send_to(b"answer", whence).expect("it leaves");
    (true, near.recv_from(&mut message).is_ok())
}

const DB_FOR_5004: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec: {subject: app == 'db', ingress: [{action: allow, from: {select: app == 'web'}, ports: [udplite/5004]}]}
";

const WEB_CLOSED: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: web}
spec: {subject: app == 'web', ingress: []}
";
