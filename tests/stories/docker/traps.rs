//! The traps of libnetwork's protocol, each as dockerd sets it.

use serde_json::json;

use super::Dockers;

#[test]
fn the_protocol_is_answered_as_dockerd_needs_it() {
    let Dockers { docker: [one, _], hosts: [host, _], .. } = &Dockers::start();

    let (status, activated) = one.ask_plugin("Plugin.Activate", None);
    assert_eq!(
        (status, activated),
        (200, json!({"Implements": ["NetworkDriver", "IpamDriver"]})),
        "no body, an empty Host"
    );
    let (_, spaces) = one.ask_plugin("IpamDriver.GetDefaultAddressSpaces", None);
    assert_eq!(spaces["LocalDefaultAddressSpace"], spaces["GlobalDefaultAddressSpace"], "or dockerd 29 asks for ever");
    let (_, capabilities) = one.ask_plugin("NetworkDriver.GetCapabilities", None);
    assert_eq!(capabilities, json!({"Scope": "local", "ConnectivityScope": "global"}), "or dockerd wants Swarm");
    let (_, ipam) = one.ask_plugin("IpamDriver.GetCapabilities", None);
    assert_eq!(ipam["RequiresRequestReplay"], false, "the store is the truth");

    for (v6, any) in [(false, "0.0.0.0/0"), (true, "::/0")] {
        let (_, pool) = one.ask_plugin("IpamDriver.RequestPool", Some(&json!({"AddressSpace": "poplin", "V6": v6})));
        assert_eq!(pool["Pool"], any, "whatever overlaps a route of the host, dockerd asks for anew without end");
        assert!(pool["Data"]["com.docker.network.gateway"].is_string(), "else dockerd takes an address for a gateway");
    }

    assert_eq!(one.ask_plugin("NetworkDriver.AllocateNetwork", Some(&json!({}))).0, 404, "dockerd goes on without");
    for address in ["0.0.0.0", "::", "10.77.3.9", "10.77.3.9"] {
        let released = one.ask_plugin("IpamDriver.ReleaseAddress", Some(&json!({"PoolID": "any", "Address": address})));
        assert_eq!(released, (200, json!({})), "{address}");
    }
    assert_eq!(one.ask_plugin("IpamDriver.ReleasePool", Some(&json!({"PoolID": "any"}))), (200, json!({})));
    let gone = json!({"NetworkID": "n", "EndpointID": "e", "Later": {"versions": ["say", "more"]}});
    for call in ["NetworkDriver.Leave", "NetworkDriver.DeleteEndpoint", "NetworkDriver.DeleteNetwork"] {
        assert_eq!(one.ask_plugin(call, Some(&gone)), (200, json!({})), "{call}: dockerd may say it twice");
    }

    let (_, endpoint) = one.ask_plugin("NetworkDriver.CreateEndpoint", Some(&gone));
    assert!(endpoint["Err"].as_str().is_some_and(|told| told.contains("network n is not known here")), "{endpoint}");
    let (_, address) = one.ask_plugin("IpamDriver.RequestAddress", Some(&json!({"PoolID": "default"})));
    assert!(address["Error"].as_str().is_some_and(|told| told.contains("none of ours")), "{address}");
    assert_eq!(host.poplin(&["get", "endpoints", "-o", "name"]), "");
}

#[test]
fn what_is_no_request_is_refused_by_the_key_that_dockerd_reads() {
    let Dockers { docker: [one, _], hosts: [host, _], .. } = &Dockers::start();
    let network = ["CreateNetwork", "CreateEndpoint", "Join", "ProgramExternalConnectivity"];
    let address = ["RequestPool", "RequestAddress"];
    let network = network.map(|call| (format!("NetworkDriver.{call}"), "Err"));
    let address = address.map(|call| (format!("IpamDriver.{call}"), "Error"));

    for (call, key) in network.iter().chain(&address) {
        for request in
            [json!([]), json!("words"), json!({"NetworkID": 7, "PoolID": 7, "V6": "perhaps", "Options": [1]})]
        {
            let (status, answer) = one.ask_plugin(call, Some(&request));
            assert!(status == 200 && answer[key].is_string(), "{call} {request}: {status} {answer}");
        }
    }
    assert_eq!(host.poplin(&["get", "endpoints", "-o", "name"]), "");
}

#[test]
fn requests_of_dockerd_29_are_understood_by_what_they_have_in_common() {
    let Dockers { docker: [one, _], hosts: [host, _], .. } = &Dockers::start();
    let options = json!({"com.docker.network.enable_ipv4": true, "com.docker.network.enable_ipv6": false,
        "com.docker.network.generic": {"com.docker.network.driver.mtu": "1400"}});
    let data = json!({"AddressSpace": "poplin", "Pool": "10.77.0.0/16", "Gateway": "", "AuxAddresses": null});
    let create = json!({"NetworkID": "ab".repeat(32), "Options": options, "IPv4Data": [data], "IPv6Data": []});
    let (status, made) = one.ask_plugin("NetworkDriver.CreateNetwork", Some(&create));
    assert_eq!(status, 200, "{made}");

    let pool =
        json!({"PoolID": "default", "Address": "", "Options": {"RequestAddressType": "com.docker.network.gateway"}});
    let (status, _) = one.ask_plugin("IpamDriver.RequestAddress", Some(&pool));
    assert_eq!(status, 200);
    assert_eq!(host.poplin(&["get", "endpoints", "-o", "name"]), "");
}

#[test]
fn labels_and_profiles_may_come_with_the_endpoint_and_a_mac_that_is_wanted_is_had() {
    let Dockers { docker: [one, _], hosts: [host, _], .. } = &Dockers::start();
    one.make_network("shop", &[]);
    let network = one.run(&["network", "inspect", "--format", "{{.Id}}", "shop"]);
    let pool = json!({"PoolID": "v4 network/shop"});
    poplin_lab::until("the network is known by its name", || {
        host.try_poplin(&["get", "network", "shop"]).status.success()
    });
    let (_, address) = one.ask_plugin("IpamDriver.RequestAddress", Some(&pool));

    let interface = json!({"Address": address["Address"], "MacAddress": "02:42:0a:00:00:07"});
    let wanted = json!({"NetworkID": network, "EndpointID": "e1", "Interface": interface,
        "Options": {"poplin.label.app": "web", "poplin.profile": "pci,dmz", "com.docker.network.portmap": null}});
    let (_, made) = one.ask_plugin("NetworkDriver.CreateEndpoint", Some(&wanted));
    assert_eq!(made, json!({"Interface": {}}), "what dockerd gave may not be said again");

    let endpoint = host.get(&["endpoint", "h1-e1-docker"]);
    assert_eq!(endpoint["spec"]["mac"], "02:42:0a:00:00:07");
    assert_eq!(endpoint["metadata"]["labels"], json!({"app": "web"}), "until dockerd tells more");
    assert_eq!(endpoint["spec"]["profiles"], json!(["pci", "dmz"]));
    let named = json!({"NetworkID": network, "EndpointID": "e1"});
    let (_, joined) = one.ask_plugin("NetworkDriver.Join", Some(&named));
    let name = joined["InterfaceName"]["SrcName"].as_str().expect("the far end has a name").to_owned();
    assert!(host.ip("link show").contains(&name), "{name} waits in the host's namespace");
    one.ask_plugin("NetworkDriver.DeleteEndpoint", Some(&named));
    assert_eq!(host.links(), Vec::<String>::new());
}
