/* Disk faults for files below one path: preloaded into a process, which arms a fault and disarms it.
 *
 * A fault is a kind, a set of operations (w: write, s: sync, t: truncate, u: unlink, o: creation of a file) and a
 * number: the nth of these operations on a file whose path has the armed prefix fails. Shared memory (-shm) is ignored,
 * since it is not on the disk. When recording, each operation is written to a trace instead, to replay a power cut.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum kind { NONE, FAIL_IO, NO_SPACE, SHORT_WRITE, KILL, RECORD };

static char below[PATH_MAX];
static char operations[8];
static enum kind kind;
static long wanted, passed, met;
static int is_writing_short; /* the rest of a short write fails, as on a full disk */
static int trace = -1;
static pthread_mutex_t tracing = PTHREAD_MUTEX_INITIALIZER; /* an operation and its record are atomic */

#define REAL(name, type, ...)                                  \
    static type (*real)(__VA_ARGS__);                          \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

void faults_arm(const char *path, enum kind what, const char *on, long nth) {
    snprintf(below, sizeof below, "%s", path);
    snprintf(operations, sizeof operations, "%s", on);
    kind = what, wanted = nth, passed = 0, met = 0, is_writing_short = 0;
}

/* Disarm the fault. Return how often it was met. */
long faults_disarm(void) {
    kind = NONE;
    return met;
}

/* Record into a file: for each operation a line "OPERATION OFFSET LENGTH PATH", then LENGTH bytes. */
void faults_record(const char *path, const char *into) {
    trace = open(into, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    faults_arm(path, RECORD, "", 0);
}

static int concerns(const char *path) {
    return below[0] && !strncmp(path, below, strlen(below)) && !strstr(path, "-shm");
}

static int path_of(int fd, char *path) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return length > 0;
}

static void record(char operation, const char *path, int64_t offset, const void *data, size_t length) {
    REAL("write", ssize_t, int, const void *, size_t);
    char line[PATH_MAX + 64];
    int size = snprintf(line, sizeof line, "%c %lld %zu %s\n", operation, (long long)offset, length, path);
    if (real(trace, line, size) < 0 || (length && real(trace, data, length) < 0)) _exit(99);
}

/* Return whether this operation is the one that fails. */
static int fails(char operation, const char *path) {
    if (kind == NONE || kind == RECORD || !strchr(operations, operation) || !concerns(path)) return 0;
    if (__sync_add_and_fetch(&passed, 1) != wanted) return 0;
    met++;
    if (kind == KILL) kill(getpid(), SIGKILL);
    errno = kind == NO_SPACE ? ENOSPC : EIO;
    return 1;
}

/* Return whether this operation is ignored; otherwise set its path. */
static int is_free(int fd, char *path) { return kind == NONE || !path_of(fd, path) || !concerns(path); }

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    REAL("pwrite", ssize_t, int, const void *, size_t, off_t);
    char path[PATH_MAX];
    if (is_free(fd, path)) return real(fd, data, length, offset);
    if (is_writing_short) {
        is_writing_short = 0, errno = ENOSPC;
        return -1;
    }
    if (fails('w', path)) {
        if (kind != SHORT_WRITE) return -1;
        is_writing_short = 1;
        return real(fd, data, length / 2, offset);
    }
    if (kind != RECORD) return real(fd, data, length, offset);
    pthread_mutex_lock(&tracing);
    ssize_t written = real(fd, data, length, offset);
    if (written > 0) record('w', path, offset, data, written);
    pthread_mutex_unlock(&tracing);
    return written;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) { return pwrite(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length) {
    REAL("write", ssize_t, int, const void *, size_t);
    char path[PATH_MAX];
    if (is_free(fd, path)) return real(fd, data, length);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t written = pwrite(fd, data, length, at);
    if (written > 0) lseek(fd, at + written, SEEK_SET);
    return written;
}

static int synced(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    if (is_free(fd, path)) return real(fd);
    if (fails('s', path)) return -1;
    if (kind != RECORD) return real(fd);
    pthread_mutex_lock(&tracing);
    int result = real(fd);
    if (!result) record('s', path, 0, NULL, 0);
    pthread_mutex_unlock(&tracing);
    return result;
}

int fsync(int fd) {
    REAL("fsync", int, int);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL("fdatasync", int, int);
    return synced(fd, real);
}

int ftruncate(int fd, off_t length) {
    REAL("ftruncate", int, int, off_t);
    char path[PATH_MAX];
    if (is_free(fd, path)) return real(fd, length);
    if (fails('t', path)) return -1;
    if (kind != RECORD) return real(fd, length);
    pthread_mutex_lock(&tracing);
    int result = real(fd, length);
    if (!result) record('t', path, length, NULL, 0);
    pthread_mutex_unlock(&tracing);
    return result;
}

int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

int unlink(const char *path) {
    REAL("unlink", int, const char *);
    if (kind != NONE && fails('u', path)) return -1;
    return real(path);
}

static int opened(const char *path, int flags, mode_t mode) {
    static int (*real)(const char *, int, ...);
    if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    if (kind != NONE && flags & O_CREAT && access(path, F_OK) && fails('o', path)) return -1;
    return real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list given;
    va_start(given, flags);
    mode_t mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(given, mode_t) : 0;
    va_end(given);
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list given;
    va_start(given, flags);
    mode_t mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(given, mode_t) : 0;
    va_end(given);
    return opened(path, flags, mode);
}
