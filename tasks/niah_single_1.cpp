#include "tasks/niah.hpp"

namespace namm::tasks {

/// RULER's niah_single_1 (arXiv 2404.06654): a word, a seven-digit number, repeated sentences; close to passkey retrieval.
std::unique_ptr<Task> make_niah_single_1(std::shared_ptr<const Haystack> haystack) {
  return make_niah({.name = "niah-single-1", .filler = NiahForm::Filler::repeated}, std::move(haystack));
}

}  // namespace namm::tasks
