"""The scenarios: what each stands for, its contenders, and the goals that are judged on it.

A scenario is run several times; each time its contenders run one after the other, in turning order, and each of
its goals gets one value from that pair. Medians are judged, min and max are shown.
"""

import statistics
import subprocess
import time

from lab import CLIENTS, COLD_KEYS, Failed, HERE, KEYS, MANY_KEYS, PAYLOAD, process_cpu_s, thread_cpu_s

CROWD = 200  # clients
SQL_CLIENTS = 64


class Goal:
    """`value(figures)`: one number from {contender: figures}. `bound`: None where nothing was promised."""

    def __init__(self, name, text, value, bound=None, unit="x"):
        self.name, self.text, self.value, self.bound, self.unit = name, text, value, bound, unit

    def met(self, value):
        if self.bound is None:
            return None
        side, limit = self.bound
        return value <= limit if side == "<=" else value >= limit


class Scenario:
    def __init__(self, name, about, contenders, goals, prepare=None):
        self.name, self.about, self.contenders, self.goals, self.prepare = name, about, contenders, goals, prepare


def cpu_ratio(ours, theirs, role):
    return lambda f: f[ours]["cpu_us_per_request"][role] / f[theirs]["cpu_us_per_request"][role]


def rate_ratio(ours, theirs):
    return lambda f: f[ours]["per_second"] / f[theirs]["per_second"]


# ---- data ----

def fill_plain(lab):
    """The plain keys, 100 bytes: in the table, warm in the nodes, and in the three redis behind nutcracker."""
    def make():
        lab.rows("bench:", KEYS, 100, 100)
        lab.load(lab.proxy()[0], once="yes", clients=32, pipeline=16, seconds=60)
        lab.fill(lab.nutcracker()[0])
        return True
    lab.once("plain", make)


def fill_direct(lab):
    """All plain keys in node 1, redis 1 and memcached each."""
    def make():
        fill_plain(lab)
        lab.load(lab.nodes()[0][0], once="yes", clients=32, pipeline=16, seconds=60)
        lab.fill(lab.redis(1)[0])
        lab.fill(lab.memcached()[0], protocol="memcached")
        return True
    lab.once("direct", make)


MISSION = {"prefix": "mission:", "zipf": "0.99", "gets": 198, "mgets": 792, "sets": 10, "mget_keys_min": 2, "mget_keys_max": 5,
           "value_min": 100, "value_max": 2048, "clients": 64}


def fill_mission(lab):
    def make():
        lab.rows("mission:", KEYS, 100, 2048)
        lab.load(lab.proxy()[0], prefix="mission:", once="yes", clients=32, pipeline=16, seconds=60)
        lab.fill(lab.nutcracker()[0], prefix="mission:", value_min=100, value_max=2048)
        return True
    lab.once("mission", make)


def mission_rate(lab):
    """Half of what the peer carries at most, once for all repeats: with a rate of its own each would be another load."""
    fill_mission(lab)
    lab.once("mission_rate", lambda: int(statistics.median(mission_theirs(lab, pipeline=1)["per_second"] for _ in range(5)) / 2))


def fill_cold(lab):
    lab.once("cold", lambda: lab.rows("cold:", COLD_KEYS, 100, 100) or True)


def fill_bare(lab):
    """A bare table for pgbench: no triggers, no versions."""
    def make():
        fill_plain(lab)
        lab.sql("CREATE TABLE bare (key text COLLATE \"C\" PRIMARY KEY, payload text NOT NULL);"
                "INSERT INTO bare SELECT key, payload FROM ringfence.entry WHERE key LIKE 'bench:%'; ANALYZE bare; CHECKPOINT")
        return True
    lab.once("bare", make)


# ---- contenders ----

def through_proxy(**options):
    def run(lab):
        port, pid = lab.proxy()
        lab.apart(pid)
        return lab.load(port, pids={"proxy": [pid], "nodes": lab.nodes()[1]}, **options)
    return run


def through_nutcracker(**options):
    def run(lab):
        port, pid = lab.nutcracker()
        lab.apart(pid)
        return lab.load(port, pids={"proxy": [pid], "nodes": lab.redis_pids()}, **options)
    return run


