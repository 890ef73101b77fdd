#pragma once
#include <memory>
#include <string>

#include "tasks/fill.hpp"
#include "tasks/haystack.hpp"
#include "tasks/task.hpp"

namespace namm::tasks {

// One file each. Null stands for generated prose.
std::unique_ptr<Task> make_passkey(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_niah_single(std::shared_ptr<const Haystack> haystack);
std::unique_ptr<Task> make_kv_recall(std::shared_ptr<const Haystack> haystack);

/// What the retrieval tasks share: the filler, the random streams and the sample's identity.
class RetrievalTask : public Task {
 public:
  explicit RetrievalTask(std::shared_ptr<const Haystack> haystack);

 protected:
  /// Independent streams of one prompt: needles and filler do not disturb each other.
  Rng needle_rng(const SampleRequest& request) const;
  std::unique_ptr<SentenceSource> filler(const SampleRequest& request) const;
  /// A sample with id and task filled in.
  Sample start(const SampleRequest& request) const;

 private:
  std::shared_ptr<const Haystack> haystack_;
};

}  // namespace namm::tasks
