//! A neighbour that speaks both families and may restart, played by the test.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use poplin_bgp::{
    Action, Address, Asn, BfdConfig, ConnectionId, Event, NeighbourConfig, NeighbourDetail, NeighbourView, Note, Order,
    OrderRefusal, SessionState, Speaker, SpeakerConfig,
    bfd::{Cause, Diagnostic, Fall, Path, Settings, State, View},
    wire::{
        AsPath, Attributes, Capability, Community, Dialect, Family, Framer, GracefulRestart, Message, Open, Origin,
        RefreshPart, RouteRefresh, Update, pack_reach,
    },
};

use crate::world::{address, neighbour, net, nets};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A neighbour, 192.0.2.2 in AS 64513, that speaks both families to the speaker it holds.
pub(crate) struct Peer {
    speaker: Speaker,
    now: Instant,
    pub(crate) connection: ConnectionId,
    /// Whether it shows each second that it is alive.
    pub(crate) keeps_alive: bool,
    long_lived: Option<Duration>,
    actions: Vec<Action>,
    /// How many of the actions [`Peer::removed`] has seen.
    seen: usize,
}

const CONFIG: SpeakerConfig = SpeakerConfig { asn: Asn(64512), router_id: Ipv4Addr::new(192, 0, 2, 1) };
const FOUR_OCTETS: Dialect =
    Dialect { four_octets: true, external: true, long_in: true, long_out: true, ..Dialect::PLAIN };

const SETTINGS: Settings = Settings { interval: Duration::from_millis(300), multiplier: 3, path: Path::Direct };

impl Peer {
    pub(crate) fn new() -> Self {
        let mut peer = Self {
            speaker: Speaker::new(CONFIG),
            now: Instant::now(),
            connection: ConnectionId(0),
            keeps_alive: true,
            long_lived: None,
            actions: Vec::new(),
            seen: 0,
        };
        peer.configure();
        peer
    }

    pub(crate) fn established(restart: Option<GracefulRestart>) -> Self {
        let mut peer = Self::new();
        peer.call(restart);
        peer
    }

    pub(crate) fn configure(&mut self) {
        self.reconfigure(|_| {});
    }

    /// Its configuration is the usual one, with this change.
    pub(crate) fn reconfigure(&mut self, change: impl FnOnce(&mut NeighbourConfig)) {
        let mut neighbour = neighbour(address(1), 64513);
        neighbour.next_hop_v6 = Some("2001:db8::1".parse().unwrap());
        neighbour.passive = true;
        neighbour.long_lived = self.long_lived;
        change(&mut neighbour);
        self.handle(Event::Reconfigure { config: CONFIG, neighbours: vec![neighbour] });
    }

    /// Its configuration lets it stay away for so long.
    pub(crate) fn endure(&mut self, long_lived: Option<Duration>) {
        self.long_lived = long_lived;
        self.configure();
    }

    /// Its configuration asks for BFD.
    pub(crate) fn watch(&mut self, is_strict: bool) {
        let neighbour = NeighbourConfig {
            bfd: Some(BfdConfig { settings: SETTINGS, is_strict }),
            next_hop_v6: Some("2001:db8::1".parse().unwrap()),
            passive: !is_strict,
            long_lived: self.long_lived,
            ..neighbour(address(1), 64513)
        };
        self.handle(Event::Reconfigure { config: CONFIG, neighbours: vec![neighbour] });
    }

    /// Its configuration asks for BFD, and that a NOTIFICATION leaves the routes.
    pub(crate) fn watch_gently(&mut self) {
        let bfd = Some(BfdConfig { settings: SETTINGS, is_strict: false });
        self.reconfigure(|neighbour| (neighbour.bfd, neighbour.gentle) = (bfd, true));
    }

    /// BFD sees the neighbour.
    pub(crate) fn path_rises(&mut self) {
        self.path_changes(State::Up, Diagnostic::NONE, None);
    }

    /// BFD stops to see it now, after it heard the last packet so long ago.
    pub(crate) fn path_falls(&mut self, cause: Cause, ago: Duration, is_independent: bool) {
        let fall = Fall { at: self.now, heard: self.now - ago, cause, is_independent };
        self.path_changes(State::Down, Diagnostic::EXPIRED, Some(fall));
    }

    pub(crate) fn path_changes(&mut self, state: State, diagnostic: Diagnostic, fall: Option<Fall>) {
        self.handle(Event::PathChanged(View {
            neighbour: address(1),
            path: Path::Direct,
            state,
            since: self.now,
            diagnostic,
            remote_diagnostic: Diagnostic::NONE,
            transmit_interval: Duration::from_millis(300),
            detection_time: Duration::from_millis(900),
            fall,
        }));
    }

    /// How often we dialled it.
    pub(crate) fn dials(&self) -> usize {
        self.actions.iter().filter(|action| matches!(action, Action::Connect { .. })).count()
    }

