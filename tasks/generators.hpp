#pragma once
#include <memory>
#include <string>

#include "tasks/fill.hpp"
#include "tasks/haystack.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {

// One file each. Null stands for the task's own filler.
std::unique_ptr<Task> make_passkey(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_single(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_kv_recall(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_single_1(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_single_2(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_single_3(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_multikey_1(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_multikey_2(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_multikey_3(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_multivalue(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_multiquery(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_vt(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_cwe(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_fwe(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_number_string(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_kv_retrieval(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_passage_retrieval(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_passage_count(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_code_completion(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_code_retrieval(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_multi_turn(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_city_facts(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_text(std::shared_ptr<const Haystack> haystack);

/// What the retrieval tasks share: the filler, the random streams and the sample's identity.
class RetrievalTask : public Task {
 public:
  /// @param own  the filler if `haystack` is null
  explicit RetrievalTask(std::shared_ptr<const Haystack> haystack, std::shared_ptr<const Haystack> own = prose_haystack());

 protected:
  /// Independent streams of one prompt: needles and filler do not disturb each other.
  Rng needle_rng(const SampleRequest& request) const;
  std::unique_ptr<SentenceSource> filler(const SampleRequest& request) const;
  /// A sample with id and task filled in. Throws std::invalid_argument if the length is beyond `kMostLengthTokens`.
  Sample start(const SampleRequest& request) const;

 private:
  std::shared_ptr<const Haystack> haystack_;
};

/// A sample of `task` with id and task filled in. Throws as RetrievalTask::start.
Sample start_sample(std::string_view task, const SampleRequest& request);

}  // namespace namm::tasks
