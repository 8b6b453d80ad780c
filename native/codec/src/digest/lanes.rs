//! SHA3-256 of many messages at once, one in each lane of a vector register.
//!
//! A single SHA3-256 runs at a few hundred megabytes a second and no instruction helps; side by side, four or eight of
//! them take little longer than one. Rows come by the thousand, so there are always enough.

use sha3::Digest as _;

/// Bytes that one permutation takes in.
const RATE: usize = 136;
const WORDS: usize = RATE / 8;

const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// The first half of the SHA3-256 of each message, in their order.
pub(super) fn sha3_256_halves(messages: &[&[u8]]) -> Vec<[u8; 16]> {
    #[cfg(target_arch = "x86_64")]
    {
        if messages.len() > 4 && is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the feature that the function needs.
            return unsafe { x86::eight(messages) };
        }
        if messages.len() > 1 && is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { x86::four(messages) };
        }
    }
    messages.iter().map(|message| one(message)).collect()
}

fn one(message: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&sha3::Sha3_256::digest(message)[..16]);
    half
}

/// One message on its way through a lane, block by block.
#[derive(Clone)]
struct Feed<'a> {
    message: &'a [u8],
    /// Place of the message among all; None when the lane is idle.
    place: Option<usize>,
    last: [u8; RATE],
    finished: bool,
}

impl<'a> Feed<'a> {
    const IDLE: Feed<'static> = Feed { message: &[], place: None, last: [0; RATE], finished: false };

    fn of(place: usize, message: &'a [u8]) -> Feed<'a> {
        Feed { message, place: Some(place), ..Feed::IDLE }
    }

    /// The next block; the last one carries SHA3's padding.
    #[inline(always)]
    fn block(&mut self) -> &[u8; RATE] {
        if let Some((block, rest)) = self.message.split_first_chunk::<RATE>() {
            self.message = rest;
            return block;
        }
        if self.place.is_some() {
            self.last = [0; RATE];
            self.last[..self.message.len()].copy_from_slice(self.message);
            self.last[self.message.len()] = 0x06;
            self.last[RATE - 1] |= 0x80;
            self.finished = true;
        }
        &self.last
    }
}

#[inline(always)]
fn word(block: &[u8; RATE], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&block[at * 8..at * 8 + 8]);
    u64::from_le_bytes(bytes)
}

/// A vector of 64-bit words, one for each of `N` messages.
///
/// # Safety
/// Every function needs the processor feature of its implementation.
trait Lanes<const N: usize>: Copy {
    unsafe fn splat(word: u64) -> Self;
    unsafe fn load(words: [u64; N]) -> Self;
    unsafe fn store(self) -> [u64; N];
    unsafe fn xor(self, other: Self) -> Self;
    unsafe fn and(self, other: Self) -> Self;
    unsafe fn xor3(self, second: Self, third: Self) -> Self;
    /// `self ^ (!second & third)`
    unsafe fn chi(self, second: Self, third: Self) -> Self;
    unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self;
}

/// # Safety
/// As for `Lanes`.
#[inline(always)]
unsafe fn run<const N: usize, V: Lanes<N>>(messages: &[&[u8]]) -> Vec<[u8; 16]> {
    let mut digests = vec![[0; 16]; messages.len()];
    let mut waiting = messages.iter().enumerate().map(|(place, message)| Feed::of(place, message));
    let mut feeds: [Feed; N] = std::array::from_fn(|_| waiting.next().unwrap_or(Feed::IDLE));
    let mut busy = feeds.iter().filter(|feed| feed.place.is_some()).count();
    let mut state = [V::splat(0); 25];
    while busy > 0 {
        {
            let blocks: [&[u8; RATE]; N] = feeds.each_mut().map(Feed::block);
            for (at, words) in state.iter_mut().enumerate().take(WORDS) {
                *words = words.xor(V::load(blocks.map(|block| word(block, at))));
            }
        }
        permute(&mut state);
        if feeds.iter().all(|feed| !feed.finished) {
            continue;
        }
        let (low, high) = (state[0].store(), state[1].store());
        let mut keep = [u64::MAX; N];
        for (lane, feed) in feeds.iter_mut().enumerate() {
            if !feed.finished {
                continue;
            }
            if let Some(place) = feed.place {
                digests[place][..8].copy_from_slice(&low[lane].to_le_bytes());
                digests[place][8..].copy_from_slice(&high[lane].to_le_bytes());
            }
            keep[lane] = 0;
            *feed = waiting.next().unwrap_or(Feed::IDLE);
            busy -= usize::from(feed.place.is_none());
        }
        let keep = V::load(keep);
        for words in &mut state {
            *words = words.and(keep);
        }
    }
    digests
}

