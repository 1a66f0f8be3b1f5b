//! What a speaker says about its own restarts.
//!
//! Rules: RFC 4724 §3, and RFC 8538 §2 for the N bit.

use std::collections::BTreeMap;

use super::{Family, reader::Reader};

/// The graceful restart capability: what of a speaker's routes may stay in use while it restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// The R bit: it has restarted, and nobody is to wait for its table before telling their own.
    pub is_restarting: bool,
    /// The N bit: whether its routes outlive the end of a session by a NOTIFICATION as well, and ours with it.
    pub is_gentle: bool,
    /// How long it may be away, in seconds: 0 to 4095, twelve bits.
    pub time_secs: u16,
    /// The families it can restart in, each with its F bit: whether it went on forwarding through the latest restart.
    /// None at all says only that it marks the end of its initial table.
    pub families: BTreeMap<Family, bool>,
}

const RESTARTING: u16 = 0x8000;
const GENTLE: u16 = 0x4000;
const TIME: u16 = 0x0fff;
const FORWARDING: u8 = 0x80;

impl GracefulRestart {
    /// `None` if it has not the form that the standard gives it; families that we do not speak are passed over.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let head = reader.u16()?;
        let mut families = BTreeMap::new();
        while !reader.is_empty() {
            let (family, flags) = (Family::of(reader.u16()?, reader.u8()?), reader.u8()?);
            families.extend(family.map(|family| (family, flags & FORWARDING != 0)));
        }
        let (is_restarting, is_gentle) = (head & RESTARTING != 0, head & GENTLE != 0);
        Some(Self { is_restarting, is_gentle, time_secs: head & TIME, families })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let restarting = if self.is_restarting { RESTARTING } else { 0 };
        let gentle = if self.is_gentle { GENTLE } else { 0 };
        let mut out = (restarting | gentle | self.time_secs.min(TIME)).to_be_bytes().to_vec();
        for (family, &forwarding) in &self.families {
            let (afi, safi) = family.numbers();
            out.extend(afi.to_be_bytes());
            out.extend([safi, if forwarding { FORWARDING } else { 0 }]);
        }
        out
    }
}
