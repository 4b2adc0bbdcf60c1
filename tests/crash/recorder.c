/*
 * Loaded into the process that runs the workload (LD_PRELOAD): writes down, in their order, all calls that change what is below
 * one directory. The simulated disk is made of what is written here. What is not seen here (a call that is not below, or one
 * made past the C library) shows in the end: the disk's files must be those of the directory.
 *
 * DIALBACK_RECORD_ROOT  the directory; names in the record are whole
 * DIALBACK_RECORD_FILE  the record
 * DIALBACK_RECORD_SEAL  if set: tells the storage engine that a journal which it writes is 64 MB further than it is, so that it
 *                       seals journals all the time
 *
 * One lock is held over each call and its line, so that the order of the lines is the order of the calls. Little-endian:
 * kind (u8), a (u64), b (u64), length of x (u32), length of y (u32), x, y.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FDS 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_len;
static int record = -1;
static int seals;
/* What a descriptor below the root is: 1 a file, 2 a journal that is written. */
static unsigned char kinds[MAX_FDS];

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("DIALBACK_RECORD_ROOT"), *file = getenv("DIALBACK_RECORD_FILE");
    if (!where || !file) return;
    snprintf(root, sizeof root, "%s", where);
    root_len = strlen(root);
    seals = getenv("DIALBACK_RECORD_SEAL") != NULL;
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    record = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 1000);
    syscall(SYS_close, fd);
    if (record < 0) abort();
}

static void put(const void *from, size_t len) {
    const char *bytes = from;
    while (len) {
        ssize_t n = syscall(SYS_write, record, bytes, len);
        if (n <= 0) abort();
        bytes += n, len -= n;
    }
}

static void line2(char kind, uint64_t a, uint64_t b, const void *x, uint32_t x_len, const void *y, uint32_t y_len) {
    char head[25];
    head[0] = kind;
    memcpy(head + 1, &a, 8), memcpy(head + 9, &b, 8), memcpy(head + 17, &x_len, 4), memcpy(head + 21, &y_len, 4);
    put(head, sizeof head);
    put(x, x_len);
    put(y, y_len);
}

static void line(char kind, uint64_t a, uint64_t b, const void *x, uint32_t x_len) { line2(kind, a, b, x, x_len, "", 0); }

/* The whole name of a path, if it is the root or below it. */
static int whole(int dir, const char *path, char *out) {
    if (record < 0) return 0;
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
    } else {
        char link[64], base[PATH_MAX];
        if (dir == AT_FDCWD) {
            if (syscall(SYS_getcwd, base, sizeof base) < 0) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
            ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
            if (n < 0) return 0;
            base[n] = 0;
        }
        if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) abort();
    }
    return !strncmp(out, root, root_len) && (out[root_len] == '/' || !out[root_len]);
}

static int is_ours(int fd) { return record >= 0 && fd >= 0 && fd < MAX_FDS && kinds[fd]; }

