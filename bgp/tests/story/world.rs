//! Some speakers joined by pipes, in virtual time, with the order of events and the cuts of the stream left to a seed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use poplin_bgp::{
    Action, Address, Asn, BestChange, CommunityChange, ConnectionId, Event, Exchange, Monitoring, NeighbourConfig,
    NeighbourView, Note, Order, PrefixLimits, Protection, RESTART_TIME, RouteChange, RouteCondition, RouteMap,
    RouteRule, RouteRules, SessionState, Speaker, SpeakerConfig, Verdict,
    bfd::Settings,
    wire::{AddPaths, AnyCommunity, Family},
};

/// One speaker, and what the hands did for it.
pub(crate) struct Host {
    pub(crate) speaker: Speaker,
    pub(crate) config: SpeakerConfig,
    pub(crate) neighbours: Vec<NeighbourConfig>,
    pub(crate) own: BTreeSet<IpNet>,
    pub(crate) routes: BTreeMap<IpNet, Vec<Address>>,
    /// How often a route was installed or removed.
    pub(crate) route_changes: usize,
    pub(crate) notes: Vec<Note>,
    pub(crate) watched: BTreeMap<Address, Settings>,
    pub(crate) protected: BTreeMap<Address, Protection>,
    pub(crate) best_changes: Vec<BestChange>,
    pub(crate) octets_sent: usize,
    pub(crate) stations: BTreeMap<SocketAddr, Monitoring>,
    /// All that each monitoring station was told.
    pub(crate) reports: BTreeMap<ConnectionId, Vec<u8>>,
}

/// The ends of one pipe, as (host, connection).
type End = (usize, ConnectionId);

/// Some speakers joined by pipes.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    /// What is under way to each end, in order.
    queues: BTreeMap<End, VecDeque<Event>>,
    dials: Vec<(usize, usize)>,
    failures: VecDeque<(usize, Event)>,
    peers: BTreeMap<End, End>,
    /// Hosts between which nothing passes.
    severed: BTreeSet<(usize, usize)>,
    /// What TCP keeps sending again until the way is mended.
    held: Vec<(End, Event)>,
    connections: u64,
    seed: u64,
}

