//! How much snapshots may take (SNAP-RATE): so many bytes in a second, a tenth of them at a time. Pure over the time that it is told.
//!
//! What was not taken in one tenth is not saved for later. So in no second more leaves than the rate and a tenth of it.
//!
//! Used by the loop that serves replicas. Nothing is decided by it but when the next bytes are sent.

/// Parts of a second.
const PARTS: u64 = 10;
/// Nanoseconds of a part.
const PART: u64 = 1_000_000_000 / PARTS;

/// What may be taken.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes of a part.
    bytes: usize,
    /// When this part began.
    begun: Option<u64>,
    /// What is left of it.
    left: usize,
}

impl Pace {
    /// A pace of so many bytes in a second.
    pub(super) fn new(rate: u64) -> Pace {
        let bytes = usize::try_from(rate / PARTS).unwrap_or(usize::MAX).max(1);
        Pace { bytes, begun: None, left: 0 }
    }

    /// It is so late: once a part is over another one begins.
    pub(super) fn go_on(&mut self, now: u64) {
        if self.begun.is_none_or(|begun| now.saturating_sub(begun) >= PART) {
            (self.begun, self.left) = (Some(now), self.bytes);
        }
    }

    /// What may be taken now.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// So many bytes were taken.
    pub(super) fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// After how many nanoseconds the next part begins.
    pub(super) fn pause(&self, now: u64) -> u64 {
        self.begun.map_or(0, |begun| begun.saturating_add(PART).saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SNAP-RATE: whoever takes all that there is, whenever it may, takes in any second the rate and a tenth at most, and is not starved.
    #[test]
    fn in_no_second_more_is_taken_than_the_rate_and_a_tenth() {
        for (rate, step) in [(1024, 7_000_000), (1 << 20, 99_999_999), (1 << 30, 1_000_003), (1 << 40, 250_000_000)] {
            let (mut pace, mut taken) = (Pace::new(rate), Vec::new());
            for now in (0..5_000_000_000_u64).step_by(step) {
                pace.go_on(now);
                taken.push((now, pace.left() as u64));
                pace.take(pace.left());
                assert_eq!(pace.left(), 0);
                pace.go_on(now + pace.pause(now) - 1);
                assert_eq!(pace.left(), 0, "it is not over before");
            }
            for (from, _) in &taken {
                let second = taken.iter().filter(|(at, _)| (*from..*from + 1_000_000_000).contains(at));
                assert!(second.map(|(_, bytes)| bytes).sum::<u64>() <= rate + rate / PARTS, "rate {rate} from {from}");
            }
            let all: u64 = taken.iter().map(|(_, bytes)| bytes).sum();
            assert!(all >= rate / PARTS * 5_000_000_000_u64.div_ceil(PART + step as u64), "rate {rate}: {all}");
        }
    }
}
