#include "cli/options.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "base/json_limits.hpp"
#include "base/nearest_names.hpp"
#include "cli/help.hpp"
#include "namm/policy.hpp"
#include "tasks/data_task.hpp"
#include "tasks/haystack.hpp"

namespace namm::cli {
namespace {

std::string option_meant(const std::string& typed, const po::options_description& options) {
  std::vector<std::string> names;
  for (const auto& option : options.options()) names.push_back(option->long_name());
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string meant = probable_name(typed.substr(std::min(typed.find_first_not_of('-'), typed.size())), views);
  return meant.empty() ? "" : "did you mean --" + meant + "? ";
}

/// "namm eval" of "namm eval --model FILE [options]".
std::string command_of(const std::string& usage) {
  return usage.substr(0, usage.find(' ', usage.find(' ') + 1));
}

Budget parse_given_budget(const std::string& text) {
  try {
    return parse_budget(text);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("--" + std::string(error.what()));
  }
}

/// Prompts of one's own are read whole unless a length is asked for; windows of a plain text need one.
std::vector<std::size_t> lengths_from(const po::variables_map& values, const tasks::Task* first) {
  const auto* const data = dynamic_cast<const tasks::DataTask*>(first);
  if (data != nullptr && !data->is_plain() && values["length"].defaulted()) return {0};
  std::vector<std::size_t> out;
  for (const std::string& text : split_list(values["length"].as<std::string>(), "--length")) {
    if (text == "full" && data == nullptr)
      throw std::invalid_argument("--length: must be a number for generated prompts, is \"full\"; for example --length 512");
    out.push_back(text == "full" ? 0 : parse_length(text));
  }
  return out;
}

}  // namespace

std::size_t parse_length(const std::string& text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 32 || value > tasks::kMostLengthTokens)
    throw std::invalid_argument("--length: must be a number of tokens from 32 to " + std::to_string(tasks::kMostLengthTokens) +
                                ", is \"" + text + "\"; for example --length 512,1000, or with --data also full");
  return value;
}

std::optional<po::variables_map> parse(const std::vector<std::string>& arguments, const po::options_description& options,
                                       const std::string& usage, const std::string& about,
                                       const po::positional_options_description& positional,
                                       const std::function<void(po::variables_map&)>& more) {
  const auto given = [&](const char* word) { return std::find(arguments.begin(), arguments.end(), word) != arguments.end(); };
  if (given("--help") || given("-h") || given("--help-all")) {
    if (const CommandHelp help = make_help(usage, about, options); !hand_over(help))
      print_help(std::cout, help, given("--help-all"));
    return std::nullopt;
  }
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(options).positional(positional).style(option_style()).run(), values);
    if (more) more(values);
    po::notify(values);
  } catch (const po::unknown_option& error) {
    const std::string name = detail::one_line(error.get_option_name());
    const std::string command = command_of(usage);
    throw std::invalid_argument(command.substr(command.find(' ') + 1) + " has no option " + name + "; " +
                                option_meant(name, options) + "'" + command + " --help-all' lists all");
  } catch (const po::required_option& error) {
    const std::string name = error.get_option_name();
    throw std::invalid_argument((name == "--files" ? "FILE" : "option " + name) + ": must be given, is missing; see --help");
  } catch (const po::too_many_positional_options_error&) {
    throw std::invalid_argument("arguments: a word without an option name was given; usage: " + usage);
  } catch (const po::error& error) {
    throw std::invalid_argument(std::string("options: ") + error.what() + "; see --help");
  }
  return values;
}

int option_style() {
  using Style = po::command_line_style::style_t;
  return po::command_line_style::unix_style & ~Style::allow_guessing & ~Style::allow_sticky;
}

void add_general(po::options_description& options) {
  options.add_options()("quiet,q", "no progress, errors only")("verbose,v", "what the runtime reports, too")(
      "help,h", "the options that most calls need, and examples")("help-all", "all options");
}

