# Ringfence. `make run` starts everything privately, `make test` runs every test; README.md tells the rest.
FLAVOUR ?= release
CC ?= gcc
PKGS := libevent_core libevent_extra libevent_pthreads libpq libxxhash jansson libcrypto
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wno-unused-parameter
# The daemons are optimised as a whole; tests link the same objects without that, which is much faster.
CFLAGS_release := -O2 -g -flto=auto -ffat-lto-objects -fno-semantic-interposition
CFLAGS_planted := -O2 -g -DRINGFENCE_WITH_PLANTS
CFLAGS_coverage := -O0 -g -Wno-format-truncation --coverage -fprofile-update=atomic
CFLAGS_debug := -O1 -g -fno-omit-frame-pointer
# Under the sanitizers gcc no longer sees the ranges of numbers, and warns of text that always fits.
CFLAGS_asan := -O1 -g -Wno-format-truncation -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_tsan := -O1 -g -Wno-format-truncation -fno-omit-frame-pointer -fsanitize=thread
CFLAGS_all := -std=gnu17 -D_GNU_SOURCE $(WARN) $(CFLAGS_$(FLAVOUR)) $(shell pkg-config --cflags $(PKGS)) $(CFLAGS)
LIBS := $(shell pkg-config --libs $(PKGS)) -lpthread -lm
AR := gcc-ar

