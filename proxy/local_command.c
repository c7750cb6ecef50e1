#include <stdio.h>
#include <string.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/glob.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "local_private.h"

enum {
    NAMES_MAX = 256, /* names in one COMMAND INFO or DOCS */
    WORDS_MAX = 8,
};

/* Commands that only nodes know are not there for clients. */
bool local_entry_visible(int id) {
    return (command_row(id)->flags & COMMAND_LINK) == 0;
}

void local_entry_make(struct local_entry *entry, int id, const struct local_subcommand *sub) {
    entry->id = id;
    entry->row = command_row(id);
    entry->sub = sub;
    entry->arity = sub == NULL ? entry->row->arity : sub->arity;
    snprintf(entry->name, sizeof(entry->name), "%s%s%s", entry->row->name, sub == NULL ? "" : "|",
             sub == NULL ? "" : sub->name);
}

/* "get", or "client|list"; any case. */
bool local_entry_find(struct span name, struct local_entry *out) {
    const char *bar = name.len == 0 ? NULL : memchr(name.ptr, '|', name.len);
    struct span first = bar == NULL ? name : span_of(name.ptr, (size_t)(bar - name.ptr));
    int id = first.len == 0 ? -1 : command_find(first);
    if (id < 0 || !local_entry_visible(id))
        return false;
    if (bar == NULL) {
        local_entry_make(out, id, NULL);
        return true;
    }
    struct span second = span_of(bar + 1, name.len - first.len - 1);
    for (const struct local_subcommand *s = local_subcommands(id); s != NULL && s->name != NULL;
         s++) {
        if (span_equal_nocase(second, span_str(s->name))) {
            local_entry_make(out, id, s);
            return true;
        }
    }
    return false;
}

uint64_t local_entry_subs(const struct local_entry *entry) {
    const struct local_subcommand *s = entry->sub == NULL ? local_subcommands(entry->id) : NULL;
    uint64_t n = 0;
    while (s != NULL && s[n].name != NULL)
        n++;
    return n;
}

uint64_t local_entries(void) {
    uint64_t n = 0;
    for (int id = 0; id < COMMAND_COUNT_OF; id++)
        n += local_entry_visible(id);
    return n;
}

/* ---- words: flags and categories ---- */

struct words {
    const char *word[WORDS_MAX];
    uint64_t count;
};

static void add_word(struct words *words, bool wanted, const char *word) {
    if (wanted && words->count < WORDS_MAX)
        words->word[words->count++] = word;
}

/* What Redis calls so, of what is for admins here. */
static bool is_admin(const struct local_entry *entry) {
    return entry->id == COMMAND_CONFIG || (entry->row->flags & COMMAND_ADMIN) != 0 ||
           (entry->id == COMMAND_CLIENT && entry->sub != NULL &&
            (entry->sub->flags & LOCAL_ADMIN) != 0);
}

/* It is asked about keys itself: OBJECT FREQ is, OBJECT and OBJECT HELP are not. */
static bool has_keys(const struct local_entry *entry) {
    const struct command *row = entry->row;
    int words = entry->arity < 0 ? -entry->arity : entry->arity;
    return row->first_key != 0 &&
           (row->subcommands == NULL || (entry->sub != NULL && words > row->first_key));
}

static bool reads(const struct local_entry *entry) {
    return (entry->row->flags & COMMAND_READ) != 0 &&
           (entry->row->first_key == 0 || has_keys(entry));
}

static struct words flags_of(const struct local_entry *entry) {
    struct words words = {.count = 0};
    unsigned flags = entry->row->flags;
    add_word(&words, (flags & COMMAND_WRITE) != 0, "write");
    add_word(&words, reads(entry), "readonly");
    add_word(&words, is_admin(entry) && (entry->id != COMMAND_CONFIG || entry->sub != NULL),
             "admin");
    bool pubsub = strcmp(entry->row->group, "pubsub") == 0;
    add_word(&words, pubsub && (entry->row->subcommands == NULL || entry->sub != NULL), "pubsub");
    add_word(&words, pubsub && entry->row->subcommands == NULL && entry->id != COMMAND_PUBLISH,
             "noscript");
    add_word(&words, (flags & COMMAND_LOCAL) != 0, "loading");
    add_word(&words, (flags & COMMAND_LOCAL) != 0, "stale");
    add_word(&words, (flags & COMMAND_FAST) != 0, "fast");
    return words;
}

