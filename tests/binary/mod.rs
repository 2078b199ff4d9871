//! Runs the real binary in a directory of its own, and looks at what it says.

#![allow(dead_code)]

use aerodb::Reason;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory in which commands run.
pub struct Place {
    dir: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Place {
    /// An empty place.
    pub fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    /// A place with an empty standalone node in `d`.
    pub fn with_node() -> Place {
        let place = Place::new();
        place.ok(&["init", "d"]);
        place
    }

    /// A path in the place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aerodb"));
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        without_settings(&mut command);
        command
    }

    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().unwrap())
    }

    /// Runs a command that is given this on standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        said(child.wait_with_output().unwrap())
    }

    /// Runs a script of the shell in the place.
    pub fn shell(&self, script: &str) -> Said {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.dir.path()).stdin(Stdio::null());
        without_settings(&mut command);
        said(command.output().unwrap())
    }

    /// Runs a command that succeeds in silence on standard error; returns what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        said.is_silent_success();
        String::from_utf8(said.stdout).unwrap()
    }

    /// Runs a command that succeeds, and reads each line it printed as JSON.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let mut arguments = arguments.to_vec();
        arguments.insert(1, "--json");
        self.ok(&arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command that is refused for this reason, with and without `--json`; returns what stood on standard error.
    pub fn refused(&self, arguments: &[&str], reason: Reason) -> String {
        let said = self.run(arguments);
        said.is(reason);
        if !["demo", "help"].contains(&arguments[0]) && !arguments.contains(&"--raw") {
            let mut arguments = arguments.to_vec();
            arguments.insert(1, "--json");
            let said = self.run(&arguments);
            said.is(reason);
            let last = String::from_utf8(said.stdout).unwrap().lines().last().unwrap_or_default().to_owned();
            let object: Value = serde_json::from_str(&last).unwrap();
            assert_eq!(object["error"]["code"], reason.name(), "{arguments:?}");
            assert_eq!(object["error"]["number"], reason.number());
            assert_eq!(object["error"]["remedy"], reason.remedy());
        }
        said.stderr
    }

    /// The only file of a folder whose name ends like this.
    pub fn only(&self, folder: &str, ending: &str) -> PathBuf {
        let mut found = files(&self.path(folder), ending);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// Flips a bit of a file.
    pub fn flip(&self, path: &Path, offset: usize) {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[offset] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
}

/// Takes from a command what whoever runs the tests has in the environment: it would be refused, or change what is logged.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AERODB_")) {
        command.env_remove(name);
    }
}

/// The files of a folder whose names end like this, in order.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.to_string_lossy().ends_with(ending));
    found.sort();
    found
}

impl Said {
    /// It succeeded, with nothing on standard error.
    pub fn is_silent_success(&self) {
        assert_eq!((self.status, self.stderr.as_str()), (0, ""), "{self:?}");
    }

    /// It was refused for this reason: exit status, code, sentence and remedy say so. Lines of the log may stand before.
    pub fn is(&self, reason: Reason) {
        assert_eq!(self.status, i32::from(reason.number()), "{self:?}");
        let begin = format!("error[{}]: {}", reason.name(), reason.sentence());
        let told = self.stderr.lines().filter(|line| line.starts_with(&begin)).count();
        assert_eq!(told, 1, "{self:?}");
        assert!(self.stderr.ends_with(&format!("\nremedy: {}\n", reason.remedy())), "{self:?}");
    }
}

fn said(output: Output) -> Said {
    Said {
        status: output.status.code().expect("an exit status, not a signal"),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