void set_log_level(bool quiet, bool verbose) {
  if (verbose) spdlog::set_level(spdlog::level::debug);
  if (quiet) spdlog::set_level(spdlog::level::err);
}

void apply_general(const po::variables_map& values) {
  set_log_level(values.contains("quiet"), values.contains("verbose"));
}

po::positional_options_description add_files(po::options_description& options, const char* description) {
  options.add_options()("files", po::value<std::vector<std::string>>()->required()->value_name("FILE"),
                        (std::string(description) + "; the name of the option may be left out").c_str());
  po::positional_options_description positional;
  positional.add("files", -1);
  return positional;
}

std::vector<std::string> files_from(const po::variables_map& values) {
  return values["files"].as<std::vector<std::string>>();
}

void add_memory(po::options_description& options, bool several) {
  const std::string mode =
      "how the budget is spent: uniform (every KV head keeps the same number), pooled (one budget over all heads), threshold "
      "(score >= 0), reference (the paper's rule); default: the policy's own, else uniform";
  options.add_options()("mode", po::value<std::string>()->value_name(several ? "A,B" : "NAME"),
                        (several ? mode + "; a list where several are compared" : mode).c_str());
  options.add_options()("interval", po::value<int>()->value_name("TOKENS"),
                        "tokens between updates; default: the policy's own, else 512");
  options.add_options()("protect-sinks", po::value<int>()->value_name("N"), "first tokens never dropped (default 4)");
  options.add_options()("protect-recent", po::value<int>()->value_name("N"), "newest tokens never dropped (default 16)");
}

void add_store(po::options_description& options) {
  options.add_options()(
      "store", po::value<std::string>()->value_name("TYPE"),
      "how keys and values are held: f16, q8_0 (8.5 bits a number in place of 16), q4_0 (4.5 bits), or keys and "
      "values apart: q8_0,q4_0; with +4means behind it (f16+4means) four entries per KV head, within the budget, stand for "
      "what was evicted there; default: the policy's own, else f16");
}

std::vector<MemoryOptions> memories_from(const po::variables_map& values) {
  MemoryOptions out;
  const auto number = [&](const char* name, int low, int high) -> std::optional<int> {
    if (!values.contains(name)) return std::nullopt;
    require_at_least(std::string("--") + name, values[name].as<int>(), low);
    require_at_most(std::string("--") + name, values[name].as<int>(), high);
    return values[name].as<int>();
  };
  // the limits of policy files
  out.interval_tokens = number("interval", 16, 1 << 24);
  out.sinks = number("protect-sinks", 0, 1 << 20);
  out.recent = number("protect-recent", 0, 1 << 20);
  if (values.contains("store")) {
    try {
      out.store = parse_row_formats(values["store"].as<std::string>());
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("--" + std::string(error.what()));
    }
  }
  if (!values.contains("mode")) return {out};
  std::vector<MemoryOptions> list;
  for (const std::string& name : split_list(values["mode"].as<std::string>(), "--mode")) {
    out.mode = parse_selection_mode(name);
    list.push_back(out);
  }
  return list;
}

MemoryOptions memory_from(const po::variables_map& values) {
  const std::vector<MemoryOptions> list = memories_from(values);
  if (list.size() > 1)
    throw std::invalid_argument("--mode: must be one mode here, is \"" + values["mode"].as<std::string>() + "\"; choose one");
  return list.front();
}

std::string given_memory_option(const po::variables_map& values) {
  for (const char* const name : {"budget", "mode", "interval", "protect-sinks", "protect-recent"})
    if (values.contains(name)) return std::string("--") + name;
  return {};
}

CachePolicy make_memory(const CachePolicy& file, const MemoryOptions& options, const Budget& budget) {
  CachePolicy out = file.with_budget(budget);
  if (options.mode) out.selection.mode = *options.mode;
  if (options.sinks) out.selection.sinks = *options.sinks;
  if (options.recent) out.selection.recent = *options.recent;
  if (options.interval_tokens) out.interval_tokens = *options.interval_tokens;
  if (options.store) out.store = *options.store;
  require_valid(out);
  return out;
}

