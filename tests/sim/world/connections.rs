//! TCP as a world has it: pipes of octets in order, that are dialled, refused and broken.

use super::*;

impl World {
    pub(super) fn act_bgp(&mut self, host: HostId, action: BgpAction) {
        match action {
            BgpAction::Connect { neighbour, .. } => {
                let (delay, life) = (self.slow(), self.hosts[host].life);
                self.queue_up(host, life, self.now + delay, Happening::Dial(neighbour.ip()));
            }
            BgpAction::Send { connection, octets } => {
                let Some((_, _, far)) = self.connections.get(&connection).copied() else { return };
                let Some((far_host, life, _)) = self.connections.get(&far).copied() else {
                    match self.hosts[self.ends[&far]].node {
                        Some(_) => self.close_far(connection), // a kernel that rebooted knows nothing of it, and says so
                        None => drop(self.swallowed.insert(connection)),
                    }
                    return;
                };
                let cut = self.chance.below(octets.len() + 1);
                for part in [octets[..cut].to_vec(), octets[cut..].to_vec()] {
                    if !part.is_empty() {
                        let at = self.in_order(far_host, Source::Pipe(far));
                        self.queue_up(far_host, life, at, Happening::Octets(far, part));
                    }
                }
            }
            BgpAction::AwaitAcknowledged { connection } => {
                let far = self.connections.get(&connection).map(|(_, _, far)| *far);
                if let Some((far, &(far_host, life, _))) = far.and_then(|far| Some((far, self.connections.get(&far)?)))
                {
                    let at = self.in_order(far_host, Source::Pipe(far)); // after all octets that are on their way
                    self.queue_up(far_host, life, at, Happening::Acknowledges(far));
                }
            }
            BgpAction::Close { connection } => {
                self.tell(|| format!("host {host} -> close {connection:?}"));
                if let Some((_, _, far)) = self.connections.remove(&connection) {
                    self.close_far(far);
                }
            }
            // What is under way arrives all the same: a dial may have been answered already.
            BgpAction::StopDialling { .. }
            | BgpAction::Install { .. }
            | BgpAction::Remove { .. }
            | BgpAction::Watch(_)
            | BgpAction::Protect(_)
            | BgpAction::BestChanged(_)
            | BgpAction::Monitor(_)
            | BgpAction::Report { .. }
            | BgpAction::Note(_) => {}
        }
    }

    pub(super) fn dial(&mut self, host: HostId, life: u64, neighbour: IpAddr) {
        if self.hosts[host].life != life || self.hosts[host].node.is_none() {
            return;
        }
        let other = self.hosts.iter().position(|one| one.identity.addresses.contains(&neighbour));
        let Some(other) = other.filter(|other| self.hosts[*other].node.is_some()) else {
            let reason = "connection refused".to_owned();
            let neighbour = neighbour.into();
            return self.handle(host, Event::Bgp(BgpEvent::ConnectFailed { neighbour, reason }));
        };
        let local = self.hosts[host].identity.addresses.iter().find(|own| own.is_ipv4() == neighbour.is_ipv4());
        let local = *local.expect("a host dials only families it has");
        self.dialled += 2;
        let (near, far) = (ConnectionId(self.dialled), ConnectionId(self.dialled + 1));
        self.tell(|| format!("connection {near:?} of host {host} to {far:?} of host {other}"));
        self.ends.extend([(near, host), (far, other)]);
        self.connections.insert(near, (host, life, far));
        self.connections.insert(far, (other, self.hosts[other].life, near));
        let opened = |connection, neighbour: IpAddr, outgoing, local: IpAddr| {
            let (neighbour, local) = (neighbour.into(), local.into());
            Event::Bgp(BgpEvent::ConnectionOpened { connection, neighbour, outgoing, local })
        };
        self.handle(host, opened(near, neighbour, true, local));
        self.handle(other, opened(far, local, false, neighbour));
    }

    pub(super) fn octets(&mut self, connection: ConnectionId, octets: Vec<u8>) {
        if let Some((host, ..)) = self.connections.get(&connection).copied() {
            self.handle(host, Event::Bgp(BgpEvent::Received { connection, octets }));
        }
    }

    /// All that was sent before has arrived, as the other end is told.
    pub(super) fn acknowledges(&mut self, connection: ConnectionId) {
        let Some((_, _, far)) = self.connections.get(&connection).copied() else { return };
        if let Some((host, life, _)) = self.connections.get(&far).copied() {
            let at = self.now + self.slow();
            let acknowledged = Event::Bgp(BgpEvent::Acknowledged { connection: far });
            self.queue_up(host, life, at, Happening::Arrives(acknowledged));
        }
    }

    pub(super) fn close_far(&mut self, far: ConnectionId) {
        if let Some((host, life, _)) = self.connections.get(&far).copied() {
            let at = self.in_order(host, Source::Pipe(far));
            self.queue_up(host, life, at, Happening::Closed(far));
        }
    }

    pub(super) fn closed(&mut self, connection: ConnectionId) {
        if let Some((host, ..)) = self.connections.remove(&connection) {
            self.tell(|| format!("host {host} <- {connection:?} is closed"));
            let reason = "the neighbour closed the connection".to_owned();
            self.handle(host, Event::Bgp(BgpEvent::ConnectionClosed { connection, reason }));
        }
    }
}
