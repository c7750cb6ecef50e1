// node-redis with its default settings: RESP3 or RESP2, values, pipelines, errors, a restart.
"use strict";
const { createClient, BasicClientSideCache, RESP_TYPES } = require("redis");
const { assert, check, equal, refused, finish, sleep, waitUntil, sql, Users, Proxy, mebibyte, port, prefix } = require("./harness.js");

async function connected(options) {
    const client = createClient(options);
    client.on("error", () => {});
    await client.connect();
    return client;
}

async function strings(r) {
    const key = `${prefix}s`;
    await equal("GET of an absent key is null", () => r.get(key), null);
    await equal("SET", () => r.set(key, "one"), "OK");
    await equal("GET", () => r.get(key), "one");
    await equal("SET NX of a present key is null", () => r.set(key, "two", { condition: "NX" }), null);
    await equal("SET XX GET gives the old value", () => r.set(key, "two", { condition: "XX", GET: true }), "one");
    await equal("GETSET", () => r.getSet(key, "three"), "two");
    await equal("STRLEN, TYPE, EXISTS", () => Promise.all([r.strLen(key), r.type(key), r.exists([key, key])]), [5, "string", 2]);
    await equal("GETDEL", () => r.getDel(key), "three");
    await equal("SETNX, DEL", async () => [await r.setNX(key, "x"), await r.setNX(key, "y"), await r.del(key)], [1, 0, 1]);
    await equal("bytes instead of text", async () => {
        await r.set(key, "ä");
        return r.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get(key);
    }, Buffer.from("ä"));
}

async function values(r) {
    const texts = ["", "grüße, 世界, 🚀", "line\r\nbreak", "$5\r\n*3\r\n-ERR no\r\n", "\u0001\u007f\uffff"];
    for (const [i, text] of texts.entries()) {
        await equal(`text ${i} comes back`, async () => {
            await r.set(`${prefix}${i}${text}`, text);
            return r.get(`${prefix}${i}${text}`);
        }, text);
    }
    const big = mebibyte();
    await check("1 MiB comes back", async () => {
        await r.set(`${prefix}big`, big);
        assert.ok((await r.get(`${prefix}big`)) === big);
    });
    await refused("bytes that are no text are refused", () => r.set(`${prefix}bin`, Buffer.from([0xff, 0])),
        "ERR value is not valid UTF-8 text");
}

async function many(r) {
    const pairs = {};
    for (let i = 0; i < 100; i++) pairs[`${prefix}m${i}`] = `v${i}`;
    await equal("MSET of an object", () => r.mSet(pairs), "OK");
    await equal("MGET in order, null for absent", () => r.mGet([...Object.keys(pairs), `${prefix}none`]),
        [...Object.values(pairs), null]);
    await equal("what is asked in one turn is one pipeline and sees its own writes", async () => {
        const got = await Promise.all(Array.from({ length: 400 }, (_, i) =>
            (i % 2 === 0 ? r.set(`${prefix}p`, String(i)) : r.get(`${prefix}p`))));
        return got.filter((v, i) => v !== (i % 2 === 0 ? "OK" : String(i - 1))).length;
    }, 0);
    await equal("an error in a pipeline stays in its place", async () => {
        const got = await Promise.allSettled([r.set(`${prefix}p`, "a"), r.sendCommand(["LPUSH", "x", "y"]), r.get(`${prefix}p`)]);
        return [got[0].value, got[1].reason.message, got[2].value];
    }, ["OK", "ERR unknown command 'LPUSH', with args beginning with: 'x' 'y' ", "a"]);
    await equal("execAsPipeline", () => r.multi().set(`${prefix}p`, "b").get(`${prefix}p`).execAsPipeline(), ["OK", "b"]);
    const pool = await Promise.all(Array.from({ length: 20 }, () => connected({ socket: { port } })));
    await equal("20 connections at once", async () => {
        const got = await Promise.all(pool.map((c, i) => c.get(`${prefix}m${i}`)));
        return got.filter((v, i) => v !== `v${i}`).length;
    }, 0);
    pool.forEach((c) => c.destroy());
}

