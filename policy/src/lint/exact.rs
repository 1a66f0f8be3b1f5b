//! Rules and policies that the regions of the world convict.
//!
//! Every different settlement is looked at once: which rules get a share of the traffic, and who takes the traffic of those that get
//! none.

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

use super::tie::{Conflict, conflicts};
use super::{Code, Finding, Place, Severity, cover};
use crate::model::{Action, Direction};
use crate::packet::{Transport, UDP};
use crate::region::{
    Atlas, Bits, Book, Chart, Class, Court, DIRECTIONS, Entry, Pair, Settlement, Word, demanded, side_of,
};
use crate::world::World;

pub(super) fn findings(world: &World) -> Vec<Finding> {
    let atlas = Atlas::of(&[world]);
    let book = &atlas.books[0];
    let mut survey = Survey::of(book);
    for chart in &atlas.charts {
        survey.look_at_classes(chart);
        survey.look_at_pairs(&atlas, chart);
    }
    let mut findings: Vec<Finding> = DIRECTIONS.into_iter().flat_map(|direction| survey.of_rules(direction)).collect();
    let mut told = HashSet::new();
    survey.conflicts.retain(|conflict| told.insert(conflict.key(book)));
    findings.extend(survey.conflicts.iter().map(|conflict| conflict.finding(book)));
    findings.extend(survey.without_dns());
    findings
}

/// What was seen of each rule of a direction.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// It governs an endpoint at all.
    governs: bool,
    /// A governed endpoint fits its own end.
    own: bool,
    /// Somebody fits its other end.
    peer: bool,
    /// Both in one pair.
    fits: bool,
    /// Traffic between them has what it asks for.
    asks: bool,
    /// Some of that is left for it.
    hits: bool,
    /// Who takes what is not left.
    covers: BTreeSet<Word>,
}

struct Survey<'b, 'w> {
    book: &'b Book<'w>,
    seen: [Vec<Seen>; 2],
    conflicts: Vec<Conflict>,
    /// Kinds of endpoints that egress governs, and those of them that may ask some name server.
    governed: BTreeSet<usize>,
    resolving: BTreeSet<usize>,
}

/// A question to a name server (RFC 1035 §4.2.1).
const DNS: Transport = Transport::Ports { protocol: UDP, source: 49_152, destination: 53 };

impl<'b, 'w> Survey<'b, 'w> {
    fn of(book: &'b Book<'w>) -> Self {
        let seen = DIRECTIONS.map(|direction| vec![Seen::default(); book.entries(direction).len()]);
        Self { book, seen, conflicts: Vec::new(), governed: BTreeSet::new(), resolving: BTreeSet::new() }
    }

    fn look_at_classes(&mut self, chart: &Chart<'_>) {
        for direction in DIRECTIONS {
            let seen = &mut self.seen[side_of(direction)];
            let mut note = |bits: &Bits, mark: fn(&mut Seen)| bits.iter().for_each(|place| mark(&mut seen[place]));
            for class in &chart.classes {
                note(&class.sides[0].peer[side_of(direction)], |seen| seen.peer = true);
                if let Some(own) = &class.sides[0].own {
                    note(&own[side_of(direction)].entries, |seen| seen.own = true);
                }
            }
            for kind in &self.book.kinds {
                note(&kind.governed[side_of(direction)].entries, |seen| seen.governs = true);
            }
        }
    }

    fn look_at_pairs(&mut self, atlas: &Atlas<'_>, chart: &Chart<'_>) {
        let mut court = Court::of(&atlas.books, chart, 0);
        let mut known = HashSet::new();
        let kinds: Vec<BTreeSet<usize>> = chart.classes.iter().map(|class| kinds(self.book, class)).collect();
        for (source, destination) in chart.pairs() {
            for direction in DIRECTIONS {
                let Some(settlement) = court.settlement(direction, source, destination) else { continue };
                if direction == Direction::Egress {
                    self.look_for_dns(&kinds[source], &settlement);
                }
                let Some(pair) = court.ends(direction, source, destination) else { continue };
                if known.insert(Rc::as_ptr(&settlement)) {
                    self.look_at(direction, &settlement, &pair);
                    let sample = chart.sample(source, destination);
                    self.conflicts.extend(conflicts(self.book, direction, &settlement, &pair, sample));
                }
            }
        }
    }

    fn look_at(&mut self, direction: Direction, settlement: &Settlement, pair: &Pair<'_>) {
        let hits: BTreeSet<usize> = settlement.takes().filter_map(|(word, _)| word.rule()).collect();
        for place in &settlement.asked {
            let seen = &mut self.seen[side_of(direction)][*place];
            seen.fits = true;
            seen.hits |= hits.contains(place);
            seen.asks |= seen.hits;
            if seen.hits {
                continue;
            }
            let entry = &self.book.entries(direction)[*place];
            let own = demanded(entry.rule, pair.version, pair.names);
            let earlier =
                settlement.takes().filter(|(word, _)| word.is_before(*place, entry.rank, self.book, direction));
            seen.covers.extend(earlier.filter(|(_, traffic)| traffic.meets(&own)).map(|(word, _)| word));
            seen.asks |= !own.is_empty();
        }
    }

    fn look_for_dns(&mut self, kinds: &BTreeSet<usize>, settlement: &Settlement) {
        if kinds.is_subset(&self.resolving) {
            return;
        }
        self.governed.extend(kinds);
        if settlement.shares.iter().any(|share| share.allowed && share.traffic.contains(DNS)) {
            self.resolving.extend(kinds);
        }
    }

    fn of_rules(&self, direction: Direction) -> Vec<Finding> {
        let seen = self.seen[side_of(direction)].iter().enumerate();
        seen.filter(|(_, seen)| seen.governs && !seen.hits)
            .map(|(place, seen)| self.of_rule(direction, &self.book.entries(direction)[place], seen))
            .collect()
    }

