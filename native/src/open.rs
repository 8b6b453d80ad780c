//! An open redb file: private copy, shared reading, or exclusive writing.

use crate::errors::{Fault, Outcome};
use crate::panics::Quiet;
use crate::untouched::Untouched;
use redb::{Builder, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageBackend};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Page memory of one file unless the caller says otherwise.
pub const CACHE_BYTES: usize = 4 << 20;

/// A file that is ours alone and may be lost: never synced, never locked.
#[derive(Debug)]
pub struct PrivateFile(pub File);

impl StorageBackend for PrivateFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

enum Handle {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
}

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Private,
    /// As private, and the file stays as it is: what redb mends is mended in memory.
    Untouched,
    Read,
    Write,
}

impl Mode {
    pub fn parse(text: &str) -> Outcome<Self> {
        match text {
            "private" => Ok(Self::Private),
            "untouched" => Ok(Self::Untouched),
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            other => Err(Fault::value(format!("mode must be private, untouched, read or write, not {other:?}"))),
        }
    }
}

/// A file with the database that has it open.
pub struct OpenFile {
    handle: Quiet<Handle>,
    pub repaired: bool,
}

impl OpenFile {
    pub fn open(path: &Path, mode: Mode, cache_bytes: usize) -> Outcome<Self> {
        let repairing = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&repairing);
        let mut builder = Builder::new();
        builder.set_cache_size(cache_bytes);
        builder.set_repair_callback(move |_| seen.store(true, Ordering::Relaxed));
        let handle = match mode {
            Mode::Read => Handle::ReadOnly(builder.open_read_only(path)?),
            Mode::Write => Handle::Writable(builder.open(path)?),
            Mode::Private => Handle::Writable(builder.create_with_backend(PrivateFile(filled(path, true)?))?),
            Mode::Untouched => {
                let file = Untouched::new(filled(path, false)?).map_err(redb::StorageError::Io)?;
                Handle::Writable(builder.create_with_backend(file)?)
            }
        };
        Ok(Self { handle: Quiet::new(handle), repaired: repairing.load(Ordering::Relaxed) })
    }

    pub fn begin_read(&self) -> Outcome<ReadTransaction> {
        let transaction = match &*self.handle {
            Handle::Writable(database) => database.begin_read(),
            Handle::ReadOnly(database) => database.begin_read(),
        };
        Ok(transaction?)
    }

    pub fn check_integrity(&mut self) -> Outcome<bool> {
        match &mut *self.handle {
            Handle::Writable(database) => Ok(database.check_integrity()?),
            Handle::ReadOnly(_) => Err(Fault::value("the integrity check needs a file opened private or write")),
        }
    }

    pub fn close(self) -> Outcome<()> {
        match self.handle.into_inner() {
            Handle::Writable(database) => Ok(database.close()?),
            Handle::ReadOnly(database) => Ok(database.close()?),
        }
    }
}

/// A file with something in it: `create_with_backend` would initialise an empty one, which an open must not do.
fn filled(path: &Path, write: bool) -> Outcome<File> {
    let file = OpenOptions::new().read(true).write(write).open(path).map_err(redb::StorageError::Io)?;
    if file.metadata().map_err(redb::StorageError::Io)?.len() == 0 {
        let empty = io::Error::new(io::ErrorKind::InvalidData, "Database file is empty");
        return Err(redb::StorageError::Io(empty).into());
    }
    Ok(file)
}
