//! Communities that a rule means: one, or, with `*` in place of a number, many.
//!
//! `65000:*`, `65000:1:*`, `rt:65000:*`: the kind and, of an extended one, the administrator are always given.

use std::{fmt, str::FromStr};

use crate::wire::{AnyCommunity, NotACommunity};

/// Communities that a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommunityPattern {
    text: String,
    wanted: AnyCommunity,
    /// Which of its parts may be anything.
    is_free: [bool; 3],
}

impl CommunityPattern {
    pub(super) fn admits(&self, community: AnyCommunity) -> bool {
        let [first, second, third] = self.is_free;
        match (self.wanted, community) {
            (AnyCommunity::Standard(wanted), AnyCommunity::Standard(given)) => {
                let ((a, b), (c, d)) = (wanted.halves(), given.halves());
                (first || a == c) && (second || b == d)
            }
            (AnyCommunity::Large(wanted), AnyCommunity::Large(given)) => {
                (first || wanted.administrator == given.administrator)
                    && (second || wanted.function == given.function)
                    && (third || wanted.parameter == given.parameter)
            }
            (AnyCommunity::Extended(wanted), AnyCommunity::Extended(given)) => {
                let fixed = if third { administrator_octets(wanted.0[0]) } else { 8 };
                wanted.0[..fixed] == given.0[..fixed]
            }
            (AnyCommunity::Standard(_) | AnyCommunity::Large(_) | AnyCommunity::Extended(_), _) => false,
        }
    }
}

/// How many octets type and administrator of an extended community take, by its high type octet (RFC 4360 §3, RFC 5668 §2).
fn administrator_octets(high: u8) -> usize {
    const TWO_OCTET_AS: u8 = 0x00;
    if high == TWO_OCTET_AS { 4 } else { 6 }
}

impl FromStr for CommunityPattern {
    type Err = NotACommunity;

    fn from_str(text: &str) -> Result<Self, NotACommunity> {
        let error = || NotACommunity { text: text.to_owned() };
        let words: Vec<&str> = text.split(':').collect();
        let mut is_free = [false; 3];
        words.iter().zip(&mut is_free).for_each(|(word, is_free)| *is_free = *word == "*");
        let whole: Vec<&str> = words.iter().map(|word| if *word == "*" { "0" } else { word }).collect();
        let wanted: AnyCommunity = whole.join(":").parse().map_err(|_| error())?;
        let is_extended = matches!(wanted, AnyCommunity::Extended(_));
        if is_extended && (is_free[0] || is_free[1]) {
            return Err(error());
        }
        Ok(Self { text: text.to_owned(), wanted, is_free })
    }
}

impl fmt::Display for CommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
