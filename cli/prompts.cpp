#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cli/command.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "tasks/counters.hpp"
#include "tasks/haystack.hpp"
#include "tasks/random.hpp"

namespace namm::cli {

int run_prompts(const std::vector<std::string>& arguments) {
  po::options_description options("Options");
  options.add_options()("task", po::value<std::string>()->required()->value_name("NAME"), "task");
  options.add_options()("length", po::value<int>()->default_value(512)->value_name("N"), "tokens of the context");
  options.add_options()("length-max", po::value<int>()->default_value(0)->value_name("N"),
                        "draw each length uniformly from [length, length-max]; 0 = all the same");
  options.add_options()("count", po::value<int>()->default_value(1)->value_name("N"), "prompts");
  options.add_options()("start", po::value<int>()->default_value(0)->value_name("N"), "number of the first prompt");
  options.add_options()("seed", po::value<std::uint64_t>()->default_value(0)->value_name("N"), "seed");
  options.add_options()("split", po::value<std::string>()->default_value("train")->value_name("NAME"),
                        "train, validation or test; disjoint whatever the seed");
  options.add_options()("haystack", po::value<std::string>()->default_value("own")->value_name("NAME"),
                        "own (the task's), prose, repeated, code, code:FOLDER or a text file");
  options.add_options()("model,m", po::value<std::string>()->value_name("FILE"), "count tokens with this model's vocabulary");
  options.add_options()("counter", po::value<std::string>()->default_value("words")->value_name("NAME"),
                        "without a model: words, chars/4 or chars");
  add_general(options);
  const auto values =
      parse(arguments, options, "namm prompts --task NAME [options]",
            "Prints prompts as JSON lines with id, task, context, question, answer_prefix and answers: the format of --data.");
  if (!values) return 0;
  apply_general(*values);
  const auto number = [&](const char* name, int low) {
    require_at_least(std::string("--") + name, (*values)[name].as<int>(), low);
    return static_cast<std::uint64_t>((*values)[name].as<int>());
  };
  const std::uint64_t length = number("length", 32), length_max = number("length-max", 0), count = number("count", 1),
                      start = number("start", 0);
  if (length_max != 0 && length_max < length)
    throw std::invalid_argument("--length-max: must not be below --length, is " + std::to_string(length_max) + "; raise it");

  std::unique_ptr<Host> host;
  tasks::TokenCounter counter = tasks::approximate_counter((*values)["counter"].as<std::string>());
  if (values->contains("model")) {
    host = host_factory(llama::LlamaModel::load((*values)["model"].as<std::string>()), {}, 256)();
    counter = [&host](std::string_view text) { return host->tokenize(text, false).size(); };
  }
  const auto task =
      tasks::make_task((*values)["task"].as<std::string>(), tasks::make_haystack((*values)["haystack"].as<std::string>()));
  tasks::SampleRequest request{tasks::parse_split((*values)["split"].as<std::string>()), (*values)["seed"].as<std::uint64_t>(),
                               start, length};
  for (std::uint64_t i = 0; i < count && std::cout; ++i, ++request.index) {
    if (length_max != 0)
      request.length_tokens = tasks::Rng("length", request.split, request.seed, request.index).between(length, length_max);
    const tasks::Sample sample = task->make(request, counter);
    nlohmann::ordered_json line = {{"id", sample.id},
                                   {"task", sample.task},
                                   {"context", sample.context},
                                   {"question", sample.question},
                                   {"answer_prefix", sample.answer_prefix},
                                   {"answers", sample.answers},
                                   {"metric", sample.metric.empty() ? "prefix" : sample.metric}};
    if (sample.needle_offset != tasks::Sample::npos) line["needle_offset"] = sample.needle_offset;
    std::cout << line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  }
  return 0;
}

}  // namespace namm::cli
