// A program that runs on without the policy it was started for must not look as if it had one. Three things are watched:
// llama.cpp linked statically into the program, where nothing can stand in front of it; llama.cpp loaded in a way that this
// library does not see; and nothing of llama.cpp at all, in the program and in what it starts. Children tell the first process
// through a socket that has no file and ends with it.
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "adapters/preload/originals.hpp"

namespace namm::preload {
namespace {

bool attached_here = false;    // or was to be, and the reason why not was said
bool llama_at_start = false;   // linked: its names are ours, whatever the program does with them
bool llama_looked_up = false;  // the program asked for llama.cpp's functions by name, and got ours
int listener = -1;             // in the first process
int kept_error = -1;           // its standard error once more: many programs close theirs as the first thing at their end
struct stat error_file {};     // what it is: a program that closes all descriptors may have another file there since

/// The process that `namm attach` became, or -1.
pid_t first_process() {
  const char* const id = std::getenv("NAMM_ATTACH_PID");
  return id ? static_cast<pid_t>(std::atol(id)) : -1;
}

/// "namm-attach-PID" among the names without a file.
socklen_t address_of(pid_t process, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  const int length =
      std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "namm-attach-%ld", static_cast<long>(process));
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
}

bool llama_is_loaded() {
  return dl_iterate_phdr([](dl_phdr_info* info, std::size_t,
                            void*) -> int { return info->dlpi_name && std::strstr(info->dlpi_name, "/libllama.so") ? 1 : 0; },
                         nullptr) != 0;
}

/// True if the program itself holds what only llama.cpp's cache has in it.
bool llama_is_inside() {
  const auto look = [](dl_phdr_info* info, std::size_t, void*) -> int {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const ElfW(Phdr)& part = info->dlpi_phdr[i];
      if (part.p_type != PT_LOAD || !(part.p_flags & PF_R) || (part.p_flags & PF_W)) continue;
      const std::string_view bytes(reinterpret_cast<const char*>(info->dlpi_addr + part.p_vaddr), part.p_filesz);
      for (const std::string_view trace : {"LLAMA_KV_CACHE_DEBUG", "cache_k_l%d"})
        if (bytes.find(trace) != std::string_view::npos) return 1;
    }
    return -1;  // the first is the program: no further
  };
  return dl_iterate_phdr(look, nullptr) == 1;
}

bool a_child_attached() {
  char word;
  return listener >= 0 && recv(listener, &word, 1, MSG_DONTWAIT) == 1;
}

/// False where the program has closed it, and perhaps has another file there.
bool still_kept() {
  struct stat now {};
  return kept_error >= 0 && fstat(kept_error, &now) == 0 && now.st_dev == error_file.st_dev && now.st_ino == error_file.st_ino;
}

void say(const char* sentence) {
  if (write(STDERR_FILENO, sentence, std::strlen(sentence)) >= 0 || !still_kept()) return;
  if (write(kept_error, sentence, std::strlen(sentence)) < 0) return;  // nobody reads it
}

/// Where it is not needed any more, and in children, so that nobody waits for the end of what comes through it.
void close_kept_error() {
  if (still_kept()) close(kept_error);
  kept_error = -1;
}

/// The status to end with: 0 becomes 1 where nothing was attached. Called in signal handlers, too.
int judged(int status) {
  if (attached_here || getpid() != first_process() || llama_at_start || a_child_attached()) return status;
  if (!llama_is_loaded())
    say("namm: attach: no policy was attached: the program must use llama.cpp as a shared library (libllama.so), neither it nor "
        "anything it had started by its end did; name llama-server or the like, built with shared libraries\n");
  else if (!llama_looked_up)  // else it said itself what kept it from making a context
    say("namm: attach: the program must create its contexts in sight of the preloaded library, created none there; no policy was "
        "attached; use a program that is linked to llama.cpp\n");
  else
    return status;
  return status == 0 ? 1 : status;
}

[[noreturn]] void leave(int status) {
  for (;;) syscall(SYS_exit_group, status);
}

std::atomic<bool> flushed{false};

void* flush(void*) {
  std::fflush(nullptr);
  flushed = true;
  return nullptr;
}

/// What the program has not written yet. A thread of its own does it, which is not waited for longer than a second: a thread that
/// waits for input holds that file's lock. The standard streams come last, input at the end.
void flush_files() {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, flush, nullptr) != 0) {
    std::fflush(stdout);
    return;
  }
  pthread_detach(thread);
  const timespec pause = {0, 1000000};
  for (int i = 0; i < 1000 && !flushed; ++i) nanosleep(&pause, nullptr);
}

void at_exit(int status, void*) {
  const int wanted = judged(status);
  if (wanted == status) return;
  flush_files();
  leave(wanted);
}

__attribute__((constructor)) void begin() {
  if (!std::getenv("NAMM_ATTACH_MODULE")) return;
  llama_at_start = llama_is_loaded();
  if (!llama_at_start && llama_is_inside()) {
    say("namm: attach: llama.cpp must be a shared library (libllama.so), is linked into the program statically, where no policy "
        "can be attached; use a program built with -DBUILD_SHARED_LIBS=ON (bash cmake/setup.sh --with-server builds one)\n");
    leave(1);
  }
  if (getpid() != first_process()) return;
  kept_error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);
  if (kept_error >= 0 && fstat(kept_error, &error_file) != 0) kept_error = -1;
  pthread_atfork(nullptr, nullptr, close_kept_error);
  listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address;
  const socklen_t size = address_of(getpid(), address);
  if (listener >= 0 && bind(listener, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    close(listener);
    listener = -1;
  }
  on_exit(at_exit, nullptr);
}

}  // namespace

void tell_attached() {
  attached_here = true;
  close_kept_error();
  if (getpid() == first_process()) return;
  const int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sender < 0) return;
  sockaddr_un address;
  const socklen_t size = address_of(first_process(), address);
  sendto(sender, "a", 1, MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
  close(sender);
}

void tell_looked_up() {
  llama_looked_up = true;
}

}  // namespace namm::preload

/// Shells end by it, without what on_exit() registered.
#pragma GCC visibility push(default)
extern "C" {
void _exit(int status) {
  namm::preload::leave(namm::preload::judged(status));
}
void _Exit(int status) noexcept {
  namm::preload::leave(namm::preload::judged(status));
}
}
#pragma GCC visibility pop
