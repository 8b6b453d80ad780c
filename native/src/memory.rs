//! How the C library's allocator keeps memory: a first sync of any size must stay within the same bounds.

/// One arena, and no memory kept that could go back: by default each thread hoards its own, and what one thread frees
/// of another's batches lies there unused.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn tune() {
    const KEPT: libc::c_int = 256 << 10;
    // SAFETY: mallopt takes plain numbers and may be called at any time; a refused option leaves the default.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT);
    }
}

/// A step that needed much memory is over: hand back what is free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back() {
    // SAFETY: malloc_trim only looks at memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn tune() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
