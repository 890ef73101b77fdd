#include "tasks/code_context.hpp"

#include <algorithm>
#include <functional>

#include "tasks/fill.hpp"
#include "tasks/fit.hpp"

namespace namm::tasks {
namespace {

bool is_inside(char c) {  // of a character of several bytes
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

/// Adds files with `add` until `text` has `tokens` tokens.
void extend(std::string& text, std::size_t tokens, const CodeCorpus& corpus, Split split, Rng& rng, const CodeFile& file,
            const TokenCounter& count_tokens, const std::function<void(const std::string&)>& add) {
  // a little more than asked for, as the counts of parts do not add up exactly
  const std::size_t wanted = tokens + tokens / 16 + 64;
  for (std::size_t have = count_tokens(text); have < wanted;) {
    auto other = corpus.draw(split, rng);
    while (other->path == file.path) other = corpus.draw(split, rng);
    const std::string more = shown(*other) + "\n";
    have += std::max<std::size_t>(count_tokens(more), 1);
    add(more);
  }
}

}  // namespace

CodeContext code_around(const CodeCorpus& corpus, Split split, Rng& rng, const CodeFile& file, std::size_t at,
                        std::size_t tokens_before, std::size_t tokens_after, const TokenCounter& count_tokens) {
  const std::string whole = shown(file);
  const std::size_t place = whole.find('\n') + 1 + at;
  CodeContext context{whole.substr(0, place), whole.substr(place)};
  std::vector<std::string> earlier;
  extend(context.before, tokens_before, corpus, split, rng, file, count_tokens,
         [&](const std::string& more) { earlier.push_back(more); });
  std::string before;
  for (auto more = earlier.rbegin(); more != earlier.rend(); ++more) before += *more;
  context.before.insert(0, before);
  if (tokens_after > 0)
    extend(context.after, tokens_after, corpus, split, rng, file, count_tokens,
           [&](const std::string& more) { context.after.append("\n").append(more); });
  return context;
}

std::string last_tokens(std::string_view text, std::size_t tokens, const TokenCounter& count_tokens) {
  const auto begin_of = [&](std::size_t bytes) {
    std::size_t begin = text.size() - bytes;
    while (begin < text.size() && is_inside(text[begin])) ++begin;
    return begin;
  };
  const std::size_t bytes =
      fit_size(text.size(), tokens * 3, tokens, [&](std::size_t n) { return count_tokens(text.substr(begin_of(n))); });
  const std::size_t begin = begin_of(bytes);
  const std::string_view kept = text.substr(begin);
  if (begin == 0 || text[begin - 1] == '\n') return std::string(kept);
  const std::string_view lines = kept.substr(std::min(kept.find('\n'), kept.size() - 1) + 1);
  const bool cheap = !lines.empty() && count_tokens(lines) + length_slack(tokens) / 2 >= tokens;
  return std::string(cheap ? lines : kept);
}

std::string first_tokens(std::string_view text, std::size_t tokens, const TokenCounter& count_tokens) {
  const auto end_of = [&](std::size_t bytes) {
    std::size_t end = bytes;
    while (end > 0 && end < text.size() && is_inside(text[end])) --end;
    return end;
  };
  const std::size_t bytes =
      fit_size(text.size(), tokens * 3, tokens, [&](std::size_t n) { return count_tokens(text.substr(0, end_of(n))); });
  const std::string_view kept = text.substr(0, end_of(bytes));
  const std::size_t last = kept.rfind('\n');
  if (last == std::string_view::npos) return std::string(kept);
  const std::string_view lines = kept.substr(0, last);
  return std::string(count_tokens(lines) + length_slack(tokens) / 2 >= tokens ? lines : kept);
}

}  // namespace namm::tasks
