//! Draws a list that asks for both ends, as one of a host endpoint's may, as rules that are asked one by one.
//!
//! In: a list. Out: rules. A tier that passes some on has a chain of its own, from which they come back for the tiers after it: so tiers
//! stand side by side, and however many there are, no way through them is longer. Whom a rule there lets pass must not come back; he is
//! accepted, which is the last word of a lane's own base chain and of nothing else.

use super::condition::when;
use super::draw::{Half, chain_of};
use super::list::{Act, Entry, List, Settled};
use super::node::{Drawing, Form};
use super::outcome::{Outcome, outcome};
use crate::ruleset::{Rule, Verdict};

/// What holds of a list's own family.
pub(super) fn both_ends(list: &List, drawing: &mut Drawing<'_>) -> Half {
    let mut half = nothing_asked();
    for entries in list.entries.chunk_by(|one, next| one.tier == next.tier) {
        if entries.iter().any(|entry| matches!(entry.act, Act::Pass(_))) {
            let tier = tier(list, entries, drawing);
            half.rules.push(when(vec![list.family.is_it()], tier));
        } else {
            entries.iter().for_each(|entry| half.settle(list, entry, drawing));
        }
    }
    half
}

fn nothing_asked() -> Half {
    let mut half = Half::certain(Outcome::at(Verdict::Return));
    half.form = Form::BothEnds;
    half
}

/// The verdict that leads to a tier and back, for those whom it passes on or none of its rules fits.
fn tier(list: &List, entries: &[Entry], drawing: &mut Drawing<'_>) -> Verdict {
    let mut half = nothing_asked();
    for entry in entries {
        match &entry.act {
            Act::Settle(settled) => half.ask(list, entry, &last_word(settled, list, drawing)),
            Act::Pass(counted) => {
                let passed = counted.as_ref().unwrap_or(&Settled::Open);
                half.ask(list, entry, &[outcome(passed, list.direction, drawing).rule()]);
            }
            Act::Log(_) => half.log(list, entry, drawing),
        }
    }
    let name = Drawing::name(&format!("tier{}", list.family.digit()), &(list.direction, list.family, entries));
    Verdict::Jump(chain_of(name, half, drawing))
}

/// What is done with a packet that is settled so, from which it does not come back.
fn last_word(settled: &Settled, list: &List, drawing: &mut Drawing<'_>) -> Vec<Rule> {
    let done = outcome(settled, list.direction, drawing);
    let accept = || when(Vec::new(), Verdict::Accept);
    match done.verdict {
        Verdict::Return => vec![Outcome { verdict: Verdict::Accept, ..done }.rule()],
        Verdict::Goto(chain) if settled.lets_pass() => {
            vec![Outcome { verdict: Verdict::Jump(chain), ..done }.rule(), accept()]
        }
        Verdict::Goto(_) | Verdict::Jump(_) | Verdict::Accept | Verdict::Drop => vec![done.rule()],
    }
}

impl Half {
    /// Does in a chain that nobody comes back from what an entry says.
    fn settle(&mut self, list: &List, entry: &Entry, drawing: &mut Drawing<'_>) {
        match &entry.act {
            Act::Settle(settled) if entry.is_certain() => self.end = outcome(settled, list.direction, drawing),
            Act::Settle(settled) => {
                let done = outcome(settled, list.direction, drawing);
                self.ask(list, entry, &[done.rule()]);
            }
            Act::Log(_) => self.log(list, entry, drawing),
            Act::Pass(_) => {}
        }
    }
}
