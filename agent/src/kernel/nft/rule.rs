//! Writes rules: each match and each end as the expressions that do it.
//!
//! In: rules of a chain. Out: messages. Knows nothing of how an expression is laid out.
//! Header: linux/netfilter/nf_tables.h, `enum nft_rule_attributes`.

use poplin_policy::ruleset::{Chain, Counter, Match, Name, Rule, SourceNat, Then};

use super::super::wire::{NLM_F_APPEND, NLM_F_CREATE, Writer};
use super::batch::Batch;
use super::{data, expression, steps, translation};

const NFT_MSG_NEWRULE: u8 = 6;
const NFT_MSG_DELRULE: u8 = 8;

pub(super) const NFTA_RULE_CHAIN: u16 = 2;
pub(super) const NFTA_RULE_EXPRESSIONS: u16 = 4;

/// Replaces all rules of a chain.
pub(super) fn replace_all(batch: &mut Batch, name: &Name, chain: &Chain) {
    let put_identity = |out: &mut Writer| out.put_text(NFTA_RULE_CHAIN, name.as_str());
    batch.add(NFT_MSG_DELRULE, 0, put_identity);
    for rule in &chain.rules {
        batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |out| {
            put_identity(out);
            out.nest(NFTA_RULE_EXPRESSIONS, |out| put_expressions(out, rule));
        });
    }
}

pub(super) fn put_expressions(out: &mut Writer, rule: &Rule) {
    for condition in &rule.matches {
        put_match(out, condition);
    }
    match &rule.counter {
        Some(Counter::Own) => expression::own_counter(out),
        Some(Counter::Named(name)) => expression::named_counter(out, name),
        None => {}
    }
    match &rule.then {
        Then::Verdict(verdict) => expression::verdict(out, verdict),
        Then::Log(log) => {
            expression::limit(out, log.per_second);
            expression::log(out, log);
        }
        Then::Continue => {}
        Then::Notrack => expression::notrack(out),
        Then::Mark { bit, is_set } => expression::set_mark(out, *bit, *is_set),
        Then::DestinationNat { fields, map, is_v6 } => {
            expression::load(out, fields);
            translation::destination_nat(out, map, *is_v6);
        }
        Then::Exchange { field, map } => {
            expression::load(out, &[*field]);
            translation::exchange(out, *field, map);
        }
        Then::SourceNat(SourceNat::Masquerade) => translation::masquerade(out),
        Then::SourceNat(SourceNat::To(address)) => translation::source_nat(out, *address),
        Then::Lookup { fields, map } => {
            expression::load(out, fields);
            expression::look_up_verdict(out, map);
        }
        Then::Dispatch(dispatch) => steps::dispatch(out, dispatch),
        Then::AtPort(at_port) => steps::at_port(out, at_port),
    }
}

fn put_match(out: &mut Writer, condition: &Match) {
    match condition {
        Match::Range { field, low, high, negated } => {
            expression::load(out, &[*field]);
            if low == high {
                expression::compare(out, &data::atom(low), *negated);
            } else {
                expression::range(out, &data::atom(low), &data::atom(high), *negated);
            }
        }
        Match::Group { field, group, negated } => {
            expression::load_group(out, *field);
            expression::compare(out, &group.to_ne_bytes(), *negated);
        }
        // Comparing fewer octets than a name has leaves the rest open; nft does the same for "pop*".
        Match::InterfacePrefix { field, prefix, negated } => {
            expression::load(out, &[*field]);
            expression::compare(out, prefix.as_bytes(), *negated);
        }
        Match::Member { fields, set, negated } => {
            expression::load(out, fields);
            expression::is_member(out, set, *negated);
        }
        Match::Bits { field, mask, value, negated } => {
            expression::load(out, &[*field]);
            expression::mask(out, &[*mask]);
            expression::compare(out, &[*value], *negated);
        }
        Match::Mark { bit, negated } => {
            expression::load_mark(out);
            expression::mask(out, &bit.to_ne_bytes());
            expression::compare(out, &[0; 4], !negated);
        }
        Match::ToHost { negated } => translation::to_host(out, *negated),
        Match::Conntrack(states) => {
            expression::load_conntrack_state(out);
            expression::mask(out, &expression::conntrack_bits(*states));
            expression::compare(out, &[0; 4], true);
        }
    }
}
