#include <array>
#include <stdexcept>

#include "namm/policies/registry.hpp"
#include "tasks/generators.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {
namespace {

using Factory = std::unique_ptr<Task> (*)(std::shared_ptr<const Haystack>);

template <Factory kFactory>
std::unique_ptr<Task> on_prose() {
  return kFactory(nullptr);
}
template <Factory kFactory>
constexpr TaskEntry entry(std::string_view name, std::string_view summary) {
  return {name, summary, &on_prose<kFactory>, kFactory};
}

constexpr std::array kTasks = {
    entry<make_passkey>("passkey", "five digits said once in a long text (arXiv 2305.16300)"),
    entry<make_niah_single>("niah-single", "a seven-digit number for one word in a long text (RULER, arXiv 2404.06654)"),
    entry<make_kv_recall>("kv-recall", "one of many four-digit codes scattered over a long text"),
};

}  // namespace

std::span<const TaskEntry> task_registry() {
  return kTasks;
}

std::unique_ptr<Task> make_task(std::string_view name, std::shared_ptr<const Haystack> haystack) {
  std::vector<std::string_view> names;
  for (const TaskEntry& entry : kTasks) {
    if (entry.name == name) return entry.make_on(std::move(haystack));
    names.push_back(entry.name);
  }
  std::string nearest;
  for (const std::string& one : nearest_names(name, names)) nearest += (nearest.empty() ? "" : ", ") + one;
  throw std::invalid_argument("task: must be a registered name, is '" + std::string(name.substr(0, 40)) +
                              "'; nearest: " + nearest);
}

std::unique_ptr<Task> make_task(std::string_view name) {
  return make_task(name, nullptr);
}

}  // namespace namm::tasks
