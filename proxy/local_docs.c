/* COMMAND DOCS, with the arguments as a tree, made from the text in the rows: redis-cli shows it
 * while one types. */
#include <ctype.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/resp_write.h"
#include "local_private.h"

static void write_args(const struct local_call *call, struct span text);

enum { REPEATED_WORDS_MAX = 2, PIECE_NAME_BYTES = 32 };

/* One argument, or several that belong together: `key`, `[NX|XX]`, `key value [key value ...]`. */
struct piece {
    struct span text; /* without the brackets */
    bool optional, multiple;
};

/* ---- the text ---- */

static size_t skip_blanks(struct span text, size_t at) {
    while (at < text.len && text.ptr[at] == ' ')
        at++;
    return at;
}

static size_t skip_word(struct span text, size_t at) {
    while (at < text.len && text.ptr[at] != ' ')
        at++;
    return at;
}

/* Behind the bracket that closes the one at `at`. */
static size_t skip_brackets(struct span text, size_t at) {
    int depth = 0;
    for (; at < text.len; at++) {
        depth += text.ptr[at] == '[' || text.ptr[at] == '(';
        depth -= text.ptr[at] == ']' || text.ptr[at] == ')';
        if (depth == 0)
            return at + 1;
    }
    return at;
}

static bool starts_with(struct span text, size_t at, struct span part) {
    return span_begins_with(span_of(text.ptr + at, text.len - at), part);
}

/* Where ` [WORDS ...]` ends that stands behind `words`, or 0: then they are not repeated. */
static size_t skip_repeat(struct span text, struct span words, size_t at) {
    static const struct span OPEN = SPAN(" ["), CLOSE = SPAN(" ...]");
    if (!starts_with(text, at, OPEN) || !starts_with(text, at + OPEN.len, words) ||
        !starts_with(text, at + OPEN.len + words.len, CLOSE))
        return 0;
    return at + OPEN.len + words.len + CLOSE.len;
}

static size_t word_piece(struct span text, size_t from, struct piece *out) {
    size_t end = skip_word(text, from), to = end;
    for (int n = 0; n < REPEATED_WORDS_MAX; n++) {
        struct span words = span_of(text.ptr + from, to - from);
        size_t behind = skip_repeat(text, words, to);
        if (behind != 0) {
            *out = (struct piece){.text = words, .multiple = true};
            return behind;
        }
        to = skip_word(text, skip_blanks(text, to));
    }
    *out = (struct piece){.text = span_of(text.ptr + from, end - from)};
    return end;
}

static size_t bracket_piece(struct span text, size_t from, struct piece *out) {
    static const struct span DOTS = SPAN(" ...");
    size_t end = skip_brackets(text, from);
    *out = (struct piece){.text = span_of(text.ptr + from + 1, end - from - 2),
                          .optional = text.ptr[from] == '['};
    if (out->text.len > DOTS.len && starts_with(out->text, out->text.len - DOTS.len, DOTS)) {
        out->text.len -= DOTS.len;
        out->multiple = true;
    }
    return end;
}

/* The piece at *at, which moves behind it. Returns false at the end. */
static bool next_piece(struct span text, size_t *at, struct piece *out) {
    size_t from = skip_blanks(text, *at);
    if (from == text.len)
        return false;
    bool bracket = text.ptr[from] == '[' || text.ptr[from] == '(';
    *at = bracket ? bracket_piece(text, from, out) : word_piece(text, from, out);
    return true;
}

static uint64_t count_pieces(struct span text) {
    struct piece piece;
    uint64_t count = 0;
    for (size_t at = 0; next_piece(text, &at, &piece);)
        count++;
    return count;
}

/* The alternative at *at, which moves behind it and its '|'. Returns false at the end. */
static bool next_choice(struct span text, size_t *at, struct piece *out) {
    if (*at >= text.len)
        return false;
    size_t end = *at;
    while (end < text.len && text.ptr[end] != '|')
        end = text.ptr[end] == '[' || text.ptr[end] == '(' ? skip_brackets(text, end) : end + 1;
    size_t from = skip_blanks(text, *at), to = end;
    while (to > from && text.ptr[to - 1] == ' ')
        to--;
    *out = (struct piece){.text = span_of(text.ptr + from, to - from)};
    *at = end + 1;
    return true;
}

static uint64_t count_choices(struct span text) {
    struct piece piece;
    uint64_t count = 0;
    for (size_t at = 0; next_choice(text, &at, &piece);)
        count++;
    return count;
}

/* ---- the tree ---- */

static void write_piece(const struct local_call *call, const struct piece *piece);

