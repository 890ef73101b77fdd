#pragma once
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/counters.hpp"
#include "tasks/task.hpp"
#include "tests/tasks/code_folder.hpp"

namespace namm::tasks::testing {

/// A count that is not additive, as BPE's: pairs of characters from the left, one more token at the start of every text.
inline std::size_t count_pairs(std::string_view text) {
  return 1 + (text.size() + 1) / 2;
}

inline const std::vector<Split> kSplits = {Split::train, Split::validation, Split::test};

/// The task on its own filler; tasks over source code on a folder of the tests'.
inline std::unique_ptr<Task> make_any_task(std::string_view task) {
  return make_task(task, task.starts_with("code-") ? CodeFolder::haystack() : nullptr);
}

inline Sample make_sample(std::string_view task, Split split, std::uint64_t seed, std::uint64_t index, std::size_t length = 512) {
  return make_any_task(task)->make({split, seed, index, length}, approximate_counter("words"));
}

/// Everything a model or a score sees.
inline std::string all_text(const Sample& sample) {
  std::string text = sample.id + "\n" + prompt_text(sample);
  for (const std::string& answer : sample.answers) text += "\n" + answer;
  return text;
}

/// The message of the exception that `call` throws, "" if it throws none.
template <class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

/// A file that is there while the object is.
class TemporaryFile {
 public:
  TemporaryFile(std::string_view name, std::string_view content)
      : folder_(std::filesystem::temp_directory_path() / ("namm-tasks-" + std::to_string(std::random_device{}()))) {
    std::filesystem::create_directories(folder_);
    file_ = folder_ / name;
    std::ofstream(file_, std::ios::binary) << content;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }
  const std::filesystem::path& path() const { return file_; }
  std::string name() const { return file_.string(); }

 private:
  std::filesystem::path folder_, file_;
};

/// Runs of digits of a text.
inline std::vector<std::string> numbers_in(std::string_view text) {
  std::vector<std::string> numbers;
  bool inside = false;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (digit && !inside) numbers.emplace_back();
    if (digit) numbers.back() += c;
    inside = digit;
  }
  return numbers;
}

/// The words before `end` that follow `begin`, for every place where `begin` stands.
inline std::vector<std::string> between(std::string_view text, std::string_view begin, std::string_view end) {
  std::vector<std::string> found;
  for (std::size_t at = text.find(begin); at != std::string_view::npos; at = text.find(begin, at + 1)) {
    const std::size_t from = at + begin.size();
    found.emplace_back(text.substr(from, text.find(end, from) - from));
  }
  return found;
}

}  // namespace namm::tasks::testing
