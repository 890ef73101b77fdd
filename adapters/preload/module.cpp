// The module that the preloaded library loads into the program: our ggml backend and what follows the program's contexts.
#include <ggml.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/backend/backend.hpp"
#include "adapters/llama_cpp/context/followed_context.hpp"
#include "adapters/preload/hooks.hpp"
#include "adapters/preload/session_file.hpp"
#include "adapters/preload/settings.hpp"
#include "adapters/preload/stats_file.hpp"

namespace namm::preload {
namespace {

constexpr double kPauseSeconds = 1;  // nothing evaluated for so long: the requests have ended

struct Module {
  Runtime runtime;
  Settings settings;
  CachePolicy memory;
  std::mutex mutex;  // guards the map; attachments guard themselves
  std::unordered_map<const void*, std::shared_ptr<llama::FollowedContext>> by_context;
  std::mutex stats_mutex;
  std::int64_t requests = 0;
};

// Never destroyed: the program may still be running threads while it exits.
Module& module() {
  static auto& one = *new Module;
  return one;
}
thread_local std::optional<llama::AttachScope> scope;

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
    spdlog::error("{}", error.what());
    return otherwise;
  }
}

void report(llama::Request request) {
  const std::lock_guard<std::mutex> lock(module().stats_mutex);
  request.number = ++module().requests;
  spdlog::info("{}", request_line(request, module().memory));
  if (module().settings.stats.empty()) return;
  guarded(0, [&] {
    append_request(module().settings.stats, request, module().settings);
    return 0;
  });
}

void watch_for_pauses() {
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    std::vector<std::shared_ptr<llama::FollowedContext>> all;
    {
      const std::lock_guard<std::mutex> lock(module().mutex);
      for (const auto& [context, attachment] : module().by_context) all.push_back(attachment);
    }
    for (const auto& attachment : all) attachment->end_idle(llama::now_seconds() - kPauseSeconds);
  }
}

void warn_of_version() {
  const Runtime& runtime = module().runtime;
  const std::string_view llama = runtime.llama_version ? runtime.llama_version : "";
  if (llama == NAMM_LLAMA_VERSION) return;
  spdlog::warn("llama.cpp {} (ggml {}) is not the version this was tested with, {}; look at the first answers",
               llama.empty() ? "of an unknown version" : llama, runtime.ggml_version ? runtime.ggml_version : "unknown",
               NAMM_LLAMA_VERSION);
}

bool start(const Runtime& runtime) {
  return guarded(false, [&] {
    auto logger = spdlog::stderr_logger_mt("namm-attach");
    logger->set_pattern("namm: %v");
    spdlog::set_default_logger(logger);
    module().runtime = runtime;
    module().settings = settings_from_environment();
    module().memory = make_memory(module().settings);
    warn_of_version();
    std::thread(watch_for_pauses).detach();
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

void before_batch(const void* context) {
  // said here and not when it was created: programs create contexts to measure what fits, and drop them
  static std::once_flag once;
  std::call_once(once, [] {
    spdlog::info("policy {} attached, budget {}, {}, update every {} tokens", module().settings.policy, module().settings.budget,
                 module().settings.mode, module().settings.interval_tokens);
  });
  of_context(context)->before_batch();
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
    [](const void* context, int status) { return guarded(-3, [&] { return of_context(context)->after_batch(status); }); },
    [](const void* memory) { return of_memory(memory) != nullptr; },
    [](const void* context) { return of_context(context) != nullptr; },
    [](const void* memory) { of_memory(memory)->cleared(); },
    [](const void* memory, std::int32_t sequence) { of_memory(memory)->removed(sequence); },
    [](const void* memory, std::int32_t sequence) { of_memory(memory)->kept_only(sequence); },
    [](const void* memory, std::int32_t source, std::int32_t target, std::int32_t to) {
      const std::string refusal = of_memory(memory)->copying(source, target, to);
      if (!refusal.empty()) spdlog::error("llama.cpp: {}", refusal);
      return refusal.empty();
    },
    [](const void* memory, std::int32_t sequence, const char* operation) {
      of_memory(memory)->refused(sequence);
      spdlog::error(
          "llama.cpp: {} must be left off with a policy attached, was asked for; the cached keys could not follow; enlarge the "
          "context "
          "(-c) instead",
          operation);
    },
    [](const void* memory, std::int32_t sequence, std::int32_t from) {
      if (of_memory(memory)->can_cut(sequence, from)) return true;
      spdlog::error(
          "llama.cpp: a sequence must be cut behind the last eviction, was to be cut at {}; what was evicted then cannot come "
          "back; "
          "remove the whole sequence and read it again",
          from);
      return false;
    },
    [](void* context, std::int32_t sequence, std::uint32_t flags) { return save_state(context, sequence, flags, nullptr, 0); },
    save_state,
    load_state,
    save_session,
    load_session,
    [](const void* memory, std::int32_t sequence, std::int32_t real) {
      return guarded(real, [&] { return of_memory(memory)->oldest_position(sequence, real); });
    },
    [](const char* sentence) { spdlog::error("{}", sentence); },
};

}  // namespace
}  // namespace namm::preload

extern "C" __attribute__((visibility("default"))) const namm::preload::Hooks* namm_preload_hooks() {
  return &namm::preload::kHooks;
}
/// What ggml_backend_load looks for; it compares the version in it with its own.
extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init() {
  return namm::llama::backend_registry();
}
