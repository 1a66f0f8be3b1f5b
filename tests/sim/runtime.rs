//! The container runtimes of all hosts, and what goes wrong around them.
//!
//! In: a seed. Out: a world in which containers come and go while nodes die, stores hide and other hands meddle; then a calm in
//! which everything must come right. Callers behave as CNI runtimes do: who was refused, or lost the agent while waiting, asks for
//! removal until it is granted.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use poplin_node::kernel::{NewLink, Step, Target};
use poplin_node::name::{AttachmentId, EndpointName};
use poplin_node::object::{AwaitedPeers, LONG_LIVED};
use poplin_node::request::{Answer, Attach, Detach, Refusal};
use poplin_policy::label::Labels;

use crate::laws::{self, READINESS};
use crate::world::{HostId, Report, Request, Unkindness, World};

/// How long the trouble lasts.
const TROUBLE: Duration = Duration::from_secs(45);

/// How long the routes of a neighbour that was lost are kept: it may only be restarting, and then they are the last choice.
const GRACE: Duration = Duration::from_secs(120).saturating_add(LONG_LIVED);

/// The cue for the next misfortune; smaller ones belong to containers.
const MISFORTUNE: u64 = u64::MAX;

const POLICY: &str = r#"{"apiVersion":"poplin.dev/v1","kind":"Policy","metadata":{"name":"web"},"spec":{"subject":"app == 'web'","ingress":[{"name":"db","action":"allow","from":{"select":"app == 'db'"},"ports":["tcp/80"]}]}}"#;

/// What a container's runtime is about to ask, or has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Join,
    JoinAgain,
    Leave,
}

/// How far a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Planned,
    Joining,
    Joined,
    Leaving,
    Gone,
}

/// One container.
#[derive(Clone, Debug)]
struct Container {
    host: HostId,
    attach: Attach,
    phase: Phase,
    /// Whether it runs until the calm.
    stays: bool,
    /// Its namespace went before it was told to leave.
    is_bare: bool,
}

/// The runtimes, and the world they live in.
#[derive(Debug)]
pub struct Runtime {
    /// The world.
    pub world: World,
    containers: Vec<Container>,
    is_calm: bool,
    is_policed: bool,
    is_closed: bool,
    has_v6: bool,
    /// Whether hosts wrap what they send one another, where pools are open.
    is_wrapped: bool,
    /// Whether no host takes of another's blocks: then hosts give of them also while the store is away.
    is_strict: bool,
    /// Whether the store is saved and restored in the course of the trouble.
    is_restored: bool,
    /// Whether hosts lose what they have on their disks, too.
    is_robbed: bool,
}

impl Runtime {
    /// A small fabric with small pools, and so many containers that want to live in it.
    pub fn new(seed: u64) -> Self {
        let hosts = 2 + usize::try_from(seed % 3).expect("it is below 3");
        let has_v6 = seed % 2 == 1;
        let world = World::new(seed, hosts, has_v6);
        let mut runtime = Self {
            world,
            containers: Vec::new(),
            is_calm: false,
            is_policed: false,
            is_closed: false,
            has_v6,
            is_wrapped: seed % 5 < 2,
            is_strict: seed % 4 >= 2,
            is_restored: false,
            is_robbed: false,
        };
        runtime.declare_pools();
        runtime.declare_readiness(match seed % 6 {
            2 => AwaitedPeers::Any,
            3 => AwaitedPeers::All,
            _ => AwaitedPeers::Nobody,
        });
        for index in 0..24 {
            runtime.plan_container(index);
        }
        runtime.world.unkind = Unkindness {
            untold_one_in: 12,
            step_fails_one_in: 150,
            slowness_ms: [20, 200, 1500][runtime.world.chance.below(3)],
        };
        runtime.world.cue(Duration::from_millis(500), MISFORTUNE);
        runtime
    }

    fn declare_pools(&mut self) {
        let (disabled, strict) = (self.is_closed, self.is_strict);
        let encapsulation = if self.is_wrapped && !disabled { "always" } else { "never" };
        let pool = |name: &str, cidr: &str, size: u8| {
            format!(
                r#"{{"apiVersion":"poplin.dev/v1","kind":"Pool","metadata":{{"name":"{name}"}},"spec":{{"cidr":"{cidr}","blockSize":{size},"disabled":{disabled},"strictAffinity":{strict},"encapsulation":"{encapsulation}"}}}}"#
            )
        };
        self.world.declare("c/pool/four", Some(&pool("four", "10.77.0.0/28", 30)));
        if self.has_v6 {
            self.world.declare("c/pool/six", Some(&pool("six", "fd77::/124", 126)));
        }
    }

