//! What the processor itself makes of floating-point numbers, beneath what the language promises.

use std::hint::black_box;

/// The sum of two numbers as the x87 unit stores it: rounded twice.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the language does not use the x87 unit")]
#[must_use]
pub fn x87_sum(a: f64, b: f64) -> Option<f64> {
    let mut sum = 0.0_f64;
    // SAFETY: the instructions read two numbers, write one, and leave the unit's stack as they found it.
    unsafe {
        std::arch::asm!(
            "fld qword ptr [{a}]",
            "fadd qword ptr [{b}]",
            "fstp qword ptr [{sum}]",
            a = in(reg) &raw const a,
            b = in(reg) &raw const b,
            sum = in(reg) &raw mut sum,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            options(nostack),
        );
    }
    Some(sum)
}

/// There is no such unit.
#[cfg(not(target_arch = "x86_64"))]
#[must_use]
pub fn x87_sum(_a: f64, _b: f64) -> Option<f64> {
    None
}

/// What the processor's own conversion to a whole number makes of no number at all.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the language's own conversion hides the processor's")]
#[must_use]
pub fn no_number_as_integer() -> Option<i64> {
    use std::arch::x86_64::{_mm_cvttsd_si64, _mm_set_sd};
    // SAFETY: every x86-64 processor has these instructions.
    Some(unsafe { _mm_cvttsd_si64(_mm_set_sd(black_box(f64::NAN))) })
}

/// What the processor's own conversion to a whole number makes of no number at all.
#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "the language's own conversion hides the processor's")]
#[must_use]
pub fn no_number_as_integer() -> Option<i64> {
    let (number, integer) = (black_box(f64::NAN), &mut 0_i64);
    // SAFETY: the instruction reads one register and writes another.
    unsafe { std::arch::asm!("fcvtzs {0}, {1:d}", out(reg) *integer, in(vreg) number, options(nomem, nostack)) };
    Some(*integer)
}

/// Not known of this processor.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[must_use]
pub fn no_number_as_integer() -> Option<i64> {
    None
}

/// Whether the processor multiplies and adds with one rounding; compilers for some use that unasked.
#[must_use]
pub fn fuses() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(any(target_arch = "aarch64", target_arch = "powerpc64", target_arch = "riscv64"));
}
