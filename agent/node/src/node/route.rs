//! Routes: what BGP is told, what it teaches, and what of that the kernel gets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use poplin_bgp::Speaker;

use crate::action::{Action, Note};
use crate::groups::Due;
use crate::kernel::{KernelState, Target};
use crate::mirror::Mirror;
use crate::network::overlap;
use crate::peering::{Peering, announced, peering, reflects};
use crate::serving;
use crate::tunnel::Sources;

use super::{ADOPTION, Node, call::is_occasion, recall};

/// How long a host that is no reflector any more goes on reflecting: the others need that long to know each other again. They dial
/// as soon as they learn of it, and every 5 s from then on.
const LINGER: Duration = Duration::from_secs(30);

impl Node {
    /// Keeps the speaker's neighbours and announcements true.
    pub(super) fn peer(&mut self, now: Instant) {
        if self.mirror.is_none() || self.me().is_none() || self.kernel.is_none() {
            return;
        }
        let altered = self.altered_peering(now);
        let origins = self.wanted_origins();
        let Some(known) = altered.as_ref().or(self.peering.as_ref()) else { return };
        let speaker = self.speaker.get_or_insert_with(|| Speaker::new(known.speaker));
        // What we announce comes first: neighbours of an earlier life forget what is missing when our table ends (RFC 4724 §4.2).
        if let Some(origins) = origins.filter(|origins| *origins != self.origins) {
            speaker.handle(now, poplin_bgp::Event::Originate(origins.clone()));
            self.origins = origins;
        }
        if let Some(wanted) = altered {
            self.have_peering(now, wanted);
        }
        self.discover();
        self.route_statically();
        self.adopted_until.get_or_insert(now + ADOPTION);
        self.drain_speaker();
    }

    /// Who the neighbours are to be, if that is another than it was. With a thousand hosts it takes long to find that it is not: nobody looks for the sake of a
    /// container. Simulations and tests look all the same.
    fn altered_peering(&mut self, now: Instant) -> Option<Peering> {
        let moves = self.mirror.as_ref()?.moves_of_fabric();
        let is_due =
            std::mem::take(&mut self.is_peering_due) | (std::mem::replace(&mut self.peered_at, moves) != moves);
        if !is_due && !cfg!(debug_assertions) {
            return None;
        }
        let (mirror, me, kernel, before) = (self.mirror.as_ref()?, self.me()?, self.kernel.as_ref()?, &self.peering);
        let is_demoted = before.as_ref().is_some_and(|before| before.is_reflector) && !reflects(mirror.fabric(), me);
        let reflects_until = if is_demoted { Some(now + LINGER) } else { self.reflects_until };
        let lingers = reflects_until.is_some();
        let wanted = peering(mirror, me, kernel, before.as_ref(), lingers, &self.callers, &self.met);
        let altered = Some(wanted).filter(|wanted| before.as_ref() != Some(wanted));
        debug_assert!(is_due || altered.is_none(), "{altered:?} was due unforeseen, after {before:?}");
        self.reflects_until = reflects_until;
        altered
    }

    /// These are the neighbours from now on.
    fn have_peering(&mut self, now: Instant, wanted: Peering) {
        let Some(speaker) = &mut self.speaker else { return };
        if self.peering.as_ref().map_or(&BTreeMap::new(), |before| &before.protected) != &wanted.protected {
            self.actions.push_back(Action::ProtectCallers(wanted.protected.clone()));
        }
        speaker.handle(now, poplin_bgp::Event::ExpectsCallers(wanted.expects_callers));
        speaker.handle(now, poplin_bgp::Event::Monitor(wanted.stations.clone()));
        speaker.handle(now, poplin_bgp::Event::Share(wanted.multipath));
        let (config, neighbours) = (wanted.speaker, wanted.neighbours.clone());
        speaker.handle(now, poplin_bgp::Event::Reconfigure { config, neighbours });
        self.peering = Some(wanted);
        self.awaited_receipts = None; // of others now, perhaps
    }

    /// What others are to be told.
    pub(super) fn wanted_origins(&self) -> Option<BTreeSet<IpNet>> {
        let (mirror, me, kernel) = (self.mirror.as_ref()?, self.me()?, self.kernel.as_ref()?);
        let mut origins = match self.is_recalled {
            true => recall::announced(mirror, kernel).into_iter().chain(serving::announced(me, kernel)).collect(),
            false => announced(mirror, me, kernel),
        };
        origins.extend(self.exchanged(mirror, &origins));
        // A route that is being made anew, as one of those it led to has vanished, is no reason to say that nobody serves.
        let served = self.origins.iter().filter(|prefix| !me.is_draining && self.serving.routes.contains_key(prefix));
        origins.extend(served);
        Some(origins)
    }

    /// Whether others were told what they are to be told, if anything.
    pub(super) fn is_announced_as_wanted(&self) -> bool {
        self.speaker.is_none() || self.wanted_origins().is_none_or(|wanted| wanted == self.origins)
    }

    /// Announced prefixes of blocks that gave way to others of another size which do not stand yet: what is in both is reached all the while. A block
    /// that stood and stands no more gives way to none.
    fn exchanged(&self, mirror: &Mirror, origins: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
        let coming = mirror.blocks_of(&self.identity.host).map(|block| block.cidr);
        let coming: Vec<IpNet> = coming.filter(|cidr| !origins.contains(cidr)).collect();
        let gives_way = |prefix: &&IpNet| coming.iter().any(|cidr| cidr != *prefix && overlap(cidr, prefix));
        self.origins.iter().filter(gives_way).copied().collect()
    }

