#!/usr/bin/env python3
"""A replica side by side with one of redis-server and one of PostgreSQL, in one run.

    cargo build --release && benches/replicas.py [--rounds 3] [--megabytes 300] [--value-bytes 1024] [--only aerodb,redis]

Measured in turns, round by round, over loopback, with real processes and their own files:

* bootstrap: a replica that has nothing begins beside a primary with the data; how long until it holds all of it. For AeroDB that is
  `--bootstrap snapshot`, for Redis a full synchronisation, for PostgreSQL pg_basebackup and the start of the server; beside them a copy of as many
  bytes over loopback into a file, with fsync.
* reads: single reads by key of the replica and of its primary, in turns, by 16 clients, one at a time and 16 at a time.
* catch-up: the replica is stopped while its primary takes as many megabytes again, each row a commit of its own, and let go on; how long until it
  has applied the last of them. Once more beside reads, which are counted; and once more with kill -9 in its middle: how long from the
  second start until it has applied the last.
* cost: 16 clients write to the primary one row at a time, alone and while another replica begins.

Clients share the processors with the servers: `aerodb bench server` for those that speak RESP, pgbench for PostgreSQL (compare these with care).
Redis replicates from memory, through a backlog made large enough, without fsync on the replica; PostgreSQL's replica flushes as it comes. Needs
redis-server; PostgreSQL where it is installed. Nothing is left behind.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from peers import AERODB, POSTGRES, ROOT, free_port, wait_for, wait_until_served

CLIENTS, PIPELINE = 16, 64
# Keys that are read.
KEYS = 100_000


def request(port, *words):
    """One RESP request, and its reply as text; None where nobody answers."""
    parts = [str(word).encode() for word in words]
    message = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(message)
        reply = b""
        while True:
            piece = connection.recv(1 << 16)
            if not piece:
                return None
            reply += piece
            head, newline, rest = reply.partition(b"\r\n")
            if newline and (head[:1] != b"$" or head == b"$-1" or len(rest) >= int(head[1:]) + 2):
                return (rest if head[:1] == b"$" else head[1:]).decode(errors="replace")
    return None


def info(port, field):
    found = re.search(rf"^{field}:(.*?)\r?$", request(port, "INFO") or "", re.MULTILINE)
    return found[1] if found else ""


def until(holds):
    watch = time.monotonic()
    while not holds():
        time.sleep(0.002)
    return time.monotonic() - watch


def fill(port, rows, value_bytes, first):
    """Rows, each by a request of its own, from one client that does not wait for each."""
    value = b"%d\r\n" % value_bytes + os.urandom(value_bytes // 2).hex().encode().ljust(value_bytes, b"x")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        replies = connection.makefile("rb")
        numbers = range(first, first + rows)
        for start in range(0, rows, 4096):
            piece = numbers[start : start + 4096]
            connection.sendall(b"".join(b"*3\r\n$3\r\nSET\r\n$16\r\n%016d\r\n$%s\r\n" % (number, value) for number in piece))
            for _ in piece:
                assert replies.readline() == b"+OK\r\n"


class Process:
    def __init__(self, command):
        self.command = [str(part) for part in command]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_again_after_a_kill(self):
        self.process.kill()
        self.process.wait()
        self.start()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        # A Redis that writes its first append-only file refuses to end; nothing of what is stopped here is needed again.
        self.process.kill()
        self.process.wait()


class Resp:
    """What servers that speak RESP have in common."""

    def fill(self, rows, value_bytes, first):
        fill(self.port, rows, value_bytes, first)

    def load(self, port, mix, pipeline, requests, more=()):
        """Requests a second of 16 clients."""
        command = [AERODB, "bench", "server", "--addr", f"127.0.0.1:{port}", "--mix", mix, "--json", "--rounds", 1, "--warmup", 0]
        command += ["--clients", CLIENTS, "--pipeline", pipeline, "--requests", requests, "--key-space", KEYS, *more]
        out = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
        return next(figure["median"] for figure in json.loads(out)["figures"] if figure["name"] == "answered")

    def give_keys_to_read(self):
        self.load(self.port, "set", 16, 16 * CLIENTS, ["--fill"])

    def reached(self, port):
        return until(lambda: self.has_all(port))

    def stop(self):
        self.primary.stop()


class Aerodb(Resp):
    def __init__(self, directory):
        self.directory, self.count = directory, 0
        self.port, self.log_port = free_port(), free_port()
        listen, serves = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.log_port}"
        self.primary = Process([AERODB, "serve", "--data", directory / "primary", "--listen", listen, "--replication", serves])
        wait_until_served(self.port)

    def replica(self, bootstrap):
        self.count += 1
        port = free_port()
        command = [AERODB, "replica", "--data", self.directory / f"replica{self.count}", "--listen", f"127.0.0.1:{port}"]
        replica = Process([*command, "--primary", f"127.0.0.1:{self.log_port}", "--bootstrap", bootstrap])
        return replica, port

    def has_all(self, port):
        commit = info(self.port, "commit")
        return commit != "" and info(port, "commit") == commit

    def begin(self):
        return self.replica("snapshot")


class Redis(Resp):
    def __init__(self, directory):
        self.directory, self.count, self.port = directory, 0, free_port()
        self.primary = self.start("primary", self.port)
        wait_for(self.port)

    def start(self, name, port, *more):
        (self.directory / name).mkdir()
        options = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"]
        options += ["--repl-backlog-size", "4gb", "--repl-timeout", "3600", "--repl-diskless-sync-delay", "0", "--client-output-buffer-limit", "replica 0 0 0"]
        return Process(["redis-server", "--port", port, "--dir", self.directory / name, *options, *more])

    def has_all(self, port):
        up = info(port, "master_link_status") == "up" and info(port, "master_sync_in_progress") == "0"
        return up and info(port, "slave_repl_offset") == info(self.port, "master_repl_offset")

    def begin(self):
        self.count += 1
        port = free_port()
        return self.start(f"replica{self.count}", port, "--replicaof", f"127.0.0.1 {self.port}"), port


class PostgresReplica:
    def __init__(self, server, directory, port):
        self.server, self.directory, self.port = server, directory, port

    def pids(self):
        main = int((self.directory / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(["pgrep", "-P", str(main)], capture_output=True, text=True).stdout.split()
        return [main, *map(int, children)]

    def tell(self, what):
        pids = self.pids()
        for pid in pids:
            # Children come and go.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)
        return pids

    def pause(self):
        self.tell(signal.SIGSTOP)

    def go_on(self):
        self.tell(signal.SIGCONT)

    def start_again_after_a_kill(self):
        pids = self.tell(signal.SIGKILL)
        until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids))
        self.server.start(self.directory, self.port)

    def stop(self):
        self.go_on()
        self.server.run("pg_ctl", "-D", self.directory, "-m", "immediate", "stop")


class Postgres:
    def __init__(self, directory):
        self.directory, self.count, self.port = directory, 0, free_port()
        directory.chmod(0o755)
        self.scripts = directory / "scripts"
        self.scripts.mkdir()
        self.scripts.chmod(0o755)
        self.primary = directory / "primary"
        self.place(self.primary)
        self.run("initdb", "-D", self.primary, "--auth=trust", "--no-instructions")
        self.start(self.primary, self.port)
        self.sql("create table rows (key bigint primary key, value bytea not null)")
        self.sql("create sequence place")

    def place(self, directory):
        directory.mkdir(mode=0o700)
        shutil.chown(directory, "postgres")

    def start(self, directory, port):
        options = f"-p {port} -k '' -c listen_addresses=127.0.0.1 -c max_connections=100 -c shared_buffers=256MB -c max_wal_size=8GB"
        options += " -c wal_keep_size=8GB -c synchronous_commit=off -c hot_standby=on -c checkpoint_timeout=1h"
        self.run("pg_ctl", "-D", directory, "-w", "-t", 600, "-l", "/dev/null", "-o", options, "start")

    def run(self, program, *arguments):
        command = ["runuser", "-u", "postgres", "--", POSTGRES / program, *arguments]
        return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, cwd="/").stdout

    def sql(self, statement, port=None):
        return self.run("psql", "-h", "127.0.0.1", "-p", port or self.port, "-d", "postgres", "-At", "-c", statement).strip()

    def insert(self, value_bytes):
        return f"insert into rows values (nextval('place'), decode(md5(random()::text) || repeat('61', {value_bytes - 16}), 'hex'));\n"

    def fill(self, rows, value_bytes, first):
        script = self.scripts / "fill.sql"
        script.write_text("\\startpipeline\n" + self.insert(value_bytes) * PIPELINE + "\\endpipeline\n")
        script.chmod(0o644)
        transactions = max(1, rows // CLIENTS // PIPELINE)
        self.run("pgbench", "-h", "127.0.0.1", "-p", self.port, "-n", "-M", "prepared", "-f", script, "-c", CLIENTS, "-j", 2, "-t", transactions, "postgres")

    def load(self, port, mix, pipeline, requests):
        statement = f"select value from rows where key = :key;\n" if mix == "get" else self.insert(100)
        one = f"\\set key random(1, {KEYS})\n{statement}" if mix == "get" else statement
        script = self.scripts / f"{mix}.sql"
        script.write_text("\\startpipeline\n" + one * pipeline + "\\endpipeline\n" if pipeline > 1 else one)
        script.chmod(0o644)
        transactions = max(1, requests // CLIENTS // pipeline)
        arguments = ["-h", "127.0.0.1", "-p", port, "-n", "-M", "prepared", "-f", script, "-c", CLIENTS, "-j", 1, "-t", transactions]
        return float(re.search(r"tps = ([0-9.]+)", self.run("pgbench", *arguments, "postgres"))[1]) * pipeline

    def give_keys_to_read(self):
        self.sql("vacuum analyze rows")

    def reached(self, port):
        end = self.sql("select pg_current_wal_flush_lsn()")
        return until(lambda: self.sql(f"select coalesce(pg_last_wal_replay_lsn() >= '{end}'::pg_lsn, false)", port) == "t")

    def begin(self):
        self.count += 1
        directory, port = self.directory / f"replica{self.count}", free_port()
        self.place(directory)
        self.run("pg_basebackup", "-h", "127.0.0.1", "-p", self.port, "-D", directory, "-R", "-c", "fast", "-X", "stream")
        self.start(directory, port)
        return PostgresReplica(self, directory, port), port

    def stop(self):
        self.run("pg_ctl", "-D", self.primary, "-m", "immediate", "stop")


def copy(directory, megabytes):
    """Seconds in which so many bytes of a file come over loopback into another, with its fsync."""
    source, target = directory / "source", directory / "target"
    with source.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    listener = socket.create_server(("127.0.0.1", 0))

    def send():
        connection, _ = listener.accept()
        with connection, source.open("rb") as file:
            connection.sendfile(file)

    sender = threading.Thread(target=send)
    watch = time.monotonic()
    sender.start()
    with socket.create_connection(listener.getsockname()) as connection, target.open("wb") as file:
        while piece := connection.recv(1 << 20):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.monotonic() - watch
    sender.join()
    listener.close()
    source.unlink()
    target.unlink()
    return seconds


def reads(server, port, seconds, figures):
    for pipeline in (1, 16):
        requests = int(server.load(port, "get", pipeline, 5_000 * pipeline) * seconds)
        of_replica, of_primary = (server.load(asked, "get", pipeline, requests) for asked in (port, server.port))
        figures[f"reads/s, {CLIENTS} × {pipeline}"] = of_replica
        figures[f"… ÷ its primary's, {CLIENTS} × {pipeline}"] = of_replica / of_primary


def catch_up(server, replica, port, rows, value_bytes, figures):
    filled = rows

    def behind():
        nonlocal filled
        replica.pause()
        server.fill(rows, value_bytes, filled)
        filled += rows
        replica.go_on()
        return time.monotonic()

    watch = behind()
    server.reached(port)
    caught = figures["catch-up, s"] = time.monotonic() - watch
    figures["catch-up, MB/s of values"] = rows * value_bytes / caught / 1e6
    figures["catch-up, k commits/s"] = rows / caught / 1e3

    watch = behind()
    rates = loaded_until_reached(server, port, lambda: server.load(port, "get", 16, 20_000))
    figures[f"reads/s while it catches up, {CLIENTS} × 16"] = statistics.median(rates)
    figures["catch-up beside those, s"] = time.monotonic() - watch

    behind()
    time.sleep(caught / 3)
    watch = time.monotonic()
    replica.start_again_after_a_kill()
    server.reached(port)
    figures["kill -9 in its middle: from the next start to its end, s"] = time.monotonic() - watch


def loaded_until_reached(server, port, load):
    """The rates of one load after the other, until a replica has all."""
    over = threading.Thread(target=server.reached, args=(port,), daemon=True)
    over.start()
    rates = []
    while over.is_alive():
        rates.append(load())
    return rates


def measure(server, rows, value_bytes, seconds, parts):
    """Figures by their names, of one life of a server with its replica."""
    figures = {}
    server.give_keys_to_read()
    watch = time.monotonic()
    replica, port = server.begin()
    try:
        server.reached(port)
        figures["bootstrap, s"] = time.monotonic() - watch
        if "reads" in parts:
            reads(server, port, seconds, figures)
        if "catch-up" in parts:
            catch_up(server, replica, port, rows, value_bytes, figures)
    finally:
        replica.stop()
    if "cost" in parts:
        requests = int(server.load(server.port, "set", 1, 5_000) * seconds)
        alone = server.load(server.port, "set", 1, requests)
        another, port = server.begin()
        try:
            rates = loaded_until_reached(server, port, lambda: server.load(server.port, "set", 1, 5_000))
            figures["writes/s beside a bootstrap ÷ alone"] = statistics.median(rates) / alone
        finally:
            another.stop()
    return figures


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--megabytes", type=int, default=300, help="values that a replica begins with, and catches up with")
    arguments.add_argument("--value-bytes", type=int, default=1024)
    arguments.add_argument("--seconds-of-work", type=float, default=1, help="about how long reads and writes are measured")
    arguments.add_argument("--parts", help="what is measured beside a bootstrap, with commas", default="reads,catch-up,cost")
    arguments.add_argument("--only", help="servers, by their names, with commas")
    arguments.add_argument("--dir", help="where the servers keep their files", default=ROOT / "target")
    arguments = arguments.parse_args()
    kinds = {"aerodb": Aerodb, "redis": Redis} | ({"postgresql": Postgres} if POSTGRES else {})
    wanted = arguments.only.split(",") if arguments.only else list(kinds)
    rows = arguments.megabytes * 1_000_000 // arguments.value_bytes
    found = {name: [] for name in wanted}
    copies = []
    for _ in range(arguments.rounds):
        for name in wanted:
            with tempfile.TemporaryDirectory(dir=arguments.dir) as directory:
                directory = pathlib.Path(directory)
                server = kinds[name](directory)
                try:
                    server.fill(rows, arguments.value_bytes, 0)
                    found[name].append(measure(server, rows, arguments.value_bytes, arguments.seconds_of_work, arguments.parts.split(",")))
                finally:
                    server.stop()
        with tempfile.TemporaryDirectory(dir=arguments.dir) as directory:
            copies.append(copy(pathlib.Path(directory), arguments.megabytes))
    print(f"{arguments.megabytes} MB of values of {arguments.value_bytes} B, a commit each; medians (least … greatest) of {arguments.rounds}")
    print("| Figure | " + " | ".join(wanted) + " |")
    print("|---" * (len(wanted) + 1) + "|")
    for figure in found[wanted[0]][0]:
        cells = (shown([measured[figure] for measured in found[name]]) for name in wanted)
        print(f"| {figure} | " + " | ".join(cells) + " |")
    print(f"\nA plain copy of as many bytes over loopback, with fsync: {shown(copies)} s")


def shown(values):
    figure = lambda value: f"{value:.2f}" if value < 100 else f"{value:,.0f}"
    return f"{figure(statistics.median(values))} ({figure(min(values))} … {figure(max(values))})"


if __name__ == "__main__":
    main()
