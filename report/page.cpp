#include "report/page.hpp"

#include <algorithm>
#include <sstream>

#include "base/version.hpp"
#include "report/assets.hpp"
#include "report/charts.hpp"
#include "report/html.hpp"
#include "report/means.hpp"
#include "report/page_data.hpp"
#include "report/result_table.hpp"
#include "report/run_curve.hpp"
#include "report/summary.hpp"
#include "report/verdict.hpp"

namespace namm::report {
namespace {

constexpr std::string_view kTerms = R"(<dl>
<dt>quality</dt><dd>mean score of the greedy answers, 0 to 1; "of full": divided by the full cache's on the same prompts</dd>
<dt>exact</dt><dd>share of the greedy answers that begin with an accepted answer</dd>
<dt>dlogp</dt><dd>change of the gold answer's log-likelihood per token against the full cache on the same prompts, nat; 0 = no loss</dd>
<dt>KL</dt><dd>divergence of the next-token distribution from the full cache's, mean over the gold answer's positions, nat</dd>
<dt>95 %</dt><dd>interval: Student's t between independent prompts, Wilson's for shares of right answers; the same prompt at two lengths counts as one</dd>
<dt>*</dt><dd>differs from the full cache on the same prompts: paired test at 5 %, adjusted (Holm) for the rows of the table, at least ten prompts</dd>
<dt>logical saving</dt><dd>share of the (layer, KV head, token) entries that were dropped when the answer began</dd>
<dt>physical saving</dt><dd>share of the bytes that were given back, with all statistics and bookkeeping counted against it</dd>
<dt>KV peak</dt><dd>most bytes of keys and values held while the prompt was read</dd>
<dt>fitness</dt><dd>of evolution, as its settings say, relative to the full cache; higher is better</dd>
</dl>)";

/// Charts of the page as they are drawn, and their numbers, which the page's script saves as CSV.
class Figures {
 public:
  std::string add(const LineChart& chart) {
    const std::string svg = svg_of(chart);
    if (svg.empty()) return {};
    const std::string number = std::to_string(numbers_.size());
    numbers_.push_back(chart_json(chart));
    return "<figure data-chart=" + number + "><figcaption>" + escape_html(chart.title) + "</figcaption>" + svg + "</figure>\n";
  }
  const nlohmann::json& numbers() const { return numbers_; }

 private:
  nlohmann::json numbers_ = nlohmann::json::array();
};

std::string legend(const LineStyles& styles, bool with_full) {
  std::string out = "<ul class=legend aria-label='lines: press to hide or show'>";
  const auto entry = [&](const std::string& label, std::size_t style, bool strong) {
    out += "<li><button type=button aria-pressed=true data-style=s" + std::to_string(style) + ">" + svg_sample(style, strong) +
           escape_html(label) + "</button></li>";
  };
  if (with_full) entry("full", kFullStyle, false);
  for (const std::string& label : styles.labels()) entry(label, styles.style(label), styles.strong(label));
  return out + "</ul>\n";
}

std::string run_legend(const std::vector<LineChart>& charts) {
  std::string out = "<ul class=legend>";
  for (const ChartSeries& series : charts.front().series)
    out += "<li><span class=entry>" + svg_sample(series.style, series.strong) + escape_html(series.label) + "</span></li>";
  return out + "</ul>\n";
}

/// Chapters of the page, and the links to them.
class Chapters {
 public:
  void add(const std::string& id, const std::string& title, const std::string& content) {
    links_ += "<a href='#" + id + "'>" + title + "</a>\n";
    text_ += "<section aria-labelledby=" + id + ">\n<h2 id=" + id + ">" + title + "</h2>\n" + content + "</section>\n";
  }
  const std::string& links() const { return links_; }
  const std::string& text() const { return text_; }