    pub(crate) fn deconfigure(&mut self) {
        self.handle(Event::Reconfigure { config: CONFIG, neighbours: Vec::new() });
    }

    /// It calls over a new connection, and agrees on a session.
    pub(crate) fn call(&mut self, restart: Option<GracefulRestart>) {
        self.call_with(restart.map(Capability::GracefulRestart));
    }

    /// It calls, and proposes this hold time.
    pub(crate) fn call_holding(&mut self, hold_time_secs: u16) {
        self.connect();
        self.say(Message::Open(Open { hold_time_secs, ..introduction([]) }));
        self.say(Message::Keepalive);
        assert_eq!(self.view().state, SessionState::Established);
    }

    /// It calls, and can do this.
    pub(crate) fn call_with(&mut self, more: impl IntoIterator<Item = Capability>) {
        self.connect();
        self.open(more);
        self.say(Message::Keepalive);
        assert_eq!(self.view().state, SessionState::Established);
    }

    pub(crate) fn connect(&mut self) {
        self.connection.0 += 1;
        let local = Address::from([192, 0, 2, 1]);
        let connection = self.connection;
        self.handle(Event::ConnectionOpened { connection, neighbour: address(1), outgoing: false, local });
    }

    pub(crate) fn introduce(&mut self, restart: Option<GracefulRestart>) {
        self.open(restart.map(Capability::GracefulRestart));
    }

    pub(crate) fn open(&mut self, more: impl IntoIterator<Item = Capability>) {
        self.say(Message::Open(introduction(more)));
    }

    pub(crate) fn tell(&mut self, prefixes: &[&str]) {
        prefixes.iter().for_each(|prefix| self.announce(prefix));
        let is_fresh = |prefix: &&str| self.routes().any(|route| route == (net(prefix), false));
        assert!(prefixes.iter().all(is_fresh), "{:?}", self.actions);
    }

    /// It announces a prefix, whatever becomes of that.
    pub(crate) fn announce(&mut self, prefix: &str) {
        let attributes = Attributes::new(Origin::Igp, AsPath::through([Asn(64513)]));
        let next_hop = if prefix.contains(':') { "2001:db8::2".parse().unwrap() } else { address(1) };
        let messages = pack_reach(&attributes, next_hop, [net(prefix)], FOUR_OCTETS);
        messages.into_iter().for_each(|octets| self.hear(&octets));
    }

    /// It announces a prefix that this system meant for customers only, whatever becomes of that.
    pub(crate) fn announce_for_customers(&mut self, prefix: &str, asn: Asn) {
        let attributes = Attributes::new(Origin::Igp, AsPath::through([Asn(64513)]));
        let attributes = Attributes { only_to_customer: Some(asn), ..attributes };
        let messages = pack_reach(&attributes, address(1), [net(prefix)], FOUR_OCTETS);
        messages.into_iter().for_each(|octets| self.hear(&octets));
    }

    /// It tells of one prefix, with these tags.
    pub(crate) fn tell_tagged(&mut self, prefix: &str, communities: &[Community]) {
        let mut attributes = Attributes::new(Origin::Igp, AsPath::through([Asn(64513)]));
        attributes.communities = communities.to_vec();
        let messages = pack_reach(&attributes, address(1), [net(prefix)], FOUR_OCTETS);
        messages.into_iter().for_each(|octets| self.hear(&octets));
    }

    /// What counts of the route to this prefix, if there is one.
    pub(crate) fn attributes(&self, prefix: &str) -> Option<Arc<Attributes>> {
        self.speaker.routes().find(|route| route.prefix == net(prefix)).map(|route| route.attributes)
    }

    pub(crate) fn end_table(&mut self, family: Family) {
        self.say(Message::Update(Update::end_of_rib(family)));
    }

    pub(crate) fn say(&mut self, message: Message) {
        self.hear(&message.encode(FOUR_OCTETS));
    }

    /// The speaker hears these octets.
    pub(crate) fn hear(&mut self, octets: &[u8]) {
        self.handle(Event::Received { connection: self.connection, octets: octets.to_vec() });
    }

    /// The connection breaks.
    pub(crate) fn lose(&mut self) {
        self.handle(Event::ConnectionClosed { connection: self.connection, reason: "connection reset".into() });
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += SECOND;
            if self.keeps_alive && self.view().state == SessionState::Established {
                self.say(Message::Keepalive);
            }
            if self.speaker.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                self.handle(Event::Tick);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        self.speaker.handle(self.now, event);
        self.actions.extend(std::iter::from_fn(|| self.speaker.next_action()));
    }

    pub(crate) fn view(&self) -> NeighbourView {
        self.speaker.neighbours().next().unwrap()
    }

