//! The five fields of a crontab: what may stand in each, said in words when something else does.
//!
//! Every item is checked here before croner sees it, because croner reads more than a crontab holds
//! (seconds, years, names in any field, empty items) and answers in the words of its own insides.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::{Error, Result};

/// One of the five fields.
struct Field {
    what: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const DAY_OF_MONTH: usize = 2;
const DAY_OF_WEEK: usize = 4;

const FIELDS: [Field; 5] = [
    Field { what: "minute", min: 0, max: 59, names: &[] },
    Field { what: "hour", min: 0, max: 23, names: &[] },
    Field { what: "day of the month", min: 1, max: 31, names: &[] },
    Field {
        what: "month",
        min: 1,
        max: 12,
        names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    },
    Field {
        what: "day of the week",
        min: 0,
        max: 7,
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    },
];

/// The pattern, and whether its times are fixed (no `*` in minute and hour).
pub(super) fn parse(expression: &str) -> Result<(Cron, bool)> {
    let spelled = named(expression.trim())?;
    let fields: Vec<&str> = spelled.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(refused(format!(
            "a crontab has five fields (minute, hour, day of the month, month, day of the week), not {}",
            fields.len()
        ))
        .with_mend("use e.g. 0 3 * * * for every day at 3:00, or @daily"));
    }
    let mut numbers = Vec::with_capacity(fields.len());
    for (index, text) in fields.iter().enumerate() {
        numbers.push(field(index, text)?);
    }
    let cron = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        // As cron has it: `*/2` counts as a star, and a star beside a restricted field narrows nothing.
        .dom_and_dow(numbers[DAY_OF_MONTH].starts_with('*') || numbers[DAY_OF_WEEK].starts_with('*'))
        .build()
        .parse(&numbers.join(" "))
        .map_err(|error| refused(format!("it is not a crontab: {error}")))?;
    Ok((cron, !numbers[..2].iter().any(|field| field.contains('*'))))
}

fn refused(message: String) -> Error {
    Error::invalid("schedule", message)
}

/// Spells `@daily` and its like out.
fn named(expression: &str) -> Result<String> {
    let Some(name) = expression.strip_prefix('@') else {
        return Ok(expression.to_owned());
    };
    let spelled = match name.to_ascii_lowercase().as_str() {
        "hourly" => "0 * * * *",
        "daily" | "midnight" => "0 0 * * *",
        "weekly" => "0 0 * * 0",
        "monthly" => "0 0 1 * *",
        "yearly" | "annually" => "0 0 1 1 *",
        "reboot" => {
            return Err(refused("@reboot is no due time: a start of the server starts no backup".to_owned())
                .with_mend("use a time, such as @daily"));
        }
        _ => {
            return Err(refused("there is no such name".to_owned()).with_mend(
                "the names are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually",
            ));
        }
    };
    Ok(spelled.to_owned())
}

/// One field in numbers only.
fn field(index: usize, text: &str) -> Result<String> {
    let items: Result<Vec<String>> = text.split(',').map(|text| item(index, text)).collect();
    Ok(items?.join(","))
}

/// One item of a list: `*`, `n`, `a-b`, each with or without `/step`, or a day by its place.
fn item(index: usize, text: &str) -> Result<String> {
    let field = &FIELDS[index];
    if let Some(day) = special_day(index, text) {
        return day;
    }
    let (range, step) = text.split_once('/').map_or((text, None), |(range, step)| (range, Some(step)));
    let range = if range == "*" {
        range.to_owned()
    } else if let Some((from, to)) = range.split_once('-') {
        span(field, from, to)?
    } else if step.is_some() {
        return Err(refused(format!("the {} has a step without a range", field.what))
            .with_mend("write */n or from-to/n"));
    } else {
        value(field, range)?.to_string()
    };
    let Some(step) = step else { return Ok(range) };
    match number(step) {
        Some(step) if step >= 1 && step <= field.max => Ok(format!("{range}/{step}")),
        _ => Err(refused(format!("the step of the {} must be a number from 1 to {}", field.what, field.max))),
    }
}

fn span(field: &Field, from: &str, to: &str) -> Result<String> {
    let from = value(field, from)?;
    let to = match value(field, to)? {
        // Sunday ends a week as well as it begins one.
        0 if field.max == 7 && from > 0 => 7,
        to => to,
    };
    if from > to {
        return Err(refused(format!("the {} has a range that goes backwards", field.what))
            .with_mend("write it as two, such as 22-23,0-2"));
    }
    Ok(format!("{from}-{to}"))
}

/// `L`, `LW` and `nW` of a month, `nL` and `n#k` of its weekdays; none when the text is no such thing.
fn special_day(index: usize, text: &str) -> Option<Result<String>> {
    let text = text.to_ascii_uppercase();
    let field = &FIELDS[index];
    match index {
        DAY_OF_MONTH if text == "L" || text == "LW" => Some(Ok(text)),
        DAY_OF_MONTH => {
            let day = text.strip_suffix('W')?;
            Some(value(field, day).map(|day| format!("{day}W")))
        }
        DAY_OF_WEEK => {
            if let Some((day, nth)) = text.split_once('#') {
                return Some(value(field, day).and_then(|day| match number(nth) {
                    Some(nth @ 1..=5) => Ok(format!("{day}#{nth}")),
                    _ => Err(refused("after # stands which one of the month, from 1 to 5".to_owned())),
                }));
            }
            let day = text.strip_suffix('L').filter(|day| !day.is_empty())?;
            Some(value(field, day).map(|day| format!("{day}#L")))
        }
        _ => None,
    }
}

fn value(field: &Field, text: &str) -> Result<u32> {
    let by_name = field.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let value = match by_name {
        Some(place) => u32::try_from(place).ok().map(|place| place + field.min),
        None => number(text),
    };
    value.filter(|value| (field.min..=field.max).contains(value)).ok_or_else(|| {
        let names = match (field.names.first(), field.names.last()) {
            (Some(first), Some(last)) => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        refused(format!("the {} must be * or {} to {}{names}", field.what, field.min, field.max))
    })
}

/// At most two digits: no sign, no space, no overflow.
fn number(text: &str) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}
