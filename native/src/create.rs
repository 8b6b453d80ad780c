//! New files: exclusive, for this user alone, and under their name only when they are whole.

use crate::errors::{Fault, Outcome};
use std::fs::{File, OpenOptions, hard_link, remove_file, rename, symlink_metadata};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that was not there before, open for reading and writing; nobody else's, and never behind a link.
pub fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// A new file beside `path` under a name that nobody can have foreseen. Its form is that of `files/writing.py`, which
/// sweeps those of dead runs.
pub fn beside(path: &Path) -> Outcome<(PathBuf, File)> {
    let mut octets = [0_u8; 8];
    // SAFETY: the call writes into the eight octets and nowhere else.
    let given = unsafe { libc::getrandom(octets.as_mut_ptr().cast(), octets.len(), 0) };
    if given != 8 {
        return Err(Fault::io(io::Error::last_os_error(), path));
    }
    let place = path.with_file_name(format!(".storage-sync-{:016x}.tmp", u64::from_ne_bytes(octets)));
    let file = new_file(&place).map_err(|error| Fault::io(error, &place))?;
    Ok((place, file))
}

/// Give the finished file at `place` its name; what has that name by now stays.
pub fn name_once(place: &Path, path: &Path) -> Outcome<()> {
    let done = match hard_link(place, path) {
        // A file system without links: the name was free a moment ago.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && symlink_metadata(path).is_err() => {
            return rename(place, path).map_err(|error| Fault::io(error, path));
        }
        done => done,
    };
    let gone = remove_file(place);
    done.and(gone).map_err(|error| Fault::io(error, path))
}

/// Whether a regular file has the name; an error for a link, a pipe or a device.
pub fn is_there(path: &Path) -> Outcome<bool> {
    match symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => {
            let told = "this is not a regular file; it is never touched; move it away";
            Err(Fault::taken(told, path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Fault::io(error, path)),
    }
}
