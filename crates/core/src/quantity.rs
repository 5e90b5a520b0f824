//! Kubernetes resource quantities: `500m`, `0.5`, `128Mi`, `1e8`.
//!
//! Source: the Kubernetes API reference, "Quantity" (k8s.io/apimachinery/pkg/api/resource), and
//! "Resource units in Kubernetes" in the documentation.

use std::fmt;

use crate::{Node, Number, Value};

/// An amount of a resource, exact to a billionth of its unit, as the API server keeps it: finer
/// digits are rounded away from zero. With a binary suffix amounts are capped at 2^63-1 units;
/// without one they are exact up to 10^29 units and capped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nanos: i128,
}

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text has no digits, or something stands in the number that does not belong there.
    #[error(
        "is not a quantity: it must be a number with an optional suffix, such as 500m, 0.5 or 128Mi"
    )]
    Format,
    /// The letters behind the number are no suffix that Kubernetes knows.
    #[error(
        "has the unknown suffix {0:?}: Kubernetes knows n u m k M G T P E, Ki Mi Gi Ti Pi Ei and exponents such as e3"
    )]
    Suffix(String),
    /// Neither a string nor a number.
    #[error("must be a string or a number")]
    Type,
}

const NANOS: u128 = 1_000_000_000;
/// 2^63-1 units.
const BINARY_CAP: u128 = i64::MAX as u128 * NANOS;
/// 10^29 units: the API server knows no bound here, and no cluster will see the difference.
const DECIMAL_CAP: u128 = 100_000_000_000_000_000_000_000_000_000 * NANOS;

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { nanos: 0 };

    /// A whole number of units.
    pub fn from_units(units: i64) -> Self {
        Quantity {
            nanos: i128::from(units) * NANOS as i128,
        }
    }

    /// Reads the text of a quantity.
    ///
    /// # Errors
    /// What the API server would refuse.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number_len = rest
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'.')
            .count();
        let (number, suffix) = rest.split_at(number_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError::Format);
        }
        let (binary, decimal) = exponents(suffix)?;

        let mut amount = Decimal::default();
        for digit in whole.bytes().chain(fraction.bytes()) {
            amount.push(digit - b'0');
        }
        amount.exponent += decimal + 9 - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        let cap = if binary == 0 { DECIMAL_CAP } else { BINARY_CAP };
        let magnitude = i128::try_from(amount.scaled(binary).min(cap)).unwrap_or(i128::MAX);
        Ok(Quantity {
            nanos: if negative { -magnitude } else { magnitude },
        })
    }

    /// Reads a quantity from an object: a string or, as YAML often has it, a number.
    ///
    /// # Errors
    /// What the API server would refuse.
    pub fn from_node(node: &Node) -> Result<Self, QuantityError> {
        match &node.value {
            // The API server trims, and only here.
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(Number::Int(units)) => Ok(Self::from_units(*units)),
            Value::Number(float @ Number::Float(_)) => Self::parse(&float.to_string()),
            _ => Err(QuantityError::Type),
        }
    }

    /// Rounded up to a thousandth, as the API server rounds every resource of a container.
    #[must_use]
    pub fn round_up_to_milli(self) -> Self {
        const MILLI: i128 = 1_000_000;
        // Division of a negative amount rounds towards zero, which is up.
        let up = i128::from(self.nanos > 0 && self.nanos % MILLI != 0);
        Quantity {
            nanos: (self.nanos / MILLI + up) * MILLI,
        }
    }

    /// Greater than nothing.
    pub fn is_positive(self) -> bool {
        self.nanos > 0
    }
}

/// The powers of two and of ten that a suffix stands for.
fn exponents(suffix: &str) -> Result<(u32, i64), QuantityError> {
    Ok(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => {
            let unknown = || QuantityError::Suffix(suffix.chars().take(16).collect());
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(unknown)?;
            let exponent: i64 = exponent.parse().map_err(|_| unknown())?;
            // Far beyond what changes a result, and safe to add to.
            (0, exponent.clamp(-1_000_000, 1_000_000))
        }
    })
}

/// `mantissa * 10^exponent`, plus something smaller than one step where `inexact`.
#[derive(Default)]
struct Decimal {
    mantissa: u128,
    exponent: i64,
    inexact: bool,
}

impl Decimal {
    /// Appends a digit; digits beyond what the mantissa holds only count as size.
    fn push(&mut self, digit: u8) {
        match self
            .mantissa
            .checked_mul(10)
            .and_then(|m| m.checked_add(u128::from(digit)))
        {
            Some(mantissa) if self.exponent == 0 => self.mantissa = mantissa,
            _ => {
                self.exponent += 1;
                self.inexact |= digit != 0;
            }
        }
    }

    fn drop_digit(&mut self) {
        self.inexact |= !self.mantissa.is_multiple_of(10);
        self.mantissa /= 10;
        self.exponent += 1;
    }

