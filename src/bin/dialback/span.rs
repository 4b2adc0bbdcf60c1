//! Durations on the command line.

use std::time::Duration;

/// Parses a duration: a whole number of seconds, minutes, hours or days, such as 90s, 5m, 24h or 7d.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wrong =
        || "not a duration: use a number of seconds, minutes, hours or days, such as 90s, 5m, 24h or 7d".to_owned();
    let unit = text.chars().last().and_then(|unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86_400),
        _ => None,
    });
    let unit = unit.ok_or_else(wrong)?;
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let secs = count.checked_mul(unit).filter(|secs| *secs > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_with_a_unit_and_are_rejected_otherwise() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("24h"), span("1d"));
        for wrong in ["", "s", "0s", "5", "-1m", "1.5h", "9999999999999999999d", "5ü"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
