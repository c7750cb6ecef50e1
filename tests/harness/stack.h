/*
 * stack: a whole Ringfence for a test: a private PostgreSQL, nodes and a proxy, through
 * ctl/stack.sh. A stack ends with its test, also when that crashes or hangs. Several may run side
 * by side. Its programs run their tests one after the other.
 */
#ifndef RINGFENCE_STACK_H
#define RINGFENCE_STACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { STACK_NODES_MAX = 8, STACK_PATH_BYTES = 256 };

/* Environment variables: the folder of a stack that runs; of the one that this program will start
 * when a test asks for it. */
#define STACK_SHARED_DIR "RINGFENCE_TEST_RUN_DIR"
#define STACK_LAZY_DIR   "RINGFENCE_TEST_LAZY_DIR"

/* Options of a stack whose tests are not of what is promised about time: how fast a busy machine
 * and its disk are does not matter to them. The shared stack has them (tests/run.sh as well). */
#define STACK_PATIENT_NODE  "--read-timeout-ms 9000 --write-timeout-ms 15000"
#define STACK_PATIENT_PROXY "--request-timeout-ms 10000 --write-timeout-ms 18000"

struct stack_conf {
    int nodes;                          /* 0: three */
    int workers;                        /* 0: two */
    const char *node_args, *proxy_args; /* options for the daemons, in words; NULL: none */
};

/* Facts to read. Own nodes and proxies of a test (below) are not among them. */
struct stack {
    char dir[STACK_PATH_BYTES], ring_file[STACK_PATH_BYTES];
    char pg_host[128], pg_port[8], pg_database[64];
    uint16_t proxy_port, node_ports[STACK_NODES_MAX];
    pid_t proxy_pid, pg_pid, node_pids[STACK_NODES_MAX];
    int nodes;
    char node_args[400], proxy_args[400]; /* options of its daemons, in words */
};

/** stack_shared(): the one that all tests share: RINGFENCE_TEST_RUN_DIR's, or one for this program.
 * For tests that neither stop nor reconfigure anything and use keys of their own. */
const struct stack *stack_shared(void);

/** stack_private(conf): one for this test alone; stack_down() it. */
struct stack *stack_private(struct stack_conf conf);

/** stack_down(stack): everything of it ends; fails the test if a log holds a sanitizer's report. */
void stack_down(struct stack **stack);

/** stack_log_has(stack, daemon, text): in the log of "proxy" or "node1". */
bool stack_log_has(const struct stack *stack, const char *daemon, const char *text);

/** stack_info(stack, port, field): a number of INFO, from the daemon at `port`; -1 if it is not
 * there. */
int64_t stack_info(uint16_t port, const char *field);

/** stack_node_start(stack, index): start a node of the stack again after it was killed, on its
 * port and with its options; returns when it serves. */
void stack_node_start(struct stack *stack, int index);

/** stack_database_stop(stack, mode) / stack_database_start(stack): pg_ctl's modes "fast" and
 * "immediate". */
void stack_database_stop(struct stack *stack, const char *mode);
void stack_database_start(struct stack *stack);

/** stack_proxy(stack, args, port_out) / stack_node(stack, name, args, port_out): one more, of the
 * test's own; it has the options of the stack's, and `args`
 * may override any but the port. Returns its pid when it is ready;
 * program_stop() it, or it dies with the test. Its log is that of `name`.PORT. */
pid_t stack_proxy(const struct stack *stack, const char *args, uint16_t *port_out);
pid_t stack_node(const struct stack *stack, const char *name, const char *args, uint16_t *port_out);

/** stack_node_begin(stack, name, args, port_out): the same, but it only listens: it may not serve
 * yet. */
pid_t stack_node_begin(const struct stack *stack, const char *name, const char *args,
                       uint16_t *port_out);

/** stack_ring_write(path, text): replace a ring file as an editor does: a new file, renamed. */
void stack_ring_write(const char *path, const char *text);

/** stack_ring_own(stack, out): the path of a ring file for proxies of the test's own, in a folder
 * of its own, with the stack's nodes in it. `out` has STACK_PATH_BYTES. */
void stack_ring_own(const struct stack *stack, char *out);

/** stack_owner(stack, key): index of the node that owns the key by the ring file. */
int stack_owner(const struct stack *stack, const char *key);

/** stack_key_of(stack, index, prefix, out, size): a key with this prefix that node `index` owns. */
void stack_key_of(const struct stack *stack, int index, const char *prefix, char *out,
                  unsigned size);

#endif
