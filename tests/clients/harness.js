// harness: what the client tests in JavaScript share: one line a check, a proxy of one's own that may be restarted.
"use strict";
const assert = require("node:assert");
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");

const port = Number(process.env.RF_PROXY_PORT);
const prefix = `client:${process.pid}:${Math.floor(Math.random() * 1e9)}:`;
let passed = 0;
let failed = 0;

/** One line; `body` may be async, and fails by throwing. Nothing may take longer than `seconds`. */
async function check(name, body, seconds = 30) {
    let timer;
    try {
        const late = new Promise((_, reject) => {
            timer = setTimeout(() => reject(new Error(`no end after ${seconds} s`)), seconds * 1000);
        });
        await Promise.race([body(), late]);
        passed++;
        console.log(`ok - ${name}`);
    } catch (e) {
        failed++;
        console.log(`not ok - ${name} ${String(e.stack || e).split("\n").slice(0, 12).join(" | ")}`);
    } finally {
        clearTimeout(timer);
    }
}

/** check() that the promise of `body` gives `wanted`. */
function equal(name, body, wanted) {
    return check(name, async () => assert.deepStrictEqual(await body(), wanted));
}

/** check() that `body` is refused with a text that begins so. */
function refused(name, body, begins) {
    return check(name, () => assert.rejects(async () => body(), (e) => {
        assert.ok(e.message.startsWith(begins), e.message);
        return true;
    }));
}

function finish() {
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

function sleep(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
}

async function waitUntil(what, condition, seconds = 20) {
    const until = Date.now() + seconds * 1000;
    while (Date.now() < until) {
        if (await condition()) return;
        await sleep(20);
    }
    throw new Error(`${what}: not within ${seconds} s`);
}

function answers(at) {
    return new Promise((resolve) => {
        const socket = net.connect(at, "127.0.0.1", () => socket.write("PING\r\n"));
        socket.setTimeout(1000, () => socket.destroy());
        socket.on("data", (data) => {
            resolve(/^(\+PONG|-NOAUTH )/.test(data.toString()));
            socket.destroy();
        });
        socket.on("error", () => resolve(false));
        socket.on("close", () => resolve(false));
    });
}

/** One statement with psql; `{table}` in it is the table. */
function sql(statement) {
    execFileSync("psql", ["-qX", "-v", "ON_ERROR_STOP=1", "-c", statement.replace("{table}", process.env.RF_TABLE)]);
}

/** A users file in a folder of its own, of lines as `user line` of ringfence-ctl takes them: [name, role, prefix, password]. */
class Users {
    constructor(lines) {
        this.folder = fs.mkdtempSync("/var/tmp/rf-users-");
        this.file = path.join(this.folder, "users");
        const ctl = path.join(path.dirname(process.env.RF_PROXY_BIN), "ringfence-ctl");
        fs.writeFileSync(this.file, lines.map(([name, role, scope, password]) =>
            execFileSync(ctl, ["user", "line", name, role, scope], { input: `${password}\n` })).join(""), { mode: 0o600 });
    }

    remove() {
        fs.rmSync(this.folder, { recursive: true });
    }
}

/** A second proxy in front of the same nodes. */
class Proxy {
    /** Starts one on a free port; `args`: more options of it. */
    static async any(args = []) {
        const proxy = new Proxy();
        proxy.args = args;
        for (let i = 0; i < 50; i++) {
            proxy.port = 12000 + Math.floor(Math.random() * 7000);
            if (await proxy.start()) return proxy;
        }
        throw new Error("no free port for a second proxy");
    }

    /** On this.port, the same again after stop(). False: it ended, the port is taken. */
    async start() {
        this.process = spawn(process.env.RF_PROXY_BIN,
            ["--ring-file", process.env.RF_RING_FILE, "--port", String(this.port), "--workers", "1",
                "--log-level", "warn", "--drain-ms", "200", "--request-timeout-ms", "10000",
                "--write-timeout-ms", "30000", ...this.args], { stdio: "ignore" });
        this.ended = new Promise((resolve) => this.process.once("exit", resolve));
        const running = () => this.process.exitCode === null;
        await waitUntil("a second proxy", async () => !running() || (await answers(this.port)));
        return running();
    }

    async stop() {
        this.process.kill();
        await this.ended;
    }
}

/** 1 MiB of text with characters of one to four bytes. */
function mebibyte() {
    const unit = "aé世🚀-";
    const text = unit.repeat(Math.floor((1 << 20) / Buffer.byteLength(unit)));
    return text + "x".repeat((1 << 20) - Buffer.byteLength(text));
}

module.exports = { assert, check, equal, refused, finish, sleep, waitUntil, sql, Users, Proxy, mebibyte, port, prefix };
