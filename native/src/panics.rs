//! Panics end here: nothing is printed, nothing unwinds into Python.

use crate::errors::{Fault, Outcome};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};

thread_local! {
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What `unreachable!()` says, which to a reader sounds like a fault of this tool.
const UNREACHABLE: &str = "internal error: entered unreachable code";

/// Replace the hook that would print to stderr by one that only remembers the place.
///
/// The hook belongs to this library's own copy of the standard library; no other extension sees it.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!("{}:{}", within_crate(place.file()), place.line()));
        PLACE.with(|cell| *cell.borrow_mut() = place);
    }));
}

/// A source path from its crate's name and version on: where the build kept it is nobody's business.
fn within_crate(path: &str) -> &str {
    match path.split_once("/registry/src/") {
        Some((_, inside)) => inside.split_once('/').map_or(inside, |(_, path)| path),
        None => path,
    }
}

/// Run `work` and turn a panic into `Fault::Panic` with place and message.
pub fn caught<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        let message = message.replacen(UNREACHABLE, "its content makes no sense", 1);
        let place = PLACE.with(|cell| cell.borrow_mut().take()).unwrap_or_else(|| "unknown place".to_owned());
        // A payload with a panicking destructor must not start a second panic.
        std::mem::forget(payload);
        Err(Fault::Panic(format!("{message} ({place})")))
    })
}

/// Run `work` without the interpreter lock; panics and failures become Python exceptions.
pub fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Outcome<T> + Send) -> PyResult<T> {
    py.detach(|| caught(work)).map_err(PyErr::from)
}

/// The value behind a mutex, also after a panic while it was held.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // That panic has already been reported; the values inside stay usable or say so.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value whose destructor may panic, as redb's do on damaged files.
pub struct Quiet<T>(ManuallyDrop<T>);

impl<T> Quiet<T> {
    pub fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }

    /// Take the value out, with its destructor.
    pub fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped or used again, so the value is taken exactly once.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T> Drop for Quiet<T> {
    fn drop(&mut self) {
        // SAFETY: drop runs once, and nothing reads the value afterwards.
        let value = unsafe { ManuallyDrop::take(&mut self.0) };
        let ended = panic::catch_unwind(AssertUnwindSafe(move || drop(value)));
        if let Err(payload) = ended {
            std::mem::forget(payload);
        }
    }
}

impl<T> Deref for Quiet<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Quiet<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
