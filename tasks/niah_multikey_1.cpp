#include "tasks/niah.hpp"

namespace namm::tasks {

/// RULER's niah_multikey_1 (arXiv 2404.06654): four words with a number each in prose, one is asked for.
std::unique_ptr<Task> make_niah_multikey_1(std::shared_ptr<const Haystack> haystack) {
  return make_niah({.name = "niah-multikey-1", .keys = 4}, std::move(haystack));
}

}  // namespace namm::tasks
