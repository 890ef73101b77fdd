#include "adapters/preload/stats_file.hpp"

#include <sys/stat.h>

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/append_file.hpp"
#include "base/format.hpp"

namespace namm::preload {
namespace {

double logical_saving(const llama::SequenceUse& use) {
  return use.entries_full > 0 ? 1 - static_cast<double>(use.entries) / static_cast<double>(use.entries_full) : 0;
}
double physical_saving(const llama::SequenceUse& use) {
  return use.kv_bytes_full > 0
             ? 1 - static_cast<double>(use.kv_bytes + use.statistics_bytes) / static_cast<double>(use.kv_bytes_full)
             : 0;
}

/// Short requests look like a policy that does nothing, and others as if it kept too much: the budget holds at an update.
std::string why_more_is_kept(const llama::SequenceUse& use, const CachePolicy& memory, const Settings& settings) {
  if (!memory.drops()) return {};
  if (use.entries >= use.entries_full) {
    if (use.tokens_seen >= memory.interval_tokens) return {};
    return "; nothing was dropped yet: " + std::to_string(use.tokens_seen) + " tokens are below one update of " +
           std::to_string(memory.interval_tokens) + " tokens (--interval)";
  }
  const auto since = use.tokens_seen - use.exact_from;
  if (use.exact_from <= 0 || since <= 0) return {};
  return "; the budget of " + settings.budget + " held at the update after " + std::to_string(use.exact_from) + " tokens, the " +
         std::to_string(since) + " since are all there (--interval " + std::to_string(memory.interval_tokens) + ")";
}

}  // namespace

std::string request_line(const llama::Request& request, const CachePolicy& memory, const Settings& settings) {
  const llama::SequenceUse& use = request.cache;
  char text[320];
  const auto bytes = [](std::int64_t value) { return format_bytes(static_cast<double>(value)); };
  std::snprintf(text, sizeof text,
                "request %lld%s: %lld tokens read (%lld more reused), %lld generated; %.1f %% of the entries kept, %s of %s held "
                "(peak %s) and %s of statistics",
                static_cast<long long>(request.number),
                request.sequence >= 0 ? (", slot " + std::to_string(request.sequence)).c_str() : "",
                static_cast<long long>(request.prompt_tokens), static_cast<long long>(request.reused_tokens),
                static_cast<long long>(request.generated_tokens), 100 * (1 - logical_saving(use)), bytes(use.kv_bytes).c_str(),
                bytes(use.kv_bytes_full).c_str(), bytes(use.kv_bytes_peak).c_str(), bytes(use.statistics_bytes).c_str());
  return text + why_more_is_kept(use, memory, settings);
}

void check_stats_path(const std::string& path) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) == 0 && (S_ISFIFO(facts.st_mode) || S_ISSOCK(facts.st_mode)))
    throw std::runtime_error("--stats " + path + ": must be a file, is a " + (S_ISFIFO(facts.st_mode) ? "FIFO" : "socket") +
                             ", whose reader could stop the program; name a file and follow it with tail -f");
}

void append_request(const std::string& path, const llama::Request& request, const Settings& settings) {
  const llama::SequenceUse& use = request.cache;
  nlohmann::ordered_json line = {{"request", request.number},
                                 {"slot", request.sequence >= 0 ? nlohmann::ordered_json(request.sequence) : nullptr},
                                 {"policy", settings.policy},
                                 {"budget", settings.budget},
                                 {"prompt_tokens", request.prompt_tokens},
                                 {"reused_tokens", request.reused_tokens},
                                 {"generated_tokens", request.generated_tokens},
                                 {"tokens_seen", use.tokens_seen},
                                 {"entries", use.entries},
                                 {"entries_full", use.entries_full},
                                 {"logical_saving", logical_saving(use)},
                                 {"physical_saving", physical_saving(use)},
                                 {"kv_bytes_final", use.kv_bytes},
                                 {"kv_bytes_peak", use.kv_bytes_peak},
                                 {"kv_bytes_full", use.kv_bytes_full},
                                 {"statistics_bytes", use.statistics_bytes},
                                 {"seconds", request.seconds}};
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  check_stats_path(path);
  if (const int error = append_whole(path, text); error != 0)
    throw std::runtime_error("--stats " + path + ": must be writable, is not (" + std::strerror(error) +
                             "); free space or name another file");
}

}  // namespace namm::preload
