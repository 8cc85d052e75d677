//! How `calculate` writes numbers and formulas.

use serde_json::Number;

use super::calculate::Operation;

/// Up to here a float holds every whole number exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A number for JSON: a whole one without a decimal point, and no negative zero.
pub(super) fn number(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() <= MAX_EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within the exact range, as checked above"
        )]
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

/// The calculation as people write it, such as `10 + 20 = 30`.
pub(super) fn formula(operation: Operation, operands: &[f64], result: f64) -> String {
    let joined = |sign: &str| {
        let texts: Vec<String> = operands.iter().map(|operand| term(*operand)).collect();
        texts.join(sign)
    };
    let left = match operation {
        Operation::Add => joined(" + "),
        Operation::Subtract => joined(" - "),
        Operation::Multiply => joined(" × "),
        Operation::Divide => joined(" ÷ "),
        Operation::Power => joined(" ^ "),
        Operation::Sqrt => format!("√{}", joined("")),
        Operation::Factorial => format!("{}!", joined("")),
    };
    format!("{left} = {}", plain(result))
}

fn term(value: f64) -> String {
    if value < 0.0 {
        format!("({})", plain(value))
    } else {
        plain(value)
    }
}

fn plain(value: f64) -> String {
    number(value).map_or_else(|| value.to_string(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_read_as_people_write_them() {
        let check = |operation, operands: &[f64], result, expected| {
            assert_eq!(formula(operation, operands, result), expected);
        };
        check(
            Operation::Add,
            &[10.0, 20.0, 30.0],
            60.0,
            "10 + 20 + 30 = 60",
        );
        check(Operation::Subtract, &[1.0, -2.5], 3.5, "1 - (-2.5) = 3.5");
        check(Operation::Power, &[-2.0, 2.0], 4.0, "(-2) ^ 2 = 4");
        check(Operation::Sqrt, &[16.0], 4.0, "√16 = 4");
        check(Operation::Factorial, &[5.0], 120.0, "5! = 120");
    }

    #[test]
    fn whole_numbers_have_no_decimal_point() {
        assert_eq!(number(60.0).unwrap().to_string(), "60");
        assert_eq!(number(-0.0).unwrap().to_string(), "0");
        assert_eq!(number(0.5).unwrap().to_string(), "0.5");
        assert_eq!(number(f64::INFINITY), None);
    }
}
