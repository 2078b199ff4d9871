"""What programs do with redis-py, against the server at $HOST:$PORT."""

import os
import threading
import unittest

import redis

HOST, PORT = os.environ["HOST"], int(os.environ["PORT"])
AERODB = os.environ.get("AERODB") == "yes"


def client(protocol=2, **options):
    return redis.Redis(host=HOST, port=PORT, protocol=protocol, **options)


class Workflows:
    """Run once with each version of the protocol."""

    protocol = None

    def setUp(self):
        self.db = client(self.protocol)
        self.prefix = f"py{self.protocol}:{self.id().rsplit('.', 1)[-1]}:"
        self.addCleanup(self.db.close)

    def key(self, name):
        return self.prefix + name

    def test_keys_and_values(self):
        self.assertTrue(self.db.ping())
        self.assertEqual(self.db.echo("hello"), b"hello")
        self.assertTrue(self.db.set(self.key("a"), "1"))
        self.assertEqual(self.db.get(self.key("a")), b"1")
        self.assertIsNone(self.db.set(self.key("a"), "2", nx=True))
        self.assertTrue(self.db.set(self.key("a"), "2", xx=True))
        self.assertEqual(self.db.set(self.key("a"), "3", get=True), b"2")
        self.assertFalse(self.db.setnx(self.key("a"), "4"))
        self.assertTrue(self.db.mset({self.key("b"): "x", self.key("c"): "y"}))
        self.assertEqual(self.db.mget(self.key("a"), self.key("none"), self.key("c")), [b"3", None, b"y"])
        self.assertEqual(self.db.exists(self.key("a"), self.key("b"), self.key("none")), 2)
        self.assertEqual(self.db.strlen(self.key("b")), 1)
        self.assertEqual(self.db.type(self.key("b")), b"string")
        self.assertEqual(self.db.type(self.key("none")), b"none")
        self.assertEqual(self.db.getdel(self.key("b")), b"x")
        self.assertEqual(self.db.delete(self.key("a"), self.key("b"), self.key("c")), 2)
        self.assertEqual(self.db.unlink(self.key("a")), 0)

    def test_a_pipeline_without_a_transaction(self):
        pipeline = self.db.pipeline(transaction=False)
        for number in range(500):
            pipeline.set(self.key(str(number)), number)
            pipeline.get(self.key(str(number)))
        expected = [reply for number in range(500) for reply in (True, str(number).encode())]
        self.assertEqual(pipeline.execute(), expected)

    def test_a_transaction(self):
        with self.db.pipeline() as transaction:
            transaction.set(self.key("a"), "1")
            transaction.get(self.key("a"))
            transaction.delete(self.key("a"))
            transaction.exists(self.key("a"))
            self.assertEqual(transaction.execute(), [True, b"1", 1, 0])

    def test_a_transaction_whose_watched_key_changed_is_not_carried_out(self):
        self.db.set(self.key("watched"), "0")
        with self.db.pipeline() as transaction:
            transaction.watch(self.key("watched"))
            self.db.set(self.key("watched"), "changed")
            transaction.multi()
            transaction.set(self.key("other"), "1")
            with self.assertRaises(redis.WatchError):
                transaction.execute()
        self.assertIsNone(self.db.get(self.key("other")))

    def test_counting_with_optimistic_locks_from_many_threads(self):
        def count(connection):
            def change(transaction):
                value = int(transaction.get(self.key("count")) or 0)
                transaction.multi()
                transaction.set(self.key("count"), value + 1)

            for _ in range(20):
                connection.transaction(change, self.key("count"))

        threads = [threading.Thread(target=count, args=(self.db,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.db.get(self.key("count")), b"80")

    def test_keys_and_values_of_any_bytes(self):
        every = bytes(range(256))
        self.assertTrue(self.db.set(self.prefix.encode() + every, every))
        self.assertEqual(self.db.get(self.prefix.encode() + every), every)
        self.assertTrue(self.db.set(self.key("empty"), b""))
        self.assertEqual(self.db.get(self.key("empty")), b"")

    def test_a_value_of_16_mib(self):
        value = os.urandom(1 << 20) * 16
        self.assertTrue(self.db.set(self.key("large"), value))
        self.assertEqual(self.db.get(self.key("large")), value)
        self.assertEqual(self.db.delete(self.key("large")), 1)

    def test_a_scan_over_connections_of_a_pool(self):
        expected = {self.key(f"{number:04}").encode() for number in range(1000)}
        self.db.mset({key: "x" for key in expected})
        found = list(self.db.scan_iter(match=self.prefix + "*", count=37))
        self.assertEqual(set(found), expected)
        self.assertGreaterEqual(self.db.dbsize(), 1000)

    def test_what_a_client_asks_about_itself_and_the_server(self):
        named = client(self.protocol, client_name="workflow")
        self.addCleanup(named.close)
        self.assertIn(named.client_getname(), ("workflow", b"workflow"))
        self.assertIn("workflow", [other["name"] for other in self.db.client_list()])
        self.assertIn("redis_version", self.db.info())
        self.assertEqual(self.db.config_get("appendonly"), {"appendonly": "yes"} if AERODB else {"appendonly": "no"})
        self.assertGreater(self.db.command_count(), 10)

    def test_a_command_that_is_not_there_is_refused_and_the_connection_goes_on(self):
        with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
            self.db.execute_command("NOSUCH", "x")
        with self.assertRaisesRegex(redis.ResponseError, "wrong number of arguments"):
            self.db.execute_command("GET")
        self.assertTrue(self.db.ping())


class OfAerodb:
    """What only aerodb has."""

    def test_old_views(self):
        self.db.set(self.key("v"), "old")
        commit = self.db.execute_command("AERO.COMMITID")
        self.db.set(self.key("v"), "new")
        self.assertEqual(self.db.execute_command("AERO.AT", commit, "GET", self.key("v")), b"old")
        self.assertEqual(self.db.execute_command("AERO.WAITFOR", commit + 1), commit + 1)
        rows = self.db.execute_command("AERO.RANGE", self.prefix, self.prefix + "~", "AT", commit)
        self.assertEqual(rows, [self.key("v").encode(), b"old"])


if AERODB:
    Workflows = type("Workflows", (Workflows, OfAerodb), {})


class Resp2(Workflows, unittest.TestCase):
    protocol = 2


class Resp3(Workflows, unittest.TestCase):
    protocol = 3


if __name__ == "__main__":
    unittest.main()
