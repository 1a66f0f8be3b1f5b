//! The tags that everybody knows by name.
//!
//! Rules: the registry of well-known communities of RFC 1997 and what its later entries cite.

use super::Community;

/// Each name once, as it is written in configurations.
const NAMES: [(&str, Community); 8] = [
    ("graceful-shutdown", Community::GRACEFUL_SHUTDOWN),
    ("llgr-stale", Community::LLGR_STALE),
    ("no-llgr", Community::NO_LLGR),
    ("blackhole", Community::BLACKHOLE),
    ("no-export", Community::NO_EXPORT),
    ("no-advertise", Community::NO_ADVERTISE),
    ("no-export-subconfed", Community::NO_EXPORT_SUBCONFED),
    ("no-peer", Community(0xffff_ff04)), // RFC 3765
];

impl Community {
    pub(super) fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(_, community)| *community == self).map(|(name, _)| *name)
    }

    pub(super) fn named(text: &str) -> Option<Self> {
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, community)| *community)
    }
}
