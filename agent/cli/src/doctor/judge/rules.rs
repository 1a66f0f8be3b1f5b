//! Whether rules of other programs let through what ours lets through: a packet that one table drops no other can pass.
//!
//! And whether our own table is there at all.

use serde_json::Value;

use super::walk::{Chains, Fate, Packet};
use crate::doctor::finding::Finding;
use crate::doctor::reading::{PREFIX, Reading, Rules, is_ours};

/// Where neighbours call.
const BGP_PORT: u64 = 179;

/// Our table.
const TABLE: &str = "poplin";

/// What dockerd leaves to others.
const DOCKERS_DOOR: &str = "DOCKER-USER";

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(rules) = &reading.rules {
        let has_links = reading.links.keys().any(|name| is_ours(name));
        if has_links && !rules.chains.iter().any(|chain| chain["table"] == TABLE) {
            let message = "table inet poplin is not there: no policy is in force for the containers of this host";
            findings.push(Finding::failure(
                "own-rules",
                message,
                "start the agent; it writes the table before all else",
            ));
        }
        findings.extend(foreign(reading, rules));
    }
    findings.extend(reading.legacy_rules.as_deref().and_then(legacy));
    findings
}

fn foreign<'a>(reading: &'a Reading, rules: &'a Rules) -> impl Iterator<Item = Finding> + 'a {
    let is_foreign = |chain: &&Value| chain["table"] != TABLE && matches!(family(chain), "inet" | "ip" | "ip6");
    rules.chains.iter().filter(is_foreign).filter_map(|chain| {
        let chains = Chains::of(&rules.rules, family(chain), text(&chain["table"]));
        match chain["hook"].as_str() {
            Some("forward") => forward(chain, &chains, reading),
            Some("input") => input(chain, &chains, reading),
            _ => None,
        }
    })
}

/// Containers outwards, and inwards.
fn forward(chain: &Value, chains: &Chains<'_>, reading: &Reading) -> Option<Finding> {
    let link = reading.links.keys().find(|name| is_ours(name)).map_or("pop0", String::as_str);
    let uplink = reading.uplinks().first().copied().unwrap_or("eth0");
    let out = Packet { from: link, to: uplink, port: None };
    let back = Packet { from: uplink, to: link, port: None };
    let (what, cause) = [("leave", out), ("reach", back)]
        .into_iter()
        .find_map(|(what, packet)| Some((what, dropped(chain, chains, packet)?)))?;
    let (family, table, name) = (family(chain), text(&chain["table"]), text(&chain["name"]));
    let message =
        format!("chain {name} of table {family} {table} {cause} what would {what} containers of this host by {uplink}");
    let advice = if chains.has(DOCKERS_DOOR) || reading.rules.as_ref().is_some_and(|rules| has_docker(rules, table)) {
        let program = if family == "ip6" { "ip6tables" } else { "iptables" };
        format!(
            "{program} -I {DOCKERS_DOOR} -i {PREFIX}+ -j ACCEPT; {program} -I {DOCKERS_DOOR} -o {PREFIX}+ -j ACCEPT"
        )
    } else if table == "firewalld" {
        format!(
            "firewall-cmd --permanent --zone=trusted --add-interface={PREFIX}+ and firewall-cmd --reload, or a firewalld policy that accepts"
        )
    } else {
        format!(
            "nft insert rule {family} {table} {name} iifname \"{PREFIX}*\" accept, the same with oifname, and in the file it comes from"
        )
    };
    Some(Finding::failure("foreign-forward", message, advice))
}

fn has_docker(rules: &Rules, table: &str) -> bool {
    rules.chains.iter().any(|chain| chain["table"] == table && chain["name"] == DOCKERS_DOOR)
}

/// Neighbours who call.
fn input(chain: &Value, chains: &Chains<'_>, reading: &Reading) -> Option<Finding> {
    let has_neighbours = reading.told().is_some_and(|told| !told.status.sessions.is_empty());
    let uplink = reading.uplinks().first().copied().unwrap_or("eth0");
    let call = Packet { from: uplink, to: "", port: Some(BGP_PORT) };
    let cause = dropped(chain, chains, call).filter(|_| has_neighbours)?;
    let (family, table, name) = (family(chain), text(&chain["table"]), text(&chain["name"]));
    let message = format!("chain {name} of table {family} {table} {cause} BGP neighbours that call at tcp port 179");
    let advice = format!(
        "nft insert rule {family} {table} {name} tcp dport 179 accept (and udp dport {{ 3784, 4784 }} for BFD)"
    );
    Some(Finding::warning("foreign-input", message, advice))
}

/// How the packet ends here, in words.
fn dropped(chain: &Value, chains: &Chains<'_>, packet: Packet<'_>) -> Option<String> {
    match chains.walk(text(&chain["name"]), packet) {
        Some(Fate::Passes) => None,
        Some(Fate::DropsAt(handle)) => Some(format!("drops (at handle {handle})")),
        None if chain["policy"] == "drop" => Some("drops (by its policy)".to_owned()),
        None => None,
    }
}