async function transactions(r) {
    const [a, b] = [`${prefix}ta`, `${prefix}tb`];
    await equal("multi().exec()", () => r.multi().set(a, "1").mGet([a, b]).set(b, "2", { EX: 100 }).ttl(b).ping().del(a).exec(),
        ["OK", ["1", null], "OK", 100, "PONG", 1]);
    await check("an unknown command discards all", async () => {
        await assert.rejects(() => r.multi().set(a, "4").addCommand(["LPUSH", a, "x"]).exec());
        assert.equal(await r.get(a), null);
    });
    const [c, d] = [`${prefix}tc`, `${prefix}td`];
    await equal("MSETNX in multi(): all or nothing", () => r.multi().mSetNX([[c, "1"], [d, "2"]]).mSetNX([[d, "3"], [`${prefix}te`, "4"]]).mGet([c, d]).exec(),
        [1, 0, ["1", "2"]]);
    await check("RF.GET and RF.SETVER in multi()", async () => {
        const version = (await r.sendCommand(["RF.GET", c])).version;
        const got = await r.multi().addCommand(["RF.SETVER", c, String(version), "5"]).addCommand(["RF.SETVER", c, String(version), "6"]).addCommand(["RF.GET", c]).exec();
        assert.ok(got[0] > version);
        assert.strictEqual(got[1], null);
        assert.deepStrictEqual([got[2].payload, got[2].version, got[2].active], ["5", got[0], 1]);
    });
    await equal("OBJECT, MEMORY and CLIENT in multi()", async () => {
        const got = await r.multi().set(c, "7").objectEncoding(c).objectFreq(`${prefix}none`).memoryUsage(c).clientGetName().exec();
        return [...got.slice(0, 3), got[3] > 0, got[4]];
    }, ["OK", "int", null, true, null]);
    const other = await connected({ socket: { port } });
    await check("a watched key that changed is a WatchError", async () => {
        await r.watch(a);
        await other.set(a, "6");
        await assert.rejects(() => r.multi().set(b, "7").exec(), (e) => e.constructor.name === "WatchError");
    });
    await equal("and nothing was done", () => r.mGet([a, b]), ["6", "2"]);
    other.destroy();
}

async function connection(r) {
    await check("the handshake chose RESP3 and named the library", async () => {
        const info = await r.sendCommand(["CLIENT", "INFO"]);
        assert.match(info, / resp=3 lib-name=node-redis lib-ver=\d\S* /);
    });
    await check("CLIENT INFO, INFO and COMMAND parse", async () => {
        assert.strictEqual((await r.clientInfo()).db, 0);
        assert.match(await r.info("server"), /tcp_port:/);
        assert.ok((await r.command()).some((c) => c.name === "get" && c.firstKeyIndex === 1));
        assert.strictEqual((await r.configGet("databases")).databases, "1");
    });
    await equal("RESP2, if asked for, with a name", async () => {
        const two = await connected({ socket: { port }, RESP: 2, name: "node-redis-test" });
        const got = [(await two.clientInfo()).resp, await two.clientGetName(), await two.get(`${prefix}m1`), await two.get(`${prefix}none`)];
        two.destroy();
        return got;
    }, [2, "node-redis-test", "v1", null]);
    await equal("a URL with user and password of a server without one", async () => {
        const url = await connected({ url: `redis://default:any@localhost:${port}/0` });
        const pong = await url.ping();
        await url.close();
        return pong;
    }, "PONG");
    await refused("another database is refused at connect", () => connected({ socket: { port, reconnectStrategy: false }, database: 1 }), "ERR DB index is out of range");
    await refused("unknown command", () => r.sendCommand(["NOSUCH", "a"]), "ERR unknown command 'NOSUCH', with args beginning with: 'a'");
    await refused("wrong arity", () => r.sendCommand(["GET"]), "ERR wrong number of arguments for 'get' command");
    await equal("SET EX", () => r.set(`${prefix}ex`, "x", { expiration: { type: "EX", value: 100 } }), "OK");
    await equal("TTL", () => r.ttl(`${prefix}ex`), 100);
}

async function clientSideCache(r) {
    const cache = new BasicClientSideCache();
    const caching = await connected({ socket: { port }, RESP: 3, clientSideCache: cache });
    const key = `${prefix}cached`;
    await r.set(key, "one");
    await check("client-side caching: a second GET asks nobody", async () => {
        // The SET's own notification may come after the first GET, and then costs one more.
        await waitUntil("a hit", async () => {
            await caching.get(key);
            const before = cache.stats().hitCount;
            return (await caching.get(key)) === "one" && cache.stats().hitCount === before + 1;
        });
    });
    await check("client-side caching: another client's SET is seen", async () => {
        await r.set(key, "two");
        await waitUntil("the new value", async () => (await caching.get(key)) === "two");
    });
    await check("client-side caching: an edit with SQL is seen", async () => {
        sql(`UPDATE {table} SET payload = 'three' WHERE key = '${key}'`);
        await waitUntil("the new value", async () => (await caching.get(key)) === "three");
    });
    caching.destroy();
}

