//! `poplin ipam`: what there is in columns, and what is wrong with what to try.

use poplin_proto::v1::{AddressFinding, AddressUse, CheckAddressesResponse, HostUse, PoolUse, ShowAddressesResponse};

use crate::RunsPoplin as _;
use crate::fake::Agent;

#[test]
fn ipam_shows_pools_and_hosts_in_columns_and_an_address_in_lines() {
    let agent = Agent::start();
    let four = PoolUse {
        name: "four".to_owned(),
        cidr: "10.77.0.0/16".to_owned(),
        block_size: 26,
        addresses: 65536,
        used: 2,
        free: 65533,
        cooling: 1,
        blocks: 1,
        blocks_total: 1024,
        ..PoolUse::default()
    };
    let six = PoolUse {
        name: "six".to_owned(),
        cidr: "fd77::/48".to_owned(),
        block_size: 122,
        addresses: u64::MAX,
        free: u64::MAX,
        blocks_total: u64::MAX,
        mode: "manual".to_owned(),
        ..PoolUse::default()
    };
    let host = HostUse { host: "h1".to_owned(), pool: "four".to_owned(), blocks: 1, used: 2, borrowed: 0 };
    agent.world().addresses =
        ShowAddressesResponse { revision: 7, pools: vec![four, six], hosts: vec![host], address: None };

    let shown = agent.poplin(&["ipam", "show"]);
    agent.world().addresses.address = Some(AddressUse {
        address: "10.77.0.9".to_owned(),
        state: "taken".to_owned(),
        pool: "four".to_owned(),
        block: "10.77.0.0/26".to_owned(),
        block_host: "h1".to_owned(),
        attachment: "web/eth0".to_owned(),
        endpoint: "web".to_owned(),
        host: "h1".to_owned(),
        since: 1_800_000_000,
    });
    let one = agent.poplin(&["ipam", "show", "10.77.0.9"]);

    let columns = "\
POOL  CIDR          BLOCKS                    SIZE          USED  FREE          RESERVED  KEPT  COOLING  MODE
four  10.77.0.0/16  1 of 1024 (/26)           65536         2     65533         0         0     1        -
six   fd77::/48     0 of 2^64 or more (/122)  2^64 or more  0     2^64 or more  0         0     0        manual

HOST  POOL  BLOCKS  USED  BORROWED
h1    four  1       2     0
";
    let lines = "\
10.77.0.9: taken
  endpoint   web
  host       h1
  since      2027-01-15T08:00:00.000Z
  attachment web/eth0
  pool       four
  block      10.77.0.0/26 of host h1
";
    assert_eq!((shown.out.as_str(), one.out.as_str()), (columns, lines));
}

#[test]
fn ipam_check_exits_1_for_what_is_not_mended_and_says_what_to_try() {
    let agent = Agent::start();
    let finding = |reason: &str, message: &str, mending: &str| AddressFinding {
        reason: reason.to_owned(),
        message: message.to_owned(),
        advice: "look there".to_owned(),
        mending: mending.to_owned(),
        mended: false,
    };
    let leaked =
        finding("LEAKED", "10.77.0.9 is taken by c1/eth0, and there is no such endpoint", "10.77.0.9 is freed");
    let shared = finding("SHARED", "10.77.0.8 is that of endpoint a and of endpoint b", "");
    let all = CheckAddressesResponse {
        findings: vec![leaked, shared],
        pools: 1,
        blocks: 2,
        endpoints: 3,
        ..Default::default()
    };
    agent.world().audit = all;

    let asked = agent.poplin(&["ipam", "check"]);
    let fixed = agent.poplin(&["ipam", "check", "--fix"]);
    agent.world().audit.findings.pop();
    let clean = agent.poplin(&["ipam", "check", "--fix"]);

    let asked_for = "\
LEAKED: 10.77.0.9 is taken by c1/eth0, and there is no such endpoint
    --fix would do: 10.77.0.9 is freed
SHARED: 10.77.0.8 is that of endpoint a and of endpoint b
    try: look there
1 pools, 2 blocks, 3 endpoints: 2 wrong
";
    let done = "\
LEAKED: 10.77.0.9 is taken by c1/eth0, and there is no such endpoint
    mended: 10.77.0.9 is freed
SHARED: 10.77.0.8 is that of endpoint a and of endpoint b
    try: look there
1 pools, 2 blocks, 3 endpoints: 1 wrong, 1 mended
";
    assert_eq!((asked.out.as_str(), fixed.out.as_str()), (asked_for, done));
    assert_eq!((asked.code, fixed.code, clean.code), (1, 1, 0));
}

#[test]
fn who_accepts_a_store_is_told_who_is_waited_for_no_more() {
    let agent = Agent::start();

    let asked = agent.poplin(&["store", "accept", "--dry-run"]);
    let done = agent.poplin(&["store", "accept"]);

    assert_eq!(asked.out, "would wait no more for h2, h3\n");
    assert_eq!(done.out, "waits no more for h2, h3: addresses are given again\n");
}
