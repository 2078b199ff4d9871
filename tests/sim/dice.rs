//! Randomness from one seed, in streams: each fault class and the scheduler draw from their own, so that switching a class off moves
//! nothing else.

/// A stream: SplitMix64.
pub struct Dice(u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// The stream of this name.
    pub fn new(seed: u64, name: &str) -> Dice {
        let name = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| mix(hash ^ u64::from(byte)));
        Dice(mix(seed.wrapping_add(GAMMA)) ^ name)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// A number from one to another, both included.
    pub fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Once in so many times; never where that is zero.
    pub fn once_in(&mut self, times: u64) -> bool {
        times > 0 && self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
