//! A file that stays as it is, however redb opens it: what redb writes is kept in memory.

use crate::panics::lock;
use redb::StorageBackend;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

const BLOCK: usize = 4096;

/// The file, and what was written over it.
#[derive(Debug)]
pub struct Untouched {
    file: File,
    over: Mutex<Over>,
}

#[derive(Debug)]
struct Over {
    /// Whole blocks by their number.
    blocks: HashMap<u64, Box<[u8; BLOCK]>>,
    len: u64,
    /// So much of the file still counts; what lies beyond reads as zeros.
    kept: u64,
}

impl Untouched {
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, over: Mutex::new(Over { blocks: HashMap::new(), len, kept: len }) })
    }

    /// Fill `out` from the file alone.
    fn below(&self, kept: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(kept.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (file, zeros) = out.split_at_mut(there);
        zeros.fill(0);
        self.file.read_exact_at(file, offset)
    }
}

/// The blocks that `length` octets from `offset` on lie in: number, place in the block, place in the octets, length.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let block = BLOCK as u64;
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let (number, inside) = (at / block, (at % block) as usize);
        let count = (BLOCK - inside).min(length - done);
        let piece = (number, inside, done, count);
        done += count;
        (count > 0).then_some(piece)
    })
}

impl StorageBackend for Untouched {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.over).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let over = lock(&self.over);
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > over.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.below(over.kept, offset, out)?;
        if over.blocks.is_empty() {
            return Ok(());
        }
        for (number, inside, at, count) in pieces(offset, out.len()) {
            if let Some(block) = over.blocks.get(&number) {
                out[at..at + count].copy_from_slice(&block[inside..inside + count]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut over = lock(&self.over);
        if len < over.len {
            let (last, inside) = (len / BLOCK as u64, (len % BLOCK as u64) as usize);
            over.blocks.retain(|number, block| {
                if *number == last {
                    block[inside..].fill(0);
                }
                *number <= last
            });
            over.kept = over.kept.min(len);
        }
        over.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut over = lock(&self.over);
        let kept = over.kept;
        for (number, inside, at, count) in pieces(offset, data.len()) {
            let block = match over.blocks.entry(number) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(place) => {
                    let mut block = Box::new([0; BLOCK]);
                    if count < BLOCK {
                        self.below(kept, number * BLOCK as u64, &mut block[..])?;
                    }
                    place.insert(block)
                }
            };
            block[inside..inside + count].copy_from_slice(&data[at..at + count]);
        }
        over.len = over.len.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(state: &mut u64) -> usize {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) as usize
    }

    /// Whatever is written, cut and read: as a file that may be written, and the file below stays as it was.
    #[test]
    fn it_is_as_a_file_that_may_be_written() {
        let folder = std::env::temp_dir().join(format!("untouched-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (below, beside) = (folder.join("below"), folder.join("beside"));
        let content: Vec<u8> = (0..5 * BLOCK + 100).map(|at| (at % 251) as u8).collect();
        std::fs::write(&below, &content).unwrap();
        std::fs::write(&beside, &content).unwrap();
        let over = Untouched::new(File::open(&below).unwrap()).unwrap();
        let file =
            redb::backends::FileBackend::new(File::options().read(true).write(true).open(&beside).unwrap()).unwrap();
        let mut state = 7;
        for round in 0..2000 {
            let (offset, length) = (next(&mut state) % (8 * BLOCK), next(&mut state) % (3 * BLOCK));
            match next(&mut state) % 8 {
                0 => {
                    over.set_len(offset as u64).unwrap();
                    file.set_len(offset as u64).unwrap();
                }
                1..=3 => {
                    let data = vec![(round % 256) as u8; length.max(1)];
                    over.write(offset as u64, &data).unwrap();
                    file.write(offset as u64, &data).unwrap();
                }
                _ => {
                    let (mut one, mut other) = (vec![0; length], vec![0; length]);
                    let read = over.read(offset as u64, &mut one).is_ok();
                    let beyond = offset as u64 + length as u64 > file.len().unwrap();
                    assert_eq!(read, !beyond);
                    if read {
                        file.read(offset as u64, &mut other).unwrap();
                        assert_eq!(one, other, "round {round}");
                    }
                }
            }
            assert_eq!(over.len().unwrap(), file.len().unwrap());
        }
        assert_eq!(std::fs::read(&below).unwrap(), content);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
