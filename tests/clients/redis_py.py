#!/usr/bin/python3
"""redis-py, Debian's (RESP2): its defaults, values of all kinds, pipelines, errors, a restart."""
import contextlib
import os
import select
import socket
import subprocess
import tempfile
import threading
import time

import redis

from harness import HOST, PORT, PREFIX, Proxy, check, check_equal, finish, wait_until

TEXTS = ["", "plain", "grüße, 世界, 🚀", "line\r\nbreak\ttab", "$5\r\n*3\r\n-ERR no\r\n", "\x01\x7f\u0080\uffff"]


def refused(call, begins):
    """The call raises an error reply that begins so."""
    try:
        got = call()
    except redis.ResponseError as e:
        return str(e).startswith(begins)
    raise AssertionError("no error but %r" % (got,))


def strings(r):
    key = PREFIX + "s"
    check_equal("GET of an absent key is None", r.get(key), None)
    check_equal("SET is True", r.set(key, "one"), True)
    check_equal("GET gives bytes", r.get(key), b"one")
    check_equal("SET NX of a present key is None", r.set(key, "two", nx=True), None)
    check_equal("SET XX of a present key is True", r.set(key, "two", xx=True), True)
    check_equal("SET GET gives the old value", r.set(key, "three", get=True), b"two")
    check_equal("GETSET gives the old value", r.getset(key, "four"), b"three")
    check_equal("STRLEN", r.strlen(key), 4)
    check_equal("TYPE", r.type(key), b"string")
    check_equal("EXISTS counts", r.exists(key, key, PREFIX + "none"), 2)
    check_equal("TOUCH counts", r.touch(key), 1)
    check_equal("GETDEL gives the value", r.getdel(key), b"four")
    check_equal("and deletes it", r.get(key), None)
    check_equal("SETNX of an absent key", r.setnx(key, "five"), True)
    check_equal("SETNX of a present key", r.setnx(key, "six"), False)
    check_equal("UNLINK", r.unlink(key), 1)
    check_equal("DEL counts what was there", r.delete(key), 0)
    check("DBSIZE is a number", isinstance(r.dbsize(), int))


def values(r):
    for i, text in enumerate(TEXTS):
        key = PREFIX + "text%d:%s" % (i, text)
        r.set(key, text)
        check_equal("text %d comes back, in key and value" % i, r.get(key), text.encode())
    big = ("0123456789abcdeß" * 65536).encode()[: 1 << 20].decode(errors="ignore")
    big += "x" * ((1 << 20) - len(big.encode()))
    r.set(PREFIX + "big", big)
    check("a value of 1 MiB comes back", r.get(PREFIX + "big") == big.encode() and len(big.encode()) == 1 << 20)
    check("one byte more is refused, in words", lambda: refused(
        lambda: r.set(PREFIX + "big", big + "x"), "value is longer than 1048576 bytes"))
    check("bytes that are no text are refused, in words", lambda: refused(
        lambda: r.set(PREFIX + "bin", b"\xff\xfe\x00"), "value is not valid UTF-8 text"))
    check_equal("and the connection goes on", r.ping(), True)


def many(r):
    pairs = {PREFIX + "m%d" % i: "värde %d" % i for i in range(200)}
    check_equal("MSET of 200 keys over all nodes", r.mset(pairs), True)
    got = r.mget(list(pairs) + [PREFIX + "absent"])
    check_equal("MGET brings them in order", got, [v.encode() for v in pairs.values()] + [None])
    check_equal("DEL of 200 keys", r.delete(*pairs), 200)
    check_equal("and they are gone", r.exists(*pairs), 0)


def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for i in range(500):
        pipe.set(PREFIX + "p%d" % (i % 20), i).get(PREFIX + "p%d" % (i % 20))
    got = pipe.execute()
    check_equal("a pipeline of 1000 sees its own writes",
                got, [x for i in range(500) for x in (True, str(i).encode())])
    pipe = r.pipeline(transaction=False)
    pipe.get(PREFIX + "p1").execute_command("LPUSH", PREFIX + "p1", "x").get(PREFIX + "p2")
    got = pipe.execute(raise_on_error=False)
    check("an error in a pipeline stays in its place",
          isinstance(got[1], redis.ResponseError) and got[0] == b"481" and got[2] == b"482", repr(got))


