//! The time of a row: a number, or an ISO 8601 time stamp.

/// A time that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time {
    /// A number that grows with it: the number itself, or seconds since 1970 (UTC, or local time without zone).
    pub value: f64,
    /// Whether it is a time stamp, and no number.
    pub is_stamp: bool,
}

/// The time that a cell tells.
pub(super) fn parse(text: &str) -> Option<Time> {
    match text.parse::<f64>() {
        Ok(value) => Some(Time { value, is_stamp: false }).filter(|time| time.value.is_finite()),
        Err(_) => stamp(text).map(|value| Time { value, is_stamp: true }),
    }
}

/// `YYYY-MM-DD`, then optionally `T` or a space and `hh:mm`, `:ss`, a fraction, and `Z` or `±hh:mm`.
fn stamp(text: &str) -> Option<f64> {
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let [year, month, day] = fields(date, '-')?;
    if date.len() < "2026-1-1".len() || !(1..=12).contains(&month) {
        return None;
    }
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    if day < 1 || days(year, month, day) >= next {
        return None;
    }
    let (clock, zone) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => clock.split_at(at),
        None => (clock, ""),
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = fields(clock, ':').or_else(|| fields(&format!("{clock}:00"), ':'))?;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let offset = match zone.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => 0,
        Some((sign, offset)) => {
            let offset = offset.replace(':', "");
            let (hours, minutes) = (offset.get(..2)?, offset.get(2..)?);
            let minutes = if minutes.is_empty() { 0 } else { minutes.parse::<i64>().ok()? };
            let hours: i64 = hours.parse().ok()?;
            if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
                return None;
            }
            let minutes = 60 * hours + minutes;
            if sign == "-" { -minutes } else { minutes }
        }
    };
    // A minute may have a leap second.
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
        return None;
    }
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset;
    Some((minutes * 60 + second) as f64 + fraction)
}

fn fields(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        // `parse` would take a sign as well.
        part.parse::<i64>().ok().filter(|_| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let fields = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(fields)
}

/// Days since 1970-01-01 in the Gregorian calendar. The year is counted from March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    /// The value of a time.
    fn parse(text: &str) -> Option<f64> {
        super::parse(text).map(|time| time.value)
    }

    #[test]
    fn numbers_and_stamps() {
        assert_eq!(parse("-2.5e3"), Some(-2500.0));
        assert_eq!(parse("1970-01-01"), Some(0.0));
        assert_eq!(parse("2000-03-01T00:00:00Z"), Some(951_868_800.0));
        assert_eq!(parse("2026-11-24 12:34:56.5"), Some(1_795_523_696.5));
        assert_eq!(parse("2026-11-24T12:34"), Some(1_795_523_640.0));
        assert!(parse("2028-02-29").is_some() && parse("2016-12-31T23:59:60Z").is_some());
        for bad in ["2026-02-29", "2026-04-31", "2026-12-32", "2026-01-00", "2026-01-01T24:00", "2026-01-01T23:59:61"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        for bad in ["2026-01-01T00:00+25:00", "2026-01-01T00:00-01:60", "2026-01-01T00:00+-1:00"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        for bad in ["", "nan", "noon", "2026-13-01", "2026-01-01T25:00", "2026-01-01T+", "26/11/2026", "1-2-3", "é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn zones_are_taken_into_account() {
        // The clocks go back: local time repeats, time does not.
        let before = parse("2022-10-30T02:30:00+02:00").unwrap();
        let after = parse("2022-10-30T02:00:00+01:00").unwrap();
        assert_eq!(after - before, 1800.0);
        assert_eq!(parse("2022-01-01T00:00:00-0530"), parse("2022-01-01T05:30:00Z"));
    }
}
