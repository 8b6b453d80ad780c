//! A new file until it has its name: nobody finds it before, so one sync makes all of it durable.

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// redb's own backend, which syncs nothing before `Naming::begin`.
#[derive(Debug)]
pub struct Unnamed {
    inner: FileBackend,
    syncs: Arc<AtomicBool>,
}

/// The way to tell a database that its file gets its name now.
pub struct Naming {
    file: File,
    syncs: Arc<AtomicBool>,
}

impl Unnamed {
    pub fn new(file: File) -> Result<(Self, Naming), DatabaseError> {
        let syncs = Arc::new(AtomicBool::new(false));
        let naming = Naming { file: file.try_clone().map_err(redb::StorageError::Io)?, syncs: Arc::clone(&syncs) };
        Ok((Self { inner: FileBackend::new(file)?, syncs }, naming))
    }
}

impl Naming {
    /// Make durable what was written until now, and from now on each commit.
    pub fn begin(self) -> io::Result<()> {
        self.syncs.store(true, Ordering::SeqCst);
        self.file.sync_all()
    }
}

impl StorageBackend for Unnamed {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.syncs.load(Ordering::SeqCst) { self.inner.sync_data() } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
