//! The C library that programs of this host compute with: its version, and its mathematics.

macro_rules! functions {
    ($($name:ident($($argument:ident),*)),* $(,)?) => {
        mod c {
            #[expect(unsafe_code, reason = "the C library's mathematics")]
            #[link(name = "m")]
            unsafe extern "C" {
                $(pub safe fn $name($($argument: f64),*) -> f64;)*
            }
        }

        $(
            /// The C library's function of this name, called at run time.
            #[must_use]
            pub fn $name($($argument: f64),*) -> f64 {
                c::$name($(std::hint::black_box($argument)),*)
            }
        )*
    };
}

functions! {
    sin(x), cos(x), tan(x), exp(x), expm1(x), log(x), log1p(x), pow(x, y), sinh(x), cbrt(x), tgamma(x), erf(x), fma(x, y, z),
}

/// Such as `glibc 2.36`; `None` where it does not say.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the version is a C string")]
#[must_use]
pub fn version() -> Option<String> {
    // SAFETY: the call takes nothing and returns a constant string of the library, ended by zero.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    Some(format!("glibc {}", version.to_str().ok()?))
}

/// Such as `glibc 2.36`; `None` where it does not say.
#[cfg(not(target_env = "gnu"))]
#[must_use]
pub fn version() -> Option<String> {
    cfg!(target_env = "musl").then(|| "musl".to_owned())
}
