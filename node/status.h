/* status: the node's figures as text: INFO and RF.STATUS. */
#ifndef RINGFENCE_STATUS_H
#define RINGFENCE_STATUS_H

#include "../common/span.h"

struct buf;
struct server;

/** status_lines(server, out): every figure as `name:value\r\n`, after name and uptime; bounded. */
void status_lines(const struct server *server, struct buf *out);

/** status_info(server, section, out): the same under INFO's headings; `section` "" or "all" or
 * "default" or "everything" for all. */
void status_info(const struct server *server, struct span section, struct buf *out);

/** status_log(server): every figure as a log line. */
void status_log(const struct server *server);

#endif
