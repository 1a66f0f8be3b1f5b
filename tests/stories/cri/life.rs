//! What pods are in the fabric while they live, and what their runtime asks for them.

use poplin_lab::{Dns, Pod, Port, eventually, run, until};
use serde_json::{Value, json};

use super::{Scene, shown};

#[test]
fn a_pod_is_an_endpoint_of_its_name_in_its_namespace_and_gives_its_addresses_back() {
    let scene = Scene::new(2);
    let [web, db] = [("web-0", 0), ("db-0", 1)].map(|(name, host)| {
        let labels = [("app".to_owned(), "unheard".to_owned())].into();
        scene.start(host, &Pod { labels, ..resolving(annotated("shop", name, "poplin.dev/labels", "app=db,tier=db")) })
    });

    let endpoint = scene.host(1).get(&["endpoint", "web-0.shop"]);
    assert_eq!(scene.addresses("web-0.shop"), web.addresses(&scene));
    assert_eq!((&endpoint["spec"]["host"], &endpoint["metadata"]["namespace"]), (&"h1".into(), &"shop".into()));
    let labels = json!({
        "app": "db",
        "tier": "pod",
        "poplin.dev/cni-network": "poplin",
        "poplin.dev/pod-name": "web-0",
        "poplin.dev/pod-namespace": "shop",
    });
    assert_eq!(
        endpoint["metadata"]["labels"], labels,
        "the host's configuration goes before the pod's annotation; its labels containerd tells nobody"
    );
    for there in db.addresses(&scene).iter().map(String::as_str).chain(["db-0"]) {
        until("it talks to the other one, by address and by name", || web.pings(&scene, there));
    }

    for (pod, host) in [(&web, 0), (&db, 1)] {
        scene.cri(host).stop(&pod.id).expect("it is stopped");
        scene.cri(host).stop(&pod.id).expect("twice is once");
        assert_eq!(scene.host(host).links(), Vec::<String>::new());
        assert_eq!(scene.host(host).status()["blocks"][0]["taken"].as_u64().unwrap_or(0), 0);
        scene.cri(host).remove(&pod.id).expect("it is removed");
    }
    assert_eq!(scene.names(), Vec::<String>::new());
}

/// What the first process of a pod does first: it says whether somebody answers.
const FIRST: &str = "ping -c3 -W1 VAULT >/dev/null && echo open >/first || echo closed >/first; exec sleep 1000";

#[test]
fn policy_holds_before_the_first_process_of_a_pod_runs() {
    let scene = Scene::new(1);
    let vault = scene.start(0, &Pod::new("bank", "vault-0"));
    let first = FIRST.replace("VAULT", &vault.addresses(&scene)[0]);
    scene.host(0).apply(BANK_FOR_ITSELF);
    let tries = |pod: &Pod| {
        let pod = scene.run(0, pod, &["sh", "-c", &first]);
        let mut found = String::new();
        until("it has tried", || {
            found = pod.says(&scene, &["cat", "/first"]);
            found == "open\n" || found == "closed\n"
        });
        found
    };

    assert_eq!(tries(&Pod::new("shop", "clerk-0")), "closed\n");
    assert_eq!(tries(&Pod::new("bank", "clerk-0")), "open\n");
    assert_eq!(tries(&annotated("bank", "thief-0", "poplin.dev/labels", "app=thief")), "closed\n");
}

const BANK_FOR_ITSELF: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: bank, namespace: bank}
spec:
  podSelector: {}
  ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [thief]}]}}]}]
";

#[test]
fn ports_bandwidth_and_dns_of_a_pod_arrive_as_the_readme_shows() {
    let scene = Scene::new(1);
    let document = shown("crictl runp pod.json\n```\n\n```json\n");
    let pod = pod_of(&serde_json::from_str(document).expect("the README shows JSON"));

    let web = scene.run(0, &pod, &["nc", "-ll", "-p", "80", "-e", "cat"]);

    let dials = |port| scene.fabric.tor.namespace().connect([172, 30, 0, 1].into(), port).is_ok();
    until("a port of the host leads to it", || dials(8080));
    assert!(!dials(8081));
    let outside = scene.host(0).namespace().run("tc", &["qdisc", "show", "dev", &scene.host(0).links()[0]]);
    let netns = format!("--net={}", scene.cri(0).standing(&web.id).expect("it stands").netns.display());
    let inside = run("nsenter", &[&netns, "tc", "qdisc", "show", "dev", "eth0"]);
    assert!(outside.contains("tbf") && outside.contains("rate 100Mbit"), "{outside}");
    assert!(inside.contains("tbf") && inside.contains("rate 20Mbit"), "{inside}");
    let resolver = web.says(&scene, &["cat", "/etc/resolv.conf"]);
    assert!(resolver.contains("nameserver 169.254.1.1") && resolver.contains("shop.poplin.internal"), "{resolver}");

    let labels = &scene.host(0).get(&["endpoint", "web-0.shop"])["metadata"]["labels"];
    assert_eq!((&labels["app"], &labels["tier"]), (&"web".into(), &"pod".into()));
}

