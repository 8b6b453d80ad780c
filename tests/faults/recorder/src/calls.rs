//! The hooked functions of libc, each under all its names.

use crate::names::Name;
use crate::record::{Kind, Record};
use crate::session::{Session, Turn, session};
use libc::{c_char, c_int, c_uint, c_ulong, c_void, iovec, loff_t, mode_t, off_t, size_t, ssize_t};

/// `FICLONE` and `FICLONERANGE` of linux/fs.h.
const CLONES: [c_ulong; 2] = [0x4004_9409, 0x4020_940D];
/// What one call of an emulated copy moves at most.
const COPIED: usize = 16 << 10;
const BLOCK: u64 = 512;

fn fail(errno: c_int) -> c_int {
    // SAFETY: libc gives each thread an errno.
    unsafe { *libc::__errno_location() = errno };
    -1
}

fn errno() -> c_int {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() }
}

fn status(descriptor: c_int) -> Option<libc::stat> {
    // SAFETY: a zeroed stat is a valid one; it is filled when the call says so.
    unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        (libc::fstat(descriptor, &raw mut found) == 0).then_some(found)
    }
}

fn status_of(name: &Name) -> Option<libc::stat> {
    // SAFETY: as above; a name is NUL-terminated by its zeroed memory.
    unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        let path = name.bytes().as_ptr().cast::<c_char>();
        (libc::fstatat(libc::AT_FDCWD, path, &raw mut found, libc::AT_SYMLINK_NOFOLLOW) == 0).then_some(found)
    }
}

fn kind_of(found: &libc::stat) -> mode_t {
    found.st_mode & libc::S_IFMT
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// An operation on an open file of the folder, or on a name in it.
struct Subject {
    session: &'static Session,
    name: Name,
    found: Option<libc::stat>,
}

/// What an operation says of itself beside its subject.
struct Facts<'a> {
    kind: Kind,
    offset: u64,
    length: u64,
    other: &'a [u8],
}

impl Facts<'_> {
    const fn plain(kind: Kind) -> Self {
        Facts { kind, offset: 0, length: 0, other: &[] }
    }
}

impl Subject {
    fn descriptor(descriptor: c_int) -> Option<Self> {
        let session = session()?;
        let name = Name::of_descriptor(descriptor)?;
        if !session.covers(name.bytes()) {
            return None;
        }
        let found = status(descriptor)?;
        let counts = [libc::S_IFREG, libc::S_IFDIR].contains(&kind_of(&found));
        counts.then_some(Self { session, name, found: Some(found) })
    }

    fn path(folder: c_int, path: *const c_char) -> Option<Self> {
        let session = session()?;
        let name = Name::of_path(folder, path)?;
        if !session.covers(name.bytes()) {
            return None;
        }
        let found = status_of(&name);
        Some(Self { session, name, found })
    }

    fn size(&self) -> u64 {
        self.found.as_ref().map_or(0, |found| unsigned(found.st_size))
    }

    /// Whether bytes up to here need blocks that the file does not have.
    fn needs_room(&self, end: u64) -> bool {
        let blocks = self.found.as_ref().map_or(0, |found| unsigned(found.st_blocks));
        end > self.size() || end > blocks * BLOCK
    }

    fn log(&self, turn: &Turn<'_>, facts: &Facts<'_>, errno: c_int, bytes: &[u8]) {
        let (device, inode) = self.found.as_ref().map_or((0, 0), |found| (found.st_dev, found.st_ino));
        let Facts { kind, offset, length, other } = *facts;
        let record =
            Record { number: turn.number, kind, errno, device, inode, offset, length, name: self.name.bytes(), other };
        turn.log(&record, bytes);
    }

    /// Do it, unless this is where the program dies or the call fails; errno is the one of the call.
    fn run(&mut self, facts: &Facts<'_>, grows: bool, call: impl FnOnce() -> i64) -> i64 {
        let turn = self.session.order();
        turn.maybe_die(|| {});
        let done = match turn.failure(|| grows || facts.kind.makes_a_name()) {
            Some(errno) => i64::from(fail(errno)),
            None => call(),
        };
        let said = errno();
        if facts.kind == Kind::Create && done >= 0 {
            self.found = c_int::try_from(done).ok().and_then(status);
        } else if self.found.is_none() && done >= 0 {
            self.found = status_of(&self.name);
        }
        self.log(&turn, facts, if done < 0 { said } else { 0 }, &[]);
        if done < 0 {
            fail(said);
        }
        done
    }
}

fn int(value: i64) -> c_int {
    c_int::try_from(value).unwrap_or(-1)
}

