#include "user_command.h"

#include <stdbool.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "../common/digest.h"
#include "../common/users.h"

enum { PASSWORD_BYTES = 512, LINE_BYTES = 8192 };

/* ---- the password ---- */

/* One line without its end. False at the end of input, or when it is too long. */
static bool read_line(FILE *in, char *out) {
    size_t len = 0;
    int c;
    while ((c = getc(in)) != EOF && c != '\n') {
        if (len == PASSWORD_BYTES - 1)
            return false;
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return memchr(out, '\0', len) == NULL && (c != EOF || len != 0);
}

static bool ask(const struct ctl_io *io, const char *prompt, char *out) {
    int fd = fileno(io->in);
    struct termios shown, hidden;
    bool is_terminal = fd >= 0 && isatty(fd) && tcgetattr(fd, &shown) == 0;
    if (!is_terminal)
        return read_line(io->in, out);
    fprintf(io->err, "%s: ", prompt);
    fflush(io->err);
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fd, TCSAFLUSH, &hidden);
    bool read = read_line(io->in, out);
    tcsetattr(fd, TCSAFLUSH, &shown);
    fprintf(io->err, "\n");
    return read;
}

static bool read_password(const struct ctl_io *io, char *out) {
    char again[PASSWORD_BYTES];
    int fd = fileno(io->in);
    if (!ask(io, "password", out) || out[0] == '\0') {
        fprintf(io->err,
                "ringfence-ctl: no password on standard input, or one of more than %d "
                "bytes\n",
                PASSWORD_BYTES - 1);
        return false;
    }
    if (fd < 0 || !isatty(fd))
        return true;
    bool same = ask(io, "again", again) && strcmp(out, again) == 0;
    digest_forget(again, sizeof(again));
    if (!same)
        fprintf(io->err, "ringfence-ctl: they differ\n");
    return same;
}

/* ---- line ---- */

/* The line, as far as it is words of the user's. */
static bool write_line(int argc, char **argv, const char *digest, char *out) {
    int at = snprintf(out, LINE_BYTES, "user %s role=%s", argv[0], argv[1]);
    for (int i = 2; i < argc && at < LINE_BYTES; i++)
        at += snprintf(out + at, (size_t)(LINE_BYTES - at), " prefix=%s", argv[i]);
    if (at < LINE_BYTES)
        at += snprintf(out + at, (size_t)(LINE_BYTES - at), " %s\n", digest);
    return at < LINE_BYTES;
}

/* A blank or a comment in a word would make other words of it. */
static bool is_one_word(const char *word) {
    return word[0] != '\0' && strpbrk(word, " \t\n\v\f\r") == NULL;
}

/* The line must come back as it was meant. */
static bool is_fine(const struct ctl_io *io, int argc, char **argv, const char *line) {
    struct users_error error = {"a word with a blank in it, or too long a line"};
    bool fine = line != NULL;
    for (int i = 0; i < argc; i++)
        fine = fine && is_one_word(argv[i]);
    struct users *users = fine ? users_parse(span_str(line), "the line", &error) : NULL;
    if (users == NULL)
        fprintf(io->err, "ringfence-ctl: %s\n", error.text);
    fine = users != NULL;
    users_free(&users);
    return fine;
}

enum ctl_status user_command_line(const struct ctl_io *io, int argc, char **argv) {
    static const struct digest NONE = {.iterations = 1};
    char password[PASSWORD_BYTES], line[LINE_BYTES], text[DIGEST_TEXT_BYTES];
    struct digest digest;
    digest_write(&NONE, text); /* what is wrong is said before a password is asked for */
    if (!is_fine(io, argc, argv, write_line(argc, argv, text, line) ? line : NULL) ||
        !read_password(io, password))
        return CTL_USAGE;
    bool made = digest_make(span_str(password), &digest);
    digest_forget(password, sizeof(password));
    if (!made) {
        fprintf(io->err, "ringfence-ctl: no random bytes\n");
        return CTL_FAILED;
    }
    digest_write(&digest, text);
    write_line(argc, argv, text, line);
    fputs(line, io->out);
    return CTL_OK;
}

/* ---- check ---- */

enum ctl_status user_command_check(const struct ctl_io *io, int argc, char **argv) {
    struct users_error error;
    struct users *users = users_load(argv[0], &error);
    if (users == NULL) {
        fprintf(io->err, "%s\n", error.text);
        return CTL_BAD_FILE;
    }
    size_t count = users_count(users);
    fprintf(io->out, "%s: fine: %zu user%s\n", argv[0], count, count == 1 ? "" : "s");
    users_free(&users);
    return CTL_OK;
}