def direct(server, role="server", **options):
    def run(lab):
        port, pid = server(lab)
        lab.apart(pid)
        return lab.load(port, pids={role: [pid]}, **options)
    return run


def floor(**options):
    """In a proxy's place: a server that answers with a constant."""
    return direct(lambda lab: lab.floor(), role="proxy", **options)


def first_node(lab):
    ports, pids = lab.nodes()
    return ports[0], pids[0]


def chain(target, backends):
    """Everything on all cores: what the whole chain carries."""
    def run(lab):
        port, pid = target(lab)
        lab.everywhere()
        return lab.load(port, pipeline=16, pids={"proxy": [pid], "nodes": backends(lab)})
    return run


def mission_ours(lab, **options):
    lab.everywhere()
    port, pid = lab.proxy()
    return lab.load(port, **MISSION, **options, pids={"proxy": [pid], "nodes": lab.nodes()[1], "postgres": lab.postgres_pids()})


def mission_theirs(lab, **options):
    lab.everywhere()
    port, pid = lab.nutcracker()
    return lab.load(port, **MISSION, **options, pids={"proxy": [pid], "nodes": lab.redis_pids()})


def at_half(run):
    return lambda lab: run(lab, pipeline=32, rate=lab.made["mission_rate"])


def at_peak(run):
    return lambda lab: run(lab, pipeline=1)


def set_durable(depth):
    def run(lab):
        lab.everywhere(nice=0)
        port, pid = lab.proxy()
        return lab.load(port, gets=0, sets=1, clients=SQL_CLIENTS, pipeline=depth,
                        pids={"proxy": [pid], "nodes": lab.nodes()[1], "postgres": lab.postgres_pids()})
    return run


def pgbench_upsert(lab):
    lab.everywhere(nice=0)
    script = (f"\\set n random(1000000000, {1_000_000_000 + KEYS - 1})\n"
              f"INSERT INTO bare (key, payload) VALUES ('bench:' || :n, '{PAYLOAD}') "
              "ON CONFLICT (key) DO UPDATE SET payload = excluded.payload;\n")
    return {"per_second": lab.pgbench(script, SQL_CLIENTS, 6000)[0]}


ASIDE = {"prefix": "bench:", "keys": KEYS, "threads": 32, "writes_per_mille": 10}


def aside_ours(lab):
    """From a cold start: every copy is distrusted."""
    lab.everywhere(nice=0)
    lab.sql("SELECT ringfence.everything()")
    return lab.aside(lab.proxy()[0], with_table=False, **ASIDE)


def aside_redis(lab):
    """From a cold start, with a table that has no triggers and no versions"""
    lab.everywhere(nice=0)
    port, _ = lab.redis(4)
    subprocess.run(["redis-cli", "-p", str(port), "FLUSHALL"], check=True, stdout=subprocess.DEVNULL)
    return lab.aside(port, with_table=True, **ASIDE)


SELECT = (f"\\set n random(1000000000, {1_000_000_000 + COLD_KEYS - 1})\n"
          "SELECT payload FROM ringfence.entry WHERE key = 'cold:' || :n;\n")


def get_cold(depth):
    """Nothing is trusted any more, so each key is fetched from the table once."""
    def run(lab):
        lab.everywhere(nice=0)
        lab.sql("SELECT ringfence.everything()")
        port, pid = lab.proxy()
        figures = lab.load(port, prefix="cold:", keys=COLD_KEYS, once="yes", clients=SQL_CLIENTS, pipeline=depth,
                           pids={"proxy": [pid], "nodes": lab.nodes()[1], "postgres": lab.postgres_pids()})
        return figures
    return run


def pgbench_select(lab):
    lab.everywhere(nice=0)
    return {"per_second": lab.pgbench(SELECT, SQL_CLIENTS, 24000)[0]}


def miss_alone(lab):
    lab.everywhere(nice=0)
    lab.sql("SELECT ringfence.everything()")
    return lab.load(lab.proxy()[0], prefix="cold:", keys=COLD_KEYS, once="yes", clients=1, pipeline=1)


