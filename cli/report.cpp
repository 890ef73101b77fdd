#include <algorithm>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "cli/command.hpp"
#include "cli/file_facts.hpp"
#include "cli/options.hpp"
#include "core/policy_file.hpp"
#include "report/content.hpp"
#include "report/render.hpp"

namespace namm::cli {
namespace {

/// --format, else what the ending of --output says, else text.
report::ReportFormat format_from(const po::variables_map& values) {
  if (values.contains("format")) return report::parse_report_format(values["format"].as<std::string>());
  const std::string output = values.contains("output") ? values["output"].as<std::string>() : "";
  if (const auto format = report::format_of_ending(output)) return *format;
  throw std::invalid_argument("--output: must end in .html, .md, .tex, .csv, .json or .txt, is \"" + output +
                              "\"; rename it, or say what it is: --format");
}

/// What is wrong with a report's input is easier to see when it is said what the file is, if that is known.
void say_what_it_is(const std::string& input) {
  std::string kind;
  try {
    kind = file_facts(input)["kind"].get<std::string>();
  } catch (const std::exception&) {
    return;  // the reader's own message says more
  }
  if (kind == "results" || kind == "details" || kind == "run folder") return;
  const bool policy = kind == "policy", of_run = kind == "checkpoint" || kind == "log of a run";
  throw std::runtime_error(input + ": must be a file of `namm eval --json` or `--details`, or the folder of a run, is " +
                           (kind == "prompts" ? kind : "a " + kind) + "; " +
                           (policy   ? "`namm eval --policy " + input + " --json FILE` measures it, `namm inspect` describes it"
                            : of_run ? "name its folder"
                                     : "`namm inspect` describes it"));
}

/// A folder that is not that of a run: empty, of a calibration, or one with runs or results in it.
void say_what_folder(const std::string& input) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path folder(input);
  if (!fs::is_directory(folder, ignored) || fs::exists(folder / "checkpoint.json", ignored)) return;
  const bool empty = fs::is_empty(folder, ignored);
  std::string remedy = empty ? "name the folder that --output of a run named, or files of `namm eval --json`"
                             : "name the files in it that `namm eval --json` wrote";
  if (fs::exists(folder / "stage-1", ignored))
    remedy = "name its stages, " + (folder / "stage-1").string() + " and so on";
  else if (policy_file_in(folder) != folder)
    remedy = "`namm eval --policy " + input + " --json FILE` measures the policy in it";
  throw std::runtime_error(input + ": must be the folder of a run of `namm evolve`, " +
                           (empty ? "is empty" : "is not (it has no checkpoint.json)") + "; " + remedy);
}

report::ReportContent load(const std::vector<std::string>& inputs) {
  try {
    return report::load_report(inputs);
  } catch (const std::exception&) {
    std::for_each(inputs.begin(), inputs.end(), say_what_folder);
    std::for_each(inputs.begin(), inputs.end(), say_what_it_is);
    throw;
  }
}

}  // namespace

int run_report(const std::vector<std::string>& arguments) {
  po::options_description options("Options", 100);
  const auto positional =
      add_files(options, "result files of `namm eval --json`, files of `namm eval --details` and folders of `namm evolve`");
  options.add_options()("format,f", po::value<std::string>()->value_name("NAME"),
                        (report::report_format_names() + "; default: what the ending of --output says, else text").c_str());
  options.add_options()("wide", "every column of the tables, not only what fits 100 characters");
  options.add_options()("output,o", po::value<std::string>()->value_name("FILE"),
                        "writes the report there, as a whole or not at all");
  add_general(options);
  const auto values = parse(
      arguments, options, "namm report FILE... [RUN_FOLDER...] [--output report.md|report.html] [options]",
      "Tables of results (per task and length, then the mean over them), what policies kept, and the curves of evolution "
      "runs; as HTML one page for a browser, with charts, that needs nothing else.\n"
      "of full: quality divided by that of the full cache; dlogp: change of the gold answer's log-likelihood per token; KL: "
      "of the full cache's distribution to this one's; logical and physical: shares saved of entries and bytes.",
      positional);
  if (!values) return 0;
  apply_general(*values);
  const report::ReportFormat format = format_from(*values);
  const std::string report = report::render(load(files_from(*values)), format, values->contains("wide"));
  if (values->contains("output"))
    write_file_atomically((*values)["output"].as<std::string>(), report);
  else
    std::cout << report;
  return 0;
}

}  // namespace namm::cli
