// ioredis with its default settings (RESP3, localhost): values, pipelines, errors, a cache by REDIRECT, a restart.
"use strict";
const { once } = require("node:events");
const Redis = require("ioredis");
const { assert, check, equal, refused, finish, sleep, waitUntil, sql, Users, Proxy, mebibyte, port, prefix } = require("./harness.js");

async function strings(r) {
    const key = `${prefix}s`;
    await equal("GET of an absent key is null", () => r.get(key), null);
    await equal("SET", () => r.set(key, "one"), "OK");
    await equal("GET", () => r.get(key), "one");
    await equal("SET NX of a present key is null", () => r.set(key, "two", "NX"), null);
    await equal("SET XX GET gives the old value", () => r.set(key, "two", "XX", "GET"), "one");
    await equal("GETSET", () => r.getset(key, "three"), "two");
    await equal("STRLEN, TYPE, EXISTS", () => Promise.all([r.strlen(key), r.type(key), r.exists(key, key)]),
        [5, "string", 2]);
    await equal("GETDEL", () => r.getdel(key), "three");
    await equal("SETNX, DEL", async () => [await r.setnx(key, "x"), await r.setnx(key, "y"), await r.del(key)], [1, 0, 1]);
    await equal("getBuffer gives bytes", async () => {
        await r.set(key, "ä");
        return r.getBuffer(key);
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
    await equal("MSET of an object", () => r.mset(pairs), "OK");
    await equal("MGET in order, null for absent", () => r.mget(...Object.keys(pairs), `${prefix}none`),
        [...Object.values(pairs), null]);
    await equal("a pipeline sees its own writes and keeps errors in place", async () => {
        const p = r.pipeline();
        for (let i = 0; i < 200; i++) p.set(`${prefix}p`, i).get(`${prefix}p`);
        p.call("LPUSH", `${prefix}p`, "x").get(`${prefix}p`);
        const got = await p.exec();
        return [got[1], got[399], got[400][0].message, got[401]];
    }, [[null, "0"], [null, "199"], `ERR unknown command 'LPUSH', with args beginning with: '${prefix}p' 'x' `, [null, "199"]]);
    await equal("1000 at once, one connection", async () => {
        const got = await Promise.all(Array.from({ length: 1000 }, (_, i) => r.get(`${prefix}m${i % 100}`)));
        return got.filter((v, i) => v !== `v${i % 100}`).length;
    }, 0);
    const piping = new Redis(port, { enableAutoPipelining: true });
    await equal("auto-pipelining", () => Promise.all([piping.get(`${prefix}m1`), piping.get(`${prefix}m2`)]), ["v1", "v2"]);
    piping.disconnect();
}

async function connection(r) {
    await check("the handshake chose RESP3", async () =>
        assert.match(await r.client("INFO"), / resp=3 lib-name=ioredis\S* lib-ver=6\.0\.0 /));
    await equal("CLIENT SETNAME at connect", async () => {
        const named = new Redis(port, { connectionName: "ioredis-test" });
        const name = await named.client("GETNAME");
        named.disconnect();
        return name;
    }, "ioredis-test");
    await equal("RESP2, if asked for", async () => {
        const two = new Redis(port, { protocol: 2 });
        const got = [/ resp=2 /.test(await two.client("INFO")), await two.get(`${prefix}m1`), await two.get(`${prefix}none`)];
        two.disconnect();
        return got;
    }, [true, "v1", null]);
    await equal("a URL with user and password of a server without one", async () => {
        const url = new Redis(`redis://default:any@localhost:${port}/0`);
        const pong = await url.ping();
        url.disconnect();
        return pong;
    }, "PONG");
    await equal("QUIT", () => new Redis(port).quit(), "OK");
    await refused("unknown command", () => r.call("NOSUCH", "a"), "ERR unknown command 'NOSUCH', with args beginning with: 'a'");
    await refused("wrong arity", () => r.call("GET"), "ERR wrong number of arguments for 'get' command");
    await refused("an option that is none is refused", () => r.set(`${prefix}s`, "x", "EXX", 5), "ERR syntax error");
    await equal("SET EX", () => r.set(`${prefix}ex`, "x", "EX", 100), "OK");
    await equal("TTL", () => r.ttl(`${prefix}ex`), 100);
}

/** A map of names and values, whatever the library makes of it. */
function fields(map) {
    if (map instanceof Map) return Object.fromEntries(map);
    if (!Array.isArray(map)) return map;
    return Object.fromEntries(map.flatMap((name, i) => (i % 2 === 0 ? [[name, map[i + 1]]] : [])));
}

async function transactions(r) {
    const [a, b] = [`${prefix}ta`, `${prefix}tb`];
    await equal("multi()", () => r.multi().set(a, "1").mget(a, b).set(b, "2", "EX", 100).ttl(b).ping().del(a).exec(),
        [[null, "OK"], [null, ["1", null]], [null, "OK"], [null, 100], [null, "PONG"], [null, 1]]);
    await equal("multi() without its pipeline", async () => {
        await r.multi({ pipeline: false });
        await r.set(a, "3");
        return r.exec();
    }, [[null, "OK"]]);
    await refused("an unknown command discards all", () => r.multi().set(a, "4").call("LPUSH", a, "x").exec(),
        "EXECABORT Transaction discarded");
    await equal("an error of one command is an element", async () => {
        const got = await r.multi().set(a, "5").call("EXPIRE", a, "x").get(a).exec();
        return [got[0], got[1][0].message, got[2]];
    }, [[null, "OK"], "ERR value is not an integer or out of range", [null, "5"]]);
    const [c, d] = [`${prefix}tc`, `${prefix}td`];
    await equal("MSETNX in multi(): all or nothing", () => r.multi().msetnx(c, "1", d, "2").msetnx(d, "3", `${prefix}te`, "4").mget(c, d).exec(),
        [[null, 1], [null, 0], [null, ["1", "2"]]]);
    await check("RF.GET and RF.SETVER in multi()", async () => {
        const version = fields(await r.call("RF.GET", c)).version;
        const got = await r.multi().call("RF.SETVER", c, version, "5").call("RF.SETVER", c, version, "6").call("RF.GET", c).exec();
        assert.ok(got[0][1] > version);
        assert.strictEqual(got[1][1], null);
        const row = fields(got[2][1]);
        assert.deepStrictEqual([row.payload, row.version, row.active], ["5", got[0][1], 1]);
    });
    await equal("OBJECT and CLIENT in multi()", () => r.multi().set(c, "7").object("ENCODING", c).object("FREQ", `${prefix}none`).client("GETNAME").exec(),
        [[null, "OK"], [null, "int"], [null, null], [null, null]]);
    await refused("SCAN is refused when it is queued", () => r.multi().set(c, "8").scan(0).exec(), "EXECABORT Transaction discarded");
    const other = new Redis(port);
    await equal("a watched key that changed is null", async () => {
        await r.watch(a);
        await other.set(a, "6");
        return r.multi().set(b, "7").exec();
    }, null);
    await equal("and nothing was done", () => r.mget(a, b), ["6", "2"]);
    other.disconnect();
}

/** RESP2, two connections: one reads, the other one is told. */
async function redirect(r) {
    const [told, reader] = [new Redis(port, { protocol: 2 }), new Redis(port, { protocol: 2 })];
    const heard = [];
    const key = `${prefix}redirect`;
    const id = await told.client("ID");
    told.on("message", (channel, text) => heard.push(`${channel} ${text}`));
    const count = (name) => heard.filter((line) => line === `__redis__:invalidate ${name}`).length;
    await equal("SUBSCRIBE __redis__:invalidate", () => told.subscribe("__redis__:invalidate"), 1);
    await equal("CLIENT TRACKING ON REDIRECT", () => reader.client("TRACKING", "ON", "REDIRECT", id), "OK");
    await equal("CLIENT GETREDIR", () => reader.client("GETREDIR"), id);
    const changes = [["another client's SET", () => r.set(key, "other")],
        ["an edit with SQL", () => sql(`UPDATE {table} SET payload = 'sql' WHERE key = '${key}'`)]];
    for (const [what, change] of changes) {
        await check(`the subscriber is told of ${what}`, async () => {
            await reader.get(key);
            const before = count(key);
            await change();
            await waitUntil("the message", () => count(key) > before);
            await waitUntil("the new value", async () => (await reader.get(key)) === (await r.get(key)));
        });
    }
    await check("BCAST with NOLOOP tells of others' writes, not of its own", async () => {
        await reader.client("TRACKING", "OFF");
        await reader.client("TRACKING", "ON", "REDIRECT", id, "BCAST", "PREFIX", prefix, "NOLOOP");
        // A node that has yet to hear of it may tell of the first ones.
        await waitUntil("a write that is not told of", async () => {
            const before = count(`${key}:own`);
            await reader.set(`${key}:own`, "1");
            await r.set(`${key}:end`, "1");
            const ends = count(`${key}:end`);
            sql(`UPDATE {table} SET payload = 'end' WHERE key = '${key}:end'`);
            await waitUntil("what all nodes say", () => count(`${key}:end`) >= ends + 3);
            return count(`${key}:own`) === before;
        });
        const before = count(`${key}:own`);
        await r.set(`${key}:own`, "2");
        await waitUntil("another's write", () => count(`${key}:own`) > before);
    });
    told.disconnect();
    reader.disconnect();
}

async function pause(r) {
    const other = new Redis(port);
    const key = `${prefix}paused`;
    await r.set(key, "1");
    await equal("CLIENT PAUSE", () => r.client("PAUSE", 20000, "WRITE"), "OK");
    let done = false;
    const write = other.set(key, "2").then(() => { done = true; });
    await equal("reads go on, a write waits", async () => {
        const got = await r.get(key);
        await sleep(200);
        return [got, done];
    }, ["1", false]);
    await equal("CLIENT UNPAUSE", () => r.client("UNPAUSE"), "OK");
    await equal("then it is done", async () => {
        await write;
        return r.get(key);
    }, "2");
    other.disconnect();
}

async function monitor(r) {
    const key = `${prefix}monitored`;
    await equal("CONFIG SET allow-monitor", () => r.config("SET", "allow-monitor", "yes"), "OK");
    let m;
    await waitUntil("monitor()", async () => { // the other worker may have to hear of it
        try {
            m = await r.monitor();
        } catch (e) {
            return false;
        }
        return true;
    });
    const heard = [];
    m.on("monitor", (time, args, source, db) => heard.push({ time: Number(time), args, source, db }));
    await check("monitor() shows what is asked for", async () => {
        await waitUntil("the command", async () => {
            await r.set(key, "one two");
            return heard.some((line) => line.args[1] === key);
        });
        const line = heard.find((one) => one.args[1] === key);
        assert.deepStrictEqual([line.args, line.db], [["set", key, "one two"], "0"]);
        assert.ok(Math.abs(line.time - Date.now() / 1000) < 600);
        assert.match(line.source, /^(127\.0\.0\.1|\[::1\]):\d+$/);
    });
    m.disconnect();
    await equal("CONFIG SET allow-monitor no", () => r.config("SET", "allow-monitor", "no"), "OK");
}

/** A proxy with a users file: who has a prefix sees its own keys alone. */
async function users(r) {
    const own = `${prefix}own:`;
    const file = new Users([["shop", "write", own, "shop-password"]]);
    const proxy = await Proxy.any(["--users-file", file.file]);
    const shop = new Redis({ port: proxy.port, username: "shop", password: "shop-password" });
    const keys = Array.from({ length: 50 }, (_, i) => `${own}${i}`);
    await r.mset(`${prefix}else:1`, "x", `${prefix}else:2`, "y");
    await equal("a user sets its own keys", () => shop.mset(...keys.flatMap((k) => [k, "v"])), "OK");
    await equal("SCAN shows these alone", async () => {
        const got = [];
        for await (const some of shop.scanStream({ count: 20 })) got.push(...some);
        return got.sort();
    }, [...keys].sort());
    await equal("SCAN MATCH, KEYS, DBSIZE", async () => [
        (await shop.keys("*")).length, await shop.dbsize(), (await shop.scan(0, "MATCH", `${prefix}else:*`, "COUNT", 10000))[1]], [50, 50, []]);
    await refused("another's key", () => shop.get(`${prefix}else:1`), "NOPERM");
    shop.disconnect();
    await check("a wrong password", async () => {
        const wrong = new Redis({ port: proxy.port, username: "shop", password: "no", retryStrategy: null });
        const [error] = await once(wrong, "error");
        assert.match(error.message, /^WRONGPASS /);
        wrong.disconnect();
    });
    await proxy.stop();
    file.remove();
}

async function restart() {
    const proxy = await Proxy.any();
    const r = new Redis(proxy.port);
    r.on("error", () => {});
    await r.set(`${prefix}kept`, "over a restart");
    await proxy.stop();
    await waitUntil("the client sees the end", () => r.status !== "ready");
    const waiting = r.get(`${prefix}kept`);
    await proxy.start();
    await equal("a request made while the proxy was down is answered after its restart", () => waiting, "over a restart");
    r.disconnect();
    await proxy.stop();
}

async function events(r) {
    const subscriber = new Redis(port);
    const key = `${prefix}ev`;
    const heard = [];
    subscriber.on("message", (channel, text) => heard.push(`${channel} ${text}`));
    subscriber.on("pmessage", (pattern, channel, text) => heard.push(`${pattern} ${channel} ${text}`));
    await equal("SUBSCRIBE and PSUBSCRIBE", async () => [
        await subscriber.subscribe(`__keyspace@0__:${key}`), await subscriber.psubscribe("__keyevent@0__:d*")], [1, 2]);
    await r.set(key, "1");
    await r.del(key);
    const mine = () => heard.filter((line) => line.includes(key));
    await waitUntil("three messages", () => mine().length >= 3);
    await equal("a subscriber hears SET and DEL", () => mine(), [
        `__keyspace@0__:${key} set`, `__keyspace@0__:${key} del`, `__keyevent@0__:d* __keyevent@0__:del ${key}`]);
    await equal("UNSUBSCRIBE, PUNSUBSCRIBE", async () => [
        await subscriber.unsubscribe(`__keyspace@0__:${key}`), await subscriber.punsubscribe("__keyevent@0__:d*")], [1, 0]);
    await equal("and it is a client as before", () => subscriber.get(key), null);
    subscriber.disconnect();
}

(async () => {
    const r = new Redis(port);
    await equal("PING with the library's defaults", () => r.ping(), "PONG");
    for (const part of [strings, values, many, transactions, connection, events, redirect, pause, monitor, users]) await check(`${part.name} ran to its end`, () => part(r));
    await check("restart ran to its end", restart);
    r.disconnect();
    finish();
})();
