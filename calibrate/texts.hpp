#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace namm::calibrate {

/// The kinds of made-up text: prose, facts, dialogue, records, code, lists, log, markup, table, refrain.
std::vector<std::string_view> text_kinds();

/// Made-up text of one kind (index modulo their number), `characters` long or a little longer. Same numbers, same text, on every
/// machine. Varied on purpose: a probe sees names, numbers, identifiers, punctuation and layout in many settings, but none of the
/// sentences with which tasks/ hides and asks for its needles.
std::string make_text(std::uint64_t seed, std::uint64_t index, std::size_t characters);

}  // namespace namm::calibrate
