//! Keys and digests held compactly: a UUID key takes 16 bytes, any other lives in an arena.

use std::borrow::Cow;
use std::cmp::Ordering;

pub type Digest = [u8; 16];

const PREFIXES: [&[u8]; 3] = [b"", b"episode_", b"pattern_"];
const ARENA: u8 = 3;
const UUID_TEXT: usize = 36;

/// One key of a `KeyList`: its kind, and the UUID or the place in the arena.
#[derive(Clone, Copy)]
struct Packed {
    kind: u8,
    bytes: [u8; 16],
}

/// A key with its digest and a mark for whoever holds the list.
#[derive(Clone, Copy)]
struct Slot {
    key: Packed,
    digest: Digest,
    mark: u8,
}

/// Keys with digests, sorted by the bytes of the key and then the digest once `sort` was called.
#[derive(Default, Clone)]
pub struct KeyList {
    slots: Vec<Slot>,
    arena: Vec<u8>,
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// The 16 bytes of a lower-case hyphenated UUID.
pub fn uuid_bytes(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != UUID_TEXT {
        return None;
    }
    let mut out = [0; 16];
    let mut at = 0;
    for (index, slot) in out.iter_mut().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *slot = nibble(text[at])? << 4 | nibble(text[at + 1])?;
        at += 2;
    }
    Some(out)
}

fn push_uuid(out: &mut Vec<u8>, bytes: &[u8; 16]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

fn pack_uuid(key: &[u8]) -> Option<Packed> {
    let (kind, rest) = match key.len() {
        UUID_TEXT => (0, key),
        44 => {
            if let Some(rest) = key.strip_prefix(PREFIXES[1]) {
                (1, rest)
            } else {
                (2, key.strip_prefix(PREFIXES[2])?)
            }
        }
        _ => return None,
    };
    uuid_bytes(rest).map(|bytes| Packed { kind, bytes })
}

impl KeyList {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn push(&mut self, key: &[u8], digest: Digest, mark: u8) {
        let packed = pack_uuid(key).unwrap_or_else(|| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&(self.arena.len() as u64).to_le_bytes());
            bytes[8..].copy_from_slice(&(key.len() as u64).to_le_bytes());
            self.arena.extend_from_slice(key);
            Packed { kind: ARENA, bytes }
        });
        self.slots.push(Slot { key: packed, digest, mark });
    }

    fn in_arena(&self, packed: &Packed) -> &[u8] {
        let number = |part: &[u8]| part.try_into().map_or(0, u64::from_le_bytes) as usize;
        let start = number(&packed.bytes[..8]);
        let length = number(&packed.bytes[8..]);
        self.arena.get(start..start + length).unwrap_or_default()
    }

    fn text(&self, packed: &Packed) -> Cow<'_, [u8]> {
        if packed.kind == ARENA {
            return Cow::Borrowed(self.in_arena(packed));
        }
        let prefix = PREFIXES[usize::from(packed.kind)];
        let mut out = Vec::with_capacity(prefix.len() + UUID_TEXT);
        out.extend_from_slice(prefix);
        push_uuid(&mut out, &packed.bytes);
        Cow::Owned(out)
    }

    fn order(&self, left: &Packed, right: &Packed) -> Ordering {
        if left.kind == right.kind && left.kind != ARENA {
            left.bytes.cmp(&right.bytes)
        } else {
            self.text(left).cmp(&self.text(right))
        }
    }

    /// Order by key bytes, then digest.
    pub fn sort(&mut self) {
        let mut slots = std::mem::take(&mut self.slots);
        slots.sort_unstable_by(|a, b| self.order(&a.key, &b.key).then_with(|| a.digest.cmp(&b.digest)));
        self.slots = slots;
    }

    pub fn key(&self, index: usize) -> Cow<'_, [u8]> {
        self.text(&self.slots[index].key)
    }

    /// The key as text; only keys that came from redb's `&str` tables may be asked for so.
    pub fn key_text(&self, index: usize) -> String {
        String::from_utf8_lossy(&self.key(index)).into_owned()
    }

    pub fn same_key(&self, left: usize, right: usize) -> bool {
        self.order(&self.slots[left].key, &self.slots[right].key) == Ordering::Equal
    }

    pub fn digest(&self, index: usize) -> Digest {
        self.slots[index].digest
    }

    pub fn mark(&self, index: usize) -> u8 {
        self.slots[index].mark
    }

    pub fn set_mark(&mut self, index: usize, mark: u8) {
        self.slots[index].mark = mark;
    }

    /// Last two bytes of the key: its bucket.
    pub fn bucket(&self, index: usize) -> Bucket {
        let packed = &self.slots[index].key;
        if packed.kind == ARENA { bucket_of(self.in_arena(packed)) } else { bucket_of(&self.text(packed)) }
    }

    /// First index whose key is not below `key`; the list must be sorted.
    pub fn lower_bound(&self, key: &[u8]) -> usize {
        match pack_uuid(key) {
            Some(wanted) => self.slots.partition_point(|slot| {
                if slot.key.kind == wanted.kind { slot.key.bytes < wanted.bytes } else { *self.text(&slot.key) < *key }
            }),
            None => self.slots.partition_point(|slot| *self.text(&slot.key) < *key),
        }
    }

    /// Indices of all entries of `key`; the list must be sorted.
    pub fn find(&self, key: &[u8]) -> std::ops::Range<usize> {
        let first = self.lower_bound(key);
        let mut last = first;
        while last < self.slots.len() && *self.key(last) == *key {
            last += 1;
        }
        first..last
    }

    /// Keep only the entries with a mark that `keep` accepts, and give the rest of the memory back.
    pub fn retain_marks(&mut self, keep: impl Fn(u8) -> bool) {
        self.slots.retain(|slot| keep(slot.mark));
        self.slots.shrink_to_fit();
    }
}

