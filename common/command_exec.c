/* What may stand between MULTI and EXEC: a new command is refused until it is put here. */
#include "command.h"

bool command_in_exec(int id) {
    switch (id) {
    case COMMAND_GET:
    case COMMAND_SET:
    case COMMAND_SETNX:
    case COMMAND_GETSET:
    case COMMAND_GETDEL:
    case COMMAND_MGET:
    case COMMAND_MSET:
    case COMMAND_DEL:
    case COMMAND_UNLINK:
    case COMMAND_EXISTS:
    case COMMAND_TOUCH:
    case COMMAND_STRLEN:
    case COMMAND_TYPE:
    case COMMAND_SETEX:
    case COMMAND_PSETEX:
    case COMMAND_GETEX:
    case COMMAND_EXPIRE:
    case COMMAND_PEXPIRE:
    case COMMAND_EXPIREAT:
    case COMMAND_PEXPIREAT:
    case COMMAND_TTL:
    case COMMAND_PTTL:
    case COMMAND_PERSIST:
    case COMMAND_GETRANGE:
    case COMMAND_SUBSTR:
    case COMMAND_INCR:
    case COMMAND_DECR:
    case COMMAND_INCRBY:
    case COMMAND_DECRBY:
    case COMMAND_INCRBYFLOAT:
    case COMMAND_APPEND:
    case COMMAND_SETRANGE:
    case COMMAND_MSETNX:
    case COMMAND_EXPIRETIME:
    case COMMAND_PEXPIRETIME:
    case COMMAND_RF_GET:
    case COMMAND_RF_SETVER:
    case COMMAND_RF_ENABLE:
    case COMMAND_RF_DISABLE:
    case COMMAND_PING:
    case COMMAND_ECHO:
    case COMMAND_SELECT:
    case COMMAND_TIME:
    case COMMAND_MEMORY:
    case COMMAND_OBJECT:
    /* these look at the proxy, or change its options; what is wrong with a subcommand is said when
       it would be queued, and which ones have to stand alone (proxy/local.c) */
    case COMMAND_INFO:
    case COMMAND_ROLE:
    case COMMAND_LASTSAVE:
    case COMMAND_WAIT:
    case COMMAND_CLUSTER:
    case COMMAND_READONLY:
    case COMMAND_READWRITE:
    case COMMAND_ACL:
    case COMMAND_CLIENT:
    case COMMAND_COMMAND:
    case COMMAND_CONFIG:
    case COMMAND_LATENCY:
    case COMMAND_MODULE:
    case COMMAND_PUBSUB:
    case COMMAND_SLOWLOG:
    case COMMAND_RF_HOTKEYS:
    case COMMAND_TX_UNWATCH:
        return true;
    }
    return false;
}
