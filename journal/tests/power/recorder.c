/* Records what a process writes and syncs below one directory, for the test of power losses (power.rs).
 *
 * Loaded with LD_PRELOAD. RETRIAL_RECORD_ROOT is the directory, RETRIAL_RECORD_LOG the log. A log entry is: kind (1 byte),
 * number (4), offset (8), length of the path (4), length of the second path or the data (4), path, data; little-endian.
 * Kinds: W write, T truncate, B sync begins, E sync ended, C create, R rename, U unlink, D make directory,
 * A a line written to the standard output (what the process acknowledged).
 *
 * Changes are logged after the call, under a lock that is not held during syncs: a write that is logged before a sync
 * begins is covered by it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char root[4096];
static uint32_t syncs;

__attribute__((constructor)) static void start(void) {
    const char *r = getenv("RETRIAL_RECORD_ROOT"), *l = getenv("RETRIAL_RECORD_LOG");
    if (!r || !l) return;
    snprintf(root, sizeof root, "%s", r);
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, l, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void raw(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        long done = syscall(SYS_write, log_fd, at, length);
        if (done <= 0) abort();
        at += done;
        length -= (size_t)done;
    }
}

static void entry(char kind, uint32_t number, uint64_t offset, const char *path, const void *data, size_t length) {
    uint32_t path_length = (uint32_t)strlen(path), data_length = (uint32_t)length;
    char head[21];
    head[0] = kind;
    memcpy(head + 1, &number, 4);
    memcpy(head + 5, &offset, 8);
    memcpy(head + 13, &path_length, 4);
    memcpy(head + 17, &data_length, 4);
    raw(head, sizeof head);
    raw(path, path_length);
    raw(data, length);
}

static int inside(const char *path) { return log_fd >= 0 && strncmp(path, root, strlen(root)) == 0; }

static int path_of(int fd, char *path) {
    char link[64];
    if (log_fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length <= 0) return 0;
    path[length] = 0;
    return inside(path);
}

static void absolute(const char *given, char *path) {
    if (given[0] == '/') { snprintf(path, 4096, "%s", given); return; }
    char here[2048];
    if (!getcwd(here, sizeof here)) here[0] = 0;
    snprintf(path, 4096, "%s/%s", here, given);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static ssize_t written(int fd, const void *data, ssize_t done, off_t offset) {
    char path[4096];
    if (done > 0 && path_of(fd, path)) entry('W', 0, (uint64_t)offset, path, data, (size_t)done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    pthread_mutex_lock(&lock);
    ssize_t done = written(fd, data, REAL(pwrite64)(fd, data, length, offset), offset);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length) {
    if (log_fd < 0) return syscall(SYS_write, fd, data, length);
    pthread_mutex_lock(&lock);
    off_t offset = fd == 1 ? 0 : lseek(fd, 0, SEEK_CUR);
    ssize_t done = REAL(write)(fd, data, length);
    int failure = errno;
    if (fd == 1 && done > 0) entry('A', 0, 0, "", data, (size_t)done);
    else if (offset >= 0) written(fd, data, done, offset);
    pthread_mutex_unlock(&lock);
    errno = failure;
    return done;
}

static int synced(int fd, int (*real)(int)) {
    char path[4096];
    if (!path_of(fd, path)) return real(fd);
    pthread_mutex_lock(&lock);
    uint32_t number = ++syncs;
    entry('B', number, 0, path, "", 0);
    pthread_mutex_unlock(&lock);
    int result = real(fd);
    pthread_mutex_lock(&lock);
    if (result == 0) entry('E', number, 0, path, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int ftruncate64(int fd, off64_t length) {
    char path[4096];
    pthread_mutex_lock(&lock);
    int result = REAL(ftruncate64)(fd, length);
    if (result == 0 && path_of(fd, path)) entry('T', 0, (uint64_t)length, path, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int open64(const char *given, int flags, ...) {
    va_list list;
    va_start(list, flags);
    int mode = (flags & O_CREAT) ? va_arg(list, int) : 0;
    va_end(list);
    char path[4096];
    absolute(given, path);
    if (!inside(path)) return (int)syscall(SYS_openat, AT_FDCWD, given, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = access(given, F_OK) == 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, given, flags, mode);
    int failure = errno;
    if (fd >= 0 && !existed) entry('C', 0, 0, path, "", 0);
    if (fd >= 0 && existed && (flags & O_TRUNC)) entry('T', 0, 0, path, "", 0);
    pthread_mutex_unlock(&lock);
    errno = failure;
    return fd;
}

int open(const char *given, int flags, ...) {
    va_list list;
    va_start(list, flags);
    int mode = (flags & O_CREAT) ? va_arg(list, int) : 0;
    va_end(list);
    return open64(given, flags, mode);
}

int rename(const char *from, const char *to) {
    char path[4096], other[4096];
    absolute(from, path);
    absolute(to, other);
    pthread_mutex_lock(&lock);
    int result = REAL(rename)(from, to);
    if (result == 0 && inside(path)) entry('R', 0, 0, path, other, strlen(other));
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *given) {
    char path[4096];
    absolute(given, path);
    pthread_mutex_lock(&lock);
    int result = REAL(unlink)(given);
    if (result == 0 && inside(path)) entry('U', 0, 0, path, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *given, mode_t mode) {
    char path[4096];
    absolute(given, path);
    pthread_mutex_lock(&lock);
    int result = REAL(mkdir)(given, mode);
    if (result == 0 && inside(path)) entry('D', 0, 0, path, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

/* Calls by which data could reach the directory unseen: better to end loudly than to prove nothing. */
#define UNSEEN(name, signature, values)                        \
    ssize_t name signature {                                   \
        char path[4096];                                       \
        if (path_of(fd, path)) abort();                        \
        return REAL(name) values;                              \
    }
UNSEEN(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
UNSEEN(pwritev, (int fd, const struct iovec *parts, int count, off_t offset), (fd, parts, count, offset))
