#include "tasks/passages.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "tasks/fit.hpp"

namespace namm::tasks {
namespace {

constexpr std::size_t kSpare = 24;  ///< sentences to close the last gap with

/// The first of `words` words of the sentence; takes their number off `words`.
std::string beginning(const std::string& sentence, std::size_t& words) {
  std::size_t end = 0;
  for (; words > 0 && end < sentence.size(); --words) end = std::min(sentence.find(' ', end + 1), sentence.size());
  return sentence.substr(0, end);
}

class Layout {
 public:
  Layout(std::string_view opening, const std::vector<std::size_t>& order)
      : opening_(opening), order_(order), texts_(*std::max_element(order.begin(), order.end()) + 1) {}
  std::size_t texts() const { return texts_; }

  /// The first `count` sentences dealt out to the texts, and `words` words of the next ones to the last text.
  Passages lay_out(const std::vector<std::string>& sentences, std::size_t count, std::size_t words) const {
    std::vector<std::vector<std::string>> texts(texts_);
    for (std::size_t t = 0; t < texts_; ++t)
      for (std::size_t i = t * count / texts_; i < (t + 1) * count / texts_; ++i) texts[t].push_back(sentences[i]);
    for (std::size_t i = count; words > 0 && i < sentences.size(); ++i) texts.back().push_back(beginning(sentences[i], words));
    Passages out;
    out.text = opening_;
    for (std::size_t p = 0; p < order_.size(); ++p) {
      out.text += "\n\n";
      out.places.push_back({out.text.size(), 0});
      out.text.append("Paragraph ").append(std::to_string(p + 1)).append(":");
      for (const std::string& sentence : texts[order_[p]]) out.text.append(" ").append(sentence);
      out.places.back().bytes = out.text.size() - out.places.back().offset;
      out.sentences.push_back(texts[order_[p]]);
    }
    return out;
  }

 private:
  std::string_view opening_;
  const std::vector<std::size_t>& order_;
  std::size_t texts_;
};

}  // namespace

Passages make_passages(std::string_view task, std::string_view opening, const std::vector<std::size_t>& order,
                       SentenceSource& source, std::size_t length_tokens, const TokenCounter& count_tokens) {
  const Layout layout(opening, order);
  std::vector<std::string> sentences;
  for (std::size_t tokens = 0; tokens <= length_tokens || sentences.size() < 2 * layout.texts();) {
    sentences.push_back(source.next().text);
    tokens += std::max<std::size_t>(count_tokens(" " + sentences.back()), 1);
  }
  const std::size_t most = sentences.size();
  for (std::size_t i = 0; i < kSpare; ++i) sentences.push_back(source.next().text);
  const std::size_t least = layout.texts();
  const auto count = [&](std::size_t more, std::size_t words) {
    return count_tokens(layout.lay_out(sentences, least + more, words).text);
  };
  if (const std::size_t tokens = count(0, 0); tokens > length_tokens)
    refuse_short(task, length_tokens, std::to_string(order.size()) + " paragraphs", tokens);
  const std::size_t more =
      fit_size(most - least, length_tokens / 32, length_tokens, [&](std::size_t size) { return count(size, 0); });
  const std::size_t words = fit_size(400, 8, length_tokens, [&](std::size_t size) { return count(more, size); });
  Passages passages = layout.lay_out(sentences, least + more, words);
  std::set<std::vector<std::string>> different(passages.sentences.begin(), passages.sentences.end());
  if (different.size() != layout.texts())
    throw std::invalid_argument("task " + std::string(task) +
                                ": the haystack must not repeat itself, does after few sentences; use prose or a text file");
  return passages;
}

}  // namespace namm::tasks
