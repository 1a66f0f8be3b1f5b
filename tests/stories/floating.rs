//! Floating addresses: of the outside, each led to one endpoint wherever that is attached, and moved by one write.

use std::net::IpAddr;

use poplin_lab::{Container, Fabric, Flow, Pings, Talk, Witness, both, eventually, told, until};
use serde_json::json;

/// The floating address, of each family.
const FRONT: [IpAddr; 2] = both([198, 51, 100, 7], [0xfd98, 0, 0, 0, 0, 0, 0, 7]);
const OUTSIDE: [IpAddr; 2] = both([192, 0, 2, 2], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2]);

/// Two hosts under a ToR, a container on each, and a machine outside that knows the way to floating addresses and to no container.
struct Scene {
    web: Container,
    db: Container,
    outside: Container,
    fabric: Fabric,
}

impl Scene {
    fn new() -> Self {
        let fabric = Fabric::under_a_tor(2);
        let outside = fabric.machine("outside", OUTSIDE, ["198.51.100.0/24", "fd98::/64"]);
        let [web, db] = [("web", 0), ("db", 1)].map(|(name, host): (&str, usize)| {
            let mut container = fabric.lab.container(name);
            fabric.hosts[host].attach_with(&mut container, &["--label", &format!("app={name}")]);
            container
        });
        Self { web, db, outside, fabric }
    }

    fn led_to_web() -> Self {
        let scene = Self::new();
        scene.assign("web");
        until("it answers", || FRONT.into_iter().all(|address| scene.outside.reaches(address)));
        scene
    }

    /// By the second host, whoever it is for.
    fn assign(&self, endpoint: &str) {
        for address in FRONT {
            self.fabric.hosts[1].poplin(&["floating", "assign", &address.to_string(), endpoint]);
        }
    }

    /// The hosts by which the ToR has it that the address is reached.
    fn announcers(&self) -> Vec<String> {
        let said = FRONT.map(|address| self.fabric.tor.ask(&format!("show route for {address} all")));
        let hosts = ["h1", "h2"].into_iter();
        hosts.filter(|host| said.iter().all(|said| said.contains(&format!("[{host} ")))).map(str::to_owned).collect()
    }

    #[track_caller]
    fn until_announced_by(&self, hosts: &[&str]) {
        eventually("the ToR knows where it is", || {
            let announcers = self.announcers();
            if announcers == hosts { Ok(()) } else { Err(format!("{announcers:?} in place of {hosts:?}")) }
        });
    }
}

fn table_of(fabric: &Fabric, host: usize) -> String {
    fabric.hosts[host].namespace().run("nft", &["list", "table", "inet", "poplin"])
}

fn routes_to_front(fabric: &Fabric, host: usize) -> Vec<String> {
    let leads = |route: &String| {
        let begins = |address: &IpAddr| route.starts_with(&format!("{address} "));
        FRONT.iter().any(begins) && route.contains(" dev pop")
    };
    fabric.hosts[host].routes().into_iter().filter(leads).collect()
}

#[test]
fn an_address_moves_to_another_endpoint_on_another_host_and_the_former_answers_no_more() {
    let scene = Scene::led_to_web();
    let Scene { web, db, outside, fabric } = &scene;
    scene.until_announced_by(&["h1"]);
    let (flow, talk) = (Flow::by(outside, web, (FRONT[0], 80), 80), Talk::datagrams(outside, web, FRONT[1], 53));
    flow.goes_on();
    talk.goes_on();
    let _at_db = db.listen(81);
    assert!(!outside.connects(FRONT[0], 81), "it is web's");

    let told = fabric.hosts[1].poplin(&["floating", "assign", "198.51.100.7", "db"]);
    assert_eq!(told, "198.51.100.7 leads to db, and no more to web\n");
    fabric.hosts[1].poplin(&["floating", "assign", "fd98::7", "db"]);

    until("db answers", || FRONT.into_iter().all(|address| outside.connects(address, 81)));
    scene.until_announced_by(&["h2"]);
    until("the former host leads nowhere", || routes_to_front(fabric, 0).is_empty());
    assert!(!table_of(fabric, 0).contains("floating"), "and translates nothing");
    assert_eq!(routes_to_front(fabric, 1).len(), 2);
    assert!(flow.end().is_err(), "a connection is not handed over");
    assert!(web.reaches(db.v4()) && db.reaches(web.v6()), "all have their own addresses as before");
}