def select_alone(lab):
    lab.everywhere(nice=0)
    rate, latencies = lab.pgbench(SELECT, 1, 6000, log=True)
    return {"per_second": rate, "latency_us": {"p50": latencies[len(latencies) // 2], "p99": latencies[len(latencies) * 99 // 100]}}


def workers(target, clients):
    def run(lab):
        port, pid = target(lab)
        lab.everywhere()
        before = thread_cpu_s(pid)
        figures = lab.load(port, clients=clients, pipeline=16, pids={"proxy": [pid]})
        used = [after - before.get(tid, 0) for tid, after in thread_cpu_s(pid).items()]
        figures["busiest_us"] = figures["cpu_us_per_request"]["proxy"] * max(used) / sum(used)
        return figures
    return run


def redis_benchmark(target):
    """The benchmark that everybody has, at its usual depth of 16, judged by the proxy's CPU time."""
    count = 600_000
    def run(lab):
        port, pid = target(lab)
        lab.apart(pid)
        before, began = process_cpu_s(pid), time.monotonic()
        done = lab.run(["redis-benchmark", "-p", str(port), "-c", str(CLIENTS), "-P", "16", "-n", str(count), "-r", str(KEYS), "-q",
                        "GET", "bench:1__rand_int__"])
        if done.returncode != 0:
            raise Failed(f"redis-benchmark: {done.stderr[-300:]}")
        return {"per_second": count / (time.monotonic() - began),
                "cpu_us_per_request": {"proxy": (process_cpu_s(pid) - before) * 1e6 / count}}
    return run


def growth(lab):
    """Micro benchmarks: what 1,000 nodes and 10^7 keys add to a lookup, over what a GET costs its process."""
    def make():
        text = subprocess.run([f"{HERE}/build/release/bin/micro_growth"], check=True, stdout=subprocess.PIPE, text=True).stdout
        return {name: float(value) for name, value in (line.split()[:2] for line in text.splitlines())}
    return lab.once("growth", make)


def growth_ratio(small, large, scenario, role):
    def value(f):
        return 1 + (f["micro"][large] - f["micro"][small]) / 1000 / f[scenario]["cpu_us_per_request"][role]
    return value


NUTCRACKER = "nutcracker + 3 redis"
FLOOR = "a constant answer"


def proxies(**options):
    """Both proxies with the usual number of clients and with a crowd, and what answers with a constant."""
    return {"ringfence": through_proxy(**options), NUTCRACKER: through_nutcracker(**options), FLOOR: floor(**options),
            f"ringfence, {CROWD} clients": through_proxy(clients=CROWD, **options),
            f"{NUTCRACKER}, {CROWD} clients": through_nutcracker(clients=CROWD, **options)}


def proxy_goals(name, text, floor_text, bound):
    return [Goal(name, text, cpu_ratio("ringfence", NUTCRACKER, "proxy"), ("<=", bound)),
            Goal(f"{name}_floor", floor_text, cpu_ratio(FLOOR, NUTCRACKER, "proxy")),
            Goal(f"{name}_crowd", f"the same with {CROWD} clients",
                 cpu_ratio(f"ringfence, {CROWD} clients", f"{NUTCRACKER}, {CROWD} clients", "proxy"))]


SCENARIOS = [
    Scenario("proxy-get-16", "Pipelining clients that read hot keys: 50 connections, 16 GETs deep, 100 bytes; the proxy's CPU time.", proxies(pipeline=16),
             proxy_goals("proxy_get_16", "proxy CPU per GET, 16 deep, vs nutcracker", "the same of a server that answers with a constant", 0.20),
             fill_plain),
    Scenario("proxy-get-1", "Plain clients, one request at a time: 50 connections, GET, 100 bytes; the proxy's CPU time.", proxies(),
             proxy_goals("proxy_get_1", "proxy CPU per GET, no pipeline, vs nutcracker",
                         "the same of a server that answers with a constant, no pipeline", 0.60),
             fill_plain),
    Scenario("proxy-mget-5", "A request that needs five documents of different nodes: MGET of 5, no pipeline; split and merge.", proxies(gets=0, mgets=1),
             proxy_goals("proxy_mget_5", "proxy CPU per MGET of 5 vs nutcracker", "the same of a server that answers MGETs with a constant", 0.60),
             fill_plain),
    Scenario("node-get-16", "A node alone against other caches: 50 connections, 16 GETs deep, 100 bytes; the server's CPU time.",
             {"ringfence": direct(first_node, pipeline=16), "redis": direct(lambda lab: lab.redis(1), pipeline=16),
              "memcached": direct(lambda lab: lab.memcached(), pipeline=16, protocol="memcached")},
             [Goal("node_get_16", "node CPU per GET, 16 deep, vs redis-server", cpu_ratio("ringfence", "redis", "server"), ("<=", 0.60)),
              Goal("node_get_16_memcached", "the same vs memcached", cpu_ratio("ringfence", "memcached", "server"))],
             fill_direct),
    Scenario("chain-get-16", "The whole chain on all cores: client, proxy, three nodes; GET 16 deep; requests a second.",
             {"ringfence": chain(lambda lab: lab.proxy(), lambda lab: lab.nodes()[1]),
              NUTCRACKER: chain(lambda lab: lab.nutcracker(), lambda lab: lab.redis_pids())},
             [Goal("chain_get_16", "throughput of the chain, GET 16 deep, vs nutcracker + redis", rate_ratio("ringfence", NUTCRACKER), (">=", 2.5))],
             fill_plain),
    Scenario("mission", "What Ringfence is for: 1-5 keys a request, 99 % reads, Zipf 0.99, JSON of 100 bytes to 2 KB, 64 clients; "
             "open loop at half of the peer's peak rate, latency from the intended start. Our writes are durable, the peer's are not.",
             {"ringfence": at_half(mission_ours), NUTCRACKER: at_half(mission_theirs)},
             [Goal("mission_p99", "p99 of the mission's reads at half of the peer's peak, vs nutcracker + redis",
                   lambda f: f["ringfence"]["by_op"]["reads"]["p99"] / f[NUTCRACKER]["by_op"]["reads"]["p99"], ("<=", 0.7)),
              Goal("mission_p99_all", "p99 of reads and (durable here) writes together",
                   lambda f: f["ringfence"]["latency_us"]["p99"] / f[NUTCRACKER]["latency_us"]["p99"]),
              Goal("mission_p50", "p50 of the mission's reads",
                   lambda f: f["ringfence"]["by_op"]["reads"]["p50"] / f[NUTCRACKER]["by_op"]["reads"]["p50"])],
             mission_rate),
    Scenario("mission-peak", "The same mix as fast as it is answered: closed loop, one request at a time of each client.",
             {"ringfence": at_peak(mission_ours), NUTCRACKER: at_peak(mission_theirs)},
             [Goal("mission_peak", "peak rate of the mission's mix, closed loop", rate_ratio("ringfence", NUTCRACKER))],
             fill_mission),
    Scenario("set-durable", "Writes that survive a crash: SET through the proxy, 64 clients, against single-row upserts into a bare table "
             "(no triggers) by pgbench with 64 clients; fsync on for both.",
             {"1": set_durable(1), "16": set_durable(16), "pgbench": pgbench_upsert},
             [Goal("set_1", "SETs a second, no pipeline, vs pgbench upserts", rate_ratio("1", "pgbench"), (">=", 2)),
              Goal("set_16", "SETs a second, 16 deep, vs pgbench upserts", rate_ratio("16", "pgbench"), (">=", 5))],
             fill_bare),
    Scenario("get-cold", "A cold start: every GET is a miss, 64 clients, against prepared SELECTs of the same rows by pgbench with 64 clients.",
             {"1": get_cold(1), "16": get_cold(16), "pgbench": pgbench_select},
             [Goal("cold_1", "cold GETs a second, no pipeline, vs pgbench SELECTs", rate_ratio("1", "pgbench"), (">=", 1)),
              Goal("cold_16", "cold GETs a second, 16 deep, vs pgbench SELECTs", rate_ratio("16", "pgbench"), (">=", 3))],
             fill_cold),
    Scenario("cache-aside", "What an application would write instead: 32 blocking clients from a cold start, 99 % reads, Zipf 0.99, each looks into "
             "one redis, then into PostgreSQL, and deletes after its writes (stale copies live up to their 60 s); against the same clients of the proxy.",
             {"ringfence": aside_ours, "redis + PostgreSQL": aside_redis},
             [Goal("aside_rate", "requests a second, vs an application's cache-aside", rate_ratio("ringfence", "redis + PostgreSQL")),
              Goal("aside_read_p99", "p99 of reads", lambda f: f["ringfence"]["reads"]["p99"] / f["redis + PostgreSQL"]["reads"]["p99"]),
              Goal("aside_write_p50", "p50 of writes",
                   lambda f: f["ringfence"]["writes"]["p50"] / f["redis + PostgreSQL"]["writes"]["p50"])],
             fill_bare),
    Scenario("miss-latency", "One client on an idle system: what a miss costs more than asking PostgreSQL directly.",
             {"ringfence": miss_alone, "pgbench": select_alone},
             [Goal("miss_extra_ms", "a miss over a bare prepared SELECT, median, idle system",
                   lambda f: (f["ringfence"]["latency_us"]["p50"] - f["pgbench"]["latency_us"]["p50"]) / 1000, ("<=", 0.15), "ms")],
             fill_cold),
    Scenario("workers", "A proxy with two workers: what its busiest thread spends per request, against the only thread of one; each worker with as many "
             "clients as the one has, since with half of them each gathers half as much for the same nodes.",
             {"one": workers(lambda lab: lab.proxy(), CLIENTS), "two": workers(lambda lab: lab.proxy_two(), 2 * CLIENTS),
              "two, clients shared": workers(lambda lab: lab.proxy_two(), CLIENTS)},
             [Goal("workers_two", "capacity of two workers vs one, by CPU of the busiest", lambda f: f["one"]["busiest_us"] / f["two"]["busiest_us"], (">=", 1.8)),
              Goal("workers_two_shared", "the same with half of the clients at each",
                   lambda f: f["one"]["busiest_us"] / f["two, clients shared"]["busiest_us"])],
             fill_plain),
    Scenario("growth", "A large house: a ring with the points of 1,000 nodes against one of 10, before the same 10 nodes (it is the ring that grows, not "
             "the connections); and a node that holds 10^7 keys, all of which are read, against one of 10^5.",
             {"10 nodes": direct(lambda lab: lab.proxy_of_ten(1), role="proxy", pipeline=16),
              "1,000 nodes": direct(lambda lab: lab.proxy_of_ten(100), role="proxy", pipeline=16),
              "10^5 keys": direct(first_node, pipeline=16),
              "10^7 keys": direct(lambda lab: lab.node_of_many(), pipeline=16, keys=MANY_KEYS), "micro": growth},
             [Goal("growth_ring", "proxy CPU per GET, ring of 1,000 nodes vs 10", cpu_ratio("1,000 nodes", "10 nodes", "proxy"), ("<=", 1.10)),
              Goal("growth_ring_lookup", "the same by a lookup alone, nothing fetched ahead", growth_ratio("ring_3", "ring_1000", "10 nodes", "proxy")),
              Goal("growth_keys", "node CPU per GET, 10^7 keys vs 10^5", cpu_ratio("10^7 keys", "10^5 keys", "server"), ("<=", 1.10)),
              Goal("growth_keys_lookup", "the same by lookups alone, 16 at once", growth_ratio("keys_1e5", "keys_1e7", "10^5 keys", "server")),
              Goal("growth_keys_alone", "the same by a lookup alone, nothing fetched ahead", growth_ratio("alone_1e5", "alone_1e7", "10^5 keys", "server"))],
             fill_direct),
    Scenario("redis-benchmark", "The benchmark that everybody has: redis-benchmark -c 50 -P 16 against both proxies.",
             {"ringfence": redis_benchmark(lambda lab: lab.proxy()), NUTCRACKER: redis_benchmark(lambda lab: lab.nutcracker())},
             [Goal("redis_benchmark_cpu", "proxy CPU per GET under redis-benchmark", cpu_ratio("ringfence", NUTCRACKER, "proxy")),
              Goal("redis_benchmark_rate", "requests a second that redis-benchmark reports", rate_ratio("ringfence", NUTCRACKER))],
             fill_plain),
]
