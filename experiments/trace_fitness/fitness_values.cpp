// What each fitness says of policies, on the validation prompts of a trace: one JSON object per policy and line.
//   namm_fitness_values MODEL TRACE BUDGET MODE POLICY...      POLICY: a name or a policy file
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>

#include "adapters/llama_cpp/host/llama_host.hpp"
#include "core/policy_file.hpp"
#include "evolve/fitness.hpp"
#include "evolve/prompt_plan.hpp"
#include "namm/policy.hpp"
#include "trace/retained.hpp"
#include "trace/trace_host.hpp"

using namespace namm;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Timed {
  std::vector<double> values;
  double seconds = 0;
  template <class Measure>
  void add(Measure measure) {
    const double start = now();
    values.push_back(measure());
    seconds += now() - start;
  }
  nlohmann::json to_json() const { return {{"values", values}, {"seconds", seconds}}; }
};

/// The validation prompts that the trace was recorded from, in its order.
std::vector<Prompt> prompts_of(const trace::Settings& settings, HostPool& pool) {
  std::vector<std::shared_ptr<const tasks::Task>> tasks;
  for (const auto& name : settings.provenance.at("tasks")) tasks.push_back(tasks::make_task(name.get<std::string>()));
  const auto lengths = settings.provenance.at("lengths_tokens").get<std::vector<std::size_t>>();
  const evolve::PromptPlan plan{tasks.size(), lengths, 1, 1, 0, 64, 1};
  ProtocolSettings protocol{settings.chat_template, settings.question_after};
  return *evolve::make_prompts(pool, tasks, plan.validation(), settings.provenance.at("seed").get<std::uint64_t>(), protocol);
}

int run(const std::vector<std::string>& words) {
  const auto trace = std::make_shared<const trace::Reader>(words[1]);
  const trace::Settings& settings = trace->settings();
  const auto model = llama::LlamaModel::load(words[0]);
  llama::LlamaHostSettings host_settings;
  HostPool pool([&] { return std::make_unique<llama::LlamaHost>(model, host_settings); }, 1);
  trace::TraceHost recorded(trace);
  std::vector<Prompt> prompts;
  std::vector<Token> numbers;  // of the same prompts in the trace
  for (Prompt& prompt : prompts_of(settings, pool))
    for (std::size_t i = 0; i < trace->prompts().size(); ++i)
      if (trace->prompts()[i].facts.id == prompt.sample.id && trace->prompts()[i].facts.compressed == prompt.context) {
        prompts.push_back(prompt);
        numbers.push_back(static_cast<Token>(i));
        break;
      }
  const ProtocolSettings protocol{settings.chat_template, settings.question_after};
  const auto live = evolve::make_fitness("answer-likelihood"), semi = evolve::make_fitness("semi-live");
  for (std::size_t p = 4; p < words.size(); ++p) {
    CachePolicy memory;
    if (std::filesystem::exists(words[p])) {
      const PolicyFile file = load_policy_file(words[p]);
      memory.policy = file.policy;
      memory.spectrogram = file.spectrogram;
    } else {
      memory.policy = make_policy(words[p]);
    }
    memory.selection.mode = parse_selection_mode(words[3]);
    memory.selection.budget = parse_budget(words[2]);
    memory.interval_tokens = settings.interval_tokens;
    const int sinks = memory.selection.sinks;
    const auto contribution = trace::head_weights(*trace, trace::HeadWeights::contribution, sinks);
    const auto uniform = trace::head_weights(*trace, trace::HeadWeights::uniform, sinks);
    Timed retained, retained_uniform, semi_live, truly_live;
    nlohmann::json tasks = nlohmann::json::array();
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      tasks.push_back(prompts[i].sample.task);
      recorded.reset(memory);
      retained.add([&] {
        recorded.evaluate({&numbers[i], 1});
        recorded.update();
        return trace::retained_attention(recorded.prompt(), recorded.replay().kept(), contribution, sinks);
      });
      retained_uniform.add(
          [&] { return trace::retained_attention(recorded.prompt(), recorded.replay().kept(), uniform, sinks); });
      semi->measure(pool.host(), memory, prompts[i], protocol);  // not timed: the prefill, if it is the first
      semi_live.add([&] { return semi->measure(pool.host(), memory, prompts[i], protocol); });
      truly_live.add([&] { return live->measure(pool.host(), memory, prompts[i], protocol); });
    }
    const nlohmann::json line = {{"policy", words[p]},
                                 {"budget", words[2]},
                                 {"mode", words[3]},
                                 {"tasks", tasks},
                                 {"retention", retained.to_json()},
                                 {"retention_uniform", retained_uniform.to_json()},
                                 {"semi_live", semi_live.to_json()},
                                 {"live", truly_live.to_json()}};
    std::cout << line.dump() << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 6) {
    std::cerr << "usage: namm_fitness_values MODEL TRACE BUDGET MODE POLICY...\n";
    return 2;
  }
  return run({argv + 1, argv + argc});
} catch (const std::exception& error) {
  std::cerr << "namm_fitness_values: " << error.what() << '\n';
  return 1;
}
