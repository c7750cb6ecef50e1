/*
 * plant: bugs that are built in on purpose, to see that the tests find them: `make planted`.
 * FLAVOUR=planted builds all of them in, and RINGFENCE_PLANT in the environment names the one that
 * this run has. Off in every other build: PLANTED() is 0 then, and costs nothing.
 */
#ifndef RINGFENCE_PLANT_H
#define RINGFENCE_PLANT_H

#ifdef RINGFENCE_WITH_PLANTS
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
enum plant {
    /* node/through.c */
    PLANT_no_mark_on_notification = 1,      /* rule 4 */
    PLANT_cache_marked_fill,                /* rule 4 */
    PLANT_join_marked_fill,                 /* rule 4 */
    PLANT_overtaken_row_is_no_invalidation, /* rule 4, F1 */
    PLANT_overtaken_row_marks_no_fills,     /* F1, the second form */
    PLANT_ignore_version,                   /* rule 8 */
    PLANT_gone_keeps_entry,                 /* rule 8, F3 */
    PLANT_absence_is_kept,                  /* rule 6, F3 */
    PLANT_everything_is_nothing,            /* rule 8 */
    PLANT_drop_keeps_fills,                 /* rule 11, F12 */
    PLANT_drop_keeps_record,                /* rule 11, F12 */
    PLANT_no_distrust_on_feed_loss,         /* rule 9 */
    PLANT_trust_without_heartbeat,          /* rule 9 */
    PLANT_trust_before_listen,              /* rule 9 */
    PLANT_trust_fill_across_gap,            /* rule 9, F4 */
    PLANT_compare_versions_of_suspects,     /* rule 9, F5 */
    PLANT_keep_the_higher_version,          /* F5: never heals */
    PLANT_cache_what_others_say,            /* rule 9, F6 */
    PLANT_stale_for_ever,                   /* rule 9, stale-max-ms */
    PLANT_nil_for_failure,                  /* promise 5 */
    PLANT_ignore_expiry,                    /* rule 15 */
    /* node/through_write.c */
    PLANT_cache_before_commit,              /* rule 1 */
    PLANT_ok_for_uncertain,                 /* rules 1 and 7, F9 */
    PLANT_error_for_uncertain,              /* rule 7, F9 */
    PLANT_timeout_for_uncertain,            /* rule 7, F9 */
    PLANT_uncertain_keeps_entry,            /* rule 7 */
    PLANT_no_mark_on_ack,                   /* rule 4 */
    PLANT_ack_ignores_record,               /* rule 2, F2 */
    PLANT_trust_ack_across_gap,             /* rule 9, F4 */
    PLANT_keep_on_noop,                     /* rule 11, F12 */
    PLANT_two_writes_of_a_key,              /* rule 5 */
    PLANT_fold_shares_no_failure,           /* rule 13 */
    PLANT_fold_anything,                    /* rule 13 */
    /* node/feed.c */
    PLANT_garbage_is_nothing,               /* rule 8, F18 */
    /* proxy */
    PLANT_wrong_owner,                      /* rule 10 */
    PLANT_resend_sent_write,                /* rule 10 */
    PLANT_nodedown_for_uncertain,           /* rule 7, F9 */
    PLANT_reuse_after_timeout,              /* rule 14 */
    PLANT_no_drop_at_other_owners,          /* rule 11, F12 */
    PLANT_no_program_order,                 /* rule 5, F10 */
    PLANT_nil_in_mget_for_failure,          /* promise 5 */
    /* transactions */
    PLANT_exec_reads_the_cache,             /* one moment for all */
    PLANT_exec_forgets_watches,             /* nothing is done if a watched row changed */
    PLANT_near_is_deaf,                     /* near.h: what nodes say */
    PLANT_near_ignores_own_answers,         /* near.h: a client's own writes */
    PLANT_old_copies_are_not_told,          /* distrust.h: served while the feed is well */
    /* fills from a replica (F7) */
    PLANT_replica_ignores_lsn,              /* it may not be so far */
    PLANT_replica_lsn_same_statement,       /* it says how far it is after it has read */
    PLANT_replica_ignores_recent_keys,      /* what came in of the key since the floor began */
    PLANT_row_from_primary_is_no_news,      /* of these a row that the primary gave */
    PLANT_replica_own_ack_is_no_news,       /* and an own write's outcome */
    PLANT_replica_floor_begins_late,        /* noted when the primary answers, not before it is asked */
    PLANT_replica_ignores_lineage,          /* positions of another timeline */
    PLANT_replica_survives_gap,             /* a gap in the feed */
    PLANT_replica_floor_never_ages,         /* replica-age-max-ms */
    PLANT_replica_row_ahead,                /* a row that the primary does not show yet */
    PLANT_COUNT_OF
};
/* clang-format on */

/** Is this the bug of this run? */
static inline bool plant_is(const char *name) {
    static const char *chosen;
    if (chosen == NULL) {
        const char *word = getenv("RINGFENCE_PLANT");
        chosen = word != NULL ? word : "";
    }
    return strcmp(chosen, name) == 0;
}

/* A name that is not in the list does not compile. */
#define PLANTED(name) ((void)PLANT_##name, plant_is(#name))
#else
#define PLANTED(name) 0
#endif

#endif
