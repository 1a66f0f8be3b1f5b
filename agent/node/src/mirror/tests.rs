//! What a mirror keeps, and what it believes.

use super::*;
use crate::kernel::Mac;
use crate::name::AttachmentId;
use crate::object::Endpoint;
use crate::transaction::Compare;
use poplin_policy::model::QualifiedName;
use poplin_policy::ruleset::Interface;

fn endpoint(name: &str, host: &str) -> Object {
    Object::Endpoint(Endpoint {
        name: EndpointName::new(name),
        labels: poplin_policy::label::Labels::default(),
        namespace: None,
        ports: Vec::new(),
        published: Vec::new(),
        host: HostName::new(host),
        attachment: id(name),
        addresses: [].into(),
        interface: Interface::new("pop0").unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        netns: "/run/netns/x".into(),
        mtu_bytes: 1500,
        network: None,
        is_sticky: false,
        profiles: Vec::new(),
        since: None,
        aliases: BTreeSet::new(),
        container: None,
        parent: None,
    })
}

fn id(container: &str) -> AttachmentId {
    AttachmentId { container: container.to_owned(), interface: "eth0".to_owned() }
}

fn at(version: i64, value: Object) -> Versioned<Object> {
    Versioned { value, version }
}

/// The endpoint `web` as nobody can read it.
fn garbage(version: i64) -> Unreadable {
    Unreadable { key: endpoint("web", "").key(), version, reason: "made so".to_owned() }
}

fn names(mirror: &Mirror) -> Vec<&str> {
    let endpoints = mirror.all().filter_map(|object| <&Endpoint>::try_from(object).ok());
    endpoints.map(|endpoint| endpoint.name.as_str()).collect()
}

fn removal_of(object: &Object) -> Transaction {
    let (puts, compares): (Vec<Object>, Vec<Compare>) = (vec![], vec![]);
    Transaction { puts, compares, deletes: vec![object.key()] }
}

#[test]
fn an_object_never_goes_back_to_an_older_version() {
    let mut mirror = Mirror::default();
    let transaction = Transaction { puts: vec![endpoint("web", "h2")], ..Transaction::default() };
    mirror.commit(12, transaction);

    mirror.change(11, vec![at(11, endpoint("web", "h1"))], vec![], vec![]);

    assert_eq!(mirror.version(&endpoint("web", "").key()), Some(12));
    assert!(mirror.endpoint_on(&id("web"), &HostName::new("h2")).is_some());
    assert!(mirror.endpoint_on(&id("web"), &HostName::new("h1")).is_none());
}

#[test]
fn what_was_removed_stays_removed_when_older_news_comes_late() {
    let web = endpoint("web", "h1");
    for is_told_by_refusal in [false, true] {
        let mut mirror = Mirror::default();
        match is_told_by_refusal {
            true => mirror.correct(12, vec![web.key()], vec![], vec![]),
            false => mirror.commit(12, removal_of(&web)),
        }

        mirror.change(11, vec![at(11, web.clone())], vec![], vec![]);
        mirror.replace(11, vec![at(11, web.clone())], vec![]);
        assert_eq!(names(&mirror), Vec::<&str>::new());

        mirror.change(13, vec![at(13, web.clone())], vec![], vec![]);
        assert_eq!(names(&mirror), vec!["web"]);
    }
}

#[test]
fn a_watch_that_comes_past_what_was_written_and_does_not_tell_of_it_is_noticed_once() {
    let written = Transaction { puts: vec![endpoint("web", "h1")], ..Transaction::default() };
    let told = vec![at(12, endpoint("web", "h1"))];
    for (revision, puts, is_as_written) in
        [(11, vec![], true), (12, told, true), (12, vec![], false), (13, vec![at(13, endpoint("db", "h1"))], false)]
    {
        let mut mirror = Mirror::default();
        mirror.commit(12, written.clone());
        assert_eq!(mirror.change(revision, puts, vec![], vec![]), is_as_written, "at {revision}");
        let is_passed = revision >= 12;
        assert_eq!(mirror.change(14, vec![], vec![], vec![]), is_passed, "after {revision}");
    }
}

