/*
 * look: the replies of commands that show a row as the table has it. Knows no session and no I/O.
 */
#ifndef RINGFENCE_LOOK_H
#define RINGFENCE_LOOK_H

struct buf;
struct store_answer;

/** look_reply(command, proto, row, out): RF.GET, EXPIRETIME, PEXPIRETIME or RF.VERSION. `row`: what
 * STORE_WHOLE_ROW gave. */
void look_reply(int command, int proto, const struct store_answer *row, struct buf *out);

#endif
