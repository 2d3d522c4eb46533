//! Indexes: the runs of decimal digits in host names.
//!
//! `1`, `01` and `001` are parts of different names, so an index is its digits, not its value. All strings of up to
//! [`MAX_DIGITS`] digits are numbered in one sequence, by length and then by value. All other files work on plain
//! ranges of these numbers. There is a gap after each length, so two numbers that follow each other have the same
//! length.
//!
//! Negative numbers come before all of them. Only [`RangeSet`](crate::RangeSet) makes them: in a written name, `-` is a
//! letter.

/// Maximum number of digits of an index. Longer runs of digits count as letters, so such names do not fold.
pub(crate) const MAX_DIGITS: usize = 18;

/// Powers of ten up to the largest value of [`MAX_DIGITS`] digits.
pub(crate) const POW10: [u64; MAX_DIGITS + 1] = {
    let mut table = [1; MAX_DIGITS + 1];
    let mut i = 1;
    while i < table.len() {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// The number after those of the negative indexes: a gap, so that -1 and 0 do not touch.
const ZERO: u64 = POW10[MAX_DIGITS];

/// The number of the first index of each width; `BASE[0]` is not used.
const BASE: [u64; MAX_DIGITS + 2] = {
    let mut table = [ZERO + 1; MAX_DIGITS + 2];
    let mut width = 1;
    while width <= MAX_DIGITS {
        // The added 1 is the gap that keeps 9 and 00 apart.
        table[width + 1] = table[width] + POW10[width] + 1;
        width += 1;
    }
    table
};

/// One string of digits, ordered by length and then by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Index(pub(crate) u64);

impl Index {
    /// Returns the index of this width and value. The value must fit.
    pub(crate) fn new(width: usize, value: u64) -> Index {
        debug_assert!((1..=MAX_DIGITS).contains(&width) && value < POW10[width]);
        Index(BASE[width] + value)
    }

    /// Reads a string of ASCII digits; `None` if there are none or too many.
    pub(crate) fn parse(digits: &[u8]) -> Option<Index> {
        if digits.is_empty() || digits.len() > MAX_DIGITS {
            return None;
        }
        let value = digits
            .iter()
            .fold(0, |value, d| value * 10 + u64::from(d - b'0'));
        Some(Index::new(digits.len(), value))
    }

    /// Returns the index of a number without padding; `None` if it has too many digits.
    pub(crate) fn of_number(number: i64) -> Option<Index> {
        let magnitude = number.unsigned_abs();
        // No index has more digits, so a larger magnitude has no number in the sequence.
        if magnitude >= POW10[MAX_DIGITS] {
            return None;
        }
        if number < 0 {
            return Some(Index::negative(magnitude));
        }
        let digits = magnitude.checked_ilog10().unwrap_or(0) as usize + 1;
        Some(Index::new(digits, magnitude))
    }

    /// Returns the index of a negative number with this magnitude, which must have at most [`MAX_DIGITS`] digits.
    pub(crate) fn negative(magnitude: u64) -> Index {
        // `-2` must come before `-1`, so a larger magnitude gives a smaller number.
        Index(ZERO - magnitude)
    }

    /// True for the index of a negative number.
    pub(crate) fn is_negative(self) -> bool {
        self.0 < ZERO
    }

    /// The number that the text stands for.
    pub(crate) fn number(self) -> i64 {
        // At most 18 digits, so both parts fit.
        if self.is_negative() {
            -((ZERO - self.0) as i64)
        } else {
            self.value() as i64
        }
    }

    /// Number of characters.
    pub(crate) fn text_len(self) -> usize {
        if self.is_negative() {
            let digits = (ZERO - self.0).checked_ilog10().unwrap_or(0) as usize + 1;
            return 1 + digits;
        }
        self.width()
    }

    /// Number of digits. The index must not be negative.
    pub(crate) fn width(self) -> usize {
        let mut width = 1;
        while self.0 >= BASE[width + 1] {
            width += 1;
        }
        width
    }

    /// Value of the digits. The index must not be negative.
    pub(crate) fn value(self) -> u64 {
        self.0 - BASE[self.width()]
    }

    /// True if it starts with a zero that its value does not need.
    pub(crate) fn is_padded(self) -> bool {
        if self.is_negative() {
            return false;
        }
        let width = self.width();
        width > 1 && self.value() < POW10[width - 1]
    }

    /// True if all digits are nines, so that the next number has one digit more.
    pub(crate) fn is_last_of_width(self) -> bool {
        let width = self.width();
        self.value() == POW10[width] - 1
    }

    /// The index that follows in an unpadded range: `9` is followed by `10`.
    pub(crate) fn successor(self) -> Option<Index> {
        if self.is_negative() {
            return Index::of_number(self.number() + 1);
        }
        if !self.is_last_of_width() {
            return Some(Index(self.0 + 1));
        }
        let width = self.width();
        (width < MAX_DIGITS).then(|| Index::new(width + 1, POW10[width]))
    }

    /// Sort key for the order of strings: `10` before `2`.
    pub(crate) fn text_key(self) -> (u64, usize) {
        if self.is_negative() {
            // The sign comes before all digits, and all numbers with a sign have the key of `0` at most.
            return (0, 0);
        }
        let width = self.width();
        // Digits are aligned at the left, as in a comparison of texts.
        (self.value() * POW10[MAX_DIGITS - width], width)
    }

    /// Appends the digits.
    pub(crate) fn push_to(self, out: &mut String) {
        if self.is_negative() {
            out.push_str(&self.number().to_string());
            return;
        }
        push_digits(out, self.width(), self.value());
    }
}

/// Appends `value` with zeros before it up to `width` digits.
fn push_digits(out: &mut String, width: usize, value: u64) {
    let mut digits = [b'0'; MAX_DIGITS];
    let mut rest = value;
    for digit in digits[..width].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.push_str(std::str::from_utf8(&digits[..width]).expect("digits are ASCII"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_survive_the_numbering() {
        for text in [
            "0",
            "9",
            "00",
            "09",
            "10",
            "99",
            "000",
            "007",
            "999999999999999999",
        ] {
            let index = Index::parse(text.as_bytes()).unwrap();
            let mut out = String::new();
            index.push_to(&mut out);
            assert_eq!(out, text);
        }
        assert_eq!(Index::parse(b""), None);
        assert_eq!(Index::parse(b"1234567890123456789"), None);
    }

    #[test]
    fn widths_are_apart_and_in_order() {
        let number = |text: &str| Index::parse(text.as_bytes()).unwrap().0;
        assert!(number("9") + 1 < number("00"));
        assert!(number("99") + 1 < number("000"));
        assert_eq!(number("41") + 1, number("42"));
    }

    #[test]
    fn padding_and_succession() {
        let index = |text: &str| Index::parse(text.as_bytes()).unwrap();
        assert!(index("01").is_padded());
        assert!(!index("0").is_padded() && !index("10").is_padded());
        assert_eq!(index("9").successor(), Some(index("10")));
        assert_eq!(index("10").successor(), Some(index("11")));
        assert_eq!(index("999999999999999999").successor(), None);
    }

    #[test]
    fn text_order_is_that_of_strings() {
        let mut texts = ["1", "10", "100", "2", "02", "0", "00", "99", "9"];
        texts.sort_unstable();
        assert!(texts.is_sorted_by_key(|text| Index::parse(text.as_bytes()).unwrap().text_key()));
    }
}
