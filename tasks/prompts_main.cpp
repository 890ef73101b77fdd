// namm_prompts: prints samples of a task as JSON lines (the format of prompt files).
#include <charconv>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tasks/counters.hpp"
#include "tasks/haystack.hpp"
#include "tasks/random.hpp"
#include "tasks/task.hpp"

namespace {

using namespace namm::tasks;

constexpr std::string_view kUsage =
    "Usage: namm_prompts --task NAME [options]\n"
    "Prints prompts as JSON lines: id, task, context, question, answer_prefix, answers, needle_offset.\n"
    "\n"
    "  --task NAME       passkey, niah-single or kv-recall\n"
    "  --length N        tokens of the context (default 512)\n"
    "  --length-max N    draw each length uniformly from [length, length-max] (default: all the same)\n"
    "  --seed N          default 0\n"
    "  --split NAME      train, validation or test (default train)\n"
    "  --count N         prompts (default 1)\n"
    "  --start N         number of the first prompt (default 0)\n"
    "  --counter NAME    words, chars/4 or chars: how tokens are counted without a model (default words)\n"
    "  --haystack NAME   prose, repeated or a text file (default prose)\n"
    "  --help\n";

struct Options {
  std::string task, split = "train", counter = "words", haystack = "prose";
  std::uint64_t length = 512, length_max = 0, seed = 0, count = 1, start = 0;
};

std::uint64_t parse_number(std::string_view flag, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw std::invalid_argument(std::string(flag) + " must be a whole number from 0 on, got '" + std::string(text) + "'");
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string_view flag = argv[i];
    std::string_view value;
    if (const auto equals = flag.find('='); equals != std::string_view::npos) {
      value = flag.substr(equals + 1);
      flag = flag.substr(0, equals);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      throw std::invalid_argument("'" + std::string(flag) + "' is not a flag with a value; see --help");
    }
    if (flag == "--task")
      options.task = value;
    else if (flag == "--split")
      options.split = value;
    else if (flag == "--counter")
      options.counter = value;
    else if (flag == "--haystack")
      options.haystack = value;
    else if (flag == "--length")
      options.length = parse_number(flag, value);
    else if (flag == "--length-max")
      options.length_max = parse_number(flag, value);
    else if (flag == "--seed")
      options.seed = parse_number(flag, value);
    else if (flag == "--count")
      options.count = parse_number(flag, value);
    else if (flag == "--start")
      options.start = parse_number(flag, value);
    else
      throw std::invalid_argument("unknown flag '" + std::string(flag) + "'; see --help");
  }
  if (options.task.empty()) throw std::invalid_argument("--task is required; see --help");
  if (options.length_max != 0 && options.length_max < options.length)
    throw std::invalid_argument("--length-max must not be below --length, got " + std::to_string(options.length_max));
  return options;
}

void print(const Options& options) {
  const auto task = make_task(options.task, make_haystack(options.haystack));
  const TokenCounter counter = approximate_counter(options.counter);
  SampleRequest request{parse_split(options.split), options.seed, options.start, options.length};
  for (std::uint64_t i = 0; i < options.count; ++i, ++request.index) {
    if (options.length_max != 0)
      request.length_tokens =
          namm::tasks::Rng("length", request.split, request.seed, request.index).between(options.length, options.length_max);
    const Sample sample = task->make(request, counter);
    nlohmann::ordered_json line = {{"id", sample.id},
                                   {"task", sample.task},
                                   {"context", sample.context},
                                   {"question", sample.question},
                                   {"answer_prefix", sample.answer_prefix},
                                   {"answers", sample.answers},
                                   {"needle_offset", sample.needle_offset}};
    std::cout << line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    if (!std::cout) throw std::runtime_error("standard output cannot be written");
  }
  std::cout.flush();
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]) == "--help") {
      std::cout << kUsage;
      return 0;
    }
  try {
    print(parse(argc, argv));
    return 0;
  } catch (const std::invalid_argument& error) {
    std::cerr << "namm_prompts: " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "namm_prompts: " << error.what() << '\n';
    return 1;
  }
}
