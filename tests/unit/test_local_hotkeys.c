// needs: fakes/local_rig.c fakes/topology_fake.c
/* RF.HOTKEYS: what a client is shown of what hotkeys has. */
#include <criterion/criterion.h>

#include "../../common/users.h"
#include "../../proxy/hotkeys.h"
#include "../fakes/local_rig.h"

#define SECRET "sha256=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"

enum { NOW_US = (LOCAL_RIG_NOW_MS - 500) * INT64_C(1000) };

static struct local_rig *start(void) {
    struct local_rig *b = local_rig_start();
    b->server.hotkeys = hotkeys_new(LOCAL_RIG_WORKERS, 1);
    hotkeys_add(b->server.hotkeys, 0, NOW_US, SPAN("app:a"), 60);
    hotkeys_add(b->server.hotkeys, 1, NOW_US, SPAN("app:a"), 30);
    hotkeys_add(b->server.hotkeys, 1, NOW_US, SPAN("other"), 100);
    hotkeys_add(b->server.hotkeys, 0, NOW_US, SPAN("app"), 10);
    return b;
}

/* Nothing is an average over less than a second, and half a second is gone. */
#define OTHER "*3\r\n$5\r\nother\r\n:100\r\n$6\r\n0.5000\r\n"
#define APP_A "*3\r\n$5\r\napp:a\r\n:90\r\n$6\r\n0.4500\r\n"
#define APP   "*3\r\n$3\r\napp\r\n:10\r\n$6\r\n0.0500\r\n"

Test(local_hotkeys, shows_keys_rates_and_shares_of_all_workers) {
    struct local_rig *b = start();
    local_rig_expect(b, "RF.HOTKEYS", "*3\r\n" OTHER APP_A APP);
    local_rig_expect(b, "rf.hotkeys count 2", "*2\r\n" OTHER APP_A);
    b->me.proto = 3;
    local_rig_expect(b, "RF.HOTKEYS COUNT 1", "*1\r\n" OTHER);
    static const char *const WRONG[][2] = {
        {"RF.HOTKEYS 5", "-ERR syntax error\r\n"},
        {"RF.HOTKEYS COUNT", "-ERR syntax error\r\n"},
        {"RF.HOTKEYS TOP 5", "-ERR syntax error\r\n"},
        {"RF.HOTKEYS COUNT 1 2", "-ERR syntax error\r\n"},
        {"RF.HOTKEYS COUNT 0", "-ERR value is not an integer or out of range\r\n"},
        {"RF.HOTKEYS COUNT -1", "-ERR value is not an integer or out of range\r\n"},
        {"RF.HOTKEYS COUNT x", "-ERR value is not an integer or out of range\r\n"},
    };
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++)
        local_rig_expect(b, WRONG[i][0], WRONG[i][1]);
    hotkeys_free(&b->server.hotkeys);
    local_rig_expect(b, "RF.HOTKEYS", "*0\r\n");
}

Test(local_hotkeys, a_user_learns_no_keys_that_it_may_not_read) {
    struct local_rig *b = start();
    struct users_error error = {{0}};
    struct users *users = users_parse(
        SPAN("user app role=read prefix=app: " SECRET "\nuser all role=read " SECRET "\n"), "u",
        &error);
    cr_assert_not_null(users, "%s", error.text);
    b->server.rights = rights_new(users);
    cr_assert(rights_login(b->server.rights, SPAN("app"), SPAN("secret"), &b->me.rights));
    local_rig_expect(b, "RF.HOTKEYS", "*1\r\n" APP_A);
    local_rig_expect(b, "RF.HOTKEYS COUNT 1", "*1\r\n" APP_A);
    cr_assert(rights_login(b->server.rights, SPAN("all"), SPAN("secret"), &b->me.rights));
    local_rig_expect(b, "RF.HOTKEYS", "*3\r\n" OTHER APP_A APP);
    rights_free(&b->server.rights);
    hotkeys_free(&b->server.hotkeys);
}