    /// Who joins waits for other hosts, in some worlds.
    fn declare_readiness(&mut self, awaited: AwaitedPeers) {
        let peers = match awaited {
            AwaitedPeers::Nobody => return,
            AwaitedPeers::Any => "any",
            AwaitedPeers::All => "all",
        };
        let seconds = READINESS.as_secs();
        let document = format!(
            r#"{{"apiVersion":"poplin.dev/v1","kind":"FabricConfig","metadata":{{"name":"default"}},"spec":{{"readiness":{{"peers":"{peers}","timeoutSeconds":{seconds}}}}}}}"#
        );
        self.world.declare("c/fabricconfig/default", Some(&document));
        self.world.awaited = awaited;
    }

    fn plan_container(&mut self, index: usize) {
        let chance = &mut self.world.chance;
        let host = chance.below(self.world.hosts.len());
        // Some are twins: the runtime of another host believes it has the same container.
        let twin = index.checked_sub(1).filter(|_| chance.one_in(12));
        let name = chance.one_in(5).then(|| EndpointName::new(format!("n{}", chance.below(3))));
        let is_sticky = name.is_some() && chance.one_in(2);
        let mut addresses = BTreeSet::new();
        if chance.one_in(4) {
            addresses.insert(IpAddr::from([10, 77, 0, u8::try_from(chance.below(16)).expect("it is below 16")]));
        }
        let app = ["web", "db"][chance.below(2)];
        let published = chance.one_in(3).then(|| format!("{}:80", 8080 + chance.below(3)));
        let mut attach = Attach {
            attachment: AttachmentId { container: format!("c{index}"), interface: "eth0".to_owned() },
            name,
            labels: Labels::try_from_pairs([("app", app)]).expect("they are labels"),
            namespace: None,
            ports: Vec::new(),
            published: published.iter().map(|text| text.parse().expect("it is a port")).collect(),
            netns: PathBuf::from(format!("/run/netns/c{index}")),
            addresses,
            preferred: Vec::new(),
            has_all_addresses: false,
            mac: None,
            network: None,
            pools: BTreeSet::new(),
            is_sticky,
            profiles: Vec::new(),
            at: None,
            aliases: BTreeSet::new(),
        };
        if let Some(twin) = twin {
            attach.attachment = self.containers[twin].attach.attachment.clone();
            attach.addresses = self.containers[twin].attach.addresses.clone();
        }
        let stays = twin.is_none() && chance.one_in(4);
        let at = chance.between_ms(500, 40_000);
        self.containers.push(Container { host, attach, phase: Phase::Planned, stays, is_bare: false });
        self.cue(index, Ask::Join, at);
        let same = |other: &Container| other.attach.attachment == self.containers[index].attach.attachment;
        if self.containers[..index].iter().any(|other| other.host == host && same(other)) {
            self.containers[index].phase = Phase::Gone; // one runtime knows its own containers
        }
    }

    fn cue(&mut self, index: usize, ask: Ask, delay: Duration) {
        self.world.cue(delay, (index * 3 + ask as usize) as u64);
    }

    fn cue_soon(&mut self, index: usize, ask: Ask) {
        let delay = self.world.chance.between_ms(100, 1500);
        self.cue(index, ask, delay);
    }

    /// Lets the world go on until that time.
    pub fn run_until(&mut self, end: Duration) {
        while let Some(report) = self.world.next_report(end) {
            match report {
                Report::Cue(MISFORTUNE) => self.misfortune(),
                Report::Cue(cue) => {
                    let cue = usize::try_from(cue).expect("it was made of a usize");
                    let ask = [Ask::Join, Ask::JoinAgain, Ask::Leave][cue % 3];
                    self.ask(cue / 3, ask);
                }
                Report::Answered(request, answer) => self.answered(&request, answer),
                Report::Forgotten(request) => self.forgotten(&request),
            }
        }
    }

