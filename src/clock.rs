//! The door to time.
//!
//! Nothing else names `std::time`. No decision of the product depends on how long anything took (R-AUTHORITY);
//! what is here serves the bench, the progress line of long commands, and the pace at which snapshots are sent.

/// How long a poll waits that is not to wait.
pub const NO_TIME: std::time::Duration = std::time::Duration::ZERO;

/// So many seconds, for the operating system to count.
#[must_use]
pub fn seconds(seconds: u32) -> std::time::Duration {
    std::time::Duration::from_secs(seconds.into())
}

/// So many nanoseconds, for a poll to wait.
#[must_use]
pub fn nanoseconds(nanoseconds: u64) -> std::time::Duration {
    std::time::Duration::from_nanos(nanoseconds)
}

/// Measures how long something took, for people.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Stopwatch {
        Stopwatch(std::time::Instant::now())
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub fn nanoseconds(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Seconds since the start.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
