#include "look.h"

#include "../common/command.h"
#include "../common/resp_write.h"
#include "store.h"

static void write_expire_time(int command, const struct store_answer *a, struct buf *out) {
    int64_t ms = !a->live ? -2 : a->expires_ms;
    if (command == COMMAND_EXPIRETIME && ms >= 0)
        ms = (ms + 500) / 1000;
    resp_write_int(out, ms);
}

static void write_row(const struct store_answer *a, int proto, struct buf *out) {
    if (!a->found) {
        resp_write_null(out, proto);
        return;
    }
    resp_write_map(out, 5, proto);
    resp_write_bulk(out, SPAN("payload"));
    resp_write_bulk(out, a->payload);
    resp_write_bulk(out, SPAN("version"));
    resp_write_int(out, (int64_t)a->version);
    resp_write_bulk(out, SPAN("active"));
    resp_write_int(out, a->active);
    resp_write_bulk(out, SPAN("updated_at"));
    resp_write_int(out, a->updated_ms);
    resp_write_bulk(out, SPAN("expires_at"));
    resp_write_int(out, a->expires_ms);
}

void look_reply(int command, int proto, const struct store_answer *row, struct buf *out) {
    if (command == COMMAND_RF_VERSION) {
        resp_write_array(out, 2);
        resp_write_int(out, (int64_t)row->version);
        resp_write_int(out, row->live);
    } else if (command == COMMAND_RF_GET) {
        write_row(row, proto, out);
    } else {
        write_expire_time(command, row, out);
    }
}
