"""What the scenarios run against: our stack, the peers and the data, private and on loopback.

Everything is started here and stopped here, by pid. Ports are below the kernel's ephemeral range.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(HERE, "build", "release", "bin")
LOAD = os.path.join(BIN, "ringfence-load")
ASIDE = os.path.join(BIN, "aside")

CLIENTS = 50  # where nothing else is said
KEYS = 100_000  # of the plain scenarios
COLD_KEYS = 400_000
MANY_KEYS = 10_000_000
PAYLOAD = '{"v":"' + "a" * 92 + '"}'  # of 100 bytes
NUMBER_BASE = 1_000_000_000  # keys end in ten digits, so that SQL needs no padding
READY_S = 30
# A machine that others use too may be late: that is not what is measured here.
PATIENCE = "--request-timeout-ms 5000 --write-timeout-ms 20000", "--read-timeout-ms 4000 --write-timeout-ms 18000"


def process_cpu_s(pid):
    """CPU seconds of all threads of a process (its CPU clock)."""
    return time.clock_gettime((~pid) << 3 | 2)


def thread_cpu_s(pid):
    """{thread id: CPU seconds}, from /proc/PID/task/TID/schedstat."""
    times = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as file:
            times[int(tid)] = int(file.read().split()[0]) / 1e9
    return times


def pin(pid, cores, nice):
    """All threads of a process; those it makes later follow the one that makes them. `nice` is its session's: where
    the kernel shares out the CPU by session first (autogroup), a process's own counts only within it."""
    try:
        if os.path.exists(f"/proc/{pid}/autogroup") and os.getuid() == 0:
            with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as file:
                file.write(str(nice))
        for tid in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(tid), cores)
    except (FileNotFoundError, ProcessLookupError):
        pass  # a database backend that left meanwhile


def children_of(parent):
    pids = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                pids.append(int(entry))
    return pids


class Failed(Exception):
    pass


