//! Chance, from one seed handed in.
//!
//! Rules: SplitMix64 (Steele, Lea, Flood 2014). Two machines of one seed act alike, which is what a simulation wants; the hands
//! draw the seed from the system, so that nobody outside can tell what comes before it was sent.

/// An endless row of numbers.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// The row of this seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Any number of 32 bits.
    pub fn number(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap_or_default()
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.number() % (high - low + 1)
    }
}
