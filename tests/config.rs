//! What a server is started with: where settings come from, what goes before what, and what is refused, with the real binary.
//!
//! The settings themselves, their kinds and limits, are tried beside their table (`src/config.rs`).

#![cfg(feature = "cli")]

mod binary;

use aerodb::Reason;
use aerodb::config::SETTINGS;
use binary::Place;
use serde_json::{Value, json};

/// A place with a file of settings.
fn with_file(text: &str) -> Place {
    let place = Place::new();
    std::fs::write(place.path("f.toml"), text).unwrap();
    place
}

/// What `config show` says of a setting: its value and its origin.
fn shown(lines: &[Value], name: &str) -> [String; 2] {
    let line = lines.iter().find(|line| line["name"] == name).unwrap();
    ["value", "origin"].map(|field| line[field].as_str().unwrap().to_owned())
}

#[test]
fn each_setting_is_shown_with_the_place_that_it_came_from() {
    let place = with_file("# of the node\ndata = 'd'\nfanout = 3\n\nclient-memory = \"512M\"\nmax-clients = 5");
    let mut command = place.command(&["config", "show", "--json", "--config", "f.toml", "--fanout", "7"]);
    let output = command.env("AERODB_FANOUT", "5").env("AERODB_MAX_CLIENTS", "6").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), SETTINGS.len());
    assert_eq!(shown(&lines, "fanout"), ["7", "flag"]);
    assert_eq!(shown(&lines, "max-clients"), ["6", "environment AERODB_MAX_CLIENTS"]);
    assert_eq!(shown(&lines, "client-memory"), ["512M", "f.toml:5"]);
    assert_eq!(shown(&lines, "data"), ["d", "f.toml:2"]);
    assert_eq!(shown(&lines, "listen"), ["127.0.0.1:6380", "default"]);
}

#[test]
fn what_is_shown_can_be_a_file_of_settings_again() {
    let place = Place::new();
    let odd = "a \"quoted\" \\ name\u{7f}\n";
    let first = place.ok(&["config", "show", "--data", odd, "--allow-remote-without-authentication", "--retention=1G"]);
    std::fs::write(place.path("f.toml"), &first).unwrap();
    let values =
        |text: &str| text.lines().map(|line| line.rsplit_once("  # ").unwrap().0.to_owned()).collect::<Vec<_>>();
    let second = place.ok(&["config", "show", "--config", "f.toml"]);
    assert_eq!(values(&first), values(&second));
    assert!(second.contains("allow-remote-without-authentication = true  # f.toml:3"), "{second}");
}

#[test]
fn a_configuration_is_accepted_before_anything_is_there() {
    let place = with_file("data = \"/var/lib/aerodb/node\"\n");
    assert_eq!(place.ok(&["config", "check", "--config", "f.toml"]), "the configuration is accepted\n");
    assert_eq!(place.json(&["config", "check", "--data", "d"]), [json!({"accepted": true})]);
}

#[test]
fn a_file_that_can_not_be_read_is_refused_with_its_line() {
    let wrong = [
        ("data = \"d\"\nnot toml\n", Reason::ConfigMalformed, "f.toml:2"),
        ("fanout = 3\ndata = 'd'\nfanout = 3\n", Reason::ConfigMalformed, "f.toml:3"),
        ("data = 'd'\n\nmax-client = 3\n", Reason::ConfigUnknown, "f.toml:3"),
        ("data = 'd'\n[server]\nfanout = 3\n", Reason::ConfigUnknown, "f.toml:2"),
        ("data.dir = 'd'\n", Reason::ConfigMalformed, "f.toml:1"),
        ("max-clients = \"3\"\n", Reason::ConfigMalformed, "f.toml:1"),
        ("max-clients = 3.0\n", Reason::ConfigMalformed, "f.toml:1"),
        ("max-clients = -3\n", Reason::ConfigMalformed, "f.toml:1"),
        ("\ncache-bytes = -40\n", Reason::ConfigMalformed, "f.toml:2"),
        ("retention = -1\n", Reason::ConfigMalformed, "f.toml:1"),
        ("max-clients = 4294967296\n", Reason::ConfigMalformed, "f.toml:1"),
        ("\nlisten = 6380\n", Reason::ConfigMalformed, "f.toml:2"),
        ("allow-remote-without-authentication = \"true\"\n", Reason::ConfigMalformed, "f.toml:1"),
        ("fanout = 17\n", Reason::ConfigInvalid, "f.toml:1"),
    ];
    for (text, reason, origin) in wrong {
        let place = with_file(text);
        let told = place.refused(&["config", "check", "--config", "f.toml"], reason);
        assert!(told.contains(&format!("origin={origin}")), "{text}: {told}");
        // What is a number, and none that a setting can have, is not called a value of another type.
        let number = text.contains("= -") || text.contains("4294967296");
        assert_eq!(told.contains("that is not negative"), number, "{text}: {told}");
        let given = text.trim().rsplit(' ').next().unwrap();
        assert!(!number || told.contains(&format!("value={given}, ")), "{text}: {told}");
    }
    let hostile = [vec![0xff, 0xfe], vec![b'#'; 64 * 1024 + 1], "x = [".repeat(5000).into_bytes()];
    for bytes in hostile {
        let place = Place::new();
        std::fs::write(place.path("f.toml"), bytes).unwrap();
        place.refused(&["config", "check", "--config", "f.toml"], Reason::ConfigMalformed);
    }
    Place::new().refused(&["config", "check", "--config", "absent"], Reason::DiskReadFailed);
}

