// What programs do with node-redis, against the server at $HOST:$PORT.
"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { test } = require("node:test");
const { createClient, RESP_TYPES, WatchError } = require("@redis/client");

/** What the workflows of one version of the protocol share. */
const speaking = (RESP) => {
  const connected = async () =>
    createClient({ RESP, socket: { host: process.env.HOST, port: Number(process.env.PORT), reconnectStrategy: false } }).connect();
  return {
    key: (name) => `node${RESP}:${name}`,
    connected,
    workflow: (name, body) =>
      test(`RESP${RESP}: ${name}`, async () => {
        const db = await connected();
        try {
          await body(db);
        } finally {
          db.destroy();
        }
      }),
  };
};

for (const RESP of [2, 3]) {
  const { key, connected, workflow } = speaking(RESP);

  workflow("keys and values", async (db) => {
    assert.equal(await db.set(key("a"), "1"), "OK");
    assert.equal(await db.get(key("a")), "1");
    assert.equal(await db.set(key("a"), "2", { condition: "NX" }), null);
    assert.equal(await db.set(key("a"), "3", { GET: true }), "1");
    assert.deepEqual(await db.mGet([key("a"), key("none")]), ["3", null]);
    assert.equal(await db.del([key("a"), key("none")]), 1);
  });

  workflow("commands that are sent at once are pipelined and answered in order", async (db) => {
    const numbers = [...Array(2000).keys()];
    await Promise.all(numbers.map((number) => db.set(key(`p:${number}`), String(number))));
    const values = await Promise.all(numbers.map((number) => db.get(key(`p:${number}`))));
    assert.deepEqual(values, numbers.map(String));
  });

  workflow("a transaction", async (db) => {
    const replies = await db.multi().set(key("t"), "1").get(key("t")).del(key("t")).exec();
    assert.deepEqual(replies, ["OK", "1", 1]);
  });

  workflow("a transaction whose watched key changed is not carried out", async (db) => {
    const other = await connected();
    try {
      await db.watch(key("watched"));
      await other.set(key("watched"), "changed");
      await assert.rejects(db.multi().set(key("unwritten"), "1").exec(), WatchError);
      assert.equal(await db.get(key("unwritten")), null);
    } finally {
      other.destroy();
    }
  });

  workflow("a scan finds every key once", async (db) => {
    const expected = [...Array(1000).keys()].map((number) => key(`scan:${String(number).padStart(4, "0")}`));
    await db.mSet(expected.map((name) => [name, "x"]));
    const found = [];
    for await (const page of db.scanIterator({ MATCH: key("scan:*"), COUNT: 100 })) found.push(...page);
    assert.deepEqual(found.sort(), expected);
  });

  workflow("a command that is not there is refused and the connection goes on", async (db) => {
    await assert.rejects(db.sendCommand(["NOSUCH", "x"]), /unknown command/);
    assert.equal(await db.ping(), "PONG");
  });
}

// Last, because a scan that passes a value as large as the block cache reads it again for every page.
for (const RESP of [2, 3]) {
  const { key, workflow } = speaking(RESP);

  workflow("keys and values of any bytes, and 16 MiB", async (db) => {
    const buffers = db.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    const every = Buffer.from([...Array(256).keys()]);
    const binary = Buffer.concat([Buffer.from(key("")), every]);
    await db.set(binary, every);
    assert.deepEqual(await buffers.get(binary), every);
    const large = Buffer.concat(Array(16).fill(randomBytes(1 << 20)));
    await db.set(key("large"), large);
    assert.ok(large.equals(await buffers.get(key("large"))));
    await db.del(key("large"));
  });
}
