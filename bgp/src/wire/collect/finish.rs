//! Makes an update of all that was read: routes that came, or, after a flaw, routes treated as withdrawn.
//!
//! Rules: RFC 7606 §2 and §3 d), RFC 6793 §4.2.3 (what a two-octet neighbour could not say).

use crate::{Asn, wire::Nlri};

use super::{Aggregator, AsPath, Attributes, Collected, Flaw, FlawKind, Update, code};

impl Collected {
    /// Joins the attributes with the classic IPv4 fields.
    pub(in crate::wire) fn into_update(
        mut self,
        external: bool,
        withdrawn: Vec<Nlri>,
        announced: Vec<Nlri>,
    ) -> (Update, Vec<Flaw>) {
        let reach = self.reach.take();
        let unreach = self.unreach.take();
        if announced.is_empty() && reach.is_none() {
            return (Update { withdrawn, unreach, ..Update::default() }, self.flaws);
        }
        self.miss_mandatory(!announced.is_empty(), external);
        let mut flaws = std::mem::take(&mut self.flaws);
        let survives = flaws.iter().all(|flaw| flaw.kind == FlawKind::Discarded);
        let update = match self.finish(&mut flaws) {
            Some(attributes) if survives => {
                Update { withdrawn, unreach, attributes: Some(attributes), announced, reach }
            }
            Some(_) | None => {
                let reach = reach.into_iter().flat_map(|reach| reach.prefixes);
                let withdrawn = withdrawn.into_iter().chain(announced).chain(reach).collect();
                Update { withdrawn, unreach, ..Update::default() }
            }
        };
        (update, flaws)
    }

    /// RFC 7606 §3 d): routes without a mandatory attribute are withdrawn; among internal neighbours LOCAL_PREF is one of them (RFC 4271 §5.1.5).
    fn miss_mandatory(&mut self, classic: bool, external: bool) {
        let needed = [code::ORIGIN, code::AS_PATH].into_iter().chain(classic.then_some(code::NEXT_HOP));
        let needed = needed.chain((!external).then_some(code::LOCAL_PREF));
        let missing = needed.filter(|code| !self.seen.contains(code));
        self.flaws.extend(missing.map(|code| Flaw::withdraw(code, "missing")));
    }

    fn finish(self, flaws: &mut Vec<Flaw>) -> Option<Attributes> {
        let (path, aggregator) = self.four_octet_view(flaws)?;
        Some(Attributes {
            origin: self.origin?,
            path,
            next_hop: self.next_hop,
            med: self.med,
            local_pref: self.local_pref,
            atomic_aggregate: self.atomic_aggregate,
            aggregator,
            communities: self.communities,
            extended: self.extended,
            large: self.large,
            originator: self.originator,
            clusters: self.clusters,
            only_to_customer: self.only_to_customer,
            unknown: self.unknown,
            partial: self.partial,
        })
    }

    /// What a two-octet neighbour could not say is put back, RFC 6793 §4.2.3.
    fn four_octet_view(&self, flaws: &mut Vec<Flaw>) -> Option<(AsPath, Option<Aggregator>)> {
        let path = self.path.clone()?;
        let stale = self.aggregator.is_some_and(|aggregator| aggregator.asn != Asn::TRANS);
        if stale && (self.aggregator_of_four.is_some()) {
            flaws.push(Flaw::discard(code::AS4_AGGREGATOR, "AGGREGATOR was changed by a two-octet speaker"));
            return Some((path, self.aggregator));
        }
        let path = match &self.path_of_four {
            Some(four) => path.merged(four.clone()),
            None => path,
        };
        Some((path, self.aggregator_of_four.or(self.aggregator)))
    }
}