// ------------------------------------------------------------------------------------------------- open

unsafe fn open_any(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments.
    let call = || unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode) };
    if flags & (libc::O_CREAT | libc::O_TRUNC) == 0 {
        return int(call());
    }
    let Some(mut subject) = Subject::path(folder, path) else { return int(call()) };
    let there = subject.found.is_some();
    if there && flags & libc::O_TRUNC != 0 && flags & libc::O_EXCL == 0 {
        return int(subject.run(&Facts::plain(Kind::Truncate), false, call));
    }
    if there || flags & libc::O_CREAT == 0 {
        return int(call());
    }
    int(subject.run(&Facts::plain(Kind::Create), true, call))
}

macro_rules! opens {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            // SAFETY: the caller's own arguments; a mode that was not given is not looked at.
            unsafe { open_any(libc::AT_FDCWD, path, flags, mode) }
        }
    )*};
}

macro_rules! opens_at {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            // SAFETY: as above.
            unsafe { open_any(folder, path, flags, mode) }
        }
    )*};
}

macro_rules! creates {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: *const c_char, mode: mode_t) -> c_int {
            // SAFETY: as above.
            unsafe { open_any(libc::AT_FDCWD, path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, mode) }
        }
    )*};
}

opens!(open open64 __open_2 __open64_2);
opens_at!(openat openat64 __openat_2 __openat64_2);
creates!(creat creat64);

// ------------------------------------------------------------------------------------------------ write

unsafe fn write_any(descriptor: c_int, memory: *const c_void, length: size_t, place: Option<i64>) -> ssize_t {
    let call = |length: size_t| match place {
        // SAFETY: the caller's own arguments, or less of them.
        Some(place) => unsafe { libc::syscall(libc::SYS_pwrite64, descriptor, memory, length, place) },
        None => unsafe { libc::syscall(libc::SYS_write, descriptor, memory, length) },
    };
    let narrow = |done: i64| ssize_t::try_from(done).unwrap_or(-1);
    let Some(before) = Subject::descriptor(descriptor) else { return narrow(call(length)) };
    let turn = before.session.order();
    turn.maybe_die(|| {
        call(length / 2);
    });
    let start = place.unwrap_or_else(|| position(descriptor, &before));
    let end = unsigned(start) + length as u64;
    let done = match turn.failure(|| before.needs_room(end)) {
        Some(errno) => i64::from(fail(errno)),
        None => call(length),
    };
    let said = errno();
    let written = usize::try_from(done).unwrap_or(0);
    // SAFETY: the kernel has just read these bytes of the caller.
    let bytes = if written == 0 { &[] } else { unsafe { std::slice::from_raw_parts(memory.cast::<u8>(), written) } };
    let facts = Facts { kind: Kind::Write, offset: unsigned(start), length: length as u64, other: &[] };
    before.log(&turn, &facts, if done < 0 { said } else { 0 }, bytes);
    if done < 0 {
        fail(said);
    }
    narrow(done)
}

/// Where the next `write` goes.
fn position(descriptor: c_int, subject: &Subject) -> i64 {
    // SAFETY: calls that touch no memory.
    let (flags, place) = unsafe {
        (libc::syscall(libc::SYS_fcntl, descriptor, libc::F_GETFL), libc::lseek(descriptor, 0, libc::SEEK_CUR))
    };
    if int(flags) & libc::O_APPEND != 0 { i64::try_from(subject.size()).unwrap_or(0) } else { place }
}

/// The first piece that has bytes: a short write, which every caller must be able to go on from.
unsafe fn first_of(parts: *const iovec, count: c_int) -> (*const c_void, size_t) {
    for place in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller promised `count` of them.
        let part = unsafe { &*parts.add(place) };
        if part.iov_len > 0 {
            return (part.iov_base, part.iov_len);
        }
    }
    (std::ptr::null(), 0)
}

macro_rules! pwrites {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(descriptor: c_int, memory: *const c_void, length: size_t, place: off_t) -> ssize_t {
            // SAFETY: the caller's own arguments.
            unsafe { write_any(descriptor, memory, length, Some(place)) }
        }
    )*};
}

macro_rules! pwritevs {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(descriptor: c_int, parts: *const iovec, count: c_int, place: off_t) -> ssize_t {
            // SAFETY: the caller's own arguments.
            unsafe {
                let (memory, length) = first_of(parts, count);
                write_any(descriptor, memory, length, (place >= 0).then_some(place))
            }
        }
    )*};
}

pwrites!(pwrite pwrite64);
pwritevs!(pwritev pwritev64 pwritev2 pwritev64v2);

