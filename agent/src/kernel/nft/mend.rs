//! Brings our table from whatever stands to what is wanted, by what the two have apart.
//!
//! In: changes that begin with a restart, and so say all that is wanted. Out: the table is so. What is as it should be is not touched:
//! counters count on, and a table that is as wanted costs no transaction. Where what stands cannot be read, or cannot become what is wanted
//! by changes, it is begun anew, in one transaction as well. Knows nothing of policies.

use std::error::Error;

use poplin_policy::delta::{self, Change};
use poplin_policy::ruleset::Ruleset;

use super::read::{Dump, ReadError};
use super::{Ownership, Rules, RulesError};

/// Why a table has to be begun anew.
#[derive(Debug, thiserror::Error)]
enum Unmendable {
    /// None stands that is ours.
    #[error("no table of ours stands")]
    Absent,
    /// It has other flags; it may be dormant.
    #[error("the table has flags that are none of ours")]
    Flags,
    /// What stands in it is not known.
    #[error("{0}")]
    Unreadable(#[from] ReadError),
    /// A set, map or chain has the name of a wanted one and another shape.
    #[error("a set, map or chain is of another shape than the wanted one of its name")]
    Shape,
}

impl Rules {
    /// What stands in our table. Where two rulesets are written alike, for some fields are the same octets, it is this one.
    pub fn read(&mut self, wanted: &Ruleset) -> Result<Ruleset, ReadError> {
        Dump::take(&mut self.conversation, &self.table, |dump| dump.ruleset(wanted))
    }

    /// What stands in our table, as the kernel tells it.
    pub fn dump(&mut self) -> Result<Dump, ReadError> {
        Dump::take(&mut self.conversation, &self.table, Ok)
    }

    /// Makes our table what the changes make of an empty one.
    pub(super) fn load(&mut self, changes: &[Change]) -> Result<(), RulesError> {
        let difference = match self.difference(changes) {
            Ok(difference) => difference,
            Err(reason) => {
                tracing::info!(table = self.table, changes = changes.len(), %reason, "the rules are begun anew");
                return self.begin(changes);
            }
        };
        match self.write(&difference) {
            Ok(()) => {
                tracing::info!(
                    table = self.table,
                    changes = difference.len(),
                    "the rules that stand are kept, but for what differs"
                );
                Ok(())
            }
            Err(
                error @ (RulesError::Refused { .. } | RulesError::RefusedAsAWhole { .. } | RulesError::Begun { .. }),
            ) => {
                let refusal = error.source().map(tracing::field::display);
                tracing::info!(table = self.table, changes = changes.len(), reason = %error, refusal, "the rules are begun anew");
                self.begin(changes)
            }
            Err(error) => Err(error),
        }
    }

    fn difference(&mut self, changes: &[Change]) -> Result<Vec<Change>, Unmendable> {
        self.is_standing()?;
        let mut wanted = Ruleset::default();
        delta::apply(&mut wanted, changes);
        let standing = self.read(&wanted)?;
        let difference = delta::between(Some(&standing), &wanted);
        match difference.first() {
            Some(Change::Restart) => Err(Unmendable::Shape),
            _ => Ok(difference),
        }
    }

    fn is_standing(&mut self) -> Result<(), Unmendable> {
        let standing = match self.ownership {
            Ownership::Unknown => None,
            Ownership::Owned | Ownership::Open => self.standing().map_err(|_| Unmendable::Absent)?,
        };
        match standing {
            None => Err(Unmendable::Absent),
            Some(standing) if standing.has_flags(self.flags()) => Ok(()),
            Some(_) => Err(Unmendable::Flags),
        }
    }
}
