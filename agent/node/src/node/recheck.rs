//! Ends established flows that policy came to deny: first the rules stand, then the flows are read, judged and ended.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::action::{Action, Note};
use crate::course::Doors;
use crate::flows::{Flow, Ground};
use crate::kernel::Step;
use crate::object::ExistingFlows;
use crate::plan::{GATEWAY_V4, GATEWAY_V6};

use super::Node;
use super::wire::Batch;

/// The wait after flows that could not be read. The kernel gives its table unless it is short of memory.
const FLOWS_PAUSE: Duration = Duration::from_secs(1);

/// After a reading it rests four times as long as that took: the kernel walks its whole table for each, and a storm of changes is to leave four fifths
/// of a core to others, or less where one reading takes longer than a quarter of the longest rest.
const REST_PER_READING: u32 = 4;

/// The longest such rest: for so long may a flow live on that a change within it denies.
const LONGEST_REST: Duration = Duration::from_millis(200);

/// How long flows are left alone when a link has gone: whoever asked for that waits for the store still, and a reading takes a core for milliseconds in
/// which the kernel lets nobody else in.
const ANSWER_FIRST: Duration = Duration::from_millis(10);

impl Node {
    /// Whoever detaches has his answer before flows are read.
    pub(super) fn answer_first(&mut self, now: Instant, done: &[Step]) {
        if self.flows_after.is_none() && done.iter().any(|step| matches!(step, Step::DeleteLink(_))) {
            self.flows_after = Some(now + ANSWER_FIRST);
        }
    }

    /// Asks for the flows, if rules came into force that may deny some of them.
    pub(super) fn recheck(&mut self, now: Instant) {
        let may_ask = self.kernel.is_some() && self.flows_after.is_none();
        let Some(mirror) = self.mirror.as_ref().filter(|_| may_ask) else { return };
        match mirror.fabric().existing_flows {
            ExistingFlows::Keep => self.flows.keep(&mut self.policing),
            ExistingFlows::Recheck => {
                let host = self.host_addresses();
                let is_tightening = self.batch.as_ref().is_some_and(Batch::is_tightening);
                if let Some(addresses) = self.flows.wanted(&mut self.policing, &host, is_tightening) {
                    self.actions.push_back(Action::ReadFlows(addresses, self.sandboxes.places()));
                    self.flows_asked = Some(now);
                    self.flows_ahead = self.sandboxes.are_behind();
                }
            }
        }
    }

    pub(super) fn flows_read(&mut self, flows: Vec<Flow>) {
        let host = self.host_addresses();
        let Some(kernel) = &self.kernel else {
            return self.flows.miss(); // which addresses are the host's own is not known at the moment
        };
        let ground = Ground { host: &host, doors: Doors::of(kernel) };
        let ending = self.flows.read(flows, ground, &self.policing);
        if ending.is_empty() {
            return;
        }
        self.note(Note::Info(format!("ending {}, denied or led elsewhere now", counted(ending.len()))));
        self.actions.push_back(Action::EndFlows(ending.into_iter().map(|flow| flow.handle).collect()));
    }

    pub(super) fn flows_done(&mut self, now: Instant, result: Result<(), String>) {
        let took = self.flows_asked.take().map_or(Duration::ZERO, |asked| now.saturating_duration_since(asked));
        // Where rules of a sandbox were still to follow, a flow that was ended could begin anew: all are judged once more.
        if result.is_err() || std::mem::take(&mut self.flows_ahead) {
            self.flows.miss();
        }
        let do_some_return = self.flows.done(&mut self.policing);
        let rest = match result {
            Err(reason) => {
                let note = format!("the kernel's flows cannot be read: {reason}; trying again in {FLOWS_PAUSE:?}");
                self.note(Note::Warning(note));
                FLOWS_PAUSE
            }
            Ok(()) if do_some_return => Duration::ZERO, // they are under way already
            Ok(()) => (took * REST_PER_READING).min(LONGEST_REST),
        };
        self.flows_after = Some(now + rest);
    }

    /// Every address the host itself may speak from.
    pub(super) fn host_addresses(&self) -> BTreeSet<IpAddr> {
        let local = self.kernel.iter().flat_map(|kernel| &kernel.local).copied();
        local.chain(self.own_addresses().into_iter().flatten()).chain([GATEWAY_V4, GATEWAY_V6]).collect()
    }
}

fn counted(flows: usize) -> String {
    match flows {
        1 => "1 flow".to_owned(),
        many => format!("{many} flows"),
    }
}
