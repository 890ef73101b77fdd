#include <stdexcept>

#include "tasks/code_context.hpp"
#include "tasks/fit.hpp"
#include "tasks/generators.hpp"

namespace namm::tasks {
namespace {

/// A line worth writing: a statement or declaration of 16 to 120 bytes that the score can see (no comment, no '#', no '`') and
/// that was not the line before.
bool worth_asking(const CodeFile& file, std::size_t line) {
  const std::string_view text = file.lines[line];
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos || text.size() - begin < 16 || text.size() - begin > 120 || text == file.lines[line - 1])
    return false;
  const std::string_view code = text.substr(begin);
  if (code.front() == '*' || code.find("/*") != std::string_view::npos || code.find("*/") != std::string_view::npos ||
      code.find("//") != std::string_view::npos || code.find_first_of("`#") != std::string_view::npos)
    return false;
  return code.find_first_of("(=;{") != std::string_view::npos;
}

bool inside_comment(const CodeFile& file, std::size_t line) {
  bool inside = false;
  for (std::size_t i = 0; i < line; ++i) {
    const std::size_t open = file.lines[i].rfind("/*"), close = file.lines[i].rfind("*/");
    if (open != std::string_view::npos && (close == std::string_view::npos || close < open)) inside = true;
    if (close != std::string_view::npos && (open == std::string_view::npos || open < close)) inside = false;
  }
  return inside;
}

/// Code completion (LongBench, arXiv 2308.14508, "LCC" and "RepoBench-P"): files of a project and the beginning of one more;
/// its next line is asked for. Where ours differs: the files are the headers installed on this machine, or those of
/// `--haystack code:FOLDER`; they are chosen at random (RepoBench: those that the file uses). Score: `code-similarity`.
class CodeCompletion final : public Task {
 public:
  explicit CodeCompletion(std::shared_ptr<const CodeCorpus> corpus) : corpus_(std::move(corpus)) {}
  std::string_view name() const override { return "code-completion"; }
  int max_answer_tokens() const override { return 64; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start_sample(name(), request);
    sample.metric = "code-similarity";
    const std::size_t length = request.length_tokens;
    if (length < kFewestCodeTokens) refuse_short(name(), length, "beginning of a file", kFewestCodeTokens);
    Rng rng("code-completion/needle", request.split, request.seed, request.index);
    const auto [file, line] = choose(request.split, rng);
    const std::string_view answer = file->lines[line];
    const auto at = static_cast<std::size_t>(answer.data() - file->text.data());
    const CodeContext context = code_around(*corpus_, request.split, rng, *file, at, length, 0, count_tokens);
    const std::string opening = "Please complete the code given below.\n";
    const std::size_t room = length - count_tokens(opening);
    std::string_view before = context.before;
    before.remove_suffix(1);  // the last line's end goes to the question
    for (std::size_t less = 0; less == 0 || count_tokens(sample.context) > length; ++less)
      sample.context = std::string(opening).append(last_tokens(before, room - less, count_tokens));
    sample.question = "\n\nNext line of code:";
    sample.answer_prefix += '\n';
    sample.answers = {std::string(answer.substr(answer.find_first_not_of(" \t")))};
    return sample;
  }

 private:
  std::pair<std::shared_ptr<const CodeFile>, std::size_t> choose(Split split, Rng& rng) const {
    for (int tries = 0; tries < 200; ++tries) {
      auto file = corpus_->draw(split, rng);
      std::vector<std::size_t> lines;
      for (std::size_t i = 8; i < file->lines.size(); ++i)
        if (worth_asking(*file, i)) lines.push_back(i);
      if (lines.empty()) continue;
      const std::size_t line = lines[rng.below(lines.size())];
      if (!inside_comment(*file, line)) return {std::move(file), line};
    }
    throw std::runtime_error("code: files under " + corpus_->folder().string() +
                             " must have statements to complete, 200 of them had none; give another folder");
  }

  std::shared_ptr<const CodeCorpus> corpus_;
};

}  // namespace

std::unique_ptr<Task> make_code_completion(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<CodeCompletion>(corpus_of(haystack));
}

}  // namespace namm::tasks
