//! What a world is compiled to, in nft's own words.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use poplin_policy::compile::{MAX_TIERS, compile};
use poplin_policy::host::{Host, WorkloadToHost};
use poplin_policy::model::{Action, DefaultAction, Peers};
use poplin_policy::ruleset::{Chain, Interface, Ruleset};
use poplin_policy::world::World;

use crate::scene::*;

fn host(local: &[&str]) -> Host {
    let interface = |name: &&str| ((*name).to_owned(), Interface::new(format!("pop-{name}")).unwrap());
    Host {
        interfaces: local.iter().map(interface).collect(),
        interface_prefix: "pop-".to_owned(),
        workload_to_host: WorkloadToHost::Drop,
    }
}

/// The chains of policies only, without the names' hashes.
fn policy_chains(rules: &Ruleset) -> String {
    let is_of_policy = |chain: &&Chain| chain.hook.is_none();
    let chains: BTreeMap<_, _> = rules.chains.iter().filter(|(_, chain)| is_of_policy(chain)).collect();
    let named = chains
        .into_iter()
        .filter(|(name, _)| name.as_str().starts_with("ingress") || name.as_str().starts_with("egress"));
    named.map(|(name, chain)| format!("chain {name} {chain}")).collect()
}

#[test]
fn a_host_with_one_governed_and_one_free_endpoint() {
    let world =
        with(shop(), ingress("db", "app == 'db'", vec![rule(Action::Allow, select("app == 'web'"), "tcp/5432")]));

    let rules = compile(&world, &host(&["web", "db"]));

    assert_snapshot!(rules, @r#"
    set select4-a0467eb14c97fa3e {
    	type ipv4_addr
    	elements = { 10.0.0.1 }
    }
    set select6-a0467eb14c97fa3e {
    	type ipv6_addr
    	elements = { fd00::1 }
    }
    set sources4 {
    	type ifname . ipv4_addr
    	elements = { "pop-db" . 10.0.0.3, "pop-web" . 10.0.0.1 }
    }
    set sources6 {
    	type ifname . ipv6_addr
    	elements = { "pop-db" . fd00::3, "pop-web" . fd00::1 }
    }
    map egress-chains {
    	type mark : verdict
    	elements = { 0x0410c8ef : goto allow-all }
    }
    map egress-ids {
    	type ifname : mark
    	elements = { "pop-db" : 0x0410c8ef, "pop-web" : 0x0410c8ef }
    }
    map ingress-chains {
    	type mark : verdict
    	elements = { 0x0410c8ef : goto allow-all, 0x0640c895 : goto ingress-e46808c91c8580fe }
    }
    map ingress-ids {
    	type ifname : mark
    	elements = { "pop-db" : 0x0640c895, "pop-web" : 0x0410c8ef }
    }
    chain allow-all {
    	return
    }
    chain forward {
    	type filter hook forward priority 0; policy accept;
    	ct state established,related accept
    	iifname "pop-*" jump from-workload
    	oifname "pop-*" jump to-workload
    }
    chain from-workload {
    	ct state invalid limit rate 100/second burst 100 packets log prefix "poplin egress invalid" group 1430 snaplen 128
    	ct state invalid counter drop
    	meta l4proto tcp tcp flags & 0x17 != 0x02 limit rate 100/second burst 100 packets log prefix "poplin egress mid-stream" group 1430 snaplen 128
    	meta l4proto tcp tcp flags & 0x17 != 0x02 counter drop
    	iifname map @egress-ids vmap @egress-chains
    	limit rate 100/second burst 100 packets log prefix "poplin egress no-policy" group 1430 snaplen 128
    	counter drop
    }
    chain ingress-e46808c91c8580fe {
    	meta nfproto ipv4 meta l4proto tcp th dport 5432 ip saddr @select4-a0467eb14c97fa3e return
    	meta nfproto ipv6 meta l4proto tcp th dport 5432 ip6 saddr @select6-a0467eb14c97fa3e return
    	counter drop
    }
    chain input {
    	type filter hook input priority 0; policy accept;
    	iifname != "pop-*" accept
    	ct state established,related accept
    	meta nfproto ipv6 meta l4proto ipv6-icmp icmpv6 type 133-136 ip6 hoplimit 255 accept
    	jump from-workload
    	meta nfproto ipv4 meta l4proto icmp icmp type 8 accept
    	meta nfproto ipv6 meta l4proto ipv6-icmp icmpv6 type 128 accept
    	limit rate 100/second burst 100 packets log prefix "poplin to-host" group 1430 snaplen 128
    	counter drop
    }
    chain prerouting {
    	type filter hook prerouting priority -300; policy accept;
    	iifname != "pop-*" accept
    	meta nfproto ipv4 iifname . ip saddr @sources4 accept
    	meta nfproto ipv6 iifname . ip6 saddr @sources6 accept
    	meta nfproto ipv6 meta l4proto ipv6-icmp icmpv6 type 133-136 ip6 hoplimit 255 ip6 saddr fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff accept
    	meta nfproto ipv6 meta l4proto ipv6-icmp icmpv6 type 133-136 ip6 hoplimit 255 ip6 saddr :: accept
    	meta nfproto ipv6 meta l4proto ipv6-icmp icmpv6 type 130-132 counter drop
    	meta nfproto ipv6 meta l4proto ipv6-icmp icmpv6 type 143 counter drop
    	limit rate 100/second burst 100 packets log prefix "poplin spoof" group 1430 snaplen 128
    	counter drop
    }
    chain to-workload {
    	ct state invalid limit rate 100/second burst 100 packets log prefix "poplin ingress invalid" group 1430 snaplen 128
    	ct state invalid counter drop
    	meta l4proto tcp tcp flags & 0x17 != 0x02 limit rate 100/second burst 100 packets log prefix "poplin ingress mid-stream" group 1430 snaplen 128
    	meta l4proto tcp tcp flags & 0x17 != 0x02 counter drop
    	oifname map @ingress-ids vmap @ingress-chains
    	limit rate 100/second burst 100 packets log prefix "poplin ingress no-policy" group 1430 snaplen 128
    	counter drop
    }
    "#);
}

#[test]
fn rules_of_every_kind() {
    let office = Peers { sets: vec!["office".into()], not_nets: nets("192.0.2.7/32"), ..anybody() };
    let abroad = Peers { nets: nets("203.0.113.0/24 198.51.100.0/24"), ..anybody() };
    let rules = vec![
        rule(Action::Deny, abroad, ""),
        rule(Action::Allow, select("site == 'hq'"), "tcp/22"),
        rule(Action::Allow, office, "tcp/80 tcp/81 tcp/443 udp"),
        rule(Action::Allow, anybody(), "tcp/1 tcp/3 tcp/5 tcp/7 tcp/9"),
        rule(Action::Pass, anybody(), "icmp/8/0 icmp6/128 proto/47"),
    ];
    let world = with_tier(shop(), "first", 1.0, DefaultAction::Pass);
    let world = with(world, in_tier("first", ingress("all-kinds", "app == 'db'", rules)));
    let world = with(world, ingress("closed", "app == 'db'", vec![]));

    let rules = compile(&world, &host(&["db"]));

    assert_snapshot!(policy_chains(&rules), @r#"
    chain ingress-24fdbb9401da3d65 {
    	counter drop
    }
    chain ingress-388e2a4192c0c982 {
    	meta nfproto ipv4 ip saddr @nets4-ca0fe97506905ade counter drop
    	meta nfproto ipv4 meta l4proto tcp th dport 22 ip saddr @select4-dee6fd2e7f55ec57 return
    	meta nfproto ipv4 meta l4proto tcp th dport 22 ip saddr @labelled4-dee6fd2e7f55ec57 return
    	meta nfproto ipv6 meta l4proto tcp th dport 22 ip6 saddr @select6-dee6fd2e7f55ec57 return
    	meta nfproto ipv6 meta l4proto tcp th dport 22 ip6 saddr @labelled6-dee6fd2e7f55ec57 return
    	meta nfproto ipv4 meta l4proto tcp th dport 80-81 ip saddr != 192.0.2.7 ip saddr @named4-19b2ec7151d9364b return
    	meta nfproto ipv6 meta l4proto tcp th dport 80-81 ip6 saddr @named6-19b2ec7151d9364b return
    	meta nfproto ipv4 meta l4proto tcp th dport 443 ip saddr != 192.0.2.7 ip saddr @named4-19b2ec7151d9364b return
    	meta nfproto ipv6 meta l4proto tcp th dport 443 ip6 saddr @named6-19b2ec7151d9364b return
    	meta nfproto ipv4 meta l4proto udp ip saddr != 192.0.2.7 ip saddr @named4-19b2ec7151d9364b return
    	meta nfproto ipv6 meta l4proto udp ip6 saddr @named6-19b2ec7151d9364b return
    	meta l4proto tcp th dport @ports-137035511b0ca8b6 return
    	meta nfproto ipv4 meta l4proto icmp icmp type 8 icmp code 0 goto ingress-24fdbb9401da3d65
    	meta nfproto ipv6 meta l4proto ipv6-icmp icmpv6 type 128 goto ingress-24fdbb9401da3d65
    	meta l4proto 47 goto ingress-24fdbb9401da3d65
    	goto ingress-24fdbb9401da3d65
    }
    "#);
}

#[test]
fn an_endpoint_the_world_does_not_know_gets_no_policy() {
    let rules = compile(&World::default(), &host(&["ghost"]));

    assert!(rules.maps.values().all(|map| map.elements.is_empty()));
    assert!(rules.sets.values().all(|set| set.elements.is_empty()));
}

/// The kernel refuses the whole table where chains follow each other further.
#[test]
fn tiers_beyond_what_the_kernel_follows_are_closed() {
    let passing = |count: usize| {
        (0..count).fold(shop(), |world, number| {
            let tier = format!("t{number:02}");
            let policy = ingress(&tier, "app == 'db'", vec![rule(Action::Pass, anybody(), "")]);
            with(with_tier(world, &tier, 1.0, DefaultAction::Deny), in_tier(&tier, policy))
        })
    };
    let last_verdicts = |count| {
        let chains = policy_chains(&compile(&passing(count), &host(&["db"])));
        let count = chains.matches("chain ingress").count();
        (count, chains.contains("return"), chains.matches("\tcounter drop").count())
    };

    assert_eq!(last_verdicts(MAX_TIERS), (14, true, 14));
    assert_eq!(last_verdicts(MAX_TIERS + 1), (14, false, 15));
}

#[test]
fn a_thousand_policies_and_endpoints_take_no_minutes() {
    let mut world = World::default();
    for number in 0..1000 {
        let labelled = format!("app=a{number} team=t{}", number % 10);
        let address = format!("10.1.{}.{}", number / 250, number % 250);
        world = with_endpoint(world, &format!("e{number}"), &labelled, &address);
        let peers = select(&format!("app == 'a{}'", (number + 1) % 1000));
        let subject = format!("app == 'a{number}'");
        world = with(world, ingress(&format!("p{number}"), &subject, vec![rule(Action::Allow, peers, "tcp/80")]));
    }
    let names: Vec<&str> = world.endpoints.keys().map(String::as_str).collect();
    let host = host(&names);

    let start = Instant::now();
    let rules = compile(&world, &host);

    // 0.25 s when built for release and 2 s without, on two busy cores; the bound only catches what grows faster than
    // policies times endpoints.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(rules.chains.len() > 1000);
}
