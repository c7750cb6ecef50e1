#include "inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct inject_page *page; /* NULL: nothing fails */

/* ---- which call fails ---- */

static bool fails(enum inject_kind kind, const char *what, const void *caller) {
    if (page == NULL || __atomic_load_n(&page->kind, __ATOMIC_ACQUIRE) != kind)
        return false;
    uint32_t count = __atomic_add_fetch(&page->count, 1, __ATOMIC_ACQ_REL);
    if (count < page->nth || count - page->nth >= page->burst)
        return false;
    Dl_info info = {.dli_fbase = NULL};
    dladdr(caller, &info);
    page->where = (uint64_t)((const char *)caller - (const char *)info.dli_fbase);
    snprintf(page->what, sizeof(page->what), "%s", what);
    __atomic_store_n(&page->fired, 1, __ATOMIC_RELEASE);
    return true;
}

#define FAILS(kind, what) fails(kind, what, __builtin_return_address(0))
#define REAL(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);

static void *event_malloc(size_t size) {
    return FAILS(INJECT_EVENT_ALLOC, "libevent's malloc") ? NULL : __real_malloc(size);
}

static void *event_realloc(void *old, size_t size) {
    return FAILS(INJECT_EVENT_ALLOC, "libevent's realloc") ? NULL : __real_realloc(old, size);
}

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv(INJECT_FILE);
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    struct inject_pages *pages =
        mmap(NULL, sizeof(*pages), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    const char *name = program_invocation_short_name;
    if (pages == MAP_FAILED)
        return;
    event_set_mem_functions(event_malloc, event_realloc, free);
    page = &pages->of[strstr(name, "node") != NULL  ? INJECT_NODE
                      : strstr(name, "ctl") != NULL ? INJECT_CTL
                                                    : INJECT_PROXY];
}

/* ---- memory ---- */

static bool no_memory(const char *what, const void *caller) {
    if (!fails(INJECT_ALLOC, what, caller))
        return false;
    errno = ENOMEM;
    return true;
}

#define NO_MEMORY(what) no_memory(what, __builtin_return_address(0))

REAL(void *, malloc, size_t size) {
    return NO_MEMORY("malloc") ? NULL : __real_malloc(size);
}

REAL(void *, calloc, size_t count, size_t size) {
    return NO_MEMORY("calloc") ? NULL : __real_calloc(count, size);
}

REAL(void *, aligned_alloc, size_t alignment, size_t size) {
    return NO_MEMORY("aligned_alloc") ? NULL : __real_aligned_alloc(alignment, size);
}

REAL(void *, realloc, void *old, size_t size) {
    return NO_MEMORY("realloc") ? NULL : __real_realloc(old, size);
}

REAL(char *, strdup, const char *text) {
    return NO_MEMORY("strdup") ? NULL : __real_strdup(text);
}

REAL(char *, strndup, const char *text, size_t len) {
    return NO_MEMORY("strndup") ? NULL : __real_strndup(text, len);
}

int __wrap_asprintf(char **out, const char *text, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *text, ...) {
    if (NO_MEMORY("asprintf"))
        return -1;
    va_list args;
    va_start(args, text);
    int n = vasprintf(out, text, args);
    va_end(args);
    return n;
}

/* ---- connections ---- */

static ssize_t broken(int why) {
    static const int ERRORS[] = {[INJECT_FAIL] = ECONNRESET,
                                 [INJECT_END] = EPIPE,
                                 [INJECT_INTERRUPT] = EINTR,
                                 [INJECT_AGAIN] = EAGAIN};
    errno = ERRORS[why];
    return -1;
}

REAL(ssize_t, recv, int fd, void *to, size_t len, int flags) {
    if (!FAILS(INJECT_RECV, "recv"))
        return __real_recv(fd, to, len, flags);
    if (page->mode == INJECT_END)
        return 0;
    return page->mode == INJECT_SHORT ? __real_recv(fd, to, 1, flags) : broken((int)page->mode);
}

