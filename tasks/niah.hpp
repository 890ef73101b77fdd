#pragma once
#include <memory>
#include <string_view>

#include "tasks/generators.hpp"

namespace namm::tasks {

/// What distinguishes RULER's needle-in-a-haystack tasks (arXiv 2404.06654, section 3 and table 2).
///
///     Some special magic numbers are hidden within the following text. ...   (opening, at the start of the context)
///     ... filler ... One of the special magic numbers for KEY is: VALUE. ... filler ...
///     What are all the special magic numbers for KEY mentioned in the provided text?
///
/// Where ours differ: a word key is two nouns (RULER: an adjective and a noun), prose is generated unless a haystack is given
/// (RULER: essays), the repeated sentences and the needles in them are joined by spaces (RULER: line ends), and depths are
/// uniform (RULER: 40 steps). Score: `contains-all`.
struct NiahForm {
  enum class Filler {
    repeated,  ///< "The grass is green. ..." over and over
    prose,
    needles,  ///< nothing but further needles, one a line; another haystack does not apply
  };
  enum class Kind { word, number, uuid };

  std::string_view name;
  Filler filler = Filler::prose;
  Kind key = Kind::word;
  Kind value = Kind::number;
  int keys = 1;            ///< needles with different keys
  int values_per_key = 1;  ///< needles with the same key
  int queries = 1;         ///< keys that are asked for, at most `keys`
};

std::unique_ptr<Task> make_niah(const NiahForm& form, std::shared_ptr<const Haystack> haystack);

}  // namespace namm::tasks
