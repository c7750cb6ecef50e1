/*
 * change: what became of a key, as the feed tells it (node/feed.h), a node passes it on to proxies,
 * and their clients hear of it as the name of an event. Pure.
 */
#ifndef RINGFENCE_CHANGE_H
#define RINGFENCE_CHANGE_H

#include "span.h"

/* The letters are what travels between node and proxy. */
enum change {
    CHANGE_SET = 's',     /* the key is there; its value or its time to live was written */
    CHANGE_DEL = 'd',     /* it is no longer there: deleted, or switched off */
    CHANGE_EXPIRED = 'x', /* it is no longer there: its time was over */
    CHANGE_NONE = 'n',    /* its row was written, but it was not there before and is not now */
};

/** change_name(change): the name of its event: "set", "del" or "expired"; an empty span for any
 * other: nothing that clients are told of. */
struct span change_name(enum change change);

#endif
