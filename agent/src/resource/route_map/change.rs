//! What a rule changes on a route.

use poplin_bgp::wire::AnyCommunity;
use poplin_bgp::{CommunityChange, CommunityPattern, MedChange, NextHop, RouteChange};
use poplin_manifest::field::{Findings, Invalid, Invalids, within, word};
use poplin_proto::v1;

use super::{community, each};

/// So many AS numbers may lead a path beside the one that always does. A path some neighbours cut or refuse helps nobody: FRR and
/// IOS bound what they prepend at 10 by default.
const MOST_PREPENDED: u32 = 16;

pub(super) fn change(field: &str, set: &v1::RouteSet) -> Result<RouteChange, Invalids> {
    let mut findings = Findings::default();
    let communities = findings.take_part(community_change(field, set));
    let med = findings.take(med(field, set));
    let prepend = findings.take(within(&format!("{field}.prepend"), set.prepend, 0, MOST_PREPENDED, " times"));
    let prepend = prepend.and_then(|times| u8::try_from(times).ok());
    let words = [("", NextHop::Usual), ("self", NextHop::Itself), ("keep", NextHop::Keep)];
    let next_hop = findings.take(word(&format!("{field}.nextHop"), &set.next_hop, &words));
    let local_pref = set.local_pref;
    let checked = communities.zip(med).zip(prepend).zip(next_hop);
    findings.finish(checked.map(|(((communities, med), prepend), next_hop)| RouteChange {
        local_pref,
        med,
        communities,
        prepend,
        next_hop,
    }))
}

fn med(field: &str, set: &v1::RouteSet) -> Result<MedChange, Invalid> {
    match (set.med, set.remove_med) {
        (None, false) => Ok(MedChange::Keep),
        (None, true) => Ok(MedChange::Remove),
        (Some(med), false) => Ok(MedChange::Set(med)),
        (Some(_), true) => {
            Err(Invalid::new(format!("{field}.removeMed"), "CONTRADICTION", "the MED is set and removed")
                .advice("leave one of the two out"))
        }
    }
}

fn community_change(field: &str, set: &v1::RouteSet) -> Result<CommunityChange, Invalids> {
    let mut findings = Findings::default();
    let (replaced, is_none) = match &set.communities[..] {
        [none] if none == "none" => (&[][..], true),
        list => (list, false),
    };
    let clear = is_none || !replaced.is_empty();
    let mut add: Vec<AnyCommunity> = findings.take_all(each(field, "communities", replaced, community));
    add.extend(findings.take_all(each(field, "addCommunities", &set.add_communities, community::<AnyCommunity>)));
    let remove = each(field, "removeCommunities", &set.remove_communities, community::<CommunityPattern>);
    let remove = findings.take_all(remove);
    findings.finish(Some(CommunityChange { clear, remove, add }))
}
