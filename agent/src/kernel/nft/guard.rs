//! Begins our table anew without a moment in which a packet meets no rules.
//!
//! In: changes that begin with a restart. Out: the table is what they make of an empty one.
//! One transaction that ends a table and makes it again is not enough. It has both tables' chains hooked at once, and the kernel asks at
//! each hook anew which generation of rules is in force (linux net/netfilter/`nf_tables_core.c`, `nft_do_chain`): a packet that came to
//! the new chain before the commit and to the old one after it met neither's rules (measured: one packet in about 20,000 restarts). So the
//! new rules stand in a table of another name as well, from before the old ones end until every packet sees the new ones. It vanishes with
//! the agent, if that dies meanwhile.
//!
//! What is left: a packet that is in the old table at the moment of the commit finds its maps empty, and is dropped (of a
//! flood of 18,000 a restart, three in two restarts: `speed::flows_that_begin_while_rules_are_begun_anew` of the kernel's tests). To unhook the
//! old table first would leave nothing in force if the agent died in between.

use poplin_policy::delta::Change;
use rustix::io::Errno;
use rustix::thread::{MembarrierCommand, membarrier};

use super::batch::{Batch, Outcome};
use super::{Rules, RulesError, chain, table};

impl Rules {
    /// Begins our table anew; where one stands, under guard.
    pub(super) fn write_guarded(&mut self, changes: &[Change]) -> Result<(), RulesError> {
        if self.standing()?.is_none() {
            return self.write(changes);
        }
        let is_guarded = self.raise_guard(changes)?;
        let outcome = self.write(changes);
        if is_guarded {
            await_packets();
            self.lower_guard(changes)?;
        }
        outcome
    }

    /// Whether a guard stands: before Linux 5.12 no table vanishes with its owner, and none is left to chance.
    fn raise_guard(&mut self, changes: &[Change]) -> Result<bool, RulesError> {
        match self.write_to(table::GUARD, table::PASSING, changes) {
            Ok(()) => Ok(true),
            Err(RulesError::Refused { number: 1, refusal, .. }) if refusal.errno == Errno::OPNOTSUPP => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A packet that is in the guard when that goes finds its maps empty and is dropped, whatever the rules say: three more in two restarts. So
    /// nobody comes to it any more before it goes.
    fn lower_guard(&mut self, changes: &[Change]) -> Result<(), RulesError> {
        let hooked = changes.iter().filter_map(|change| match change {
            Change::AddChain(name, Some(_)) => Some(name),
            _ => None,
        });
        let mut batch = Batch::begin(table::GUARD, self.conversation.take_sequence(1));
        hooked.for_each(|name| chain::remove(&mut batch, name));
        self.carry_out(batch)?;
        await_packets();
        let mut batch = Batch::begin(table::GUARD, self.conversation.take_sequence(1));
        table::remove(&mut batch);
        self.carry_out(batch)
    }

    fn carry_out(&mut self, batch: Batch) -> Result<(), RulesError> {
        match self.commit(batch)? {
            Outcome::Committed => Ok(()),
            Outcome::Refused(_, refusal) => Err(RulesError::RefusedAsAWhole { count: 1, refusal }),
            Outcome::Unanswered => Err(RulesError::Unanswered),
        }
    }
}

/// Returns when every packet that was under way has left the hooks: the kernel's answer to a barrier among all threads is to wait for
/// the end of what it reads without locks (linux kernel/sched/membarrier.c, `synchronize_rcu`).
fn await_packets() {
    if let Err(error) = membarrier(MembarrierCommand::Global) {
        tracing::debug!(%error, "packets under way are not waited for");
    }
}
