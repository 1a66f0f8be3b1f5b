//! BIRD 2. `direct` and `gateway direct` spare it the recursive look-up of next hops that all lie on the link.

use std::fmt::Write as _;

use poplin_lab::Process;

use super::Task;
use crate::bed::{ASN, Bed, HOLD_SECS, US};
use crate::load::MARKS;

pub(super) fn start(bed: &Bed, task: Task) -> Process {
    let configuration = bed.file("bird.conf", &configuration(task));
    let control = bed.path("bird.ctl");
    bed.spawn("bird.log", "bird", &["-f", "-c", &configuration, "-s", &control])
}

fn configuration(task: Task) -> String {
    let export = if task.only_marks { format!("where net ~ [ {MARKS}+ ]") } else { "all".to_owned() };
    let mut text = format!(
        "router id {US};\nlog stderr {{ warning, error, fatal, bug }};\nprotocol device {{}}\nprotocol direct {{ ipv4; }}\n\
         template bgp hears {{\n  local {US} as {ASN};\n  direct; rr client; passive; hold time {HOLD_SECS};\n\
         \x20 ipv4 {{ import all; export {export}; next hop keep; gateway direct; }};\n}}\n"
    );
    for address in task.neighbours() {
        let _ = writeln!(text, "protocol bgp from hears {{ neighbor {address} as {ASN}; }}");
    }
    text
}
