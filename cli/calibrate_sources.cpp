#include "cli/calibrate_sources.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
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

void add_data(const std::string& file, calibrate::Settings& settings) {
  for (const tasks::Sample& sample : tasks::load_prompts(file)) settings.sources.push_back(source_of(sample));
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
  if (values.contains("data")) add_data(values["data"].as<std::string>(), settings);
  if (settings.sources.empty())
    throw std::invalid_argument("calibrate: needs texts, has none; give --texts, --data" +
                                std::string(settings.target == calibrate::Target::answers ? " or --tasks with answers" : ""));
}

}  // namespace namm::cli
