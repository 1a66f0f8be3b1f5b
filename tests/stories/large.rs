//! As much as people have: thousands of objects in one file, and a set of a hundred thousand prefixes.

use std::fmt::Write as _;

use poplin_lab::{Agent, Fabric, Lab, eventually, told, until};

const MANY: usize = 4_000;

/// How far a change has come, and how that is seen.
type Stage = (&'static str, fn(&Fabric) -> bool);

#[test]
fn an_agent_that_dies_while_it_applies_thousands_of_policies_leaves_none_of_them_or_all() {
    let mut fabric = Fabric::meshed(2);
    let file = fabric.lab.directory().join("policies.yaml");
    let stages: [Stage; 3] = [
        ("its pieces are written", |fabric| lines(fabric, "/poplin/v1/s/") > 0),
        ("half of them are", |fabric| lines(fabric, "/poplin/v1/s/") > MANY / 100),
        ("it is decided", |fabric| raw(fabric, "/poplin/v1/meta/whole").contains("pieces")),
    ];

    for (number, (stage, is_reached)) in stages.into_iter().enumerate() {
        let label = format!("r{number}");
        std::fs::write(&file, policies(&label)).expect("the directory is there");
        let mut apply = fabric.hosts[0].start_poplin("apply", &["apply", "-f", &file.display().to_string()]);
        until(stage, || is_reached(&fabric) || !apply.is_running());
        fabric.hosts[0].strike();
        fabric.hosts[0].kill();

        let count = labelled(&fabric.hosts[1], &label);
        assert!(count == 0 || count == MANY, "{stage}: {count} of {MANY}");
        end_leases(&fabric); // as two minutes would
        until("nothing of it is left over", || lines(&fabric, "/poplin/v1/s/") == 0);
        assert_eq!(labelled(&fabric.hosts[1], &label), count, "{stage}");
        fabric.hosts[0].start();
    }

    fabric.hosts[0].apply(&policies("last"));
    fabric.hosts.iter().for_each(|host| assert_eq!(labelled(host, "last"), MANY));
}

#[test]
fn containers_come_and_policy_holds_while_thousands_of_policies_are_applied() {
    let mut fabric = Fabric::meshed(2);
    let (web, db) = (fabric.container(1, "web"), fabric.container(2, "db"));
    let port = db.listen(5432);
    port.set_nonblocking(true).expect("a listener can be told not to wait");
    let file = fabric.lab.directory().join("policies.yaml");
    std::fs::write(&file, policies("only") + &opening_and_closing()).expect("the directory is there");
    until("db answers", || web.connects(db.v4(), 5432));

    let mut apply = fabric.hosts[0].start_poplin("apply", &["apply", "-f", &file.display().to_string()]);
    until("it is under way", || lines(&fabric, "/poplin/v1/s/") > 0 || !apply.is_running());
    let late = fabric.container(1, "late");

    until("it is in force", || {
        while port.accept().is_ok() {} // who is let in and not taken in fills the queue of the port, and then nobody is
        !late.connects(db.v4(), 5432)
    });
    assert!(web.connects(db.v4(), 5432), "what the last of them opens is in force with what the first of them closes");
    until("it is over", || !apply.is_running());
    fabric.hosts[0].kill();
}

#[test]
fn a_set_of_a_hundred_thousand_prefixes_reaches_the_kernel_changes_and_goes_on_etcd() {
    let mut fabric = Fabric::meshed(2);
    let _web = fabric.container(2, "web");
    a_large_set_lives(&fabric.hosts[0], &fabric.hosts[1]);
    assert_eq!(lines(&fabric, "/poplin/v1/x/"), 0, "no part of it is left");

    fabric.hosts[1].kill();
    fabric.hosts[0].apply(&set(0..100_000));
    fabric.hosts[0].apply(USER);
    fabric.hosts[1].start();
    until("a host that begins anew has all of it", || in_kernel(&fabric.hosts[1]) == 100_000);
}

#[test]
fn a_set_of_a_hundred_thousand_prefixes_reaches_the_kernel_changes_and_goes_on_one_host() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    host.attach(&mut web, &["app=web"]);
    a_large_set_lives(&host, &host);
}