static struct words categories_of(const struct local_entry *entry) {
    struct words words = {.count = 0};
    unsigned flags = entry->row->flags;
    const char *group = entry->row->group;
    add_word(&words, strcmp(group, "generic") == 0 || entry->id == COMMAND_DBSIZE, "@keyspace");
    add_word(&words, reads(entry), "@read");
    add_word(&words, (flags & COMMAND_WRITE) != 0, "@write");
    add_word(&words, strcmp(group, "string") == 0, "@string");
    add_word(&words, is_admin(entry), "@admin");
    add_word(&words, true, (flags & COMMAND_FAST) != 0 ? "@fast" : "@slow");
    add_word(&words, is_admin(entry) || entry->id == COMMAND_INFO, "@dangerous");
    add_word(&words, strcmp(group, "connection") == 0 || entry->id == COMMAND_COMMAND,
             "@connection");
    add_word(&words, strcmp(group, "transactions") == 0, "@transaction");
    add_word(&words, strcmp(group, "pubsub") == 0, "@pubsub");
    return words;
}

static void write_words(const struct local_call *call, struct words words) {
    resp_write_set(call->out, words.count, call->client->proto);
    for (uint64_t i = 0; i < words.count; i++)
        resp_write_status(call->out, words.word[i]);
}

/* ---- COMMAND and COMMAND INFO ---- */

static void write_key_flags(const struct local_call *call, const char *text) {
    char room[64];
    struct words words = {.count = 0};
    snprintf(room, sizeof(room), "%s", text);
    char *rest = room;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        add_word(&words, true, word);
    write_words(call, words);
}

static void write_key_specs(const struct local_call *call, const struct local_entry *entry) {
    int proto = call->client->proto;
    const struct command *row = entry->row;
    if (!has_keys(entry)) {
        resp_write_set(call->out, 0, proto);
        return;
    }
    resp_write_set(call->out, 1, proto);
    resp_write_map(call->out, 3, proto);
    resp_write_bulk(call->out, SPAN("flags"));
    write_key_flags(call, row->key_flags);
    resp_write_bulk(call->out, SPAN("begin_search"));
    resp_write_map(call->out, 2, proto);
    local_write_text(call, "type", "index");
    resp_write_bulk(call->out, SPAN("spec"));
    resp_write_map(call->out, 1, proto);
    local_write_int(call, "index", row->first_key);
    resp_write_bulk(call->out, SPAN("find_keys"));
    resp_write_map(call->out, 2, proto);
    local_write_text(call, "type", "range");
    resp_write_bulk(call->out, SPAN("spec"));
    resp_write_map(call->out, 3, proto);
    /* Relative to the first key here, unlike in the reply's fifth element. */
    local_write_int(call, "lastkey", row->last_key < 0 ? row->last_key : 0);
    local_write_int(call, "keystep", row->key_step);
    local_write_int(call, "limit", 0);
}

static void write_info(const struct local_call *call, const struct local_entry *entry) {
    uint64_t subs = local_entry_subs(entry);
    resp_write_array(call->out, 10);
    resp_write_bulk(call->out, span_str(entry->name));
    resp_write_int(call->out, entry->arity);
    write_words(call, flags_of(entry));
    resp_write_int(call->out, has_keys(entry) ? entry->row->first_key : 0);
    resp_write_int(call->out, has_keys(entry) ? entry->row->last_key : 0);
    resp_write_int(call->out, has_keys(entry) ? entry->row->key_step : 0);
    write_words(call, categories_of(entry));
    resp_write_set(call->out, 0, call->client->proto); /* tips for cluster clients */
    write_key_specs(call, entry);
    if (subs == 0)
        resp_write_set(call->out, 0, call->client->proto); /* as Redis */
    else
        resp_write_array(call->out, subs);
    for (uint64_t i = 0; i < subs; i++) {
        struct local_entry sub;
        local_entry_make(&sub, entry->id, &local_subcommands(entry->id)[i]);
        write_info(call, &sub);
    }
}

void local_command_all(const struct local_call *call) {
    resp_write_array(call->out, local_entries());
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        struct local_entry entry;
        local_entry_make(&entry, id, NULL);
        if (local_entry_visible(id))
            write_info(call, &entry);
    }
}

bool local_too_many_names(const struct local_call *call) {
    if (call->argc - 2 <= NAMES_MAX)
        return false;
    reply_error_number(call->out, REPLY_NAMES, NAMES_MAX);
    return true;
}

static void info(const struct local_call *call) {
    if (call->argc == 2) {
        local_command_all(call);
        return;
    }
    if (local_too_many_names(call))
        return;
    resp_write_array(call->out, call->argc - 2);
    for (uint32_t i = 2; i < call->argc; i++) {
        struct local_entry entry;
        if (local_entry_find(call->argv[i], &entry))
            write_info(call, &entry);
        else
            resp_write_null(call->out, call->client->proto);
    }
}

/* ---- COMMAND COUNT, LIST, GETKEYS, HELP ---- */

