//! What is declared, document by document.

use std::fmt::Write as _;

pub(crate) const POLICIES: usize = 10_000;
pub(crate) const SETS: usize = 1_000;
pub(crate) const WORKLOADS: usize = 1_000;
const PREFIXES: usize = 100;
const OF_THE_HOST: usize = 10;

/// All policies and sets.
pub(crate) fn all() -> String {
    let sets = (0..SETS).map(|number| set(number, 0));
    let policies = (0..POLICIES).map(|number| policy(number, 0));
    sets.chain(policies).collect::<Vec<_>>().join("---\n")
}

/// One policy of two rules for one of the workloads; edited, it opens another port.
pub(crate) fn policy(number: usize, edits: usize) -> String {
    let (workload, set) = (number % WORKLOADS, number % SETS);
    let ports = (1 + number + edits * 40_000, 20_001 + number);
    format!(
        "apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: p{number}}}\nspec:\n  subject: name == 'n{workload}'\n  ingress:\n  \
         - {{action: allow, from: {{select: app == 'a{number}'}}, ports: [tcp/{}]}}\n  \
         - {{action: allow, from: {{sets: [s{set}]}}, ports: [tcp/{}]}}\n",
        ports.0, ports.1
    )
}

/// One set of prefixes no two of which make one; edited, it has one more.
pub(crate) fn set(number: usize, edits: usize) -> String {
    let mut text =
        format!("apiVersion: poplin.dev/v1\nkind: AddressSet\nmetadata: {{name: s{number}}}\nspec:\n  nets:\n");
    for prefix in 0..PREFIXES + edits {
        let bits = 2 * (number * (PREFIXES + 1) + prefix);
        let _ = writeln!(text, "  - 11.{}.{}.{}/32", bits >> 16, (bits >> 8) & 255, bits & 255);
    }
    text
}

/// A host endpoint and its own policies.
pub(crate) fn host_endpoint() -> String {
    let mut text = "apiVersion: poplin.dev/v1\nkind: HostEndpoint\nmetadata: {name: uplink, labels: {role: edge}}\n\
                    spec: {host: host, interface: eth0}\n"
        .to_owned();
    for number in 0..OF_THE_HOST {
        let _ = write!(
            text,
            "---\napiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: edge{number}}}\nspec:\n  subject: role == 'edge'\n  \
             hosts: forward\n  ingress: [{{action: allow, from: {{select: app == 'a{number}'}}, ports: [tcp/{}]}}]\n  \
             egress: [{{action: allow}}]\n",
            9_000 + number
        );
    }
    text
}
