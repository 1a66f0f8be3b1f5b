use super::*;

const FILE: &str = r#"
asn = 64512
routerId = "192.0.2.1"
addresses = ["192.0.2.1"]

[peers.web]
address = "192.0.2.11"
asn = 64512
reflectorClient = true
passive = true
families = ["ipv4"]
import = "from-hosts"
bfd = { intervalMilliseconds = 100 }

[routeMaps.from-hosts]
otherwise = "reject"
rules = [{ action = "accept", when = { prefixes = ["10.0.0.0/8 le 32"] } }]
"#;

/// What is said about the file with this in place of that.
fn refused(that: &str, this: &str) -> String {
    assert!(FILE.contains(that), "{that:?} stands in the file");
    let outcome = SpeakerFile::parse(&FILE.replacen(that, this, 1)).and_then(|file| file.values("rr1"));
    format!("{:#}", outcome.unwrap_err())
}

#[test]
fn a_file_says_what_a_store_would_hold() {
    let values = SpeakerFile::parse(FILE).unwrap().values("rr1").unwrap();

    let keys: Vec<&str> = values.keys().map(|key| key.strip_prefix("/poplin/v1/").unwrap()).collect();
    assert_eq!(keys, ["c/fabricconfig/default", "c/peer/web", "c/routemap/from-hosts", "h/rr1"]);
}

#[test]
fn who_may_ask_a_speaker_stands_in_its_file_as_in_a_hosts() {
    let file =
        format!("{FILE}\n[api]\nread = ['CN=grafana']\nlisten = '192.0.2.1:9470'\nca = 'a'\ncert = 'b'\nkey = 'c'");
    let (allowed, remote) = SpeakerFile::parse(&file).unwrap().lasting.api.check().unwrap();

    assert_eq!(allowed.read, vec!["CN=grafana".parse().unwrap()]);
    assert!(remote.is_some());
    let wrong = SpeakerFile::parse(&format!("{FILE}\n[api]\nlisen = '192.0.2.1:9470'")).unwrap_err();
    assert!(format!("{wrong:#}").contains("lisen"), "{wrong:#}");
}

#[test]
fn how_ways_share_the_traffic_stands_in_the_file_and_is_checked() {
    let file = FILE.replacen("asn = 64512", "asn = 64512\nmaximumPaths = 2\nmultipathRelax = false", 1);
    let values = SpeakerFile::parse(&file).unwrap().values("rr1").unwrap();
    let fabric = String::from_utf8(values["/poplin/v1/c/fabricconfig/default"].clone()).unwrap();
    assert!(fabric.contains("\"maximumPaths\":2") && fabric.contains("\"multipathRelax\":false"), "{fabric}");

    let told = refused("asn = 64512", "asn = 64512\nmaximumPaths = 0");
    assert!(told.contains("maximumPaths: 0 is below 1; take 1 for the best path alone, or leave it out"), "{told}");
}

#[test]
fn who_is_told_by_bmp_stands_in_the_file_and_is_checked() {
    let stations =
        "addresses = [\"192.0.2.1\"]\nmonitoringStations = [{ address = \"192.0.2.9\", views = [\"loc-rib\"] }]";
    let file = FILE.replacen("addresses = [\"192.0.2.1\"]", stations, 1);
    assert!(SpeakerFile::parse(&file).unwrap().values("rr1").is_ok());

    let told = refused("[peers.web]", "[[monitoringStations]]\naddress = \"collector\"\n[peers.web]");
    assert!(told.contains("monitoringStations[0].address: \"collector\" is not an address"), "{told}");
}

#[test]
fn a_field_nobody_knows_is_refused_by_name() {
    let told = refused("passive", "pasive");
    assert!(told.contains("pasive") && told.contains("line 10"), "{told}");
    assert!(refused("routerId", "router-id").contains("router-id"));
    assert!(refused("prefixes", "prefixs").contains("prefixs"));
}

#[test]
fn what_cannot_be_is_named_by_its_place_in_the_file() {
    assert!(refused("\"192.0.2.11\"", "\"rack1\"").starts_with("peers.web.address: "));
    assert!(refused("\"ipv4\"", "\"ipv5\"").contains("peers.web.families[0]: \"ipv5\" is not one of ipv4, ipv6"));
    assert!(refused("le 32", "le 33").starts_with("routeMaps.from-hosts.rules[0].when.prefixes[0]: "));
    assert!(refused("reflectorClient", "hosts = \"all()\"\nreflectorClient").starts_with("peers.web.hosts: "));
}

#[test]
fn nobody_reflects_for_another_system() {
    let told = refused("asn = 64512\nrouterId", "asn = 64513\nrouterId");
    assert_eq!(told, "peers.web.reflectorClient: it is in AS 64512, and we are in AS 64513");
}

#[test]
fn a_route_map_that_is_not_there_is_missed() {
    let told = refused("\"from-hosts\"", "\"from-host\"");
    assert_eq!(told, "peers.web.import: there is no route map named \"from-host\"; did you mean \"from-hosts\"?");
}

#[test]
fn two_peers_of_one_address_are_refused() {
    let twice = "[routeMaps.from-hosts]";
    let told = refused(twice, &format!("[peers.again]\naddress = \"192.0.2.11\"\nasn = 64512\n\n{twice}"));
    assert!(told.contains("192.0.2.11 is again already"), "{told}");
}