#[test]
fn a_watch_that_comes_past_what_was_removed_and_does_not_tell_of_it_is_noticed() {
    let web = endpoint("web", "h1");
    for (deletes, is_as_written) in [(vec![web.key()], true), (vec![], false)] {
        let mut mirror = Mirror::default();
        mirror.change(11, vec![at(11, web.clone())], vec![], vec![]);
        mirror.commit(12, removal_of(&web));

        assert_eq!(mirror.change(12, vec![], vec![], deletes), is_as_written);
    }
}

#[test]
fn a_listing_that_has_what_was_removed_by_then_is_of_another_history() {
    let (web, me) = (endpoint("web", "h1"), HostName::new("h1"));
    let mut mirror = Mirror::default();
    mirror.change(11, vec![at(11, web.clone())], vec![], vec![]);
    mirror.commit(12, removal_of(&web));
    let is_other = |revision, version| mirror.has_forgotten(&me, revision, &[at(version, web.clone())], &[]);

    assert!(!is_other(11, 11), "it may have been read before");
    assert!(is_other(12, 11));
    assert!(!is_other(13, 13), "it came anew");
}

#[test]
fn what_was_removed_in_a_history_that_began_since_is_gone() {
    let web = endpoint("web", "h1");
    for (known_at, stays) in [(11, false), (14, true)] {
        let mut mirror = Mirror::default();
        mirror.change(known_at, vec![at(known_at, web.clone())], vec![], vec![]);
        mirror.change(15, vec![], vec![], vec![]);

        mirror.commit(13, removal_of(&web));

        assert_eq!(names(&mirror).len(), usize::from(stays), "known at {known_at}");
    }
}

#[test]
fn who_had_left_before_his_name_was_anothers_is_known_to_have_come_back_by_the_store_alone() {
    let me = HostName::new("h1");
    let mut mirror = Mirror::default();
    mirror.change(12, vec![at(12, endpoint("web", "h2"))], vec![], vec![]);

    let recollection = mirror.forget(&me, None, 9, vec![at(8, endpoint("web", "h1"))], vec![]);

    assert_eq!(recollection.revived, [id("web")].into());
}

#[test]
fn who_is_attached_here_stays_though_the_store_has_another_under_his_name() {
    let me = HostName::new("h1");
    let Object::Endpoint(known) = endpoint("n1", "h1") else { panic!() };
    let known = Object::Endpoint(Endpoint { attachment: id("c11"), ..known });
    let mut mirror = Mirror::default();
    mirror.change(23, vec![at(23, known.clone())], vec![], vec![]);

    mirror.forget(&me, None, 13, vec![at(11, endpoint("n1", "h3"))], vec![]);

    assert_eq!(mirror.lapsed().collect::<Vec<_>>(), [&known]);
    assert_eq!(mirror.in_place(&known.key()), Some(&at(11, endpoint("n1", "h3"))));
}

#[test]
fn a_store_is_seen_to_have_forgotten_by_what_this_host_wrote_ahead_of_it() {
    let me = HostName::new("h1");
    let (web, db) = (endpoint("web", "h1"), endpoint("db", "h1"));
    let Object::Endpoint(moved) = web.clone() else { panic!() };
    let ahead = Object::Endpoint(Endpoint { mtu_bytes: 9000, ..moved });
    let mut mirror = Mirror::default();
    mirror.change(35, vec![at(35, web.clone()), at(35, db)], vec![], vec![]);
    mirror.write_ahead(ahead);

    let is_other = |version| mirror.has_forgotten(&me, 36, &[at(version, web.clone())], &[]);

    assert!(is_other(32), "it was at 35, and the other may not be taken for deleted");
    assert!(!is_other(35) && !is_other(36));
}

