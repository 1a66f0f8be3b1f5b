//! What this node would tell an operator, and whether an attachment is still what it was promised to be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;
use poplin_bgp::NeighbourView;
use poplin_bgp::bfd::View;
use poplin_policy::compile::Counted;
use poplin_policy::packet::Packet;
use poplin_policy::ruleset::Name;

use crate::course::{Course, Doors, Side, led_to};
use crate::drops::{Account, Dropped};
use crate::kernel::KernelState;
use crate::mirror::owner;
use crate::name::AttachmentId;
use crate::object::{Endpoint, Fabric, Object};
use crate::plan;
use crate::policing::Passage;
use crate::prefix::{host_prefix, size_of};
use crate::request::Attached;
use crate::status::{BlockUse, FloatingUse, Heard, Session, Status, Watched};

use super::Node;
use super::wire::Batch;

impl Node {
    fn trouble_of_tunnel(&self) -> Option<String> {
        self.tunnel_error.clone().filter(|_| self.tunnelling.tunnel().is_some())
    }

    /// This host at this moment; absent until the store and the kernel were read.
    pub fn status(&self, now: Instant) -> Status {
        let me = self.me();
        let mirror = self.mirror.as_ref();
        let fabric_asn = mirror.map_or_else(|| Fabric::default().asn, |mirror| mirror.fabric().asn);
        let is_own = |host: &crate::name::HostName| *host == self.identity.host;
        let lapsed = || mirror.iter().flat_map(|mirror| mirror.lapsed());
        Status {
            host: self.identity.host.clone(),
            asn: self.identity.asn.unwrap_or(fabric_asn),
            router_id: me.map_or(std::net::Ipv4Addr::UNSPECIFIED, |me| me.router_id),
            addresses: me.map(|me| me.addresses.clone()).unwrap_or_default(),
            revision: mirror.map_or(0, |mirror| mirror.revision()),
            store_error: self.store_error.clone(),
            write_error: self.write_error.clone(),
            is_recalled: self.is_recalled,
            is_importing: self.is_importing,
            min_writer: self.min_writer,
            read_only: self.read_only(),
            owed: self.debts.len(),
            unreadable: mirror
                .iter()
                .flat_map(|one| one.unreadable())
                .map(|(one, known)| (one.clone(), known))
                .collect(),
            lapsed: lapsed().filter(|one| owner(one) != Some(&self.identity.host)).map(Object::key).collect(),
            untold: lapsed().filter(|one| matches!(one, Object::Endpoint(one) if is_own(&one.host))).count(),
            awaited: self.awaited(),
            contested: self.reassertion.contested.values().cloned().collect(),
            sessions: self.sessions(now),
            blocks: mirror
                .iter()
                .flat_map(|mirror| mirror.blocks())
                .filter(|block| is_own(&block.host))
                .map(block_use)
                .collect(),
            endpoints: mirror.map_or(0, |mirror| mirror.endpoints_on(&self.identity.host).count()),
            policies: mirror.map_or(0, |mirror| mirror.policies().count()),
            routes_learned: self.routing.count(),
            routing_problems: self.peering.as_ref().map(|peering| peering.problems.clone()).unwrap_or_default(),
            kernel_error: self.kernel_error.clone().or_else(|| self.trouble_of_tunnel()),
            name_conflict: self.name_conflict.clone(),
            services: self.service_uses(),
            floating: self.floating_uses(),
            static_next_hops: self.statics.next_hops().map(|one| (one.clone(), watched(now, one.view))).collect(),
            is_draining: me.is_some_and(|me| me.is_draining),
        }
    }

    /// Whose a dropped packet was, and who decided.
    pub fn account_of(&self, dropped: &Dropped) -> Account {
        self.policing.account_of(dropped)
    }

    /// Where the ends of a packet are that begins a flow, seen from here; absent while the kernel is not known.
    pub fn course(&self, packet: &Packet) -> Option<Course> {
        let doors = Doors::of(self.kernel.as_ref()?);
        let host = self.host_addresses();
        let side_of = |address: IpAddr| match self.policing.link_at(address) {
            _ if host.contains(&address) || address.is_loopback() => Side::Host,
            Some(link) => Side::Link(link.clone()),
            None => Side::Far(doors.leading_to(address)),
        };
        let to_host = Some(packet).filter(|packet| host.contains(&packet.destination));
        let leads_to = to_host.and_then(|packet| self.policing.now().leads_to(packet));
        let floats_to = |packet: Packet| {
            let destination = self.policing.floats_to(packet.destination).unwrap_or(packet.destination);
            Packet { destination, ..packet }
        };
        let judged = leads_to.map_or_else(|| floats_to(*packet), |socket| led_to(packet, socket));
        let (source, destination) = (side_of(judged.source), side_of(judged.destination));
        Some(Course { opened: *packet, judged, source, destination })
    }

