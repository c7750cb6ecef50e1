#include "ring_command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"
#include "../common/ring.h"
#include "../common/ring_file.h"

enum { OWNERS_SHOWN = 4 /* a proxy sends one request to so many nodes at most */ };

struct ring_text {
    struct ring *ring;
    uint64_t epoch;
};

static bool load(const struct ctl_io *io, const char *path, struct ring_text *out) {
    struct ring_file_error error;
    out->ring = ring_file_load(path, &out->epoch, &error);
    if (out->ring == NULL)
        fprintf(io->err, "%s\n", error.text);
    return out->ring != NULL;
}

static void print_percent(FILE *to, uint32_t ppm) {
    fprintf(to, "%u.%04u%%", ppm / 10000, ppm % 10000);
}

static void print_facts(FILE *to, const struct ring_text *text) {
    size_t count = ring_count(text->ring), up = 0;
    for (size_t i = 0; i < count; i++)
        up += ring_at(text->ring, (uint32_t)i)->state == RING_UP;
    fprintf(to, "%zu node%s, %zu up, epoch %llu, checksum %016llx\n", count, count == 1 ? "" : "s",
            up, (unsigned long long)text->epoch, (unsigned long long)ring_checksum(text->ring));
}

/* ---- check, show ---- */

enum ctl_status ring_command_check(const struct ctl_io *io, int argc, char **argv) {
    struct ring_text text;
    if (!load(io, argv[0], &text))
        return CTL_BAD_FILE;
    fprintf(io->out, "%s: fine: ", argv[0]);
    print_facts(io->out, &text);
    ring_free(&text.ring);
    return CTL_OK;
}

/* Widths of the columns that have no fixed one. */
struct widths {
    int name, address;
};

static struct widths widths_of(const struct ring *ring) {
    struct widths w = {(int)sizeof("OWNER") - 1, (int)sizeof("ADDRESS") - 1};
    for (size_t i = 0; i < ring_count(ring); i++) {
        const struct ring_member *m = ring_at(ring, (uint32_t)i);
        char address[RING_FILE_ADDRESS_SIZE];
        ring_file_address(m, address, sizeof(address));
        int name_len = (int)strlen(m->name), address_len = (int)strlen(address);
        w.name = name_len > w.name ? name_len : w.name;
        w.address = address_len > w.address ? address_len : w.address;
    }
    return w;
}

enum ctl_status ring_command_show(const struct ctl_io *io, int argc, char **argv) {
    struct ring_text text;
    if (!load(io, argv[0], &text))
        return CTL_BAD_FILE;
    struct widths w = widths_of(text.ring);
    fprintf(io->out, "%-*s  %-*s  WEIGHT  STATE  SHARE\n", w.name, "NODE", w.address, "ADDRESS");
    for (size_t i = 0; i < ring_count(text.ring); i++) {
        const struct ring_member *m = ring_at(text.ring, (uint32_t)i);
        char address[RING_FILE_ADDRESS_SIZE];
        ring_file_address(m, address, sizeof(address));
        fprintf(io->out, "%-*s  %-*s  %6u  %-5s  ", w.name, m->name, w.address, address, m->weight,
                ring_state_name(m->state));
        print_percent(io->out, ring_share(text.ring, (uint32_t)i));
        fputc('\n', io->out);
    }
    print_facts(io->out, &text);
    ring_free(&text.ring);
    return CTL_OK;
}

/* ---- diff ---- */

/* A node that is in one of the two rings only. */
static void print_whole(FILE *to, const char *what, const struct ring_member *m) {
    char address[RING_FILE_ADDRESS_SIZE];
    ring_file_address(m, address, sizeof(address));
    fprintf(to, "%s  %s %s weight=%u state=%s\n", what, m->name, address, m->weight,
            ring_state_name(m->state));
}

/* A node that is in both; returns whether anything about it differs. */
static bool print_change(FILE *to, const struct ring_member *was, const struct ring_member *now) {
    bool weighs = was->weight != now->weight, turns = was->state != now->state;
    bool moves = was->port != now->port || strcmp(was->host, now->host) != 0;
    if (weighs || turns) {
        fprintf(to, "changed  %s", now->name);
        if (weighs)
            fprintf(to, " weight %u -> %u", was->weight, now->weight);
        if (turns)
            fprintf(to, "%s state %s -> %s", weighs ? "," : "", ring_state_name(was->state),
                    ring_state_name(now->state));
        fputc('\n', to);
    }
    if (moves) {
        char from[RING_FILE_ADDRESS_SIZE], here[RING_FILE_ADDRESS_SIZE];
        ring_file_address(was, from, sizeof(from));
        ring_file_address(now, here, sizeof(here));
        fprintf(to, "moved    %s %s -> %s\n", now->name, from, here);
    }
    return weighs || turns || moves;
}