#[test]
fn an_answer_the_watch_has_overtaken_changes_nothing() {
    let mut mirror = Mirror::default();
    let web = endpoint("web", "h1");
    mirror.change(12, vec![at(12, web.clone())], vec![], vec![]);
    mirror.change(13, vec![], vec![], vec![web.key()]);

    mirror.commit(12, Transaction { puts: vec![web.clone()], ..Transaction::default() });
    mirror.correct(12, vec![web.key()], vec![at(12, web)], vec![]);

    assert_eq!(names(&mirror), Vec::<&str>::new());
}

#[test]
fn a_restored_backup_is_believed() {
    let mut mirror = Mirror::default();
    mirror.change(20, vec![at(20, endpoint("late", "h1"))], vec![], vec![]);

    mirror.replace(15, vec![at(9, endpoint("early", "h1"))], vec![]);

    assert_eq!(names(&mirror), vec!["early"]);
    assert_eq!(mirror.endpoints_on(&HostName::new("h1")).count(), 1);
}

#[test]
fn what_cannot_be_read_keeps_its_last_good_form() {
    let mut mirror = Mirror::default();
    mirror.change(20, vec![at(20, endpoint("web", "h1"))], vec![], vec![]);

    mirror.replace(25, vec![], vec![garbage(24)]);

    assert_eq!(names(&mirror), vec!["web"]);
    assert_eq!(mirror.version(&garbage(24).key), Some(24));
}

#[test]
fn what_a_refusal_shows_as_unreadable_is_not_gone() {
    let mut mirror = Mirror::default();
    mirror.change(20, vec![at(20, endpoint("web", "h1"))], vec![], vec![]);

    mirror.correct(25, vec![garbage(24).key], vec![], vec![garbage(24)]);
    mirror.change(24, vec![], vec![garbage(24)], vec![]);

    assert_eq!(names(&mirror), vec!["web"]);
    assert!(mirror.is_unreadable(&garbage(24).key));
}

#[test]
fn mended_or_deleted_it_is_as_if_nothing_had_been() {
    for is_mended in [true, false] {
        let mut mirror = Mirror::default();
        mirror.change(20, vec![at(20, endpoint("web", "h1"))], vec![], vec![]);
        mirror.change(24, vec![], vec![garbage(24)], vec![]);

        mirror.change(23, vec![at(23, endpoint("web", "h2"))], vec![], vec![]);
        assert!(mirror.is_unreadable(&garbage(24).key), "older news mend nothing");

        match is_mended {
            true => mirror.change(26, vec![at(26, endpoint("web", "h3"))], vec![], vec![]),
            false => mirror.change(26, vec![], vec![], vec![garbage(24).key]),
        };
        assert!(!mirror.is_unreadable(&garbage(24).key));
        assert_eq!(mirror.version(&garbage(24).key), is_mended.then_some(26));
    }
}

#[test]
fn a_damage_that_was_overtaken_is_none() {
    let mut mirror = Mirror::default();
    mirror.change(26, vec![at(26, endpoint("web", "h1"))], vec![], vec![]);
    mirror.change(24, vec![], vec![garbage(24)], vec![]);
    assert!(!mirror.is_unreadable(&garbage(24).key));

    mirror.commit(28, removal_of(&endpoint("web", "h1")));
    mirror.change(27, vec![], vec![garbage(27)], vec![]);
    assert!(!mirror.is_unreadable(&garbage(27).key));
}

#[test]
fn a_restored_backup_with_a_damage_keeps_the_last_good_form_and_is_mended_by_any_later_write() {
    let mut mirror = Mirror::default();
    mirror.change(50, vec![at(50, endpoint("web", "h1"))], vec![], vec![]);

    mirror.replace(15, vec![], vec![garbage(9)]);
    assert_eq!(names(&mirror), vec!["web"]);
    mirror.change(16, vec![at(16, endpoint("web", "h2"))], vec![], vec![]);

    assert_eq!(mirror.version(&garbage(9).key), Some(16));
}

