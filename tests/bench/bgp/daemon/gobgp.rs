//! GoBGP.

use std::fmt::Write as _;

use poplin_lab::Process;

use super::Task;
use crate::bed::{ASN, Bed, HOLD_SECS, US};
use crate::load::MARKS;

pub(super) fn start(bed: &Bed, task: Task) -> Process {
    let configuration = bed.file("gobgp.toml", &configuration(task));
    bed.spawn("gobgp.log", "gobgpd", &["-f", &configuration, "--log-level", "error", "--api-hosts", "127.0.0.1:50051"])
}

fn configuration(task: Task) -> String {
    let mut text =
        format!("[global.config]\nas = {ASN}\nrouter-id = \"{US}\"\nport = 179\nlocal-address-list = [\"{US}\"]\n");
    if task.only_marks {
        let _ = write!(
            text,
            "[global.apply-policy.config]\nexport-policy-list = [\"marks\"]\ndefault-export-policy = \"reject-route\"\n\
             [[defined-sets.prefix-sets]]\nprefix-set-name = \"marks\"\n[[defined-sets.prefix-sets.prefix-list]]\n\
             ip-prefix = \"{MARKS}\"\nmasklength-range = \"24..32\"\n[[policy-definitions]]\nname = \"marks\"\n\
             [[policy-definitions.statements]]\n[policy-definitions.statements.conditions.match-prefix-set]\n\
             prefix-set = \"marks\"\n[policy-definitions.statements.actions]\nroute-disposition = \"accept-route\"\n"
        );
    }
    for address in task.neighbours() {
        let _ = write!(
            text,
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = {ASN}\n\
             [neighbors.transport.config]\npassive-mode = true\n[neighbors.timers.config]\nhold-time = {HOLD_SECS}\n\
             keepalive-interval = {}\n[neighbors.route-reflector.config]\nroute-reflector-client = true\n\
             route-reflector-cluster-id = \"{US}\"\n[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\n\
             afi-safi-name = \"ipv4-unicast\"\n",
            HOLD_SECS / 3
        );
    }
    text
}
