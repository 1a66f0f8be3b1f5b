//! What the kernel's switches and tables mean for a router of containers.

use crate::doctor::finding::Finding;
use crate::doctor::reading::{Reading, Switches};

/// From here on routes share next hops (`ip nexthop`).
const NEXT_HOPS: (u32, u32) = (5, 3);

/// From here on our table is owned and outlives us.
const OWNED_TABLES: (u32, u32) = (6, 9);

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    let switches = &reading.switches;
    let mut findings = forwarding(reading);
    findings.extend(reverse_path(reading));
    findings.extend(untracked_udplite(reading));
    findings.extend(release(switches));
    findings.extend(switches.flows.and_then(|(used, most)| {
        let advice =
            format!("sysctl -w net.netfilter.nf_conntrack_max={}, and in /etc/sysctl.d", most.saturating_mul(2));
        filling("conntrack", "the kernel follows", "flows", used, most, advice)
    }));
    findings.extend(switches.neighbours.iter().filter_map(|(family, (used, most))| {
        let twice = most.saturating_mul(2);
        let advice = format!(
            "sysctl -w net.{family}.neigh.default.gc_thresh3={twice}, gc_thresh2 to half of that, and in /etc/sysctl.d"
        );
        filling("neighbours", &format!("the table of {family} neighbours holds"), "entries", *used, *most, advice)
    }));
    if reading.networkd_removes_routes {
        let advice = "ManageForeignRoutes=no in the [Network] section of /etc/systemd/networkd.conf";
        let message = "systemd-networkd removes routes it did not make each time it restarts, ours too";
        findings.push(Finding::warning("networkd", message, advice));
    }
    findings
}

fn forwarding(reading: &Reading) -> Vec<Finding> {
    let switches = &reading.switches;
    let mut findings = Vec::new();
    if switches.forwarding4 == Some(0) {
        let advice = "sysctl -w net.ipv4.ip_forward=1; a running agent does it by itself";
        findings.push(Finding::failure(
            "forwarding",
            "net.ipv4.ip_forward is 0: no container is reached by IPv4",
            advice,
        ));
    }
    if switches.disable_ipv6 == Some(1) {
        let has_pool = reading.told().is_some_and(|told| told.pools.iter().any(|pool| pool.cidr.contains(':')));
        let message = "net.ipv6.conf.all.disable_ipv6 is 1, and there are pools of IPv6";
        let advice = "sysctl -w net.ipv6.conf.all.disable_ipv6=0";
        findings.extend(has_pool.then(|| Finding::failure("ipv6-disabled", message, advice)));
    } else if switches.forwarding6 == Some(0) {
        let advice = "sysctl -w net.ipv6.conf.all.forwarding=1; a running agent does it by itself";
        let message = "net.ipv6.conf.all.forwarding is 0: no container is reached by IPv6";
        findings.push(Finding::failure("forwarding6", message, advice));
    }
    findings
}

/// Strict checks are for hosts with one way out: with two, an answer may come in by the other.
fn reverse_path(reading: &Reading) -> Vec<Finding> {
    let uplinks = reading.uplinks();
    let strict = uplinks.iter().filter(|uplink| reading.switches.rp_filter.get(**uplink) == Some(&1));
    let several = uplinks.len() > 1;
    let finding = |uplink: &&str| {
        let message = format!(
            "rp_filter of {uplink} is 1 (the greater of all and its own), and {} lead out: what comes in by another way than it goes out is dropped",
            uplinks.join(", ")
        );
        let advice = format!("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{uplink}.rp_filter=2");
        Finding::warning("rp-filter", message, advice)
    };
    strict.filter(|_| several).map(finding).collect()
}

/// With checksums looked at, the kernel takes every packet of UDP-Lite for a broken one of UDP and follows no flow.
fn untracked_udplite(reading: &Reading) -> Option<Finding> {
    let policies = &reading.told()?.udplite_policies;
    let (first, more) = (policies.first()?, policies.len() - 1);
    let others = if more == 0 { String::new() } else { format!(" and {more} more") };
    let message = format!(
        "net.netfilter.nf_conntrack_checksum is 1, and policy {first}{others} speaks of UDP-Lite: the kernel does not track it, so answers need a rule of their own, and no NAT translates it"
    );
    let advice = "sysctl -w net.netfilter.nf_conntrack_checksum=0, and in /etc/sysctl.d";
    (reading.switches.conntrack_checksum == Some(1)).then(|| Finding::warning("udplite", message, advice))
}

