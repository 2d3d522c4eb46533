//! Ansible's patterns of host names: `web[01:50].example.com:2222`, with ranges of numbers and of letters.

/// Splits the port off: a number after a colon, if that is the only one or follows a bracket.
pub(super) fn split_port(text: &str) -> (&str, Option<&str>) {
    let Some((name, port)) = text.rsplit_once(':') else {
        return (text, None);
    };
    let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    // A colon in brackets belongs to a range.
    let outside = name.matches('[').count() == name.matches(']').count();
    // Several colons are an IPv6 address.
    let colons = name
        .split(']')
        .map(|part| part.split('[').next().unwrap_or_default())
        .any(|part| part.contains(':'));
    if is_number && outside && !colons {
        (name, Some(port))
    } else {
        (text, None)
    }
}

/// Returns the names of a pattern, at most `limit`.
pub(super) fn expand(pattern: &str, limit: usize) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    // The brackets of an IPv6 address are no range.
    if let Some(inside) = pattern
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        && inside.parse::<std::net::Ipv6Addr>().is_ok()
    {
        return Ok(vec![pattern.to_owned()]);
    }
    while let Some((before, after)) = rest.split_once('[') {
        let Some((inside, after)) = after.split_once(']') else {
            return Err(format!("{pattern}: this bracket is never closed"));
        };
        let values = range(inside, limit).map_err(|message| format!("{pattern}: {message}"))?;
        if names.len().saturating_mul(values.len()) > limit {
            return Err(format!("{pattern}: more than {limit} hosts"));
        }
        names = names
            .iter()
            .flat_map(|name| {
                values
                    .iter()
                    .map(move |value| format!("{name}{before}{value}"))
            })
            .collect();
        rest = after;
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

/// Returns the values of `FIRST:LAST` or `FIRST:LAST:STEP`.
fn range(text: &str, limit: usize) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (first, last, step) = match parts.as_slice() {
        [first, last] => (*first, *last, "1"),
        [first, last, step] => (*first, *last, *step),
        _ => {
            return Err(format!(
                "expected a range like [01:50] or [a:f], not [{text}]"
            ));
        }
    };
    let Some(step) = step.parse::<usize>().ok().filter(|step| *step > 0) else {
        return Err(format!("the step {step:?} is not a number from 1"));
    };
    let letter = |text: &str| match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(*letter),
        _ => None,
    };
    if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        if first > last || first.is_ascii_uppercase() != last.is_ascii_uppercase() {
            return Err(format!("the range [{text}] runs backwards"));
        }
        return Ok((first..=last)
            .step_by(step)
            .map(|c| char::from(c).to_string())
            .collect());
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<usize>().ok().filter(|_| digits)
    };
    // As in Ansible, the first number may be left out.
    let (Some(from), Some(to)) = (
        number(if first.is_empty() { "0" } else { first }),
        number(last),
    ) else {
        return Err(format!("[{text}] is no range of numbers or letters"));
    };
    let padded = first.len() > 1 && first.starts_with('0');
    // Ansible has the same rule for a first number that begins with a zero.
    if padded && first.len() != last.len() {
        return Err(format!("the ends of [{text}] have different lengths"));
    }
    if from > to {
        return Err(format!("the range [{text}] runs backwards"));
    }
    // Checked before any name is made.
    if (to - from) / step >= limit {
        return Err(format!("more than {limit} hosts"));
    }
    let width = if padded { first.len() } else { 1 };
    Ok((from..=to)
        .step_by(step)
        .map(|value| format!("{value:0width$}"))
        .collect())
}
