#include "cli/tune/sizes.hpp"

#include "base/json_fields.hpp"

namespace namm::cli {
namespace {

// In tokens read (SmolLM2-135M-Instruct, two workers): an answer, token by token, measured on prompts of 700 tokens, which took
// as long as reading 850 to 950; a text is read, repeated and fitted, and an evaluation of a semi-live evolution costs about as
// much as reading its prompts, by the times in docs/calibrate.md.
constexpr double kTokensPerAnswer = 250;
constexpr double kHeldOutTokens =
    6 * (kShortestTuned + kLongestTuned + 2 * kTokensPerAnswer);  // a prompt of each task and length
constexpr double kTokensPerText = 3500;
constexpr double kTokensPerEvaluation = kTunePrompts * 780;
constexpr int kValidated = 3, kTested = 6;  // policies with the full cache; kvzip reads twice

double evolution_tokens(const TuneSizes& sizes) {
  return sizes.seeds * sizes.generations * sizes.population * kTokensPerEvaluation;
}

}  // namespace

double tokens_of(const TuneSizes& sizes, int compared) {
  const int validated = sizes.seeds > 0 ? sizes.validation * kValidated : 0, split = compared * sizes.split();
  return sizes.texts * kTokensPerText + evolution_tokens(sizes) + (split + validated + sizes.test * kTested) * kHeldOutTokens;
}

TuneSizes sizes_within(double tokens, int compared) {
  TuneSizes out;
  if (tokens_of(out, compared) <= tokens) return out;
  // in this order: fewer prompts, which only widens the intervals; fewer generations; a smaller calibration; fewer prompts still;
  // no evolution
  out.test = 10, out.validation = 6;
  for (out.generations = 15; out.generations >= 6; out.generations -= 3)
    if (tokens_of(out, compared) <= tokens) return out;
  out.generations = 6, out.texts = 40;
  if (tokens_of(out, compared) <= tokens) return out;
  out.validation = 4;
  for (out.test = 7; out.test >= 4; out.test -= 3)
    if (tokens_of(out, compared) <= tokens) return out;
  out.seeds = 0, out.generations = 0, out.validation = 0;
  out.test = 7, out.texts = 60;
  if (tokens_of(out, compared) <= tokens) return out;
  out.test = 4;
  while (out.texts > 20 && tokens_of(out, compared) > tokens) out.texts -= 10;
  return out;
}

nlohmann::json to_json(const TuneSizes& s) {
  return {{"texts", s.texts}, {"seeds", s.seeds},           {"generations", s.generations},       {"validation", s.validation},
          {"test", s.test},   {"population", s.population}, {"evolve_lengths", s.evolve_lengths}, {"lengths", s.lengths}};
}

TuneSizes sizes_from_json(const nlohmann::json& json) {
  const detail::JsonFields fields(json, "sizes.");
  const auto number = [&](const char* name, int low) { return static_cast<int>(fields.integer(name, low, 100000)); };
  if (fields.integer("seeds", 0, 100) == 1) fields.refuse("seeds", "0 or at least 2", "one run is no mean");
  TuneSizes out;
  out.texts = number("texts", 1);
  out.seeds = number("seeds", 0);
  out.generations = number("generations", 0);
  out.validation = number("validation", 0);
  out.test = number("test", 1);
  out.population = number("population", 2);
  out.evolve_lengths = fields.text("evolve_lengths");
  out.lengths = fields.text("lengths");
  return out;
}

}  // namespace namm::cli
