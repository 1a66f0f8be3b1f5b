//! Reads the kernel's switches and tables below /proc, of the namespace we are in.

use std::collections::BTreeMap;
use std::fs;

use crate::doctor::reading::Switches;

pub(super) fn read() -> Switches {
    let text = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    Switches {
        release: text("/proc/sys/kernel/osrelease"),
        forwarding4: number("net/ipv4/ip_forward"),
        forwarding6: number("net/ipv6/conf/all/forwarding"),
        disable_ipv6: number("net/ipv6/conf/all/disable_ipv6"),
        rp_filter: rp_filter(),
        conntrack_checksum: number("net/netfilter/nf_conntrack_checksum"),
        flows: number("net/netfilter/nf_conntrack_count").zip(number("net/netfilter/nf_conntrack_max")),
        neighbours: neighbours(),
    }
}

/// A file below /proc/sys.
fn number(path: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/{path}")).ok()?.trim().parse().ok()
}

fn rp_filter() -> BTreeMap<String, u64> {
    let all = number("net/ipv4/conf/all/rp_filter").unwrap_or(0);
    let names = fs::read_dir("/proc/sys/net/ipv4/conf").into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| Some((number(&format!("net/ipv4/conf/{name}/rp_filter"))?.max(all), name)))
        .map(|(value, name)| (name, value))
        .collect()
}

/// All entries of the host count against the bound, in whatever namespace. The bound shows in the first namespace only.
fn neighbours() -> BTreeMap<&'static str, (u64, u64)> {
    let entries = |file: &str| {
        let text = fs::read_to_string(format!("/proc/net/stat/{file}")).unwrap_or_default();
        let first = text.lines().nth(1).and_then(|line| line.split_whitespace().next());
        first.and_then(|hex| u64::from_str_radix(hex, 16).ok())
    };
    let most = |family: &str| number(&format!("net/{family}/neigh/default/gc_thresh3"));
    let table = |family: &'static str, file: &str| Some((family, (entries(file)?, most(family)?)));
    [table("ipv4", "arp_cache"), table("ipv6", "ndisc_cache")].into_iter().flatten().collect()
}