def transactions(r):
    a, b = PREFIX + "ta", PREFIX + "tb"
    got = r.pipeline().set(a, 1).set(b, 2, ex=100).mget(a, b, PREFIX + "none").ttl(b).delete(a).get(a).ping().execute()
    check_equal("pipeline(), which means MULTI", got, [True, True, [b"1", b"2", None], 100, 1, None, True])
    got = r.pipeline().set(a, "x").execute_command("EXPIRE", a, "x").get(a).execute(raise_on_error=False)
    check("an error of one command is an element", got[0] is True and isinstance(got[1], redis.ResponseError) and got[2] == b"x")
    check("an unknown command discards all", lambda: refused(
        lambda: r.pipeline().set(a, "y").execute_command("LPUSH", a, "x").execute(), "Command # 2"))
    check_equal("so nothing was done", r.get(a), b"x")
    c, d = PREFIX + "tc", PREFIX + "td"
    got = r.pipeline().msetnx({c: 1, d: 2}).msetnx({d: 3, PREFIX + "te": 4}).mget(c, d).execute()
    check_equal("MSETNX in a transaction: all or nothing", got, [True, False, [b"1", b"2"]])
    version = r.execute_command("RF.GET", c)[3]
    got = r.pipeline().execute_command("RF.SETVER", c, version, "5").execute_command("RF.SETVER", c, version, "6").execute_command("RF.GET", c).execute()
    check("RF.GET and RF.SETVER in a transaction", got[0] > version and got[1] is None and got[2][1:6:2] == [b"5", got[0], 1], repr(got))
    got = r.pipeline().set(c, 7).object("encoding", c).memory_usage(c).client_getname().execute()
    check("OBJECT, MEMORY and CLIENT in a transaction", got[0] and got[1] == b"int" and got[2] > 0 and got[3] is None, repr(got))
    pipe = r.pipeline()
    pipe.watch(a)
    r.set(a, "by somebody else")
    pipe.multi()
    pipe.set(b, "mine")
    try:
        pipe.execute()
        check("a watched key that changed is a WatchError", False)
    except redis.WatchError:
        check("a watched key that changed is a WatchError", True)
    check_equal("and nothing was done", r.get(b), b"2")
    r.set(a, 0)

    def add_one(p):
        n = int(p.get(a))
        p.multi()
        p.set(a, n + 1)

    many_threads = [threading.Thread(target=lambda: [r.transaction(add_one, a) for _ in range(10)]) for _ in range(4)]
    for t in many_threads:
        t.start()
    for t in many_threads:
        t.join()
    check_equal("transaction() of four threads loses nothing", r.get(a), b"40")
    lines = r.pipeline()
    for i in range(1000):
        lines.set(PREFIX + "tp%d" % (i % 50), i)
    check_equal("1000 commands in one", lines.execute(), [True] * 1000)


def errors(r):
    check("unknown command", lambda: refused(
        lambda: r.execute_command("LPUSH", "a", "b"), "unknown command 'LPUSH', with args beginning with: 'a' 'b'"))
    check("wrong arity", lambda: refused(
        lambda: r.execute_command("GET"), "wrong number of arguments for 'get' command"))
    check("an option that is none is refused", lambda: refused(
        lambda: r.execute_command("SET", PREFIX + "ex", 1, "EXX", 10), "syntax error"))
    check("a password alone, as Redis without one says", lambda: refused(
        redis.Redis(HOST, PORT, password="x").ping, "AUTH <password> called without any password configured"))
    check("the user default gets in with any password", redis.Redis(HOST, PORT, username="default", password="x").ping())
    check("another database is refused", lambda: refused(
        redis.Redis(HOST, PORT, db=1).ping, "DB index is out of range"))


def connection(r):
    named = redis.Redis(HOST, PORT, client_name="redis-py-test", decode_responses=True)
    check_equal("CLIENT SETNAME at connect", named.client_getname(), "redis-py-test")
    check("CLIENT LIST parses", any(c["name"] == "redis-py-test" and c["db"] == "0" for c in named.client_list()))
    check("CLIENT INFO parses", named.client_info()["name"] == "redis-py-test")
    check("CLIENT ID is a number", isinstance(named.client_id(), int))
    check("INFO parses", lambda: r.info()["loading"] == 0 and r.info("server")["tcp_port"] == PORT)
    check_equal("CONFIG GET parses", named.config_get("databases"), {"databases": "1"})
    check_equal("COMMAND parses", named.command()["get"]["first_key_pos"], 1)
    check_equal("COMMAND COUNT agrees", named.command_count(), len(named.command()))
    check_equal("COMMAND GETKEYS", named.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])
    check("TIME parses", lambda: r.time()[0] > 1500000000)
    check_equal("ECHO", r.echo("hej"), b"hej")
    check_equal("decode_responses", named.set(PREFIX + "d", "å") and named.get(PREFIX + "d"), "å")
    check_equal("health check by PING", redis.Redis(HOST, PORT, health_check_interval=1).ping(), True)
    check_equal("a URL", redis.Redis.from_url("redis://127.0.0.1:%d/0" % PORT).ping(), True)
    check_equal("localhost, whichever family", redis.Redis("localhost", PORT).ping(), True)


