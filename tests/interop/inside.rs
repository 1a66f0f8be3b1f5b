//! What an operator sees of a session with BIRD, and may ask of it.

use poplin_lab::{eventually, until};
use serde_json::Value;

use crate::bird::{FOREIGN, World};

#[test]
fn both_routers_say_the_same_of_their_session() {
    let mut world = World::new(65001, 64601);
    world.exchange();

    let neighbour = neighbour(&world);
    let protocol = world.tor.bird().birdc("show protocols all fabric");

    assert_eq!(neighbour["theirCapabilities"][0], "IPv4 unicast");
    assert!(neighbour["theirCapabilities"].to_string().contains("four-octet AS 65001"), "{neighbour}");
    assert_eq!((&neighbour["holdSeconds"], &neighbour["holdSecondsProposed"]), (&3.into(), &3.into()));
    assert!(
        protocol.contains(&format!("Neighbor ID:      {}", world.host.status()["routerId"].as_str().unwrap_or("?")))
    );
    for (line, counts, what) in
        [("Import updates:", "sent", "BIRD heard"), ("Export updates:", "received", "BIRD told")]
    {
        assert!(neighbour[counts]["updates"].as_u64() >= Some(2), "{what}: {neighbour}\n{line}: {protocol}");
    }
    let told: Vec<String> = prefixes(&world.host.poplin(&["bgp", "rib", "out", "--peer", "router", "-o", "json"]));
    assert_eq!(told.into_iter().collect::<std::collections::BTreeSet<_>>(), world.tor.bird().learned());
    let best = world.host.poplin(&["bgp", "rib", "best", FOREIGN[0]]);
    assert!(best.contains("it is the only path"), "{best}");
    let text = world.host.poplin(&["bgp", "neighbor", "172.31.1.1"]);
    assert!(text.contains("both can") && text.contains("last notification received  none"), "{text}");
}

#[test]
fn a_refresh_loses_nothing_and_a_reset_is_told_in_words() {
    let mut world = World::new(65001, 64601);
    world.exchange();
    let before = neighbour(&world)["received"]["updates"].as_u64();

    world.host.poplin(&["bgp", "refresh", "router"]);
    until("BIRD tells all again", || neighbour(&world)["received"]["updates"].as_u64() > before);
    world.host.poplin(&["bgp", "clear", "router", "--soft", "out"]);
    assert_eq!(neighbour(&world)["timesEstablished"], 1);

    world.host.poplin(&["bgp", "clear", "router"]);
    until("the session returns", || neighbour(&world)["timesEstablished"] == 2);
    world.exchange();
    assert_eq!(neighbour(&world)["lastSent"]["text"], "administrative reset (6/4)");

    assert!(world.tor.bird().birdc("disable fabric").contains("disabled"));
    eventually("BIRD's last words are known", || match neighbour(&world)["lastReceived"]["text"].as_str() {
        Some("administrative shutdown (6/2)") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let refused = world.host.try_poplin(&["bgp", "refresh", "router"]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("not Established"), "{words}");
}

#[test]
fn who_watches_sees_routes_go_and_come() {
    let mut world = World::new(65001, 64601);
    world.exchange();
    let watch = world.host.start_poplin("watch", &["bgp", "watch"]);
    until("somebody watches", || {
        // Nothing says that the watch has begun but the first change it tells.
        world.tor.bird().birdc("disable foreign4");
        world.tor.bird().birdc("enable foreign4");
        !watch.said().is_empty()
    });

    assert!(world.tor.bird().birdc("disable foreign6").contains("disabled"));

    let gone = format!("{}  router -> nobody", FOREIGN[1]);
    eventually("its going is told", || if watch.said().contains(&gone) { Ok(()) } else { Err(watch.said()) });
    assert!(world.tor.bird().birdc("enable foreign6").contains("enabled"));
    let come = format!("{}  nobody -> router  via ", FOREIGN[1]);
    eventually("its coming is told", || if watch.said().contains(&come) { Ok(()) } else { Err(watch.said()) });
}

fn neighbour(world: &World) -> Value {
    let answer = world.host.poplin(&["bgp", "neighbor", "router", "-o", "json"]);
    serde_json::from_str(&answer).expect("the answer is JSON")
}

fn prefixes(answer: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(answer).expect("the answer is JSON");
    let routes = answer["routes"].as_array().cloned().unwrap_or_default();
    routes.iter().filter_map(|route| route["prefix"].as_str().map(str::to_owned)).collect()
}