#[test]
fn the_name_of_a_file_can_not_write_on_the_terminal_nor_begin_another_line() {
    let name = "a\u{1b}[2J\nfanout = 16 #.toml";
    let place = Place::new();
    std::fs::write(place.path(name), "fanout = 3\n").unwrap();
    let shown = place.ok(&["config", "show", "--config", name]);
    assert!(shown.contains("fanout = 3  # a\\u{1b}[2J\\u{a}fanout = 16 #.toml:1\n"), "{shown}");
    assert_eq!(shown.lines().count(), SETTINGS.len());
    std::fs::write(place.path(name), "fanout = 30\n").unwrap();
    let told = place.refused(&["config", "check", "--config", name], Reason::ConfigInvalid);
    assert!(told.contains("origin=a\\u{1b}[2J\\u{a}fanout"), "{told}");
    // Nor can what is typed, where the command line is not understood.
    let told = place.refused(&["put", "d", "--\u{1b}[2J"], Reason::CliUsage);
    assert!(told.contains("tip: to pass '--\\u{1b}[2J' as a value") && !told.contains('\u{1b}'), "{told}");
}

#[test]
fn a_variable_that_is_no_setting_is_refused() {
    let place = Place::new();
    let output = place.command(&["config", "check", "--data", "d"]).env("AERODB_MAX_CLIENT", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(Reason::ConfigUnknown.number().into()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("name=AERODB_MAX_CLIENT"));
}

#[test]
fn what_a_server_would_be_refused_for_is_refused_by_the_check() {
    let place = Place::new();
    place.refused(&["config", "check"], Reason::ConfigMissing);
    let told =
        place.refused(&["config", "check", "--data", "d", "--listen", "0.0.0.0:1"], Reason::ConfigNoAuthentication);
    assert!(told.contains("no authentication yet"), "{told}");
    place.ok(&["config", "check", "--data", "d", "--listen", "0.0.0.0:1", "--allow-remote-without-authentication"]);
    for setting in ["--replication", "--http"] {
        let told =
            place.refused(&["config", "check", "--data", "d", setting, "0.0.0.0:1"], Reason::ConfigNoAuthentication);
        assert!(told.contains(&format!("setting={}", &setting[2..])), "{told}");
        place.refused(&["config", "check", "--data", "d", setting, "localhost:1"], Reason::ConfigMalformed);
    }
}

#[test]
fn the_example_is_accepted_and_says_the_defaults() {
    let place = Place::new();
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/aerodb.toml")).unwrap();
    std::fs::write(place.path("f.toml"), &example).unwrap();
    place.ok(&["config", "check", "--config", "f.toml"]);
    // With the defaults taken out of their comments it is accepted too, and changes nothing.
    let all: Vec<&str> = example
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line))
        .collect();
    std::fs::write(place.path("f.toml"), all.join("\n")).unwrap();
    for line in place.json(&["config", "show", "--config", "f.toml"]) {
        let setting = SETTINGS.iter().find(|setting| line["name"] == setting.name).unwrap();
        let expected = if setting.name == "data" { "/var/lib/aerodb/node" } else { setting.default };
        assert_eq!(line["value"], expected, "{line}");
    }
}
