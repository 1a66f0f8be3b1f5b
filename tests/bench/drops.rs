//! How long a dropped packet takes to be told: from the packet to its line in `poplin drops --follow`.
//!
//! `cargo build --release --workspace && cargo bench -p poplin-tests --bench drops`. Needs root. Repetitions: `POPLIN_REPETITIONS`. One
//! container sends another a datagram that a rule denies, and then one that a rule logs; each begins a flow of its own. The clock runs from
//! before it is sent to when its line is read from the command's pipe. Reference: the same packet, told by a rule in a table of its own to a
//! bare socket of netlink, which reads and does nothing else.

#![allow(clippy::unwrap_used)] // whatever fails here ends the bench

#[allow(dead_code)]
mod figures;

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use figures::{Line, Times, setting, tell};
use netlink_sys::constants::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use poplin_lab::{Agent, Lab, Namespace, programs};

/// So far apart are packets: of every rule a hundred a second are told.
const APART: Duration = Duration::from_millis(25);
const PATIENCE: Duration = Duration::from_secs(5);

const DENIED: u16 = 9998;
const LOGGED: u16 = 9999;

/// The log group of the reference.
const GROUP: u8 = 7;

const POLICY: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: db}
spec:
  subject: app == 'db'
  ingress:
  - {name: watch, action: log, ports: [udp/9999]}
  - {action: allow, ports: [udp/9999]}
  - {name: no, action: deny, ports: [udp/9998]}
";

const REFERENCE: &str = "table inet reference {
    chain forward {
        type filter hook forward priority -10;
        udp dport 9998-9999 log group 7 snaplen 128
    }
}";

fn main() {
    let repetitions = setting("POPLIN_REPETITIONS", 200);
    let lab = Lab::new();
    let mut host = Agent::new(&lab, lab.namespace("host"), "host");
    host.start();
    let (mut web, mut db) = (lab.container("web"), lab.container("db"));
    host.attach(&mut web, &["app=web"]);
    host.attach(&mut db, &["app=db"]);
    host.apply(POLICY);
    host.namespace().run("nft", &[REFERENCE]);
    let bare = heard(bare(host.namespace()));
    let (mut poplin, lines) = follow(&host);

    let mut port = 10_000_u16;
    let mut send = |to: u16| {
        port += 1;
        let socket = web.namespace().within(|| UdpSocket::bind(("0.0.0.0", port)).unwrap());
        let sent = Instant::now();
        socket.send_to(b"x", (db.v4(), to)).unwrap();
        sent
    };
    poplin_lab::until("policy holds and is followed", || {
        send(DENIED);
        thread::sleep(APART);
        lines.try_iter().any(|(line, _)| line.contains("db/no"))
    });
    thread::sleep(PATIENCE / 5);
    lines.try_iter().for_each(drop);
    bare.try_iter().for_each(drop);

    let [mut denied, mut logged, mut reference] = [(); 3].map(|()| Times::default());
    for _ in 0..repetitions {
        for (to, word, times) in [(DENIED, "db/no", &mut denied), (LOGGED, "db/watch", &mut logged)] {
            let sent = send(to);
            reference.add(bare.recv_timeout(PATIENCE).unwrap() - sent);
            let (line, told) = lines.recv_timeout(PATIENCE).unwrap();
            assert!(line.contains(word) && line.contains("web") && line.contains(&to.to_string()), "{line}");
            times.add(told - sent);
            thread::sleep(APART);
        }
    }
    poplin.kill().unwrap();
    poplin.wait().unwrap();
    let line = |what, times| Line { what, who: "packet to line".to_owned(), times, reference: &reference };
    let lines = [line("dropped packet", &denied), line("logged packet", &logged), line("bare netlink", &reference)];
    tell("drops", "From packet to line; ratio to the same packet heard by a bare socket", &lines);
}

/// What `poplin drops --follow` says, and when each line was read.
fn follow(host: &Agent) -> (Child, Receiver<(String, Instant)>) {
    let mut command = host.namespace().command(programs().join("poplin"));
    command.arg("--socket").arg(host.socket()).args(["drops", "--follow"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (tell, told) = channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if tell.send((line, Instant::now())).is_err() {
                break;
            }
        }
    });
    (child, told)
}

/// A socket that is told of the reference's packets (linux/netfilter/nfnetlink_log.h).
fn bare(host: &Namespace) -> Socket {
    let mut socket = host.within(|| Socket::new(NETLINK_NETFILTER).unwrap());
    socket.bind(&SocketAddr::new(0, 0)).unwrap();
    // Bind; copy 128 octets; one packet is told at once.
    for (kind, value) in [(1, &[1_u8][..]), (2, &[0, 0, 0, 128, 2, 0]), (5, &[0, 0, 0, 1])] {
        socket.send_to(&configuration(kind, value), &SocketAddr::new(0, 0), 0).unwrap();
        let (answer, _) = socket.recv_from_full().unwrap();
        assert_eq!(answer[16..20], [0; 4], "the kernel takes attribute {kind}");
    }
    socket
}

/// `NFULNL_MSG_CONFIG` with one attribute, to be acknowledged.
fn configuration(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + u16::try_from(value.len()).unwrap();
    let mut body = vec![0, 0, 0, GROUP];
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
    let mut message = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
    message.extend((4_u16 << 8 | 1).to_ne_bytes());
    message.extend(5_u16.to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(body);
    message
}

/// When each packet was heard of.
fn heard(socket: Socket) -> Receiver<Instant> {
    let (tell, told) = channel();
    thread::spawn(move || while socket.recv_from_full().is_ok() && tell.send(Instant::now()).is_ok() {});
    told
}