    fn ask(&mut self, index: usize, ask: Ask) {
        let one = self.containers[index].clone();
        let subject = index * 3 + ask as usize;
        let is_asked = match (ask, one.phase) {
            (Ask::Join, Phase::Planned) => {
                self.world.hosts[one.host].kernel.namespaces.insert(one.attach.netns.clone());
                self.set_phase(index, Phase::Joining);
                if self.world.chance.one_in(6) {
                    self.cue_soon(index, Ask::JoinAgain);
                }
                self.world.attach(one.host, subject, one.attach)
            }
            (Ask::JoinAgain, Phase::Joining | Phase::Joined) => {
                self.world.attach(one.host, subject, one.attach);
                true
            }
            (Ask::Leave, Phase::Joining | Phase::Joined | Phase::Leaving) => {
                self.set_phase(index, Phase::Leaving);
                if self.world.chance.one_in(2) {
                    self.lose_namespace(index);
                }
                let detach = Detach::Attachment(one.attach.attachment);
                self.world.detach(one.host, subject, detach)
            }
            _ => true,
        };
        match ask {
            Ask::Join if !is_asked => {
                self.set_phase(index, Phase::Planned);
                self.cue_soon(index, Ask::Join);
            }
            Ask::Leave if !is_asked => self.cue_soon(index, Ask::Leave),
            Ask::Join | Ask::JoinAgain | Ask::Leave => {}
        }
    }

    fn answered(&mut self, request: &Request, answer: Answer) {
        let (index, ask) = (request.subject / 3, [Ask::Join, Ask::JoinAgain, Ask::Leave][request.subject % 3]);
        let phase = self.containers[index].phase;
        match (ask, answer) {
            (Ask::Join, Answer::Attached(_)) if phase == Phase::Joining => {
                self.set_phase(index, Phase::Joined);
                if !self.containers[index].stays {
                    let delay = self.world.chance.between_ms(500, 12_000);
                    self.cue(index, Ask::Leave, delay);
                }
            }
            (Ask::Join, Answer::Refused(_)) if phase == Phase::Joining => {
                self.set_phase(index, Phase::Leaving);
                self.cue_soon(index, Ask::Leave);
            }
            // It was asked to leave, or asked twice, in the meantime.
            (Ask::Join, Answer::Attached(_) | Answer::Refused(_)) => {}
            // The runtime takes any refusal but this one for the end of the container.
            (Ask::JoinAgain, Answer::Attached(_) | Answer::Refused(Refusal::Busy { .. })) => {}
            (Ask::JoinAgain, Answer::Refused(_)) => self.cue_soon(index, Ask::Leave),
            (Ask::Leave, Answer::Detached(_)) => self.left(index),
            (Ask::Leave, Answer::Refused(_)) => self.cue_soon(index, Ask::Leave),
            (ask, answer) => panic!("{ask:?} was answered with {answer:?}"),
        }
    }

    /// The law of leaving: who was told that nothing is left can rely on it.
    fn left(&mut self, index: usize) {
        let one = self.containers[index].clone();
        let host = &self.world.hosts[one.host];
        let is_its = |endpoint: &poplin_node::object::Endpoint| {
            endpoint.attachment == one.attach.attachment && endpoint.host == host.identity.host
        };
        let is_owed = host.owed.iter().any(|debt| debt.attachment == one.attach.attachment);
        let left = laws::stored(&self.world).endpoints.into_iter().find(|endpoint| is_its(endpoint) && !is_owed);
        let is_brought_back = self.world.is_forgetful; // the host may not have noticed
        assert!(is_brought_back || left.is_none(), "c{index} was told that nothing is left, and there is {left:?}");
        self.set_phase(index, Phase::Gone);
        self.lose_namespace(index);
    }

    fn forgotten(&mut self, request: &Request) {
        let (index, ask) = (request.subject / 3, [Ask::Join, Ask::JoinAgain, Ask::Leave][request.subject % 3]);
        match (ask, self.containers[index].phase) {
            (_, Phase::Gone) => {}
            (Ask::Join | Ask::JoinAgain | Ask::Leave, _) => {
                self.set_phase(index, Phase::Leaving); // whatever it was, the runtime takes it for failed
                self.cue_soon(index, Ask::Leave);
            }
        }
    }

    fn set_phase(&mut self, index: usize, phase: Phase) {
        self.containers[index].phase = phase;
    }

