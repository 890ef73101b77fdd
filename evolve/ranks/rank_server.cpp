#include "evolve/ranks/rank_server.hpp"

#include <omp.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <thread>

#include "evolve/ranks/messages.hpp"
#include "namm/policy.hpp"

namespace namm::evolve {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::microseconds kServerPollPause{200};

/// A job with everything it needs: what the store has of it may be forgotten while it waits.
struct Work {
  std::uint64_t number = 0;
  std::vector<CachePolicy> memories;
  std::shared_ptr<const Prompt> prompt;
};

/// Jobs on their way to the threads, and answers on their way back.
class JobQueue {
 public:
  void put(Work work) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(work));
    wake_.notify_one();
  }
  std::optional<Work> wait() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return closed_ || !jobs_.empty(); });
    if (closed_) return std::nullopt;
    Work work = std::move(jobs_.front());
    jobs_.pop_front();
    return work;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    wake_.notify_all();
  }
  void answer(messages::Any message) {
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(message));
  }
  std::optional<messages::Any> next_answer() {
    const std::lock_guard lock(mutex_);
    if (answers_.empty()) return std::nullopt;
    messages::Any message = std::move(answers_.front());
    answers_.pop_front();
    return message;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> jobs_;
  std::deque<messages::Any> answers_;
  bool closed_ = false;
};

messages::Failed failure() {
  try {
    throw;
  } catch (const std::invalid_argument& error) {
    return {true, false, error.what()};
  } catch (const std::bad_alloc&) {
    return {false, false, "memory: not enough for this; use a smaller --context, --workers or model"};
  } catch (const std::exception& error) {
    return {false, false, error.what()};
  }
}

/// What rank 0 has sent.
class Store {
 public:
  explicit Store(const std::vector<std::shared_ptr<const tasks::Task>>& tasks) : tasks_(tasks) {}
  void add(const messages::Shape& shape) { shapes_[shape.id] = make_policy(shape.kind, nlohmann::json::parse(shape.settings)); }
  void add(const messages::Parameters& parameters) {
    std::shared_ptr<Policy> policy = shapes_.at(parameters.shape)->clone();
    if (!parameters.values.empty()) policy->set_parameters(parameters.values);
    policies_[parameters.id] = std::move(policy);
  }
  void add(messages::PromptMessage message) {
    message.prompt.task = tasks_.at(message.task);
    prompts_[message.id] = std::make_shared<Prompt>(std::move(message.prompt));
  }
  Work work(const messages::Job& job) const {
    Work out{job.number, {}, prompts_.at(job.prompt)};
    for (const messages::Job::Part& part : job.parts) {
      out.memories.push_back(part.memory);
      if (part.policy != messages::Job::kNothing) out.memories.back().policy = policies_.at(part.policy);
    }
    return out;
  }
  void forget() {
    policies_.clear();
    prompts_.clear();
  }

 private:
  const std::vector<std::shared_ptr<const tasks::Task>>& tasks_;
  std::map<std::uint64_t, std::unique_ptr<Policy>> shapes_;
  std::map<std::uint64_t, std::shared_ptr<const Policy>> policies_;
  std::map<std::uint64_t, std::shared_ptr<const Prompt>> prompts_;
};

}  // namespace

bool serve_units(Channel& channel, HostPool& pool, const Fitness& fitness, const ProtocolSettings& protocol,
                 const std::vector<std::shared_ptr<const tasks::Task>>& tasks, const RankServerSettings& settings,
                 const std::atomic<bool>* stop) {
  JobQueue queue;
  const auto measure = [&](std::size_t, Host& host) {
    while (const auto work = queue.wait()) {
      try {
        const auto began = Clock::now();
        std::vector<double> values = fitness.measure_together(host, work->memories, *work->prompt, protocol);
        const float seconds = std::chrono::duration<float>(Clock::now() - began).count();
        queue.answer(messages::Measured{work->number, std::move(values), seconds});
      } catch (...) {
        // broken off in the middle of a text: no failure of this rank
        queue.answer(stop != nullptr && *stop ? messages::Failed{false, true, "was told to end"} : failure());
      }
    }
  };
  const int threads = omp_get_max_threads();
  std::jthread driver([&] {
    omp_set_num_threads(threads);
    try {
      pool.run(static_cast<std::size_t>(pool.workers()), measure);
    } catch (...) {
      queue.answer(failure());  // another host could not be made
    }
  });
  struct Closer {
    JobQueue& queue;
    ~Closer() { queue.close(); }
  } closer{queue};

  Store store(tasks);
  auto spoke = Clock::now();
  std::size_t busy = 0;
  bool told = false, for_good = true;
  const auto send = [&](const messages::Any& message) {
    channel.send(0, messages::write(message));
    spoke = Clock::now();
  };
  for (bool stopped = false; !stopped;) {
    bool idle = true;
    while (auto message = channel.receive()) {
      idle = false;
      try {
        messages::Any content = messages::read(message->bytes);
        if (std::holds_alternative<messages::Begin>(content))
          send(messages::Hello{settings.identity, settings.machine, static_cast<std::uint32_t>(pool.workers())});
        if (auto* shape = std::get_if<messages::Shape>(&content)) store.add(*shape);
        if (auto* parameters = std::get_if<messages::Parameters>(&content)) store.add(*parameters);
        if (auto* prompt = std::get_if<messages::PromptMessage>(&content)) store.add(std::move(*prompt));
        if (auto* job = std::get_if<messages::Job>(&content)) {
          queue.put(store.work(*job));
          ++busy;
        }
        if (std::holds_alternative<messages::Forget>(content)) store.forget();
        if (const auto* stop_message = std::get_if<messages::Stop>(&content)) {
          stopped = true;
          for_good = stop_message->for_good;
        }
      } catch (...) {
        send(failure());
      }
    }
    while (const auto answer = queue.next_answer()) {
      idle = false;
      send(*answer);
      if (busy > 0) --busy;
    }
    if (stop != nullptr && *stop && !told) {
      send(messages::Failed{false, true, "was told to end"});
      told = true;
    }
    if (busy > 0 && Clock::now() - spoke > std::chrono::duration<double>(settings.alive_every_seconds)) send(messages::Alive{});
    if (idle) std::this_thread::sleep_for(kServerPollPause);
  }
  queue.close();
  driver.join();
  send(messages::Bye{});
  return for_good;
}

void report_failure(Channel& channel, const std::string& what, bool wrong_usage) {
  for (;;) {
    const auto message = channel.receive();
    if (!message) {
      std::this_thread::sleep_for(kServerPollPause);
      continue;
    }
    const messages::Any content = messages::read(message->bytes);
    if (std::holds_alternative<messages::Begin>(content))
      channel.send(0, messages::write(messages::Failed{wrong_usage, false, what}));
    const auto* stop = std::get_if<messages::Stop>(&content);
    if (stop == nullptr) continue;
    channel.send(0, messages::write(messages::Bye{}));
    if (stop->for_good) return;
  }
}

}  // namespace namm::evolve
