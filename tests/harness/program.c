#include "program.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../common/clock.h"
#include "../../common/hash.h"

enum { PORT_FIRST = 20000, PORT_COUNT = 10000, POLL_MS = 2 };

/* ---- where things are ---- */

/* This program is ROOT/build/FLAVOUR/tests/integration/test_x. */
static const char *place(int levels_up) {
    static char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[n < 0 ? 0 : n] = '\0';
    for (int i = 0; i < levels_up; i++)
        dirname(path);
    return path;
}

const char *program_root(void) {
    return place(5);
}

const char *program_flavour(void) {
    const char *wanted = getenv("FLAVOUR");
    if (wanted != NULL && wanted[0] != '\0')
        return wanted;
    return strrchr(place(3), '/') + 1;
}

void program_path(const char *name, char *out, size_t size) {
    char flavour[64];
    snprintf(flavour, sizeof(flavour), "%s", program_flavour());
    snprintf(out, size, "%s/build/%s/bin/%s", program_root(), flavour, name);
}

/* ---- running ---- */

static void become(const char *const argv[], int out, bool dies_with_us) {
    if (dies_with_us)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    close_range(3, ~0u, 0);
    if (chdir("/") != 0)
        _exit(127);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

int program_wait(pid_t pid, int patience_ms) {
    int64_t until_ms = clock_mono_ms() + patience_ms;
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_mono_ms() >= until_ms) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return PROGRAM_LATE;
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : PROGRAM_SIGNALLED + WTERMSIG(status);
}

int program_run(const char *const argv[], char *out, size_t size, int patience_ms) {
    int file = memfd_create("output", MFD_CLOEXEC);
    pid_t pid = file < 0 ? -1 : fork();
    if (pid == 0)
        become(argv, file, true);
    if (pid < 0)
        return PROGRAM_LATE;
    int status = program_wait(pid, patience_ms);
    ssize_t n = size > 0 ? pread(file, out, size - 1, 0) : 0;
    if (size > 0)
        out[n < 0 ? 0 : n] = '\0';
    close(file);
    return status;
}

pid_t program_start(const char *const argv[], const char *log_path) {
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    pid_t pid = log < 0 ? -1 : fork();
    if (pid == 0)
        become(argv, log, true);
    if (log >= 0)
        close(log);
    return pid;
}

pid_t program_start_orphan(const char *const argv[], const char *log_path) {
    int ends[2], log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    pid_t pid = -1, between = log < 0 || pipe2(ends, O_CLOEXEC) != 0 ? -1 : fork();
    if (between == 0) {
        pid = fork();
        if (pid == 0) {
            setsid();
            become(argv, log, false);
        }
        _exit(write(ends[1], &pid, sizeof(pid)) == sizeof(pid) ? 0 : 1);
    }
    if (between > 0) {
        close(ends[1]);
        if (read(ends[0], &pid, sizeof(pid)) != sizeof(pid))
            pid = -1;
        close(ends[0]);
        waitpid(between, NULL, 0);
    }
    if (log >= 0)
        close(log);
    return pid;
}

bool program_runs(pid_t pid) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

int program_stop(pid_t pid, int signo, int patience_ms) {
    kill(pid, signo);
    return program_wait(pid, patience_ms);
}

/* ---- small things ---- */

uint16_t program_free_port(void) {
    for (int tries = 0; tries < 1000; tries++) {
        uint16_t port = (uint16_t)(PORT_FIRST + hash_seed() % PORT_COUNT);
        struct sockaddr_in at = {.sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_free = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
        if (fd >= 0)
            close(fd);
        if (is_free)
            return port;
    }
    return 0;
}

size_t program_words(char *text, const char **argv, size_t at, size_t max) {
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL && at + 1 < max;
         word = strtok_r(NULL, " ", &rest))
        argv[at++] = word;
    argv[at] = NULL;
    return at;
}

char *program_file_text(const char *path) {
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    if (file != NULL) {
        ssize_t n = getdelim(&text, &size, '\0', file);
        if (n < 0) {
            free(text);
            text = NULL;
        }
        fclose(file);
    }
    return text != NULL ? text : strdup("");
}

bool program_file_has(const char *path, const char *text) {
    char *whole = program_file_text(path);
    bool has = strstr(whole, text) != NULL;
    free(whole);
    return has;
}

/* ---- the guard ---- */

static void stand_guard(const char *dir, int end) {
    char script[PATH_MAX + 32], byte;
    snprintf(script, sizeof(script), "%s/ctl/stack.sh", program_root());
    setsid(); /* whoever ends the tests' process group does not end us */
    signal(SIGTERM, SIG_IGN);
    dup2(end, 3);
    close_range(4, ~0u, 0);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    while (read(3, &byte, 1) > 0)
        ;
    const char *const down[] = {script, "down", dir, NULL};
    program_run(down, NULL, 0, 60000);
    const char *const remove_it[] = {"rm", "-rf", dir, NULL};
    execvp(remove_it[0], (char *const *)remove_it);
    _exit(127);
}

struct program_guard program_guard(const char *dir) {
    int ends[2];
    struct program_guard guard = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return guard;
    guard.pid = fork();
    if (guard.pid == 0) {
        close(ends[1]);
        stand_guard(dir, ends[0]);
    }
    close(ends[0]);
    guard.fd = ends[1];
    return guard;
}

void program_unguard(struct program_guard *guard) {
    if (guard->pid <= 0)
        return;
    close(guard->fd);
    waitpid(guard->pid, NULL, 0);
    guard->pid = -1;
}
