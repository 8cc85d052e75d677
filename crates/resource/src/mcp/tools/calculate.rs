//! `calculate`: arithmetic that always ends soon.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::tool::{Effect, Tool, ToolCard, ToolError};
use super::calculate_formula::{formula, number};
use crate::guard::Caller;

/// The largest number whose factorial is finite.
const MAX_FACTORIAL: f64 = 170.0;

/// Calculates.
pub(super) struct Calculate;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Sqrt,
    Factorial,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// What to do. Subtract and divide take at least two operands, power exactly two, sqrt and
    /// factorial exactly one.
    operation: Operation,
    /// The numbers to do it with, in order.
    #[schemars(length(min = 1, max = 100), inner(range(min = -1e15, max = 1e15)))]
    operands: Vec<f64>,
    /// How many decimals the result is rounded to.
    #[serde(default = "default_precision")]
    #[schemars(range(min = 0, max = 15))]
    precision: u8,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Answer {
    operation: Operation,
    /// The numbers as they were read.
    #[schemars(with = "Vec<f64>")]
    operands: Vec<serde_json::Number>,
    /// The result, rounded.
    #[schemars(with = "f64")]
    result: serde_json::Number,
    /// The calculation as people write it.
    formula: String,
    /// How many decimals the result was rounded to.
    precision_applied: u8,
}

const fn default_precision() -> u8 {
    10
}

impl Tool for Calculate {
    type Arguments = Arguments;
    type Answer = Answer;

    fn card(&self) -> ToolCard {
        ToolCard {
            name: "calculate",
            title: "Calculate",
            description: "Adds, subtracts, multiplies or divides numbers, or takes a power, a square root or a factorial.",
            scopes: "mcp:write",
            needs_user: false,
            effect: Effect::ReadOnly,
        }
    }

    async fn call(&self, _caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let Arguments {
            operation,
            operands,
            precision,
        } = arguments;
        let exact = calculate(operation, &operands)?;
        let rounded = round(exact, precision);
        let result = number(rounded).ok_or_else(too_large)?;
        Ok(Answer {
            formula: formula(operation, &operands, rounded),
            operation,
            operands: operands.iter().copied().filter_map(number).collect(),
            result,
            precision_applied: precision,
        })
    }
}

fn calculate(operation: Operation, operands: &[f64]) -> Result<f64, ToolError> {
    let result = match (operation, operands) {
        (Operation::Add, all) => all.iter().sum(),
        (Operation::Multiply, all) => all.iter().product(),
        (Operation::Subtract, [first, rest @ ..]) if !rest.is_empty() => {
            rest.iter().fold(*first, |left, right| left - right)
        }
        (Operation::Divide, [first, rest @ ..]) if !rest.is_empty() => divide(*first, rest)?,
        (Operation::Power, [base, exponent]) => power(*base, *exponent)?,
        (Operation::Sqrt, [radicand]) => square_root(*radicand)?,
        (Operation::Factorial, [count]) => factorial(*count)?,
        (wrong, _) => return Err(ToolError::invalid("operands", expected_count(wrong))),
    };
    if f64::is_finite(result) {
        Ok(result)
    } else {
        Err(too_large())
    }
}

fn expected_count(operation: Operation) -> &'static str {
    match operation {
        Operation::Subtract | Operation::Divide => "needs at least two numbers",
        Operation::Power => "needs exactly two numbers",
        Operation::Sqrt | Operation::Factorial => "needs exactly one number",
        Operation::Add | Operation::Multiply => "needs at least one number",
    }
}

fn divide(first: f64, divisors: &[f64]) -> Result<f64, ToolError> {
    if divisors.contains(&0.0) {
        return Err(ToolError::failed("operands", "division by zero"));
    }
    Ok(divisors.iter().fold(first, |left, right| left / right))
}

fn power(base: f64, exponent: f64) -> Result<f64, ToolError> {
    if base == 0.0 && exponent < 0.0 {
        return Err(ToolError::failed("operands", "division by zero"));
    }
    let result = base.powf(exponent);
    if result.is_nan() {
        let message = "a negative number has no real power with a fraction";
        return Err(ToolError::failed("operands", message));
    }
    Ok(result)
}

