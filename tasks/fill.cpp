#include "tasks/fill.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/ascii.hpp"

namespace namm::tasks {
namespace {

struct Piece {
  Sentence sentence;
  std::size_t tokens = 0;
};

/// Joins sentences with one space, lines with a line end, paragraphs with an empty line.
class Text {
 public:
  /// Returns the byte at which the sentence begins.
  std::size_t add(std::string_view sentence, bool paragraph, bool own_line) {
    if (!text_.empty()) text_ += paragraph ? "\n\n" : own_line || after_line_ ? "\n" : " ";
    after_line_ = own_line;
    const std::size_t offset = text_.size();
    text_ += sentence;
    return offset;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  bool after_line_ = false;
};

class Filler {
 public:
  Filler(SentenceSource& source, std::vector<Needle>& needles, std::size_t target, const TokenCounter& count,
         const std::function<bool(std::string_view)>& refuse)
      : source_(source), needles_(needles), target_(target), count_(count), refuse_(refuse) {
    for (const Needle& needle : needles_) estimate_ += count_(" " + needle.text);
  }

  /// Needle k of depth d comes before filler sentence floor(d * (filler + 1)); needles are sorted by depth.
  std::string render() {
    Text text;
    std::size_t k = 0;
    for (std::size_t i = 0; i <= pieces_.size(); ++i) {
      for (; k < needles_.size(); ++k) {
        const auto at = static_cast<std::size_t>(needles_[k].depth * static_cast<double>(pieces_.size() + 1));
        if (at > i && i < pieces_.size()) break;
        needles_[k].offset = text.add(needles_[k].text, false, needles_[k].own_line);
      }
      if (i == pieces_.size()) break;
      const Sentence& sentence = pieces_[i].sentence;
      text.add(sentence.text, i > 0 && sentence.starts_paragraph, sentence.own_line);
    }
    return text.take();
  }

  /// Makes the estimate fit: filler is taken away above the target and added below it. `bias` is what the real count was
  /// above the estimate last time.
  void fit(std::ptrdiff_t bias) {
    while (gap(bias) < 0 && !pieces_.empty()) pop();
    int misses = 0;
    const auto near_enough = static_cast<std::ptrdiff_t>(length_slack(target_) / 2);
    while (gap(bias) > near_enough && misses < 12) misses = push(misses > 0, gap(bias)) ? 0 : misses + 1;
  }

  std::ptrdiff_t estimate() const { return static_cast<std::ptrdiff_t>(estimate_); }
  bool has_filler() const { return !pieces_.empty(); }
  void pop() {
    estimate_ -= pieces_.back().tokens;
    pieces_.pop_back();
  }

  /// Last resort for filler without short sentences: the first words of one, as many as fit by the real counter.
  std::string close_gap_with_words() {
    std::string best = render();
    Sentence sentence = source_.next();
    for (int tries = 0; tries < 100 && refuse_(sentence.text); ++tries) sentence = source_.next();
    if (refuse_(sentence.text)) return best;
    std::vector<std::size_t> ends;
    for (std::size_t i = 1; i <= sentence.text.size(); ++i)
      if (i == sentence.text.size() || sentence.text[i] == ' ') ends.push_back(i);
    pieces_.push_back({{"", false, sentence.own_line}, 0});
    std::size_t low = 0, high = ends.size();  // words that fit, words that might
    while (low < high) {
      const std::size_t words = low + (high - low + 1) / 2;
      pieces_.back().sentence.text = sentence.text.substr(0, ends[words - 1]);
      if (count_(render()) <= target_)
        low = words;
      else
        high = words - 1;
    }
    if (low == 0)
      pieces_.pop_back();
    else
      pieces_.back().sentence.text = sentence.text.substr(0, ends[low - 1]);
    return render();
  }

 private:
  std::ptrdiff_t gap(std::ptrdiff_t bias) const { return static_cast<std::ptrdiff_t>(target_) - estimate() - bias; }

  bool push(bool small, std::ptrdiff_t room) {
    Sentence sentence = small ? source_.next_short() : source_.next();
    if (refuse_(sentence.text)) return false;
    const std::size_t tokens = count_((sentence.starts_paragraph ? "\n\n" : " ") + sentence.text);
    if (static_cast<std::ptrdiff_t>(tokens) > room) return false;
    estimate_ += tokens;
    pieces_.push_back({std::move(sentence), tokens});
    return true;
  }

  SentenceSource& source_;
  std::vector<Needle>& needles_;
  std::size_t target_;
  const TokenCounter& count_;
  const std::function<bool(std::string_view)>& refuse_;
  std::vector<Piece> pieces_;
  std::size_t estimate_ = 0;
};

}  // namespace

std::size_t length_slack(std::size_t length_tokens) {
  return std::max<std::size_t>(16, length_tokens / 50);
}

Extent extent_of(const std::vector<Needle>& needles, std::string_view text) {
  for (const Needle& needle : needles)
    if (needle.text == text) return {needle.offset, needle.text.size()};
  throw std::logic_error("fill: no needle '" + std::string(text) + "'");
}

bool contains_number(std::string_view text, std::string_view number) {
  for (std::size_t at = text.find(number); at != std::string_view::npos; at = text.find(number, at + 1)) {
    const std::size_t end = at + number.size();
    if ((at == 0 || !is_digit(text[at - 1])) && (end == text.size() || !is_digit(text[end]))) return true;
  }
  return false;
}

std::string fill_context(std::string_view task, SentenceSource& source, std::vector<Needle>& needles, std::size_t length_tokens,
                         const TokenCounter& count_tokens, const std::function<bool(std::string_view)>& refuse) {
  std::stable_sort(needles.begin(), needles.end(), [](const Needle& a, const Needle& b) { return a.depth < b.depth; });
  Filler filler(source, needles, length_tokens, count_tokens, refuse);
  const std::size_t slack = length_slack(length_tokens);
  std::ptrdiff_t bias = 0;
  std::string text;
  std::size_t tokens = 0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    filler.fit(bias);
    text = filler.render();
    tokens = count_tokens(text);
    if (tokens <= length_tokens && (length_tokens - tokens <= slack || (attempt > 1 && !source.may_be_cut()))) return text;
    bias = static_cast<std::ptrdiff_t>(tokens) - filler.estimate();
  }
  while (tokens > length_tokens && filler.has_filler()) {
    filler.pop();
    text = filler.render();
    tokens = count_tokens(text);
  }
  if (tokens > length_tokens)
    throw std::invalid_argument("task " + std::string(task) + ": length_tokens " + std::to_string(length_tokens) +
                                " is too short to hold the needle; use at least " + std::to_string(tokens));
  if (length_tokens - tokens > slack && source.may_be_cut()) text = filler.close_gap_with_words();
  return text;
}

}  // namespace namm::tasks