    fn lose_namespace(&mut self, index: usize) {
        let (host, netns) = (self.containers[index].host, self.containers[index].attach.netns.clone());
        self.containers[index].is_bare = true;
        self.world.tell(|| format!("host {host} loses {}", netns.display()));
        self.world.hosts[host].kernel.lose_namespace(&netns);
        self.world.notice(host);
    }

    /// Something goes wrong.
    fn misfortune(&mut self) {
        if self.is_calm {
            return;
        }
        let host = self.world.chance.below(self.world.hosts.len());
        if self.world.chance.one_in(8) {
            self.move_floating_address();
        }
        let ways = if self.is_restored { 20 } else { 16 };
        match self.world.chance.below(ways) {
            0 | 1 => self.kill(host),
            2 => {
                let during = self.world.chance.between_ms(200, 14_000);
                self.world.lose_store(host, during);
            }
            3 => self.world.read_store(host),
            4..=7 => self.meddle(host),
            8 => self.world.alter_rules(host),
            9 => self.world.break_connection(host),
            10 => {
                self.is_policed = !self.is_policed;
                self.world.declare("c/policy/web", self.is_policed.then_some(POLICY));
            }
            11 => {
                self.is_closed = !self.is_closed;
                self.declare_pools();
            }
            12 => {
                let flaky = [0, 3, 10][self.world.chance.below(3)];
                self.world.hosts[host].step_fails_one_in = flaky;
            }
            13 => {
                if let Some(index) = self.any(host, Phase::Joined) {
                    self.lose_namespace(index);
                    self.cue_soon(index, Ask::Leave);
                }
            }
            14 => {
                if let Some(index) = self.any(host, Phase::Joined) {
                    self.ask(index, Ask::JoinAgain);
                }
            }
            16 | 17 => self.world.save(),
            18 | 19 => {
                if self.world.chance.one_in(2) {
                    self.world.restore();
                }
            }
            _ => {
                if self.world.chance.one_in(4) {
                    self.reboot(host);
                }
            }
        }
        let delay = self.world.chance.between_ms(100, 1500);
        self.world.cue(delay, MISFORTUNE);
    }