    /// The value times `2^binary`, rounded up; saturates.
    fn scaled(mut self, binary: u32) -> u128 {
        while self.mantissa.leading_zeros() < binary && self.mantissa != 0 {
            self.drop_digit();
        }
        self.mantissa <<= binary;
        while self.exponent > 0 && self.mantissa != 0 {
            match self.mantissa.checked_mul(10) {
                Some(mantissa) => self.mantissa = mantissa,
                None => return u128::MAX,
            }
            self.exponent -= 1;
        }
        while self.exponent < 0 && self.mantissa != 0 {
            self.drop_digit();
        }
        self.mantissa.saturating_add(u128::from(self.inexact))
    }
}

impl fmt::Display for Quantity {
    /// The amount in units, without a suffix: `0.5`, `134217728`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.nanos.unsigned_abs();
        let (units, rest) = (magnitude / NANOS, magnitude % NANOS);
        let sign = if self.nanos < 0 { "-" } else { "" };
        write!(f, "{sign}{units}")?;
        if rest != 0 {
            write!(f, ".{}", format!("{rest:09}").trim_end_matches('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn q(text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn equal_amounts_in_different_notations_are_equal() {
        for group in [
            &[
                "0.5",
                "500m",
                ".5",
                "+0.5",
                "0.50",
                "5e-1",
                "500000u",
                "500000000n",
            ][..],
            &["1e8", "100M", "1E8", "100000k", "0.1G", "100000000", "1e+8"],
            &["128Mi", "131072Ki", "134217728", "0.125Gi", "134217.728k"],
            &["1", "1000m", "1.", "01", "1e0"],
            &["1E", "1e18", "1000P"],
            &["0", "0m", "0Gi", "-0", "0e9", "0.000"],
        ] {
            for text in group {
                assert_eq!(q(text), q(group[0]), "{text}");
            }
        }
        assert_ne!(q("1k"), q("1Ki"));
        assert!(q("1Gi") > q("1G"));
        assert!(q("-1") < q("0"));
    }

    #[test]
    fn huge_and_tiny_amounts_are_capped_and_rounded_up() {
        assert_eq!(q("16Ei"), q("9223372036854775807"));
        assert_eq!(q("16Ei"), q("8Ei"));
        assert!(q("19E") < q("20E"));
        assert_eq!(q("1e100000000000000000"), q("1e29"));
        assert_eq!(q(&"9".repeat(5000)), q("1e29"));
        assert_eq!(q("1.0001m").round_up_to_milli(), q("2m"));
        assert_eq!(q("2m").round_up_to_milli(), q("2m"));
        assert_eq!(q("-1.5m").round_up_to_milli(), q("-1m"));
        assert_eq!(q("0.1n"), q("1n"));
        assert_eq!(q("1e-100"), q("1n"));
        assert_eq!(q(&format!("0.{}1", "0".repeat(5000))), q("1n"));
        assert_eq!(q("1.0000000001"), q("1000000001n"));
        assert_eq!(q("-1e-100"), q("-1n"));
    }

    #[test]
    fn what_the_api_server_refuses_is_an_error() {
        for text in [
            "",
            "lots",
            "-",
            ".",
            "1.2.3",
            " 1",
            "1 ",
            "m",
            "+-1",
            "${MEMORY}",
            "1,5",
        ] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
        for (text, suffix) in [
            ("1Q", "Q"),
            ("1mi", "mi"),
            ("1e", "e"),
            ("1KI", "KI"),
            ("1GB", "GB"),
        ] {
            assert_eq!(
                Quantity::parse(text),
                Err(QuantityError::Suffix(suffix.to_owned()))
            );
        }
    }

    #[test]
    fn yaml_numbers_are_quantities() {
        let node = |value| Node::unmarked(value);
        let number = |n| Quantity::from_node(&node(Value::Number(n)));
        assert_eq!(number(Number::Int(2)), Ok(q("2")));
        assert_eq!(number(Number::Float(0.25)), Ok(q("250m")));
        assert_eq!(number(Number::Float(1e22)), Ok(q("1e22")));
        assert_eq!(
            Quantity::from_node(&node(Value::Bool(true))),
            Err(QuantityError::Type)
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_a_result(text in ".{0,40}") {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn millis_and_units_agree(units in -1_000_000_000i64..1_000_000_000) {
            prop_assert_eq!(q(&format!("{units}")), q(&format!("{}m", i128::from(units) * 1000)));
            prop_assert_eq!(q(&format!("{units}")), Quantity::from_units(units));
        }

        #[test]
        fn what_is_displayed_reads_back(nanos in -1_000_000_000_000_000i128..1_000_000_000_000_000) {
            let quantity = Quantity { nanos };
            prop_assert_eq!(q(&quantity.to_string()), quantity);
        }

        #[test]
        fn order_is_that_of_the_numbers(a in 0u64..1 << 50, b in 0u64..1 << 50) {
            prop_assert_eq!(q(&format!("{a}Ki")).cmp(&q(&format!("{b}Ki"))), a.cmp(&b));
            prop_assert_eq!(q(&format!("{a}u")).cmp(&q(&format!("{b}u"))), a.cmp(&b));
        }
    }
}
