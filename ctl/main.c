/* ringfence-ctl: wiring only. */
#include "ctl.h"

int main(int argc, char **argv) {
    const struct ctl_io io = {stdout, stderr, stdin};
    return (int)ctl_run(&io, argc, argv);
}
