//! A whole life of a speaker between a neighbour that says anything at any time and one that behaves: nobody falls, no deadline lies
//! in the past, and what was installed and what was removed stays in step.
//!
//! Tried here at random, and by `bgp/fuzz`, which includes this file, led by coverage.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use poplin_bgp::{
    Action, Address, Asn, ConnectionId, Event, Exchange, LimitAction, NeighbourConfig, Order, PrefixLimits, Protection,
    RESTART_TIME, RemoteAs, RoleConfig, Speaker, SpeakerConfig,
    wire::{AddPaths, Family, Role},
};

const CONFIG: SpeakerConfig = SpeakerConfig { asn: Asn(64512), router_id: Ipv4Addr::new(192, 0, 2, 1) };
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const FRIEND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
const FRIENDS: ConnectionId = ConnectionId(0);

/// The first two octets say how the neighbour is configured. After them come words: what happens, how many octets to it, these.
pub(crate) fn live(input: &[u8]) {
    let Some((&settings, script)) = input.split_first_chunk() else { return };
    let mut life = Life::new(settings);
    let mut script = script;
    while let Some((&what, rest)) = script.split_first() {
        let length = rest.first().map_or(0, |length| usize::from(*length)).min(rest.len().saturating_sub(1));
        let (octets, rest) = rest.get(1..).unwrap_or_default().split_at(length);
        life.happen(what, octets);
        script = rest;
    }
}

/// A speaker, and what its hands know.
struct Life {
    speaker: Speaker,
    now: Instant,
    /// The neighbour's latest connection.
    connection: u64,
    installed: BTreeSet<ipnet::IpNet>,
    /// Where a question for an acknowledgement may be open.
    asked: Option<ConnectionId>,
}

impl Life {
    fn new(settings: [u8; 2]) -> Self {
        let mut life = Self {
            speaker: Speaker::new(CONFIG),
            now: Instant::now(),
            connection: 0,
            installed: BTreeSet::new(),
            asked: None,
        };
        life.configure(settings);
        life.open(FRIEND, FRIENDS, false);
        life.hear(FRIENDS, open(64514, [192, 0, 2, 3]));
        life.hear(FRIENDS, message(4, &[]));
        life.call();
        life
    }

    fn configure(&mut self, settings: [u8; 2]) {
        let neighbours = vec![neighbour(STRANGER, 64513, settings), neighbour(FRIEND, 64514, [2, 0])];
        self.handle(Event::Reconfigure { config: CONFIG, neighbours });
    }

    /// The script's next word.
    fn happen(&mut self, what: u8, octets: &[u8]) {
        let connection = ConnectionId(self.connection);
        match what % 18 {
            0 => self.hear(connection, octets.to_vec()),
            kind @ 1..=5 => self.hear(connection, message(kind, octets)),
            6 => self.hear(connection, open(64513, [192, 0, 2, 2])),
            7 => self.hear(connection, message(4, &[])),
            8 => self.pass(octets.first().copied().unwrap_or(1)),
            9 => self.handle(Event::ConnectionClosed { connection, reason: "reset".into() }),
            10 => self.call(),
            11 => self.handle(Event::ConnectFailed { neighbour: STRANGER.into(), reason: "refused".into() }),
            12 => self.answer(),
            13 => self.handle(Event::Ordered { neighbour: STRANGER.into(), order: order(octets) }),
            14 => self.handle(Event::Originate(own(octets))),
            15 => self.handle(Event::Awaited { prefixes: own(octets), neighbours: [STRANGER.into()].into() }),
            16 => {
                self.asked = None;
                self.handle(Event::Acknowledged { connection });
            }
            _ => self.configure(octets.first_chunk().copied().unwrap_or_default()),
        }
    }

    /// The neighbour calls over a new connection.
    fn call(&mut self) {
        self.connection += 1;
        self.open(STRANGER, ConnectionId(self.connection), false);
    }

    /// The neighbour takes a call of ours, whether we have called or not.
    fn answer(&mut self) {
        self.connection += 1;
        self.open(STRANGER, ConnectionId(self.connection), true);
    }

    fn open(&mut self, neighbour: IpAddr, connection: ConnectionId, outgoing: bool) {
        let (neighbour, local) = (Address::from(neighbour), IpAddr::V4(CONFIG.router_id).into());
        self.handle(Event::ConnectionOpened { connection, neighbour, outgoing, local });
    }

    fn hear(&mut self, connection: ConnectionId, octets: Vec<u8>) {
        self.handle(Event::Received { connection, octets });
    }

