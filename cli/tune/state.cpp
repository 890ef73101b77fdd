#include "cli/tune/state.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/json_limits.hpp"

namespace namm::cli {

TuneState TuneState::load(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  nlohmann::json state = detail::try_json(std::string(std::istreambuf_iterator<char>(in), {}));
  if (!state.is_object() || !state.contains("done") || !state["done"].is_array() || !state.contains("sizes"))
    throw std::runtime_error(file.string() + ": must say what was done, is damaged; begin anew with --output");
  return {file, std::move(state)};
}

bool TuneState::done(const std::string& step) const {
  const auto& list = state_["done"];
  return std::find(list.begin(), list.end(), step) != list.end();
}

void TuneState::add(const std::string& step) {
  state_["done"].push_back(step);
  save();
}

void TuneState::save() const {
  write_file_atomically(file_, state_.dump(1) + "\n");
}

}  // namespace namm::cli
