#include "cli/run_report.hpp"

#include <cstdio>
#include <ostream>

#include "base/format.hpp"
#include "base/json_fields.hpp"
#include "base/json_limits.hpp"
#include "base/version.hpp"
#include "report/table.hpp"

namespace namm::cli {
namespace {

std::string bytes(std::int64_t value) {
  return format_bytes(static_cast<double>(value));
}

/// The beginning of an answer, whole characters.
std::string beginning(const std::string& answer, std::size_t characters) {
  const std::string line = detail::one_line(answer);
  if (report::display_width(line) <= characters) return line;
  std::size_t end = 0;
  for (std::size_t width = 0; end < line.size(); ++end)
    if ((static_cast<unsigned char>(line[end]) & 0xC0) != 0x80 && width++ == characters - 3) break;
  return line.substr(0, end) + "...";
}

/// Why there is no saving to speak of, for a text that one update would not have come to; empty: there is one.
std::string too_short(const LabelledRun& run) {
  const CacheUsage& u = *run.outcome.usage;
  const std::size_t tokens = run.outcome.prompt_tokens + run.outcome.generated_tokens;
  if (!run.memory.drops() || tokens >= static_cast<std::size_t>(run.memory.interval_tokens)) return {};
  const std::string below = std::to_string(tokens) + " tokens are below one update of " +
                            std::to_string(run.memory.interval_tokens) + " tokens (--interval)";
  if (u.entries == u.entries_full) return "nothing was dropped yet: " + below;
  return u.physical_saving() < 0 ? "no memory was saved yet: " + below + ", and pages and statistics outweigh what was dropped"
                                 : std::string();
}

}  // namespace

void print_savings(std::ostream& out, const LabelledRun& run) {
  const RunOutcome& o = run.outcome;
  out << "tokens     " << o.prompt_tokens << " read, " << o.generated_tokens << " generated" << (o.complete ? "" : " (stopped)")
      << '\n';
  if (o.usage) {
    const CacheUsage& u = *o.usage;
    out << "policy     " << run.policy << (run.budget.empty() ? "" : ", budget " + run.budget + ", " + run.mode) << ", "
        << u.updates << (u.updates == 1 ? " update" : " updates") << ", every " << run.memory.interval_tokens << " tokens"
        << (run.memory.store == RowFormats() ? "" : "; held as " + to_string(run.memory.store)) << '\n'
        << "entries    " << u.entries << " kept of " << u.entries_full << ", peak " << u.entries_peak << "; logical saving "
        << format_number("%.1f %%", 100 * u.logical_saving()) << '\n'
        << "KV memory  ";
    if (u.cells_allocated > 0)
      out << bytes(u.kv_bytes) << " allocated by llama.cpp, which does not shrink: " << u.cells_allocated << " cells, " << u.cells
          << " in use, " << u.cells_peak << " at most; " << bytes(u.kv_bytes_full) << " for the longest sequence";
    else
      out << bytes(u.kv_bytes) << " final, " << bytes(u.kv_bytes_peak) << " peak, " << bytes(u.kv_bytes_full) << " full";
    out << "; statistics " << bytes(u.statistics_bytes);
    const std::string why_none = too_short(run);
    if (why_none.empty())
      out << "; physical saving " << format_number("%.1f %%", 100 * u.physical_saving()) << '\n';
    else
      out << "\nsaving     " << why_none << '\n';
    if (u.nan_scores > 0) out << "scores     " << u.nan_scores << " were not numbers and count as the lowest\n";
  }
  out << "speed      prefill " << format_number("%.1f", o.prefill_tokens_per_second()) << " tokens/s, decode "
      << format_number("%.1f", o.decode_tokens_per_second()) << " tokens/s\n"
      << "process    " << bytes(o.peak_rss_bytes) << " peak resident, weights included\n";
}

void print_positions(std::ostream& out, const RunOutcome& outcome) {
  for (const auto& head : outcome.kept) {
    out << "layer " << head.layer << " head " << head.kv_head << "  " << head.positions.size() << ":";
    for (std::size_t i = 0; i < head.positions.size();) {
      std::size_t last = i;
      while (last + 1 < head.positions.size() && head.positions[last + 1] == head.positions[last] + 1) ++last;
      out << ' ' << head.positions[i];
      if (last > i) out << '-' << head.positions[last];
      i = last + 1;
    }
    out << '\n';
  }
}

void print_comparison(std::ostream& out, std::span<const LabelledRun> runs) {
  std::vector<std::vector<std::string>> rows;
  for (const LabelledRun& run : runs) {  // 100 columns: statistics and peak memory are left to --json
    const RunOutcome& o = run.outcome;
    std::string name = run.runtime == "namm" ? run.policy : run.runtime + ", " + run.policy;
    if (!run.budget.empty()) name += " " + run.budget + " " + run.mode;
    rows.push_back({name, beginning(o.text, 17), o.usage ? std::to_string(o.usage->entries) : std::string("-"),
                    o.usage ? bytes(o.usage->kv_bytes) : bytes(run.stock_kv_bytes),
                    o.usage ? bytes(o.usage->kv_bytes_peak) : bytes(run.stock_kv_bytes),
                    format_number("%.1f", o.prefill_tokens_per_second()), format_number("%.1f", o.decode_tokens_per_second())});
  }
  report::print_table(out, {"run", "answer", "entries", "KV", "KV peak", "reads t/s", "writes t/s"}, rows, 2,
                      report::TableFormat::text);
  report::print_note(out, "t/s: tokens per second; --json has statistics, peak memory and whole answers",
                     report::TableFormat::text);
}

nlohmann::ordered_json to_json(const LabelledRun& run, const HostDescription& host, bool positions) {
  const RunOutcome& o = run.outcome;
  nlohmann::ordered_json out = {{"model", host.model},
                                {"architecture", host.architecture},
                                {"runtime", run.runtime},
                                {"policy", run.policy},
                                {"budget", run.budget},
                                {"mode", run.mode},
                                {"interval_tokens", run.memory.interval_tokens},
                                {"store", to_string(run.memory.store)},
                                {"text", o.text},
                                {"complete", o.complete},
                                {"prompt_tokens", o.prompt_tokens},
                                {"generated_tokens", o.generated_tokens}};
  if (o.usage) {
    const CacheUsage& u = *o.usage;
    out.update({{"entries_final", u.entries},
                {"entries_peak", u.entries_peak},
                {"entries_full", u.entries_full},
                {"kv_bytes_final", u.kv_bytes},
                {"kv_bytes_peak", u.kv_bytes_peak},
                {"kv_bytes_full", u.kv_bytes_full},
                {"statistics_bytes_final", u.statistics_bytes},
                {"statistics_bytes_peak", u.statistics_bytes_peak},
                {"logical_saving", u.logical_saving()},
                {"physical_saving", u.physical_saving()},
                {"updates", u.updates},
                {"nan_scores", u.nan_scores},
                {"attachment", run.attachment}});
    if (u.cells_allocated > 0)
      out.update({{"cells_final", u.cells}, {"cells_peak", u.cells_peak}, {"cells_allocated", u.cells_allocated}});
  } else {
    out["kv_bytes_final"] = out["kv_bytes_peak"] = run.stock_kv_bytes;
  }
  out["peak_rss_bytes"] = o.peak_rss_bytes;
  out["prefill_tokens_per_second"] = detail::number_or_null(o.prefill_tokens_per_second());
  out["decode_tokens_per_second"] = detail::number_or_null(o.decode_tokens_per_second());
  if (positions)
    for (const auto& head : o.kept)
      out["positions"].push_back({{"layer", head.layer}, {"kv_head", head.kv_head}, {"positions", head.positions}});
  out["version"] = version();
  out["commit"] = commit();
  return out;
}

}  // namespace namm::cli
