//! What this host knows of addresses, beside what stands in the store.

use std::collections::BTreeSet;
use std::time::Instant;

use ipnet::IpNet;

use crate::audit::Truth;
use crate::kernel::Target;
use crate::plan::is_linked;

use super::Node;

impl Node {
    /// What only this host can know; absent while the store or the kernel is being read.
    pub fn truth(&self, now: Instant) -> Option<Truth> {
        let (mirror, kernel) = (self.mirror.as_ref().filter(|_| !self.is_recalled)?, self.kernel.as_ref()?);
        let host = self.identity.host.clone();
        let busy = self.jobs.at(|_| true).into_iter().chain(self.debts.attachments().cloned()).collect::<BTreeSet<_>>();
        let unwired = mirror
            .endpoints_on(&host)
            .filter(|endpoint| !is_linked(endpoint, kernel) && !busy.contains(&endpoint.attachment));
        let unwired = unwired.map(|endpoint| endpoint.name.clone()).collect();
        let alone = |prefix: &IpNet| (prefix.prefix_len() == prefix.max_prefix_len()).then(|| prefix.addr());
        let here = kernel.routes.iter().filter(|(_, target)| **target != Target::Blackhole).map(|(prefix, _)| prefix);
        let led = here.chain(kernel.learned.keys()).filter_map(alone).collect();
        let resting = self.resting(now).addresses().collect();
        let contested = self.reassertion.contested.values().cloned().collect();
        Some(Truth { host, unwired, led, busy, resting, contested })
    }
}
