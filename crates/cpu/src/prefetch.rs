//! Fetches memory before it is needed. Nothing is read or written that the program could see, whatever the address.

/// Fetches a cache line into the L2 cache.
#[inline(always)]
pub(crate) fn to_read<T>(line: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint.
    unsafe {
        std::arch::asm!("prefetcht1 [{}]", in(reg) line, options(nostack, readonly, preserves_flags));
    }
    let _ = line;
}

/// Fetches a cache line that will be written, so that the store needs not wait for it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn to_write<T>(line: *const T) {
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, readonly, preserves_flags));
    }
}
