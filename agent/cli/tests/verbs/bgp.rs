//! `poplin bgp` and `poplin routes`: who won and why, orders to a session, changes as they happen.

use poplin_proto::v1::{RouteChange, RouteStatus};

use crate::RunsPoplin as _;
use crate::fake::Agent;

#[test]
fn the_best_route_says_why_and_the_others_say_where_they_fell() {
    let agent = Agent::start();
    let route = |state: &str, reason: &str| RouteStatus {
        prefix: "10.9.0.0/16".to_owned(),
        neighbour: "192.0.2.2".to_owned(),
        state: state.to_owned(),
        reason: reason.to_owned(),
        ..RouteStatus::default()
    };
    agent.world().routes = vec![route("best", "it has the shortest AS path"), route("unused", "its AS path is longer")];

    let best = agent.poplin(&["bgp", "rib", "best", "10.9.0.0/16"]);
    let routes = agent.poplin(&["routes", "10.9.0.0/16"]);
    let out = agent.poplin(&["bgp", "rib", "out"]);

    assert_eq!(best.out, routes.out);
    let lines: Vec<_> = best.out.lines().collect();
    assert!(lines[1].starts_with('*') && lines[1].ends_with("it has the shortest AS path"), "{best:?}");
    assert!(lines[2].ends_with("its AS path is longer"), "{best:?}");
    assert!(out.out.starts_with("PREFIX       TO "), "{out:?}");
}

#[test]
fn clearing_softly_asks_or_tells_again_and_else_resets() {
    let agent = Agent::start();

    let runs = [
        agent.poplin(&["bgp", "refresh", "tor"]),
        agent.poplin(&["bgp", "clear", "tor", "--soft", "in"]),
        agent.poplin(&["bgp", "clear", "tor", "--soft", "out"]),
        agent.poplin(&["bgp", "clear", "tor"]),
    ];

    use poplin_proto::v1::order_neighbour_request::Order;
    let orders: Vec<_> = agent.world().orders.iter().map(|request| request.order()).collect();
    assert_eq!(orders, [Order::AskAgain, Order::AskAgain, Order::TellAgain, Order::Reset]);
    assert_eq!(runs[0].out, "asked tor (192.0.2.9) for all its routes\n");
    assert_eq!(runs[3].out, "ended the session with tor (192.0.2.9); it begins anew\n");
}

#[test]
fn a_session_is_shut_down_with_words_and_the_answer_says_until_when() {
    let agent = Agent::start();

    let down = agent.poplin(&["bgp", "shutdown", "tor", "--message", "optics"]);
    let up = agent.poplin(&["bgp", "start", "tor"]);

    use poplin_proto::v1::order_neighbour_request::Order;
    let world = agent.world();
    let orders: Vec<_> = world.orders.iter().map(|one| (one.order(), one.message.as_str())).collect();
    assert_eq!(orders, [(Order::ShutDown, "optics"), (Order::Start, "")]);
    let told = "shut down the session with tor (192.0.2.9) until `poplin bgp start tor`, or until the agent restarts\n";
    assert_eq!((down.out.as_str(), up.out.as_str()), (told, "let the session with tor (192.0.2.9) begin\n"));
}

#[test]
fn changes_are_told_a_line_each_and_the_end_of_the_feed_is_no_success() {
    let agent = Agent::start();
    let change =
        RouteChange { prefix: "10.9.0.0/16".to_owned(), after: "self".to_owned(), lost: 3, ..Default::default() };
    agent.world().changes = vec![change];

    let run = agent.poplin(&["bgp", "watch"]);

    assert_eq!(run.out, "1970-01-01T00:00:00.000Z  10.9.0.0/16  nobody -> self\n");
    assert!(run.err.starts_with("3 changes are not listed: they came faster than they were read\n"), "{run:?}");
    assert_eq!(run.code, 5);
}

#[test]
fn a_table_is_written_to_a_file_or_onto_the_output() {
    let agent = Agent::start();
    let path = std::env::temp_dir().join(format!("poplin-dump-{}.mrt", std::process::id()));

    let (file, output) = (agent.poplin(&["bgp", "dump", path.to_str().unwrap()]), agent.poplin(&["bgp", "dump", "-"]));
    let nowhere = agent.poplin(&["bgp", "dump", "/nowhere/table.mrt"]);

    assert_eq!(std::fs::read(&path).unwrap(), b"onetwo");
    std::fs::remove_file(&path).unwrap();
    assert_eq!((file.code, file.err), (0, format!("3 prefixes are in {}\n", path.display())));
    assert_eq!((output.code, output.out.as_str(), output.err.as_str()), (0, "onetwo", ""));
    assert!(nowhere.code == 1 && nowhere.err.starts_with("error: cannot write /nowhere/table.mrt: "), "{nowhere:?}");
}