#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, memory: *const c_void, length: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe { write_any(descriptor, memory, length, None) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(descriptor: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    if Subject::descriptor(descriptor).is_none() {
        // SAFETY: the caller's own arguments; sockets and pipes want all of it at once.
        return unsafe { libc::syscall(libc::SYS_writev, descriptor, parts, count) as ssize_t };
    }
    // SAFETY: the caller's own arguments.
    unsafe {
        let (memory, length) = first_of(parts, count);
        write_any(descriptor, memory, length, None)
    }
}

/// A copy inside the kernel, done as reads and writes that can be seen.
unsafe fn copy(from: c_int, place: *mut off_t, to: c_int, target: *mut off_t, length: size_t) -> ssize_t {
    let mut memory = [0_u8; COPIED];
    // SAFETY: the caller's own arguments; the buffer is ours and as long as said.
    unsafe {
        let start = if place.is_null() { libc::lseek(from, 0, libc::SEEK_CUR) } else { *place };
        let wanted = length.min(COPIED);
        let read = libc::syscall(libc::SYS_pread64, from, memory.as_mut_ptr(), wanted, start);
        let Ok(read) = usize::try_from(read) else { return -1 };
        if read == 0 {
            return 0;
        }
        let aim = if target.is_null() { None } else { Some(*target) };
        let done = write_any(to, memory.as_ptr().cast(), read, aim);
        if done > 0 {
            let moved = done as off_t;
            if place.is_null() {
                libc::lseek(from, start + moved, libc::SEEK_SET);
            } else {
                *place = start + moved;
            }
            if !target.is_null() {
                *target += moved;
            }
        }
        done
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    place: *mut loff_t,
    to: c_int,
    target: *mut loff_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller's own arguments.
    unsafe {
        if Subject::descriptor(to).is_none() {
            return libc::syscall(libc::SYS_copy_file_range, from, place, to, target, length, flags) as ssize_t;
        }
        copy(from, place, to, target, length)
    }
}

macro_rules! sendfiles {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(to: c_int, from: c_int, place: *mut off_t, length: size_t) -> ssize_t {
            // SAFETY: the caller's own arguments.
            unsafe {
                if Subject::descriptor(to).is_none() {
                    return libc::syscall(libc::SYS_sendfile, to, from, place, length) as ssize_t;
                }
                copy(from, place, to, std::ptr::null_mut(), length)
            }
        }
    )*};
}

sendfiles!(sendfile sendfile64);

