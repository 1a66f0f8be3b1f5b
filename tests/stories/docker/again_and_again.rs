//! Containers come and go, several at a time, and dockerd is killed in their midst: nothing stays.
//!
//! `POPLIN_CONTAINERS=500 cargo test -p poplin-tests --test stories again_and_again` has so many of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use poplin_lab::{Docker, IMAGE, eventually, told};

use super::{Dockers, endpoints};

/// How many come and go at a time.
const AT_ONCE: usize = 4;

/// One container's life; or at which command of it dockerd broke off, and what it said.
fn life(docker: &Docker, name: &str) -> Result<(), String> {
    let port = ["--expose", "80", "-P", "--label", "app=web"];
    let run =
        [&["run", "-d", "--init", "--name", name, "--network", "shop"][..], &port, &[IMAGE, "sleep", "1000"]].concat();
    let does = |arguments: &[&str]| match docker.try_run(arguments) {
        output if output.status.success() => Ok(()),
        output => Err(format!("docker {}: {}", arguments.join(" "), told(&output))),
    };
    does(&run).and_then(|()| does(&["stop", "--time", "0", name])).and_then(|()| does(&["rm", name]))
}

/// `count` lives, numbered from `first`. Where dockerd dies after `dies_after` of them, those that stand then are broken off; tells how many ended
/// well, and of the others why.
fn lives(docker: &Docker, first: usize, count: usize, dies_after: Option<usize>) -> (usize, Vec<String>) {
    let (next, ended, broken) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            if let Err(reason) = life(docker, &format!("c{}", first + number)) {
                return broken.lock().expect("nobody panics with it").push(reason);
            }
            if Some(ended.fetch_add(1, Ordering::Relaxed) + 1) == dies_after {
                docker.strike();
            }
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    (ended.into_inner(), broken.into_inner().expect("nobody panicked with it"))
}

#[test]
fn containers_that_come_and_go_leave_nothing_though_dockerd_is_killed_among_them() {
    let all = std::env::var("POPLIN_CONTAINERS").map_or(24, |text| text.parse().expect("a number"));
    let mut dockers = Dockers::start();
    dockers.docker[0].make_network("shop", &[]);

    let (ended, _) = lives(&dockers.docker[0], 0, all, Some(all / 2));
    assert!(ended < all, "dockerd was killed in their midst");
    dockers.docker[0].kill();
    dockers.docker[0].start();
    for number in 0..all {
        let _ = dockers.docker[0].try_run(&["rm", "-f", &format!("c{number}")]); // those that stood, whatever became of them
    }
    let (rest, broken) = lives(&dockers.docker[0], all, all - ended, None);

    assert_eq!(rest, all - ended, "every other goes its way: {broken:#?}, {}", dockers.docker[0].said());
    let host = &dockers.hosts[0];
    eventually("nothing is left", || {
        let taken = host.status()["blocks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|block| block["taken"].as_u64())
            .sum::<u64>();
        let check = host.try_poplin(&["ipam", "check"]);
        match (endpoints(host), host.links(), taken) {
            (known, links, 0) if known.is_empty() && links.is_empty() && check.status.success() => Ok(()),
            left => Err(format!("{left:?}, {}; the agent: {}", told(&check), host.said())),
        }
    });
}
