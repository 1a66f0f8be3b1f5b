//! What others do is heard of at once, and what does not matter is not.

use std::time::Duration;

use poplin_agent::kernel::{Changed, Hands};
use poplin_node::kernel::{KernelState, Mac, Step, Target};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::lab::{Namespace, interface};

#[test]
fn a_route_deleted_by_hand_is_seen() {
    let before = |hands: &mut Hands| {
        hands.apply(&[set_route("10.65.0.2/32")]).unwrap();
    };

    let state = seen_after(before, |host| drop(host.ip("route del 10.65.0.2")));

    assert!(state.routes.is_empty());
}

#[test]
fn a_link_deleted_by_hand_is_seen_and_so_are_its_routes() {
    let before = |hands: &mut Hands| {
        hands.apply(&[set_route("10.65.0.2/32"), set_route("fd65::2/128")]).unwrap();
    };

    let state = seen_after(before, |host| drop(host.ip("link del popa")));

    assert!(state.links.is_empty() && state.routes.is_empty(), "{state:?}");
}

#[test]
fn a_link_lowered_by_hand_is_seen_and_so_are_its_routes() {
    let before = |hands: &mut Hands| {
        hands.apply(&[set_route("10.65.0.2/32"), set_route("fd65::2/128")]).unwrap();
    };

    let state = seen_after(before, |host| drop(host.ip("link set popa down")));

    assert!(!state.links[&interface("popa")].is_up);
    assert!(state.routes.is_empty(), "{state:?}");
}

#[test]
fn a_neighbour_spoiled_by_hand_is_seen() {
    let before = |hands: &mut Hands| {
        let address = "10.65.0.2".parse().unwrap();
        let mac = Mac([2, 0, 0, 0, 0, 2]);
        hands.apply(&[Step::SetNeighbour { interface: interface("popa"), address, mac }]).unwrap();
        assert_eq!(hands.read().unwrap().neighbours.len(), 1);
    };

    let state = seen_after(before, |host| drop(host.ip("neigh del 10.65.0.2 dev popa")));

    assert!(state.neighbours.is_empty());
}

#[test]
fn an_address_and_an_mtu_of_the_host_are_seen() {
    let state = seen_after(|_| {}, |host| drop(host.ip("addr add 10.0.0.1/24 dev up0")));
    assert!(state.addresses.contains_key(&"10.0.0.1".parse().unwrap()));

    let state = seen_after(|_| {}, |host| drop(host.ip("link set up0 mtu 9000")));
    assert_eq!(state.mtus["up0"], 9000);
}

#[test]
fn a_storm_ends_in_silence_and_nothing_of_it_is_missed() {
    let host = Namespace::new();
    host.add_interface("popa");

    host.within(|| {
        runtime().block_on(async {
            let (mut hands, mut other) = (Hands::open().unwrap(), Hands::open_routes().unwrap());
            let mut words = hands.watch().unwrap();
            other.apply(&many_routes()).unwrap();

            let mut count = 0;
            let mut state = KernelState::default();
            while next(&mut words).await.is_some() {
                state = hands.read().unwrap();
                count += 1;
            }
            assert_eq!(state.routes.len(), 5_000);
            assert!(count < 100, "{count} words for one burst");
        });
    });
}

#[test]
fn routes_we_write_ourselves_are_no_news() {
    let host = Namespace::new();
    host.add_interface("popa");

    host.within(|| {
        runtime().block_on(async {
            let mut hands = Hands::open().unwrap();
            let mut words = hands.watch().unwrap();

            hands.apply(&many_routes()).unwrap();

            assert_eq!(next(&mut words).await, None);
            host.ip("route del 10.65.0.7");
            assert_eq!(next(&mut words).await, Some(Changed::State));
        });
    });
}

#[test]
fn watching_rules_ends_where_others_cannot_touch_them() {
    let host = Namespace::new();
    assert!(host.try_run("nft", "add table inet poplin").status.success());

    host.within(|| {
        runtime().block_on(async {
            let mut hands = Hands::open().unwrap();
            let mut words = hands.watch().unwrap();
            assert!(host.try_run("nft", "add table inet other").status.success());
            assert_eq!(next(&mut words).await, None, "other tables are not ours");

            assert!(host.try_run("nft", "add chain inet poplin intruder").status.success());
            assert_eq!(next(&mut words).await, Some(Changed::Rules));

            hands.apply(&[Step::ChangeRules(vec![poplin_policy::delta::Change::Restart].into())]).unwrap();
            assert_eq!(next(&mut words).await, None, "what we write ourselves is no news");
        });
    });
}

/// The state read after the word that follows a deed.
fn seen_after(prepare: impl FnOnce(&mut Hands) + Send, deed: impl FnOnce(&Namespace) + Send) -> KernelState {
    let host = Namespace::new();
    host.add_interface("up0");
    host.add_interface("popa");
    host.within(|| {
        runtime().block_on(async {
            let mut hands = Hands::open().unwrap();
            let mut words = hands.watch().unwrap();
            prepare(&mut hands);
            while next(&mut words).await.is_some() {}

            deed(&host);

            assert_eq!(next(&mut words).await, Some(Changed::State));
            while next(&mut words).await.is_some() {}
            hands.read().unwrap()
        })
    })
}

/// The next word, if one comes within a third of a second.
async fn next(words: &mut Receiver<Changed>) -> Option<Changed> {
    timeout(Duration::from_millis(333), words.recv()).await.ok().flatten()
}

/// Everything in this thread, which alone lives in the namespace.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn many_routes() -> Vec<Step> {
    let addresses = (0..5_000_u32).map(|number| std::net::Ipv4Addr::from(0x0a41_0000 + number));
    addresses.map(|address| set_route(&format!("{address}/32"))).collect()
}

fn set_route(destination: &str) -> Step {
    Step::SetRoute { destination: destination.parse().unwrap(), target: Target::Link(interface("popa")), source: None }
}
