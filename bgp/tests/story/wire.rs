//! Octets and messages, at random: what is written is read again, and nothing that arrives makes us fall.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use poplin_bgp::{
    Address, Asn,
    wire::{
        AddPaths, Aggregator, AsPath, Attributes, Capability, Community, Dialect, ExtendedCommunity, Family, Fault,
        Framer, GracefulRestart, Hop, LargeCommunity, Lasting, LongLived, Message, Nlri, Notification, Open, Origin,
        PathFamilies, Reach, RefreshPart, Role, RouteRefresh, Segment, Unknown, Unreach, Update, pack_reach,
        pack_unreach,
    },
};
use proptest::{collection::vec, option, prelude::*};

use crate::{
    any_life, any_octets,
    foreign::{Foreign, keepalive, message},
};

fn v4() -> impl Strategy<Value = IpNet> {
    (any::<u32>(), 0u8..=32).prop_map(|(address, bits)| Ipv4Net::new(address.into(), bits).unwrap().trunc().into())
}

fn v6() -> impl Strategy<Value = IpNet> {
    (any::<u128>(), 0u8..=128).prop_map(|(address, bits)| Ipv6Net::new(address.into(), bits).unwrap().trunc().into())
}

fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1u32..=u32::MAX, 1u32..65536].prop_map(Asn)
}

fn path() -> impl Strategy<Value = AsPath> {
    let sequence = vec(asn(), 1..6).prop_map(Segment::Sequence);
    let set = vec(asn(), 1..6).prop_map(Segment::Set);
    // No two sequences in a row: old neighbours cannot tell where one ends.
    (option::of(sequence), option::of(set)).prop_map(|(a, b)| AsPath(a.into_iter().chain(b).collect()))
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)]
}

fn communities() -> impl Strategy<Value = (Vec<Community>, Vec<ExtendedCommunity>, Vec<LargeCommunity>)> {
    let large = (any::<u32>(), any::<u32>()).prop_map(|(administrator, function)| (administrator, function));
    // The last number tells them apart: doubles are removed.
    let large = vec(large, 0..20).prop_map(|all| {
        let one = |((administrator, function), parameter)| LargeCommunity { administrator, function, parameter };
        all.into_iter().zip(0..).map(one).collect()
    });
    let standard = vec(any::<u32>().prop_map(Community), 0..80);
    (standard, vec(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..40), large)
}

fn attributes(external: bool) -> impl Strategy<Value = Attributes> {
    let v4 = || any::<u32>().prop_map(Ipv4Addr::from);
    let aggregator = (asn(), v4()).prop_map(|(asn, address)| Aggregator { asn, address });
    let unknown = (40u8..255, vec(any::<u8>(), 0..300)).prop_map(|(code, value)| Unknown { code, value });
    let internal = (any::<u32>().prop_map(Some), option::of(v4()), vec(v4(), 0..4))
        .prop_map(move |internal| if external { (None, None, Vec::new()) } else { internal });
    let said = (option::of(any::<u32>()), any::<bool>(), option::of(aggregator), communities(), option::of(asn()));
    (origin(), path(), said, internal, option::of(unknown)).prop_map(|(origin, path, said, internal, unknown)| {
        let (med, atomic_aggregate, aggregator, (communities, extended, large), only_to_customer) = said;
        let (local_pref, originator, clusters) = internal;
        let unknown = unknown.into_iter().collect();
        Attributes {
            med,
            local_pref,
            atomic_aggregate,
            aggregator,
            communities,
            extended,
            large,
            originator,
            clusters,
            only_to_customer,
            unknown,
            ..Attributes::new(origin, path)
        }
    })
}

fn dialect() -> impl Strategy<Value = Dialect> {
    let ids = (any::<bool>(), any::<bool>()).prop_map(|(ipv4, ipv6)| PathFamilies { ipv4, ipv6 });
    (any::<bool>(), any::<bool>(), ids, any::<bool>()).prop_map(|(four_octets, external, ids, is_long)| Dialect {
        four_octets,
        external,
        ids_in: ids,
        ids_out: ids,
        mixed_in: true,
        long_in: is_long,
        long_out: is_long,
    })
}

/// Prefixes, with identifiers where the dialect has them.
fn nlri(prefix: impl Strategy<Value = IpNet>, has_ids: bool) -> impl Strategy<Value = Nlri> {
    (prefix, any::<u32>()).prop_map(move |(prefix, id)| Nlri { prefix, id: if has_ids { id } else { 0 } })
}

