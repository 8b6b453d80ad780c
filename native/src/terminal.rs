//! A terminal that is put right when a signal ends the process: no code of Python runs then.

use crate::errors::{Fault, Outcome};
use pyo3::prelude::*;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::OnceLock;

/// What the handler needs, ready before it runs: it may only make system calls.
struct Guard {
    input: libc::c_int,
    output: libc::c_int,
    before: libc::termios,
    text: Vec<u8>,
}

static GUARD: OnceLock<Guard> = OnceLock::new();

/// Signals whose usual end is that of the process; KILL and STOP cannot be caught.
const DEADLY: [libc::c_int; 20] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGUSR1,
    libc::SIGSEGV,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGSYS,
];

extern "C" fn put_right(number: libc::c_int) {
    if let Some(guard) = GUARD.get() {
        // SAFETY: tcsetattr, write and raise are async-signal-safe; the guard is never changed and never dropped.
        unsafe {
            libc::tcsetattr(guard.input, libc::TCSANOW, &raw const guard.before);
            libc::write(guard.output, guard.text.as_ptr().cast(), guard.text.len());
        }
    }
    // SAFETY: SA_RESETHAND has brought the usual end back; the signal that we were called for comes again.
    unsafe {
        libc::raise(number);
    }
}

fn guard(input: libc::c_int, output: libc::c_int, text: Vec<u8>) -> Outcome<()> {
    let mut before = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: tcgetattr fills the whole value when it gives 0.
    let before = unsafe {
        if libc::tcgetattr(input, before.as_mut_ptr()) != 0 {
            return Err(Fault::io(io::Error::last_os_error(), Path::new("the terminal")));
        }
        before.assume_init()
    };
    if GUARD.set(Guard { input, output, before, text }).is_err() {
        return Ok(());
    }
    for number in DEADLY {
        // SAFETY: both values are whole; a signal that somebody handles or ignores is left as it is.
        unsafe {
            let mut now: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(number, std::ptr::null(), &raw mut now) != 0 || now.sa_sigaction != libc::SIG_DFL {
                continue;
            }
            let mut ours: libc::sigaction = std::mem::zeroed();
            ours.sa_sigaction = put_right as extern "C" fn(libc::c_int) as usize;
            ours.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER;
            libc::sigaction(number, &raw const ours, std::ptr::null_mut());
        }
    }
    Ok(())
}

#[pyfunction]
pub fn guard_terminal(terminal: i32, output: i32, text: Vec<u8>) -> PyResult<()> {
    Ok(guard(terminal, output, text)?)
}