def threads(r):
    """50 threads of one pool, each with its own keys."""
    wrong = []

    def work(n):
        for i in range(20):
            key = PREFIX + "thread%d" % n
            r.set(key, i)
            if r.get(key) != str(i).encode():
                wrong.append((n, i))

    running = [threading.Thread(target=work, args=(n,)) for n in range(50)]
    for t in running:
        t.start()
    for t in running:
        t.join()
    check_equal("50 threads read their own writes", wrong, [])


def events(r):
    key = PREFIX + "ev"
    p = r.pubsub()

    def heard():
        message = p.get_message(timeout=20)
        return message and (message["type"], message["channel"], message["data"])

    p.psubscribe("__keyspace@0__:" + PREFIX + "ev*")
    p.subscribe("__keyspace@0__:" + key)
    check_equal("psubscribe is confirmed", heard(), ("psubscribe", ("__keyspace@0__:" + PREFIX + "ev*").encode(), 1))
    check_equal("subscribe is confirmed", heard(), ("subscribe", ("__keyspace@0__:" + key).encode(), 2))
    for call, event in ((lambda: r.set(key, "1"), b"set"), (lambda: r.delete(key), b"del")):
        call()
        check_equal("%s is heard by both" % event.decode(), {heard(), heard()}, {
            (kind, ("__keyspace@0__:" + key).encode(), event) for kind in ("message", "pmessage")})
    check_equal("PUBSUB NUMSUB", r.pubsub_numsub("__keyspace@0__:" + key), [(("__keyspace@0__:" + key).encode(), 1)])
    check("PUBLISH is refused, in words", lambda: refused(lambda: r.publish("x", "y"), "PUBLISH is not supported here"))
    check_equal("CONFIG SET notify-keyspace-events is taken", r.config_set("notify-keyspace-events", "KEA"), True)
    p.unsubscribe()
    check_equal("unsubscribe is confirmed", heard(), ("unsubscribe", ("__keyspace@0__:" + key).encode(), 1))
    p.close()


