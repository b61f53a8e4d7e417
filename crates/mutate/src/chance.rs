//! Chance that repeats itself.

/// Numbers from a seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Another sequence for each name and seed.
    pub fn new(name: &str, seed: u64) -> Self {
        // FNV-1a over both, so that targets do not get the same mutations.
        let bytes = name.bytes().chain(seed.to_le_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash | 1)
    }

    /// Source: Vigna, "Further scramblings of Marsaglia's xorshift generators", xorshift64*.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below the bound; zero if the bound is.
    pub fn below(&mut self, bound: usize) -> usize {
        // The upper bits are the better ones.
        ((self.bits() >> 16) % bound.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// One of them.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}
