#include "calibrate/plan.hpp"

#include <algorithm>

namespace namm::calibrate {

Passage passage_of(const Host& host, const Settings& settings, std::size_t index) {
  return make_passage(host, settings.target, settings.sources[index], settings.lengths[index % settings.lengths.size()],
                      settings.chat_template, settings.seed + index);
}

Plan plan(const Host& host, const Settings& settings) {
  Plan out;
  for (std::size_t i = 0; i < settings.sources.size(); ++i) {
    const Passage passage = passage_of(host, settings, i);
    out.tokens += static_cast<std::int64_t>(passage.tokens());
    out.longest = std::max(out.longest, passage.tokens());
    out.longest_context = std::max(out.longest_context, passage.context.size());
  }
  return out;
}

Plan plan_within_training(const Host& host, Settings& settings) {
  constexpr std::size_t kShortest = 32;
  const auto trained = static_cast<std::size_t>(std::max(host.description().train_context, 0));
  Plan out = plan(host, settings);
  std::size_t most = out.longest_context;
  while (trained > 0 && out.longest > trained && most > kShortest) {
    // in proportion, and by one more: what follows does not shrink with the context
    most = std::max(kShortest, std::max<std::size_t>(most * trained / out.longest, 1) - 1);
    for (std::size_t& length : settings.lengths) length = std::min(length == 0 ? most : length, most);
    out = plan(host, settings);
  }
  return out;
}

}  // namespace namm::calibrate
