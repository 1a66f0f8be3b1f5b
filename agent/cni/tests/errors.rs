//! Shows what a runtime gets when something is wrong: one JSON object on stdout, the specification's code, exit code 1.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

mod plugin;

use plugin::{NOWHERE, conf, del, plugin};
use serde_json::json;

#[test]
fn missing_variables_are_all_named() {
    let (code, answer) = plugin(&[("CNI_COMMAND", "ADD")], "{}");

    assert_eq!(code, 1);
    assert_eq!(answer["code"], 4);
    assert_eq!(answer["msg"], "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME are not set");
    assert_eq!(plugin(&[], "").1["msg"], "CNI_COMMAND is not set");
    assert_eq!(plugin(&[("CNI_COMMAND", "JUMP")], "").1["code"], 4);
}

#[test]
fn an_id_with_a_slash_is_refused() {
    let (_, answer) = plugin(
        &[("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "../c1"), ("CNI_IFNAME", "eth0")],
        &conf("1.0.0", NOWHERE),
    );

    assert_eq!(answer["code"], 4);
}

#[test]
fn broken_json_is_code_6_and_a_missing_name_code_7() {
    let del = del();
    assert_eq!(plugin(&del, "{").1["code"], 6);
    assert_eq!(plugin(&del, r#"{"cniVersion":"1.0.0"}"#).1["code"], 7);
}

#[test]
fn an_unknown_version_is_code_1_and_told_the_known_ones() {
    let (code, answer) = plugin(&del(), &conf("9.0.0", NOWHERE));

    assert_eq!((code, &answer["code"]), (1, &json!(1)));
    assert!(answer["details"].as_str().unwrap().contains("0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"));
}

#[test]
fn a_verb_its_version_does_not_have_is_code_1() {
    assert_eq!(plugin(&[("CNI_COMMAND", "STATUS")], &conf("1.0.0", NOWHERE)).1["code"], 1);
    let check = [
        ("CNI_COMMAND", "CHECK"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_NETNS", "/run/netns/nobody"),
    ];
    assert_eq!(plugin(&check, &conf("0.3.1", NOWHERE)).1["code"], 1);
}

#[test]
fn without_an_agent_del_is_to_be_tried_later_and_status_is_not_available() {
    let (code, answer) = plugin(&del(), &conf("1.1.0", NOWHERE));
    assert_eq!((code, &answer["code"]), (1, &json!(11)));
    assert_eq!(answer["cniVersion"], "1.1.0");
    assert!(answer["msg"].as_str().unwrap().contains(NOWHERE));

    assert_eq!(plugin(&[("CNI_COMMAND", "STATUS")], &conf("1.1.0", NOWHERE)).1["code"], 50);
}

#[test]
fn a_namespace_that_is_none_is_found_before_the_agent_is_asked() {
    let add = |netns| [("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "eth0"), ("CNI_NETNS", netns)];

    let absent = plugin(&add("/run/netns/nobody-was-here"), &conf("1.0.0", NOWHERE)).1;
    let file = plugin(&add("/etc/hostname"), &conf("1.0.0", NOWHERE)).1;

    assert_eq!((&absent["code"], &file["code"]), (&json!(4), &json!(4)));
    assert_eq!(absent["msg"], "CNI_NETNS: network namespace /run/netns/nobody-was-here does not exist");
    assert_eq!(file["msg"], "CNI_NETNS: /etc/hostname is not a network namespace");
}

#[test]
fn gc_without_a_list_releases_nothing() {
    assert_eq!(plugin(&[("CNI_COMMAND", "GC")], &conf("1.1.0", NOWHERE)).1["code"], 7);
}

#[test]
fn version_is_answered_whatever_the_input() {
    for (input, version) in [("", "1.1.0"), (r#"{"cniVersion":"0.4.0"}"#, "0.4.0"), (r#"{"cniVersion":"7"}"#, "1.1.0")]
    {
        let (code, answer) = plugin(&[("CNI_COMMAND", "VERSION")], input);

        assert_eq!(code, 0);
        assert_eq!(answer["cniVersion"], version);
        assert_eq!(answer["supportedVersions"], json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
    }
}
