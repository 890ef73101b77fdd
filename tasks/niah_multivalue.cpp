#include "tasks/niah.hpp"

namespace namm::tasks {

/// RULER's niah_multivalue (arXiv 2404.06654): one word with four numbers in prose, all are asked for.
std::unique_ptr<Task> make_niah_multivalue(std::shared_ptr<const Haystack> haystack) {
  return make_niah({.name = "niah-multivalue", .values_per_key = 4}, std::move(haystack));
}

}  // namespace namm::tasks