REAL(ssize_t, send, int fd, const void *from, size_t len, int flags) {
    if (!FAILS(INJECT_SEND, "send"))
        return __real_send(fd, from, len, flags);
    return page->mode == INJECT_SHORT ? __real_send(fd, from, 1, flags) : broken((int)page->mode);
}

/* ---- the system ---- */

#define SYSTEM(name, error, args, ...)                                                             \
    REAL(int, name, __VA_ARGS__) {                                                                 \
        if (!FAILS(INJECT_SYSTEM, #name))                                                          \
            return __real_##name args;                                                             \
        errno = error;                                                                             \
        return -1;                                                                                 \
    }

SYSTEM(socket, EMFILE, (family, type, protocol), int family, int type, int protocol)
SYSTEM(connect, ENETUNREACH, (fd, addr, len), int fd, const struct sockaddr *addr, socklen_t len)
SYSTEM(accept4, EMFILE, (fd, addr, len, flags), int fd, struct sockaddr *addr, socklen_t *len,
       int flags)
SYSTEM(eventfd, EMFILE, (count, flags), unsigned count, int flags)
SYSTEM(inotify_init1, EMFILE, (flags), int flags)
SYSTEM(inotify_add_watch, ENOSPC, (fd, path, mask), int fd, const char *path, uint32_t mask)
SYSTEM(setsockopt, ENOBUFS, (fd, level, name, value, len), int fd, int level, int name,
       const void *value, socklen_t len)
SYSTEM(getpeername, ENOBUFS, (fd, addr, len), int fd, struct sockaddr *addr, socklen_t *len)

SYSTEM(getsockname, ENOBUFS, (fd, addr, len), int fd, struct sockaddr *addr, socklen_t *len)
SYSTEM(getsockopt, ENOBUFS, (fd, level, name, value, len), int fd, int level, int name, void *value,
       socklen_t *len)
SYSTEM(fstat, EIO, (fd, out), int fd, struct stat *out)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) { /* our own code makes no files */
    if (!FAILS(INJECT_SYSTEM, "open"))
        return __real_open(path, flags);
    errno = EMFILE;
    return -1;
}

REAL(ssize_t, read, int fd, void *to, size_t len) {
    if (!FAILS(INJECT_SYSTEM, "read"))
        return __real_read(fd, to, len);
    errno = EIO;
    return -1;
}

REAL(ssize_t, getrandom, void *to, size_t len, unsigned flags) {
    if (!FAILS(INJECT_SYSTEM, "getrandom"))
        return __real_getrandom(to, len, flags);
    errno = EAGAIN;
    return -1;
}

REAL(void *, mmap, void *at, size_t len, int prot, int flags, int fd, off_t offset) {
    if (!FAILS(INJECT_SYSTEM, "mmap"))
        return __real_mmap(at, len, prot, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

REAL(int, pthread_create, pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
     void *arg) {
    return FAILS(INJECT_SYSTEM, "pthread_create") ? EAGAIN
                                                  : __real_pthread_create(thread, attr, run, arg);
}

REAL(int, getaddrinfo, const char *host, const char *service, const struct addrinfo *hints,
     struct addrinfo **list) {
    return FAILS(INJECT_SYSTEM, "getaddrinfo") ? EAI_MEMORY
                                               : __real_getaddrinfo(host, service, hints, list);
}

REAL(FILE *, fdopen, int fd, const char *mode) {
    if (!FAILS(INJECT_SYSTEM, "fdopen"))
        return __real_fdopen(fd, mode);
    errno = ENOMEM;
    return NULL;
}

REAL(FILE *, fopen, const char *path, const char *mode) {
    if (!FAILS(INJECT_SYSTEM, "fopen"))
        return __real_fopen(path, mode);
    errno = EMFILE;
    return NULL;
}

/* ---- libpq ---- */

#define LIBPQ(type, name, failure, args, ...)                                                      \
    REAL(type, name, __VA_ARGS__) {                                                                \
        return FAILS(INJECT_PQ, #name) ? failure : __real_##name args;                             \
    }

LIBPQ(PGconn *, PQconnectStartParams, NULL, (keys, values, expand), const char *const *keys,
      const char *const *values, int expand)
LIBPQ(PostgresPollingStatusType, PQconnectPoll, PGRES_POLLING_FAILED, (conn), PGconn *conn)
LIBPQ(int, PQsetnonblocking, -1, (conn, on), PGconn *conn, int on)
LIBPQ(int, PQenterPipelineMode, 0, (conn), PGconn *conn)
LIBPQ(int, PQsocket, -1, (conn), const PGconn *conn)
LIBPQ(int, PQconsumeInput, 0, (conn), PGconn *conn)
LIBPQ(int, PQflush, -1, (conn), PGconn *conn)
LIBPQ(int, PQpipelineSync, 0, (conn), PGconn *conn)
LIBPQ(int, PQsendPrepare, 0, (conn, name, sql, count, types), PGconn *conn, const char *name,
      const char *sql, int count, const Oid *types)
LIBPQ(int, PQsendQueryParams, 0, (conn, sql, count, types, values, lens, formats, format),
      PGconn *conn, const char *sql, int count, const Oid *types, const char *const *values,
      const int *lens, const int *formats, int format)
LIBPQ(int, PQsendQueryPrepared, 0, (conn, name, count, values, lens, formats, format), PGconn *conn,
      const char *name, int count, const char *const *values, const int *lens, const int *formats,
      int format)
LIBPQ(PGresult *, PQcopyResult, NULL, (result, flags), const PGresult *result, int flags)

LIBPQ(PGconn *, PQconnectdb, NULL, (conninfo), const char *conninfo)
LIBPQ(char *, PQescapeIdentifier, NULL, (conn, text, len), PGconn *conn, const char *text,
      size_t len)
LIBPQ(PGresult *, PQexecParams, NULL, (conn, sql, count, types, values, lens, formats, format),
      PGconn *conn, const char *sql, int count, const Oid *types, const char *const *values,
      const int *lens, const int *formats, int format)
LIBPQ(PQconninfoOption *, PQconninfo, NULL, (conn), PGconn *conn)

/* As libpq does when it has no memory for what the server sent. */
REAL(PGresult *, PQgetResult, PGconn *conn) {
    PGresult *result = __real_PQgetResult(conn);
    ExecStatusType status = PQresultStatus(result);
    if ((status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) ||
        !FAILS(INJECT_PQ_RESULT, "PQgetResult"))
        return result;
    PQclear(result);
    return PQmakeEmptyPGresult(conn, PGRES_FATAL_ERROR);
}

/* ---- libcrypto ---- */

#define CRYPTO(type, name, failure, args, ...)                                                     \
    REAL(type, name, __VA_ARGS__) {                                                                \
        return FAILS(INJECT_CRYPTO, #name) ? failure : __real_##name args;                         \
    }

CRYPTO(int, RAND_bytes, 0, (out, len), unsigned char *out, int len)
CRYPTO(unsigned char *, SHA256, NULL, (data, len, out), const unsigned char *data, size_t len,
       unsigned char *out)
CRYPTO(unsigned char *, HMAC, NULL, (md, key, key_len, data, len, out, out_len), const EVP_MD *md,
       const void *key, int key_len, const unsigned char *data, size_t len, unsigned char *out,
       unsigned *out_len)
CRYPTO(int, PKCS5_PBKDF2_HMAC, 0, (pass, pass_len, salt, salt_len, count, md, len, out),
       const char *pass, int pass_len, const unsigned char *salt, int salt_len, int count,
       const EVP_MD *md, int len, unsigned char *out)
