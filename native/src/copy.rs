//! A private copy of a file that others may be writing, verified by its header (docs/cache.md#private-copies).

use crate::create::new_file;
use crate::errors::{Fault, Outcome};
use crate::header::read_raw_of;
use crate::panics::detached;
use pyo3::prelude::*;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `FICLONE` of linux/fs.h.
const FICLONE: libc::c_ulong = 0x4004_9409;

/// How a copy was made.
#[pyclass(frozen, get_all, module = "storage_sync._native")]
pub struct CopyInfo {
    bytes: u64,
    attempts: u32,
    seconds: f64,
    method: &'static str,
}

#[pymethods]
impl CopyInfo {
    fn __repr__(&self) -> String {
        format!("<CopyInfo {} bytes by {} in {} attempts>", self.bytes, self.method, self.attempts)
    }
}

fn same_header(before: &(Vec<u8>, u64), path: &Path) -> Outcome<bool> {
    // Opened again on purpose: a file that was renamed away in the meantime is another file.
    let again = File::open(path).map_err(|error| Fault::io(error, path))?;
    Ok(read_raw_of(&again, path)? == *before)
}

fn fill(source: &mut File, target: &mut File) -> io::Result<&'static str> {
    // SAFETY: both descriptors are open for the whole call; FICLONE touches no memory of ours.
    if unsafe { libc::ioctl(target.as_raw_fd(), FICLONE, source.as_raw_fd()) } == 0 {
        return Ok("reflink");
    }
    source.rewind()?;
    target.rewind()?;
    // The standard library uses copy_file_range where the file system has it. What an earlier attempt wrote is
    // overwritten in place: it has its pages already, so that this one is done before the next commit.
    let bytes = io::copy(source, target)?;
    target.set_len(bytes)?;
    Ok("copy")
}

/// A new file, never the old inode: whoever still has an earlier copy open keeps it to himself.
fn create(target: &Path) -> io::Result<File> {
    match std::fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    new_file(target)
}

/// Copy `source` to `target` until its header was the same before and after; nothing is left where that fails.
pub fn copy_verified(source: &Path, target: &Path, attempts: u32) -> Outcome<CopyInfo> {
    let copied = copy_at_rest(source, target, attempts);
    if copied.is_err() {
        // Why it failed is the error to tell.
        let _ = std::fs::remove_file(target);
    }
    copied
}

fn copy_at_rest(source: &Path, target: &Path, attempts: u32) -> Outcome<CopyInfo> {
    let started = Instant::now();
    let open = || File::open(source).map_err(|error| Fault::io(error, source));
    let mut from = open()?;
    let mut to = create(target).map_err(|error| Fault::io(error, target))?;
    for attempt in 1..=attempts.max(1) {
        let before = read_raw_of(&from, source)?;
        let method = fill(&mut from, &mut to).map_err(|error| Fault::io(error, target))?;
        if same_header(&before, source)? {
            let bytes = to.metadata().map_err(|error| Fault::io(error, target))?.len();
            return Ok(CopyInfo { bytes, attempts: attempt, seconds: started.elapsed().as_secs_f64(), method });
        }
        from = open()?;
    }
    Err(Fault::Busy(format!("{} changed during each of {attempts} copies", source.display())))
}

#[pyfunction]
#[pyo3(signature = (source, target, attempts = 5))]
pub fn copy_file(py: Python<'_>, source: PathBuf, target: PathBuf, attempts: u32) -> PyResult<CopyInfo> {
    detached(py, move || copy_verified(&source, &target, attempts))
}