    fn of_rule(&self, direction: Direction, entry: &Entry<'_>, seen: &Seen) -> Finding {
        let place = entry.place(direction);
        let (own, peer) = match direction {
            Direction::Ingress => ("to", "from"),
            Direction::Egress => ("from", "to"),
        };
        if !seen.own {
            let message = format!("no endpoint that the policy governs fits `{own}`, so the rule sees no packet");
            let advice = format!("`{own}` of {direction} is the governed endpoint itself; did you mean `{peer}`?");
            return place.finding(Severity::Error, Code::WrongEnd, message, advice);
        }
        if !seen.peer || !seen.fits {
            let message = format!("nobody fits `{peer}` now, so the rule sees no packet");
            let advice = "check its labels, namespaces and prefixes, or remove the rule";
            return place.finding(Severity::Warning, Code::NoPeer, message, advice);
        }
        if !seen.asks {
            let message = "no packet between its two ends can have the protocol, port or message it asks for";
            let advice = "check its ports against notPorts, the family, and the named ports of the endpoints";
            return place.finding(Severity::Warning, Code::NoPacket, message, advice);
        }
        self.of_covered(place, direction, entry, seen)
    }

    fn of_covered(&self, place: Place, direction: Direction, entry: &Entry<'_>, seen: &Seen) -> Finding {
        let action =
            |word: &Word| word.rule().map_or(Action::Deny, |rule| self.book.entries(direction)[rule].rule.action);
        let is_earlier = |word: &Word| word.rank(self.book, direction).is_some_and(|rank| rank < entry.rank);
        let all = |question: &dyn Fn(&Word) -> bool| seen.covers.iter().all(question);
        let is_denied = entry.rule.action == Action::Allow && all(&|word| action(word) == Action::Deny);
        let (severity, code, message) = if is_denied && all(&is_earlier) {
            (Severity::Error, Code::DeniedEarlier, "all its packets are denied in an earlier tier already")
        } else if all(&|word| action(word) == entry.rule.action) {
            (Severity::Warning, Code::Redundant, "all its packets are decided before it, in the same way")
        } else {
            (Severity::Error, Code::Shadowed, "all its packets are decided before it, in another way")
        };
        let advice = match code {
            Code::Redundant => "remove it, or what covers it",
            _ => "move it before what covers it, narrow what covers it, or remove it",
        };
        let covered_by = seen.covers.iter().map(|word| cover(direction, &self.book.by(direction, *word)));
        Finding { covered_by: covered_by.collect(), ..place.finding(severity, code, message, advice) }
    }

    /// Policies that allow something out and leave none of their endpoints a name server.
    fn without_dns(&self) -> Vec<Finding> {
        let allows_some = |entry: &&Entry<'_>| entry.rule.action == Action::Allow;
        let policies: BTreeSet<_> =
            self.book.entries(Direction::Egress).iter().filter(allows_some).map(|entry| &entry.policy.name).collect();
        let is_silent = |kind: &usize| self.governed.contains(kind) && !self.resolving.contains(kind);
        policies
            .into_iter()
            .map(|name| &self.book.world.policies[name])
            .filter(|policy| {
                let mut kinds = self.book.kinds_of(&policy.subject).peekable();
                kinds.peek().is_some() && kinds.all(|kind| is_silent(&kind))
            })
            .map(|policy| {
                let message = "its endpoints may open connections, and none of them may ask a name server (udp/53)";
                let advice = "allow udp/53 and tcp/53 to the name servers, unless they use addresses only";
                Place::of(policy, Some(Direction::Egress)).finding(Severity::Warning, Code::NoDns, message, advice)
            })
            .collect()
    }
}

/// The kinds of endpoints that have addresses of a class.
fn kinds(book: &Book<'_>, class: &Class<'_>) -> BTreeSet<usize> {
    let names = class.points.iter().flat_map(|point| point.names.iter().flatten());
    names.filter_map(|name| book.kind_of(name)).collect()
}

impl Entry<'_> {
    fn place(&self, direction: Direction) -> Place {
        let rules = self.policy.rules(direction).unwrap_or_default();
        let index = rules.iter().position(|rule| std::ptr::eq(rule, self.rule)).unwrap_or_default();
        Place { rule: Some((index, self.rule.name.clone())), ..Place::of(self.policy, Some(direction)) }
    }
}

impl Settlement {
    /// Who takes which traffic, what is passed on included.
    pub(super) fn takes(&self) -> impl Iterator<Item = (Word, &crate::region::Traffic)> {
        let shares = self.shares.iter().map(|share| (share.word, &share.traffic));
        shares.chain(self.passed.iter().map(|(place, traffic)| (Word::Rule(*place), traffic)))
    }
}

impl Word {
    pub(super) fn rule(self) -> Option<usize> {
        match self {
            Word::Rule(place) => Some(place),
            Word::Ungoverned | Word::EndOfTier(_) | Word::EndOfTiers => None,
        }
    }

    fn rank(self, book: &Book<'_>, direction: Direction) -> Option<usize> {
        match self {
            Word::Rule(place) => Some(book.entries(direction)[place].rank),
            Word::EndOfTier(rank) => Some(rank),
            Word::Ungoverned | Word::EndOfTiers => None,
        }
    }

    /// Whether it speaks before a rule of a tier does.
    fn is_before(self, place: usize, rank: usize, book: &Book<'_>, direction: Direction) -> bool {
        match self {
            Word::Rule(other) => other < place,
            Word::EndOfTier(_) => self.rank(book, direction).is_some_and(|other| other < rank),
            Word::Ungoverned | Word::EndOfTiers => false,
        }
    }
}
