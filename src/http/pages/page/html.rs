//! HTML that is written piece by piece. Markup is text of the program; everything else is escaped on its way in, so no key, evidence or
//! address can become markup.
//!
//! Pure.

use std::fmt::{Display, Write};

/// What is written so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup, as it stands in the program.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// What somebody else may have said.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Html {
        for character in text.to_string().chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other if hides(other) => {
                    // A string takes whatever is written to it.
                    let _ = write!(self.0, "\\u{{{:x}}}", u32::from(other));
                }
                other => self.0.push(other),
            }
        }
        self
    }

    /// An element around a text.
    pub(super) fn element(&mut self, open: &'static str, text: impl Display, close: &'static str) -> &mut Html {
        self.raw(open).text(text).raw(close)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character would not be seen, or would change how others are.
fn hides(character: char) -> bool {
    let directs =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    directs || (character.is_control() && character != '\n')
}

/// A number in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_says_stays_text() {
        let mut html = Html::default();
        html.element("<p>", "</p><script>'\"&\u{202e}\0\u{1b}\né", "</p>");
        assert_eq!(html.as_str(), "<p>&lt;/p&gt;&lt;script&gt;&#39;&quot;&amp;\\u{202e}\\u{0}\\u{1b}\né</p>");
    }

    #[test]
    fn numbers_have_groups() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (123_456, "123,456"), (u64::MAX, "18,446,744,073,709,551,615")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
