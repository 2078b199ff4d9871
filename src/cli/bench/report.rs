//! What the bench says: figures with median, least and greatest of their rounds, as lines or as one JSON document.
//!
//! Lines are printed as soon as a figure is known; JSON at the end. Order is that of measuring.

use aerodb::disk::{Access, Disk, RealDisk};
use aerodb::{Error, Reason, Result};
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// Collects figures.
pub(super) struct Report {
    json: bool,
    section: &'static str,
    parameters: Map<String, Value>,
    figures: Vec<Value>,
}

impl Report {
    pub(super) fn new(json: bool) -> Report {
        Report { json, section: "build", parameters: Map::new(), figures: Vec::new() }
    }

    /// What follows belongs to this part.
    pub(super) fn begin(&mut self, section: &'static str) {
        self.section = section;
        if !self.json {
            println!("\n{section}");
        }
    }

    /// What was measured with, where a figure means nothing without it.
    pub(super) fn parameter(&mut self, name: &str, value: impl Into<Value> + Display) {
        if self.json {
            self.parameters.insert(name.to_owned(), value.into());
        } else {
            println!("  {name:<58} {value:>11}");
        }
    }

    /// One figure, measured once a round.
    pub(super) fn figure(&mut self, name: &str, unit: &str, rounds: &[f64]) {
        let mut sorted = rounds.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        let (least, most) = (sorted.first().copied().unwrap_or(f64::NAN), sorted.last().copied().unwrap_or(f64::NAN));
        if self.json {
            self.figures.push(json!({
                "section": self.section, "name": name, "unit": unit,
                "median": middle, "min": least, "max": most, "rounds": rounds.len(),
            }));
        } else {
            println!("  {name:<58} {:>11} {unit:<12} {} … {}", short(middle), short(least), short(most));
        }
    }

    /// Two figures of the same rounds, and how the first compares with the second.
    pub(super) fn compared(&mut self, unit: &str, ours: (&str, &[f64]), other: (&str, &[f64])) {
        self.figure(ours.0, unit, ours.1);
        self.figure(other.0, unit, other.1);
        let ratios: Vec<f64> = ours.1.iter().zip(other.1).map(|(ours, other)| ours / other).collect();
        self.figure(&format!("{} ÷ {}", ours.0, other.0), "×", &ratios);
    }

    /// Prints what was only collected.
    pub(super) fn finish(self) {
        if self.json {
            let version = env!("CARGO_PKG_VERSION");
            println!("{:#}", json!({ "version": version, "parameters": self.parameters, "figures": self.figures }));
        }
    }
}

/// A number with about four digits that count.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// The size of the binary that runs.
pub(super) fn describe_build(report: &mut Report) -> Result<()> {
    let unknown = |error: std::io::Error| Error::new(Reason::DiskReadFailed).with("operation", error);
    let path = std::env::current_exe().map_err(unknown)?;
    if let Some(file) = RealDisk.open(&path, Access::Read)? {
        report.figure("binary", "KiB", &[file.len()? as f64 / 1024.0]);
    }
    Ok(())
}
