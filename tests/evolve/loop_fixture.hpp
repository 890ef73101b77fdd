#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "evolve/loop.hpp"
#include "namm/policy.hpp"
#include "tests/support/fake_host.hpp"

namespace fixture {

/// A folder that is gone afterwards.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int number = 0;
    path_ =
        std::filesystem::temp_directory_path() / ("namm-evolve-" + std::to_string(::getpid()) + "-" + std::to_string(number++));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// A small run on the fake host: 35 weights, contexts of about 40 words, a quarter of the cache.
inline namm::evolve::RunSettings small_run(const std::filesystem::path& output) {
  namm::evolve::RunSettings settings;
  settings.prototype = namm::make_policy("linear", {{"features", "extended"}});
  settings.tasks = {std::make_shared<fake::Task>("one"), std::make_shared<fake::Task>("two")};
  settings.lengths_tokens = {32, 48};
  settings.prompts_per_task = 2;
  settings.validation_prompts = 4;
  settings.validate_every = 2;
  settings.budgets = {namm::parse_budget("25%"), namm::parse_budget("50%")};
  settings.selection.sinks = 1;
  settings.selection.recent = 2;
  settings.interval_tokens = 16;
  settings.population = 4;
  settings.step_size = 0.3;
  settings.generations = 6;
  settings.output = output;
  return settings;
}

inline namm::HostFactory hosts(fake::Script script = {}) {
  return [script] { return std::make_unique<fake::Host>(script); };
}

}  // namespace fixture
