#include "change.h"

struct span change_name(enum change change) {
    switch (change) {
    case CHANGE_SET:
        return SPAN("set");
    case CHANGE_DEL:
        return SPAN("del");
    case CHANGE_EXPIRED:
        return SPAN("expired");
    case CHANGE_NONE:
        break;
    }
    return SPAN("");
}
