#include "conf.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { LINE_BYTES_MAX = 4095, OPTIONS_MAX = 128 };

static int64_t *number(const struct conf_row *row, void *conf) {
    return (int64_t *)((char *)conf + row->offset);
}

static char **text(const struct conf_row *row, void *conf) {
    return (char **)((char *)conf + row->offset);
}

static bool *truth(const struct conf_row *row, void *conf) {
    return (bool *)((char *)conf + row->offset);
}

static bool fail(struct conf_error *error, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(struct conf_error *error, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(error->text, sizeof(error->text), fmt, args);
    va_end(args);
    return false;
}

/* ---- one value ---- */

static bool parse_number(const struct conf_row *row, const char *value, int64_t *out) {
    static const struct {
        const char *suffix;
        int64_t factor;
    } UNITS[] = {{"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {"b", 1}};
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (end == value || errno != 0 || isspace((unsigned char)value[0]) || value[0] == '+')
        return false;
    int64_t factor = *end == '\0' ? 1 : 0;
    for (size_t i = 0; row->type == CONF_BYTES && i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        if (strcasecmp(end, UNITS[i].suffix) == 0)
            factor = UNITS[i].factor;
    }
    return factor != 0 && !__builtin_mul_overflow(n, factor, out);
}

static bool set_number(const struct conf_row *row, void *conf, const char *value,
                       struct conf_error *error) {
    int64_t n;
    if (!parse_number(row, value, &n) || n < row->min || n > row->max)
        return fail(error, "%s: '%.100s' is not %s from %lld to %lld%s%s", row->name, value,
                    row->type == CONF_BYTES ? "a size (kb, mb, gb allowed)" : "a whole number",
                    (long long)row->min, (long long)row->max, row->unit[0] != '\0' ? " " : "",
                    row->unit);
    *number(row, conf) = n;
    return true;
}

static bool set_choice(const struct conf_row *row, void *conf, const char *value,
                       struct conf_error *error) {
    char names[200] = "";
    for (int64_t i = 0; row->choices[i] != NULL; i++) {
        if (strcmp(value, row->choices[i]) == 0) {
            *number(row, conf) = i;
            return true;
        }
        size_t at = strlen(names);
        snprintf(names + at, sizeof(names) - at, "%s%s", i == 0 ? "" : ", ", row->choices[i]);
    }
    return fail(error, "%s: '%.100s' is none of %s", row->name, value, names);
}

static bool set_row(const struct conf_row *row, void *conf, const char *value,
                    struct conf_error *error) {
    switch (row->type) {
    case CONF_INT:
    case CONF_BYTES:
        return set_number(row, conf, value, error);
    case CONF_CHOICE:
        return set_choice(row, conf, value, error);
    case CONF_BOOL:
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
            return fail(error, "%s: '%.100s' is neither yes nor no", row->name, value);
        *truth(row, conf) = value[0] == 'y';
        return true;
    case CONF_STRING: {
        char *copy = strdup(value);
        if (copy == NULL)
            return fail(error, "%s: out of memory", row->name);
        free(*text(row, conf));
        *text(row, conf) = copy;
        return true;
    }
    }
    return false;
}

static const struct conf_row *find(const struct conf_row *rows, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

bool conf_set(const struct conf_row *rows, size_t count, void *conf, const char *name,
              const char *value, struct conf_error *error) {
    const struct conf_row *row = find(rows, count, name);
    if (row == NULL)
        return fail(error, "unknown option '%.100s'", name);
    return set_row(row, conf, value, error);
}

bool conf_init(const struct conf_row *rows, size_t count, void *conf) {
    struct conf_error ignored; /* defaults are in range: a test sees to it */
    bool whole = true;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].type == CONF_STRING)
            *text(&rows[i], conf) = NULL;
        whole = set_row(&rows[i], conf, rows[i].initial, &ignored) && whole;
    }
    return whole;
}

void conf_release(const struct conf_row *rows, size_t count, void *conf) {
    for (size_t i = 0; i < count; i++) {
        if (rows[i].type == CONF_STRING) {
            free(*text(&rows[i], conf));
            *text(&rows[i], conf) = NULL;
        }
    }
}

/* ---- a file ---- */

/* Splits `name value` in place; the value may stand in double quotes. Returns NULL, or why not. */
static const char *split(char *line, char **name, char **value) {
    *name = line + strspn(line, " \t");
    char *end = *name + strcspn(*name, " \t");
    if (*end == '\0')
        return "an option needs a value";
    *end++ = '\0';
    end += strspn(end, " \t");
    if (*end == '"') {
        *value = end + 1;
        end = strchr(*value, '"');
        if (end == NULL)
            return "a quote does not end";
        *end++ = '\0';
    } else {
        *value = end;
        if (*end == '\0' || *end == '#')
            return "an option needs a value";
        end += strcspn(end, " \t"); /* a '#' within a word is a part of it */
        if (*end == '\0')
            return NULL;
        *end++ = '\0';
    }
    end += strspn(end, " \t");
    return *end == '\0' || *end == '#'
               ? NULL
               : "one option a line (values with blanks go in double quotes)";
}

/* The next line, without its end. Returns false at the end of the file; *why: NULL, or what is
 * wrong with the line. */
static bool read_line(FILE *file, char *line, const char **why) {
    size_t len = 0;
    int c;
    *why = NULL;
    while ((c = getc(file)) != EOF && c != '\n' && *why == NULL) {
        if (c == '\0')
            *why = "a byte that is no text";
        else if (len == LINE_BYTES_MAX)
            *why = "longer than 4095 bytes";
        else
            line[len++] = (char)c;
    }
    line[len > 0 && line[len - 1] == '\r' ? len - 1 : len] = '\0';
    return c != EOF || len != 0 || *why != NULL;
}

static bool load_lines(const struct conf_row *rows, size_t count, void *conf, const char *path,
                       FILE *file, struct conf_error *error) {
    char line[LINE_BYTES_MAX + 1];
    bool seen[OPTIONS_MAX] = {false};
    const char *why;
    assert(count <= OPTIONS_MAX);
    for (unsigned number_of = 1; read_line(file, line, &why); number_of++) {
        char *name, *value;
        const char *start = line + strspn(line, " \t");
        if (why == NULL && (*start == '\0' || *start == '#'))
            continue;
        if (why == NULL)
            why = split(line, &name, &value);
        const struct conf_row *row = why == NULL ? find(rows, count, name) : NULL;
        struct conf_error inner;
        if (why != NULL)
            return fail(error, "%s:%u: %s", path, number_of, why);
        if (row == NULL)
            return fail(error, "%s:%u: unknown option '%.100s'", path, number_of, name);
        if (seen[row - rows])
            return fail(error, "%s:%u: %s was given before", path, number_of, name);
        seen[row - rows] = true;
        if (!set_row(row, conf, value, &inner))
            return fail(error, "%s:%u: %.300s", path, number_of, inner.text);
    }
    return ferror(file) == 0 ? true : fail(error, "%s: %s", path, strerror(errno));
}

bool conf_load(const struct conf_row *rows, size_t count, void *conf, const char *path,
               struct conf_error *error) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fail(error, "%s: %s", path, strerror(errno));
    bool loaded = load_lines(rows, count, conf, path, file, error);
    fclose(file);
    return loaded;
}