static void write_choices(const struct local_call *call, struct span text) {
    struct piece piece;
    resp_write_array(call->out, count_choices(text));
    for (size_t at = 0; next_choice(text, &at, &piece);)
        write_piece(call, &piece);
}

static void write_args(const struct local_call *call, struct span text) {
    struct piece piece;
    resp_write_array(call->out, count_pieces(text));
    for (size_t at = 0; next_piece(text, &at, &piece);)
        write_piece(call, &piece);
}

/* `name`: the words of the text with '_' between them, in lower case. */
static void write_name(const struct local_call *call, struct span text) {
    char name[PIECE_NAME_BYTES];
    size_t len = 0;
    for (size_t i = 0; i < text.len && len < sizeof(name); i++) {
        bool letter = isalnum((unsigned char)text.ptr[i]) || text.ptr[i] == '-';
        if (letter)
            name[len++] = (char)tolower((unsigned char)text.ptr[i]);
        else if (len > 0 && name[len - 1] != '_')
            name[len++] = '_';
    }
    while (len > 0 && name[len - 1] == '_')
        len--;
    resp_write_bulk(call->out, SPAN("name"));
    resp_write_bulk(call->out, span_of(name, len));
}

static void write_flags(const struct local_call *call, const struct piece *piece) {
    resp_write_bulk(call->out, SPAN("flags"));
    resp_write_set(call->out, (uint64_t)piece->optional + piece->multiple, call->client->proto);
    if (piece->optional)
        resp_write_status(call->out, "optional");
    if (piece->multiple)
        resp_write_status(call->out, "multiple");
}

static void write_piece(const struct local_call *call, const struct piece *piece) {
    struct span text = piece->text;
    bool flags = piece->optional || piece->multiple, choice = count_choices(text) > 1;
    bool tree = choice || count_pieces(text) > 1;
    bool key = span_equal(text, SPAN("key"));
    bool token = !tree && isupper((unsigned char)text.ptr[0]);
    resp_write_map(call->out, 2 + (uint64_t)tree + key + token + flags, call->client->proto);
    write_name(call, text);
    local_write_text(call, "type",
                     choice  ? "oneof"
                     : tree  ? "block"
                     : key   ? "key"
                     : token ? "pure-token"
                             : "string");
    if (key)
        local_write_int(call, "key_spec_index", 0);
    if (token) {
        resp_write_bulk(call->out, SPAN("token"));
        resp_write_bulk(call->out, text);
    }
    if (flags)
        write_flags(call, piece);
    if (!tree)
        return;
    resp_write_bulk(call->out, SPAN("arguments"));
    if (choice)
        write_choices(call, text);
    else
        write_args(call, text);
}

/* ---- the reply ---- */

static void write_docs(const struct local_call *call, const struct local_entry *entry) {
    int proto = call->client->proto;
    uint64_t subs = local_entry_subs(entry);
    resp_write_bulk(call->out, span_str(entry->name));
    const char *args = entry->sub == NULL ? entry->row->args : entry->sub->args;
    resp_write_map(call->out, 4 + (args[0] != '\0') + (subs != 0), proto);
    local_write_text(call, "summary",
                     entry->sub == NULL ? entry->row->summary : entry->sub->summary);
    local_write_text(call, "since", entry->sub == NULL ? entry->row->since : entry->sub->since);
    local_write_text(call, "group", entry->row->group);
    local_write_text(call, "complexity", entry->row->complexity);
    if (args[0] != '\0') {
        resp_write_bulk(call->out, SPAN("arguments"));
        write_args(call, span_str(args));
    }
    if (subs == 0)
        return;
    resp_write_bulk(call->out, SPAN("subcommands"));
    resp_write_map(call->out, subs, proto);
    for (uint64_t i = 0; i < subs; i++) {
        struct local_entry sub;
        local_entry_make(&sub, entry->id, &local_subcommands(entry->id)[i]);
        write_docs(call, &sub);
    }
}

void local_command_docs(const struct local_call *call) {
    struct local_entry entry;
    if (call->argc == 2) {
        resp_write_map(call->out, local_entries(), call->client->proto);
        for (int id = 0; id < COMMAND_COUNT_OF; id++) {
            local_entry_make(&entry, id, NULL);
            if (local_entry_visible(id))
                write_docs(call, &entry);
        }
        return;
    }
    if (local_too_many_names(call))
        return;
    uint64_t found = 0;
    for (uint32_t i = 2; i < call->argc; i++)
        found += local_entry_find(call->argv[i], &entry);
    resp_write_map(call->out, found, call->client->proto);
    for (uint32_t i = 2; i < call->argc; i++) {
        if (local_entry_find(call->argv[i], &entry))
            write_docs(call, &entry);
    }
}
