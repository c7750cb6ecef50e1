#include "lines.h"

#include <ctype.h>
#include <stdlib.h>

bool lines_next(struct span text, size_t *at, struct span *line) {
    if (*at >= text.len)
        return false;
    const char *start = text.ptr + *at, *end = memchr(start, '\n', text.len - *at);
    *line = span_of(start, end == NULL ? text.len - *at : (size_t)(end - start));
    *at += line->len + 1;
    return true;
}

bool lines_words(struct span line, struct span *words, unsigned max, unsigned *count) {
    size_t at = 0;
    *count = 0;
    for (;;) {
        while (at < line.len && isspace((unsigned char)line.ptr[at]))
            at++;
        if (at == line.len || line.ptr[at] == '#')
            return true;
        size_t from = at;
        while (at < line.len && !isspace((unsigned char)line.ptr[at]))
            at++;
        if (*count == max)
            return false;
        words[(*count)++] = span_of(line.ptr + from, at - from);
    }
}

char *lines_read(FILE *file, size_t bytes_max, size_t *len, char *why, size_t why_size) {
    char *text = malloc(bytes_max + 1);
    *len = text == NULL ? 0 : fread(text, 1, bytes_max + 1, file);
    if (text != NULL && !ferror(file) && *len <= bytes_max)
        return text;
    if (text == NULL || ferror(file))
        snprintf(why, why_size, "%s", text == NULL ? "out of memory" : "cannot be read");
    else
        snprintf(why, why_size, "longer than %zu bytes", bytes_max);
    free(text);
    return NULL;
}
