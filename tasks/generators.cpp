#include "tasks/generators.hpp"

namespace namm::tasks {

RetrievalTask::RetrievalTask(std::shared_ptr<const Haystack> haystack)
    : haystack_(haystack ? std::move(haystack) : prose_haystack()) {}

Rng RetrievalTask::needle_rng(const SampleRequest& request) const {
  return Rng(std::string(name()) + "/needle", request.split, request.seed, request.index);
}

std::unique_ptr<SentenceSource> RetrievalTask::filler(const SampleRequest& request) const {
  return haystack_->open(request.split, Rng(std::string(name()) + "/filler", request.split, request.seed, request.index));
}

Sample RetrievalTask::start(const SampleRequest& request) const {
  Sample sample;
  sample.task = name();
  sample.id = sample.task + "/" + std::string(to_string(request.split)) + "/" + std::to_string(request.seed) + "/" +
              std::to_string(request.index);
  return sample;
}

}  // namespace namm::tasks
