#include "tasks/generators.hpp"

#include <stdexcept>

namespace namm::tasks {

RetrievalTask::RetrievalTask(std::shared_ptr<const Haystack> haystack, std::shared_ptr<const Haystack> own)
    : haystack_(haystack ? std::move(haystack) : std::move(own)) {}

Rng RetrievalTask::needle_rng(const SampleRequest& request) const {
  return Rng(std::string(name()) + "/needle", request.split, request.seed, request.index);
}

std::unique_ptr<SentenceSource> RetrievalTask::filler(const SampleRequest& request) const {
  return haystack_->open(request.split, Rng(std::string(name()) + "/filler", request.split, request.seed, request.index));
}

Sample RetrievalTask::start(const SampleRequest& request) const {
  return start_sample(name(), request);
}

Sample start_sample(std::string_view task, const SampleRequest& request) {
  if (request.length_tokens > kMostLengthTokens)
    throw std::invalid_argument("task " + std::string(task) + ": length_tokens must be at most " +
                                std::to_string(kMostLengthTokens) + ", is " + std::to_string(request.length_tokens) +
                                "; lower it");
  Sample sample;
  sample.task = task;
  sample.id = sample.task + "/" + std::string(to_string(request.split)) + "/" + std::to_string(request.seed) + "/" +
              std::to_string(request.index);
  sample.unit = sample.id;
  return sample;
}

}  // namespace namm::tasks