fn reach(ids: PathFamilies) -> impl Strategy<Value = Reach> {
    let old = any::<u32>().prop_map(|hop| Hop::from(Ipv4Addr::from(hop)));
    let new = || {
        let addresses = (any::<u128>(), option::of(any::<u128>()));
        addresses
            .prop_map(|(hop, link)| Hop { address: Ipv6Addr::from(hop).into(), link_local: link.map(Ipv6Addr::from) })
    };
    let v4 = (prop_oneof![old, new()], vec(nlri(v4(), ids.ipv4), 0..20));
    let v4 = v4.prop_map(|(next_hop, prefixes)| Reach { family: Family::Ipv4, next_hop, prefixes });
    let v6 = (new(), vec(nlri(v6(), ids.ipv6), 0..20));
    let v6 = v6.prop_map(|(next_hop, prefixes)| Reach { family: Family::Ipv6, next_hop, prefixes });
    prop_oneof![v4, v6]
}

fn unreach(ids: PathFamilies) -> impl Strategy<Value = Unreach> {
    let old = vec(nlri(v4(), ids.ipv4), 0..20).prop_map(|prefixes| Unreach { family: Family::Ipv4, prefixes });
    let new = vec(nlri(v6(), ids.ipv6), 0..20).prop_map(|prefixes| Unreach { family: Family::Ipv6, prefixes });
    prop_oneof![old, new]
}

fn update(dialect: Dialect) -> impl Strategy<Value = Update> {
    let ids = dialect.ids_out;
    let classic = move || nlri(v4(), ids.ipv4);
    let announced = option::of((any::<u32>().prop_map(Ipv4Addr::from), vec(classic(), 1..20)));
    let (reach, unreach) = (option::of(reach(ids)), option::of(unreach(ids)));
    (vec(classic(), 0..20), unreach, attributes(dialect.external), announced, reach).prop_map(
        |(withdrawn, unreach, attributes, announced, reach)| {
            let (next_hop, announced) = announced.unzip();
            let announced = announced.unwrap_or_default();
            let attributes = Attributes { next_hop, ..attributes };
            let attributes = (reach.is_some() || !announced.is_empty()).then_some(attributes);
            Update { withdrawn, unreach, attributes, announced, reach }
        },
    )
}

fn restart() -> impl Strategy<Value = GracefulRestart> {
    let families =
        prop::collection::btree_map(prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)], any::<bool>(), 0..3);
    let flags = (any::<bool>(), any::<bool>());
    (flags, 0u16..4096, families).prop_map(|((is_restarting, is_gentle), time_secs, families)| GracefulRestart {
        is_restarting,
        is_gentle,
        time_secs,
        families,
    })
}

fn long_lived() -> impl Strategy<Value = LongLived> {
    let lasting =
        (any::<bool>(), 0u32..1 << 24).prop_map(|(is_forwarding, time_secs)| Lasting { is_forwarding, time_secs });
    let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    prop::collection::btree_map(family, lasting, 0..3).prop_map(|families| LongLived { families })
}

fn capability() -> impl Strategy<Value = Capability> {
    let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    let other = (72u8..255, vec(any::<u8>(), 0..100)).prop_map(|(code, value)| Capability::Other { code, value });
    let asn = any::<u32>().prop_map(|asn| Capability::FourOctetAsn(Asn(asn)));
    let restart = restart().prop_map(Capability::GracefulRestart);
    let mode = prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))]
        .prop_map(|(receive, send)| AddPaths { receive, send });
    let add_paths = prop::collection::btree_map(family.clone(), mode, 0..3).prop_map(Capability::AddPaths);
    let long = long_lived().prop_map(Capability::LongLived);
    let role = (0usize..5).prop_map(|number| Capability::Role(Role::ALL[number]));
    let family = family.prop_map(Capability::Multiprotocol);
    prop_oneof![
        family,
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessages),
        Just(Capability::EnhancedRefresh),
        role,
        restart,
        long,
        asn,
        add_paths,
        other
    ]
}

fn other_message() -> impl Strategy<Value = Message> {
    let open = (any::<u16>(), any::<u16>(), any::<u32>(), vec(capability(), 0..8)).prop_map(
        |(my_as, hold_time_secs, router_id, capabilities)| {
            Message::Open(Open { my_as, hold_time_secs, router_id: router_id.into(), capabilities })
        },
    );
    let notification = (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..4075))
        .prop_map(|(code, subcode, data)| Message::Notification(Notification { fault: Fault(code, subcode), data }));
    let family = prop_oneof![Just(None), Just(Some(Family::Ipv4)), Just(Some(Family::Ipv6))];
    let part = prop_oneof![Just(RefreshPart::Request), Just(RefreshPart::Begin), Just(RefreshPart::End)];
    let refresh = (family, part).prop_map(|(family, part)| Message::RouteRefresh(RouteRefresh { family, part }));
    prop_oneof![open, notification, Just(Message::Keepalive), refresh]
}