void add_tasks(po::options_description& options, const std::string& default_lengths) {
  std::string names;
  for (const auto& entry : tasks::task_registry()) names += (names.empty() ? "" : ", ") + std::string(entry.name);
  options.add_options()("tasks", po::value<std::string>()->default_value("basic")->value_name("A,B"),
                        ("tasks: " + names + "; a family (basic, ruler, ...) or all").c_str());
  options.add_options()(
      "data", po::value<std::string>()->value_name("FILE"),
      "prompts of your own instead of generated tasks: JSON lines with context, question and answers (more fields: "
      "docs/tasks.md), or a plain text");
  options.add_options()("length", po::value<std::string>()->default_value(default_lengths)->value_name("N,M"),
                        "context lengths in the model's tokens; of prompts of your own, how much is left of longer ones (their "
                        "middle is cut out), `full` and what is meant without the option: all of it");
  options.add_options()("haystack", po::value<std::string>()->default_value("own")->value_name("NAME"),
                        "filler of generated tasks: own (each task's), prose, repeated, code, code:FOLDER or a text file");
  options.add_options()("question-in-context",
                        "the cache is compressed after the question was seen, not before (easier to keep the answer, less honest "
                        "as a test of memory)");
  options.add_options()("no-chat", "do not apply the model's chat template");
}

TaskOptions tasks_from(const po::variables_map& values, tasks::FileSplits splits) {
  TaskOptions out;
  if (values.contains("data")) {
    if (!values["tasks"].defaulted()) throw std::invalid_argument("--data: must be given without --tasks; choose one");
    std::shared_ptr<const tasks::DataTask> data = tasks::make_data_task(values["data"].as<std::string>(), splits);
    if (data->repeated() > 0)
      spdlog::warn("{}: {} prompts stand there more than once and count once", values["data"].as<std::string>(),
                   data->repeated());
    out.tasks.push_back(std::move(data));
  } else {
    const auto haystack = tasks::make_haystack(values["haystack"].as<std::string>());
    for (const std::string& name : tasks::task_names(split_list(values["tasks"].as<std::string>(), "--tasks")))
      out.tasks.push_back(tasks::make_task(name, haystack));
  }
  out.lengths_tokens = lengths_from(values, out.tasks.front().get());
  out.protocol.question_after = !values.contains("question-in-context");
  out.protocol.chat_template = !values.contains("no-chat");
  return out;
}

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string out;
  for (const std::string& word : words) out.append(out.empty() ? "" : between).append(word);
  return out;
}

std::vector<std::string> split_list(const std::string& text, const std::string& option) {
  const auto refuse = [&] {
    throw std::invalid_argument(
        option + (text.empty() ? ": must have a value, is \"\"; see --help"
                               : ": must be a list separated by commas, is \"" + text + "\"; remove the empty part"));
  };
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end == begin) refuse();
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

Budget budget_from(const po::variables_map& values) {
  return parse_given_budget(values["budget"].as<std::string>());
}

std::vector<Budget> parse_budgets(const std::string& text) {
  std::vector<Budget> out;
  for (const std::string& part : split_list(text, "--budget")) out.push_back(parse_given_budget(part));
  return out;
}

void require_at_least(const std::string& option, std::int64_t value, std::int64_t low) {
  if (value < low)
    throw std::invalid_argument(option + ": must be at least " + std::to_string(low) + ", is " + std::to_string(value) +
                                "; see --help");
}

void require_at_most(const std::string& option, std::int64_t value, std::int64_t high) {
  if (value > high)
    throw std::invalid_argument(option + ": must be at most " + std::to_string(high) + ", is " + std::to_string(value) +
                                "; give less");
}

}  // namespace namm::cli
