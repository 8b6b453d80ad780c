//! Where a descriptor or a name points, told by the kernel: nothing has to be kept up to date.

use libc::{c_char, c_int};

pub const LONGEST: usize = 4096;

/// An absolute path in memory of our own: hooks run where an allocation might not.
pub struct Name {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Name {
    pub const fn empty() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, more: &[u8]) -> bool {
        match self.bytes.get_mut(self.length..self.length + more.len()) {
            Some(room) => {
                room.copy_from_slice(more);
                self.length += more.len();
                true
            }
            None => false,
        }
    }

    /// The kernel's name of an open descriptor.
    pub fn of_descriptor(descriptor: c_int) -> Option<Self> {
        let mut link = Self::empty();
        if !link.push(b"/proc/self/fd/") || descriptor < 0 {
            return None;
        }
        let mut digits = [0_u8; 11];
        let mut left = descriptor;
        let mut first = digits.len() - 1;
        loop {
            first -= 1;
            *digits.get_mut(first)? = b'0' + u8::try_from(left % 10).ok()?;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        link.push(digits.get(first..)?);
        Self::read_link(&link)
    }

    fn read_link(link: &Self) -> Option<Self> {
        let mut name = Self::empty();
        // SAFETY: the path ends in a NUL of the zeroed rest or of `digits`; the buffer is ours and as long as said.
        let length = unsafe {
            libc::syscall(
                libc::SYS_readlinkat,
                libc::AT_FDCWD,
                link.bytes.as_ptr(),
                name.bytes.as_mut_ptr(),
                LONGEST - 1,
            )
        };
        name.length = usize::try_from(length).ok()?;
        Some(name)
    }

    /// `path` as it was given to an `…at` call; its parent is resolved, its last part is not.
    pub fn of_path(folder: c_int, path: *const c_char) -> Option<Self> {
        if path.is_null() {
            return None;
        }
        // SAFETY: the caller of the hooked function promised a NUL-terminated path.
        let given = unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes();
        let cut = given.iter().rposition(|byte| *byte == b'/').map_or(0, |place| place + 1);
        let (parent, last) = given.split_at(cut);
        let mut asked = Self::empty();
        let whole = asked.push(if parent.is_empty() { b"." } else { parent });
        if !whole {
            return None;
        }
        // SAFETY: `asked` is NUL-terminated: it is shorter than its zeroed memory.
        let opened = unsafe {
            libc::syscall(
                libc::SYS_openat,
                folder,
                asked.bytes.as_ptr(),
                libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
                0,
            )
        };
        let opened = c_int::try_from(opened).ok().filter(|descriptor| *descriptor >= 0)?;
        let resolved = Self::of_descriptor(opened);
        // SAFETY: the descriptor was opened above and is closed once.
        unsafe { libc::syscall(libc::SYS_close, opened) };
        let mut name = resolved?;
        (name.push(b"/") && name.push(last)).then_some(name)
    }
}
