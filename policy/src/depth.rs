//! How many chains in a row a ruleset leads through, on the longest way from a base chain.
//!
//! In: a ruleset. Out: a number. Counted as the kernel counts when it validates a table (`nft_chain_validate` in
//! net/netfilter/nf_tables_api.c): each jump and each goto is one more, also out of maps, whether any packet goes that way or not. It
//! refuses the whole transaction with EMLINK where there are more than [`MOST_CHAINS`], and then what stands goes on standing.

use std::collections::BTreeMap;

use crate::reference::Reference;
use crate::ruleset::{Name, Ruleset};

/// The most chains in a row that the kernel takes, the base chain among them: `NFT_JUMP_STACK_SIZE` (net/netfilter/nf_tables.h).
pub const MOST_CHAINS: usize = 16;

impl Ruleset {
    /// The longest way, in chains; none of ours leads in a circle.
    pub fn depth(&self) -> usize {
        let mut known = BTreeMap::new();
        let bases = self.chains.iter().filter(|(_, chain)| chain.hook.is_some());
        bases.map(|(name, _)| self.depth_from(name, &mut known)).max().unwrap_or_default()
    }

    fn depth_from<'r>(&'r self, name: &'r Name, known: &mut BTreeMap<&'r Name, usize>) -> usize {
        if let Some(depth) = known.get(name) {
            return *depth;
        }
        let below = self.below(name).into_iter().map(|target| self.depth_from(target, known)).max();
        let depth = 1 + below.unwrap_or_default();
        known.insert(name, depth);
        depth
    }

    /// The chains a chain leads to by itself or by a map.
    fn below(&self, name: &Name) -> Vec<&Name> {
        let references = self.chains.get(name).into_iter().flat_map(|chain| chain.references());
        let targets = references.flat_map(|reference| match reference {
            Reference::Chain(target) => vec![target],
            Reference::Map(map) => self.maps.get(map).map(|map| map.elements.targets()).unwrap_or_default(),
            Reference::Set(_) | Reference::Counter(_) => Vec::new(),
        });
        targets.collect()
    }
}