    /// Whether the kernel holds the rules that this host is to have, as far as it has heard; containers' own namespaces are part of it.
    pub fn are_rules_in_force(&self) -> bool {
        let is_under_way = self.batch.as_ref().is_some_and(Batch::has_rules);
        self.policing.is_in_force() && !is_under_way && !self.sandboxes.are_behind()
    }

    /// The chains of our table a packet comes through.
    pub fn passages(&self, packet: &Packet) -> Vec<Passage> {
        self.course(packet).map_or_else(Vec::new, |course| self.policing.passages(&course))
    }

    /// What each chain of our table that counts counts.
    pub fn counted(&self) -> BTreeMap<Name, Counted> {
        self.policing.counted().map(|(name, counted)| (name.clone(), counted.clone())).collect()
    }

    /// Each floating address that is to lead to an endpoint of this host.
    fn floating_uses(&self) -> Vec<FloatingUse> {
        let Some(mirror) = &self.mirror else { return Vec::new() };
        let of_endpoint = |endpoint: &crate::object::Endpoint| {
            let each = mirror.floating_of(&endpoint.name).map(|one| FloatingUse {
                name: one.name.clone(),
                address: one.address,
                endpoint: endpoint.name.clone(),
                own: endpoint.addresses.iter().find(|own| own.is_ipv4() == one.address.is_ipv4()).copied(),
                is_announced: self.origins.contains(&host_prefix(one.address)),
            });
            each.collect::<Vec<_>>()
        };
        mirror.endpoints_on(&self.identity.host).flat_map(of_endpoint).collect()
    }

    fn sessions(&self, now: Instant) -> Vec<Session> {
        let views = self.speaker.iter().flat_map(|speaker| speaker.neighbours());
        views.map(|view| self.session(now, view)).collect()
    }

    pub(super) fn session(&self, now: Instant, view: NeighbourView) -> Session {
        Session {
            name: self.name_of(view.address),
            address: view.address,
            asn: view.asn,
            state: format!("{:?}", view.state),
            in_state: now.saturating_duration_since(view.since),
            prefixes_received: view.prefixes_received,
            prefixes_sent: view.prefixes_sent,
            limits: view.limits,
            is_shut_down: view.is_shut_down,
            is_held: view.is_held,
            last_error: view.last_error,
            pending: view.pending,
            bfd: watched(now, view.bfd),
        }
    }

    /// Every route the neighbours offer, by prefix, then by neighbour; to one prefix, if it is named.
    pub fn heard(&self, prefix: Option<IpNet>) -> Vec<Heard> {
        let Some(speaker) = &self.speaker else { return Vec::new() };
        let routes = speaker.routes().filter(|route| prefix.is_none_or(|prefix| route.prefix == prefix));
        routes
            .map(|route| Heard { name: self.name_of(route.neighbour), reason: route.fate.to_string(), route })
            .collect()
    }

    /// What was promised to an attachment of this host, and what of it does not hold any more, one sentence each. Absent:
    /// there is no such attachment.
    pub fn check(&self, attachment: &AttachmentId) -> Option<(Attached, Vec<String>)> {
        let endpoint = self.mirror.as_ref()?.endpoint_on(attachment, &self.identity.host)?;
        let kernel = self.kernel.as_ref()?;
        let mut findings = match endpoint.parent {
            None => plan::findings(&endpoint.interface, &endpoint.addresses, endpoint.mac, kernel),
            Some(_) => self.findings_inside(endpoint, kernel),
        };
        if !self.keeps_rules && !self.policing.covers(&endpoint.interface) {
            findings.push(format!("no policy is loaded for {}", endpoint.interface));
        }
        Some((self.promise(endpoint), findings))
    }

    /// The same of one whose interface is in its container, or waits to be taken there.
    fn findings_inside(&self, endpoint: &Endpoint, kernel: &KernelState) -> Vec<String> {
        if kernel.links.contains_key(&endpoint.interface) || self.sandboxes.stand(endpoint) {
            return Vec::new();
        }
        vec![match endpoint.is_in_a_sandbox() {
            true => format!("its rules do not stand in {}", endpoint.netns.display()),
            false => format!("interface {} does not exist", endpoint.interface),
        }]
    }
}

fn watched(now: Instant, view: Option<View>) -> Option<Watched> {
    view.map(|view| Watched { in_state: now.saturating_duration_since(view.since), view })
}

fn block_use(block: &crate::object::Block) -> BlockUse {
    BlockUse { cidr: block.cidr, pool: block.pool.clone(), taken: block.taken.len(), size: size_of(block.cidr) }
}