    /// Keeps the routes people wrote true.
    fn route_statically(&mut self) {
        let (Some(mirror), Some(kernel)) = (&self.mirror, &self.kernel) else { return };
        let Some(me) = mirror.host(&self.identity.host) else { return };
        let before = self.statics.ways();
        self.statics.want(mirror, me, kernel);
        self.routing.install_statics(&self.statics.routes());
        if self.statics.ways() != before {
            self.watch_ways();
        }
    }

    /// Asks for all ways that anybody wants watched, if that is something new. What BGP wants comes first.
    fn watch_ways(&mut self) {
        let mut wanted = self.statics.ways();
        wanted.extend(self.bgp_ways.clone());
        if self.watched != wanted {
            self.watched.clone_from(&wanted);
            self.statics.keep_views(&wanted);
            self.actions.push_back(Action::Bgp(poplin_bgp::Action::Watch(wanted)));
        }
    }

    /// Has neighbours looked for where they are to be, and forgets those whose link is gone.
    fn discover(&mut self) {
        let Some(wanted) = self.peering.as_ref().map(|peering| peering.links.clone()) else { return };
        self.met.keep(&wanted);
        if self.discovered != wanted {
            self.discovered.clone_from(&wanted);
            self.actions.push_back(Action::Discover(wanted));
        }
    }

    /// Routes of an earlier life have had their time.
    pub(super) fn end_adoption(&mut self, now: Instant) {
        if self.adopted_until.is_some_and(|until| until <= now) && self.routing.has_adopted() {
            self.routing.end_adoption();
        }
    }

    /// When it ends, if there is anything to end.
    pub(super) fn adoption_ends(&self) -> Option<Instant> {
        self.adopted_until.filter(|_| self.routing.has_adopted())
    }

    pub(super) fn tick_speaker(&mut self, now: Instant) {
        if self.speaker.as_ref().and_then(Speaker::next_deadline).is_some_and(|deadline| deadline <= now) {
            self.speaker_event(now, poplin_bgp::Event::Tick);
        }
    }

    pub(super) fn speaker_event(&mut self, now: Instant, event: poplin_bgp::Event) {
        self.admit_caller(now, &event);
        if let poplin_bgp::Event::PathChanged(view) = &event {
            self.statics.saw(view);
            self.routing.install_statics(&self.statics.routes());
        }
        match (&mut self.speaker, event) {
            (Some(speaker), event) => {
                let is_occasion = is_occasion(&event);
                speaker.handle(now, event);
                self.drain_speaker();
                self.forget_callers(is_occasion);
            }
            // Nobody is known yet. A caller left without a word would wait for our OPEN for minutes, and turn our own calls away.
            (None, poplin_bgp::Event::ConnectionOpened { connection, .. }) => {
                self.actions.push_back(Action::Bgp(poplin_bgp::Action::Close { connection }));
            }
            (None, _) => {}
        }
    }

    pub(super) fn drain_speaker(&mut self) {
        while let Some(action) = self.speaker.as_mut().and_then(Speaker::next_action) {
            match action {
                poplin_bgp::Action::Install { prefix, next_hops } => self.routing.install(prefix, &next_hops),
                poplin_bgp::Action::Remove { prefix } => self.routing.remove(prefix),
                poplin_bgp::Action::Watch(ways) => {
                    self.bgp_ways = ways;
                    self.watch_ways();
                }
                poplin_bgp::Action::Note(note) => self.note(Note::Info(note.to_string())),
                other => self.actions.push_back(Action::Bgp(other)),
            }
        }
    }

    /// Has groups and routes follow what BGP taught, and takes what of that the kernel lacks: at most so many routes.
    pub(super) fn learned_due(&mut self, most: usize) -> Due {
        self.follow_tunnels();
        let Some(kernel) = &self.kernel else { return Due { is_last: true, ..Due::default() } };
        if let Some(me) = self.me() {
            let sources = Sources::new(me, kernel);
            self.groups.speak_under(sources);
        }
        self.routing.follow(kernel, self.tunnelling.tunnels());
        let touched = self.routing.take_touched();
        let moves = touched.into_iter().map(|prefix| (prefix, self.routing.gateways(&prefix).cloned()));
        self.groups.follow(moves.collect(), kernel.has_next_hops);
        self.groups.take_due(kernel, most)
    }

    /// Tunnels are as hosts, pools and the kernel have them.
    pub(super) fn follow_tunnels(&mut self) {
        let Some((mirror, kernel)) = self.mirror.as_ref().zip(self.kernel.as_ref()) else { return };
        if let Some(me) = mirror.host(&self.identity.host) {
            self.tunnelling.follow(mirror, me, kernel);
        }
        let device = kernel.tunnel.as_ref().and_then(|standing| standing.device);
        self.policing.guard(device.map(|device| device.vxlan.port));
    }

    /// The first reading of the kernel shows what an earlier life had learned.
    pub(super) fn adopt(&mut self, kernel: &KernelState) {
        if std::mem::replace(&mut self.has_adopted, true) {
            return;
        }
        let mut groups = BTreeMap::new();
        let mut gateways = |target: &Target| match target {
            Target::Gateways(gateways) => Some(Arc::new(gateways.clone())),
            Target::Group(id) => groups.entry(*id).or_insert_with(|| kernel.gateways_of(*id).map(Arc::new)).clone(),
            Target::Link(_) | Target::Endpoints(_) | Target::Blackhole => None,
        };
        let learned = kernel.learned.iter().filter_map(|(prefix, target)| Some((*prefix, gateways(target)?)));
        self.routing.adopt(learned.collect());
        self.routing.adopt_tunnel(kernel.tunnel.as_ref().map(|standing| standing.index));
        self.groups.adopt(kernel);
    }
}
