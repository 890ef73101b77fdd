#include "tasks/niah.hpp"

namespace namm::tasks {

/// RULER's niah_multikey_2 (arXiv 2404.06654): every line is a needle, a word with a number; one is asked for.
std::unique_ptr<Task> make_niah_multikey_2(std::shared_ptr<const Haystack> haystack) {
  return make_niah({.name = "niah-multikey-2", .filler = NiahForm::Filler::needles}, std::move(haystack));
}

}  // namespace namm::tasks
