#include "calibrate/sources.hpp"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "calibrate/texts.hpp"

namespace namm::calibrate {
namespace {

constexpr std::size_t kCharactersPerToken = 8;  // more than any vocabulary needs: made-up texts are cut to their length in tokens
constexpr std::size_t kMostPieces = 60;

}  // namespace

void add_made_up(std::size_t count, Settings& settings) {
  const std::size_t longest = *std::max_element(settings.lengths.begin(), settings.lengths.end());
  for (std::size_t i = 0; i < count; ++i)
    settings.sources.push_back({make_text(settings.seed, i, longest * kCharactersPerToken), {}, {}});
}

void add_text(const std::string& text, const Host& host, Settings& settings) {
  const std::vector<Token> tokens = host.tokenize(text, false);
  const auto length = [&](std::size_t source) { return settings.lengths[source % settings.lengths.size()]; };
  std::vector<std::pair<std::size_t, std::size_t>> pieces;  // begin, count
  for (std::size_t begin = 0, i = settings.sources.size(); begin < tokens.size(); ++i) {
    const std::size_t count = std::min(length(i), tokens.size() - begin);
    if (!pieces.empty() && count < length(i) / 4) break;  // a rest too short to learn from
    pieces.emplace_back(begin, count);
    begin += count;
  }
  const std::size_t used = std::min(pieces.size(), kMostPieces);
  for (std::size_t k = 0; k < used; ++k) {
    // the length at this place in the row of sources, from the beginning of the piece
    const std::size_t begin = pieces[k * pieces.size() / used].first;
    const std::size_t count = std::min(length(settings.sources.size()), tokens.size() - begin);
    settings.sources.push_back({host.detokenize(std::span(tokens).subspan(begin, count)), {}, {}});
  }
}

}  // namespace namm::calibrate
