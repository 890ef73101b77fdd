#include "tasks/data_task.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>

#include "base/ascii.hpp"
#include "base/fingerprint.hpp"
#include "tasks/fit.hpp"
#include "tasks/prompt_file.hpp"
#include "tasks/random.hpp"

namespace namm::tasks {
namespace {

bool is_plain_text(const Sample& sample) {
  return sample.question.empty() && sample.answers.empty();
}

/// First begin of a character at or after `at`.
std::size_t character_begin(std::string_view text, std::size_t at) {
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return std::min(at, text.size());
}

int answer_tokens(const std::vector<Sample>& samples) {
  int most = 1;
  for (const Sample& sample : samples) {
    const auto is_long = [](const std::string& answer) { return answer.size() > 200; };
    const bool any_long = std::any_of(sample.answers.begin(), sample.answers.end(), is_long);
    most = std::max(most, sample.answer_tokens > 0 ? sample.answer_tokens : any_long ? 128 : 32);
  }
  return most;
}

/// The split of every prompt, by its document: prompts on one context are in one split. Of every five documents, in the order of
/// their hashes, three are train, one validation, one test.
std::vector<std::size_t> splits_of(const std::vector<std::string>& documents) {
  constexpr std::size_t kSplitOfFifth[5] = {0, 0, 0, 1, 2};
  std::map<std::string, std::size_t> place;
  for (const std::string& document : documents) place.emplace(document, 0);
  std::size_t next = 0;
  for (auto& [document, split] : place) split = kSplitOfFifth[next++ % 5];
  std::vector<std::size_t> out;
  for (const std::string& document : documents) out.push_back(place.at(document));
  return out;
}

/// Leaves the first of equal prompts, and makes ids of different ones different. How many are gone.
std::size_t drop_repeated(std::vector<Sample>& samples) {
  std::set<std::string> prompts;
  const auto known = [&](const Sample& sample) {
    const std::size_t parts[] = {sample.context.size(), sample.question.size()};
    return !prompts.insert(std::to_string(parts[0]) + " " + std::to_string(parts[1]) + " " + prompt_text(sample)).second;
  };
  const std::size_t before = samples.size();
  samples.erase(std::remove_if(samples.begin(), samples.end(), known), samples.end());
  std::map<std::string, int> ids;
  for (Sample& sample : samples)
    if (const int number = ++ids[sample.id]; number > 1) sample.id.append("#").append(std::to_string(number));
  return before - samples.size();
}

}  // namespace

std::string cut_middle(const std::string& text, std::size_t length_tokens, const TokenCounter& count_tokens) {
  if (count_tokens(text) <= length_tokens) return text;
  const auto build = [&](std::size_t bytes) {
    const std::size_t head = character_begin(text, bytes / 2);
    const std::size_t tail = character_begin(text, std::max(head, text.size() - bytes / 2));
    return text.substr(0, head) + text.substr(tail);
  };
  return build(
      fit_size(text.size(), length_tokens * 4, length_tokens, [&](std::size_t bytes) { return count_tokens(build(bytes)); }));
}

DataTask::DataTask(std::string name, std::vector<Sample> samples, FileSplits splits)
    : name_(std::move(name)), samples_(std::move(samples)), splits_(splits), max_answer_tokens_(answer_tokens(samples_)) {
  if (samples_.empty()) throw std::invalid_argument("prompts of '" + name_ + "': must be at least one, got none");
  repeated_ = drop_repeated(samples_);
  for (Sample& sample : samples_) sample.unit = fingerprint(sample.context.empty() ? sample.question : sample.context);
  std::vector<std::string> documents;
  for (const Sample& sample : samples_) documents.push_back(sample.unit);
  const std::vector<std::size_t> splits_of_samples = splits_of(documents);
  const bool one_text = samples_.size() == 1 && is_plain_text(samples_.front());
  for (std::size_t i = 0; i < samples_.size(); ++i)
    for (std::size_t split = 0; split < 3; ++split)
      if (one_text || splits_ == FileSplits::shared || splits_of_samples[i] == split) members_[split].push_back(i);
}

bool DataTask::is_plain() const {
  return std::all_of(samples_.begin(), samples_.end(), is_plain_text);
}

std::size_t DataTask::different(Split split) const {
  const auto& members = members_[static_cast<std::size_t>(split)];
  const bool endless = std::all_of(members.begin(), members.end(), [&](std::size_t i) { return is_plain_text(samples_[i]); });
  return endless && !members.empty() ? kEndless : members.size();
}

Sample DataTask::make(const SampleRequest& request, const TokenCounter& count_tokens) const {
  const auto& members = members_[static_cast<std::size_t>(request.split)];
  if (members.empty())
    throw std::invalid_argument("prompts of '" + name_ + "': the " + std::string(to_string(request.split)) +
                                " split needs prompts on at least five different contexts, the file has " +
                                std::to_string(documents()));
  const Sample& found = samples_[members[request.index % members.size()]];
  if (is_plain_text(found)) return window(request, count_tokens, found);
  Sample sample = found;
  if (request.length_tokens == 0) return sample;
  sample.context = cut_middle(found.context, request.length_tokens, count_tokens);
  if (sample.context.size() < found.context.size())
    sample.cut_tokens = count_tokens(found.context) - count_tokens(sample.context);
  return sample;
}

std::size_t DataTask::documents() const {
  std::set<std::string_view> out;
  for (const Sample& sample : samples_) out.insert(sample.unit);
  return out.size();
}

Sample DataTask::window(const SampleRequest& request, const TokenCounter& count_tokens, const Sample& text) const {
  std::string_view part = text.context;
  if (samples_.size() == 1 && splits_ == FileSplits::disjoint) {
    constexpr std::size_t kBegin[4] = {0, 3, 4, 5};  // fifths
    const auto split = static_cast<std::size_t>(request.split);
    const std::size_t begin = character_begin(part, part.size() / 5 * kBegin[split]);
    const std::size_t end = split == 2 ? part.size() : character_begin(part, part.size() / 5 * kBegin[split + 1]);
    part = part.substr(begin, end - begin);
  }
  Sample sample;
  sample.task = text.task;
  sample.id = sample.unit = text.id;
  if (request.length_tokens == 0) {
    sample.context = part;
    return sample;
  }
  const auto tokens_of_first = [&](std::size_t bytes) {
    return count_tokens(part.substr(0, character_begin(part, std::min(bytes, part.size()))));
  };
  const std::size_t fits = fit_size(part.size(), request.length_tokens * 4, request.length_tokens, tokens_of_first);
  Rng rng("data/window", request.split, request.seed, request.index);
  std::size_t begin = rng.between(0, part.size() - std::min(fits, part.size()));
  for (std::size_t k = begin; k > 0 && k < part.size() && k < begin + 200; ++k)  // on to the next word
    if (is_space(part[k - 1]) && !is_space(part[k])) {
      begin = k;
      break;
    }
  part = part.substr(character_begin(part, begin));
  const std::size_t bytes = fit_size(part.size(), request.length_tokens * 4, request.length_tokens, tokens_of_first);
  sample.context = part.substr(0, character_begin(part, bytes));
  sample.id.append("@").append(std::to_string(part.data() - text.context.data()));  // byte at which the window begins
  sample.unit = sample.id;
  return sample;
}

std::unique_ptr<DataTask> make_data_task(const std::filesystem::path& file, FileSplits splits) {
  return std::make_unique<DataTask>(file.stem().string(), load_prompts(file), splits);
}

}  // namespace namm::tasks