fn release(switches: &Switches) -> Option<Finding> {
    let mut numbers = switches.release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let release = (numbers.next()?, numbers.next()?);
    let lacks = match release {
        older if older < NEXT_HOPS => "next hops that routes share (5.3) and tables that nobody else can flush (6.9)",
        older if older < OWNED_TABLES => "tables that nobody else can flush (6.9)",
        _ => return None,
    };
    let message =
        format!("kernel {} lacks {lacks}; all works without, and what others remove is put back", switches.release);
    Some(Finding::note("kernel", message, ""))
}

fn filling(check: &'static str, who: &str, what: &str, used: u64, most: u64, advice: String) -> Option<Finding> {
    let message = format!("{who} {used} of at most {most} {what}");
    match used.saturating_mul(100) {
        much if much >= most.saturating_mul(95) => {
            Some(Finding::failure(check, format!("{message}: new ones are refused now or soon"), advice))
        }
        much if much >= most.saturating_mul(75) => Some(Finding::warning(check, message, advice)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Weight;
    use crate::doctor::reading::{Route, Told};

    fn checks(reading: &Reading) -> Vec<(&'static str, Weight)> {
        judge(reading).iter().map(|finding| (finding.check, finding.weight)).collect()
    }

    #[test]
    fn a_host_that_forwards_nothing_is_no_router() {
        let switches = Switches { forwarding4: Some(0), forwarding6: Some(0), ..Switches::default() };
        let found = checks(&Reading { switches, ..Reading::default() });
        assert_eq!(found, [("forwarding", Weight::Failure), ("forwarding6", Weight::Failure)]);
    }

    #[test]
    fn strict_reverse_paths_hurt_only_where_there_are_two() {
        let by = |interface: &str| Route {
            prefix: "0.0.0.0/0".parse().unwrap(),
            interface: interface.to_owned(),
            metric: 0,
            gateway: "192.0.2.254".parse().ok(),
        };
        let rp_filter = [("eth0".to_owned(), 1), ("eth1".to_owned(), 2)].into();
        let mut reading = Reading { routes: vec![by("eth0")], ..Reading::default() };
        reading.switches.rp_filter = rp_filter;
        assert_eq!(checks(&reading), []);

        reading.routes.push(by("eth1"));

        assert_eq!(checks(&reading), [("rp-filter", Weight::Warning)]);
    }

    #[test]
    fn udp_lite_is_no_flow_where_checksums_are_looked_at_and_that_hurts_whom_policy_speaks_of() {
        let found = |conntrack_checksum, policies: &[&str]| {
            let udplite_policies = policies.iter().map(|name| (*name).to_owned()).collect();
            let told = Told { udplite_policies, ..Told::default() };
            let switches = Switches { conntrack_checksum: Some(conntrack_checksum), ..Switches::default() };
            let reading = Reading { agent: Some(Ok(told)), switches, ..Reading::default() };
            untracked_udplite(&reading).map(|finding| finding.message)
        };

        assert_eq!(found(1, &[]), None);
        assert_eq!(found(0, &["db"]), None);
        let one = found(1, &["db"]).unwrap();
        assert!(one.contains("policy db speaks of UDP-Lite"), "{one}");
        let two = found(1, &["shop/db", "web"]).unwrap();
        assert!(two.contains("policy shop/db and 1 more speaks"), "{two}");
    }

    #[test]
    fn tables_warn_before_they_are_full() {
        let found = |used| {
            let switches = Switches { flows: Some((used, 1000)), ..Switches::default() };
            checks(&Reading { switches, ..Reading::default() })
        };
        assert_eq!(found(749), []);
        assert_eq!(found(750), [("conntrack", Weight::Warning)]);
        assert_eq!(found(990), [("conntrack", Weight::Failure)]);
    }

    #[test]
    fn an_old_kernel_is_told_what_it_lacks_and_is_well() {
        let found = |release: &str| {
            let switches = Switches { release: release.to_owned(), ..Switches::default() };
            super::release(&switches).map(|finding| finding.weight)
        };
        assert_eq!(["5.2.0", "6.1.0-13-amd64"].map(found), [Some(Weight::Note); 2]);
        assert_eq!(["6.9.1", "7.0-rc1", "strange"].map(found), [None; 3]);
    }
}