class Lab:
    """Starts what a scenario asks for, on first use; close() stops all of it."""

    def __init__(self, seconds, nice):
        self.seconds, self.nice = seconds, nice
        self.dir = tempfile.mkdtemp(prefix="rf-bench-", dir="/var/tmp")
        self.children = []
        self.env = None
        self.cores = sorted(os.sched_getaffinity(0))
        self.made = {}

    def close(self):
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self.env is not None:
            self.stack("down")
        shutil.rmtree(self.dir, ignore_errors=True)

    def once(self, name, make):
        """`make()` the first time, its result later."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    # ---- processes ----

    def free_port(self):
        while True:
            port = random.randint(20000, 31000)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue

    def spawn(self, name, argv, port):
        """A server; returns when it accepts."""
        log = open(os.path.join(self.dir, name + ".log"), "wb")
        child = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        log.close()
        self.children.append(child)
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return child.pid
            if child.poll() is not None:
                break
            time.sleep(0.02)
        raise Failed(f"{name} did not start: see {argv}")

    def stack(self, verb, **settings):
        subprocess.run(
            [os.path.join(HERE, "ctl", "stack.sh"), verb, os.path.join(self.dir, "stack")],
            env={**os.environ, **settings}, check=True, stdout=subprocess.DEVNULL)

    # ---- ours ----

    def ringfence(self):
        """The stack: PostgreSQL, three nodes, a proxy of one worker. Values of its env file. PROXY_ARGS and NODE_ARGS in the environment: more options."""
        if self.env is None:
            self.env = {}
            self.stack("up", NODES="3", WORKERS="1", PROXY_PORT=str(self.free_port()), PROXY_ARGS=f"{PATIENCE[0]} {os.environ.get('PROXY_ARGS', '')}", NODE_ARGS=f"{PATIENCE[1]} {os.environ.get('NODE_ARGS', '')}")
            with open(os.path.join(self.dir, "stack", "env"), encoding="utf-8") as file:
                for line in file:
                    name, _, value = line.rstrip("\n").partition("=")
                    self.env[name] = value.strip('"')
        return self.env

    def proxy(self):
        env = self.ringfence()
        return int(env["PROXY_PORT"]), int(env["PROXY_PID"])

    def spawn_node(self, name, table, *options):
        """A node on the stack's database: its port and pid."""
        env, port = self.ringfence(), self.free_port()
        conninfo = f"host={env['PGHOST']} port={env['PGPORT']} dbname={env['PGDATABASE']} user=rf_node1"
        return port, self.spawn(name, [os.path.join(BIN, "ringfence-node"), "--name", name, "--conninfo", conninfo, "--table", table,
                                       *PATIENCE[1].split(), *options, "--port", str(port)], port)

    def ring_file(self, name, ports, weight):
        """The path of a ring file with these nodes: {name: port}."""
        path = os.path.join(self.dir, f"{name}.conf")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"node {node} 127.0.0.1:{port} weight={weight}\n" for node, port in ports.items())
        return path

    def spawn_proxy(self, name, ring_file, workers):
        port = self.free_port()
        return port, self.spawn(name, [os.path.join(BIN, "ringfence-proxy"), "--ring-file", ring_file, "--workers", str(workers),
                                       *PATIENCE[0].split(), "--port", str(port)], port)

    def proxy_two(self):
        """A second proxy on the same nodes, with two workers."""
        return self.once("proxy_two", lambda: self.spawn_proxy("proxy2", self.ringfence()["RING_FILE"], 2))

    def ten_nodes(self):
        """Ports of the stack's nodes and of seven more on the same table."""
        def make():
            ports = self.nodes()[0]
            return ports + [self.spawn_node(f"node{number}", "ringfence.entry")[0] for number in range(len(ports) + 1, 11)]
        return self.once("ten_nodes", make)

    def proxy_of_ten(self, weight):
        """A proxy of one worker in front of ten nodes of that weight, which has read every plain key: with 100 its ring has as
        many points as one of 1,000 nodes."""
        def make():
            ring = self.ring_file(f"ring{weight}", {f"node{number}": port for number, port in enumerate(self.ten_nodes(), 1)}, weight)
            port, pid = self.spawn_proxy(f"proxy_of_ten_{weight}", ring, 1)
            self.load(port, once="yes", clients=32, pipeline=16, seconds=60)
            return port, pid
        return self.once(f"proxy_of_ten_{weight}", make)

    def node_of_many(self):
        """A node of its own table, which holds all of its MANY_KEYS rows."""
        def make():
            self.schema("many")
            # Filled as one restores a dump: without triggers and indexes, which come after.
            self.sql("ALTER TABLE many.entry DISABLE TRIGGER ALL, DROP CONSTRAINT entry_pkey, SET UNLOGGED;"
                     f"INSERT INTO many.entry (key, payload, version) SELECT 'bench:' || ({NUMBER_BASE} + n), "
                     f"'{PAYLOAD}', n + 1 FROM generate_series(0, {MANY_KEYS - 1}) AS n")
            self.sql("SET maintenance_work_mem = '1GB'; ALTER TABLE many.entry ADD PRIMARY KEY (key); ANALYZE many.entry;"
                     "SELECT format('ALTER TABLE many.entry ENABLE ALWAYS TRIGGER %I', tgname) FROM pg_trigger"
                     " WHERE tgrelid = 'many.entry'::regclass AND NOT tgisinternal \\gexec")
            port, pid = self.spawn_node("many", "many.entry", "--cache-bytes-max", "4gb")
            # Read through a proxy, whose misses a node asks for together.
            proxy, _ = self.spawn_proxy("proxy_of_many", self.ring_file("ring_of_many", {"many": port}, 1), 1)
            self.load(proxy, keys=MANY_KEYS, once="yes", clients=32, pipeline=64, seconds=600)
            return port, pid
        return self.once("node_of_many", make)

    def nodes(self):
        env = self.ringfence()
        return [int(p) for p in env["NODE_PORTS"].split()], [int(p) for p in env["NODE_PIDS"].split()]

    def postgres_pids(self):
        parent = int(self.ringfence()["PG_PID"])
        return [parent] + children_of(parent)

    def pg_argv(self):
        env = self.ringfence()
        return ["-h", env["PGHOST"], "-p", env["PGPORT"], "-U", env["PGUSER"]]

    def sql(self, text):
        env = self.ringfence()
        done = subprocess.run(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", *self.pg_argv(), env["PGDATABASE"]], input=text,
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def schema(self, name):
        """One more of our tables: NAME.entry."""
        path = os.path.join(HERE, "configs", "schema.sql")
        self.sql(f"\\set rf_schema {name}\n\\i '{path}'\n")

    # ---- peers ----

    def redis(self, number):
        def make():
            port = self.free_port()
            return port, self.spawn(f"redis{number}", ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                                       "--appendonly", "no", "--dir", self.dir], port)
        return self.once(f"redis{number}", make)

    def memcached(self):
        def make():
            port = self.free_port()
            user = ["-u", "nobody"] if os.getuid() == 0 else []
            return port, self.spawn("memcached", ["memcached", "-p", str(port), "-l", "127.0.0.1", "-t", "1", "-m", "512",
                                                  "-U", "0", *user], port)
        return self.once("memcached", make)

    def nutcracker(self):
        """twemproxy in front of three redis servers."""
        def make():
            port = self.free_port()
            path = os.path.join(self.dir, "nutcracker.yml")
            with open(path, "w", encoding="ascii") as file:
                file.write(f"bench:\n  listen: 127.0.0.1:{port}\n  hash: fnv1a_64\n  distribution: ketama\n  redis: true\n"
                           "  preconnect: true\n  auto_eject_hosts: false\n  servers:\n")
                for number in (1, 2, 3):
                    file.write(f"   - 127.0.0.1:{self.redis(number)[0]}:1 redis{number}\n")
            stats = self.free_port()
            return port, self.spawn("nutcracker", ["nutcracker", "-c", path, "-a", "127.0.0.1", "-s", str(stats),
                                                   "-p", os.path.join(self.dir, "nutcracker.pid")], port)
        return self.once("nutcracker", make)

    def floor(self):
        """A server that answers with a constant: what its sockets cost any server (bench/floor.c)."""
        def make():
            port = self.free_port()
            return port, self.spawn("floor", [os.path.join(BIN, "floor"), str(port)], port)
        return self.once("floor", make)

    def redis_pids(self):
        return [self.redis(n)[1] for n in (1, 2, 3)]

    # ---- where things run ----

    def apart(self, *servers):
        """The servers under test on the first core, all else on the others: then no generator takes their core."""
        if len(self.cores) < 2:
            self.everywhere()
            return
        first, rest = {self.cores[0]}, set(self.cores[1:])
        self.everywhere(rest)
        for pid in servers:
            pin(pid, first, self.nice)

    def everywhere(self, cores=None, nice=None):
        """`nice`: 0 where a peer's backends come and go, which could not be given another."""
        self.load_cores, self.load_nice = cores or set(self.cores), self.nice if nice is None else nice
        pids = [child.pid for child in self.children]
        if self.env:
            pids += [int(p) for p in (self.env["PROXY_PID"] + " " + self.env["NODE_PIDS"]).split()] + self.postgres_pids()
        for pid in pids:
            pin(pid, self.load_cores, self.load_nice)

    load_cores, load_nice = None, 0

    def run(self, argv):
        """A generator: on the cores that were set, in a session of its own."""
        def before():
            if self.load_cores:
                pin(os.getpid(), self.load_cores, self.load_nice)
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, start_new_session=True,
                              preexec_fn=before)

    # ---- load ----

    def load(self, port, *, pids=None, must_hit=True, **options):
        """One run of ringfence-load; its figures."""
        path = os.path.join(self.dir, "figures.json")
        settings = {"clients": CLIENTS, "seconds": self.seconds, "warmup": 0 if "once" in options else 1, "keys": KEYS, "key_offset": NUMBER_BASE,
                    **options}
        argv = [LOAD, "--port", str(port), "--quiet", "yes", "--json-file", path]
        if pids:
            argv += ["--pids", ",".join(f"{name}={'+'.join(map(str, ids))}" for name, ids in pids.items())]
        for name, value in settings.items():
            argv += ["--" + name.replace("_", "-"), str(value)]
        done = self.run(argv)
        if done.returncode != 0:
            raise Failed(f"ringfence-load: {done.stderr.strip()}")
        with open(path, encoding="utf-8") as file:
            figures = json.load(file)
        if figures["errors"]:
            raise Failed(f"errors under load: {figures['errors']}: {figures['first_error']}")
        if must_hit and figures["nulls"]:
            raise Failed(f"{figures['nulls']} of the keys were not there")
        return figures

    def fill(self, port, **options):
        """Every key once, by SET."""
        self.load(port, gets=0, sets=1, once="yes", clients=32, pipeline=16, seconds=120, **options)

    def rows(self, prefix, count, low, high):
        """Rows of JSON payloads of `low` to `high` bytes, sizes log-uniform, straight into the table."""
        self.sql(f"""INSERT INTO ringfence.entry (key, payload)
            SELECT '{prefix}' || ({NUMBER_BASE} + n),
                   '{{"v":"' || repeat(chr(97 + n % 26), greatest(1, ({low} * power({high / low}, (n::bigint * 7919 % {count})::float8 / {count}))::int - 8)) || '"}}'
            FROM generate_series(0, {count - 1}) AS n
            ON CONFLICT (key) DO UPDATE SET payload = excluded.payload; ANALYZE ringfence.entry""")

    def aside(self, port, *, with_table, prefix, keys, threads, writes_per_mille):
        """An application with blocking clients (bench/aside.c): cache-aside with the table `bare`, or Ringfence at `port` alone."""
        env = self.ringfence()
        conninfo = f"host={env['PGHOST']} port={env['PGPORT']} user={env['PGUSER']} dbname={env['PGDATABASE']}" if with_table else "-"
        done = self.run([ASIDE, str(port), conninfo, prefix, str(NUMBER_BASE), str(keys), str(threads),
                         str(self.seconds), str(writes_per_mille)])
        if done.returncode != 0:
            raise Failed(f"aside ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        figures = json.loads(done.stdout)
        if figures["errors"] != 0:
            raise Failed(f"aside: {figures['errors']} wrong or missing replies")
        return figures

    def pgbench(self, script, clients, count, log=False):
        """Transactions a second of a pgbench script, prepared; with `log` also each latency in us. `count` for each second that others run: its
        clock for -T begins before 64 clients have connected, the rate per transaction does not."""
        env = self.ringfence()
        path = os.path.join(self.dir, "script.sql")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        prefix = os.path.join(self.dir, "pgbench_log")
        argv = ["pgbench", *self.pg_argv(), "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)),
                "-t", str(max(1, count * self.seconds // clients)), "-f", path]
        if log:
            argv += ["-l", "--log-prefix", prefix]
        done = self.run([*argv, env["PGDATABASE"]])
        rates = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("tps")]
        if done.returncode != 0 or not rates:
            raise Failed(f"pgbench ended with {done.returncode}: {done.stdout[-300:]} {done.stderr.strip()[-300:]}")
        rate = float(rates[0])
        latencies = []
        for name in os.listdir(self.dir):
            if log and name.startswith("pgbench_log"):
                with open(os.path.join(self.dir, name), encoding="ascii") as file:
                    latencies += [float(line.split()[2]) for line in file]
                os.unlink(os.path.join(self.dir, name))
        return rate, sorted(latencies)
