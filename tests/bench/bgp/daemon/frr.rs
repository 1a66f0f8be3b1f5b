//! FRR's bgpd alone: a view has no kernel and asks nobody about next hops, which spares it zebra.

use std::fmt::Write as _;

use poplin_lab::{Process, run};

use super::Task;
use crate::bed::{ASN, Bed, HOLD_SECS, US};
use crate::load::MARKS;

pub(super) fn start(bed: &Bed, task: Task) -> Process {
    let configuration = bed.file("frr.conf", &configuration(task));
    let directory = bed.path("");
    run("chown", &["-R", "frr:frrvty", &directory]); // it gives up being root
    let (pid, zebra) = (bed.path("bgpd.pid"), bed.path("zserv"));
    let files = ["-Z", "-f", &configuration, "-z", &zebra, "-i", &pid, "--vty_socket", &directory];
    let arguments = [&files[..], &["-P", "0", "-u", "frr", "-g", "frr", "--log", "stdout"]].concat();
    bed.spawn("bgpd.log", "/usr/lib/frr/bgpd", &arguments)
}

fn configuration(task: Task) -> String {
    let mut text = format!(
        "ip prefix-list marks permit {MARKS} le 32\nrouter bgp {ASN} view bench\n bgp router-id {US}\n \
         bgp cluster-id {US}\n no bgp default ipv4-unicast\n neighbor client peer-group\n \
         neighbor client remote-as {ASN}\n neighbor client passive\n neighbor client timers {} {HOLD_SECS}\n",
        HOLD_SECS / 3
    );
    for address in task.neighbours() {
        let _ = writeln!(text, " neighbor {address} peer-group client");
    }
    text += " address-family ipv4 unicast\n  neighbor client activate\n  neighbor client route-reflector-client\n";
    if task.only_marks {
        text += "  neighbor client prefix-list marks out\n";
    }
    text + " exit-address-family\n"
}
