// What runs leave behind and reports read: checkpoints, traces, results, details.
#include <fstream>
#include <sstream>

#include "eval/details_file.hpp"
#include "evolve/checkpoint.hpp"
#include "report/content.hpp"
#include "report/page.hpp"
#include "report/result_table.hpp"
#include "tests/evolve/loop_fixture.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/trace/made_up.hpp"
#include "trace/chunk.hpp"
#include "trace/reader.hpp"
#include "trace/writer.hpp"

namespace namm::fuzz {
namespace {

void read_checkpoint(const std::filesystem::path& file) {
  evolve::load_checkpoint(file);
}

void write_checkpoints(const std::filesystem::path& folder) {
  for (const char* strategy : {"cma", "sep-cma-tpa", "es"}) {
    const fixture::TemporaryFolder run_folder;
    evolve::RunSettings settings = fixture::small_run(run_folder / "run");
    settings.prototype = make_policy("linear", {{"features", "light"}});
    settings.strategy = strategy;
    settings.generations = 1;
    HostPool pool(fixture::hosts(), 1);
    evolve::run(settings, pool);
    std::filesystem::copy_file(run_folder / "run/checkpoint.json", folder / strategy);
  }
}

void read_trace(const std::filesystem::path& file) {
  const trace::Reader reader(file);
  std::vector<float> keys, values;
  for (const trace::PromptRecord* prompt : reader.training_prompts())
    for (const trace::LayerRecord& layer : prompt->layers) {
      for (std::size_t head = 0; head < layer.layer().heads.size(); ++head) {
        layer.token_values(head, trace::Layout::answer);
        for (std::size_t update = 0; update < layer.layout().updates().size(); ++update) layer.statistics(head, update);
      }
      if (layer.has_rows()) layer.read_rows(0, layer.layout().tokens(), keys, values);
    }
}

void write_traces(const std::filesystem::path& folder) {
  trace::Settings settings = made_up::settings();
  trace::Writer writer(folder / "two-prompts", settings);
  for (const unsigned seed : {1u, 2u}) writer.append(made_up::record(settings, 5, seed));
  settings.rows = trace::Rows::none;
  settings.all_statistics = false;
  trace::Writer(folder / "small", settings).append(made_up::record(settings, 3, 4));
}

std::string repair_trace(std::string content) {
  std::size_t at = 0;
  while (content.size() - at >= sizeof(trace::ChunkHeader)) {
    trace::ChunkHeader header;
    std::memcpy(&header, content.data() + at, sizeof header);
    const std::size_t left = content.size() - at - sizeof header;
    if (header.bytes > left) break;
    header.payload_crc = crc32c(std::as_bytes(std::span(content)).subspan(at + sizeof header, header.bytes));
    header.header_crc = trace::header_crc(header);
    std::memcpy(content.data() + at, &header, sizeof header);
    const std::size_t step = sizeof header + header.bytes + trace::padding(header.bytes);
    if (step > content.size() - at) break;
    at += step;
  }
  return content;
}

/// What reads results also shows them.
void read_report(const std::filesystem::path& file) {
  const report::ReportContent content = report::load_report({file.string()});
  report::html_page(content);
  std::ostringstream table;
  if (!content.records.empty()) report::print_results(table, content.records, report::TableFormat::text);
}

void write_results(const std::filesystem::path& folder) {
  std::ofstream out(folder / "three");
  for (const char* policy : {"full", "h2o", "knorm"}) {
    eval::ResultRecord record;
    record.model = "m.gguf";
    record.policy = policy;
    record.task = "passkey";
    record.budget = policy == std::string("full") ? "none" : "25%";
    record.mode = "uniform";
    record.length_tokens = 700;
    record.samples = record.independent = 2;
    record.quality = record.quality_relative = 0.5;
    record.prompts = {{"a", "b"}, {0, 1}, {0, 1}, {-0.5, -0.25}};
    out << eval::to_json(record).dump() << "\n";
  }
}

void write_details(const std::filesystem::path& folder) {
  const eval::PromptDetails prompt = {"m.gguf", "passkey", 64, "p/1", {"", "The", " key", " is", " 7", "."}, "xfwfdp", {{3, 4}}};
  eval::RetentionDetails retention;
  retention.model = prompt.model;
  retention.policy = "h2o";
  retention.memory = "0123456789abcdef";
  retention.task = prompt.task;
  retention.budget = "25%";
  retention.mode = "uniform";
  retention.length_tokens = prompt.length_tokens;
  retention.interval_tokens = 32;
  retention.prompt = prompt.prompt;
  retention.heads = {{0, 0, 2}, {3, 1, 3}};
  retention.kept_by = {2, 0, 0, 1, 1, 1};
  retention.timeline = {{4, 100}, {6, 120}};
  retention.kv_bytes_full = 400;
  std::ofstream(folder / "one") << eval::to_json(prompt).dump() << "\n" << eval::to_json(retention).dump() << "\n";
}

}  // namespace

Target checkpoint_target() {
  return {"checkpoint", read_checkpoint, write_checkpoints};
}
Target trace_target() {
  return {"trace", read_trace, write_traces, repair_trace};
}
Target results_target() {
  return {"results", read_report, write_results};
}
Target details_target() {
  return {"details", read_report, write_details};
}

}  // namespace namm::fuzz
