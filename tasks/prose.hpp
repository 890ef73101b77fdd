#pragma once
#include <array>
#include <string>
#include <string_view>

#include "tasks/haystack.hpp"
#include "tasks/random.hpp"

namespace namm::tasks {

/// Generated English prose: dull, grammatical, endless, different for every stream.
///
/// Sentences come from the context-free grammar of prose_grammar.cpp over the words of prose_words.cpp. A paragraph keeps its
/// people, town and subject, so that its sentences hang together a little. Numbers are mostly words; about every tenth
/// sentence has digits (years, counts, four- to seven-digit numbers), so that digits alone do not give a needle away.
/// The grammar never writes "pass key", "magic number" or "The code of".
class Prose final : public SentenceSource {
 public:
  explicit Prose(Rng rng) : rng_(rng) {}
  Sentence next() override;
  Sentence next_short() override;

  /// What stays the same within a paragraph.
  enum Bound { hero, he, his, him, other, surname, town, thing, trade, kBoundCount };

 private:
  void start_paragraph();
  std::string expand(std::string_view rule);

  Rng rng_;
  std::array<std::string_view, kBoundCount> bound_{};
  int sentences_left_ = 0;
};

}  // namespace namm::tasks
