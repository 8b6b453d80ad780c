//! The one recording of a program: what to watch, the shared count, and when to fail or to die.

use crate::record::{Kind, Record, write_all};
use libc::{c_char, c_int};
use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Out of the way of a program that counts its descriptors.
const LOG_DESCRIPTOR: c_int = 200;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Span {
    Once,
    Onwards,
    Growing,
}

/// Shared by all processes of the program: the count, and the process that a kill is meant for.
#[repr(C)]
struct Shared {
    count: AtomicU64,
    first: AtomicI32,
}

pub struct Session {
    root: &'static [u8],
    log: c_int,
    shared: &'static Shared,
    kill_at: u64,
    half: bool,
    fail_at: u64,
    errno: c_int,
    span: Span,
}

static SESSION: AtomicPtr<Session> = AtomicPtr::new(std::ptr::null_mut());
static ORDER: Mutex<()> = Mutex::new(());

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    recorder_restart();
}

/// Begin the recording that the environment asks for now, if it does: for a process that was forked for it.
#[unsafe(no_mangle)]
extern "C" fn recorder_restart() {
    let found = Session::from_environment().map_or(std::ptr::null_mut(), |session| Box::into_raw(Box::new(session)));
    SESSION.store(found, Ordering::SeqCst);
}

/// The recording, once the program has been set up; None where there is nothing to record.
pub fn session() -> Option<&'static Session> {
    // SAFETY: null, or from a box that is never freed.
    unsafe { SESSION.load(Ordering::SeqCst).as_ref() }
}

fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: the name is NUL-terminated; nobody changes the environment while this is being set up.
    let value: *const c_char = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: as above; a copy is kept, for programs may change their environment later.
    Some(Box::leak(unsafe { CStr::from_ptr(value) }.to_bytes().to_vec().into_boxed_slice()))
}

fn number(name: &CStr) -> Option<u64> {
    std::str::from_utf8(variable(name)?).ok()?.parse().ok()
}

/// A descriptor in the high numbers; -1 when it cannot be opened.
fn open_log(path: &[u8]) -> c_int {
    let mut terminated = path.to_vec();
    terminated.push(0);
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    // SAFETY: NUL-terminated above; the low descriptor is closed once.
    unsafe {
        let low = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, terminated.as_ptr(), flags, 0o600);
        let high = libc::syscall(libc::SYS_fcntl, low, libc::F_DUPFD_CLOEXEC, LOG_DESCRIPTOR);
        libc::syscall(libc::SYS_close, low);
        c_int::try_from(high).unwrap_or(-1)
    }
}

/// The count lives in a file beside the log that every process maps.
fn share(log: &[u8]) -> Option<&'static Shared> {
    let mut path = log.to_vec();
    path.extend_from_slice(b".count");
    let descriptor = open_log(&path);
    let size = size_of::<Shared>();
    // SAFETY: the mapping is as long as the file was made and is never taken away; zeros are valid atomics.
    unsafe {
        if libc::syscall(libc::SYS_ftruncate, descriptor, size) != 0 {
            return None;
        }
        let memory =
            libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, descriptor, 0);
        libc::syscall(libc::SYS_close, descriptor);
        if memory == libc::MAP_FAILED { None } else { Some(&*memory.cast::<Shared>()) }
    }
}

impl Session {
    fn from_environment() -> Option<Self> {
        let root = variable(c"RECORDER_ROOT")?;
        let path = variable(c"RECORDER_LOG")?;
        let (log, shared) = (open_log(path), share(path));
        let Some(shared) = shared.filter(|_| log >= 0) else {
            write_all(2, b"recorder: the log cannot be opened\n");
            // SAFETY: ends the process; a recording that records nothing must not look like one.
            unsafe { libc::_exit(125) };
        };
        let own = c_int::try_from(std::process::id()).unwrap_or(0);
        let _ = shared.first.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst);
        let span = match variable(c"RECORDER_FAIL") {
            Some(b"onwards") => Span::Onwards,
            Some(b"growing") => Span::Growing,
            _ => Span::Once,
        };
        Some(Self {
            root,
            log,
            shared,
            kill_at: number(c"RECORDER_KILL_AT").unwrap_or(0),
            half: variable(c"RECORDER_HALF") == Some(b"1"),
            fail_at: number(c"RECORDER_FAIL_AT").unwrap_or(0),
            errno: number(c"RECORDER_ERRNO").and_then(|value| c_int::try_from(value).ok()).unwrap_or(libc::EIO),
            span,
        })
    }

    pub fn covers(&self, path: &[u8]) -> bool {
        match path.strip_prefix(self.root) {
            Some(rest) => rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        }
    }

    /// One operation at a time, over threads and processes: the log is the order in which they happened.
    pub fn order(&self) -> Turn<'_> {
        let guard = ORDER.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the descriptor stays open; the kernel drops the lock with the process.
        while unsafe { libc::syscall(libc::SYS_flock, self.log, libc::LOCK_EX) } != 0 {}
        Turn { session: self, number: self.shared.count.fetch_add(1, Ordering::SeqCst) + 1, _guard: guard }
    }
}

/// The right to do one operation.
pub struct Turn<'s> {
    session: &'s Session,
    pub number: u64,
    _guard: MutexGuard<'static, ()>,
}

impl Turn<'_> {
    /// Die here when this is the operation; `half` is asked to do half of it first.
    pub fn maybe_die(&self, half: impl FnOnce()) {
        if self.number != self.session.kill_at {
            return;
        }
        if self.session.half {
            half();
        }
        let first = self.session.shared.first.load(Ordering::SeqCst);
        // SAFETY: signals to the program that was started for this and to the process itself.
        unsafe {
            libc::kill(first, libc::SIGKILL);
            libc::kill(libc::getpid(), libc::SIGKILL);
            loop {
                libc::pause();
            }
        }
    }

    /// The error that this operation is to meet. `grows`: it needs room on the disk.
    pub fn failure(&self, grows: impl FnOnce() -> bool) -> Option<c_int> {
        let session = self.session;
        if session.fail_at == 0 || self.number < session.fail_at {
            return None;
        }
        let fails = match session.span {
            Span::Once => self.number == session.fail_at,
            Span::Onwards => true,
            Span::Growing => grows(),
        };
        fails.then_some(session.errno)
    }

    pub fn log(&self, record: &Record<'_>, bytes: &[u8]) {
        if !record.append(self.session.log, bytes) {
            write_all(2, b"recorder: the log is full\n");
            // SAFETY: ends the process, as where the log cannot be opened.
            unsafe { libc::_exit(125) };
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // SAFETY: the descriptor stays open.
        unsafe { libc::syscall(libc::SYS_flock, self.session.log, libc::LOCK_UN) };
    }
}

impl Kind {
    /// Whether it always takes room, however little.
    pub fn makes_a_name(self) -> bool {
        matches!(self, Self::Create | Self::Link | Self::MakeFolder)
    }
}