static void print_diff(FILE *to, const struct ring_text *old, const struct ring_text *new) {
    size_t changes = 0;
    for (size_t i = 0; i < ring_count(old->ring); i++) {
        const struct ring_member *was = ring_at(old->ring, (uint32_t)i);
        if (ring_find(new->ring, was->name) < 0) {
            print_whole(to, "removed", was);
            changes++;
        }
    }
    for (size_t i = 0; i < ring_count(new->ring); i++) {
        const struct ring_member *now = ring_at(new->ring, (uint32_t)i);
        int before = ring_find(old->ring, now->name);
        if (before < 0) {
            print_whole(to, "added  ", now);
            changes++;
        } else if (print_change(to, ring_at(old->ring, (uint32_t)before), now)) {
            changes++;
        }
    }
    if (old->epoch != new->epoch)
        fprintf(to, "epoch    %llu -> %llu\n", (unsigned long long)old->epoch,
                (unsigned long long)new->epoch);
    fprintf(to, "%zu node%s differ%s; keys that move: ", changes, changes == 1 ? "" : "s",
            changes == 1 ? "s" : "");
    print_percent(to, ring_moved(old->ring, new->ring));
    fputc('\n', to);
}

enum ctl_status ring_command_diff(const struct ctl_io *io, int argc, char **argv) {
    struct ring_text old, new;
    if (!load(io, argv[0], &old))
        return CTL_BAD_FILE;
    bool loaded = load(io, argv[1], &new);
    if (loaded) {
        print_diff(io->out, &old, &new);
        ring_free(&new.ring);
    }
    ring_free(&old.ring);
    return loaded ? CTL_OK : CTL_BAD_FILE;
}

/* ---- owner ---- */

/* The key as one word for the eye; returns the columns it takes. `to` may be NULL, to measure. */
static int print_key(FILE *to, const char *key) {
    int columns = 0;
    if (*key == '\0')
        key = "\"\"";
    for (; *key != '\0'; key++) {
        unsigned char c = (unsigned char)*key;
        bool plain = c > ' ' && c != 0x7f && c != '\\';
        if (to != NULL && plain)
            fputc(c, to);
        else if (to != NULL)
            fprintf(to, "\\x%02x", c);
        columns += plain ? 1 : 4;
    }
    return columns;
}

static void print_owners(FILE *to, const struct ring *ring, const char *key, struct widths w) {
    uint32_t owners[OWNERS_SHOWN];
    size_t count = ring_owners(ring, hash_ring(span_str(key)), owners, OWNERS_SHOWN);
    const struct ring_member *first = ring_at(ring, owners[0]);
    char address[RING_FILE_ADDRESS_SIZE];
    ring_file_address(first, address, sizeof(address));
    fprintf(to, "%-*s  %-*s  ", w.name, first->name, w.address, address);
    for (size_t i = 1; i < count; i++)
        fprintf(to, "%s%s", i == 1 ? "" : " ", ring_at(ring, owners[i])->name);
    fprintf(to, "%s\n", count == 1 ? "-" : "");
}

enum ctl_status ring_command_owner(const struct ctl_io *io, int argc, char **argv) {
    struct ring_text text;
    if (!load(io, argv[0], &text))
        return CTL_BAD_FILE;
    struct widths w = widths_of(text.ring);
    int key_width = (int)sizeof("KEY") - 1;
    for (int i = 1; i < argc; i++) {
        int columns = print_key(NULL, argv[i]);
        key_width = columns > key_width ? columns : key_width;
    }
    fprintf(io->out, "%-*s  %-*s  %-*s  THEN\n", key_width, "KEY", w.name, "OWNER", w.address,
            "ADDRESS");
    for (int i = 1; i < argc; i++) {
        int columns = print_key(io->out, argv[i]);
        fprintf(io->out, "%*s  ", key_width - columns, "");
        print_owners(io->out, text.ring, argv[i], w);
    }
    ring_free(&text.ring);
    return CTL_OK;
}