#[test]
fn a_policy_that_was_never_read_well_closes_its_namespace() {
    let mut mirror = Mirror::default();
    let name = QualifiedName::within("shop", "db");
    let key = ObjectKey::Policy(name.clone());
    mirror.replace(25, vec![], vec![Unreadable { key, ..garbage(24) }]);

    let policy = mirror.policy(&name).expect("something stands in for it");

    assert_eq!(policy.subject.scope, poplin_policy::model::Scope::Namespace("shop".to_owned()));
    assert!(policy.ingress.is_some() && policy.egress.is_some());
    assert_eq!(mirror.policy(&QualifiedName::within("shop", "web")), None);
}

#[test]
fn an_attachment_on_two_hosts_is_first_that_of_the_host_who_asks() {
    let mut mirror = Mirror::default();
    let twin = |name: &str, host: &str| match endpoint(name, host) {
        Object::Endpoint(endpoint) => Object::Endpoint(Endpoint { attachment: id("c"), ..endpoint }),
        other => other,
    };
    mirror.change(5, vec![at(5, twin("a", "h1")), at(5, twin("b", "h2"))], vec![], vec![]);

    let seen_from = |host| mirror.endpoint_of(&id("c"), &HostName::new(host)).map(|one| one.name.as_str());

    assert_eq!((seen_from("h1"), seen_from("h2"), seen_from("h3")), (Some("a"), Some("b"), Some("a")));
}

#[test]
fn what_this_node_wrote_is_known_when_it_is_heard_of_again() {
    let mut mirror = Mirror::default();
    mirror.commit(5, attaching("web", "h1"));
    let (echo, later) = ([at(5, endpoint("web", "h1"))], [at(6, endpoint("web", "h1"))]);
    let gone = [endpoint("web", "").key()];

    assert!(mirror.knows(&echo, &[], &[]));
    assert!(!mirror.knows(&later, &[], &[]));
    assert!(!mirror.knows(&[], &[], &gone));
    assert!(!mirror.knows(&[], &[garbage(6)], &[]));
    mirror.commit(7, removal_of(&endpoint("web", "")));
    assert!(mirror.knows(&[], &[], &gone));
    assert!(!mirror.knows(&echo, &[], &[]));
}

#[test]
fn a_host_is_moved_by_what_is_its_own_and_by_what_is_no_containers() {
    let (h1, h2) = (HostName::new("h1"), HostName::new("h2"));
    let mut mirror = Mirror::default();
    let moved = |mirror: &mut Mirror, change: &mut dyn FnMut(&mut Mirror)| {
        let before = (mirror.moves_for(&h1), mirror.moves_for(&h2));
        change(mirror);
        (mirror.moves_for(&h1) != before.0, mirror.moves_for(&h2) != before.1)
    };

    let comes = moved(&mut mirror, &mut |mirror| mirror.commit(5, attaching("web", "h1")));
    let echoes =
        moved(&mut mirror, &mut |mirror| _ = mirror.change(5, vec![at(5, endpoint("web", "h1"))], vec![], vec![]));
    let goes_elsewhere =
        moved(&mut mirror, &mut |mirror| _ = mirror.change(6, vec![at(6, endpoint("web", "h2"))], vec![], vec![]));
    let pool = Object::Pool(crate::object::Pool::open(PoolName::new("four"), "10.0.0.0/16".parse().unwrap(), 26));
    let declared = moved(&mut mirror, &mut |mirror| _ = mirror.change(7, vec![at(7, pool.clone())], vec![], vec![]));

    assert_eq!([comes, echoes, goes_elsewhere, declared], [(true, false), (false, false), (true, true), (true, true)]);
}

fn attaching(name: &str, host: &str) -> Transaction {
    Transaction { puts: vec![endpoint(name, host)], ..Transaction::default() }
}
