//! What Swarm brings along: a second driver of ours, and networks that it makes and removes on each node as tasks come and go.
//!
//! Swarm takes no plugin that is a mere socket. It takes a managed one, and examples/swarm makes one of nothing but a link to our socket: dockerd then calls
//! the same agent under another name. There its networks are of the scope `local`, as macvlan's are: each node reads from a configuration of its own
//! what they are like, and asks us for addresses; a manager gives none.

/// What the managed plugin's name ends in; `poplin-swarm:latest` beside `poplin`.
const SUFFIX: &str = "-swarm";

/// Octets of an id that Swarm gives; Docker's own are of 64.
const ID_OCTETS: usize = 25;

/// Whether a driver, as Docker calls it, is the one of this name or its managed twin.
pub(super) fn is_driver(called: &str, name: &str) -> bool {
    let managed = || called.split_once(':').map_or(called, |(called, _tag)| called).strip_suffix(SUFFIX);
    called == name || managed() == Some(name)
}

/// Whether a network is Swarm's to make and to remove.
pub(super) fn is_swarms(docker_id: &str) -> bool {
    docker_id.len() == ID_OCTETS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_ours_under_both_of_its_names() {
        for (called, is_ours) in [
            ("poplin", true),
            ("poplin-swarm:latest", true),
            ("poplin-swarm", true),
            ("poplin:latest", false),
            ("poplin-swarm-x:latest", false),
            ("bridge", false),
        ] {
            assert_eq!(is_driver(called, "poplin"), is_ours, "{called}");
        }
    }

    #[test]
    fn networks_of_swarm_are_known_by_their_ids() {
        assert!(is_swarms("utzclh58z7oydbe2a4gmi2fg3"));
        assert!(!is_swarms(&"9f".repeat(32)));
    }
}
