//! What runtimes write, and what becomes of it.

use super::*;

fn conf(text: &str) -> Conf {
    Conf::parse(text.as_bytes()).unwrap()
}

fn args(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn labels_come_from_four_places_and_the_pods_own_win() {
    let conf = conf(
        r#"{"name":"n","labels":{"a":"conf","b":"conf"},"args":{"cni":{"labels":[{"key":"b","value":"args"},
            {"key":"c","value":"args"}]}},"runtimeConfig":{"labels":{"c":"runtime","poplin.dev/pod-name":"fake"}}}"#,
    );

    let labels = conf.labels(&args(&[("K8S_POD_NAMESPACE", "shop"), ("K8S_POD_NAME", "web-0")]));

    let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [
        ("a", "conf"),
        ("b", "args"),
        ("c", "runtime"),
        ("poplin.dev/cni-network", "n"),
        ("poplin.dev/pod-name", "web-0"),
        ("poplin.dev/pod-namespace", "shop"),
    ];
    assert_eq!(labels, expected);
}

#[test]
fn a_pod_name_too_long_for_a_label_is_left_out() {
    let labels = conf(r#"{"name":"n"}"#).labels(&args(&[("K8S_POD_NAME", &"x".repeat(64))]));

    assert_eq!(labels.len(), 1);
}

#[test]
fn wanted_addresses_come_from_three_places() {
    let conf =
        conf(r#"{"name":"n","runtimeConfig":{"ips":["10.0.0.9/24","fd00::9"]},"args":{"cni":{"ips":["10.0.0.9"]}}}"#);

    assert_eq!(conf.addresses(&args(&[("IP", "10.0.0.9")])), ["10.0.0.9", "fd00::9"]);
}

#[test]
fn ports_are_published_as_podman_and_as_containerd_say_it() {
    let published =
        |mappings: &str| conf(&format!(r#"{{"name":"n","runtimeConfig":{{"portMappings":{mappings}}}}}"#)).published();

    let podman = r#"[{"hostPort":8080,"containerPort":80,"protocol":"tcp"},{"hostPort":53,"containerPort":5353,"protocol":"udp","hostIP":"192.0.2.1"}]"#;
    assert_eq!(published(podman), ["8080:80/tcp", "192.0.2.1:53:5353/udp"]);
    let containerd = r#"[{"HostPort":8080,"ContainerPort":80,"Protocol":"TCP","HostIP":""},{"HostPort":0,"ContainerPort":81,"Protocol":"tcp","HostIP":""},
        {"ContainerPort":82},{"HostPort":443,"ContainerPort":443,"HostIP":"2001:db8::1"}]"#;
    assert_eq!(published(containerd), ["8080:80/tcp", "[2001:db8::1]:443:443/tcp"]);
    assert!(published("null").is_empty());
}

#[test]
fn a_container_is_called_what_its_runtime_calls_it_and_by_its_aliases_in_this_network() {
    let conf = conf(r#"{"name":"n","runtimeConfig":{"aliases":{"n":["DB","my_db.local","two words"],"other":["x"]}}}"#);

    assert_eq!(conf.aliases(&args(&[("K8S_POD_NAME", "web-0")])), ["web-0", "db", "my_db.local"]);
    assert_eq!(conf.aliases(&args(&[("K8S_POD_NAME", "db")])), ["db", "my_db.local"]);
}

#[test]
fn nulls_and_foreign_keys_are_nothing() {
    let conf = conf(
        r#"{"name":"n","labels":null,"args":null,"runtimeConfig":null,"prevResult":null,"capabilities":{"ips":true}}"#,
    );

    assert!(conf.prev_result.is_none() && conf.addresses(&[]).is_empty());
}

#[test]
fn a_pod_is_called_by_its_name_and_namespace_and_each_further_interface_by_its_own() {
    let plain = conf(r#"{"name":"n"}"#);
    let pod = args(&[("K8S_POD_NAMESPACE", "shop"), ("K8S_POD_NAME", "web-0")]);

    assert_eq!(plain.preferred_names(&pod, "eth0"), ["web-0.shop"]);
    assert_eq!(plain.preferred_names(&pod, "net1"), ["web-0-net1.shop"]);
    assert_eq!(plain.preferred_names(&args(&[("K8S_POD_NAME", "My_Web")]), "eth0"), ["my-web"]);
    assert!(plain.preferred_names(&[], "eth0").is_empty());
}

#[test]
fn who_joins_a_network_lives_in_its_namespace() {
    let conf = conf(r#"{"name":"n","network":"bank"}"#);
    let pod = args(&[("K8S_POD_NAMESPACE", "shop"), ("K8S_POD_NAME", "web-0")]);

    assert_eq!(conf.namespace(&pod), "");
    assert_eq!(conf.preferred_names(&pod, "eth0"), ["web-0.bank"]);
}

#[test]
fn a_mac_is_wanted_in_three_places() {
    let both =
        conf(r#"{"name":"n","runtimeConfig":{"mac":"02:00:00:00:00:07"},"args":{"cni":{"mac":"02:00:00:00:00:08"}}}"#);

    assert_eq!(both.mac(&args(&[("MAC", "02:00:00:00:00:06")])), "02:00:00:00:00:06");
    assert_eq!(both.mac(&[]), "02:00:00:00:00:07");
    assert_eq!(conf(r#"{"name":"n","args":{"cni":{"mac":"02:00:00:00:00:08"}}}"#).mac(&[]), "02:00:00:00:00:08");
    assert_eq!(conf(r#"{"name":"n"}"#).mac(&[]), "");
}

#[test]
fn a_pod_gets_what_it_asks_for_unless_who_set_up_the_host_says_otherwise() {
    let conf = conf(
        r#"{"name":"n","labels":{"tier":"conf"},"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"poplin.dev/labels":"app=web,tier=pod",
            "poplin.dev/ips":"10.0.0.9","poplin.dev/mac":"02:00:00:00:00:09","poplin.dev/aliases":"WWW"}}}"#,
    );
    assert_eq!((conf.labels(&[]).len(), conf.mac(&[])), (2, String::new()), "CHECK and DEL do not look");

    let conf = conf.heeding_the_pod().unwrap();

    let labels = conf.labels(&[]);
    assert_eq!((labels["app"].as_str(), labels["tier"].as_str()), ("web", "conf"));
    assert_eq!((conf.addresses(&[]), conf.mac(&[])), (vec!["10.0.0.9".to_owned()], "02:00:00:00:00:09".to_owned()));
    assert_eq!(conf.mac(&args(&[("MAC", "02:00:00:00:00:06")])), "02:00:00:00:00:06");
    assert_eq!(conf.aliases(&args(&[("K8S_POD_NAME", "web-0")])), ["web-0", "www"]);
}