fn read(octets: &[u8], dialect: Dialect) -> Vec<Message> {
    let mut framer = Framer::default();
    framer.feed(octets);
    let messages = std::iter::from_fn(|| framer.next(dialect).unwrap());
    messages.inspect(|(_, flaws)| assert_eq!(flaws, &[])).map(|(message, _)| message).collect()
}

proptest! {
    #[test]
    fn an_update_is_read_as_it_was_written((dialect, update) in dialect().prop_flat_map(|d| (Just(d), update(d)))) {
        let message = Message::Update(update);

        prop_assert_eq!(read(&message.encode(dialect), dialect), [message]);
    }

    #[test]
    fn other_messages_are_read_as_they_were_written(message in other_message(), dialect in dialect()) {
        prop_assert_eq!(read(&message.encode(dialect), dialect), [message]);
    }

    #[test]
    fn the_cut_of_the_stream_does_not_matter(messages in vec(other_message(), 1..6), chunk in 1usize..200) {
        let octets: Vec<u8> = messages.iter().flat_map(|message| message.encode(Dialect::PLAIN)).collect();
        let mut framer = Framer::default();
        let mut read = Vec::new();
        for chunk in octets.chunks(chunk) {
            framer.feed(chunk);
            while let Some((message, _)) = framer.next(Dialect::PLAIN).unwrap() {
                read.push(message);
            }
        }
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn packed_updates_are_complete_and_fit(
        prefixes in prop::collection::btree_set(v6(), 0..2000), attributes in attributes(true), four_octets in any::<bool>(),
        has_ids in any::<bool>(), is_long in any::<bool>(),
    ) {
        let ids = PathFamilies { ipv4: false, ipv6: has_ids };
        let dialect = Dialect { four_octets, external: true, ids_in: ids, ids_out: ids, long_in: is_long, long_out: is_long, ..Dialect::PLAIN };
        let next_hop: Address = Ipv6Addr::LOCALHOST.into();
        for (messages, withdrawn) in [
            (pack_reach(&attributes, next_hop, prefixes.iter().copied(), dialect), false),
            (pack_unreach(Family::Ipv6, prefixes.iter().copied(), dialect), true),
        ] {
            let mut seen = Vec::new();
            for octets in messages {
                prop_assert!(octets.len() <= dialect.octets_out());
                let [Message::Update(update)] = &read(&octets, dialect)[..] else { panic!("one update a message") };
                if withdrawn { seen.extend(update.all_withdrawn().map(|one| one.prefix)) }
                seen.extend(update.all_announced().flat_map(|(_, prefixes)| prefixes.iter().map(|one| one.prefix)));
            }
            prop_assert!(seen.iter().eq(&prefixes));
        }
    }

    #[test]
    fn no_octets_make_a_session_fall(
        before in 0usize..3, noise in vec(prop_oneof![
            vec(any::<u8>(), 0..200),
            (1u8..6, vec(any::<u8>(), 0..200)).prop_map(|(kind, body)| message(kind, &body)),
            Just(keepalive()),
        ], 0..20),
    ) {
        let mut foreign = match before {
            0 => Foreign::connected(64513),
            1 => Foreign::old_established(),
            _ => Foreign::established(),
        };
        noise.iter().for_each(|octets| foreign.hear(octets));
    }

    #[test]
    fn a_spoilt_update_makes_nobody_fall(
        (dialect, update) in dialect().prop_flat_map(|d| (Just(d), update(d))),
        spoils in vec((19usize..600, any::<u8>()), 1..5),
    ) {
        let mut octets = Message::Update(update).encode(dialect);
        for (place, value) in spoils {
            if let Some(octet) = octets.get_mut(place) { *octet = value }
        }
        let mut framer = Framer::default();
        framer.feed(&octets);
        let _answer = framer.next(dialect);
        Foreign::established().hear(&octets);
    }

    #[test]
    fn whatever_is_read_without_a_flaw_is_written_and_read_again(
        bits in any::<u8>(), kind in 1u8..6, body in vec(any::<u8>(), 0..200),
    ) {
        any_octets::read_and_write(&[&[bits][..], &message(kind, &body)].concat());
    }

    #[test]
    fn no_life_makes_a_speaker_fall(
        settings in any::<[u8; 2]>(), words in vec((any::<u8>(), vec(any::<u8>(), 0..60)), 0..30),
    ) {
        let words = words.into_iter().map(|(what, octets)| [&[what, u8::try_from(octets.len()).unwrap()][..], &octets].concat());
        any_life::live(&std::iter::once(settings.to_vec()).chain(words).collect::<Vec<_>>().concat());
    }
}
