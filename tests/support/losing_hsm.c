/* SoftHSM as a module that can lose its token: while the file of LOSING_HSM_AWAY is there, every call says that the
   device was removed; afterwards sessions stay invalid until the module is initialised again, as with a real HSM.
   Every argument is a word, so one shape stands for each of the functions that are wrapped. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*call)(word, word, word, word, word);
enum { INITIALIZE = 0, GET_SLOT_LIST = 4, OPEN_SESSION = 12, LOGIN = 18, FIND = 26, ENCRYPT = 29, DECRYPT = 33, SIGN = 42 };
enum { DEVICE_REMOVED = 0x32, SESSION_HANDLE_INVALID = 0xB3, GENERAL_ERROR = 5 };
struct list { unsigned char version[2]; call calls[68]; };

static struct list *real, ours;
static volatile int lost;

static word pass(int which, word a, word b, word c, word d, word e) {
    const char *away = getenv("LOSING_HSM_AWAY");
    if (away != NULL && access(away, F_OK) == 0) {
        lost = 1;
        return DEVICE_REMOVED;
    }
    return lost ? SESSION_HANDLE_INVALID : real->calls[which](a, b, c, d, e);
}

#define WRAPPED(which) \
    static word wrapped_##which(word a, word b, word c, word d, word e) { return pass(which, a, b, c, d, e); }
WRAPPED(GET_SLOT_LIST) WRAPPED(OPEN_SESSION) WRAPPED(LOGIN) WRAPPED(FIND) WRAPPED(ENCRYPT) WRAPPED(DECRYPT) WRAPPED(SIGN)

static word initialize(word a, word b, word c, word d, word e) {
    lost = 0;
    return real->calls[INITIALIZE](a, b, c, d, e);
}

word C_GetFunctionList(struct list **list) {
    void *library = dlopen(getenv("LOSING_HSM_MODULE"), RTLD_NOW);
    word (*get)(struct list **) = library == NULL ? NULL : dlsym(library, "C_GetFunctionList");
    if (get == NULL || get(&real) != 0) return GENERAL_ERROR;
    memcpy(&ours, real, sizeof ours);
    ours.calls[INITIALIZE] = initialize;
    ours.calls[GET_SLOT_LIST] = wrapped_GET_SLOT_LIST;
    ours.calls[OPEN_SESSION] = wrapped_OPEN_SESSION;
    ours.calls[LOGIN] = wrapped_LOGIN;
    ours.calls[FIND] = wrapped_FIND;
    ours.calls[ENCRYPT] = wrapped_ENCRYPT;
    ours.calls[DECRYPT] = wrapped_DECRYPT;
    ours.calls[SIGN] = wrapped_SIGN;
    *list = &ours;
    return 0;
}
