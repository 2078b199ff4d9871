#!/usr/bin/env python3
"""The server side by side with redis-server and PostgreSQL, in one run.

    cargo build --release && benches/peers.py [--rounds 3] [--seconds-of-work 2] [--only aerodb,redis-always]

Each server has a directory of its own on one file system (--dir). The servers are measured in turns, round by round, each for about
the same time, with a number of requests that follows from a first short measurement: those of RESP by `aerodb bench server`, PostgreSQL, where
it is installed, by pgbench (a client of its own, so compare it with care): a row a key, written by INSERT … ON CONFLICT and read by its
primary key, prepared. Prints medians, least and greatest, and the ratio of ours to each. Needs redis-server; nothing is left behind.
"""

import argparse
import contextlib
import itertools
import json
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
AERODB = ROOT / "target/release/aerodb"
POSTGRES = next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))), None)
KEYS, VALUE_BYTES = 100_000, 100
# What is asked: the requests, clients, pipeline.
LOADS = [(mix, clients, pipeline) for mix in ("set", "get") for clients in (1, 16, 64) for pipeline in (1, 16)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)


def wait_until_served(port):
    """Until a server that speaks RESP answers for its data: one that is starting listens already, and says LOADING."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"EXISTS x\r\n")
            if connection.recv(64).startswith(b":0"):
                return
        time.sleep(0.05)


class Resp:
    """A server that `aerodb bench server` can drive."""

    def __init__(self, command):
        self.port = free_port()
        self.process = subprocess.Popen([part.format(port=self.port) for part in command], stdout=subprocess.DEVNULL)
        try:
            wait_until_served(self.port)
            self.measure("set", 16, 16, 1, fill=True)
        except BaseException:
            self.stop()
            raise

    def measure(self, mix, clients, pipeline, requests, fill=False):
        command = [AERODB, "bench", "server", "--addr", f"127.0.0.1:{self.port}", "--mix", mix, "--json", "--rounds", 1]
        command += ["--clients", clients, "--pipeline", pipeline, "--requests", requests, "--key-space", KEYS]
        command += ["--value-bytes", VALUE_BYTES, "--warmup", 0 if fill else requests // 10] + ["--fill"] * fill
        out = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
        figures = {figure["name"]: figure["median"] for figure in json.loads(out)["figures"]}
        return figures["answered"], figures["p50"], figures["p99"]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Postgres:
    """PostgreSQL, driven by pgbench."""

    def __init__(self, directory):
        self.port, self.directory = free_port(), directory / "postgres"
        self.scripts = directory / "scripts"
        self.scripts.mkdir()
        self.scripts.chmod(0o755)
        directory.chmod(0o755)
        self.directory.mkdir()
        self.logs = directory / "latencies"
        self.logs.mkdir()
        for place in (self.directory, self.logs):
            shutil.chown(place, "postgres")
        self.run("initdb", "-D", self.directory, "--auth=trust", "--no-instructions")
        options = f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c max_connections=100 -c shared_buffers=256MB"
        self.run("pg_ctl", "-D", self.directory, "-w", "-l", "/dev/null", "-o", options, "start")
        self.sql("create table rows (key bigint primary key, value bytea not null)")
        self.sql(f"insert into rows select n, decode(repeat('61', {VALUE_BYTES}), 'hex') from generate_series(1, {KEYS}) n")
        self.sql("vacuum analyze rows")

    def run(self, program, *arguments):
        command = ["runuser", "-u", "postgres", "--", POSTGRES / program, *arguments]
        return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, cwd="/").stdout

    def sql(self, statement):
        self.run("psql", "-h", "127.0.0.1", "-p", self.port, "-d", "postgres", "-c", statement)

    def measure(self, mix, clients, pipeline, requests):
        value = f"decode(repeat('61', {VALUE_BYTES}), 'hex')"
        write = f"insert into rows values (:key, {value}) on conflict (key) do update set value = excluded.value;"
        statement = write if mix == "set" else "select value from rows where key = :key;"
        one = f"\\set key random(1, {KEYS})\n{statement}\n"
        many = "\\startpipeline\n" + one * pipeline + "\\endpipeline\n"
        script = self.scripts / "script.sql"
        script.write_text(many if pipeline > 1 else one)
        script.chmod(0o644)
        transactions = max(1, requests // clients // pipeline)
        arguments = ["-h", "127.0.0.1", "-p", self.port, "-n", "-M", "prepared", "-f", script, "-c", clients, "-j", 1]
        for old in self.logs.iterdir():
            old.unlink()
        out = self.run("pgbench", *arguments, "-t", transactions, "-l", "--log-prefix", self.logs / "pgbench", "postgres")
        # A line a script that was run, which is a request or a pipeline of them; its third word is how long it took, in microseconds.
        lines = itertools.chain.from_iterable(log.read_text().splitlines() for log in self.logs.iterdir())
        latencies = sorted(int(line.split()[2]) for line in lines)
        p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
        return float(re.search(r"tps = ([0-9.]+)", out)[1]) * pipeline, p50, p99

    def stop(self):
        self.run("pg_ctl", "-D", self.directory, "-m", "immediate", "stop")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds-of-work", type=float, default=2, help="about how long a measurement is, by the first")
    arguments.add_argument("--mixes", help="what is asked, with commas", default="set,get")
    arguments.add_argument("--only", help="servers, by their names, with commas")
    arguments.add_argument("--dir", help="where the servers keep their files", default=ROOT / "target")
    arguments = arguments.parse_args()
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.dir)))
        redis = ["redis-server", "--port", "{port}", "--save", "", "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"]
        for name in ("redis-always", "redis-everysec"):
            (directory / name).mkdir()
        servers = {
            "aerodb": lambda: Resp([str(AERODB), "serve", "--data", str(directory / "aerodb"), "--listen", "127.0.0.1:{port}"]),
            "redis-always": lambda: Resp([*redis, "--dir", str(directory / "redis-always"), "--appendfsync", "always"]),
            "redis-everysec": lambda: Resp([*redis, "--dir", str(directory / "redis-everysec"), "--appendfsync", "everysec"]),
        }
        if POSTGRES:
            servers["postgresql"] = lambda: Postgres(directory)
        wanted = arguments.only.split(",") if arguments.only else list(servers)
        running = {}
        for name in wanted:
            running[name] = servers[name]()
            stack.callback(running[name].stop)
        print("| Load | " + " | ".join(f"{name}, answered/s; p50, p99 µs" for name in running) + " | ours ÷ theirs |")
        print("|---" * (len(running) + 2) + "|")
        for mix, clients, pipeline in (load for load in LOADS if load[0] in arguments.mixes.split(",")):
            requests = {}
            for name, server in running.items():
                requests[name] = int(server.measure(mix, clients, pipeline, 2_000 * pipeline)[0] * arguments.seconds_of_work)
            rounds = {name: [] for name in running}
            for _ in range(arguments.rounds):
                for name, server in running.items():
                    rounds[name].append(server.measure(mix, clients, pipeline, requests[name]))
            print(row(f"{mix.upper()}, {clients} × {pipeline}", rounds), flush=True)


def row(load, rounds):
    cells, medians = [], {}
    for name, measured in rounds.items():
        rates = sorted(rate for rate, _, _ in measured)
        medians[name] = statistics.median(rates)
        cell = f"{medians[name] / 1000:.1f} k ({rates[0] / 1000:.1f} … {rates[-1] / 1000:.1f})"
        p50, p99 = (statistics.median(latency[index] for latency in measured) for index in (1, 2))
        cells.append(f"{cell}; {p50:.0f}, {p99:.0f}")
    ours = medians.pop("aerodb", None)
    ratios = ", ".join(f"{ours / other:.2f}" for other in medians.values()) if ours else ""
    return f"| {load} | " + " | ".join(cells) + f" | {ratios} |"


if __name__ == "__main__":
    main()
