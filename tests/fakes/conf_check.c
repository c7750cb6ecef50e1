#include "conf_check.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/conf.h"

void conf_check_rows(const struct conf_row *rows, size_t count, size_t conf_bytes) {
    void *conf = calloc(1, conf_bytes);
    cr_assert_eq(count * sizeof(int64_t), conf_bytes, "fields without a row, or rows without one");
    for (size_t i = 0; i < count; i++) {
        const struct conf_row *row = &rows[i];
        struct conf_error error = {{0}};
        for (size_t j = 0; j < i; j++) {
            cr_assert_neq(row->offset, rows[j].offset, "%s and %s", row->name, rows[j].name);
            cr_assert_str_neq(row->name, rows[j].name);
        }
        cr_assert_lt(row->offset, conf_bytes, "%s", row->name);
        cr_assert_gt(strlen(row->help), 10, "%s", row->name);
        cr_assert_not_null(row->unit, "%s", row->name);
        bool is_number = row->type == CONF_INT || row->type == CONF_BYTES;
        cr_assert(!is_number || row->min < row->max, "%s has no range", row->name);
        cr_assert(conf_set(rows, count, conf, row->name, row->initial, &error), "%s", error.text);
    }
    conf_release(rows, count, conf);
    free(conf);
}

void conf_check_refused(const struct conf_row *rows, size_t count, void *conf, const char *name,
                        const char *value) {
    struct conf_error error = {{0}};
    cr_assert_not(conf_set(rows, count, conf, name, value, &error), "%s took %s", name, value);
    cr_assert_not_null(strstr(error.text, name), "%s", error.text);
}

static char *read_all(FILE *file) {
    cr_assert_not_null(file);
    cr_assert_eq(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    cr_assert_eq(fread(text, 1, (size_t)size, file), (size_t)size);
    return text;
}

/* What conf_print() says of one row; the caller frees it. */
static char *printed(const struct conf_row *row) {
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    conf_print(row, 1);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    char *text = read_all(file);
    fclose(file);
    return text;
}

void conf_check_sample(const struct conf_row *rows, size_t count, const char *path) {
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s: run the tests in the repository's root", path);
    char *text = read_all(file);
    fclose(file);
    for (size_t i = 0; i < count; i++) {
        char *block = printed(&rows[i]), start[300];
        block[strlen(block) - 1] = '\0'; /* the last option has no blank line behind it */
        char *found = strstr(text, block);
        cr_assert_not_null(found, "%s lacks:\n%s", path, block);
        snprintf(start, sizeof(start), "\n# %s ", rows[i].name);
        char *line = strstr(text, start);
        cr_assert(line > found && line < found + strlen(block), "%s: another line%s", path, start);
        cr_assert_null(strstr(line + 1, start), "%s has twice:%s", path, start);
        free(block);
    }
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        cr_assert_eq(line[0], '#', "%s is not a comment: %s", path, line);
    free(text);
}
