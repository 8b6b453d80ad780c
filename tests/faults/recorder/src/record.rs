//! What is written down: one record an operation, little-endian, in the order in which they happened.
//!
//! `u32` length of all that follows · `u64` number · `u32` process · `u8` kind · `i32` errno (0: it was done) ·
//! `u64` device and `u64` inode of the file · `u64` offset or flags · `u64` length · `u16` length of the name ·
//! `u16` length of the other name · name · other name · the bytes of a write.

use libc::c_int;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Create = 1,
    Write,
    Truncate,
    Allocate,
    Sync,
    SyncFolder,
    Rename,
    Unlink,
    Link,
    MakeFolder,
    RemoveFolder,
}

pub struct Record<'a> {
    pub number: u64,
    pub kind: Kind,
    pub errno: c_int,
    pub device: u64,
    pub inode: u64,
    pub offset: u64,
    pub length: u64,
    pub name: &'a [u8],
    pub other: &'a [u8],
}

const HEAD: usize = 8 + 4 + 1 + 4 + 8 + 8 + 8 + 8 + 2 + 2;

impl Record<'_> {
    /// Append it to the log, bytes last; false when the log could not take it.
    pub fn append(&self, log: c_int, bytes: &[u8]) -> bool {
        let mut head = [0_u8; 4 + HEAD];
        let rest = HEAD + self.name.len() + self.other.len() + bytes.len();
        let mut place = 0;
        let mut put = |part: &[u8]| {
            if let Some(room) = head.get_mut(place..place + part.len()) {
                room.copy_from_slice(part);
                place += part.len();
            }
        };
        put(&u32::try_from(rest).unwrap_or(u32::MAX).to_le_bytes());
        put(&self.number.to_le_bytes());
        put(&std::process::id().to_le_bytes());
        put(&[self.kind as u8]);
        put(&self.errno.to_le_bytes());
        put(&self.device.to_le_bytes());
        put(&self.inode.to_le_bytes());
        put(&self.offset.to_le_bytes());
        put(&self.length.to_le_bytes());
        put(&u16::try_from(self.name.len()).unwrap_or(u16::MAX).to_le_bytes());
        put(&u16::try_from(self.other.len()).unwrap_or(u16::MAX).to_le_bytes());
        [&head[..], self.name, self.other, bytes].into_iter().all(|part| write_all(log, part))
    }
}

pub fn write_all(descriptor: c_int, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        // SAFETY: the memory is a slice that lives through the call.
        let done = unsafe { libc::syscall(libc::SYS_write, descriptor, bytes.as_ptr(), bytes.len()) };
        match usize::try_from(done) {
            Ok(done) if done > 0 => bytes = bytes.get(done..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}
