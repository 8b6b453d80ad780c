//! Preloaded into a program, it writes down every call that changes a file below one folder, fails one, or ends there.
//!
//! `RECORDER_ROOT`: the folder, its real path. `RECORDER_LOG`: a file outside it that takes the records (`record.rs`).
//! `RECORDER_KILL_AT=n`: the whole program dies before operation n; with `RECORDER_HALF=1`, half of a write is done.
//! `RECORDER_FAIL_AT=n`, `RECORDER_ERRNO`: operation n fails; `RECORDER_FAIL=once|onwards|growing`: this one, all that
//! follow too, or all that follow and need room. Operations are numbered from 1 over all processes of the program.
//!
//! Every hook ends in a system call of its own, so that nothing of libc comes back here.

mod calls;
mod names;
mod record;
mod session;