static int do_open(int dir, const char *path, int flags, mode_t mode) {
    char name[PATH_MAX];
    pthread_mutex_lock(&lock);
    int ours = whole(dir, path, name), was_there = 0;
    struct stat st;
    if (ours) was_there = !syscall(SYS_newfstatat, AT_FDCWD, name, &st, 0);
    int fd = syscall(SYS_openat, dir, path, flags, mode), error = errno;
    if (fd >= 0 && ours) {
        if (fd >= MAX_FDS) abort();
        size_t n = strlen(name);
        int journal = n > 4 && !strcmp(name + n - 4, ".jnl") && (flags & (O_APPEND | O_CREAT));
        kinds[fd] = journal ? 2 : 1;
        if (!was_there) line('c', fd, 0, name, n);
        line('o', fd, 0, name, n);
        if (was_there && (flags & O_TRUNC)) line('t', fd, 0, "", 0);
    } else if (fd >= 0 && fd < MAX_FDS) {
        kinds[fd] = 0;
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list args; va_start(args, flags); mode = va_arg(args, int); va_end(args); }
int open(const char *path, int flags, ...) { MODE return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return do_open(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE return do_open(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE return do_open(dir, path, flags, mode); }

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (is_ours(fd)) { line('x', fd, 0, "", 0); kinds[fd] = 0; }
    int done = syscall(SYS_close, fd), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static int do_fcntl(int fd, int command, long argument) {
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_fcntl, fd, command, argument), error = errno;
    if (done >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC) && is_ours(fd)) {
        if (done >= MAX_FDS) abort();
        kinds[done] = kinds[fd];
        line('d', fd, done, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int fcntl(int fd, int command, ...) { va_list args; va_start(args, command); long a = va_arg(args, long); va_end(args); return do_fcntl(fd, command, a); }
int fcntl64(int fd, int command, ...) { va_list args; va_start(args, command); long a = va_arg(args, long); va_end(args); return do_fcntl(fd, command, a); }

/* After a write: where it went. */
static void written(int fd, const void *bytes, ssize_t n) {
    if (n <= 0 || !is_ours(fd)) return;
    off_t end = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    if (end < n) abort();
    line('w', fd, end - n, bytes, n);
}

ssize_t write(int fd, const void *bytes, size_t len) {
    pthread_mutex_lock(&lock);
    ssize_t n = syscall(SYS_write, fd, bytes, len);
    int error = errno;
    written(fd, bytes, n);
    pthread_mutex_unlock(&lock);
    errno = error;
    return n;
}

/* A short write is a legal answer. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len) return write(fd, parts[i].iov_base, parts[i].iov_len);
    return 0;
}

static ssize_t do_pwrite(int fd, const void *bytes, size_t len, off_t at) {
    pthread_mutex_lock(&lock);
    ssize_t n = syscall(SYS_pwrite64, fd, bytes, len, at);
    int error = errno;
    if (n > 0 && is_ours(fd)) line('w', fd, at, bytes, n);
    pthread_mutex_unlock(&lock);
    errno = error;
    return n;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) { return do_pwrite(fd, bytes, len, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at) { return do_pwrite(fd, bytes, len, at); }

static int do_truncate(int fd, off_t len) {
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_ftruncate, fd, len), error = errno;
    if (!done && is_ours(fd)) line('t', fd, len, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int ftruncate(int fd, off_t len) { return do_truncate(fd, len); }
int ftruncate64(int fd, off_t len) { return do_truncate(fd, len); }

static int do_sync(long call, int fd) {
    pthread_mutex_lock(&lock);
    int done = syscall(call, fd), error = errno;
    if (!done && is_ours(fd)) line('s', fd, 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int fsync(int fd) { return do_sync(SYS_fsync, fd); }
int fdatasync(int fd) { return do_sync(SYS_fdatasync, fd); }

static off_t do_seek(int fd, off_t at, int whence) {
    off_t done = syscall(SYS_lseek, fd, at, whence);
    if (seals && done >= 0 && at == 0 && whence == SEEK_CUR && is_ours(fd) && kinds[fd] == 2) done += 64 * 1000 * 1000;
    return done;
}

off_t lseek(int fd, off_t at, int whence) { return do_seek(fd, at, whence); }
off_t lseek64(int fd, off_t at, int whence) { return do_seek(fd, at, whence); }

/* Calls that name one path or two: the same form for all. */
static int named(char kind, int dir, const char *path, int dir2, const char *path2, long call, long a, long b, long c, long d, long e) {
    char name[PATH_MAX], name2[PATH_MAX];
    pthread_mutex_lock(&lock);
    int ours = whole(dir, path, name), ours2 = path2 ? whole(dir2, path2, name2) : 0;
    int done = syscall(call, a, b, c, d, e), error = errno;
    if (!done && (ours || ours2)) {
        if (path2 && !(ours && ours2)) abort();
        line2(kind, 0, 0, name, strlen(name), path2 ? name2 : "", path2 ? strlen(name2) : 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int rename(const char *a, const char *b) { return named('r', AT_FDCWD, a, AT_FDCWD, b, SYS_renameat2, AT_FDCWD, (long)a, AT_FDCWD, (long)b, 0); }
int renameat(int d, const char *a, int e, const char *b) { return named('r', d, a, e, b, SYS_renameat2, d, (long)a, e, (long)b, 0); }
int renameat2(int d, const char *a, int e, const char *b, unsigned flags) { return named('r', d, a, e, b, SYS_renameat2, d, (long)a, e, (long)b, flags); }
int unlink(const char *a) { return named('u', AT_FDCWD, a, 0, NULL, SYS_unlinkat, AT_FDCWD, (long)a, 0, 0, 0); }
int rmdir(const char *a) { return named('u', AT_FDCWD, a, 0, NULL, SYS_unlinkat, AT_FDCWD, (long)a, AT_REMOVEDIR, 0, 0); }
int unlinkat(int d, const char *a, int flags) { return named('u', d, a, 0, NULL, SYS_unlinkat, d, (long)a, flags, 0, 0); }
int mkdir(const char *a, mode_t mode) { return named('m', AT_FDCWD, a, 0, NULL, SYS_mkdirat, AT_FDCWD, (long)a, mode, 0, 0); }
int mkdirat(int d, const char *a, mode_t mode) { return named('m', d, a, 0, NULL, SYS_mkdirat, d, (long)a, mode, 0, 0); }