/// The bucket of a key: its last two bytes, written as (up to) four hex digits and ordered as that text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Bucket {
    /// The bytes, left-aligned, so that the order is that of the hex text.
    value: u16,
    /// Bytes that there are: 2 unless the key is shorter.
    length: u8,
}

pub fn bucket_of(key: &[u8]) -> Bucket {
    match *key {
        [] => Bucket { value: 0, length: 0 },
        [only] => Bucket { value: u16::from(only) << 8, length: 1 },
        [.., high, low] => Bucket { value: u16::from_be_bytes([high, low]), length: 2 },
    }
}

impl Bucket {
    pub fn hex(self) -> String {
        let mut text = format!("{:04X}", self.value);
        text.truncate(usize::from(self.length) * 2);
        text
    }

    /// Which of `of` parts it belongs to, from 0 on: even over the few values that the ends of UUIDs have.
    /// `statements.part` is the same in SQL.
    pub fn part(self, of: u32) -> u32 {
        (u32::from(self.value.wrapping_mul(40503)) * of) >> 16
    }

    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let bytes = unhex(text)?;
        (bytes.len() <= 2).then(|| bucket_of(&bytes))
    }
}

pub fn hex_upper(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 2);
    unhex_into(text, &mut out).then_some(out)
}

/// Append the bytes of a hex text of either case; false when it is not one.
pub fn unhex_into(text: &[u8], out: &mut Vec<u8>) -> bool {
    if !text.len().is_multiple_of(2) {
        return false;
    }
    for pair in text.chunks_exact(2) {
        let (Some(high), Some(low)) = (nibble(pair[0].to_ascii_lowercase()), nibble(pair[1].to_ascii_lowercase()))
        else {
            return false;
        };
        out.push(high << 4 | low);
    }
    true
}

pub fn unhex_digest(text: &[u8]) -> Option<Digest> {
    unhex(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_in_byte_order() {
        let mut keys: Vec<Vec<u8>> = [
            "f0000000-0000-0000-0000-000000000001",
            "e0000000-0000-0000-0000-000000000001",
            "episode_f0000000-0000-0000-0000-000000000001",
            "pattern_00000000-0000-0000-0000-000000000001",
            "emb_v1:local:m:384#r1:episode:f0000000-0000-0000-0000-000000000001",
            "",
            "x",
            "F0000000-0000-0000-0000-000000000001",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
        keys.push(vec![0xFF, 0xFE]);
        let mut list = KeyList::new();
        for key in &keys {
            list.push(key, [1; 16], 0);
        }
        list.sort();
        keys.sort();
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(list.key(index).as_ref(), key.as_slice());
            assert_eq!(list.find(key), index..index + 1);
            assert_eq!(list.bucket(index), bucket_of(key));
            assert_eq!(Bucket::from_hex(bucket_of(key).hex().as_bytes()), Some(bucket_of(key)));
        }
        assert!(list.find(b"y").is_empty());
    }
}
