//! What a change of the host's rules costs where there are many sandboxes. It is measured, and judged by nobody:
//! `cargo test --release -p poplin-node --lib -- --ignored --nocapture sandboxes_cost`.

use std::time::Instant;

use super::*;

/// So many containers on a LAN here, and so many others elsewhere in the fabric.
const SIZES: [(u16, u16); 3] = [(200, 1_000), (1_000, 1_000), (1_000, 10_000)];

/// So many others here.
const ROUTED: u16 = 50;

/// One here that is in no sandbox.
fn routed(number: u16) -> Object {
    let Object::Endpoint(one) = endpoint(0, Some("shop")) else { unreachable!("it is an endpoint") };
    Object::Endpoint(numbered(one, number, "h1"))
}

fn numbered(one: Endpoint, number: u16, host: &str) -> Endpoint {
    let [high, low] = number.to_be_bytes();
    let container = format!("n{number}");
    Endpoint {
        name: EndpointName::new(container.as_str()),
        interface: Interface::new(format!("pop{number}")).unwrap(),
        addresses: [IpAddr::from([10, 78, high, low])].into(),
        netns: format!("/run/netns/{container}").into(),
        attachment: AttachmentId { container, interface: "eth0".to_owned() },
        host: HostName::new(host),
        ..one
    }
}

fn elsewhere(number: u16, network: &str) -> Object {
    let Object::Endpoint(one) = endpoint(0, Some(network)) else { unreachable!("it is an endpoint") };
    Object::Endpoint(numbered(one, number, "h2"))
}

#[test]
#[ignore = "it measures, and takes a minute"]
fn sandboxes_cost() {
    for (here, others) in SIZES {
        let mut room = Room::with((1..=here).map(|number| numbered(inside(0), number, "h1")));
        room.desk.put(network("shop", true));
        (0..others).for_each(|number| room.desk.put(elsewhere(10_000 + number, "shop")));
        (0..ROUTED).for_each(|number| room.desk.put(routed(5_000 + number)));
        room.desk.put(admitting("team == 'blue'"));
        room.measured("all of it");
        let member = 40_000;
        room.desk.put(Object::Policy(shops("tcp/80")));
        room.measured("a policy for others comes");
        room.desk.put(Object::Policy(shops("tcp/81")));
        room.measured("a policy for others changes");
        room.desk.put(elsewhere(member, "elsewhere"));
        room.measured("who is selected by nobody comes");
        room.desk.put(routed(member + 3));
        room.measured("one more that is routed comes here");
        room.desk.put(elsewhere(member + 1, "shop"));
        room.measured("who is let in everywhere comes");
        room.desk.put(Object::Endpoint(numbered(inside(0), member + 2, "h1")));
        room.measured("one more on the LAN comes here");
        println!("  ({here} here, {others} others)");
    }
}

/// A policy that no endpoint on a LAN is a subject of.
fn shops(port: &str) -> Policy {
    let Object::Policy(policy) = admitting("all()") else { unreachable!("it is a policy") };
    let subject = Selection { labels: Selector::all(), scope: Scope::Namespace("shop".to_owned()) };
    let rule = Rule { ports: vec![port.parse().unwrap()], ..Rule::any("port", Action::Allow) };
    Policy { name: QualifiedName::global("shops"), subject, ingress: Some(vec![rule].into()), ..policy }
}

impl Room {
    /// What becoming due takes, after the host's own rules are known.
    fn measured(&mut self, what: &str) {
        let Desk { mirror, policing, .. } = &mut self.desk;
        let local: Vec<Endpoint> = mirror.endpoints_on(&host()).cloned().collect();
        let begin = Instant::now();
        if let Some(load) = policing.due(mirror, local.iter()) {
            policing.load(&load);
        }
        let compiled = begin.elapsed();
        let waiting = |_: &Interface| false;
        let begin = Instant::now();
        let mut steps = 0;
        loop {
            let touched = policing.take_touched();
            let due = self.sandboxes.due((policing, mirror), touched, local.iter(), waiting, &BTreeSet::new(), None);
            if due.is_empty() {
                break;
            }
            steps += due.len();
            self.sandboxes.done();
        }
        println!("{what}: host's rules {compiled:?}, sandboxes {:?} with {steps} steps", begin.elapsed());
    }
}