    /// A person has a floating address lead to another endpoint, to one that is not there, to nobody, or forgets it.
    fn move_floating_address(&mut self) {
        let (number, is_v6) = (self.world.chance.below(2), self.has_v6 && self.world.chance.one_in(3));
        let address = if is_v6 { format!("2001:db8::{number}") } else { format!("198.51.100.{number}") };
        let path = format!("c/floatingaddress/f{}-{number}", if is_v6 { 6 } else { 4 });
        let endpoints: Vec<String> =
            laws::stored(&self.world).endpoints.iter().map(|endpoint| endpoint.name.to_string()).collect();
        let until_detached = self.world.chance.one_in(2);
        let spec = match (self.world.chance.below(6), self.world.chance.pick(&endpoints)) {
            (0, _) => return self.world.declare(&path, None),
            (1, _) => format!(r#"{{"address":"{address}"}}"#),
            (2, _) | (_, None) => format!(r#"{{"address":"{address}","endpoint":"nobody"}}"#),
            (_, Some(name)) => {
                format!(r#"{{"address":"{address}","endpoint":"{name}","untilDetached":{until_detached}}}"#)
            }
        };
        let name = path.rsplit('/').next().expect("a path has a last part");
        let document = format!(
            r#"{{"apiVersion":"poplin.dev/v1","kind":"FloatingAddress","metadata":{{"name":"{name}"}},"spec":{spec}}}"#
        );
        self.world.declare(&path, Some(&document));
    }

    fn kill(&mut self, host: HostId) {
        match self.is_robbed && self.world.chance.one_in(3) {
            true => self.world.rob(host),
            false => self.world.kill(host),
        }
        let delay = self.world.chance.between_ms(50, 3000);
        self.world.start(host, delay);
    }

    fn reboot(&mut self, host: HostId) {
        self.world.tell(|| format!("host {host} reboots"));
        self.world.power_off(host);
        for index in 0..self.containers.len() {
            let one = &self.containers[index];
            if one.host == host && matches!(one.phase, Phase::Joining | Phase::Joined | Phase::Leaving) {
                self.containers[index].is_bare = true;
                self.cue_soon(index, Ask::Leave);
            }
        }
        let delay = self.world.chance.between_ms(1000, 5000);
        self.world.start(host, delay);
    }

    fn any(&mut self, host: HostId, phase: Phase) -> Option<usize> {
        let all = self.containers.iter().enumerate();
        let all: Vec<usize> =
            all.filter(|(_, one)| one.host == host && one.phase == phase).map(|(index, _)| index).collect();
        self.world.chance.pick(&all)
    }

    /// Another hand changes what is ours in the kernel.
    fn meddle(&mut self, host: HostId) {
        let way = self.world.chance.below(4);
        let state = &self.world.hosts[host].kernel.state;
        let routes: Vec<_> = state.routes.keys().copied().collect();
        let links: Vec<_> = state.links.keys().cloned().collect();
        let neighbours: Vec<_> = state.neighbours.keys().cloned().collect();
        let takes_tunnel = state.tunnel.is_some() && routes.len().is_multiple_of(2);
        let (route, link, neighbour) =
            (self.world.chance.pick(&routes), self.world.chance.pick(&links), self.world.chance.pick(&neighbours));
        self.world.tell(|| format!("host {host} is meddled with: {way} {route:?} {link:?}"));
        let kernel = &mut self.world.hosts[host].kernel;
        match (way, route, link, neighbour) {
            (1, ..) if takes_tunnel => kernel.lose_tunnel(),
            (0, Some(route), ..) => kernel.lose_route(&route),
            (1, _, Some(link), _) => kernel.lower(&link),
            (2, _, Some(link), _) => kernel.disturb(&link),
            (_, _, _, Some(neighbour)) => kernel.lose_neighbour(&neighbour),
            _ => {}
        }
        self.world.notice(host);
    }

    /// The trouble ends; everything must come right, and then stand still.
    pub fn calm(&mut self) {
        self.run_until(TROUBLE);
        self.is_calm = true;
        self.world.tell(|| "calm".to_owned());
        self.world.unkind = Unkindness { slowness_ms: 20, ..Unkindness::default() };
        self.is_closed = false;
        self.declare_pools();
        for host in 0..self.world.hosts.len() {
            self.world.hosts[host].step_fails_one_in = 0;
            self.world.start(host, Duration::ZERO);
            self.world.notice(host);
        }
        self.evict();
        self.settle(Duration::from_secs(240));
        // What a host that was robbed had attached since the store was saved, nobody knows any more.
        let is_lost = |one: &Container| self.world.is_forgetful && self.world.hosts[one.host].was_robbed;
        let whole = self.containers.iter().filter(|one| one.phase == Phase::Joined && !one.is_bare && !is_lost(one));
        for one in whole {
            let interface = laws::stored(&self.world)
                .endpoints
                .into_iter()
                .find(|endpoint| endpoint.attachment == one.attach.attachment)
                .unwrap_or_else(|| panic!("{} was attached, and is not in the store", one.attach.attachment))
                .interface;
            let links = &self.world.hosts[one.host].kernel.state.links;
            assert!(links.contains_key(&interface), "{} lost its link", one.attach.attachment);
        }
    }

    /// The store is saved and restored in the course of the trouble.
    pub fn be_restored(&mut self) {
        self.is_restored = true;
    }

    /// So it is, and hosts lose what they have on their disks.
    pub fn be_restored_and_robbed(&mut self) {
        (self.is_restored, self.is_robbed) = (true, true);
    }

    /// Whose address is another's since the store was restored is asked to leave.
    fn evict(&mut self) {
        if !self.world.is_forgetful {
            return;
        }
        let end = self.world.now() + Duration::from_secs(60);
        self.run_until(end);
        for host in 0..self.world.hosts.len() {
            for one in self.world.contested(host) {
                let is_its = |it: &Container| it.host == host && it.attach.attachment == one.endpoint.attachment;
                let index = self.containers.iter().position(is_its).expect("it is a container's");
                self.cue_soon(index, Ask::Leave);
            }
        }
    }

    /// No container that runs lost its link or a route to it, whatever the store said.
    pub fn assert_all_go_on(&self) {
        for one in self.containers.iter().filter(|one| one.phase == Phase::Joined && !one.is_bare) {
            let done = &self.world.hosts[one.host].done;
            let is_made = |step: &Step| matches!(step, Step::CreateLink(new) if new.netns == one.attach.netns);
            let Some(from) = done.iter().rposition(is_made) else { continue };
            let Step::CreateLink(NewLink { interface, .. }) = &done[from] else { continue };
            let own = done[from..].iter().filter_map(|step| match step {
                Step::SetRoute { destination, target: Target::Link(to), .. } if to == interface => Some(*destination),
                _ => None,
            });
            // A floating address may be another's by now.
            let own: BTreeSet<_> = own.filter(|prefix| !floats(prefix)).collect();
            let is_lost = |step: &&Step| matches!(step, Step::RemoveRoute(prefix) if own.contains(prefix));
            assert_eq!(done[from..].iter().find(is_lost), None, "{} was cut off", one.attach.attachment);
        }
    }

    /// Goes on for a while; nothing may be done in the last part of it, and all must be as it should.
    fn settle(&mut self, during: Duration) {
        let end = self.world.now() + during;
        self.run_until(end - Duration::from_secs(25));
        let deeds = self.world.deeds;
        self.run_until(end);
        assert_eq!(self.world.deeds, deeds, "the nodes find no rest");
        laws::quiet(&self.world);
    }

    /// Every node dies and comes back; it must find all as it should be, and disturb nothing.
    pub fn restart_all(&mut self) {
        for host in 0..self.world.hosts.len() {
            let before = self.world.hosts[host].kernel.shape();
            let rules = self.world.hosts[host].kernel.rules.clone();
            self.world.hosts.iter_mut().for_each(|one| one.done.clear());

            self.world.store_is_far_for = Duration::from_secs([0, 0, 45][self.world.chance.below(3)]);
            self.world.kill(host);
            self.world.start(host, Duration::from_millis(10));
            self.settle(Duration::from_secs(140));

            let mut done = self.world.hosts.iter().flat_map(|one| &one.done);
            let harms = |step: &&Step| match step {
                Step::EnableForwarding | Step::ChangeRules(_) | Step::ChangeSandbox { .. } => false,
                Step::AddGateway(_)
                | Step::LeaveSandbox { .. }
                | Step::CreateLink(_)
                | Step::ConfigureLink(_)
                | Step::LetLoopbackPass { .. }
                | Step::RaiseLink(_)
                | Step::DeleteLink(_)
                | Step::SetNeighbour { .. }
                | Step::SetTunnel(_)
                | Step::RemoveTunnel
                | Step::SetFdbEntry { .. }
                | Step::RemoveFdbEntry(_)
                | Step::RemoveNeighbour { .. }
                | Step::SetTunnelRule(..)
                | Step::RemoveTunnelRule(..)
                | Step::SetTunnelHost { .. }
                | Step::RemoveTunnelHost { .. }
                | Step::SetProxyNeighbour { .. }
                | Step::RemoveProxyNeighbour { .. }
                | Step::SetRoute {
                    target:
                        Target::Link(_) | Target::Endpoints(_) | Target::Gateways(_) | Target::Group(_) | Target::Blackhole,
                    ..
                }
                | Step::SetNextHop { .. }
                | Step::RemoveNextHop(_)
                | Step::RemoveRoute(_) => true,
            };
            assert_eq!(done.find(harms), None, "a step on some host after a restart of host {host}");
            assert_eq!(self.world.hosts[host].kernel.shape(), before);
            assert_eq!(self.world.hosts[host].kernel.rules, rules);
        }
    }

    /// Everybody leaves.
    pub fn empty(&mut self) {
        for index in 0..self.containers.len() {
            self.cue_soon(index, Ask::Leave);
        }
        self.settle(Duration::from_secs(140));
        laws::empty(&self.world);
    }

    /// One host loses power for good; the others forget it once nobody need wait for it any more.
    pub fn lose_host(&mut self, host: HostId) {
        self.world.power_off(host);
        self.settle(poplin_node::HOLD_TIME + GRACE + Duration::from_secs(60));
    }
}

/// Whether this is one of the floating addresses of the worlds.
fn floats(prefix: &IpNet) -> bool {
    let [four, six]: [IpNet; 2] = ["198.51.100.0/24", "2001:db8::/32"].map(|net| net.parse().expect("it is a prefix"));
    four.contains(prefix) || six.contains(prefix)
}