#[test]
fn the_client_is_seen_as_itself_and_the_endpoint_as_the_address_by_the_outside_alone() {
    let scene = Scene::led_to_web();
    let Scene { web, db, outside, fabric } = &scene;
    let [at_web, at_db, at_outside] = [web, db, outside].map(|one| Witness::on(one.namespace(), 80));
    let near = fabric.container(1, "near");

    let seen_at_web = |client: &Container| FRONT.map(|address| at_web.sees(client.namespace(), address, 80));
    assert_eq!(seen_at_web(outside), OUTSIDE.map(Some));
    until("a container of another host is seen as itself", || seen_at_web(db) == [Some(db.v4()), Some(db.v6())]);
    until("and one of the same", || seen_at_web(&near) == [Some(near.v4()), Some(near.v6())]);
    until("it sees itself by the address", || seen_at_web(web) == FRONT.map(Some));
    let host = fabric.hosts[0].namespace();
    assert!(FRONT.iter().all(|address| at_web.sees(host, *address, 80).is_some()), "its own host reaches it");

    assert_eq!(OUTSIDE.map(|address| at_outside.sees(web.namespace(), address, 80)), FRONT.map(Some));
    assert_eq!(at_outside.sees(db.namespace(), OUTSIDE[0], 80), None, "no answer finds the other one");
    let own = [db.v4(), db.v6()].map(|address| at_db.sees(web.namespace(), address, 80));
    assert_eq!(own, [Some(web.v4()), Some(web.v6())], "inside it is itself");
}

#[test]
fn the_pool_that_translates_what_leaves_it_comes_after_the_address() {
    let scene = Scene::led_to_web();
    let Scene { web, db, outside, fabric } = &scene;
    fabric.hosts[0].apply(
        "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {cidr: 10.77.0.0/16, nat: {}}}",
    );
    outside.namespace().run("ip", &["route", "add", "172.31.0.0/16", "via", "192.0.2.1"]);
    let (at_outside, at_web) = (Witness::on(outside.namespace(), 80), Witness::on(web.namespace(), 80));

    let hosts = "172.31.2.2".parse().ok();
    until("db leaves as its host", || at_outside.sees(db.namespace(), OUTSIDE[0], 80) == hosts);
    assert_eq!(at_outside.sees(web.namespace(), OUTSIDE[0], 80), Some(FRONT[0]));
    assert_eq!(at_web.sees(db.namespace(), FRONT[0], 80), Some(db.v4()), "the address is inside of the fabric");
}

#[test]
fn policy_takes_the_address_for_the_endpoints_own() {
    let scene = Scene::led_to_web();
    let Scene { web, db, outside, fabric } = &scene;
    let _port = web.listen(80);
    let reaches = |client: &Container| FRONT.map(|address| client.connects(address, 80));
    until("all reach it", || reaches(outside) == [true; 2] && reaches(db) == [true; 2]);

    fabric.hosts[0]
        .apply(&policy("in", "subject: app == 'web', ingress: [{action: allow, from: {select: app == 'db'}}]"));
    until("the machine does not", || reaches(outside) == [false; 2]);
    assert_eq!(reaches(db), [true; 2]);
    let out = |to: &str| {
        policy("out", &format!("subject: app == 'db', egress: [{{action: allow, to: {{select: app == '{to}'}}}}]"))
    };
    fabric.hosts[0].apply(&out("nobody"));
    until("db may go nowhere", || reaches(db) == [false; 2]);
    fabric.hosts[0].apply(&out("web"));
    until("db may go to web, by each of its addresses", || reaches(db) == [true; 2] && db.connects(web.v4(), 80));

    let explained = fabric.hosts[1].poplin(&["explain", "db", "198.51.100.7", "tcp/80"]);
    assert!(explained.contains("web") && explained.contains("allow"), "{explained}");
    let is_older = ["has not heard", "does not have all"].iter().any(|words| explained.contains(words));
    assert!(!is_older, "what is allowed is in force: {explained}");
}

fn policy(name: &str, spec: &str) -> String {
    format!("{{apiVersion: poplin.dev/v1, kind: Policy, metadata: {{name: {name}}}, spec: {{{spec}}}}}")
}

#[test]
fn it_outlives_the_agent_and_comes_back_where_another_hand_took_it_away() {
    let mut scene = Scene::led_to_web();
    let pings = FRONT.map(|address| Pings::start(scene.fabric.lab.directory(), &scene.outside, address, 400));

    scene.fabric.hosts[0].kill();
    scene.fabric.hosts[0].start();
    scene.fabric.hosts[0].until_established(1);

    assert_eq!(pings.map(Pings::lost), [0, 0]);
    scene.until_announced_by(&["h1"]);
    scene.fabric.hosts[0].ip("route del 198.51.100.7/32");
    until("the route is back", || routes_to_front(&scene.fabric, 0).len() == 2);
    scene.until_announced_by(&["h1"]);
}

