//! The plugin among others: chains with the reference plugins before and after it, several interfaces, and what capabilities ask for.

use poplin_lab::{Agent, Container, Lab, programs};
use serde_json::{Value, json};

#[test]
fn it_stands_in_a_chain_with_the_reference_plugins() {
    let lab = Lab::new();
    let host = lab.host();
    let (web, mut db) = (lab.container("web"), lab.container("db"));
    host.attach(&mut db, &[]);
    let plugins = [
        json!({"type": "loopback"}),
        json!({"type": "poplin-cni", "socket": host.socket()}),
        json!({"type": "tuning", "mtu": 1400}),
        json!({"type": "bandwidth", "ingressRate": 80_000_000, "ingressBurst": 8_000_000}),
    ];
    let chain = Chain::of(&host, &web, &plugins);

    let result = chain.add();

    let interfaces = result["interfaces"].as_array().cloned().unwrap_or_default();
    let inside = |interface: &&Value| interface["sandbox"].as_str().is_some_and(|sandbox| !sandbox.is_empty());
    let names: Vec<_> = interfaces.iter().filter(inside).filter_map(|interface| interface["name"].as_str()).collect();
    assert_eq!(names, ["lo", "eth0"]);
    let index = |ip: &Value| usize::try_from(ip["interface"].as_u64()?).ok();
    let ours = result["ips"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|ip| ip["address"].as_str().is_some_and(|address| address.starts_with("10.77.")));
    assert_eq!(ours.and_then(index).map(|index| interfaces[index]["name"].clone()), Some(json!("eth0")));
    assert!(web.namespace().run("ip", &["link", "show", "eth0"]).contains("mtu 1400"));
    assert!(web.reaches(db.v4()));
    chain.every("CHECK", &result);
    chain.every("DEL", &result);
    assert_eq!(host.links().len(), 1, "db's is left");
}

#[test]
fn each_interface_of_a_container_is_reached_by_its_own_address() {
    let lab = Lab::new();
    let host = lab.host();
    let (web, mut db) = (lab.container("web"), lab.container("db"));
    host.attach(&mut db, &[]);
    let plugin = [json!({"type": "poplin-cni", "socket": host.socket()})];
    let chains = ["eth0", "net1"].map(|interface| Chain { interface, ..Chain::of(&host, &web, &plugin) });

    let results = [0, 1].map(|index| chains[index].add());

    for (chain, result) in chains.iter().zip(&results) {
        let address = result["ips"][0]["address"].as_str().and_then(|address| address.split('/').next()?.parse().ok());
        assert!(db.reaches(address.expect("it has an address")), "{}", chain.interface);
        chain.every("CHECK", result);
    }
    assert_eq!(chains[1].add(), results[1], "ADD twice is ADD once");
    chains[1].every("DEL", &results[1]);
    chains[0].every("CHECK", &results[0]);
    chains[0].every("DEL", &results[0]);
    assert_eq!(host.links().len(), 1);
}

#[test]
fn bandwidth_is_bounded_on_both_sides_and_missed_when_it_is_gone() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    let bounds =
        json!({"bandwidth": {"IngressRate": 80_000_000, "IngressBurst": 4_294_967_295_u32, "EgressRate": 8_000_000}});
    let result = host.cni_add_with(&mut web, &json!({"runtimeConfig": bounds}));
    let check = |web: &Container| host.cni_with("CHECK", web, &json!({"runtimeConfig": bounds, "prevResult": result}));

    let outside = host.namespace().run("tc", &["qdisc", "show", "dev", &host.links()[0]]);
    let inside = web.namespace().run("tc", &["qdisc", "show", "dev", "eth0"]);
    assert!(outside.contains("tbf") && outside.contains("rate 80Mbit burst 100"), "{outside}");
    assert!(inside.contains("tbf") && inside.contains("rate 8Mbit burst 64"), "{inside}");
    host.cni_add_with(&mut web, &json!({"runtimeConfig": bounds}));
    assert!(check(&web).status.success(), "{:?}", check(&web));

    host.namespace().run("tc", &["qdisc", "del", "dev", &host.links()[0], "root"]);

    let found = String::from_utf8_lossy(&check(&web).stdout).into_owned();
    assert!(found.contains("has lost its bandwidth limit"), "{found}");
}

#[test]
fn mac_dns_and_network_are_as_asked_for() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    host.apply("{apiVersion: poplin.dev/v1, kind: Network, metadata: {name: shop}, spec: {}}");

    let result = host.cni_add_with(
        &mut web,
        &json!({
            "network": "shop",
            "runtimeConfig": {"mac": "02:00:00:00:00:77", "dns": {"servers": ["192.0.2.53"], "options": ["ndots:2"]}},
        }),
    );

    assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:77");
    assert_eq!(result["dns"], json!({"nameservers": ["192.0.2.53"], "options": ["ndots:2"]}));
    let endpoints = host.get(&["endpoints"]);
    let endpoint = endpoints.as_array().and_then(|all| all.first()).unwrap_or(&endpoints);
    assert_eq!(endpoint["spec"]["network"], "shop");
}

/// Plugins in the order of their configuration, run as a runtime's library runs them.
struct Chain<'a> {
    host: &'a Agent,
    container: &'a Container,
    interface: &'static str,
    plugins: &'a [Value],
}

impl<'a> Chain<'a> {
    fn of(host: &'a Agent, container: &'a Container, plugins: &'a [Value]) -> Self {
        Self { host, container, interface: "eth0", plugins }
    }

    /// Each gets the result of the one before.
    #[track_caller]
    fn add(&self) -> Value {
        self.plugins.iter().fold(Value::Null, |former, plugin| self.call("ADD", plugin, &former))
    }

    /// Each gets the result of the whole chain; DEL goes backwards.
    #[track_caller]
    fn every(&self, command: &str, result: &Value) {
        let plugins: Vec<&Value> =
            if command == "DEL" { self.plugins.iter().rev().collect() } else { self.plugins.iter().collect() };
        for plugin in plugins {
            self.call(command, plugin, result);
        }
    }

    #[track_caller]
    fn call(&self, command: &str, plugin: &Value, result: &Value) -> Value {
        let mut configuration = plugin.clone();
        configuration["cniVersion"] = json!("1.0.0");
        configuration["name"] = json!("chain");
        if !result.is_null() {
            configuration["prevResult"] = result.clone();
        }
        let kind = plugin["type"].as_str().unwrap_or_default();
        let program = if kind == "poplin-cni" { programs().join(kind) } else { format!("/usr/lib/cni/{kind}").into() };
        let output = self.host.plugin(command, self.container, self.interface, &program, &configuration);
        assert!(output.status.success(), "{command} {kind}: {}", poplin_lab::told(&output));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }
}
