//! An etcd of three members that loses its leader, or one of whose members is cut off from the others, under traffic that is allowed and traffic
//! that is not.

use poplin_lab::{Agent, Container, Flow, Lab, Tor, eventually, told, until};

use crate::etcd_cluster::{Members, endpoints};
use crate::etcd_days::{Dials, db_for};

/// Two hosts with this store; the containers are on the second, what is declared comes from the first. Ended in this order.
struct World {
    hosts: Vec<Agent>,
    members: Members,
    tor: Tor,
    lab: Lab,
}

impl World {
    fn new() -> Self {
        let lab = Lab::new();
        let tor = lab.tor();
        let members = Members::start(&lab, &tor);
        let host = |number| tor.lone_host(&lab, number).with(&["--etcd", &endpoints()]);
        let mut hosts: Vec<Agent> = [1, 2].map(host).into();
        hosts.iter_mut().for_each(Agent::start);
        hosts[0].apply("apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: p}\nspec: {cidr: 10.77.0.0/16}\n");
        Self { hosts, members, tor, lab }
    }

    fn container(&self, name: &str) -> Container {
        let mut container = self.lab.container(name);
        self.hosts[1].cni_add(&mut container, &serde_json::json!({"app": name}));
        container
    }

    /// What is declared at one host arrives at the other, in time and whoever leads.
    #[track_caller]
    fn declares(&self, order: u32, late: &Container, db: &Container) {
        for (apps, is_open) in [(&["web", "late"][..], true), (&["web"], false)] {
            eventually("it is declared", || match self.hosts[0].try_apply(&db_for(apps, order)) {
                output if output.status.success() => Ok(()),
                output => Err(told(&output)),
            });
            until("it arrives", || late.reaches(db.v4()) == is_open);
        }
    }
}

#[test]
fn a_leader_that_is_killed_again_and_again_costs_no_packet() {
    let mut world = World::new();
    let (web, db, other, late) =
        (world.container("web"), world.container("db"), world.container("other"), world.container("late"));
    world.hosts[0].apply(&db_for(&["web"], 1));
    until("the policy is in force", || web.reaches(db.v4()) && !other.reaches(db.v4()));
    let (flow, dials) = (Flow::open(&web, &db, db.v4(), 5432), Dials::start(other, db.v4()));

    for round in 0..3 {
        let leader = world.members.leader();
        world.members.kill(leader);
        world.declares(10 + round, &late, &db);
        world.members.revive(&world.lab, leader);
        world.members.until_whole();
    }

    flow.end().expect("the flow never breaks");
    assert_eq!(dials.end().1, 0, "of the dials that are denied");
    until("all is followed", || world.hosts.iter().all(|host| host.status()["store"]["connected"] == true));
}

#[test]
fn a_member_that_is_cut_off_from_the_others_is_left() {
    let world = World::new();
    let (web, db, other, late) =
        (world.container("web"), world.container("db"), world.container("other"), world.container("late"));
    world.hosts[0].apply(&db_for(&["web"], 1));
    until("the policy is in force", || web.reaches(db.v4()) && !other.reaches(db.v4()));
    let (flow, dials) = (Flow::open(&web, &db, db.v4(), 5432), Dials::start(other, db.v4()));
    let inside = world.tor.namespace();
    inside.run("nft", &["add table inet cut"]);
    inside.run("nft", &["add chain inet cut forward { type filter hook forward priority 0; }"]);

    for member in 1..=3_u32 {
        for end in ["saddr", "daddr"] {
            let rule = format!("add rule inet cut forward ip {end} 172.32.{member}.0/24 tcp dport 2380 drop");
            inside.run("nft", &[&rule]);
            inside.run("nft", &[&rule.replace("dport", "sport")]);
        }
        world.declares(20 + member, &late, &db);
        inside.run("nft", &["flush chain inet cut forward"]);
        world.members.until_whole();
    }

    flow.end().expect("the flow never breaks");
    assert_eq!(dials.end().1, 0, "of the dials that are denied");
}