    /// Each prefix in use, and whether it is stale.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (IpNet, bool)> {
        self.speaker.routes().filter(|route| route.used).map(|route| (route.prefix, route.stale))
    }

    /// What was removed since this was last asked.
    pub(crate) fn removed(&mut self) -> Vec<IpNet> {
        let new = &self.actions[std::mem::replace(&mut self.seen, self.actions.len())..];
        let removed = new.iter().filter_map(|action| match action {
            Action::Remove { prefix } => Some(*prefix),
            _ => None,
        });
        removed.collect()
    }

    pub(crate) fn notes(&self) -> Vec<Note> {
        let notes = self.actions.iter().filter_map(|action| match action {
            Action::Note(note) => Some(Note::clone(note)),
            _ => None,
        });
        notes.collect()
    }

    /// The hands say that so many octets wait for it.
    pub(crate) fn takes(&mut self, octets: usize) {
        self.handle(Event::Waits { connection: self.connection, octets });
    }

    /// Somebody waits until it has these.
    pub(crate) fn is_awaited(&mut self, prefixes: &[&str]) {
        self.is_awaited_of(prefixes, [address(1)]);
    }

    /// Somebody waits until one of these has these.
    pub(crate) fn is_awaited_of(&mut self, prefixes: &[&str], neighbours: impl Into<BTreeSet<Address>>) {
        self.handle(Event::Awaited { prefixes: nets(prefixes), neighbours: neighbours.into() });
    }

    /// Its TCP acknowledges what was sent before the last question.
    pub(crate) fn acknowledges(&mut self) {
        self.handle(Event::Acknowledged { connection: self.connection });
    }

    /// Whether it has this one, if it is awaited of it.
    pub(crate) fn has(&self, prefix: &str) -> Option<bool> {
        self.speaker.receipts(net(prefix)).next().map(|(_, has)| has)
    }

    /// How often we asked for an acknowledgement.
    pub(crate) fn questions(&self) -> usize {
        self.actions.iter().filter(|action| matches!(action, Action::AwaitAcknowledged { .. })).count()
    }

    /// All that was done.
    pub(crate) fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// An operator asks this of its session.
    pub(crate) fn order(&mut self, order: Order) {
        self.handle(Event::Ordered { neighbour: address(1), order });
    }

    /// Whether an operator may ask this of its session.
    pub(crate) fn admits(&self, order: &Order) -> Result<(), OrderRefusal> {
        self.speaker.admits(address(1), order)
    }

    /// It says this part of a refresh of its IPv4 routes.
    pub(crate) fn refresh(&mut self, part: RefreshPart) {
        self.say(Message::RouteRefresh(RouteRefresh { family: Some(Family::Ipv4), part }));
    }

    /// These are our own prefixes.
    pub(crate) fn originate(&mut self, prefixes: &[&str]) {
        self.handle(Event::Originate(nets(prefixes)));
    }

    /// The prefixes it was told over its latest connection, and not told to be gone.
    pub(crate) fn told(&self) -> BTreeSet<IpNet> {
        let mut told = BTreeSet::new();
        for message in self.heard(self.connection) {
            if let Message::Update(update) = message {
                update.all_withdrawn().for_each(|one| _ = told.remove(&one.prefix));
                let come = update.all_announced().flat_map(|(_, prefixes)| prefixes);
                told.extend(come.map(|one| one.prefix));
            }
        }
        told
    }

    pub(crate) fn detail(&self) -> NeighbourDetail {
        self.speaker.neighbour(address(1)).unwrap()
    }

    pub(crate) fn is_closed(&self, connection: ConnectionId) -> bool {
        self.actions.contains(&Action::Close { connection })
    }

    /// Everything it was told over this connection.
    pub(crate) fn heard(&self, on: ConnectionId) -> Vec<Message> {
        let mut framer = Framer::default();
        for action in &self.actions {
            match action {
                Action::Send { connection, octets } if *connection == on => framer.feed(octets),
                _ => {}
            }
        }
        std::iter::from_fn(|| framer.next(FOUR_OCTETS).unwrap()).map(|(message, _)| message).collect()
    }

    /// Whether our OPEN on the latest connection has the R bit set.
    pub(crate) fn hears_of_restart(&self) -> bool {
        match &self.heard(self.connection)[..] {
            [Message::Open(open), ..] => open.graceful_restart().unwrap().is_restarting,
            other => panic!("no OPEN leads {other:?}"),
        }
    }
}

/// Its OPEN, with what else it can do.
fn introduction(more: impl IntoIterator<Item = Capability>) -> Open {
    let capabilities = Family::ALL.map(Capability::Multiprotocol).into_iter();
    let capabilities = capabilities.chain([Capability::FourOctetAsn(Asn(64513))]).chain(more).collect();
    Open { my_as: 64513, hold_time_secs: 90, router_id: [192, 0, 2, 2].into(), capabilities }
}

/// What a neighbour says that keeps both families through a restart of so many seconds.
pub(crate) fn kept(time_secs: u16) -> GracefulRestart {
    GracefulRestart {
        time_secs,
        families: Family::ALL.map(|family| (family, true)).into(),
        ..GracefulRestart::default()
    }
}
