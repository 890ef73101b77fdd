#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/program_options.hpp>

#include "core/policy_file.hpp"
#include "host/host.hpp"
#include "host/protocol.hpp"
#include "tasks/data_task.hpp"
#include "tasks/task.hpp"

namespace namm::cli {

namespace po = boost::program_options;

/// Parses the options of a command. Prints the help and returns nothing if --help was given. Throws std::invalid_argument that
/// names the nearest option if one is unknown, or says what a value must be.
/// `more` may add values that the command line lacks, before it is checked that all is there.
///   usage: "namm eval --model FILE --policy A,B [options]", about: what it does, one sentence or a few lines
std::optional<po::variables_map> parse(const std::vector<std::string>& arguments, const po::options_description& options,
                                       const std::string& usage, const std::string& about,
                                       const po::positional_options_description& positional = {},
                                       const std::function<void(po::variables_map&)>& more = {});

/// How options may be spelt: as Unix programs take them, but names are not guessed from their beginning, and every short one
/// stands alone.
int option_style();

/// --quiet, --verbose, --help, --help-all.
void add_general(po::options_description& options);
/// Sets the log level from --quiet and --verbose.
void apply_general(const po::variables_map& values);
void set_log_level(bool quiet, bool verbose);

/// FILE..., whose option name may be left out: declares --files and returns what parse() needs to know.
po::positional_options_description add_files(po::options_description& options, const char* description);
std::vector<std::string> files_from(const po::variables_map& values);

// Groups of options that several commands share. add_*() declares them, *_from() reads them.

/// --mode, --interval, --protect-sinks, --protect-recent, and of add_store() --store. What was not given comes from the policy
/// file.
struct MemoryOptions {
  std::optional<SelectionMode> mode;
  std::optional<int> interval_tokens, sinks, recent;
  std::optional<RowFormats> store;
};
/// `several`: --mode may be a list.
void add_memory(po::options_description& options, bool several = false);
/// Where rows are really held: for run, eval and attach.
void add_store(po::options_description& options);
/// One per name in --mode; a single one if it was not given.
std::vector<MemoryOptions> memories_from(const po::variables_map& values);
/// The same for commands that take one: throws std::invalid_argument if --mode names several.
MemoryOptions memory_from(const po::variables_map& values);
/// "--budget", or the first of these options that was given; "" if none was. For commands where --budget has no default.
std::string given_memory_option(const po::variables_map& values);
/// The policy of `file` under `budget` with these options. Throws std::invalid_argument if the budget cannot hold the protected
/// tokens.
CachePolicy make_memory(const CachePolicy& file, const MemoryOptions& options, const Budget& budget);

/// --tasks, --length, --haystack, --data, --question-in-context, --no-chat.
struct TaskOptions {
  std::vector<std::shared_ptr<const tasks::Task>> tasks;
  std::vector<std::size_t> lengths_tokens;
  ProtocolSettings protocol;
};
void add_tasks(po::options_description& options, const std::string& default_lengths);
/// `splits`: how a --data file is shared between training, validation and test.
TaskOptions tasks_from(const po::variables_map& values, tasks::FileSplits splits);

/// "a,b,c" -> parts; throws std::invalid_argument naming the option if a part is empty.
std::vector<std::string> split_list(const std::string& text, const std::string& option);
/// The reverse, with anything between them.
std::string joined(const std::vector<std::string>& words, const char* between);
/// A number of tokens from 32 to tasks::kMostLengthTokens. Throws std::invalid_argument naming --length.
std::size_t parse_length(const std::string& text);
/// One budget, or a list; errors name --budget.
Budget budget_from(const po::variables_map& values);
std::vector<Budget> parse_budgets(const std::string& text);
/// Throws std::invalid_argument "--name: must be ..., is ...; ..." unless low <= value.
void require_at_least(const std::string& option, std::int64_t value, std::int64_t low);
/// The same unless value <= high.
void require_at_most(const std::string& option, std::int64_t value, std::int64_t high);

}  // namespace namm::cli
