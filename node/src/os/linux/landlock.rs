//! Landlock: rules about files that a process gives itself.

/// The version of the kernel's Landlock interface; `None` where there is none or it is switched off.
#[expect(unsafe_code, reason = "landlock_create_ruleset has no safe wrapper")]
#[must_use]
pub fn version() -> Option<u32> {
    /// `LANDLOCK_CREATE_RULESET_VERSION` of linux/landlock.h.
    const ASK_VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel takes no pointer and makes no descriptor.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, ASK_VERSION)
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}
