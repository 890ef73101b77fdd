#include "tasks/niah.hpp"

namespace namm::tasks {

/// RULER's niah_single_2 (arXiv 2404.06654): a word and a seven-digit number in prose; the vanilla needle in a haystack.
std::unique_ptr<Task> make_niah_single_2(std::shared_ptr<const Haystack> haystack) {
  return make_niah({.name = "niah-single-2"}, std::move(haystack));
}

}  // namespace namm::tasks