bool conf_args(const struct conf_row *rows, size_t count, void *conf, int argc, char **argv,
               struct conf_error *error) {
    error->text[0] = '\0';
    const char *file = NULL;
    for (int i = 1; i < argc; i++) { /* the file first, wherever it stands */
        if (strncmp(argv[i], "--", 2) == 0) {
            i += strchr(argv[i], '=') == NULL;
        } else if (file != NULL) {
            return fail(error, "one configuration file, not '%.100s' too", argv[i]);
        } else {
            file = argv[i];
        }
    }
    if (file != NULL && !conf_load(rows, count, conf, file, error))
        return false;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            continue;
        char name[64];
        const char *equals = strchr(argv[i], '=');
        size_t len = equals != NULL ? (size_t)(equals - argv[i] - 2) : strlen(argv[i] + 2);
        if (len >= sizeof(name))
            return fail(error, "unknown option '%.100s'", argv[i] + 2);
        snprintf(name, sizeof(name), "%.*s", (int)len, argv[i] + 2);
        if (equals == NULL && i + 1 == argc)
            return fail(error, "--%s needs a value", name);
        if (!conf_set(rows, count, conf, name, equals != NULL ? equals + 1 : argv[++i], error))
            return false;
    }
    return true;
}

/* ---- showing ---- */

void conf_get(const struct conf_row *row, const void *conf, char *out, size_t size) {
    void *from = (void *)(uintptr_t)conf;
    switch (row->type) {
    case CONF_INT:
    case CONF_BYTES:
        snprintf(out, size, "%lld", (long long)*number(row, from));
        return;
    case CONF_CHOICE:
        snprintf(out, size, "%s", row->choices[*number(row, from)]);
        return;
    case CONF_BOOL:
        snprintf(out, size, "%s", *truth(row, from) ? "yes" : "no");
        return;
    case CONF_STRING:
        snprintf(out, size, "%s", (row->flags & CONF_SECRET) != 0 ? "" : *text(row, from));
        return;
    }
}

int64_t conf_number(const struct conf_row *row, const void *conf) {
    void *from = (void *)(uintptr_t)conf;
    return row->type == CONF_BOOL ? *truth(row, from) : *number(row, from);
}

void conf_put_number(const struct conf_row *row, void *conf, int64_t n) {
    if (row->type == CONF_BOOL)
        *truth(row, conf) = n != 0;
    else
        *number(row, conf) = n;
}

static void print_range(const struct conf_row *row) {
    switch (row->type) {
    case CONF_INT:
    case CONF_BYTES:
        if (row->max == INT64_MAX)
            printf("from %lld", (long long)row->min);
        else
            printf("%lld to %lld", (long long)row->min, (long long)row->max);
        printf("%s%s", row->unit[0] != '\0' ? " " : "", row->unit);
        return;
    case CONF_CHOICE:
        for (size_t i = 0; row->choices[i] != NULL; i++)
            printf("%s%s", i == 0 ? "" : " | ", row->choices[i]);
        return;
    case CONF_BOOL:
        printf("yes | no");
        return;
    case CONF_STRING:
        printf("text");
        return;
    }
}

void conf_print(const struct conf_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        printf("# %s\n# (", rows[i].help);
        print_range(&rows[i]);
        printf("%s)\n", (rows[i].flags & CONF_RELOADABLE) != 0 ? "; may change by CONFIG SET" : "");
        printf("# %s %s\n\n", rows[i].name, rows[i].initial[0] != '\0' ? rows[i].initial : "\"\"");
    }
}
