//! What is the matter with sessions, beyond what `poplin status` knows: whether anybody is there at all.

use poplin_proto::v1::SessionStatus;

use crate::doctor::finding::Finding;
use crate::doctor::reading::{Door, Reading};
use crate::status::{excesses, held, is_established, neighbour};

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    let Some(told) = reading.told() else { return Vec::new() };
    let status = &told.status;
    let mut findings: Vec<Finding> = status.routing_problems.iter().map(declared).collect();
    findings.extend(status.sessions.iter().filter_map(|session| down(session, reading.doors.get(&session.address))));
    let limited = status.sessions.iter().flat_map(excesses);
    findings.extend(
        limited.map(|message| {
            Finding::warning("bgp-limit", message, "raise prefixLimits, or ask the neighbour's operator")
        }),
    );
    findings.extend(status.sessions.iter().filter_map(unwatched));
    findings.extend(status.sessions.iter().filter_map(stopped));
    findings.extend(status.static_next_hops.iter().filter(|next_hop| !next_hop.used).map(|next_hop| {
        let message = format!(
            "next hop {} of static route {} is not used: the way there is down",
            next_hop.address, next_hop.route
        );
        Finding::warning("static-route", message, "ping it; look at BFD in poplin status")
    }));
    findings
}

fn declared(problem: &String) -> Finding {
    Finding::failure("bgp-config", problem, "poplin get peers -o yaml, poplin get fabricconfig -o yaml")
}

fn down(session: &SessionStatus, door: Option<&Door>) -> Option<Finding> {
    if is_established(session) || session.shut_down {
        return None;
    }
    let mut message = format!("BGP session with {} is {}", neighbour(session), session.state);
    if !session.last_error.is_empty() {
        message = format!("{message}: {}", session.last_error);
    }
    let (seen, advice) = match door {
        Some(Door::Open) => ("; it answers at port 179", by_words(&session.last_error)),
        Some(Door::Refused) => ("; nobody listens at its port 179", "start BGP there; we go on calling".to_owned()),
        Some(Door::Silent) => (
            "; a plain call at its port 179 gets no answer",
            "see whether it runs, whether a firewall drops tcp 179, and whether the passwords (TCP MD5) and ttlSecurityHops of both ends agree"
                .to_owned(),
        ),
        Some(Door::NoWay(_)) => ("; there is no way there", format!("ip route get {}", session.address)),
        None => ("", by_words(&session.last_error)),
    };
    message.push_str(seen);
    if let Some(Door::NoWay(reason)) = door {
        message = format!("{message}: {reason}");
    }
    Some(Finding::failure("bgp", message, advice))
}

/// A session that an order ended is down because somebody wants it so; they may have forgotten.
fn stopped(session: &SessionStatus) -> Option<Finding> {
    let message = format!("BGP session with {} is down: {}", neighbour(session), session.last_error);
    held(session).map(|advice| Finding::note("bgp", message, advice))
}

/// What to do about what the last session ended with.
fn by_words(error: &str) -> String {
    let error = error.to_lowercase();
    let has = |word: &str| error.contains(word);
    let advice = match () {
        () if has("bad peer as") => "compare the AS numbers of both ends (asn of the Peer, --asn of this host)",
        () if has("identifier") => "two speakers have one router id: give this host its own by --router-id",
        () if has("hold timer") => "the neighbour fell silent: look at its load, and the way to it",
        () if has("maximum number of prefixes") || has("cease") => {
            "ask the neighbour's operator; its log says why it ended the session"
        }
        () if has("password") || has("sign") => "compare the passwords of both ends, and the file passwordFile names",
        () => {
            "compare AS, addresses, passwords and ttlSecurityHops of both ends; poplin bgp neighbor shows all of ours"
        }
    };
    advice.to_owned()
}

fn unwatched(session: &SessionStatus) -> Option<Finding> {
    let bfd = session.bfd.as_ref().filter(|bfd| bfd.state == "Down" && is_established(session))?;
    let was_never_up = bfd.diagnostic.is_empty() && bfd.detection_milliseconds == 0;
    let message = format!("BFD with {} is Down though the session is up", neighbour(session));
    let advice =
        "let udp 3784 and 4784 in on both sides, or set bfd: {enabled: false} if the neighbour does not speak it";
    Some(match was_never_up {
        true => Finding::note("bfd", message, advice),
        false => Finding::warning("bfd", message, advice),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Weight;
    use crate::doctor::reading::Told;
    use poplin_proto::v1::GetStatusResponse;

    fn told(state: &str, last_error: &str, door: Door) -> Vec<String> {
        let session = SessionStatus {
            name: "tor".to_owned(),
            address: "192.0.2.1".to_owned(),
            state: state.to_owned(),
            last_error: last_error.to_owned(),
            ..SessionStatus::default()
        };
        let status = GetStatusResponse { sessions: vec![session], ..GetStatusResponse::default() };
        let agent = Some(Ok(Told { status, ..Told::default() }));
        let reading = Reading { agent, doors: [("192.0.2.1".to_owned(), door)].into(), ..Reading::default() };
        judge(&reading).into_iter().flat_map(|finding| [finding.message, finding.advice]).collect()
    }

    #[test]
    fn a_session_that_is_up_is_well() {
        assert_eq!(told("Established", "old", Door::Silent), [""; 0]);
    }

    #[test]
    fn a_session_that_an_order_ended_is_worth_a_note_that_says_what_brings_it_back() {
        let session = SessionStatus {
            name: "tor".to_owned(),
            address: "192.0.2.1".to_owned(),
            state: "Idle".to_owned(),
            last_error: "administrative shutdown (6/2): \"optics\"".to_owned(),
            shut_down: true,
            held_down: true,
            ..SessionStatus::default()
        };

        let note = stopped(&session).unwrap();

        let down = "BGP session with tor (192.0.2.1) is down: administrative shutdown (6/2): \"optics\"";
        assert_eq!((note.weight, note.message.as_str()), (Weight::Note, down));
        assert!(note.advice.contains("until poplin bgp start tor, or until the agent restarts"), "{note:?}");
        assert_eq!(stopped(&SessionStatus { held_down: false, ..session }), None);
    }

    #[test]
    fn what_is_the_matter_is_told_from_the_neighbours_door_and_from_its_last_words() {
        let refused = told("Active", "", Door::Refused);
        assert_eq!(refused[0], "BGP session with tor (192.0.2.1) is Active; nobody listens at its port 179");

        let other_as = told("Idle", "we said: OPEN message error, bad peer AS", Door::Open);
        assert!(other_as[1].starts_with("compare the AS numbers"), "{other_as:?}");
        assert!(told("Connect", "", Door::Silent)[1].contains("passwords (TCP MD5) and ttlSecurityHops"));
    }
}