/// Address and identifier of a host: 192.0.2.1 for the first.
pub(crate) fn address(host: usize) -> Address {
    Address::from([192, 0, 2, u8::try_from(host + 1).unwrap()])
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn nets(texts: &[&str]) -> BTreeSet<IpNet> {
    texts.iter().map(|text| net(text)).collect()
}

pub(crate) fn neighbour(address: Address, asn: u32) -> NeighbourConfig {
    NeighbourConfig {
        address,
        port: 179,
        asn: Asn(asn).into(),
        hold_time: Duration::from_secs(90),
        keepalive: None,
        send_hold: None,
        connect_retry: Duration::from_secs(5),
        restart: RESTART_TIME,
        passive: false,
        families: Family::ALL.into(),
        long_lived: None,
        gentle: false,
        extended_next_hop: None,
        next_hop_v4: None,
        next_hop_v6: None,
        bfd: None,
        add_paths: AddPaths::default(),
        extended_messages: false,
        role: None,
        exchange: Exchange::default(),
        protection: Protection::default(),
        limits: PrefixLimits::default(),
        shutdown: None,
    }
}

/// Rules that take everything, and prefer it so much.
pub(crate) fn preferring(local_pref: u32) -> RouteRules {
    changing(RouteChange { local_pref: Some(local_pref), ..RouteChange::default() })
}

/// Rules that take everything without its tags.
pub(crate) fn without_communities() -> RouteRules {
    let communities = CommunityChange { clear: true, ..CommunityChange::default() };
    changing(RouteChange { communities, ..RouteChange::default() })
}

/// Rules that take everything, and add these tags.
pub(crate) fn tagging(add: Vec<AnyCommunity>) -> RouteRules {
    let communities = CommunityChange { add, ..CommunityChange::default() };
    changing(RouteChange { communities, ..RouteChange::default() })
}

fn changing(change: RouteChange) -> RouteRules {
    let rule = RouteRule { when: RouteCondition::default(), verdict: Verdict::Accept, change };
    RouteRules::Map(Arc::new(RouteMap { rules: vec![rule], otherwise: Verdict::Reject }))
}

impl World {
    /// Hosts in these systems, knowing nobody.
    pub(crate) fn of(asns: &[u32], seed: u64) -> Self {
        let hosts = asns.iter().enumerate().map(|(host, &asn)| Host::new(host, asn)).collect();
        Self {
            now: Instant::now(),
            hosts,
            queues: BTreeMap::new(),
            dials: Vec::new(),
            failures: VecDeque::new(),
            peers: BTreeMap::new(),
            severed: BTreeSet::new(),
            held: Vec::new(),
            connections: 0,
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// Everybody knows everybody, and has had time to talk.
    pub(crate) fn mesh(asns: &[u32], seed: u64) -> Self {
        let mut world = Self::of(asns, seed);
        world.acquaint_all();
        world.settle();
        world
    }

    pub(crate) fn acquaint_all(&mut self) {
        let asns: Vec<_> = self.hosts.iter().map(|host| host.config.asn.0).collect();
        for host in 0..asns.len() {
            let others = (0..asns.len()).filter(|&other| other != host);
            self.hosts[host].neighbours = others.map(|other| neighbour(address(other), asns[other])).collect();
            self.configure(host);
        }
    }

    /// Hands the host its configuration as it stands in `hosts`.
    pub(crate) fn configure(&mut self, host: usize) {
        let Host { config, neighbours, .. } = &self.hosts[host];
        let event = Event::Reconfigure { config: *config, neighbours: neighbours.clone() };
        self.handle(host, event);
    }

    /// Hands it its configuration, and begins the sessions anew that would wait for their next one to have all of it.
    pub(crate) fn renew(&mut self, host: usize) {
        self.configure(host);
        let views = self.hosts[host].speaker.neighbours();
        let pending: Vec<_> = views.filter(|view| !view.pending.is_empty()).map(|view| view.address).collect();
        for neighbour in pending {
            self.handle(host, Event::Ordered { neighbour, order: Order::Reset });
        }
    }

    pub(crate) fn originate(&mut self, host: usize, prefixes: &[&str]) {
        self.hosts[host].own = nets(prefixes);
        self.handle(host, Event::Originate(nets(prefixes)));
    }

    /// From now on nothing passes between the two, and nobody is told.
    pub(crate) fn sever(&mut self, one: usize, other: usize) {
        self.severed.extend([(one, other), (other, one)]);
    }

    /// What was held up arrives after all.
    pub(crate) fn mend(&mut self) {
        self.severed.clear();
        for (to, event) in std::mem::take(&mut self.held) {
            self.queues.entry(to).or_default().push_back(event);
        }
    }

    /// A pipe between the two breaks, if there is one: both ends learn of it.
    pub(crate) fn break_pipe(&mut self, one: usize, other: usize) {
        let pipe = self.peers.iter().find(|((host, _), (peer, _))| *host == one && *peer == other);
        let Some((&near, &far)) = pipe else { return };
        for end in [near, far] {
            self.peers.remove(&end);
            self.queues.remove(&end);
            self.held.retain(|(to, _)| *to != end);
            let event = Event::ConnectionClosed { connection: end.1, reason: "connection reset".into() };
            self.queues.entry(end).or_default().push_back(event);
        }
    }

    /// The host's speaker dies; its connections end, and the far ends learn of it or never hear anything again.
    pub(crate) fn kill(&mut self, host: usize, are_told: bool) {
        let near: Vec<End> = self.peers.keys().copied().filter(|end| end.0 == host).collect();
        for end in near {
            let far = self.peers[&end];
            self.peers.remove(&end);
            self.peers.remove(&far);
            if are_told {
                let closed = Event::ConnectionClosed { connection: far.1, reason: "connection reset".into() };
                self.post(host, far, closed);
            }
        }
        self.queues.retain(|end, _| end.0 != host);
        self.held.retain(|(to, _)| to.0 != host);
        self.dials.retain(|(caller, _)| *caller != host);
        self.failures.retain(|(caller, _)| *caller != host);
        let Host { speaker, config, routes, .. } = &mut self.hosts[host];
        *speaker = Speaker::new(*config);
        routes.clear();
    }

    /// The host's speaker begins a new life with the configuration and the prefixes of the old.
    pub(crate) fn revive(&mut self, host: usize) {
        let Host { speaker, config, own, .. } = &mut self.hosts[host];
        *speaker = Speaker::new(*config); // nobody was there meanwhile, not even to feel time pass
        let own = own.clone();
        self.handle(host, Event::Originate(own));
        self.configure(host);
    }

    /// Delivers everything under way, in some order.
    pub(crate) fn settle(&mut self) {
        // The largest story takes a tenth of it: more means that two speakers never agree.
        const STEPS: usize = 10_000_000;
        assert!((0..STEPS).any(|_| !self.step()), "the speakers do not come to rest");
    }

    /// Changes what a host exchanges with another, and hands it the new configuration.
    pub(crate) fn exchange(&mut self, host: usize, other: usize, change: impl FnOnce(&mut Exchange)) {
        let neighbours = &mut self.hosts[host].neighbours;
        let neighbour = neighbours.iter_mut().find(|neighbour| neighbour.address == address(other)).unwrap();
        change(&mut neighbour.exchange);
        self.configure(host);
    }

    /// The two forget each other, or rather are configured so, without a word between them.
    pub(crate) fn part(&mut self, one: usize, other: usize) {
        for (host, gone) in [(one, other), (other, one)] {
            self.hosts[host].neighbours.retain(|neighbour| neighbour.address != address(gone));
            self.configure(host);
        }
    }

    /// The tags and the preference of the best route to a prefix.
    pub(crate) fn best_words(&self, host: usize, prefix: &str) -> String {
        let Some(best) = self.hosts[host].speaker.best(net(prefix)) else { return "none".to_owned() };
        let said = &best.winner.attributes;
        let tags: Vec<_> = said.all_communities().map(|tag| tag.to_string()).collect();
        let words = [("pref", said.local_pref), ("med", said.med)];
        let words = words.into_iter().filter_map(|(word, number)| Some(format!("{word} {}", number?)));
        let path = Some(format!("path [{}]", said.path)).into_iter();
        path.chain(words).chain(tags).collect::<Vec<_>>().join(" ")
    }

    /// Lets time pass, waking each when it asked for it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(at) = self.hosts.iter().filter_map(|host| host.speaker.next_deadline()).min() {
            if at > end {
                break;
            }
            assert!(at >= self.now, "a deadline lies in the past after its tick");
            self.now = at;
            let is_due = |host: &Host| host.speaker.next_deadline().is_some_and(|deadline| deadline <= at);
            let due: Vec<_> = (0..self.hosts.len()).filter(|&host| is_due(&self.hosts[host])).collect();
            due.into_iter().for_each(|host| self.handle(host, Event::Tick));
            self.settle();
        }
        self.now = end;
    }

    pub(crate) fn view(&self, host: usize, of: usize) -> NeighbourView {
        self.hosts[host].speaker.neighbours().find(|view| view.address == address(of)).unwrap()
    }

    pub(crate) fn is_up(&self, one: usize, other: usize) -> bool {
        let up = |host, of| self.view(host, of).state == SessionState::Established;
        up(one, other) && up(other, one)
    }

    pub(crate) fn next_hops(&self, host: usize, prefix: &str) -> Vec<Address> {
        self.hosts[host].routes.get(&net(prefix)).cloned().unwrap_or_default()
    }

    /// How many pipes stand between two hosts.
    pub(crate) fn pipes(&self, one: usize, other: usize) -> usize {
        self.peers.iter().filter(|((host, _), (peer, _))| *host == one && *peer == other).count()
    }

    pub(crate) fn handle(&mut self, host: usize, event: Event) {
        self.hosts[host].speaker.handle(self.now, event);
        while let Some(action) = self.hosts[host].speaker.next_action() {
            self.carry_out(host, action);
        }
    }

    fn carry_out(&mut self, host: usize, action: Action) {
        match action {
            Action::Connect { neighbour, .. } => {
                let other = (0..self.hosts.len()).find(|&other| address(other) == neighbour);
                match other.filter(|&other| !self.severed.contains(&(host, other))) {
                    Some(other) => self.dials.push((host, other)),
                    None => {
                        let failed = Event::ConnectFailed { neighbour, reason: "no route to host".into() };
                        self.failures.push_back((host, failed));
                    }
                }
            }
            Action::StopDialling { neighbour } => {
                self.dials.retain(|(caller, called)| (*caller, address(*called)) != (host, neighbour));
            }
            Action::Send { connection, octets } => self.send((host, connection), &octets),
            Action::AwaitAcknowledged { .. } => unreachable!("nobody here waits for that"),
            Action::Close { connection } => self.close((host, connection)),
            Action::Install { prefix, next_hops } => {
                assert!(!next_hops.is_empty());
                self.hosts[host].route_changes += 1;
                self.hosts[host].routes.insert(prefix, next_hops.to_vec());
            }
            Action::Remove { prefix } => {
                self.hosts[host].route_changes += 1;
                assert!(self.hosts[host].routes.remove(&prefix).is_some());
            }
            Action::Watch(paths) => self.hosts[host].watched = paths,
            Action::Protect(neighbours) => self.hosts[host].protected = neighbours,
            Action::BestChanged(change) => self.hosts[host].best_changes.push(*change),
            Action::Monitor(stations) => self.hosts[host].stations = stations,
            Action::Report { connection, octets } => {
                self.hosts[host].reports.entry(connection).or_default().extend(octets);
            }
            Action::Note(note) => self.hosts[host].notes.push(*note),
        }
    }

    fn send(&mut self, from: End, octets: &[u8]) {
        let is_long = self.hosts[from.0].neighbours.iter().any(|neighbour| neighbour.extended_messages);
        let octets_max = if is_long { 65_535 } else { 4096 };
        assert!(messages(octets).iter().all(|message| message.len() <= octets_max));
        self.hosts[from.0].octets_sent += octets.len();
        let Some(&to) = self.peers.get(&from) else { return };
        let mut left = octets;
        while !left.is_empty() {
            let (chunk, rest) = left.split_at(1 + self.chance(left.len()));
            let event = Event::Received { connection: to.1, octets: chunk.to_vec() };
            self.post(from.0, to, event);
            left = rest;
        }
    }

    fn close(&mut self, end: End) {
        self.queues.remove(&end);
        self.held.retain(|(to, _)| *to != end);
        let Some(to) = self.peers.remove(&end) else { return };
        self.peers.remove(&to);
        let event = Event::ConnectionClosed { connection: to.1, reason: "closed by the peer".into() };
        self.post(end.0, to, event);
    }

    fn post(&mut self, from: usize, to: End, event: Event) {
        if self.severed.contains(&(from, to.0)) {
            self.held.push((to, event));
        } else {
            self.queues.entry(to).or_default().push_back(event);
        }
    }

    /// Delivers one thing that is under way; `false` if there is none.
    fn step(&mut self) -> bool {
        if let Some((host, event)) = self.failures.pop_front() {
            self.handle(host, event);
            return true;
        }
        let choices = self.queues.len() + self.dials.len();
        if choices == 0 {
            return false;
        }
        match self.chance(choices).checked_sub(self.queues.len()) {
            Some(dial) => self.connect(dial),
            None => {
                let end = self.some_end();
                self.deliver(end);
            }
        }
        true
    }

    /// An end to which something is under way: the next from a random place on. Hundreds of speakers have too many to list them at each step.
    fn some_end(&mut self) -> End {
        let connections = usize::try_from(self.connections).unwrap();
        let (host, connection) = (self.chance(self.hosts.len()), self.chance(connections + 1));
        let from = (host, ConnectionId(u64::try_from(connection).unwrap()));
        let end = self.queues.range(from..).chain(&self.queues).next();
        *end.expect("something is under way").0
    }

    fn deliver(&mut self, end: End) {
        let queue = self.queues.get_mut(&end).unwrap();
        let event = queue.pop_front().unwrap();
        if queue.is_empty() {
            self.queues.remove(&end);
        }
        self.handle(end.0, event);
    }

    fn connect(&mut self, dial: usize) {
        let (caller, called) = self.dials.remove(dial);
        let near = (caller, self.name());
        let far = (called, self.name());
        self.peers.extend([(near, far), (far, near)]);
        self.open(near, called, true);
        self.open(far, caller, false);
    }

    fn open(&mut self, (host, connection): End, other: usize, outgoing: bool) {
        let event = Event::ConnectionOpened { connection, neighbour: address(other), outgoing, local: address(host) };
        self.queues.entry((host, connection)).or_default().push_back(event);
    }

    fn name(&mut self) -> ConnectionId {
        self.connections += 1;
        ConnectionId(self.connections)
    }

    fn chance(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        usize::try_from(self.seed >> 11).unwrap() % below
    }
}

impl Host {
    fn new(host: usize, asn: u32) -> Self {
        let std::net::IpAddr::V4(router_id) = address(host).ip() else { unreachable!("hosts have IPv4 addresses") };
        let config = SpeakerConfig { asn: Asn(asn), router_id };
        Self {
            speaker: Speaker::new(config),
            config,
            neighbours: Vec::new(),
            own: BTreeSet::new(),
            routes: BTreeMap::new(),
            route_changes: 0,
            notes: Vec::new(),
            watched: BTreeMap::new(),
            protected: BTreeMap::new(),
            best_changes: Vec::new(),
            octets_sent: 0,
            stations: BTreeMap::new(),
            reports: BTreeMap::new(),
        }
    }
}

/// What was sent at once, one message after the other.
pub(crate) fn messages(mut octets: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while !octets.is_empty() {
        let (message, rest) = octets.split_at(u16::from_be_bytes([octets[16], octets[17]]).into());
        messages.push(message);
        octets = rest;
    }
    messages
}