fn square_root(radicand: f64) -> Result<f64, ToolError> {
    if radicand < 0.0 {
        let message = "a negative number has no real square root";
        return Err(ToolError::failed("operands", message));
    }
    Ok(radicand.sqrt())
}

fn factorial(count: f64) -> Result<f64, ToolError> {
    if count.fract() != 0.0 || !(0.0..=MAX_FACTORIAL).contains(&count) {
        let message = "the factorial is known for whole numbers from 0 to 170";
        return Err(ToolError::failed("operands", message));
    }
    let mut product = 1.0;
    let mut factor = 2.0;
    while factor <= count {
        product *= factor;
        factor += 1.0;
    }
    Ok(product)
}

/// Rounds through the decimal text: a factor of ten to the precision would overflow or drift.
fn round(value: f64, precision: u8) -> f64 {
    let text = format!("{value:.*}", usize::from(precision));
    text.parse().unwrap_or(value)
}

fn too_large() -> ToolError {
    ToolError::failed("operands", "the result is too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_result() {
        let check = |operation, operands: &[f64], expected: f64| {
            let result = calculate(operation, operands).unwrap();
            assert!((result - expected).abs() < 1e-9, "{operation:?} {result}");
        };
        check(Operation::Add, &[10.0, 20.0, 30.0], 60.0);
        check(Operation::Subtract, &[10.0, 3.0, 2.0], 5.0);
        check(Operation::Multiply, &[4.0, 2.5], 10.0);
        check(Operation::Divide, &[20.0, 2.0, 5.0], 2.0);
        check(Operation::Power, &[2.0, 10.0], 1024.0);
        check(Operation::Power, &[-8.0, 3.0], -512.0);
        check(Operation::Sqrt, &[0.0], 0.0);
        check(Operation::Factorial, &[0.0], 1.0);
        check(Operation::Factorial, &[5.0], 120.0);
    }

    #[test]
    fn what_has_no_answer_is_refused() {
        for (operation, operands) in [
            (Operation::Divide, &[1.0, 0.0][..]),
            (Operation::Divide, &[1.0, -0.0]),
            (Operation::Power, &[0.0, -1.0]),
            (Operation::Power, &[-2.0, 0.5]),
            (Operation::Power, &[1e15, 1e15]),
            (Operation::Multiply, &[1e15; 30]),
            (Operation::Sqrt, &[-1.0]),
            (Operation::Factorial, &[171.0]),
            (Operation::Factorial, &[1.5]),
            (Operation::Factorial, &[-1.0]),
        ] {
            let error = calculate(operation, operands).unwrap_err();
            assert!(
                matches!(
                    error,
                    ToolError::Failed {
                        field: Some("operands"),
                        ..
                    }
                ),
                "{operation:?} {operands:?} {error:?}"
            );
        }
    }

    #[test]
    fn a_wrong_number_of_operands_is_a_wrong_argument() {
        for (operation, operands) in [
            (Operation::Subtract, &[1.0][..]),
            (Operation::Divide, &[1.0]),
            (Operation::Power, &[1.0, 2.0, 3.0]),
            (Operation::Sqrt, &[1.0, 2.0]),
            (Operation::Factorial, &[1.0, 2.0]),
        ] {
            let error = calculate(operation, operands).unwrap_err();
            assert!(
                matches!(error, ToolError::InvalidArgument { .. }),
                "{operation:?}"
            );
        }
    }

    #[test]
    fn the_largest_factorial_is_finite() {
        assert!(
            calculate(Operation::Factorial, &[170.0])
                .unwrap()
                .is_finite()
        );
    }

    #[test]
    fn rounding_neither_drifts_nor_overflows() {
        assert_eq!(round(0.1 + 0.2, 10).to_string(), "0.3");
        assert_eq!(round(2.5, 0).to_string(), "2");
        assert_eq!(round(1e300, 15).to_string(), 1e300_f64.to_string());
    }
}