 private:
  std::string links_, text_;
};

/// The first two charts; those behind them, alike but for one task each, on demand.
std::string figures_of(const std::vector<LineChart>& charts, const std::string& summary, Figures& figures) {
  constexpr std::size_t kShown = 2;
  std::string first, more;
  std::size_t hidden = 0;
  for (std::size_t i = 0; i < charts.size(); ++i) {
    const std::string one = figures.add(charts[i]);
    if (!one.empty() && i >= kShown) ++hidden;
    (i < kShown ? first : more) += one;
  }
  std::string out = "<div class=charts>\n" + first + "</div>\n";
  if (hidden > 0)
    out += "<details><summary>" + summary + " (" + std::to_string(hidden) + (hidden == 1 ? " chart" : " charts") +
           ")</summary>\n<div class=charts>\n" + more + "</div>\n</details>\n";
  return out;
}

void add_verdict(Chapters& chapters, const ReportContent& content) {
  const auto verdict = verdict_of(content);
  if (!verdict) return;
  std::string numbers;
  for (const Verdict::Number& number : verdict->numbers)
    numbers += "<div class=number><span class=what>" + escape_html(number.title) + "</span><strong>" + escape_html(number.value) +
               "</strong><span class=note>" + escape_html(number.beside) + "</span></div>\n";
  chapters.add("verdict", "In short",
               "<p class=verdict>" + escape_html(verdict->sentence) + "</p>\n<div class=numbers>\n" + numbers +
                   "</div>\n<p class=note>" + escape_html(verdict->note) + "</p>\n");
}

void add_results(Chapters& chapters, const ReportContent& content, const LineStyles& styles, Figures& figures) {
  std::ostringstream overview, tables;
  print_summary(overview, content.records, TableFormat::html);
  const std::vector<LineChart> charts = quality_charts(content, styles);
  chapters.add(
      "curves", "Quality against memory",
      "<p class=lead>Right is more memory, up is better; bars are 95&nbsp;% intervals. Policies from files are drawn heavier. "
      "<span class=screen>Point at a name to see its line alone, press to hide it.</span></p>" +
          legend(styles, false) + figures_of(charts, "Each task and length", figures));
  chapters.add(
      "overview", "Overview",
      "<p class=lead>What is left of the full cache's quality, and how the gold answer's log-likelihood per token changed. Means "
      "over tasks and lengths, 95&nbsp;% intervals.</p>" +
          overview.str());
  print_results(tables, content.records, TableFormat::html, true);
  chapters.add("tables", "Tables",
               "<details><summary>All tasks, lengths, policies and budgets</summary>\n" + tables.str() + "</details>\n");
}

void add_kept(Chapters& chapters, std::size_t settings) {
  if (settings == 0) return;
  chapters.add("kept", "What a policy keeps",
               "<noscript><p>Choosing a policy and a prompt needs scripts, which are off.</p></noscript>\n"
               "<div class=choose><label>policy <select id=policy></select></label><label id=budgets>budget <input type=range "
               "id=budget min=0 step=1 value=0><output id=budget-text for=budget></output></label><label>prompt <select "
               "id=prompt></select></label></div>\n"
               "<h3>The prompt</h3><p id=about class=note aria-live=polite></p><p id=answer class=answer "
               "aria-live=polite></p><div id=scale class=scale></div>\n"
               "<div id=tokens class=tokens tabindex=0 role=group aria-label='tokens of the prompt, coloured by how many heads "
               "kept them'></div>\n"
               "<p class=note>Below: <span id=watched></span>.</p>\n<div class=pair>\n"
               "<div><h3>By layer and KV head</h3><div id=heat class=scroll tabindex=0></div>\n"
               "<h3>By position</h3><figure data-chart=positions><div id=positions></div></figure></div>\n"
               "<div><h3>By kind of token and task</h3><div id=kinds class=scroll tabindex=0></div></div>\n</div>\n");
}

void add_memory(Chapters& chapters, const ReportContent& content, const LineStyles& styles, Figures& figures) {
  const std::vector<LineChart> charts = memory_charts(content, styles);
  if (!charts.empty())
    chapters.add(
        "memory", "Memory over time",
        std::string("<p class=lead>") +
            (knows_statistics(content.details) ? "Keys, values and all statistics" : "Keys and values, without statistics,") +
            " held behind every update while the longest watched prompt is read; the last piece is the question.</p>" +
            legend(styles, true) + figures_of(charts, "Other budgets", figures));
}

void add_runs(Chapters& chapters, const ReportContent& content, Figures& figures) {
  const std::vector<LineChart> charts = evolution_charts(content);
  if (charts.empty()) return;
  std::string drawn;
  for (const LineChart& chart : charts) drawn += figures.add(chart);
  std::ostringstream tables;
  for (const auto& [name, checkpoint] : content.runs) print_run(tables, name, checkpoint, TableFormat::html);
  chapters.add("evolution", "Evolution",
               run_legend(charts) + "<div class=charts>\n" + drawn +
                   "</div>\n<details><summary>Settings and generations</summary>\n" + tables.str() + "</details>\n");
}

std::string title_of(const ReportContent& content) {
  std::string models;
  for (const ModelResults& results : models_of(content.records))
    if (const std::string& model = results.rows.front().model; models.find(model) == std::string::npos)
      models += (models.empty() ? "" : ", ") + model;
  return models.empty() ? "Memory policies" : "Memory policies on " + models;
}

}  // namespace

std::string html_page(const ReportContent& content) {
  const LineStyles styles(content);
  const std::vector<Retention> retentions = retentions_of(content.details);
  Chapters chapters;
  Figures figures;
  add_verdict(chapters, content);
  add_kept(chapters, retentions.size());
  if (!content.records.empty()) add_results(chapters, content, styles, figures);
  add_memory(chapters, content, styles, figures);
  add_runs(chapters, content, figures);
  chapters.add("terms", "What the words mean", std::string(kTerms));
  std::string subtitle;
  for (const ModelResults& results : models_of(content.records)) {
    const eval::ResultRecord& first = results.rows.front();
    const std::size_t tables = tables_of(results.rows).size();
    const auto [fewest, most] =
        std::minmax_element(results.rows.begin(), results.rows.end(),
                            [](const eval::ResultRecord& a, const eval::ResultRecord& b) { return a.samples < b.samples; });
    const std::string range = fewest->samples == most->samples ? "" : std::to_string(fewest->samples) + " to ";
    subtitle += "<p class=lead>" + escape_html(results.origin) + ", " + std::to_string(tables) +
                (tables == 1 ? " table" : " tables") + " of " + range + std::to_string(most->samples) + " prompts; made with " +
                escape_html(first.version + " (" + first.commit + ")") + "</p>\n";
  }
  const std::string title = escape_html(title_of(content));
  nlohmann::json data = page_data(content, retentions);
  data["charts"] = figures.numbers();
  return "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
         "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
         "script-src "
         "'unsafe-inline'\">\n"
         "<meta name=viewport content='width=device-width, initial-scale=1'>\n<title>" +
         title + "</title>\n<link rel=icon href='data:,'>\n<style>\n" + std::string(kPageStyle) +
         "</style>\n</head>\n<body>\n<a class=skip href='#top'>Skip to the content</a>\n<header>\n<h1>" + title + "</h1>\n" +
         subtitle + "<nav aria-label=Chapters>\n" + chapters.links() + "</nav>\n</header>\n<main id=top>\n" + chapters.text() +
         "</main>\n<footer><p>namm " + version() + " (" + commit() + ")</p></footer>\n<script type='application/json' id=data>" +
         script_json(data) + "</script>\n<script>\n" + std::string(kPageScript) + "</script>\n</body>\n</html>\n";
}

}  // namespace namm::report