#[unsafe(no_mangle)]
unsafe extern "C" fn splice(
    from: c_int,
    place: *mut loff_t,
    to: c_int,
    target: *mut loff_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    if Subject::descriptor(to).is_some() {
        return ssize_t::try_from(fail(libc::EINVAL)).unwrap_or(-1);
    }
    // SAFETY: the caller's own arguments.
    unsafe { libc::syscall(libc::SYS_splice, from, place, to, target, length, flags) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(descriptor: c_int, request: c_ulong, argument: usize) -> c_int {
    if CLONES.contains(&request) && Subject::descriptor(descriptor).is_some() {
        return fail(libc::EOPNOTSUPP);
    }
    // SAFETY: the caller's own arguments.
    int(unsafe { libc::syscall(libc::SYS_ioctl, descriptor, request, argument) })
}

// ----------------------------------------------------------------------------------------------- length

fn truncated(subject: Option<Subject>, length: off_t, call: impl FnOnce() -> i64) -> c_int {
    let Some(mut subject) = subject else { return int(call()) };
    let facts = Facts { kind: Kind::Truncate, offset: 0, length: unsigned(length), other: &[] };
    // A hole takes no room: that is only seen when something is written into it.
    int(subject.run(&facts, false, call))
}

macro_rules! truncates {
    ($($by_descriptor:ident $by_path:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $by_descriptor(descriptor: c_int, length: off_t) -> c_int {
            // SAFETY: the caller's own arguments.
            let call = || unsafe { libc::syscall(libc::SYS_ftruncate, descriptor, length) };
            truncated(Subject::descriptor(descriptor), length, call)
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $by_path(path: *const c_char, length: off_t) -> c_int {
            // SAFETY: the caller's own arguments.
            let call = || unsafe { libc::syscall(libc::SYS_truncate, path, length) };
            truncated(Subject::path(libc::AT_FDCWD, path), length, call)
        }
    )*};
}

truncates!(ftruncate truncate ftruncate64 truncate64);

unsafe fn allocate(descriptor: c_int, mode: c_int, place: off_t, length: off_t) -> c_int {
    // SAFETY: the caller's own arguments.
    let call = || unsafe { libc::syscall(libc::SYS_fallocate, descriptor, mode, place, length) };
    let Some(mut subject) = Subject::descriptor(descriptor) else { return int(call()) };
    // Only making a file longer can be told by the record; the others are what no file here needs.
    if mode != 0 {
        return fail(libc::EOPNOTSUPP);
    }
    let facts = Facts { kind: Kind::Allocate, offset: unsigned(place), length: unsigned(length), other: &[] };
    int(subject.run(&facts, true, call))
}

macro_rules! allocates {
    ($($plain:ident $posix:ident)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $plain(descriptor: c_int, mode: c_int, place: off_t, length: off_t) -> c_int {
            // SAFETY: the caller's own arguments.
            unsafe { allocate(descriptor, mode, place, length) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $posix(descriptor: c_int, place: off_t, length: off_t) -> c_int {
            // SAFETY: the caller's own arguments.
            if unsafe { allocate(descriptor, 0, place, length) } == 0 { 0 } else { errno() }
        }
    )*};
}

allocates!(fallocate posix_fallocate fallocate64 posix_fallocate64);

// ------------------------------------------------------------------------------------------------- sync

fn synced(descriptor: c_int, call: impl FnOnce() -> i64) -> c_int {
    let Some(mut subject) = Subject::descriptor(descriptor) else { return int(call()) };
    let folder = subject.found.as_ref().is_some_and(|found| kind_of(found) == libc::S_IFDIR);
    let kind = if folder { Kind::SyncFolder } else { Kind::Sync };
    int(subject.run(&Facts::plain(kind), false, call))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    // SAFETY: the caller's own argument.
    synced(descriptor, || unsafe { libc::syscall(libc::SYS_fsync, descriptor) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    // SAFETY: the caller's own argument.
    synced(descriptor, || unsafe { libc::syscall(libc::SYS_fdatasync, descriptor) })
}

// ------------------------------------------------------------------------------------------------ names

fn named(folder: c_int, path: *const c_char, kind: Kind, call: impl FnOnce() -> i64) -> c_int {
    match Subject::path(folder, path) {
        Some(mut subject) => int(subject.run(&Facts::plain(kind), false, call)),
        None => int(call()),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int {
    let kind = if flags & libc::AT_REMOVEDIR == 0 { Kind::Unlink } else { Kind::RemoveFolder };
    // SAFETY: the caller's own arguments.
    named(folder, path, kind, || unsafe { libc::syscall(libc::SYS_unlinkat, folder, path, flags) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's own argument.
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller's own argument.
    unsafe { unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdirat(folder: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments.
    named(folder, path, Kind::MakeFolder, || unsafe { libc::syscall(libc::SYS_mkdirat, folder, path, mode) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { mkdirat(libc::AT_FDCWD, path, mode) }
}

fn twice_named(
    kind: Kind,
    flags: u64,
    (folder, path): (c_int, *const c_char),
    (other_folder, other): (c_int, *const c_char),
    call: impl FnOnce() -> i64,
) -> c_int {
    let Some(mut subject) = Subject::path(folder, path) else { return int(call()) };
    let Some(other) = Name::of_path(other_folder, other) else { return int(call()) };
    let facts = Facts { kind, offset: flags, length: 0, other: other.bytes() };
    int(subject.run(&facts, false, call))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat2(
    folder: c_int,
    path: *const c_char,
    other_folder: c_int,
    other: *const c_char,
    flags: c_uint,
) -> c_int {
    twice_named(Kind::Rename, u64::from(flags), (folder, path), (other_folder, other), || unsafe {
        // SAFETY: the caller's own arguments.
        libc::syscall(libc::SYS_renameat2, folder, path, other_folder, other, flags)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat(folder: c_int, path: *const c_char, other_folder: c_int, other: *const c_char) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { renameat2(folder, path, other_folder, other, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(path: *const c_char, other: *const c_char) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { renameat2(libc::AT_FDCWD, path, libc::AT_FDCWD, other, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn linkat(
    folder: c_int,
    path: *const c_char,
    other_folder: c_int,
    other: *const c_char,
    flags: c_int,
) -> c_int {
    twice_named(Kind::Link, 0, (folder, path), (other_folder, other), || unsafe {
        // SAFETY: the caller's own arguments.
        libc::syscall(libc::SYS_linkat, folder, path, other_folder, other, flags)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn link(path: *const c_char, other: *const c_char) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { linkat(libc::AT_FDCWD, path, libc::AT_FDCWD, other, 0) }
}
