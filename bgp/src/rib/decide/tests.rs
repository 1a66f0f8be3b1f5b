//! RFC 4271 §9.1.2.2: each step decides where the ones before it do not, whatever the order of arrival.

use std::{net::Ipv4Addr, sync::Arc};

use proptest::{prelude::*, sample::select};

use crate::{
    Asn,
    rib::{Source, Word},
    wire::{AsPath, Attributes, Community, Origin},
};

use super::*;

/// A path of an external neighbour, 192.0.2.n, through AS 64512 + n.
fn path(n: u8) -> Path {
    let asn = Asn(64512 + u32::from(n));
    let address = Ipv4Addr::new(192, 0, 2, n);
    let source = Source {
        neighbour: address.into(),
        asn,
        router_id: address,
        external: true,
        role: None,
        local: [192, 0, 2, 99].into(),
    };
    let attributes = Attributes::new(Origin::Igp, AsPath::through([asn]));
    let attributes = Arc::new(attributes);
    let word = Word {
        source: Arc::new(source),
        heard: Arc::clone(&attributes),
        attributes,
        hop: address.into(),
        next_hop: address.into(),
        ways: Arc::new([address.into()]),
        is_admitted: true,
    };
    Path { word: Arc::new(word), id: 0, told_id: 0, is_stale: false }
}

impl Path {
    fn rejected(mut self) -> Self {
        Arc::make_mut(&mut self.word).is_admitted = false;
        self
    }

    fn saying(mut self, change: impl FnOnce(&mut Attributes)) -> Self {
        change(Arc::make_mut(&mut Arc::make_mut(&mut self.word).attributes));
        self
    }

    fn from(mut self, change: impl FnOnce(&mut Source)) -> Self {
        change(Arc::make_mut(&mut Arc::make_mut(&mut self.word).source));
        self
    }
}

/// All ways that are as good share the traffic.
fn decide_freely(paths: &[Path]) -> Option<Choice> {
    decide(paths, Multipath::default())
}

fn at_most(maximum: usize) -> Multipath {
    Multipath { maximum: std::num::NonZeroUsize::new(maximum), is_relaxed: true }
}

fn through(asns: &[u32]) -> AsPath {
    AsPath::through(asns.iter().copied().map(Asn))
}

#[test]
fn rfc4271_9_1_2_2_each_step_decides_in_its_turn() {
    let stale = |said: &mut Attributes| said.communities.push(Community::LLGR_STALE);
    let cases = [
        (path(9), path(1).saying(stale).saying(|said| said.local_pref = Some(101)), Step::Fresh, 1),
        (path(9).saying(|said| said.local_pref = Some(101)), path(1), Step::LocalPref, 1),
        (path(9), path(1).saying(|said| said.path = through(&[64513, 64999])), Step::PathLength, 1),
        (path(9), path(1).saying(|said| said.origin = Origin::Egp), Step::Origin, 1),
        (
            path(9).saying(|said| said.med = Some(1)),
            path(1).saying(|said| (said.med, said.path) = (Some(2), through(&[64521]))),
            Step::Med,
            1,
        ),
        (path(9), path(1).from(|source| source.external = false), Step::External, 1),
        (path(1), path(9), Step::RouterId, 2),
        (path(9).saying(|said| said.originator = Some(Ipv4Addr::new(0, 0, 0, 1))), path(1), Step::RouterId, 2),
        (
            path(9),
            path(1)
                .from(|source| source.router_id = [192, 0, 2, 9].into())
                .saying(|said| said.clusters.push([1; 4].into())),
            Step::ClusterLength,
            2,
        ),
        (path(1), path(2).from(|source| source.router_id = [192, 0, 2, 1].into()), Step::Address, 2),
    ];
    for (winner, loser, step, ways) in cases {
        let next_hop = winner.next_hop;
        for paths in [[winner.clone(), loser.clone()], [loser, winner]] {
            let choice = decide_freely(&paths).unwrap();

            assert_eq!((choice.step, choice.equal.len()), (step, ways));
            assert_eq!(paths[choice.winner].next_hop, next_hop, "{step}");
        }
    }
}

#[test]
fn rfc4271_9_1_2_2_c_med_compares_only_within_one_system() {
    let paths = [path(1).saying(|said| said.med = Some(50)), path(2).saying(|said| said.med = Some(1))];

    let choice = decide_freely(&paths).unwrap();

    assert_eq!((choice.winner, choice.step, choice.equal.len()), (0, Step::RouterId, 2));
}

#[test]
fn rfc4271_9_1_2_2_a_a_set_counts_as_one() {
    let set = crate::wire::Segment::Set(vec![Asn(1), Asn(2), Asn(3)]);
    let paths = [path(2).saying(|said| said.path.0.push(set)), path(1).saying(|said| said.path = through(&[64513, 1]))];

    assert_eq!(decide_freely(&paths).unwrap().step, Step::RouterId);
}

