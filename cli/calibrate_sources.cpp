#include "cli/calibrate_sources.hpp"

#include <algorithm>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "calibrate/texts.hpp"
#include "cli/options.hpp"
#include "tasks/prompt_file.hpp"

namespace namm::cli {
namespace {

constexpr double kCharactersPerToken = 8;  // more than any vocabulary needs: made-up texts are cut to their length in tokens

calibrate::Source source_of(const tasks::Sample& sample) {
  return {sample.context, sample.question + sample.answer_prefix,
          sample.answers.empty() ? std::string() : tasks::continuation(sample, sample.answers.front())};
}

/// A long text gives one source per length that it has room for, evenly spread where there are more than are read by default.
void add_pieces(const std::string& text, const Host& host, calibrate::Settings& settings) {
  constexpr std::size_t kMostPieces = 60;
  const std::vector<Token> tokens = host.tokenize(text, false);
  std::vector<std::pair<std::size_t, std::size_t>> pieces;  // begin, count
  for (std::size_t begin = 0, i = settings.sources.size(); begin < tokens.size(); ++i) {
    const std::size_t count = std::min(settings.lengths[i % settings.lengths.size()], tokens.size() - begin);
    if (!pieces.empty() && count < settings.lengths[i % settings.lengths.size()] / 4) break;  // a rest too short to learn from
    pieces.emplace_back(begin, count);
    begin += count;
  }
  const std::size_t used = std::min(pieces.size(), kMostPieces);
  for (std::size_t k = 0; k < used; ++k) {
    // the length at this place in the row of sources, from the beginning of the piece
    const std::size_t begin = pieces[k * pieces.size() / used].first;
    const std::size_t count =
        std::min(settings.lengths[settings.sources.size() % settings.lengths.size()], tokens.size() - begin);
    settings.sources.push_back({host.detokenize(std::span(tokens).subspan(begin, count)), {}, {}});
  }
}

void add_data(const std::string& file, const Host& host, calibrate::Settings& settings) {
  for (const tasks::Sample& sample : tasks::load_prompts(file))
    if (sample.question.empty() && sample.answers.empty())
      add_pieces(sample.context, host, settings);
    else
      settings.sources.push_back(source_of(sample));
}

void add_tasks_of(const std::string& names, int count, std::uint64_t seed, const Host& host, calibrate::Settings& settings) {
  const tasks::TokenCounter counter = [&](std::string_view text) { return host.tokenize(text, false).size(); };
  std::vector<std::unique_ptr<tasks::Task>> made;
  for (const std::string& name : tasks::task_names(split_list(names, "--tasks"))) made.push_back(tasks::make_task(name));
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const tasks::Task& task = *made[index % made.size()];
    settings.sources.push_back(source_of(
        task.make({tasks::Split::train, seed, index / made.size(), settings.lengths[index % settings.lengths.size()]}, counter)));
  }
}

}  // namespace

void add_sources(const po::variables_map& values, const Host& host, calibrate::Settings& settings) {
  const int count = values["texts"].as<int>();
  require_at_least("--texts", count, 0);
  if (values.contains("tasks")) {
    add_tasks_of(values["tasks"].as<std::string>(), count, settings.seed, host, settings);
  } else if (settings.target != calibrate::Target::answers) {
    const double longest = static_cast<double>(*std::max_element(settings.lengths.begin(), settings.lengths.end()));
    for (int i = 0; i < count; ++i)
      settings.sources.push_back({calibrate::make_text(settings.seed, static_cast<std::uint64_t>(i),
                                                       static_cast<std::size_t>(longest * kCharactersPerToken)),
                                  {},
                                  {}});
  }
  if (values.contains("data")) add_data(values["data"].as<std::string>(), host, settings);
  if (settings.sources.empty())
    throw std::invalid_argument("calibrate: needs texts, has none; give --texts, --data" +
                                std::string(settings.target == calibrate::Target::answers ? " or --tasks with answers" : ""));
}

}  // namespace namm::cli
