//! What would become of a packet were every staged policy enforced.
//!
//! In: the question, and what is told now. Out: nothing if the packet fares the same, or a sentence that names who would decide.

use poplin_policy::course::Course;
use poplin_policy::model::Mode;
use poplin_proto::v1::{DirectionTrace, ExplainResponse};

use super::Question;
use crate::site::Site;

/// The sentence, of a question that is asked with its course on a host.
pub(super) fn told(
    question: &Question<'_>,
    here: &str,
    course: Option<&Course>,
    now: &ExplainResponse,
) -> Option<String> {
    let Question { site, packet } = question;
    if site.world.policies.values().all(|policy| policy.mode != Mode::Stage) {
        return None;
    }
    let site = Site { world: site.world.promoted(), ..(*site).clone() };
    let then = Question { site: &site, packet: *packet }.walked(here, course);
    if then.allowed == now.allowed {
        return None;
    }
    let differs = |one: &&DirectionTrace| !now.directions.iter().any(|other| words(other) == words(one));
    let by = then.directions.iter().rfind(differs)?;
    let verdict = if then.allowed { "allowed" } else { "denied" };
    let DirectionTrace { direction, endpoint, reason, .. } = by;
    Some(format!("once all staged policies are promoted this is {verdict}: {direction} of {endpoint}: {reason}"))
}

/// What makes a trace another.
fn words(trace: &DirectionTrace) -> (&str, &str, &str, bool, &str) {
    let DirectionTrace { direction, endpoint, interface, allowed, reason, .. } = trace;
    (direction, endpoint, interface, *allowed, reason)
}
