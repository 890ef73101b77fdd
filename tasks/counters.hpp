#pragma once
#include <string>
#include <string_view>

#include "tasks/task.hpp"

namespace namm::tasks {

/// Token counts without a model, for tools and tests.
/// `words`:   a run of letters is 1 token per started 8 letters, a run of digits 1 per started 3 digits, any other visible
///            character 1, each run of line ends 1; spaces are free. Near a 32 k BPE vocabulary on English prose.
/// `chars/4`: a quarter of the bytes, rounded up.
/// `chars`:   one per byte, as a byte-level vocabulary.
/// Throws std::invalid_argument for another name.
TokenCounter approximate_counter(std::string_view name);

}  // namespace namm::tasks
