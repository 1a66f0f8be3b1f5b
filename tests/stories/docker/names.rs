//! Containers ask Docker's own resolver, which knows those of its host and asks the gateway for all others.

use poplin_lab::{Docker, until};

use super::Dockers;

/// The gateway of those who are in no network: every agent has it, so it can be written down once for all containers.
pub(super) const DNS: [&str; 2] = ["--dns", "169.254.1.1"];

#[test]
fn containers_find_one_another_across_hosts_by_name_and_alias() {
    let Dockers { docker: [one, two], .. } = &Dockers::start();
    one.make_network("shop", &[]);
    one.make_network("bank", &[]);
    two.until_network("bank");
    two.until_network("shop");
    one.sleeper("web", &[&["--network", "shop"][..], &DNS].concat());
    two.sleeper(
        "My_DB",
        &["--network", "shop", "--network-alias", "sql", "--label", "com.docker.compose.service=store"],
    );
    two.sleeper("vault", &["--network", "bank"]);
    let (db, vault) = (two.address("My_DB", "shop"), two.address("vault", "bank"));

    for name in ["my-db", "my-db.shop", "my-db.shop.poplin.internal", "store", "sql"] {
        until(&format!("{name} is found"), || found(one, "web", name).contains(&db));
    }
    assert!(!found(one, "web", "vault.bank.poplin.internal").contains(&vault), "of another network nobody learns");

    one.run(&["network", "connect", "bank", "web"]);
    until("who is in two networks finds those of both", || {
        found(one, "web", "vault.bank").contains(&vault) && found(one, "web", "sql").contains(&db)
    });

    two.run(&["rm", "-f", "My_DB"]);
    until("who has ended is not found any more", || !found(one, "web", "sql.shop.poplin.internal").contains(&db));
}

/// What busybox says of a name.
fn found(docker: &Docker, container: &str, name: &str) -> String {
    let output = docker.try_run(&["exec", container, "/bin/busybox", "nslookup", name]);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
