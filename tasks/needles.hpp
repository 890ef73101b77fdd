#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tasks/random.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {

/// Splits never share a needle, whatever the seeds: a number (its digits), a word or a pair ("left-right") belongs to the
/// split hash_text(needle) mod 3: 0 train, 1 validation, 2 test. A hash, and not the number mod 3, as a model trained on one
/// split could learn the digit sum.
Split split_of_needle(std::string_view needle);

/// A few hundred short common nouns, all different.
std::span<const std::string_view> key_words();

/// A number with exactly `digits` digits (2 to 18, no leading zero) of this split.
std::string draw_number(Rng& rng, Split split, int digits);
/// One key word of this split.
std::string draw_word(Rng& rng, Split split);
/// Two different key words of this split, "left-right".
std::string draw_word_pair(Rng& rng, Split split);

/// A random identifier (version 4, RFC 9562) of this split, 36 characters.
std::string draw_uuid(Rng& rng, Split split);
/// A string of `letters` letters from `first` to `first` + 25 of this split: 'a' or 'A'.
std::string draw_letters(Rng& rng, Split split, std::size_t letters, char first);

}  // namespace namm::tasks