#[test]
fn one_path_needs_no_comparison_and_none_makes_no_choice() {
    assert_eq!(decide_freely(&[path(1)]).unwrap().step, Step::Only);
    assert_eq!(decide_freely(&[]), None);
    assert_eq!(decide_freely(&[path(1).rejected()]), None, "a rejected path is no path");
}

#[test]
fn paths_through_other_systems_share_unless_only_the_same_may() {
    let same_path = path(3).saying(|said| said.path = through(&[64513]));
    let paths = [path(1), path(2), same_path];

    let strict = Multipath { is_relaxed: false, ..Multipath::default() };

    assert_eq!(decide_freely(&paths).unwrap().equal, [0, 1, 2]);
    assert_eq!(decide(&paths, strict).unwrap(), Choice { winner: 0, step: Step::RouterId, equal: vec![0, 2] });
}

#[test]
fn as_many_next_hops_share_as_may_and_one_that_is_told_twice_counts_once() {
    let again =
        path(2).saying(|said| said.clusters.push([1; 4].into())).from(|source| source.neighbour = [1; 4].into());
    let paths = [path(3), again, path(2), path(1)];

    let shared = |maximum| decide(&paths, at_most(maximum)).unwrap().equal;

    assert_eq!(shared(1), [3], "the winner alone");
    assert_eq!(shared(2), [1, 2, 3], "two next hops, by three paths");
    assert_eq!(shared(3), [0, 1, 2, 3]);
    assert_eq!(shared(9), [0, 1, 2, 3]);
}

#[test]
fn the_winners_way_is_used_whatever_else_is_not() {
    let paths =
        [path(2).saying(|said| said.local_pref = Some(1)), path(9), path(8).from(|source| source.external = false)];

    assert_eq!(decide(&paths, at_most(1)).unwrap(), Choice { winner: 1, step: Step::External, equal: vec![1] });
}

fn some_path(n: u8) -> impl Strategy<Value = Path> {
    let said = (select(vec![None, Some(50), Some(100)]), select(vec![1usize, 2]), select(vec![0u32, 1, 2]));
    (said, select(vec![1u32, 2, 3]), any::<bool>(), select(vec![1u8, 2, 3])).prop_map(
        move |((local_pref, length, med), first, external, router_id)| {
            path(n).from(|source| (source.external, source.router_id) = (external, [1, 1, 1, router_id].into())).saying(
                |said| {
                    said.local_pref = local_pref;
                    said.med = Some(med);
                    said.path = through(&[first; 2][..length]);
                },
            )
        },
    )
}

/// Whether the first is to be preferred before MED, or after it: the steps read as one comparison of tuples.
fn before_med(path: &Path) -> impl Ord {
    (u32::MAX - path.attributes.local_pref.unwrap_or(100), path.attributes.path.length(), path.attributes.origin)
}

fn after_med(path: &Path) -> impl Ord {
    (!path.source.external, path.originator(), path.attributes.clusters.len(), path.source.neighbour)
}

/// The plain definition: the least by all but MED, among those that no path of the same system beats by MED.
fn plain(paths: &[Path]) -> Option<Address> {
    let least = paths.iter().map(before_med).min()?;
    let short: Vec<_> = paths.iter().filter(|path| before_med(path) == least).collect();
    let beaten = |path: &Path| {
        let same = short.iter().filter(|rival| rival.entry_asn() == path.entry_asn());
        same.map(|rival| rival.attributes.med).min() < Some(path.attributes.med)
    };
    short.iter().filter(|path| !beaten(path)).min_by_key(|path| after_med(path)).map(|path| path.source.neighbour)
}

fn some_paths() -> impl Strategy<Value = Vec<Path>> {
    (some_path(1), some_path(2), some_path(3), some_path(4)).prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

proptest! {
    #[test]
    fn the_choice_is_that_of_the_plain_definition_in_any_order(
        (paths, shuffled) in some_paths().prop_flat_map(|paths| (Just(paths.clone()), Just(paths).prop_shuffle())),
    ) {
        for paths in [paths, shuffled] {
            let choice = decide_freely(&paths).unwrap();
            prop_assert_eq!(Some(paths[choice.winner].source.neighbour), plain(&paths));
            prop_assert!(choice.equal.contains(&choice.winner));
        }
    }

    #[test]
    fn those_that_share_are_the_first_by_the_tie_breaks(paths in some_paths(), maximum in 1..4usize) {
        let all = decide_freely(&paths).unwrap();
        let mut first = all.equal.clone();
        first.sort_by_key(|&position| after_med(&paths[position]));
        first.truncate(maximum);
        first.sort_unstable();

        let choice = decide(&paths, at_most(maximum)).unwrap();

        prop_assert_eq!((choice.winner, choice.step, choice.equal), (all.winner, all.step, first));
    }
}
