#pragma once
#include <map>
#include <string>
#include <vector>

#include "report/content.hpp"
#include "report/line_chart.hpp"

namespace namm::report {

/// Which line is whose, the same in all charts of a page.
class LineStyles {
 public:
  explicit LineStyles(const ReportContent& content);
  /// "h2o", with the mode and the interval where there are several.
  std::string label(const std::string& policy, const std::string& mode, int interval_tokens) const;
  std::size_t style(const std::string& label) const { return styles_.at(label); }
  bool strong(const std::string& label) const { return strong_.contains(label); }
  /// In the order of the styles.
  const std::vector<std::string>& labels() const { return labels_; }

 private:
  bool modes_ = false, intervals_ = false;
  std::vector<std::string> labels_;
  std::map<std::string, std::size_t> styles_;
  std::set<std::string> strong_;
};

/// Quality and change of log-likelihood over the share of the cache that is kept: for the mean over all tables of a model, if it
/// has several, then for each of them.
std::vector<LineChart> quality_charts(const ReportContent& content, const LineStyles& styles);
/// Bytes held while the longest watched prompt is read, everything counted if knows_statistics(), one chart per budget.
std::vector<LineChart> memory_charts(const ReportContent& content, const LineStyles& styles);
/// Whether details say at every update how much statistics held, as those of before did not.
bool knows_statistics(const eval::DetailsFile& details);
/// Fitness and step size of each run over the generations.
std::vector<LineChart> evolution_charts(const ReportContent& content);

}  // namespace namm::report