#[test]
fn more_than_a_set_takes_is_refused_with_the_bound_and_what_to_try() {
    let lab = Lab::new();
    let host = lab.host();

    let output = host.try_apply(&set(0..250_001));

    let words = told(&output);
    assert!(
        words.contains("250001 prefixes") && words.contains("at most 250000") && words.contains("several sets"),
        "{words}"
    );
}

fn a_large_set_lives(asked: &Agent, enforcing: &Agent) {
    asked.apply(&set(0..100_000));
    asked.apply(USER);
    until("the kernel has all of it", || in_kernel(enforcing) == 100_000);

    asked.apply(&set(3..100_005));
    until("the kernel has what changed", || in_kernel(enforcing) == 100_002);
    let rules = enforcing.namespace().run("nft", &["-nn", "list", "ruleset"]);
    assert!(rules.contains(&address(100_004)) && !rules.contains(&format!("{},", address(1))));

    let refused = told(&asked.try_poplin(&["delete", "addressset", "big"]));
    assert!(refused.contains("named by policy user"), "{refused}");
    asked.poplin(&["delete", "policy", "user"]);
    asked.poplin(&["delete", "addressset", "big"]);
    until("the kernel has none of it", || in_kernel(enforcing) == 0);
}

fn policies(label: &str) -> String {
    let mut yaml = String::new();
    for number in 0..MANY {
        let _ = write!(
            yaml,
            "---\napiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: p{number:05}, labels: {{round: {label}}}}}\n\
             spec: {{subject: app == 'x{number}', ingress: [{{action: allow, from: {{select: app == 'y{number}'}}}}]}}\n"
        );
    }
    yaml
}

/// By name the one stands before all others, and the other after them.
fn opening_and_closing() -> String {
    let policy = |name: &str, from: &str| {
        format!(
            "---\napiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: {name}}}\n\
             spec: {{subject: app == 'db', ingress: [{{action: allow, from: {{select: app == '{from}'}}}}]}}\n"
        )
    };
    policy("a-closes", "nobody") + &policy("z-opens", "web")
}

fn labelled(host: &Agent, label: &str) -> usize {
    host.poplin(&["get", "policies", "-l", &format!("round == '{label}'"), "-o", "name"]).lines().count()
}

const USER: &str = "
apiVersion: poplin.dev/v1
kind: Policy
metadata: {name: user}
spec: {subject: app == 'web', ingress: [{action: allow, from: {sets: [big]}, ports: [tcp/80]}]}
";

/// No two of them make one prefix.
fn address(number: usize) -> String {
    let octets = 2 * number;
    format!("11.{}.{}.{}", octets >> 16, (octets >> 8) & 255, octets & 255)
}

fn set(numbers: std::ops::Range<usize>) -> String {
    let mut yaml = "apiVersion: poplin.dev/v1\nkind: AddressSet\nmetadata: {name: big}\nspec:\n  nets:\n".to_owned();
    numbers.for_each(|number| _ = writeln!(yaml, "  - {}/32", address(number)));
    yaml
}

/// How many elements of the set stand in the kernel.
fn in_kernel(host: &Agent) -> usize {
    host.namespace().run("nft", &["-nn", "list", "ruleset"]).matches(" 11.").count()
}

fn raw(fabric: &Fabric, prefix: &str) -> String {
    told(&fabric.tor.etcdctl(&["get", "--prefix", prefix]))
}

/// How many keys stand below a prefix.
fn lines(fabric: &Fabric, prefix: &str) -> usize {
    let told = told(&fabric.tor.etcdctl(&["get", "--prefix", "--keys-only", prefix]));
    told.lines().filter(|line| line.starts_with(prefix)).count()
}

fn end_leases(fabric: &Fabric) {
    let leases = told(&fabric.tor.etcdctl(&["lease", "list"]));
    let is_number = |line: &&str| line.len() == 16 && line.chars().all(|digit| digit.is_ascii_hexdigit());
    for lease in leases.lines().filter(is_number) {
        eventually("the lease ends", || match fabric.tor.etcdctl(&["lease", "revoke", lease]) {
            output if output.status.success() || told(&output).contains("not found") => Ok(()),
            output => Err(told(&output)),
        });
    }
}
