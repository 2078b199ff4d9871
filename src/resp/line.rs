//! Lines that arrive in pieces.
//!
//! A line that arrived whole is borrowed from the input. Otherwise its beginning is kept here, and only what is new is searched for its
//! end. Shared by both decoders; what a line means is theirs to say.

/// The beginning of a line whose end has not arrived.
#[derive(Debug, Default)]
pub(super) struct Line {
    begun: Vec<u8>,
    handed_out: bool,
}

/// A line with more bytes than it may have, whether its end has arrived or not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Line {
    /// The next line without its line feed, once that has arrived; everything up to it is taken from the input.
    pub(super) fn next<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b [u8],
        bytes_max: usize,
    ) -> Result<Option<&'a [u8]>, TooLong> {
        if std::mem::take(&mut self.handed_out) {
            self.begun.clear();
        }
        // As much as the line may still have, and the line feed behind it.
        let room = bytes_max.saturating_sub(self.begun.len()).saturating_add(1);
        let window = input.get(..room).unwrap_or(input);
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            if window.len() == room {
                return Err(TooLong);
            }
            self.begun.extend_from_slice(window);
            *input = &[];
            return Ok(None);
        };
        let (line, rest) = input.split_at_checked(end).unwrap_or((input, &[]));
        *input = rest.get(1..).unwrap_or_default();
        if self.begun.is_empty() {
            return Ok(Some(line));
        }
        self.begun.extend_from_slice(line);
        self.handed_out = true;
        Ok(Some(&self.begun))
    }

    /// Whether the line that comes next begins with these bytes; not before all of them have arrived.
    pub(super) fn begins(&self, input: &[u8], with: &[u8]) -> bool {
        let begun = if self.handed_out { &[] } else { self.begun.as_slice() };
        begun.iter().chain(input).take(with.len()).eq(with)
    }

    /// Memory that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.begun.capacity()
    }

    /// Lets go of the memory for a long line, once that was handed out.
    pub(super) fn release(&mut self, keep_bytes: usize) {
        if self.handed_out && self.begun.capacity() > keep_bytes {
            *self = Line::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_same_wherever_it_was_cut() {
        let text = b"first\r\n\nlast";
        for cut in 0..=text.len() {
            let (mut line, mut lines) = (Line::default(), Vec::new());
            for mut part in [&text[..cut], &text[cut..]] {
                while let Some(found) = line.next(&mut part, 6).unwrap() {
                    lines.push(found.to_vec());
                }
            }
            assert_eq!(lines, [&b"first\r"[..], b""], "cut at {cut}");
            assert_eq!(line.begun, b"last");
        }
    }

    #[test]
    fn a_line_is_too_long_wherever_it_was_cut() {
        for (text, fits) in [(&b"123456\n"[..], true), (b"1234567\n", false), (b"1234567", false)] {
            for cut in 0..=text.len() {
                let mut line = Line::default();
                let outcomes = [&text[..cut], &text[cut..]].map(|mut part| line.next(&mut part, 6).map(|_| ()));
                assert_eq!(outcomes.contains(&Err(TooLong)), !fits, "{text:?} cut at {cut}");
            }
        }
    }
}
