#include "tasks/niah.hpp"

namespace namm::tasks {

/// RULER's niah_multikey_3 (arXiv 2404.06654): every line is a needle, identifiers as keys and as values; one is asked for.
std::unique_ptr<Task> make_niah_multikey_3(std::shared_ptr<const Haystack> haystack) {
  return make_niah({.name = "niah-multikey-3",
                    .filler = NiahForm::Filler::needles,
                    .key = NiahForm::Kind::uuid,
                    .value = NiahForm::Kind::uuid},
                   std::move(haystack));
}

}  // namespace namm::tasks
