//! Texts that stand for something else: durations, sizes, and what is taken from the environment.

use std::time::Duration;

/// The longest duration accepted: beyond it a time is a mistake, and clocks overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A text that is not what its key holds: why, and perhaps what was meant.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Misread {
    pub(crate) message: String,
    pub(crate) meant: Option<String>,
}

impl Misread {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), meant: None }
    }

    pub(crate) fn meant(message: impl Into<String>, meant: impl Into<String>) -> Self {
        Self { message: message.into(), meant: Some(meant.into()) }
    }
}

/// Reads `500ms`, `30s`, `15m` or `2h`.
pub(crate) fn duration(text: &str) -> Result<Duration, Misread> {
    const WHY: &str = "is not a duration like `500ms`, `30s`, `15m` or `2h`";
    let (number, unit) = split_number(text).ok_or_else(|| Misread::new(WHY))?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60 * 1000),
        "h" => number.checked_mul(3600 * 1000),
        "" => return Err(Misread::meant("has no unit", format!("{number}s"))),
        "d" if number <= 366 => return Err(Misread::meant(WHY, format!("{}h", number * 24))),
        _ => return Err(Misread::new(WHY)),
    };
    let duration = milliseconds.map(Duration::from_millis).filter(|duration| *duration <= LONGEST);
    duration.ok_or_else(|| Misread::new("is longer than a year"))
}

/// Reads `64KiB`, `5MiB`, `1GiB` or a plain number of bytes.
pub(crate) fn size(text: &str) -> Result<u64, Misread> {
    const WHY: &str = "is not a size like `64KiB`, `5MiB` or a number of bytes";
    let (number, unit) = split_number(text).ok_or_else(|| Misread::new(WHY))?;
    let factor = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => {
            let first = unit.bytes().next().unwrap_or_default().to_ascii_uppercase();
            return Err(match first {
                b'K' | b'M' | b'G' => Misread::meant(WHY, format!("{number}{}iB", char::from(first))),
                b'B' => Misread::meant(WHY, number.to_string()),
                _ => Misread::new(WHY),
            });
        }
    };
    number.checked_mul(factor).ok_or_else(|| Misread::new("is too large"))
}

/// The digits at the start, and what follows them.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Puts the environment into a text: `${NAME}` and `${NAME:-default}`; `$${` stands for `${` itself.
pub(crate) fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, Misread> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            expanded.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let (inner, after) = after.split_once('}').ok_or_else(|| Misread::new("has a `${` that no `}` closes"))?;
            expanded.push_str(&variable(inner, environment)?);
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn variable(inner: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, Misread> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let is_name =
        |(at, byte): (usize, u8)| byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit());
    if name.is_empty() || !name.bytes().enumerate().all(is_name) {
        return Err(Misread {
            message: format!("takes `{name}` from the environment, which is no name of a variable"),
            meant: name.contains('.').then(|| "holes with expressions stand in `headers` only".to_owned()),
        });
    }
    match (environment(name), default) {
        // As in a shell, `:-` also stands in for a variable that is set to nothing.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Misread {
            message: format!("takes `{name}` from the environment, where it is not set"),
            meant: Some(format!("`${{{name}:-…}}` gives a default")),
        }),
    }
}

/// The one of `candidates` that `text` was probably meant to be.
pub(crate) fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    /// Beyond this many a suggestion is not worth its time.
    const MOST: usize = 2000;
    if text.len() > 64 {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let tolerance = (text.len() / 3).clamp(1, 3);
    let scored =
        candidates.into_iter().take(MOST).filter(|candidate| candidate.len().abs_diff(lower.len()) <= tolerance);
    scored
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_one_number_and_one_unit() {
        for (text, milliseconds) in
            [("0s", 0), ("500ms", 500), ("30s", 30_000), ("15m", 900_000), ("2h", 7_200_000), ("007s", 7000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for (text, meant) in [
            ("30", Some("30s")),
            ("1d", Some("24h")),
            ("1h30m", None),
            ("1.5s", None),
            ("-1s", None),
            ("s", None),
            ("", None),
            ("30 s", None),
            ("30S", None),
            ("99999h", None),
            ("18446744073709551615h", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration(text).unwrap_err().meant.as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_powers_of_1024() {
        for (text, bytes) in [("0", 0), ("512", 512), ("64KiB", 65_536), ("5MiB", 5 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, meant) in [
            ("64KB", Some("64KiB")),
            ("64k", Some("64KiB")),
            ("5M", Some("5MiB")),
            ("5 MiB", None),
            ("10B", Some("10")),
            ("-1", None),
            ("", None),
            ("KiB", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text).unwrap_err().meant.as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn the_environment_is_put_into_texts() {
        let environment = |name: &str| match name {
            "HOST" => Some("kratos".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        };
        for (text, expanded) in [
            ("plain", "plain"),
            ("http://${HOST}:4433", "http://kratos:4433"),
            ("${HOST}${HOST}", "kratoskratos"),
            ("${HOST:-other}", "kratos"),
            ("${UNSET:-other}", "other"),
            ("${UNSET:-http://a:80/}", "http://a:80/"),
            ("${UNSET:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-other}", "other"),
            // What a variable holds is not read again.
            ("${NESTED}", "${HOST}"),
            ("$${HOST}", "${HOST}"),
            ("^/a$", "^/a$"),
            ("$1 $$", "$1 $$"),
        ] {
            assert_eq!(expand(text, &environment).unwrap(), expanded, "{text}");
        }
        for (text, message) in [
            ("${UNSET}", "takes `UNSET` from the environment, where it is not set"),
            ("${}", "no name of a variable"),
            ("${1A}", "no name of a variable"),
            ("${identity.id}", "no name of a variable"),
            ("${A-B}", "no name of a variable"),
            ("${HOST", "no `}` closes"),
        ] {
            assert!(expand(text, &environment).unwrap_err().message.contains(message), "{text}");
        }
    }

    #[test]
    fn suggestions_are_near() {
        let known = ["access", "match", "methods", "upstream"];
        for (text, meant) in [
            ("acess", Some("access")),
            ("Access", Some("access")),
            ("mathc", Some("match")),
            ("method", Some("methods")),
            ("up_stream", Some("upstream")),
            ("x", None),
            ("paths", None),
            ("completely-different", None),
        ] {
            assert_eq!(nearest(text, known), meant, "{text}");
        }
    }
}
