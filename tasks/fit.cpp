#include "tasks/fit.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "tasks/fill.hpp"

namespace namm::tasks {

std::size_t fit_size(std::size_t most, std::size_t guess, std::size_t length_tokens,
                     const std::function<std::size_t(std::size_t)>& tokens_of) {
  std::size_t low = 0, high = most, low_tokens = 0, high_tokens = 0;
  guess = std::min(most, guess);
  for (int round = 0; round < 40 && low < high; ++round) {
    const std::size_t tokens = tokens_of(guess);
    if (tokens <= length_tokens) {
      low = guess, low_tokens = tokens;
      if (length_tokens - tokens <= length_slack(length_tokens) / 4 || guess == most) break;
    } else {
      if (guess == 0) break;
      high = guess - 1, high_tokens = tokens;
    }
    if (low >= high) break;
    const double rate =
        high_tokens > low_tokens && high > low
            ? static_cast<double>(high_tokens - low_tokens) / static_cast<double>(high + 1 - low)
            : static_cast<double>(std::max<std::size_t>(tokens, 1)) / static_cast<double>(std::max<std::size_t>(guess, 1));
    const double step = (static_cast<double>(length_tokens - low_tokens) - 1) / rate;
    const auto aimed = low + static_cast<std::size_t>(std::clamp(step, 1.0, static_cast<double>(std::max<std::size_t>(most, 1))));
    guess = round < 12 ? std::clamp(aimed, low + 1, high) : low + (high - low + 1) / 2;
  }
  return low;
}

void refuse_short(std::string_view task, std::size_t length_tokens, std::string_view thing, std::size_t least) {
  throw std::invalid_argument("task " + std::string(task) + ": length_tokens " + std::to_string(length_tokens) +
                              " is too short to hold the " + std::string(thing) + "; use at least " + std::to_string(least));
}

}  // namespace namm::tasks
