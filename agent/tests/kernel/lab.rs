//! Network namespaces for tests, and what the tests say to them.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{panic, process, thread};

use poplin_policy::delta::Change;
use poplin_policy::ruleset::{
    Atom, BasePolicy, Chain, Datatype, Dispatch, Element, Field, Form, Hook, HookKind, HookPoint, Interface,
    MapElements, Match, Name, Origin, Rule, Ruleset, Set, Then, Verdict,
};

/// A network namespace that is gone when the test is.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("poplin-test-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run("ip", &["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Runs something in a thread that lives in the namespace, and so do the programs it starts.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = self.path();
        thread::scope(|scope| {
            let worker = scope.spawn(move || {
                let namespace = File::open(path).unwrap();
                rustix::thread::move_into_link_name_space(
                    namespace.as_fd(),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .unwrap();
                work()
            });
            worker.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
        })
    }

    /// `ip` in the namespace; the arguments are separated by blanks.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        let arguments: Vec<_> = ["-n", &self.name].into_iter().chain(arguments.split(' ')).collect();
        run("ip", &arguments)
    }

    /// A program in the namespace, whatever it comes to.
    pub(crate) fn try_run(&self, program: &str, arguments: &str) -> Output {
        let prefix = ["netns", "exec", &self.name, program];
        let arguments: Vec<_> = prefix.into_iter().chain(arguments.split(' ')).collect();
        Command::new("ip").args(arguments).output().unwrap()
    }

    /// Adds an interface that has a carrier, and leads nowhere.
    pub(crate) fn add_interface(&self, name: &str) {
        self.ip(&format!("link add {name} type veth peer name {name}x"));
        self.ip(&format!("link set {name}x up"));
        self.ip(&format!("link set {name} up"));
    }

    /// The index of an interface.
    pub(crate) fn index(&self, interface: &str) -> u32 {
        let told = self.ip(&format!("-o link show {interface}"));
        told.split(':').next().unwrap().parse().unwrap()
    }

    /// Whether one ping is answered within half a second.
    pub(crate) fn reaches(&self, address: &str) -> bool {
        self.try_run("ping", &format!("-c1 -W0.5 -n {address}")).status.success()
    }

    /// Our table as nft prints it, without blanks at the ends of lines.
    pub(crate) fn table(&self) -> String {
        let output = self.try_run("nft", "list table inet poplin");
        assert!(output.status.success(), "{output:?}");
        stdout(&output).lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// The table as JSON, to count things in.
    pub(crate) fn table_json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.try_run("nft", "-j list table inet poplin").stdout).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).stderr(Stdio::null()).status();
    }
}

/// Runs a program that must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    stdout(&output)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until something holds, at most five seconds.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// All changes that make a ruleset, beginning with an empty table.
pub(crate) fn from_nothing(ruleset: &Ruleset) -> Vec<Change> {
    let mut changes = vec![Change::Restart];
    changes.extend(ruleset.counters.iter().map(|name| Change::AddCounter(name.clone())));
    changes.extend(ruleset.sets.iter().map(|(name, set)| Change::AddSet(name.clone(), set.clone())));
    changes.extend(ruleset.maps.iter().map(|(name, map)| Change::AddMap(name.clone(), map.clone())));
    changes.extend(ruleset.chains.iter().map(|(name, chain)| Change::AddChain(name.clone(), chain.hook)));
    changes.extend(ruleset.maps.iter().map(|(name, map)| Change::AlterMap {
        name: name.clone(),
        shape: Box::new(map.clone()),
        removed: none_of(&map.elements),
        added: map.elements.clone(),
    }));
    changes.extend(ruleset.chains.iter().map(|(name, chain)| Change::SetRules(name.clone(), chain.clone())));
    changes
}

