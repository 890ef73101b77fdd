#include <filesystem>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "cli/command.hpp"
#include "cli/options.hpp"
#include "cli/report_table.hpp"
#include "cli/result_file.hpp"
#include "cli/run_curve.hpp"
#include "evolve/checkpoint.hpp"
#include "namm/atomic_file.hpp"

namespace namm::cli {
namespace {

TableFormat parse_format(const std::string& name) {
  if (name == "text") return TableFormat::text;
  if (name == "markdown") return TableFormat::markdown;
  throw std::invalid_argument("--format: must be text or markdown, is \"" + name + "\"; leave it out for text");
}

}  // namespace

int run_report(const std::vector<std::string>& arguments) {
  po::options_description options("Options", 110);
  const auto positional = add_files(options, "result files of `namm eval --json` and folders of `namm evolve`");
  options.add_options()("format,f", po::value<std::string>()->default_value("text")->value_name("NAME"), "text or markdown");
  options.add_options()("output,o", po::value<std::string>()->value_name("FILE"),
                        "writes the report there, as a whole or not at all");
  add_general(options);
  const auto values =
      parse(arguments, options, "namm report RESULT.jsonl... [RUN_FOLDER...] [options]",
            "Tables of results (per task and length, then the mean over them) and the curves of evolution runs.\n"
            "of full: quality / quality of the full cache; dlogp: change of the gold answer's log-likelihood per token;\n"
            "KL: of the full cache's distribution to this one's; logical and physical: shares saved of entries and bytes.",
            positional);
  if (!values) return 0;
  apply_general(*values);
  const TableFormat format = parse_format((*values)["format"].as<std::string>());

  std::vector<ResultRecord> records;
  std::vector<std::pair<std::string, evolve::Checkpoint>> runs;
  for (const std::string& input : files_from(*values)) {
    const std::filesystem::path path(input);
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
      runs.emplace_back(input, load_run(path));
    } else {
      const std::vector<ResultRecord> more = load_results(path);
      records.insert(records.end(), more.begin(), more.end());
    }
  }
  std::ostringstream report;
  if (!records.empty()) print_results(report, records, format);
  for (const auto& [name, checkpoint] : runs) print_run(report, name, checkpoint, format);
  if (values->contains("output"))
    write_file_atomically((*values)["output"].as<std::string>(), report.str());
  else
    std::cout << report.str();
  return 0;
}

}  // namespace namm::cli
