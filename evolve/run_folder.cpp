#include "evolve/run_folder.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>

#include "base/append_file.hpp"
#include "base/atomic_file.hpp"

namespace namm::evolve {

RunFolder::RunFolder(std::filesystem::path folder, bool resume) : folder_(std::move(folder)) {
  const std::string name = "output folder '" + folder_.string() + "': ";
  if (folder_.empty()) throw std::invalid_argument("output folder: must be named, is empty");
  std::error_code error;
  if (resume) {
    if (!std::filesystem::exists(checkpoint(), error)) {
      throw std::runtime_error(name + "must hold a checkpoint.json to resume from, holds none; start a new run without resuming");
    }
    return;
  }
  std::filesystem::create_directories(folder_, error);
  if (error) throw std::runtime_error(name + "must be a folder that can be written (" + error.message() + "); choose another");
  for (const char* file : {"checkpoint.json", "log.jsonl", "policy.json"}) {
    if (std::filesystem::exists(folder_ / file, error)) {
      throw std::runtime_error(name + "must not hold another run, has a " + file + "; `namm evolve --resume " + folder_.string() +
                               "` goes on with that run; for a new one choose another folder");
    }
  }
  // Found out now rather than after the first generation.
  const std::filesystem::path probe = folder_ / ".namm-write-test";
  write_file_atomically(probe, "");
  std::filesystem::remove(probe, error);
}

std::filesystem::path RunFolder::policy(const Budget& budget) const {
  std::string name = to_string(budget);
  std::erase(name, '%');
  if (budget.unit == Budget::Unit::tokens) name += "-tokens";
  return folder_ / std::string("policy-").append(name).append(".json");
}

void RunFolder::rewrite_log(const std::vector<nlohmann::json>& lines) const {
  std::string text;
  for (const nlohmann::json& line : lines) text += line.dump() + "\n";
  write_file_atomically(folder_ / "log.jsonl", text);
}

void RunFolder::mend_timing() const {
  const std::filesystem::path path = folder_ / "timing.jsonl";
  std::ifstream in(path, std::ios::binary);
  if (!in) return;  // killed before the first line
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const std::size_t whole = text.rfind('\n') + 1;  // 0 if there is no line end
  if (whole == text.size()) return;
  std::error_code error;
  std::filesystem::resize_file(path, whole, error);
  if (error)
    throw std::runtime_error("'" + path.string() + "': must be writable (" + error.message() + "); its last line is cut");
}

void RunFolder::append(const std::filesystem::path& path, const nlohmann::json& line) {
  if (const int error = append_whole(path, line.dump() + "\n"); error != 0)
    throw std::runtime_error("'" + path.string() + "': must be writable (" + std::generic_category().message(error) +
                             "); free some space");
}

}  // namespace namm::evolve
