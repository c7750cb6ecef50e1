/* Room to wait: requests and their bytes are bounded, in each direction for itself. */
#include "through_private.h"

bool through_room_for(const struct through *t, const struct through_room *room, uint64_t bytes) {
    return room->count < t->conf.pending_max &&
           (room->count == 0 || t->conf.pending_bytes_max == 0 ||
            room->bytes + bytes <= t->conf.pending_bytes_max);
}

void through_room_take(struct through_room *room, uint64_t bytes) {
    room->count++;
    room->bytes += bytes;
}

void through_room_leave(struct through_room *room, uint64_t bytes) {
    room->count--;
    room->bytes -= bytes;
}

static uint64_t bytes_of_values(enum store_op op, const struct span *values, uint32_t count,
                                const struct store_more *more) {
    uint64_t bytes = more != NULL ? more->compare.len : 0;
    for (uint32_t i = 0; store_op_takes_value(op) && i < count; i++)
        bytes += values[i].len;
    return bytes;
}

uint64_t through_write_bytes(const struct through_write *write) {
    uint64_t bytes = bytes_of_values(write->op, write->values, write->count, write->more);
    for (uint32_t i = 0; i < write->count; i++)
        bytes += write->keys[i].len;
    for (uint32_t i = 0; write->exec != NULL && i < write->exec->edits_count; i++) {
        const struct store_write *edit = &write->exec->edits[i];
        bytes += bytes_of_values(edit->op, edit->values, edit->count, edit->more);
    }
    return bytes;
}
