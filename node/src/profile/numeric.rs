//! The numeric fingerprint: what this host makes of computations on which hosts differ.
//!
//! Each probe is a computation whose last digits, or whose meaning, depend on the processor, on the C
//! library or on how that was built for this processor (glibc has other variants of many functions
//! where multiply and add are fused). The class is a digest of all findings in their order; a probe that
//! is added or changed makes other classes.

use std::hint::black_box;

use chameleon_core::profile::{Finding, Numeric};

use crate::os::{c_library, float};

/// Hexadecimal digits of a class.
const DIGITS: usize = 8;

/// Runs the probes.
pub fn fingerprint() -> Numeric {
    let findings: Vec<Finding> = meanings().into_iter().chain(last_digits()).map(finding).collect();
    let mut hasher = blake3::Hasher::new();
    for Finding { probe, found } in &findings {
        hasher.update(format!("{probe}\t{found}\n").as_bytes());
    }
    Numeric { class: hasher.finalize().to_hex()[..DIGITS].to_owned(), findings }
}

fn finding((probe, found): (&str, String)) -> Finding {
    Finding { probe: probe.to_owned(), found }
}

/// Where hosts differ in what an operation means.
fn meanings() -> Vec<(&'static str, String)> {
    // The product needs twice the digits: rounded on its own, the sum is zero.
    let (a, b) = (black_box(1.0 + f64::EPSILON), black_box(1.0 - f64::EPSILON));
    let contracted = black_box(a * b) - 1.0 != black_box(a * b - 1.0);
    let fused = c_library::fma(a, b, -1.0);
    // Just above half a unit in the last place: rounded to 64 bits first, it is exactly half, and lost.
    let half = black_box(f64::EPSILON / 2.0 * (1.0 + f64::EPSILON));
    let once = black_box(1.0) + half;
    let x87 = float::x87_sum(1.0, half);
    let denormal = black_box(f64::MIN_POSITIVE) / black_box(4.0);
    let yes_no = |yes| if yes { "yes" } else { "no" }.to_owned();
    vec![
        ("byte order", if cfg!(target_endian = "little") { "little-endian" } else { "big-endian" }.to_owned()),
        ("processor fuses multiply and add", yes_no(float::fuses())),
        ("multiply and add contracted unasked", yes_no(contracted)),
        ("fma((1+e)(1-e)-1)", format!("{fused:e}")),
        ("sum rounded once", yes_no(once > 1.0)),
        ("x87 rounds twice", x87.map_or_else(|| "no x87".to_owned(), |sum| yes_no(sum != once))),
        (
            "no number as an integer",
            float::no_number_as_integer().map_or_else(|| "not known".to_owned(), |found| found.to_string()),
        ),
        ("denormal numbers kept", yes_no(denormal > 0.0)),
    ]
}

/// Where hosts differ in the last digits: arguments that are hard to reduce or near a steep place.
fn last_digits() -> Vec<(&'static str, String)> {
    let values = [
        ("sin(1e22)", c_library::sin(1e22)),
        ("cos(1e22)", c_library::cos(1e22)),
        ("sin(0.5223)", c_library::sin(0.5223)),
        ("tan(1e300)", c_library::tan(1e300)),
        ("exp(709.7)", c_library::exp(709.7)),
        ("exp(-0.4375)", c_library::exp(-0.4375)),
        ("expm1(1e-5)", c_library::expm1(1e-5)),
        ("log(1.0000001)", c_library::log(1.000_000_1)),
        ("log1p(1e-9)", c_library::log1p(1e-9)),
        ("pow(1.0000001,1e9)", c_library::pow(1.000_000_1, 1e9)),
        ("pow(0.7,313.3)", c_library::pow(0.7, 313.3)),
        ("sinh(3.3)", c_library::sinh(3.3)),
        ("cbrt(2.1)", c_library::cbrt(2.1)),
        ("tgamma(170.6)", c_library::tgamma(170.6)),
        ("tgamma(-1.5)", c_library::tgamma(-1.5)),
        ("erf(0.47)", c_library::erf(0.47)),
    ];
    // The shortest digits that read back as the same number: no two numbers share them.
    values.into_iter().map(|(probe, value)| (probe, format!("{value:e}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_same_class_each_time() {
        let numeric = fingerprint();
        assert_eq!(numeric, fingerprint());
        assert_eq!(numeric.class.len(), DIGITS);
        let found = |probe: &str| numeric.findings.iter().find(|finding| finding.probe == probe).unwrap().found.clone();
        assert_eq!(found("sum rounded once"), "yes");
        assert_eq!(found("multiply and add contracted unasked"), "no", "our own code is built without");
        assert!(found("sin(1e22)").starts_with("-8.522008497671"), "{}", found("sin(1e22)"));
        if cfg!(target_arch = "x86_64") {
            assert_eq!(found("x87 rounds twice"), "yes");
            assert_eq!(found("no number as an integer"), i64::MIN.to_string());
        }
    }
}