#[test]
fn it_goes_with_its_endpoint_and_is_found_where_one_of_that_name_comes_next() {
    let scene = Scene::led_to_web();
    let fabric = &scene.fabric;

    fabric.hosts[0].poplin(&["detach", "web"]);
    scene.until_announced_by(&[]);
    assert!(!table_of(fabric, 0).contains("floating"));
    let listed = fabric.hosts[0].poplin(&["floating", "list"]);
    let first: Vec<&str> = listed.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(first, ["198.51.100.7", "198.51.100.7", "web", "-", "-"], "{listed}");

    let again = fabric.lab.container("again");
    let netns = again.namespace().path().display().to_string();
    fabric.hosts[1].poplin(&["attach", "--netns", &netns, "--name", "web"]);
    scene.until_announced_by(&["h2"]);
    until("it answers there", || FRONT.into_iter().all(|address| scene.outside.reaches(address)));

    let drained = fabric.hosts[0].poplin(&["host", "drain", "h2"]);
    assert_eq!(drained, "host h2 drains\n");
    until("the host drains", || fabric.hosts[1].status()["draining"] == true);
    assert!(scene.outside.reaches(FRONT[0]), "nobody else could take it");
    let standing = &fabric.hosts[1].status()["floating"][0];
    assert_eq!((&standing["endpoint"], &standing["announced"]), (&json!("web"), &json!(true)), "{standing}");
}

#[test]
fn who_attaches_may_ask_for_one_and_leaves_it_to_the_next() {
    let fabric = Fabric::under_a_tor(2);
    let attach = |host: usize, container: &Container, address: &str| {
        let netns = container.namespace().path().display().to_string();
        let name = container.name();
        fabric.hosts[host].try_poplin(&["attach", "--netns", &netns, "--name", name, "--floating", address])
    };
    let [web, db] = ["web", "db"].map(|name| fabric.lab.container(name));

    let first = attach(0, &web, "198.51.100.7");
    assert!(first.status.success(), "{}", told(&first));
    let second = attach(1, &db, "198.51.100.7");
    let words = told(&second);
    assert!(!second.status.success() && words.contains("198.51.100.7 leads to endpoint web"), "{words}");
    assert!(words.contains("poplin floating release 198.51.100.7"), "{words}");
    assert!(fabric.hosts[1].links().is_empty(), "nothing is left half done");

    let shown = fabric.hosts[1].poplin(&["ipam", "show", "198.51.100.7"]);
    assert!(shown.starts_with("198.51.100.7: floating\n  endpoint   web\n  host       h1\n"), "{shown}");
    fabric.hosts[0].poplin(&["detach", "web"]);
    let released = fabric.hosts[1].get(&["floatingaddress", "198.51.100.7"]);
    assert_eq!(released["spec"], json!({"address": "198.51.100.7"}), "it leads to nobody");
    let third = attach(1, &db, "198.51.100.7");
    assert!(third.status.success(), "{}", told(&third));

    let mut pod = fabric.lab.container("pod");
    fabric.hosts[0].cni_add_with(&mut pod, &json!({"floating": ["198.51.100.8", "fd98::8"]}));
    until("both lead to the pod", || {
        let floating = fabric.hosts[0].status()["floating"].clone();
        floating.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["announced"] == true))
    });
    fabric.hosts[0].cni_delete(&pod);
    assert!(fabric.hosts[0].poplin(&["floating", "list"]).contains("198.51.100.8"), "it stays declared");
    assert_eq!(fabric.hosts[0].status()["floating"], json!([]));
}

#[test]
fn an_address_has_one_meaning_and_an_endpoint_one_of_each_family() {
    let Scene { fabric, .. } = &Scene::led_to_web();
    let refused = |spec: &str| {
        let document = format!(
            "{{apiVersion: poplin.dev/v1, kind: FloatingAddress, metadata: {{name: other}}, spec: {{{spec}}}}}"
        );
        let output = fabric.hosts[0].try_apply(&document);
        assert!(!output.status.success());
        told(&output)
    };

    let cases = [
        ("address: 10.77.9.9", "10.77.9.9 lies in pool containers"),
        ("address: 172.31.1.2", "172.31.1.2 is of host h1"),
        ("address: 198.51.100.7", "198.51.100.7 is floating address 198.51.100.7 already"),
        ("address: 198.51.100.8, endpoint: web", "endpoint web has 198.51.100.7"),
        ("address: 127.0.0.1", "127.0.0.1 cannot be routed"),
    ];
    for (spec, words) in cases {
        let told = refused(spec);
        assert!(told.contains(words) && told.contains("try: "), "{told}");
    }
    let pool = "{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: more}, spec: {cidr: 198.51.100.0/24}}";
    let told = told(&fabric.hosts[0].try_apply(pool));
    assert!(told.contains("198.51.100.0/24 holds 198.51.100.7, which is floating address"), "{told}");

    let exported = fabric.hosts[0].poplin(&["export"]);
    assert!(exported.contains("kind: FloatingAddress") && exported.contains("endpoint: web"), "{exported}");
}
