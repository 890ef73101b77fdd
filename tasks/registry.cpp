#include <algorithm>
#include <array>
#include <numeric>
#include <stdexcept>

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

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::span<const TaskEntry> task_registry() {
  return kTasks;
}

std::unique_ptr<Task> make_task(std::string_view name, std::shared_ptr<const Haystack> haystack) {
  const TaskEntry* nearest = nullptr;
  std::size_t least = 0;
  std::string all;
  const std::string_view asked = name.substr(0, 64);
  for (const TaskEntry& task : kTasks) {
    if (task.name == name) return task.make_on(std::move(haystack));
    const std::size_t distance = edit_distance(asked, task.name);
    if (!nearest || distance < least) nearest = &task, least = distance;
    all += (all.empty() ? "" : ", ") + std::string(task.name);
  }
  std::string message = "unknown task '" + std::string(asked) + "'";
  if (least <= nearest->name.size() / 2) message += "; did you mean '" + std::string(nearest->name) + "'?";
  throw std::invalid_argument(message + " Tasks: " + all);
}

std::unique_ptr<Task> make_task(std::string_view name) {
  return make_task(name, nullptr);
}

}  // namespace namm::tasks