/// Keccak-f[1600].
///
/// # Safety
/// As for `Lanes`.
#[inline(always)]
unsafe fn permute<const N: usize, V: Lanes<N>>(state: &mut [V; 25]) {
    let mut a = *state;
    for constant in ROUND_CONSTANTS {
        // Theta: each column takes in the parities of its neighbours.
        let c: [V; 5] = std::array::from_fn(|x| a[x].xor3(a[x + 5], a[x + 10]).xor3(a[x + 15], a[x + 20]));
        let d: [V; 5] = std::array::from_fn(|x| c[(x + 4) % 5].xor(c[(x + 1) % 5].rotate::<1, 63>()));
        // Rho and pi: b[y][2x + 3y] = a[x][y], rotated.
        let b0 = a[0].xor(d[0]);
        let b1 = a[6].xor(d[1]).rotate::<44, 20>();
        let b2 = a[12].xor(d[2]).rotate::<43, 21>();
        let b3 = a[18].xor(d[3]).rotate::<21, 43>();
        let b4 = a[24].xor(d[4]).rotate::<14, 50>();
        let b5 = a[3].xor(d[3]).rotate::<28, 36>();
        let b6 = a[9].xor(d[4]).rotate::<20, 44>();
        let b7 = a[10].xor(d[0]).rotate::<3, 61>();
        let b8 = a[16].xor(d[1]).rotate::<45, 19>();
        let b9 = a[22].xor(d[2]).rotate::<61, 3>();
        let b10 = a[1].xor(d[1]).rotate::<1, 63>();
        let b11 = a[7].xor(d[2]).rotate::<6, 58>();
        let b12 = a[13].xor(d[3]).rotate::<25, 39>();
        let b13 = a[19].xor(d[4]).rotate::<8, 56>();
        let b14 = a[20].xor(d[0]).rotate::<18, 46>();
        let b15 = a[4].xor(d[4]).rotate::<27, 37>();
        let b16 = a[5].xor(d[0]).rotate::<36, 28>();
        let b17 = a[11].xor(d[1]).rotate::<10, 54>();
        let b18 = a[17].xor(d[2]).rotate::<15, 49>();
        let b19 = a[23].xor(d[3]).rotate::<56, 8>();
        let b20 = a[2].xor(d[2]).rotate::<62, 2>();
        let b21 = a[8].xor(d[3]).rotate::<55, 9>();
        let b22 = a[14].xor(d[4]).rotate::<39, 25>();
        let b23 = a[15].xor(d[0]).rotate::<41, 23>();
        let b24 = a[21].xor(d[1]).rotate::<2, 62>();
        // Chi, row by row, and iota on the first word.
        a = [
            b0.chi(b1, b2).xor(V::splat(constant)),
            b1.chi(b2, b3),
            b2.chi(b3, b4),
            b3.chi(b4, b0),
            b4.chi(b0, b1),
            b5.chi(b6, b7),
            b6.chi(b7, b8),
            b7.chi(b8, b9),
            b8.chi(b9, b5),
            b9.chi(b5, b6),
            b10.chi(b11, b12),
            b11.chi(b12, b13),
            b12.chi(b13, b14),
            b13.chi(b14, b10),
            b14.chi(b10, b11),
            b15.chi(b16, b17),
            b16.chi(b17, b18),
            b17.chi(b18, b19),
            b18.chi(b19, b15),
            b19.chi(b15, b16),
            b20.chi(b21, b22),
            b21.chi(b22, b23),
            b22.chi(b23, b24),
            b23.chi(b24, b20),
            b24.chi(b20, b21),
        ];
    }
    *state = a;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{run, Lanes};
    use std::arch::x86_64::*;

    /// # Safety
    /// The processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn four(messages: &[&[u8]]) -> Vec<[u8; 16]> {
        run::<4, __m256i>(messages)
    }

    /// # Safety
    /// The processor must have AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn eight(messages: &[&[u8]]) -> Vec<[u8; 16]> {
        run::<8, __m512i>(messages)
    }

    impl Lanes<4> for __m256i {
        #[inline(always)]
        unsafe fn splat(word: u64) -> Self {
            _mm256_set1_epi64x(word as i64)
        }

        #[inline(always)]
        unsafe fn load(words: [u64; 4]) -> Self {
            let [a, b, c, d] = words.map(|word| word as i64);
            _mm256_set_epi64x(d, c, b, a)
        }

        #[inline(always)]
        unsafe fn store(self) -> [u64; 4] {
            let mut words = [0; 4];
            _mm256_storeu_si256(words.as_mut_ptr().cast(), self);
            words
        }

        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            _mm256_xor_si256(self, other)
        }

        #[inline(always)]
        unsafe fn and(self, other: Self) -> Self {
            _mm256_and_si256(self, other)
        }

        #[inline(always)]
        unsafe fn xor3(self, second: Self, third: Self) -> Self {
            _mm256_xor_si256(_mm256_xor_si256(self, second), third)
        }

        #[inline(always)]
        unsafe fn chi(self, second: Self, third: Self) -> Self {
            _mm256_xor_si256(self, _mm256_andnot_si256(second, third))
        }

        #[inline(always)]
        unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
            _mm256_or_si256(_mm256_slli_epi64::<LEFT>(self), _mm256_srli_epi64::<RIGHT>(self))
        }
    }

    impl Lanes<8> for __m512i {
        #[inline(always)]
        unsafe fn splat(word: u64) -> Self {
            _mm512_set1_epi64(word as i64)
        }

        #[inline(always)]
        unsafe fn load(words: [u64; 8]) -> Self {
            let [a, b, c, d, e, f, g, h] = words.map(|word| word as i64);
            _mm512_set_epi64(h, g, f, e, d, c, b, a)
        }

        #[inline(always)]
        unsafe fn store(self) -> [u64; 8] {
            let mut words = [0; 8];
            _mm512_storeu_si512(words.as_mut_ptr().cast(), self);
            words
        }

        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            _mm512_xor_si512(self, other)
        }

        #[inline(always)]
        unsafe fn and(self, other: Self) -> Self {
            _mm512_and_si512(self, other)
        }

        #[inline(always)]
        unsafe fn xor3(self, second: Self, third: Self) -> Self {
            _mm512_ternarylogic_epi64::<0x96>(self, second, third)
        }

        #[inline(always)]
        unsafe fn chi(self, second: Self, third: Self) -> Self {
            _mm512_ternarylogic_epi64::<0xD2>(self, second, third)
        }

        #[inline(always)]
        unsafe fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
            _mm512_rol_epi64::<LEFT>(self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths around the block's, in an order that makes lanes end at different times.
    fn messages() -> Vec<Vec<u8>> {
        let lengths = (0..300).chain([0, 5_000, 135, 136, 137, 271, 272, 273, 1, 100_000, 7]);
        lengths.map(|length| (0..length).map(|at| (at * 7 + at / 251 + length) as u8).collect()).collect()
    }

    #[test]
    fn every_width_is_sha3() {
        let messages = messages();
        let expected: Vec<[u8; 16]> = messages.iter().map(|message| one(message)).collect();
        for count in [0, 1, 2, 3, 4, 5, 7, 8, 9, 17, messages.len()] {
            let some: Vec<&[u8]> = messages.iter().take(count).map(Vec::as_slice).collect();
            assert_eq!(sha3_256_halves(&some), expected[..count]);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the feature was just asked for.
                assert_eq!(unsafe { x86::four(&some) }, expected[..count]);
            }
        }
    }
}
