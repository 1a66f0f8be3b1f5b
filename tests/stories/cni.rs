//! A container runtime calls the plugin, once too often and in the wrong order as runtimes do.

use poplin_lab::{Agent, Container, Lab, until};
use serde_json::{Value, json};

#[test]
fn add_twice_is_add_once() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");

    let first = host.cni_add(&mut web, &json!({"app": "web"}));
    let second = host.cni_add(&mut web, &json!({"app": "web"}));

    assert_eq!(first, second);
    assert_eq!(first["ips"][0]["address"], format!("{}/32", web.v4()));
    assert_eq!(host.links().len(), 1);
    assert_eq!(host.get(&["endpoints"]).as_array().map_or(1, Vec::len), 1);
    assert_eq!(host.status()["blocks"][0]["taken"], 1);
}

#[test]
fn del_may_come_twice_and_without_a_namespace() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    host.cni_add(&mut web, &json!({}));

    host.cni_delete(&web);
    host.cni_delete(&web);

    assert_eq!(host.links(), Vec::<String>::new());
    host.cni_add(&mut web, &json!({}));
    let without = host.cni_raw("DEL", "web", "", &json!({}));
    assert!(without.status.success(), "{without:?}");
    assert_eq!(host.links(), Vec::<String>::new());
    assert!(host.cni_raw("DEL", "never-seen", "", &json!({})).status.success(), "nobody is gone already");
}

#[test]
fn del_after_the_namespace_has_gone_gives_the_address_back() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    host.cni_add(&mut web, &json!({}));
    let path = web.namespace().path().display().to_string();
    drop(web);
    until("the link went with its namespace", || host.links().is_empty());

    let answer = host.cni_raw("DEL", "web", &path, &json!({}));

    assert!(answer.status.success(), "{answer:?}");
    assert_eq!(host.status()["blocks"][0]["taken"].as_u64().unwrap_or(0), 0);
}

#[test]
fn check_is_content_until_something_is_broken() {
    let lab = Lab::new();
    let host = lab.host();
    let mut web = lab.container("web");
    let result = host.cni_add(&mut web, &json!({}));
    let check = || host.cni_with("CHECK", &web, &json!({"prevResult": result.clone()}));
    assert!(check().status.success(), "{:?}", check());

    web.namespace().run("ip", &["route", "del", "default"]);

    let error = error_of(&check());
    assert_eq!(error["code"], 102);
    assert!(error["msg"].as_str().is_some_and(|text| text.contains("default route")), "{error}");
}

#[test]
fn what_was_never_added_is_an_unknown_container() {
    let lab = Lab::new();
    let host = lab.host();
    let web = lab.container("web");

    let error = error_of(&host.cni_with("CHECK", &web, &json!({"prevResult": {"cniVersion": "1.0.0", "ips": []}})));

    assert_eq!(error["code"], 3, "{error}");
}

#[test]
fn version_needs_no_agent() {
    let lab = Lab::new();
    let host = Agent::new(&lab, lab.namespace("h1"), "h1");

    let answer = host.cni_raw("VERSION", "", "", &json!({}));

    let answer: Value = serde_json::from_slice(&answer.stdout).expect("the answer is JSON");
    assert!(answer["supportedVersions"].as_array().is_some_and(|all| all.contains(&json!("1.0.0"))), "{answer}");
}

#[test]
fn an_absent_agent_is_a_reason_to_try_again_later() {
    let lab = Lab::new();
    let mut host = lab.host();
    let mut web = lab.container("web");
    host.cni_add(&mut web, &json!({}));

    host.kill();

    for command in ["ADD", "DEL"] {
        let error = error_of(&host.cni(command, &web, &json!({})));
        assert_eq!(error["code"], 11, "{command}: {error}");
    }
    host.start();
    host.cni_delete(&web);
    assert_eq!(host.links(), Vec::<String>::new());
}

#[test]
fn a_container_that_is_attached_cannot_be_attached_in_another_namespace() {
    let lab = Lab::new();
    let host = lab.host();
    let (mut web, other) = (lab.container("web"), lab.container("other"));
    host.cni_add(&mut web, &json!({}));

    let moved = error_of(&host.cni_raw("ADD", "web", &other.namespace().path().display().to_string(), &json!({})));

    assert!(moved["msg"].as_str().is_some_and(|text| text.contains("already attached in")), "{moved}");
    assert_eq!(host.links().len(), 1);
    assert!(is_bare(&other));
}

fn is_bare(container: &Container) -> bool {
    !container.namespace().output("ip", &["link", "show", "eth0"]).status.success()
}

#[track_caller]
fn error_of(output: &std::process::Output) -> Value {
    assert!(!output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
