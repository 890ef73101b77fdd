#include "eval/details_file.hpp"

#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

#include "base/json_limits.hpp"
#include "base/line_reader.hpp"

namespace namm::eval {
namespace {

constexpr std::size_t kLongestDetailsLine = std::size_t{64} << 20, kMostLines = 100'000;

auto key(const PromptDetails& d) {
  return std::tuple(d.model, d.task, d.length_tokens, d.prompt);
}
auto key_of_prompt(const RetentionDetails& d) {
  return std::tuple(d.model, d.task, d.length_tokens, d.prompt);
}
auto key(const RetentionDetails& d) {
  return std::tuple(key_of_prompt(d), d.policy, d.memory, d.budget, d.mode, d.interval_tokens);
}

/// Puts `item` in the place of the one with the same key, or behind all; says where.
template <typename Item, typename Places>
std::size_t put(std::vector<Item>& items, Places& places, Item item) {
  const auto [place, fresh] = places.emplace(key(item), items.size());
  if (fresh)
    items.push_back(std::move(item));
  else
    items[place->second] = std::move(item);
  return place->second;
}

}  // namespace

bool is_details_file(const std::filesystem::path& path) {
  LineReader reader(path, kLongestDetailsLine);
  std::string line;
  if (!reader.next(line)) return false;
  const std::string_view start = std::string_view(line).substr(0, 4096);
  if (start.find("\"policy\"") == std::string_view::npos && start.find("\"kinds\"") == std::string_view::npos) return false;
  const nlohmann::json object = detail::try_json(line);
  return object.is_object() && object.contains("record");
}

void load_details(const std::filesystem::path& path, DetailsFile& into) {
  std::map<decltype(key(PromptDetails())), std::size_t> prompts;
  std::map<decltype(key(RetentionDetails())), std::size_t> retentions;
  for (std::size_t i = 0; i < into.prompts.size(); ++i) prompts.emplace(key(into.prompts[i]), i);
  for (std::size_t i = 0; i < into.retentions.size(); ++i) retentions.emplace(key(into.retentions[i]), i);
  LineReader reader(path, kLongestDetailsLine);
  for (std::string line; reader.next(line);) {
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    try {
      const nlohmann::json object = detail::parse_json(line);
      if (object.is_object() && object.value("record", nlohmann::json()) == "prompt") {
        PromptDetails prompt = prompt_details_from_json(object);
        const auto before = prompts.find(key(prompt));
        if (before != prompts.end() && into.prompts[before->second].pieces != prompt.pieces)
          throw std::runtime_error("prompt " + prompt.prompt + " must have the text of the one of that name before it (" +
                                   std::to_string(into.prompts[before->second].pieces.size()) + " tokens), has another (" +
                                   std::to_string(prompt.pieces.size()) + "); report evaluations of other settings apart");
        put(into.prompts, prompts, std::move(prompt));
      } else {
        RetentionDetails retention = retention_details_from_json(object);
        const auto prompt = prompts.find(key_of_prompt(retention));
        if (prompt == prompts.end()) throw std::runtime_error("field prompt must name a prompt that stands before, does not");
        if (into.prompts[prompt->second].pieces.size() != retention.kept_by.size())
          throw std::runtime_error("field kept_by must have one number per piece of the prompt, has " +
                                   std::to_string(retention.kept_by.size()));
        const std::size_t place = put(into.retentions, retentions, std::move(retention));
        into.prompt_of.resize(into.retentions.size());
        into.prompt_of[place] = prompt->second;
      }
    } catch (const std::exception& error) {
      throw std::runtime_error(reader.where() + detail::one_line(error.what()) +
                               "; give a file written by 'namm eval --details'");
    }
    if (into.prompts.size() + into.retentions.size() > kMostLines)
      throw std::runtime_error(reader.where() + "details must be at most " + std::to_string(kMostLines) +
                               " lines, are more; give fewer --details-prompts");
  }
}

}  // namespace namm::eval