    /// So many seconds pass; the neighbour that behaves shows that it is alive.
    fn pass(&mut self, seconds: u8) {
        let end = self.now + Duration::from_secs(seconds.into());
        while let Some(deadline) = self.speaker.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline); // a dial may be due since before a connection ended
            self.handle(Event::Tick);
            let next = self.speaker.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline lies in the past after its tick");
            self.hear(FRIENDS, message(4, &[]));
        }
        self.now = end;
    }

    fn handle(&mut self, event: Event) {
        self.speaker.handle(self.now, event);
        while let Some(action) = self.speaker.next_action() {
            match action {
                Action::Install { prefix, next_hops } => {
                    assert!(!next_hops.is_empty());
                    self.installed.insert(prefix);
                }
                Action::Remove { prefix } => assert!(self.installed.remove(&prefix), "{prefix} was not installed"),
                Action::Send { octets, .. } => assert_whole(&octets),
                Action::AwaitAcknowledged { connection } => {
                    assert_ne!(self.asked.replace(connection), Some(connection), "one question at a time");
                }
                Action::Connect { .. }
                | Action::StopDialling { .. }
                | Action::Close { .. }
                | Action::Protect(_)
                | Action::Watch(_)
                | Action::BestChanged(_)
                | Action::Monitor(_)
                | Action::Report { .. }
                | Action::Note(_) => {}
            }
        }
    }
}

/// What is sent is whole messages, none longer than RFC 8654 allows.
fn assert_whole(mut octets: &[u8]) {
    while !octets.is_empty() {
        let length = usize::from(u16::from_be_bytes([octets[16], octets[17]]));
        assert!((19..=octets.len()).contains(&length));
        octets = &octets[length..];
    }
}

/// Each bit is one prefix of ours.
fn own(octets: &[u8]) -> BTreeSet<ipnet::IpNet> {
    let bits = octets.first().copied().unwrap_or(1);
    let set = (0..8).filter(|bit| bits & 1 << bit != 0);
    set.map(|bit| ipnet::IpNet::new([10, 77, bit, 0].into(), 24).unwrap()).collect()
}

/// What an operator asks for.
fn order(octets: &[u8]) -> Order {
    match octets.first().copied().unwrap_or(0) % 5 {
        0 => Order::AskAgain,
        1 => Order::TellAgain,
        2 => Order::Reset,
        3 => Order::ShutDown(String::from_utf8_lossy(octets).into_owned()),
        _ => Order::Start,
    }
}

/// The lower three bits are a role, if there is one of that number, the next two a limit and what follows from it.
fn bounds(settings: u8) -> (Option<RoleConfig>, PrefixLimits) {
    let role =
        Role::ALL.get(usize::from(settings & 7)).map(|&role| RoleConfig { role, is_strict: settings & 1 << 6 != 0 });
    let action = match settings >> 3 & 3 {
        0 => return (role, PrefixLimits::default()),
        1 => LimitAction::Stop,
        2 => LimitAction::Warn,
        _ => LimitAction::Pause(Duration::from_secs(2)),
    };
    (role, PrefixLimits { v4: Some(1), v6: Some(0), action })
}

fn neighbour(address: IpAddr, asn: u32, [settings, more]: [u8; 2]) -> NeighbourConfig {
    let is_set = |bit: u8| settings & 1 << bit != 0;
    let (role, limits) = bounds(more);
    let add_paths = AddPaths { receive: is_set(0), send: is_set(0) };
    NeighbourConfig {
        address: address.into(),
        port: 179,
        asn: RemoteAs::Is(Asn(asn)),
        hold_time: Duration::from_secs(90),
        keepalive: None,
        send_hold: None,
        connect_retry: Duration::from_secs(5),
        restart: RESTART_TIME,
        passive: more & 1 << 5 == 0,
        families: Family::ALL.into(),
        extended_next_hop: is_set(6).then_some(true),
        long_lived: is_set(2).then_some(Duration::from_secs(60)),
        gentle: is_set(3),
        next_hop_v4: None,
        next_hop_v6: "2001:db8::1".parse().ok(),
        bfd: None,
        add_paths,
        extended_messages: is_set(4),
        role,
        exchange: Exchange { transit: is_set(1), ..Exchange::default() },
        protection: Protection::default(),
        limits,
        shutdown: is_set(5).then(String::new),
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).expect("a script's words are short");
    [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

/// An OPEN for both families, four octets, graceful restart, refreshes, more paths and long messages.
fn open(asn: u16, router_id: [u8; 4]) -> Vec<u8> {
    let [high, low] = asn.to_be_bytes();
    let capabilities: [&[u8]; 8] = [
        &[1, 4, 0, 1, 0, 1],
        &[1, 4, 0, 2, 0, 1],
        &[2, 0],
        &[6, 0],
        &[65, 4, 0, 0, high, low],
        &[70, 0],
        &[64, 10, 0, 120, 0, 1, 1, 0x80, 0, 2, 1, 0x80],
        &[69, 8, 0, 1, 1, 3, 0, 2, 1, 3],
    ];
    let capabilities = capabilities.concat();
    let length = u8::try_from(capabilities.len()).expect("they are few");
    let head = [&[4][..], &asn.to_be_bytes(), &[0, 90], &router_id, &[length + 2, 2, length]].concat();
    message(1, &[head, capabilities].concat())
}
