#include "cli/calibrate_sources.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "calibrate/sources.hpp"
#include "cli/options.hpp"
#include "tasks/prompt_file.hpp"

namespace namm::cli {
namespace {

calibrate::Source source_of(const tasks::Sample& sample) {
  return {sample.context, sample.question + sample.answer_prefix,
          sample.answers.empty() ? std::string() : tasks::continuation(sample, sample.answers.front())};
}

void add_data(const std::string& file, const Host& host, calibrate::Settings& settings) {
  for (const tasks::Sample& sample : tasks::load_prompts(file))
    if (sample.question.empty() && sample.answers.empty())
      calibrate::add_text(sample.context, host, settings);
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
    calibrate::add_made_up(static_cast<std::size_t>(count), settings);
  }
  if (values.contains("data")) add_data(values["data"].as<std::string>(), host, settings);
  if (settings.sources.empty())
    throw std::invalid_argument("calibrate: needs texts, has none; give --texts, --data" +
                                std::string(settings.target == calibrate::Target::answers ? " or --tasks with answers" : ""));
}

}  // namespace namm::cli
