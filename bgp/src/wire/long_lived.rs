//! What a speaker says about restarts that take long.
//!
//! Rules: RFC 9494 §3.1.

use std::collections::BTreeMap;

use super::{Family, reader::Reader};

/// The long-lived graceful restart capability: what of a speaker's routes may stay in use, as a last choice, when it stays away for
/// longer than a restart takes. It means nothing without a [`GracefulRestart`](super::GracefulRestart) beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongLived {
    /// The families this holds for.
    pub families: BTreeMap<Family, Lasting>,
}

/// What holds for one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// The F bit: whether the speaker went on forwarding through its latest restart.
    pub is_forwarding: bool,
    /// How long the routes may stay after the time a restart takes, in seconds: 0 to 16,777,215, twenty-four bits.
    pub time_secs: u32,
}

const FORWARDING: u8 = 0x80;

/// The longest time that can be said.
pub(crate) const TIME_MAX: u32 = 0x00ff_ffff;

impl LongLived {
    /// `None` if it has not the form that the standard gives it; families that we do not speak are passed over.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let mut families = BTreeMap::new();
        while !reader.is_empty() {
            let (family, flags) = (Family::of(reader.u16()?, reader.u8()?), reader.u8()?);
            let time_secs = u32::from(reader.u8()?) << 16 | u32::from(reader.u16()?);
            let lasting = Lasting { is_forwarding: flags & FORWARDING != 0, time_secs };
            families.extend(family.map(|family| (family, lasting)));
        }
        Some(Self { families })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (family, lasting) in &self.families {
            let (afi, safi) = family.numbers();
            out.extend(afi.to_be_bytes());
            out.extend([safi, if lasting.is_forwarding { FORWARDING } else { 0 }]);
            out.extend(&lasting.time_secs.min(TIME_MAX).to_be_bytes()[1..]);
        }
        out
    }
}
