#pragma once
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include "namm/selection.hpp"

namespace namm::evolve {

/// The files of a run.
///
///     checkpoint.json  what the next generation depends on
///     policy.json      the best policy so far; with several budgets also the best for each
///     log.jsonl        one line per generation, the same for the same settings
///     timing.jsonl     what depends on the machine, apart so that logs can be compared
class RunFolder {
 public:
  /// Makes the folder. Throws std::runtime_error if it cannot be made, if it holds a run and `resume` is false, or if it holds
  /// none and `resume` is true.
  RunFolder(std::filesystem::path folder, bool resume);

  std::filesystem::path checkpoint() const { return folder_ / "checkpoint.json"; }
  std::filesystem::path policy() const { return folder_ / "policy.json"; }
  /// "policy-25.json" for 25%, "policy-256-tokens.json", "policy-64MiB.json", "policy-12.5bytes.json".
  std::filesystem::path policy(const Budget& budget) const;

  /// Replaces the log by these lines: after a resume, lines behind the checkpoint are gone.
  void rewrite_log(const std::vector<nlohmann::json>& lines) const;
  /// Removes what a killed process wrote of a line of timing.jsonl. Throws std::runtime_error naming the file.
  void mend_timing() const;
  /// Throws std::runtime_error naming the file, for example on a full disk.
  void append_log(const nlohmann::json& line) const { append(folder_ / "log.jsonl", line); }
  void append_timing(const nlohmann::json& line) const { append(folder_ / "timing.jsonl", line); }

 private:
  static void append(const std::filesystem::path& path, const nlohmann::json& line);
  std::filesystem::path folder_;
};

}  // namespace namm::evolve