static void count(const struct local_call *call) {
    resp_write_int(call->out, (int64_t)local_entries());
}

enum list_by { LIST_ALL, LIST_MODULE, LIST_ACLCAT, LIST_PATTERN };

static bool is_listed(const struct local_entry *entry, enum list_by by, struct span wanted) {
    switch (by) {
    case LIST_ALL:
        return true;
    case LIST_MODULE:
        return false;
    case LIST_PATTERN:
        return glob_match(wanted, span_str(entry->name), true);
    case LIST_ACLCAT: {
        struct words words = categories_of(entry);
        for (uint64_t i = 0; i < words.count; i++) {
            if (span_equal_nocase(wanted, span_str(words.word[i] + 1)))
                return true;
        }
        return false;
    }
    }
    return false;
}

/* Commands and subcommands; writes them when `write`, counts them in any case. */
static uint64_t walk_list(const struct local_call *call, enum list_by by, struct span wanted,
                          bool write) {
    uint64_t listed = 0;
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        struct local_entry entry;
        local_entry_make(&entry, id, NULL);
        uint64_t subs = local_entry_subs(&entry);
        for (uint64_t i = 0; local_entry_visible(id) && i <= subs; i++) {
            local_entry_make(&entry, id, i == 0 ? NULL : &local_subcommands(id)[i - 1]);
            if (!is_listed(&entry, by, wanted))
                continue;
            listed++;
            if (write)
                resp_write_bulk(call->out, span_str(entry.name));
        }
    }
    return listed;
}

static void list(const struct local_call *call) {
    static const char *const FILTERS[] = {
        [LIST_MODULE] = "MODULE", [LIST_ACLCAT] = "ACLCAT", [LIST_PATTERN] = "PATTERN"};
    enum list_by by = LIST_ALL;
    struct span wanted = span_of(NULL, 0);
    if (call->argc == 5 && span_equal_nocase(call->argv[2], SPAN("FILTERBY"))) {
        wanted = span_of(call->argv[4].ptr, call->argv[4].len < LOCAL_ENTRY_NAME_BYTES
                                                ? call->argv[4].len
                                                : LOCAL_ENTRY_NAME_BYTES);
        for (int i = LIST_MODULE; i <= LIST_PATTERN; i++) {
            if (span_equal_nocase(call->argv[3], span_str(FILTERS[i])))
                by = (enum list_by)i;
        }
    }
    if (call->argc != 2 && by == LIST_ALL) {
        reply_error(call->out, REPLY_SYNTAX, NULL);
        return;
    }
    resp_write_array(call->out, walk_list(call, by, wanted, false));
    walk_list(call, by, wanted, true);
}

static void getkeys(const struct local_call *call) {
    int id = call->argv[2].len == 0 ? -1 : command_find(call->argv[2]);
    uint32_t argc = call->argc - 2;
    if (id < 0 || !local_entry_visible(id)) {
        reply_error(call->out, REPLY_GETKEYS_COMMAND, NULL);
        return;
    }
    const struct command *row = command_row(id);
    if (row->first_key == 0) {
        reply_error(call->out, REPLY_GETKEYS_NONE, NULL);
        return;
    }
    if (!command_arity_ok(id, argc)) {
        reply_error(call->out, REPLY_GETKEYS_ARITY, NULL);
        return;
    }
    uint32_t first = (uint32_t)row->first_key, step = (uint32_t)row->key_step;
    uint32_t end = command_key_end(row, argc);
    if (end <= first) { /* OBJECT HELP */
        reply_error(call->out, REPLY_GETKEYS_NONE, NULL);
        return;
    }
    resp_write_array(call->out, (end - 1 - first) / step + 1);
    for (uint32_t i = first; i < end; i += step)
        resp_write_bulk(call->out, call->argv[2 + i]);
}

static void help(const struct local_call *call) {
    local_help(call, COMMAND_COMMAND);
}

const struct local_subcommand LOCAL_COMMAND_ROWS[] = {
    {"count", 2, "2.8.13", "", "How many commands there are.", count, 0},
    {"info", -2, "2.8.13", " [<name> ...]",
     "Arity, flags and keys of commands; of all without names.", info, 0},
    {"docs", -2, "7.0.0", " [<name> ...]", "Summaries of commands; of all without names.",
     local_command_docs, 0},
    {"list", -2, "7.0.0", " [FILTERBY <filter> <value>]",
     "Names of commands; the filters are MODULE, ACLCAT and PATTERN.", list, 0},
    {"getkeys", -3, "2.8.13", " <command> [<arg> ...]", "The keys among the arguments.", getkeys,
     0},
    {"help", 2, "5.0.0", "", "This text.", help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};