def redirect(r):
    """CLIENT TRACKING REDIRECT: a pool's connections read, one subscriber is told, whoever writes."""
    p = r.pubsub()
    p.connection = r.connection_pool.get_connection("pubsub")
    p.connection.register_connect_callback(p.on_connect)
    p.connection.send_command("CLIENT", "ID")
    number = p.connection.read_response()
    p.subscribe("__redis__:invalidate")
    check_equal("the channel is subscribed to", p.get_message(timeout=20)["type"], "subscribe")

    def is_told_of(key):
        """Perhaps behind what another node says once more of a key that was read again."""
        message = p.get_message(timeout=20)
        while message and message["data"] != [key]:
            message = p.get_message(timeout=20)
        return message and (message["type"], message["channel"])

    readers = [redis.Redis(HOST, PORT, single_connection_client=True) for _ in range(4)]
    for i, reader in enumerate(readers):
        key = PREFIX + "redirect%d" % i
        check_equal("CLIENT TRACKING ON REDIRECT", reader.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", number), b"OK")
        check_equal("CLIENT GETREDIR", reader.client_getredir(), number)
        r.set(key, "1")
        check_equal("it reads", reader.get(key), b"1")
        if i % 2 == 0:
            r.set(key, "2")
        else:
            subprocess.run(["psql", "-qXc", "UPDATE %s SET payload = '2' WHERE key = '%s'" % (os.environ["RF_TABLE"], key)], check=True)
        check_equal("the subscriber is told", is_told_of(key.encode()), ("message", b"__redis__:invalidate"))
        wait_until("the new value", lambda: reader.get(key) == b"2")  # pylint: disable=cell-var-from-loop
    p.close()
    for reader in readers:
        reader.close()


def pause(r):
    key = PREFIX + "paused"
    r.set(key, "1")
    with contextlib.closing(socket.create_connection((HOST, PORT))) as s:
        check_equal("CLIENT PAUSE WRITE", r.execute_command("CLIENT", "PAUSE", "20000", "WRITE"), b"OK")
        s.sendall(b"SET %s 2\r\nGET %s\r\n" % (key.encode(), key.encode()))
        check_equal("reads go on", [r.get(key) for _ in range(20)], [b"1"] * 20)
        check_equal("and a write waits, with all that its client said behind it", select.select([s], [], [], 0.2)[0], [])
        check_equal("CLIENT UNPAUSE", r.client_unpause(), b"OK")
        s.settimeout(20)
        check_equal("then it is done", s.recv(5), b"+OK\r\n")
        wait_until("the new value", lambda: r.get(key) == b"2")
    check_equal("CLIENT PAUSE of everything", r.client_pause(200), True)
    check_equal("ends by itself", r.ping(), True)


def monitor(r):
    key = PREFIX + "monitored"
    check_equal("CONFIG SET allow-monitor", r.config_set("allow-monitor", "yes"), True)
    time.sleep(0.2)  # the other worker has yet to hear of it, and the pool has connections there too
    with r.monitor() as m:
        r.set(key, "one two")
        for _ in range(50):  # its worker may hear of it a turn later
            r.get(key)
        command = m.next_command()
        while key not in command["command"]:
            command = m.next_command()
        check("MONITOR is read by the library", command["client_type"] == "tcp" and command["db"] == 0 and
              command["command"] in ("SET %s one two" % key, "GET " + key), repr(command))
    check_equal("CONFIG SET allow-monitor no", r.config_set("allow-monitor", "no"), True)


def users(r):
    """A proxy with a users file: who has a prefix sees its own keys alone."""
    own = PREFIX + "own:"
    with tempfile.TemporaryDirectory(prefix="rf-users-", dir="/var/tmp") as folder:
        path = os.path.join(folder, "users")
        ctl = os.path.join(os.path.dirname(os.environ["RF_PROXY_BIN"]), "ringfence-ctl")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
            f.write(subprocess.run([ctl, "user", "line", "shop", "write", own], input=b"pw\n", check=True, stdout=subprocess.PIPE).stdout)
        with Proxy("--users-file", path) as proxy:
            shop = redis.Redis(HOST, proxy.port, username="shop", password="pw", decode_responses=True)
            keys = {own + str(i): "v" for i in range(50)}
            r.mset({PREFIX + "else:1": "x", PREFIX + "else:2": "y"})
            check_equal("a user sets its own keys", shop.mset(keys), True)
            check_equal("scan_iter() shows these alone", sorted(shop.scan_iter(count=20)), sorted(keys))
            check_equal("KEYS and DBSIZE", (len(shop.keys("*")), shop.dbsize()), (50, 50))
            check("another's key is refused", lambda: refused(lambda: shop.get(PREFIX + "else:1"), "this user has no permissions"))
            check("a wrong password is refused", lambda: refused(
                redis.Redis(HOST, proxy.port, username="shop", password="no").ping, "WRONGPASS"))


def restart():
    with Proxy() as proxy:
        r = redis.Redis(HOST, proxy.port, retry_on_error=[redis.ConnectionError])
        r.set(PREFIX + "kept", "over a restart")
        proxy.stop()
        try:
            r.get(PREFIX + "kept")
            check("a stopped proxy is a ConnectionError", False)
        except redis.ConnectionError:
            check("a stopped proxy is a ConnectionError", True)
        proxy.start()

        def back():
            try:
                return r.get(PREFIX + "kept") == b"over a restart"
            except redis.ConnectionError:
                return False

        wait_until("the value after a restart", back)
        check("after a restart the same client goes on", True)


def main():
    r = redis.Redis(HOST, PORT)
    check_equal("PING with the library's defaults", r.ping(), True)
    for part in (strings, values, many, pipelines, transactions, errors, connection, threads, events, redirect, pause, monitor, users):
        try:
            part(r)
        except Exception as e:  # pylint: disable=broad-except
            check("%s ran to its end" % part.__name__, False, repr(e))
    try:
        restart()
    except Exception as e:  # pylint: disable=broad-except
        check("restart ran to its end", False, repr(e))
    finish()


main()