#[test]
fn a_pod_that_asks_for_what_cannot_be_is_told_why_and_leaves_nothing() {
    let scene = Scene::new(1);
    let ports = vec![Port { host_port: 8080, container_port: 80, ..Port::default() }];
    scene.start(0, &Pod { ports: ports.clone(), ..Pod::new("shop", "web-0") });
    let taken = scene.addresses("web-0.shop").remove(0);

    for (pod, words) in [
        (Pod { ports, ..Pod::new("shop", "web-1") }, ["8080", "web-0.shop"]),
        (annotated("shop", "web-1", "poplin.dev/label", "app=web"), ["poplin.dev/label ", "poplin.dev/labels"]),
        (annotated("shop", "web-1", "poplin.dev/labels", "app:web"), ["app:web", "KEY=VALUE"]),
        (annotated("shop", "web-1", "poplin.dev/labels", "two words=web"), ["two words", "label"]),
        (annotated("shop", "web-1", "poplin.dev/ips", &taken), [&taken, "is taken by"]),
        (annotated("shop", "web-1", "kubernetes.io/ingress-bandwidth", "1k"), ["ingressRate", "8000"]),
    ] {
        let refused = scene.cri(0).run(&pod).expect_err(words[0]);
        assert!(words.iter().all(|word| refused.message().contains(word)), "{words:?}: {refused}");
        assert_eq!((scene.names(), scene.host(0).links().len()), (vec!["endpoint/web-0.shop".to_owned()], 1));
    }
    assert_eq!(scene.cri(0).list().expect("it answers").len(), 1);
}

#[test]
fn a_runtime_class_has_networks_of_its_own_as_the_readme_shows() {
    let handler = shown("# /etc/containerd/config.toml\nversion = 2\n");
    let scene = Scene::configured(1, handler);
    scene.host(0).apply("{apiVersion: poplin.dev/v1, kind: Network, metadata: {name: bank}, spec: {}}");
    let [bin, directory] = ["bin", "bank.d"].map(|name| scene.runtimes[0].0.place(name).display().to_string());
    let install = ["cni", "install", "--name", "bank", "--network", "bank", "--label", "app=vault"];
    scene.host(0).poplin(&[&install[..], &["--bin-dir", &bin, "--conf-dir", &directory]].concat());

    eventually("containerd has read it", || {
        scene.cri(0).run_by("bank", &Pod::new("shop", "vault-0")).map_err(|status| status.to_string())
    });
    scene.start(0, &Pod::new("shop", "web-0"));

    let vault = scene.host(0).get(&["endpoint", "vault-0.bank"]);
    assert_eq!((&vault["spec"]["network"], &vault["metadata"]["labels"]["app"]), (&"bank".into(), &"vault".into()));
    assert!(scene.names().contains(&"endpoint/web-0.shop".to_owned()), "{:?}", scene.names());
}

/// A pod as `crictl` reads it, with the fields of the contract by their names there.
fn pod_of(document: &Value) -> Pod {
    let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
    let list = |value: &Value| value.as_array().expect("it is a list").iter().map(text).collect();
    let number = |value: &Value| i32::try_from(value.as_i64().expect("it is a number")).expect("it is a port");
    let port = |port: &Value| Port {
        container_port: number(&port["container_port"]),
        host_port: number(&port["host_port"]),
        ..Port::default()
    };
    let metadata = &document["metadata"];
    let dns = &document["dns_config"];
    Pod {
        ports: document["port_mappings"].as_array().expect("it is a list").iter().map(port).collect(),
        annotations: serde_json::from_value(document["annotations"].clone()).expect("they are texts"),
        dns: Some(Dns { servers: list(&dns["servers"]), searches: list(&dns["searches"]), ..Dns::default() }),
        ..Pod::new(&text(&metadata["namespace"]), &text(&metadata["name"]))
    }
}

fn annotated(namespace: &str, name: &str, key: &str, value: &str) -> Pod {
    Pod { annotations: [(key.to_owned(), value.to_owned())].into(), ..Pod::new(namespace, name) }
}

/// A pod that is told of our resolver.
fn resolving(pod: Pod) -> Pod {
    let dns = Dns { servers: vec!["169.254.1.1".to_owned()], ..Dns::default() };
    Pod { dns: Some(dns), ..pod }
}