B := build/$(FLAVOUR)
MAINS := proxy/main.c node/main.c ctl/main.c
SRCS := $(filter-out $(MAINS),$(wildcard common/*.c node/*.c proxy/*.c ctl/*.c))
OBJS := $(SRCS:%.c=$B/%.o)
PROGRAMS := $(patsubst %/main.c,$B/bin/ringfence-%,$(wildcard $(MAINS)))
FAKES := $(wildcard tests/fakes/*.c)
UNIT := $(patsubst tests/unit/%.c,$B/tests/%,$(wildcard tests/unit/test_*.c))

.PHONY: all unit tests test tsan run up down check bench micro fuzz install uninstall clean
.SECONDARY:
all: $(PROGRAMS)

# `make run`: everything, privately, until you leave. `make up RUN_DIR=.run PROXY_PORT=6380 NODES=3` and `make down`: for scripts.
RUN_DIR ?= .run
export FLAVOUR PROXY_PORT NODES WORKERS NODE_ARGS PROXY_ARGS

run:
	@ctl/packages.sh build
	@$(MAKE) --no-print-directory -s all
	@exec ctl/stack.sh run

up:
	@ctl/packages.sh build
	@$(MAKE) --no-print-directory -s all
	@ctl/stack.sh up $(RUN_DIR)

down:
	@ctl/stack.sh down $(RUN_DIR)

# `make test`: every test; the last line is `N passed, N failed`. TESTS='unit integration' runs only those kinds.
test:
	@ctl/packages.sh test
	@$(MAKE) --no-print-directory -s -j$(shell nproc) all tests
	@tests/run.sh $(TESTS)

# `make stalls [TESTS=integration]`: the same while the daemons stand still every second (tests/stalls.py).
.PHONY: stalls
stalls: all tests
	@tests/stalls.py tests/run.sh $(or $(TESTS),integration)

# `make tsan [TESTS=integration]`: the daemons under ThreadSanitizer. Criterion does not bear it, so the test programs are the usual ones.
tsan:
	@ctl/packages.sh test
	@$(MAKE) --no-print-directory -s -j$(shell nproc) FLAVOUR=tsan all
	@$(MAKE) --no-print-directory -s -j$(shell nproc) FLAVOUR=release all tests
	@FLAVOUR=tsan PROGRAMS_FLAVOUR=release tests/run.sh $(or $(TESTS),integration)

# What `make test` runs; each kind of test adds itself.
tests: unit

PREFIX ?= /usr/local
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/ringfence
	install -m 0755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 0644 $(wildcard configs/*) $(DESTDIR)$(PREFIX)/share/ringfence

uninstall:
	rm -f $(PROGRAMS:$B/bin/%=$(DESTDIR)$(PREFIX)/bin/%)
	rm -rf $(DESTDIR)$(PREFIX)/share/ringfence

$B/lib.a: $(OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

$B/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) $(if $(filter tests/%,$<),-fno-lto) -MMD -MP -c $< -o $@

$B/bin/ringfence-%: $B/%/main.o $B/lib.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) $^ -o $@ $(LIBS)

# A unit test is one file plus what its first line may ask for: `// needs: fakes/store_fake.c`.
$B/tests/%: $B/tests/unit/%.o $B/lib.a $(FAKES:%.c=$B/%.o)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) -fno-lto $< $(patsubst %,$B/tests/%.o,$(basename $(shell sed -n '1s,^// needs: ,,p' tests/unit/$*.c))) \
	    $B/lib.a -o $@ $(LIBS) -lcriterion -lhiredis

unit: $(UNIT)

# Integration tests: tests/integration/test_X.c with tests/harness, against real daemons and a real PostgreSQL.
HARNESS := $(patsubst %.c,$B/%.o,$(wildcard tests/harness/*.c))
INTEGRATION := $(patsubst %.c,$B/%,$(wildcard tests/integration/test_*.c))
$(INTEGRATION): %: %.o $(HARNESS) $B/lib.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) -fno-lto $^ -o $@ $(LIBS) -lcriterion

.PHONY: integration
integration: all $(INTEGRATION)
tests: integration

LOAD := $(patsubst %.c,$B/%.o,bench/load_main.c bench/load_request.c bench/load_thread.c bench/draw.c bench/histogram.c bench/cpu.c)
$B/bin/ringfence-load: $(LOAD) $B/lib.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) $^ -o $@ $(LIBS)

# `make micro`: nanoseconds per call of what every request passes through.
MICRO := $(patsubst bench/%.c,$B/bin/%,$(wildcard bench/micro_*.c))
$(MICRO): $B/bin/%: $B/bench/%.o $B/bench/micro.o $B/bench/draw.o $B/lib.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) $^ -o $@ $(LIBS)

micro: $(filter-out %/micro_growth,$(MICRO))
	@for m in $^; do $$m || exit 1; done

# `make micro-count [COUNT=--record|--check]`: instructions per call of the same, counted by callgrind: no clock, no noise.
.PHONY: micro-count
micro-count: $B/bin/micro_resp $B/bin/micro_node
	ctl/packages.sh bench
	bench/counts.py $(COUNT)

# `make bench [SCENARIO='name ...'] [REPEATS=n] [SECONDS_EACH=s]`: every goal of speed as a ratio against a peer in one run.
# WRITE=yes puts the figures into docs/performance.md; `make bench-check` compares with bench/recorded.json, `bench-record` writes it.
REPEATS ?= 3
BENCH = /usr/bin/python3 bench/run.py $(SCENARIO) --repeats $(REPEATS) --seconds $(if $(filter file,$(origin SECONDS_EACH)),2,$(SECONDS_EACH))

.PHONY: bench bench-check bench-record bench-tools
# The packages first: aside.c needs one of them.
bench-tools: all $B/bin/ringfence-load $B/bin/micro_growth $B/bin/floor
	ctl/packages.sh bench
	$(MAKE) $B/bin/aside

$B/bin/floor: $B/bench/floor.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) $^ -o $@

$B/bin/aside: $B/bench/aside.o $B/bench/draw.o $B/bench/histogram.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) $^ -o $@ -lhiredis $(LIBS)

bench: bench-tools
	$(BENCH) $(if $(NICE),--nice $(NICE)) $(if $(WRITE),--write) $(if $(JSON),--json $(JSON))

# `make bench-profile`: where the proxy's CPU time goes (needs perf). `make bench-commit`: what a commit of SETs costs, layer by layer.
.PHONY: bench-profile bench-commit
bench-profile: bench-tools
	bench/profile.py
bench-commit: bench-tools
	bench/commit_cost.py

bench-check: bench-tools
	$(BENCH) --check

bench-record: bench-tools
	$(BENCH) --record

# `make bench-miss`: misses against an exact LRU. `make bench-memory`: bytes per item, and pauses.
NODE_BENCH := $B/bin/bench_miss_ratio $B/bin/bench_memory
$(NODE_BENCH): $B/bin/bench_%: $B/bench/%.o $B/bench/cpu.o $B/bench/draw.o $B/bench/histogram.o $B/tests/fakes/cache_race.o \
    $B/tests/fakes/lru_model.o $B/lib.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) $^ -o $@ $(LIBS)

bench-miss: $B/bin/bench_miss_ratio
	@$<
bench-memory: $B/bin/bench_memory
	@$<
$B/tests/test_cache_eviction $B/tests/test_topk: $B/bench/draw.o
.PHONY: bench-miss bench-memory

# `make fuzz SECONDS_EACH=60`: each target for so long, as many at a time as there are cores; RUNS=10000000: until it has run so often,
# too. INPUT_BYTES: no longer inputs. A target's first line names the sources it needs; ONLY='link conf': only these.
# What is found worth keeping goes to build/fuzz/corpus; tests/fuzz/corpus is where it starts.
SECONDS_EACH ?= 60
RUNS ?= -1
INPUT_BYTES ?= 1024
FUZZ_CC ?= clang-14
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

build/fuzz/%: tests/fuzz/fuzz_%.c $(wildcard common/*.[ch] node/*.[ch] proxy/*.[ch])
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=gnu17 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=undefined $< $(shell sed -n '1s,^// needs: ,,p' tests/fuzz/fuzz_$*.c) -o $@ -lxxhash -lm

fuzz: $(patsubst %,build/fuzz/%,$(or $(ONLY),$(FUZZ)))
	@printf '%s\n' $(or $(ONLY),$(FUZZ)) | xargs -P $(shell nproc) -I T sh -c 'mkdir -p build/fuzz/corpus/T && \
	    { build/fuzz/T -max_total_time=$(SECONDS_EACH) -runs=$(RUNS) -timeout=5 -rss_limit_mb=1024 -max_len=$(INPUT_BYTES) -verbosity=0 \
	    -print_final_stats=1 -artifact_prefix=build/fuzz/T- build/fuzz/corpus/T tests/fuzz/corpus/T >build/fuzz/T.log 2>&1; \
	    rc=$$?; echo "fuzz T"; cat build/fuzz/T.log; exit $$rc; }'

# `make bench-push`: from an edit with psql to the invalidation at every client that caches.
.PHONY: bench-push
bench-push: all
	@bench/push.py

# `make check`: the rules of the house (tests/check): layers, headers, format, texts, sizes, documents. Globals are looked for in
# build/debug, which is built without whole-program optimisation.
check:
	@ctl/packages.sh check
	@$(MAKE) --no-print-directory -s -j$(shell nproc) all
	@$(MAKE) --no-print-directory -s -j$(shell nproc) FLAVOUR=debug build/debug/lib.a
	@tests/check/run.sh

clean:
	rm -rf build

-include $(OBJS:.o=.d) $(MAINS:%.c=$B/%.d) $(wildcard $B/tests/unit/*.d $B/tests/fakes/*.d $B/bench/*.d) $(HARNESS:.o=.d) $(INTEGRATION:%=%.d)

# `make simulate SEEDS=100000 [SEED=n] [REGIME=name]`: seeded runs of a whole Ringfence in one process (docs/simulation.md).
SIM := $(patsubst %.c,$B/%.o,$(wildcard tests/sim/*.c))
$B/tests/sim/simulate: $(SIM) $B/lib.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) -fno-lto $^ -o $@ $(LIBS)

SEEDS ?= 100000
.PHONY: simulate
simulate: $B/tests/sim/simulate
	@$< $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(if $(REGIME),--regime $(REGIME))

# `make coverage [TESTS='unit sim integration'] [MISSED='node/op.c ...']`: lines and branches that these tests run, per file. MISSED: lines of those
# files that none ran. A daemon that is killed writes no counts.
.PHONY: coverage
coverage:
	@mkdir -p build/coverage && find build/coverage -name '*.gcda' -delete
	@status=0; $(MAKE) --no-print-directory FLAVOUR=coverage test TESTS='$(or $(TESTS),unit sim integration)' || status=$$?; \
	    tests/coverage.py build/coverage --missed $(MISSED) && exit $$status

# `make chaos [REGIME='R0 R1 R2 R3 R4 all'] [SEED=n] [SECONDS_EACH=s] [FAULTS=feed] [MANY=keys] [SHOW=1]`: real processes under faults that come from a seed, every
# answer checked against what the table held (docs/reliability.md).
CHAOS := $(patsubst %.c,$B/%.o,$(wildcard tests/chaos/*.c))
$B/tests/chaos/test_chaos: $(CHAOS) $(HARNESS) $B/lib.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) -fno-lto $^ -o $@ $(LIBS) -lcriterion

.PHONY: chaos
chaos: all $B/tests/chaos/test_chaos
	@CHAOS_SEED=$(or $(SEED),$(shell date +%s)) CHAOS_SECONDS=$(if $(filter file,$(origin SECONDS_EACH)),20,$(SECONDS_EACH)) \
	    CHAOS_REGIME='$(REGIME)' CHAOS_FAULTS='$(FAULTS)' CHAOS_SHOW=$(SHOW) CHAOS_REPEATS=$(if $(filter file,$(origin REPEATS)),1,$(REPEATS)) \
	    CHAOS_CLIENTS=$(CLIENTS) CHAOS_MANY=$(MANY) $B/tests/chaos/test_chaos

# `make reliability [FIGURE=s12*] [REPEATS=n]`: the figures of docs/reliability.md that are measured.
FIGURES := $(patsubst %.c,$B/%.o,$(wildcard tests/figures/*.c))
$B/tests/figures/test_figures: $(FIGURES) $(HARNESS) $B/lib.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) -fno-lto $^ -o $@ $(LIBS) -lcriterion

.PHONY: reliability
reliability: all $B/tests/figures/test_figures
	@FIGURES_REPEATS=$(if $(filter file,$(origin REPEATS)),10,$(REPEATS)) $B/tests/figures/test_figures --filter 'figures/$(or $(FIGURE),*)'

tests: $B/tests/chaos/test_chaos
-include $(CHAOS:.o=.d)

# `make inject [ONLY='node alloc'] [STRIDE=n] [BURST=n]`: every call of a kind fails once in real daemons, under the sanitizers (docs/reliability.md).
# The daemons of build/FLAVOUR/inject have tests/inject/inject.c before the calls of our own code.
INJECT_WRAPPED := malloc calloc aligned_alloc realloc strdup strndup recv send socket connect accept4 eventfd inotify_init1 inotify_add_watch \
    setsockopt getpeername fopen PQconnectStartParams PQconnectPoll PQsetnonblocking PQenterPipelineMode PQsocket PQconsumeInput \
    PQflush PQpipelineSync PQsendPrepare PQsendQueryParams PQsendQueryPrepared PQcopyResult PQgetResult PQconnectdb \
    PQescapeIdentifier PQexecParams PQconninfo asprintf getsockname getsockopt fstat open read getrandom mmap pthread_create getaddrinfo \
    fdopen RAND_bytes SHA256 HMAC PKCS5_PBKDF2_HMAC
INJECT := $(patsubst %.c,$B/%.o,$(filter-out %/inject.c,$(wildcard tests/inject/*.c)))
$B/inject/bin/ringfence-%: $B/%/main.o $B/lib.a $B/tests/inject/inject.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) -fno-lto $B/$*/main.o $B/tests/inject/inject.o $B/lib.a -o $@ $(INJECT_WRAPPED:%=-Wl,--wrap=%) $(LIBS)

$B/tests/inject/test_inject: $(INJECT) $(HARNESS) $B/lib.a $(PROGRAMS:$B/bin/%=$B/inject/bin/%)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_all) -fno-lto $(INJECT) $(HARNESS) $B/lib.a -o $@ $(LIBS) -lcriterion

.PHONY: inject
inject:
	@$(MAKE) --no-print-directory -s -j$(shell nproc) FLAVOUR=asan build/asan/tests/inject/test_inject
	@INJECT_ONLY='$(ONLY)' INJECT_STRIDE=$(or $(STRIDE),1) INJECT_BURST=$(BURST) FLAVOUR=asan build/asan/tests/inject/test_inject

-include $(INJECT:.o=.d) $B/tests/inject/inject.d

# `make planted [NAMES='wrong_owner ...'] [SECONDS_EACH=s]`: every bug of common/plant.h, one at a time, must be found.
.PHONY: planted
planted:
	@SECONDS_EACH=$(if $(filter file,$(origin SECONDS_EACH)),60,$(SECONDS_EACH)) tests/sim/planted.sh $(NAMES)

tests: $B/tests/sim/simulate
-include $(SIM:.o=.d)
