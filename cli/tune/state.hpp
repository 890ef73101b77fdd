#pragma once
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace namm::cli {

inline constexpr const char* kTuneStateFile = "tune.json";

/// What is done stands in the folder, so that whoever resumes does not do it again.
class TuneState {
 public:
  TuneState(std::filesystem::path file, nlohmann::json state) : file_(std::move(file)), state_(std::move(state)) {}
  /// Throws std::runtime_error if the file is damaged.
  static TuneState load(const std::filesystem::path& file);
  bool done(const std::string& step) const;
  void add(const std::string& step);
  void save() const;
  nlohmann::json& content() { return state_; }

 private:
  std::filesystem::path file_;
  nlohmann::json state_;
};

}  // namespace namm::cli