async function events(r) {
    const subscriber = await connected({ socket: { port } });
    const key = `${prefix}ev`;
    const heard = [];
    await subscriber.subscribe(`__keyspace@0__:${key}`, (text, channel) => heard.push(`${channel} ${text}`));
    await subscriber.pSubscribe("__keyevent@0__:d*", (text, channel) => heard.push(`${channel} ${text}`));
    await r.set(key, "1");
    await r.del(key);
    const mine = () => heard.filter((line) => line.includes(key));
    await waitUntil("three messages", () => mine().length >= 3);
    await equal("a subscriber hears SET and DEL", () => mine(), [
        `__keyspace@0__:${key} set`, `__keyspace@0__:${key} del`, `__keyevent@0__:del ${key}`]);
    await subscriber.unsubscribe();
    await subscriber.pUnsubscribe();
    await equal("and it is a client as before", () => subscriber.get(key), null);
    subscriber.destroy();
}

async function pause(r) {
    const other = await connected({ socket: { port } });
    const key = `${prefix}paused`;
    await r.set(key, "1");
    await equal("CLIENT PAUSE", () => r.clientPause(20000, "WRITE"), "OK");
    let done = false;
    const write = other.set(key, "2").then(() => { done = true; });
    await equal("reads go on, a write waits", async () => {
        const got = await r.get(key);
        await sleep(200);
        return [got, done];
    }, ["1", false]);
    await equal("CLIENT UNPAUSE", () => r.clientUnpause(), "OK");
    await equal("then it is done", async () => {
        await write;
        return r.get(key);
    }, "2");
    other.destroy();
}

async function monitor(r) {
    const key = `${prefix}monitored`;
    await equal("CONFIG SET allow-monitor", () => r.configSet("allow-monitor", "yes"), "OK");
    const heard = [];
    const m = await connected({ socket: { port } });
    await waitUntil("monitor()", async () => { // the other worker may have to hear of it
        try {
            await m.monitor((line) => heard.push(String(line)));
        } catch (e) {
            return false;
        }
        return true;
    });
    await check("monitor() shows what is asked for", () => waitUntil("the command", async () => {
        await r.set(key, "one two");
        return heard.some((line) => line.endsWith(`"SET" "${key}" "one two"`));
    }));
    m.destroy();
    await equal("CONFIG SET allow-monitor no", () => r.configSet("allow-monitor", "no"), "OK");
}

/** A proxy with a users file: who has a prefix sees its own keys alone. */
async function users(r) {
    const own = `${prefix}own:`;
    const file = new Users([["shop", "write", own, "shop-password"]]);
    const proxy = await Proxy.any(["--users-file", file.file]);
    const shop = await connected({ socket: { port: proxy.port }, username: "shop", password: "shop-password" });
    const keys = Array.from({ length: 50 }, (_, i) => `${own}${i}`);
    await r.mSet([[`${prefix}else:1`, "x"], [`${prefix}else:2`, "y"]]);
    await equal("a user sets its own keys", () => shop.mSet(keys.map((k) => [k, "v"])), "OK");
    await equal("scanIterator() shows these alone", async () => {
        const got = [];
        for await (const some of shop.scanIterator({ COUNT: 20 })) got.push(...some);
        return got.sort();
    }, [...keys].sort());
    await equal("KEYS and DBSIZE", async () => [(await shop.keys("*")).length, await shop.dbSize()], [50, 50]);
    await refused("another's key", () => shop.get(`${prefix}else:1`), "NOPERM");
    shop.destroy();
    await refused("a wrong password", () => connected({
        socket: { port: proxy.port, reconnectStrategy: false }, username: "shop", password: "no" }), "WRONGPASS");
    await proxy.stop();
    file.remove();
}

async function restart() {
    const proxy = await Proxy.any();
    const r = await connected({ socket: { port: proxy.port } });
    await r.set(`${prefix}kept`, "over a restart");
    await proxy.stop();
    await waitUntil("the client sees the end", () => !r.isReady);
    const waiting = r.get(`${prefix}kept`);
    await proxy.start();
    await equal("a request made while the proxy was down is answered after its restart", () => waiting, "over a restart");
    r.destroy();
    await proxy.stop();
}

(async () => {
    const r = await connected({ socket: { port } });
    await equal("PING with the library's defaults", () => r.ping(), "PONG");
    for (const part of [strings, values, many, transactions, connection, clientSideCache, events, pause, monitor, users]) await check(`${part.name} ran to its end`, () => part(r));
    await check("restart ran to its end", restart);
    r.destroy();
    finish();
})();