/// No elements, of the same kind.
pub(crate) fn none_of(elements: &MapElements) -> MapElements {
    match elements {
        MapElements::Ids(_) => MapElements::Ids(Default::default()),
        MapElements::Verdicts(_) => MapElements::Verdicts(Default::default()),
        MapElements::Counters(_) => MapElements::Counters(Default::default()),
        MapElements::Sockets4(_) => MapElements::Sockets4(Default::default()),
        MapElements::Sockets6(_) => MapElements::Sockets6(Default::default()),
        MapElements::Addresses4(_) => MapElements::Addresses4(Default::default()),
        MapElements::Addresses6(_) => MapElements::Addresses6(Default::default()),
    }
}

/// A dispatch from fields to an id to a verdict.
pub(crate) fn dispatch_by(fields: Vec<Field>, ids: Name, verdicts: Name) -> Then {
    Then::Dispatch(Box::new(Dispatch { from: Origin::Fields { fields, ids }, and: None, counters: None, verdicts }))
}

/// Verdicts by id.
pub(crate) fn by_id(verdicts: impl IntoIterator<Item = (u64, Verdict)>) -> MapElements {
    let element = |(id, verdict)| (Element::exactly([Atom::Id(id)]), verdict);
    MapElements::Verdicts(verdicts.into_iter().map(element).collect())
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text)
}

pub(crate) fn interface(text: &str) -> Interface {
    Interface::new(text).unwrap()
}

pub(crate) fn address4(text: &str) -> Atom {
    Atom::Address4(text.parse().unwrap())
}

pub(crate) fn address6(text: &str) -> Atom {
    Atom::Address6(text.parse().unwrap())
}

pub(crate) fn rule(matches: Vec<Match>, verdict: Verdict) -> Rule {
    Rule { matches, counter: None, then: Then::Verdict(verdict) }
}

/// A base chain at `forward` that lets pass what no rule decides.
pub(crate) fn forward(rules: Vec<Rule>) -> Arc<Chain> {
    Arc::new(Chain {
        hook: Some(Hook { kind: HookKind::Filter, point: HookPoint::Forward, priority: 0, policy: BasePolicy::Accept }),
        rules,
    })
}

pub(crate) fn plain(rules: Vec<Rule>) -> Arc<Chain> {
    Arc::new(Chain { hook: None, rules })
}

pub(crate) fn hash_set(key: Vec<Datatype>, keys: impl IntoIterator<Item = Vec<Atom>>) -> Arc<Set> {
    Arc::new(Set { key, form: Form::Hash, elements: keys.into_iter().map(Element::exactly).collect() })
}

pub(crate) fn interval_set(datatype: Datatype, ranges: impl IntoIterator<Item = (Atom, Atom)>) -> Arc<Set> {
    let elements: BTreeSet<_> = ranges.into_iter().map(|(low, high)| Element::range(low, high)).collect();
    Arc::new(Set { key: vec![datatype], form: Form::Interval, elements })
}

/// Two namespaces joined by a cable: near0 with 10.9.0.1 and fd09::1, far0 with 10.9.0.2 and fd09::2.
pub(crate) struct Pair {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let (near, far) = (Namespace::new(), Namespace::new());
        near.ip(&format!("link add near0 type veth peer name far0 netns {}", far.name));
        near.ip("addr add 10.9.0.1/24 dev near0");
        near.ip("addr add fd09::1/64 dev near0 nodad");
        near.ip("link set near0 up");
        far.ip("addr add 10.9.0.2/24 dev far0");
        far.ip("addr add fd09::2/64 dev far0 nodad");
        far.ip("link set far0 up");
        assert!(eventually(|| far.reaches("10.9.0.1") && far.reaches("fd09::1")));
        Self { near, far }
    }

    /// A socket of the calling thread's namespace with room for everything a test sends.
    pub(crate) fn listen(&self, port: u16) -> UdpSocket {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 256 << 20).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    pub(crate) fn sender(&self) -> UdpSocket {
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap()
    }

    /// How many datagrams wait in a socket.
    pub(crate) fn received(socket: &UdpSocket) -> usize {
        std::iter::from_fn(|| socket.recv(&mut [0; 64]).ok()).count()
    }
}
