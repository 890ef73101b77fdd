#include "tasks/niah.hpp"

namespace namm::tasks {

/// RULER's niah_multiquery (arXiv 2404.06654): four words with a number each in prose, all are asked for.
std::unique_ptr<Task> make_niah_multiquery(std::shared_ptr<const Haystack> haystack) {
  return make_niah({.name = "niah-multiquery", .keys = 4, .queries = 4}, std::move(haystack));
}

}  // namespace namm::tasks
