//! Networks without Docker: namespaces join them by `poplin attach`.

use poplin_lab::{Lab, until};

#[test]
fn namespaces_of_one_network_talk_and_those_of_two_do_not() {
    let lab = Lab::new();
    let host = lab.host();
    for (name, cidr) in [("shop", "[10.77.4.0/24]"), ("bank", "[ipv4]")] {
        host.apply(&format!(
            "{{apiVersion: poplin.dev/v1, kind: Network, metadata: {{name: {name}, labels: {{team: {name}}}}}, spec: {{subnets: {cidr}}}}}"
        ));
    }
    let [mut web, mut db, mut vault, mut plain] = ["web", "db", "vault", "plain"].map(|name| lab.container(name));

    host.attach_with(&mut web, &["--network", "shop"]);
    host.attach_with(&mut db, &["--network", "shop", "--ip", "10.77.4.9", "--mac", "02:00:00:00:04:09"]);
    host.attach_with(&mut vault, &["--network", "bank"]);
    host.attach(&mut plain, &[]);

    until("within a network it is open", || web.reaches(db.v4()));
    assert!(!web.reaches(vault.v4()) && !plain.reaches(db.v4()), "to all others it is closed");
    assert!(web.reaches(plain.v4()), "who is in no network is open as ever");
    let endpoint = host.get(&["endpoint", "db"]);
    assert_eq!(
        (&endpoint["metadata"]["namespace"], &endpoint["spec"]["mac"]),
        (&"shop".into(), &"02:00:00:00:04:09".into())
    );
    let index = host.get(&["network", "shop"])["spec"]["index"].as_u64().expect("it has a number");
    let route = web.namespace().run("ip", &["route", "show", "default"]);
    assert!(route.contains(&format!("169.254.{}.{}", index >> 8, index & 255)), "{route}");
}

#[test]
fn who_joins_what_is_not_there_is_told_so() {
    let lab = Lab::new();
    let host = lab.host();
    let web = lab.container("web");
    let netns = web.namespace().path().display().to_string();

    let refused = host.try_poplin(&["attach", "--netns", &netns, "--name", "web", "--network", "shop"]);

    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("there is no network shop") && told.contains("poplin get networks"), "{told}");
}
