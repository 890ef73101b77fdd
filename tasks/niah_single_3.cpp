#include "tasks/niah.hpp"

namespace namm::tasks {

/// RULER's niah_single_3 (arXiv 2404.06654): a word and an identifier of 36 characters in prose.
std::unique_ptr<Task> make_niah_single_3(std::shared_ptr<const Haystack> haystack) {
  return make_niah({.name = "niah-single-3", .value = NiahForm::Kind::uuid}, std::move(haystack));
}

}  // namespace namm::tasks
