// The module that the preloaded library loads into the program: our ggml backend and what follows the program's contexts.
#include <ggml.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/backend/backend.hpp"
#include "adapters/llama_cpp/context/followed_context.hpp"
#include "adapters/llama_cpp/version/layout_check.hpp"
#include "adapters/preload/attach_flags.hpp"
#include "adapters/preload/exit_gate.hpp"
#include "adapters/preload/hooks.hpp"
#include "adapters/preload/session_file.hpp"
#include "adapters/preload/settings.hpp"
#include "adapters/preload/stats_file.hpp"

namespace namm::preload {
namespace {

struct Module {
  Runtime runtime;
  Settings settings;
  CachePolicy memory;
  std::mutex mutex;  // guards the map; attachments guard themselves
  std::unordered_map<const void*, std::shared_ptr<llama::FollowedContext>> by_context;
  std::mutex stats_mutex;
  std::int64_t requests = 0;
  std::shared_ptr<spdlog::logger> log;  // spdlog's own list of loggers is gone before the program's last threads are
  bool aborts_at_refusals = false;      // the program, where a cut is refused
  bool rereads_windows = false;         // it reads a chat anew each turn if the model has sliding windows
  pid_t process = 0;
  std::mutex watch_mutex;
  std::condition_variable watch;
  bool ending = false, ended = false;
  ExitGate gate;
};

// Never destroyed: the program may still be running threads while it exits.
Module& module() {
  static auto& one = *new Module;
  return one;
}
thread_local std::optional<llama::AttachScope> scope;

spdlog::logger& log() {
  return *module().log;
}

std::shared_ptr<llama::FollowedContext> of_context(const void* context) {
  const std::lock_guard<std::mutex> lock(module().mutex);
  const auto found = module().by_context.find(context);
  return found == module().by_context.end() ? nullptr : found->second;
}

std::shared_ptr<llama::FollowedContext> of_memory(const void* memory) {
  const std::lock_guard<std::mutex> lock(module().mutex);
  for (const auto& [context, attachment] : module().by_context)
    if (attachment->memory() == memory) return attachment;
  return nullptr;
}

/// The boundary to C: one line instead of an exception.
template <class Result, class Work>
Result guarded(Result otherwise, Work work) noexcept {
  try {
    return work();
  } catch (const std::exception& error) {
    log().error("{}", error.what());
  } catch (...) {  // of somebody's policy
    log().error("policy: threw something that is no std::exception");
  }
  return otherwise;
}

/// The same where there is nothing to return.
template <class Work>
void guarded(Work work) noexcept {
  guarded(0, [&] {
    work();
    return 0;
  });
}

void report(llama::Request& request) {
  const std::lock_guard<std::mutex> lock(module().stats_mutex);
  const bool again = request.number != 0;
  if (!again) request.number = ++module().requests;
  log().info("{}{}", again ? "went on: " : "", request_line(request, module().memory, module().settings));
  if (module().settings.stats.empty()) return;
  guarded([&] { append_request(module().settings.stats, request, module().settings); });
}

std::vector<std::shared_ptr<llama::FollowedContext>> all_contexts() {
  const std::lock_guard<std::mutex> lock(module().mutex);
  std::vector<std::shared_ptr<llama::FollowedContext>> out;
  for (const auto& [context, attachment] : module().by_context) out.push_back(attachment);
  return out;
}

void watch_for_pauses() {
  Module& m = module();
  for (;;) {
    bool ending = false;
    {
      std::unique_lock<std::mutex> lock(m.watch_mutex);
      m.watch.wait_for(lock, std::chrono::milliseconds(500), [&] { return m.ending; });
      ending = m.ending;
    }
    for (const auto& attachment : all_contexts())
      if (ending)
        attachment->end_all();
      else
        attachment->end_idle(llama::now_seconds() - llama::RequestLog::kPauseSeconds);
    if (!ending) continue;
    const std::lock_guard<std::mutex> lock(m.watch_mutex);
    m.ended = true;
    m.watch.notify_all();
    return;
  }
}

/// The program exits without having freed its contexts: what is open is reported. The thread does it that does it always, and is
/// not waited for longer than a second: whoever exits may hold what it needs.
void at_exit() {
  Module& m = module();
  if (getpid() != m.process) return;  // a child by fork(), without the thread
  m.gate.shut(std::chrono::seconds(1));
  std::unique_lock<std::mutex> lock(m.watch_mutex);
  m.ending = true;
  m.watch.notify_all();
  m.watch.wait_for(lock, std::chrono::seconds(1), [&] { return m.ended; });
}

/// Words of this process's command line, the program first.
std::vector<std::string> command_line() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> out;
  for (std::string word; std::getline(in, word, '\0');) out.push_back(word);
  return out;
}

/// A program that a script or a router started has not been seen by `namm attach`.
void check_own_flags() {
  std::vector<std::string> words = command_line();
  if (words.empty()) return;
  const std::string program = words.front();
  words.erase(words.begin());
  module().aborts_at_refusals = aborts_at_refusals(program);
  const std::string missing = missing_flags(program, words, module().settings.device);
  if (!missing.empty())
    throw std::runtime_error(program + ": must be started with " + missing +
                             " for a policy to attach, was started without; add that to its command line");
  const bool whole_window = std::any_of(words.begin(), words.end(), [](const std::string& word) { return word == "--swa-full"; });
  module().rereads_windows = module().aborts_at_refusals && !whole_window && !std::getenv("LLAMA_ARG_SWA_FULL");
}

void warn_of_version() {
  const Runtime& runtime = module().runtime;
  const std::string_view llama = runtime.llama_version ? runtime.llama_version : "";
  if (llama == NAMM_LLAMA_VERSION) return;
  log().warn("llama.cpp {} (ggml {}) is not the version this was tested with, {}; look at the first answers",
             llama.empty() ? "of an unknown version" : llama, runtime.ggml_version ? runtime.ggml_version : "unknown",
             NAMM_LLAMA_VERSION);
}

bool start(const Runtime& runtime) {
  return guarded(false, [&] {
    module().log = spdlog::stderr_logger_mt("namm-attach");
    log().set_pattern("namm: %v");
    spdlog::set_default_logger(module().log);
    module().runtime = runtime;
    module().settings = settings_from_environment();
    check_own_flags();
    module().memory = make_memory(module().settings);
    warn_of_version();
    module().process = getpid();
    std::thread(watch_for_pauses).detach();
    std::atexit(at_exit);
    return true;
  });
}

void creating() {
  guarded(0, [] {
    scope.emplace(module().memory);
    return 0;
  });
}

bool created(const void* model, void* context) {
  return guarded(false, [&] {
    if (!context) {
      scope.reset();
      return false;
    }
    llama::ContextFacts facts;
    facts.window_tokens = module().runtime.window(model);
    if (facts.window_tokens > 0 && module().rereads_windows)
      log().warn(
          "the model has layers with a sliding window of {} tokens: each turn of a chat is read anew from its beginning; with "
          "--swa-full a chat goes on from its cache, and evictions begin at that many tokens",
          facts.window_tokens);
    const int rope = module().runtime.rope_type(model);
    facts.traits.several_positions = rope > 0 && (rope & GGML_ROPE_TYPE_MROPE) != 0;
    llama::CacheStore* store = nullptr;
    try {
      store = &scope->finish(facts);
      scope.reset();
    } catch (...) {
      scope.reset();
      throw;
    }
    auto attachment = std::make_shared<llama::FollowedContext>(module().runtime, model, context, *store, report);
    const std::lock_guard<std::mutex> lock(module().mutex);
    module().by_context[context] = std::move(attachment);
    return true;
  });
}

void freeing(const void* context) {
  const auto attachment = of_context(context);
  if (!attachment) return;
  attachment->end_all();
  const std::lock_guard<std::mutex> lock(module().mutex);
  module().by_context.erase(context);
}

bool before_batch(const void* context) {
  if (!module().gate.enter()) return false;
  // said here and not when it was created: programs create contexts to measure what fits, and drop them
  static std::once_flag once;
  std::call_once(once, [] {
    const Settings& settings = module().settings;
    log().info(
        "policy {} attached, budget {}, {}, update every {} tokens, held as {}; a larger context (-c) costs memory only as "
        "it fills",
        settings.policy, settings.budget, settings.mode, settings.interval_tokens, settings.store);
  });
  of_context(context)->before_batch();
  return true;
}

int after_batch(const void* context, int status) {
  const int out = guarded(-3, [&] { return of_context(context)->after_batch(status); });
  module().gate.leave();
  return out;
}

constexpr std::uint32_t kNoFlags = 0;

/// Flags ask for a part of the state (checkpoints: the window layers, the recurrent ones) or for one that stays on a device.
void check_flags(std::uint32_t flags) {
  if (flags != kNoFlags)
    throw std::runtime_error(
        "llama.cpp: a saved state must be whole with a policy attached, a part of it (a checkpoint) was asked for; switch "
        "checkpoints off (-ctxcp 0)");
}

std::size_t save_state(void* context, std::int32_t sequence, std::uint32_t flags, std::uint8_t* to, std::size_t size) {
  return guarded(std::size_t{0}, [&] {
    check_flags(flags);
    const std::size_t written = of_context(context)->save_state(sequence, std::as_writable_bytes(std::span(to, size)));
    if (to && written > size)
      throw std::runtime_error("saved state: must fit in " + std::to_string(size) + " bytes, has " + std::to_string(written) +
                               "; ask for its size first");
    return written;
  });
}

std::size_t load_state(void* context, std::int32_t sequence, std::uint32_t flags, const std::uint8_t* from, std::size_t size) {
  return guarded(std::size_t{0}, [&] {
    check_flags(flags);
    return of_context(context)->load_state(sequence, std::as_bytes(std::span(from, size)));
  });
}

std::size_t save_session(void* context, std::int32_t sequence, const char* path, const std::int32_t* tokens, std::size_t count) {
  return guarded(std::size_t{0}, [&] {
    SessionFile session;
    session.tokens.assign(tokens, tokens + count);
    session.state.resize(of_context(context)->save_state(sequence, {}));
    of_context(context)->save_state(sequence, session.state);
    write_session(path, session);
    return session_bytes(session.tokens.size(), session.state.size());
  });
}

std::size_t load_session(void* context, std::int32_t sequence, const char* path, std::int32_t* tokens, std::size_t capacity,
                         std::size_t* count) {
  return guarded(std::size_t{0}, [&] {
    const SessionFile session = read_session(path);
    *count = session.tokens.size();
    const std::size_t bytes = session_bytes(session.tokens.size(), session.state.size());
    if (!tokens && sequence >= 0) return bytes;  // asks for the number of tokens
    if (session.tokens.size() > capacity)
      throw std::runtime_error(std::string("session ") + path + ": must have at most " + std::to_string(capacity) +
                               " tokens, has " + std::to_string(session.tokens.size()) + "; enlarge the context (-c)");
    of_context(context)->load_state(sequence, session.state);
    std::copy(session.tokens.begin(), session.tokens.end(), tokens);
    return bytes;
  });
}

constexpr Hooks kHooks = {
    start,
    creating,
    created,
    freeing,
    before_batch,
    after_batch,
    [](const void* memory) { return of_memory(memory) != nullptr; },
    [](const void* context) { return of_context(context) != nullptr; },
    [](const void* memory) { guarded([&] { of_memory(memory)->cleared(); }); },
    [](const void* memory, std::int32_t sequence) { guarded([&] { of_memory(memory)->removed(sequence); }); },
    [](const void* memory, std::int32_t sequence) { guarded([&] { of_memory(memory)->kept_only(sequence); }); },
    [](const void* memory, std::int32_t source, std::int32_t target, std::int32_t to) {
      return guarded(false, [&] {
        const std::string refusal = of_memory(memory)->copying(source, target, to);
        if (!refusal.empty()) log().error("llama.cpp: {}", refusal);
        return refusal.empty();
      });
    },
    [](const void* memory, std::int32_t sequence, const char* operation) {
      of_memory(memory)->refused(sequence);
      log().error(
          "llama.cpp: {} must be left off with a policy attached, was asked for; the cached keys could not follow; enlarge the "
          "context "
          "(-c) instead",
          operation);
    },
    [](const void* memory, std::int32_t sequence, std::int32_t from) {
      const auto attachment = of_memory(memory);
      if (guarded(false, [&] { return attachment->can_cut(sequence, from); })) return true;
      if (!module().aborts_at_refusals) {
        log().error(
            "llama.cpp: a sequence must be cut behind the last eviction, was to be cut at {}; what was evicted then cannot come "
            "back; remove the whole sequence and read it again",
            from);
        return false;
      }
      // The program has asked before it cut what it reuses: this is a draft. It would end itself, and everybody's requests.
      attachment->refused(sequence);
      log().error(
          "llama.cpp: drafted tokens must be left off with a policy attached, were to be taken back from {} on, behind an "
          "eviction; "
          "the request fails; start without speculation (--spec-type none)",
          from);
      return true;
    },
    [](void* context, std::int32_t sequence, std::uint32_t flags) { return save_state(context, sequence, flags, nullptr, 0); },
    save_state,
    load_state,
    save_session,
    load_session,
    [](const void* memory, std::int32_t sequence, std::int32_t real) {
      return guarded(real, [&] { return of_memory(memory)->oldest_position(sequence, real); });
    },
    [](const char* sentence) { log().error("{}", sentence); },
    [](const void* context, std::int32_t index) { of_context(context)->output_read(index); },
};

}  // namespace
}  // namespace namm::preload

extern "C" __attribute__((visibility("default"))) const namm::preload::Hooks* namm_preload_hooks() {
  return &namm::preload::kHooks;
}
/// What differs in the ggml of this process (layout_check.hpp), or null. Asked before anything of it is used.
extern "C" __attribute__((visibility("default"))) const char* namm_layout_problem() {
  static const std::string& problem = *new std::string(namm::llama::layout_problem());
  return problem.empty() ? nullptr : problem.c_str();
}
/// What ggml_backend_load looks for; it compares the version in it with its own.
extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init() {
  return namm::llama::backend_registry();
}
