//! Containers come and go, several at a time, and dockerd is killed in their midst: nothing stays.
//!
//! `POPLIN_CONTAINERS=500 cargo test -p poplin-tests --test stories again_and_again` has so many of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use poplin_lab::{Docker, IMAGE, eventually, told};

use super::{Dockers, endpoints};

/// How many come and go at a time.
const AT_ONCE: usize = 4;

/// One container's life; false if dockerd broke off.
fn life(docker: &Docker, name: &str) -> bool {
    let port = ["--expose", "80", "-P", "--label", "app=web"];
    let run =
        [&["run", "-d", "--init", "--name", name, "--network", "shop"][..], &port, &[IMAGE, "sleep", "1000"]].concat();
    let goes = |arguments: &[&str]| docker.try_run(arguments).status.success();
    goes(&run) && goes(&["stop", "--time", "0", name]) && goes(&["rm", name])
}

/// `count` lives, numbered from `first`. Where dockerd dies after `dies_after` of them, those that stand then are broken off; tells how many ended well.
fn lives(docker: &Docker, first: usize, count: usize, dies_after: Option<usize>) -> usize {
    let (next, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || !life(docker, &format!("c{}", first + number)) {
                return;
            }
            if Some(ended.fetch_add(1, Ordering::Relaxed) + 1) == dies_after {
                docker.strike();
            }
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    ended.into_inner()
}

#[test]
fn containers_that_come_and_go_leave_nothing_though_dockerd_is_killed_among_them() {
    let all = std::env::var("POPLIN_CONTAINERS").map_or(24, |text| text.parse().expect("a number"));
    let mut dockers = Dockers::start();
    dockers.docker[0].make_network("shop", &[]);

    let ended = lives(&dockers.docker[0], 0, all, Some(all / 2));
    assert!(ended < all, "dockerd was killed in their midst");
    dockers.docker[0].kill();
    dockers.docker[0].start();
    for number in 0..all {
        let _ = dockers.docker[0].try_run(&["rm", "-f", &format!("c{number}")]); // those that stood, whatever became of them
    }
    let rest = lives(&dockers.docker[0], all, all - ended, None);

    assert_eq!(rest, all - ended, "every other goes its way: {}", dockers.docker[0].said());
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
            left => Err(format!("{left:?}, {}", told(&check))),
        }
    });
}
