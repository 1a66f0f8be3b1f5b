//! What it costs that packets between hosts are wrapped, beside VXLAN by hand as flannel makes it, and beside routes alone.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench tunnel`, as root. Repetitions: `POPLIN_REPETITIONS`. Two hosts with a
//! router between them, a container on each, in network namespaces of one machine: no wire is in it, and no card that knows VXLAN. Told is how
//! long 256 MiB take by one TCP connection, and how long a datagram of 64 octets and its answer do. By hand there is no policy.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use figures::{Line, Times, setting, tell, time};
use poplin_lab::{Agent, Lab, Namespace, Tor, until};

const OCTETS: usize = 256 << 20;

/// Questions in a row, each after the answer to the last.
const QUESTIONS: usize = 2_000;

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 20);
    let lab = Lab::new();
    let mut tor = lab.tor();
    tor.start_etcd();
    let (_hosts, [wrapped, plain]) = poplin(&lab, &tor);
    let ways = [wrapped, by_hand(&lab, &tor, 11, true), plain, by_hand(&lab, &tor, 21, false)];
    let names = ["Poplin, always", "VXLAN by hand", "Poplin, never", "routes by hand"];

    let (mut transfers, mut answers) = (<[Times; 4]>::default(), <[Times; 4]>::default());
    for _ in 0..repetitions {
        for (way, (transfers, answers)) in ways.iter().zip(transfers.iter_mut().zip(&mut answers)) {
            transfers.add(way.transfer());
            answers.extend(way.questions());
        }
    }
    for (what, times) in [("256 MiB by TCP", &transfers), ("question and answer", &answers)] {
        let line = |(who, mine)| Line { what, who: str::to_owned(who), times: mine, reference: &times[1] };
        let lines: Vec<_> = names.into_iter().zip(times).map(line).collect();
        tell("tunnel", "Between containers of two hosts with a router between; ratio to VXLAN by hand", &lines);
    }
}

/// From one container to another.
struct Way {
    from: Namespace,
    to: Namespace,
    at: SocketAddr,
    /// The hosts that are nobody else's.
    _hosts: Vec<Namespace>,
}

impl Way {
    /// How long all octets take to arrive.
    fn transfer(&self) -> Duration {
        let listener = self.to.within(|| TcpListener::bind((self.at.ip(), 0)).unwrap());
        let to = listener.local_addr().unwrap();
        thread::scope(|scope| {
            let receiver = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut room = vec![0; 1 << 17];
                let mut count = 0;
                while count < OCTETS {
                    count += stream.read(&mut room).unwrap();
                }
                stream.write_all(b"!").unwrap();
            });
            let mut stream = self.from.connect(to.ip(), to.port()).unwrap();
            let (_, taken) = time(|| {
                let piece = vec![7; 1 << 17];
                (0..OCTETS / piece.len()).for_each(|_| stream.write_all(&piece).unwrap());
                stream.read_exact(&mut [0]).unwrap();
            });
            receiver.join().unwrap();
            taken
        })
    }

    /// How long each question took to be answered.
    fn questions(&self) -> Vec<Duration> {
        let bind = |namespace: &Namespace, to: SocketAddr| {
            let socket = namespace.within(|| UdpSocket::bind(to).unwrap());
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket
        };
        let answering = bind(&self.to, self.at);
        let to = answering.local_addr().unwrap();
        let asking = bind(&self.from, SocketAddr::from(([0, 0, 0, 0], 0)));
        asking.connect(to).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut word = [0; 64];
                for _ in 0..QUESTIONS {
                    let (length, from) = answering.recv_from(&mut word).unwrap();
                    answering.send_to(&word[..length], from).unwrap();
                }
            });
            let ask = |_| {
                let mut word = [3; 64];
                time(|| {
                    asking.send(&word).unwrap();
                    asking.recv(&mut word).unwrap();
                })
                .1
            };
            (0..QUESTIONS).map(ask).collect()
        })
    }
}

/// A fabric of two pools; of that which is not wrapped, the router is told where each container is.
fn poplin(lab: &Lab, tor: &Tor) -> ([Agent; 2], [Way; 2]) {
    let mut hosts = [1, 2].map(|number| tor.host(lab, number));
    hosts.iter_mut().for_each(Agent::launch);
    hosts.iter_mut().for_each(Agent::until_ready);
    hosts[0].apply(
        "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: always}, spec: {cidr: 10.77.0.0/16, encapsulation: always}}\n---\n\
         {apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: never}, spec: {cidr: 10.78.0.0/16}}",
    );
    hosts.iter().for_each(|host| host.until_established(1));
    let ways = ["always", "never"].map(|pool| {
        let [from, to] = [0, 1].map(|host: usize| {
            let mut container = lab.container(&format!("{pool}{host}"));
            hosts[host].attach_with(&mut container, &["--pool", pool]);
            if pool == "never" {
                let behind = format!("172.31.{}.2", host + 1);
                tor.namespace().run("ip", &["route", "add", &container.v4().to_string(), "via", &behind]);
            }
            container
        });
        until("they talk", || from.reaches(to.v4()));
        let at = SocketAddr::new(to.v4(), 0);
        Way { from: from.into_namespace(), to: to.into_namespace(), at, _hosts: Vec::new() }
    });
    (hosts, ways)
}

/// Two hosts that `ip` has made, with tunnels as flannel has them, or with routes to each other by the router.
fn by_hand(lab: &Lab, tor: &Tor, first: u8, is_wrapped: bool) -> Way {
    let [from, to] = [first, first + 1].map(|number| {
        let (host, container) = (lab.namespace(&format!("by-hand{number}")), lab.namespace(&format!("hc{number}")));
        let ip = |line: String| drop(host.run("ip", &line.split(' ').collect::<Vec<_>>()));
        let (near, far) = (format!("172.31.{number}.1"), format!("172.31.{number}.2"));
        tor.namespace().join(&format!("u{number}"), &[&format!("{near}/24")], &host, "uplink", &[&format!("{far}/24")]);
        ip(format!("route add default via {near}"));
        host.join("veth0", &[&format!("10.88.{number}.1/24")], &container, "eth0", &[&format!("10.88.{number}.2/24")]);
        container.run("ip", &["route", "add", "default", "via", &format!("10.88.{number}.1")]);
        host.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
        let other = first + first + 1 - number;
        if is_wrapped {
            let mac = |number: u8| format!("02:00:00:00:00:{number:02x}");
            ip(format!(
                "link add flannel.1 mtu 1450 address {} type vxlan id 1 dstport 8472 local {far} nolearning",
                mac(number)
            ));
            ip("link set flannel.1 up".to_owned());
            ip(format!("address add 10.88.{number}.0/32 dev flannel.1"));
            ip(format!("neighbour add 10.88.{other}.0 lladdr {} dev flannel.1 nud permanent", mac(other)));
            host.run("bridge", &["fdb", "add", &mac(other), "dev", "flannel.1", "dst", &format!("172.31.{other}.2")]);
            ip(format!("route add 10.88.{other}.0/24 via 10.88.{other}.0 dev flannel.1 onlink"));
            container.run("ip", &["link", "set", "eth0", "mtu", "1450"]);
        } else {
            let behind = [&format!("10.88.{number}.0/24"), "via", &far];
            tor.namespace().run("ip", &[&["route", "add"][..], &behind].concat());
        }
        (host, container)
    });
    let ((from_host, from), (to_host, to)) = (from, to);
    let at = SocketAddr::from(([10, 88, first + 1, 2], 0));
    Way { from, to, at, _hosts: vec![from_host, to_host] }
}
