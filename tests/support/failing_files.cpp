// Preloaded in front of the real program: a disk that fills up, a folder that becomes read-only, a rename or a sync that fails.
//
//   NAMM_FAULT         open: from then on nothing can be opened for writing, or renamed (EROFS); write: that one takes half of
//   its
//                      bytes, from then on the disk is full (ENOSPC); sync, rename: that one fails (EIO, EACCES); kill: the
//                      process is killed (SIGKILL) in front of that call, whichever of these it is, a write behind half of its
//                      bytes
//   NAMM_FAULT_AT      the how manieth such call, from 1
//   NAMM_FAULT_FOLDER  calls for files in it count, others pass
//   NAMM_FAULT_MARK    a file that is made when the fault happens
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

const char* variable(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

std::atomic<int> calls{0};

bool kind_is(const char* kind) {
  return std::strcmp(variable("NAMM_FAULT"), kind) == 0;
}

bool in_folder(const char* path) {
  const std::string_view folder = variable("NAMM_FAULT_FOLDER");
  char absolute[PATH_MAX];
  if (!path || folder.empty()) return false;
  if (path[0] != '/') {
    if (!getcwd(absolute, sizeof absolute)) return false;
    const std::size_t used = std::strlen(absolute);
    std::snprintf(absolute + used, sizeof absolute - used, "/%s", path);
    path = absolute;
  }
  return std::string_view(path).starts_with(folder);
}

bool in_folder(int file) {
  char link[64], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return false;
  path[size] = '\0';
  return in_folder(path);
}

bool is_file(int file) {
  struct stat facts {};
  return fstat(file, &facts) == 0 && S_ISREG(facts.st_mode);
}

/// Counts a call: how many there were beyond the one that fails; negative before it.
int beyond() {
  const int place = ++calls - std::atoi(variable("NAMM_FAULT_AT"));
  if (place == 0) syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, variable("NAMM_FAULT_MARK"), O_CREAT | O_WRONLY, 0644));
  return place;
}

/// For kind `kill`.
void live_on() {
  if (kind_is("kill") && beyond() == 0) kill(getpid(), SIGKILL);
}

int failed(int error) {
  errno = error;
  return -1;
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool may_open(const char* path, int flags) {
  if ((flags & O_ACCMODE) != O_RDONLY && in_folder(path)) live_on();
  return !kind_is("open") || (flags & O_ACCMODE) == O_RDONLY || !in_folder(path) || beyond() < 0;
}
bool may_open(const char* path, const char* mode) {
  return may_open(path, std::strpbrk(mode, "wa+") ? O_WRONLY : O_RDONLY);
}
bool rename_fails(const char* path) {
  if (in_folder(path)) live_on();
  return (kind_is("rename") && in_folder(path) && beyond() == 0) ||
         (kind_is("open") && in_folder(path) && calls >= std::atoi(variable("NAMM_FAULT_AT")));
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = static_cast<mode_t>(va_arg(more, int));
  va_end(more);
  return may_open(path, flags) ? real<int(const char*, int, ...)>("open")(path, flags, mode) : failed(EROFS);
}
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = static_cast<mode_t>(va_arg(more, int));
  va_end(more);
  return may_open(path, flags) ? real<int(const char*, int, ...)>("open64")(path, flags, mode) : failed(EROFS);
}
FILE* fopen(const char* path, const char* mode) {
  if (may_open(path, mode)) return real<FILE*(const char*, const char*)>("fopen")(path, mode);
  failed(EROFS);
  return nullptr;
}
FILE* fopen64(const char* path, const char* mode) {
  if (may_open(path, mode)) return real<FILE*(const char*, const char*)>("fopen64")(path, mode);
  failed(EROFS);
  return nullptr;
}

ssize_t write(int file, const void* bytes, size_t count) {
  auto* const original = real<ssize_t(int, const void*, size_t)>("write");
  if (!in_folder(file)) return original(file, bytes, count);
  if (kind_is("kill") && beyond() == 0) {
    original(file, bytes, count / 2);
    kill(getpid(), SIGKILL);
  }
  if (!kind_is("write")) return original(file, bytes, count);
  const int place = beyond();
  if (place > 0 || (place == 0 && count < 2)) return failed(ENOSPC);
  return original(file, bytes, place == 0 ? count / 2 : count);
}
ssize_t writev(int file, const struct iovec* pieces, int count) {
  auto* const original = real<ssize_t(int, const struct iovec*, int)>("writev");
  if (!kind_is("write") || !in_folder(file)) return original(file, pieces, count);
  return beyond() < 0 ? original(file, pieces, count) : failed(ENOSPC);
}

int fsync(int file) {
  if (is_file(file) && in_folder(file)) live_on();
  return kind_is("sync") && is_file(file) && in_folder(file) && beyond() == 0 ? failed(EIO) : real<int(int)>("fsync")(file);
}

int rename(const char* from, const char* to) {
  return rename_fails(to) ? failed(kind_is("open") ? EROFS : EACCES) : real<int(const char*, const char*)>("rename")(from, to);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  return rename_fails(to)
             ? failed(kind_is("open") ? EROFS : EACCES)
             : real<int(int, const char*, int, const char*, unsigned)>("renameat2")(from_folder, from, to_folder, to, flags);
}

}  // extern "C"
#pragma GCC visibility pop
