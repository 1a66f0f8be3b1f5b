//! Whether a route that was heard counts, and as what.
//!
//! In: what was heard. Out: what counts, shared by all routes of which the same was heard and on which one rule decided.
//! Rules: RFC 4456 §8 (what passed our cluster does not count), RFC 8326 §4 (a route about to go is the last to be chosen), RFC 9234 §5
//! (what comes from above is for customers only), then the operator's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

use ipnet::IpNet;

use crate::{
    Address, RouteRules,
    rib::{Said, Word},
    route_map::{Ruling, Subject},
    wire::{Attributes, Community},
};

use super::super::export::Terms;

/// Judges the routes of one neighbour.
pub(super) struct Judge<'a> {
    rules: RouteRules,
    terms: &'a Terms,
    pub(super) said: &'a mut Said,
    known: Vec<Known>,
    /// Where in `known` each word stands, by its place in memory.
    places: BTreeMap<*const Word, usize>,
    /// The one asked for last: routes come in runs of which the same was heard.
    last: Option<(*const Word, usize)>,
}

/// What was heard, kept so that its place in memory is its name, and what became of it.
struct Known {
    word: Arc<Word>,
    /// What counts before the operator's rules.
    before: Arc<Attributes>,
    /// Whether it passed our cluster before.
    is_loop: bool,
    after: Vec<(Option<Ruling>, Arc<Word>)>,
}

impl<'a> Judge<'a> {
    /// For the routes of this neighbour.
    pub(super) fn new(neighbour: Address, terms: &'a Terms, said: &'a mut Said) -> Self {
        let rules = terms.get(&neighbour).map(|exchange| exchange.import.clone()).unwrap_or_default();
        Self { rules, terms, said, known: Vec::new(), places: BTreeMap::new(), last: None }
    }

    /// The word with what is true of it for this prefix: whether it counts, and as what.
    pub(super) fn decide(&mut self, prefix: IpNet, word: &Arc<Word>) -> Arc<Word> {
        let place = self.place(word);
        let known = &mut self.known[place];
        let subject = Subject { prefix, neighbour: word.source.neighbour, attributes: &known.before };
        let ruling = self.rules.judge(subject).filter(|_| !known.is_loop);
        known.after(ruling, &self.rules, self.said)
    }

    fn place(&mut self, word: &Arc<Word>) -> usize {
        let name = Arc::as_ptr(word);
        if let Some((_, place)) = self.last.filter(|(last, _)| *last == name) {
            return place;
        }
        let next = self.known.len();
        let place = *self.places.entry(name).or_insert(next);
        if place == next {
            self.known.push(Known::new(word, self.terms, self.said));
        }
        self.last = Some((name, place));
        place
    }
}

impl Known {
    fn new(word: &Arc<Word>, terms: &Terms, said: &mut Said) -> Self {
        let before = standard(word, said);
        let is_loop = !before.clusters.is_empty() && clusters(terms).iter().any(|ours| before.clusters.contains(ours));
        Self { word: Arc::clone(word), before, is_loop, after: Vec::new() }
    }

    fn after(&mut self, ruling: Option<Ruling>, rules: &RouteRules, said: &mut Said) -> Arc<Word> {
        if let Some((_, word)) = self.after.iter().find(|(known, _)| *known == ruling) {
            return Arc::clone(word);
        }
        let attributes = self.attributes(ruling, rules, said);
        let word = said.word(Word { attributes, is_admitted: ruling.is_some(), ..Word::clone(&self.word) });
        self.after.push((ruling, Arc::clone(&word)));
        word
    }

    fn attributes(&self, ruling: Option<Ruling>, rules: &RouteRules, said: &mut Said) -> Arc<Attributes> {
        let Some(change) = ruling.and_then(|ruling| rules.change(ruling)) else { return Arc::clone(&self.before) };
        let mut attributes = Attributes::clone(&self.before);
        change.apply(&mut attributes, self.before.path.first());
        attributes.stay_long_lived_stale(&self.before);
        said.attributes(attributes)
    }
}

/// The clusters we reflect in.
pub(super) fn clusters(terms: &Terms) -> BTreeSet<Ipv4Addr> {
    terms.values().filter_map(|exchange| exchange.client_of).collect()
}

/// What counts whatever the operator says: an external neighbour that is about to leave is the last choice, and what comes from above is for
/// customers only.
fn standard(path: &Word, said: &mut Said) -> Arc<Attributes> {
    let leaves = path.source.external && path.heard.communities.contains(&Community::GRACEFUL_SHUTDOWN);
    let comes_down = path.source.role.is_some_and(|role| role.counterpart().leads_down());
    let is_new = comes_down && path.heard.only_to_customer.is_none();
    if !leaves && !is_new {
        return Arc::clone(&path.heard);
    }
    let mut attributes = Attributes::clone(&path.heard);
    if leaves {
        attributes.local_pref = Some(0);
    }
    if is_new {
        attributes.only_to_customer = Some(path.source.asn);
    }
    said.attributes(attributes)
}