/// Rules of the old kind, which nft does not show.
fn legacy(rules: &str) -> Option<Finding> {
    let drops = rules.lines().any(|line| line == "-P FORWARD DROP");
    let lets_us = rules.lines().any(|line| line.contains(&format!(" {PREFIX}+ ")) && line.ends_with("-j ACCEPT"));
    let message =
        "iptables-legacy drops by policy what is forwarded, containers' packets too, and nft does not show it";
    let advice =
        format!("iptables-legacy -I FORWARD -i {PREFIX}+ -j ACCEPT; iptables-legacy -I FORWARD -o {PREFIX}+ -j ACCEPT");
    (drops && !lets_us).then(|| Finding::failure("foreign-forward", message, advice))
}

fn family(chain: &Value) -> &str {
    text(&chain["family"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::reading::Told;
    use poplin_proto::v1::{GetStatusResponse, SessionStatus};
    use serde_json::json;

    fn reading(chain: Value, rules: &[(&str, Value)]) -> Reading {
        let mut chain = chain;
        chain["family"] = "ip".into();
        chain["table"] = "filter".into();
        let rule = |(chain, statements): &(&str, Value)| json!({"family": "ip", "table": "filter", "chain": chain, "handle": 7, "expr": statements});
        let rules = Rules { chains: vec![chain], rules: rules.iter().map(rule).collect() };
        let status = GetStatusResponse { sessions: vec![SessionStatus::default()], ..GetStatusResponse::default() };
        let agent = Some(Ok(Told { status, ..Told::default() }));
        Reading { rules: Some(rules), agent, ..Reading::default() }
    }

    fn checks(reading: &Reading) -> Vec<&'static str> {
        judge(reading).iter().map(|finding| finding.check).collect()
    }

    fn from(pattern: &str) -> Value {
        json!({"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": pattern}})
    }

    fn to(pattern: &str) -> Value {
        json!({"match": {"op": "==", "left": {"meta": {"key": "oifname"}}, "right": pattern}})
    }

    fn forward(policy: &str) -> Value {
        json!({"name": "FORWARD", "type": "filter", "hook": "forward", "prio": 0, "policy": policy})
    }

    #[test]
    fn a_policy_of_drop_bites_unless_both_ways_are_let_through() {
        let accept = json!({"accept": null});
        let (out, back) = (json!([from("pop*"), accept]), json!([to("pop*"), accept]));

        assert_eq!(checks(&reading(forward("accept"), &[])), [""; 0]);
        assert_eq!(checks(&reading(forward("drop"), &[])), ["foreign-forward"]);
        assert_eq!(checks(&reading(forward("drop"), &[("FORWARD", out.clone())])), ["foreign-forward"]);
        assert_eq!(checks(&reading(forward("drop"), &[("FORWARD", out), ("FORWARD", back)])), [""; 0]);
    }

    #[test]
    fn a_last_rule_that_rejects_bites_like_a_policy_and_a_called_chain_may_save_us() {
        let reject = ("FORWARD", json!([{"counter": null}, {"reject": {"type": "icmpx"}}]));
        let call = ("FORWARD", json!([{"jump": {"target": "DOCKER-USER"}}]));
        let saved = ["i", "o"].map(|way| {
            let matched = if way == "i" { from("pop*") } else { to("pop*") };
            ("DOCKER-USER", json!([matched, {"accept": null}]))
        });

        assert_eq!(checks(&reading(forward("accept"), std::slice::from_ref(&reject))), ["foreign-forward"]);
        let [out, back] = saved;
        assert_eq!(checks(&reading(forward("accept"), &[call, out, back, reject])), [""; 0]);
    }

    #[test]
    fn rules_about_others_or_about_known_flows_are_passed_by() {
        let others = ("FORWARD", json!([from("docker0"), {"drop": null}]));
        let known =
            json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}});
        let known = ("FORWARD", json!([known, {"accept": null}]));
        let unknown = ("FORWARD", json!([{"xt": {"type": "match", "name": "mark"}}, {"drop": null}]));

        assert_eq!(checks(&reading(forward("accept"), &[others, unknown])), [""; 0]);
        assert_eq!(checks(&reading(forward("drop"), &[known])), ["foreign-forward"]);
    }

    #[test]
    fn neighbours_must_be_able_to_call() {
        let input = json!({"name": "INPUT", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"});
        let port = |right: Value| {
            let left = json!({"payload": {"protocol": "tcp", "field": "dport"}});
            ("INPUT", json!([{"match": {"op": "==", "left": left, "right": right}}, {"accept": null}]))
        };

        assert_eq!(checks(&reading(input.clone(), &[port(json!(22))])), ["foreign-input"]);
        assert_eq!(checks(&reading(input.clone(), &[port(json!({"set": [22, 179]}))])), [""; 0]);
        assert_eq!(checks(&reading(input, &[port(json!({"range": [100, 200]}))])), [""; 0]);
    }

    #[test]
    fn links_without_our_table_are_found_and_rules_of_the_old_kind_too() {
        let link = crate::doctor::reading::Link::default();
        let links = [("pop1".to_owned(), link)].into();
        let reading = Reading { links, rules: Some(Rules::default()), ..Reading::default() };
        assert_eq!(checks(&reading), ["own-rules"]);

        assert!(legacy("-P INPUT ACCEPT\n-P FORWARD DROP\n").is_some());
        assert!(legacy("-P FORWARD DROP\n-A FORWARD -i pop+ -j ACCEPT\n").is_none());
    }
}
